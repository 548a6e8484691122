import type { Line } from '../../runtime/terminal/screen-block.ts'
import { tableLines } from '../table-lines.ts'
import type { Look } from './look.ts'
import { nodeLines } from './node-lines.ts'
import { requestRows, workerRows } from './tables.ts'

/** A node on so many lines: first itself, then its workers and its requests, which share what is left. */
export function topLines(look: Look, linesMax = Infinity): Line[] {
  const head = nodeLines(look)
  const workers = tableLines(workerRows(look))
  const requests = tableLines(requestRows(look))
  // A blank line before each table.
  const room = linesMax - head.length - 2
  const forWorkers = Math.min(workers.length, Math.max(Math.ceil(room / 2), room - requests.length))
  return [
    ...head,
    '',
    ...table(workers, forWorkers, 'no worker is known'),
    '',
    ...table(requests, room - forWorkers, 'nothing was asked since the node started'),
  ].slice(0, Math.max(0, linesMax))
}

/** What fits of a table; the last line says how many rows do not. */
function table([title = '', ...rows]: readonly string[], linesMax: number, ifEmpty: string): Line[] {
  const heading = { heading: title }
  if (rows.length === 0) return [heading, ifEmpty]
  if (rows.length < linesMax) return [heading, ...rows]
  const shown = rows.slice(0, Math.max(0, linesMax - 2))
  return [heading, ...shown, `… ${rows.length - shown.length} more`].slice(0, Math.max(0, linesMax))
}
