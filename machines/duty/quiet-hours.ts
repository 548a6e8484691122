/** A part of every day in which the worker rests, in minutes after midnight; it may run over midnight. */
export interface QuietHours {
  /** 0–1439. */
  readonly fromMinute: number
  /** The first minute after it, 1–1440. */
  readonly toMinute: number
}

const minutesPerDay = 24 * 60
const pattern = /^(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})$/

/** Reads `22:00-07:00`; `undefined` for anything else, and for a time that has no length. */
export function parseQuietHours(text: string): QuietHours | undefined {
  const parts = pattern.exec(text.trim())?.slice(1).map(Number)
  if (!parts) return undefined
  const [fromHour = 0, fromRest = 0, toHour = 0, toRest = 0] = parts
  if (fromRest > 59 || toRest > 59) return undefined
  const fromMinute = fromHour * 60 + fromRest
  const to = toHour * 60 + toRest
  // The whole day is 00:00-24:00; a time that begins where it ends is more likely a slip.
  const isValid = fromMinute < minutesPerDay && to <= minutesPerDay && fromMinute !== to
  // Until midnight is written both ways.
  return isValid ? { fromMinute, toMinute: to || minutesPerDay } : undefined
}

export const isQuiet = (quietHours: readonly QuietHours[], minuteOfDay: number): boolean =>
  quietHours.some(({ fromMinute, toMinute }) =>
    fromMinute < toMinute
      ? minuteOfDay >= fromMinute && minuteOfDay < toMinute
      : minuteOfDay >= fromMinute || minuteOfDay < toMinute,
  )
