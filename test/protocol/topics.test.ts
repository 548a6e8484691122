import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { inferenceNetwork, toSecretProof, toTopic } from '../../protocol/index.ts'

const protocolDoc = readFileSync(new URL('../../docs/PROTOCOL.md', import.meta.url), 'utf8')
const key = (byte: number): Buffer => Buffer.alloc(32, byte)

describe('topics', () => {
  test.each([
    ['the network', { network: inferenceNetwork }],
    ['one model', { network: inferenceNetwork, modelId: 'nano' }],
    ['a private mesh', { network: inferenceNetwork, secret: 'correct horse' }],
    ['one model of a private mesh', { network: inferenceNetwork, secret: 'correct horse', modelId: 'nano' }],
  ])('the vector of %s stands in docs/PROTOCOL.md', (_, parts) => {
    expect(protocolDoc).toContain(toTopic(parts).toString('hex'))
  })

  test('no secret and an empty secret are the same mesh', () => {
    expect(toTopic({ network: 'n', secret: '' })).toEqual(toTopic({ network: 'n' }))
  })

  test('different parts never share a topic, however they are cut', () => {
    const parts = fc.record({ network: fc.string(), secret: fc.string(), modelId: fc.string() })
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        fc.pre(JSON.stringify(a) !== JSON.stringify(b))
        expect(toTopic(a).equals(toTopic(b))).toBe(false)
      }),
      { seed: 1 },
    )
    expect(toTopic({ network: 'ab', secret: 'c' })).not.toEqual(toTopic({ network: 'a', secret: 'bc' }))
  })
})

describe('secret proofs', () => {
  test('the vector stands in docs/PROTOCOL.md', () => {
    expect(protocolDoc).toContain(toSecretProof('correct horse', Buffer.alloc(64, 1), key(2)))
  })

  test('a proof holds for one secret, one connection and one side only', () => {
    const proofs = [
      toSecretProof('a', Buffer.alloc(64, 1), key(1)),
      toSecretProof('b', Buffer.alloc(64, 1), key(1)),
      toSecretProof('a', Buffer.alloc(64, 2), key(1)),
      toSecretProof('a', Buffer.alloc(64, 1), key(2)),
    ]
    expect(new Set(proofs).size).toBe(proofs.length)
    for (const proof of proofs) expect(proof).toMatch(/^[0-9a-f]{64}$/)
  })
})
