import { readFile, stat } from 'node:fs/promises'

/** Found something else than a file of a believable size. */
export class NotASmallFileError extends Error {}

/**
 * Reads a text file that is small when it is what it should be. A named pipe would keep us waiting for its writer, a
 * device has no end, and a wrong path may name a file of gigabytes.
 *
 * @param check looks at the permission bits before anything is read
 * @throws NotASmallFileError, or what the file system says (`ENOENT`, …)
 */
export async function readSmallFile(
  path: string,
  bytesMax: number,
  check?: (mode: number) => void,
): Promise<string> {
  const found = await stat(path)
  if (!found.isFile()) throw new NotASmallFileError('this is not a file')
  check?.(found.mode)
  if (found.size > bytesMax) throw new NotASmallFileError(`larger than ${bytesMax} bytes`)
  return readFile(path, 'utf8')
}
