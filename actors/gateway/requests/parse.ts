import type { z } from 'zod'
import { ApiError } from '../api-error.ts'

type Issue = z.core.$ZodIssue

/** Unknown parameters that an error names. */
const namesMax = 8

const wrongShape = 'it has none of the shapes that are allowed'

/** Marks an issue as "we know what that is, and have it not". */
export const isUnsupported = { isUnsupported: true } as const

/**
 * Checks a body, naming the first part that is wrong as OpenAI does (`messages[0].content`).
 *
 * @throws ApiError 400
 */
export function parseBody<Output>(schema: z.ZodType<Output>, body: unknown): Output {
  // Content types without a body, such as a POST with none at all, leave it undefined.
  if (body === undefined)
    throw new ApiError('A JSON object was expected as the body.', { code: 'invalid_json' })
  const result = schema.safeParse(body)
  if (result.success) return result.data
  throw toError(result.error.issues[0], body)
}

function toError(first: Issue | undefined, body: unknown): ApiError {
  const { issue, path } = deepest(first)
  const param = toParam(path)
  if (issue?.code === 'unrecognized_keys') {
    const names = issue.keys.slice(0, namesMax).map((key) => toParam([...path, key.slice(0, 64)]))
    const rest = issue.keys.length > namesMax ? `, nor ${issue.keys.length - namesMax} more` : ''
    const message = `This node knows no parameter ${names.map((name) => `"${name}"`).join(', ')}${rest}.`
    return new ApiError(message, { code: 'unknown_parameter', param: names[0] })
  }
  if (issue?.code === 'custom' && issue.params?.['isUnsupported'] === true)
    return new ApiError(issue.message, { code: 'unsupported_parameter', param })
  if (valueAt(body, path) === undefined)
    return new ApiError(`The parameter "${param}" is missing.`, { code: 'missing_required_parameter', param })
  const code = issue?.code === 'invalid_type' ? 'invalid_type' : 'invalid_value'
  const reason = issue?.code === 'invalid_union' && issue.errors.length > 0 ? wrongShape : issue?.message
  return new ApiError(`The parameter "${param}" is not valid: ${reason ?? wrongShape}`, { code, param })
}

/** Where several shapes are allowed, the one that was meant is the one that was followed furthest. */
function deepest(issue: Issue | undefined, before: readonly PropertyKey[] = []): Found {
  const path = [...before, ...(issue?.path ?? [])]
  if (issue?.code !== 'invalid_union') return { issue, path }
  // What is of another type altogether was not meant.
  const meant = issue.errors.filter(([first]) => first?.code !== 'invalid_type' || first.path.length > 0)
  const branches = meant.map((issues) => deepest(issues[0], path))
  const furthest = branches.toSorted((a, b) => b.path.length - a.path.length)[0]
  return furthest && (furthest.path.length > path.length || meant.length === 1) ? furthest : { issue, path }
}

interface Found {
  readonly issue: Issue | undefined
  readonly path: readonly PropertyKey[]
}

const toParam = (path: readonly PropertyKey[]): string =>
  path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`
    return text === '' ? String(part) : `${text}.${String(part)}`
  }, '')

const valueAt = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>(
    (part, step) =>
      typeof part === 'object' && part !== null ? (part as Record<PropertyKey, unknown>)[step] : undefined,
    value,
  )
