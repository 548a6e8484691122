import type { ELK } from 'elkjs/lib/elk-api.js'
import type { MachineGraph } from '../../../protocol/inspection.ts'
import { layOut, type ChartLayout, type Measure } from './layout.ts'

/** The library is larger than the rest of the console together: it comes when the first chart is drawn. */
let loading: Promise<ELK> | undefined

function loadElk(): Promise<ELK> {
  loading ??= import('elkjs/lib/elk.bundled.js').then(({ default: Elk }) => new Elk())
  loading.catch(() => (loading = undefined))
  return loading
}

let pen: CanvasRenderingContext2D | null | undefined
/** As `machines-style.ts` writes them. */
const fonts = { name: '600 13px system-ui, sans-serif', line: '11.5px system-ui, sans-serif' } as const

const measure: Measure = (text, kind) => {
  pen ??= document.createElement('canvas').getContext('2d')
  if (!pen) return text.length * (kind === 'name' ? 8 : 6.5)
  pen.font = fonts[kind]
  return Math.ceil(pen.measureText(text).width)
}

const laid = new Map<string, Promise<ChartLayout>>()
/** Charts that are kept; the one that was drawn first goes first. */
const laidMax = 64

/** Lays a statechart out, once for each. */
export function layoutOf(graph: MachineGraph): Promise<ChartLayout> {
  const known = laid.get(graph.id)
  if (known) return known
  const drawing = loadElk().then((elk) => layOut(graph, elk, measure))
  const [oldest] = laid.keys()
  if (laid.size >= laidMax && oldest !== undefined) laid.delete(oldest)
  laid.set(graph.id, drawing)
  drawing.catch(() => laid.delete(graph.id))
  return drawing
}
