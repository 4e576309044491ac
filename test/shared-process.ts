// Files share processes (vitest.config.ts). Spies end with their file. A file that leaves a clock or another global
// function replaced, or a server listening, fails here, and not a file that runs later. Timers end with their file:
// a client that it has left would set its next one on the clock of a later test, which counts or advances them.
//
// So `setTimeout` and `setInterval` record their timers. A hook of `node:async_hooks` needs no other function in their
// place, but sees more: the timers with which Vitest reports results, and those of Node's sockets, must not end.

import { promisify } from 'node:util'
import { afterAll, expect, vi } from 'vitest'

type Timers = WeakRef<NodeJS.Timeout>[]
const TIMERS = Symbol.for('timers of the file')
const shared = globalThis as { [TIMERS]?: Timers }
shared[TIMERS] ??= recordTimers()
const timers = shared[TIMERS]

function recordTimers(): Timers {
  const set: Timers = []
  let recordsMax = 10_000
  const record = (timer: NodeJS.Timeout): NodeJS.Timeout => {
    if (set.push(new WeakRef(timer)) < recordsMax) return timer
    const left = set.splice(0).filter((ref) => ref.deref() !== undefined)
    set.push(...left)
    recordsMax = 2 * left.length + 10_000
    return timer
  }
  const { setTimeout: once, setInterval: repeatedly } = globalThis
  const recording = (...args: Parameters<typeof once>) => record(once(...args))
  // `promisify(setTimeout)` asks for it.
  const promisified = { [promisify.custom]: Reflect.get(once, promisify.custom) }
  globalThis.setTimeout = Object.assign(recording, promisified) as unknown as typeof once
  globalThis.setInterval = ((...args: Parameters<typeof repeatedly>) =>
    record(repeatedly(...args))) as typeof repeatedly
  return set
}

/** The clock of Node's `fetch`, which serves the whole process. */
const isOfFetch = (timer: NodeJS.Timeout): boolean =>
  (timer as { _onTimeout?: { readonly name: string } })._onTimeout?.name === 'onTick'

const replaceable = () => ({
  setTimeout,
  clearTimeout,
  setInterval,
  clearInterval,
  setImmediate,
  queueMicrotask,
  Date,
  now: performance.now,
  random: Math.random,
  kill: process.kill,
  emitWarning: process.emitWarning,
})
const atStart = replaceable()
const countServers = (): number =>
  process.getActiveResourcesInfo().filter((resource) => resource === 'TCPServerWrap').length
const serversAtStart = countServers()

afterAll(async () => {
  vi.restoreAllMocks()
  for (const [name, value] of Object.entries(replaceable()))
    if (value !== atStart[name as keyof typeof atStart]) expect.fail(`this file leaves ${name} replaced`)
  const isClosed = (): void => {
    if (countServers() > serversAtStart) expect.fail('this file leaves a server listening')
  }
  await vi.waitFor(isClosed, { timeout: 5_000, interval: 10 })
  for (const ref of timers.splice(0)) {
    const timer = ref.deref()
    if (timer !== undefined && !isOfFetch(timer)) clearTimeout(timer)
  }
})
