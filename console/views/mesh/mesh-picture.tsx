import type { NodeStatus, Worker } from '../../api/types.ts'
import { isNarrow } from '../../frame/narrow.ts'
import { accountOf } from '../../mesh/accounts.ts'
import { many, shortId } from '../../ui/format.ts'
import { toLayout, type Spot } from './layout.ts'
import { toState } from './worker-state.ts'

/** More names than this stand in each other's way. */
const namesMax = 14

interface PictureProps {
  readonly node: NodeStatus
  /** Without this node's own. */
  readonly others: readonly Worker[]
  readonly selected: string | undefined
  readonly onSelect: (workerId: string | undefined) => void
}

/** The mesh as this node sees it: itself in the middle, workers around, and what flows between them. */
export function MeshPicture({ node, others, selected, onSelect }: PictureProps) {
  const { width, height, centre, radius, spots } = toLayout(others.length, isNarrow.value)
  const open = others.reduce((sum, { inFlight }) => sum + inFlight, 0)
  const label = `${many(others.length, 'worker')} around this node, ${many(open, 'request')} under way`
  const placed = others.flatMap((worker, index) => {
    const spot = spots[index]
    return spot ? [{ worker, spot }] : []
  })
  return (
    <svg class="mesh-picture" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label}>
      {placed.map(({ worker, spot }) => (
        <Flow key={worker.workerId} from={centre} to={spot} requests={worker.inFlight} />
      ))}
      {placed.map(({ worker, spot }) => (
        <WorkerDot
          key={worker.workerId}
          worker={worker}
          spot={spot}
          radius={radius}
          hasName={others.length <= (isNarrow.value ? namesMax / 2 : namesMax)}
          isAbove={spot.y < centre.y}
          isSelected={worker.workerId === selected}
          onSelect={onSelect}
        />
      ))}
      <g class="own-node">
        <circle cx={centre.x} cy={centre.y} r={34} />
        <Slots spot={centre} radius={34} busy={node.queue.slotsBusy} slots={node.queue.slots} />
        <text x={centre.x} y={centre.y + 1} class="own-name">
          you
        </text>
      </g>
    </svg>
  )
}

function Flow({ from, to, requests }: { readonly from: Spot; readonly to: Spot; readonly requests: number }) {
  const line = { x1: from.x, y1: from.y, x2: to.x, y2: to.y }
  return (
    <>
      <line class="link" {...line} />
      {requests > 0 && <line class="flow" {...line} style={{ strokeWidth: Math.min(6, 1.5 + requests) }} />}
    </>
  )
}

interface DotProps {
  readonly worker: Worker
  readonly spot: Spot
  readonly radius: number
  readonly hasName: boolean
  readonly isAbove: boolean
  readonly isSelected: boolean
  readonly onSelect: PictureProps['onSelect']
}

function WorkerDot({ worker, spot, radius, hasName, isAbove, isSelected, onSelect }: DotProps) {
  const { workerId, slots, slotsBusy, queueLength } = worker
  const { tone, text } = toState(worker)
  const name = accountOf(workerId)?.name ?? shortId(workerId)
  return (
    <g
      class={`worker-dot ${tone} ${isSelected ? 'selected' : ''}`}
      onPointerEnter={() => onSelect(workerId)}
      onPointerLeave={() => onSelect(undefined)}
    >
      <title>{`${name}: ${text}, ${slotsBusy} of ${slots} slots, ${queueLength} waiting`}</title>
      <circle cx={spot.x} cy={spot.y} r={radius} />
      <Slots spot={spot} radius={radius} busy={slotsBusy} slots={slots} />
      {queueLength > 0 && radius >= 12 && (
        <text x={spot.x} y={spot.y + 1} class="queue">
          {queueLength}
        </text>
      )}
      {hasName && (
        // Outwards, where no line of a flow goes.
        <text x={spot.x} y={spot.y + (isAbove ? -radius - 10 : radius + 20)}>
          {name}
        </text>
      )}
    </g>
  )
}

/** An arc around a dot: how many of its slots are answering. */
function Slots({ spot, radius, busy, slots }: { spot: Spot; radius: number; busy: number; slots: number }) {
  if (slots === 0 || busy === 0) return null
  const around = 2 * Math.PI * (radius + 4)
  return (
    <circle
      class="slots"
      cx={spot.x}
      cy={spot.y}
      r={radius + 4}
      stroke-dasharray={`${(around * Math.min(busy, slots)) / slots} ${around}`}
      transform={`rotate(-90 ${spot.x} ${spot.y})`}
    />
  )
}
