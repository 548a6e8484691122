import type { Command } from 'commander'
import { QMeshError } from '../../../runtime/error-report.ts'
import { openModelLibrary } from '../../../runtime/models/open-library.ts'
import { type AddModelCommand, modelKeys, shortHash, toModelRows, toSize } from '../../model-commands.ts'
import { loadCommandConfig } from '../../options.ts'
import { note, output } from '../../output.ts'
import type { PulledModel } from '../../../runtime/models/models.port.ts'
import { createProgressDisplay } from '../../pull-progress.ts'
import { addTransferAction, type TransferFlags } from '../../transfer-action.ts'

export const addPull: AddModelCommand = (models, exit) => {
  const command = models
    .command('pull')
    .description('fetch models from other nodes and from the web; goes on where it stopped')
    .argument(
      '[models...]',
      'ids, SHA-256 hashes, manifest files, hf:owner/repo/file.gguf, or https addresses',
    )
    .hook('preAction', async () => {
      if (command.args.length === 0) await refuseNothing(command)
    })
  addTransferAction(
    command,
    exit,
    async ({ access, signal }, names: readonly string[], flags: TransferFlags) => {
      const pulled = []
      for (const name of names) {
        const display = createProgressDisplay(name)
        try {
          const model = await access.port.pull(name, {
            signal,
            onProgress: (progress) => display.show(progress),
            onSourceFailed: ({ source, message }) => note(`${source} is given up: ${message}`),
          })
          display.stop()
          pulled.push(model)
          const size = toSize(model.bytes)
          note(
            `"${model.id}" ${model.wasHere ? 'was here already' : 'is here now'}: ${size}, ${shortHash(model.hash)}`,
          )
          if (access.isRunning) note(servedText(model))
        } finally {
          display.stop()
        }
      }
      if (flags.json) return output.json(pulled)
      for (const { path } of pulled) await output.line(path)
    },
  )
}

/** What could have been named, for whoever did not know. @throws QMeshError `QM_USAGE` */
async function refuseNothing(command: Command): Promise<never> {
  const { config } = await loadCommandConfig(command, modelKeys)
  const library = await openModelLibrary(config)
  const known = library.search().filter(({ state }) => state === 'absent')
  await library.close()
  if (command.opts<TransferFlags>().json !== true) await output.table(toModelRows(known), { isCut: true })
  const example = known.find(({ id }) => id === 'smollm2-135m-instruct') ?? known[0]
  throw new QMeshError(
    'QM_USAGE',
    `name the models to fetch, as in: qmesh-node models pull ${example?.id ?? 'hf:owner/repo/file.gguf'}`,
  )
}

const servedText = ({ id, isServed }: PulledModel): string =>
  isServed
    ? `this node answers with it: qmesh-node ask --model ${id} "Hello"`
    : `this node does not serve it ("qmesh-node status" says what failed); "up --model ${id}" does, and "up --serve-all" serves all that are here`
