import { open, readFile, stat } from 'node:fs/promises'
import { writeFileAtomically } from '../../files/atomic-file.ts'
import { type ByteRange, RangeSet } from '../../../machines/models/range-set.ts'
import { QMeshError } from '../../../protocol/index.ts'
import { blockBytes } from '../../../protocol/models/index.ts'
import { hash256 } from '../../../protocol/trust/signing.ts'
import { countBlocks, findDamage, hashBlock, leafBytes, scanFile } from './block-hashes.ts'
import type { ModelRecord } from './records.ts'
import { onDisk } from './store-files.ts'
import type { BrokenModel, VerifyOptions } from './stored-model.ts'

export const damaged = (detail: string): QMeshError => new QMeshError('QM_MODEL_DAMAGED', detail)

/** Only bytes that are wrong can be put right: a file that is gone, or another one by now, is nobody's to write into. */
export const notSound = ({
  manifest: { id },
  reason,
}: Pick<BrokenModel, 'manifest' | 'reason'>): QMeshError =>
  damaged(
    reason === 'damaged'
      ? `the file of "${id}" is damaged; put it right with "qmesh-node models repair ${id}"`
      : `the file of "${id}" is ${reason}; add or fetch it again`,
  )

/** The block hashes of a model; undefined when they are not what was stored. */
export async function readLeaves(path: string, record: ModelRecord): Promise<Buffer | undefined> {
  const stats = await stat(path).catch(() => undefined)
  if (stats?.size !== countBlocks(record.bytes) * leafBytes) return undefined
  const leaves = await readFile(path)
  return hash256(leaves).toString('hex') === record.blocksHash ? leaves : undefined
}

/** Whole blocks of a stored file that are wrong. */
export async function findDamageOf(
  record: ModelRecord,
  path: string,
  leavesPath: string,
  options: VerifyOptions,
): Promise<readonly ByteRange[]> {
  const whole = [{ start: 0, end: record.bytes }]
  const stats = await stat(path).catch(() => undefined)
  if (!stats?.isFile()) return whole
  const file = await onDisk(path, () => open(path, 'r'))
  try {
    const leaves = await readLeaves(leavesPath, record)
    if (leaves) {
      const found = new RangeSet(await findDamage(file, record.bytes, leaves, options))
      // What hangs over the end goes with the repair of the last block.
      if (stats.size > record.bytes) found.add((countBlocks(record.bytes) - 1) * blockBytes, record.bytes)
      return found.ranges
    }
    // Without them only the whole can be judged; a whole one gives them back.
    if (stats.size !== record.bytes) return whole
    const { hash, leaves: again } = await scanFile(file, record.bytes, options)
    if (hash !== record.hash) return whole
    await writeFileAtomically(leavesPath, again)
    return []
  } finally {
    await file.close()
  }
}

/**
 * Writes one block over a damaged one.
 *
 * @returns what is damaged still
 * @throws QMeshError `QM_MODEL_DAMAGED` when the block is not one that was found damaged, or not what belongs there
 */
export async function putRight(
  record: ModelRecord,
  path: string,
  leaves: Buffer,
  start: number,
  data: Uint8Array,
): Promise<readonly ByteRange[]> {
  const { id } = record.manifest
  const end = Math.min(start + blockBytes, record.bytes)
  const isBlock = start >= 0 && start % blockBytes === 0 && start < record.bytes
  const broken = new RangeSet(record.damaged)
  if (!isBlock || !broken.has(start, end))
    throw damaged(`bytes ${start} to ${end} of "${id}" are no block that was found damaged`)
  const index = start / blockBytes
  if (!hashBlock(data).equals(leaves.subarray(index * leafBytes, (index + 1) * leafBytes)))
    throw damaged(`bytes ${start} to ${end} are not those of "${id}"`)
  await onDisk(path, async () => {
    const file = await open(path, 'r+')
    try {
      await file.truncate(record.bytes)
      await file.write(data, 0, data.byteLength, start)
      await file.datasync()
    } finally {
      await file.close()
    }
  })
  broken.remove(start, end)
  return broken.ranges
}
