import { toSize, type AddModelCommand } from '../../model-commands.ts'
import { note, output } from '../../output.ts'
import { createSpinner } from '../../spinner.ts'
import { addTransferAction, type TransferFlags } from '../../transfer-action.ts'

export const addRepair: AddModelCommand = (models, exit) => {
  const command = models
    .command('repair')
    .description('find the damaged blocks of models and fetch those, and nothing else')
    .argument('<models...>', 'ids or beginnings of hashes')
  addTransferAction(
    command,
    exit,
    async ({ access, signal }, names: readonly string[], flags: TransferFlags) => {
      const repaired = []
      for (const name of names) {
        const spinner = createSpinner(`reading ${name}`)
        try {
          const result = await access.port.repair(name, {
            signal,
            onProgress: (done, total) =>
              spinner.text(`reading ${name}: ${Math.floor((100 * done) / total)} %`),
          })
          spinner.stop()
          repaired.push({ name, ...result })
          note(
            result.blocks === 0
              ? `${name}: sound`
              : `${name}: ${result.blocks} blocks were wrong; ${toSize(result.fetchedBytes)} were fetched`,
          )
        } finally {
          spinner.stop()
        }
      }
      if (flags.json) await output.json(repaired)
    },
  )
}
