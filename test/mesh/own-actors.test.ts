import { createActor, fromCallback, fromPromise, setup, type AnyActorLogic } from 'xstate'
import { expect, it } from 'vitest'
import { createClient, type NodeActorInput, type NodeOptions } from '../../runtime/index.ts'
import { Inspector } from '../../runtime/inspect/inspector.ts'
import { createTestMesh } from './support/mesh.ts'

/** Asks the mesh by itself, as an actor of the node that it is in. */
const asker = setup({
  types: { input: {} as NodeActorInput, context: {} as NodeActorInput, events: {} as { type: 'ask' } },
  actors: {
    answer: fromPromise<string, NodeActorInput>(
      async ({ input: { node } }) => (await node.ask('go on', { temperature: 0, maxTokens: 8 }).result).text,
    ),
  },
}).createMachine({
  id: 'asker',
  context: ({ input }) => input,
  initial: 'idle',
  states: {
    idle: { on: { ask: 'asking' } },
    asking: {
      invoke: { src: 'answer', input: ({ context }) => context, onDone: 'answered', onError: 'idle' },
    },
    answered: {},
  },
})

it('an actor of one’s own lives in the node: it uses it, is seen in it, and stops before it', async () => {
  const mesh = await createTestMesh()
  const told: string[] = []
  const node = await mesh.worker({
    actors: {
      asker,
      'stop-watch': fromCallback<{ type: 'never' }, NodeActorInput>(({ input }) => {
        told.push('up')
        return () => {
          // What it uses is still there.
          told.push(input.node.status().parts.find(({ name }) => name === 'requester')?.state ?? 'gone')
        }
      }),
      once: fromPromise(() => Promise.resolve()),
    },
  })
  const own = node.actor.system.get('asker')
  own?.send({ type: 'ask' })
  await expect.poll(() => (own?.getSnapshot() as { value?: unknown } | undefined)?.value).toBe('answered')
  expect(node.requests()).toHaveLength(1)
  expect(node.status().parts.map(({ name, state }) => `${name} ${state}`)).toEqual([
    'duty running',
    'health-sampler running',
    'inference running',
    'scheduler running',
    'score-gossiper running',
    'swarm running',
    'requester running',
    'asker running',
    'stop-watch running',
    'once ended',
  ])
  const inspector = new Inspector(node.actor)
  expect(inspector.tree().actors).toContainEqual(
    expect.objectContaining({ systemId: 'asker', source: 'asker', value: 'answered' }),
  )
  expect(told).toEqual(['up'])
  await node.stop()
  expect(told).toEqual(['up', 'running'])
})

it('one that fails is started again with new input, a bounded number of times, and harms nobody', async () => {
  const mesh = await createTestMesh()
  let starts = 0
  const restarting: string[] = []
  const client = await mesh.client({
    actors: {
      flaky: fromPromise<void, NodeActorInput>(({ input }) => {
        starts++
        // It is the node itself that it is given each time.
        return Promise.reject(new Error(`told to fail at ${input.node.id.length} characters`))
      }),
      calm: fromCallback(() => {}),
    },
  })
  client.on('restarting', (part, { message }) => restarting.push(`${part}: ${message}`))
  const flaky = () => client.status().parts.find(({ name }) => name === 'flaky')
  await expect.poll(() => flaky()?.restarts).toBe(2)
  expect(flaky()).toMatchObject({ error: { code: 'QM_INTERNAL' } })
  expect(restarting[0]).toBe(
    'flaky: The actor "flaky" of this program failed. (told to fail at 64 characters)',
  )
  expect(starts).toBeGreaterThanOrEqual(3)
  const others = client.status().parts.filter(({ name }) => name !== 'flaky')
  expect(others.every(({ state, restarts }) => state === 'running' && restarts === undefined)).toBe(true)
  // It stops while that one waits to be started again.
  await client.stop()
})

it('one that fails with what no text can be made of takes nobody with it', async () => {
  const mesh = await createTestMesh()
  const rejected: unknown = Object.create(null)
  const client = await mesh.client({
    actors: { odd: fromPromise<void, NodeActorInput>(() => Promise.reject(rejected)) },
  })
  const odd = () => client.status().parts.find(({ name }) => name === 'odd')
  await expect.poll(() => odd()?.restarts).toBe(2)
  expect(odd()?.error?.message).toMatch(/"odd" of this program failed/)
  const others = client.status().parts.filter(({ name }) => name !== 'odd')
  expect(others.every(({ state }) => state === 'running')).toBe(true)
})

it('tells at once what is no actor of one’s own', async () => {
  const tried = (actors: unknown) =>
    createClient({ ephemeral: true, actors: actors as NonNullable<NodeOptions['actors']> })
  const invalid = (message: RegExp) => ({
    code: 'QM_CONFIG_INVALID',
    message: expect.stringMatching(message) as string,
  })
  const logic: AnyActorLogic = fromCallback(() => {})
  await expect(tried({ swarm: logic })).rejects.toMatchObject(
    invalid(/"swarm", which is a part of every node/),
  )
  await expect(tried({ 'Queue watch': logic })).rejects.toMatchObject(
    invalid(/"Queue watch": a name is 1 to 64/),
  )
  await expect(tried({ running: createActor(logic) })).rejects.toMatchObject(
    invalid(/"running" logic of XState 5/),
  )
  await expect(tried({ nothing: undefined })).rejects.toMatchObject(invalid(/"nothing" logic/))
  const many = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`a${index}`, logic]))
  await expect(tried(many)).rejects.toMatchObject(invalid(/at most 64 actors, not 65/))
})

it('only actors are taken that do with the input of a node', () => {
  const fits = (_: NodeOptions): void => {}
  fits({ actors: { asker, none: fromCallback(() => {}) } })
  // @ts-expect-error it wants more than it is given
  fits({ actors: { greedy: fromPromise<void, NodeActorInput & { readonly more: string }>(async () => {}) } })
  expect(asker.id).toBe('asker')
})
