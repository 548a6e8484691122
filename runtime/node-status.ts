import { z } from 'zod'
import { pauseReasons } from '../machines/duty/index.ts'
import { tiers } from '../machines/scheduling/index.ts'
import {
  errorCodes,
  healthStates,
  modelHashSchema,
  modelIdSchema,
  peerIdSchema,
  toolStyles,
} from '../protocol/index.ts'

const count = z.number().int().min(0)

/** What went through a node since it started. */
const nodeTotalsSchema = z.object({
  /** Tokens that its worker read and generated, for others and for itself. */
  servedPromptTokens: count,
  servedTokens: count,
  /** Tokens of the answers to its own questions. */
  receivedTokens: count,
  /** Bytes of models that it gave to peers, and that it fetched from anywhere. */
  givenModelBytes: count,
  fetchedModelBytes: count,
})

/** The account of a node, by its own books. */
const nodeAccountSchema = z.object({
  tier: z.enum(tiers),
  /** Whole points. */
  score: count,
  /** Credits that it may spend, below zero down to `-line`. */
  balance: z.number(),
  line: z.number(),
})
export type NodeAccount = z.infer<typeof nodeAccountSchema>

/** What a model of this node is doing. */
export const modelStatusSchema = z.object({
  id: modelIdSchema,
  /** `loadable`: not in memory, and loaded when a request waits for it. */
  state: z.enum(['loading', 'ready', 'recovering', 'failed', 'loadable', 'unloading']),
  path: z.string().optional(),
  hash: modelHashSchema.optional(),
  contextTokens: count.optional(),
  slots: count.optional(),
  backend: z.string().optional(),
  threads: count.optional(),
  /** Megabytes of model and context. */
  memoryMb: z.number().min(0).optional(),
  /** Numbers in a vector; of a model that makes embeddings and answers nothing. */
  embeddingSize: count.optional(),
  /** Milliseconds that loading it is likely to take; of a model that is not loaded. */
  loadMs: count.optional(),
  /** How it writes calls of functions; absent: it can be offered none. */
  tools: z.enum(toolStyles).optional(),
  /** Why it failed, was lost, or cannot be loaded now. */
  error: z.object({ code: z.enum(errorCodes), message: z.string() }).optional(),
})
export type ModelStatus = z.infer<typeof modelStatusSchema>

/** What the node's HTTP gateway is doing. */
const gatewayStatusSchema = z.object({
  state: z.enum(['starting', 'listening', 'failed', 'stopped']),
  /** Where it listens. */
  url: z.string().optional(),
  /** Why it does not. */
  error: z.object({ code: z.enum(errorCodes), message: z.string() }).optional(),
})
export type GatewayStatus = z.infer<typeof gatewayStatusSchema>

/** What one of the node's actors is doing, a part of every node or one that was added to it. */
const partStatusSchema = z.object({
  name: z.string().max(64),
  /** `failed`: it was started again too often, and stays down; `ended`: it was done. */
  state: z.enum(['running', 'restarting', 'failed', 'ended', 'stopping', 'stopped']),
  /** How often it was started again in the last minute; absent: never. */
  restarts: count.optional(),
  /** Why it is not running. */
  error: z.object({ code: z.enum(errorCodes), message: z.string() }).optional(),
})
export type PartStatus = z.infer<typeof partStatusSchema>

/** A node as it sees itself: what `status()` answers, in code and on the command line. */
export const nodeStatusSchema = z.object({
  id: peerIdSchema,
  name: z.string().optional(),
  version: z.string(),
  pid: count,
  uptimeMs: z.number().min(0),
  /** Absent when the identity lives in memory only. */
  dataDir: z.string().optional(),
  network: z.object({
    /** `starting`, `online`, `offline`, `stopping`. */
    state: z.string(),
    /** Connected peers. */
    peers: count,
    /** Whether a mesh secret is set. */
    isPrivate: z.boolean(),
    host: z.string().optional(),
    port: count.optional(),
  }),
  /** Absent when it is switched off. */
  gateway: gatewayStatusSchema.optional(),
  models: z.array(modelStatusSchema),
  /** Its actors, in the order in which they started; none in what a node of an earlier version says. */
  parts: z.array(partStatusSchema).default([]),
  queue: z.object({
    length: count,
    capacity: count,
    slotsBusy: count,
    slots: count,
    /** Zero bits of a hash that newcomers are asked for with a prompt; absent while there is room. */
    effortBits: count.optional(),
  }),
  health: z.object({
    /** 0–100, 100 is idle. */
    score: z.number(),
    state: z.enum(healthStates),
    /** Whether others may ask. */
    accepting: z.boolean(),
    /** Why they may not: `shutdown`, `owner`, `quiet-hours`, `battery`, `load`; absent while it serves. */
    pausedBy: z.array(z.enum(pauseReasons)).min(1).optional(),
  }),
  /** Absent where no books are kept. */
  account: nodeAccountSchema.optional(),
  /** Absent in what a node of an earlier version says. */
  totals: nodeTotalsSchema.optional(),
})
export type NodeStatus = z.infer<typeof nodeStatusSchema>
