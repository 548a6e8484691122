import { createActor, createMachine } from 'xstate'
import { expect, it, onTestFinished } from 'vitest'
import { Inspector } from '../../runtime/inspect/inspector.ts'
import { createControlRig, sampleStatus } from '../runtime/support/control-rig.ts'
import { tempDir } from '../runtime/support/temp-dir.ts'
import { createGatewayRig } from '../support/gateway-rig.ts'
import { runMain } from './cli.ts'

const key = '0123456789abcdef'

/** A running node whose gateway, with a key, shows one actor. */
async function createRig(gateway?: { state: 'failed' | 'listening'; url?: string; error?: never }) {
  const actor = createActor(createMachine({ id: 'lamp', initial: 'off', states: { off: {} } })).start()
  const inspector = new Inspector(actor)
  onTestFinished(() => inspector.close())
  const { url } = await createGatewayRig({ inspector, settings: { keys: [key] } })
  const listening = { state: 'listening' as const, url: await url() }
  const node = await createControlRig({
    port: { status: () => ({ ...sampleStatus, gateway: gateway ?? listening }) },
  })
  const home = await tempDir()
  return {
    url: listening.url,
    run: (...args: string[]) => runMain(home, ['inspect', '--data-dir', node.dataDir, ...args], { env: {} }),
  }
}

it('prints where the machines can be watched', async () => {
  const { run, url } = await createRig()
  expect(await run()).toEqual({ code: 0, stdout: `${url}/#/machines\n`, stderr: '' })
})

it('--json prints the actors, with a key where one is wanted', async () => {
  const { run } = await createRig()
  const { code, stdout } = await run('--json', '--gateway-key', key)
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ actors: [{ source: 'lamp', value: 'off', status: 'active' }] })
  expect(await run('--json')).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/QM_CONFIG_INVALID: the gateway wants a key: .*QMESH_GATEWAY_KEYS/),
  })
})

it('says what to do when the gateway is off, or could not listen', async () => {
  const off = await createRig({ state: 'failed' })
  expect((await off.run()).stderr).toMatch(
    /does not listen \(failed\): start the node with another --gateway-port/,
  )
  const gone = await createRig({ state: 'listening', url: 'http://127.0.0.1:9' })
  expect((await gone.run('--json')).stderr).toMatch(/the gateway at http:\/\/127\.0\.0\.1:9 does not answer/)
})
