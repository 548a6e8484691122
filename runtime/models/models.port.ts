import { z } from 'zod'
import { modelHashSchema, modelIdSchema, peerIdSchema } from '../../protocol/index.ts'
import type { ModelManifest } from '../../protocol/models/index.ts'

const count = z.number().min(0)

/** How far a model is on its way here. */
export const pullProgressSchema = z.object({
  id: z.string(),
  stage: z.enum(['resolving', 'fetching', 'waiting', 'verifying']),
  /** The source that is asked, or was asked last. */
  source: z.string().optional(),
  doneBytes: count,
  /** Absent before the size is known. */
  totalBytes: count.optional(),
  bytesPerSecond: count,
  /** Milliseconds until all bytes are here; absent while none come. */
  etaMs: count.optional(),
})
export type PullProgress = Readonly<z.infer<typeof pullProgressSchema>>

export const sourceFailureSchema = z.object({ source: z.string(), message: z.string() })
export type SourceFailure = Readonly<z.infer<typeof sourceFailureSchema>>

export const pulledModelSchema = z.object({
  id: modelIdSchema,
  hash: modelHashSchema,
  bytes: count,
  path: z.string(),
  /** It was here before. */
  wasHere: z.boolean(),
  /** This node answers with it from now on. */
  isServed: z.boolean(),
})
export type PulledModel = Readonly<z.infer<typeof pulledModelSchema>>

export const seedStatusSchema = z.object({
  id: modelIdSchema,
  hash: modelHashSchema,
  /** Key of its blocks; absent while it is being prepared. */
  core: z.string().optional(),
  state: z.enum(['preparing', 'offering', 'paused', 'waiting']),
  pausedBy: z.array(z.string()).readonly(),
  /** Bytes that were given, and to how many different peers. */
  bytes: count,
  peers: count,
})
export type SeedStatus = Readonly<z.infer<typeof seedStatusSchema>>

export const repairedSchema = z.object({ hash: modelHashSchema, blocks: count, fetchedBytes: count })
export type Repaired = Readonly<z.infer<typeof repairedSchema>>

export const publishedSchema = z.object({
  id: modelIdSchema,
  version: count,
  publisher: peerIdSchema,
  hash: modelHashSchema,
  core: z.string(),
  /** Whether others can fetch it from this node by now. */
  isOffered: z.boolean(),
})
export type Published = Readonly<z.infer<typeof publishedSchema>>

export const unpublishedSchema = z.object({
  publisher: peerIdSchema,
  /** Of the catalog without it. */
  catalogVersion: count,
  /** Ids of the models that are still in it. */
  models: z.array(modelIdSchema).readonly(),
})
export type Unpublished = Readonly<z.infer<typeof unpublishedSchema>>

export type PublishChanges = Partial<
  Pick<ModelManifest, 'version' | 'name' | 'description' | 'licence' | 'sources'>
>

export interface ModelPullOptions {
  /** Ends it; what came is kept for the next time. */
  readonly signal?: AbortSignal | undefined
  /** At most five times a second, and at every step. */
  readonly onProgress?: ((progress: PullProgress) => void) | undefined
  /** A source was given up, and why. */
  readonly onSourceFailed?: ((failure: SourceFailure) => void) | undefined
}

export interface ModelRepairOptions {
  readonly signal?: AbortSignal | undefined
  /** Bytes that were read, of all. */
  readonly onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined
}

/** What moves models: of this process, or of a node that runs beside it. */
export interface ModelsPort {
  /**
   * Fetches a model: by its id or SHA-256, from a manifest's file, or from `hf:owner/repo/file`, `https://…`.
   *
   * @throws QMeshError `QM_MODEL_NOT_FOUND` with near names, `QM_SOURCE_FAILED`, `QM_MODEL_INVALID`, `QM_DISK_FULL`,
   * `QM_MODEL_BUSY`, `QM_CANCELLED`
   */
  pull(name: string, options?: ModelPullOptions): Promise<PulledModel>
  /**
   * Offers models of this machine to others; without names all of them. What is offered already goes on.
   *
   * @param giveBytesMax bytes of each that are given from now on; absent: no end
   * @throws QMeshError `QM_MODEL_NOT_FOUND`, `QM_MODEL_DAMAGED`, `QM_TOO_MANY_REQUESTS`
   */
  seed(names: readonly string[], giveBytesMax?: number): Promise<readonly SeedStatus[]>
  /** Offers them no more; without names none at all. @throws QMeshError `QM_MODEL_NOT_FOUND` */
  unseed(names: readonly string[]): Promise<readonly SeedStatus[]>
  seeds(): Promise<readonly SeedStatus[]>
  /**
   * Finds the damaged blocks of a model and fetches those.
   *
   * @throws QMeshError `QM_MODEL_NOT_FOUND`, `QM_MODEL_DAMAGED`, `QM_SOURCE_FAILED`
   */
  repair(name: string, options?: ModelRepairOptions): Promise<Repaired>
  /**
   * Signs the manifest of a model and the catalog that it is in with the node's own key, offers the model, and tells the
   * peers.
   *
   * @throws QMeshError `QM_MODEL_NOT_FOUND`, `QM_MODEL_DAMAGED`, `QM_MANIFEST_INVALID`
   */
  publish(name: string, changes?: PublishChanges): Promise<Published>
  /**
   * Takes a model out of the node's own catalog, and tells the peers.
   *
   * @throws QMeshError `QM_MODEL_NOT_FOUND` for one that is not in it
   */
  unpublish(name: string): Promise<Unpublished>
  /**
   * Lets go of a model that is to be removed, if this node serves it only because it is here.
   *
   * @throws QMeshError `QM_MODEL_BUSY` when it still answers after a minute
   */
  release(name: string): Promise<void>
  /** Takes up what commands beside the node changed: models that were added or removed, and who is trusted. */
  refresh(): Promise<void>
}
