export interface Spot {
  readonly x: number
  readonly y: number
}

export interface Layout {
  readonly width: number
  readonly height: number
  readonly centre: Spot
  /** Radius of a worker. */
  readonly radius: number
  readonly spots: readonly Spot[]
}

/** Workers of each ring, from the inside: as many rings as it takes, each as full as the others. */
function toRings(count: number, isNarrow: boolean): readonly number[] {
  const [first, step] = isNarrow ? [10, 8] : [14, 16]
  const rooms: number[] = []
  for (let room = 0; room < count; room += rooms.at(-1) ?? 0) rooms.push(first + step * rooms.length)
  const all = rooms.reduce((sum, room) => sum + room, 0)
  let placed = 0
  let before = 0
  return rooms.map((room) => {
    before += room
    const size = Math.round((count * before) / all) - placed
    placed += size
    return size
  })
}

/** Places on an ellipse at equal distances along it; equal angles would crowd at its ends. */
function toEllipse(size: number, centre: Spot, rx: number, ry: number, turn: number): Spot[] {
  const steps = 720
  const at = (step: number): Spot => {
    const angle = turn + (2 * Math.PI * step) / steps
    return { x: centre.x + rx * Math.cos(angle), y: centre.y + ry * Math.sin(angle) }
  }
  const lengths = [0]
  for (let step = 1; step <= steps; step++) {
    const [from, to] = [at(step - 1), at(step)]
    lengths.push((lengths.at(-1) ?? 0) + Math.hypot(to.x - from.x, to.y - from.y))
  }
  const around = lengths.at(-1) ?? 0
  return Array.from({ length: size }, (_, index) =>
    at(lengths.findIndex((length) => length >= (around * index) / size)),
  )
}

/** Of a worker, by the number of rings. */
const radii = [20, 13, 10, 8, 6.5, 5.5]

/**
 * Places any number of workers around the node in the middle, on as many ellipses as it takes. The same number gives
 * the same places: nothing jumps while numbers change.
 */
export function toLayout(count: number, isNarrow: boolean): Layout {
  const sizes = toRings(count, isNarrow)
  const isCrowd = sizes.length > 1
  const radius = radii[sizes.length - 1] ?? (isNarrow ? 4 : 5)
  const [width, height] = isNarrow ? [420, isCrowd ? 420 : 340] : [880, isCrowd ? 440 : 330]
  const centre = { x: width / 2, y: height / 2 }
  const [outerX, outerY] = [width / 2 - (isCrowd ? 24 : 60), height / 2 - radius - (isCrowd ? 18 : 36)]
  const innerX = isCrowd ? (isNarrow ? 75 : 130) : isNarrow ? outerX : outerX * 0.72
  const innerY = isCrowd ? (isNarrow ? 75 : 80) : outerY
  const spots = sizes.flatMap((size, ring) => {
    const share = isCrowd ? ring / (sizes.length - 1) : 0
    const [rx, ry] = [innerX + (outerX - innerX) * share, innerY + (outerY - innerY) * share]
    // Two stand left and right, not above each other; rings are turned against each other.
    const turn = size === 2 ? Math.PI : -Math.PI / 2 + (ring % 2) * (Math.PI / size)
    return toEllipse(size, centre, rx, ry, turn)
  })
  return { width, height, centre, radius, spots }
}
