import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { inputsMax } from '../../../actors/gateway/embeddings/embedding-request.ts'
import { errorTable } from '../../../actors/gateway/error-table.ts'
import { defaultGatewayLimits } from '../../../actors/gateway/settings.ts'
import { configFromOptions } from '../../../runtime/config/index.ts'
import { createGatewayRig } from '../../support/gateway-rig.ts'

const text = readFileSync(new URL('../../../docs/GATEWAY.md', import.meta.url), 'utf8')
const mib = 1024 * 1024

describe('docs/GATEWAY.md', () => {
  it('names every path, metric and status', async () => {
    const { get } = await createGatewayRig()
    const { paths } = (await get('/openapi.json')).json<{ paths: object }>()
    for (const path of Object.keys(paths)) expect(text).toContain(path.replace('{id}', 'ID'))
    const metrics = (await get('/metrics')).body.matchAll(/^# TYPE (\w+) /gm)
    for (const [, name] of metrics) expect(text).toContain(`\`${name}`)
    const told = new Set(Array.from(text.matchAll(/^\| (4\d\d|5\d\d) /gm), ([, status]) => Number(status)))
    // A request that was cancelled, and a reader that was cut off, see nothing of what is answered.
    for (const { status } of Object.values(errorTable)) {
      if (status !== 499 && status !== 408) expect(told).toContain(status)
    }
  })

  it('states the bounds as they are', () => {
    const limits = defaultGatewayLimits
    const rows = [
      ['connections', limits.connectionsMax.toLocaleString('en')],
      ["a request's head", `${limits.headerBytesMax / 1024} KiB, ${limits.headersMs / 1_000} s`],
      [
        'a body',
        `${limits.bodyBytesMax / mib} MiB, ${limits.bodiesBytesMax / mib} MiB, ${limits.requestMs / 1_000} s`,
      ],
      ['an idle connection', `${limits.keepAliveMs / 1_000} s`],
      ['a reader that takes nothing', `${limits.readerMs / 1_000} s`],
      ['choices of one request', String(limits.choicesMax)],
      ['texts of one request for embeddings', String(inputsMax)],
    ] as const
    for (const [what, bound] of rows) {
      const row = text.split('\n').find((line) => line.startsWith(`| ${what}`))
      expect(row?.split('|')[2]?.trim()).toBe(bound)
    }
    expect(text).toContain(`TCP port ${configFromOptions().gatewayPort}`)
  })
})
