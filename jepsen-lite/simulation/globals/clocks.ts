// Clocks of a simulated process. Its wall-clock time is that of `Date`; all others count from its beginning. What is
// measured of the real process stays: `process.cpuUsage`, `process.memoryUsage`, `performance.eventLoopUtilization`.
// So does the header `Date` of `node:http`.
//
// `Date` becomes another object with the same prototype. So `instanceof` holds for dates of both, but the property
// `constructor` of a date is the real `Date`.

import { currentProcess } from './process-globals.ts'
import { type AnyFunction, call, disguise, isFunction, type Replacements } from './replacements.ts'

const os = process.getBuiltinModule('node:os')
const perfHooks = process.getBuiltinModule('node:perf_hooks')

const NS_PER_MS = 1e6
const NS_PER_S = 1e9

const nowMs = (): number | undefined => currentProcess()?.monotonicMs()
const dateMs = (): number | undefined => {
  const ms = currentProcess()?.wallTimeMs()
  return ms === undefined ? undefined : Math.floor(ms)
}

/** A clock in another unit. */
const clock =
  (unitsPerMs: number) =>
  (real: AnyFunction): object =>
    disguise(function (this: unknown): unknown {
      const ms = nowMs()
      return ms === undefined ? call(real, this, []) : ms * unitsPerMs
    }, real)

type DateConstructor = AnyFunction & (new (...args: unknown[]) => object)

const date = (real: AnyFunction): object => {
  const Real = real as DateConstructor
  const replacement = function (this: unknown, ...args: unknown[]): unknown {
    const ms = new.target === undefined || args.length === 0 ? dateMs() : undefined
    if (new.target === undefined) return ms === undefined ? call(real, this, args) : new Real(ms).toString()
    const own = ms === undefined ? args : [ms]
    return new.target === replacement ? new Real(...own) : Reflect.construct(real, own, new.target)
  }
  replacement.prototype = real.prototype
  return disguise(replacement, real)
}

const dateNow = (real: AnyFunction): object => disguise(() => dateMs() ?? call(real, undefined, []), real)

/** Without a date, the function formats the present. */
const formatted = (real: AnyFunction): object =>
  disguise(function (this: unknown, date?: unknown): unknown {
    return call(real, this, [date ?? dateMs()])
  }, real)

const hrtimeNs = (ms: number): bigint => BigInt(Math.round(ms * NS_PER_MS))

const hrtime = (real: AnyFunction): object => {
  const replacement = (since?: unknown): unknown => {
    const ms = nowMs()
    if (ms === undefined || (since !== undefined && !isTime(since))) return call(real, process, [since])
    const [s, ns] = since ?? [0, 0]
    const passed = Math.round(ms * NS_PER_MS) - s * NS_PER_S - ns
    return [Math.floor(passed / NS_PER_S), passed - Math.floor(passed / NS_PER_S) * NS_PER_S]
  }
  return disguise(replacement, real, (key, value) => (key === 'bigint' ? hrtimeBigint(value) : value))
}

const hrtimeBigint = (real: AnyFunction): object =>
  disguise(() => {
    const ms = nowMs()
    return ms === undefined ? call(real, process, []) : hrtimeNs(ms)
  }, real)

const isTime = (value: unknown): value is readonly [number, number] =>
  Array.isArray(value) && value.length === 2

interface Marked {
  startTime?: unknown
  start?: unknown
  end?: unknown
  duration?: unknown
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

const mark = (real: AnyFunction): object =>
  disguise(function (this: unknown, name: unknown, options?: unknown): unknown {
    const ms = nowMs()
    if (ms === undefined || (options !== undefined && !isObject(options)))
      return call(real, this, [name, options])
    const { startTime = ms }: Marked = options ?? {}
    return call(real, this, [name, { ...options, startTime }])
  }, real)

/**
 * Node takes the present for an end that is not named, and the beginning for such a start. A duration counts only
 * together with one of both.
 */
const measure = (real: AnyFunction): object =>
  disguise(function (this: unknown, name: unknown, from?: unknown, to?: unknown): unknown {
    const ms = nowMs()
    if (ms === undefined) return call(real, this, [name, from, to])
    if (!isObject(from)) return call(real, this, [name, { start: from ?? 0, end: to ?? ms }])
    const { end, start, duration }: Marked = from
    const isOpen = end === undefined && (start === undefined || duration === undefined)
    const open = { ...from, start: start ?? 0, end: ms, duration: undefined }
    return call(real, this, [name, isOpen ? open : from, to])
  }, real)

export function replaceClocks(replacements: Replacements): void {
  replacements.method(Date, 'now', dateNow)
  replacements.method(globalThis, 'Date', date)
  const { prototype } = Intl.DateTimeFormat
  replacements.method(prototype, 'formatToParts', formatted)
  replacements.value(prototype, 'format', (real) => (self) => {
    const format = real(self)
    return currentProcess() === undefined || !isFunction(format) ? format : formatted(format)
  })
  for (const performance of new Set([globalThis.performance, perfHooks.performance])) {
    replacements.method(performance, 'now', clock(1))
    replacements.method(performance, 'mark', mark)
    replacements.method(performance, 'measure', measure)
    replacements.value(performance, 'timeOrigin', (real) => (self) => {
      const host = currentProcess()
      return host === undefined ? real(self) : host.wallTimeMs() - host.monotonicMs()
    })
  }
  replacements.method(process, 'hrtime', hrtime)
  replacements.method(process, 'uptime', clock(1e-3))
  replacements.method(os, 'uptime', clock(1e-3))
}
