import { oneLine } from '../runtime/plain-text.ts'

/** Rows as lines with aligned columns; text of peers in it is made plain and stays in its row. */
export function tableLines(rows: readonly (readonly string[])[]): string[] {
  const plain = rows.map((row) => row.map((cell) => oneLine(cell).replaceAll(/\s+/g, ' ')))
  const widths = plain[0]?.map((_, column) => Math.max(...plain.map((row) => row[column]?.length ?? 0))) ?? []
  return plain.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
