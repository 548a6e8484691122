import { setTimeout as sleep } from 'node:timers/promises'
import { AnswerError, type Answer, type AnswerResult } from '../../actors/request/answer.ts'
import { decodeTiny } from '../support/tiny-gguf.ts'
import type { HostilePeer } from './hostile-peer.ts'
import { until, type ChaosMesh, type ChaosWorker, type Reference } from './mesh.ts'
import { watchStandStill } from './stand-still.ts'
import type { PlannedFault, PlannedStream, ProcessFault, RoundPlan } from './plan.ts'

/** Milliseconds after which an answer that has not ended counts as hanging. */
const hangMs = 90_000
/** Milliseconds in which everything is free again after the last answer. */
const tidyMs = 15_000
/** Milliseconds a reader waits for the fault; it may be meant for a worker that a hostile peer was chosen instead of. */
const waitMs = 2_000

export interface StreamReport {
  readonly outcome: 'whole' | 'error' | 'hung'
  readonly code?: string
  readonly tokens: number
  /** Every worker it was at: when, how many tokens it gave, why it was left. */
  readonly attempts: readonly string[]
  /** Milliseconds between the last token of one worker and the first of the next. */
  readonly gapsMs: readonly number[]
  /** Token for token the undisturbed answer; absent where nobody may expect it. */
  readonly isEqual?: boolean
}

export interface RoundReport {
  readonly plan: RoundPlan
  /** What broke a promise; empty when all is well. */
  readonly failures: readonly string[]
  readonly streams: readonly StreamReport[]
  /** Faults that really happened. */
  readonly happened: readonly string[]
  readonly ms: number
  /** Milliseconds that this process, and a worker to which nothing was done, stood still for want of a processor. */
  readonly stoodStillMs: { readonly client: number; readonly workers: number }
}

interface Reading {
  readonly planned: PlannedStream
  readonly reference: Reference
  readonly answer: Answer
  readonly tokens: number[]
  text: string
  result: AnswerResult | undefined
  error: unknown
  isOver: boolean
}

const stoodStillMs = watchStandStill()

/** Milliseconds that things took which no round is about. */
export const spent = { settling: 0, reference: 0, preparing: 0, tidying: 0 }

/** Plays one plan on a mesh, and says what did not hold. Leaves the mesh as it found it, but for workers that died. */
export async function playRound(mesh: ChaosMesh, plan: RoundPlan): Promise<RoundReport> {
  let at = performance.now()
  const spend = (on: keyof typeof spent): void => {
    spent[on] += performance.now() - at
    at = performance.now()
  }
  await mesh.settled()
  spend('settling')
  const references: Reference[] = []
  for (const stream of plan.streams) references.push(await mesh.reference(stream))
  spend('reference')
  const act = new Act(mesh, plan)
  try {
    await act.prepare()
    spend('preparing')
    stoodStillMs()
    const startedAt = performance.now()
    const readings = plan.streams.flatMap((planned, index) => {
      const reference = references[index]
      return reference ? [act.read(planned, index, reference)] : []
    })
    const isHung = await Promise.race([
      Promise.all(readings.map(({ done }) => done)).then(() => false),
      sleep(hangMs, true, { ref: false }),
    ])
    const endedAt = performance.now()
    const client = stoodStillMs()
    const ended = readings.map(({ reading }) => reading)
    const failures = ended.flatMap((reading, index) =>
      check(reading, plan, act.trouble < mesh.atLeast).map((failure) => `stream ${index}: ${failure}`),
    )
    if (isHung) for (const { answer } of ended) answer.cancel()
    at = performance.now()
    failures.push(...(await act.tidy()))
    spend('tidying')
    return {
      plan,
      failures,
      streams: ended.map((reading) => toReport(reading, plan)),
      happened: act.happened,
      ms: endedAt - startedAt,
      stoodStillMs: { client, workers: act.stoodStillMs },
    }
  } finally {
    mesh.onFired = undefined
  }
}

/** The acting half of a round: does what was planned when its moment comes, and undoes what can be undone. */
class Act {
  readonly happened: string[] = []
  /** Milliseconds that a worker stood still to which nothing was done. */
  stoodStillMs = 0
  readonly #mesh: ChaosMesh
  readonly #plan: RoundPlan
  readonly #armed = new Map<string, PlannedFault>()
  readonly #indexOf = new Map<string, number>()
  readonly #hit = new Map<ChaosWorker, Set<ProcessFault>>()
  readonly #pending = new Set<Promise<void>>()
  #hostile: HostilePeer | undefined
  #wakeReaders: () => void = () => {}
  readonly #fired = new Promise<void>((resolve) => {
    this.#wakeReaders = resolve
  })
  #isDeadly = false

  constructor(mesh: ChaosMesh, plan: RoundPlan) {
    this.#mesh = mesh
    this.#plan = plan
    mesh.onFired = (requestId, worker) => this.#onFired(requestId, worker)
  }

  /** Workers that something was done to. */
  get trouble(): number {
    return this.#isDeadly ? Infinity : this.#hit.size + (this.#hostile ? 1 : 0)
  }

  async prepare(): Promise<void> {
    const { hostile } = this.#plan
    if (!hostile) return
    const model = await this.#mesh.model()
    const peer = this.#mesh.hostile()
    if (!peer) return
    this.#hostile = peer
    peer.begin({ ...hostile, model, answerOf: (prompt) => this.#mesh.answerOf(prompt) })
    // A message on a connection that stands: it comes at once, or the peer has been thrown out meanwhile.
    await until('the hostile peer to be known', () => this.#mesh.isKnown(peer.id), 1_000).catch(() => {})
  }

  read(planned: PlannedStream, index: number, reference: Reference) {
    const { prompt, maxTokens } = planned
    const stop = this.#mesh.stopOf(planned)
    const answer = this.#mesh.client.client.asker.ask(prompt, {
      maxTokens,
      temperature: 0,
      resume: 'exact',
      ...(stop !== undefined && { stop: [stop] }),
    })
    this.#indexOf.set(answer.requestId, index)
    answer.on('worker', ({ workerId, attempt }) => this.#arm(answer.requestId, workerId, attempt))
    const reading: Reading = {
      planned,
      reference,
      answer,
      tokens: [],
      text: '',
      result: undefined,
      error: undefined,
      isOver: false,
    }
    return { reading, done: this.#readAll(reading, index) }
  }

  /** Takes everything back, and says what is still held. */
  async tidy(): Promise<string[]> {
    const failures: string[] = []
    await Promise.all(this.#pending)
    for (const worker of this.#mesh.workers) {
      worker.send({ type: 'disarm' })
      const kinds = this.#hit.get(worker)
      if (kinds?.has('drain')) worker.send({ type: 'resume' })
      // It would be of no more use, and a process that is stopped in order must have had the time for it.
      if (kinds?.has('network-lost') || kinds?.has('disk-full')) worker.kill()
      else if (kinds?.has('leave'))
        await expectSoon(failures, 'a worker that leaves ends', () => worker.isGone)
    }
    if (this.#hostile) {
      if (this.#hostile.hits > 0) {
        this.happened.push(`hostile: ${this.#plan.hostile?.deed ?? ''}`)
        await this.#mesh.expel(this.#hostile)
      } else this.#hostile.end()
    }
    const { asker, dispatcher } = this.#mesh.client.client
    await expectSoon(failures, 'the client has no open request', () => asker.open === 0)
    await expectSoon(failures, 'the client waits for no worker', () => dispatcher.size === 0)
    for (const worker of this.#mesh.workers) {
      await expectSoon(failures, `the slots of worker ${worker.id.slice(0, 8)} are free`, async () => {
        if (!worker.isUp || worker.isGone) return true
        const state = await Promise.race([worker.state(), worker.exited.then(() => undefined), sleep(500)])
        if (state && !this.#hit.has(worker))
          this.stoodStillMs = Math.max(this.stoodStillMs, state.stoodStillMs)
        return !state || (state.slotsBusy === 0 && state.waiting === 0)
      })
    }
    return failures
  }

  async #readAll(reading: Reading, index: number): Promise<void> {
    const { answer, planned } = reading
    const chunks = answer[Symbol.asyncIterator]()
    try {
      if (planned.waitsForFault) await Promise.race([this.#fired, sleep(waitMs, undefined, { ref: false })])
      for (;;) {
        const { done, value } = await chunks.next()
        if (done) break
        reading.tokens.push(...value.tokens)
        reading.text += value.text
        if (index === 0) this.#killAll(reading.tokens.length)
        if (planned.chunkMs > 0) await sleep(planned.chunkMs)
      }
      reading.result = await answer.result
    } catch (error) {
      reading.error = error
    }
    reading.isOver = true
  }

  #killAll(tokens: number): void {
    const { killAllAfter } = this.#plan
    if (killAllAfter === undefined || this.#isDeadly || tokens < killAllAfter) return
    this.#isDeadly = true
    this.happened.push('kill-all')
    for (const worker of this.#mesh.workers) worker.kill()
  }

  #arm(requestId: string, workerId: string, attempt: number): void {
    const stream = this.#indexOf.get(requestId)
    const fault = this.#plan.faults.find(
      (planned) => planned.stream === stream && planned.attempt === attempt,
    )
    const worker = this.#mesh.worker(workerId)
    if (!fault || !worker) return
    this.#armed.set(requestId, fault)
    const maxTokens = this.#plan.streams[fault.stream]?.maxTokens ?? 0
    const { at, kind } = fault
    if (at === 'prompt') {
      // At once: while the worker reads it.
      if (kind === 'kill') {
        this.#onFired(requestId, worker)
        return worker.kill()
      }
      return worker.send({ type: 'arm', requestId, kind, at })
    }
    const tokens = at === 'before-last' ? maxTokens - 1 : at === 'before-finish' ? 'finish' : at.tokens
    worker.send({ type: 'arm', requestId, kind, at: tokens })
  }

  #onFired(requestId: string, worker: ChaosWorker): void {
    const fault = this.#armed.get(requestId)
    if (!fault) {
      // Armed for an attempt that went on elsewhere, and back at this worker: what it did is not known here.
      this.#hit.set(worker, this.#hit.get(worker) ?? new Set())
      worker.kill()
      return
    }
    this.#armed.delete(requestId)
    const { at, kind, lastsMs } = fault
    this.#hit.set(worker, (this.#hit.get(worker) ?? new Set()).add(kind))
    this.happened.push(typeof at === 'string' ? `${kind} ${at}` : kind)
    if (kind === 'cut-by-client') this.#mesh.cut(worker.id)
    if (kind === 'freeze' || kind === 'freeze-kill') {
      this.#pending.add(
        sleep(lastsMs).then(() => {
          worker.child.kill(kind === 'freeze' ? 'SIGCONT' : 'SIGKILL')
        }),
      )
    }
    this.#wakeReaders()
  }
}

async function expectSoon(
  failures: string[],
  what: string,
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  await until(what, holds, tidyMs).catch((error: Error) => failures.push(error.message))
}

function check(reading: Reading, plan: RoundPlan, hasHelp: boolean): string[] {
  const { result, error, isOver } = reading
  if (!isOver) return [`no end within ${hangMs} ms`]
  if (result) return checkWhole(reading, result, plan)
  return checkError(reading, error, plan, hasHelp)
}

function checkWhole(
  { tokens, text, reference, planned }: Reading,
  { text: told, usage, attempts, finishReason }: AnswerResult,
  plan: RoundPlan,
): string[] {
  const failures: string[] = []
  const given = attempts.reduce((sum, attempt) => sum + attempt.tokens, 0)
  if (told !== text) failures.push('the text of the result is not what was read')
  if (usage.completionTokens !== tokens.length)
    failures.push(`${tokens.length} tokens were read, ${usage.completionTokens} counted`)
  if (given !== tokens.length) failures.push(`${tokens.length} tokens were read, the attempts gave ${given}`)
  const decoded = decodeTiny(tokens)
  const isText = planned.stopAt === undefined ? decoded === text : decoded.startsWith(text)
  if (!isText) failures.push(`the text is not that of the tokens: ${difference(decoded, text)}`)
  if (!isAlone(plan)) return failures
  if (tokens.join() !== reference.tokens.join())
    failures.push(`other tokens than undisturbed, from ${firstDifference(tokens, reference.tokens)} on`)
  if (text !== reference.text)
    failures.push(`another text than undisturbed: ${difference(reference.text, text)}`)
  // A hostile peer that has given all of it may say whatever it likes about why it ends.
  if (finishReason !== reference.finishReason && !plan.hostile)
    failures.push(`ended with ${finishReason}, undisturbed with ${reference.finishReason}`)
  return failures
}

function checkError(
  { tokens, text, reference }: Reading,
  error: unknown,
  plan: RoundPlan,
  hasHelp: boolean,
): string[] {
  if (!(error instanceof AnswerError)) return [`ended with ${String(error)}`]
  const failures: string[] = []
  const given = error.attempts.reduce((sum, attempt) => sum + attempt.tokens, 0)
  if (!error.code.startsWith('QM_')) failures.push(`ended with the code ${error.code}`)
  if (error.partial !== text) failures.push('the text in the error is not what was read')
  if (given !== tokens.length) failures.push(`${tokens.length} tokens were read, the attempts gave ${given}`)
  if (hasHelp) {
    failures.push(`failed with ${error.code} though workers were left: ${error.message}`)
  }
  if (isAlone(plan) && !reference.text.startsWith(text)) failures.push('what was read is no prefix')
  return failures
}

/** Streams that share a worker's batches may differ in a near tie: only one that runs alone is compared. */
const isAlone = ({ streams }: RoundPlan): boolean => streams.length === 1

function toReport(
  { result, error, isOver, tokens, text, reference }: Reading,
  plan: RoundPlan,
): StreamReport {
  return {
    outcome: result ? 'whole' : isOver ? 'error' : 'hung',
    ...(error instanceof AnswerError && { code: error.code }),
    tokens: tokens.length,
    attempts: (result?.attempts ?? (error instanceof AnswerError ? error.attempts : [])).map(
      ({ workerId, atMs, tokens, code }) =>
        `${Math.round(atMs)} ms ${workerId.slice(0, 6)} ${tokens} ${code ?? 'answered'}`,
    ),
    gapsMs: result?.handovers.map(({ gapMs }) => gapMs) ?? [],
    ...(result &&
      isAlone(plan) && {
        isEqual: text === reference.text && tokens.join() === reference.tokens.join(),
      }),
  }
}

function firstDifference(one: readonly unknown[], other: readonly unknown[]): number {
  const index = one.findIndex((value, at) => value !== other[at])
  return index === -1 ? Math.min(one.length, other.length) : index
}

function difference(expected: string, got: string): string {
  const at = firstDifference(Array.from(expected), Array.from(got))
  const around = (text: string): string =>
    JSON.stringify(
      Array.from(text)
        .slice(Math.max(0, at - 3), at + 8)
        .join(''),
    )
  return `at character ${at} ${around(got)} instead of ${around(expected)}`
}
