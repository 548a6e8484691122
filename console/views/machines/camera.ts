import type { ChartLayout, StateBox } from './layout.ts'

/** The picture's place in its frame. */
export interface Camera {
  readonly x: number
  readonly y: number
  readonly scale: number
}

export const scales = { least: 0.15, most: 3, small: 0.55, readable: 0.75, whole: 1.15 } as const
export const margin = 24

/** All of it, in the middle. */
export const centre = (layout: ChartLayout, box: DOMRect, scale: number): Camera => ({
  scale,
  x: (box.width - layout.width * scale) / 2,
  y: Math.max(margin / 2, (box.height - layout.height * scale) / 2),
})

/** The innermost states that are lit. */
const litBoxes = (layout: ChartLayout, active: ReadonlySet<string>): readonly StateBox[] =>
  layout.boxes.filter(
    ({ id, state }) => active.has(id) && !state.states.some((child) => active.has(child.id)),
  )

/** A part of it, with what is lit in the middle as far as the picture goes. */
export function around(
  layout: ChartLayout,
  active: ReadonlySet<string>,
  box: DOMRect,
  scale: number,
): Camera {
  const [lit] = litBoxes(layout, active)
  const x = lit ? lit.x + lit.width / 2 : layout.width / 2
  const y = lit ? lit.y + lit.height / 2 : 0
  // Not farther than the picture goes.
  const place = (size: number, whole: number, at: number): number =>
    whole * scale + 2 * margin <= size
      ? (size - whole * scale) / 2
      : Math.min(margin, Math.max(size - whole * scale - margin, size / 2 - at * scale))
  return { scale, x: place(box.width, layout.width, x), y: place(box.height, layout.height, y) }
}

/** Whether what is lit can be seen. */
export function isInSight(
  layout: ChartLayout,
  active: ReadonlySet<string>,
  box: DOMRect,
  { x, y, scale }: Camera,
): boolean {
  return litBoxes(layout, active).every((lit) => {
    const [left, top] = [lit.x * scale + x, lit.y * scale + y]
    return (
      left >= 0 && top >= 0 && left + lit.width * scale <= box.width && top + lit.height * scale <= box.height
    )
  })
}
