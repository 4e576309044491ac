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

  test('a folder of many folders is paged, and each is passed by', async () => {
    const keys = Array.from({ length: 130 }, (_, at) => `many/${String(at).padStart(3, '0')}/`)
    await Promise.all(keys.flatMap((key) => ['a', 'b', 'c'].map((name) => kv.put(`${key}${name}`, ''))))
    const page = await open('#/keys')
    await page.getByRole('treeitem', { name: 'many/' }).click()
    await page.getByRole('treeitem', { name: '099/' }).waitFor()
    expect(await page.getByRole('treeitem').count()).toBe(101)
    await page.getByRole('button', { name: 'Show more' }).click()
    await page.getByRole('treeitem', { name: '129/' }).waitFor()
    expect(await page.getByRole('treeitem').count()).toBe(131)
  })

  test('a list has pages, and a prefix narrows it', async () => {
    await Promise.all(
      Array.from({ length: 150 }, (_, at) => kv.put(`key-${String(at).padStart(3, '0')}`, '')),
    )
    const page = await open('#/keys?view=list')
    const list = page.getByRole('list', { name: 'Keys' })
    await list.getByRole('link', { name: 'key-099' }).waitFor()
    await page.getByRole('link', { name: 'Next page' }).click()
    await list.getByRole('link', { name: 'key-149' }).waitFor()
    await page.getByRole('searchbox', { name: 'Keys that begin with' }).fill('key-01')
    await expect.poll(() => list.getByRole('link').count()).toBe(10)
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

  test('an edit changes no byte that the user did not touch', async () => {
    await kv.put('lines', 'one\r\ntwo\r\n')
    const page = await open('#/keys/lines')
    await page.getByRole('button', { name: 'Edit' }).click()
    await page.getByRole('textbox', { name: 'Value' }).fill('1\ntwo\n')
    await page.getByRole('button', { name: 'Write', exact: true }).click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    expect((await kv.get('lines'))?.text()).toBe('1\r\ntwo\r\n')
    // A text area would change a lone CR, and hide a control character.
    await kv.put('lines', 'one\rtwo\u0000')
    await page.getByText('two\\0').waitFor()
    await page.getByRole('button', { name: 'Edit' }).click()
    expect(await page.getByRole('textbox', { name: 'Value in hexadecimal' }).inputValue()).toBe(
      '6f6e650d74776f00',
    )
  })

  test('a new key is created only where there is none, and deleted after a question', async () => {
    const page = await open('#/keys')
    await page.getByRole('button', { name: 'New key' }).click()
    await page.getByRole('textbox', { name: 'Key' }).fill('made/here')
    await page.getByRole('button', { name: 'Next: its value' }).click()
    await page.getByRole('textbox', { name: 'Value' }).fill('{"a":1}')
    await page.getByRole('button', { name: 'Write', exact: true }).click()
    await page.getByRole('heading', { name: 'made/here' }).waitFor()
    expect((await kv.get('made/here'))?.json()).toEqual({ a: 1 })
    await page.getByRole('button', { name: 'Delete' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
    await page.getByText('The key does not exist').waitFor()
    expect(await kv.get('made/here')).toBeUndefined()
  })

  test('the history shows each change, and puts an old version back', async () => {
    await kv.put('setting', '{"rate": 1}')
    await kv.put('setting', '{"rate": 2}')
    await kv.delete('setting')
    await kv.put('setting', '{"rate": 3}')
    const page = await open('#/keys/setting?tab=history')
    const entries = page.locator('.history > li')
    await expect.poll(() => entries.count()).toBe(4)
    expect(await entries.nth(1).textContent()).toContain('deleted')
    const second = entries.nth(2)
    await second.getByRole('row').filter({ hasText: '"rate": 1' }).filter({ hasText: '"rate": 2' }).waitFor()
    expect(await findBarriers(page)).toEqual([])
    await second.getByRole('button', { name: 'Put this version back' }).click()
    await page.getByRole('button', { name: 'Put back' }).click()
    await expect.poll(() => entries.count()).toBe(5)
    expect((await kv.get('setting'))?.json()).toEqual({ rate: 2 })
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
