import { afterEach, describe, expect, it, vi } from 'vitest'
import { runDemo, type DemoOutcome } from '../../runtime/demo/index.ts'
import { summarize, toLines } from '../../runtime/demo/summary.ts'
import { kept } from '../runtime/demo/facts.ts'
import { tempDir } from '../runtime/support/temp-dir.ts'
import { runMain } from './cli.ts'

vi.mock('../../runtime/demo/index.ts', async (original) => ({
  ...(await original<typeof import('../../runtime/demo/index.ts')>()),
  runDemo: vi.fn<typeof runDemo>(),
}))

afterEach(() => vi.mocked(runDemo).mockReset())

const outcome = (facts = kept): DemoOutcome => ({ summary: summarize(facts), lines: toLines(facts) })

describe('demo', () => {
  it('succeeds when every promise was kept', async () => {
    vi.mocked(runDemo).mockResolvedValue(outcome())
    const { code, stdout } = await runMain(await tempDir(), ['demo', '--seed', '7'])
    expect(code).toBe(0)
    expect(stdout).toContain('every promise was kept')
    expect(vi.mocked(runDemo).mock.calls[0]?.[0].seed).toBe(7)
  })

  it('fails when one was broken, also with --json', async () => {
    vi.mocked(runDemo).mockResolvedValue(outcome({ ...kept, hostile: { requests: 3, shutOutBy: [] } }))
    const { code, stdout, stderr } = await runMain(await tempDir(), ['demo', '--json'])
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'a promise was broken\n' })
    expect(JSON.parse(stdout)).toMatchObject({ isKept: false, seed: 7 })
  })

  it('wants a seed that is a whole number', async () => {
    const { code, stderr } = await runMain(await tempDir(), ['demo', '--seed', 'x'])
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('QM_USAGE') })
    expect(runDemo).not.toHaveBeenCalled()
  })
})
