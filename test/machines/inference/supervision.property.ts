import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createActor, fromCallback, SimulatedClock } from 'xstate'
import {
  hostMachine,
  inferenceMachine,
  recoveryDefaults,
  slotMachine,
  toSlotId,
  type EngineHostCommand,
  type EngineHostEvent,
  type EngineHostInput,
  type JobCommand,
  type JobEvent,
  type RunJobInput,
} from '../../../machines/inference/index.ts'

const ids = ['a', 'b']
const slots = 2

type Step =
  | { readonly kind: 'engine'; readonly id: string; readonly event: 'ready' | 'crash' | 'refuse' }
  | { readonly kind: 'run'; readonly slotId: string }
  | { readonly kind: 'cancel'; readonly slotId: string }
  | { readonly kind: 'job'; readonly end: 'finish' | 'fail' }
  | { readonly kind: 'wait'; readonly ms: number }

const slotId = fc.tuple(fc.constantFrom(...ids), fc.nat(slots)).map(([id, index]) => toSlotId(id, index))
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('engine' as const),
    id: fc.constantFrom(...ids),
    event: fc.constantFrom('ready' as const, 'ready' as const, 'crash' as const, 'refuse' as const),
  }),
  fc.record({ kind: fc.constant('run' as const), slotId }),
  fc.record({ kind: fc.constant('cancel' as const), slotId }),
  fc.record({ kind: fc.constant('job' as const), end: fc.constantFrom('finish' as const, 'fail' as const) }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 4_000 }) }),
)

describe('inference under random failures', () => {
  it('answers every job exactly once, restarts a bounded number of times, and always stops', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const clock = new SimulatedClock()
        const engines = new Map<string, (event: EngineHostEvent) => void>()
        const jobs: ((event: JobEvent) => void)[] = []
        const starts = new Map<string, number>()
        const engineHost = fromCallback<EngineHostCommand, EngineHostInput>(
          ({ input: { spec }, sendBack, receive }) => {
            starts.set(spec.id, (starts.get(spec.id) ?? 0) + 1)
            engines.set(spec.id, sendBack)
            receive(() => sendBack({ type: 'host.closed' }))
            return () => void engines.delete(spec.id)
          },
        )
        const runJob = fromCallback<JobCommand, RunJobInput>(({ sendBack }) => {
          jobs.push(sendBack)
          return () => void jobs.splice(jobs.indexOf(sendBack), 1)
        })
        const slot = slotMachine.provide({ actors: { runJob } })
        const host = hostMachine.provide({ actors: { engineHost, slot } })
        const actor = createActor(inferenceMachine.provide({ actors: { host } }), {
          clock,
          input: { models: ids.map((id) => ({ id, path: '/x' })), mathCores: 2, gpuLayers: 0, mlock: false },
        })
        const answers = new Map<string, number>()
        const count = ({ jobId }: { jobId: string }): void => {
          answers.set(jobId, (answers.get(jobId) ?? 0) + 1)
        }
        actor.on('slot.freed', count)
        actor.on('slot.refused', count)
        actor.start()
        await new Promise<void>((resolve) => setImmediate(resolve))

        let asked = 0
        for (const one of steps) {
          if (one.kind === 'run') actor.send({ type: 'slot.run', slotId: one.slotId, jobId: String(asked++) })
          else if (one.kind === 'cancel') actor.send({ type: 'slot.cancel', slotId: one.slotId })
          else if (one.kind === 'job') {
            const event: JobEvent = { type: 'job.failed', code: 'QM_INFERENCE_FAILED' }
            jobs[0]?.(one.end === 'fail' ? event : { type: 'job.failed', code: 'QM_CANCELLED' })
          } else if (one.kind === 'wait') for (let ms = 0; ms < one.ms; ms += 250) clock.increment(250)
          else if (one.kind === 'engine') engines.get(one.id)?.(toEvent(one.id, one.event))
        }
        for (const startCount of starts.values()) {
          expect(startCount).toBeLessThanOrEqual(recoveryDefaults.restartsMax + 1)
        }
        while (jobs.length > 0) jobs[0]?.({ type: 'job.failed', code: 'QM_CANCELLED' })
        for (let job = 0; job < asked; job++) expect(answers.get(String(job))).toBe(1)
        actor.send({ type: 'inference.stop' })
        for (let ms = 0; ms < 20_000; ms += 500) clock.increment(500)
        expect(actor.getSnapshot().status).toBe('done')
      }),
    )
  })
})

function toEvent(id: string, event: 'ready' | 'crash' | 'refuse'): EngineHostEvent {
  if (event === 'crash') return { type: 'host.lost', code: 'QM_ENGINE_CRASHED', message: '' }
  if (event === 'refuse') return { type: 'host.failed', code: 'QM_ENGINE_CRASHED', message: '' }
  const hash = 'a'.repeat(64)
  const model = { id, hash, contextTokens: 1, slots, backend: 'cpu', threads: 1, memoryMb: 1 } as const
  return { type: 'host.loaded', model }
}
