import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createHfSource } from '../../../../actors/models/sources/hf.ts'
import { HttpSource } from '../../../../actors/models/sources/http.ts'
import { IpfsSource } from '../../../../actors/models/sources/ipfs-gateway.ts'
import type { FetchContext, FileSource } from '../../../../actors/models/sources/source.ts'
import type { PartialModel } from '../../../../actors/models/store/stored-model.ts'
import { MemoryTarget } from '../../../support/core-rig.ts'
import { ModelServer } from '../../../support/model-server.ts'

const data = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7 + (index >> 8)) % 256))

describe('a web server as a source', () => {
  let folder = ''
  let target = new MemoryTarget(tmpdir(), 1)
  const servers: ModelServer[] = []
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'qmesh-http-'))
    target = new MemoryTarget(folder, data.length)
  })
  afterEach(async () => {
    await Promise.all(servers.splice(0).map((server) => server.stop()))
    rmSync(folder, { recursive: true, force: true })
  })

  const serve = async (behaviour: ModelServer['behaviour']): Promise<ModelServer> => {
    const server = await ModelServer.start(behaviour)
    servers.push(server)
    return server
  }
  const memo: { value: string | undefined } = { value: undefined }
  const fetchAll = (source: FileSource, options: Partial<FetchContext> = {}): Promise<void> =>
    source.fetch({
      target: target as unknown as PartialModel,
      signal: new AbortController().signal,
      pace: () => Promise.resolve(),
      onBytes: () => undefined,
      memo: undefined,
      remember: (value) => {
        memo.value = value
        return Promise.resolve()
      },
      restart: () => target.forget(0, data.length),
      ...options,
    })
  const isAll = (): boolean => target.missing().length === 0 && target.data.equals(data)

  it('says how large the file is', async () => {
    const server = await serve({ data })
    const { bytes } = await new HttpSource(server.url()).probe(new AbortController().signal)
    expect(bytes).toBe(data.length)
  })

  it('asks for the gaps only', async () => {
    const server = await serve({ data })
    await target.write(1_000, data.subarray(1_000, 100_000))
    await target.write(200_000, data.subarray(200_000))
    await fetchAll(new HttpSource(server.url()))
    expect(isAll()).toBe(true)
    expect(server.requests.map(({ range }) => range)).toEqual(['bytes=0-999', 'bytes=100000-199999'])
  })

  it('fills all gaps from one answer of a server that ignores ranges', async () => {
    const server = await serve({ data, knowsRanges: false })
    await target.write(1_000, data.subarray(1_000, 100_000))
    await fetchAll(new HttpSource(server.url()))
    expect(isAll()).toBe(true)
    expect(server.requests).toHaveLength(1)
  })

  it('keeps what came before the server hung up', async () => {
    const server = await serve({ data, breaksAfter: 123_456 })
    await expect(fetchAll(new HttpSource(server.url()))).rejects.toMatchObject({ isLasting: false })
    expect(target.has(0, 123_456)).toBe(true)
  })

  it('gives up a server that falls silent, and takes up where it stopped', async () => {
    const server = await serve((_, count) => ({ data, ...(count === 1 && { stallsAfter: 100_000 }) }))
    const impatient = new HttpSource(server.url(), { stallMs: 1_000 })
    await expect(fetchAll(impatient)).rejects.toMatchObject({
      isLasting: false,
      message: expect.stringContaining('nothing for 1 s'),
    })
    await fetchAll(new HttpSource(server.url()))
    expect(isAll()).toBe(true)
    expect(server.requests[1]?.range).toBe('bytes=100000-299999')
  })

  it('starts over when the file changed in the middle, and gives up when it does so again', async () => {
    const versions = [data, Buffer.from(Uint8Array.from(data).toReversed()), data]
    let version = 0
    const server = await serve(() => {
      const at = version++
      return { data: versions[at] ?? data, etag: `"${at}"`, breaksAfter: 100_000 }
    })
    const source = new HttpSource(server.url())
    await expect(fetchAll(source)).rejects.toMatchObject({ isLasting: false })
    expect(memo.value).toBe('"0"')
    const resumed = { memo: memo.value }
    await expect(fetchAll(source, resumed)).rejects.toMatchObject({
      isLasting: false,
      message: expect.stringContaining('changed while it was fetched'),
    })
    expect(target.missing()).toEqual([{ start: 0, end: data.length }])
    expect(server.requests[1]?.headers['if-range']).toBe('"0"')
    await expect(fetchAll(source, resumed)).rejects.toMatchObject({ isLasting: true })
  })

  it('takes no file of another size, and no other range than it asked for', async () => {
    const larger = await serve({ data: Buffer.concat([data, data]) })
    await expect(fetchAll(new HttpSource(larger.url()))).rejects.toMatchObject({ isLasting: true })
    const liar = await serve({ data, shifts: 5 })
    await expect(fetchAll(new HttpSource(liar.url()))).rejects.toMatchObject({ isLasting: true })
    expect(target.ranges.bytes).toBe(0)
  })

  it('hangs up on an answer without end', async () => {
    const server = await serve({ data, isEndless: true })
    await fetchAll(new HttpSource(server.url()))
    expect(isAll()).toBe(true)
  })

  it('knows what is lasting and what is not, and when to come back', async () => {
    const server = await serve({ data, status: 503, headers: { 'retry-after': '3' } })
    await expect(fetchAll(new HttpSource(server.url()))).rejects.toMatchObject({
      isLasting: false,
      retryAfterMs: 3_000,
    })
    server.behaviour = { data, status: 404 }
    await expect(fetchAll(new HttpSource(server.url()))).rejects.toMatchObject({ isLasting: true })
  })

  it('follows redirects, but not in a circle, not for ever, and not to a plain address', async () => {
    const server = await serve({ data })
    server.redirects.set('/old', '/older').set('/older', server.url('/model.gguf'))
    await fetchAll(new HttpSource(server.url('/old')))
    expect(isAll()).toBe(true)
    await target.forget(0, data.length)
    server.redirects.set('/a', '/b').set('/b', '/a')
    await expect(fetchAll(new HttpSource(server.url('/a')))).rejects.toMatchObject({
      isLasting: true,
      message: expect.stringContaining('circle'),
    })
    for (let at = 0; at < 20; at++) server.redirects.set(`/${at}`, `/${at + 1}`)
    await expect(fetchAll(new HttpSource(server.url('/0')))).rejects.toThrow('more than 8 times')
    server.redirects.set('/file', 'file:///etc/passwd')
    await expect(fetchAll(new HttpSource(server.url('/file')))).rejects.toThrow('redirects to file:')
  })

  it('shows a token to the hub, and not to where the hub sends it', async () => {
    const [hub, store] = [await serve({ data }), await serve({ data })]
    hub.redirects.set('/owner/name/resolve/main/model.gguf', store.url('/blob'))
    const source = createHfSource(
      { kind: 'hf', repo: 'owner/name', file: 'model.gguf', revision: 'main' },
      { endpoint: hub.origin, token: 'hf_secret' },
    )
    await fetchAll(source)
    expect(isAll()).toBe(true)
    expect(hub.requests[0]?.headers.authorization).toBe('Bearer hf_secret')
    expect(store.requests[0]?.headers.authorization).toBeUndefined()
    expect(source.name).toBe('hf:owner/name/model.gguf')
  })

  it('asks the next gateway when one has not got it', async () => {
    const [broken, good] = [await serve({ data, status: 504 }), await serve({ data })]
    const source = new IpfsSource(
      { kind: 'ipfs', cid: 'bafybeigdyrzt', path: 'models/tiny.gguf' },
      { gateways: [broken.origin, good.origin] },
    )
    await fetchAll(source)
    expect(isAll()).toBe(true)
    expect(good.requests[0]?.path).toBe('/ipfs/bafybeigdyrzt/models/tiny.gguf')
  })

  it('stops at once when it is cancelled', async () => {
    const server = await serve({ data, stallsAfter: 100_000 })
    const abort = new AbortController()
    const fetching = fetchAll(new HttpSource(server.url()), {
      signal: abort.signal,
      onBytes: () => abort.abort(),
    })
    await expect(fetching).rejects.toMatchObject({ code: 'QM_CANCELLED' })
  })
})
