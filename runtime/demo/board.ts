import type { WorkerSummary } from '../control/index.ts'
import type { ClientName, DemoMesh, DemoWorker, WorkerName } from './mesh.ts'
import type { DemoQuestion } from './question.ts'

/** What there is to see at this moment: the scenario writes it, a view reads it. */
export class DemoBoard {
  readonly questions: DemoQuestion[] = []
  /** The question whose text is worth reading along. */
  stream: DemoQuestion | undefined
  readonly #shutOutBy = new Set<ClientName>()
  readonly #mesh: DemoMesh

  constructor(mesh: DemoMesh) {
    this.#mesh = mesh
  }

  get workers(): readonly DemoWorker[] {
    return this.#mesh.workers
  }

  get shutOutBy(): readonly ClientName[] {
    return [...this.#shutOutBy]
  }

  nameOf(workerId: string | undefined): WorkerName | undefined {
    return this.workers.find(({ id }) => id === workerId)?.name
  }

  /** What a client was told by a worker, and makes of it. */
  seenBy(client: ClientName, { id }: DemoWorker): WorkerSummary | undefined {
    const { node } = this.#mesh.client(client)
    return node.workers().find(({ workerId }) => workerId === id)
  }

  /** Looks which clients ask the hostile worker no more. */
  look(): void {
    const hostile = this.workers.find(({ isHonest }) => !isHonest)
    if (!hostile) return
    for (const { name } of this.#mesh.clients) {
      const seen = this.seenBy(name, hostile)
      // After ten violations it is not even connected any more.
      if (!seen || seen.barred === 'breaker-open') this.#shutOutBy.add(name)
    }
  }
}
