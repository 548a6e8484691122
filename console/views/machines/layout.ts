import type { ELK, ElkExtendedEdge, ElkNode } from 'elkjs/lib/elk-api.js'
import type { GraphState, MachineGraph } from '../../../protocol/inspection.ts'
import { stateLines, toArrows, type Arrow, type TextLine } from './graph-text.ts'

/** The width of a text in pixels. */
export type Measure = (text: string, kind: 'name' | 'line') => number

/** Pixels. */
export const sizes = { name: 20, line: 15, padX: 12, padY: 8, marker: 12, pill: 20 } as const

export interface StateBox {
  readonly id: string
  readonly state: GraphState
  readonly depth: number
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
  readonly lines: readonly TextLine[]
  /** It lies in a parallel state, beside others. */
  readonly isRegion: boolean
}

/** A dot where a compound state begins, or the place from which its own arrows to its states start. */
export interface Marker {
  readonly id: string
  readonly kind: 'initial' | 'any'
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

export interface Point {
  readonly x: number
  readonly y: number
}

export interface ArrowLine {
  readonly id: string
  /** Absent for the arrow from a dot to the initial state. */
  readonly arrow: Arrow | undefined
  readonly points: readonly Point[]
  readonly label:
    { readonly x: number; readonly y: number; readonly width: number; readonly height: number } | undefined
}

/** A statechart with a place for everything. */
export interface ChartLayout {
  readonly width: number
  readonly height: number
  /** Outer states before inner ones. */
  readonly boxes: readonly StateBox[]
  readonly markers: readonly Marker[]
  readonly arrows: readonly ArrowLine[]
}

/** Ids of the picture: the root has an empty one of its own, which the layout does not like. */
const stateId = (id: string): string => `s:${id}`
const initialId = (id: string): string => `i:${id}`
const anyId = (id: string): string => `a:${id}`
const pageId = 'page'

const isInside = (inner: string, outer: string): boolean =>
  inner !== outer && (outer === '' || inner.startsWith(`${outer}.`))

const compaction = 'elk.layered.compaction.postCompaction.strategy'

const layoutOptions = {
  'elk.algorithm': 'layered',
  'elk.direction': 'DOWN',
  'elk.hierarchyHandling': 'INCLUDE_CHILDREN',
  'elk.json.shapeCoords': 'ROOT',
  'elk.json.edgeCoords': 'ROOT',
  'elk.layered.spacing.nodeNodeBetweenLayers': '20',
  'elk.layered.spacing.edgeNodeBetweenLayers': '11',
  'elk.layered.spacing.edgeEdgeBetweenLayers': '9',
  'elk.spacing.nodeNode': '20',
  'elk.spacing.edgeNode': '13',
  'elk.spacing.edgeEdge': '9',
  'elk.spacing.edgeLabel': '3',
  // From the initial state downwards, as people read it.
  'elk.layered.cycleBreaking.strategy': 'DEPTH_FIRST',
  'elk.edgeLabels.inline': 'true',
  'elk.layered.edgeLabels.centerLabelPlacementStrategy': 'SPACE_EFFICIENT_LAYER',
  [compaction]: 'EDGE_LENGTH',
  'elk.layered.nodePlacement.strategy': 'NETWORK_SIMPLEX',
} as const

/** Finds a place for every state and every arrow. Takes up to half a second for the largest machines. */
export async function layOut(
  graph: MachineGraph,
  elk: Pick<ELK, 'layout'>,
  measure: Measure,
): Promise<ChartLayout> {
  const states = new Map<string, { state: GraphState; depth: number; isRegion: boolean }>()
  const linesOf = new Map<string, readonly TextLine[]>()
  const arrows = toArrows(graph)
  const hasAny = new Set(
    arrows.filter(({ source, target }) => isInside(target, source)).map(({ source }) => source),
  )
  const edges: ElkExtendedEdge[] = []

  const toNode = (state: GraphState, depth: number, isRegion: boolean): ElkNode => {
    states.set(state.id, { state, depth, isRegion })
    const stays = graph.transitions.filter(
      ({ source, targets }) => source === state.id && targets.length === 0,
    )
    const lines = stateLines(state, stays)
    linesOf.set(state.id, lines)
    const width = Math.max(
      56,
      2 * sizes.padX + measure(state.key, 'name') + (state.type === 'final' ? 4 : 0),
      ...lines.map(({ text }) => 2 * sizes.padX + measure(text, 'line')),
    )
    const height = 2 * sizes.padY + sizes.name + lines.length * sizes.line
    if (state.states.length === 0) return { id: stateId(state.id), width, height }
    const isParallel = state.type === 'parallel'
    const children = state.states.map((child) => toNode(child, depth + 1, isParallel))
    if (state.initial !== undefined) {
      children.unshift({ id: initialId(state.id), width: sizes.marker, height: sizes.marker })
      edges.push({
        id: `start:${state.id}`,
        sources: [initialId(state.id)],
        targets: [stateId(state.initial)],
      })
    }
    if (hasAny.has(state.id)) {
      children.push({
        id: anyId(state.id),
        width: 16 + measure(anyText, 'line'),
        height: sizes.pill,
      })
    }
    return {
      id: stateId(state.id),
      children,
      layoutOptions: {
        ...layoutOptions,
        'elk.padding': `[top=${height + 10},left=18,bottom=18,right=18]`,
        'elk.nodeSize.constraints': 'MINIMUM_SIZE',
        'elk.nodeSize.minimum': `(${width},${height + 30})`,
      },
    }
  }

  const root = toNode(graph.root, 0, false)
  for (const arrow of arrows) {
    const isInner = isInside(arrow.target, arrow.source)
    edges.push({
      id: `arrow:${arrow.id}`,
      sources: [isInner ? anyId(arrow.source) : stateId(arrow.source)],
      targets: [stateId(arrow.target)],
      labels: [
        {
          text: arrow.id,
          width: 10 + Math.max(...arrow.lines.map(({ text }) => measure(text, 'line'))),
          height: 4 + arrow.lines.length * sizes.line,
        },
      ],
    })
  }
  const page: ElkNode = { id: pageId, children: [root], edges, layoutOptions }
  // The compaction of the library fails on one small machine of eight, by the widths of its words.
  const laid: ElkNode = await elk.layout(page).catch(() => elk.layout(withoutCompaction(page)))

  const boxes: StateBox[] = []
  const markers: Marker[] = []
  const visit = (node: ElkNode): void => {
    const { id, x = 0, y = 0, width = 0, height = 0 } = node
    const place = { x, y, width, height }
    const found = id.startsWith('s:') ? states.get(id.slice(2)) : undefined
    if (found)
      boxes.push({ id: found.state.id, ...found, ...place, lines: linesOf.get(found.state.id) ?? [] })
    else if (id !== pageId) markers.push({ id, kind: id.startsWith('i:') ? 'initial' : 'any', ...place })
    for (const child of node.children ?? []) visit(child)
  }
  visit(laid)
  const byId = new Map(arrows.map((arrow) => [`arrow:${arrow.id}`, arrow]))
  return {
    width: laid.width ?? 0,
    height: laid.height ?? 0,
    boxes,
    markers,
    arrows: edgesOf(laid).map((edge) => toLine(edge, byId.get(edge.id))),
  }
}

const withoutCompaction = (node: ElkNode): ElkNode => ({
  ...node,
  ...(node.layoutOptions && { layoutOptions: { ...node.layoutOptions, [compaction]: 'NONE' } }),
  ...(node.children && { children: node.children.map(withoutCompaction) }),
})

export const anyText = 'anywhere in here'

/** The layout keeps edges where they were given, or moves them to the node that holds both ends. */
const edgesOf = (node: ElkNode): ElkExtendedEdge[] => [
  ...(node.edges ?? []),
  ...(node.children ?? []).flatMap(edgesOf),
]

function toLine(edge: ElkExtendedEdge, arrow: Arrow | undefined): ArrowLine {
  const points = (edge.sections ?? []).flatMap(({ startPoint, bendPoints = [], endPoint }) => [
    startPoint,
    ...bendPoints,
    endPoint,
  ])
  const [label] = edge.labels ?? []
  return {
    id: edge.id,
    arrow,
    points: points.map(({ x, y }) => ({ x, y })),
    label:
      label === undefined
        ? undefined
        : { x: label.x ?? 0, y: label.y ?? 0, width: label.width ?? 0, height: label.height ?? 0 },
  }
}

/** A line through the points, with round corners. */
export function toPath(points: readonly Point[], radius = 6): string {
  const [first, ...rest] = points
  if (!first) return ''
  let path = `M${round(first.x)} ${round(first.y)}`
  let before = first
  rest.forEach((point, index) => {
    const next = rest[index + 1]
    if (!next) {
      path += `L${round(point.x)} ${round(point.y)}`
      return
    }
    const from = towards(point, before, radius)
    const to = towards(point, next, radius)
    path += `L${round(from.x)} ${round(from.y)}Q${round(point.x)} ${round(point.y)} ${round(to.x)} ${round(to.y)}`
    before = point
  })
  return path
}

const round = (value: number): number => Math.round(value * 10) / 10

/** A point on the way from one to another, no farther than half of it. */
function towards(from: Point, to: Point, distance: number): Point {
  const [dx, dy] = [to.x - from.x, to.y - from.y]
  const length = Math.hypot(dx, dy) || 1
  const share = Math.min(distance, length / 2) / length
  return { x: from.x + dx * share, y: from.y + dy * share }
}
