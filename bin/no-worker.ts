import { HintedError, QMeshError } from '../runtime/error-report.ts'
import type { MeshAccess } from './mesh-access.ts'

/** What is said beside an answer that nobody else was there to give. */
export const fallbackText = 'no worker was reached: the built-in model on this machine answered'

/** What to do when the mesh that the command line names has no worker. */
export const namedMeshHint =
  '--bootstrap and --secret must be those of the mesh: "qmesh-node workers" with the same ones shows who is there; ' +
  '--local asks the models of this machine instead'

/** What to do when nobody makes embeddings. The model is a small one of the catalogue. */
export const embeddingHint =
  '"qmesh-node models pull all-minilm-l6-v2" fetches a model for embeddings, then ' +
  '"qmesh-node up --model all-minilm-l6-v2" serves it'

/** Whether the model that comes with the package answered, because there was nobody else. */
export const isFallback = (
  { fallbackId }: MeshAccess,
  { workerId }: { readonly workerId: string },
): boolean => fallbackId !== undefined && workerId === fallbackId

/** An error that says that nobody was there, with what this way to ask makes of it; any other as it is. */
export function toHinted(error: unknown, { noWorkerHint }: MeshAccess): unknown {
  if (noWorkerHint === undefined || !(error instanceof QMeshError) || error.code !== 'QM_NO_WORKERS') {
    return error
  }
  return new HintedError(error, noWorkerHint)
}
