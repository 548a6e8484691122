import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createActor, fromCallback } from 'xstate'
import { getShortestPaths } from 'xstate/graph'
import {
  type ChannelCommand,
  type ChannelFact,
  type ChannelInput,
  peerMachine,
} from '../../../machines/peer/index.ts'
import {
  type NetworkCommand,
  type NetworkFact,
  type SwarmEmitted,
  type SwarmInput,
  swarmMachine,
} from '../../../machines/swarm/index.ts'
import { QMeshError } from '../../../protocol/index.ts'
import { samples } from '../../support/messages.ts'

const address = { host: '127.0.0.1', port: 40_000 }
const peerIdOf = (index: number): string => String(index).padStart(64, '0')

function startSwarmMachine(input: SwarmInput = {}) {
  const commands: NetworkCommand[] = []
  const emitted: SwarmEmitted[] = []
  const channels = new Map<string, (fact: ChannelFact) => void>()
  let report: (fact: NetworkFact) => void = () => {}
  const network = fromCallback<NetworkCommand>(({ sendBack, receive }) => {
    report = sendBack
    receive((command) => commands.push(command))
  })
  const channel = fromCallback<ChannelCommand, ChannelInput>(
    ({ input: { connectionId }, sendBack, receive }) => {
      channels.set(connectionId, sendBack)
      receive(() => sendBack({ type: 'channel.closed' }))
      return () => channels.delete(connectionId)
    },
  )
  const actor = createActor(
    swarmMachine.provide({ actors: { network, peer: peerMachine.provide({ actors: { channel } }) } }),
    { input },
  )
  actor.on('*', (event) => emitted.push(event))
  actor.start()
  return {
    actor,
    commands,
    emitted,
    channels,
    say: (fact: NetworkFact) => report(fact),
    connect: (index: number) =>
      report({
        type: 'network.connected',
        connectionId: `peer-${index}`,
        peerId: peerIdOf(index),
        violations: 0,
      }),
    /** What the machine asked of the network since the last call. */
    taken: () => commands.splice(0).map(({ type }) => type),
  }
}

function startOnline(input: SwarmInput = {}) {
  const rig = startSwarmMachine(input)
  rig.say({ type: 'network.opened', address })
  rig.say({ type: 'network.probed', nodes: 1 })
  rig.taken()
  return rig
}

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('the swarm machine', () => {
  test('reaches every state', () => {
    const states = new Set(
      getShortestPaths(swarmMachine, {
        input: {},
        events: [
          { type: 'network.opened', address },
          { type: 'network.failed', error: new QMeshError('QM_PORT_TAKEN') },
          { type: 'network.probed', nodes: 0 },
          { type: 'network.probed', nodes: 1 },
          { type: 'network.changed' },
          { type: 'network.refreshed' },
          { type: 'network.closed' },
          { type: 'swarm.stop' },
          ...['waiting', 'settling'].map((state) => ({
            type: `xstate.after.${state === 'waiting' ? 'search' : 'settle'}.swarm.running.search.${state}`,
          })),
          { type: 'xstate.after.probeOffline.swarm.running.reach.offline.waiting' },
        ] as never[],
        limit: 2_000,
        serializeState: (state) => JSON.stringify(state.value),
      }).flatMap(({ state }) => {
        const { value } = state
        if (typeof value === 'string') return [value]
        const { reach, search } = value['running'] as { reach: unknown; search: unknown }
        return [JSON.stringify(reach), String(search)]
      }),
    )
    expect(states).toEqual(
      new Set([
        'starting',
        '"unknown"',
        '{"offline":"probing"}',
        '{"offline":"waiting"}',
        '{"online":"waiting"}',
        'waiting',
        'settling',
        'searching',
        'stopping',
        'stopped',
        'failed',
      ]),
    )
  })

  test('is offline when nobody answers, tries again with growing pauses, and comes back', () => {
    const { say, emitted, taken } = startSwarmMachine({
      timings: { probeOfflineMs: 100, probeMsMax: 300, searchMs: 1e6, searchMsMax: 1e6 },
    })
    say({ type: 'network.opened', address })
    expect(taken()).toEqual(['network.probe'])
    for (const pauseMs of [100, 200, 300, 300]) {
      say({ type: 'network.probed', nodes: 0 })
      vi.advanceTimersByTime(pauseMs - 1)
      expect(taken()).toEqual([])
      vi.advanceTimersByTime(1)
      expect(taken()).toEqual(['network.probe'])
    }
    say({ type: 'network.probed', nodes: 1 })
    expect(taken()).toEqual(['network.refresh'])
    expect(emitted).toMatchObject([{ state: 'offline' }, { state: 'online', address }])
  })

  test('stays online while a peer is connected, whatever the DHT says', () => {
    const { say, connect, channels, actor } = startOnline()
    connect(1)
    channels.get('peer-1')?.({ type: 'channel.greeted', hello: samples.hello })
    say({ type: 'network.probed', nodes: 0 })
    expect(actor.getSnapshot().matches({ running: { reach: 'online' } })).toBe(true)
    channels.get('peer-1')?.({ type: 'channel.closed' })
    say({ type: 'network.probed', nodes: 0 })
    expect(actor.getSnapshot().matches({ running: { reach: 'offline' } })).toBe(true)
  })

  test('searches with growing pauses until workers are connected, then only announces', () => {
    const timings = {
      searchMs: 100,
      searchMsMax: 400,
      searchFewMs: 1_000,
      announceMs: 10_000,
      probeMsMax: 1e6,
    }
    const { say, connect, channels, taken } = startOnline({ timings })
    for (const pauseMs of [100, 200, 400, 400]) {
      vi.advanceTimersByTime(pauseMs - 1)
      expect(taken()).toEqual([])
      vi.advanceTimersByTime(1)
      expect(taken()).toEqual(['network.refresh'])
      say({ type: 'network.refreshed' })
    }
    const greet = (index: number): void => {
      connect(index)
      channels.get(`peer-${index}`)?.({ type: 'channel.greeted', hello: samples.hello })
    }
    const expectSearchAfter = (pauseMs: number): void => {
      vi.advanceTimersByTime(pauseMs - 1)
      expect(taken()).toEqual([])
      vi.advanceTimersByTime(1)
      expect(taken()).toEqual(['network.refresh'])
      say({ type: 'network.refreshed' })
    }
    greet(1)
    vi.advanceTimersByTime(400)
    taken()
    say({ type: 'network.refreshed' })
    expectSearchAfter(1_000)
    for (const index of [2, 3, 4]) greet(index)
    vi.advanceTimersByTime(1_000)
    taken()
    say({ type: 'network.refreshed' })
    expectSearchAfter(10_000)
  })

  test('a burst of changes of the DHT leads to one search', () => {
    const { say, taken } = startOnline({
      timings: { settleMs: 50, searchMs: 1e6, searchMsMax: 1e6, probeMsMax: 1e6 },
    })
    for (let change = 0; change < 20; change++) say({ type: 'network.changed' })
    vi.advanceTimersByTime(50)
    expect(taken()).toEqual(['network.refresh'])
  })

  test('one peer more than there is room for is sent away, and forgotten peers make room', () => {
    const { connect, commands, actor, channels } = startOnline({ peersMax: 2 })
    for (const index of [1, 2, 3]) connect(index)
    expect(commands).toEqual([{ type: 'network.reject', connectionId: 'peer-3' }])
    channels.get('peer-1')?.({ type: 'channel.closed' })
    connect(4)
    expect(actor.getSnapshot().context.peers.map(({ connectionId }) => connectionId)).toEqual([
      'peer-2',
      'peer-4',
    ])
    expect(Object.keys(actor.getSnapshot().children).toSorted()).toEqual(['network', 'peer-2', 'peer-4'])
  })

  test('says who came and who went, and hands on who is banned', () => {
    const { connect, channels, commands, emitted } = startOnline({ violationsMax: 1 })
    connect(1)
    channels.get('peer-1')?.({ type: 'channel.greeted', hello: samples.hello })
    channels.get('peer-1')?.({ type: 'channel.violated', code: 'QM_FRAME_NOT_JSON' })
    expect(emitted.slice(1)).toMatchObject([
      { type: 'peer.opened', peerId: peerIdOf(1), hello: samples.hello },
      {
        type: 'peer.closed',
        peerId: peerIdOf(1),
        wasOpen: true,
        code: 'QM_TOO_MANY_VIOLATIONS',
        isBanned: true,
      },
    ])
    expect(commands.at(-1)).toMatchObject({ type: 'network.forgot', output: { isBanned: true } })
  })

  test('a thousand peers that come and go leave nothing behind', () => {
    const { connect, channels, actor } = startOnline()
    for (let index = 0; index < 1_000; index++) {
      connect(index)
      channels.get(`peer-${index}`)?.({ type: 'channel.closed' })
    }
    expect(Object.keys(actor.getSnapshot().children)).toEqual(['network'])
    expect(actor.getSnapshot().context.peers).toEqual([])
  })

  test('a network that cannot be opened ends the swarm with its error', () => {
    const { say, actor, emitted } = startSwarmMachine()
    const error = new QMeshError('QM_PORT_TAKEN')
    say({ type: 'network.failed', error })
    expect(actor.getSnapshot()).toMatchObject({ status: 'done', output: { error } })
    expect(emitted).toEqual([{ type: 'swarm.failed', error }])
  })

  test('a network adapter that throws ends it the same way', () => {
    const network = fromCallback<NetworkCommand>(() => {
      throw new Error('no network')
    })
    const actor = createActor(swarmMachine.provide({ actors: { network } }), { input: {} }).start()
    expect(actor.getSnapshot().output?.error).toMatchObject({ code: 'QM_INTERNAL' })
  })

  test('stopping waits for the network to close, but not for ever', () => {
    for (const isPolite of [true, false]) {
      const { actor, say, connect, taken } = startOnline({ timings: { stopTimeoutMs: 500 } })
      connect(1)
      actor.send({ type: 'swarm.stop' })
      expect(taken()).toContain('network.close')
      expect(actor.getSnapshot().value).toBe('stopping')
      if (isPolite) say({ type: 'network.closed' })
      else vi.advanceTimersByTime(500)
      expect(actor.getSnapshot()).toMatchObject({ status: 'done', output: { error: undefined } })
    }
  })
})
