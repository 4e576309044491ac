// Timers of a simulated process: `setTimeout`, `setInterval`, `setImmediate` and `AbortSignal.timeout`. Arguments that
// are not valid go to the real function, which throws what it throws.

import { bound } from './async-context.ts'
import { type Cancellable, currentProcess, type ProcessGlobals } from './process-globals.ts'
import { type AnyFunction, call, disguise, isFunction, type Replacements } from './replacements.ts'

/** Node turns delays beyond it into 1 ms. */
const DELAY_MS_MAX = 2 ** 31 - 1
const TIMEOUT_MS_MAX = 2 ** 32 - 1
/** The first number of a timer of a process. Numbers of real timers count up from 1. */
const FIRST_NUMBER = 2 ** 40

const timers = process.getBuiltinModule('node:timers')
const timersPromises = process.getBuiltinModule('node:timers/promises')
const { promisify } = process.getBuiltinModule('node:util')

/** Timers that code has converted to a number, which `clearTimeout` takes as well. */
const numbered = new Map<number, Timeout>()
let nextNumber = FIRST_NUMBER

/** The delay that Node uses. */
export function timerDelayMs(delay: unknown): number {
  const ms = typeof delay === 'number' ? delay : Number(delay)
  return ms >= 1 && ms <= DELAY_MS_MAX ? Math.trunc(ms) : 1
}

/** A timer that keeps a real process alive, unless its code says otherwise. */
class Referenced {
  #hasRef = true

  ref(): this {
    this.#hasRef = true
    return this
  }

  unref(): this {
    this.#hasRef = false
    return this
  }

  hasRef(): boolean {
    return this.#hasRef
  }
}

/** Result of `setTimeout` and `setInterval`. Its callback runs in the async context of their caller. */
export class Timeout extends Referenced {
  readonly #process: ProcessGlobals
  readonly #delayMs: number
  readonly #repeats: boolean
  readonly #callback: () => void
  #pending: Cancellable | undefined
  #isClosed = false
  #number: number | undefined

  constructor(
    host: ProcessGlobals,
    delayMs: number,
    callback: AnyFunction,
    args: readonly unknown[],
    repeats = false,
  ) {
    super()
    this.#process = host
    this.#delayMs = delayMs
    this.#repeats = repeats
    this.#callback = bound(() => {
      call(callback, this, args)
    })
    this.#start()
  }

  #start(): void {
    this.#pending = this.#process.setTimer(
      this.#delayMs,
      () => this.#fire(),
      () => this.hasRef(),
    )
  }

  #fire(): void {
    this.#pending = undefined
    try {
      this.#callback()
    } finally {
      if (this.#repeats && !this.#isClosed && this.#pending === undefined) this.#start()
      // Only one that `refresh` starts again is needed longer.
      if (this.#pending === undefined && this.#number !== undefined) numbered.delete(this.#number)
    }
  }

  /** Starts it again, also when it has fired. */
  refresh(): this {
    if (this.#isClosed) return this
    this.#pending?.cancel()
    this.#start()
    return this
  }

  close(): this {
    this.#isClosed = true
    this.#pending?.cancel()
    this.#pending = undefined
    if (this.#number !== undefined) numbered.delete(this.#number)
    return this
  }

  [Symbol.toPrimitive](): number {
    this.#number ??= nextNumber++
    if (!this.#isClosed) numbered.set(this.#number, this)
    return this.#number
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/** Result of `setImmediate`. */
class Immediate extends Referenced {
  readonly #pending: Cancellable

  constructor(host: ProcessGlobals, callback: AnyFunction, args: readonly unknown[]) {
    super()
    const run = bound(() => {
      call(callback, this, args)
    })
    this.#pending = host.soon(run)
  }

  close(): void {
    this.#pending.cancel()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

const timeoutOf = (timer: unknown): Timeout | undefined => {
  if (timer instanceof Timeout) return timer
  return typeof timer === 'number' || typeof timer === 'string' ? numbered.get(Number(timer)) : undefined
}

const setTimer = (real: AnyFunction, promised: () => unknown, repeats: boolean): object => {
  const replacement = (callback: unknown, delay?: unknown, ...args: unknown[]): unknown => {
    const host = currentProcess()
    return host === undefined || !isFunction(callback)
      ? call(real, undefined, [callback, delay, ...args])
      : new Timeout(host, timerDelayMs(delay), callback, args, repeats)
  }
  return promisified(disguise(replacement, real), promised)
}

const clearTimer = (real: AnyFunction): object =>
  disguise((timer?: unknown): void => {
    const timeout = timeoutOf(timer)
    if (timeout === undefined) call(real, undefined, [timer])
    else timeout.close()
  }, real)

const setImmediateOf = (real: AnyFunction): object => {
  const replacement = (callback: unknown, ...args: unknown[]): unknown => {
    const host = currentProcess()
    return host === undefined || !isFunction(callback)
      ? call(real, undefined, [callback, ...args])
      : new Immediate(host, callback, args)
  }
  return promisified(disguise(replacement, real), () => timersPromises.setImmediate)
}

const clearImmediateOf = (real: AnyFunction): object =>
  disguise((immediate?: unknown): void => {
    if (immediate instanceof Immediate) immediate.close()
    else call(real, undefined, [immediate])
  }, real)

/** Sets the function that `util.promisify` returns. */
function promisified(replacement: object, promised: () => unknown): object {
  if (promised() === undefined) return replacement
  return Object.defineProperty(replacement, promisify.custom, {
    get: promised,
    enumerable: true,
    configurable: true,
  })
}

const abortSignalTimeout = (real: AnyFunction): object =>
  disguise((ms: unknown): unknown => {
    const host = currentProcess()
    const isValid = typeof ms === 'number' && Number.isInteger(ms) && ms >= 0 && ms <= TIMEOUT_MS_MAX
    if (host === undefined || !isValid) return call(real, AbortSignal, [ms])
    const controller = new AbortController()
    const reason = new DOMException('The operation was aborted due to timeout', 'TimeoutError')
    new Timeout(host, timerDelayMs(ms), () => controller.abort(reason), []).unref()
    return controller.signal
  }, real)

export function replaceTimers(replacements: Replacements): void {
  nextNumber = FIRST_NUMBER
  numbered.clear()
  for (const target of [globalThis, timers]) {
    replacements.method(target, 'setTimeout', (real) =>
      setTimer(real, () => timersPromises.setTimeout, false),
    )
    replacements.method(target, 'setInterval', (real) => setTimer(real, () => undefined, true))
    replacements.method(target, 'setImmediate', setImmediateOf)
    replacements.method(target, 'clearTimeout', clearTimer)
    replacements.method(target, 'clearInterval', clearTimer)
    replacements.method(target, 'clearImmediate', clearImmediateOf)
  }
  replacements.method(AbortSignal, 'timeout', abortSignalTimeout)
}
