import { expect, test } from 'vitest'
import type { EngineHost } from '../../../actors/inference/engine.port.ts'
import type { ClientWire } from '../../../actors/peer/wire.ts'
import type { EarningsPort } from '../../../actors/scheduling/earnings.port.ts'
import { EffortGate } from '../../../actors/scheduling/effort-gate.ts'
import { Intake } from '../../../actors/scheduling/intake.ts'
import { entryOf, tiers, type Tier } from '../../../machines/scheduling/index.ts'
import { defaultSampling, type Prompt, type WorkerMessage } from '../../../protocol/index.ts'
import { effortNetwork as network, solveEffort } from '../../support/effort.ts'

const workerId = 'a'.repeat(64)
const clientId = 'c'.repeat(64)
const bits = 6

const prompt = (request: number, over: Partial<Prompt> = {}): Prompt => ({
  type: 'prompt',
  requestId: request.toString(16).padStart(32, '0'),
  modelId: 'tiny',
  prompt: 'hi',
  sampling: defaultSampling,
  maxTokens: 8,
  stop: [],
  ...over,
})
const evidence = { offer: 'AAAA', salt: '0'.repeat(32) }

interface RigOptions {
  readonly tier?: Tier
  readonly isEarned?: boolean
  /** What is to be found in an offer; absent: books that do not look. */
  readonly isGratis?: boolean
}

/** A worker that has asked for work for long, and what it did with a prompt. */
function createRig({ tier = 'bronze', isEarned = true, isGratis }: RigOptions = {}) {
  const clock = { ms: 0 }
  const did: string[] = []
  const gate = new EffortGate({ workerId, network, now: () => clock.ms, onChanged: () => {} })
  gate.ask(bits)
  clock.ms += 60_000
  const host: EngineHost = {
    model: {
      id: 'tiny',
      hash: 'd'.repeat(64),
      contextTokens: 512,
      slots: 1,
      backend: 'cpu',
      threads: 1,
      memoryMb: 1,
    },
    prepare: () => {
      did.push('tokens counted')
      return Promise.resolve({ promptTokens: 3 })
    },
    release: () => {},
    generate: () => ({ cancel: () => {}, acknowledge: () => {}, finished: new Promise(() => {}) }),
    lost: new Promise(() => {}),
    close: () => Promise.resolve(),
  }
  const earnings: EarningsPort = {
    begin: (_, { evidence: given }) => {
      if (!given || isGratis === undefined) return undefined
      did.push('offer read')
      return { isGratis, sent: () => {}, finished: () => '', ended: () => did.push('offer forgotten') }
    },
    acked: () => 'ok',
  }
  const intake = new Intake({
    hosts: new Map([['tiny', host]]),
    queue: { submit: () => did.push('queued'), cancel: () => {} },
    closedBecause: () => undefined,
    admit: () => ({ precedence: entryOf(tier), retryAfterMs: 0, isEarned }),
    effort: gate,
    earnings,
    stopSlot: () => {},
    now: () => clock.ms,
  })
  const sent: WorkerMessage[] = []
  const wire: ClientWire = { peerId: clientId, send: (message) => sent.push(message) }
  const solve = (request: number): string => {
    const { requestId } = prompt(request)
    return solveEffort({ network, workerId, clientId, requestId, seed: gate.asked?.seed ?? '' }, bits)
  }
  return {
    did,
    gate,
    solve,
    say: (message: Prompt) => intake.received(wire, message),
    cancel: (request: number) =>
      intake.received(wire, { type: 'cancel', requestId: prompt(request).requestId }),
    error: () => sent.findLast((message) => message.type === 'inference_error'),
  }
}

test('a prompt that was not worked for is turned down before anything costly, and told what is asked', () => {
  const rig = createRig({ isGratis: false })
  expect(rig.say(prompt(1, { evidence }))).toBe('refused')
  expect(rig.did).toEqual([])
  expect(rig.error()).toMatchObject({
    requestId: prompt(1).requestId,
    code: 'QM_EFFORT_REQUIRED',
    effort: rig.gate.asked,
  })
})

test('one that was is taken, and not twice, not even when the first is over', () => {
  const rig = createRig()
  const worked = prompt(1, { effortNonce: rig.solve(1) })
  expect(rig.say(worked)).toBe('ok')
  expect(rig.did).toEqual(['tokens counted'])
  expect(rig.cancel(1)).toBe('ok')
  expect(rig.say(worked)).toBe('violation')
  expect(rig.error()).toMatchObject({ code: 'QM_EFFORT_REQUIRED' })
  expect(rig.say(prompt(2, { effortNonce: rig.solve(1) }))).toBe('refused')
  expect(rig.say(prompt(2, { effortNonce: rig.solve(2) }))).toBe('ok')
})

test.each(tiers.map((tier) => [tier, ['master', 'diamond', 'platinum', 'gold'].includes(tier)] as const))(
  'of a client of tier %s without work: taken is %s',
  (tier, isExempt) => {
    const paying = createRig({ tier, isGratis: false })
    expect(paying.say(prompt(1, { evidence }))).toBe(isExempt ? 'ok' : 'refused')
    const given = createRig({ tier, isEarned: false })
    expect(given.say(prompt(1))).toBe(isExempt ? 'ok' : 'refused')
  },
)

test('an earned tier spares nobody who promises nothing', () => {
  const silent = createRig({ tier: 'gold' })
  expect(silent.say(prompt(1))).toBe('refused')
  const broke = createRig({ tier: 'gold', isGratis: true })
  expect(broke.say(prompt(1, { evidence }))).toBe('refused')
  expect(broke.did).toEqual(['offer read', 'offer forgotten'])
  expect(broke.say(prompt(2, { evidence, effortNonce: broke.solve(2) }))).toBe('ok')
})
