// The watch of a key or a prefix where something comes between: a restart, a compaction, an election, a lost right.

import type { Page } from 'playwright-core'
import { afterEach, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import type { Client, EmbeddedCluster } from '../../src/index.ts'
import {
  consoleUrl,
  describeConsole,
  findBarriers,
  needsChromium,
  openPage,
  startConsoleCluster,
} from './browser.ts'

const rows = (page: Page) => page.getByRole('main').getByRole('listitem')
/** Waits for a sentence with the state and the counts. */
const counts = (page: Page, text: RegExp) => page.getByText(text).waitFor()
const opened = (page: Page) => counts(page, /^Receiving.* 0 changes received\.$/)
/** The values of the rows, the oldest first. */
const values = async (page: Page) => (await page.locator('.live-value').allTextContents()).reverse()

describeConsole(needsChromium('the live page of one node'), () => {
  let cluster: EmbeddedCluster
  let kv: Client
  beforeAll(async () => {
    cluster = await startConsoleCluster({ nodes: 1 })
    kv = cluster.client({ timeoutMs: 60_000 })
  })

  test('after a restart of the node it goes on, and no change is missing or twice', async () => {
    const page = await openPage(consoleUrl(await cluster.waitForLeader(), '#/live?prefix=steps/'))
    await opened(page)
    const numbers = Array.from({ length: 30 }, (_, at) => String(at))
    for (const number of numbers.slice(0, 10)) await kv.put(`steps/${number}`, number)
    await counts(page, / 10 changes received: 10 shown\.$/)
    await cluster.node('n1').crash()
    await counts(page, /^Connecting again, up to revision /)
    await cluster.node('n1').start()
    // The page waits before it tries again: these changes are made meanwhile.
    for (const number of numbers.slice(10)) await kv.put(`steps/${number}`, number)
    await counts(page, /^Receiving.* 30 changes received: 30 shown\.$/)
    expect(await values(page)).toEqual(numbers)
    expect(page.url()).toMatch(/#\/live\?prefix=steps%2F$/)
    await expect.poll(() => page.getByRole('alert').count()).toBe(0)
  })

  test('what was compacted before it was received is a gap, with its revisions', async () => {
    const page = await openPage(consoleUrl(await cluster.waitForLeader(), '#/live?prefix=gap/'))
    await opened(page)
    const { revision } = await kv.put('gap/a', 'before')
    await rows(page).filter({ hasText: 'before' }).waitFor()
    await page.route('**/v1/watch?**', (watch) => watch.abort())
    await cluster.node('n1').stop()
    await cluster.node('n1').start()
    for (let at = 0; at < 5; at++) await kv.put('gap/a', 'lost')
    const { revision: last } = await kv.put('other', '')
    await kv.compact(last)
    await page.unroute('**/v1/watch?**')
    const gap = page.getByText(/^Here changes are missing, from revision/)
    await gap.waitFor()
    const [, from = '', to = ''] = /from revision (\d+) to (\d+):/.exec((await gap.textContent()) ?? '') ?? []
    expect(Number(from)).toBe(revision + 1)
    // The changes of the compacted revision itself are still sent.
    expect(Number(to)).toBe(last - 1)
    await counts(page, /^Receiving.* 1 change received: 1 shown; 1 gap\.$/)
    await kv.put('gap/a', 'after')
    await expect
      .poll(() => rows(page).allTextContents())
      .toEqual([
        expect.stringContaining('after'),
        expect.stringContaining('missing'),
        expect.stringContaining('before'),
      ])
    expect(await findBarriers(page)).toEqual([])
  })
})

describeConsole(needsChromium('the live page of three nodes'), () => {
  let cluster: EmbeddedCluster
  let kv: Client
  beforeAll(async () => {
    cluster = await startConsoleCluster()
    kv = cluster.client({ timeoutMs: 60_000 })
  })

  test('without a leader it says so, until there is one again', async () => {
    const page = await openPage(consoleUrl(await cluster.waitForLeader(), '#/live?prefix=lead/'), {
      otherOrigins: cluster.endpoints,
    })
    await opened(page)
    cluster.partition([['n1'], ['n2'], ['n3']])
    onTestFinished(() => cluster.heal())
    // A new watch needs a leader.
    await page.getByRole('combobox', { name: 'Changes' }).selectOption('puts')
    await page.getByText(/^The watch is not open: /).waitFor()
    await counts(page, /^Connecting again/)
    expect(await findBarriers(page)).toEqual([])
    cluster.heal()
    await opened(page)
    await kv.put('lead/a', 'again')
    await rows(page).filter({ hasText: 'again' }).waitFor()
    await expect.poll(() => page.getByText(/^The watch is not open: /).count()).toBe(0)
  })

  test('when its node ends, the page goes on at another one, from the same revision', async () => {
    await kv.put('move/a', 'first')
    const down = await cluster.waitForLeader()
    const page = await openPage(consoleUrl(down, '#/live?prefix=move/'), { otherOrigins: cluster.endpoints })
    await opened(page)
    const { revision } = await kv.put('move/a', 'before')
    await rows(page).filter({ hasText: 'before' }).waitFor()
    await down.crash()
    await cluster.waitForLeader()
    await kv.put('move/a', 'meanwhile')
    await page.waitForURL((url) => url.origin !== down.url && url.pathname === '/ui/')
    await rows(page).filter({ hasText: 'meanwhile' }).waitFor()
    expect(await values(page)).toEqual(['meanwhile'])
    // The changes before are with the other node's page, and this one says where it begins.
    await counts(page, new RegExp(`from revision ${revision + 1}, up to revision`))
    await expect.poll(() => page.url()).toMatch(/#\/live\?prefix=move%2F$/)
    await down.start()
  })
})

const PASSWORD = 'correct horse battery'

describeConsole(needsChromium('the live page where rights are checked, over TLS'), () => {
  let cluster: EmbeddedCluster
  let root: Client
  beforeAll(async () => {
    cluster = await startConsoleCluster({ nodes: 1, tls: true, auth: { rootPassword: PASSWORD } })
    root = cluster.client()
    await root.roles.put('app', [{ access: 'read', prefix: 'app/' }])
    await root.users.put('bob', { password: PASSWORD, roles: ['app'] })
  })
  afterEach(() => vi.restoreAllMocks())
  const logIn = async (page: Page) => {
    const dialog = page.getByRole('dialog', { name: 'Log in' })
    await dialog.getByRole('textbox', { name: 'User' }).fill('bob')
    await dialog.getByRole('textbox', { name: 'Password' }).fill(PASSWORD)
    await dialog.getByRole('button', { name: 'Log in' }).click()
  }
  const open = async (place: string) => {
    const page = await openPage(consoleUrl(await cluster.waitForLeader(), place), { ignoreHTTPSErrors: true })
    await logIn(page)
    return page
  }

  test('a watch begins where the user may read; elsewhere it is refused with the right that is missing', async () => {
    const page = await open('#/live')
    await page.getByText('This watch receives keys that begin with app/').waitFor()
    await opened(page)
    await page.getByRole('textbox', { name: 'Keys that begin with' }).fill('other/')
    await page.getByText(/^The watch has ended: user "bob" may not read/).waitFor()
    expect(await findBarriers(page)).toEqual([])
    await page.getByRole('textbox', { name: 'Keys that begin with' }).fill('app/')
    await opened(page)
    await root.put('app/a', 'seen')
    await rows(page).filter({ hasText: 'seen' }).waitFor()
    expect(await page.getByText('The watch has ended').count()).toBe(0)
  })

  test('a right that ends during the watch ends it; with the right again it goes on', async () => {
    const page = await open('#/live?prefix=app/')
    await opened(page)
    await root.put('app/a', 'first')
    await rows(page).filter({ hasText: 'first' }).waitFor()
    await root.users.put('bob', { roles: [] })
    await root.put('app/a', 'second')
    await page.getByText(/^The watch has ended: /).waitFor()
    expect(await rows(page).count()).toBe(1)
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByText(/^The watch has ended: user "bob" may not read/).waitFor()
    await root.users.put('bob', { roles: ['app'] })
    await page.getByRole('button', { name: 'Try again' }).click()
    await counts(page, /^Receiving.* 2 changes received: 2 shown\.$/)
    expect(await values(page)).toEqual(['first', 'second'])
  })

  test('when the token expires it waits for a login, and has what was made meanwhile', async () => {
    const page = await open('#/live?prefix=app/')
    await opened(page)
    await root.put('app/a', 'before')
    await rows(page).filter({ hasText: 'before' }).waitFor()
    const now = Date.now.bind(Date)
    vi.spyOn(Date, 'now').mockImplementation(() => now() + 11 * 60_000)
    // A change of rights lets the node look at the tokens of its watches again.
    await root.roles.put('other', [])
    await counts(page, /^Waiting for a login/)
    await root.put('app/a', 'meanwhile')
    expect(await values(page)).toEqual(['before'])
    await logIn(page)
    await counts(page, /^Receiving.* 2 changes received: 2 shown\.$/)
    expect(await values(page)).toEqual(['before', 'meanwhile'])
  })
})
