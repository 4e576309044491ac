// Work that Node does outside of JavaScript: on its thread pool, on threads of V8, or in later turns of the real event
// loop. A process receives the outcomes in the order in which it began the work.
//
// Streams of `node:zlib` are covered, and so is everything that Node makes of them, such as `gzip` and
// `CompressionStream`. For functions of `node:crypto` see `kept.ts`. Not covered are `WebAssembly.compileStreaming`,
// `PerformanceObserver`, `Atomics.waitAsync`, `FinalizationRegistry`, and modules that a test runner transforms when
// they are imported.

import { AsyncLocalStorage } from 'node:async_hooks'
import { bound } from './async-context.ts'
import { currentProcess, type ProcessGlobals } from './process-globals.ts'
import { type AnyFunction, call, disguise, type Replacements } from './replacements.ts'

const zlib = process.getBuiltinModule('node:zlib')
const { arrayBuffer } = Blob.prototype

/** The context of work that consists of other work of Node, which is no work of the process. */
const parts = new AsyncLocalStorage<true>()

export const isPartOfWork = (): boolean => parts.getStore() !== undefined

type Finish = (outcome: () => void) => void

/** Begins work. The function that it returns delivers the outcome, in the async context of the caller. */
export function begin(host: ProcessGlobals): Finish {
  const deliver = host.beginWork()
  let outcome = (): void => {}
  const deliverOutcome = bound(() => outcome())
  return (made) => {
    outcome = made
    deliver(deliverOutcome)
  }
}

/** Work that fails before it has begun has no outcome. */
function started<T>(finish: Finish, start: () => T): T {
  try {
    return start()
  } catch (error) {
    finish(() => {})
    throw error
  }
}

/** A promise for the outcome of work. */
function outcomeOf(host: ProcessGlobals, start: () => unknown): Promise<unknown> {
  const finish = begin(host)
  const outcome = Promise.resolve(started(finish, () => parts.run(true, start)))
  return new Promise((resolve, reject) => {
    void outcome.then(
      (value) => finish(() => resolve(value)),
      (error: unknown) => finish(() => reject(error)),
    )
  })
}

const withPromise = (real: AnyFunction): object =>
  disguise(function (this: unknown, ...args: unknown[]): unknown {
    const host = currentProcess()
    return host === undefined ? call(real, this, args) : outcomeOf(host, () => call(real, this, args))
  }, real)

/** Streams of a blob, which is read as a whole. */
const blobStream = (real: AnyFunction): object =>
  disguise(function (this: Blob): unknown {
    const host = currentProcess()
    if (host === undefined) return call(real, this, [])
    const read = (): Promise<unknown> => outcomeOf(host, () => call(arrayBuffer, this, []))
    return new ReadableStream({
      type: 'bytes',
      async pull(controller) {
        const bytes = new Uint8Array((await read()) as ArrayBuffer)
        if (bytes.length > 0) controller.enqueue(bytes)
        controller.close()
        controller.byobRequest?.respond(0)
      },
    })
  }, real)

/** The part of a stream of `node:zlib` in which it works: the thread pool calls back on its handle. */
interface ZlibStream {
  push(chunk: unknown): boolean
  readonly _handle: { onerror: AnyFunction } | null
}

/** Keeps all that the stream makes of a chunk until its outcome is delivered. */
const transform = (real: AnyFunction): object =>
  disguise(function (this: ZlibStream, chunk: unknown, encoding: unknown, callback: AnyFunction): void {
    const host = currentProcess()
    const handle = this._handle
    if (host === undefined || handle === null) {
      call(real, this, [chunk, encoding, callback])
      return
    }
    const finish = begin(host)
    const { onerror } = handle
    const made: unknown[] = []
    this.push = (part) => {
      made.push(part)
      return true
    }
    const end = (then: AnyFunction, self: unknown, args: readonly unknown[]): void => {
      Reflect.deleteProperty(this, 'push')
      handle.onerror = onerror
      finish(() => {
        for (const part of made) this.push(part)
        call(then, self, args)
      })
    }
    handle.onerror = (...error: unknown[]) => end(onerror, handle, error)
    call(real, this, [chunk, encoding, (...outcome: unknown[]) => end(callback, undefined, outcome)])
  }, real)

/** The prototype of all streams of `node:zlib`, which has no name outside of it. */
function zlibPrototype(): object {
  let at: object = zlib.Gzip.prototype
  while (!Object.hasOwn(at, '_transform')) at = Object.getPrototypeOf(at)
  return at
}

export function replaceWork(replacements: Replacements): void {
  const subtle: object = Object.getPrototypeOf(crypto.subtle)
  for (const name of Object.getOwnPropertyNames(subtle))
    if (name !== 'constructor') replacements.method(subtle, name, withPromise)
  replacements.method(zlibPrototype(), '_transform', transform)
  const webAssembly: object = Reflect.get(globalThis, 'WebAssembly')
  for (const name of ['compile', 'instantiate']) replacements.method(webAssembly, name, withPromise)
  for (const name of ['arrayBuffer', 'bytes', 'text']) replacements.method(Blob.prototype, name, withPromise)
  replacements.method(Blob.prototype, 'stream', blobStream)
}
