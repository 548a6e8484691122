import { expect, it } from 'vitest'
import { createTestMesh } from '../mesh/support/mesh.ts'
import { hasNoBrowser, visit } from './support/browser.ts'
import { createFront } from './support/front.ts'

it.skipIf(hasNoBrowser)(
  'a view that cannot be loaded leaves the page alive, and says what to do',
  async () => {
    const { url } = await createFront(await createTestMesh())
    const { page } = await visit(url)
    await page.route('**/console/scores-view-*.js', (route) => route.abort())
    await page.locator('nav a[href="#/scores"]').click()
    const alert = page.locator('main [role=alert]')
    await alert.getByText('This view has failed').waitFor()
    // The others work, and so does this one when its files come again.
    await page.locator('nav a[href="#/mesh"]').click()
    await page.getByText('No worker is known yet').waitFor()
    await page.locator('nav a[href="#/scores"]').click()
    await page.unroute('**/console/scores-view-*.js')
    await alert.getByRole('button', { name: 'Load the page again' }).click()
    await page.locator('main').getByRole('heading', { name: 'Leaderboard' }).waitFor()
    expect(await alert.count()).toBe(0)
  },
)
