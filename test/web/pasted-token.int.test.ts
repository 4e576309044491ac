// Addresses of the console: pasted token.

import { beforeAll, expect, test } from 'vitest'
import type { EmbeddedCluster } from '../../src/index.ts'
import { describeConsole, needsChromium, openPage, startConsoleCluster } from './browser.ts'

describeConsole(needsChromium('addresses of the console'), () => {
  let cluster: EmbeddedCluster
  let url: string
  beforeAll(async () => {
    cluster = await startConsoleCluster({ nodes: 1 })
    url = (await cluster.waitForLeader()).url
  })

  test('a new control token, pasted in an open tab, leaves the URL and is used', async () => {
    const page = await openPage(`${url}/ui/#token=old-token`)
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
    await page.goto(`${url}/ui/#token=new-token`)
    await page.waitForURL((next) => !next.hash.includes('token'))
    await page.waitForLoadState()
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
    expect(await page.evaluate(() => sessionStorage.getItem('quorate.control'))).toBe('new-token')
  })
})
