import { cp, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { NodeOptions, QMeshClient, QMeshNode } from '../../runtime/index.ts'
import { configFromOptions } from '../../runtime/config/index.ts'
import { exportKeys, importKeys } from '../../runtime/keys.ts'
import { adoptLog } from '../../runtime/trust/adopt-log.ts'
import { OpenAiServer } from '../support/openai-server.ts'
import { createTestMesh, type TestMesh } from './support/mesh.ts'

const patience = { timeout: 25_000, interval: 50 }
/** A quarter of it is waited for peers that hold more of the own log. */
const epochSeconds = 2

/** What is written down about an answer is the same whatever gave it, and a thread with a model takes seconds to start. */
let engine: OpenAiServer
beforeAll(async () => {
  engine = await OpenAiServer.start()
})
afterAll(() => engine.stop())

const startWorker = (mesh: TestMesh, options: NodeOptions = {}): Promise<QMeshNode> =>
  mesh.worker({
    epochSeconds,
    engine: 'openai',
    engineUrl: engine.url,
    engineModel: 'llama3.2:3b',
    models: [],
    ...options,
  })

/** Options of a node whose log can be read. */
async function writtenDown(mesh: TestMesh) {
  const logFile = join(await mesh.tempDir(), 'log')
  return { options: { logFile, logLevel: 'info' } as const, text: () => readFile(logFile, 'utf8') }
}

/** A file that is just being replaced may be gone before it is copied. */
const copyTo = (from: string, to: string) =>
  cp(from, to, { recursive: true, filter: (path) => !path.endsWith('.tmp') })

const ownRow = (node: QMeshClient) => node.scores().find(({ isSelf }) => isSelf)
const rowOf = (node: QMeshClient, id: string) => node.scores().find((row) => row.id === id)

async function askTimes(client: QMeshClient, count: number): Promise<void> {
  const before = ownRow(client)?.payments ?? 0
  for (let round = 0; round < count; round++) await client.ask('Hello', { maxTokens: 3 }).result
  await vi.waitFor(() => expect(ownRow(client)?.payments).toBe(before + count), patience)
}

const untilRead = (node: QMeshClient, id: string, length: number) =>
  vi.waitFor(() => expect(rowOf(node, id)).toMatchObject({ read: length, length }), patience)

async function createPair(mesh: TestMesh) {
  const [workerDir, dataDir] = [await mesh.tempDir(), await mesh.tempDir()]
  const worker = await startWorker(mesh, { dataDir: workerDir })
  const client = await mesh.client({ epochSeconds, dataDir })
  await askTimes(client, 2)
  return { worker, workerDir, client, dataDir }
}

describe('a node whose data directory', () => {
  it('was restored from a backup takes up the longer log, says so, and is not banned', async () => {
    const mesh = await createTestMesh()
    const { worker, client, dataDir } = await createPair(mesh)
    await client.stop()
    const backup = await mesh.tempDir()
    await copyTo(dataDir, backup)
    const later = await mesh.client({ epochSeconds, dataDir })
    await askTimes(later, 2)
    await untilRead(worker, client.id, 5)
    await later.stop()

    await rm(dataDir, { recursive: true })
    await copyTo(backup, dataDir)
    const { options, text } = await writtenDown(mesh)
    const restored = await mesh.client({ epochSeconds, dataDir, ...options })
    await vi.waitFor(() => expect(ownRow(restored)).toMatchObject({ read: 5, payments: 4 }), patience)
    expect(await text()).toMatch(/shorter here than at its peers/)
    await askTimes(restored, 1)
    await untilRead(worker, client.id, 6)
    expect(rowOf(worker, client.id)?.banned).toBeUndefined()
  })

  it('lost its logs or only kept its keys gets its log back, and elsewhere, too', async () => {
    const mesh = await createTestMesh()
    const { worker, client, dataDir } = await createPair(mesh)
    await untilRead(worker, client.id, 3)
    const { balance } = await client.credit()
    await client.stop()

    await rm(join(dataDir, 'accounts'), { recursive: true })
    const { options, text } = await writtenDown(mesh)
    const emptied = await mesh.client({ epochSeconds, dataDir, ...options })
    await vi.waitFor(() => expect(ownRow(emptied)).toMatchObject({ read: 3, payments: 2, balance }), patience)
    expect(await text()).toMatch(/shorter here than at its peers/)
    await askTimes(emptied, 1)
    await untilRead(worker, client.id, 4)
    await emptied.stop()

    const elsewhere = join(await mesh.tempDir(), 'new')
    const file = join(await mesh.tempDir(), 'keys')
    await exportKeys(dataDir, file)
    await importKeys(file, elsewhere)
    const moved = await mesh.client({ epochSeconds, dataDir: elsewhere })
    expect(moved.id).toBe(client.id)
    await vi.waitFor(() => expect(ownRow(moved)).toMatchObject({ read: 4, payments: 3 }), patience)
    await askTimes(moved, 1)
    await untilRead(worker, client.id, 5)
    expect(rowOf(worker, client.id)?.banned).toBeUndefined()
  })

  it('lost its index shows the same numbers again', async () => {
    const mesh = await createTestMesh()
    const { worker, client, dataDir } = await createPair(mesh)
    await untilRead(client, worker.id, 3)
    const numbers = () =>
      vi.waitFor(() => {
        expect(rowOf(worker, client.id)?.read).toBe(3)
        const rows = worker.scores().map(({ isSelf: _, ...row }) => row)
        expect(rows).toHaveLength(2)
        return rows
      }, patience)
    await client.stop()
    const [network = ''] = await readdir(join(dataDir, 'accounts'))
    await rm(join(dataDir, 'accounts', network, 'index'), { recursive: true })
    const again = await mesh.client({ epochSeconds, dataDir })
    const rows = await numbers()
    await vi.waitFor(() => expect(again.scores().map(({ isSelf: _, ...row }) => row)).toEqual(rows), patience)
  })

  it('runs twice at the same time is told that its log is forked', async () => {
    const mesh = await createTestMesh()
    const { worker, workerDir, client, dataDir } = await createPair(mesh)
    await client.stop()
    const copy = await mesh.tempDir()
    await copyTo(dataDir, copy)
    const { options, text } = await writtenDown(mesh)
    const original = await mesh.client({ epochSeconds, dataDir })
    await askTimes(original, 1)
    await untilRead(worker, client.id, 4)
    await original.stop()
    await worker.stop()
    // Started while nobody is there who knows better, and brought together later.
    const stranger = await startWorker(mesh)
    const twin = await mesh.client({ epochSeconds, dataDir: copy })
    await askTimes(twin, 1)
    await untilRead(stranger, client.id, 4)
    await twin.stop()
    await stranger.stop()
    await startWorker(mesh, { dataDir: workerDir })
    const back = await mesh.client({ epochSeconds, dataDir: copy, ...options })
    await vi.waitFor(async () => expect(await text()).toMatch(/QM_LOG_FORKED/), patience)
    expect(back.id).toBe(client.id)
    await expect.poll(() => ownRow(back)?.read, patience).toBe(4)
  })
})

describe('a node that was given another name', () => {
  it('introduces itself anew, and everybody shows it', async () => {
    const mesh = await createTestMesh()
    const dataDir = await mesh.tempDir()
    const [worker, client] = await Promise.all([
      startWorker(mesh),
      mesh.client({ epochSeconds, dataDir, name: 'before' }),
    ])
    await askTimes(client, 1)
    await vi.waitFor(
      () => expect(rowOf(worker, client.id)).toMatchObject({ name: 'before', read: 2 }),
      patience,
    )
    await client.stop()
    const again = await mesh.client({ epochSeconds, dataDir, name: 'after' })
    // Its card is the third entry of its log, and there is nothing else to write.
    await vi.waitFor(() => {
      expect(rowOf(worker, again.id)).toMatchObject({ name: 'after', read: 3, length: 3 })
    }, patience)
    expect(rowOf(worker, again.id)?.banned).toBeUndefined()
  })
})

describe('a node of imported keys', () => {
  /** A worker and a client with a log of three entries, whose keys are in a data directory without anything else. */
  async function createEmigrant(mesh: TestMesh) {
    const { worker, workerDir, client, dataDir } = await createPair(mesh)
    await untilRead(worker, client.id, 3)
    await client.stop()
    const elsewhere = join(await mesh.tempDir(), 'new')
    const file = join(await mesh.tempDir(), 'keys')
    await exportKeys(dataDir, file)
    await importKeys(file, elsewhere)
    return { worker, workerDir, id: client.id, dataDir: elsewhere }
  }

  it('writes nothing while only strangers answer, says so, and goes on where its log ended', async () => {
    const mesh = await createTestMesh()
    const { worker, workerDir, id, dataDir } = await createEmigrant(mesh)
    await worker.stop()
    await Promise.all([startWorker(mesh), mesh.client({ epochSeconds }), mesh.client({ epochSeconds })])
    const { options, text } = await writtenDown(mesh)
    const lost = await mesh.client({ epochSeconds, dataDir, ...options })
    await lost.ask('Hello', { maxTokens: 3 }).result
    await vi.waitFor(
      async () => expect(await text()).toMatch(/nothing is written before it is found/),
      patience,
    )
    expect(ownRow(lost)).toBeUndefined()

    const back = await startWorker(mesh, { dataDir: workerDir })
    // Its three entries come back, and what it owes meanwhile is written behind them.
    await vi.waitFor(() => expect(ownRow(lost)).toMatchObject({ read: 4, payments: 3 }), patience)
    await untilRead(back, id, 4)
    expect(rowOf(back, id)?.banned).toBeUndefined()
  })

  it('begins a log when its owner says that there is none', async () => {
    const mesh = await createTestMesh()
    const { worker, id, dataDir } = await createEmigrant(mesh)
    await worker.stop()
    const stranger = await startWorker(mesh)
    const { secret } = mesh
    const config = configFromOptions({ dataDir, epochSeconds, secret, stampBits: 0 })
    expect(await adoptLog(config)).toMatchObject({ id, length: 0, lost: 0 })
    const settled = await mesh.client({ epochSeconds, dataDir })
    await askTimes(settled, 1)
    await untilRead(stranger, id, 2)
  })
})
