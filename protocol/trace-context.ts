import { z } from 'zod'

const [noTrace, noSpan] = ['0'.repeat(32), '0'.repeat(16)]

/**
 * Names one step of a trace that goes over several machines, as the W3C's `traceparent` of version 00 does: the trace, the
 * step, and whether it is recorded. Random numbers, and nothing else.
 */
export const traceparentSchema = z
  .string()
  .regex(/^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/)
  .refine((text) => text.slice(3, 35) !== noTrace && text.slice(36, 52) !== noSpan, {
    message: 'ids of zeros name nothing',
  })
export type Traceparent = z.infer<typeof traceparentSchema>

/** What it says. */
export interface TraceContext {
  /** 32 hex characters, and 16. */
  readonly traceId: string
  readonly spanId: string
  readonly isSampled: boolean
}

/** @param text fits `traceparentSchema` */
export const readTraceparent = (text: Traceparent): TraceContext => ({
  traceId: text.slice(3, 35),
  spanId: text.slice(36, 52),
  // The lowest bit; the others have no meaning to us.
  isSampled: (Number.parseInt(text.slice(53), 16) & 1) === 1,
})

export const toTraceparent = ({ traceId, spanId, isSampled }: TraceContext): Traceparent =>
  `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}`

/**
 * The same of a header, which may be of a later version with more in it; undefined for what is none. Whoever sends
 * nonsense begins a new trace, as the standard has it.
 */
export function fromTraceHeader(header: unknown): Traceparent | undefined {
  if (typeof header !== 'string') return undefined
  const version = header.slice(0, 2)
  const isKnown = version === '00' ? header.length === 55 : /^[0-9a-f]{2}$/.test(version) && version !== 'ff'
  if (!isKnown || !['', '-'].includes(header.charAt(55))) return undefined
  return traceparentSchema.safeParse(`00${header.slice(2, 55)}`).data
}
