import { createRequire } from 'node:module'
import { expect, it, onTestFinished } from 'vitest'
import { createClient } from '../../../runtime/index.ts'

const { cache } = createRequire(import.meta.url)
const isLoaded = (): boolean => Object.keys(cache).some((path) => /@opentelemetry.sdk-trace/.test(path))

async function start(tracesEndpoint?: string): Promise<void> {
  const client = await createClient({
    ephemeral: true,
    bootstrap: ['127.0.0.1:9'],
    host: '127.0.0.1',
    mdns: false,
    logLevel: 'silent',
    tracesEndpoint,
  })
  onTestFinished(() => client.stop())
}

it('what traces is loaded by a node that traces, and by no other', async () => {
  await start()
  expect(isLoaded()).toBe(false)
  await start('http://127.0.0.1:9/v1/traces')
  expect(isLoaded()).toBe(true)
})
