// Functions of Node that code has kept from before the simulation, as in `const sleep = promisify(setTimeout)` at the
// top of a module. Nobody can replace them, but Node reports the objects that they create. So work of `node:crypto` is
// covered however it is called, and other real work is refused. Nothing shows clocks and random numbers that were kept.

import { createHook } from 'node:async_hooks'
import { currentProcess } from './process-globals.ts'
import { callers, refuse } from './refusals.ts'
import { call, isFunction } from './replacements.ts'
import { begin, isPartOfWork } from './work.ts'

/** Types of objects that only a function creates that was kept, and the name of that function. */
const REFUSED: Readonly<Record<string, string>> = {
  Timeout: 'setTimeout or setInterval',
  FSREQCALLBACK: 'a function of node:fs',
  FSREQPROMISE: 'a function of node:fs/promises',
  GETADDRINFOREQWRAP: 'dns.lookup',
  PROCESSWRAP: 'a function of node:child_process',
  WORKER: 'worker_threads.Worker',
}
const CRYPTO = /REQUEST$/

/** Work of `node:crypto` on the thread pool: Node sets what receives its outcome, unless it ends at once. */
function coverJob(job: object): void {
  const host = currentProcess()
  if (host === undefined || isPartOfWork()) return
  const receiver = (value: unknown) => ({ value, configurable: true, enumerable: true, writable: true })
  Object.defineProperty(job, 'ondone', {
    configurable: true,
    set(ondone: unknown) {
      if (!isFunction(ondone)) return
      const finish = begin(host)
      const received = (...outcome: unknown[]) => finish(() => void call(ondone, job, outcome))
      Object.defineProperty(job, 'ondone', receiver(received))
    },
  })
}

/** Functions that set timers, and what reports these. */
const TIMERS = /^node:(internal\/(async_hooks|timers)|timers|timers\/promises)$/

/** Node sets timers of its own, such as that with which `node:http` keeps the text of a date. */
const isTimerOfNode = (): boolean =>
  callers()
    .find((name) => !TIMERS.test(name))
    ?.startsWith('node:') === true

/** The hook must not throw: Node would abort. */
function refuseKept(name: string): void {
  try {
    refuse(`${name}, which was kept from before the simulation`, true)
  } catch {
    // The process has noted it.
  }
}

function created(_id: number, type: string, _cause: number, resource: object): void {
  const name = REFUSED[type]
  if (name === undefined) {
    if (CRYPTO.test(type)) coverJob(resource)
  } else if (currentProcess() !== undefined && !(type === 'Timeout' && isTimerOfNode())) refuseKept(name)
}

/** Finds the use of functions that were kept. Returns a function that ends that. */
export function findKept(): () => void {
  // Promises are many, and no part of this.
  const options: object = { trackPromises: false }
  const hook = createHook({ ...options, init: created }).enable()
  return () => void hook.disable()
}
