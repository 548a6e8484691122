import { toChunk, type Chunk } from './chunk.ts'
import { brokenAnswer, EngineFault, lostConnection } from './engine-fault.ts'
import { EventLines } from './event-lines.ts'
import type { Exchange } from './exchange.ts'
import { engineBounds, type Patience } from './settings.ts'

/**
 * The events of an answer, one after the other, until the engine says that it is complete. While whoever reads does not
 * ask for the next one, the engine waits, and its silence is not counted.
 *
 * @param tokens that were asked for: they bound what the engine may say
 * @throws EngineFault
 */
export async function* readStream(
  exchange: Exchange,
  patience: Patience,
  tokens: number,
): AsyncGenerator<Chunk, undefined> {
  const lines = new EventLines()
  let bytesLeft = engineBounds.streamBytes + engineBounds.streamBytesPerToken * tokens
  let eventsLeft = engineBounds.events + engineBounds.eventsPerToken * tokens
  let patienceMs = patience.firstMs
  let sinceMs = performance.now()
  let hasReason = false
  for (;;) {
    let bytes: Buffer | null
    try {
      bytes = await exchange.read(Math.max(0, patienceMs - (performance.now() - sinceMs)))
    } catch (error) {
      // The answer is complete; only figures are missing.
      if (hasReason && error instanceof EngineFault) return
      throw error
    }
    if (bytes === null) {
      if (hasReason) return
      throw lostConnection('the stream ended in mid-answer')
    }
    bytesLeft -= bytes.length
    if (bytesLeft < 0) throw brokenAnswer(`a stream that does not end after ${tokens} tokens`)
    for (const data of lines.push(bytes)) {
      if (data === '[DONE]') return
      if (--eventsLeft < 0) throw brokenAnswer(`a stream that does not end after ${tokens} tokens`)
      const chunk = toChunk(data)
      hasReason ||= chunk.reason !== undefined
      yield chunk
      sinceMs = performance.now()
      patienceMs = hasReason ? patience.usageMs : patience.gapMs
    }
  }
}
