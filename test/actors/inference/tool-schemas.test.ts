import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EngineHost } from '../../../actors/inference/engine.port.ts'
import { toCallGrammar } from '../../../actors/inference/llama/thread/call-grammar.ts'
import { parseCalls } from '../../../machines/tools/index.ts'
import { limits } from '../../../protocol/index.ts'
import { ask, createInferenceRig, type Asked } from '../../support/inference-rig.ts'
import { hermesTemplate } from '../../support/tool-templates.ts'

const rig = createInferenceRig()
let host: EngineHost

beforeAll(async () => {
  host = await rig.load(rig.model({ chatTemplate: hermesTemplate, contextTokens: 4_096 }))
}, 60_000)
afterAll(() => rig.close())

const messages = [{ role: 'user' as const, content: 'x' }]
/** Which days a month has is beyond a grammar. */
const ajv = new Ajv2020({ strict: false, validateFormats: false })

function call(schema: object, rest: Partial<Asked> = {}, isStrict = false) {
  return ask(host, {
    messages,
    tools: [{ name: 'f', parameters: JSON.stringify(schema), strict: isStrict }],
    toolChoice: { name: 'f' },
    maxTokens: 1_500,
    sampling: { temperature: 3, topK: 0, topP: 1, minP: 0, seed: 5 },
    ...rest,
  })
}

/** Short, so that a random model comes to an end. */
const word = { type: 'string', maxLength: 3 }
const node = {
  type: 'object',
  properties: { word, next: { anyOf: [{ type: 'null' }, { $ref: '#/$defs/node' }] } },
  required: ['word', 'next'],
}

describe('arguments of a random model', () => {
  it.each([
    ['optional ones', { properties: { a: word, b: word, c: word } }],
    [
      'required and optional ones',
      { properties: { a: word, b: { type: 'boolean' }, c: word }, required: ['b'] },
    ],
    ['what is required and not described', { properties: {}, required: ['a'] }],
    [
      'enumerations of all kinds',
      { properties: { a: { enum: [1, null, 'x"\\\n\b\f', { b: [] }] } }, required: ['a'] },
    ],
    ['a constant', { properties: { a: { const: 'é\u0007/' } }, required: ['a'] }],
    [
      'one of several',
      { properties: { a: { oneOf: [{ type: 'boolean' }, { type: 'null' }] } }, required: ['a'] },
    ],
    ['several types', { properties: { a: { type: ['integer', 'null'] } }, required: ['a'] }],
    [
      'lists',
      {
        properties: { a: { type: 'array', items: { enum: [1, 2] }, minItems: 2, maxItems: 4 } },
        required: ['a'],
      },
    ],
    ['an empty list', { properties: { a: { type: 'array', maxItems: 0 } }, required: ['a'] }],
    [
      'tuples',
      { properties: { a: { type: 'array', prefixItems: [word, { type: 'boolean' }] } }, required: ['a'] },
    ],
    ['a chain', { properties: { a: { $ref: '#/$defs/node' } }, required: ['a'], $defs: { node } }],
    [
      'older definitions',
      { properties: { a: { $ref: '#/definitions/w' } }, required: ['a'], definitions: { w: word } },
    ],
    [
      'text of a length',
      { properties: { a: { type: 'string', minLength: 4, maxLength: 6 } }, required: ['a'] },
    ],
    [
      'dates',
      {
        properties: { a: { type: 'string', format: 'date' }, b: { type: 'string', format: 'time' } },
        required: ['a', 'b'],
      },
    ],
    ['numbers', { properties: { a: { type: 'number' }, b: { type: 'integer' } }, required: ['a', 'b'] }],
    [
      'names that need quotes',
      { properties: { 'a"b\\': { type: 'null' }, '\n': { type: 'null' } }, required: ['a"b\\', '\n'] },
    ],
    [
      'all of one',
      { properties: { a: { allOf: [{ $ref: '#/$defs/w' }] } }, required: ['a'], $defs: { w: word } },
    ],
  ])('fit their schema: %s', async (_, schema) => {
    const validate = ajv.compile({ type: 'object', ...schema })
    for (const seed of [1, 2]) {
      const answer = await call(schema, { sampling: { temperature: 3, topK: 0, topP: 1, minP: 0, seed } })
      // Half a letter, which only a model that draws at random writes, is several characters.
      const { calls } = parseCalls(answer.text.replaceAll(/\uFFFD+/g, 'x'), {
        style: 'hermes',
        names: ['f'],
        isParallel: false,
        toId: String,
      })
      expect(answer.result.reason).toBe('stop')
      const given: unknown = JSON.parse(calls[0]?.arguments ?? '')
      expect({ given, isValid: validate(given), errors: validate.errors }).toEqual({
        given,
        isValid: true,
        errors: null,
      })
    }
  })

  it('are JSON at least, where the grammar cannot enforce more', async () => {
    const schema = {
      properties: {
        a: { type: 'string', pattern: '^[a-z]+$', maxLength: 4 },
        b: { type: 'integer', minimum: 3, multipleOf: 2 },
        c: { allOf: [{ type: 'boolean' }, { const: true }] },
      },
      required: ['a', 'b'],
    }
    const answer = await call(schema)
    const { calls } = parseCalls(answer.text, {
      style: 'hermes',
      names: ['f'],
      isParallel: false,
      toId: String,
    })
    expect(JSON.parse(calls[0]?.arguments ?? '')).toMatchObject({
      a: expect.any(String),
      b: expect.any(Number),
    })
  })
})

const deep = (depth: number): object => (depth === 0 ? {} : { properties: { a: deep(depth - 1) } })
const broad = Object.fromEntries(Array.from({ length: 3_000 }, (_, index) => [`p${index}`, {}]))

describe('schemas that are refused', () => {
  it.each([
    [
      'a pattern that must be kept to',
      { properties: { a: { type: 'string', pattern: 'x' } } },
      '"pattern" at $.a',
    ],
    ['a format that must be', { properties: { a: { type: 'string', format: 'email' } } }, 'format "email"'],
    ['all of several', { properties: { a: { allOf: [word, word] } } }, '"allOf" at $.a'],
    [
      'more counts than may be',
      {
        properties: Object.fromEntries(
          Array.from({ length: 30 }, (_, i) => [i, { type: 'string', maxLength: 999 }]),
        ),
      },
      'counts',
    ],
  ])('strictly: %s', async (_, schema, message) => {
    await expect(call(schema, {}, true)).rejects.toMatchObject({
      code: 'QM_JSON_SCHEMA_INVALID',
      message: expect.stringContaining(message),
    })
    expect((await call(schema, { maxTokens: 2 })).result.reason).toBe('length')
  })

  it.each([
    ['no type of JSON', { properties: { a: { type: 'date' } } }, '"date" at $.a.type'],
    [
      'a reference into nothing',
      { properties: { a: { $ref: '#/$defs/b' } } },
      '"#/$defs/b", which is not there',
    ],
    ['one to elsewhere', { properties: { a: { $ref: 'https://example.org/a' } } }, 'which is not there'],
    [
      'one that is only itself',
      { properties: { a: { $ref: '#/$defs/b' } }, $defs: { b: { $ref: '#/$defs/b' } } },
      '',
    ],
    ['levels', deep(limits.jsonSchemaDepthMax), `nested deeper than ${limits.jsonSchemaDepthMax}`],
    [
      'bounds that are none',
      { properties: { a: { type: 'string', minLength: 3, maxLength: 2 } } },
      'minLength is over',
    ],
    ['a part that is no schema', { properties: { a: 5 } }, 'expected an object at $.a'],
  ])('always: %s', async (_, schema, message) => {
    await expect(call(schema)).rejects.toMatchObject({
      code: 'QM_JSON_SCHEMA_INVALID',
      message: expect.stringContaining(message),
    })
    // Nobody else notices.
    expect((await ask(host, { prompt: 'the', maxTokens: 2 })).result.completionTokens).toBe(2)
  })

  it('more parts than may be', () => {
    const tools = [{ name: 'f', parameters: JSON.stringify({ properties: broad }) }]
    expect(() => toCallGrammar('hermes', { tools })).toThrow('more than 2000 parts')
  })

  it('no JSON at all', async () => {
    const tools = [{ name: 'f', parameters: '{' }]
    await expect(ask(host, { messages, tools })).rejects.toMatchObject({ code: 'QM_JSON_SCHEMA_INVALID' })
  })
})
