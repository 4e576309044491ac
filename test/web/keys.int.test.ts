// Keys, their values and their history.

import { beforeAll, beforeEach, expect, test } from 'vitest'
import type { Client, EmbeddedCluster } from '../../src/index.ts'
import {
  consoleUrl,
  describeConsole,
  findBarriers,
  needsChromium,
  openPage,
  startConsoleCluster,
} from './browser.ts'

describeConsole(needsChromium('the keys'), () => {
  let cluster: EmbeddedCluster
  let kv: Client
  beforeAll(async () => {
    cluster = await startConsoleCluster({ nodes: 1 })
    kv = cluster.client()
  })
  beforeEach(async () => {
    await kv.deleteRange({ all: true })
  })
  const open = async (place: string) => openPage(consoleUrl(await cluster.waitForLeader(), place))

  test('a tree opens folder by folder, with the keyboard too, and the URL names the chosen key', async () => {
    for (const key of ['config/app/limits', 'config/app/name', 'config/other', 'top'])
      await kv.put(key, `of ${key}`)
    const page = await open('#/keys')
    const tree = page.getByRole('tree', { name: 'Keys' })
    await tree.getByRole('treeitem', { name: 'config/' }).click()
    await tree.getByRole('treeitem', { name: 'app/' }).focus()
    await page.keyboard.press('ArrowRight')
    await tree.getByRole('treeitem', { name: 'limits' }).waitFor()
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('Enter')
    await page.getByText('of config/app/name').waitFor()
    expect(page.url()).toMatch(/#\/keys\/config\/app\/name$/)
    expect(await findBarriers(page)).toEqual([])
    // The link alone opens the folders on the way.
    await page.reload()
    await tree.getByRole('treeitem', { name: 'name', selected: true }).waitFor()
  })

  test('an edit is written if the key is unchanged; otherwise both versions are shown', async () => {
    await kv.put('greeting', 'hello')
    const page = await open('#/keys/greeting')
    await page.getByRole('button', { name: 'Edit' }).click()
    const value = page.getByRole('textbox', { name: 'Value' })
    await value.fill('mine')
    await kv.put('greeting', 'theirs')
    await page.getByRole('button', { name: 'Write', exact: true }).click()
    await page.getByText('Nothing was written: the key has changed meanwhile').waitFor()
    const rows = page.getByRole('dialog').getByRole('row')
    await rows.filter({ hasText: 'theirs' }).filter({ hasText: 'mine' }).waitFor()
    expect((await kv.get('greeting'))?.text()).toBe('theirs')
    expect(await findBarriers(page)).toEqual([])
    await page.getByRole('button', { name: 'Write mine over it' }).click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    expect((await kv.get('greeting'))?.text()).toBe('mine')
  })

  test('keys and values are text, whatever they contain', async () => {
    const key = 'x/\u202egnp.exe\u0000<img src=x onerror=alert(1)>'
    await kv.put(key, '<script>document.title = "bad"</script>\u2028javascript:alert(1)')
    await kv.put(Uint8Array.of(0xff, 0), 'bytes')
    const page = await open(`#/keys/${encodeURIComponent(key)}`)
    await page.getByText('<script>document.title = "bad"</script>').waitFor()
    await page.getByRole('heading', { name: 'x/\\u202egnp.exe\\0<img src=x onerror=alert(1)>' }).waitFor()
    await page.getByRole('treeitem', { name: 'hex ff00' }).click()
    await page.getByText('bytes', { exact: true }).waitFor()
    expect(page.url()).toContain('hex=ff00')
    expect(await page.title()).toBe('quorate')
  })
})
