// Live configuration: read from the store, validated, and replaced when it changes.
//
// Promise: `current` is always a value that `validate` has returned. A value that it rejects, or that is no JSON, is
// reported with its cause, and the last good value stays. `current` follows the store within milliseconds, and within
// `confirmMs` if the watch fails. `confirmedMsAgo` bounds the age of `current`. While the store is unreachable the last
// good value stays.
//
// Limits: intermediate values may be skipped. Several keys are read at one revision, so a transaction is seen as a
// whole. They are held in memory: this is for some hundred keys, at most `range_keys_max` (10,000) with
// `range_bytes_max` (4 MiB).
//
// Keys: those that the application names. With `key` the value is JSON, and `validate` gets it. With `prefix`,
// `validate` gets an object with one field for each key below it, whose value is JSON.
//
// Invariant: a value is validated once for each set of key revisions, and only a good one replaces `current`.

import { whenAborted } from '../client/abort-listeners.ts'
import { type KvRecord, QuorateError } from '../client/index.ts'
import { after } from '../client/timer.ts'
import {
  bytesCheck,
  checkOptions,
  checkValue,
  functionCheck,
  signalCheck,
  timeoutCheck,
} from '../client/validators.ts'
import { errorText } from './error-text.ts'
import { abortedError } from './option-checks.ts'
import { RangeView, type ViewClient, type ViewContent } from './range-view.ts'
import { runUserCallback, warn } from './run-user-callback.ts'
import { isClosed } from './transient-errors.ts'

const CONFIRM_MS = 10_000
const TIMEOUT_MS = 5_000

export interface ConfigOptions<T> {
  /** One key whose value is JSON. Either `key` or `prefix`. */
  readonly key?: string | Uint8Array | undefined
  /** All keys with this prefix. The rest of each key is the name of a field. */
  readonly prefix?: string | Uint8Array | undefined
  /** Returns the configuration, or throws an error. For a `key` that does not exist it gets undefined. */
  readonly validate: (value: unknown) => T
  /** Value until the store has a good one. Without it the first value must be good. */
  readonly initial?: T | undefined
  /** Maximum time between two reads. Default 10,000. */
  readonly confirmMs?: number | undefined
  /** How long to wait for the first value. Default 5,000. */
  readonly timeoutMs?: number | undefined
  /** Ends it, like `close`. */
  readonly signal?: AbortSignal | undefined
  /** Called once for each bad value, and when the store becomes unreachable. Default: `process.emitWarning`. */
  readonly onError?: ((error: ConfigError) => void) | undefined
}

/** A value was rejected (`config_invalid`), or the store was unreachable (`config_unreachable`); `cause` says why. */
export class ConfigError extends QuorateError {}

export interface Config<T> extends AsyncDisposable {
  /** The last good value. */
  readonly current: T
  /** The revision of the store at which it was read; 0: it is `initial`. */
  readonly revision: number
  /** The fault of the value in the store, or of the last read; undefined: `current` is the value in the store. */
  readonly error: ConfigError | undefined
  /** A linearizable read that began so long ago has returned the value in the store, good or bad. */
  readonly confirmedMsAgo: number
  /** Calls `listener` for each new value. Returns a function that removes the listener. */
  onChange(listener: (current: T, before: T) => void): () => void
  close(): Promise<void>
}

/** Resolves with the first good value. */
export async function config<T>(kv: ViewClient, options: ConfigOptions<T>): Promise<Config<T>> {
  checkOptions('config', options, OPTIONS)
  checkValue('config', 'validate', options.validate, functionCheck)
  if ((options.key === undefined) === (options.prefix === undefined))
    throw new TypeError('config: give either key or prefix')
  const { key, validate, initial, signal, confirmMs = CONFIRM_MS, timeoutMs = TIMEOUT_MS } = options
  const isAborted = () => signal?.aborted === true
  if (isAborted()) throw abortedError(signal, 'the configuration')
  const onError = options.onError ?? warn('config')
  const start = Buffer.from(key ?? options.prefix ?? '')
  const listeners = new Set<(current: T, before: T) => void>()
  const first = Promise.withResolvers<void>()
  first.promise.catch(() => undefined)
  let good: { readonly value: T; readonly revision: number } | undefined =
    initial === undefined ? undefined : { value: initial, revision: 0 }
  let error: ConfigError | undefined
  /** The key revisions that were validated last, and the error of that. */
  let validated: { readonly revisions: string; readonly error: ConfigError | undefined } | undefined

  const report = (code: string, message: string, cause?: unknown): ConfigError => {
    const reported = new ConfigError(`config ${start}: ${message}`, { code, written: 'no', cause })
    error = reported
    runUserCallback(() => onError(reported))
    return reported
  }

  const onContent = ({ records, revision }: ViewContent) => {
    const revisions = JSON.stringify(records.map((record) => [record.key, record.modRevision]))
    error = validated?.error
    if (revisions === validated?.revisions) return
    try {
      const value = validate(
        key === undefined ? recordFields(records, start.length) : parseRecord(records[0]),
      )
      rejectPromise(value)
      const before = good
      good = { value, revision }
      error = undefined
      validated = { revisions, error: undefined }
      first.resolve()
      if (before === undefined) return
      for (const listener of [...listeners]) runUserCallback(() => listener(value, before.value))
    } catch (cause) {
      const message = `the configuration is not used: ${errorText(cause)}`
      validated = { revisions, error: report('config_invalid', message, cause) }
      first.reject(error)
    }
  }

  /** Reports once for each time that the store becomes unreachable, not for each failed read. */
  const onReadError = (cause: unknown) => {
    if (isClosed(cause)) first.reject(cause)
    if (error?.code !== 'config_unreachable')
      report('config_unreachable', 'the configuration could not be read', cause)
  }

  const range = key === undefined ? { prefix: start } : { key: start }
  const view = new RangeView(kv, { range, confirmMs, onContent, onError: onReadError })
  const close = async () => {
    stopListening()
    await view.close()
  }
  const stopListening = whenAborted(signal, () => {
    first.reject(abortedError(signal, 'the configuration'))
    void close()
  })
  const stopTimer = after(timeoutMs, () =>
    first.reject(error ?? report('config_unreachable', `nothing was read within ${timeoutMs} ms`)),
  )
  try {
    await first.promise
  } catch (failure) {
    // `initial` serves until the store has a good value.
    if (good === undefined || isAborted() || isClosed(failure)) {
      await close()
      throw failure
    }
  } finally {
    stopTimer()
  }

  return {
    get current() {
      if (good === undefined) throw new Error('the configuration has no value yet')
      return good.value
    },
    get revision() {
      return good?.revision ?? 0
    },
    get error() {
      return error
    },
    get confirmedMsAgo() {
      return view.confirmedMsAgo
    },
    onChange: (listener) => {
      checkValue('config.onChange', 'listener', listener, functionCheck)
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

const recordFields = (records: readonly KvRecord[], prefixLength: number): unknown =>
  Object.fromEntries(
    records.map((record) => [
      Buffer.from(record.keyBytes).toString('utf8', prefixLength),
      parseRecord(record),
    ]),
  )

function parseRecord(record: KvRecord | undefined): unknown {
  try {
    return record?.json()
  } catch (cause) {
    throw new TypeError(`the value of ${record?.key} is not JSON: ${record?.text().slice(0, 40)}`, { cause })
  }
}

/** An asynchronous `validate` would make a promise of an unchecked value the configuration. */
function rejectPromise(value: unknown): void {
  if (!(value instanceof Promise)) return
  value.catch(() => undefined)
  throw new TypeError('validate must return the value itself, not a promise of it')
}

const OPTIONS = {
  key: bytesCheck,
  prefix: bytesCheck,
  validate: functionCheck,
  initial: () => undefined,
  confirmMs: timeoutCheck,
  timeoutMs: timeoutCheck,
  signal: signalCheck,
  onError: functionCheck,
}
