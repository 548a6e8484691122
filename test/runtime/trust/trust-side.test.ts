import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createActor, toPromise } from 'xstate'
import type { PeerId, Prompt } from '../../../protocol/index.ts'
import { createSigner, type FraudProof, headFormat } from '../../../protocol/trust/index.ts'
import { configFromOptions } from '../../../runtime/config/index.ts'
import { openDataDir } from '../../../runtime/data-dir.ts'
import { createClient } from '../../../runtime/index.ts'
import { exportKeys, importKeys } from '../../../runtime/keys.ts'
import { createLogger } from '../../../runtime/logger.ts'
import { keepAccusation } from '../../../runtime/trust/accusation.ts'
import { adoptLog } from '../../../runtime/trust/adopt-log.ts'
import { toOwnAccount } from '../../../runtime/trust/own-account.ts'
import { openTrustSide } from '../../../runtime/trust/trust-side.ts'
import { createAccount, makeCard, makeReceipt, type TestAccount } from '../../support/trust-receipts.ts'
import { eventually } from '../../support/eventually.ts'

const requestId = 'ab'.repeat(16)

const prompt: Prompt = {
  type: 'prompt',
  requestId,
  modelId: 'tiny',
  modelHash: 'cd'.repeat(32),
  prompt: 'Hello',
  maxTokens: 4,
  sampling: { temperature: 0, topK: 0, topP: 1, minP: 0, repeatPenalty: 1, repeatLastTokens: 0 },
  stop: [],
}

async function tempDir(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'qmesh-trust-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const toConfig = (dataDir: string) => configFromOptions({ dataDir, stampBits: 0 })

async function openSide(path?: string) {
  const folder = path ?? (await tempDir())
  const dataDir = await openDataDir(folder)
  const cutOff: PeerId[] = []
  const trust = await openTrustSide({
    dataDir,
    config: toConfig(folder),
    logger: createLogger({ level: 'silent' }),
    isWorker: true,
    onBanned: (accountId) => cutOff.push(accountId),
    onViolation: () => {},
  })
  const { networkId } = toOwnAccount(dataDir, toConfig(folder))
  let isClosed = false
  const close = async (): Promise<void> => {
    if (isClosed) return
    isClosed = true
    await trust.close()
    await dataDir.close()
  }
  onTestFinished(close)
  return { trust, networkId, dataDir, folder, cutOff, close, stranger: () => createAccount(networkId) }
}

const toFork = ({ signer }: Pick<TestAccount, 'signer'>): FraudProof => {
  const sign = (treeHash: string) =>
    headFormat.sign(signer, { accountId: signer.id, epoch: 7, length: 3, treeHash })
  return { kind: 'fork', a: sign('11'.repeat(32)), b: sign('22'.repeat(32)) }
}

/** Lets what is done two turns later happen. */
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 4; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
}

describe('a ban', () => {
  it('cuts off who was introduced, and its prompts and prompts to it are refused with the reason', async () => {
    const { trust, cutOff, stranger } = await openSide()
    const thief = stranger()
    await trust.ledger.learnCard(makeCard(thief, trust.ledger.epoch))
    expect(trust.ledger.learnProof(toFork(thief))).toBe('new')
    await turns()
    expect([cutOff, trust.banned()]).toEqual([[thief.id], [thief.id]])
    const refusal = expect.objectContaining({
      code: 'QM_ACCOUNT_BANNED',
      message: expect.stringMatching(/is banned: It signed for two different logs/) as string,
    }) as Error
    expect(() => trust.earnings.begin(thief.id, prompt)).toThrow(refusal)
    expect(() => trust.deals.begin(thief.id, prompt)).toThrow(refusal)
    expect(trust.earnings.begin(stranger().id, prompt)).toBeUndefined()
  })

  it('of somebody who was never introduced and is not here takes no place among those cut off', async () => {
    const { trust, cutOff, stranger } = await openSide()
    const [client, worker] = [stranger(), stranger()]
    const { epoch } = trust.ledger
    // Found in logs, so nobody had to be believed.
    for (const spendSeq of [5, 5]) {
      const receipt = makeReceipt({
        client: client.signer,
        worker: worker.signer,
        epoch,
        offer: { spendSeq },
      })
      trust.ledger.spending.received(receipt)
    }
    await turns()
    expect(trust.ledger.books.isBanned(client.id)).toBe(true)
    expect([cutOff, trust.banned()]).toEqual([[], []])
  })

  it('of the own account is told at the next start, and nothing starts', async () => {
    const { trust, networkId, dataDir, folder, close } = await openSide()
    const { identity } = dataDir
    const signer = createSigner(networkId, identity.noiseKeyPair())
    expect(trust.ledger.learnProof(toFork({ signer }))).toBe('known')
    await keepAccusation(dataDir, networkId, toFork({ signer }))
    await close()
    const starting = createClient({ dataDir: folder, stampBits: 0, logLevel: 'silent' })
    await expect(starting).rejects.toMatchObject({
      code: 'QM_ACCOUNT_BANNED',
      message: expect.stringMatching(/start again with new keys/) as string,
    })
    // What was kept has to be a proof against this very account.
    const again = await openDataDir(folder)
    await keepAccusation(again, networkId, toFork(createAccount(networkId)))
    await again.close()
    await openSide(folder)
  })
})

describe('the own log', () => {
  it('is new, or elsewhere when the keys were imported, until the owner says that there is none', async () => {
    const first = await openSide()
    expect(first.trust.log).toBe('new')
    await first.close()
    const [file, folder] = [join(await tempDir(), 'keys'), join(await tempDir(), 'new')]
    await exportKeys(first.folder, file)
    await importKeys(file, folder)
    const imported = await openSide(folder)
    expect(imported.trust.log).toBe('elsewhere')
    await expect(adoptLog(toConfig(folder))).rejects.toMatchObject({ code: 'QM_DATA_DIR_LOCKED' })
    await imported.close()
    expect(await adoptLog(toConfig(folder))).toMatchObject({ length: 0, lost: 0 })
    expect((await openSide(folder)).trust.log).toBe('new')
  })

  it('is elsewhere, although some of it came, until the check was passed with it', async () => {
    const first = await openSide()
    const [file, folder] = [join(await tempDir(), 'keys'), join(await tempDir(), 'new')]
    await exportKeys(first.folder, file)
    await importKeys(file, folder)
    const started = await openSide(folder)
    const { ledger } = started.trust
    const { epoch } = ledger
    ledger.append({ type: 'paid', epoch, workerId: '0b'.repeat(32), requestId, spendSeq: 1, amount: 1_050 })
    ledger.checked()
    await eventually(() => expect(ledger.headOf(ledger.ownId)?.length).toBe(2))
    await started.close()
    const { trust, close } = await openSide(folder)
    expect(trust.log).toBe('elsewhere')
    const gossiper = createActor(trust.gossiper, { input: { timings: { checkWaitMs: 1 } } }).start()
    onTestFinished(() => void gossiper.stop())
    await eventually(() => expect(trust.log).toBe('begun'))
    gossiper.send({ type: 'score-gossiper.stop' })
    await toPromise(gossiper)
    await close()
    expect((await openSide(folder)).trust.log).toBe('begun')
  })
})
