// The events of a local cluster's console, by a virtual clock: streams that come and go, and clusters that rest.

import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { SupervisorEvent } from '../../src/local/cluster/cluster-nodes.ts'
import { IDLE_TIMEOUT_MS } from '../../src/local/console/console-server.ts'
import { ControlEvents, type ShownCluster } from '../../src/local/console/control-events.ts'

/** The stream of one page. */
class Page extends EventEmitter {
  writableLength = 0
  readonly #chunks: { readonly text: string; readonly time: number }[] = []

  writeHead(): void {}

  write(text: string): void {
    this.#chunks.push({ text, time: Date.now() })
  }

  end(): void {
    this.leave()
  }

  destroy(): void {
    this.leave()
  }

  leave(): void {
    this.emit('close')
  }

  get text(): string {
    return this.#chunks.map(({ text }) => text).join('')
  }

  /** The states of the node that it has been sent. */
  get states(): string[] {
    return [...this.text.matchAll(/"state":"(\w+)"/g)].map(([, state = '']) => state)
  }

  /** The longest time without a byte, in milliseconds. */
  restUntil(now: number): number {
    const times = [...this.#chunks.map(({ time }) => time), now]
    return Math.max(...times.slice(1).map((time, at) => time - (times[at] ?? 0)))
  }
}

/** The one node of the cluster: a signal changes it, which no event reports. */
let node: { name: string; url: string; pid: number; paused: boolean }
let emit: (event: SupervisorEvent) => void
let events: ControlEvents
beforeEach(() => {
  vi.useFakeTimers()
  node = { name: 'n1', url: 'http://n1', pid: 1, paused: false }
  const watchers = new Set<typeof emit>()
  emit = (event) => {
    for (const watcher of watchers) watcher(event)
  }
  const cluster = {
    ...{ nodes: [node], clusterId: '7', mesh: undefined },
    watch(watcher: typeof emit) {
      watchers.add(watcher)
      return () => watchers.delete(watcher)
    },
  }
  events = new ControlEvents(cluster as unknown as ShownCluster)
})
afterEach(() => {
  events.close()
  vi.useRealTimers()
})

const open = (): Page => {
  const page = new Page()
  events.add(page as unknown as ServerResponse, undefined)
  return page
}

test('a process that was stopped by a signal is noticed, by the first page and by each later one', async () => {
  for (let time = 1; time <= 3; time++) {
    const pages = [open(), open()]
    node.paused = true
    await vi.advanceTimersByTimeAsync(2_000)
    node.paused = false
    await vi.advanceTimersByTimeAsync(2_000)
    for (const page of pages) {
      expect(page.states).toEqual(['running', 'paused', 'running'])
      page.leave()
    }
    // Nobody looks: no check runs.
    expect(vi.getTimerCount()).toBe(0)
  }
})

test('what a new page begins with, the others receive too', async () => {
  const [first, second] = [open(), open()]
  for (const [state, paused] of [
    ['paused', true],
    ['running', false],
  ] as const) {
    // No check has seen it yet.
    node.paused = paused
    const next = open()
    expect(next.states).toEqual([state])
    await vi.advanceTimersByTimeAsync(2_000)
    expect([first.states.at(-1), second.states.at(-1)]).toEqual([state, state])
    next.leave()
  }
})

test('a page that leaves takes nothing from those that stay', async () => {
  const [first, second] = [open(), open()]
  first.leave()
  node.paused = true
  await vi.advanceTimersByTimeAsync(2_000)
  expect(second.states.at(-1)).toBe('paused')
  second.leave()
  expect(vi.getTimerCount()).toBe(0)
})

test('a stream on which nothing happens for hours has bytes more often than its connection may rest', async () => {
  const page = open()
  await vi.advanceTimersByTimeAsync(3 * 3_600_000)
  expect(page.restUntil(Date.now())).toBeLessThan(IDLE_TIMEOUT_MS / 2)
  expect(page.states).toEqual(['running'])
})

test('a stream whose page reads nothing ends, and the next one begins as the first did', async () => {
  const page = open()
  page.writableLength = 1 << 20
  await vi.advanceTimersByTimeAsync(60_000)
  expect(vi.getTimerCount()).toBe(0)
  const next = open()
  node.paused = true
  await vi.advanceTimersByTimeAsync(2_000)
  expect(next.states).toEqual(['running', 'paused'])
})

test('a page that is loaded again sees the last hundred actions, each once', async () => {
  for (let each = 1; each <= 250; each++) {
    emit({ kind: 'command', message: `action ${each}.`, timeMs: each, action: 'heal', by: 'command' })
    if (each === 120) open().leave()
  }
  await vi.advanceTimersByTimeAsync(2_000)
  const shown = [...open().text.matchAll(/action (\d+)\./g)].map(([, each]) => Number(each))
  expect(shown).toEqual(Array.from({ length: 100 }, (_, at) => 151 + at))
})
