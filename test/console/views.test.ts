import { expect, it } from 'vitest'
import { meshSchemas } from '../../runtime/mesh-schemas.ts'
import { createTestMesh } from '../mesh/support/mesh.ts'
import { hasNoBrowser, tabTo, visit } from './support/browser.ts'
import { createFront, workersSeen } from './support/front.ts'

it.skipIf(hasNoBrowser)('every view shows what is, and needs nothing but a keyboard', async () => {
  const mesh = await createTestMesh()
  const { node, url } = await createFront(mesh, { name: 'laptop' })
  const { page, trouble } = await visit(`${url}/#/mesh`)
  const main = page.locator('main')
  const press = async (selector: string): Promise<void> => {
    await tabTo(page, selector)
    await page.keyboard.press('Enter')
  }

  // The mesh, live: a worker that comes appears.
  await main.getByText('No worker is known yet').waitFor()
  const worker = await mesh.worker({ models: ['nano'], contextTokens: 512, name: 'tower' })
  const short = worker.id.slice(0, 8)
  const card = main.locator(`[data-worker="${worker.id}"]`)
  await card.getByText('nano').waitFor()
  await card.getByText('0/4').waitFor()
  expect(await card.textContent()).toContain('not asked yet')
  await workersSeen(node, 1)

  // Chat: the field has the focus.
  await press('nav a[href="#/chat"]')
  await page.getByText('1 worker with 1 model can answer now').waitFor()
  const said = (await node.ask('What is QMesh?', { temperature: 0 }).result).text
  await page.keyboard.type('What is QMesh?')
  // The settings, out of the way: a temperature that always says the same.
  await press('.settings summary')
  await tabTo(page, 'input[max="2"]')
  await page.keyboard.type('0')
  await page.keyboard.press('Shift+Tab')
  await tabTo(page, '.composer button[type=submit]')
  await page.keyboard.press('Enter')
  await main.getByText('answered by').waitFor()
  expect(await main.locator('.answer .prose').textContent()).toBe(said)
  expect(await main.locator('.answer-facts').textContent()).toContain(short)

  // From the answer to its trace.
  await press('.answer-facts a')
  await main.getByRole('heading', { name: /^Request [0-9a-f]/ }).waitFor()
  const [asked] = node.requests()
  expect(new URL(page.url()).hash).toBe(`#/requests/${asked?.requestId}`)
  expect(await main.locator('tr.chosen').textContent()).toContain(short)
  await expect.poll(() => main.locator('.trace').textContent()).toContain(`${asked?.tokens} tokens`)
  await expect.poll(() => main.locator('.request-list li').count()).toBe(node.requests().length)

  // The mesh knows better now.
  await press('nav a[href="#/mesh"]')
  await card.getByText('2 answers').waitFor()
  await main.getByText('live, 1 worker known').waitFor()

  // Scores: who earned what, with the receipts.
  await press('nav a[href="#/scores"]')
  await main.getByText('Your credit').waitFor()
  // What was paid is booked a moment after the answer, and looked at every two seconds.
  await expect
    .poll(async () => {
      const credit = (await main.locator('.big-number').last().textContent()) ?? ''
      return Math.abs(Number.parseFloat(credit) - (await node.credit()).available)
    })
    .toBeLessThan(0.05)
  await main.getByRole('columnheader', { name: 'Head start' }).waitFor()
  const row = main.locator('tr', { hasText: 'tower' })
  await row.waitFor()
  await press(`a[href="#/scores/${worker.id}"]`)
  await main.getByText('Latest entries of its log').waitFor()
  await main.locator('.score-reasons').getByText(node.id.slice(0, 8)).first().waitFor()

  // Models: one that the worker has comes here.
  const shared = await worker.models?.library.add(mesh.modelPath, { id: 'shared-model' })
  await worker.models?.seed([])
  await press('nav a[href="#/models"]')
  await main.getByText('Llama 3.2 1B Instruct').waitFor()
  await tabTo(page, '.pull-form input')
  await page.keyboard.type(shared?.hash ?? '')
  await page.keyboard.press('Enter')
  await main.getByText('It is here.').waitFor()
  await main.locator('.models li', { hasText: 'shared-model' }).getByText('here', { exact: true }).waitFor()
  const told = (await (await fetch(`${url}/v1/mesh/models`)).json()) as {
    readonly library: readonly unknown[]
  }
  for (const model of told.library) expect(meshSchemas.libraryModel.parse(model)).toEqual(model)
  expect(node.models?.library.list()).toMatchObject([{ id: 'shared-model', state: 'sound' }])

  // Machines has tests of its own; it opens from here.
  await press('nav a[href="#/machines"]')
  await main.getByRole('heading', { name: 'Machines' }).first().waitFor()

  // The conversation is still there, and can be left.
  await press('nav a[href="#/chat"]')
  await main.locator('.answer .prose').waitFor()
  await page.reload()
  expect(await main.locator('.answer .prose').textContent()).toBe(said)
  await page.getByRole('button', { name: 'New chat' }).click()
  await main.getByText('Ask the mesh').waitFor()
  expect(trouble).toEqual([])
})
