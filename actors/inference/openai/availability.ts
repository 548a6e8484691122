import { z } from 'zod'
import { QMeshError, type PeerId } from '../../../protocol/index.ts'
import { brokenAnswer, EngineFault, toQuote } from './engine-fault.ts'
import { openExchange, readWhole } from './exchange.ts'
import { openStream, toAddress } from './open-stream.ts'
import { readStream } from './read-stream.ts'
import { toRefusal } from './refusal.ts'
import type { ResumeManner } from './seam-filter.ts'
import type { Patience } from './settings.ts'

/** The engine, and the model that is asked for. */
export interface EngineTarget {
  readonly url: string
  readonly key?: string | undefined
  /** As the engine calls it. */
  readonly model: string
  readonly patience: Patience
  /** The node that asks. */
  readonly selfId?: PeerId | undefined
}

const listSchema = z.object({
  data: z.array(z.object({ id: z.string(), owned_by: z.unknown().optional() })).max(10_000),
})
const workersSchema = z.array(z.object({ workerId: z.string() })).max(10_000)

/** Models that an error names. */
const namesMax = 8
/** What an engine answers that keeps no list. */
const noSuchThing: ReadonlySet<number> = new Set([404, 405, 501])

/**
 * Looks whether the engine is there, takes the key and has the model. One that keeps no list is believed.
 *
 * @throws QMeshError `QM_ENGINE_UNAVAILABLE` with what to do
 */
export async function checkAvailable(target: EngineTarget, signal: AbortSignal): Promise<void> {
  const { url, model } = target
  const models = await explained(url, () => getJson(target, '/models', listSchema, signal))
  const names = models?.data.map(({ id }) => id)
  if (names && !names.includes(model) && !names.includes(`${model}:latest`)) {
    const some = names.slice(0, namesMax).map((name) => `"${toQuote(name)}"`)
    const more = names.length > namesMax ? ` and ${names.length - namesMax} more` : ''
    const has = names.length === 0 ? 'no model at all' : `it has ${some.join(', ')}${more}`
    throw unavailable(url, `has no model "${model}", ${has}: fetch it there, or give another "engineModel"`)
  }
  const isGateway = models?.data.some(({ owned_by: owner }) => owner === 'qmesh') ?? false
  if (isGateway) await checkOtherMesh(target, signal)
}

/** A gateway that knows this node may send it the very questions that it was sent by this node. */
async function checkOtherMesh(target: EngineTarget, signal: AbortSignal): Promise<void> {
  const { url, selfId } = target
  const workers = await explained(url, () => getJson(target, '/mesh/workers', workersSchema, signal))
  if (!workers?.some(({ workerId }) => workerId === selfId)) return
  throw unavailable(
    url,
    'is a gateway of the mesh that this node serves, which would ask itself: give the address of another program, or of a gateway of another mesh',
  )
}

/** Undefined where there is no such thing. @throws EngineFault */
async function getJson<Value>(
  { url, key, patience }: EngineTarget,
  path: string,
  schema: z.ZodType<Value>,
  signal: AbortSignal,
): Promise<Value | undefined> {
  const exchange = await openExchange(toAddress(url, path), { key, signal, answerMs: patience.listMs })
  if (noSuchThing.has(exchange.status)) {
    exchange.close()
    return undefined
  }
  if (exchange.status !== 200) throw await toRefusal(exchange)
  const text = await readWhole(exchange, patience.listMs)
  try {
    return schema.parse(JSON.parse(text))
  } catch {
    throw brokenAnswer(`what it says at ${path} makes no sense`)
  }
}

const question = { role: 'user', content: 'Name the first three letters.' }
/** Long enough that it is said again by no chance. */
const beginning = 'The first three letters are A, B,'

/**
 * Asks for one word of an answer that was begun: it makes the engine load the model, shows that it streams, and how it
 * goes on with an answer. No word in time is no fault: the model may be a large one.
 *
 * @throws QMeshError `QM_ENGINE_UNAVAILABLE`
 */
export async function tryAnswer(target: EngineTarget, signal: AbortSignal): Promise<ResumeManner> {
  const { url } = target
  try {
    const said = await ask(target, [question, { role: 'assistant', content: beginning }], signal)
    return said?.startsWith(beginning) ? 'echoes' : 'continues'
  } catch (error) {
    if (!(error instanceof EngineFault) || error.kind !== 'other')
      return explained(url, () => Promise.reject(error))
  }
  // It may only be the beginning that it does not take.
  await explained(url, () => ask(target, [question], signal))
  return 'restarts'
}

/** Undefined when it has no time now. @throws EngineFault */
async function ask(
  { url, key, model, patience }: EngineTarget,
  messages: readonly object[],
  signal: AbortSignal,
): Promise<string | undefined> {
  const { trialMs } = patience
  const untilMs = performance.now() + trialMs
  const body = { model, messages, max_tokens: 1, stream: true }
  let said = ''
  try {
    const address = toAddress(url, '/chat/completions')
    const exchange = await openStream(address, { key, body, signal, answerMs: trialMs })
    try {
      const leftMs = Math.max(0, untilMs - performance.now())
      for await (const { text } of readStream(exchange, { ...patience, firstMs: leftMs, gapMs: leftMs }, 1)) {
        said += text
        if (said.length >= beginning.length) break
      }
    } finally {
      exchange.close()
    }
    return said
  } catch (error) {
    const isLate = error instanceof EngineFault && error.kind === 'silence'
    // One that has other things to do is there.
    const isBusy = error instanceof EngineFault && error.code === 'QM_OVERLOADED'
    if (isLate || isBusy) return undefined
    throw error
  }
}

const unavailable = (url: string, detail: string, cause?: unknown): QMeshError =>
  new QMeshError('QM_ENGINE_UNAVAILABLE', `the engine at ${url} ${detail}`, { cause })

/** The error in the words of whoever can do something about it. */
async function explained<Value>(url: string, look: () => Promise<Value>): Promise<Value> {
  try {
    return await look()
  } catch (error) {
    if (!(error instanceof EngineFault)) throw error
    const { kind, detail } = error
    if (kind === 'other') throw unavailable(url, `cannot be used: ${detail}`, error)
    throw unavailable(url, `is not there, ${detail}: start it, or correct "engineUrl"`, error)
  }
}
