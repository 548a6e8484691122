import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createActor, createEmptyActor, fromCallback } from 'xstate'
import { getShortestPaths } from 'xstate/graph'
import {
  type ChannelCommand,
  type ChannelFact,
  type ChannelInput,
  type PeerInput,
  peerMachine,
  type PeerReport,
} from '../../../machines/peer/index.ts'
import { samples } from '../../support/messages.ts'

const input: PeerInput = {
  connectionId: 'peer-1',
  peerId: 'a'.repeat(64),
  violations: 0,
  violationsMax: 3,
  helloTimeoutMs: 10_000,
  closeTimeoutMs: 1_000,
  parent: createEmptyActor(),
}

function startPeer(overrides: Partial<PeerInput> = {}) {
  const commands: ChannelCommand[] = []
  const reports: PeerReport[] = []
  let isOpen = true
  let report: (fact: ChannelFact) => void = () => {}
  const channel = fromCallback<ChannelCommand, ChannelInput>(({ sendBack, receive }) => {
    report = sendBack
    receive((command) => commands.push(command))
    return () => {
      isOpen = false
    }
  })
  const parent = createActor(
    fromCallback<PeerReport>(({ receive }) => receive((event) => reports.push(event))),
  )
  parent.start()
  const actor = createActor(peerMachine.provide({ actors: { channel } }), {
    input: { ...input, ...overrides, parent },
  })
  actor.start()
  return { actor, commands, reports, isOpen: () => isOpen, say: (fact: ChannelFact) => report(fact) }
}

const greeted: ChannelFact = { type: 'channel.greeted', hello: samples.hello }
const violated: ChannelFact = { type: 'channel.violated', code: 'QM_MESSAGE_INVALID' }

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('the peer machine', () => {
  test('reaches every state', () => {
    const states = new Set(
      getShortestPaths(peerMachine, {
        input,
        events: [
          greeted,
          violated,
          { type: 'channel.broken', code: 'QM_FRAME_TOO_LONG' },
          { type: 'channel.closed' },
          { type: 'peer.close' },
        ],
        limit: 500,
        serializeState: (state) => JSON.stringify([state.value, state.context.violations]),
      }).map(({ state }) => JSON.stringify(state.value)),
    )
    expect(states).toEqual(
      new Set(['{"connected":"greeting"}', '{"connected":"open"}', '"closing"', '"closed"']),
    )
  })

  test('tells its parent who greeted, and then has no time limit', () => {
    const { actor, reports, say } = startPeer()
    say(greeted)
    expect(reports).toMatchObject([{ type: 'peer.greeted', connectionId: 'peer-1', hello: samples.hello }])
    vi.advanceTimersByTime(60_000)
    expect(actor.getSnapshot().value).toEqual({ connected: 'open' })
  })

  test('without hello it closes after the time limit and says so, then cuts what does not close', () => {
    const { actor, commands, isOpen } = startPeer()
    vi.advanceTimersByTime(9_999)
    expect(commands).toEqual([])
    vi.advanceTimersByTime(1)
    expect(commands).toEqual([{ type: 'channel.close', code: 'QM_HELLO_TIMEOUT' }])
    vi.advanceTimersByTime(1_000)
    expect(commands.at(-1)).toEqual({ type: 'channel.destroy' })
    expect(actor.getSnapshot()).toMatchObject({
      status: 'done',
      output: { code: 'QM_HELLO_TIMEOUT', isBanned: false },
    })
    expect(isOpen()).toBe(false)
  })

  test('violations add up to a ban, those of earlier connections included', () => {
    const { actor, commands, say } = startPeer({ violations: 1 })
    say(greeted)
    say(violated)
    expect(actor.getSnapshot().value).toEqual({ connected: 'open' })
    say(violated)
    expect(commands).toEqual([{ type: 'channel.close', code: 'QM_TOO_MANY_VIOLATIONS' }])
    say({ type: 'channel.closed' })
    expect(actor.getSnapshot().output).toMatchObject({
      code: 'QM_TOO_MANY_VIOLATIONS',
      violations: 3,
      isBanned: true,
    })
  })

  test('what breaks the stream closes it at once, and the first reason stays', () => {
    const { actor, say } = startPeer()
    say({ type: 'channel.broken', code: 'QM_FRAME_TOO_LONG' })
    say({ type: 'channel.broken', code: 'QM_SECRET_MISMATCH' })
    say(violated)
    say({ type: 'channel.closed' })
    expect(actor.getSnapshot().output).toMatchObject({
      code: 'QM_FRAME_TOO_LONG',
      violations: 0,
      isBanned: true,
    })
  })

  test('a peer that just goes is nobody’s fault', () => {
    const { actor, say } = startPeer()
    say({ type: 'channel.closed' })
    expect(actor.getSnapshot().output).toMatchObject({ code: undefined, isBanned: false })
  })

  test('a channel that fails ends the peer, not the swarm', () => {
    const channel = fromCallback<ChannelCommand, ChannelInput>(() => {
      throw new Error('no channel')
    })
    const actor = createActor(peerMachine.provide({ actors: { channel } }), { input }).start()
    expect(actor.getSnapshot()).toMatchObject({ status: 'done', output: { code: 'QM_INTERNAL' } })
  })
})
