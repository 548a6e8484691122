import { describe, expect, it } from 'vitest'
import { afterAnswer, speedOf, tokensMin, type MeasuredSpeed } from '../../../machines/models/speed.ts'

const hash = (letter: string): string => letter.repeat(64)
const measured: readonly MeasuredSpeed[] = [
  { hash: hash('a'), id: 'small', bytes: 100, tokensPerSecond: 40 },
  { hash: hash('b'), id: 'large', bytes: 1_000, tokensPerSecond: 5 },
]

describe('the speed of a model', () => {
  it('is what was measured', () => {
    expect(speedOf({ hash: hash('b'), bytes: 1_000 }, measured)).toEqual({ tokensPerSecond: 5, likeId: null })
  })

  it('goes by the one nearest in size, in proportion', () => {
    expect(speedOf({ hash: hash('c'), bytes: 200 }, measured)).toEqual({
      tokensPerSecond: 20,
      likeId: 'small',
    })
    expect(speedOf({ hash: null, bytes: 800 }, measured)).toEqual({ tokensPerSecond: 6.25, likeId: 'large' })
  })

  it('is not guessed where nothing similar ran, or the size is not known', () => {
    expect(speedOf({ hash: null, bytes: 300 }, measured)).toBeUndefined()
    expect(speedOf({ hash: null, bytes: null }, measured)).toBeUndefined()
    expect(speedOf({ hash: null, bytes: 100 }, [])).toBeUndefined()
  })

  it('follows what it answers, and learns nothing from a few words', () => {
    expect(afterAnswer(undefined, 100, 2_000)).toBe(50)
    expect(afterAnswer(50, 100, 1_000)).toBe(60)
    expect(afterAnswer(50, tokensMin - 1, 1_000)).toBeUndefined()
    expect(afterAnswer(50, 100, 0)).toBeUndefined()
  })
})
