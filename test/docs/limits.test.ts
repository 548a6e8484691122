import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { limits as wireLimits } from '../../protocol/index.ts'
import { modelLimits } from '../../protocol/models/index.ts'

const limits = { ...wireLimits, ...modelLimits }

/** Rows of the document's tables: `| key | value | unit and meaning | reason |`. */
const rows = readFileSync(new URL('../../docs/LIMITS.md', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => /^\| `\w+`/.test(line))
  .map((line) => line.split('|').map((cell) => cell.trim()))

describe('docs/LIMITS.md', () => {
  test('lists every limit, once, and no other', () => {
    expect(rows.map(([, key]) => key?.replaceAll('`', ''))).toEqual(
      expect.arrayContaining(Object.keys(limits)),
    )
    expect(rows).toHaveLength(Object.keys(limits).length)
  })

  test.each(Object.entries(limits))('%s has its value, what it bounds and why', (name, value) => {
    const [, , stated = '', bounds = '', reason = ''] = rows.find(([, key]) => key === `\`${name}\``) ?? []
    expect(Number(stated.replaceAll(',', ''))).toBe(value)
    expect(bounds).not.toBe('')
    expect(reason).toMatch(/\w.*\.$/)
  })
})
