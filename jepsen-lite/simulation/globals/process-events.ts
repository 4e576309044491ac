// Listeners of a simulated process for events of `process`, such as signals. They must not stay with the test runner,
// nor may the exit code. The process has no parent, so there is no `process.send`.

import { EventEmitter } from 'node:events'
import { currentProcess, type ProcessGlobals } from './process-globals.ts'
import { realProcess } from './real.ts'
import { isLoading } from './refusals.ts'
import { type AnyFunction, call, disguise, isFunction, type Replacements } from './replacements.ts'

/** Properties that only a child of another process has. */
const OF_CHILDREN = ['send', 'disconnect', 'connected', 'channel']

const emitters = new WeakMap<ProcessGlobals, EventEmitter>()

function emitterOf(host: ProcessGlobals): EventEmitter {
  const known = emitters.get(host)
  if (known !== undefined) return known
  const emitter = new EventEmitter()
  emitters.set(host, emitter)
  return emitter
}

/** The process that calls the replacement. A test runner that loads a module for a process uses the real `process`. */
function caller(): ProcessGlobals | undefined {
  const host = currentProcess()
  return host === undefined || isLoading() ? undefined : host
}

/** Node itself emits all events but signals, such as that of a rejected promise. */
const isSignal = (event: unknown): boolean => typeof event === 'string' && event.startsWith('SIG')

const emitterMethod =
  (name: string) =>
  (real: AnyFunction): object =>
    disguise(function (this: unknown, ...args: unknown[]): unknown {
      const host = name === 'emit' && !isSignal(args[0]) ? undefined : caller()
      if (host === undefined) return call(real, this, args)
      const emitter = emitterOf(host)
      const method: unknown = Reflect.get(emitter, name)
      const result = isFunction(method) ? call(method, emitter, args) : undefined
      return result === emitter ? this : result
    }, real)

export function replaceProcessEvents(replacements: Replacements): void {
  for (const target of new Set([process, realProcess])) {
    for (const name of Object.keys(EventEmitter.prototype))
      if (!name.startsWith('_')) replacements.method(target, name, emitterMethod(name))
    for (const name of OF_CHILDREN)
      replacements.value(target, name, (real) => (self) => (caller() === undefined ? real(self) : undefined))
  } // It cannot be replaced.
  replacements.keep(realProcess, 'exitCode')
}
