// The overview of a cluster with TLS and rights, with elections, with a member that hangs, and with IPv6 addresses.

import { beforeAll, expect, test } from 'vitest'
import type { EmbeddedCluster } from '../../src/index.ts'
import {
  consoleUrl,
  describeConsole,
  findBarriers,
  logIn,
  needsChromium,
  openPage,
  startConsoleCluster,
} from './browser.ts'

const PASSWORD = 'correct horse battery'

describeConsole(needsChromium('the overview where rights are checked, over TLS'), () => {
  let cluster: EmbeddedCluster
  beforeAll(async () => {
    cluster = await startConsoleCluster({ tls: true, auth: { rootPassword: PASSWORD } })
    await cluster.client().users.put('bob', { password: PASSWORD })
  })

  test('a user without any right sees each member, with its term, its lag and its certificate', async () => {
    const leader = await cluster.waitForLeader()
    const page = await openPage(consoleUrl(leader), {
      ignoreHTTPSErrors: true,
      otherOrigins: cluster.endpoints,
    })
    await logIn(page, 'bob', PASSWORD)
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
    const texts = async () => {
      const heads = await page.getByRole('columnheader').allTextContents()
      const row = page.getByRole('row', { name: new RegExp(`^${leader.name} (leader|follower)`) })
      const cells = await row.getByRole('cell').allTextContents()
      return Object.fromEntries(heads.map((head, at) => [head, cells[at]]))
    }
    await expect.poll(texts).toMatchObject({
      Term: expect.stringMatching(/^\d+$/),
      Behind: expect.stringMatching(/^(0|\d+ entr(y|ies))$/),
      'Age of state': expect.stringMatching(/^≤ [\d.]+ (µs|ms|s)$/),
      'Disk free': expect.stringMatching(/^[\d.,]+ \w*B$/),
      Certificate: expect.stringMatching(/^[\d,]+ days$/),
      Version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    })
    expect(await findBarriers(page)).toEqual([])
  })
})

describeConsole(needsChromium('the overview of a cluster that changes'), () => {
  let cluster: EmbeddedCluster
  beforeAll(async () => {
    cluster = await startConsoleCluster()
  })

  test('a change of leader stands on the time line, with its term', async () => {
    const page = await openPage(consoleUrl(await cluster.waitForLeader()), {
      otherOrigins: cluster.endpoints,
    })
    await page.getByRole('heading', { name: 'Elections' }).waitFor()
    const line = page.getByRole('list', { name: 'Leaders since this page was opened' }).getByRole('listitem')
    await line.first().waitFor()
    const { name: before } = await cluster.waitForLeader()
    const leader = await cluster.client().transferLeader(before === 'n1' ? 'n2' : 'n1')
    await page
      .locator('.elections li')
      .filter({ hasText: new RegExp(`term \\d+ .*${leader}`) })
      .first()
      .waitFor()
    await line.filter({ hasText: leader }).first().waitFor()
    expect(await findBarriers(page)).toEqual([])
  })

  test('a member that hangs is named, and does not slow down what is read of the others', async () => {
    const { name: own, url } = await cluster.waitForLeader()
    const [hung = '', other = ''] = cluster.nodes.map(({ name }) => name).filter((name) => name !== own)
    const page = await openPage(consoleUrl({ url }), { otherOrigins: cluster.endpoints })
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
    const asked = new Map([
      [hung, 0],
      [other, 0],
    ])
    await page.route(/\/v1\/status\?node=/, async (route) => {
      const name = new URL(route.request().url()).searchParams.get('node') ?? ''
      asked.set(name, (asked.get(name) ?? 0) + 1)
      if (name !== hung) return route.continue()
      // So a node answers for a member that hangs.
      const problem = { code: 'not_ready', detail: `${hung} has not reported its status in time` }
      await new Promise((resolve) => setTimeout(resolve, 1_500))
      // The page may have gone meanwhile.
      await route
        .fulfill({
          status: 503,
          headers: { 'kv-node': own },
          contentType: 'application/problem+json',
          json: { ...problem, type: 'urn:quorate:problem:not_ready', title: 'Not ready', status: 503 },
        })
        .catch(() => {})
    })
    await page.getByText(new RegExp(`${hung} has not answered for`)).waitFor()
    await expect.poll(() => (asked.get(other) ?? 0) - (asked.get(hung) ?? 0)).toBeGreaterThan(3)
    await page.getByRole('row', { name: new RegExp(`^${hung} down`) }).waitFor()
    await page.unroute(/\/v1\/status\?node=/)
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
  })

  test('the user is asked to go to members with an IPv6 address, which the browser may not look for', async () => {
    const { name, url } = await cluster.waitForLeader()
    const page = await openPage('about:blank', { otherOrigins: [url] })
    await page.route('**/ui/console.json', (route) =>
      route.fulfill({
        json: {
          ...{ kind: 'node', node: name, version: '1', cluster_id: '1' },
          members: [
            { name, url },
            { name: 'six', url: 'http://[2001:db8::6]:7301' },
            { name: 'bad', url: 'javascript:alert(1)' },
          ],
        },
      }),
    )
    await page.goto(consoleUrl({ url }, '#/keys'))
    await page.route('**/v1/**', (route) => route.abort('connectionrefused'))
    const link = page.getByRole('alert').getByRole('link')
    expect(await link.getAttribute('href')).toBe('http://[2001:db8::6]:7301/ui/#/keys')
    expect(await link.textContent()).toBe('six')
  })
})
