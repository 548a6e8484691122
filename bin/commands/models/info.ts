import type { ModelInfo } from '../../../runtime/models/index.ts'
import { addModelAction, toCount, toSize, type AddModelCommand } from '../../model-commands.ts'
import { output } from '../../output.ts'

export const addInfo: AddModelCommand = (models, exit) => {
  const command = models
    .command('info')
    .description('show what is known of a model, and whether it fits this machine')
    .argument('<model>', 'its id, or the beginning of its hash')
  addModelAction(
    command,
    exit,
    'reading the model',
    async ({ library }, name: string, flags: { json?: boolean }) => {
      const info = await library.info(name)
      await (flags.json ? output.json(info) : output.table(toRows(info)))
    },
  )
}

function toRows(info: ModelInfo): readonly (readonly string[])[] {
  const { manifest } = info
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['id', info.id],
    ['name', info.name],
    ['description', manifest.description || undefined],
    ['kind', info.kind],
    ['licence', [info.licence, manifest.licenceUrl].filter(Boolean).join(', ')],
    ['homepage', manifest.homepage],
    ['version', String(manifest.version)],
    [
      'publisher',
      manifest.publisher ? `${manifest.publisher} (${info.standing})` : `nobody (${info.standing})`,
    ],
    ['parameters', toCount(info.parameters)],
    ['quantization', info.quantization],
    ['embeddings', embeddings(info)],
    ['trained for', info.contextTokens === null ? undefined : `${info.contextTokens} tokens`],
    ['chat template', chatTemplate(manifest.facts.hasChatTemplate)],
    ['size', toSize(info.bytes)],
    ['sha256', info.hash ?? 'unverified: it is pinned on the first fetch'],
    ['on this machine', onThisMachine(info)],
    ['fits', info.fit ? fitText(info.fit) : undefined],
    ['speed', info.speed && speedText(info.speed)],
    ...manifest.sources.map((source): [string, string] => ['source', sourceText(source)]),
  ]
  return rows.flatMap(([label, value]) => (value === undefined ? [] : [[label, value]]))
}

const embeddings = ({ kind, manifest: { facts } }: ModelInfo): string | undefined =>
  kind === 'embedding'
    ? `${facts.embeddingLength ?? 'so many'} numbers a text; it answers nothing, ask it with "qmesh-node embed"`
    : undefined

const chatTemplate = (has: boolean | null): string | undefined =>
  has === null ? undefined : has ? 'yes' : 'no'

function onThisMachine({ state, path, isPinned, isReference, damaged }: ModelInfo): string {
  if (state === 'absent') return 'no; fetch it with "models pull"'
  const wrong = damaged.reduce((sum, { start, end }) => sum + end - start, 0)
  const remarks = [
    state !== 'sound' && (wrong > 0 ? `${state}: ${toSize(wrong)} are wrong` : state),
    isPinned && 'pinned',
    isReference && 'in place',
  ].filter(Boolean)
  return [path, ...remarks].join(', ')
}

function fitText({
  fits,
  contextTokens,
  needBytes,
  availableBytes,
  isEstimate,
}: NonNullable<ModelInfo['fit']>): string {
  const about = isEstimate ? 'about ' : ''
  const memory = `${about}${toSize(needBytes)} of ${toSize(availableBytes)} that are free`
  if (!fits) return `no: even its shortest context takes ${memory}`
  return `yes: a context of ${contextTokens} tokens takes ${memory}`
}

function speedText({ tokensPerSecond, likeId }: NonNullable<ModelInfo['speed']>): string {
  const rate = `${tokensPerSecond.toFixed(tokensPerSecond < 10 ? 1 : 0)} tokens a second`
  return likeId === null ? `${rate}, as it answered here` : `about ${rate}, going by "${likeId}" and its size`
}

function sourceText(source: ModelInfo['manifest']['sources'][number]): string {
  switch (source.kind) {
    case 'peers':
      return 'other nodes'
    case 'hf':
      return `hf:${source.repo}/${source.file}${source.revision === 'main' ? '' : `@${source.revision}`}`
    case 'https':
      return source.url
    case 'ipfs':
      return `ipfs:${source.cid}${source.path === undefined ? '' : `/${source.path}`}`
    case 'file':
      return source.path
  }
}
