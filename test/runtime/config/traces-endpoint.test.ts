import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../../runtime/config/index.ts'
import { tempDir } from '../support/temp-dir.ts'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

async function load(env: Record<string, string>) {
  const configFile = join(await tempDir(), 'q.toml')
  await writeFile(configFile, '')
  const { config, origins } = await loadConfig({ env, configFile, flags: {} })
  return [config.tracesEndpoint, origins.tracesEndpoint]
}
const from = (name: string) => ({ kind: 'variable', name })
const none = [undefined, { kind: 'default' }]
const [own, all] = ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT']
const base = 'http://127.0.0.1:4318'

describe('where traces go', () => {
  it.each([
    [{ [all]: base }, `${base}/v1/traces`, all],
    [{ [all]: `${base}/otlp/` }, `${base}/otlp/v1/traces`, all],
    [{ [all]: base, [own]: 'https://t.example/in' }, 'https://t.example/in', own],
    [{ [all]: base, QMESH_TRACES_ENDPOINT: 'http://q/' }, 'http://q/', 'QMESH_TRACES_ENDPOINT'],
    [{ [all]: base, OTEL_TRACES_EXPORTER: 'console, otlp' }, `${base}/v1/traces`, all],
    [{ [all]: base, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' }, `${base}/v1/traces`, all],
  ])('%j: %s', async (env, endpoint, name) => {
    expect(await load(env)).toEqual([endpoint, from(name)])
  })

  it.each([
    {},
    { [all]: '' },
    { [all]: base, OTEL_SDK_DISABLED: 'true' },
    { [all]: base, OTEL_TRACES_EXPORTER: 'none' },
    { [all]: 'http://127.0.0.1:4317', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
    { [all]: base, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'grpc' },
    // Of other programs: no reason to refuse any command.
    { [all]: 'collector:4317' },
    { [own]: 'unix:///run/otel.sock' },
    { [own]: 'http://user:password@127.0.0.1/' },
  ])('%j: nowhere', async (env) => {
    expect(await load(env)).toEqual(none)
  })

  it('an address of our own variable that is none is an error', async () => {
    await expect(load({ QMESH_TRACES_ENDPOINT: 'collector:4317' })).rejects.toMatchObject({
      code: 'QM_CONFIG_INVALID',
    })
  })
})
