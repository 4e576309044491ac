// Configuration that is live: read from the store, checked, and replaced when it changes.
//
// Promise: `current` is always a value that `validate` has returned. A value that it refuses, or that is no JSON, is
// reported with its cause, and the last good one stays. `current` follows the store within milliseconds while the watch
// is well, and within `confirmMs` otherwise. `confirmedMsAgo` says how old `current` may be: a linearizable read that
// began then has shown it. While the store cannot be reached, the last good value stays, and `confirmedMsAgo` grows.
//
// Limits: intermediate values may be skipped. Several keys are read at one revision, so what was written in one
// transaction is seen as a whole. They are held in memory: this is for some hundred keys. More than `range_keys_max`
// (10,000), or than `range_bytes_max` (4 MiB) together, cannot be read.
//
// Keys: those that the application names. There are two forms. `key`: the value is JSON, which `validate` gets.
// `prefix`: an object with one field for each key below it, whose value is JSON; `validate` gets the object.

import { EventEmitter } from 'node:events'
import { type KvRecord, QuorateError } from '../client/index.ts'
import { after } from '../client/timer.ts'
import { checkOptions, checkValue, isBytes, isFunction, isSignal, isTimeout } from '../client/validators.ts'
import { abortedBy } from './checks.ts'
import { type FollowClient, Followed, type View } from './followed.ts'
import { reasonOf } from './reason.ts'
import { tell } from './tell.ts'
import { isClosed } from './watching.ts'

const CONFIRM_MS = 10_000
const TIMEOUT_MS = 5_000

export interface ConfigOptions<T> {
  /** One key whose value is JSON. Either `key` or `prefix`. */
  readonly key?: string | Uint8Array | undefined
  /** All keys with this prefix, without which they become the names of fields. */
  readonly prefix?: string | Uint8Array | undefined
  /** Returns the configuration, or throws what is wrong with it. Of a `key` that does not exist it gets undefined. */
  readonly validate: (value: unknown) => T
  /** Used until there is a good value in the store. Without it the first value must be good. */
  readonly initial?: T | undefined
  /** It is read at least so often. Default 10,000. */
  readonly confirmMs?: number | undefined
  /** How long to wait for the first value. Default 5,000. */
  readonly timeoutMs?: number | undefined
  /** Ends it, like `close`. */
  readonly signal?: AbortSignal | undefined
  /** Called for each bad value once, and when the store could not be read. Default: `process.emitWarning`. */
  readonly onError?: ((error: ConfigError) => void) | undefined
}

/** A value was refused (`config_invalid`), or the store could not be read (`config_unreachable`); `cause` says why. */
export class ConfigError extends QuorateError {}

export interface Config<T> extends AsyncDisposable {
  /** The last good value. */
  readonly current: T
  /** The revision of the store at which it was read; 0: it is `initial`. */
  readonly revision: number
  /** What is wrong with the value in the store now, or why it could not be read; undefined: `current` is that value. */
  readonly error: ConfigError | undefined
  /** A linearizable read that began so long ago has shown the value in the store, good or bad. */
  readonly confirmedMsAgo: number
  /** Calls `listener` for each new value. Returns a function that takes it back. */
  onChange(listener: (current: T, before: T) => void): () => void
  close(): Promise<void>
}

/** Resolves with the first good value. */
export async function config<T>(kv: FollowClient, options: ConfigOptions<T>): Promise<Config<T>> {
  checkOptions('config', options, OPTIONS)
  checkValue('config', 'validate', options.validate, isFunction)
  if ((options.key === undefined) === (options.prefix === undefined))
    throw new TypeError('config: give either key or prefix')
  const live = new LiveConfig(kv, options)
  try {
    await live.begun(options.timeoutMs ?? TIMEOUT_MS)
  } catch (error) {
    await live.close()
    throw error
  }
  return live
}

class LiveConfig<T> implements Config<T> {
  readonly #options: ConfigOptions<T>
  readonly #followed: Followed
  readonly #changes = new EventEmitter<{ change: [T, T] }>()
  readonly #place: Buffer
  readonly #close = () => void this.close()
  readonly #first = Promise.withResolvers<void>()
  #good: { readonly value: T; readonly json: string; readonly revision: number } | undefined
  #error: ConfigError | undefined
  /** The bad value that was reported. */
  #bad: { readonly text: string; readonly error: ConfigError } | undefined

  constructor(kv: FollowClient, options: ConfigOptions<T>) {
    this.#options = { ...options }
    this.#changes.setMaxListeners(0)
    if (options.initial !== undefined) this.#good = { value: options.initial, json: '', revision: 0 }
    this.#place = Buffer.from(options.key ?? options.prefix ?? '')
    this.#first.promise.catch(() => undefined)
    this.#followed = new Followed(kv, {
      prefix: this.#place,
      isOneKey: options.key !== undefined,
      confirmMs: options.confirmMs ?? CONFIRM_MS,
      onView: (view) => this.#look(view),
      onError: (cause) => this.#unreachable(cause),
    })
    options.signal?.addEventListener('abort', this.#close, { once: true })
  }

  async begun(timeoutMs: number): Promise<void> {
    if (isAborted(this.#options.signal)) throw abortedBy(this.#options.signal, 'the configuration')
    const stop = after(timeoutMs, () => {
      if (this.#error === undefined)
        this.#report(
          this.#errorOf('config_unreachable', `nothing was read within ${timeoutMs} ms`, undefined),
        )
      this.#first.reject(this.#error)
    })
    const aborted = () => this.#first.reject(abortedBy(this.#options.signal, 'the configuration'))
    this.#options.signal?.addEventListener('abort', aborted, { once: true })
    try {
      await this.#first.promise
    } catch (error) {
      // `initial` is for what cannot be read now.
      if (this.#good === undefined || isAborted(this.#options.signal) || isClosed(error)) throw error
    } finally {
      stop()
      this.#options.signal?.removeEventListener('abort', aborted)
    }
  }

  get current(): T {
    if (this.#good === undefined) throw new Error('the configuration has no value yet')
    return this.#good.value
  }

  get revision(): number {
    return this.#good?.revision ?? 0
  }

  get error(): ConfigError | undefined {
    return this.#error
  }

  get confirmedMsAgo(): number {
    return this.#followed.confirmedMsAgo
  }

  onChange(listener: (current: T, before: T) => void): () => void {
    checkValue('config.onChange', 'listener', listener, isFunction)
    this.#changes.on('change', listener)
    return () => this.#changes.off('change', listener)
  }

  async close(): Promise<void> {
    this.#options.signal?.removeEventListener('abort', this.#close)
    await this.#followed.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #look({ records, revision }: View): void {
    const text = textOf(records)
    if (text === this.#bad?.text) {
      this.#error = this.#bad.error
      return
    }
    if (text === this.#good?.json) {
      this.#error = undefined
      this.#bad = undefined
      return
    }
    try {
      const value = validated(this.#options.validate(this.#valueOf(records)))
      const before = this.#good
      this.#good = { value, json: text, revision }
      this.#error = undefined
      this.#bad = undefined
      this.#first.resolve()
      if (before === undefined) return
      for (const listener of this.#changes.listeners('change') as ((current: T, before: T) => void)[])
        tell(() => listener(value, before.value))
    } catch (cause) {
      const message = `the configuration is not used: ${reasonOf(cause)}`
      const error = this.#errorOf('config_invalid', message, cause)
      this.#bad = { text, error }
      this.#report(error)
      this.#first.reject(error)
    }
  }

  #valueOf(records: readonly KvRecord[]): unknown {
    if (this.#options.key !== undefined) return records[0] && jsonOf(records[0])
    return Object.fromEntries(
      records.map((record) => [
        Buffer.from(record.keyBytes).toString('utf8', this.#place.length),
        jsonOf(record),
      ]),
    )
  }

  /** One report for each time that the store cannot be reached, not one for each try. */
  #unreachable(cause: unknown): void {
    // Nothing will be read any more.
    if (isClosed(cause)) this.#first.reject(cause)
    if (this.#error?.code === 'config_unreachable') return
    this.#report(this.#errorOf('config_unreachable', 'the configuration could not be read', cause))
  }

  #report(error: ConfigError): void {
    this.#error = error
    const { onError } = this.#options
    if (onError === undefined) process.emitWarning(error.message, 'QuorateWarning')
    else tell(() => onError(error))
  }

  #errorOf(code: string, message: string, cause: unknown): ConfigError {
    return new ConfigError(`config ${this.#place.toString()}: ${message}`, { code, written: 'no', cause })
  }
}

/** A promise is no value yet, and would be taken for a good one. */
function validated<T>(value: T): T {
  if (!(value instanceof Promise)) return value
  value.catch(() => undefined)
  throw new TypeError('validate must return the value itself, not a promise of it')
}

const isAborted = (signal: AbortSignal | undefined): boolean => signal?.aborted === true

/** Two views are the same if the same keys have the same revisions. */
const textOf = (records: readonly KvRecord[]): string =>
  JSON.stringify(records.map(({ key, modRevision }) => [key, modRevision]))

function jsonOf(record: KvRecord): unknown {
  try {
    return record.json()
  } catch (cause) {
    throw new TypeError(`the value of ${record.key} is not JSON: ${record.text().slice(0, 40)}`, { cause })
  }
}

const OPTIONS = {
  key: isBytes,
  prefix: isBytes,
  validate: isFunction,
  initial: () => undefined,
  confirmMs: isTimeout,
  timeoutMs: isTimeout,
  signal: isSignal,
  onError: isFunction,
}
