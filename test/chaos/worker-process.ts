import fs from 'node:fs'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { syncBuiltinESMExports } from 'node:module'
import workerThreads, { Worker, type WorkerOptions } from 'node:worker_threads'
import type { NoiseStream } from 'hyperswarm'
import { InferenceChannel } from '../../actors/peer/inference-channel.ts'
import type { InferenceMessage } from '../../protocol/index.ts'
import { watchConnections } from './connections.ts'
import { watchStandStill } from './stand-still.ts'
import type { Arm, FromWorker, ToWorker } from './worker-messages.ts'

/** A worker that can be told to fail, at an exact token of an exact answer. Nothing of the product is changed for it. */
const [modelPath = '', dataDir = '', secret = '', ...bootstrap] = process.argv.slice(2)

/** The part of udx-native that is under a connection. */
interface UdxSocket {
  send: () => Promise<boolean>
  trySend: () => void
}
interface UdxStream {
  readonly socket: UdxSocket
  readonly remoteId: number
  changeRemote(socket: UdxSocket, remoteId: number, port: number, host: string): void
}
type Connection = NoiseStream & { readonly rawStream: UdxStream }

const tell = (message: FromWorker): void => {
  if (process.connected) process.send?.(message)
}

const threads = new Set<Worker>()
workerThreads.Worker = class extends Worker {
  constructor(file: string | URL, options?: WorkerOptions) {
    super(file, options)
    threads.add(this)
    this.once('exit', () => threads.delete(this))
  }
}
syncBuiltinESMExports()

const streams = new Set<Connection>()
watchConnections((stream) => {
  const connection = stream as Connection
  streams.add(connection)
  stream.once('close', () => streams.delete(connection))
})

const arms = new Map<string, Arm>()
/** Faults that were announced and come in a moment. */
const due = new Map<NodeJS.Timeout, Arm>()
// oxlint-disable-next-line typescript/unbound-method -- called with the channel it belongs to
const { send } = InferenceChannel.prototype
InferenceChannel.prototype.send = function (this: InferenceChannel, message: InferenceMessage): boolean {
  const arm = message.type === 'response' ? arms.get(message.requestId) : undefined
  if (message.type !== 'response' || !arm) return send.call(this, message)
  if (arm.at === 'finish') {
    if (!message.finish) return send.call(this, message)
    const { finish: _, ...rest } = message
    if (rest.tokens.length > 0 || rest.text.length > 0) send.call(this, rest)
    fire(arm, 5)
    return true
  }
  const isSent = send.call(this, message)
  const { at } = arm
  // Half of the time with the frame still in this process, half of the time after it has left.
  if (typeof at === 'number' && message.seq + message.tokens.length >= at) fire(arm, at % 2 === 0 ? 0 : 2)
  return isSent
}

function fire(arm: Arm, afterMs: number): void {
  arms.delete(arm.requestId)
  tell({ type: 'fired', requestId: arm.requestId })
  if (afterMs === 0) return act(arm)
  const timer = setTimeout(() => {
    due.delete(timer)
    act(arm)
  }, afterMs)
  due.set(timer, arm)
}

/** What was announced happens before it is taken back: a drain after its end would be for good. */
function hurry(): void {
  for (const [timer, arm] of due) {
    clearTimeout(timer)
    act(arm)
  }
  due.clear()
}

function act({ kind }: Arm): void {
  switch (kind) {
    case 'kill':
      process.kill(process.pid, 'SIGKILL')
      return
    case 'freeze':
    case 'freeze-kill':
      process.kill(process.pid, 'SIGSTOP')
      return
    case 'cut-by-worker':
      for (const stream of streams) stream.destroy()
      return
    case 'cut-by-client':
      return
    case 'network-lost':
      loseNetwork()
      return
    case 'drain':
      node.drain()
      return
    case 'leave':
      void node.stop().then(() => process.exit(0))
      return
    case 'disk-full':
      fillDisk()
      return
    case 'engine-lost':
      for (const thread of threads) void thread.terminate()
  }
}

/** Connections go on at an address where nobody reads, and what is sent to the DHT is not sent at all. */
function loseNetwork(): void {
  for (const { rawStream } of streams) {
    const { socket, remoteId } = rawStream
    rawStream.changeRemote(socket, remoteId, blackHole.address().port, '127.0.0.1')
    const datagrams = Object.getPrototypeOf(socket) as UdxSocket
    datagrams.send = () => Promise.resolve(true)
    datagrams.trySend = () => {}
  }
}

function fillDisk(): void {
  const full = (): never => {
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', errno: -28 })
  }
  const later = (...args: unknown[]): void => {
    const done = args.at(-1) as (error: Error) => void
    try {
      full()
    } catch (error) {
      queueMicrotask(() => done(error as Error))
    }
  }
  const promises = fs.promises as unknown as Record<string, unknown>
  for (const name of ['writeFile', 'open', 'rename', 'link', 'copyFile', 'mkdir', 'utimes', 'appendFile']) {
    promises[name] = () => Promise.resolve().then(full)
  }
  const plain = fs as unknown as Record<string, unknown>
  for (const name of ['writeFile', 'rename', 'mkdir', 'utimes', 'appendFile', 'write']) plain[name] = later
  for (const name of ['writeFileSync', 'renameSync', 'mkdirSync', 'utimesSync', 'writeSync'])
    plain[name] = full
  syncBuiltinESMExports()
}

// Bound before anything fails: a socket of its own that throws away what comes.
const blackHole = createSocket('udp4')
blackHole.bind(0, '127.0.0.1')
await once(blackHole, 'listening')

// Imported after the above, so that it gets what was replaced.
const { createNode } = await import('../../runtime/index.ts')
const node = await createNode({
  dataDir,
  bootstrap,
  secret,
  stampBits: 0,
  models: [{ path: modelPath, contextTokens: 512, slots: 2 }],
  host: '127.0.0.1',
  mdns: false,
  gpuLayers: 0,
  threads: 1,
  pauseWhenBusy: false,
  drainSeconds: 1,
  logLevel: 'silent',
})
await node.ready
const stoodStillMs = watchStandStill()

process.on('message', (message: ToWorker) => {
  switch (message.type) {
    case 'arm':
      if (message.at === 'prompt') fire(message, 0)
      else arms.set(message.requestId, message)
      return
    case 'disarm':
      arms.clear()
      hurry()
      return
    case 'resume':
      node.resume()
      return
    case 'status': {
      const { queue, health, models } = node.status()
      const isReady = models.every(({ state }) => state === 'ready')
      tell({
        type: 'status',
        slotsBusy: queue.slotsBusy,
        waiting: queue.length,
        isReady,
        accepting: health.accepting,
        stoodStillMs: stoodStillMs(),
      })
      return
    }
    case 'stop':
      void node.stop().then(() => process.exit(0))
  }
})
const leave = (): void => void process.kill(process.pid, 'SIGKILL')
process.on('disconnect', leave)
// A runner that gave up while this one was still starting is not heard of any more.
if (!process.connected) leave()
tell({ type: 'ready', id: node.id })
