import { HintedError, QMeshError } from '../runtime/error-report.ts'
import { nearNames } from '../runtime/near-names.ts'
import type { MeshAccess } from './mesh-access.ts'
import { note } from './output.ts'
import { isShown, type Spinner } from './spinner.ts'

/** What to do when the mesh that the command line names has no worker. */
export const namedMeshHint =
  '--bootstrap and --secret must be those of the mesh: "qmesh-node workers" with the same ones shows who is there; ' +
  '--local asks the models of this machine instead'

/** What to do when nobody makes embeddings. The model is a small one of the catalogue. */
export const embeddingHint =
  '"qmesh-node models pull all-minilm-l6-v2" fetches a model for embeddings, then ' +
  '"qmesh-node up --model all-minilm-l6-v2" serves it'

/** What is said beside an answer of the model that comes with the package, when the mesh gave none. */
export function fallbackText(
  { fallback }: MeshAccess,
  { workerId }: { readonly workerId: string },
): string | undefined {
  if (fallback === undefined || workerId !== fallback.workerId) return undefined
  const why = fallback.hasMet ? 'no other worker took the question' : 'no worker was reached'
  return `${why}: the built-in model on this machine answered`
}

/** An error that says that nobody was there, with what this way to ask makes of it; any other as it is. */
export async function toHinted(error: unknown, access: MeshAccess): Promise<unknown> {
  if (!(error instanceof QMeshError) || error.code !== 'QM_NO_WORKERS') return error
  const hint = (await namesHint(access)) ?? access.noWorkerHint
  return hint === undefined ? error : new HintedError(error, hint)
}

/** Milliseconds that a model may stay unknown before that is said. */
const patienceMs = 1_000

/**
 * While nobody is found who holds the model that was named, says which there are: it may be mistyped, and whoever waits
 * for it in vain should know.
 *
 * @returns ends it
 */
export function tellNames(access: MeshAccess, spinner: Spinner): () => void {
  const { model } = access.target
  let isOver = false
  const tell = async (): Promise<void> => {
    const hint = await namesHint(access)
    if (isOver || hint === undefined) return
    const text = `waiting for a worker that holds "${model}"; ${hint}`
    spinner.text(text)
    if (!isShown()) note(text)
  }
  const timer = setTimeout(() => void tell(), patienceMs)
  return () => {
    isOver = true
    clearTimeout(timer)
  }
}

/** Models that are shown to somebody who named another one. */
const shownMax = 8

/** Which models there are, when the one that was named is not among them. */
async function namesHint({ port, target }: MeshAccess): Promise<string | undefined> {
  const { model, localOnly } = target
  if (model === undefined || localOnly) return undefined
  try {
    const workers = await port.workers()
    const known = [...new Set(workers.flatMap(({ models }) => models.map(({ id }) => id)))]
    if (known.length === 0 || known.includes(model)) return undefined
    const list = (names: readonly string[]): string => names.map((id) => `"${id}"`).join(', ')
    const near = nearNames(model, known)
    const names =
      near.length > 0 ? `did you mean ${list(near)}?` : `there are ${list(known.slice(0, shownMax))};`
    return `${names} "qmesh-node workers" shows all models`
  } catch {
    // A node that has stopped meanwhile knows none; what failed is said all the same.
    return undefined
  }
}
