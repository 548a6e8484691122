// An actor of your own in a node: it watches the line of those who wait for this worker, and says when it gets long.
//
//   npm install qmesh xstate
//   node own-actor.mjs
import { createNode, loadConfig } from 'qmesh'
import { assign, fromCallback, setup, waitFor } from 'xstate'

const longFrom = Number(process.env.LONG_FROM ?? 3)

const queueWatch = setup({
  actors: {
    // The node's events, as events of the machine. What it returns runs when the actor stops, however it stops.
    queue: fromCallback(({ input: { node }, sendBack }) => {
      const tell = () => sendBack({ type: 'queue.changed', length: node.status().queue.length })
      node.on('queue', tell)
      tell()
      return () => node.off('queue', tell)
    }),
  },
  actions: {
    // Send a mail here, or start another worker.
    notify: (_, { text }) => console.log(text),
  },
  guards: {
    isLong: ({ context }) => context.length >= longFrom,
    isEmpty: ({ context }) => context.length === 0,
  },
}).createMachine({
  id: 'queue-watch',
  // The input of an actor in a node is the node.
  context: ({ input }) => ({ node: input.node, length: 0 }),
  invoke: { src: 'queue', input: ({ context }) => ({ node: context.node }) },
  on: { 'queue.changed': { actions: assign({ length: ({ event }) => event.length }) } },
  initial: 'calm',
  states: {
    calm: { always: { guard: 'isLong', target: 'long' } },
    long: {
      entry: { type: 'notify', params: ({ context }) => ({ text: `a long line: ${context.length} wait` }) },
      // Not at one less: it would call again and again around the bound.
      always: { guard: 'isEmpty', target: 'calm' },
      exit: { type: 'notify', params: { text: 'nobody waits any more' } },
    },
  },
})

const { config } = await loadConfig()
const node = await createNode({
  ...config,
  dataDir: './qmesh-data',
  logLevel: 'warn',
  slots: 1,
  // Beside the node's own parts: started again when it fails, at most five times a minute.
  actors: { 'queue-watch': queueWatch },
})
node.on('restarting', (part, error) => console.log(`${part} failed and is started again: ${error.message}`))
await node.ready

// Thirty questions at once for one slot: a line, and somebody who notices.
await Promise.all(Array.from({ length: 30 }, () => node.ask('Tell me a story.').result))
const watch = node.actor.system.get('queue-watch')
await waitFor(watch, (snapshot) => snapshot.matches('calm'))
console.log('its supervisor says:', node.status().parts.find(({ name }) => name === 'queue-watch').state)
await node.stop()
