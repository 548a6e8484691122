import { protocolVersion } from '../../protocol/index.ts'
import { assess, type SelectionQuery } from '../../machines/selection/select.ts'
import { createRandom } from '../../machines/selection/random.ts'
import { select } from '../../machines/selection/select.ts'
import { WorkerDirectory } from '../../machines/selection/worker-directory.ts'
import type { Candidate } from '../../machines/selection/candidate.ts'
import { freshStanding } from '../../machines/selection/standing.ts'
import { afterAnswer, afterFirstToken, unknownSpeed } from '../../machines/selection/speed.ts'
import type { BenchRow } from './bench-row.ts'
import { median } from './median.ts'

const targetsUs = new Map([
  [10, 5],
  [100, 20],
  [1_000, 150],
  [10_000, 1_500],
])
const runs = 9
const model = { id: 'llama', hash: 'ab'.repeat(32), contextTokens: 4_096, slots: 4 }
const query: SelectionQuery = { modelId: 'llama', contextTokens: 1_000, exclude: [] }

/** Workers as a busy evening leaves them: all measured, a third with a queue. */
function workers(count: number): Candidate[] {
  const random = createRandom(count)
  return Array.from({ length: count }, (_, index) => {
    let speed = unknownSpeed()
    for (let answer = 0; answer < 6; answer++) {
      speed = afterFirstToken(speed, { promptTokens: 200, ms: 100 + random() * 900 }, 0)
      speed = afterAnswer(speed, { tokens: 100, ms: 2_000 + random() * 6_000 }, 0)
    }
    return {
      workerId: index.toString(16).padStart(64, '0'),
      local: false,
      protocol: protocolVersion,
      models: [model],
      load: {
        healthScore: Math.round(20 + random() * 80),
        state: 'light',
        accepting: true,
        queueLength: random() < 0.3 ? Math.floor(random() * 16) : 0,
        queueCapacity: 16,
        slotsBusy: Math.floor(random() * 5),
        slots: 4,
      },
      inFlight: 0,
      unreported: 0,
      turns: { count: Math.floor(random() * 100), atMs: 0 },
      standing: freshStanding,
      speed,
    }
  })
}

/** The same key for every candidate, all of them sorted by it, the first taken. */
function bySorting(candidates: readonly Candidate[], nowMs: number): string | undefined {
  const scored = candidates.flatMap((candidate) => {
    const assessment = assess(candidate, query, nowMs)
    return typeof assessment === 'string' ? [] : [{ candidate, assessment }]
  })
  scored.sort((a, b) => a.assessment.group - b.assessment.group || b.assessment.score - a.assessment.score)
  return scored[0]?.candidate.workerId
}

function microseconds(times: number, once: (turn: number) => unknown): number {
  const startedAt = performance.now()
  for (let turn = 0; turn < times; turn++) once(turn)
  return ((performance.now() - startedAt) / times) * 1_000
}

/** Choosing with its trace, against a sort of the same candidates by the same key. */
export async function run(): Promise<BenchRow[]> {
  const rows: BenchRow[] = []
  for (const [count, targetUs] of targetsUs) {
    const candidates = workers(count)
    const times = Math.max(20, Math.round(200_000 / count))
    microseconds(times, (turn) => select(candidates, query, turn, turn))
    microseconds(times, (turn) => bySorting(candidates, turn))
    const ours = median(
      Array.from({ length: runs }, () =>
        microseconds(times, (turn) => select(candidates, query, turn, turn)),
      ),
    )
    const sorting = median(
      Array.from({ length: runs }, () => microseconds(times, (turn) => bySorting(candidates, turn))),
    )
    rows.push({
      what: `choose among ${count.toLocaleString('en')} candidates`,
      ours,
      unit: 'µs',
      peer: { name: 'Array.sort', value: sorting },
      ratio: ours / sorting,
      target: `≤ ${targetUs.toLocaleString('en')} µs`,
    })
  }
  for (const count of targetsUs.keys()) rows.push(directoryRow(count))
  return rows
}

/** The whole round through the directory: choose, start, first token, finish, and a status in between. */
function directoryRow(count: number): BenchRow {
  const directory = new WorkerDirectory()
  const candidates = workers(count)
  for (const { workerId, models, protocol, load } of candidates) {
    directory.hello(workerId, { models, protocol, local: false }, 0)
    directory.status(workerId, { type: 'status', models: [model], ...load }, 0)
  }
  const none = new Set<string>()
  const once = (turn: number): void => {
    const { workerId } = directory.choose({ modelId: 'llama', exclude: none }, turn, turn)
    if (workerId === null) throw new Error('somebody is free')
    directory.started(workerId, turn)
    directory.firstToken(workerId, { promptTokens: 200, ms: 300 }, turn)
    directory.finished(workerId, { tokens: 100, ms: 3_000 }, turn)
  }
  const times = Math.max(20, Math.round(100_000 / count))
  microseconds(times, once)
  return {
    what: `a request's whole round, ${count.toLocaleString('en')} workers known`,
    ours: median(Array.from({ length: runs }, () => microseconds(times, once))),
    unit: 'µs',
    note: 'choose, started, firstToken, finished',
  }
}
