import type { Answer } from './trade.ts'

/** What the nodes of a mesh under load are and want. */
export const loadTerms = {
  /** Nodes that answer and ask; the others only ask. */
  givers: 16,
  slots: 1,
  queueCapacity: 32,
  /** Milliseconds for a token of a prompt and of an answer: a small model without a graphics card. */
  promptTokenMs: 10,
  answerTokenMs: 100,
  /** Milliseconds between two statuses of a worker. */
  statusMs: 1_000,
  /** Minutes in which nodes earn their tiers, and those that count. */
  warmUpMinutes: 120,
  measuredMinutes: 120,
  /** Workers that a request is offered to before its client gives up. */
  attempts: 3,
} as const

/** Minutes between two requests of one client: as people ask, and as programs do. */
export const demands = { person: 4, program: 0.5 } as const
export type Demand = keyof typeof demands

export interface Wish extends Answer {
  /** Milliseconds in a slot. */
  readonly runMs: number
}

/** Log-normal prompts and answers, the answers cut at the bound that their clients gave. */
export function toWish(random: () => number): Wish {
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  const logNormal = (median: number, spread: number): number =>
    Math.max(1, Math.round(median * Math.exp(spread * normal())))
  const promptTokens = Math.min(2_000, logNormal(120, 0.8))
  const maxOut = random() < 0.5 ? 128 : 256
  const tokens = Math.min(maxOut, logNormal(100, 0.6))
  const firstTokenMs = promptTokens * loadTerms.promptTokenMs
  const runMs = firstTokenMs + tokens * loadTerms.answerTokenMs
  return { promptTokens, maxOut, tokens, firstTokenMs, totalMs: Math.round(runMs), runMs }
}

/** Milliseconds in a slot that a wish takes on average. */
export function toMeanRunMs(random: () => number, samples = 2_000): number {
  let sum = 0
  for (let count = 0; count < samples; count++) sum += toWish(random).runMs
  return sum / samples
}
