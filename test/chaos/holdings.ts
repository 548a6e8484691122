import { readdirSync, readlinkSync } from 'node:fs'
import { until, type ChaosMesh } from './mesh.ts'

/** What this process holds open, by kind: `Timeout`, `PipeWrap`, `ProcessWrap`, …; descriptors as `fd socket`, `fd file`, …. */
export type Holdings = Readonly<Record<string, number>>

/** Counts what keeps this process running and, where the system tells, its file descriptors. */
export function holdings(): Holdings {
  const counts: Record<string, number> = {}
  for (const kind of [...process.getActiveResourcesInfo(), ...descriptors().map((kind) => `fd ${kind}`)]) {
    counts[kind] = (counts[kind] ?? 0) + 1
  }
  return counts
}

/** On Linux only; elsewhere there are none to see. */
function descriptors(): string[] {
  let fds: string[] = []
  try {
    fds = readdirSync('/proc/self/fd')
  } catch {
    return []
  }
  return fds.flatMap((fd) => {
    try {
      const [, kind] = /^([a-z_]+):/.exec(readlinkSync(`/proc/self/fd/${fd}`)) ?? [undefined, 'file']
      return kind === undefined ? [] : [kind]
    } catch {
      // The one that the list was read through.
      return []
    }
  })
}

/** Milliseconds in which what a round held is given back. */
const givenBackMs = 15_000
/** Of these there are never more than at first, but for what each worker process and each hostile peer takes. */
const counted = ['ProcessWrap', 'PipeWrap', 'fd socket', 'fd pipe', 'fd anon_inode', 'fd file'] as const
/** A worker is a process and a pipe to it; a hostile peer has two UDP sockets. */
const perProcess: Holdings = { ProcessWrap: 1, PipeWrap: 1, 'fd socket': 1 }
const perHostile: Holdings = { 'fd socket': 2 }

/** Compares what this process holds between rounds with what it held before the first. */
export class Ledger {
  readonly #mesh: ChaosMesh
  readonly #atFirst: Holdings

  private constructor(mesh: ChaosMesh, atFirst: Holdings) {
    this.#mesh = mesh
    this.#atFirst = atFirst
  }

  static async open(mesh: ChaosMesh): Promise<Ledger> {
    await until('hostile peers that have joined', () => mesh.population !== undefined)
    return new Ledger(mesh, own(mesh) ?? {})
  }

  /** What is held that was not held before the first round; empty when all of it was given back. */
  async surplus(): Promise<string[]> {
    let left: string[] = []
    await until(
      'everything is given back',
      () => {
        const now = own(this.#mesh)
        // Somebody joins just now: nobody can tell what is whose.
        if (!now) return false
        left = counted
          .filter((kind) => (now[kind] ?? 0) > (this.#atFirst[kind] ?? 0))
          .map((kind) => `${kind}: ${now[kind] ?? 0} instead of ${this.#atFirst[kind] ?? 0}`)
        return left.length === 0
      },
      givenBackMs,
    ).catch((error: Error) => left.push(error.message))
    return left
  }
}

/** Without what belongs to the workers and hostile peers of the moment. */
function own(mesh: ChaosMesh): Holdings | undefined {
  const { population } = mesh
  if (!population) return undefined
  const all = holdings()
  return Object.fromEntries(
    counted.map((kind) => [
      kind,
      (all[kind] ?? 0) -
        population.processes * (perProcess[kind] ?? 0) -
        population.hostiles * (perHostile[kind] ?? 0),
    ]),
  )
}
