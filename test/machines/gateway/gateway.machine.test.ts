import { createActor, fromCallback, SimulatedClock } from 'xstate'
import { getShortestPaths } from 'xstate/graph'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  gatewayMachine,
  type GatewayEmitted,
  type GatewayFact,
  type GatewayOrder,
} from '../../../machines/gateway/index.ts'
import { QMeshError } from '../../../protocol/index.ts'

const address = { host: '127.0.0.1', port: 11_500 }
const timings = { openMs: 300, drainMs: 200, closeMs: 100 }

function start() {
  const clock = new SimulatedClock()
  const orders: GatewayOrder['type'][] = []
  const emitted: GatewayEmitted[] = []
  let report: (fact: GatewayFact) => void = () => {}
  let isClosed = false
  const server = fromCallback<GatewayOrder>(({ sendBack, receive }) => {
    report = sendBack
    receive(({ type }) => orders.push(type))
    return () => {
      isClosed = true
    }
  })
  const actor = createActor(gatewayMachine.provide({ actors: { server } }), { clock, input: { timings } })
  actor.on('*', (event) => emitted.push(event))
  actor.start()
  onTestFinished(() => void actor.stop())
  return {
    clock,
    orders,
    emitted,
    say: (fact: GatewayFact) => report(fact),
    stop: () => actor.send({ type: 'gateway.stop' }),
    state: () => actor.getSnapshot().value,
    output: () => actor.getSnapshot().output,
    isClosed: () => isClosed,
  }
}

describe('the gateway machine', () => {
  it('reaches every state', () => {
    const states = getShortestPaths(gatewayMachine, {
      input: {},
      events: [
        { type: 'server.opened', address },
        { type: 'server.failed', error: new QMeshError('QM_PORT_TAKEN') },
        { type: 'server.idle' },
        { type: 'server.closed' },
        { type: 'gateway.stop' },
      ],
      serializeState: ({ value }) => JSON.stringify(value),
    }).map(({ state }) => state.value)
    expect(new Set(states)).toEqual(
      new Set(['starting', 'listening', 'draining', 'closing', 'stopped', 'failed']),
    )
  })

  it('says where it listens, lets what runs finish when it stops, and closes', () => {
    const { say, stop, state, emitted, orders, output } = start()
    say({ type: 'server.opened', address })
    expect(emitted).toEqual([{ type: 'gateway.listening', address }])
    stop()
    expect([state(), orders]).toEqual(['draining', ['server.drain']])
    say({ type: 'server.idle' })
    expect([state(), orders]).toEqual(['closing', ['server.drain', 'server.close']])
    say({ type: 'server.closed' })
    expect([state(), output()]).toEqual(['stopped', { error: undefined }])
  })

  it('waits for what runs, and for the port to close, only so long', () => {
    const { say, stop, state, clock, isClosed } = start()
    say({ type: 'server.opened', address })
    stop()
    clock.increment(199)
    expect(state()).toBe('draining')
    clock.increment(1)
    expect(state()).toBe('closing')
    clock.increment(99)
    expect(isClosed()).toBe(false)
    clock.increment(1)
    expect([state(), isClosed()]).toEqual(['stopped', true])
  })

  it.each(['starting', 'listening', 'draining'])(
    'a server that fails while %s ends it, and says why',
    (when) => {
      const { say, stop, emitted, output, isClosed } = start()
      if (when !== 'starting') say({ type: 'server.opened', address })
      if (when === 'draining') stop()
      const error = new QMeshError('QM_PORT_TAKEN')
      say({ type: 'server.failed', error })
      expect(emitted.at(-1)).toEqual({ type: 'gateway.failed', error })
      expect(output()).toEqual({ error })
      expect(isClosed()).toBe(true)
    },
  )

  it('a port that does not open in time is a failure, too', () => {
    const { clock, emitted } = start()
    clock.increment(300)
    expect(emitted).toMatchObject([{ type: 'gateway.failed', error: { code: 'QM_NETWORK_UNAVAILABLE' } }])
  })

  it('stopped before it is open it closes without a word', () => {
    const { stop, state, say, emitted } = start()
    stop()
    expect(state()).toBe('closing')
    say({ type: 'server.closed' })
    expect([state(), emitted]).toEqual(['stopped', []])
  })
})
