// Traces of Chromium: the tasks of a page and of its worker, by the time in which each had a processor.

import type { Page } from 'playwright-core'

/** Milliseconds of the clock of the trace, and of a processor. */
export interface Task {
  readonly at: number
  readonly ms: number
}

export interface Trace {
  readonly page: readonly Task[]
  readonly worker: readonly Task[]
  /** The calls of `performance.mark`. */
  readonly marks: readonly number[]
}

interface TraceEvent {
  readonly name: string
  readonly ph: string
  readonly pid: number
  readonly tid: number
  readonly ts: number
  readonly tdur?: number
  readonly cat: string
  readonly args?: { readonly name?: string }
}

const CATEGORIES = ['toplevel', 'blink.user_timing']

/** Records the tasks while `act` runs. */
export async function traced(page: Page, act: () => Promise<unknown>): Promise<Trace> {
  const browser = page.context().browser()
  if (browser === null) throw new Error('the page has no browser')
  await browser.startTracing(page, { categories: CATEGORIES })
  await act()
  const text = (await browser.stopTracing()).toString()
  const { traceEvents } = JSON.parse(text) as { traceEvents: readonly TraceEvent[] }
  const threads = (named: RegExp): ReadonlySet<string> =>
    new Set(
      traceEvents
        .filter(({ name, args }) => name === 'thread_name' && named.test(args?.name ?? ''))
        .map(threadOf),
    )
  const tasksOf = (named: RegExp): Task[] => {
    const ids = threads(named)
    return traceEvents
      .filter((event) => event.name === 'ThreadControllerImpl::RunTask' && ids.has(threadOf(event)))
      .map(({ ts, tdur = 0 }) => ({ at: ts / 1000, ms: tdur / 1000 }))
  }
  const marks = traceEvents.filter(({ cat, name }) => cat.includes('user_timing') && name === 'measured')
  return {
    page: tasksOf(/^CrRendererMain$/),
    worker: tasksOf(/DedicatedWorker/),
    marks: marks.map(({ ts }) => ts / 1000),
  }
}

const threadOf = ({ pid, tid }: TraceEvent): string => `${pid} ${tid}`

export const longest = (tasks: readonly Task[]): number => Math.max(0, ...tasks.map(({ ms }) => ms))
export const total = (tasks: readonly Task[]): number => tasks.reduce((sum, { ms }) => sum + ms, 0)
