import { mkdirSync, writeFileSync } from 'node:fs'
import * as vega from 'vega'
import { compile, type TopLevelSpec } from 'vega-lite'

const folder = new URL('../../docs/plots/', import.meta.url)
const bytesMax = 60_000

/** White behind the picture: pages with a dark ground would swallow its text. */
const look = { background: 'white', padding: 8 } as const

/** Draws a Vega-Lite chart to `docs/plots/<name>.svg`: the same chart, the same bytes. */
export async function writePlot(name: string, spec: TopLevelSpec): Promise<void> {
  const view = new vega.View(vega.parse(compile({ ...look, ...spec }).spec), { renderer: 'none' })
  const svg = await view.toSVG()
  view.finalize()
  const bytes = Buffer.byteLength(svg)
  if (bytes > bytesMax) throw new RangeError(`${name}.svg has ${bytes} bytes, more than ${bytesMax}`)
  mkdirSync(folder, { recursive: true })
  writeFileSync(new URL(`${name}.svg`, folder), `${svg}\n`)
}
