import { requireRunningNode } from '../../runtime/control/index.ts'
import type { AddCommand } from '../command.ts'
import { duration } from '../duration.ts'
import { addConfigFlags, loadCommandConfig } from '../options.ts'
import { output } from '../output.ts'
import { pauseText } from '../pause-text.ts'

const keys = ['dataDir'] as const

const examples = `
Examples:
  qmesh-node status
  qmesh-node status --json | jq .queue`

export const addStatus: AddCommand = (program) => {
  const command = program
    .command('status')
    .description('show what the running node is doing')
    .option('--json', 'print it as one JSON document')
    .addHelpText('after', examples)
  addConfigFlags(command, keys).action(async (flags: { json?: boolean }) => {
    const { config } = await loadCommandConfig(command, keys)
    const status = await (await requireRunningNode(config.dataDir)).status()
    if (flags.json) return output.json(status)
    const { network, queue, health, models, parts, gateway } = status
    const paused = pauseText(status)
    await output.table([
      ['id', status.id],
      ...(status.name === undefined ? [] : [['name', status.name]]),
      ['version', `${status.version}, process ${status.pid}, up ${duration(status.uptimeMs)}`],
      [
        'network',
        `${network.state}, ${network.peers} ${network.peers === 1 ? 'peer' : 'peers'}, ${network.isPrivate ? 'private mesh' : 'open mesh'}`,
      ],
      [
        'health',
        `${health.state} (${Math.round(health.score)}), ${health.accepting ? 'taking' : 'refusing'} requests`,
      ],
      ...(paused === undefined ? [] : [['paused', paused]]),
      [
        'queue',
        `${queue.length} of ${queue.capacity} waiting, ${queue.slotsBusy} of ${queue.slots} slots busy`,
      ],
      ...(queue.effortBits ? [['effort', `${queue.effortBits} bits of work with each prompt`]] : []),
      ...(gateway ? [['gateway', gateway.url ?? `${gateway.state}: ${gateway.error?.message ?? ''}`]] : []),
      ...models.map((model) => ['model', describe(model)]),
      ...(models.length === 0 ? [['model', 'none: this node asks but does not serve']] : []),
      ...(parts.length === 0 ? [] : [['parts', describeParts(parts)]]),
    ])
  })
}

type Status = Awaited<ReturnType<Awaited<ReturnType<typeof requireRunningNode>>['status']>>

function describe(model: Status['models'][number]): string {
  const facts = [
    model.state,
    model.error && `${model.error.code}: ${model.error.message}`,
    model.slots && `${model.slots} slots`,
    model.embeddingSize && `embeddings of ${model.embeddingSize} numbers`,
    model.contextTokens && `${model.contextTokens} tokens of context`,
    model.backend,
    model.memoryMb && `${Math.round(model.memoryMb)} MB`,
    model.loadMs && `loaded on demand in about ${Math.max(1, Math.round(model.loadMs / 1_000))} s`,
  ]
  return `${model.id}: ${facts.filter(Boolean).join(', ')}`
}

/** Those that are well are a number; the others are named. */
function describeParts(parts: Status['parts']): string {
  const isWell = ({ state, restarts }: Status['parts'][number]): boolean => state === 'running' && !restarts
  const others = parts.filter((part) => !isWell(part))
  return [
    `${parts.length - others.length} running`,
    ...others.map(({ name, state, restarts, error }) => {
      const again = restarts
        ? `, started again ${restarts === 1 ? 'once' : `${restarts} times`} in a minute`
        : ''
      return `${name} ${state}${again}${error ? ` (${error.code}: ${error.message})` : ''}`
    }),
  ].join('; ')
}
