// Measurements of a page in Chromium: frames, long tasks, the heap, requests and bytes.

import { loadavg } from 'node:os'
import type { Page } from 'playwright-core'

export const MIB = 1 << 20

export interface Measured {
  readonly framesPerSecond: number
  readonly longestTaskMs: number
  /** Number of tasks of more than 50 ms. */
  readonly longTasks: number
}

/** Runs in the page: this file does not know the types of a browser. */
const MEASURING = `(() => {
  globalThis.stopMeasuring?.()
  const tasks = []
  let frames = 0
  let isOn = true
  const count = () => {
    frames++
    if (isOn) requestAnimationFrame(count)
  }
  requestAnimationFrame(count)
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) tasks.push(duration)
  })
  observer.observe({ type: 'longtask' })
  const begin = performance.now()
  globalThis.readMeasured = () => ({
    framesPerSecond: (frames / (performance.now() - begin)) * 1000,
    longestTaskMs: Math.max(0, ...tasks),
    longTasks: tasks.length,
  })
  globalThis.stopMeasuring = () => {
    isOn = false
    observer.disconnect()
  }
})()`

/** Counts frames and tasks of more than 50 ms, until the returned function is called. */
export async function measure(page: Page): Promise<() => Promise<Measured>> {
  await page.evaluate(MEASURING)
  return () => page.evaluate<Measured>('readMeasured()')
}

export interface Usage {
  /** Bytes of the heap after a collection of garbage. */
  readonly heap: number
  /** Seconds in which the thread of the page had a processor. */
  readonly seconds: number
}

export async function createUsageReader(page: Page): Promise<() => Promise<Usage>> {
  const session = await page.context().newCDPSession(page)
  await session.send('Performance.enable', { timeDomain: 'threadTicks' })
  return async () => {
    await session.send('HeapProfiler.collectGarbage')
    const { metrics } = await session.send('Performance.getMetrics')
    const read = (named: string) => metrics.find(({ name }) => name === named)?.value ?? Number.NaN
    return { heap: read('JSHeapUsedSize'), seconds: read('TaskDuration') }
  }
}

export interface Traffic {
  readonly requests: number
  /** Bytes that the page received, headers included. */
  readonly bytes: number
}

/** Counts what the page requests from now on; of the cluster only what is no status and no metrics. */
export async function createTrafficReader(page: Page): Promise<() => Traffic> {
  const session = await page.context().newCDPSession(page)
  await session.send('Network.enable')
  let requests = 0
  let bytes = 0
  session.on('Network.requestWillBeSent', ({ request }) => {
    if (!/\/v1\/status|\/metrics/.test(request.url)) requests++
  })
  session.on('Network.loadingFinished', ({ encodedDataLength }) => {
    bytes += encodedDataLength
  })
  return () => ({ requests, bytes })
}

export const countNodes = (page: Page): Promise<number> =>
  page.evaluate<number>('document.querySelectorAll("*").length')

export const formatFigure = (value: number, digits = 0): string =>
  value.toLocaleString('en', { maximumFractionDigits: digits })

export const describeLoad = (): string => `load ${formatFigure(loadavg()[0] ?? Number.NaN, 1)}`
