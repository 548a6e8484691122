import { z } from 'zod'
import { isUnsupported } from './parse.ts'

/** Token numbers mean something to one tokenizer only, and nobody knows which worker's that will be. */
export const textOnly = <Output>(what: string, schema: z.ZodType<Output>) =>
  z
    .unknown()
    .superRefine((value, context) => {
      if (!Array.isArray(value) || value.length === 0) return
      const [first] = value as readonly unknown[]
      if (typeof first !== 'number' && !Array.isArray(first)) return
      const message = `${what} as token numbers are not supported: send text.`
      context.addIssue({ code: 'custom', message, params: isUnsupported })
    })
    .pipe(schema)
