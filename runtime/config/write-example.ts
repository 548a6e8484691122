import { dirname } from 'node:path'
import { createFileAtomically } from '../../actors/files/atomic-file.ts'
import { toFileReason } from '../../actors/files/file-reason.ts'
import { makeFolder } from '../../actors/files/make-folder.ts'
import { QMeshError } from '../../protocol/index.ts'
import { renderExampleFile } from './describe.ts'

/**
 * Writes a configuration file with every key explained, and its folder where that is missing; whole or not at all. For its
 * owner only: it may come to hold the secret of a mesh.
 *
 * @throws QMeshError `QM_USAGE` when it is there already, or cannot be written
 */
export async function writeExampleFile(path: string): Promise<void> {
  const folder = dirname(path)
  await makeFolder(folder).catch((error: unknown) => {
    throw new QMeshError('QM_USAGE', `the folder ${folder} cannot be made: ${toFileReason(error)}`, {
      cause: error,
    })
  })
  try {
    await createFileAtomically(path, renderExampleFile())
  } catch (error) {
    const isTaken = (error as NodeJS.ErrnoException).code === 'EEXIST'
    throw new QMeshError(
      'QM_USAGE',
      isTaken
        ? `${path} exists already and is not overwritten; name another file with --config`
        : `${path} cannot be written: ${toFileReason(error)}`,
      { cause: error },
    )
  }
}
