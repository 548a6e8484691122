import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { errorCatalogue, errorCodes } from '../../protocol/index.ts'

interface Row {
  readonly code: string
  readonly sentence: string
  readonly blame: string
  readonly retry: string
  readonly remedy: string
}

/** Rows of the document's tables: `| code | sentence | blame | retry | what to do |`. */
const rows: readonly Row[] = readFileSync(new URL('../../docs/ERRORS.md', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| `QM_'))
  .map((line) => {
    const [, code = '', sentence = '', blame = '', retry = '', remedy = ''] = line
      .split('|')
      .map((cell) => cell.trim())
    return { code: code.replaceAll('`', ''), sentence, blame, retry, remedy }
  })

describe('docs/ERRORS.md', () => {
  test('lists every code, once, and no other', () => {
    expect(rows.map(({ code }) => code).toSorted()).toEqual(errorCodes.toSorted())
  })

  test.each(errorCodes)(
    '%s: sentence, blame and retry are those of the catalogue, and it says what to do',
    (code) => {
      const row = rows.find((candidate) => candidate.code === code)
      expect(row).toMatchObject(errorCatalogue[code])
      expect(row?.remedy).toMatch(/\w.*\.$/)
    },
  )
})
