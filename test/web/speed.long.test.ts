// The speed of the pages on a cluster of three nodes: a million keys, values of 1 MiB, 10,000 names, an hour. Times
// depend on the machine and are printed, beside its load. What does not is checked: bytes, requests, elements, heap.

import type { Page } from 'playwright-core'
import { beforeAll, expect, test } from 'vitest'
import type { Client, EmbeddedCluster } from '../../src/index.ts'
import { consoleUrl, describeConsole, needsChromium, openPage, startConsoleCluster } from './browser.ts'
import {
  countNodes,
  createTrafficReader,
  createUsageReader,
  describeLoad,
  formatFigure,
  MIB,
  measure,
  type Traffic,
} from './measure.ts'

const WITHIN = { timeout: 1_800_000 }
const MILLION = 1_000_000
const FOLDERS = 1_000
const BATCH = 1_000

describeConsole(needsChromium('the speed of the console'), () => {
  let cluster: EmbeddedCluster
  let kv: Client
  beforeAll(async () => {
    // The nodes share one thread with what writes a million keys.
    const timing = { heartbeatMs: 500, electionMinMs: 5_000, electionMaxMs: 10_000 }
    cluster = await startConsoleCluster({ timing })
    kv = cluster.client({ timeoutMs: 60_000 })
  })
  const open = async (place: string) => openPage(consoleUrl(await cluster.waitForLeader(), place))
  const write = async (count: number, pair: (at: number) => readonly [key: string, value: string]) => {
    const writeBatch = (from: number) =>
      Promise.all(
        Array.from({ length: Math.min(BATCH, count - from) }, (_, at) => kv.put(...pair(from + at))),
      )
    for (let from = 0; from < count; from += BATCH) await writeBatch(from)
  }

  test('the first page', WITHIN, async () => {
    const { url } = await cluster.waitForLeader()
    const page = await openPage('about:blank', { otherOrigins: [url] })
    const readTraffic = await createTrafficReader(page)
    for (const visit of ['first', 'second']) {
      const before = readTraffic()
      const begin = performance.now()
      await page.goto(consoleUrl({ url }))
      await page.getByRole('row').nth(3).waitFor()
      const ms = performance.now() - begin
      const { requests, bytes } = difference(before, readTraffic())
      report(`overview, ${visit} visit`, ms, `${requests} requests, ${formatFigure(bytes / 1_024)} KiB`)
      expect(requests).toBeLessThan(30)
      expect(bytes).toBeLessThan(visit === 'first' ? 200_000 : 40_000)
      await page.goto('about:blank')
    }
  })

  test('a million keys', WITHIN, async () => {
    const begin = performance.now()
    const digits = (value: number) => String(value).padStart(3, '0')
    await write(MILLION, (at) => [
      `million/${digits(Math.floor(at / FOLDERS))}/key-${digits(at % FOLDERS)}`,
      `value ${at}`,
    ])
    report('a million keys are written', performance.now() - begin)
    const page = await open('#/keys')
    const step = await createStepper(page)
    // Roles and names would be computed in the page, for each of its items. Folder 050 is item 51, its keys follow.
    const item = (at: number) => page.locator('.tree-item').nth(at)
    await item(0).waitFor()
    const tree = await step('tree: open a folder of 1,000 folders', async () => {
      await item(0).click()
      await page.locator('.tree-more').waitFor()
    })
    // Twice, if the page hears of the last write meanwhile.
    expect(tree.requests).toBeLessThanOrEqual(210)
    const keys = await step('tree: open a folder of 1,000 keys', async () => {
      await item(51).click()
      await item(151).waitFor()
    })
    expect(keys.requests).toBeLessThan(20)
    await step('tree: 900 more keys', async () => {
      for (let at = 1; at < 10; at++) {
        await page.locator('.tree-more button').first().click()
        await item(51 + (at + 1) * 100).waitFor()
      }
    })
    await step('tree: scroll for 3 s', () => scroll(page, 3_000))
    expect(await countNodes(page)).toBeLessThan(6_000)
    await step('tree: open 20 keys, one after the other', async () => {
      for (let at = 0; at < 20; at++) {
        await item(52 + 900 + at).click()
        await page.locator('.value-text', { hasText: `value ${50 * FOLDERS + 900 + at}` }).waitFor()
      }
    })
    const list = await step('list: the first page', async () => {
      await page.getByRole('link', { name: 'List', exact: true }).click()
      await page.getByRole('link', { name: 'million/000/key-099' }).waitFor()
    })
    expect(list.requests).toBeLessThan(10)
    await step('list: ten pages', async () => {
      for (let at = 1; at <= 10; at++) {
        await page.getByRole('link', { name: 'Next page' }).click()
        await page
          .getByRole('link', { name: `million/${digits(Math.floor(at / 10))}/key-${at % 10}99` })
          .waitFor()
      }
    })
    await step('list: scroll for 3 s', () => scroll(page, 3_000))
    const last = await step('list: type the prefix of the last keys', async () => {
      await page.getByRole('searchbox').pressSequentially('million/999/key-9')
      await page.getByRole('link', { name: 'million/999/key-999' }).waitFor()
    })
    expect(last.requests).toBeLessThan(40)
    expect(await countNodes(page)).toBeLessThan(1_000)
  })

  const TEXT = 'The quick brown fox jumps over the lazy dog 0123456789.\n'.repeat(MIB / 56)
  const WIDE = JSON.stringify(Array.from({ length: 30_000 }, (_, id) => ({ id, name: `user ${id}` })))
  const FIELDS = JSON.stringify(
    Object.fromEntries(Array.from({ length: 50_000 }, (_, at) => [`field-${at}`, at])),
  )
  const deep = (levels: number) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`
  test.for([
    ['lines', TEXT],
    ['one line', TEXT.replaceAll('\n', ' ')],
    ['control characters', '\u0001\u202e'.repeat(200_000)],
    ['a list of 30,000 objects', WIDE],
    ['an object of 50,000 fields', FIELDS],
    ['JSON of 1,000 levels', deep(1_000)],
    ['JSON of 150,000 levels', deep(150_000)],
  ] as const)('a value of 1 MiB: %s', WITHIN, async ([name, value]) => {
    await kv.delete('large')
    await kv.put('large', value.slice(0, MIB))
    const page = await open('#/keys')
    const step = await createStepper(page)
    await step(`${name}: shown`, async () => {
      await page.getByRole('treeitem', { name: 'large' }).click()
      await page.getByRole('button', { name: 'Hex' }).waitFor()
    })
    for (const form of ['JSON', 'Text', 'Hex'])
      if ((await page.getByRole('button', { name: form }).count()) > 0)
        await step(`${name}: as ${form}`, async () => {
          await page.getByRole('button', { name: form }).click()
          await page.getByRole('button', { name: form, pressed: true }).waitFor()
        })
    expect(await countNodes(page)).toBeLessThan(4_000)
    const more = page.getByRole('button', { name: 'Show more' })
    await step(`${name}: show more, three times`, async () => {
      for (let at = 0; at < 3 && (await more.count()) > 0; at++) await more.click()
    })
    await kv.put('large', `${value.slice(0, MIB - 1)} `)
    await step(`${name}: the history`, async () => {
      await page.getByRole('link', { name: 'History' }).click()
      await page.locator('.history > li').nth(1).waitFor()
    })
    expect(await countNodes(page)).toBeLessThan(20_000)
    await page.getByRole('link', { name: 'Value' }).click()
    await step(`${name}: the editor`, async () => {
      await page.getByRole('button', { name: 'Edit' }).click()
      await page.getByRole('dialog').getByRole('textbox').waitFor()
    })
    await step(`${name}: type ten characters`, async () => {
      await page.getByRole('dialog').getByRole('textbox').focus()
      await page.keyboard.press('Control+End')
      for (let at = 0; at < 10; at++) await page.keyboard.press(at < 5 ? '0' : 'Backspace')
    })
    if ((await page.getByRole('button', { name: 'Format JSON' }).count()) > 0)
      await step(`${name}: format`, () => page.getByRole('button', { name: 'Format JSON' }).click())
    await page.getByRole('button', { name: 'Cancel' }).click()
  })

  test('10,000 services, instances and locks, and a queue of 100,000 items', WITHIN, async () => {
    const putAll = async (pair: (at: number, lease: string) => readonly [key: string, value: string]) => {
      for (let from = 0; from < 10_000; from += BATCH) {
        const { id: lease } = await kv.grantLease({ ttlMs: 3_600_000 })
        await Promise.all(
          Array.from({ length: BATCH }, (_, at) => kv.put(...pair(from + at, lease), { lease })),
        )
      }
    }
    const digits = (at: number, length = 5) => String(at).padStart(length, '0')
    const instance = (at: number) => JSON.stringify({ url: `http://10.0.0.1:${at}`, weight: 1, meta: {} })
    await putAll((at) => [`service/many-${digits(at)}/a`, instance(at)])
    await putAll((at) => [`service/one/${digits(at)}`, instance(at)])
    await putAll((at, lease) => [`lock/name-${digits(at)}/${lease}`, ''])
    await write(200_000, (at) => {
      const id = `999-${digits(Math.floor(at / 2), 16)}-00ff`
      return at % 2 === 0
        ? [`queue/long/value/${id}`, `item ${at}`]
        : [`queue/long/item/${id}`, '{"attempts":0}']
    })
    const page = await open('#/overview')
    const step = await createStepper(page)
    const follow = (place: string) => page.evaluate(`location.hash = ${JSON.stringify(place)}`)
    const services = await step('10,000 services: the first page', async () => {
      await follow('#/coordination/services')
      await page.getByRole('link', { name: 'many-00099' }).waitFor()
    })
    expect(services.requests).toBeLessThan(30)
    await step('10,000 services: ten pages', async () => {
      for (let at = 1; at <= 10; at++) {
        await page.getByRole('link', { name: 'Next page' }).click()
        await page.getByRole('link', { name: `many-${digits(at * 100 + 99)}` }).waitFor()
      }
    })
    expect(await countNodes(page)).toBeLessThan(2_000)
    await step('10,000 instances: the first page', async () => {
      await follow('#/coordination/services/one')
      await page.getByText('http://10.0.0.1:199', { exact: true }).waitFor()
    })
    await step('10,000 instances: 200 more, and no others', async () => {
      await page.getByRole('button', { name: 'Show more' }).click()
      await page.getByText('These are the first 400').waitFor()
    })
    expect(await countNodes(page)).toBeLessThan(8_000)
    await step('10,000 instances: scroll for 3 s', () => scroll(page, 3_000))
    const locks = await step('10,000 locks: the first page', async () => {
      await follow('#/coordination/locks')
      await page.getByRole('link', { name: 'name-00099' }).waitFor()
    })
    expect(locks.requests).toBeLessThan(30)
    await step('a queue of 100,000 items: in the list', async () => {
      await follow('#/coordination/queues')
      await page.getByRole('link', { name: 'long' }).waitFor()
    })
    const queue = await step('a queue of 100,000 items: its page', async () => {
      await page.getByRole('link', { name: 'long' }).click()
      await page.getByRole('heading', { name: 'Items in line' }).waitFor()
    })
    expect(queue.requests).toBeLessThan(60)
    await step('a queue of 100,000 items: counted', async () => {
      await page.getByText('100,000', { exact: true }).first().waitFor()
    })
  })

  test('the memory of an open overview is flat', WITHIN, async () => {
    const { url } = await cluster.waitForLeader()
    const page = await openPage('about:blank', { otherOrigins: [url] })
    // Each pause between two reads takes a sixtieth of its time, and lasts six seconds by the clock of the page. Its
    // charts show the last hour, so the heap is flat from the second hour on.
    await page.addInitScript(FAST_CLOCK)
    await page.goto(consoleUrl({ url }))
    await page.getByRole('row').nth(3).waitFor()
    const readUsage = await createUsageReader(page)
    const readTraffic = await createTrafficReader(page)
    const readClock = () => page.evaluate<number>('Date.now()')
    const begin = await readClock()
    const stop = await measure(page)
    const hours: number[] = []
    for (let hour = 1; hour <= 3; hour++) {
      let heap = 0
      while ((await readClock()) < begin + hour * 3_600_000) {
        await page.waitForTimeout(5_000)
        heap = Math.max(heap, (await readUsage()).heap)
      }
      hours.push(heap)
    }
    const { longestTaskMs, longTasks } = await stop()
    const heaps = hours.map((heap) => formatFigure(heap / MIB, 1)).join(', ')
    report(
      `three hours of the overview: longest task`,
      longestTaskMs,
      `${longTasks} long tasks, heap of each hour ${heaps} MiB`,
    )
    const [, second = 0, third = 0] = hours
    expect(readTraffic().requests).toBe(0)
    expect(third - second).toBeLessThan(2 * MIB)
  })
})

const FAST_CLOCK = `(() => {
  const { setTimeout, Date: { now } } = globalThis
  let ahead = 0
  Date.now = () => now() + ahead
  globalThis.setTimeout = (call, ms = 0, ...args) => {
    if (ms !== 1_000) return setTimeout(call, ms, ...args)
    ahead += 6_000
    return setTimeout(call, ms / 60, ...args)
  }
})()`

const difference = (before: Traffic, after: Traffic): Traffic => ({
  requests: after.requests - before.requests,
  bytes: after.bytes - before.bytes,
})

function report(what: string, ms: number, detail = ''): void {
  console.log(`${what}: ${formatFigure(ms)} ms${detail && `, ${detail}`} (${describeLoad()})`)
}

/** Prints the time of each step, with the longest task, frames and traffic of the page in it. */
async function createStepper(page: Page) {
  const readTraffic = await createTrafficReader(page)
  return async (name: string, act: () => Promise<unknown>): Promise<Traffic> => {
    const before = readTraffic()
    const stop = await measure(page)
    const begin = performance.now()
    await act()
    const ms = performance.now() - begin
    // The observer hears of a task after its end.
    await page.evaluate('new Promise((resolve) => setTimeout(resolve, 100))')
    const { longestTaskMs, framesPerSecond } = await stop()
    const traffic = difference(before, readTraffic())
    report(
      name,
      ms,
      `longest task ${formatFigure(longestTaskMs)} ms, ${formatFigure(framesPerSecond)} frames/s, ` +
        `${traffic.requests} requests, ${formatFigure(traffic.bytes / 1_024)} KiB, ${await countNodes(page)} elements`,
    )
    return traffic
  }
}

async function scroll(page: Page, ms: number): Promise<void> {
  const begin = performance.now()
  await page.mouse.move(300, 500)
  for (let at = 0; performance.now() - begin < ms; at++) await page.mouse.wheel(0, at % 40 < 20 ? 300 : -300)
}
