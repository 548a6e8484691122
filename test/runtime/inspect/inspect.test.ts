import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { createActor, createMachine } from 'xstate'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { ActorTree } from '../../../protocol/inspection.ts'
import { inspect, type InspectOptions } from '../../../runtime/inspect/index.ts'

const machine = createMachine({ id: 'lamp', initial: 'off', states: { off: {} } })

async function createPage(options?: InspectOptions) {
  const actor = createActor(machine).start()
  const page = await inspect(actor, options)
  onTestFinished(() => page.close())
  return { actor, page }
}

describe('inspect()', () => {
  it('serves a page for any system of actors, on this machine only, until it is closed', async () => {
    const { page, actor } = await createPage()
    expect(page.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/)
    const front = await fetch(page.url, { redirect: 'manual' })
    expect(front.headers.get('location')).toBe('/?only=machines#/machines')
    const tree = (await (await fetch(`${page.url}machines/tree`)).json()) as ActorTree
    expect(tree.actors).toMatchObject([{ source: 'lamp', value: 'off' }])
    await Promise.all([page.close(), page.close()])
    await expect(fetch(page.url)).rejects.toThrow('fetch failed')
    // The actors live on.
    expect(actor.getSnapshot().status).toBe('active')
  })

  it('closes while somebody watches', async () => {
    const { page } = await createPage()
    const reply = await fetch(`${page.url}machines/events`)
    const reader = reply.body?.getReader()
    await reader?.read()
    await page.close()
    let isDone = false
    while (!isDone) isDone = (await reader?.read())?.done ?? true
    expect(isDone).toBe(true)
  })

  it('has room for so many, and what is no HTTP is told so', async () => {
    const { page } = await createPage()
    const { port } = new URL(page.url)
    const open = async () => {
      const socket = connect(Number(port), '127.0.0.1').on('error', () => undefined)
      onTestFinished(() => void socket.destroy())
      await once(socket, 'connect')
      return socket
    }
    const [first] = await Promise.all(Array.from({ length: 64 }, open))
    await once((await open()).resume(), 'close')
    first?.write('hello\r\n\r\n')
    expect(String(await new Promise((resolve) => first?.once('data', resolve)))).toContain('400 Bad Request')
  })

  it('answers to its own name only, and to no page from elsewhere', async () => {
    const { page } = await createPage()
    const { port } = new URL(page.url)
    const status = (headers: Record<string, string>): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        request({ host: '127.0.0.1', port, path: '/machines/tree', headers }, (reply) => {
          reply.resume()
          resolve(reply.statusCode)
        })
          .on('error', reject)
          .end()
      })
    expect(await status({ host: `evil.example:${port}` })).toBe(403)
    expect(await status({ origin: 'http://evil.example' })).toBe(403)
    expect(await status({ host: `localhost:${port}` })).toBe(200)
  })

  it('takes a key', async () => {
    const { page } = await createPage({ keys: ['a-long-enough-key'] })
    expect((await fetch(`${page.url}machines/tree`)).status).toBe(401)
    const headers = { authorization: 'Bearer a-long-enough-key' }
    expect((await fetch(`${page.url}machines/tree`, { headers })).status).toBe(200)
  })

  it('says what is wrong with what it is given', async () => {
    const actor = createActor(machine)
    const failure = (given: unknown, options?: InspectOptions) =>
      inspect(given as typeof actor, options).then(
        () => 'no error',
        (error: unknown) => `${(error as { code: string }).code}: ${(error as Error).message}`,
      )
    expect(await failure(machine)).toMatch(
      /^QM_CONFIG_INVALID: inspect\(\) takes an actor of XState 5.*not another object$/,
    )
    expect(await failure(undefined)).toMatch(/not a undefined$|not undefined$/)
    expect(await failure(actor, { port: 70_000 })).toMatch(/^QM_CONFIG_INVALID: "port" must be .* not 70000$/)
    expect(await failure(actor, { host: '0.0.0.0' })).toMatch(/^QM_CONFIG_INVALID: .*give "keys" too/)
    expect(await failure(actor, { host: '203.0.113.1', keys: ['k'] })).toMatch(/^QM_NETWORK_UNAVAILABLE: /)
    const { page } = await createPage()
    expect(await failure(actor, { port: Number(new URL(page.url).port) })).toMatch(/^QM_PORT_TAKEN: .*"port"/)
  })

  it('shows a system that was not started yet, and stops observing with it', async () => {
    const actor = createActor(machine)
    const page = await inspect(actor)
    onTestFinished(() => page.close())
    actor.start()
    expect(await (await fetch(`${page.url}machines/tree`)).json()).toMatchObject({
      actors: [{ source: 'lamp' }],
    })
    actor.stop()
    expect(await (await fetch(`${page.url}machines/tree`)).json()).toMatchObject({ actors: [] })
  })
})
