import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EngineHost } from '../../../actors/inference/engine.port.ts'
import { callForms, parseCalls } from '../../../machines/tools/index.ts'
import { toolStyles, type Tool, type ToolStyle } from '../../../protocol/index.ts'
import { ask, createInferenceRig, type Asked } from '../../support/inference-rig.ts'
import { toolTemplates } from '../../support/tool-templates.ts'

const rig = createInferenceRig()
const hosts = new Map<ToolStyle, EngineHost>()
let plain: EngineHost

beforeAll(async () => {
  for (const style of toolStyles)
    hosts.set(style, await rig.load(rig.model({ slots: 2, chatTemplate: toolTemplates[style], marks })))
  plain = await rig.load(rig.model({ slots: 2 }))
}, 60_000)
afterAll(() => rig.close())

/** As Qwen and Mistral have them. */
const marks = [
  { text: '<tool_call>', isControl: false },
  { text: '</tool_call>', isControl: false },
  { text: '[TOOL_CALLS]', isControl: true },
]

const hostOf = (style: ToolStyle): EngineHost => {
  const host = hosts.get(style)
  if (!host) throw new Error(`no ${style}`)
  return host
}

const weather: Tool = {
  name: 'get_weather',
  description: 'Says how the weather is.',
  parameters: JSON.stringify({
    type: 'object',
    properties: {
      city: { type: 'string', maxLength: 8 },
      unit: { enum: ['c', 'f'] },
      days: { type: 'integer', minimum: 1 },
    },
    required: ['city', 'unit'],
    additionalProperties: false,
  }),
}
const nap: Tool = {
  name: 'nap',
  parameters: '{"type":"object","properties":{}, "additionalProperties": false}',
}
const messages = [{ role: 'user' as const, content: 'the weather' }]
const read = (style: ToolStyle, text: string, isParallel = true) =>
  parseCalls(text, { style, names: ['get_weather', 'nap'], isParallel, toId: (index) => `call${index}` })

describe.each(toolStyles)('a model that writes calls as %s', (style) => {
  const asked: Asked = { messages, tools: [weather, nap], maxTokens: 300 }

  it('says so', () => {
    expect(hostOf(style).model.tools).toBe(style)
  })

  it('calls the function that it must, and nothing else', async () => {
    for (const seed of [1, 2, 3]) {
      const sampling = { temperature: 2, topK: 0, topP: 1, minP: 0, seed }
      const answer = await ask(hostOf(style), { ...asked, toolChoice: { name: 'get_weather' }, sampling })
      expect(answer.result.reason).toBe('stop')
      const { text, calls } = read(style, answer.text)
      expect(text).toBe('')
      expect(calls).toHaveLength(1)
      const [call] = calls
      expect(call?.name).toBe('get_weather')
      const given = JSON.parse(call?.arguments ?? '') as Record<string, unknown>
      expect(given).toMatchObject({ city: expect.any(String), unit: expect.stringMatching(/^[cf]$/) })
      if ('days' in given) expect(Number.isInteger(given['days'])).toBe(true)
    }
  })

  it('calls something where it must, once where it may not call twice', async () => {
    for (const seed of [4, 5]) {
      const sampling = { temperature: 2, topK: 0, topP: 1, minP: 0, seed }
      const answer = await ask(hostOf(style), {
        ...asked,
        toolChoice: 'required',
        parallelToolCalls: false,
        sampling,
      })
      const { text, calls } = read(style, answer.text)
      expect({ text, names: calls.length, reason: answer.result.reason }).toEqual({
        text: '',
        names: 1,
        reason: 'stop',
      })
    }
  })
})

/** Everything is about as likely as everything else. */
const wild = (seed: number) => ({ temperature: 5, topK: 0, topP: 1, minP: 0, seed })

describe.each(['hermes', 'mistral'] as const)('a model that may call as %s', (style) => {
  const asked: Asked = { messages, tools: [weather, nap], maxTokens: 400 }

  let found: ReturnType<typeof lookForCaller> | undefined
  const findCaller = () => (found ??= lookForCaller())

  /** Sooner or later one draws the mark. */
  async function lookForCaller() {
    for (let seed = 1; seed < 60; seed++) {
      const answer = await ask(hostOf(style), { ...asked, sampling: wild(seed) })
      const { begin } = callForms[style]
      const before = answer.text.indexOf(begin)
      if (before > 0 && answer.result.reason === 'stop') return { answer, seed, before }
    }
    throw new Error('nobody called')
  }

  it('writes text first, and from the mark on a call, whole and right', async () => {
    const { answer, before } = await findCaller()
    const { text, calls } = read(style, answer.text)
    expect(text).toBe(answer.text.slice(0, before).trimEnd())
    expect(calls.length).toBeGreaterThan(0)
    for (const { name, arguments: given } of calls) {
      const value = JSON.parse(given) as object
      if (name === 'nap') expect(value).toEqual({})
      else expect(value).toMatchObject({ city: expect.any(String), unit: expect.stringMatching(/^[cf]$/) })
    }
  })

  it('makes the same call when another worker goes on in the middle of it, wherever that is', async () => {
    const { answer, seed, before } = await findCaller()
    const { tokens } = answer
    const cuts = [1, 3, 8, 20, tokens.length - 30, tokens.length - 9, tokens.length - 2, tokens.length - 1]
    for (const cut of cuts.filter((at) => at > 0 && at < tokens.length)) {
      const resume = { tokens: tokens.slice(0, cut), chars: 0, mode: 'exact' as const }
      const rest = await ask(hostOf(style), { ...asked, sampling: wild(seed), resume })
      expect(rest.tokens).toEqual(tokens.slice(cut))
      expect(rest.text).toBe(answer.text)
      expect(before).toBeGreaterThan(0)
    }
  })

  it('makes a right call when another worker goes on quickly', async () => {
    const { answer, seed } = await findCaller()
    const { tokens } = answer
    const resume = { tokens: tokens.slice(0, -12), chars: 0, mode: 'fast' as const }
    const rest = await ask(hostOf(style), { ...asked, sampling: wild(seed), maxTokens: 500, resume })
    const { calls } = read(style, rest.text)
    expect(calls.length).toBeGreaterThan(0)
    for (const call of calls) expect(JSON.parse(call.arguments)).toBeTypeOf('object')
  })
})

describe('a model whose template knows no functions', () => {
  it('is not offered any', async () => {
    expect(plain.model.tools).toBeUndefined()
    await expect(ask(plain, { messages, tools: [nap] })).rejects.toMatchObject({
      code: 'QM_TOOLS_UNSUPPORTED',
    })
  })
})
