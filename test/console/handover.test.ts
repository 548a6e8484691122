import { expect, it } from 'vitest'
import { createTestMesh } from '../mesh/support/mesh.ts'
import { hasNoBrowser, visit } from './support/browser.ts'
import { createFront, forkWorker, workersSeen } from './support/front.ts'

it.skipIf(hasNoBrowser)(
  'a chat survives the kill -9 of its worker, and says where; another is stopped by hand',
  async () => {
    const mesh = await createTestMesh()
    const [workers, { node, url }] = await Promise.all([
      Promise.all([forkWorker(mesh), forkWorker(mesh)]),
      createFront(mesh),
    ])
    await workersSeen(node, 2)
    const question = 'What is QMesh?'
    const said = (await node.ask(question, { temperature: 0 }).result).text

    const { page, trouble } = await visit(url)
    const main = page.locator('main')
    await page.getByLabel('Settings').click()
    await page.getByLabel('Temperature').fill('0')
    await page.getByLabel('Your question').fill(question)
    await page.keyboard.press('Enter')
    await main
      .locator('.answer .prose')
      .filter({ hasText: /^.{20}/ })
      .waitFor()
    const answering = (await main.locator('.answer-facts code').textContent()) ?? ''
    const dying = workers.find(({ id }) => id.startsWith(answering))
    const living = workers.find(({ id }) => !id.startsWith(answering))
    dying?.child.kill('SIGKILL')

    await main.getByText('continued on another worker').waitFor()
    await main.getByText('answered by').waitFor()
    const parts = await main.locator('.answer > :is(.prose, .handover-mark)').allTextContents()
    expect(parts).toHaveLength(3)
    expect(parts[1]).toContain(living?.id.slice(0, 8))
    // Nothing is lost or doubled, and the mark stands where the text was cut.
    expect([parts[0], parts[2]].join('')).toBe(said)
    const why = node.why()
    // On a busy computer a worker may seem lost before it has said anything: that is a try, and no part of the answer.
    const gave = why.attempts.filter(({ tokens }) => tokens > 0)
    expect(gave).toMatchObject([{ code: 'QM_WORKER_LOST', workerId: dying?.id }, { workerId: living?.id }])
    const before = await node.ask(question, { temperature: 0, maxTokens: gave[0]?.tokens }).result
    // The first worker may have sent tokens whose text was not certain yet: never more text than tokens.
    expect(before.text.startsWith(parts[0]?.trimEnd() ?? '-')).toBe(true)
    expect(parts[0]?.length).toBeGreaterThanOrEqual(20)

    // The trace tells the same.
    await main.getByRole('link', { name: 'Why this worker?' }).click()
    await main.getByRole('region', { name: 'Try 2' }).waitFor()
    expect(await main.getByRole('region', { name: 'Try 1' }).textContent()).toContain('QM_WORKER_LOST')

    // Escape stops the next one, wherever it is made.
    await page.getByRole('link', { name: 'Chat', exact: true }).click()
    await page.getByLabel('Your question').fill('How does a handover work?')
    await page.keyboard.press('Enter')
    await main.locator('.cursor').waitFor()
    await page.keyboard.press('Escape')
    await main.getByText('stopped', { exact: true }).waitFor()
    await expect.poll(() => node.requests()[0]).toMatchObject({ state: 'failed', code: 'QM_CANCELLED' })
    await expect.poll(() => node.workers().every(({ inFlight }) => inFlight === 0)).toBe(true)
    expect(trouble).toEqual([])
  },
)
