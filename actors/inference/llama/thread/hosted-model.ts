import type { MessagePort } from 'node:worker_threads'
import type { LlamaGrammar, LlamaGrammarEvaluationState, Token } from 'node-llama-cpp'
import { QMeshError, toQMeshError } from '../../../../protocol/index.ts'
import type { GenerateRequest } from '../../engine.port.ts'
import { GenerationControl } from '../generation-control.ts'
import type { FromThread, GenerateTask, LoadTask, TaskAnswer, ToThread } from '../thread-messages.ts'
import type { VitalSigns } from '../vital-signs.ts'
import { AnswerText } from './answer-text.ts'
import { CallGate } from './call-gate.ts'
import { GrammarCache } from './grammar-cache.ts'
import type { Hosted } from './hosted.ts'
import { generate, jsonEnd, toContext, type Prepared, type Taken } from './generate.ts'
import { toCallTokens, toGatePorts, toGrammarState } from './grammar-state.ts'
import type { Loaded } from './loaded.ts'
import { Outbox } from './outbox.ts'
import { toResumeMode, toResumeTokens } from './resume.ts'

/** A request before its slot starts: which way an answer is taken up depends on what runs beside it by then. */
type Waiting = Omit<Prepared, 'taken'> & { readonly taken: Omit<Taken, 'mode'> | undefined }

/**
 * One loaded model and the requests on it, in its own thread. Calls flow in as tasks, tokens flow out through the
 * outbox; nothing here is shared with another host.
 */
export class HostedModel implements Hosted {
  readonly #loaded: Loaded
  readonly #port: MessagePort
  readonly #outbox: Outbox
  readonly #vitals: VitalSigns
  readonly #prepared = new Map<string, Waiting>()
  readonly #grammars: GrammarCache
  readonly #pieces = new Map<number, string>()
  readonly #callPieces = new Map<number, string>()
  readonly #sleepers = new Map<number, () => void>()
  readonly #running = new Map<GenerationControl, Promise<void>>()
  /** Ends when no grammar is being moved on. */
  #moving: Promise<unknown> = Promise.resolve()
  #isQuiet = false
  /** Milliseconds per token that answers took lately. */
  #tokenMs: number | undefined

  constructor(loaded: Loaded, { port }: LoadTask, vitals: VitalSigns) {
    this.#loaded = loaded
    this.#port = port
    this.#outbox = new Outbox(port)
    this.#vitals = vitals
    this.#grammars = new GrammarCache(loaded, vitals)
    port.on('message', ({ lane }: ToThread) => this.#sleepers.get(lane)?.())
  }

  async prepare(request: GenerateRequest): Promise<TaskAnswer> {
    const { prompts, facts } = this.#loaded
    if (request.embed) throw new QMeshError('QM_MODEL_KIND', `"${facts.id}" makes no embeddings`)
    const exceeded = (tokens: string): QMeshError =>
      new QMeshError(
        'QM_CONTEXT_EXCEEDED',
        `the prompt has ${tokens} tokens and asks for ${request.maxTokens} more, ` +
          `the context of "${facts.id}" holds ${facts.contextTokens} together`,
      )
    const texts = toTexts(request)
    // Twice, because tokens may join where the counted pieces meet.
    if (prompts.areBeyond(texts, 2 * facts.contextTokens)) throw exceeded(`more than ${facts.contextTokens}`)
    const prompt = request.messages
      ? prompts.encodeChat(request.messages, request.tools)
      : prompts.encodeText(request.prompt ?? '')
    if (prompt.length === 0) throw new QMeshError('QM_REQUEST_INVALID', 'the prompt has no tokens')
    if (prompt.length + request.maxTokens > facts.contextTokens) throw exceeded(String(prompt.length))
    const grammar = await this.#grammars.of(request)
    this.#throwIfClosed()
    this.#prepared.set(request.jobId, await this.#toPrepared(request, prompt, grammar))
    return { ok: true, promptTokens: prompt.length }
  }

  async #toPrepared(
    request: GenerateRequest,
    prompt: readonly Token[],
    grammar?: LlamaGrammar,
  ): Promise<Waiting> {
    const { model, facts, vocabularySize } = this.#loaded
    const { resume, tools, toolChoice = 'auto' } = request
    const tokens = resume ? toResumeTokens(resume, model, vocabularySize, this.#vitals) : []
    const gate =
      tools && facts.tools && grammar
        ? new CallGate(facts.tools, toolChoice !== 'auto', toGatePorts(this.#loaded, grammar, this.#vitals))
        : undefined
    const text = this.#toAnswerText(request, gate)
    const taken = resume && { ...text.takeUp(resume), tokens }
    if (gate && grammar) await this.#goLive(gate, grammar)
    return {
      request,
      prompt,
      text,
      taken,
      grammar: grammar && !gate ? await this.#toGrammarState(grammar, tokens) : undefined,
      gate,
    }
  }

  #toAnswerText({ tools, jsonSchema, stop }: GenerateRequest, gate: CallGate | undefined): AnswerText {
    const { decoder, callDecoder } = this.#loaded
    const stops = jsonSchema === undefined ? stop : [...stop, jsonEnd]
    return tools
      ? new AnswerText(callDecoder, this.#callPieces, stops, gate)
      : new AnswerText(decoder, this.#pieces, stops)
  }

  /** Moves the grammar through the call that another worker began. One that does not fit it is text. */
  async #goLive(gate: CallGate, grammar: LlamaGrammar): Promise<void> {
    const { begun } = gate
    if (!begun) {
      gate.goLive(undefined)
      return
    }
    const tokens = [...toCallTokens(this.#loaded, begun.text, this.#vitals), ...begun.tokens]
    const state = await this.#toGrammarState(grammar, tokens).catch(() => undefined)
    this.#throwIfClosed()
    gate.goLive(state)
  }

  /** One after the other: of several at once each would take its part of every turn from the streams. */
  #toGrammarState(grammar: LlamaGrammar, tokens: readonly number[]): Promise<LlamaGrammarEvaluationState> {
    const move = (): Promise<LlamaGrammarEvaluationState> => {
      this.#throwIfClosed()
      return toGrammarState(this.#loaded, grammar, tokens, this.#vitals, () => this.#throwIfClosed())
    }
    const moved = this.#moving.then(move)
    this.#moving = moved.catch(() => undefined)
    return moved
  }

  /** What native code holds may be gone. */
  #throwIfClosed(): void {
    if (this.#isQuiet) throw new QMeshError('QM_CANCELLED')
  }

  release(jobId: string): TaskAnswer {
    this.#prepared.delete(jobId)
    return { ok: true }
  }

  async generate({ jobId, lane, control: words }: GenerateTask): Promise<TaskAnswer> {
    const control = new GenerationControl(words)
    const run = this.#run(jobId, lane, control)
    this.#running.set(control, run)
    await run
    this.#running.delete(control)
    return { ok: true }
  }

  /** Cancels what runs and waits until nothing is in native code any more. */
  async quiet(): Promise<void> {
    this.#isQuiet = true
    for (const control of this.#running.keys()) control.cancel()
    for (const wake of this.#sleepers.values()) wake()
    await Promise.all(this.#running.values())
  }

  /** Quiet, then frees the model. */
  async close(): Promise<TaskAnswer> {
    await this.quiet()
    await this.#vitals.native(() => this.#loaded.close())
    this.#port.close()
    return { ok: true }
  }

  async #run(jobId: string, lane: number, control: GenerationControl): Promise<void> {
    const { model, pool } = this.#loaded
    const waiting = this.#prepared.get(jobId)
    const prepared = waiting && this.#toStarting(waiting)
    this.#prepared.delete(jobId)
    try {
      if (!prepared) throw new QMeshError('QM_INTERNAL', `job "${jobId}" was not prepared on this host`)
      const lease = await this.#vitals.native(() => pool.take(toContext(prepared)))
      if (!lease) throw new QMeshError('QM_INTERNAL', `no free slot for job "${jobId}"`)
      try {
        const { result, lastText, tokenMs } = await generate({
          id: lane,
          prepared,
          lease,
          model,
          control,
          outbox: this.#outbox,
          vitals: this.#vitals,
          sleep: () => new Promise((resolve) => this.#sleepers.set(lane, resolve)),
        })
        lease.release()
        this.#learnSpeed(tokenMs)
        this.#outbox.end(lane, lastText, { type: 'finished', lane, result })
      } catch (error) {
        lease.release()
        throw error
      }
    } catch (error) {
      const { code, message } = toQMeshError(error, 'QM_INFERENCE_FAILED')
      this.#outbox.end(lane, '', { type: 'failed', lane, failure: { code, message } } satisfies FromThread)
    } finally {
      this.#sleepers.delete(lane)
    }
  }

  #toStarting({ taken, ...rest }: Waiting): Prepared {
    const { resume } = rest.request
    if (!taken || !resume) return { ...rest, taken: undefined }
    const busyLanes = [...this.#running.keys()].filter(({ isPaused }) => !isPaused).length
    return { ...rest, taken: { ...taken, mode: toResumeMode(resume, this.#tokenMs, busyLanes) } }
  }

  /** Over the latest ten answers or so. */
  #learnSpeed(tokenMs: number | undefined): void {
    if (tokenMs === undefined) return
    this.#tokenMs = this.#tokenMs === undefined ? tokenMs : this.#tokenMs + (tokenMs - this.#tokenMs) / 10
  }
}

/** What people wrote of a request, for counting. */
const toTexts = ({ messages, prompt = '', tools = [] }: GenerateRequest): string[] => [
  ...(messages?.flatMap(({ content, toolCalls = [] }) => [
    content,
    ...toolCalls.map((call) => call.arguments),
  ]) ?? [prompt]),
  ...tools.map(({ description = '', parameters = '' }) => description + parameters),
]
