import { dirname } from 'node:path'
import { parse, TomlError } from 'smol-toml'
import { QMeshError, toQMeshError } from '../../protocol/index.ts'
import { configKeyNames, type ConfigKey } from './keys.ts'
import { NotASmallFileError, readSmallFile } from '../../actors/files/small-file.ts'
import type { Origin } from './origin.ts'
import { unknownKey, type RawEntry } from './validate.ts'

/** Bytes; nobody writes more by hand, and a wrong path may name a model file. */
const fileBytesMax = 1024 * 1024

export interface TomlEntries {
  readonly entries: readonly RawEntry[]
  readonly problems: readonly string[]
}

/**
 * Reads the configuration file. A file that is not there is an empty one unless somebody asked for it by name.
 *
 * @throws QMeshError `QM_CONFIG_SYNTAX` with line and column, `QM_CONFIG_INVALID` when it cannot be read
 */
export async function readTomlFile(path: string, isRequired: boolean): Promise<TomlEntries | undefined> {
  let text: string
  try {
    text = await readSmallFile(path, fileBytesMax)
  } catch (error) {
    if (error instanceof NotASmallFileError) {
      throw new QMeshError('QM_CONFIG_INVALID', `${path}: no configuration: ${error.message}`, {
        cause: error,
      })
    }
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      if (!isRequired) return undefined
      throw new QMeshError('QM_CONFIG_INVALID', `${path}: there is no such configuration file`, {
        cause: error,
      })
    }
    throw toQMeshError(error, 'QM_CONFIG_INVALID')
  }
  return toEntries(parseToml(path, text), path, text)
}

function parseToml(path: string, text: string): Record<string, unknown> {
  try {
    return parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw toQMeshError(error, 'QM_CONFIG_SYNTAX')
    const reason = (error.message.split('\n', 1)[0] ?? '').replace(/^Invalid TOML document: /, '')
    throw new QMeshError('QM_CONFIG_SYNTAX', `${path}:${error.line}:${error.column}: ${reason}`, {
      cause: error,
    })
  }
}

function toEntries(table: Record<string, unknown>, path: string, text: string): TomlEntries {
  const entries: RawEntry[] = []
  const problems: string[] = []
  for (const [name, value] of Object.entries(table)) {
    const line = lineOf(name, text)
    const origin: Origin = { kind: 'file', path, ...(line !== undefined && { line }) }
    if ((configKeyNames as string[]).includes(name)) {
      entries.push({ key: name as ConfigKey, value, origin, baseDir: dirname(path) })
    } else problems.push(unknownKey(name, origin, name))
  }
  return { entries, problems }
}

/** The parser keeps no positions; a top-level key starts its line, which is all that is needed here. */
function lineOf(name: string, text: string): number | undefined {
  const escaped = name.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
  const start = new RegExp(String.raw`^\s*(?:\[\[?\s*)?["']?${escaped}["']?\s*[.=\]]`)
  const index = text.split('\n').findIndex((line) => start.test(line))
  return index < 0 ? undefined : index + 1
}
