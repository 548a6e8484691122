import { z } from 'zod'
import { QMeshError } from '../../../protocol/index.ts'
import { brokenAnswer, EngineFault, toQuote } from './engine-fault.ts'
import { openExchange, readWhole } from './exchange.ts'
import { openStream, toAddress } from './open-stream.ts'
import { readStream } from './read-stream.ts'
import { toRefusal } from './refusal.ts'
import type { Patience } from './settings.ts'

/** The engine, and the model that is asked for. */
export interface EngineTarget {
  readonly url: string
  readonly key?: string | undefined
  /** As the engine calls it. */
  readonly model: string
  readonly patience: Patience
}

const listSchema = z.object({ data: z.array(z.object({ id: z.string() })).max(10_000) })

/** Models that an error names. */
const namesMax = 8
/** What an engine answers that keeps no list. */
const noList: ReadonlySet<number> = new Set([404, 405, 501])

/**
 * Looks whether the engine is there, takes the key and has the model. One that keeps no list is believed.
 *
 * @throws QMeshError `QM_ENGINE_UNAVAILABLE` with what to do
 */
export async function checkAvailable(target: EngineTarget, signal: AbortSignal): Promise<void> {
  const { url, key, model, patience } = target
  const names = await explained(url, async () => {
    const address = toAddress(url, '/models')
    const exchange = await openExchange(address, { key, signal, answerMs: patience.listMs })
    if (exchange.status === 200) return toNames(await readWhole(exchange, patience.listMs))
    if (!noList.has(exchange.status)) throw await toRefusal(exchange)
    exchange.close()
    return undefined
  })
  if (!names || names.includes(model) || names.includes(`${model}:latest`)) return
  const some = names.slice(0, namesMax).map((name) => `"${toQuote(name)}"`)
  const more = names.length > namesMax ? ` and ${names.length - namesMax} more` : ''
  const has = names.length === 0 ? 'no model at all' : `it has ${some.join(', ')}${more}`
  throw unavailable(url, `has no model "${model}", ${has}: fetch it there, or give another "engineModel"`)
}

/**
 * Asks for one word, which makes the engine load the model, and shows that it streams. No word in time is no fault: the
 * model may be a large one.
 *
 * @throws QMeshError `QM_ENGINE_UNAVAILABLE`
 */
export async function tryAnswer(target: EngineTarget, signal: AbortSignal): Promise<void> {
  const { url, key, model, patience } = target
  const { trialMs } = patience
  const body = { model, messages: [{ role: 'user', content: 'Hi' }], max_tokens: 1, stream: true }
  await explained(url, async () => {
    try {
      const address = toAddress(url, '/chat/completions')
      const exchange = await openStream(address, { key, body, signal, answerMs: trialMs })
      try {
        await readStream(exchange, { ...patience, firstMs: trialMs, gapMs: trialMs }, 1).next()
      } finally {
        exchange.close()
      }
    } catch (error) {
      const isLate = error instanceof EngineFault && error.kind === 'silence'
      // One that has other things to do is there.
      const isBusy = error instanceof EngineFault && error.code === 'QM_OVERLOADED'
      if (!isLate && !isBusy) throw error
    }
  })
}

function toNames(text: string): string[] {
  try {
    return listSchema.parse(JSON.parse(text)).data.map(({ id }) => id)
  } catch {
    throw brokenAnswer('its list of models is none')
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
    throw unavailable(
      url,
      `is not there, ${detail}: start it, or correct "engineUrl"; this node tries again by itself`,
      error,
    )
  }
}
