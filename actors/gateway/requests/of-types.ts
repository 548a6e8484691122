import { z } from 'zod'
import { isUnsupported } from './parse.ts'

const head = z.looseObject({ type: z.string().max(64).nullish() })

/**
 * A part of a request that says its type. One of a type that this node does not have is refused by its name, before
 * anything else is said about it.
 *
 * @param known types
 * @param what it is, at the beginning of a sentence
 * @param instead what there is, at its end
 */
export function ofTypes<Schema extends z.ZodType>(
  schema: Schema,
  known: readonly string[],
  what: string,
  instead: string,
) {
  const { $schema: _, ...described } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  return head
    .superRefine(({ type }, context) => {
      if (type === null || type === undefined || known.includes(type)) return
      const message = `${what} of the type "${type}" is not supported: ${instead}.`
      context.addIssue({ code: 'custom', message, path: ['type'], params: isUnsupported })
    })
    .meta(described)
    .pipe(schema as z.ZodType<z.output<Schema>, z.input<typeof head>>)
}
