import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { limits } from '../../../protocol/index.ts'
import type { Answer, AnswerError } from '../../../actors/request/answer.ts'
import { createRig, settled, textOf, toFinish, type Rig, type ScriptedWorker } from './rig.ts'

interface Asked {
  readonly rig: Rig
  readonly worker: ScriptedWorker
  readonly answer: Answer
}

async function ask(options: Parameters<Rig['asker']['ask']>[1] = {}): Promise<Asked> {
  const rig = createRig()
  const worker = rig.addWorker()
  const answer = rig.asker.ask('hello', { maxTokens: 1_000, ...options })
  await settled()
  return { rig, worker, answer }
}

/** Sends `tokens` one a frame, as far as the acknowledgements allow, like an honest worker. @returns how many it sent. */
function stream(worker: ScriptedWorker, from: number, to: number): number {
  let sent = from
  for (; sent < to && sent - (worker.acks.at(-1) ?? 0) < limits.unackedTokensMax; sent++) {
    expect(worker.tokens(sent, 1)).toBe('ok')
  }
  return sent
}

const failureOf = (promise: Promise<unknown>): Promise<AnswerError> =>
  promise.then(
    () => {
      throw new Error('it did not fail')
    },
    (error: AnswerError) => error,
  )

describe('back-pressure', () => {
  test('an unread answer acknowledges nothing, so its buffer never exceeds the window', async () => {
    const { worker, rig } = await ask()
    expect(stream(worker, 0, 500)).toBe(limits.unackedTokensMax)
    await settled()
    rig.pass(60_000)
    expect(worker.acks).toStrictEqual([])
    expect(worker.wasCancelled).toBe(false)
  })

  test('acknowledgements follow the reader, not the network', async () => {
    const { worker, answer } = await ask()
    stream(worker, 0, 128)
    const iterator = answer[Symbol.asyncIterator]()
    for (let read = 1; read <= 200; read++) {
      expect((await iterator.next()).value?.text).toBe(`t${read - 1} `)
      const due = Math.floor(read / limits.ackEveryTokens) * limits.ackEveryTokens
      expect(worker.acks.at(-1) ?? 0).toBe(due)
      stream(worker, answer.partial.split(' ').length - 1, 1_000)
    }
  })

  test('awaiting only the result reads everything', async () => {
    const { worker, answer } = await ask()
    const { result } = answer
    await settled()
    expect(stream(worker, 0, 500)).toBe(500)
    worker.tokens(500, 1, toFinish(501))
    expect((await result).text).toBe(textOf(501))
    expect(await answer.text()).toBe(textOf(501))
  })

  test('holding the result before a loop does not take the loop’s back-pressure away', async () => {
    const { worker, answer } = await ask()
    const { result } = answer
    const iterator = answer[Symbol.asyncIterator]()
    await settled()
    expect(stream(worker, 0, 500)).toBe(limits.unackedTokensMax)
    await iterator.return?.()
    expect(await failureOf(result)).toMatchObject({ code: 'QM_CANCELLED' })
  })

  test('a reader who never comes back is given up, without blame for the worker', async () => {
    const { worker, answer, rig } = await ask()
    stream(worker, 0, 128)
    rig.pass(600_050)
    expect(await failureOf(answer.result)).toMatchObject({ code: 'QM_READER_TOO_SLOW', partial: textOf(128) })
    expect(worker.wasCancelled).toBe(true)
    expect(rig.standing.at(-1)?.[0]).toBe('cancelled')
  })

  test('the time a reader makes the worker wait is not measured as the worker’s', async () => {
    const { worker, answer, rig } = await ask()
    stream(worker, 0, 128)
    rig.pass(30_000)
    const text = answer.text()
    await settled()
    rig.pass(100)
    worker.tokens(128, 1, toFinish(129))
    await text
    expect(rig.standing.at(-1)).toStrictEqual(['finished', worker.peerId, { tokens: 129, ms: 100 }])
  })
})

describe('leaving', () => {
  test('breaking out of the loop cancels the worker and fails only who asks for the result', async () => {
    const { worker, answer, rig } = await ask()
    stream(worker, 0, 5)
    for await (const { text } of answer) {
      expect(text).toBe('t0 ')
      break
    }
    expect(worker.wasCancelled).toBe(true)
    expect(rig.asker.open).toBe(0)
    expect(rig.standing.at(-1)).toStrictEqual(['cancelled', worker.peerId])
    expect(worker.tokens(5, 1)).toBe('late')
    const failure = await failureOf(answer.result)
    expect(failure).toMatchObject({ code: 'QM_CANCELLED', partial: textOf(5), requestId: answer.requestId })
    expect(failure.attempts).toHaveLength(1)
  })

  test('an abort before the start sends nothing, one later cancels, and no listener stays behind', async () => {
    const early = new AbortController()
    early.abort('changed my mind')
    const never = await ask({ signal: early.signal })
    expect(never.worker.heard).toStrictEqual([])
    expect(await failureOf(never.answer.text())).toMatchObject({
      code: 'QM_CANCELLED',
      cause: 'changed my mind',
    })

    const controller = new AbortController()
    const { worker, answer } = await ask({ signal: controller.signal })
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1)
    controller.abort()
    expect(worker.wasCancelled).toBe(true)
    expect(await failureOf(answer.result)).toMatchObject({ code: 'QM_CANCELLED' })

    const done = await ask({ signal: controller.signal.aborted ? new AbortController().signal : undefined })
    done.worker.tokens(0, 1, toFinish(1))
    await done.answer.result
    expect(done.worker.wasCancelled).toBe(false)
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0)
  })

  test('a cancel from within a listener ends the answer once', async () => {
    const { rig, worker, answer } = await ask()
    answer.on('queued', () => answer.cancel())
    worker.position(2)
    worker.position(1)
    expect(await failureOf(answer.result)).toMatchObject({ code: 'QM_CANCELLED' })
    expect(worker.wasCancelled).toBe(true)
    expect(rig.dispatcher.size).toBe(0)
  })

  test('a cancel after the end changes nothing', async () => {
    const { worker, answer } = await ask()
    worker.tokens(0, 1, toFinish(1))
    answer.cancel()
    expect((await answer.result).text).toBe('t0 ')
    expect(worker.wasCancelled).toBe(false)
  })

  test('stopping the node fails what is open, wherever it is', async () => {
    const { rig, answer, worker } = await ask()
    worker.tokens(0, 2)
    rig.requester.stop()
    expect(await failureOf(answer.result)).toMatchObject({ code: 'QM_NODE_STOPPED', partial: textOf(2) })
    expect(worker.wasCancelled).toBe(true)
  })
})

describe('failures', () => {
  test('what came is handed out before the error, which is thrown once', async () => {
    const { rig, worker, answer } = await ask()
    worker.tokens(0, 2)
    worker.error('QM_ENGINE_CRASHED')
    worker.disconnect()
    rig.pass(15_100)
    const iterator = answer[Symbol.asyncIterator]()
    expect((await iterator.next()).value?.text).toBe(textOf(2))
    expect(await failureOf(iterator.next())).toMatchObject({ code: 'QM_ENGINE_CRASHED', partial: textOf(2) })
    expect(await iterator.next()).toStrictEqual({ done: true, value: undefined })
  })

  test('nobody who reads in one way is haunted by the other way’s rejection', async () => {
    const unhandled: unknown[] = []
    const listen = (reason: unknown): void => void unhandled.push(reason)
    process.on('unhandledRejection', listen)
    try {
      const untouched = await ask()
      untouched.worker.error('QM_CONTEXT_EXCEEDED')
      const iterated = await ask()
      iterated.worker.error('QM_CONTEXT_EXCEEDED')
      await failureOf(iterated.answer[Symbol.asyncIterator]().next())
      const awaited = await ask()
      awaited.worker.error('QM_CONTEXT_EXCEEDED')
      await failureOf(awaited.answer.text())
      for (let turn = 0; turn < 5; turn++) await settled()
      expect(unhandled).toStrictEqual([])
    } finally {
      process.off('unhandledRejection', listen)
    }
  })

  test('an answer has one reader', async () => {
    const { answer, worker } = await ask()
    worker.tokens(0, 1, toFinish(1))
    for await (const { tokens } of answer) expect(tokens).toStrictEqual([0])
    expect(() => answer[Symbol.asyncIterator]()).toThrowError(
      expect.objectContaining({ code: 'QM_REQUEST_INVALID' }),
    )
  })
})
