// The speed of the lab. Times are those of a processor, because other programs may use the machine. They are printed:
//
//   npm run test:long -- test/web/lab/speed
//
// The goals are 60 frames a second with 7 nodes and 1,000 messages on their way, and tasks of at most 50 ms in the
// page. A jump in a run of a minute shall take at most 200 ms, and a speed of 100 be reached.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { Page } from 'playwright-core'
import { beforeAll, expect, test } from 'vitest'
import { startKv } from '../../cli/run-kv.ts'
import { describeConsole, needsChromium, openPage } from '../browser.ts'
import { describeLoad, formatFigure } from '../measure.ts'
import { longest, type Task, total, traced } from './trace.ts'

const PAGE = join(import.meta.dirname, '../../../web/dist-lab')

/** So many clients write over links so slow that more than 900 messages are on their way. */
const WRITES = Array.from(
  { length: 400 },
  (_, at) => `${6000 + 3 * at}:put,client=${at},node=leader,key=${at % 8},x=41`,
)
const CROWDED = `seed=1,nodes=7,spares=0,clients=400,delayMs=340,electionMinMs=2000,electionMaxMs=4000,at=6600;${WRITES.join(';')}`
const MINUTE = 60_000
const JUMPS = 60
/** Five nodes for a minute, with ten requests a second. */
const BUSY = Array.from({ length: (MINUTE - 3000) / 100 }, (_, at) => {
  const kind = at % 3 === 2 ? 'get' : 'put'
  return `;${3000 + at * 100}:${kind},client=${at % 3},node=leader,key=${at % 4},x=41`
}).join('')

describeConsole(needsChromium('the speed of the lab'), () => {
  let url: string
  beforeAll(async () => {
    const lab = startKv(['lab'])
    url = await lab.line()
    return async () => {
      lab.signal('SIGINT')
      await lab.ended
    }
  })

  test('sizes', () => {
    const files = readdirSync(PAGE, { recursive: true, withFileTypes: true }).filter((file) => file.isFile())
    const sizes = files.map(({ parentPath, name }) => {
      const bytes = readFileSync(join(parentPath, name))
      return { name, whole: bytes.length, zipped: gzipSync(bytes, { level: 9 }).length }
    })
    for (const { name, whole, zipped } of sizes.toSorted((a, b) => b.zipped - a.zipped))
      report(name, `${formatFigure(zipped)} bytes compressed, of ${formatFigure(whole)}`)
    report(
      'all files',
      `${formatFigure(sizes.reduce((sum, { zipped }) => sum + zipped, 0))} bytes compressed`,
    )
  })

  test('the first page', async () => {
    const page = await openPage('about:blank', { otherOrigins: [new URL(url).origin] })
    const first = await traced(page, async () => {
      await page.goto(url)
      await node(page).first().waitFor()
    })
    const paint = await page.evaluate<number>(
      `performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN`,
    )
    report(
      'first page',
      `${processor(first.page)}, worker ${processor(first.worker)}, paint ${ms(paint)} of the clock`,
    )
  })

  test('7 nodes and 1,000 messages', async () => {
    const page = await openPage(`${url}#${CROWDED}`)
    const messages = page.locator('.stage-message')
    await messages.nth(900).waitFor({ state: 'attached' })
    // Only the stage is measured, without lanes of 400 clients.
    for (const name of ['Clients', 'Logs']) await page.locator('summary', { hasText: name }).click()
    await page.getByRole('slider', { name: 'Speed' }).fill('-1')
    const playing = await traced(page, async () => {
      await page.keyboard.press('Space')
      await countFrames(page, 90)
    })
    const frames = await page.evaluate<number>('framesOfMoments')
    await page.keyboard.press('Space')
    const each = total(playing.page) / frames
    report(
      '7 nodes, speed 0.1',
      `${await messages.count()} messages, ${formatFigure(each, 1)} ms a frame, at most ` +
        `${formatFigure(1000 / each)} frames a second, ${processor(playing.page)}`,
    )
    expect(await messages.count()).toBeGreaterThan(900)
  })

  test('lessons', async () => {
    const page = await openPage(url)
    await node(page).first().waitFor()
    const opening = await traced(page, async () => {
      for (const lesson of ['election', 'log-repair', 'old-term', 'two-majorities']) {
        await page.evaluate(`location.hash = 'lesson=${lesson}'`)
        await page.locator('.lesson-steps').waitFor()
        await countFrames(page, 20)
      }
    })
    report('four lessons', `${processor(opening.page)}, worker ${processor(opening.worker)}`)
  })

  test('jumps in a run of a minute', async () => {
    const page = await openPage(`${url}#seed=1,at=${MINUTE}${BUSY}`)
    const moment = page.getByRole('slider', { name: 'Moment' })
    await page.getByText('60.00 s').first().waitFor()
    const jumps = await traced(page, async () => {
      for (let number = 1; number <= JUMPS; number++) {
        // The golden ratio puts moments far from each other.
        const ms = 500 + Math.floor(((number * 0.618034) % 1) * (MINUTE - 1000))
        await page.evaluate(`performance.mark('measured')`)
        await moment.fill(String(ms))
        await page
          .getByText(`${(ms / 1000).toFixed(2)} s`, { exact: true })
          .first()
          .waitFor()
      }
    })
    const times = jumps.marks
      .map((from, at) => longest(within(jumps.worker, from, jumps.marks[at + 1])))
      .toSorted((a, b) => a - b)
    report(
      `${JUMPS} jumps`,
      `median ${ms(times[JUMPS / 2])}, nine of ten below ${ms(times[JUMPS * 0.9])}, longest ${ms(times.at(-1))}; ` +
        `page ${processor(jumps.page)}`,
    )
  })

  test('speed 100', async () => {
    const page = await openPage(`${url}#seed=1,at=2000${BUSY}`)
    await page.getByText('2.00 s').first().waitFor()
    await page.getByRole('slider', { name: 'Speed' }).fill('2')
    const begin = performance.now()
    const playing = await traced(page, async () => {
      await page.keyboard.press('Space')
      await expect
        .poll(() => page.evaluate<number>(`document.querySelector('[aria-label=Moment]').valueAsNumber`))
        .toBeGreaterThan(58_000)
    })
    const real = performance.now() - begin
    const worker = total(playing.worker)
    report(
      'speed 100',
      `${formatFigure(56_000 / worker)} by the worker, ${formatFigure(56_000 / real)} by the clock; page ${processor(playing.page)}`,
    )
  })
})

const node = (page: Page) =>
  page.getByRole('group', { name: 'The cluster' }).getByRole('button', { name: /^n\d / })
const ms = (value = Number.NaN): string => `${formatFigure(value)} ms`
const processor = (tasks: readonly Task[]): string =>
  `${ms(total(tasks))} in all, longest task ${ms(longest(tasks))}`
const within = (tasks: readonly Task[], from: number, to = Number.POSITIVE_INFINITY): Task[] =>
  tasks.filter(({ at }) => at >= from && at < to)

/** Waits for frames, and counts those that show another moment: `framesOfMoments`. */
const countFrames = (page: Page, frames: number): Promise<unknown> =>
  page.evaluate(`new Promise((resolve) => {
    const shown = () => document.querySelector('[aria-label=Moment]').value
    let [left, before] = [${frames}, shown()]
    globalThis.framesOfMoments = 0
    const count = () => {
      if (shown() !== before) globalThis.framesOfMoments++
      before = shown()
      if (--left > 0) requestAnimationFrame(count)
      else resolve()
    }
    requestAnimationFrame(count)
  })`)

const report = (what: string, figures: string): void => console.log(`${what}: ${figures} (${describeLoad()})`)
