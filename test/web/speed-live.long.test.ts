// The live page under load: frames, long tasks and memory of Chromium. The figures are printed: they depend on the
// machine. What does not depend on it is checked: each change is counted once, and the page holds no more than its cap.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { EmbeddedCluster } from '../../src/index.ts'
import { consoleUrl, describeConsole, needsChromium, openPage, startConsoleCluster } from './browser.ts'
import { createUsageReader, describeLoad, formatFigure, MIB, measure } from './measure.ts'
import type { WriteRound, WrittenRound } from './speed-writer.ts'

/** An hour of 1,000 changes a second; what is not written in five minutes is left out. */
const HOUR_CHANGES = 3_600_000
const HOUR_ROUNDS = 36
const HOUR_MS = 300_000
const WITHIN = { timeout: 600_000 }

/** The counts of the page: `received`, and the words that follow it. */
async function readCounts(page: Page): Promise<Readonly<Record<string, number>>> {
  const text = (await page.locator('.live-counts').textContent()) ?? ''
  const pairs = [...text.matchAll(/([\d,]+) (changes? received|shown|dropped|filtered out|gaps?)/g)]
  return Object.fromEntries(
    pairs.map(([, count = '', word = '']) => [
      word.replace(/^changes? /, ''),
      Number(count.replaceAll(',', '')),
    ]),
  )
}

describeConsole(needsChromium('the live page under load'), () => {
  let cluster: EmbeddedCluster
  let writer: ChildProcess
  beforeAll(async () => {
    cluster = await startConsoleCluster({ nodes: 1 })
    const { url } = await cluster.waitForLeader()
    writer = fork(join(import.meta.dirname, 'speed-writer.ts'), [url])
  })
  afterAll(async () => {
    writer.disconnect()
    await once(writer, 'exit')
  })
  const write = async (round: WriteRound): Promise<WrittenRound> => {
    writer.send(round)
    const [written] = await once(writer, 'message')
    return written
  }
  const open = async (place: string) => {
    const page = await openPage(consoleUrl(await cluster.waitForLeader(), place))
    await page.getByText(/^Receiving.* 0 changes received\.$/).waitFor()
    return page
  }
  const received = (page: Page, count: number) =>
    expect.poll(async () => (await readCounts(page)).received, { timeout: 300_000 }).toBe(count)

  test.for([100, 2_000])('10,000 changes a second for 10 s, of which %i are kept', WITHIN, async (cap) => {
    const count = 100_000
    const page = await open(`#/live?prefix=fast-${cap}/&cap=${cap}`)
    const readUsage = await createUsageReader(page)
    const before = await readUsage()
    const stop = await measure(page)
    const { ms } = await write({ prefix: `fast-${cap}/`, count, perSecond: 10_000 })
    const ended = performance.now()
    await received(page, count)
    const lateMs = performance.now() - ended
    const { framesPerSecond, longestTaskMs, longTasks } = await stop()
    const after = await readUsage()
    const seconds = after.seconds - before.seconds
    console.log(
      `${formatFigure(count)} changes at ${formatFigure((count / ms) * 1_000)}/s, ${cap} kept: ` +
        `${formatFigure(framesPerSecond, 1)} frames/s, longest task ${formatFigure(longestTaskMs)} ms, ` +
        `${longTasks} tasks over 50 ms, ${formatFigure((seconds / (ms + lateMs)) * 100_000, 1)} % of a processor, ` +
        `heap ${formatFigure(before.heap / MIB, 1)} → ${formatFigure(after.heap / MIB, 1)} MiB, the last change ${formatFigure(lateMs)} ms late (${describeLoad()})`,
    )
    expect(await readCounts(page)).toEqual({ received: count, shown: cap, dropped: count - cap })
    expect(await page.locator('.live-change').count()).toBeLessThanOrEqual(Math.min(cap, 100))
    expect(after.heap - before.heap).toBeLessThan(16 * MIB)
  })

  test('the memory of the page is flat over the changes of an hour', WITHIN, async () => {
    const cap = 2_000
    const page = await open(`#/live?prefix=hour/&cap=${cap}`)
    const readUsage = await createUsageReader(page)
    const begin = performance.now()
    const heaps: number[] = []
    const round = HOUR_CHANGES / HOUR_ROUNDS
    let count = 0
    while (count < HOUR_CHANGES && performance.now() - begin < HOUR_MS) {
      await write({ prefix: 'hour/', count: round, perSecond: undefined })
      count += round
      await received(page, count)
      heaps.push((await readUsage()).heap)
    }
    const third = Math.ceil(heaps.length / 3)
    const [first, last] = [Math.max(...heaps.slice(0, third)), Math.max(...heaps.slice(-third))]
    console.log(
      `${formatFigure(count)} changes in ${formatFigure((performance.now() - begin) / 1_000)} s: heap of the first third at most ` +
        `${formatFigure(first / MIB, 2)} MiB, of the last third ${formatFigure(last / MIB, 2)} MiB (${describeLoad()})`,
    )
    expect(await readCounts(page)).toEqual({ received: count, shown: cap, dropped: count - cap })
    expect(last - first).toBeLessThan(2 * MIB)
  })
})
