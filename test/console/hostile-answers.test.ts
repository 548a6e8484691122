import { expect, it } from 'vitest'
import { createGatewayRig, otherId, workerId, type Asked } from '../support/gateway-rig.ts'
import { hasNoBrowser, visit } from './support/browser.ts'

const key = 'a-key-of-sixteen-characters'

/** The real server and page, in front of a mesh of paper that says what no model would. */
async function createRig() {
  const consoleDir = new URL('../../dist/console', import.meta.url).pathname
  const rig = await createGatewayRig({ settings: { keys: [key], consoleDir } })
  return { ...rig, address: await rig.url() }
}

const evil = [
  '<img src="https://elsewhere.example/x.png" onerror="window.hacked = true">',
  '<script>window.hacked = true</script> <b>bold?</b> &amp; **strong** `code` ',
  '[click](javascript:alert(1)) ![img](https://elsewhere.example/y.png) javascript:alert(2)\n',
  '```html\n<style>body { display: none }</style>\n```\nSee https://example.org/a?b=c&d.',
].join('')

it.skipIf(hasNoBrowser)(
  'a key is asked for; what a model says is text, whatever it says; waiting and failing are told',
  async () => {
    const rig = await createRig()
    const { page, trouble } = await visit(rig.address)
    const main = page.locator('main')

    // The key: a wrong one, and the right one.
    const dialog = page.getByRole('dialog', { name: 'This node asks for a key' })
    await dialog.waitFor()
    await page.keyboard.press('Escape')
    await page.keyboard.type('wrong')
    await page.keyboard.press('Enter')
    await dialog.getByText('is not one of this gateway').waitFor()
    await dialog.getByLabel('Key').fill(key)
    await page.keyboard.press('Enter')
    await page.getByText('1 worker with 2 models can answer now').waitFor()
    // Refusals for want of a key are all that the browser complained about.
    expect(trouble.filter((text) => !text.includes('401'))).toEqual([])
    const before = trouble.length

    const ask = async (text: string): Promise<Asked> => {
      const { length } = rig.asked
      await page.getByLabel('Your question').fill(text)
      await page.keyboard.press('Enter')
      return rig.nextAsked(length)
    }

    // Waiting.
    const first = await ask('<i>hello</i>')
    first.emitter.emit('queued', { position: 3, etaMs: 2_400, promptTokens: 5 })
    await main.getByText('Place 3 in the queue, about 2.4 s to go').waitFor()

    // An answer that tries everything, and goes on elsewhere in the middle of its code.
    first.say(evil.slice(0, evil.indexOf('display')))
    await main.locator('.code-block').waitFor()
    first.emitter.emit('handover', {
      from: workerId,
      to: otherId,
      afterTokens: 1,
      gapMs: 1_200,
      code: 'QM_WORKER_LOST',
    })
    first.say(evil.slice(evil.indexOf('display')))
    first.finish({ workerId: otherId })
    await main.getByText('answered by').waitFor()
    expect(await main.locator('.handover-mark').textContent()).toContain('cdcdcdcd, after 1.2 s')
    expect(await main.locator('.question .bubble').textContent()).toBe('<i>hello</i>')
    const answer = main.locator('.answer')
    expect(await answer.locator('img, script, style, b, i').count()).toBe(0)
    expect(await answer.locator('.prose').first().textContent()).toContain(
      '<img src="https://elsewhere.example/x.png"',
    )
    expect(await answer.locator('.prose strong').allTextContents()).toEqual(['strong'])
    expect((await answer.locator('pre').allTextContents()).join('')).toBe(
      '<style>body { display: none }</style>',
    )
    expect(
      await answer.locator('.prose a').evaluateAll((links) => links.map((link) => link.getAttribute('href'))),
    ).toEqual([
      'https://elsewhere.example/x.png',
      'https://elsewhere.example/y.png',
      'https://example.org/a?b=c&d',
    ])
    expect(await answer.locator('.prose a').first().getAttribute('rel')).toContain('noopener')
    expect(await page.evaluate('"hacked" in window')).toBe(false)
    // What is sent next holds the text as it was.
    const second = await ask('and now?')
    expect(second.input).toEqual([
      { role: 'user', content: '<i>hello</i>' },
      { role: 'assistant', content: evil },
      { role: 'user', content: 'and now?' },
    ])

    // A failure says what to do, and can be asked again.
    second.fail('QM_QUEUE_FULL', undefined, 3_000)
    await main.getByText('Try again in 3.0 s.').waitFor()
    await page.getByRole('button', { name: 'Ask again' }).click()
    const third = await rig.nextAsked(2)
    expect(third.input).toEqual(second.input)
    third.say('Now.')
    third.fail('QM_WORKER_LOST')
    await main.getByText('Its worker went away').waitFor()
    expect(trouble.slice(before).filter((text) => !text.includes('503'))).toEqual([])
  },
)

it.skipIf(hasNoBrowser)(
  'a link that somebody made leads to no other answer of the node; a key that cannot be sent is not taken',
  async () => {
    const rig = await createRig()
    const { page, trouble } = await visit(`${rig.address}/#/requests/../workers?x=`)
    const main = page.locator('main')
    for (const given of ['schlüssel-ключ', key]) {
      await page.getByLabel('Key', { exact: true }).fill(given)
      await page.keyboard.press('Enter')
    }
    await main.getByText('A request id has 32 hexadecimal digits').waitFor()
    expect(trouble.filter((text) => !/40[01]/.test(text))).toEqual([])
  },
)
