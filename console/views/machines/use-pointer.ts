import { useEffect, useRef } from 'preact/hooks'

/** The wheel moves, and zooms with Ctrl or a pinch; a listener of Preact could not keep the page from scrolling. */
export function useWheel(
  frame: { readonly current: HTMLElement | null },
  zoom: (factor: number, x: number, y: number) => void,
  move: (dx: number, dy: number) => void,
): void {
  useEffect(() => {
    const element = frame.current
    if (!element) return
    const onWheel = (event: WheelEvent): void => {
      event.preventDefault()
      const box = element.getBoundingClientRect()
      if (event.ctrlKey || event.metaKey || !event.shiftKey)
        zoom(
          Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)),
          event.clientX - box.x,
          event.clientY - box.y,
        )
      else move(-event.deltaX - event.deltaY, 0)
    }
    element.addEventListener('wheel', onWheel, { passive: false })
    return () => element.removeEventListener('wheel', onWheel)
  }, [])
}

/** A pointer that is held moves it. */
export function useDrag(move: (dx: number, dy: number) => void) {
  const from = useRef<{ x: number; y: number } | undefined>(undefined)
  const end = (): void => {
    from.current = undefined
  }
  return {
    onPointerDown: (event: PointerEvent) => {
      if (event.button !== 0 || (event.target as Element).closest('button')) return
      from.current = { x: event.clientX, y: event.clientY }
      ;(event.currentTarget as Element).setPointerCapture(event.pointerId)
    },
    onPointerMove: (event: PointerEvent) => {
      if (!from.current) return
      move(event.clientX - from.current.x, event.clientY - from.current.y)
      from.current = { x: event.clientX, y: event.clientY }
    },
    onPointerUp: end,
    onPointerCancel: end,
  }
}
