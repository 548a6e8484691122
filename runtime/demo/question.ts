import {
  AnswerError,
  type AnswerAttempt,
  type AnswerResult,
  type Handover,
} from '../../actors/request/answer.ts'
import type { AskOptions } from '../../actors/request/ask-options.ts'
import type { Tier } from '../../machines/scheduling/index.ts'
import type { ErrorCode, PeerId } from '../../protocol/index.ts'
import type { ClientName, DemoClient } from './mesh.ts'

export type Phase = 'searching' | 'sent' | 'waiting' | 'streaming' | 'answered' | 'failed'

/** What a question tells while it is under way. */
export interface QuestionNews {
  queued(question: DemoQuestion): void
  attemptFailed(question: DemoQuestion, attempt: AnswerAttempt): void
  tokens(question: DemoQuestion): void
  handover(question: DemoQuestion, handover: Handover): void
  ended(question: DemoQuestion): void
}

/** A question of the demo, from the asking to its end; times are milliseconds of this process's clock. */
export class DemoQuestion {
  /** Such as `bronze-1 #3`. */
  readonly name: string
  readonly tier: Tier
  readonly prompt: string
  readonly askedAtMs = performance.now()
  /** Settles when the question has ended in any way; never rejects. */
  readonly done: Promise<void>
  phase: Phase = 'searching'
  /** The worker that has it, or had it last. */
  workerId: PeerId | undefined
  /** When that worker was sent it. */
  sentAtMs = 0
  /** When that worker had said that it took it. */
  admittedAtMs: number | undefined
  firstTokenAtMs: number | undefined
  position = 0
  etaMs = 0
  /** What the reader was handed, chunk by chunk. */
  readonly tokens: number[] = []
  text = ''
  result: AnswerResult | undefined
  failure: { readonly code: ErrorCode; readonly message: string } | undefined
  /** Every worker tried, once it has ended. */
  attempts: readonly AnswerAttempt[] = []
  readonly client: ClientName

  constructor(client: DemoClient, name: string, prompt: string, options: AskOptions, news: QuestionNews) {
    this.name = name
    this.client = client.name
    this.tier = client.tier
    this.prompt = prompt
    this.done = this.#follow(client, options, news)
  }

  /** Whether others go first. */
  get isWaiting(): boolean {
    return this.phase === 'waiting' && this.position > 0
  }

  get hasEnded(): boolean {
    return this.phase === 'answered' || this.phase === 'failed'
  }

  async #follow({ node }: DemoClient, options: AskOptions, news: QuestionNews): Promise<void> {
    try {
      const answer = node.ask(this.prompt, { temperature: 0, ...options })
      answer.on('worker', ({ workerId }) => {
        this.phase = 'sent'
        this.workerId = workerId
        this.sentAtMs = performance.now()
        this.admittedAtMs = undefined
      })
      answer.on('queued', ({ position, etaMs }) => {
        if (this.phase === 'streaming') return
        this.phase = 'waiting'
        this.admittedAtMs ??= performance.now()
        this.position = position
        this.etaMs = etaMs
        news.queued(this)
      })
      answer.on('attemptFailed', (attempt) => {
        this.phase = 'searching'
        news.attemptFailed(this, attempt)
      })
      answer.on('handover', (handover) => {
        this.phase = 'streaming'
        news.handover(this, handover)
      })
      for await (const chunk of answer) {
        this.firstTokenAtMs ??= performance.now()
        this.phase = 'streaming'
        this.tokens.push(...chunk.tokens)
        this.text += chunk.text
        news.tokens(this)
      }
      this.result = await answer.result
      this.attempts = this.result.attempts
      this.phase = 'answered'
    } catch (error) {
      const code = error instanceof AnswerError ? error.code : 'QM_INTERNAL'
      if (error instanceof AnswerError) this.attempts = error.attempts
      this.failure = { code, message: error instanceof Error ? error.message : String(error) }
      this.phase = 'failed'
    }
    news.ended(this)
  }
}
