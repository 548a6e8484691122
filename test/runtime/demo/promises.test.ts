import { describe, expect, it } from 'vitest'
import type { DemoFacts } from '../../../runtime/demo/facts.ts'
import { judge } from '../../../runtime/demo/promises.ts'
import { summarize, toLines } from '../../../runtime/demo/summary.ts'
import { handover, kept, question, waiting } from './facts.ts'

const [streams, tokens, cheats, tiers] = [0, 1, 2, 3]
const failure = { code: 'QM_WORKER_LOST', message: 'gone' } as const
const failed = { answer: undefined, failure }

/** Indexes of the promises that these facts break. */
const broken = (facts: Partial<DemoFacts>): number[] =>
  judge({ ...kept, ...facts }).flatMap(({ isKept }, index) => (isKept ? [] : [index]))

describe('the promises of the demo', () => {
  it('are kept when all went well, with the numbers', () => {
    expect(broken({})).toEqual([])
    expect(judge(kept).map(({ measured }) => measured)).toEqual([
      'quick was lost after 2 of 6 tokens, slow went on 251 ms later',
      '36 of 36 tokens in 6 answers',
      '6 of 6 questions answered; it got 3 requests, answered 0 and was shut out by bronze-1',
      'Master came last and went before 3 of 3 waiting Bronze; waited 0.6 s, Bronze 2.1 to 4.1 s; 3 of 3 Bronze served',
    ])
  })

  describe('a stream survives its worker', () => {
    const { stream } = kept

    it('is broken by another text, by other tokens and by a failure', () => {
      const answer = { text: 'one two four', completionTokens: 6, queuedMs: 0, handovers: [handover] }
      expect(broken({ stream: { ...stream, text: answer.text, answer } })).toEqual([streams])
      expect(broken({ stream: { ...stream, tokens: [1, 2, 3, 4, 5, 7] } })).toEqual([streams])
      expect(broken({ stream: { ...stream, ...failed } })).toEqual([streams, cheats])
      expect(broken({ reference: question(failed) })).toContain(streams)
    })

    it('is broken when nobody had to go on', () => {
      const verdicts = judge({ ...kept, stream: question() })
      expect(verdicts[streams]).toMatchObject({
        isKept: false,
        measured: 'it was over before its worker died',
      })
    })
  })

  it('a token that is lost or comes twice breaks the second', () => {
    const [first, ...others] = kept.crowd
    if (!first) throw new Error('no question')
    expect(broken({ crowd: [{ ...first, tokens: [1, 2, 3, 4, 5] }, ...others] })).toEqual([tokens])
    expect(broken({ crowd: [{ ...first, tokens: [1, 2, 2, 3, 4, 5, 6] }, ...others] })).toEqual([tokens])
    expect(broken({ crowd: [{ ...first, text: 'one two' }, ...others] })).toEqual([tokens])
  })

  describe('a worker that cheats costs nobody an answer', () => {
    it('is broken by a question without an answer', () => {
      expect(broken({ crowd: [...kept.crowd, question(failed)] })).toContain(cheats)
    })

    it('is broken by a client that goes on asking it, and by an answer of its', () => {
      expect(broken({ hostile: { requests: 3, shutOutBy: [] } })).toEqual([cheats])
      expect(broken({ hostile: { requests: 3, shutOutBy: ['silver'] } })).toEqual([cheats])
      const believed = question({ attempts: [{ worker: 'hostile' }] })
      expect(broken({ crowd: [...kept.crowd, believed] })).toEqual([cheats])
    })

    it('was not shown when nobody asked it', () => {
      expect(broken({ hostile: { requests: 0, shutOutBy: ['bronze-1'] } })).toEqual([cheats])
    })
  })

  describe('whoever gave more goes first', () => {
    const master = { client: 'master', tier: 'master' } as const
    const fallen = kept.crowd.slice(0, 3)

    it('is broken by a Bronze that came before the Master and was served before it', () => {
      expect(broken({ crowd: [...fallen, waiting(1_400, 2_500, master)] })).toEqual([tiers])
    })

    it('is not broken by one that had its slot when the Master came, nor by one in another queue', () => {
      const running = waiting(1_000, 300)
      const elsewhere = waiting(1_000, 600, { attempts: [{ worker: 'slow' }] })
      expect(broken({ crowd: [...kept.crowd, running, elsewhere] })).toEqual([])
    })

    it('is broken by a Bronze that nobody served', () => {
      expect(broken({ crowd: [...kept.crowd, waiting(1_000, 0, failed)] })).toEqual([cheats, tiers])
    })

    it('was not shown when nobody waited', () => {
      expect(broken({ crowd: [...fallen, waiting(9_000, 0, master)] })).toEqual([tiers])
    })
  })
})

describe('the summary', () => {
  it('is kept only as a whole', () => {
    expect(summarize(kept)).toMatchObject({
      isKept: true,
      seed: 7,
      totalMs: 12_346,
      questions: { asked: 6, answered: 6, tokens: 36 },
      stream: { tokens: 6, handovers: [{ ...handover, gapMs: 251 }], isSame: true },
      waits: [
        { tier: 'master', questions: 1, meanMs: 560, longestMs: 560 },
        { tier: 'bronze', questions: 3, meanMs: 3_060, longestMs: 4_060 },
      ],
    })
    expect(summarize({ ...kept, hostile: { requests: 3, shutOutBy: [] } }).isKept).toBe(false)
  })

  it('marks each promise', () => {
    const marks = (facts: DemoFacts) => toLines(facts).flatMap((line) => /^[✓✗]/u.exec(line)?.[0] ?? [])
    expect(marks(kept)).toEqual(['✓', '✓', '✓', '✓'])
    expect(toLines(kept).at(-1)).toBe('every promise was kept')
    const facts = { ...kept, stream: question() }
    expect(marks(facts)).toEqual(['✗', '✓', '✓', '✓'])
    expect(toLines(facts).at(-1)).toBe('1 of 4 promises was BROKEN')
  })
})
