import { describe, expect, it, vi } from 'vitest'
import { createTestMesh } from './support/mesh.ts'

const timeout = 60_000
/** Nobody is there to hold a longer log: a short epoch shortens the wait for who might. */
const epochSeconds = 4

describe('work is evidence', { timeout }, () => {
  it('an answer is a receipt in the log of its worker and a payment in that of its client', async () => {
    const mesh = await createTestMesh()
    const worker = await mesh.worker({ epochSeconds, name: 'worker' })
    const client = await mesh.client({ epochSeconds, name: 'client' })
    const { usage, requestId } = await client.ask('Hello', { maxTokens: 20, temperature: 0 }).result

    await vi.waitFor(async () => {
      expect((await worker.credit()).earned).toBeGreaterThan(0)
      expect((await client.credit()).paid).toBeGreaterThan(0)
    }, 20_000)
    const report = await worker.whyScore()
    expect(report).toMatchObject({ id: worker.id, isSelf: true, receipts: 1, payments: 0, faults: [] })
    expect(report.entries).toMatchObject([
      { type: 'receipt', clientId: client.id, tokens: usage.completionTokens, isSigned: true, price: 2 },
      { type: 'card', name: 'worker' },
    ])
    const paid = await client.credit()
    // A twentieth of the price is burned.
    expect(paid).toMatchObject({ balance: -2.1, paid: 2.1, burned: 0.1, available: 17.9 })
    expect(paid.entries).toMatchObject([{ type: 'payment', workerId: worker.id, requestId, amount: 2.1 }])
  })

  it('an answer that is cancelled costs what came of it', async () => {
    const mesh = await createTestMesh()
    const worker = await mesh.worker({ epochSeconds })
    const client = await mesh.client({ epochSeconds })
    const answer = client.ask('Hello', { maxTokens: 400 })
    let tokens = 0
    for await (const chunk of answer) if ((tokens += chunk.tokens.length) >= 70) break
    answer.cancel()
    await expect(answer.result).rejects.toMatchObject({ code: 'QM_CANCELLED' })

    await vi.waitFor(async () => expect((await worker.whyScore()).receipts).toBe(1), 20_000)
    const [receipt] = (await worker.whyScore()).entries
    await vi.waitFor(async () => expect((await client.credit()).paid).toBeGreaterThan(0), 20_000)
    const { paid, burned } = await client.credit()
    expect(receipt).toMatchObject({ type: 'receipt', clientId: client.id, isSigned: true })
    expect(paid - burned).toBeCloseTo(receipt?.type === 'receipt' ? receipt.price : NaN)
  })

  it('what a node did is still there when it starts again', async () => {
    const mesh = await createTestMesh()
    const dataDir = await mesh.tempDir()
    const client = await mesh.client({ epochSeconds })
    const first = await mesh.worker({ epochSeconds, dataDir })
    await client.ask('Hello', { maxTokens: 5 }).result
    await vi.waitFor(async () => expect((await first.credit()).earned).toBeGreaterThan(0), 20_000)
    const before = await first.whyScore()
    await first.stop()
    const second = await mesh.worker({ epochSeconds, dataDir })
    expect(await second.whyScore()).toEqual({ ...before, epoch: expect.any(Number) as number })
  })
})

describe('the books of a mesh', () => {
  it('are the same on every node, and who served is ahead', async () => {
    const mesh = await createTestMesh()
    const options = { epochSeconds: 1 }
    const models = [mesh.model({ slots: 1 })]
    const first = await mesh.worker({ ...options, models, name: 'first' })
    const second = await mesh.worker({ ...options, models, name: 'second' })
    const taker = await mesh.client({ ...options, name: 'taker' })
    const nodes = [first, second, taker]
    await vi.waitFor(() => expect(taker.workers().filter(({ slots }) => slots > 0)).toHaveLength(2), 20_000)
    // Two at once, and one slot each: both serve.
    for (let round = 0; round < 6; round++) {
      await Promise.all([1, 2].map(() => taker.ask('Hello', { maxTokens: 8 }).result))
    }
    const boardOf = (node: (typeof nodes)[number]) => node.scores().map(({ isSelf: _, ...row }) => row)
    await vi.waitFor(
      () => {
        const boards = nodes.map(boardOf)
        expect(boards[0]).toHaveLength(3)
        expect(boards[0]?.every(({ read, length }) => read === length && length > 0)).toBe(true)
        expect(boards[1]).toEqual(boards[0])
        expect(boards[2]).toEqual(boards[0])
        // Final after ten epochs of a second.
        expect(boards[0]?.[0]?.score).toBeGreaterThan(0)
      },
      { timeout: 60_000, interval: 250 },
    )
    const [top] = taker.scores()
    expect(['first', 'second']).toContain(top?.name)
    expect(taker.scores().find(({ isSelf }) => isSelf)).toMatchObject({ score: 0, name: 'taker' })
    const elsewhere = await taker.whyScore(top?.id.slice(0, 12))
    expect(elsewhere).toMatchObject({ id: top?.id, isSelf: false, faults: [] })
    expect(elsewhere.entries.some(({ type }) => type === 'receipt')).toBe(true)
  })
})
