import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { MachineGraph, StateValueView } from '../../../protocol/inspection.ts'
import { around, centre, isInSight, margin, scales, type Camera } from './camera.ts'
import { activeStates } from './format.ts'
import { loadGraph } from './feed.ts'
import { anyText, sizes, toPath, type ArrowLine, type ChartLayout, type StateBox } from './layout.ts'
import { layoutOf } from './layout-cache.ts'
import { useDrag, useWheel } from './use-pointer.ts'

interface Drawing {
  readonly graph: MachineGraph
  readonly layout: ChartLayout
}

interface ChartProps {
  readonly graphId: string
  /** Whose it is: another one's is fitted to the frame anew, even where it has the same statechart. */
  readonly subject: string | undefined
  readonly value: StateValueView | undefined
  /** Transitions of the moment that is shown. */
  readonly fired: readonly string[]
  /** Changes when they fire again. */
  readonly firedKey: number
  readonly name: string
}

/** A statechart with the states lit in which an actor is. */
export function Chart({ graphId, ...shown }: ChartProps) {
  const [drawing, setDrawing] = useState<Drawing>()
  const [failure, setFailure] = useState('')
  useEffect(() => {
    let isCurrent = true
    setFailure('')
    loadGraph(graphId)
      .then(async (graph) => ({ graph, layout: await layoutOf(graph) }))
      .then(
        (drawn) => isCurrent && setDrawing(drawn),
        (error: unknown) => isCurrent && setFailure(error instanceof Error ? error.message : String(error)),
      )
    return () => {
      isCurrent = false
    }
  }, [graphId])
  if (failure !== '') return <p class="mx-note mx-bad">The statechart could not be drawn: {failure}</p>
  if (!drawing || drawing.graph.id !== graphId) return <p class="mx-note">Drawing the statechart…</p>
  return <Picture drawing={drawing} {...shown} />
}

type PictureProps = Omit<ChartProps, 'graphId'> & { readonly drawing: Drawing }

function Picture({ drawing: { layout }, subject, value, fired, firedKey, name }: PictureProps) {
  const frame = useRef<HTMLDivElement>(null)
  const [camera, setCamera] = useState<Camera>({ x: 0, y: 0, scale: 1 })
  /** A person moved it: it does not move by itself until it is fitted again. */
  const isHeld = useRef(false)
  const active = useMemo(() => activeStates(value), [value])
  /** For what is called later, when others are lit. */
  const latestActive = useRef(active)
  latestActive.current = active
  const firedSet = useMemo(() => new Set(fired), [fired])

  /** @param isWhole even where it becomes too small to read */
  const fit = (isWhole: boolean): void => {
    const box = frame.current?.getBoundingClientRect()
    if (!box || box.width === 0) return
    isHeld.current = false
    const whole = Math.min(
      (box.width - 2 * margin) / layout.width,
      (box.height - 2 * margin) / layout.height,
      scales.whole,
    )
    // What would be too small to read is shown in part, around the state that it is in.
    const isSmall = whole < scales.small && !isWhole
    setCamera(
      isSmall ? around(layout, latestActive.current, box, scales.readable) : centre(layout, box, whole),
    )
  }
  useLayoutEffect(() => fit(false), [layout, subject])
  useEffect(() => {
    if (!frame.current) return
    const observer = new ResizeObserver(() => {
      if (!isHeld.current) fit(false)
    })
    observer.observe(frame.current)
    return () => observer.disconnect()
  }, [layout])
  useEffect(() => {
    const box = frame.current?.getBoundingClientRect()
    if (!box || isHeld.current) return
    setCamera((before) =>
      isInSight(layout, active, box, before) ? before : around(layout, active, box, before.scale),
    )
  }, [active])

  const zoom = (factor: number, atX?: number, atY?: number): void => {
    const box = frame.current?.getBoundingClientRect()
    if (!box) return
    isHeld.current = true
    const [x, y] = [atX ?? box.width / 2, atY ?? box.height / 2]
    setCamera((before) => {
      const scale = Math.min(scales.most, Math.max(scales.least, before.scale * factor))
      const grown = scale / before.scale
      return { scale, x: x - (x - before.x) * grown, y: y - (y - before.y) * grown }
    })
  }
  const move = (dx: number, dy: number): void => {
    isHeld.current = true
    setCamera((before) => ({ ...before, x: before.x + dx, y: before.y + dy }))
  }
  useWheel(frame, zoom, move)
  const drag = useDrag(move)

  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const by = event.shiftKey ? 120 : 40
    const keys: Record<string, () => void> = {
      '+': () => zoom(1.25),
      '=': () => zoom(1.25),
      '-': () => zoom(0.8),
      f: () => fit(true),
      0: () => fit(true),
      ...(event.shiftKey && {
        ArrowLeft: () => move(by, 0),
        ArrowRight: () => move(-by, 0),
        ArrowUp: () => move(0, by),
        ArrowDown: () => move(0, -by),
      }),
    }
    const act = keys[event.key]
    if (!act) return
    event.preventDefault()
    event.stopPropagation()
    act()
  }
  const states = layout.boxes.filter(({ id }) => id !== '' && active.has(id)).map(({ state }) => state.key)
  return (
    <div
      class="mx-chart"
      ref={frame}
      role="group"
      aria-label="Statechart: + and − zoom, f shows all, shift and arrows move it"
      tabIndex={0}
      onKeyDown={onKeyDown}
      {...drag}
    >
      <svg role="img" aria-label={`Statechart of ${name}, now in ${states.join(', ') || 'no state'}`}>
        <defs>
          {(['plain', 'lit', 'fired'] as const).map((kind) => (
            <marker
              key={kind}
              id={`mx-head-${kind}`}
              class={`mx-head-${kind}`}
              viewBox="0 0 10 10"
              refX="9"
              refY="5"
              markerWidth="9"
              markerHeight="9"
              markerUnits="userSpaceOnUse"
              orient="auto"
            >
              <path d="M0 0.8 9.6 5 0 9.2Z" />
            </marker>
          ))}
        </defs>
        <g transform={`translate(${camera.x} ${camera.y}) scale(${camera.scale})`}>
          {layout.boxes.map((box) => (
            <Box key={box.id} box={box} isActive={active.has(box.id)} fired={firedSet} firedKey={firedKey} />
          ))}
          {layout.markers.map(({ id, kind, x, y, width, height }) =>
            kind === 'initial' ? (
              <circle key={id} class="mx-initial" cx={x + width / 2} cy={y + height / 2} r={width / 2} />
            ) : (
              <g key={id} class="mx-any">
                <rect x={x} y={y} width={width} height={height} rx={height / 2} />
                <text x={x + width / 2} y={y + height / 2 + 4} text-anchor="middle">
                  {anyText}
                </text>
              </g>
            ),
          )}
          {inOrder(layout.arrows, firedSet).map((line) => (
            <ArrowView key={line.id} line={line} fired={firedSet} firedKey={firedKey} active={active} />
          ))}
        </g>
      </svg>
      <div class="mx-zoom" role="group" aria-label="Zoom">
        <button type="button" onClick={() => zoom(1.25)} title="Larger (+)" aria-label="Larger">
          +
        </button>
        <button type="button" onClick={() => zoom(0.8)} title="Smaller (−)" aria-label="Smaller">
          −
        </button>
        <button type="button" onClick={() => fit(true)} title="All of it (f)" aria-label="All of it">
          ⤢
        </button>
      </div>
    </div>
  )
}

/** Arrows that just fired lie above the others. */
const inOrder = (lines: readonly ArrowLine[], fired: ReadonlySet<string>): readonly ArrowLine[] => [
  ...lines.filter(({ arrow }) => !arrow?.transitions.some((id) => fired.has(id))),
  ...lines.filter(({ arrow }) => arrow?.transitions.some((id) => fired.has(id))),
]

interface BoxProps {
  readonly box: StateBox
  readonly isActive: boolean
  readonly fired: ReadonlySet<string>
  readonly firedKey: number
}

function Box({ box, isActive, fired, firedKey }: BoxProps) {
  const { x, y, width, height, state, lines, isRegion, depth } = box
  const isOuter = state.states.length > 0
  const classes = [
    'mx-state',
    `mx-${state.type}`,
    isOuter ? 'mx-outer' : 'mx-inner',
    isActive && 'mx-active',
    isRegion && 'mx-region',
    depth === 0 && 'mx-root',
  ]
  return (
    <g class={classes.filter(Boolean).join(' ')} data-state={state.id} data-active={isActive}>
      <rect x={x} y={y} width={width} height={height} rx={isOuter ? 12 : 9} />
      {state.type === 'final' && (
        <rect class="mx-ring" x={x + 3} y={y + 3} width={width - 6} height={height - 6} rx={6.5} />
      )}
      <text class="mx-name" x={x + sizes.padX} y={y + sizes.padY + 14}>
        {state.key}
        {(state.description ?? '') !== '' && <title>{state.description}</title>}
      </text>
      {lines.map(({ text, transitions }, index) => {
        const isFired = transitions.some((id) => fired.has(id))
        return (
          <text
            // A line that fires again begins again.
            key={isFired ? `${index}:${firedKey}` : index}
            class={isFired ? 'mx-line mx-fired' : 'mx-line'}
            x={x + sizes.padX}
            y={y + sizes.padY + sizes.name + 11 + index * sizes.line}
          >
            {text}
          </text>
        )
      })}
    </g>
  )
}

interface ArrowProps {
  readonly line: ArrowLine
  readonly fired: ReadonlySet<string>
  readonly firedKey: number
  readonly active: ReadonlySet<string>
}

function ArrowView({ line: { arrow, points, label }, fired, firedKey, active }: ArrowProps) {
  const isFired = arrow?.transitions.some((id) => fired.has(id)) ?? false
  // What can happen next stands out a little from what cannot.
  const isLit = arrow !== undefined && active.has(arrow.source)
  const kind = isFired ? 'fired' : isLit ? 'lit' : 'plain'
  const path = toPath(points)
  return (
    <g class={`mx-arrow mx-arrow-${kind}`} data-arrow={arrow?.id} data-fired={isFired}>
      <path d={path} marker-end={`url(#mx-head-${kind})`} />
      {isFired && <path key={firedKey} class="mx-flow" d={path} pathLength={100} />}
      {arrow && label && (
        <>
          <rect class="mx-label" x={label.x} y={label.y} width={label.width} height={label.height} rx={4} />
          {arrow.lines.map(({ text, transitions }, index) => (
            <text
              key={text}
              class={transitions.some((id) => fired.has(id)) ? 'mx-line mx-fired' : 'mx-line'}
              x={label.x + label.width / 2}
              y={label.y + 13 + index * sizes.line}
              text-anchor="middle"
            >
              {text}
            </text>
          ))}
        </>
      )}
    </g>
  )
}
