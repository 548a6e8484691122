import { QMeshError } from '../../../runtime/error-report.ts'
import { addModelAction, toSize, type AddModelCommand } from '../../model-commands.ts'
import { note, output } from '../../output.ts'

export const addVerify: AddModelCommand = (models, exit) => {
  const command = models
    .command('verify')
    .description('read models from end to end and compare each block with its hash')
    .argument('[models...]', 'ids or beginnings of hashes; none: all of this machine')
  addModelAction(
    command,
    exit,
    'reading',
    async ({ library, signal, progress, tellNode }, names: readonly string[], flags: { json?: boolean }) => {
      const wanted = names.length > 0 ? names : library.list().flatMap(({ hash }) => hash ?? [])
      const results = []
      for (const name of wanted) {
        const result = await library.verify(name, {
          signal,
          onProgress: (done, total) => progress(`reading ${name}: ${Math.floor((100 * done) / total)} %`),
        })
        const { id, hash } = await library.info(name)
        results.push({ id, hash, ...result })
        if (!flags.json) note(`${id}: ${result.isSound ? 'sound' : describe(result.damaged)}`)
      }
      await tellNode()
      const broken = results.filter(({ isSound }) => !isSound)
      if (flags.json) await output.json(results)
      if (broken.length === 0) return
      // A script reads the result from standard output, and that not all is well from the exit code.
      if (flags.json) return exit(1)
      const ids = broken.map(({ id }) => id).join(' ')
      throw new QMeshError(
        'QM_MODEL_DAMAGED',
        `damaged: ${ids}; put them right with "qmesh-node models repair ${ids}"`,
      )
    },
  )
}

const describe = (damaged: readonly { readonly start: number; readonly end: number }[]): string =>
  `${toSize(damaged.reduce((sum, { start, end }) => sum + end - start, 0))} in ${damaged.length} places are wrong`
