// Text that a simulated process writes, by `console`, by `process.stdout` and `stderr`, and to their descriptors, as
// loggers do.

import type { Console } from 'node:console'
import { bound } from './async-context.ts'
import { currentProcess, type ProcessGlobals } from './process-globals.ts'
import { refuse } from './refusals.ts'
import { type AnyFunction, call, disguise, isFunction, type Replacements } from './replacements.ts'

const consoleModule = process.getBuiltinModule('node:console')
const fs = process.getBuiltinModule('node:fs')

const STREAMS = ['stdout', 'stderr'] as const
type Stream = (typeof STREAMS)[number]

/** Methods of `console` that read a clock. */
const TIMES = ['time', 'timeLog', 'timeEnd'] as const

const MS_PER_S = 1000
const S_PER_MIN = 60
const MIN_PER_H = 60

/** The console of a process, with its groups, counters and times. */
class HostConsole {
  readonly console: Console
  readonly #host: ProcessGlobals
  readonly #startMs = new Map<string, number>()

  constructor(host: ProcessGlobals) {
    this.#host = host
    const stream = (name: Stream) => ({ write: (text: string) => host.write(name, text) })
    const streams: object = { stdout: stream('stdout'), stderr: stream('stderr') }
    const options = { ...streams, ignoreErrors: false, colorMode: false }
    this.console = new consoleModule.Console(options as ConstructorParameters<typeof Console>[0])
  }

  time(label: string): void {
    if (!this.#startMs.has(label)) this.#startMs.set(label, this.#host.monotonicMs())
  }

  timeLog(label: string, ...data: unknown[]): void {
    const startMs = this.#startMs.get(label)
    if (startMs === undefined) return
    this.console.log('%s: %s', label, formatMs(this.#host.monotonicMs() - startMs), ...data)
  }

  timeEnd(label: string): void {
    this.timeLog(label)
    this.#startMs.delete(label)
  }
}

const pad = (count: number): string => `${count}`.padStart(2, '0')

/** A time, as `console.timeEnd` prints it. */
function formatMs(ms: number): string {
  if (ms < MS_PER_S) return `${Number(ms.toFixed(3))}ms`
  const s = ms / MS_PER_S
  if (s < S_PER_MIN) return `${s.toFixed(3)}s`
  const min = Math.floor(s / S_PER_MIN)
  const h = Math.floor(min / MIN_PER_H)
  const rest = (s % S_PER_MIN).toFixed(3).padStart(6, '0')
  return h === 0 ? `${min}:${rest} (m:ss.mmm)` : `${h}:${pad(min % MIN_PER_H)}:${rest} (h:mm:ss.mmm)`
}

const consoles = new WeakMap<ProcessGlobals, HostConsole>()

function consoleOf(host: ProcessGlobals): HostConsole {
  const known = consoles.get(host)
  if (known !== undefined) return known
  const made = new HostConsole(host)
  consoles.set(host, made)
  return made
}

const consoleMethod =
  (name: string) =>
  (real: AnyFunction): object =>
    disguise(function (this: unknown, ...args: unknown[]): unknown {
      const host = currentProcess()
      if (host === undefined) return call(real, this, args)
      const { console } = consoleOf(host)
      const method: unknown = Reflect.get(console, name)
      return isFunction(method) ? call(method, console, args) : undefined
    }, real)

const timeMethod =
  (name: (typeof TIMES)[number]) =>
  (real: AnyFunction): object =>
    disguise(function (this: unknown, label: unknown = 'default', ...data: unknown[]): unknown {
      const host = currentProcess()
      return host === undefined
        ? call(real, this, [label, ...data])
        : consoleOf(host)[name](`${label}`, ...data)
    }, real)

/** The bytes of text, or of a view; undefined: neither. */
function bytesOf(chunk: unknown, encoding: unknown): Buffer | undefined {
  if (typeof chunk === 'string')
    return Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
  if (!ArrayBuffer.isView(chunk)) return undefined
  return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
}

const streamWrite =
  (stream: Stream) =>
  (real: AnyFunction): object =>
    disguise(function (this: unknown, ...args: unknown[]): unknown {
      const host = currentProcess()
      const [chunk, encoding] = args
      const bytes = bytesOf(chunk, encoding)
      if (host === undefined || bytes === undefined) return call(real, this, args)
      host.write(stream, bytes.toString())
      const callback = args.findLast(isFunction)
      if (callback !== undefined) process.nextTick(() => void call(callback, undefined, []))
      return true
    }, real)

/** A warning, without the number of the real process. */
const emitWarning = (real: AnyFunction): object =>
  disguise(function (this: unknown, ...args: unknown[]): unknown {
    const host = currentProcess()
    if (host === undefined) return call(real, this, args)
    const [warning, options] = args
    const { type = 'Warning' }: { type?: unknown } =
      typeof options === 'object' && options !== null ? options : { type: options }
    host.write('stderr', warning instanceof Error ? `${warning}\n` : `${type}: ${warning}\n`)
    return undefined
  }, real)

/** The part of the bytes that `fs.write` names. */
function partOf(bytes: Buffer, args: readonly unknown[]): Buffer {
  const [first, second] = args
  const options: { offset?: unknown; length?: unknown } =
    typeof first === 'object' && first !== null ? first : { offset: first, length: second }
  const offset = typeof options.offset === 'number' ? options.offset : 0
  return bytes.subarray(offset, typeof options.length === 'number' ? offset + options.length : undefined)
}

/** Writes to the descriptor of `stdout` or `stderr`, and returns the number of bytes. Undefined: it is another one. */
function writeDescriptor(host: ProcessGlobals, args: readonly unknown[]): number | undefined {
  const [descriptor, chunk, ...rest] = args
  const stream = typeof descriptor === 'number' ? STREAMS[descriptor - 1] : undefined
  const bytes = bytesOf(chunk, rest[1])
  if (stream === undefined || bytes === undefined) return undefined
  const part = typeof chunk === 'string' ? bytes : partOf(bytes, rest)
  host.write(stream, part.toString())
  return part.length
}

const fsWriteSync = (real: AnyFunction): object =>
  disguise((...args: unknown[]): unknown => {
    const host = currentProcess()
    const written = host === undefined ? undefined : writeDescriptor(host, args)
    if (written !== undefined) return written
    refuse('fs.writeSync')
    return call(real, fs, args)
  }, real)

const fsWrite = (real: AnyFunction): object =>
  disguise((...args: unknown[]): unknown => {
    const host = currentProcess()
    const callback = args.findLast(isFunction)
    const written = host === undefined ? undefined : writeDescriptor(host, args)
    if (host === undefined || written === undefined || callback === undefined) {
      refuse('fs.write')
      return call(real, fs, args)
    }
    host.soon(bound(() => void call(callback, undefined, [null, written, args[1]])))
    return undefined
  }, real)

export function replaceOutput(replacements: Replacements): void {
  const own = new Set<string>(['constructor', ...TIMES])
  const names = Object.getOwnPropertyNames(consoleModule.Console.prototype).filter((name) => !own.has(name))
  for (const console of new Set<object>([globalThis.console, consoleModule])) {
    for (const name of names) replacements.method(console, name, consoleMethod(name))
    for (const name of TIMES) replacements.method(console, name, timeMethod(name))
  }
  for (const stream of STREAMS) replacements.method(process[stream], 'write', streamWrite(stream))
  replacements.method(process, 'emitWarning', emitWarning)
  replacements.method(fs, 'writeSync', fsWriteSync)
  replacements.method(fs, 'write', fsWrite)
}
