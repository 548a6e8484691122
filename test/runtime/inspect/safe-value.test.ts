import { createActor, createMachine } from 'xstate'
import { describe, expect, it } from 'vitest'
import { QMeshError } from '../../../protocol/index.ts'
import { toSafeName, toSafeText, toSafeValue } from '../../../runtime/inspect/safe-value.ts'

class Ledger {
  readonly secret = 'do not show me'
}

describe('the safe form', () => {
  it('shows numbers and words, and says how much of everything else there was', () => {
    expect(
      toSafeValue({
        tokens: 5,
        ready: true,
        none: null,
        gone: undefined,
        state: 'model.ready',
        note: 'a word from a person',
        worker: 'ab01'.repeat(16),
        job: `${'ab'.repeat(32)}:${'cd'.repeat(16)}`,
        bytes: Buffer.alloc(32),
        list: [1, 2, 3],
        ids: Array.from({ length: 100 }, (_, index) => index),
        act: () => 'code',
        port: { send: () => {} },
        ledger: new Ledger(),
        map: new Map([['a', 1]]),
        since: Infinity,
        error: new QMeshError('QM_WORKER_LOST', 'the worker said: my prompt'),
      }),
    ).toEqual({
      tokens: 5,
      ready: true,
      none: null,
      state: 'model.ready',
      note: 'text of 20 characters',
      worker: 'ab01ab01…',
      job: 'abababab…:cdcdcdcd…',
      bytes: '32 bytes',
      list: [1, 2, 3],
      ids: '100 numbers',
      ledger: 'Ledger',
      map: 'Map of 1',
      since: 'Infinity',
      error: { error: 'QMeshError', code: 'QM_WORKER_LOST' },
    })
  })

  it('shows nothing of what stands under a name for words or secrets, not even one word or a few numbers', () => {
    const value = {
      prompt: 'hello',
      messages: [{ role: 'user', content: 'hello' }],
      answer: { divorce: true, age: 34 },
      text: '',
      secretKey: 'short',
      tokens: [5, 6],
      input: 'hello',
      error: 'hello',
      context: { mode: 'shown' },
    }
    expect(toSafeValue(value)).toEqual({
      prompt: 'text of 5 characters',
      messages: '1 entries',
      answer: '2 fields',
      text: '',
      secretKey: 'text of 5 characters',
      tokens: '2 numbers',
      input: 'text of 5 characters',
      error: 'text of 5 characters',
      context: { mode: 'shown' },
    })
  })

  it.each(['api_key', 'api-key', 'private_key', 'token', 'sessionToken', 'passcode', 'auth', 'stop'])(
    'shows nothing of what stands under "%s"',
    (name) => {
      expect(toSafeValue({ [name]: 'hunter2' })).toEqual({ [name]: 'text of 7 characters' })
      expect(toSafeValue({ [name]: ['hunter2'] })).toEqual({ [name]: '1 entries' })
      // A count is one whatever is counted.
      expect(toSafeValue({ [name]: 3 })).toEqual({ [name]: 3 })
    },
  )

  it('runs no code of the program, and survives what contains itself', () => {
    const loop: { self?: unknown; readonly trap: string } = {
      get trap(): string {
        throw new Error('looked at')
      },
    }
    loop.self = loop
    expect(JSON.stringify(toSafeValue(loop)).length).toBeLessThan(2_000)
    const hostile = new Proxy({}, { ownKeys: () => { throw new Error('looked at') } }) // prettier-ignore
    expect(toSafeValue(hostile)).toBe('not to be read')
    // As libraries make them, to have an object without any inherited name.
    const bare: unknown = Object.create(Object.create(null) as object)
    expect(toSafeValue({ query: bare, page: 1 })).toEqual({ query: 'object', page: 1 })
  })

  it('has a bound for depth, breadth and all', () => {
    const wide = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`k${index}`, index]))
    expect(Object.keys(toSafeValue(wide) as object)).toHaveLength(33)
    expect(toSafeValue({ a: { b: { c: { d: { e: { f: 1 } } } } } })).toEqual({
      a: { b: { c: { d: { e: '1 fields' } } } },
    })
    const all = Array.from({ length: 32 }, () => Array.from({ length: 32 }, () => ({ a: true })))
    expect(JSON.stringify(toSafeValue(all)).length).toBeLessThan(4_000)
  })

  it('counts the names of a large record once: it stays the same object from one context to the next', () => {
    const target = Object.fromEntries(Array.from({ length: 2_000 }, (_, index) => [`k${index}`, index]))
    let counted = 0
    const record = new Proxy(target, { ownKeys: (own) => (counted++, Reflect.ownKeys(own)) })
    const before = toSafeValue({ step: 1, record })
    target['k0'] = -1
    const after = toSafeValue({ step: 2, record })
    expect(counted).toBe(1)
    expect(before).toMatchObject({ record: { k0: 0, k31: 31, '…': '1968 more' } })
    expect(after).toMatchObject({ record: { k0: -1, k31: 31, '…': '1968 more' } })
  })

  it('names other actors by their session', () => {
    const actor = createActor(createMachine({}))
    expect(toSafeValue({ child: actor })).toEqual({ child: `actor ${actor.sessionId}` })
  })

  it('cuts keys out of names too', () => {
    expect(toSafeName(`xstate.done.actor.${'0a'.repeat(16)}`)).toBe('xstate.done.actor.0a0a0a0a…')
    expect(toSafeName('a sentence; with strange “signs”')).toBe('text of 32 characters')
    expect(toSafeText('x'.repeat(5_000))).toBe('text of 5000 characters')
  })
})
