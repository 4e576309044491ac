// Text is selected in a dialog with the mouse.

import { beforeAll, expect, test } from 'vitest'
import type { Client, EmbeddedCluster } from '../../src/index.ts'
import { consoleUrl, describeConsole, needsChromium, openPage, startConsoleCluster } from './browser.ts'

describeConsole(needsChromium('a selection in a dialog'), () => {
  let cluster: EmbeddedCluster
  let kv: Client
  beforeAll(async () => {
    cluster = await startConsoleCluster({ nodes: 1 })
    kv = cluster.client()
  })
  const open = async (place: string) => openPage(consoleUrl(await cluster.waitForLeader(), place))

  test('a selection that ends beside the dialog does not throw the edit away', async () => {
    await kv.put('text', 'hello')
    const page = await open('#/keys/text')
    await page.getByRole('button', { name: 'Edit' }).click()
    const value = page.getByRole('textbox', { name: 'Value' })
    await value.fill('a long edit')
    const box = await value.boundingBox()
    if (box === null) throw new Error('the text area has no place')
    await page.mouse.move(box.x + 60, box.y + 15)
    await page.mouse.down()
    await page.mouse.move(5, box.y + 15)
    await page.mouse.up()
    expect(await value.inputValue()).toBe('a long edit')
  })
})
