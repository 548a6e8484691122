import { createHash } from 'node:crypto'
import { chmod, lstat, mkdir } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { QMeshError } from '../../protocol/index.ts'

/** Bytes of a path that every system's socket address holds: macOS has 104 with the closing zero, Linux 108. */
const pathBytesMax = 100

export interface SocketPath {
  readonly path: string
  /** Set when the socket lies outside the data directory. */
  readonly folder?: string
}

/**
 * Where a node on this data directory listens for commands. Everybody who knows the directory finds the same place,
 * whether or not the name fits a socket address.
 */
export function toSocketPath(dataDir: string): SocketPath {
  const dir = resolve(dataDir)
  const hash = createHash('sha256').update(dir).digest('hex').slice(0, 24)
  if (process.platform === 'win32') return { path: String.raw`\\.\pipe\qmesh-${hash}` }
  const inside = join(dir, 'control.sock')
  if (Buffer.byteLength(inside) <= pathBytesMax) return { path: inside }
  // The temporary folder belongs to everybody: a folder of our own in it keeps others from taking the name first.
  const folder = join(shortTemporaryFolder(), `qmesh-${userInfo().uid}`)
  return { path: join(folder, `${hash}.sock`), folder }
}

function shortTemporaryFolder(): string {
  const folder = tmpdir()
  return Buffer.byteLength(folder) <= 48 ? folder : '/tmp'
}

/**
 * Makes the folder of a socket outside the data directory, or makes sure that the one there is ours alone.
 *
 * @throws QMeshError `QM_DATA_DIR_UNUSABLE`
 */
export async function secureSocketFolder({ folder }: SocketPath): Promise<void> {
  if (folder === undefined) return
  await mkdir(folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await checkSocketFolder({ path: '', folder })
  await chmod(folder, 0o700)
}

/** A client checks too, or it would hand its prompt to whoever made the folder first. */
export async function checkSocketFolder({ folder }: SocketPath): Promise<void> {
  if (folder === undefined) return
  const found = await lstat(folder)
  if (found.isDirectory() && found.uid === userInfo().uid) return
  throw new QMeshError(
    'QM_DATA_DIR_UNUSABLE',
    `${folder} belongs to somebody else; use a data directory with a shorter path`,
  )
}
