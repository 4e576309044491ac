// `queueMicrotask` and `process.nextTick` of a simulated process. They run when the real ones would, also while fake
// timers of a test runner replace those. What a callback throws ends the process, and not the test runner.

import { currentProcess, type ProcessGlobals } from './process-globals.ts'
import { realProcess } from './real.ts'
import { type AnyFunction, call, disguise, isFunction, type Replacements } from './replacements.ts'

/** Fake timers of Jest replace that of the copy. */
const { nextTick } = realProcess

const runFor = (host: ProcessGlobals, callback: AnyFunction, args: readonly unknown[]): void => {
  try {
    call(callback, undefined, args)
  } catch (error) {
    host.threw(error)
  }
}

const queueMicrotaskOf = (real: AnyFunction): object =>
  disguise((callback: unknown): void => {
    const host = currentProcess()
    if (host === undefined || !isFunction(callback)) call(real, undefined, [callback])
    else void Promise.resolve().then(() => runFor(host, callback, []))
  }, real)

const nextTickOf = (real: AnyFunction): object =>
  disguise((callback: unknown, ...args: unknown[]): void => {
    const host = currentProcess()
    if (host === undefined || !isFunction(callback)) call(real, process, [callback, ...args])
    else call(nextTick, realProcess, [runFor, host, callback, args])
  }, real)

export function replaceMicrotasks(replacements: Replacements): void {
  replacements.method(globalThis, 'queueMicrotask', queueMicrotaskOf)
  for (const target of new Set([process, realProcess])) replacements.method(target, 'nextTick', nextTickOf)
}
