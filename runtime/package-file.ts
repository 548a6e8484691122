import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Path of a file of this package; sources and the built files lie at different depths below its root. */
export function packageFile(name: string): string | undefined {
  return [`../${name}`, `../../${name}`]
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .find((path) => existsSync(path))
}
