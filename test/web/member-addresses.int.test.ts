// Addresses of the console: member addresses.

import { beforeAll, expect, test } from 'vitest'
import type { EmbeddedCluster } from '../../src/index.ts'
import { consoleUrl, describeConsole, needsChromium, openPage, startConsoleCluster } from './browser.ts'

describeConsole(needsChromium('addresses of the console'), () => {
  let cluster: EmbeddedCluster
  let url: string
  beforeAll(async () => {
    cluster = await startConsoleCluster({ nodes: 1 })
    url = (await cluster.waitForLeader()).url
  })

  test('the address of a member is shown as text, whatever is in it', async () => {
    const added = await fetch(`${url}/v1/cluster/members`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({
        ...{ name: 'n9', replica_id: '99', peer: '127.0.0.1:9' },
        url: 'http://127.0.0.1:9/\u202ecod.exe',
      }),
    })
    expect(added.status).toBe(200)
    const page = await openPage(consoleUrl({ url }), { otherOrigins: ['http://127.0.0.1:9'] })
    for (const place of ['#/overview', '#/operation/members']) {
      await page.goto(consoleUrl({ url }, place))
      await page.getByText('n9', { exact: true }).first().waitFor()
      expect(await page.locator('main').innerText()).not.toContain('\u202e')
    }
  })
})
