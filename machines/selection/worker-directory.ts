import type { ErrorCode, HealthState, ModelAd, PeerId, Status } from '../../protocol/index.ts'
import {
  isMeant,
  rejection,
  type Candidate,
  type LoadClaim,
  type Needs,
  type Rejection,
} from './candidate.ts'
import { LruMap } from './lru-map.ts'
import { isKind } from './model-kind.ts'
import { knowsTools } from './tool-models.ts'
import { select, type Selection } from './select.ts'
import { afterAnswer, afterFirstToken, unknownSpeed, type Speed, type SpeedClaim } from './speed.ts'
import {
  afterCancel,
  afterFailure,
  afterStart,
  afterSuccess,
  barrierEndMs,
  freshStanding,
  judge,
  type Standing,
} from './standing.ts'
import { afterTurn, noTurns, type Turns } from './turns.ts'

/** What a worker said when it connected. */
export interface WorkerHello {
  readonly models: readonly ModelAd[]
  readonly protocol: number
  /** The node's own worker. */
  readonly local: boolean
  /** How fast it says it is. */
  readonly claim?: SpeedClaim | undefined
}

export interface WorkerQuery extends Needs {
  readonly exclude: ReadonlySet<PeerId>
  /** Names a conversation: its next request rather goes where the last one went. */
  readonly affinityKey?: string | undefined
}

/** `retryAfterMs`: when the first worker that is only barred for a time is free again; undefined without one. */
export type WorkerChoice =
  | Extract<Selection, { readonly workerId: PeerId }>
  | (Extract<Selection, { readonly workerId: null }> & { readonly retryAfterMs: number | undefined })

/** A worker as shown to people. */
export interface WorkerView extends LoadClaim {
  readonly workerId: PeerId
  readonly local: boolean
  readonly models: readonly ModelAd[]
  readonly state: HealthState
  /** Why it gets no request now, whatever the model. */
  readonly barred: Rejection | undefined
  readonly inFlight: number
  /** Answers this client got from it. */
  readonly answers: number
  /** Milliseconds to the first token of an ordinary prompt; undefined before the first answer. */
  readonly firstTokenMs: number | undefined
  readonly tokensPerSecond: number | undefined
  readonly failuresInRow: number
}

export interface DirectoryOptions {
  /** Workers that left and are remembered. */
  readonly standingsMax?: number
  /** Conversations whose worker is remembered. */
  readonly affinitiesMax?: number
}

interface Memory {
  readonly standing: Standing
  readonly speed: Speed
  readonly claim: SpeedClaim | undefined
  readonly turns: Turns
  /** Still open when it left; leaving does not make room for as many again. */
  readonly inFlight: number
}

/** Until the first status: nothing is known, so nothing is promised. */
const noStatus: LoadClaim = {
  healthScore: 50,
  state: 'moderate',
  accepting: true,
  queueLength: 0,
  queueCapacity: 1,
  slotsBusy: 0,
  slots: 1,
}

/**
 * Every worker this client knows: what they say, and what they did. Connected workers are as many as the swarm lets in;
 * of those that left, the standing is remembered, so that reconnecting does not wash a failing worker clean.
 */
export class WorkerDirectory {
  /** Where each worker stands in `#candidates`. */
  readonly #places = new Map<PeerId, number>()
  readonly #memories: LruMap<PeerId, Memory>
  readonly #claims = new Map<PeerId, SpeedClaim>()
  readonly #affinities: LruMap<string, PeerId>
  #candidates: Candidate[] = []
  /** A trace holds the array: copy it before the next change. */
  #isShared = false

  constructor({ standingsMax = 4_096, affinitiesMax = 4_096 }: DirectoryOptions = {}) {
    this.#memories = new LruMap(standingsMax)
    this.#affinities = new LruMap(affinitiesMax)
  }

  get size(): number {
    return this.#candidates.length
  }

  /** A worker connected, or said hello again. */
  hello(workerId: PeerId, { models, protocol, local, claim }: WorkerHello, _nowMs: number): void {
    const known: Pick<Memory, 'standing' | 'speed' | 'inFlight' | 'turns'> | undefined =
      this.#get(workerId) ?? this.#memories.get(workerId)
    this.#memories.delete(workerId)
    if (claim !== undefined) this.#claims.set(workerId, claim)
    const load = { ...noStatus, slots: models.reduce((sum, { slots }) => sum + slots, 0) }
    this.#set({
      workerId,
      local,
      protocol,
      models,
      load,
      inFlight: known?.inFlight ?? 0,
      unreported: known?.inFlight ?? 0,
      turns: known?.turns ?? noTurns,
      standing: known?.standing ?? freshStanding,
      speed: known?.speed ?? unknownSpeed(claim),
    })
  }

  status(workerId: PeerId, status: Status, _nowMs: number): void {
    const worker = this.#get(workerId)
    if (worker === undefined) return
    const { models, healthScore, state, accepting, queueLength, queueCapacity, slotsBusy, slots } = status
    const load = {
      healthScore,
      state,
      accepting,
      queueLength,
      queueCapacity,
      slotsBusy,
      slots,
      ...(status.effort && { effortBits: status.effort.bits }),
    }
    // It may have counted ours, but no more than it says it has: an idle face hides nothing that we gave it.
    const unreported = Math.max(0, worker.inFlight - slotsBusy - queueLength)
    this.#set({ ...worker, models, load, unreported })
  }

  /** It asks for other work than it said last: counts until its next status. */
  insisted(workerId: PeerId, effortBits: number): void {
    const worker = this.#get(workerId)
    if (worker !== undefined) this.#set({ ...worker, load: { ...worker.load, effortBits } })
  }

  remove(workerId: PeerId, _nowMs: number): void {
    const worker = this.#get(workerId)
    if (worker === undefined) return
    this.#drop(workerId)
    const { standing, speed, inFlight, turns } = worker
    const claim = this.#claims.get(workerId)
    this.#memories.set(workerId, { standing, speed, claim, inFlight, turns })
    this.#claims.delete(workerId)
  }

  /** A request was sent there. Each one ends in exactly one of `finished`, `failed` and `cancelled`. */
  started(workerId: PeerId, nowMs: number): void {
    const worker = this.#get(workerId)
    if (worker === undefined) return
    this.#set({
      ...worker,
      inFlight: worker.inFlight + 1,
      unreported: worker.unreported + 1,
      turns: afterTurn(worker.turns, nowMs),
      standing: afterStart(worker.standing, nowMs),
    })
  }

  /** @param sample tokens of the prompt, and milliseconds from sending it to the first token. */
  firstToken(
    workerId: PeerId,
    sample: { readonly promptTokens: number; readonly ms: number },
    nowMs: number,
  ): void {
    this.#learn(workerId, ({ standing, speed }, claim) => ({
      standing,
      speed: afterFirstToken(speed, sample, nowMs, claim),
    }))
  }

  /** @param sample tokens of the answer, and milliseconds from its first to its last. */
  finished(workerId: PeerId, sample: { readonly tokens: number; readonly ms: number }, nowMs: number): void {
    this.#close(workerId)
    this.#learn(workerId, ({ standing, speed }, claim) => ({
      standing: afterSuccess(standing),
      speed: afterAnswer(speed, sample, nowMs, claim),
    }))
  }

  /** A request ended there with an error; whether that is held against the worker is up to the code. */
  failed(workerId: PeerId, code: ErrorCode, nowMs: number, retryAfterMs = 0): void {
    this.#close(workerId)
    const isOdd = judge(code) === 'verdict' && this.#isOdd(workerId)
    this.#learn(workerId, ({ standing, speed }) => ({
      standing: afterFailure(standing, code, nowMs, { retryAfterMs, isOdd }),
      speed,
    }))
  }

  /** The client gave a request up. */
  cancelled(workerId: PeerId): void {
    this.#close(workerId)
    this.#learn(workerId, ({ standing, speed }) => ({ standing: afterCancel(standing), speed }))
  }

  /** Chooses a worker. The caller then calls `started` if it really goes there. */
  choose(query: WorkerQuery, seed: number, nowMs: number): WorkerChoice {
    const { affinityKey, exclude, ...needs } = query
    const affinityWorkerId = affinityKey === undefined ? undefined : this.#affinities.get(affinityKey)
    this.#isShared = true
    const selection = select(
      this.#candidates,
      { ...needs, exclude: Array.from(exclude), ...(affinityWorkerId !== undefined && { affinityWorkerId }) },
      seed,
      nowMs,
    )
    if (selection.workerId === null) return { ...selection, retryAfterMs: this.#retryAfterMs(exclude, nowMs) }
    if (affinityKey !== undefined) this.#affinities.set(affinityKey, selection.workerId)
    return selection
  }

  /**
   * The model that was meant, where all known workers that hold it hold one of another kind, or one that cannot be offered
   * functions. Undefined where no model is named: then none was meant.
   */
  misfit(needs: Needs): ModelAd | undefined {
    if (needs.modelId === undefined && needs.modelHash === undefined) return undefined
    const meant = this.#candidates.flatMap(({ models }) => models.filter((model) => isMeant(model, needs)))
    const ofKind = meant.filter((model) => isKind(model, needs))
    return ofKind.some((model) => knowsTools(model, needs)) ? undefined : (ofKind[0] ?? meant[0])
  }

  list(nowMs: number): WorkerView[] {
    return this.#candidates.map((worker) => ({
      workerId: worker.workerId,
      local: worker.local,
      models: worker.models,
      ...worker.load,
      barred: rejection(worker, nowMs),
      inFlight: worker.inFlight,
      answers: worker.speed.answers,
      firstTokenMs: worker.speed.firstTokenMs,
      tokensPerSecond: worker.speed.tokenMs ? 1_000 / worker.speed.tokenMs : undefined,
      failuresInRow: worker.standing.failuresInRow,
    }))
  }

  #get(workerId: PeerId): Candidate | undefined {
    const place = this.#places.get(workerId)
    return place === undefined ? undefined : this.#candidates[place]
  }

  #set(worker: Candidate): void {
    this.#unshare()
    const place = this.#places.get(worker.workerId) ?? this.#candidates.length
    this.#places.set(worker.workerId, place)
    this.#candidates[place] = worker
  }

  /** The last one takes the place of the one that leaves. */
  #drop(workerId: PeerId): void {
    this.#unshare()
    const place = this.#places.get(workerId)
    const last = this.#candidates.pop()
    this.#places.delete(workerId)
    if (place === undefined || last === undefined || last.workerId === workerId) return
    this.#candidates[place] = last
    this.#places.set(last.workerId, place)
  }

  #unshare(): void {
    if (!this.#isShared) return
    this.#candidates = this.#candidates.slice()
    this.#isShared = false
  }

  #close(workerId: PeerId): void {
    const worker = this.#get(workerId)
    if (worker === undefined) {
      const memory = this.#memories.get(workerId)
      if (memory) this.#memories.set(workerId, { ...memory, inFlight: Math.max(0, memory.inFlight - 1) })
      return
    }
    const inFlight = Math.max(0, worker.inFlight - 1)
    this.#set({ ...worker, inFlight, unreported: Math.min(worker.unreported, inFlight) })
  }

  #learn(
    workerId: PeerId,
    next: (
      known: Pick<Memory, 'standing' | 'speed'>,
      claim?: SpeedClaim,
    ) => Pick<Memory, 'standing' | 'speed'>,
  ): void {
    const worker = this.#get(workerId)
    if (worker !== undefined) {
      this.#set({ ...worker, ...next(worker, this.#claims.get(workerId)) })
      return
    }
    // Bad news often comes after the connection closed; it is remembered all the same.
    const memory = this.#memories.get(workerId)
    const claim = memory?.claim
    const known = memory ?? { standing: freshStanding, speed: unknownSpeed() }
    const { inFlight = 0, turns = noTurns } = memory ?? {}
    this.#memories.set(workerId, { ...next(known, claim), claim, inFlight, turns })
  }

  /** Whether most others, by the last that each of them said, answer what this worker blames on the client. */
  #isOdd(workerId: PeerId): boolean {
    let answering = 0
    let blaming = 0
    for (const { workerId: other, standing, speed } of this.#candidates) {
      if (other === workerId) continue
      if (standing.verdictsInRow > 0) blaming++
      else if (speed.answers > 0) answering++
    }
    return answering > blaming
  }

  #retryAfterMs(exclude: ReadonlySet<PeerId>, nowMs: number): number | undefined {
    let earliestMs = Infinity
    for (const worker of this.#candidates) {
      if (exclude.has(worker.workerId)) continue
      const endMs = barrierEndMs(worker.standing)
      if (endMs > nowMs) earliestMs = Math.min(earliestMs, endMs)
    }
    return earliestMs === Infinity ? undefined : earliestMs - nowMs
  }
}
