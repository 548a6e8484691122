import { existsSync } from 'node:fs'
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'
import { afterAll, onTestFinished } from 'vitest'
import { buildConsole } from './build-console.ts'

/** Where systems keep a Chromium; `QMESH_CHROMIUM` names another. */
const executablePath = [
  process.env['QMESH_CHROMIUM'],
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
].find((path) => path !== undefined && existsSync(path))

if (executablePath === undefined)
  process.stderr.write('skipped: no Chromium was found; QMESH_CHROMIUM says where one is\n')

/** Tests that need a browser skip themselves where there is none; the reason was printed. */
export const hasNoBrowser = executablePath === undefined

let browser: Promise<Browser> | undefined
afterAll(async () => (await browser)?.close())

async function launch(): Promise<Browser> {
  await buildConsole()
  if (executablePath === undefined) throw new Error('there is no Chromium')
  return chromium.launch({ executablePath, args: ['--no-sandbox'] })
}

export interface Visit {
  readonly page: Page
  /** What went wrong in the page so far: errors it printed or threw, and requests to other machines. */
  readonly trouble: readonly string[]
}

/**
 * Opens a page, in a window of its own. What it may not do is written down, and stopped where it would leave this
 * machine.
 */
export async function visit(url: string, options: BrowserContextOptions = {}): Promise<Visit> {
  browser ??= launch()
  const context = await (await browser).newContext({ viewport: { width: 1_200, height: 800 }, ...options })
  onTestFinished(() => context.close())
  const trouble: string[] = []
  await context.route(
    ({ hostname }) => hostname !== '127.0.0.1',
    async (route) => {
      trouble.push(`asked for ${route.request().url()}`)
      await route.abort()
    },
  )
  const page = await context.newPage()
  page.setDefaultTimeout(30_000)
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') trouble.push(message.text())
  })
  page.on('pageerror', (error) => trouble.push(error.message))
  await page.goto(url)
  return { page, trouble }
}

/** Goes on with Tab until something is focused, as one without a mouse would. */
export async function tabTo(page: Page, selector: string, stepsMax = 80): Promise<void> {
  for (let step = 0; step < stepsMax; step++) {
    const focused = page.locator(':focus').and(page.locator(selector))
    if ((await focused.count()) > 0) return
    await page.keyboard.press('Tab')
  }
  throw new Error(`Tab did not reach ${selector} within ${stepsMax} steps`)
}
