import { describe, expect, it } from 'vitest'
import { hashStamp, isStampValid, makeStamp, type StampProgress } from '../../../actors/trust/stamp.ts'
import { isStampEnough } from '../../../machines/trust/index.ts'

const accountId = '11'.repeat(32)
const cheap = { memoryKb: 64 }

describe('a stamp', () => {
  it('is the same hash everywhere', async () => {
    const stamp = await hashStamp(accountId, 5, 64)
    expect(stamp.toString('hex')).toBe('7b6009d1db74d9dc82e0db9e36a9c284a8dc93cbe0147dce1aaf928e84ca791f')
    expect(await hashStamp(accountId, 6, 64)).not.toEqual(stamp)
    expect(await hashStamp('22'.repeat(32), 5, 64)).not.toEqual(stamp)
    expect(await hashStamp(accountId, 5, 128)).not.toEqual(stamp)
  })

  it('is found, and good for its account only', async () => {
    const seen: StampProgress[] = []
    const nonce = await makeStamp(accountId, { bits: 5, ...cheap }, undefined, (each) => seen.push(each))
    expect(seen.at(-1)).toEqual({ nonce, tries: seen.length })
    expect(await isStampValid(accountId, nonce, { bits: 5, ...cheap })).toBe(true)
    expect(isStampEnough(await hashStamp(accountId, nonce, 64), 5)).toBe(true)
    // The ones before it were not enough.
    for (const { nonce: tried } of seen.slice(0, -1)) {
      expect(await isStampValid(accountId, tried, { bits: 5, ...cheap })).toBe(false)
    }
  })

  it('costs nothing where none is asked for', async () => {
    expect(await makeStamp(accountId, { bits: 0, ...cheap })).toBe(0)
    expect(await isStampValid(accountId, 3, { bits: 0, ...cheap })).toBe(true)
  })

  it('is looked for by one at a time, until it is told to stop', async () => {
    const stop = new AbortController()
    let tries = 0
    const first = makeStamp(accountId, { bits: 200, ...cheap }, stop.signal, () => {
      if (++tries === 3) stop.abort()
    })
    const waiting = makeStamp(accountId, { bits: 1, ...cheap }, stop.signal, () => tries++)
    const ended = await Promise.allSettled([first, waiting])
    for (const each of ended) expect(each).toMatchObject({ reason: { name: 'AbortError' } })
    expect(tries).toBe(3)
    expect(await makeStamp(accountId, { bits: 1, ...cheap, from: 100 })).toBeGreaterThanOrEqual(100)
  })

  it('is refused when too many wait, and out of bounds', async () => {
    const asked = Array.from({ length: 80 }, (_, nonce) => hashStamp(accountId, nonce, 64))
    const ended = await Promise.allSettled(asked)
    const refused = ended.filter(({ status }) => status === 'rejected')
    expect(refused).toHaveLength(80 - 66)
    for (const each of refused) expect(each).toMatchObject({ reason: { code: 'QM_QUEUE_FULL' } })
    for (const nonce of [-1, 0.5, 2 ** 53]) {
      await expect(hashStamp(accountId, nonce, 64)).rejects.toBeInstanceOf(RangeError)
    }
    await expect(hashStamp(accountId, 0, 4)).rejects.toBeInstanceOf(RangeError)
  })
})
