import type { DemoFacts, QuestionFacts } from '../../../runtime/demo/facts.ts'

const tokens = [1, 2, 3, 4, 5, 6]
const text = 'one two three'

export const question = (facts: Partial<QuestionFacts> = {}): QuestionFacts => ({
  client: 'bronze-1',
  tier: 'bronze',
  askedAtMs: 1_000,
  sentAtMs: 1_010,
  admittedAtMs: 1_020,
  firstTokenAtMs: 1_050,
  tokens,
  text,
  attempts: [{ worker: 'quick' }],
  answer: { text, completionTokens: tokens.length, queuedMs: 0, handovers: [] },
  ...facts,
})

/** Waits in the queue of `quick` for so long. */
export const waiting = (sentAtMs: number, queuedMs: number, facts: Partial<QuestionFacts> = {}) =>
  question({
    askedAtMs: sentAtMs - 10,
    sentAtMs,
    admittedAtMs: sentAtMs + 20,
    firstTokenAtMs: sentAtMs + queuedMs + 50,
    answer: { text, completionTokens: tokens.length, queuedMs, handovers: [] },
    ...facts,
  })

const master = { client: 'master', tier: 'master' } as const
const fallen = { worker: 'hostile', code: 'QM_WORKER_MISBEHAVED' } as const

export const handover = { from: 'quick', to: 'slow', afterTokens: 2, gapMs: 251.4 } as const

/** A demo in which all went well. */
export const kept: DemoFacts = {
  seed: 7,
  totalMs: 12_345.6,
  crowd: [
    waiting(1_000, 2_000, { attempts: [fallen, { worker: 'quick' }] }),
    waiting(1_000, 3_000, { attempts: [fallen, { worker: 'quick' }] }),
    waiting(1_000, 4_000, { attempts: [fallen, { worker: 'quick' }] }),
    waiting(1_400, 500, master),
  ],
  reference: question(),
  stream: question({
    attempts: [{ worker: 'quick', code: 'QM_WORKER_LOST' }, { worker: 'slow' }],
    answer: { text, completionTokens: tokens.length, queuedMs: 0, handovers: [handover] },
  }),
  hostile: { requests: 3, shutOutBy: ['bronze-1'] },
}
