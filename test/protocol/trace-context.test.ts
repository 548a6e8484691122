import { describe, expect, it } from 'vitest'
import {
  fromTraceHeader,
  parseInferenceMessage,
  readTraceparent,
  toTraceparent,
  traceparentSchema,
} from '../../protocol/index.ts'
import { samples } from '../support/messages.ts'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const spanId = 'b7ad6b7169203331'
const sampled = `00-${traceId}-${spanId}-01`

describe('traceparent', () => {
  it('says trace, step and whether it is recorded', () => {
    const context = { traceId, spanId, isSampled: true }
    expect(readTraceparent(sampled)).toEqual(context)
    expect(toTraceparent(context)).toBe(sampled)
    expect(readTraceparent(`00-${traceId}-${spanId}-02`).isSampled).toBe(false)
    expect(readTraceparent(`00-${traceId}-${spanId}-ff`).isSampled).toBe(true)
    expect(toTraceparent({ ...context, isSampled: false })).toMatch(/-00$/)
  })

  it.each([
    '',
    'x'.repeat(1_000_000),
    sampled.toUpperCase(),
    `01-${traceId}-${spanId}-01`,
    `00-${'0'.repeat(32)}-${spanId}-01`,
    `00-${traceId}-${'0'.repeat(16)}-01`,
    `${sampled}-more`,
    ` ${sampled}`,
    `${sampled}\n`,
    7,
    [sampled],
  ])('%j is none, and no worker takes a prompt with it', (value) => {
    expect(traceparentSchema.safeParse(value).success).toBe(false)
    expect(parseInferenceMessage({ ...samples.prompt, traceparent: value })).toMatchObject({
      kind: 'invalid',
    })
  })

  it('goes with a prompt, or not', () => {
    const prompt = { ...samples.prompt, traceparent: sampled }
    expect(parseInferenceMessage(prompt)).toEqual({ kind: 'message', message: prompt })
    expect(parseInferenceMessage(samples.prompt)).toEqual({ kind: 'message', message: samples.prompt })
  })

  it.each([
    [sampled, sampled],
    // Later versions may say more, and mean the same by what they begin with.
    [`01-${traceId}-${spanId}-01-what-comes-later`, sampled],
    [`cc-${traceId}-${spanId}-00`, `00-${traceId}-${spanId}-00`],
    [`${sampled}-more`, undefined],
    [`01-${traceId}-${spanId}-01x`, undefined],
    [`ff-${traceId}-${spanId}-01`, undefined],
    [`zz-${traceId}-${spanId}-01`, undefined],
    ['nonsense', undefined],
    [undefined, undefined],
    [[sampled], undefined],
  ])('the header %j is %j', (header, expected) => {
    expect(fromTraceHeader(header)).toBe(expected)
  })
})
