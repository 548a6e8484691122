import { z } from 'zod'

/** Any object that is not empty: an empty one is what a small model likes best, and no help to anybody. */
const anyObject = { type: 'object', additionalProperties: true, minProperties: 1 } as const

/** How the answer must be written. The schema itself is checked by the worker's grammar compiler. */
export const responseFormat = z.discriminatedUnion(
  'type',
  [
    z.strictObject({ type: z.literal('text') }),
    z.strictObject({ type: z.literal('json_object') }),
    z.strictObject({
      type: z.literal('json_schema'),
      json_schema: z.strictObject({
        name: z.string().max(64).optional(),
        description: z.string().max(4_096).optional(),
        schema: z.record(z.string(), z.unknown()),
        /** Whatever is said here, the grammar is kept to. */
        strict: z.boolean().nullish(),
      }),
    }),
  ],
  { error: 'the type must be one of "text", "json_object" and "json_schema"' },
)

/** The schema that the answer has to satisfy; undefined for free text. */
export function toJsonSchema(
  format: z.output<typeof responseFormat> | null | undefined,
): Record<string, unknown> | undefined {
  switch (format?.type) {
    case 'json_object':
      return { ...anyObject }
    case 'json_schema':
      return withDefs(format.json_schema.schema)
    default:
      return undefined
  }
}

/** Older tools write `definitions` for what the grammar compiler reads as `$defs`. */
function withDefs(schema: Record<string, unknown>): Record<string, unknown> {
  if (!('definitions' in schema) || '$defs' in schema) return schema
  const { definitions, ...rest } = schema
  const text = JSON.stringify({ ...rest, $defs: definitions })
  return JSON.parse(text.replaceAll('"$ref":"#/definitions/', '"$ref":"#/$defs/')) as Record<string, unknown>
}
