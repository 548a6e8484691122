import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EngineHost } from '../../../actors/inference/engine.port.ts'
import { ask, createInferenceRig } from '../../support/inference-rig.ts'

const path = process.env['QMESH_TEST_MODEL'] ?? ''
const title = path === '' ? ' (skipped: QMESH_TEST_MODEL names no GGUF file)' : ''

describe.skipIf(path === '')(`a real instruct model${title}`, () => {
  const rig = createInferenceRig()
  let host: EngineHost
  beforeAll(async () => {
    host = await rig.load({ id: 'real', path, contextTokens: 1_024, slots: 2 })
  }, 300_000)
  afterAll(() => rig.close())

  const system = { role: 'system', content: 'You are a helpful assistant.' } as const

  it('answers with sense', async () => {
    const content = 'What is the capital of France?'
    const answer = await ask(host, { messages: [system, { role: 'user', content }], maxTokens: 40 })
    expect(answer.text).toContain('Paris')
  }, 120_000)

  it('ends its turn by itself', async () => {
    const content = 'Say only the word hello.'
    const answer = await ask(host, { messages: [system, { role: 'user', content }], maxTokens: 200 })
    expect(answer.result.reason).toBe('stop')
    expect(answer.text).not.toContain('<|')
  }, 120_000)

  it('writes JSON that fits the schema', async () => {
    const schema = { type: 'object', properties: { city: { type: 'string', maxLength: 40 } } }
    const content = 'What is the capital of France? Answer in JSON.'
    const answer = await ask(host, {
      messages: [system, { role: 'user', content }],
      jsonSchema: JSON.stringify(schema),
      maxTokens: 80,
    })
    expect(JSON.parse(answer.text)).toEqual({ city: expect.any(String) as string })
  }, 120_000)
})
