// The lease of a key whose lease the user did not touch.

import { beforeAll, expect, test } from 'vitest'
import type { Client, EmbeddedCluster } from '../../src/index.ts'
import { consoleUrl, describeConsole, needsChromium, openPage, startConsoleCluster } from './browser.ts'

describeConsole(needsChromium('the lease of an edited key'), () => {
  let cluster: EmbeddedCluster
  let kv: Client
  beforeAll(async () => {
    cluster = await startConsoleCluster({ nodes: 1 })
    kv = cluster.client()
  })
  const open = async (place: string) => openPage(consoleUrl(await cluster.waitForLeader(), place))

  test('an edit over a version with a lease keeps that lease', async () => {
    await kv.put('leased', 'first')
    const page = await open('#/keys/leased')
    await page.getByRole('button', { name: 'Edit' }).click()
    await page.getByRole('textbox', { name: 'Value' }).fill('mine')
    await kv.put('leased', 'theirs', { ttlMs: 60_000 })
    const { lease } = (await kv.get('leased')) ?? {}
    await page.getByRole('button', { name: 'Write', exact: true }).click()
    await page.getByRole('button', { name: 'Write mine over it' }).click()
    await expect.poll(async () => (await kv.get('leased'))?.text()).toBe('mine')
    expect((await kv.get('leased'))?.lease).toBe(lease)
  })
})
