import { expect, it } from 'vitest'
import { QMeshError, toQMeshError } from '../../protocol/index.ts'

it('makes an error of anything that is thrown, also of what no text can be made of', () => {
  const throws = (): never => {
    throw new Error('do not look')
  }
  const unreadable = [
    Object.create(null),
    { toString: throws },
    Object.defineProperty(new Error('hidden'), 'message', { get: throws }),
    new Proxy({}, { get: throws, getPrototypeOf: throws }),
  ] as const
  for (const thrown of unreadable) {
    const error = toQMeshError(thrown)
    expect(error).toMatchObject({ code: 'QM_INTERNAL', message: expect.stringContaining('cannot be read') })
    expect(error.cause).toBe(thrown)
  }
  expect(toQMeshError(undefined, 'QM_INFERENCE_FAILED', 'It failed.').message).toBe('It failed. (undefined)')
  expect(toQMeshError(new Error('x'.repeat(5_000_000))).message.length).toBeLessThan(2_000)
  const own = new QMeshError('QM_DISK_FULL', 'no room')
  expect(toQMeshError(own)).toBe(own)
})
