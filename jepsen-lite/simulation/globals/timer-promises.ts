// `node:timers/promises` of a simulated process.

import { currentProcess, type ProcessGlobals } from './process-globals.ts'
import { type AnyFunction, call, disguise, type Replacements } from './replacements.ts'
import { Timeout, timerDelayMs } from './timers.ts'

const timersPromises = process.getBuiltinModule('node:timers/promises')

interface Options {
  readonly signal?: AbortSignal
  readonly ref?: boolean
}

const isOptions = (options: unknown): options is Options | undefined => {
  if (options === undefined) return true
  if (typeof options !== 'object' || options === null) return false
  const { signal, ref }: { signal?: unknown; ref?: unknown } = options
  const isSignal = typeof signal === 'object' && signal !== null && 'aborted' in signal
  return (signal === undefined || isSignal) && (ref === undefined || typeof ref === 'boolean')
}

const isDelay = (delay: unknown): boolean => delay === undefined || typeof delay === 'number'

const abortError = (signal: AbortSignal): Error => {
  const error = new Error('The operation was aborted', { cause: signal.reason })
  return Object.assign(error, { code: 'ABORT_ERR', name: 'AbortError' })
}

/** A promise that `start` settles later, or the signal before. `start` returns what cancels it. */
function untilAborted(
  start: (resolve: () => void) => () => void,
  value: unknown,
  { signal }: Options = {},
): Promise<unknown> {
  if (signal?.aborted) return Promise.reject(abortError(signal))
  return new Promise((resolve, reject) => {
    const cancel = start(() => {
      signal?.removeEventListener('abort', abort)
      resolve(value)
    })
    const abort = (): void => {
      cancel()
      if (signal !== undefined) reject(abortError(signal))
    }
    signal?.addEventListener('abort', abort, { once: true })
  })
}

const sleep = (host: ProcessGlobals, delay: unknown, value: unknown, options?: Options): Promise<unknown> =>
  untilAborted(
    (resolve) => {
      const timeout = new Timeout(host, timerDelayMs(delay), resolve, [])
      if (options?.ref === false) timeout.unref()
      return () => timeout.close()
    },
    value,
    options,
  )

const nextTurn = (host: ProcessGlobals, value: unknown, options?: Options): Promise<unknown> =>
  untilAborted(
    (resolve) => {
      const pending = host.soon(resolve)
      return () => pending.cancel()
    },
    value,
    options,
  )

async function* interval(
  host: ProcessGlobals,
  delay: unknown,
  value: unknown,
  { signal, ref = true }: Options = {},
): AsyncGenerator<unknown> {
  if (signal?.aborted) throw abortError(signal)
  let due = 0
  let wake = (): void => {}
  const tick = (): void => {
    due++
    wake()
  }
  const timeout = new Timeout(host, timerDelayMs(delay), tick, [], true)
  if (!ref) timeout.unref()
  const abort = (): void => {
    timeout.close()
    wake()
  }
  signal?.addEventListener('abort', abort, { once: true })
  try {
    while (signal === undefined || !signal.aborted) {
      if (due === 0) {
        const { promise, resolve } = Promise.withResolvers<void>()
        wake = resolve
        await promise
      }
      for (; due > 0; due--) yield value
    }
    throw abortError(signal)
  } finally {
    timeout.close()
    signal?.removeEventListener('abort', abort)
  }
}

const setTimeoutOf = (real: AnyFunction): object =>
  disguise((delay?: unknown, value?: unknown, options?: unknown): unknown => {
    const host = currentProcess()
    return host === undefined || !isDelay(delay) || !isOptions(options)
      ? call(real, timersPromises, [delay, value, options])
      : sleep(host, delay, value, options)
  }, real)

const setIntervalOf = (real: AnyFunction): object =>
  disguise((delay?: unknown, value?: unknown, options?: unknown): unknown => {
    const host = currentProcess()
    return host === undefined || !isDelay(delay) || !isOptions(options)
      ? call(real, timersPromises, [delay, value, options])
      : interval(host, delay, value, options)
  }, real)

const setImmediateOf = (real: AnyFunction): object =>
  disguise((value?: unknown, options?: unknown): unknown => {
    const host = currentProcess()
    return host === undefined || !isOptions(options)
      ? call(real, timersPromises, [value, options])
      : nextTurn(host, value, options)
  }, real)

const waitOf = (real: AnyFunction): object =>
  disguise((delay: unknown, options?: unknown): unknown => {
    const host = currentProcess()
    return host === undefined || !isDelay(delay) || !isOptions(options)
      ? call(real, timersPromises.scheduler, [delay, options])
      : sleep(host, delay, undefined, options)
  }, real)

const yieldOf = (real: AnyFunction): object =>
  disguise((): unknown => {
    const host = currentProcess()
    return host === undefined ? call(real, timersPromises.scheduler, []) : nextTurn(host, undefined)
  }, real)

export function replaceTimerPromises(replacements: Replacements): void {
  replacements.method(timersPromises, 'setTimeout', setTimeoutOf)
  replacements.method(timersPromises, 'setInterval', setIntervalOf)
  replacements.method(timersPromises, 'setImmediate', setImmediateOf)
  replacements.method(timersPromises.scheduler, 'wait', waitOf)
  replacements.method(timersPromises.scheduler, 'yield', yieldOf)
}
