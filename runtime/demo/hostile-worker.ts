import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import DHT from 'hyperdht'
import { createActor } from 'xstate'
import type { ClientDesk, ClientWire } from '../../actors/peer/wire.ts'
import { createSwarm, parseNodeAddress } from '../../actors/swarm/index.ts'
import type { SwarmInput } from '../../machines/swarm/index.ts'
import type { ModelAd, PeerId, Prompt, Status, WorkerMessage } from '../../protocol/index.ts'
import { builtInModelId } from '../built-in-model.ts'
import type { HostileOrder } from './worker-order.ts'

const slots = 8
/** Milliseconds between two statuses, all of which say that it is idle. */
const statusEveryMs = 500
/** Milliseconds from its promise to what it does instead. */
const misdeedAfterMs = 40

type Misdeed = (prompt: Prompt) => WorkerMessage

/** Every one can be told from the wire. Wrong words in good order could not: nothing proves yet which model ran. */
const misdeeds: readonly Misdeed[] = [
  // Tokens out of order: the first six of the answer are missing.
  ({ requestId, resume }) => ({
    type: 'response',
    requestId,
    seq: (resume?.tokens.length ?? 0) + 6,
    tokens: [7, 8, 9],
    text: 'and so on',
  }),
  // Garbage: much more text than its one token can stand for.
  ({ requestId, resume }) => ({
    type: 'response',
    requestId,
    seq: resume?.tokens.length ?? 0,
    tokens: [7],
    text: '\u001B]0;owned\u0007'.repeat(1_000),
  }),
  // It took the question, and then it fails.
  ({ requestId }) => ({ type: 'inference_error', requestId, code: 'QM_INFERENCE_FAILED', message: 'no' }),
]

/**
 * A peer that speaks the protocol well enough to be believed: it proves the mesh secret, advertises the model by its
 * true hash, is always idle, admits every question at once and answers none.
 */
export async function startHostileWorker(
  { host, bootstrap, secret, modelHash }: HostileOrder,
  onAsked: (requests: number) => void,
): Promise<PeerId> {
  const model: ModelAd = { id: builtInModelId, hash: modelHash, contextTokens: 512, slots }
  let requests = 0
  const betray = async (wire: ClientWire, prompt: Prompt): Promise<void> => {
    const misdeed = misdeeds[requests++ % misdeeds.length]
    onAsked(requests)
    wire.send({
      type: 'queue-status',
      requestId: prompt.requestId,
      position: 0,
      etaMs: 1,
      promptTokens: 1,
    })
    await sleep(misdeedAfterMs)
    if (misdeed) wire.send(misdeed(prompt))
  }
  const clientDesk: ClientDesk = {
    opened: () => undefined,
    received: (wire, message) => {
      if (message.type === 'prompt') void betray(wire, message)
      return 'ok'
    },
    closed: () => undefined,
  }
  const seed = randomBytes(32)
  const swarm = createSwarm({
    settings: {
      seed,
      agent: 'hostile',
      roles: ['worker'],
      secret,
      bootstrap: [parseNodeAddress(bootstrap)],
      host,
      mdns: false,
    },
    ports: {
      clientDesk,
      workerDesk: { received: () => 'ok', closed: () => undefined },
      onWorkerWire: () => undefined,
      onHello: () => undefined,
      onStatus: () => undefined,
      onClosed: () => undefined,
      onDefect: () => undefined,
    },
  })
  const status: Status = {
    type: 'status',
    healthScore: 100,
    state: 'idle',
    accepting: true,
    queueLength: 0,
    queueCapacity: 64,
    slotsBusy: 0,
    slots,
    models: [model],
  }
  swarm.setAdvertisement({ models: [model] })
  swarm.broadcastStatus(status)
  setInterval(() => swarm.broadcastStatus(status), statusEveryMs)
  const actor = createActor(swarm.logic, { input: {} satisfies SwarmInput })
  const isOnline = new Promise<void>((resolve) => {
    actor.on('swarm.state', ({ state }) => {
      if (state === 'online') resolve()
    })
  })
  actor.start()
  await isOnline
  return DHT.keyPair(seed).publicKey.toString('hex')
}
