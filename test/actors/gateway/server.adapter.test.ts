import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { createActor, waitFor } from 'xstate'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { HttpServerOptions } from '../../../actors/gateway/http-server.ts'
import { Meter } from '../../../actors/gateway/meter.ts'
import { createServerActor } from '../../../actors/gateway/server.adapter.ts'
import { gatewayMachine } from '../../../machines/gateway/index.ts'
import { createGatewayRig } from '../../support/gateway-rig.ts'

/** The machine with a real server in it, as often as the test wants. */
async function createStarter(port: number, host = '127.0.0.1') {
  const { options } = await createGatewayRig()
  const closings = new Set<Promise<void>>()
  const settings: HttpServerOptions['settings'] = { ...options.settings, host, port }
  const server = createServerActor({ ...options, meter: new Meter(), settings }, closings)
  onTestFinished(async () => {
    await Promise.all(closings)
  })
  const create = () => {
    const actor = createActor(gatewayMachine.provide({ actors: { server } }), { input: {} })
    onTestFinished(() => void actor.stop())
    return actor.start()
  }
  return {
    closings,
    create,
    start: async () => {
      const actor = create()
      await waitFor(actor, (snapshot) => !snapshot.matches('starting'))
      return actor
    },
  }
}

/** Takes a TCP port. */
async function occupy() {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const release = async (): Promise<void> => {
    if (!other.listening) return
    other.close()
    await once(other, 'close')
  }
  onTestFinished(release)
  return { port: (other.address() as AddressInfo).port, release }
}

describe('the server of the gateway', () => {
  it('takes a free port for 0, answers there, and gives it back when it is stopped', async () => {
    const { start, closings } = await createStarter(0)
    const actor = await start()
    const port = actor.getSnapshot().context.address?.port ?? 0
    expect(port).toBeGreaterThan(0)
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200)
    actor.send({ type: 'gateway.stop' })
    await waitFor(actor, ({ status }) => status === 'done')
    await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow('fetch failed')
    expect(closings.size).toBe(0)
  })

  it.each(['asked to', 'torn down'])('a port that was being opened when it was %s is closed', async (how) => {
    const { create, closings } = await createStarter(0)
    const listening = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPServerWrap').length
    const before = listening()
    for (let steps = 0; steps < 20; steps++) {
      const actor = create()
      for (let step = 0; step < steps; step++) await Promise.resolve()
      if (how === 'asked to') actor.send({ type: 'gateway.stop' })
      else actor.stop()
      await waitFor(actor, ({ status }) => status !== 'active')
      await Promise.all(closings)
    }
    await expect.poll(listening).toBe(before)
  })

  it('says whose the port is when it is taken, and what to do', async () => {
    const { port } = await occupy()
    const actor = await (await createStarter(port)).start()
    expect(actor.getSnapshot().output?.error).toMatchObject({
      code: 'QM_PORT_TAKEN',
      message: expect.stringMatching(new RegExp(`TCP port ${port} on 127.0.0.1 .*--gateway-port`)),
    })
  })

  it('says that an address is not one of this machine', async () => {
    const actor = await (await createStarter(0, '192.0.2.1')).start()
    expect(actor.getSnapshot().output?.error).toMatchObject({ code: 'QM_NETWORK_UNAVAILABLE' })
  })

  it('started anew after a crash it gets its port again', async () => {
    const { port, release } = await occupy()
    await release()
    const { start } = await createStarter(port)
    const first = await start()
    const { address } = first.getSnapshot().context
    // Stopped where it stands, as a supervisor does: nobody waits for the port.
    first.stop()
    const second = await start()
    expect(second.getSnapshot()).toMatchObject({ value: 'listening', context: { address } })
  })
})
