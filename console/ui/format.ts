/** The beginning of an id: enough to tell workers apart at a look. */
export const shortId = (id: string): string => id.slice(0, 8)

export const many = (count: number, one: string, more = `${one}s`): string =>
  `${toCount(count)} ${count === 1 ? one : more}`

export const toCount = (value: number): string => Math.round(value).toLocaleString('en')

/** `840 ms`, `2.4 s`, `3 min 5 s`. */
export function toDuration(ms: number): string {
  if (Math.round(ms) < 1_000) return `${Math.round(ms)} ms`
  // Rounded before it is split: nothing takes 60 s, or 1 min 60 s.
  const seconds = Math.round(ms / 1_000)
  if (seconds < 60) return `${ms < 9_950 ? (ms / 1_000).toFixed(1) : seconds} s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 60
    ? `${minutes} min ${seconds % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** Units of 1000, as on the labels of disks. */
export function toSize(bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined) return 'size unknown'
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let [value, unit] = [bytes, 0]
  for (; value >= 999.5 && unit < units.length - 1; unit++) value /= 1_000
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

/** `135 M`, `1.7 B`. */
export const toParameters = (count: number): string =>
  count >= 1e9 ? `${(count / 1e9).toFixed(1)} B` : `${Math.round(count / 1e6)} M`

/** Credits and points: two digits behind the point where they say something. */
export const toPoints = (value: number): string =>
  value.toLocaleString('en', { maximumFractionDigits: 2, signDisplay: 'negative' }).replace('-', '−')

export const toClock = (iso: string): string =>
  new Date(iso).toLocaleTimeString('en', {
    hour12: false,
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  })
