import type { NodeStatus } from '../../runtime/index.ts'
import { duration } from '../duration.ts'
import { pauseText } from '../pause-text.ts'
import { short } from '../stream-answer.ts'
import type { Look } from './look.ts'

const many = (count: number, one: string): string => `${count} ${count === 1 ? one : `${one}s`}`
const perSecond = (rate: number | undefined): string => (rate === undefined ? '–' : `${rate.toFixed(1)}/s`)

/** The node itself in a few lines. */
export function nodeLines({ status, rates }: Look): string[] {
  const { id, name, account, network, uptimeMs, totals } = status
  const who = [short(id), name, account?.tier, `up ${duration(uptimeMs)}`, network.state]
  return [
    [...who.filter((fact) => fact !== undefined), many(network.peers, 'peer')].join(' · '),
    healthFacts(status).join(' · '),
    [
      `tokens in ${perSecond(rates?.receivedTokens)} (${totals?.receivedTokens ?? 0})`,
      `out ${perSecond(rates?.servedTokens)} (${totals?.servedTokens ?? 0})`,
      ...(account ? [`score ${account.score}`, `credit ${account.balance.toFixed(3)}`] : []),
    ].join(' · '),
    modelFacts(status),
  ]
}

/** The same on one line, for a log. */
export function summaryLine(look: Look): string {
  const { status, workers, requests, rates, at } = look
  return [
    `${at.replace('T', ' ').slice(0, 19)}  ${short(status.id)}`,
    ...healthFacts(status),
    many(status.network.peers, 'peer'),
    many(workers.length, 'worker'),
    `${requests.filter(({ state }) => state === 'open').length} open`,
    `in ${perSecond(rates?.receivedTokens)}`,
    `out ${perSecond(rates?.servedTokens)}`,
  ].join(' · ')
}

function healthFacts(status: NodeStatus): string[] {
  const { health, queue, parts } = status
  const paused = pauseText(status)
  return [
    `${health.state} (${Math.round(health.score)})`,
    paused === undefined ? 'serving' : `paused: ${paused}`,
    `queue ${queue.length}/${queue.capacity}`,
    `slots ${queue.slotsBusy}/${queue.slots}`,
    ...(queue.effortBits ? [`asks for ${queue.effortBits} bits of work`] : []),
    // Those that are well need no word.
    ...parts.flatMap(({ name, state }) => (state === 'running' ? [] : [`${name} ${state}`])),
  ]
}

function modelFacts({ models }: NodeStatus): string {
  if (models.length === 0) return 'no model: this node asks but does not serve'
  return models.map(({ id, state, error }) => `${id} ${state}${error ? ` (${error.code})` : ''}`).join(' · ')
}
