import { expect, it } from 'vitest'
import { plainText } from '../../runtime/plain-text.ts'

it('plain text shows the marks that would reorder it, and leaves joined letters and emoji alone', () => {
  for (const mark of '\u202E\u2066\u2069\u2028') expect(plainText(`a${mark}b`)).toBe('a\uFFFDb')
  for (const text of ['👩‍🚀 नमस्ते', 'a\u200Fb']) expect(plainText(text)).toBe(text)
})
