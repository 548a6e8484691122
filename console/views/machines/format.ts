import type { SafeValue, StateValueView } from '../../../protocol/inspection.ts'

/** `attempting.streaming`, and `{a.b, c}` for what runs side by side. */
export function valueText(value: StateValueView | undefined): string {
  if (value === undefined) return ''
  if (typeof value === 'string') return value
  const parts = Object.entries(value).map(([region, inner]) => {
    const text = valueText(inner)
    return text === '' ? region : `${region}.${text}`
  })
  return parts.length > 1 ? `{${parts.join(', ')}}` : (parts[0] ?? '')
}

/** Ids of the states that a machine is in, with those around them; the root's is empty. */
export function activeStates(value: StateValueView | undefined): ReadonlySet<string> {
  const ids = new Set<string>()
  if (value === undefined) return ids
  ids.add('')
  const visit = (inner: StateValueView, path: string): void => {
    if (typeof inner === 'string') {
      ids.add(path + inner)
      return
    }
    for (const [region, deeper] of Object.entries(inner)) {
      ids.add(path + region)
      visit(deeper, `${path}${region}.`)
    }
  }
  visit(value, '')
  return ids
}

/** `0.8 µs`, `12 µs`, `3.4 ms` */
export function durationText(us: number | undefined): string {
  if (us === undefined) return ''
  if (us < 10) return `${us.toFixed(1)} µs`
  if (us < 1_000) return `${Math.round(us)} µs`
  return us < 100_000 ? `${(us / 1_000).toFixed(1)} ms` : `${Math.round(us / 1_000)} ms`
}

const two = (value: number): string => String(value).padStart(2, '0')

/** `14:03:07.512`, in the time of the person who looks. */
export function timeText(atMs: number): string {
  const at = new Date(atMs)
  const ms = String(at.getMilliseconds()).padStart(3, '0')
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${ms}`
}

/** The names that XState gives to events of its own, as people say them. */
export function eventText(event: string): string {
  const after = /^xstate\.after\.([^.]+)\./.exec(event)?.[1]
  if (after !== undefined) return /^\d+$/.test(after) ? `after ${after} ms` : `after ${after}`
  const [, kind, id] = /^xstate\.(done|error|snapshot)\.(?:actor\.|state\.)?(.+)$/.exec(event) ?? []
  if (kind !== undefined && id !== undefined) {
    // A child that nobody named goes by the state that it works for.
    const state = /^\d+\.(?:.*\.)?([^.]+)$/.exec(id)?.[1]
    return state === undefined ? `${kind} ${id}` : `${kind} in ${state}`
  }
  return event.replace(/^xstate\.(init|stop)$/, (_, word: string) => (word === 'init' ? 'start' : word))
}

/** Of many only the first were sent; what stands behind them says how many more there are. */
export function countOf(entries: readonly (readonly [string, SafeValue])[]): number {
  const last = entries.at(-1)?.[1]
  const more = typeof last === 'string' ? /^(?:… )?(\d+) more$/.exec(last)?.[1] : undefined
  return more === undefined ? entries.length : entries.length - 1 + Number(more)
}
