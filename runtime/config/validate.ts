import { existsSync } from 'node:fs'
import type { z } from 'zod'
import { QMeshError } from '../../protocol/index.ts'
import { configKeyNames, configKeys, modelFields, type ConfigKey } from './keys.ts'
import { describeOrigin, type Origin } from './origin.ts'
import { toAbsolutePath } from './paths.ts'
import { nearest } from './suggest.ts'

/** One value of one source, as written. */
export interface RawEntry {
  readonly key: ConfigKey
  readonly value: unknown
  readonly origin: Origin
  /** Folder that relative paths start from. */
  readonly baseDir: string
}

export type Checked =
  { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly problem: string }

/** Checks one value against its key's schema and makes its paths absolute. */
export function checkEntry({ key, value, origin, baseDir }: RawEntry): Checked {
  const entry = configKeys[key]
  const result = (entry.schema as z.ZodType).safeParse(value)
  if (result.success) {
    const resolve =
      'resolve' in entry ? (entry.resolve as (value: unknown, baseDir: string) => unknown) : undefined
    return { ok: true, value: resolve ? resolve(result.data, baseDir) : result.data }
  }
  const found = deepest(result.error.issues[0], value)
  const where = [key, ...found.path].reduce<string>(
    (text, part) =>
      typeof part === 'number' ? `${text}[${part}]` : text === '' ? String(part) : `${text}.${String(part)}`,
    '',
  )
  const unknown = found.issue?.code === 'unrecognized_keys' ? found.issue.keys[0] : undefined
  if (unknown !== undefined) {
    return {
      ok: false,
      problem: unknownKey(`${where}.${unknown}`, origin, unknown, Object.keys(modelFields)),
    }
  }
  const isSecret = 'isSecret' in entry && entry.isSecret
  const path = key === 'models' ? toFileName(found.value, baseDir) : undefined
  if (path !== undefined) return { ok: false, problem: `${place(origin)}"${where}" is ${path}` }
  const came = isSecret ? hidden(found.value) : shown(found.value)
  return {
    ok: false,
    problem: `${place(origin)}"${where}" must be ${expected(key, found.path)}, but it is ${came}`,
  }
}

/** A file of that name is here: then it is most likely meant, and an id it cannot be. */
function toFileName(value: unknown, baseDir: string): string | undefined {
  if (typeof value !== 'string' || !printableName.test(value)) return undefined
  if (!existsSync(toAbsolutePath(value, baseDir))) return undefined
  return `no id of a model; to name the file that is here, write ./${value} (its name does not end in .gguf, as those of models do)`
}

const printableName = /^[^\p{C}/\\]{1,200}$/u

/** The message for a key nobody knows. */
export function unknownKey(
  name: string,
  origin: Origin,
  word: string,
  known: readonly string[] = configKeyNames,
): string {
  const meant = nearest(word, known)
  const hint = meant ? `did you mean "${meant}"?` : `the keys are ${known.join(', ')}`
  return `${place(origin)}the key "${name.slice(0, 80)}" is unknown; ${hint}`
}

/** @throws QMeshError `QM_CONFIG_INVALID` naming every problem found, unless there is none. */
export function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw new QMeshError('QM_CONFIG_INVALID', problems.join('; '))
}

function expected(key: ConfigKey, path: readonly PropertyKey[]): string {
  const entry = configKeys[key]
  const each = 'expectsEach' in entry ? entry.expectsEach : undefined
  if (path.length === 0 || each === undefined) return entry.expects
  return path.length === 1 ? each : (modelFields[String(path[1])] ?? each)
}

const place = (origin: Origin): string => (origin.kind === 'option' ? '' : `${describeOrigin(origin)}: `)

type Issue = z.core.$ZodIssue

/** The part of the value an issue is about. For a model, the branch of the union that was meant tells more. */
function deepest(
  issue: Issue | undefined,
  value: unknown,
  path: PropertyKey[] = [],
): { issue: Issue | undefined; value: unknown; path: PropertyKey[] } {
  const inner = (issue?.path ?? []).reduce<unknown>(
    (part, step) =>
      typeof part === 'object' && part !== null ? (part as Record<PropertyKey, unknown>)[step] : undefined,
    value,
  )
  const innerPath = [...path, ...(issue?.path ?? [])]
  if (issue?.code === 'invalid_union' && typeof inner === 'object' && inner !== null) {
    const branch = issue.errors.at(-1)?.[0]
    if (branch) return deepest(branch, inner, innerPath)
  }
  return { issue, value: inner, path: innerPath }
}

/** A secret is not shown, but what is wrong with it is. */
const hidden = (value: unknown): string =>
  typeof value === 'string'
    ? `one of ${value.length} characters`
    : `a ${Array.isArray(value) ? 'list' : typeof value === 'object' ? 'table' : typeof value}`

function shown(value: unknown): string {
  if (value === undefined) return 'missing'
  // JSON has no word for what is no number.
  if (typeof value === 'number') return String(value)
  const text = typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? typeof value)
  return text.length > 80 ? `${text.slice(0, 80)}…` : text
}
