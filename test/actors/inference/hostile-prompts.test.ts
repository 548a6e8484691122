import { afterAll, describe, expect, it } from 'vitest'
import { ask, createInferenceRig, toRequest } from '../../support/inference-rig.ts'
import { limits } from '../../../protocol/index.ts'

const rig = createInferenceRig()
afterAll(() => rig.close())

describe('a prompt far longer than the context', () => {
  it('is refused before its length costs anybody anything, as text and as a chat', async () => {
    const host = await rig.load(rig.model())
    const startedAtMs = performance.now()
    // No token of the model has this character: whole, the engine would need seconds for each.
    const content = '\n'.repeat(limits.promptCharsMax)
    for (const asked of [{ prompt: content }, { messages: [{ role: 'user' as const, content }] }]) {
      await expect(host.prepare(toRequest('long', asked))).rejects.toMatchObject({
        code: 'QM_CONTEXT_EXCEEDED',
        message: expect.stringContaining('more than 1024 tokens') as string,
      })
    }
    expect(performance.now() - startedAtMs).toBeLessThan(3_000)
    expect((await ask(host, { maxTokens: 4 })).tokens.length).toBeGreaterThan(0)
  })
})

describe('a thread that tokenizes', () => {
  it('is not ended in the middle of it, which would end the process', async () => {
    // A look every 10 ms finds a hang at once, while the engine is busy with the text.
    const watchdog = { hangMs: 0.001, perPromptTokenMs: 0 }
    const host = await rig.load(rig.model({ contextTokens: 131_072, slots: 1 }), { watchdog })
    // On a busy machine a text may be done before the look comes: then another one is asked for.
    let failure: unknown
    for (let round = 0; round < 20 && failure === undefined; round++) {
      const request = toRequest(`long-${round}`, { prompt: '\n'.repeat(100_000) })
      failure = await host.prepare(request).then(
        () => undefined,
        (error: unknown) => error,
      )
    }
    expect(failure).toMatchObject({ code: 'QM_ENGINE_HUNG' })
    await host.close()
  })
})

describe('a chat template', () => {
  it.each([
    ['without an end', '{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}'],
    [
      'that doubles its text',
      "{% set ns = namespace(x='x') %}{% for a in range(64) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    ],
  ])(
    '%s is not used',
    async (_, chatTemplate) => {
      const host = await rig.load(rig.model({ chatTemplate }))
      const answer = await ask(host, { messages: [{ role: 'user', content: 'hello' }], maxTokens: 4 })
      expect(answer.result.completionTokens).toBeGreaterThan(0)
    },
    90_000,
  )
})
