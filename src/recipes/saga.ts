// A saga: steps over several systems that share no transaction. Each step has a compensation, which undoes it. When a
// step fails, the compensations of the steps before it run, the last one first.
//
// Promise: the result of a step is recorded once, and a recorded step never runs again. The same holds for its
// compensation. One process at a time records, and one that was paused and has lost the saga records nothing. After a
// crash `resume`, in any process, continues after the last record.
//
// Limits: a step may run more than once, because a process may die between the effect of a step and its record. So give
// `token` to the system that the step changes, as an idempotency key: it is the same in every run of this step, also of
// a saga that has begun again with its id after `forget`. A step that throws has failed, and its own compensation does
// not run: it must leave nothing behind. A step whose result cannot be recorded has failed too, and is undone with the
// result null. A compensation that throws is tried again with growing pauses, `attemptsMax` times; then `run` throws a
// `SagaStuckError`, and the next `run` or `resume` tries again. Input and results are JSON, 512 KiB in one saga.
// Records stay until `forget`, and `resume` reads all of them. A `run` that waits while another process ends and
// forgets the saga may begin it again: call `forget` when no process calls `run` with this id any more.
//
// Keys: saga/NAME/state/ID           the record, as JSON
//       saga/NAME/owner/ID/LEASE     a process that runs the saga or waits for it, with that lease (fair-lock-queue.ts)
//
// Invariant: only the owner writes the record, each time in a transaction that compares its ownership and the record
// that it replaces. So when the outcome of a write is unknown and the process is still the owner, a new record is its
// own.

import { isDeepStrictEqual } from 'node:util'
import {
  AbortedError,
  type CallOptions,
  type Client,
  OutcomeUnknownError,
  QuorateError,
} from '../client/index.ts'
import { keepProcessAlive, pause } from '../client/timer.ts'
import {
  boundCheck,
  type Check,
  checkFields,
  checkOptions,
  checkValue,
  functionCheck,
  signalCheck,
  textCheck,
  timeoutCheck,
} from '../client/validators.ts'
import { errorText } from './error-text.ts'
import { acquire, type HeldLock, LockLostError, LockNotTakenError } from './fair-lock-queue.ts'
import { escapePart, keySpace, unescapePart } from './key-space.ts'
import { CALL_OPTIONS, leaseTimeCheck } from './option-checks.ts'
import { runUserCallback, warn } from './run-user-callback.ts'
import {
  hasEnded,
  newRecord,
  parseSagaRecord,
  type SagaOutcome,
  type SagaRecord,
  type SagaResults,
  type SagaView,
  sagaOutcome,
  sagaView,
  stepResults,
} from './saga-record.ts'
import {
  type KeepResumingOptions,
  keepResuming,
  type ResumableSagas,
  type ResumeOptions,
  resumeAll,
} from './saga-resume.ts'
import { hasCode, isClosed, isFull, isTooLarge, isTransient } from './transient-errors.ts'
import { anySignal } from './watch-helpers.ts'

const TTL_MS = 10_000
const ATTEMPTS_MAX = 10
const RETRY_MS = 1_000
const RETRY_MAX_MS = 60_000
const CONCURRENCY_MAX = 10_000
/** Half of the largest value of the store: the rest is for the end of the saga. */
const RECORD_BYTES_MAX = 512 * 1024

export interface StepContext<Input, Results = SagaResults> {
  /** Id of the saga. */
  readonly id: string
  readonly input: Input
  /** Results of the steps before, by their names. */
  readonly results: Readonly<Partial<Results>>
  /** Idempotency token: equal in every run of this step of this saga, and different for its compensation. */
  readonly token: string
  /** Fires when the process may have lost the saga, and when `signal` of `run` fires. */
  readonly signal: AbortSignal
}

/** A step, whose name is one of `Results`. */
export type SagaStep<Input, Results = SagaResults> = {
  [Name in keyof Results & string]: {
    readonly name: Name
    /** Runs the step. Its result is recorded as JSON. */
    run(context: StepContext<Input, Results>): Results[Name] | Promise<Results[Name]>
    /** Undoes the step; `results` has the step's result. Its own result is not used. */
    compensate?(context: StepContext<Input, Results>): unknown
  }
}[keyof Results & string]

export interface SagaOptions {
  /** Life of the lease: a saga can be resumed after this time without its process. From 1,000 on. Default 10,000. */
  readonly ttlMs?: number | undefined
  /** Maximum number of attempts of a compensation in one `run` or `resume`. Default 10. */
  readonly attemptsMax?: number | undefined
  /** The pause after a failed compensation, doubled each time; at most a minute. Default 1,000. */
  readonly retryMs?: number | undefined
  /** Called for each failed compensation. */
  readonly onProblem?: ((problem: SagaProblem) => void) | undefined
}

export interface SagaProblem {
  readonly id: string
  readonly step: string
  readonly attempt: number
  readonly error: unknown
}

export interface Saga<Input, Results = SagaResults> {
  /**
   * Runs the saga to its end. If one with this id exists, it continues that one, waits for the process that runs it, or
   * returns its outcome; its input must be the same. `timeoutMs` limits each call to the cluster.
   */
  run(id: string, input: Input, options?: CallOptions): Promise<SagaOutcome<Results>>
  /** Runs the sagas to their end that no process runs now. Throws at the end if some could not be ended. */
  resume(options?: ResumeOptions): Promise<readonly SagaOutcome<Results>[]>
  /** Resumes every saga that a process leaves behind, until `signal` fires. */
  keepResuming(options: KeepResumingOptions): Promise<void>
  get(id: string, options?: CallOptions): Promise<SagaView | undefined>
  /** Yields the sagas that have not ended. A foreign key is left out, with a warning of the process. */
  unfinished(options?: CallOptions): AsyncGenerator<SagaView, void, undefined>
  /** Deletes the record of a saga that has ended. Returns whether there was one. */
  forget(id: string, options?: CallOptions): Promise<boolean>
}

/** A compensation has failed too often. */
export class SagaStuckError extends QuorateError {}
/** This process may have lost its lease, and another one may have taken over the saga. */
export class SagaTakenOverError extends QuorateError {}

type SagaClient = Pick<Client, 'get' | 'list' | 'txn' | 'session' | 'watch'>

/** A saga that this process owns. */
interface OwnedSaga {
  readonly id: string
  readonly key: Uint8Array
  readonly held: HeldLock
  readonly signal: AbortSignal
  readonly timeoutMs: number | undefined
  record: SagaRecord
  /** The record's mod revision; 0: there is none yet. */
  modRevision: number
}

/**
 * A saga needs the steps that it has begun with: use another name for other steps. `Results`: the result of each step,
 * by its name.
 */
export function saga<Input = unknown, Results = SagaResults>(
  kv: SagaClient,
  name: string | Uint8Array,
  steps: readonly SagaStep<Input, NoInfer<Results>>[],
  options: SagaOptions = {},
): Saga<Input, Results> {
  const space = keySpace('saga', 'saga', name)
  checkSteps(steps)
  checkOptions('saga', options, OPTIONS)
  const { ttlMs = TTL_MS, attemptsMax = ATTEMPTS_MAX, retryMs = RETRY_MS, onProblem } = options
  const planned = [...steps]
  const statePrefix = space.key('state', '')
  const stateKey = (id: string) => space.key('state', escapePart(id).toString())
  const owners = (id: string) => {
    const key = (lease: string) => space.key('owner', escapePart(id).toString(), lease)
    return { what: `saga ${id}`, key, conflicts: key(''), permits: 1 }
  }
  const stepToken = (id: string, step: string, kind: 'run' | 'compensate') =>
    [Buffer.from(space.prefix).toString('latin1'), id, step, kind].map(encodeURIComponent).join(':')

  /** Replaces the record. Retries transient errors for as long as the process owns the saga. */
  async function write(owned: OwnedSaga, change: Partial<SagaRecord>): Promise<void> {
    const next = { ...owned.record, ...change }
    const value = JSON.stringify(next)
    if (next.status === 'running' && Buffer.byteLength(value) > RECORD_BYTES_MAX)
      throw new RangeError(`more than ${RECORD_BYTES_MAX} bytes of input and results cannot be recorded`)
    const { key, held, timeoutMs } = owned
    const compare = [{ key, target: 'modRevision', op: '=', to: owned.modRevision } as const]
    const txn = { compare, success: [{ put: { key, value } }], failure: [{ get: { key } }] }
    for (;;) {
      try {
        const { succeeded, results } = await held.txn(txn, { signal: held.signal, timeoutMs })
        const read = results[0]?.get
        // Another record: that of an attempt before, whose outcome was unknown.
        if (succeeded || read?.kvs?.[0]?.text() === value) {
          owned.record = next
          owned.modRevision = results[0]?.put?.modRevision ?? read?.kvs?.[0]?.modRevision ?? 0
          return
        }
        // A transaction that was sent twice returns no reads: the next one does.
        if (read?.omitted !== true) throw takenOver(owned.id)
      } catch (error) {
        held.throwIfLost()
        if (!isTransient(error) && !isFull(error)) throw error
        throwIfInterrupted(owned)
        await pause(Math.min(retryMs, RETRY_MS), owned.signal)
      }
    }
  }

  /** The end of a step or compensation. Throws if the process has lost the saga: then the end does not count. */
  async function settle(owned: OwnedSaga, step: string, kind: 'run' | 'compensate') {
    throwIfInterrupted(owned)
    const { id, record, signal } = owned
    const context: StepContext<Input, Results> = {
      id,
      // Copies: a change that a step makes must not become part of the next record.
      input: structuredClone(record.input) as Input,
      results: structuredClone(stepResults<Partial<Results>>(record)),
      token: stepToken(id, step, kind),
      signal,
    }
    const call = async () => planned.find(({ name }) => name === step)?.[kind]?.(context)
    const [end] = await Promise.allSettled([keepProcessAlive(call())])
    throwIfInterrupted(owned)
    return end
  }

  async function runStep(owned: OwnedSaga, { name }: SagaStep<Input, Results>): Promise<void> {
    const fail = (error: unknown, change: Partial<SagaRecord> = {}) =>
      write(owned, { ...change, status: 'compensating', failure: { step: name, message: errorText(error) } })
    const end = await settle(owned, name, 'run')
    if (end.status === 'rejected') return fail(end.reason)
    const withResult = (value: unknown) => ({ steps: [...owned.record.steps, { name, result: value }] })
    try {
      await write(owned, withResult(plainJson(end.value)))
    } catch (cause) {
      if (cause instanceof QuorateError && !isTooLarge(cause)) throw cause
      await fail(`its result: ${errorText(cause)}`, withResult(null))
    }
  }

  async function compensateLast(owned: OwnedSaga): Promise<void> {
    const { steps: recorded, compensated } = owned.record
    const name = recorded[recorded.length - 1 - compensated.length]?.name
    if (name === undefined) return write(owned, { status: 'compensated' })
    for (let attempt = 1, pauseMs = retryMs; ; attempt++, pauseMs *= 2) {
      const end = await settle(owned, name, 'compensate')
      if (end.status === 'fulfilled') return write(owned, { compensated: [...compensated, name] })
      const { id } = owned
      const { reason: error } = end
      runUserCallback(() => onProblem?.({ id, step: name, attempt, error }))
      if (attempt >= attemptsMax) throw stuck(id, name, attempt, error)
      await pause(Math.min(pauseMs, RETRY_MAX_MS), owned.signal)
    }
  }

  async function runToEnd(owned: OwnedSaga): Promise<SagaOutcome<Results>> {
    checkRecorded(owned, planned)
    while (!hasEnded(owned.record)) {
      const { status, steps: recorded } = owned.record
      const step = planned[recorded.length]
      if (status === 'compensating') await compensateLast(owned)
      else if (step === undefined) await write(owned, { status: 'completed' })
      else await runStep(owned, step)
    }
    return sagaOutcome(owned.id, owned.record)
  }

  /** undefined: there is none. Throws if it has another input. */
  async function stored(id: string, call: CallOptions, given?: { readonly input: unknown }) {
    const found = await kv.get(stateKey(id), call)
    if (found === undefined) return undefined
    const record = parseSagaRecord(found)
    if (given === undefined || isDeepStrictEqual(record.input, given.input))
      return { record, modRevision: found.modRevision }
    throw refusalError('saga_exists', `saga ${id} exists with another input: choose another id`)
  }

  /** `given`: the input of `run`, with which a saga begins if `mayBegin`. */
  async function own(
    id: string,
    waitMs: number,
    call: CallOptions,
    given?: { readonly input: unknown; readonly mayBegin: boolean },
  ): Promise<SagaOutcome<Results>> {
    const { signal, timeoutMs } = call
    const held = await acquire(kv, owners(id), { ttlMs, waitMs, ...call })
    let hasWritten = false
    try {
      const found = await stored(id, call, given)
      if (found === undefined && given?.mayBegin !== true)
        throw refusalError('not_found', `there is no saga ${id}: it was forgotten`)
      const { record, modRevision } = found ?? { record: newRecord(given?.input), modRevision: 0 }
      if (hasEnded(record)) return sagaOutcome(id, record)
      const ended = anySignal(held.signal, signal)
      const owned = { id, key: stateKey(id), held, signal: ended, timeoutMs, record, modRevision }
      hasWritten = true
      if (found === undefined) await write(owned, {})
      return await runToEnd(owned)
    } catch (error) {
      throw hasWritten
        ? errorAfterWrites(id, error)
        : error instanceof LockLostError
          ? takenOver(id, error)
          : error
    } finally {
      await held.release()
    }
  }

  const sagas: ResumableSagas<Results> = {
    kv,
    ownerPrefix: space.key('owner', ''),
    ownedSaga: (key) => unescapePart(space.suffix(key).split('/')[1] ?? ''),
    unfinished,
    resume: async (id, call) => {
      const found = await stored(id, call)
      if (found === undefined || hasEnded(found.record)) return undefined
      return own(id, 0, call).catch((error: unknown) => {
        if (error instanceof LockNotTakenError || hasCode(error, 'not_found')) return undefined
        throw error
      })
    },
  }

  async function* unfinished(onForeign: (error: unknown) => void, call: CallOptions) {
    for await (const found of kv.list({ prefix: statePrefix, ...call })) {
      const id = unescapePart(Buffer.from(found.keyBytes).toString('utf8', statePrefix.length))
      try {
        const view = sagaView(id, parseSagaRecord(found))
        if (!hasEnded(view)) yield view
      } catch (error) {
        if (!hasCode(error, 'saga_unknown_record')) throw error
        onForeign(error)
      }
    }
  }

  return {
    run: async (id, input, runOptions = {}) => {
      checkValue('saga.run', 'id', id, textCheck)
      checkOptions('saga.run', runOptions, CALL_OPTIONS)
      const call = { ...runOptions }
      const given = { input: plainJson(input) }
      const found = await stored(id, call, given)
      if (found !== undefined && hasEnded(found.record)) return sagaOutcome(id, found.record)
      // A saga that is forgotten while this call waits for it does not begin again.
      return own(id, Number.POSITIVE_INFINITY, call, { ...given, mayBegin: found === undefined })
    },
    resume: async (resumeOptions = {}) => {
      checkOptions('saga.resume', resumeOptions, RESUME_OPTIONS)
      return resumeAll(sagas, resumeOptions)
    },
    keepResuming: async (resumeOptions) => {
      checkOptions('saga.keepResuming', resumeOptions, { ...RESUME_OPTIONS, onError: functionCheck })
      checkValue('saga.keepResuming', 'signal', resumeOptions.signal, signalCheck)
      return keepResuming(sagas, resumeOptions)
    },
    get: async (id, getOptions = {}) => {
      checkValue('saga.get', 'id', id, textCheck)
      checkOptions('saga.get', getOptions, CALL_OPTIONS)
      const found = await stored(id, getOptions)
      return found && sagaView(id, found.record)
    },
    unfinished: (listOptions = {}) => {
      checkOptions('saga.unfinished', listOptions, CALL_OPTIONS)
      return unfinished(warn('saga'), { ...listOptions })
    },
    forget: async (id, forgetOptions = {}) => {
      checkValue('saga.forget', 'id', id, textCheck)
      checkOptions('saga.forget', forgetOptions, CALL_OPTIONS)
      const found = await stored(id, forgetOptions)
      if (found === undefined) return false
      if (!hasEnded(found.record))
        throw refusalError('saga_unfinished', `saga ${id} has not ended: its record is still needed`)
      // Another saga may have begun with this id since.
      const key = stateKey(id)
      const compare = [{ key, target: 'modRevision', op: '=', to: found.modRevision } as const]
      return (await kv.txn({ compare, success: [{ delete: { key } }] }, forgetOptions)).succeeded
    },
  }
}

function throwIfInterrupted({ held, signal }: OwnedSaga): void {
  held.throwIfLost()
  if (signal.aborted)
    throw new AbortedError('the saga was aborted', { code: 'aborted', written: 'no', cause: signal.reason })
}

/** The value as it will be read, so that a run after a crash and one without a crash see the same. */
function plainJson(value: unknown): unknown {
  const json: string | undefined = JSON.stringify(value ?? null)
  if (json === undefined) throw new TypeError(`a ${typeof value} cannot be recorded: it is not JSON`)
  return JSON.parse(json)
}

/** The error of a call that may have written records, although its last request has not. */
function errorAfterWrites(id: string, error: unknown): unknown {
  if (error instanceof LockLostError) return takenOver(id, error)
  if (!(error instanceof QuorateError) || error.written !== 'no' || error.code.startsWith('saga_'))
    return error
  const isAbort = error instanceof AbortedError || isClosed(error)
  const message = `saga ${id} was ${isAbort ? 'aborted' : 'interrupted'}, and may have begun: resume() continues it`
  const details = { written: 'unknown', cause: error } as const
  return isAbort
    ? new AbortedError(message, { code: error.code, ...details })
    : new OutcomeUnknownError(message, { code: 'outcome_unknown', ...details })
}

const stuck = (id: string, step: string, attempts: number, cause: unknown) =>
  new SagaStuckError(
    `saga ${id}: the compensation of ${step} has failed ${attempts} times, last with: ${errorText(cause)}. resume() tries again`,
    { code: 'saga_stuck', written: 'unknown', cause },
  )

const takenOver = (id: string, cause?: unknown) =>
  new SagaTakenOverError(
    `saga ${id}: this process has lost it: resume(), or run() with its input, continues it here or elsewhere`,
    { code: 'saga_taken_over', written: 'unknown', cause },
  )

const refusalError = (code: string, message: string) => new QuorateError(message, { code, written: 'no' })

const stepListCheck: Check = (value) =>
  Array.isArray(value) && value.length > 0 ? undefined : 'a list of steps that is not empty'

/** The record tells steps apart by their names. */
function checkSteps(steps: readonly unknown[]): void {
  checkValue('saga', 'steps', steps, stepListCheck)
  const names = new Set<unknown>()
  for (const [at, step] of steps.entries()) {
    const where = `saga: steps[${at}]`
    const { name, run, compensate } = Object(step) as Partial<Record<string, unknown>>
    checkFields(where, { name, run }, { name: textCheck, run: functionCheck })
    checkOptions(where, { compensate }, { compensate: functionCheck })
    if (names.has(name)) throw new TypeError(`${where}: the name ${name} is there twice`)
    names.add(name)
  }
}

/** The recorded steps must be the first of those given. */
function checkRecorded({ id, record }: OwnedSaga, steps: readonly { readonly name: string }[]): void {
  const unknown = record.steps.find(({ name }, at) => steps[at]?.name !== name)
  if (unknown === undefined) return
  const message = `saga ${id} has recorded the step ${unknown.name}, which is not there in the steps given: give it the steps that it has begun with`
  throw refusalError('saga_steps_differ', message)
}

const concurrencyCheck: Check = (value) =>
  boundCheck(value) === undefined && Number(value) <= CONCURRENCY_MAX
    ? undefined
    : `a whole number from 1 to ${CONCURRENCY_MAX}`

const RESUME_OPTIONS = { ...CALL_OPTIONS, concurrency: concurrencyCheck }
const OPTIONS = {
  ttlMs: leaseTimeCheck,
  attemptsMax: boundCheck,
  retryMs: timeoutCheck,
  onProblem: functionCheck,
}
