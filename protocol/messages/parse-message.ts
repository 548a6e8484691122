import type { z } from 'zod'
import { limits } from '../limits.ts'

export type Parsed<Message> =
  | { readonly kind: 'message'; readonly message: Message }
  /** A type of a later version: ignored, not a violation. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'invalid'; readonly detail: string }

/** Checks one decoded frame against the schema of its type. Never throws. Unknown fields are dropped. */
export function parseMessage<Schema extends z.ZodType>(
  schemas: Readonly<Record<string, Schema>>,
  value: unknown,
): Parsed<z.output<Schema>> {
  if (typeof value !== 'object' || value === null || !('type' in value) || typeof value.type !== 'string') {
    return { kind: 'invalid', detail: 'a message must be an object with a "type"' }
  }
  const schema = Object.hasOwn(schemas, value.type) ? schemas[value.type] : undefined
  if (!schema) return { kind: 'unknown' }
  const result = schema.safeParse(value)
  if (result.success) return { kind: 'message', message: result.data }
  const issue = result.error.issues[0]
  const detail = `${value.type}.${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`
  return { kind: 'invalid', detail: detail.slice(0, limits.errorMessageCharsMax) }
}
