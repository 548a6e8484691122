import { describe, expect, it } from 'vitest'
import { createNodeRig, subsystemNames } from './node-rig.ts'

describe('the node supervisor', () => {
  it('starts its parts in order and stops them in reverse order', () => {
    const { node, log } = createNodeRig()
    expect(log).toEqual(subsystemNames.map((name) => `${name} up`))
    log.length = 0
    node.send({ type: 'node.stop' })
    expect(log).toEqual(subsystemNames.toReversed().map((name) => `${name} down`))
    expect(node.getSnapshot().value).toBe('stopped')
    expect(node.getSnapshot().status).toBe('done')
  })

  it('restarts a failed part after a back-off that doubles, and leaves its siblings alone', () => {
    const { current, starts, advance, emitted } = createNodeRig()
    const sibling = current.get('swarm')
    current.get('inference')?.send({ type: 'fail' })
    expect(current.get('inference')).toBeUndefined()
    advance(200)
    expect(current.get('inference')).toBeUndefined()
    advance(100)
    expect(starts.get('inference')).toBe(2)
    current.get('inference')?.send({ type: 'end' })
    expect(emitted.map((event) => event.type === 'node.restarting' && event.backOffMs)).toEqual([250, 500])
    advance(600)
    expect(starts.get('inference')).toBe(3)
    expect(current.get('swarm')).toBe(sibling)
    expect(starts.get('swarm')).toBe(1)
  })

  it('gives up loudly after the bounded number of restarts and stays up with the rest', () => {
    const { node, current, starts, advance, emitted } = createNodeRig()
    for (let failures = 0; failures < 10; failures++) {
      current.get('swarm')?.send({ type: 'fail' })
      advance(9_000)
    }
    expect(starts.get('swarm')).toBe(6)
    expect(node.getSnapshot().value).toEqual({ running: 'degraded' })
    expect(emitted.filter(({ type }) => type === 'node.degraded')).toMatchObject([
      { name: 'swarm', error: { code: 'QM_INTERNAL' } },
    ])
    for (const name of subsystemNames.filter((other) => other !== 'swarm')) expect(starts.get(name)).toBe(1)
    node.send({ type: 'node.stop' })
    expect(node.getSnapshot().status).toBe('done')
  })

  it('stops while a part is backing off', () => {
    const { node, current } = createNodeRig()
    current.get('scheduler')?.send({ type: 'fail' })
    node.send({ type: 'node.stop' })
    expect(node.getSnapshot().status).toBe('done')
    expect(current.size).toBe(0)
  })
  it('lets a part end that may, starts it no more, and stops past it', () => {
    const { node, current, starts, advance, emitted, log } = createNodeRig('requester')
    current.get('requester')?.send({ type: 'end' })
    advance(120_000)
    expect(starts.get('requester')).toBe(1)
    expect(emitted).toEqual([])
    expect(node.getSnapshot().value).toEqual({ running: 'healthy' })
    log.length = 0
    node.send({ type: 'node.stop' })
    expect(node.getSnapshot().status).toBe('done')
    expect(log).toEqual(
      subsystemNames
        .filter((name) => name !== 'requester')
        .toReversed()
        .map((name) => `${name} down`),
    )
  })

  it('starts a part again that may end when it fails', () => {
    const { current, starts, advance, emitted } = createNodeRig('requester')
    current.get('requester')?.send({ type: 'fail' })
    advance(1_000)
    expect(starts.get('requester')).toBe(2)
    expect(emitted).toMatchObject([{ type: 'node.restarting', name: 'requester' }])
  })
})
