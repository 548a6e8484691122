import type { Page } from 'playwright-core'
import { expect, it, onTestFinished } from 'vitest'
import { createActor, fromCallback, setup } from 'xstate'
import { inspect } from '../../runtime/inspect/index.ts'
import { createTestMesh } from '../mesh/support/mesh.ts'
import { hasNoBrowser, tabTo, visit } from './support/browser.ts'
import { createFront, forkEndlessWorker, workersSeen } from './support/front.ts'

/** States that are lit, with those around them. */
const litStates = (page: Page): Promise<string[]> =>
  page
    .locator('.mx-state[data-active="true"]')
    .evaluateAll((states) => states.map((state) => state.getAttribute('data-state') ?? ''))

const shownState = (page: Page): Promise<string | null> =>
  page.locator('.mx-badge').getAttribute('data-state')

it.skipIf(hasNoBrowser)(
  'the machines of a node: a live request is followed through a handover, and stepped through afterwards',
  async () => {
    const mesh = await createTestMesh()
    const [workers, { node, url }] = await Promise.all([
      Promise.all([forkEndlessWorker(mesh), forkEndlessWorker(mesh)]),
      createFront(mesh),
    ])
    await workersSeen(node, 2)
    const { page, trouble } = await visit(`${url}/#/machines`, { viewport: { width: 1_500, height: 900 } })
    const tree = page.getByRole('tree')
    await tree.getByRole('treeitem', { name: 'scheduler' }).first().waitFor()
    await page.locator('.mx-state[data-state="running.healthy"][data-active="true"]').waitFor()

    // A request comes to life in the tree, and its statechart follows it.
    const prompt = 'Zebra-stripes are the secret of this question.'
    const answer = node.ask(prompt, { temperature: 0, maxTokens: 300 })
    // Nobody reads on: the worker waits, and is killed in the middle of its answer for certain.
    const reader = answer[Symbol.asyncIterator]()
    const first = await reader.next()
    await tree.getByRole('treeitem', { name: 'attempting.' }).click()
    // What watches its worker has ten events a second, which a slow machine would have push the others out of the list.
    await page.getByRole('button', { name: 'This actor' }).click()
    await expect.poll(() => litStates(page)).toContain('attempting.streaming')
    const served = node.why().attempts[0]?.workerId
    workers.find(({ id }) => id === served)?.child.kill('SIGKILL')
    const failed = page
      .locator('.mx-entry')
      .filter({ hasText: /attempt\.(failed|doubted)/ })
      .filter({ hasText: 'attempting.opening' })
    await failed.first().waitFor()
    const rest = (async () => {
      while (!(await reader.next()).done);
    })()
    await expect.poll(() => shownState(page)).toBe('done')
    await rest
    const { handovers, text } = await answer.result
    expect(handovers).toHaveLength(1)
    expect(await litStates(page)).toContain('done')

    // Back to the moment at which the worker was lost: the arrow that was taken is marked.
    await failed.first().getByRole('button').click()
    await expect.poll(() => shownState(page)).toMatch(/^attempting\./)
    const lost = page.locator('.mx-arrow[data-fired="true"]')
    await expect.poll(() => lost.evaluateAll((arrows) => arrows.map((arrow) => arrow.getAttribute('data-arrow')))).toContain('attempting→selecting') // prettier-ignore
    expect(await page.locator('.mx-details').textContent()).toContain('QM_WORKER_LOST')
    const moment = page.url()
    expect(moment).toMatch(/#\/machines\/x:\d+\?at=[0-9a-f]{8}\.\d+$/)

    // One event back, where it was streaming, by the keyboard; and forward again.
    await page.locator('.mx-chart').focus()
    await page.keyboard.press('ArrowLeft')
    await expect.poll(() => page.url()).not.toBe(moment)
    expect(await shownState(page)).toMatch(/^attempting\.streaming/)
    await page.keyboard.press('ArrowRight')
    await expect.poll(() => page.url()).toBe(moment)

    // Whoever gets the address sees the same moment.
    const other = await visit(moment, { viewport: { width: 1_500, height: 900 } })
    await expect.poll(() => shownState(other.page)).toBe(await shownState(page))
    expect(await other.page.locator('.mx-details').textContent()).toContain('QM_WORKER_LOST')
    await other.page.getByRole('button', { name: '▶ Live' }).click()
    await expect.poll(() => shownState(other.page)).toBe('done')

    // Nothing that was said is anywhere on the page.
    expect(first.value?.text).toBeDefined()
    for (const words of [prompt, 'Zebra', text.slice(0, 40)])
      expect(await page.content()).not.toContain(words)

    // What was pressed while paused goes on; filters find things.
    await page.getByRole('button', { name: '▶ Live' }).click()
    await page.getByLabel('Find an actor or a state').fill('peer connected')
    await expect.poll(() => tree.getByRole('treeitem', { name: /^peer-|peer/ }).count()).toBeGreaterThan(0)
    expect(await tree.getByRole('treeitem', { name: 'scheduler' }).count()).toBe(0)
    await page.getByLabel('Filter events').fill('no such event')
    await page.getByText('Nothing has happened').waitFor()
    expect(trouble).toEqual([])
    expect(other.trouble).toEqual([])
  },
)

const door = setup({
  types: { events: {} as { type: 'push' } | { type: 'lock' } },
  actors: { bell: fromCallback(() => {}) },
}).createMachine({
  id: 'door',
  invoke: { id: 'bell', src: 'bell' },
  initial: 'shut',
  states: {
    shut: { on: { push: 'open', lock: 'locked' } },
    open: { on: { push: 'shut' } },
    locked: { type: 'final' },
  },
})

it.skipIf(hasNoBrowser)('inspect() shows any system alone, and works without a mouse', async () => {
  const actor = createActor(door).start()
  const served = await inspect(actor)
  onTestFinished(() => served.close())
  const { page, trouble } = await visit(served.url)
  await page.locator('[data-state="shut"][data-active="true"]').waitFor()
  expect(await page.getByRole('link', { name: 'Chat' }).count()).toBe(0)
  actor.send({ type: 'push' })
  await page.locator('[data-state="open"][data-active="true"]').waitFor()
  actor.send({ type: 'push' })
  await page.locator('[data-state="shut"][data-active="true"]').waitFor()

  // Tab leads through the page: to the tree, whose rows the arrows walk, …
  await tabTo(page, '[role=treeitem]')
  await page.keyboard.press('ArrowDown')
  await expect.poll(() => page.locator(':focus').getAttribute('data-actor')).not.toBe(actor.sessionId)
  await page.keyboard.press('Enter')
  await page.getByText('is no machine').waitFor()
  await page.keyboard.press('ArrowUp')
  await page.keyboard.press('Enter')
  // … to the chart, …
  await tabTo(page, '.mx-chart')
  const place = () => page.locator('.mx-chart svg > g').getAttribute('transform')
  const before = await place()
  await page.keyboard.press('+')
  await expect.poll(place).not.toBe(before)
  await page.keyboard.press('f')
  await expect.poll(place).toBe(before)
  await page.keyboard.press('ArrowLeft')
  await page.locator('[data-state="open"][data-active="true"]').waitFor()
  // … and to the events.
  await page.keyboard.press(' ')
  await page.locator('[data-state="shut"][data-active="true"]').waitFor()
  await tabTo(page, '.mx-entry button')
  await page.keyboard.press('Enter')
  await expect.poll(() => page.url()).toContain('?at=')

  // The end is told, and stays on the page.
  actor.send({ type: 'lock' })
  await page.getByText('has stopped').waitFor()
  expect(trouble.filter((text) => !text.includes('ERR_CONNECTION_REFUSED'))).toEqual([])
})

const house = setup({ actors: { door } }).createMachine({
  id: 'house',
  invoke: [
    { id: 'front', src: 'door' },
    { id: 'back', src: 'door' },
  ],
})

it.skipIf(hasNoBrowser)(
  'whoever is chosen is fitted to the window, whatever was looked at before',
  async () => {
    const served = await inspect(createActor(house).start())
    onTestFinished(() => served.close())
    const { page, trouble } = await visit(served.url)
    const choose = async (name: string): Promise<void> => {
      await page.getByRole('treeitem', { name }).click()
      await page.locator('.mx-head h2', { hasText: name }).waitFor()
    }
    const place = () => page.locator('.mx-chart svg > g').getAttribute('transform')
    await choose('front')
    await page.locator('[data-state="shut"][data-active="true"]').waitFor()
    const fitted = await place()
    for (let times = 0; times < 4; times++) await page.getByRole('button', { name: 'Larger' }).click()
    await expect.poll(place).not.toBe(fitted)
    const held = await place()
    // An event of the same actor moves nothing that a person moved.
    await choose('front')
    expect(await place()).toBe(held)
    // The other one has the same statechart.
    await choose('back')
    await expect.poll(place).toBe(fitted)
    expect(trouble).toEqual([])
  },
)

const worker = setup({
  types: { events: {} as { type: 'work' } | { type: 'crash' } },
  actions: {
    crash: () => {
      throw new Error('what went wrong is told in the log of the program')
    },
  },
}).createMachine({
  id: 'worker',
  initial: 'idle',
  states: { idle: { on: { work: 'busy', crash: { actions: 'crash' } } }, busy: {} },
})

/** Starts its worker again when it fails, a moment later. */
const owner = setup({ actors: { worker } }).createMachine({
  id: 'owner',
  initial: 'running',
  states: {
    running: {
      invoke: { id: 'worker', systemId: 'worker', src: 'worker', onError: 'waiting' },
    },
    waiting: { after: { 300: 'running' } },
  },
})

it.skipIf(hasNoBrowser)(
  'a part that fails and is started again is seen to, and links that lead nowhere say so',
  async () => {
    const actor = createActor(owner).start()
    const served = await inspect(actor)
    onTestFinished(() => served.close())
    const { page, trouble } = await visit(`${served.url}?only=machines#/machines/worker`)
    const row = page.getByRole('treeitem', { name: 'worker' })
    await page.locator('[data-state="idle"][data-active="true"]').waitFor()
    actor.system.get('worker')?.send({ type: 'crash' })
    await row.filter({ hasText: 'failed' }).waitFor()
    await row.filter({ hasText: '↻1' }).filter({ hasText: 'idle' }).waitFor()
    await page.getByLabel('Whose events').getByText('All').click()
    await page.locator('.mx-entry').filter({ hasText: 'failed' }).first().waitFor()
    // What was chosen is followed into its next life, …
    await page.locator('[data-state="idle"][data-active="true"]').waitFor()
    expect(await page.locator('.mx-badge').textContent()).toBe('idle')
    // … and what led to the end of the one before can be looked at.
    await page.locator('.mx-entry').filter({ hasText: 'failed' }).getByRole('button').first().click()
    await expect.poll(() => page.locator('.mx-badge').textContent()).toBe('error')
    expect(await page.locator('.mx-details').textContent()).toContain('Failed with')
    expect(await page.locator('.mx-event-name strong').textContent()).toBe('crash')
    await page.getByRole('button', { name: '▶ Live' }).click()
    await expect.poll(() => page.locator('.mx-badge').textContent()).toBe('idle')

    await page.goto(`${served.url}?only=machines#/machines/nobody`)
    await page.getByText('There is no actor "nobody" here now.').waitFor()
    await page.goto(`${served.url}?only=machines#/machines/worker?at=ffffffff.5`)
    await page.getByText('of another run of this node').waitFor()
    expect(await page.content()).not.toContain('what went wrong')
    expect(trouble).toEqual([])
  },
)
