import type { Llama, LlamaGrammar, LlamaModel } from 'node-llama-cpp'
import { describe, expect, it } from 'vitest'
import { QMeshError } from '../../../protocol/index.ts'
import { compileJsonSchema } from '../../../actors/inference/llama/thread/json-schema.ts'
import { toGrammarState } from '../../../actors/inference/llama/thread/grammar-state.ts'
import { toResumeTokens } from '../../../actors/inference/llama/thread/resume.ts'
import { VitalSigns } from '../../../actors/inference/llama/vital-signs.ts'

/**
 * Whoever ends a thread asks its vital signs whether it is in native code, and whoever looks for a hang whether it gets
 * on: a call that is not counted there would be cut off in the engine, and take the process along.
 */
function createProbe(work: () => void = () => {}) {
  const vitals = new VitalSigns()
  const calls: boolean[] = []
  const probe = (): void => {
    calls.push(vitals.isInNativeCode)
    work()
  }
  const llama = {
    createGrammarForJsonSchema: () => Promise.resolve(probe()),
    _bindings: {
      AddonGrammarEvaluationState: function () {
        probe()
      },
      AddonSampler: { acceptGrammarEvaluationStateToken: probe },
    },
  }
  const model = { _llama: llama, isEogToken: () => (probe(), false) }
  return {
    vitals,
    calls,
    llama: llama as unknown as Llama,
    model: model as unknown as LlamaModel,
    grammar: { _llama: llama } as unknown as LlamaGrammar,
  }
}

it.each<[string, number, (probe: ReturnType<typeof createProbe>) => unknown]>([
  ['compiling a schema', 1, ({ llama, vitals }) => compileJsonSchema(llama, '{"type":"boolean"}', vitals)],
  [
    'moving a grammar through an answer',
    4,
    ({ llama, model, grammar, vitals }) =>
      toGrammarState({ llama, model }, grammar, [1, 2, 3], vitals, () => {}),
  ],
  [
    'looking at the tokens to resume after',
    3,
    ({ model, vitals }) => toResumeTokens({ tokens: [1, 2, 3], chars: 0 }, model, 10, vitals),
  ],
])('%s is seen from outside while it lasts, and each step is progress', async (_, calls, run) => {
  const probe = createProbe()
  await run(probe)
  expect(probe.calls).toEqual(Array.from({ length: calls }, () => true))
  expect(probe.vitals.beats).toBe(calls)
  expect(probe.vitals.isInNativeCode).toBe(false)
  probe.vitals.forbidNativeCode()
  await expect((async () => run(probe))()).rejects.toMatchObject({ code: 'QM_ENGINE_CRASHED' })
  expect(probe.calls).toHaveLength(calls)
})

describe('a grammar that takes long for each token', () => {
  const slow = () => {
    const probe = createProbe(() => {
      const untilMs = performance.now() + 10
      while (performance.now() < untilMs);
    })
    const move = (throwIfClosed: () => void) =>
      toGrammarState(probe, probe.grammar, Array<number>(10_000).fill(1), probe.vitals, throwIfClosed)
    return { ...probe, move }
  }

  it('leaves the thread to others between the tokens, and is given up', async () => {
    let turns = 0
    const count = setInterval(() => turns++, 1)
    await expect(slow().move(() => {})).rejects.toMatchObject({ code: 'QM_RESUME_INVALID' })
    clearInterval(count)
    expect(turns).toBeGreaterThan(20)
  })

  it('does not go on once the model is closed', async () => {
    const { calls, move } = slow()
    const throwIfClosed = (): void => {
      throw new QMeshError('QM_CANCELLED')
    }
    await expect(move(throwIfClosed)).rejects.toMatchObject({ code: 'QM_CANCELLED' })
    expect(calls.length).toBeLessThan(4)
  })
})
