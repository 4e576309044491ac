// The watch of a key or a prefix, as it is made.

import type { Page } from 'playwright-core'
import { beforeAll, expect, test } from 'vitest'
import type { Client, EmbeddedCluster } from '../../src/index.ts'
import {
  consoleUrl,
  describeConsole,
  findBarriers,
  needsChromium,
  openPage,
  startConsoleCluster,
} from './browser.ts'

describeConsole(needsChromium('the live page'), () => {
  let cluster: EmbeddedCluster
  let kv: Client
  beforeAll(async () => {
    cluster = await startConsoleCluster({ nodes: 1 })
    kv = cluster.client()
  })
  const open = async (place: string) => openPage(consoleUrl(await cluster.waitForLeader(), place))
  const rows = (page: Page) => page.getByRole('main').getByRole('listitem')
  const counts = (page: Page, text: RegExp) => page.getByText(text).waitFor()
  /** The watch is open again after a choice. */
  const opened = (page: Page) => counts(page, /^Receiving.* 0 changes received\.$/)

  test('changes of a prefix or a key appear with the values before them, and lead to the key', async () => {
    const page = await open('#/live?prefix=app/')
    await opened(page)
    await page.getByText('quorate put app/greeting hello').waitFor()
    await kv.put('app/a', 'one')
    await kv.put('other', 'unseen')
    await kv.put('app/a', 'two')
    await kv.delete('app/a')
    await counts(page, / 3 changes received: 3 shown\.$/)
    await expect
      .poll(() => rows(page).allTextContents())
      .toEqual([
        expect.stringMatching(/delete.*app\/a/),
        expect.stringMatching(/put.*app\/a.*two/),
        expect.stringMatching(/put.*app\/a.*one/),
      ])
    expect(await findBarriers(page)).toEqual([])

    await page.getByRole('checkbox', { name: 'Previous values' }).check()
    await opened(page)
    await kv.put('app/a', 'three')
    await kv.put('app/a', '<b>\u202efour')
    await page.getByText('(nothing) → three').waitFor()
    await page.getByText('three → <b>\\u202efour').waitFor()
    await kv.put('app/long', '値'.repeat(1_000))
    await page.getByText(`${'値'.repeat(160)}…`).waitFor()

    await page.getByRole('combobox', { name: 'Changes' }).selectOption('deletes')
    await opened(page)
    await kv.put('app/a', 'five')
    await kv.delete('app/a')
    await counts(page, / 1 change received: 1 shown\.$/)
    await rows(page).filter({ hasText: 'delete' }).filter({ hasText: 'five' }).waitFor()

    await page.getByRole('combobox', { name: 'Changes' }).selectOption('puts')
    await page.getByRole('combobox', { name: 'Watch' }).selectOption('one key')
    await page.getByRole('textbox', { name: 'Key' }).fill('app/b')
    await opened(page)
    await kv.put('app/b/c', 'unseen')
    await kv.delete('app/b')
    await kv.put('app/b', 'six')
    await counts(page, / 1 change received: 1 shown\.$/)
    expect(page.url()).toMatch(/#\/live\?key=app%2Fb&only=put&prev=true$/)
    const { revision } = await kv.put('app/b', 'seven')
    await rows(page).filter({ hasText: 'seven' }).getByRole('link').click()
    await page.getByRole('heading', { name: 'app/b' }).waitFor()
    expect(page.url()).toContain(`#/keys/app/b?rev=${revision}`)
    await page.goBack()
    expect(await page.getByRole('textbox', { name: 'Key' }).inputValue()).toBe('app/b')
  })

  test('each change is shown, filtered out, behind the pause or dropped', async () => {
    const page = await open('#/live')
    await opened(page)
    await Promise.all(['a1', 'a2', 'a3'].map((key) => kv.put(key, '')))
    await counts(page, / 3 shown\.$/)
    await page.getByRole('button', { name: 'Pause' }).click()
    await Promise.all(['b1', 'b2', 'b3', 'a4'].map((key) => kv.put(key, '')))
    await counts(page, / 7 changes received: 3 shown, 4 behind the pause\.$/)
    expect(await rows(page).count()).toBe(3)
    const filter = page.getByRole('textbox', { name: 'And contain' })
    await filter.fill('a')
    await counts(page, / 7 changes received: 3 shown, 3 filtered out, 1 behind the pause\.$/)
    await page.getByRole('button', { name: 'Resume' }).click()
    await counts(page, / 7 changes received: 4 shown, 3 filtered out\.$/)
    expect(
      await rows(page)
        .filter({ hasText: /a4|a3|a2|a1/ })
        .count(),
    ).toBe(4)
    // A change that arrives under a filter which leaves it out is not kept.
    await Promise.all(Array.from({ length: 150 }, (_, at) => kv.put(at < 10 ? 'b' : `a${at}`, '')))
    await counts(page, / 157 changes received: 100 shown, 10 filtered out, 47 dropped\.$/)
    expect(page.url()).toMatch(/#\/live\?filter=a$/)
    // Rows out of sight are not in the document.
    expect(await rows(page).count()).toBeLessThan(80)
    await page.mouse.wheel(0, 100_000)
    await rows(page).filter({ hasText: /a50$/ }).waitFor()
    await page.getByRole('combobox', { name: 'Keep' }).selectOption('the newest 500')
    await kv.put('a', '')
    await counts(page, / 158 changes received: 101 shown, 10 filtered out, 47 dropped\.$/)
    await page.reload()
    await opened(page)
    expect(await filter.inputValue()).toBe('a')
    expect(await page.getByRole('combobox', { name: 'Keep' }).inputValue()).toBe('500')
  })
})
