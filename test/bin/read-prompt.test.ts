import { PassThrough } from 'node:stream'
import { expect, it, vi } from 'vitest'
import { readPrompt } from '../../bin/read-prompt.ts'

it('Ctrl-C ends the reading of an input that does not end', async () => {
  const input = new PassThrough()
  const stdin = vi.spyOn(process, 'stdin', 'get').mockReturnValue(input as unknown as typeof process.stdin)
  try {
    const interrupt = new AbortController()
    const read = readPrompt(['-'], interrupt.signal)
    input.write('half a prompt')
    interrupt.abort()
    await expect(read).rejects.toMatchObject({ code: 'QM_CANCELLED' })
    expect(input.destroyed).toBe(true)
  } finally {
    stdin.mockRestore()
  }
})
