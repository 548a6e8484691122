import { z } from 'zod'
import { tiers, type Tier } from '../../../machines/scheduling/index.ts'
import type { Rejection, WorkerView } from '../../../machines/selection/index.ts'
import { healthStates, modelAdSchema, peerIdSchema, type ModelAd } from '../../../protocol/index.ts'
import { defineCommand } from '../command.ts'

/** A worker this node knows, as shown to people. */
export interface WorkerSummary extends Omit<WorkerView, 'local' | 'models'> {
  /** The node's own worker. */
  readonly isLocal: boolean
  readonly models: readonly ModelAd[]
  /** What it has earned, by this node's books; absent where none are kept. */
  readonly tier?: Tier | undefined
}

const number = z.number().min(0)

const workerSchema = z
  .object({
    workerId: peerIdSchema,
    isLocal: z.boolean(),
    tier: z.enum(tiers).optional(),
    models: z.array(modelAdSchema),
    healthScore: number,
    state: z.enum(healthStates),
    accepting: z.boolean(),
    queueLength: number,
    queueCapacity: number,
    slotsBusy: number,
    slots: number,
    effortBits: number.optional(),
    barred: z.string().max(64).optional(),
    inFlight: number,
    answers: number,
    firstTokenMs: number.optional(),
    tokensPerSecond: number.optional(),
    failuresInRow: number,
  })
  // JSON has no `undefined`: what is not known is left out on the way and put back here.
  .transform(({ barred, firstTokenMs, tokensPerSecond, ...worker }): WorkerSummary => ({
    ...worker,
    barred: barred as Rejection | undefined,
    firstTokenMs,
    tokensPerSecond,
  }))

export const workersCommand = defineCommand({
  args: z.object({}),
  result: z.array(workerSchema).readonly(),
  run: async ({ port }) => port.workers(),
})
