// Differences between two versions of a key.

import { beforeAll, test } from 'vitest'
import type { Client, EmbeddedCluster } from '../../src/index.ts'
import { consoleUrl, describeConsole, needsChromium, openPage, startConsoleCluster } from './browser.ts'

describeConsole(needsChromium('differences of a key'), () => {
  let cluster: EmbeddedCluster
  let kv: Client
  beforeAll(async () => {
    cluster = await startConsoleCluster({ nodes: 1 })
    kv = cluster.client()
  })
  const open = async (place: string) => openPage(consoleUrl(await cluster.waitForLeader(), place))

  test('documents that differ only in spaces are not called equal', async () => {
    await kv.put('spaces', '{"a":1}')
    await kv.put('spaces', '{ "a": 1 }')
    const page = await open('#/keys/spaces?tab=history')
    await page.getByText('They differ only in spaces and line ends between its parts.').waitFor()
  })

  test('a difference that is cut says so', async () => {
    const lines = (text: string): string =>
      Array.from({ length: 1_500 }, (_, at) => `${text} ${at}`).join('\n')
    await kv.put('long', lines('before'))
    await kv.put('long', lines('after'))
    const page = await open('#/keys/long?tab=history')
    await page.getByText(/The first 1.000 of 1.500 lines are shown/).waitFor()
  })
})
