import { createActor, SimulatedClock } from 'xstate'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Books } from '../../actors/trust/books.ts'
import { schedulerMachine } from '../../machines/scheduling/index.ts'
import { createRequestId, defaultSampling } from '../../protocol/index.ts'
import { WorkerSide } from '../../runtime/worker-side.ts'
import { createCard, createReceipt, epoch0, filed, fold, params } from '../machines/trust/receipt-rig.ts'
import { idleHost } from './support/idle-host.ts'

const servedId = 'a'.repeat(64)
const newcomerId = 'b'.repeat(64)

/** Books in which one account has answered seven clients, once each: 63 points, of which half counts before audits. */
function createBooks(): Books {
  const books = new Books(params, () => epoch0 + 100)
  const account = books.open(servedId)
  if (!account) throw new Error('there is room for one')
  const receipts = Array.from({ length: 7 }, (_, at) =>
    filed(createReceipt({ request: at + 1, client: at + 1, worker: servedId })),
  )
  fold([createCard({ accountId: servedId }), ...receipts], { state: account.state })
  return books
}

/** A worker with real books, intake and scheduler, and one slot. `isPaid`: whether clients promise a price. */
function createRig(isPaid: boolean) {
  const clock = new SimulatedClock()
  const books = createBooks()
  const actor = createActor(schedulerMachine, { clock, input: { nowMs: () => clock.now(), capacity: 10 } })
  const names = new Map<string, string>()
  const started: (string | undefined)[] = []
  let asking = ''
  const worker = new WorkerSide({
    selfId: 'd'.repeat(64),
    now: () => clock.now(),
    queueCapacity: 10,
    pauseWhenBusy: false,
    precedence: books,
    isPrecedenceEarned: true,
    earnings: {
      begin: () => ({ isGratis: !isPaid, sent: () => {}, finished: () => '', ended: () => {} }),
      acked: () => 'ok',
    },
    scheduler: () => ({
      send: (command) => {
        if (command.type === 'request.submit') names.set(command.jobId, asking)
        actor.send(command)
      },
    }),
    inference: () => ({ send: () => {} }),
    onChanged: () => {},
    onUrgent: () => {},
  })
  actor.on('*', (event) => worker.scheduled(event))
  actor.on('request.assigned', ({ jobId }) => void started.push(names.get(jobId)))
  actor.start()
  onTestFinished(() => void actor.stop())
  worker.hosts.set('tiny', idleHost)
  actor.send({ type: 'slot.added', slotId: 'tiny/0', modelId: 'tiny' })
  const ask = async (peerId: string, name: string): Promise<void> => {
    asking = name
    worker.intake.received(
      { peerId, send: () => {} },
      {
        type: 'prompt',
        requestId: createRequestId(),
        modelId: 'tiny',
        prompt: 'hi',
        sampling: defaultSampling,
        maxTokens: 8,
        stop: [],
      },
    )
    await new Promise<void>((resolve) => void setImmediate(resolve))
  }
  const free = (): void => {
    const work = { promptTokens: 3, completionTokens: 8, runMs: 1_000 }
    actor.send({ type: 'slot.freed', slotId: 'tiny/0', atMs: clock.now(), ...work })
  }
  return { books, clock, started, ask, free }
}

describe('31 points', () => {
  it.each([
    [
      'that pay go before a newcomer of 0.5 s ago, and after one of 1.5 s ago',
      true,
      ['1.5', 'served', '0.5'],
    ],
    ['that do not pay overtake nobody', false, ['1.5', '0.5', 'served']],
  ])('%s', async (_, isPaid, order) => {
    const { books, clock, started, ask, free } = createRig(isPaid)
    expect(books.precedenceOf(servedId)).toEqual({ tier: 'bronze', waitMs: 4_100 })
    await ask(newcomerId, 'running')
    await ask(newcomerId, '1.5')
    clock.increment(1_000)
    await ask(newcomerId, '0.5')
    clock.increment(500)
    await ask(servedId, 'served')
    for (let turn = 0; turn < 3; turn++) free()
    expect(started).toEqual(['running', ...order])
  })
})
