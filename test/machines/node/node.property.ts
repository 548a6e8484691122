import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { defaultRestartPolicy } from '../../../machines/node/restart-policy.ts'
import { adapters, createNodeRig, subsystemNames } from './node-rig.ts'

const step = fc.oneof(
  fc.record({
    kind: fc.constantFrom('fail' as const, 'end' as const),
    name: fc.constantFrom(...subsystemNames),
  }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 20_000 }) }),
)

describe('supervision under random failures', () => {
  it('never restarts a part more often than its policy allows, and never touches a sibling', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const rig = createNodeRig()
        const startedAtMs = new Map(subsystemNames.map((name) => [name, [0]]))
        for (const one of steps) {
          const before = new Map(rig.current)
          // Two adapters for each part that runs: one that failed leaves nothing behind.
          expect(adapters.running).toBe(2 * rig.current.size)
          if (one.kind === 'wait') {
            const startsBefore = new Map(rig.starts)
            rig.advance(one.ms)
            for (const name of subsystemNames) {
              if (rig.starts.get(name) !== startsBefore.get(name))
                startedAtMs.get(name)?.push(rig.clock.now())
            }
          } else {
            rig.current.get(one.name)?.send({ type: one.kind })
            for (const name of subsystemNames.filter((other) => other !== one.name)) {
              expect(rig.current.get(name)).toBe(before.get(name))
            }
          }
        }
        for (const starts of startedAtMs.values()) {
          for (const [first, atMs] of starts.entries()) {
            const inWindow = starts
              .slice(first)
              .filter((other) => other - atMs < defaultRestartPolicy.windowMs - 20_000)
            expect(inWindow.length).toBeLessThanOrEqual(defaultRestartPolicy.restartsMax + 1)
          }
        }
        rig.node.send({ type: 'node.stop' })
        expect(rig.node.getSnapshot().status).toBe('done')
        expect(adapters.running).toBe(0)
      }),
    )
  })
})
