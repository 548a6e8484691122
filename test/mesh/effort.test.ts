import { randomBytes } from 'node:crypto'
import DHT from 'hyperdht'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import {
  type Effort,
  encodeFrame,
  inferenceNetwork,
  type InferenceMessage,
  parseInferenceMessage,
  toSecretProof,
  toTopic,
} from '../../protocol/index.ts'
import type { QMeshClient } from '../../runtime/index.ts'
import { solveEffort } from '../support/effort.ts'
import { samples } from '../support/messages.ts'
import { connectRaw, type RawPeer } from '../support/raw-peer.ts'
import { createTestMesh, type TestMesh } from './support/mesh.ts'

/** As in any mesh, but in a tenth of a second where others take five. */
const effort = { effortHoldMs: 100, effortBitsMax: 12 } as const

interface Stranger extends RawPeer {
  say(message: InferenceMessage): void
  /** What came of one kind. */
  heard<Type extends InferenceMessage['type']>(type: Type): Extract<InferenceMessage, { type: Type }>[]
}

/** A peer that does as it likes, and nothing of its own accord. */
async function meet(mesh: TestMesh, id: string): Promise<Stranger> {
  const bootstrap = mesh.bootstrap.map((address) => {
    const [host = '', port] = address.split(':')
    return { host, port: Number(port) }
  })
  const peer = await connectRaw(bootstrap, id, { dht: new DHT({ bootstrap, host: '127.0.0.1' }) })
  onTestFinished(() => peer.stop())
  const say = (message: InferenceMessage): void => peer.write(encodeFrame(message))
  const proof = toSecretProof(mesh.secret, peer.stream.handshakeHash, peer.stream.publicKey)
  say({ ...samples.hello, roles: ['client'], models: [], proof })
  return {
    ...peer,
    say,
    heard: <Type extends InferenceMessage['type']>(type: Type) =>
      peer.frames.flatMap((frame) => {
        const parsed = frame.ok ? parseInferenceMessage(frame.value) : undefined
        return parsed?.kind === 'message' && parsed.message.type === type
          ? [parsed.message as Extract<InferenceMessage, { type: Type }>]
          : []
      }),
  }
}

const toPrompt = (over: Partial<typeof samples.prompt> & { effortNonce?: string } = {}) => ({
  ...samples.prompt,
  requestId: randomBytes(16).toString('hex'),
  maxTokens: 400,
  sampling: { ...samples.prompt.sampling, temperature: 0 },
  ...over,
})

const workerAsSeenBy = (client: QMeshClient) => client.workers()[0]

describe('a flood', () => {
  it('fills the queue, has to pay from then on, and honest prompts still come through', async () => {
    const mesh = await createTestMesh()
    const worker = await mesh.worker({ models: [mesh.model({ slots: 1 })], queueCapacity: 5, effort })
    const honest = await mesh.client()
    await vi.waitFor(() => expect(workerAsSeenBy(honest)?.models).toHaveLength(1), 10_000)
    const flooder = await meet(mesh, worker.id)
    const errorsOf = (requestId: string) =>
      flooder.heard('inference_error').flatMap((error) => (error.requestId === requestId ? error.code : []))
    const codes = () => flooder.heard('inference_error').map(({ code }) => code)

    // Nobody reads what the first one gets: it holds the slot, and the others wait.
    const flood = Array.from({ length: 6 }, () => toPrompt())
    for (const prompt of flood) flooder.say(prompt)
    await vi.waitFor(() => expect(worker.status().queue).toMatchObject({ length: 5, slotsBusy: 1 }), 10_000)
    await vi.waitFor(() => expect(worker.status().queue.effortBits).toBe(effort.effortBitsMax), 10_000)
    // Its client hears of it within a second, and shows it.
    await vi.waitFor(() => expect(workerAsSeenBy(honest)?.effortBits).toBe(effort.effortBitsMax), 10_000)

    // What was enough before is not any more, once the seconds are over in which it still is.
    await vi.waitFor(
      () => {
        flooder.say(toPrompt())
        expect(codes()).toContain('QM_EFFORT_REQUIRED')
      },
      { timeout: 15_000, interval: 250 },
    )
    const refusal = flooder.heard('inference_error').findLast(({ code }) => code === 'QM_EFFORT_REQUIRED')
    expect(refusal?.effort?.bits).toBe(effort.effortBitsMax)

    // One place is free, and the queue still too full for the effort to fall.
    const [, , , , fifth, last] = flood
    for (const gone of [fifth, last]) if (gone) flooder.say({ type: 'cancel', requestId: gone.requestId })
    await vi.waitFor(() => expect(worker.status().queue.length).toBe(3), 10_000)
    const unpaid = toPrompt()
    flooder.say(unpaid)
    const answer = honest.ask('an honest question', { maxTokens: 4 })
    await new Promise<void>((resolve) => {
      answer.on('queued', () => resolve())
    })
    expect(honest.why(answer.requestId).attempts).toMatchObject([
      {
        effort: { bits: effort.effortBitsMax, ms: expect.any(Number) },
        choice: { reasons: [{ terms: { effortBits: effort.effortBitsMax } }] },
      },
    ])
    await vi.waitFor(() => expect(errorsOf(unpaid.requestId)).toEqual(['QM_EFFORT_REQUIRED']), 10_000)

    // Who floods and works is let in, once for each piece of work.
    const network = toTopic({ network: inferenceNetwork, secret: mesh.secret })
    const { seed = '', bits = 0 }: Partial<Effort> = flooder.heard('status').at(-1)?.effort ?? {}
    const paid = toPrompt()
    const { requestId } = paid
    const task = { network, workerId: worker.id, clientId: flooder.id, requestId, seed }
    const effortNonce = solveEffort(task, bits)
    flooder.say({ ...paid, effortNonce })
    await vi.waitFor(
      () => expect(flooder.heard('queue-status').some((one) => one.requestId === requestId)).toBe(true),
      10_000,
    )
    flooder.say({ type: 'cancel', requestId })
    flooder.say({ ...paid, effortNonce })
    await vi.waitFor(() => expect(errorsOf(requestId)).toEqual(['QM_EFFORT_REQUIRED']), 10_000)

    // The flood goes: the honest prompt is served, and nobody is asked for anything any more.
    await flooder.stop()
    expect((await answer.result).usage.completionTokens).toBeGreaterThan(0)
    await vi.waitFor(() => expect(worker.status().queue.effortBits).toBeUndefined(), 10_000)
    await vi.waitFor(() => expect(workerAsSeenBy(honest)?.effortBits).toBeUndefined(), 10_000)
  })
})
