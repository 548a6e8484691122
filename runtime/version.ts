import { readFileSync } from 'node:fs'
import { packageFile } from './package-file.ts'

/** The version of this package. */
export function packageVersion(): string {
  const path = packageFile('package.json')
  return path ? (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version : 'unknown'
}
