// Keys, their values and their history: the flows that keys.int.test.ts leaves out.

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

  test('a question is about the version that the user saw, also when the page has read a newer one', async () => {
    await kv.put('seen', 'old')
    const page = await open('#/keys/seen')
    await page.getByText('old', { exact: true }).waitFor()
    await page.getByRole('button', { name: 'Delete' }).click()
    await kv.put('seen', 'unseen')
    await page.getByText('unseen', { exact: true }).waitFor()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
    await page.getByText('Nothing was deleted: the key has changed since you read it').waitFor()
    expect((await kv.get('seen'))?.text()).toBe('unseen')
  })

  test('an old version replaces the newest one of the history that the user saw, and no newer one', async () => {
    await kv.put('undone', 'first')
    await kv.put('undone', 'second')
    const page = await open('#/keys/undone?tab=history')
    await expect.poll(() => page.locator('.history > li').count()).toBe(2)
    // The next history takes its time.
    await page.route('**/v1/watch**', () => {})
    const read = page.waitForResponse(async (answer) => (await answer.text()).includes('unseen'))
    await kv.put('undone', 'unseen')
    await read
    await page.getByRole('button', { name: 'Put this version back' }).click()
    await page.getByRole('button', { name: 'Put back' }).click()
    await page.getByText('Nothing was written: the key has changed since you read it').waitFor()
    expect((await kv.get('undone'))?.text()).toBe('unseen')
  })

  test('a history that broke off is none', async () => {
    await kv.put('broken', 'value')
    const page = await openPage('about:blank', { otherOrigins: [(await cluster.waitForLeader()).url] })
    await page.route('**/v1/watch**', (route) => route.fulfill({ status: 200, body: '' }))
    await page.goto(consoleUrl(await cluster.waitForLeader(), '#/keys/broken?tab=history'))
    await page.getByText('the history broke off').waitFor()
  })

  const NODE = { 'kv-node': 'n1', 'kv-cluster': '7' }

  test('keys of before are shown with the reason why they are not read again', async () => {
    await kv.put('shown', '')
    const page = await open('#/keys')
    await page.getByRole('treeitem', { name: 'shown' }).waitFor()
    const code = 'permission_denied'
    const detail = 'the right was taken away'
    const body = { type: `urn:quorate:problem:${code}`, title: code, status: 403, code, detail }
    const contentType = 'application/problem+json'
    await page.route('**/v1/kv?*', (route) =>
      route.fulfill({ status: 403, contentType, headers: NODE, body: JSON.stringify(body) }),
    )
    await kv.put('hidden', '')
    await page.getByText('the right was taken away').waitFor()
    await page.getByRole('treeitem', { name: 'shown' }).waitFor()
  })

  test('a key of many folders opens some by itself, and each deeper one when it is chosen', async () => {
    const key = `${'/'.repeat(2_000)}x`
    await kv.put(key, 'deep')
    const first = await cluster.waitForLeader()
    const page = await openPage('about:blank', { otherOrigins: [first.url] })
    let reads = 0
    page.on('request', (request) => {
      if (request.url().includes('/v1/kv?')) reads++
    })
    const folders = page.getByRole('treeitem')
    for (const prefix of ['', '/'.repeat(1_000)]) {
      reads = 0
      await page.goto(consoleUrl(first, `#/keys/${key}?prefix=${prefix}`))
      await page.getByText('deep', { exact: true }).waitFor()
      await page.getByRole('treeitem', { level: 33 }).waitFor()
      expect(await folders.count()).toBe(33)
      expect(reads).toBeLessThan(50)
      await page.getByRole('treeitem', { level: 33 }).click()
      await page.getByRole('treeitem', { level: 34 }).waitFor()
      expect(await folders.count()).toBe(34)
      await page.goto('about:blank')
    }
  })

  test('a dialog stays open during a write, and says what became of it', async () => {
    await kv.put('slow', 'before')
    const page = await open('#/keys/slow')
    const held = Promise.withResolvers<void>()
    await page.route('**/v1/kv/slow?*', async (route) => {
      if (route.request().method() === 'PUT') await held.promise
      await route.continue()
    })
    await page.getByRole('button', { name: 'Edit' }).click()
    await page.getByRole('textbox', { name: 'Value' }).fill('after')
    await page.getByRole('button', { name: 'Write', exact: true }).click()
    await page.getByRole('button', { name: 'One moment' }).waitFor()
    for (let presses = 0; presses < 3; presses++) await page.keyboard.press('Escape')
    await page.getByText('This dialog stays until it is known what became of it').waitFor()
    held.resolve()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    expect((await kv.get('slow'))?.text()).toBe('after')
  })

  test('a compacted revision is named as such, and no other value is shown in its place', async () => {
    const { revision } = await kv.put('old', 'first')
    const second = await kv.put('old', 'second')
    await kv.put('old', 'third')
    const page = await open('#/keys/old')
    await page.getByText('third', { exact: true }).waitFor()
    const follow = (place: string) => page.evaluate(`location.hash = ${JSON.stringify(place)}`)
    await follow(`#/keys/old?rev=${revision}`)
    await page.getByText('first', { exact: true }).waitFor()
    await follow('#/keys/old')
    await page.getByText('third', { exact: true }).waitFor()
    await kv.compact(second.revision)
    await follow(`#/keys/old?rev=${revision}`)
    await page.getByText(`Revision ${revision} is compacted`).waitFor()
    expect(await page.getByText('third', { exact: true }).count()).toBe(0)
    // The history is that of the present key, which an old version replaces.
    await page.getByRole('link', { name: 'history', exact: true }).click()
    await page.locator('.history > li').nth(1).getByRole('button', { name: 'Put this version back' }).click()
    await page.getByRole('button', { name: 'Put back' }).click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    expect((await kv.get('old'))?.text()).toBe('second')
  })
})
