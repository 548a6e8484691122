import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createClient } from '../../runtime/index.ts'

const source = z.object({ type: z.literal('prometheus'), uid: z.literal('${datasource}') })
const panelSchema = z.object({
  id: z.number().int().min(1),
  type: z.string(),
  title: z.string().min(1),
  description: z.string().min(1).optional(),
  gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
  datasource: source.optional(),
  targets: z
    .array(
      z.object({ refId: z.string(), expr: z.string().min(1), legendFormat: z.string(), datasource: source }),
    )
    .optional(),
})
const dashboardSchema = z.object({
  title: z.literal('QMesh'),
  uid: z.string(),
  schemaVersion: z.number(),
  templating: z.object({
    list: z.array(z.object({ name: z.string(), type: z.string(), query: z.unknown() })),
  }),
  panels: z.array(panelSchema).min(10),
})

const file = new URL('../../docs/grafana/qmesh.json', import.meta.url)
const dashboard = dashboardSchema.parse(JSON.parse(readFileSync(file, 'utf8')))
const targets = dashboard.panels.flatMap(({ title, targets: of = [] }) =>
  of.map(({ expr, legendFormat }) => ({ title, expr, legendFormat })),
)

/** Words of PromQL that the dashboard uses, and no metrics. */
const words = new Set(
  'avg by clamp_min count histogram_quantile increase instance le max rate sum'.split(' '),
)

/** Labels by metric: those of the samples, and of those that there can be. */
let labelsOf: ReadonlyMap<string, ReadonlySet<string>>

beforeAll(async () => {
  const node = await createClient({
    ephemeral: true,
    bootstrap: ['127.0.0.1:9'],
    host: '127.0.0.1',
    mdns: false,
    stampBits: 0,
    logLevel: 'silent',
    gateway: true,
    gatewayPort: 0,
  })
  try {
    const text = await (await fetch(`${node.status().gateway?.url}/metrics`)).text()
    labelsOf = readLabels(text)
  } finally {
    await node.stop()
  }
}, 60_000)

/** What a real node names, with the series that a histogram consists of. */
function readLabels(text: string): ReadonlyMap<string, ReadonlySet<string>> {
  const documented = readFileSync(new URL('../../docs/GATEWAY.md', import.meta.url), 'utf8')
  const names = Array.from(text.matchAll(/^# TYPE (\w+) (\w+)$/gm))
  return new Map(
    names.flatMap(([, name = '', type]) => {
      // A counter that has counted nothing shows no labels: the list of metrics, which is tested too, has them.
      const told = new RegExp(`\`${name}\\{([\\w,]+)\\}`).exec(documented)?.[1]?.split(',') ?? []
      const labels = new Set(['instance', ...told])
      if (type !== 'histogram') return [[name, labels] as const]
      const buckets = new Set([...labels, 'le'])
      return [
        [`${name}_bucket`, buckets],
        [`${name}_sum`, labels],
        [`${name}_count`, labels],
      ] as const
    }),
  )
}

describe('docs/grafana/qmesh.json', () => {
  it('has panels with ids of their own that do not overlap', () => {
    const ids = dashboard.panels.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, at) => `${x + (at % w)} ${y + Math.floor(at / w)}`),
    )
    expect(new Set(cells).size).toBe(cells.length)
    for (const { gridPos } of dashboard.panels) expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24)
  })

  it('takes its data source from a variable, and every panel takes it from there', () => {
    expect(dashboard.templating.list).toContainEqual({
      name: 'datasource',
      type: 'datasource',
      query: 'prometheus',
    })
    for (const { type, datasource, targets: of = [] } of dashboard.panels) {
      expect(type === 'row' || (datasource !== undefined && of.length > 0)).toBe(true)
    }
  })

  it('asks for nothing but metrics, and labels, that a node has', () => {
    expect(targets.length).toBeGreaterThan(20)
    for (const { title, expr } of targets) {
      const plain = expr.replaceAll(/"[^"]*"/g, '""').replaceAll(/\[\$__rate_interval\]/g, '')
      const names = Array.from(plain.matchAll(/[a-z_][a-z0-9_]*/gi), ([name]) => name)
      const metrics = names.filter((name) => name.startsWith('qmesh_'))
      expect(metrics, `${title}: ${expr}`).not.toEqual([])
      const labels = new Set(metrics.flatMap((name) => [...(labelsOf.get(name) ?? [])]))
      for (const name of names) {
        const isKnown = name.startsWith('qmesh_') ? labelsOf.has(name) : words.has(name) || labels.has(name)
        expect(isKnown, `${title}: "${name}" in ${expr}`).toBe(true)
      }
    }
  })

  it('names series by labels that are left', () => {
    for (const { title, expr, legendFormat } of targets) {
      const [, by] = /\bby \(([\w, ]+)\)/.exec(expr) ?? []
      const isBare = /^-?(100 \* )?qmesh_\w+\{/.test(expr)
      for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
        expect(isBare || by?.split(', ').includes(label), `${title}: ${label} of ${expr}`).toBe(true)
      }
    }
  })

  it('shows every metric that a node counts, so that a new one is not forgotten', () => {
    const all = targets.map(({ expr }) => expr).join('\n')
    for (const name of labelsOf.keys()) {
      if (/_(sum|count)$/.test(name)) continue
      expect(all).toMatch(new RegExp(`\\b${name}\\b`))
    }
  })
})
