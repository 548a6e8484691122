import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { limits, protocolVersion, type ErrorCode } from '../../../protocol/index.ts'
import { createRandom } from '../../../machines/selection/random.ts'
import { standingTerms } from '../../../machines/selection/standing.ts'
import { WorkerDirectory } from '../../../machines/selection/worker-directory.ts'
import { atOnceBesideIdle, busiestWindow, codesOf, requestsMax, type Manner } from './bounds.ts'
import { llama, toStatus, toWorkerId } from './support.ts'

const bad = toWorkerId(0)
const good = toWorkerId(1)
const hello = { models: [llama], protocol: protocolVersion, local: false }
const windowsMs = [60_000, 600_000]

interface History {
  readonly manner: Manner
  readonly seed: number
  /** Milliseconds between two looks, and requests that want a worker at each. */
  readonly everyMs: number
  readonly burst: number
  /** Milliseconds until the worker turns a request down, each time one of these. */
  readonly afterMs: readonly number[]
  readonly retryAfterMs: number
  readonly firstToken: boolean
  /** Somebody else: nobody, one with a queue, one that is always free. */
  readonly others: 'none' | 'busy' | 'idle'
  /** The part of its requests that the client cancels. */
  readonly cancelShare: number
  /** It leaves and comes back every so often, or never. */
  readonly reconnectsMs: number
}

const history: fc.Arbitrary<History> = fc.record({
  manner: fc.constantFrom<Manner>('failure', 'failure', 'refusal', 'verdict', 'shared-verdict', 'mixed'),
  seed: fc.integer(),
  everyMs: fc.constantFrom(7, 50, 260, 1_300, 3_100),
  burst: fc.constantFrom(1, 3, 80),
  afterMs: fc.array(fc.constantFrom(0, 1, 50, 400, 2_500, 15_000, 60_000), { minLength: 1, maxLength: 3 }),
  retryAfterMs: fc.constantFrom(0, 0, 10, 1e9),
  firstToken: fc.boolean(),
  others: fc.constantFrom('none', 'busy', 'idle'),
  cancelShare: fc.constantFrom(0, 0, 0.3),
  reconnectsMs: fc.constantFrom(Infinity, Infinity, 1_000, 20_000),
})

const looks = 220

/** When the worker that answers nothing got the requests that were not cancelled. */
function play(played: History): number[] {
  const { manner, everyMs, burst, afterMs, retryAfterMs, firstToken, others, cancelShare, reconnectsMs } =
    played
  const random = createRandom(played.seed)
  const oneOf = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)]
  const directory = new WorkerDirectory()
  const lie = toStatus({ slots: 1_000, queueCapacity: 1_000 })
  const connect = (atMs: number): void => {
    directory.hello(bad, hello, atMs)
    directory.status(bad, lie, atMs)
  }
  connect(0)
  // Where verdicts are shared there is nobody who answers.
  const isAlone = others === 'none' || manner === 'shared-verdict'
  if (!isAlone) {
    directory.hello(good, hello, 0)
    const load = others === 'busy' ? { slotsBusy: 2, queueLength: 15 } : {}
    directory.status(good, toStatus({ ...load, healthScore: 60 }), 0)
    directory.started(good, 0)
    directory.finished(good, { tokens: 20, ms: 400 }, 0)
  }
  const open: { readonly endMs: number; readonly code: ErrorCode | undefined }[] = []
  const sent: number[] = []
  let connectedMs = 0
  for (let look = 0; look < looks; look++) {
    const atMs = look * everyMs
    for (let place = open.length - 1; place >= 0; place--) {
      const attempt = open[place]
      if (attempt === undefined || attempt.endMs > atMs) continue
      open.splice(place, 1)
      if (firstToken) directory.firstToken(bad, { promptTokens: 10, ms: 1 }, atMs)
      if (attempt.code === undefined) directory.cancelled(bad)
      else directory.failed(bad, attempt.code, atMs, retryAfterMs)
    }
    if (atMs - connectedMs >= reconnectsMs) {
      directory.remove(bad, atMs)
      connect(atMs)
      connectedMs = atMs
    }
    directory.status(bad, lie, atMs)
    let answered = 0
    for (let request = 0; request < burst && answered < 2; request++) {
      const { workerId } = directory.choose(
        { modelId: 'llama', exclude: new Set() },
        random() * 2 ** 32,
        atMs,
      )
      if (workerId === null) break
      directory.started(workerId, atMs)
      if (workerId === good) {
        directory.finished(good, { tokens: 20, ms: 400 }, atMs)
        answered++
        continue
      }
      const isCancelled = random() < cancelShare
      if (!isCancelled) sent.push(atMs)
      open.push({
        endMs: atMs + (oneOf(afterMs) ?? 0),
        code: isCancelled ? undefined : oneOf(codesOf[manner]),
      })
    }
  }
  return sent
}

describe('a worker that fails every request', () => {
  it('gets at most a bounded number of them in any window, whatever it claims and the others do', () => {
    fc.assert(
      fc.property(history, (played) => {
        const { manner, others } = played
        const isShared = others === 'none' && (manner === 'verdict' || manner === 'mixed')
        const sent = play(played)
        for (const windowMs of windowsMs) {
          // Where nobody else answers, it is believed that the client is to blame, though a little at a time.
          const more = isShared ? requestsMax('shared-verdict', windowMs) : 0
          expect(busiestWindow(sent, windowMs)).toBeLessThanOrEqual(requestsMax(manner, windowMs) + more)
        }
      }),
      { numRuns: Number(process.env['QMESH_TEST_RUNS'] ?? 300) },
    )
  })

  it('gets a handful where somebody else is free', () => {
    const besideIdle = history.map((played): History => ({ ...played, others: 'idle' }))
    fc.assert(
      fc.property(
        besideIdle.filter(({ manner }) => manner !== 'shared-verdict'),
        (played) => {
          const sent = play(played)
          for (const windowMs of windowsMs) {
            expect(busiestWindow(sent, windowMs)).toBeLessThanOrEqual(
              requestsMax(played.manner, windowMs, atOnceBesideIdle),
            )
          }
        },
      ),
      { numRuns: Number(process.env['QMESH_TEST_RUNS'] ?? 200) },
    )
  })

  // Numbers, not the policy's own terms: a breaker that opens later has to fail here.
  it('gets in ten minutes no more than it did when this was written', () => {
    const tenMinutesMs = 600_000
    expect(requestsMax('failure', tenMinutesMs)).toBeLessThanOrEqual(76)
    expect(requestsMax('refusal', tenMinutesMs)).toBeLessThanOrEqual(100)
    expect(requestsMax('verdict', tenMinutesMs)).toBeLessThanOrEqual(107)
    expect(requestsMax('failure', tenMinutesMs, atOnceBesideIdle)).toBeLessThanOrEqual(17)
    expect(requestsMax('refusal', tenMinutesMs, atOnceBesideIdle)).toBeLessThanOrEqual(41)
    expect(requestsMax('verdict', tenMinutesMs, atOnceBesideIdle)).toBeLessThanOrEqual(48)
    // And in the long run one every five minutes, or every half a minute.
    const hourMs = 3_600_000
    expect(requestsMax('failure', 2 * hourMs) - requestsMax('failure', hourMs)).toBe(12)
    expect(requestsMax('refusal', 2 * hourMs) - requestsMax('refusal', hourMs)).toBe(120)
  })

  it.each([
    ['the wire allows', limits.requestsPerPeerMax, false],
    ['an unproven one is trusted with where somebody else is free', atOnceBesideIdle, true],
  ])('holds no more of a silent one than %s, for ever', (_, most, isBesideIdle) => {
    const directory = new WorkerDirectory()
    directory.hello(bad, hello, 0)
    if (isBesideIdle) directory.hello(good, hello, 0)
    let sent = 0
    for (let atMs = 0; atMs < 3_600_000; atMs += 1_000) {
      directory.status(bad, toStatus({ slots: 1_000 }), atMs)
      directory.status(good, toStatus({ healthScore: 60 }), atMs)
      if (directory.choose({ exclude: new Set() }, atMs, atMs).workerId !== bad) continue
      directory.started(bad, atMs)
      sent++
    }
    expect(sent).toBe(most)
  })

  it('is probed by one request at a time, whatever came before', () => {
    fc.assert(
      fc.property(history, fc.integer({ min: 3, max: 64 }), (played, more) => {
        const directory = new WorkerDirectory()
        directory.hello(bad, hello, 0)
        for (let time = 0; time < more; time++) directory.started(bad, 0)
        for (let time = 0; time < more; time++) directory.failed(bad, codesOf.failure[0], 0)
        const openMs = standingTerms.openMs.first
        for (let turn = 0; turn < 100; turn++) {
          const atMs = openMs + turn * played.everyMs
          const { workerId } = directory.choose({ exclude: new Set() }, played.seed + atMs, atMs)
          expect(workerId).toBe(atMs === openMs ? bad : null)
          if (workerId !== null) directory.started(workerId, atMs)
        }
      }),
    )
  })
})
