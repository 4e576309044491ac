// Locks, elections and semaphores, and what else programs share through recipes.

import { beforeAll, beforeEach, expect, test } from 'vitest'
import type { Client, EmbeddedCluster } from '../../src/index.ts'
import { campaign, lock, queue, registry, rwLock, saga, semaphore } from '../../src/recipes/index.ts'
import {
  consoleUrl,
  describeConsole,
  findBarriers,
  logIn,
  needsChromium,
  openPage,
  startConsoleCluster,
} from './browser.ts'

describeConsole(needsChromium('coordination'), () => {
  let cluster: EmbeddedCluster
  let kv: Client
  beforeAll(async () => {
    cluster = await startConsoleCluster({ nodes: 1 })
    kv = cluster.client()
  })
  beforeEach(async () => {
    await kv.deleteRange({ all: true })
  })
  const open = async (place: string) =>
    openPage(consoleUrl(await cluster.waitForLeader(), `#/coordination${place}`))
  /** Resolves when so many keys begin with the prefix: the clients have joined. */
  const joined = (prefix: string, count: number) => expect.poll(() => kv.count({ prefix })).toBe(count)

  test('locks show their holder, its token and time, and who waits', async () => {
    const held = await lock(kv, 'deploy/east')
    const end = new AbortController()
    const waiting = lock(kv, 'deploy/east', { signal: end.signal }).catch(() => {})
    await rwLock(kv, 'catalogue').read()
    await joined('lock/', 2)
    const page = await open('')
    const row = page.getByRole('row').filter({ hasText: 'deploy/east' })
    await row.getByRole('cell', { name: String(held.token), exact: true }).waitFor()
    await row.getByText('of 10 s').waitFor()
    await page.getByRole('row').filter({ hasText: 'catalogue' }).filter({ hasText: 'read-write' }).waitFor()
    expect(await findBarriers(page)).toEqual([])
    await row.getByRole('link', { name: 'deploy/east' }).click()
    expect(page.url()).toMatch(/#\/coordination\/locks\/deploy\/east$/)
    const states = page.getByRole('cell', { name: /^(holds|waits)$/ })
    await expect.poll(() => states.allTextContents()).toEqual(['holds', 'waits'])
    expect(await findBarriers(page)).toEqual([])
    // The page follows: the next one holds it.
    await held.release()
    await expect.poll(() => states.allTextContents(), { timeout: 10_000 }).toEqual(['holds'])
    end.abort()
    await waiting
  })

  test('an election shows its leader and the values of the candidates', async () => {
    await campaign(kv, 'scheduler', { value: 'host-a:9000' })
    const end = new AbortController()
    const other = campaign(kv, 'scheduler', { value: 'host-b:9000', signal: end.signal }).catch(() => {})
    await joined('election/', 2)
    const page = await open('/elections')
    await page
      .getByRole('row')
      .filter({ hasText: 'host-a:9000' })
      .getByRole('link', { name: 'scheduler' })
      .click()
    await page.getByRole('row').filter({ hasText: 'leads' }).filter({ hasText: 'host-a:9000' }).waitFor()
    await page.getByRole('row').filter({ hasText: 'candidate' }).filter({ hasText: 'host-b:9000' }).waitFor()
    expect(await findBarriers(page)).toEqual([])
    end.abort()
    await other
  })

  test('a semaphore shows its clients in order, and that the permits are not stored', async () => {
    const permits = semaphore(kv, 'uploads', 2)
    const tokens = [await permits.acquire(), await permits.acquire()].map(({ token }) => String(token))
    const page = await open('/semaphores/uploads')
    await page.getByText('How many there are is in the programs').waitFor()
    const cells = page.getByRole('row').getByRole('cell').filter({ hasText: /^\d+$/ })
    await expect
      .poll(async () => (await cells.allTextContents()).filter((text) => tokens.includes(text)))
      .toEqual(tokens)
    expect(await findBarriers(page)).toEqual([])
  })

  test('a key that no recipe has written is named as such', async () => {
    await kv.put('lock/<b>strange', 'by hand')
    await kv.put('lock/imported/77', '')
    const page = await open('/locks')
    await page.getByRole('heading', { name: 'Not written by the recipe' }).waitFor()
    await page.getByRole('link', { name: 'lock/<b>strange' }).waitFor()
    await page.getByRole('link', { name: 'imported' }).click()
    await page.getByText('Nobody holds this lock').waitFor()
    await page.getByRole('link', { name: 'lock/imported/77' }).waitFor()
  })

  test('a lease shows its keys, and is revoked after a question', async () => {
    const { id } = await kv.grantLease({ ttlMs: 60_000 })
    await kv.put('of/lease', 'x', { lease: id })
    const page = await open('/leases')
    await page.getByRole('link', { name: id }).click()
    await page.getByRole('link', { name: 'of/lease' }).waitFor()
    expect(await findBarriers(page)).toEqual([])
    await page.getByRole('button', { name: 'Revoke' }).click()
    await page.getByRole('dialog').getByText('1 key end').waitFor()
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click()
    await page.getByText('The lease was revoked, and 1 key deleted.').waitFor()
    expect(await kv.get('of/lease')).toBeUndefined()
  })

  test('a queue shows its items, and failed ones are looked at, put back or deleted', async () => {
    const mail = queue(kv, 'mail', { attemptsMax: 1 })
    for (const value of ['first', 'second', 'third']) await mail.push(value, { priority: 7 })
    for (const reason of ['mailbox full', 'no such user'])
      await (await mail.pop())?.nack({ error: `${reason}: try another one` })
    await kv.put('queue/mail/item/odd', '{"attempts":"many"}')
    const page = await open('/queues')
    const row = page.getByRole('row').filter({ hasText: 'mail' })
    await expect.poll(() => row.getByRole('cell').allTextContents()).toEqual(expect.arrayContaining(['2']))
    await row.getByRole('link', { name: 'mail' }).click()
    const failed = page.getByRole('table', { name: 'Failed items' }).getByRole('row')
    const second = failed.filter({ hasText: 'no such user' })
    await second.waitFor()
    await page.getByRole('link', { name: 'queue/mail/item/odd' }).waitFor()
    expect(await findBarriers(page)).toEqual([])
    await page.setViewportSize({ width: 360, height: 700 })
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360)
    await second.getByRole('button', { name: 'Put back' }).click()
    await page.getByText('The item is in line again').waitFor()
    expect(await mail.len()).toMatchObject({ dead: 1 })
    await failed.filter({ hasText: 'mailbox full' }).getByRole('link', { name: 'first' }).click()
    await page.getByText('Last error: mailbox full: try another one').waitFor()
    expect(await findBarriers(page)).toEqual([])
    await page.getByRole('button', { name: 'Delete' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
    await page.getByText('The item was deleted').waitFor()
    expect(await kv.count({ prefix: 'queue/mail/dead/' })).toBe(0)
    // Only the items in line have values still.
    expect(await kv.count({ prefix: 'queue/mail/value/' })).toBe(2)
  })

  test('an item that a consumer holds has no error yet, and a delayed one that of its last attempt', async () => {
    const mail = queue(kv, 'mail', { visibilityMs: 60_000 })
    for (const value of ['letter', 'parcel']) await mail.push(value)
    const held = await mail.pop()
    await (await mail.pop())?.nack({ error: 'nobody at home', delayMs: 60_000 })
    const page = await open('/queues/mail')
    const rows = page.getByRole('table', { name: 'Items in line' }).getByRole('row')
    const texts = (value: string) => rows.filter({ hasText: value }).getByRole('cell').allTextContents()
    await expect.poll(async () => (await texts('parcel')).at(-1)).toBe('nobody at home')
    expect([(await texts('parcel'))[0], (await texts('letter'))[0]]).toEqual(['delayed', 'held'])
    expect((await texts('letter')).at(-1)).toBe('')
    await rows.getByRole('link', { name: 'letter' }).click()
    await page
      .getByRole('definition')
      .filter({ hasText: /^held$/ })
      .waitFor()
    expect(await page.getByText('Last error').count()).toBe(0)
    expect(await findBarriers(page)).toEqual([])
    expect(await held?.ack()).toBeUndefined()
  })

  test('a failed item that somebody else has put back meanwhile is left alone', async () => {
    const mail = queue(kv, 'mail', { attemptsMax: 1 })
    const id = await mail.push('letter')
    await (await mail.pop())?.nack({ error: 'busy' })
    const page = await open(`/queues/mail?part=${id}`)
    await page.getByRole('button', { name: 'Delete' }).click()
    await mail.dead.requeue(id)
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
    await page.getByText('Nothing was changed: somebody else has put the item back').waitFor()
    expect(await mail.len()).toMatchObject({ ready: 1 })
  })

  test('a service shows its instances, and leaves out what is none', async () => {
    const meta = { zone: 'east' }
    const own = { id: 'a/1', url: 'javascript:alert(1)', weight: 3, meta }
    await using registered = await registry(kv, 'api').register(own)
    await kv.put('service/api/broken', '{"url":7}', { ttlMs: 60_000 })
    const deep = `${'{"0":'.repeat(20_000)}0${'}'.repeat(20_000)}`
    await kv.put('service/api/deep', `{"url":"http://a","meta":{"a":${deep}}}`, { ttlMs: 60_000 })
    const page = await open('/services')
    await page.getByRole('link', { name: 'api' }).click()
    const row = page.getByRole('row').filter({ hasText: registered.id })
    await row.filter({ hasText: 'javascript:alert(1)' }).filter({ hasText: '"zone":"east"' }).waitFor()
    await row.getByText('of 10 s').waitFor()
    expect(await row.getByRole('link').count()).toBe(1)
    await page.getByRole('link', { name: 'service/api/broken' }).waitFor()
    expect(await findBarriers(page)).toEqual([])
  })

  test('sagas are counted by state, and show their steps', async () => {
    const orders = saga<{ readonly bad: boolean }>(kv, 'orders', [
      { name: 'reserve', run: () => ({ reservation: 'r-17' }) },
      { name: 'charge', run: ({ input }) => (input.bad ? Promise.reject(new Error('declined')) : 'paid') },
    ])
    await orders.run('good', { bad: false })
    await orders.run('a/bad', { bad: true })
    const page = await open('/sagas')
    const row = page.getByRole('row').filter({ hasText: 'orders' })
    await expect
      .poll(() => row.getByRole('cell').allTextContents())
      .toEqual(['orders', '0', '0', '1', '1', '0'])
    expect(await findBarriers(page)).toEqual([])
    await row.getByRole('link').click()
    await page.getByRole('link', { name: 'a/bad' }).click()
    await page.getByText('The step charge has failed: declined').waitFor()
    await page.getByRole('row').filter({ hasText: 'done, then undone' }).filter({ hasText: 'r-17' }).waitFor()
    expect(await findBarriers(page)).toEqual([])
  })

  test('where there is nothing, the page says how to make the first one', async () => {
    const page = await open('/locks')
    await page.getByText('quorate lock deploy').waitFor()
    expect(await findBarriers(page)).toEqual([])
  })

  test('who may not read the keys of a recipe sees which right is missing, and what he may read', async () => {
    const password = 'correct horse'
    await rwLock(kv, 'catalogue').read()
    await kv.roles.put('locksmith', [{ access: 'readwrite', prefix: 'lock/' }])
    await kv.users.put('root', { password, roles: ['root'] })
    await kv.users.put('ann', { password, roles: ['locksmith'] })
    await kv.auth.enable()
    const page = await open('/queues')
    await logIn(page, 'ann', password)
    await page.getByRole('alert').filter({ hasText: 'queue/' }).waitFor()
    await page.getByRole('link', { name: 'Locks' }).click()
    await page.getByText('A part is not shown: you may read no key that begins with rwlock/').waitFor()
    await page.getByText('No lock is held').waitFor()
    const held = await lock(cluster.client({ user: 'ann', password }), 'deploy')
    const row = page.getByRole('row').filter({ hasText: 'deploy' })
    await row.getByRole('cell', { name: /^ann, lease \d+$/ }).waitFor()
    await page.getByText('The store knows who holds a lock by the lease').waitFor()
    expect(await page.getByText('catalogue').count()).toBe(0)
    expect(await findBarriers(page)).toEqual([])
    await row.getByRole('link', { name: 'deploy' }).click()
    await page
      .getByRole('row')
      .filter({ hasText: 'holds' })
      .getByRole('cell', { name: 'ann', exact: true })
      .waitFor()
    await held.release()
  })
})
