import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  errorCodes,
  limits,
  QMeshError,
  type ErrorCode,
  type WorkerMessage,
} from '../../../protocol/index.ts'
import type { AnswerResult } from '../../../actors/request/answer.ts'
import { createRig, settled, toFinish } from './rig.ts'

type Move =
  | { readonly kind: 'next'; readonly count: number; readonly isLast: boolean }
  | {
      readonly kind: 'frame'
      readonly seq: number
      readonly count: number
      readonly claims?: number
    }
  | { readonly kind: 'position'; readonly position: number }
  | { readonly kind: 'error'; readonly code: ErrorCode; readonly isForAll: boolean }
  | { readonly kind: 'read' }
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'cancel' }
  | { readonly kind: 'close' }

const moves = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('next' as const),
      count: fc.nat(40),
      isLast: fc.nat(30).map((n) => n === 0),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record(
      {
        kind: fc.constant('frame' as const),
        seq: fc.nat(60),
        count: fc.nat(limits.responseTokensMax),

        claims: fc.nat(60),
      },
      { requiredKeys: ['kind', 'seq', 'count'] },
    ),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('position' as const), position: fc.nat(3) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('error' as const),
      code: fc.constantFrom(...errorCodes),
      isForAll: fc.boolean(),
    }),
  },
  { weight: 8, arbitrary: fc.constant({ kind: 'read' as const }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.nat(3_000) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'cancel' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'close' as const }) },
)

const script = fc.array(moves, { maxLength: 60 })
/** Of half of them the reader stops reading somewhere: that fills the window. */
const scripts = fc.oneof(
  script,
  fc
    .tuple(script, fc.nat(20))
    .map(([all, until]) => all.filter(({ kind }, index) => kind !== 'read' || index < until)),
)

/** Every token carries its own index, so that a gap or a repeat shows in what the reader got. */
const toTokens = (seq: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => seq + index)

test('whatever a worker says, the reader gets each token once and in order, and nothing throws', async () => {
  await fc.assert(
    fc.asyncProperty(scripts, async (script: Move[]) => {
      const rig = createRig({ defaults: { attemptsMax: 2 } })
      const workers = [rig.addWorker(), rig.addWorker()]
      const answer = rig.asker.ask('hello', { maxTokens: 200 })
      await settled()
      const iterator = answer[Symbol.asyncIterator]()
      const read: number[] = []
      let reading: Promise<void> = Promise.resolve()
      let ended: unknown
      let sent = 0
      const say = (index: number, message: WorkerMessage): void => {
        expect(['ok', 'late', 'violation']).toContain(workers[index]?.say(message))
      }
      for (const move of script) {
        const index = workers[1]?.heard.length ? 1 : 0
        const { requestId } = answer
        if (move.kind === 'next') {
          const tokens = toTokens(sent, move.count)
          sent += move.count
          const finish = move.isLast ? { finish: toFinish(sent) } : {}
          say(index, {
            type: 'response',
            requestId,
            seq: sent - move.count,
            tokens,
            text: '.'.repeat(move.count),
            ...finish,
          })
        } else if (move.kind === 'frame') {
          const tokens = toTokens(move.seq, move.count)
          const finish = move.claims === undefined ? {} : { finish: toFinish(move.claims) }
          say(index, {
            type: 'response',
            requestId,
            seq: move.seq,
            tokens,
            text: '.'.repeat(move.count),
            ...finish,
          })
        } else if (move.kind === 'position') {
          say(index, { type: 'queue-status', requestId, position: move.position, etaMs: 9, promptTokens: 7 })
        } else if (move.kind === 'error') {
          say(index, {
            type: 'inference_error',
            code: move.code,
            message: 'no',
            ...(move.isForAll ? {} : { requestId }),
          })
        } else if (move.kind === 'pass') rig.pass(move.ms)
        else if (move.kind === 'cancel') answer.cancel()
        else if (move.kind === 'close') workers[index]?.disconnect()
        else {
          reading = iterator.next().then(
            ({ done, value }) => {
              if (value) read.push(...value.tokens)
              if (done) ended ??= 'done'
            },
            (error: unknown) => void (ended ??= error),
          )
          await Promise.race([reading, settled()])
        }
        if (index === 0 && workers[1]?.heard.length) sent = 0
        // A read that waited for these tokens has them only when its promise was heard.
        await settled()
        // One character a token: what lies unread is never more than the window.
        expect(answer.partial.length - read.length).toBeLessThanOrEqual(limits.unackedTokensMax)
      }
      answer.cancel()
      const outcome = await answer.result.catch((error: unknown) => error)
      expect(outcome instanceof QMeshError || (outcome as AnswerResult).requestId === answer.requestId).toBe(
        true,
      )
      for (let next = await iterator.next().catch(() => undefined); next && !next.done;) {
        read.push(...next.value.tokens)
        next = await iterator.next().catch(() => undefined)
      }
      expect(read).toStrictEqual(toTokens(0, read.length))
      // Each attempt that was started has exactly one end in the directory, and nothing is left open.
      const count = (what: string): number => rig.standing.filter(([entry]) => entry === what).length
      expect(count('finished') + count('failed') + count('cancelled')).toBe(count('started'))
      expect(rig.asker.open).toBe(0)
      expect(rig.dispatcher.size).toBe(0)
    }),
    { numRuns: Number(process.env['QMESH_TEST_RUNS'] ?? 300) },
  )
})
