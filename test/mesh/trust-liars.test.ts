import { randomBytes } from 'node:crypto'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { Head } from '../../protocol/trust/index.ts'
import { decodeEntry, scoreStatementFormat } from '../../protocol/trust/index.ts'
import type { QMeshClient } from '../../runtime/index.ts'
import { Liar } from '../support/trust-liar.ts'
import { createAccount, makeReceipt, toTestNetworkId, toTestParams } from '../support/trust-receipts.ts'
import { createTestMesh } from './support/mesh.ts'

const epochSeconds = 2
const patience = { timeout: 30_000, interval: 100 }

/** Two nodes that serve and one that only asks, with something in their books. */
async function createHonestMesh() {
  const mesh = await createTestMesh()
  const params = toTestParams(epochSeconds)
  const [first, second, taker] = await Promise.all([
    mesh.worker({ epochSeconds, name: 'first' }),
    mesh.worker({ epochSeconds, name: 'second' }),
    mesh.client({ epochSeconds, name: 'taker' }),
  ])
  const nodes: readonly QMeshClient[] = [first, second, taker]
  const workers = [first.id, second.id]
  await vi.waitFor(() => expect(taker.workers().filter(({ slots }) => slots > 0)).toHaveLength(2), patience)
  for (const node of nodes) await node.ask('Hello', { maxTokens: 4 }).result
  await vi.waitFor(() => {
    for (const node of nodes) expect(node.scores().some(({ receipts }) => receipts > 0)).toBe(true)
  }, patience)
  const folder = await mesh.tempDir()
  const bootstrap = mesh.bootstrap.map((address) => {
    const [host = '', port] = address.split(':')
    return { host, port: Number(port) }
  })
  const createLiar = async (): Promise<Liar> => {
    const liar = await Liar.create({ bootstrap, secret: mesh.secret, params, folder })
    onTestFinished(() => liar.leave())
    await liar.meet(workers)
    return liar
  }
  const networkId = toTestNetworkId(params, mesh.secret)
  return {
    nodes,
    workers,
    createLiar,
    createStranger: () => createAccount(networkId),
    createLate: () => mesh.client({ epochSeconds, name: 'late' }),
  }
}

const rowOf = (node: QMeshClient, id: string) => node.scores().find((row) => row.id === id)

describe('whoever lies', { timeout: 180_000 }, () => {
  it('is banned by every honest node, and nobody else is', async () => {
    const { nodes, workers, createLiar, createStranger, createLate } = await createHonestMesh()
    const [first = '', second = ''] = workers
    const create = (count: number) => Promise.all(Array.from({ length: count }, createLiar))
    const [copier, forger, repeater, twoFaced, rewriter, spender, filer, otherFiler] = (await create(8)) as [
      Liar,
      Liar,
      Liar,
      Liar,
      Liar,
      Liar,
      Liar,
      Liar,
    ]
    const { epoch } = copier
    const client = createStranger().signer
    const tellAll = async (liar: Liar, head: Promise<Head>) => liar.tell(await head)

    // Its log is a copy of another's receipts.
    const served = nodes.flatMap((node) => node.scores()).find(({ receipts }) => receipts > 0)
    const cards = () =>
      copier.heard.flatMap(({ message }) => (message.type === 'score-update' ? (message.cards ?? []) : []))
    const findVictim = () => cards().find(({ accountId }) => accountId === served?.id)
    await copier.until(() => findVictim() !== undefined)
    const victim = findVictim()
    if (!victim || !served) throw new Error('somebody has served, and told of it')
    const copied = await copier.copyLog(victim, served.read)
    const receipts = copied.filter((bytes) => decodeEntry(bytes).type === 'receipt')
    await copier.append({ type: 'card', card: copier.card })
    await tellAll(copier, copier.appendBytes(...receipts))

    // It signs in the name of a client.
    const { signer } = forger.account
    const forged = makeReceipt({ client: signer, worker: signer, epoch, offer: { clientId: client.id } })
    await forger.append({ type: 'card', card: forger.card })
    await tellAll(forger, forger.append({ type: 'receipt', epoch, receipt: forged }))

    // It counts an answer twice.
    const receipt = makeReceipt({ client, worker: repeater.account.signer, epoch })
    await repeater.append({ type: 'card', card: repeater.card })
    const twice = repeater.append({ type: 'receipt', epoch, receipt }, { type: 'receipt', epoch, receipt })
    await tellAll(repeater, twice)

    // It signs for two logs of one length, and shows one to each half.
    await twoFaced.append({ type: 'card', card: twoFaced.card })
    twoFaced.say(
      {
        type: 'score-update',
        cards: [twoFaced.card],
        heads: [await twoFaced.head({ length: 2, treeHash: '11'.repeat(32) })],
      },
      [first],
    )
    twoFaced.say(
      {
        type: 'score-update',
        cards: [twoFaced.card],
        heads: [await twoFaced.head({ length: 2, treeHash: '22'.repeat(32) })],
      },
      [second],
    )

    // It edits what it has shown, as one does who deletes the store and starts with the same keys.
    await rewriter.append({ type: 'card', card: rewriter.card })
    const before = makeReceipt({ client, worker: rewriter.account.signer, epoch })
    await tellAll(rewriter, rewriter.append({ type: 'receipt', epoch, receipt: before }))
    await vi.waitFor(() => {
      for (const node of nodes) expect(rowOf(node, rewriter.id)).toMatchObject({ read: 2 })
    }, patience)
    await rewriter.startOver()
    await rewriter.append({ type: 'card', card: rewriter.card })
    const after = makeReceipt({ client, worker: rewriter.account.signer, epoch })
    await tellAll(rewriter, rewriter.append({ type: 'receipt', epoch, receipt: after }))

    // It makes one promise to two workers, who keep it as they should.
    await tellAll(spender, spender.append({ type: 'card', card: spender.card }))
    await vi.waitFor(() => {
      for (const node of nodes) expect(rowOf(node, spender.id)).toMatchObject({ read: 1 })
    }, patience)
    const spendSeq = Date.now()
    for (const worker of [filer, otherFiler]) {
      await worker.append({ type: 'card', card: worker.card })
      const kept = makeReceipt({
        client: spender.account.signer,
        worker: worker.account.signer,
        epoch,
        offer: { spendSeq },
      })
      await tellAll(worker, worker.append({ type: 'receipt', epoch, receipt: kept }))
    }

    const guilty = [copier, forger, repeater, twoFaced, rewriter, spender]
    const names = new Map([
      [copier.id, 'copier'],
      [forger.id, 'forger'],
      [repeater.id, 'repeater'],
      [twoFaced.id, 'two-faced'],
      [rewriter.id, 'rewriter'],
      [spender.id, 'spender'],
    ])
    const nameOf = (id: string) => names.get(id) ?? id
    const why = (pattern: RegExp) => expect.stringMatching(pattern) as string
    const expected = new Map([
      ['copier', why(/^Entry 1 of its log: The receipt is of another worker/)],
      ['forger', why(/^Entry 1 of its log: the offer is not signed by its client/)],
      ['repeater', why(/^Entry 2 of its log: The receipt is in the log already/)],
      ['two-faced', why(/two different logs of the same length/)],
      ['rewriter', why(/two different logs of the same length|two histories of it exist/)],
      ['spender', why(/the same promise to pay twice/)],
    ])
    await vi.waitFor(() => {
      for (const node of nodes) {
        const banned = node.scores().filter((row) => row.banned !== undefined)
        expect(new Map(banned.map(({ id, banned: why }) => [nameOf(id), why]))).toEqual(expected)
        expect(banned.every(({ score }) => score === 0)).toBe(true)
      }
    }, patience)

    // Whoever was honest is judged alike by all: the same log, score and credit.
    const honestRows = (node: QMeshClient) =>
      node
        .scores()
        .filter(({ banned }) => banned === undefined)
        .map(({ isSelf: _, ...row }) => row)
    await vi.waitFor(() => {
      const [one, two, three] = nodes.map(honestRows)
      expect(one?.length).toBeGreaterThanOrEqual(4)
      expect(one?.every(({ read, length }) => read === length)).toBe(true)
      expect(two).toEqual(one)
      expect(three).toEqual(one)
    }, patience)

    // So it is by one who was not there: bans, by a proof or by a log, come with the cards that they need.
    const late = await createLate()
    await vi.waitFor(() => {
      const banned = late.scores().filter((row) => row.banned !== undefined)
      expect(new Map(banned.map(({ id, banned: why }) => [nameOf(id), why]))).toEqual(expected)
      expect(honestRows(late)).toEqual(honestRows(nodes[0] ?? late))
    }, patience)

    // And they would sign the same: one digest stands for log, bans and parameters.
    const statementOf = (from: string, epochNow: number) =>
      filer.heard.find(
        ({ from: sender, message }) =>
          sender === from &&
          message.type === 'score-verify' &&
          message.statement.accountId === victim.accountId &&
          message.statement.epoch === epochNow,
      )?.message
    const askAll = async () => {
      const { epoch: asked } = filer
      filer.say({ type: 'score-request', accountId: victim.accountId, epoch: asked })
      return vi.waitFor(
        () => {
          const [a, b] = workers.map((id) => statementOf(id, asked))
          if (a?.type !== 'score-verify' || b?.type !== 'score-verify') throw new Error('not yet')
          return [a.statement, b.statement] as const
        },
        { timeout: 1_500, interval: 20 },
      )
    }
    const [one, two] = await vi.waitFor(askAll, { timeout: 20_000, interval: 1_100 })
    expect(one.inputDigest).toBe(two.inputDigest)
    expect(one.values).toEqual(two.values)

    await vi.waitFor(() => {
      for (const liar of guilty) expect(liar.peers).toEqual([])
    }, patience)
    const letIn = workers.map((id) => spender.isLetIn(id))
    expect(filer.peers.toSorted()).toEqual(workers.toSorted())
    expect(otherFiler.closed.size).toBe(0)

    // It states a false score of somebody, from the very books that they all have.
    const slander = async (slanderer: Liar) => {
      const [statement] = await askAll()
      const lie = { ...statement, values: [9, 9, 9, 9, 9], signerId: slanderer.id }
      const signed = scoreStatementFormat.sign(slanderer.account.signer, lie)
      slanderer.say({ type: 'score-verify', statement: signed })
      await vi.waitFor(
        () => {
          for (const node of nodes)
            expect(rowOf(node, slanderer.id)?.banned).toMatch(/^It stated a false score/)
        },
        { timeout: 1_500, interval: 20 },
      )
    }
    const createSlanderer = async () => {
      const liar = await createLiar()
      liar.tell(await liar.append({ type: 'card', card: liar.card }))
      await vi.waitFor(() => {
        for (const node of nodes) expect(rowOf(node, liar.id)).toBeDefined()
      }, patience)
      return liar
    }
    // It is judged in its own epoch only, which may be over when it comes to the last: then somebody else tries.
    let slanderer = otherFiler
    await vi.waitFor(
      async () => {
        const liar = slanderer
        await slander(liar).catch(async (error: unknown) => {
          slanderer = await createSlanderer()
          throw error
        })
      },
      { timeout: 60_000, interval: 100 },
    )
    for (const node of nodes) expect(rowOf(node, filer.id)?.banned).toBeUndefined()
    expect(await Promise.all(letIn)).toEqual([false, false])
  })

  it('or sends garbage is cut off, and nobody suffers', async () => {
    const { nodes, workers, createLiar } = await createHonestMesh()
    const [scribbler, flooder] = await Promise.all([createLiar(), createLiar()])
    for (let count = 0; count < 20; count++) scribbler.write(randomBytes(64))
    for (let count = 0; count < 2_000; count++) {
      flooder.say({ type: 'score-request', accountId: flooder.id, epoch: count })
    }
    for (const liar of [scribbler, flooder]) {
      await liar.until(() => workers.every((id) => liar.closed.has(id)))
    }
    for (const node of nodes) {
      await node.ask('Still there?', { maxTokens: 2 }).result
      expect(node.scores().filter(({ banned }) => banned)).toEqual([])
    }
  })
})
