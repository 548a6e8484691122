import { limits, QMeshError } from '../../protocol/index.ts'

/**
 * A JSON schema as text, its bounds checked.
 *
 * @throws QMeshError `QM_REQUEST_INVALID`, naming the option
 */
export function toJsonSchema(given: string | Record<string, unknown>, option: string): string {
  let value: unknown = given
  if (typeof given === 'string') {
    try {
      value = JSON.parse(given)
    } catch {
      throw invalid(`option "${option}": is not valid JSON text`)
    }
  }
  if (depthOf(value, limits.jsonSchemaDepthMax) > limits.jsonSchemaDepthMax) {
    throw invalid(`option "${option}": is nested deeper than ${limits.jsonSchemaDepthMax}`)
  }
  const text = JSON.stringify(value)
  if (text.length > limits.jsonSchemaCharsMax) {
    throw invalid(
      `option "${option}": has ${text.length} characters, at most ${limits.jsonSchemaCharsMax} are allowed`,
    )
  }
  return text
}

/** Stops one level beyond the bound: a cycle in a user's object must not run for ever. */
export function depthOf(value: unknown, bound: number): number {
  if (typeof value !== 'object' || value === null || bound < 0) return 0
  return 1 + Math.max(0, ...Object.values(value).map((inner) => depthOf(inner, bound - 1)))
}

const invalid = (detail: string): QMeshError => new QMeshError('QM_REQUEST_INVALID', detail)
