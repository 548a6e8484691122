import type { Screen } from '../../../runtime/terminal/screen-block.ts'

/** A terminal on paper: it does what its few orders say, and fails at any other. */
export interface PaperScreen extends Screen {
  readonly written: string[]
  readonly writes: number
  /** Lines that left at the top. */
  readonly scrolled: number
  /** What stands on it, without empty lines at the end. */
  lines(): string[]
}

export function paper(columns: number, rows: number): PaperScreen {
  const written: string[] = []
  let cells: string[][] = Array.from({ length: rows }, () => [])
  let [row, column, writes, scrolled] = [0, 0, 0, 0]
  let wraps = true
  const newLine = (): void => {
    row++
    if (row < rows) return
    row = rows - 1
    cells = [...cells.slice(1), []]
    scrolled++
  }
  const orders: Record<string, (count: number) => void> = {
    A: (count) => (row = Math.max(0, row - count)),
    G: (at) => (column = at - 1),
    H: () => ([row, column] = [0, 0]),
    J: (which) => {
      const from = which === 2 ? 0 : row
      cells = cells.map((line, at) => (at < from ? line : at === row && from ? line.slice(0, column) : []))
    },
    K: () => void cells[row]?.splice(column),
    m: () => undefined,
  }
  const modes: Record<string, (isOn: boolean) => void> = {
    '7': (isOn) => (wraps = isOn),
    '25': () => undefined,
    '1049': () => (cells = Array.from({ length: rows }, () => [])),
    '2026': () => undefined,
  }
  const put = (letter: string): void => {
    if (column >= columns) {
      if (!wraps) column = columns - 1
      else {
        newLine()
        column = 0
      }
    }
    const line = cells[row]
    if (line) line[column] = letter
    column++
  }
  return {
    columns,
    rows,
    written,
    get writes() {
      return writes
    },
    get scrolled() {
      return scrolled
    },
    lines: () => {
      const lines = cells.map((line) => Array.from(line, (letter) => letter ?? ' ').join(''))
      return lines.slice(0, lines.findLastIndex((line) => line !== '') + 1)
    },
    write: (text) => {
      writes++
      written.push(text)
      for (const [part] of text.matchAll(/\p{Cc}\[\??\d*[A-Za-z]|[^]/gu)) {
        const order = /^\p{Cc}\[(\?)?(\d*)([A-Za-z])$/u.exec(part)
        if (part === '\n') {
          newLine()
          column = 0
        } else if (part === '\r') column = 0
        else if (order?.[1]) toKnown(modes, order[2], part)(order[3] === 'h')
        else if (order) toKnown(orders, order[3], part)(Number(order[2] || (order[3] === 'J' ? 0 : 1)))
        else if (/[\p{Cc}]/u.test(part)) throw new Error(`the terminal was told ${JSON.stringify(part)}`)
        else put(part)
      }
    },
  }
}

function toKnown<Value>(table: Record<string, Value>, name: string | undefined, part: string): Value {
  const known = name === undefined ? undefined : table[name]
  if (known === undefined) throw new Error(`the terminal was told ${JSON.stringify(part)}`)
  return known
}
