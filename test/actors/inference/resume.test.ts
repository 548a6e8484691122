import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { EngineHost } from '../../../actors/inference/engine.port.ts'
import { limits, type ResumeMode } from '../../../protocol/index.ts'
import { toResumeMode } from '../../../actors/inference/llama/thread/resume.ts'
import { ask, createInferenceRig, start, type Answer, type Asked } from '../../support/inference-rig.ts'

const rig = createInferenceRig()
/** One after the other, as if the first had been lost: the same file in two threads. */
let first: EngineHost
let second: EngineHost
/** A byte-level vocabulary: most letters beyond ASCII are several tokens. */
let bytes: EngineHost

beforeAll(async () => {
  const model = rig.model({ slots: 2 })
  first = await rig.load(model)
  second = await rig.load(model)
  bytes = await rig.load(rig.model({ slots: 2, tokenizer: 'bpe' }))
}, 60_000)
afterAll(() => rig.close())

/** The text that a reader has after so many tokens, as the chunks came. */
async function streamed(host: EngineHost, asked: Asked): Promise<Answer & { readonly textAfter: string[] }> {
  const textAfter = ['']
  const answer = await ask(host, asked, ({ tokens, text }) => {
    const before = textAfter.at(-1) ?? ''
    // Text of a chunk of several tokens is only known to belong to the last of them.
    for (const [index] of tokens.entries())
      textAfter.push(index === tokens.length - 1 ? before + text : before)
    if (tokens.length === 0) textAfter[textAfter.length - 1] = before + text
  })
  return { ...answer, textAfter }
}

const resumeAt = (answer: { tokens: readonly number[] }, cut: number, chars: number, mode?: ResumeMode) => ({
  tokens: answer.tokens.slice(0, cut),
  chars,
  ...(mode && { mode }),
})

const cutsOf = ({ tokens }: Answer): number[] =>
  [1, 2, 7, 20, tokens.length - 1].filter((cut) => cut < tokens.length)

describe('an exact resume', () => {
  it('goes on as if nothing had happened, wherever it was cut', async () => {
    const asked = { prompt: 'the er on an in', maxTokens: 48 }
    const whole = await streamed(first, asked)
    for (const cut of cutsOf(whole)) {
      const text = whole.textAfter[cut] ?? ''
      const rest = await ask(second, { ...asked, resume: resumeAt(whole, cut, text.length, 'exact') })
      expect(rest.tokens).toEqual(whole.tokens.slice(cut))
      expect(text + rest.text).toBe(whole.text)
      expect(rest.result).toMatchObject({
        completionTokens: whole.tokens.length,
        promptTokens: whole.promptTokens,
        reason: whole.result.reason,
        resumeMode: 'exact',
      })
    }
  })

  it('goes on with the same random numbers', async () => {
    const sampling = { temperature: 1.5, topK: 0, topP: 1, minP: 0, seed: 11 }
    const asked = { prompt: 'the er on an in', maxTokens: 40, sampling }
    const whole = await streamed(first, asked)
    for (const cut of cutsOf(whole)) {
      const rest = await ask(second, { ...asked, resume: resumeAt(whole, cut, 0, 'exact') })
      expect(rest.tokens).toEqual(whole.tokens.slice(cut))
    }
  })

  it('goes on with the same penalties', async () => {
    const asked = { maxTokens: 40, sampling: { repeatPenalty: 1.8, repeatLastTokens: 16 } }
    const whole = await ask(first, asked)
    const rest = await ask(second, { ...asked, resume: resumeAt(whole, 20, 0, 'exact') })
    expect(rest.tokens).toEqual(whole.tokens.slice(20))
  })

  it('gives the text that the reader was not given, and none twice', async () => {
    const asked = { maxTokens: 30 }
    const whole = await ask(first, asked)
    const rest = await ask(second, { ...asked, resume: resumeAt(whole, 12, 0, 'exact') })
    expect(rest.text).toBe(whole.text)
  })
})

describe('a fast resume', () => {
  it('goes on after the same tokens, and says so', async () => {
    const asked = { maxTokens: 48 }
    const whole = await ask(first, asked)
    const rest = await ask(second, { ...asked, resume: resumeAt(whole, 24, 0, 'fast') })
    expect(rest.tokens).toHaveLength(24)
    expect(rest.result).toMatchObject({ completionTokens: 48, resumeMode: 'fast' })
  })
})

describe.each(['exact', 'fast'] as const)('the seam of a resume, %s,', (mode) => {
  it('never cuts a letter in two', async () => {
    const sampling = { temperature: 1.2, topK: 0, topP: 1, minP: 0, seed: 5 }
    const asked = { prompt: 'héé ü ñ 漢字 🦊', maxTokens: 60, sampling }
    const whole = await streamed(bytes, asked)
    for (let cut = 1; cut < whole.tokens.length; cut += 3) {
      const text = whole.textAfter[cut] ?? ''
      const rest = await streamed(bytes, { ...asked, resume: resumeAt(whole, cut, text.length, mode) })
      const all = [...whole.tokens.slice(0, cut), ...rest.tokens]
      // What all the tokens together mean is what the reader has: asked of the engine in one resume of all of them.
      const { text: joint } = await ask(bytes, {
        ...asked,
        maxTokens: all.length,
        resume: { tokens: all, chars: 0 },
      })
      expect(text + rest.text).toBe(joint)
    }
  })

  it('knows a stop string that began before it', async () => {
    const asked = { maxTokens: 40 }
    const plain = await streamed(first, asked)
    const at = (plain.textAfter[10] ?? '').length
    const stop = plain.text.slice(at - 2, at + 3)
    const cutText = plain.text.slice(0, plain.text.indexOf(stop))
    const whole = await streamed(first, { ...asked, stop: [stop] })
    expect(whole.text).toBe(cutText)
    const cut = whole.tokens.length - 1
    const sent = whole.textAfter[cut] ?? ''
    const rest = await ask(second, {
      ...asked,
      stop: [stop],
      resume: resumeAt(whole, cut, sent.length, mode),
    })
    expect(rest.result.reason).toBe('stop-string')
    expect(sent + rest.text).toBe(cutText)
  })

  it('is not seen by a JSON schema', async () => {
    const jsonSchema = JSON.stringify({
      type: 'object',
      properties: {
        kind: { enum: ['fox', 'owl'] },
        sizes: { type: 'array', items: { const: 3 }, maxItems: 3 },
      },
      required: ['kind', 'sizes'],
    })
    const asked = { jsonSchema, maxTokens: 200, sampling: { temperature: 1, seed: 3 } }
    const whole = await streamed(first, asked)
    for (let cut = 1; cut < whole.tokens.length; cut += 4) {
      const text = whole.textAfter[cut] ?? ''
      const rest = await ask(second, { ...asked, resume: resumeAt(whole, cut, text.length, mode) })
      expect(rest.result.reason).toBe('stop')
      expect(['fox', 'owl']).toContain((JSON.parse(text + rest.text) as { kind: string }).kind)
    }
  })

  it('may be the very end', async () => {
    const asked = { maxTokens: 20 }
    const whole = await ask(first, asked)
    const rest = await ask(second, { ...asked, resume: resumeAt(whole, 20, whole.text.length, mode) })
    expect(rest).toMatchObject({ tokens: [], text: '', result: { reason: 'length', completionTokens: 20 } })
  })
})

describe('the way that a worker chooses itself', () => {
  const resume = (count: number, mode?: ResumeMode) => ({
    tokens: Array<number>(count).fill(5),
    chars: 0,
    mode,
  })
  it.each([
    ['exact', 'up to 0.4 s', 40, 10, 0],
    ['fast', 'beyond', 41, 10, 0],
    ['exact', 'up to 0.4 s beside three others', 10, 10, 3],
    ['fast', 'beyond, beside three others', 11, 10, 3],
    ['exact', 'before its first answer, for a few tokens', 8, undefined, 0],
    ['fast', 'before its first answer, for more', 9, undefined, 0],
  ] as const)('is %s %s', (mode, _, count, tokenMs, busyLanes) => {
    expect(toResumeMode(resume(count), tokenMs, busyLanes)).toBe(mode)
    expect(toResumeMode(resume(count, 'fast'), tokenMs, busyLanes)).toBe('fast')
    expect(toResumeMode(resume(count, 'exact'), tokenMs, busyLanes)).toBe('exact')
  })

  it('depends on what is generated beside it, not on what waits for its reader', async () => {
    const host = await rig.load(rig.model({ slots: 2, contextTokens: 8_192 }))
    const { result } = await ask(host, { maxTokens: 200 })
    const tokenMs = (result.totalMs - result.firstTokenMs) / 199
    // Alone it takes three quarters of what an exact resume may take, beside another one and a half times as much.
    const count = Math.min(6_000, Math.floor(300 / tokenMs))
    const asked = { maxTokens: count + 1, resume: { tokens: Array<number>(count).fill(5), chars: 0 } }
    const modeBeside = async (acknowledged: number, arrived: number): Promise<string | undefined> => {
      const other = await start(host, { maxTokens: 8_000 })
      other.generation.acknowledge(acknowledged)
      await other.arrived(arrived)
      const { resumeMode } = (await ask(host, asked)).result
      other.generation.cancel()
      await expect(other.generation.finished).rejects.toMatchObject({ code: 'QM_CANCELLED' })
      return resumeMode
    }
    expect(await modeBeside(8_000, 1)).toBe('fast')
    expect(await modeBeside(0, limits.unackedTokensMax)).toBe('exact')
  })

  it('is not the fast one because a reader made it wait', async () => {
    const host = await rig.load(rig.model({ slots: 2 }))
    const { result } = await ask(first, { maxTokens: 200 })
    const tokenMs = (result.totalMs - result.firstTokenMs) / 199
    // So many tokens take a tenth of what an exact resume may take: the machine may be busier in a moment …
    const count = Math.max(1, Math.min(400, Math.floor(40 / tokenMs)))
    const paused = await start(host, { maxTokens: 200 })
    await paused.arrived(limits.unackedTokensMax)
    // … and, with the wait counted in, twice as much.
    const untilMs = performance.now() + (199 * 800) / count
    await vi.waitUntil(() => performance.now() > untilMs, 60_000)
    paused.generation.acknowledge(200)
    await paused.generation.finished
    const tokens = Array.from({ length: count }, () => 5)
    const rest = await ask(host, { maxTokens: count + 1, resume: { tokens, chars: 0 } })
    expect(rest.result.resumeMode).toBe('exact')
  })
})

describe('a resume that cannot be', () => {
  const asked = { maxTokens: 20 }
  it.each([
    ['a token outside the vocabulary', { tokens: [5, 16_777_215], chars: 0 }],
    ['a token that ends a turn', { tokens: [5, 2], chars: 0 }],
    ['more text than its tokens stand for', { tokens: [5, 6], chars: 4_000 }],
  ])('with %s is refused', async (_, resume) => {
    await expect(ask(first, { ...asked, resume })).rejects.toMatchObject({ code: 'QM_RESUME_INVALID' })
  })

  it('after the end of the answer is refused', async () => {
    const { text, tokens } = await ask(first, asked)
    const resume = { tokens: [...tokens], chars: 0 }
    await expect(ask(first, { ...asked, stop: [text.slice(4, 7)], resume })).rejects.toMatchObject({
      code: 'QM_RESUME_INVALID',
    })
  })

  it('with tokens that the schema forbids is refused', async () => {
    const { tokens } = await ask(first, asked)
    const jsonSchema = '{"type":"boolean"}'
    await expect(
      ask(first, { ...asked, jsonSchema, resume: { tokens: [...tokens], chars: 0 } }),
    ).rejects.toMatchObject({
      code: 'QM_RESUME_INVALID',
    })
  })

  it('that does not fit the context is refused', async () => {
    const tokens = Array.from({ length: 1_020 }, () => 5)
    await expect(ask(first, { maxTokens: 1_020, resume: { tokens, chars: 0 } })).rejects.toMatchObject({
      code: 'QM_CONTEXT_EXCEEDED',
    })
  })
})
