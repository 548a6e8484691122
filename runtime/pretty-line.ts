import { plainText } from './plain-text.ts'

const colours: Readonly<Record<string, number>> = {
  trace: 90,
  debug: 90,
  info: 32,
  warn: 33,
  error: 31,
  fatal: 35,
}

/** One JSON line of the log as one short line for people: `14:03:11 info  message key=value`. */
export function prettyLine(line: string): string {
  let fields: Record<string, unknown>
  try {
    fields = JSON.parse(line) as Record<string, unknown>
  } catch {
    return line
  }
  const { level, time, msg, err, ...rest } = fields
  const label = String(level)
  const clock = typeof time === 'string' ? time.slice(11, 19) : ''
  const colour = colours[label] ?? 0
  const pairs = Object.entries(rest).map(([name, value]) => `${name}=${shown(value)}`)
  if (typeof err === 'object' && err !== null) pairs.push(shown('message' in err ? err.message : err))
  const text = [typeof msg === 'string' ? msg : '', ...pairs].filter(Boolean).join(' ')
  return `\u001B[2m${clock}\u001B[0m \u001B[${colour}m${label.padEnd(5)}\u001B[0m ${plainText(text).replaceAll('\n', ' ')}\n`
}

const shown = (value: unknown): string =>
  typeof value === 'string' && !/\s/.test(value) ? value : (JSON.stringify(value) ?? String(value))
