import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import DHT from 'hyperdht'
import createTestnet from 'hyperdht/testnet.js'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createBootstrap, type NodeAddress } from '../../actors/swarm/index.ts'
import {
  type ClientMessage,
  encodeFrame,
  inferenceNetwork,
  limits,
  type Status,
  toTopic,
} from '../../protocol/index.ts'
import { modelAd, samples } from '../support/messages.ts'
import { connectRaw, type RawPeer } from '../support/raw-peer.ts'
import { startSwarm, type SwarmRig } from '../support/swarm-rig.ts'

const status: Status = samples.status
let cleanups: (() => Promise<unknown>)[] = []
let bootstrap: readonly NodeAddress[] = []

beforeEach(async () => {
  const testnet = await createTestnet(3)
  cleanups.push(() => testnet.destroy())
  bootstrap = testnet.bootstrap
})

afterEach(async () => {
  for (const cleanup of cleanups.toReversed()) await cleanup()
  cleanups = []
})

function start(...[settings, options]: Parameters<typeof startSwarm>): SwarmRig {
  const rig = startSwarm(settings, options)
  cleanups.push(() => rig.stop())
  return rig
}

const startWorker = (settings: Partial<Parameters<typeof startSwarm>[0]> = {}, options = {}): SwarmRig =>
  start({ roles: ['worker', 'client'], bootstrap, ...settings }, options)
const startClient = (settings: Partial<Parameters<typeof startSwarm>[0]> = {}, options = {}): SwarmRig =>
  start({ roles: ['client'], bootstrap, ...settings }, options)

async function connect(...args: Parameters<typeof connectRaw>): Promise<RawPeer> {
  const peer = await connectRaw(...args)
  cleanups.push(() => peer.stop())
  return peer
}

/** How often a method was called with arguments that fit. */
function watch(
  target: object,
  method: 'connect' | 'lookup',
  fits: (argument: unknown) => boolean = () => true,
): () => number {
  const spy = vi.spyOn(target as Record<typeof method, (...values: unknown[]) => unknown>, method)
  cleanups.push(() => Promise.resolve(spy.mockRestore()))
  return () => spy.mock.calls.filter(([argument]) => fits(argument)).length
}

describe('two swarms', () => {
  test('meet, say hello and talk in both directions', async () => {
    const worker = startWorker({ agent: 'qmesh-worker' })
    worker.swarm.setAdvertisement({ models: [modelAd] })
    const client = startClient()
    const { hello } = await client.until('worker.hello')
    expect(hello).toMatchObject({ agent: 'qmesh-worker', roles: ['worker', 'client'], models: [modelAd] })

    const { wire } = await client.until('worker.wire')
    expect(wire.peerId).toBe(worker.id)
    wire.send(samples.prompt)
    expect(await worker.until('client.said')).toMatchObject({ peerId: client.id, message: samples.prompt })

    const { wire: back } = await worker.until('client.wire')
    back.send(samples.response)
    expect(await client.until('worker.said')).toMatchObject({ peerId: worker.id, message: samples.response })
  })

  test('a status reaches who is there and who comes later, and models may change after hello', async () => {
    const worker = startWorker()
    const early = startClient()
    await early.until('worker.hello', ({ hello }) => hello.models.length === 0)
    worker.swarm.setAdvertisement({ models: [modelAd] })
    worker.swarm.broadcastStatus(status)
    expect((await early.until('worker.status')).status.models).toEqual([modelAd])
    const late = startClient()
    expect((await late.until('worker.hello')).hello.models).toEqual([modelAd])
    expect((await late.until('worker.status')).status).toEqual(status)
  })

  test('a client that names a model finds the worker by the topic of that model alone', async () => {
    const worker = startWorker()
    worker.swarm.setAdvertisement({ models: [modelAd] })
    const client = startClient({ wantedModels: [modelAd.id] })
    expect((await client.until('worker.hello')).peerId).toBe(worker.id)
  })

  test('the one that stays hears that the other has gone', async () => {
    const worker = startSwarm({ roles: ['worker'], bootstrap })
    const client = startClient()
    await client.until('worker.hello')
    await worker.stop()
    expect((await client.until('worker.gone')).peerId).toBe(worker.id)
  })

  test('a worker that comes later is found by a client that waits', async () => {
    const client = startClient({}, { input: { timings: { searchMs: 50, searchMsMax: 100 } } })
    await client.until('swarm.state', ({ state }) => state === 'online')
    const worker = startWorker()
    expect((await client.until('worker.hello')).peerId).toBe(worker.id)
  })

  test('a prompt of more bytes than a frame has is refused here, not lost', async () => {
    startWorker()
    const client = startClient()
    const { wire } = await client.until('worker.wire')
    const messages = [{ role: 'user' as const, content: '語'.repeat(limits.promptCharsMax) }]
    expect(wire.send({ ...samples.prompt, messages })).toBe(false)
    expect(wire.send(samples.prompt)).toBe(true)
  })
})

describe('who may come in', () => {
  test('private meshes do not see each other or the open one', async () => {
    const worker = startWorker({ secret: 'one' })
    const others = [startClient({ secret: 'two' }), startClient()]
    const friend = startClient({ secret: 'one' })
    expect((await friend.until('worker.hello')).peerId).toBe(worker.id)
    for (const other of others) expect(other.facts.some(({ type }) => type === 'peer.opened')).toBe(false)
  })

  test.each([
    ['no proof', {}],
    ['a proof for something else', { proof: 'ab'.repeat(32) }],
  ])('whoever finds the worker anyway, with %s, is sent away', async (_, proof) => {
    const worker = startWorker({ secret: 'one' })
    await worker.until('swarm.state', ({ state }) => state === 'online')
    const peer = await connectOnceAnnounced(worker)
    peer.write(encodeFrame({ ...samples.hello, ...proof }))
    peer.write(encodeFrame(samples.prompt))
    await peer.closed
    expect((await worker.until('peer.closed')).code).toBe('QM_SECRET_MISMATCH')
    expect(peer.frames.at(-1)).toMatchObject({ ok: true, value: { code: 'QM_SECRET_MISMATCH' } })
    expect(worker.facts.some(({ type }) => type === 'client.said' || type === 'peer.opened')).toBe(false)
  })

  test('a denied peer and one that is not on the list stay out; a listed one comes in', async () => {
    const denied = startClient()
    const listed = startClient()
    startClient()
    const worker = startWorker({ allow: [listed.id, denied.id], deny: [denied.id] })
    await listed.until('worker.hello')
    await worker.until('peer.opened')
    expect(worker.facts.filter(({ type }) => type === 'peer.opened')).toMatchObject([{ peerId: listed.id }])
  })

  test('a ban closes the open connection and keeps the peer out', async () => {
    const worker = startWorker()
    const client = startClient()
    const other = startClient()
    await client.until('worker.hello')
    await other.until('worker.hello')
    await worker.until('peer.opened', ({ peerId }) => peerId === client.id)
    worker.send({ type: 'swarm.ban', peerId: client.id })
    await client.until('worker.gone')
    await worker.until('peer.closed', ({ peerId }) => peerId === client.id)
    expect(other.facts.some(({ type }) => type === 'worker.gone')).toBe(false)
  })
})

describe('hostile peers', () => {
  test('garbage in frames is answered and counted, then closed and banned; others are unharmed', async () => {
    const worker = startWorker()
    const friend = startClient()
    await friend.until('worker.hello')
    const peer = await connectOnceAnnounced(worker)
    peer.write(encodeFrame(samples.hello))
    for (let sent = 0; sent < 3 * limits.violationsMax; sent++) {
      peer.write(encodeFrame({ ...samples.prompt, maxTokens: -1 }))
    }
    await peer.closed
    expect(await worker.until('peer.closed')).toMatchObject({
      peerId: peer.id,
      code: 'QM_TOO_MANY_VIOLATIONS',
      isBanned: true,
    })
    const errors = peer.frames.filter(({ ok }) => ok).map((frame) => (frame.ok ? frame.value : undefined))
    const answers = errors.filter((value) => JSON.stringify(value).includes('QM_MESSAGE_INVALID'))
    expect(answers).toHaveLength(limits.violationsMax)
    expect(JSON.stringify(errors)).not.toContain('at ')
    const { wire } = await friend.until('worker.wire')
    wire.send(samples.prompt)
    await worker.until('client.said', ({ peerId }) => peerId === friend.id)
    expect(worker.facts.some(({ type }) => type === 'defect')).toBe(false)
  })

  test.each<[string, (peer: RawPeer) => void, string]>([
    ['a frame that is too long', (peer) => peer.write(Buffer.alloc(64, 0xff)), 'QM_FRAME_TOO_LONG'],
    [
      'another protocol version',
      (peer) => peer.write(encodeFrame({ ...samples.hello, protocol: 3 })),
      'QM_PROTOCOL_VERSION',
    ],
    [
      'bytes that are not JSON, again and again',
      (peer) => {
        for (let sent = 0; sent < limits.violationsMax; sent++) peer.write(Buffer.from([0, 0, 0, 1, 0x78]))
      },
      'QM_TOO_MANY_VIOLATIONS',
    ],
    [
      'hello again and again',
      (peer) => {
        for (let sent = 0; sent <= limits.violationsMax; sent++) peer.write(encodeFrame(samples.hello))
      },
      'QM_TOO_MANY_VIOLATIONS',
    ],
    [
      'prompts before hello',
      (peer) => {
        for (let sent = 0; sent < limits.violationsMax; sent++) peer.write(encodeFrame(samples.prompt))
      },
      'QM_TOO_MANY_VIOLATIONS',
    ],
    [
      'a flood of types of a later version',
      (peer) => {
        peer.write(encodeFrame(samples.hello))
        const frame = encodeFrame({ type: 'later' })
        for (let sent = 0; sent < limits.idleMessagesMax + 1_000; sent++) peer.write(frame)
      },
      'QM_TOO_MANY_VIOLATIONS',
    ],
    [
      'channels without end',
      (peer) => {
        for (let sent = 0; sent <= limits.channelsMax; sent++) {
          peer.mux?.createChannel({ protocol: `other/${sent}` })?.open()
        }
      },
      'QM_TOO_MANY_VIOLATIONS',
    ],
    [
      'a flood of words about requests that never were',
      (peer) => {
        peer.write(encodeFrame(samples.hello))
        for (let sent = 0; sent < limits.idleMessagesMax + 1_000; sent++) {
          peer.write(encodeFrame(sent % 2 === 0 ? samples.ack : samples.cancel))
        }
      },
      'QM_TOO_MANY_VIOLATIONS',
    ],
    [
      'a flood of prompts that are refused',
      (peer) => {
        peer.write(encodeFrame(samples.hello))
        const frame = encodeFrame(samples.prompt)
        for (let sent = 0; sent < limits.idleMessagesMax + 1_000; sent++) peer.write(frame)
      },
      'QM_TOO_MANY_VIOLATIONS',
    ],
  ])('%s ends the connection', async (_, misbehave, code) => {
    const worker = startWorker(
      {},
      { clientDesk: ({ type }: ClientMessage) => (type === 'prompt' ? 'refused' : 'late') },
    )
    const peer = await connectOnceAnnounced(worker)
    misbehave(peer)
    await peer.closed
    expect(await worker.until('peer.closed')).toMatchObject({ peerId: peer.id, code })
    expect(worker.facts.some(({ type }) => type === 'defect')).toBe(false)
    const heard = worker.facts.filter(({ type }) => type === 'client.said').length
    expect(heard).toBeLessThan(limits.idleMessagesMax + 200)
  })

  const longPrompt = {
    ...samples.prompt,
    messages: [{ role: 'user' as const, content: 'é'.repeat((limits.frameBytesMax - 1_024) / 2) }],
  }

  test('long prompts that are refused are fewer until they end the connection', async () => {
    const worker = startWorker({}, { clientDesk: () => 'refused' })
    const peer = await connectOnceAnnounced(worker)
    peer.write(encodeFrame(samples.hello))
    const frame = encodeFrame(longPrompt)
    for (let sent = 0; sent < 150; sent++) peer.write(frame)
    expect(await worker.until('peer.closed')).toMatchObject({ code: 'QM_TOO_MANY_VIOLATIONS' })
  })

  test('a client all of whose requests are refused at once has done nothing wrong', async () => {
    const worker = startWorker(
      {},
      { clientDesk: ({ type }: ClientMessage) => (type === 'prompt' ? 'refused' : 'ok') },
    )
    const peer = await connectOnceAnnounced(worker)
    peer.write(encodeFrame(samples.hello))
    for (let sent = 0; sent < limits.requestsPerPeerMax; sent++) peer.write(encodeFrame(longPrompt))
    peer.write(encodeFrame(samples.cancel))
    await worker.until('client.said', ({ message }) => message.type === 'cancel')
    expect(worker.facts.filter(({ type }) => type === 'client.said')).toHaveLength(
      limits.requestsPerPeerMax + 1,
    )
    expect(peer.frames.every((frame) => frame.ok && (frame.value as { type: string }).type === 'hello')).toBe(
      true,
    )
  })

  test('whoever does not say hello in time is sent away, with and without a channel', async () => {
    const worker = startWorker({}, { input: { timings: { helloTimeoutMs: 50, closeTimeoutMs: 50 } } })
    for (const openChannel of [true, false]) {
      const peer = await connectOnceAnnounced(worker, { openChannel })
      await peer.closed
      expect(await worker.until('peer.closed', ({ peerId }) => peerId === peer.id)).toMatchObject({
        code: 'QM_HELLO_TIMEOUT',
        isBanned: false,
      })
    }
  })

  test('messages of unknown types and one bad message cost nothing', async () => {
    const worker = startWorker()
    const peer = await connectOnceAnnounced(worker)
    peer.write(encodeFrame(samples.hello))
    peer.write(encodeFrame({ type: 'later', anything: true }))
    peer.write(encodeFrame({ ...samples.cancel, requestId: 'x' }))
    peer.write(encodeFrame(samples.cancel))
    expect((await worker.until('client.said')).message).toEqual(samples.cancel)
  })

  test('a peer that never reads is closed before it costs more than its buffer', async () => {
    const worker = startWorker()
    const peer = await connectOnceAnnounced(worker)
    peer.write(encodeFrame(samples.hello))
    peer.stream.pause()
    const { wire } = await worker.until('client.wire')
    const filler = { ...samples.response, text: 'x'.repeat(limits.responseCharsMax) }
    for (let sent = 0; sent < (4 * limits.sendBufferBytesMax) / limits.responseCharsMax; sent++)
      wire.send(filler)
    expect((await worker.until('peer.closed')).code).toBe('QM_READER_TOO_SLOW')
  })
})

describe('the network', () => {
  test('a port that is taken is an error that names it', async () => {
    const first = startWorker()
    await first.until('swarm.state')
    const port = first.swarm.address()?.port
    const second = startSwarm({ roles: ['client'], bootstrap, ...(port && { port }) })
    const { error } = await second.until('swarm.failed')
    expect(error).toMatchObject({ code: 'QM_PORT_TAKEN', message: expect.stringContaining(String(port)) })
    await second.stop()
    await expect(createBootstrap({ host: '127.0.0.1', port, mdns: false })).rejects.toMatchObject({
      code: 'QM_PORT_TAKEN',
    })
  })

  test.each([
    ['an address of another machine', '203.0.113.7'],
    ['a name', 'example.invalid'],
  ])('%s as host is an error', async (_, host) => {
    const rig = startSwarm({ roles: ['client'], bootstrap, host })
    expect((await rig.until('swarm.failed')).error).toMatchObject({ code: 'QM_NETWORK_UNAVAILABLE' })
    await rig.stop()
  })

  test('says that it is offline, keeps trying, and is online again when the network comes back', async () => {
    const first = await createBootstrap({ host: '127.0.0.1', port: 0, mdns: false })
    await first.close()
    const client = startClient(
      { bootstrap: [first.address] },
      { input: { timings: { probeOfflineMs: 20, probeMsMax: 50 } } },
    )
    await client.until('swarm.state', ({ state }) => state === 'offline')
    const second = await createBootstrap({ ...first.address, mdns: false })
    cleanups.push(() => second.close())
    expect(await client.until('swarm.state', ({ state }) => state === 'online')).toBeDefined()
  })

  test('without any bootstrap that answers, nodes find the one of their local network by multicast', async () => {
    const own = await createBootstrap({ host: '127.0.0.1', port: 0, mdns: true })
    cleanups.push(() => own.close())
    const dead = [{ host: '127.0.0.1', port: 9 }]
    const worker = startWorker({ bootstrap: dead, mdns: true })
    const client = startClient({ bootstrap: dead, mdns: true })
    expect((await client.until('worker.hello')).peerId).toBe(worker.id)
  })

  test('with its bootstrap dead a mesh goes on, and a newcomer that knows some nodes finds the workers', async () => {
    const own = await createBootstrap({ host: '127.0.0.1', port: 0, mdns: false })
    const timings = { searchMs: 50, searchMsMax: 200, settleMs: 50 }
    const workers = [1, 2].map(() => startWorker({ bootstrap: [own.address] }, { input: { timings } }))
    const client = startClient({ bootstrap: [own.address] }, { input: { timings } })
    for (const { id } of workers) await client.until('worker.hello', ({ peerId }) => peerId === id)
    await client.until('swarm.state', ({ state }) => state === 'online')
    await own.close()

    const { wire } = await client.until('worker.wire')
    wire.send(samples.prompt)
    await Promise.any(workers.map((worker) => worker.until('client.said')))

    const addresses = workers.flatMap(({ swarm }) => swarm.address() ?? [])
    const newcomer = startClient({ bootstrap: [own.address], knownNodes: addresses }, { input: { timings } })
    await newcomer.until('worker.hello')
    // They are told with each search, and the next one may be seconds away.
    await vi.waitFor(() => expect(client.knownNodes.length).toBeGreaterThan(0), 20_000)
  })

  test('a dead peer that every lookup names is not dialled each time', async () => {
    const dead = DHT.keyPair(randomBytes(32))
    const announcer = new DHT({ bootstrap: [...bootstrap], host: '127.0.0.1' })
    cleanups.push(() => announcer.destroy())
    const topic = toTopic({ network: inferenceNetwork })
    const lookups = watch(DHT.prototype, 'lookup')
    const dials = watch(DHT.prototype, 'connect', (key) => (key as Buffer).equals(dead.publicKey))
    await announcer.announce(topic, dead).finished()
    const client = startClient()
    await client.until('swarm.state', ({ state }) => state === 'online')
    await vi.waitFor(() => expect(dials()).toBe(1), 20_000)
    for (const before = lookups(); lookups() < before + 4;) {
      const so = lookups()
      client.send({ type: 'network.changed' })
      await vi.waitFor(() => expect(lookups()).toBeGreaterThan(so), 20_000)
    }
    // The second is due after 5 s, which a busy machine may take for this.
    expect(dials()).toBeLessThanOrEqual(2)
  })

  test('a peer that comes back elsewhere is let in while its old address is still dialled', async () => {
    // Of two that dial each other Hyperswarm keeps the dial of the greater key: here the one that nobody answers.
    const [seed, greaterSeed] = [randomBytes(32), randomBytes(32)].toSorted((one, other) =>
      Buffer.compare(DHT.keyPair(one).publicKey, DHT.keyPair(other).publicKey),
    )
    const keyPair = DHT.keyPair(seed)
    const gone = new DHT({ bootstrap: [...bootstrap], host: '127.0.0.1' })
    await gone.createServer().listen(keyPair)
    await gone.announce(toTopic({ network: inferenceNetwork }), keyPair).finished()
    await gone.destroy({ force: true })
    const dials = watch(DHT.prototype, 'connect', (key) => (key as Buffer).equals(keyPair.publicKey))
    const worker = startWorker({ ...(greaterSeed && { seed: greaterSeed }) })
    await vi.waitFor(() => expect(dials()).toBe(1), 20_000)
    const back = startClient({ ...(seed && { seed }) })
    // Where no dial gave way, they would dial each other in vain at the same times for more than a minute.
    await back.until('worker.hello', ({ peerId }) => peerId === worker.id)
  })

  test('a process whose swarm stopped ends by itself: nothing is left open', async () => {
    const [node] = bootstrap
    const script = new URL('../support/swarm-child.ts', import.meta.url)
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', fileURLToPath(script), `${node?.host}:${node?.port}`],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    cleanups.push(async () => child.kill('SIGKILL'))
    const output: string[] = []
    child.stdout.on('data', (chunk) => output.push(String(chunk)))
    const [code] = await once(child, 'exit')
    expect(output.join('')).toBe('online\nstopped\n')
    expect(code).toBe(0)
  })
})

/** A worker can be reached by its key once it has been announced: tries until then. */
async function connectOnceAnnounced(
  worker: SwarmRig,
  options: { readonly openChannel?: boolean } = {},
): Promise<RawPeer> {
  await worker.until('swarm.state', ({ state }) => state === 'online')
  for (;;) {
    const peer = await connect(bootstrap, worker.id, options)
    if (!peer.stream.destroying) return peer
  }
}
