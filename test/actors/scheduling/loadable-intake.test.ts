import { describe, expect, it } from 'vitest'
import type { EngineHost, GenerationResult } from '../../../actors/inference/engine.port.ts'
import type { ClientWire } from '../../../actors/peer/wire.ts'
import { Intake } from '../../../actors/scheduling/intake.ts'
import type { Job } from '../../../actors/scheduling/job.ts'
import { newcomer } from '../../../machines/scheduling/index.ts'
import { defaultSampling, QMeshError, type Prompt, type WorkerMessage } from '../../../protocol/index.ts'
import { withResolvers } from '../../support/with-resolvers.ts'

const hash = 'a'.repeat(64)
const result: GenerationResult = {
  reason: 'stop',
  promptTokens: 17,
  cachedTokens: 0,
  completionTokens: 0,
  firstTokenMs: 1,
  totalMs: 2,
}

const prompt: Prompt = {
  type: 'prompt',
  requestId: '1'.padStart(32, '0'),
  modelId: 'tiny',
  prompt: 'x'.repeat(40),
  sampling: defaultSampling,
  maxTokens: 8,
  stop: [],
}

/** An intake of a worker whose model is not loaded until the test says so. */
function createRig() {
  const hosts = new Map<string, EngineHost>()
  const submitted: Job[] = []
  const sent: WorkerMessage[] = []
  const intake = new Intake({
    hosts,
    loadable: (modelId) => (modelId === 'tiny' ? { hash } : undefined),
    queue: { submit: (job) => submitted.push(job), cancel: () => {} },
    closedBecause: () => undefined,
    admit: () => ({ precedence: newcomer, retryAfterMs: 0 }),
    stopSlot: () => {},
    now: () => 0,
  })
  const wire: ClientWire = { peerId: 'c'.repeat(64), send: (message) => sent.push(message) }
  const load = (prepare: EngineHost['prepare']): EngineHost => {
    const host: EngineHost = {
      model: { id: 'tiny', hash, contextTokens: 512, slots: 1, backend: 'cpu', threads: 1, memoryMb: 1 },
      prepare,
      release: () => {},
      generate: () => ({ cancel: () => {}, acknowledge: () => {}, finished: Promise.resolve(result) }),
      lost: new Promise(() => {}),
      close: () => Promise.resolve(),
    }
    hosts.set('tiny', host)
    return host
  }
  const settled = () => new Promise<void>((resolve) => void setImmediate(resolve))
  return { intake, hosts, submitted, sent, wire, load, settled }
}

describe('a request for a model that is not loaded', () => {
  it('is queued with a guess of its tokens, and told the truth before it starts', async () => {
    const { intake, submitted, sent, wire, load, settled } = createRig()
    expect(intake.received(wire, prompt)).toBe('ok')
    const [job] = submitted
    expect(job).toMatchObject({ promptTokens: 10, phase: 'waiting' })
    if (!job) return
    intake.moved(job.id, 1, 5_000)
    load(() => Promise.resolve({ promptTokens: 17 }))
    intake.assigned(job.id, 'tiny/0', 3)
    intake.run(job.id, { firstToken: () => {}, finished: () => {}, failed: () => {} })
    await settled()
    expect(sent).toMatchObject([
      { type: 'queue-status', position: 1, etaMs: 5_000, promptTokens: 10 },
      { type: 'queue-status', position: 0, promptTokens: 17 },
      { type: 'response', finish: { promptTokens: 17 } },
    ])
  })

  it('is refused when it means another file of that name, or a model that cannot be loaded either', () => {
    const { intake, submitted, sent, wire } = createRig()
    intake.received(wire, { ...prompt, modelHash: 'b'.repeat(64) })
    intake.received(wire, { ...prompt, requestId: '2'.padStart(32, '0'), modelId: 'unknown' })
    expect(submitted).toEqual([])
    expect(sent).toMatchObject([{ code: 'QM_MODEL_UNKNOWN' }, { code: 'QM_MODEL_UNKNOWN' }])
  })

  it('waits for it again when it makes room while the tokens are counted', async () => {
    const { intake, hosts, submitted, sent, wire, load, settled } = createRig()
    const counting = withResolvers<{ promptTokens: number }>()
    load(() => counting.promise)
    intake.received(wire, prompt)
    await settled()
    expect(submitted).toEqual([])
    hosts.delete('tiny')
    counting.reject(new QMeshError('QM_CANCELLED'))
    await settled()
    expect(submitted).toMatchObject([{ promptTokens: 10, phase: 'waiting' }])
    expect(sent).toEqual([])
  })
})
