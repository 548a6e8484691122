import { QMeshError } from '../runtime/error-report.ts'
import { plainText } from '../runtime/plain-text.ts'
import { tableLines } from './table-lines.ts'

/** The reader of our standard output went away, for example `head`. */
export class BrokenPipe extends Error {}

/** A reader that went away has what it wanted; whatever else keeps the output from being written has lost some of it. */
export function toOutputFailure(error: NodeJS.ErrnoException): BrokenPipe | QMeshError {
  const { code = '', message } = error
  if (code === 'EPIPE' || code === 'ERR_STREAM_DESTROYED') return new BrokenPipe()
  return new QMeshError('QM_OUTPUT_FAILED', `standard output cannot be written: ${message}`, { cause: error })
}

// Without a listener a closed pipe would end the process with a stack trace. Each write hears of its own failure.
process.stdout.on('error', () => undefined)
process.stderr.on('error', () => undefined)

/** Writes, and waits for a slow reader. @throws BrokenPipe; QMeshError `QM_OUTPUT_FAILED` */
function write(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(toOutputFailure(error)) : resolve()))
  })
}

/** Milliseconds to a tenth: the digits behind it are noise of the clock. */
const roundMs = (name: string, value: unknown): unknown =>
  typeof value === 'number' && name.endsWith('Ms') ? Math.round(value * 10) / 10 : value

/** Standard output: answers and what was asked for, nothing else. */
export const output = {
  line: (text: string): Promise<void> => write(`${text}\n`),
  /** Text of a model. On a terminal its control characters are shown instead of obeyed. */
  answer: (text: string): Promise<void> => write(process.stdout.isTTY ? plainText(text) : text),
  json: (value: unknown): Promise<void> => write(`${JSON.stringify(value, roundMs, 2)}\n`),
  /** One of many documents, on a line of its own. */
  jsonLine: (value: unknown): Promise<void> => write(`${JSON.stringify(value, roundMs)}\n`),
  /**
   * A table with aligned columns; text of peers in it is made plain and stays in its row.
   *
   * @param isCut rows end where a terminal's lines do; a pipe gets all of them
   */
  table: (rows: readonly (readonly string[])[], { isCut = false } = {}): Promise<void> => {
    const lines = tableLines(rows)
    // Some terminals say that they have no columns.
    const columns =
      isCut && process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : Infinity
    return write(`${lines.map((line) => fit(line, columns)).join('\n')}\n`)
  },
}

function fit(line: string, columns: number): string {
  return line.length <= columns ? line : `${line.slice(0, columns - 1)}…`
}

/** Standard error: what a person wants to know beside the answer. */
export const note = (text: string): void =>
  void process.stderr.write(`${process.stderr.isTTY ? plainText(text) : text}\n`)
