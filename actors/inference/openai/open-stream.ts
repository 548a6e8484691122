import { brokenAnswer, toQuote } from './engine-fault.ts'
import { openExchange, type Exchange, type ExchangeOptions } from './exchange.ts'
import { toRefusal } from './refusal.ts'

export const toAddress = (url: string, path: string): URL => new URL(`${url.replace(/\/+$/, '')}${path}`)

/** Asks for an answer that streams. @throws EngineFault */
export async function openStream(address: URL, options: ExchangeOptions): Promise<Exchange> {
  const exchange = await openExchange(address, options)
  if (exchange.status !== 200) throw await toRefusal(exchange)
  const type = exchange.headers['content-type'] ?? 'nothing'
  if (type.startsWith('text/event-stream')) return exchange
  exchange.close()
  throw brokenAnswer(`an answer of the type "${toQuote(type)}" where a stream of events was asked for`)
}
