import { shortHash, toSize, type AddModelCommand } from '../../model-commands.ts'
import { note, output } from '../../output.ts'
import type { PulledModel } from '../../../runtime/models/models.port.ts'
import { createProgressDisplay } from '../../pull-progress.ts'
import { addTransferAction, type TransferFlags } from '../../transfer-action.ts'

export const addPull: AddModelCommand = (models, exit) => {
  const command = models
    .command('pull')
    .description('fetch models from other nodes and from the web; goes on where it stopped')
    .argument(
      '<models...>',
      'ids, SHA-256 hashes, manifest files, hf:owner/repo/file.gguf, or https addresses',
    )
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

const servedText = ({ id, isServed }: PulledModel): string =>
  isServed
    ? `this node answers with it: qmesh-node ask --model ${id} "Hello"`
    : `this node does not serve it ("qmesh-node status" says what failed); "up --model ${id}" does, and "up --serve-all" serves all that are here`
