import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { generateText, jsonSchema, streamText, tool } from 'ai'
import OpenAI from 'openai'
import { expect, it, onTestFinished } from 'vitest'
import { createTestMesh, type TestMesh } from './support/mesh.ts'
import { writeToolModel } from './support/tool-model.ts'

const schema = {
  type: 'object' as const,
  properties: { city: { type: 'string' as const, maxLength: 6 } },
  required: ['city'],
}
const weather = { type: 'function' as const, function: { name: 'weather', parameters: schema } }
const nap = {
  type: 'function' as const,
  function: { name: 'nap', parameters: { type: 'object', properties: {}, additionalProperties: false } },
}
const user = (content: string) => [{ role: 'user' as const, content }]

async function createFront(mesh: TestMesh) {
  const node = await mesh.client({ gateway: true, gatewayPort: 0 })
  const url = `${node.status().gateway?.url ?? ''}/v1`
  return { node, url, openai: new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0 }) }
}

it('OpenAI’s client and the AI SDK have functions called by a model of another node', async () => {
  const mesh = await createTestMesh()
  const { node, openai, url } = await createFront(mesh)
  const worker = await mesh.worker({
    models: [await writeToolModel(mesh), { ...mesh.model(), id: 'plain' }],
    tiers: { [node.id]: 'master' },
  })
  await expect.poll(() => node.workers()[0]?.models.length).toBe(2)
  expect(worker.status().models).toMatchObject([{ id: 'caller', tools: 'hermes' }, { id: 'plain' }])
  expect((await openai.models.list()).data).toMatchObject([
    { id: 'caller', tools: true },
    { id: 'plain', tools: false },
  ])
  const asked = { model: 'caller', messages: user('hi'), temperature: 0, tools: [weather, nap] }

  // One call, whole.
  const choice = { type: 'function' as const, function: { name: 'weather' } }
  const chat = await openai.chat.completions.create({ ...asked, tool_choice: choice })
  const [first] = chat.choices
  expect(first).toMatchObject({ finish_reason: 'tool_calls', message: { content: null } })
  const [call] = first?.message.tool_calls ?? []
  if (call?.type !== 'function') throw new Error('no call')
  expect(call.id).toMatch(/^call_[0-9a-f]{24}0$/)
  expect(call.function.name).toBe('weather')
  expect(JSON.parse(call.function.arguments)).toEqual({ city: expect.any(String) })

  // The same, streamed: the client's own helper puts the parts together.
  const runner = openai.chat.completions.stream({ ...asked, tool_choice: choice })
  const parts: string[] = []
  runner.on('tool_calls.function.arguments.delta', ({ arguments_delta: part }) => parts.push(part))
  const streamed = await runner.finalChatCompletion()
  expect(parts.join('')).toBe(call.function.arguments)
  expect(parts.length).toBeGreaterThan(1)
  expect(streamed.choices[0]).toMatchObject({
    finish_reason: 'tool_calls',
    message: { tool_calls: [{ function: call.function }] },
  })

  // Its result goes back, and the model has read it: every character of it is a token of this one.
  const turn = (result: string) => ({
    ...asked,
    max_tokens: 4,
    messages: [
      ...asked.messages,
      { role: 'assistant' as const, content: null, tool_calls: [call] },
      { role: 'tool' as const, tool_call_id: call.id, content: result },
    ],
  })
  const short = await openai.chat.completions.create(turn('7'))
  const long = await openai.chat.completions.create(turn('7777777'))
  expect((long.usage?.prompt_tokens ?? 0) - (short.usage?.prompt_tokens ?? 0)).toBe(6)
  // It may be read by another question without functions, too, as long as the model knows what they are.
  const { tools: _, ...withoutTools } = turn('7')
  expect((await openai.chat.completions.create(withoutTools)).choices).toHaveLength(1)

  // Which it likes, but one.
  const any = await openai.chat.completions.create({
    ...asked,
    tool_choice: 'required',
    parallel_tool_calls: false,
    temperature: 1,
    seed: 3,
  })
  expect(any.choices[0]?.message.tool_calls).toHaveLength(1)
  expect(any.choices[0]?.finish_reason).toBe('tool_calls')
  // None: they are not even told.
  const none = await openai.chat.completions.create({ ...asked, tool_choice: 'none', max_tokens: 4 })
  expect(none.choices[0]?.message.tool_calls).toBeUndefined()
  expect(none.usage?.prompt_tokens).toBeLessThan(chat.usage?.prompt_tokens ?? 0)
  // An endless model that may, and does not.
  const auto = await openai.chat.completions.create({ ...asked, max_tokens: 4 })
  expect(auto.choices[0]).toMatchObject({ finish_reason: 'length', message: { content: expect.any(String) } })
  // `auto` takes the model that can.
  const anyModel = await openai.chat.completions.create({ ...asked, model: 'auto', tool_choice: choice })
  expect(anyModel.model).toBe('caller')

  // The newer API of the same client, and Anthropic's.
  const newer = await openai.responses.create({
    model: 'caller',
    input: 'hi',
    temperature: 0,
    tools: [{ type: 'function', name: 'weather', parameters: schema, strict: false }],
    tool_choice: { type: 'function', name: 'weather' },
  })
  expect(newer.output).toMatchObject([{ type: 'function_call', name: 'weather', status: 'completed' }])
  const followed = openai.responses.stream({
    model: 'caller',
    input: [
      { role: 'user', content: 'hi' },
      { type: 'function_call', call_id: 'a', name: 'weather', arguments: '{}' },
      { type: 'function_call_output', call_id: 'a', output: 'sunny' },
    ],
    temperature: 0,
    parallel_tool_calls: false,
    tools: [{ type: 'function', name: 'weather', parameters: schema, strict: true }],
    tool_choice: 'required',
  })
  const written: string[] = []
  followed.on('response.function_call_arguments.delta', ({ delta }) => written.push(delta))
  expect((await followed.finalResponse()).output).toMatchObject([
    { type: 'function_call', name: 'weather', arguments: written.join('') },
  ])
  const message = await fetch(`${url}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'caller',
      max_tokens: 200,
      temperature: 0,
      messages: user('hi'),
      tools: [{ name: 'weather', input_schema: schema }],
      tool_choice: { type: 'tool', name: 'weather' },
    }),
  })
  expect(await message.json()).toMatchObject({
    stop_reason: 'tool_use',
    content: [{ type: 'tool_use', name: 'weather', input: { city: expect.any(String) } }],
  })

  // A model that cannot is refused by name, and the ones that can are named.
  await expect(openai.chat.completions.create({ ...asked, model: 'plain' })).rejects.toMatchObject({
    status: 400,
    code: 'unsupported_parameter',
    param: 'tools',
    message: expect.stringContaining('these models support tools: "caller"'),
  })
  // A schema that the grammar is to keep to and cannot.
  const strict = { name: 'weather', strict: true, parameters: { type: 'object', patternProperties: {} } }
  await expect(
    openai.chat.completions.create({ ...asked, tools: [{ type: 'function', function: strict }] }),
  ).rejects.toMatchObject({ status: 400, code: 'invalid_json_schema' })

  // The library.
  const parameters = schema
  const answer = node.ask('hi', {
    model: 'caller',
    temperature: 0,
    tools: [
      { name: 'weather', parameters },
      { name: 'nap', parameters: nap.function.parameters },
    ],
    toolChoice: { name: 'weather' },
  })
  let said = ''
  let given = ''
  for await (const { text, toolCalls = [] } of answer) {
    said += text
    for (const delta of toolCalls) given += delta.arguments
  }
  expect(await answer.result).toMatchObject({
    text: '',
    finishReason: 'toolCalls',
    toolCalls: [{ name: 'weather', arguments: call.function.arguments }],
  })
  expect({ said, given }).toEqual({ said: '', given: call.function.arguments })
  await expect(node.ask('hi', { model: 'plain', tools: [{ name: 'nap' }] }).result).rejects.toMatchObject({
    code: 'QM_TOOLS_UNSUPPORTED',
    message: expect.stringContaining('these models support tools: "caller"'),
  })

  // The AI SDK runs the function and asks again.
  const qmesh = createOpenAICompatible({ name: 'qmesh', baseURL: url })
  const cities: unknown[] = []
  const execute = (input: unknown): string => {
    cities.push(input)
    return 'sunny'
  }
  const tools = { weather: tool({ inputSchema: jsonSchema(schema), execute }) }
  const generated = await generateText({
    model: qmesh('caller'),
    prompt: 'hi',
    tools,
    toolChoice: { type: 'tool', toolName: 'weather' },
    temperature: 0,
    maxRetries: 0,
  })
  expect(generated.toolResults).toMatchObject([{ toolName: 'weather', output: 'sunny' }])
  const flowing = streamText({
    model: qmesh('caller'),
    messages: [{ role: 'user', content: 'hi' }, ...generated.response.messages],
    tools,
    toolChoice: 'required',
    temperature: 0,
    maxRetries: 0,
    maxOutputTokens: 120,
    providerOptions: { qmesh: { parallel_tool_calls: false } },
  })
  expect((await flowing.toolCalls).map(({ toolName }) => toolName)).toEqual(['weather'])
  expect(cities).toHaveLength(2)
})

it('a call survives the kill -9 of its worker, and is the one it would have been', async () => {
  const mesh = await createTestMesh()
  const { path } = await writeToolModel(mesh)
  const forkWorker = async () => {
    const child = fork(
      new URL('support/worker-process.ts', import.meta.url),
      [path, await mesh.tempDir(), mesh.secret, ...mesh.bootstrap],
      { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] },
    )
    onTestFinished(() => void child.kill('SIGKILL'))
    const [id] = (await once(child, 'message')) as [string]
    return { child, id }
  }
  const [workers, { node, openai }] = await Promise.all([
    Promise.all([forkWorker(), forkWorker()]),
    createFront(mesh),
  ])
  const isSeen = () => node.workers().filter(({ models }) => models.some(({ tools }) => tools)).length
  await expect.poll(isSeen).toBe(2)
  const letter = {
    type: 'object',
    properties: { text: { type: 'string', minLength: 200 } },
    required: ['text'],
  }
  const asked = {
    model: 'caller',
    messages: user('hi'),
    temperature: 0,
    max_tokens: 280,
    tools: [{ type: 'function' as const, function: { name: 'send', parameters: letter } }],
    tool_choice: 'required' as const,
  }
  const whole = await openai.chat.completions.create(asked)
  const [call] = whole.choices[0]?.message.tool_calls ?? []
  if (call?.type !== 'function') throw new Error('no call')
  const { data: stream, response } = await openai.chat.completions
    .create({ ...asked, stream: true })
    .withResponse()
  const served = workers.find(({ id }) => id === response.headers.get('x-qmesh-worker'))
  let given = ''
  const names: string[] = []
  for await (const chunk of stream) {
    for (const { function: part } of chunk.choices[0]?.delta.tool_calls ?? []) {
      if (part?.name) names.push(part.name)
      given += part?.arguments ?? ''
    }
    if (given.length > 40 && served?.child.killed === false) served.child.kill('SIGKILL')
  }
  expect(served?.child.killed).toBe(true)
  expect(names).toEqual(['send'])
  expect(given).toBe(call.function.arguments)
})
