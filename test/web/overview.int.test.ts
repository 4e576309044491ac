// The frame and the first page of the console.

import { beforeAll, expect, test } from 'vitest'
import type { EmbeddedCluster } from '../../src/index.ts'
import {
  consoleUrl,
  describeConsole,
  findBarriers,
  needsChromium,
  openPage,
  startConsoleCluster,
} from './browser.ts'

describeConsole(needsChromium('the overview'), () => {
  let cluster: EmbeddedCluster
  beforeAll(async () => {
    cluster = await startConsoleCluster()
  })
  const leader = () => cluster.waitForLeader()
  const follower = async () => {
    const { name } = await leader()
    const found = cluster.nodes.find((node) => node.name !== name && node.running)
    if (found === undefined) throw new Error('there is no follower')
    return found
  }

  test('it says that all is well, and who leads', async () => {
    const page = await openPage(consoleUrl(await follower()))
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
    // A busy machine may elect another leader meanwhile.
    const leaderRows = async () =>
      page.getByRole('row', { name: new RegExp(`^${(await leader()).name} leader`) }).count()
    await expect.poll(leaderRows).toBe(1)
    expect(await page.getByRole('row').count()).toBe(4)
    expect(await findBarriers(page)).toEqual([])
    // On a small screen each member is a card: no field is outside.
    await page.setViewportSize({ width: 360, height: 800 })
    const edges = await page
      .getByRole('table', { name: 'Members' })
      .locator('td')
      .evaluateAll((cells) => cells.map((cell) => cell.getBoundingClientRect().right))
    expect(edges).toHaveLength(36)
    expect(Math.max(...edges)).toBeLessThanOrEqual(360)
  })

  test('it shows writes as they are made', async () => {
    const page = await openPage(consoleUrl(await leader()))
    const kv = cluster.client()
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
    const writes = page.locator('.figure', { hasText: 'Writes' })
    await expect
      .poll(async () => {
        await kv.put('seen', 'now')
        return writes.textContent()
      })
      .toMatch(/p50 .*p99/)
  })

  test('it names a member that is down, and goes to another one when its own node ends', async () => {
    const down = await follower()
    const others = cluster.endpoints
    const page = await openPage(consoleUrl(down), { otherOrigins: others })
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
    await down.stop()
    await page.waitForURL((url) => url.origin !== down.url && url.pathname === '/ui/')
    await page.getByText(new RegExp(`${down.name} has not answered`)).waitFor()
    await page.getByRole('row', { name: new RegExp(`^${down.name} down`) }).waitFor()
    await down.start()
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
  })

  test('a page that cannot be loaded offers to load the console again, and the others stay', async () => {
    const page = await openPage(consoleUrl(await leader()), { expected: /\/assets\/keys-/ })
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
    let isReloading = false
    await page.route('**/assets/keys-*.js', (route) =>
      isReloading ? route.continue() : route.abort('connectionreset'),
    )
    await page.getByRole('link', { name: 'Keys' }).click()
    await page.getByText('This page could not be loaded').waitFor()
    await page.getByRole('link', { name: 'Overview' }).click()
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
    expect(await page.getByText('could not be loaded').count()).toBe(0)
    await page.getByRole('link', { name: 'Keys' }).click()
    await page.getByText('This page could not be loaded').waitFor()
    // Chromium may request the module once more until then.
    page.on('request', (request) => {
      if (request.isNavigationRequest()) isReloading = true
    })
    await page.getByRole('button', { name: 'Load the console again' }).click()
    await page.getByRole('heading', { name: 'Keys' }).waitFor()
  })

  test('it stays at a node that is slow', async () => {
    const { url } = await follower()
    const page = await openPage('about:blank', { otherOrigins: [url] })
    await page.route('**/metrics', () => {})
    const probe = page.waitForRequest((request) => new URL(request.url()).pathname === '/livez')
    await page.goto(`${url}/ui/`)
    expect(new URL((await probe).url()).origin).toBe(url)
  })

  test('a page with a fault leaves the others', async () => {
    const { url } = await leader()
    const page = await openPage('about:blank', { otherOrigins: [url] })
    await page.route('**/assets/live-*.js', (route) =>
      route.fulfill({
        contentType: 'text/javascript',
        body: 'export const Page = () => { throw Error("odd") }',
      }),
    )
    await page.goto(`${url}/ui/#/live`)
    await page.getByRole('heading', { name: 'This page cannot be shown' }).waitFor()
    await page.getByText('It has a fault: odd.').waitFor()
    await page.getByRole('link', { name: 'Overview' }).click()
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
  })

  test('a link that leads nowhere says so', async () => {
    for (const place of ['#/nowhere', '#/constructor']) {
      const page = await openPage(consoleUrl(await leader(), place))
      await page.getByRole('heading', { name: 'There is no such page' }).waitFor()
    }
  })
})
