// A saga: steps over several systems that cannot be one transaction. Each step has a compensation, which undoes it. If
// a step fails, the compensations of the steps before it are run, the last one first.
//
// Promise: what a step has returned is recorded once, and a recorded step never runs again. A compensation is recorded
// in the same way. One process at a time runs a saga: it owns a key with a lease, and every record is one transaction
// that is done only while the process still owns the key and the record is the one that it has read. So a process that
// was stopped and comes back records nothing. After a crash `resume`, in whichever process, goes on behind the last
// record. The first record is written together with the key of a process that runs the saga, or waits to. So such a key
// goes after each crash, and that is what `keepResuming` watches: it looks at all sagas only when it begins, and when
// it may have missed something.
//
// Limits: a step may *run* more than once. A process may die after the effect of a step and before its record; and a
// process that has lost its lease may still be running a step while another one runs it again. So give `token` to the
// system that the step changes, as its idempotency key: it is the same in every run of this step of this saga, also of
// one that has begun again with its id after `forget`. A step that throws has failed, and its own compensation is not
// run: it must leave nothing behind, or try again by itself. A step whose result cannot be recorded has failed too, but
// is undone like those before it, with the result null. A compensation that throws is tried again with growing pauses,
// `attemptsMax` times; then `run` fails with a `SagaStuckError`, and the next `run` or `resume` tries again. Inputs and
// results of steps are JSON, nested 500 deep at most, and all of one saga must fit in one value of the store, with the
// room that its compensation needs. Records stay until `forget`, and `resume` reads all that are there: forget what has
// ended.
//
// Keys: saga/NAME/state/ID           the record, as JSON
//       saga/NAME/owner/ID/LEASE     of a process that runs it, or waits to, with that lease (line.ts)

import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { AbortedError, type Client, CompactedError, type KvRecord, QuorateError } from '../client/index.ts'
import { after } from '../client/timer.ts'
import {
  type Check,
  checkOptions,
  checkValue,
  isBound,
  isFunction,
  isSignal,
  isText,
  isTimeout,
} from '../client/validators.ts'
import { abortedBy, isLeaseTime } from './checks.ts'
import { type HeldLock, LockLostError, LockNotTakenError, mayHaveBegun, takeIn } from './line.ts'
import { escaped, placeOf, unescaped } from './place.ts'
import { reasonOf } from './reason.ts'
import { isForbidden, isFull, isPassing, isTooLarge } from './waiting.ts'
import { isClosed, pause } from './watching.ts'

const TTL_MS = 10_000
const ATTEMPTS_MAX = 10
const RETRY_MS = 1_000
const RETRY_MAX_MS = 60_000
const CONCURRENCY = 8
const CONCURRENCY_MAX = 10_000
/** Processes that stand by look at what another one has left up to so much apart: then few want it at a time. */
const SPREAD_MS = 100
const DEPTH_MAX = 500
/** In place of a message that does not fit. */
const TOO_LONG = 'an error whose message is too long to be recorded'
/** More than the end of a saga adds to its record, but for names: its status, a result of null, and `TOO_LONG`. */
const ROOM_BYTES = 250

export interface StepContext<Input> {
  /** Of the saga. */
  readonly id: string
  readonly input: Input
  /** What the steps before have returned, by their names. */
  readonly results: Readonly<Record<string, unknown>>
  /** The same in every run of this step of this saga, and different for its compensation. */
  readonly token: string
  /** Fires when the process may no longer be the one that runs the saga, and when `signal` of `run` fires. */
  readonly signal: AbortSignal
}

export interface SagaStep<Input> {
  readonly name: string
  /** What it returns is recorded, as JSON. */
  run(context: StepContext<Input>): unknown
  /** Undoes the step; `results` has what the step has returned. What it returns itself is not used. */
  compensate?(context: StepContext<Input>): unknown
}

export interface SagaOptions {
  /** After so long without its process a saga can be resumed. From 1,000 on. Default 10,000. */
  readonly ttlMs?: number | undefined
  /** How often a compensation is tried in one `run` or `resume`. Default 10. */
  readonly attemptsMax?: number | undefined
  /** The pause after a compensation that has failed, doubled each time; at most a minute. Default 1,000. */
  readonly retryMs?: number | undefined
  /** Called for each compensation that has failed. */
  readonly onProblem?: ((problem: SagaProblem) => void) | undefined
}

export interface SagaProblem {
  readonly id: string
  readonly step: string
  readonly attempt: number
  readonly error: unknown
}

export interface ResumeOptions {
  readonly signal?: AbortSignal | undefined
  /** Sagas that are run at a time, up to 10,000. Default 8. */
  readonly concurrency?: number | undefined
}

export interface SagaOutcome {
  readonly id: string
  /** compensated: a step has failed, and every step before it was undone. */
  readonly status: 'completed' | 'compensated'
  readonly results: Readonly<Record<string, unknown>>
  /** Of a compensated saga: the step that has failed. */
  readonly failure: { readonly step: string; readonly message: string } | undefined
}

export interface SagaView {
  readonly id: string
  readonly status: 'running' | 'compensating' | 'completed' | 'compensated'
  readonly input: unknown
  /** The recorded steps, in order. */
  readonly steps: readonly string[]
  /** The steps that were undone, in order. */
  readonly compensated: readonly string[]
  readonly failure: { readonly step: string; readonly message: string } | undefined
}

export interface Saga<Input> {
  /**
   * Runs the saga to its end. If one with this id is there, it goes on with that one, or waits for the process that
   * runs it, or returns its outcome; its input must be the same.
   */
  run(id: string, input: Input, options?: { readonly signal?: AbortSignal | undefined }): Promise<SagaOutcome>
  /** Runs to their end those that have begun and that no process runs now. Fails at last if some could not end. */
  resume(options?: ResumeOptions): Promise<readonly SagaOutcome[]>
  /** Resumes whatever a process leaves behind, from now on, until `signal` fires. */
  keepResuming(
    options: ResumeOptions & {
      readonly signal: AbortSignal
      /**
       * Called for a saga that could not be ended, which is tried again after a minute; for a key that no saga has
       * written; and when the cluster could not be asked.
       */
      readonly onError?: ((error: unknown) => void) | undefined
    },
  ): Promise<void>
  get(id: string): Promise<SagaView | undefined>
  /** Those that have not ended. Fails at a key that no saga has written. */
  unfinished(): AsyncGenerator<SagaView, void, undefined>
  /** Deletes the record of a saga that has ended. Returns whether there was one. */
  forget(id: string): Promise<boolean>
}

/** A compensation has failed too often. */
export class SagaStuckError extends QuorateError {}
/** This process has lost its lease, or may have; another one may have taken over the saga. */
export class SagaTakenOverError extends QuorateError {}

/** What is recorded. It is replaced as a whole, by comparing the revision. */
interface SagaRecord {
  readonly input: unknown
  readonly status: SagaView['status']
  readonly steps: readonly { readonly name: string; readonly result: unknown }[]
  readonly compensated: readonly string[]
  readonly failure: SagaView['failure'] | null
  /** Names this record: so a process recognises it when it does not know what became of its transaction. */
  readonly nonce: string
}

type SagaClient = Pick<Client, 'get' | 'list' | 'txn' | 'session' | 'watch'>

interface Running {
  readonly id: string
  readonly key: Uint8Array
  readonly held: HeldLock
  readonly signal: AbortSignal
  record: SagaRecord
  modRevision: number
  /** This call has. */
  mayHaveRecorded: boolean
}

/** Sagas still under way need the steps that they have begun with: add a saga of another name for other steps. */
export function saga<Input = unknown>(
  kv: SagaClient,
  name: string | Uint8Array,
  steps: readonly SagaStep<Input>[],
  options: SagaOptions = {},
): Saga<Input> {
  const place = placeOf('saga', 'saga', name)
  checkSteps(steps)
  checkOptions('saga', options, OPTIONS)
  const { ttlMs = TTL_MS, attemptsMax = ATTEMPTS_MAX, retryMs = RETRY_MS, onProblem } = options
  const planned = [...steps]
  const part = (id: string) => escaped(id).toString()
  const stateKey = (id: string) => place.key('state', part(id))
  const owners = (id: string) => ({
    what: `saga ${id}`,
    key: (lease: string) => place.key('owner', part(id), lease),
    before: place.key('owner', part(id), ''),
    served: 1,
  })
  const statePrefix = place.key('state', '')
  const ownerPrefix = place.key('owner', '')
  /** The saga whose owner has this key. */
  const ownedBy = (ownerKey: Uint8Array) => unescaped(place.rest(ownerKey).split('/')[1] ?? '')

  /** The same text for the same step of the same saga, and for no other. One with a forgotten id counts as the same. */
  const tokenOf = (id: string, step: string, what: 'run' | 'compensate') =>
    [Buffer.from(place.prefix).toString('latin1'), id, step, what]
      .map((text) => encodeURIComponent(text))
      .join(':')

  // A saga that runs keeps room for its end, which may have to be recorded when nothing more fits.
  const names = planned.map((step) => JSON.stringify(step.name))
  const room = ' '.repeat(
    Buffer.byteLength(names.join()) +
      2 * Math.max(...names.map((name) => Buffer.byteLength(name))) +
      ROOM_BYTES,
  )
  const jsonOf = (record: SagaRecord, hasRoom = record.status === 'running') =>
    JSON.stringify(hasRoom ? { ...record, room } : record)

  /** The only place that writes a record: once, while the saga is owned, in place of the record that was read. */
  async function record(running: Running, change: Partial<SagaRecord>, hasRoom?: boolean): Promise<void> {
    const next = { ...running.record, ...change, nonce: randomUUID() }
    const value = jsonOf(next, hasRoom)
    const { key, held } = running
    for (;;) {
      held.throwIfLost()
      try {
        const same = { key, target: 'mod_revision', op: '=', to: running.modRevision } as const
        const { succeeded, results } = await kv.txn(
          {
            compare: [held.guard(), same],
            success: [{ put: { key, value } }],
          },
          { signal: held.signal },
        )
        const modRevision = succeeded ? results[0]?.put?.modRevision : await revisionOf(next.nonce, key)
        if (modRevision === undefined) throw takenOver(running.id)
        running.record = next
        running.modRevision = modRevision
        running.mayHaveRecorded = true
        return
      } catch (error) {
        if (!(error instanceof QuorateError) || error.written !== 'no') running.mayHaveRecorded = true
        held.throwIfLost()
        if (!isTransient(error)) throw error
        // Otherwise nothing would end it while the store is full, for example.
        goOn(running)
        // The same transaction again: if the first one was done, this one finds another revision, and its own nonce.
        await pause(Math.min(retryMs, RETRY_MS), running.signal)
      }
    }
  }

  async function recordFailure(
    running: Running,
    step: string,
    message: string,
    change: Partial<SagaRecord> = {},
  ): Promise<void> {
    const failed = (said: string) => ({
      ...change,
      status: 'compensating' as const,
      failure: { step, message: said },
    })
    try {
      // The whole message only if there is still room for the compensations.
      await record(running, failed(message), true)
    } catch (error) {
      if (!isUnrecordable(error)) throw error
      await record(running, failed(TOO_LONG))
    }
  }

  async function revisionOf(nonce: string, key: Uint8Array): Promise<number | undefined> {
    const found = await kv.get(key)
    return found !== undefined && recordIn(found).nonce === nonce ? found.modRevision : undefined
  }

  const context = (running: Running, step: string, what: 'run' | 'compensate') => ({
    id: running.id,
    // Only `run` has put it there. Copies: what a step does to them would be recorded with the next record.
    input: structuredClone(running.record.input) as Input,
    results: structuredClone(resultsOf(running.record)),
    token: tokenOf(running.id, step, what),
    signal: running.signal,
  })

  async function runToEnd(running: Running): Promise<SagaOutcome> {
    checkRecorded(running, planned)
    while (running.record.status === 'running') {
      const step = planned[running.record.steps.length]
      if (step === undefined) {
        await record(running, { status: 'completed' })
        break
      }
      goOn(running)
      const done = await attempt(() => step.run(context(running, step.name, 'run')))
      // What a step does or throws when it may have lost its saga says nothing about the saga.
      goOn(running)
      if (!done.ok) {
        await recordFailure(running, step.name, reasonOf(done.error))
        continue
      }
      const withResult = (result: unknown) => ({
        steps: [...running.record.steps, { name: step.name, result }],
      })
      try {
        await record(running, withResult(plain(done.result)))
      } catch (error) {
        if (!isUnrecordable(error)) throw error
        await recordFailure(running, step.name, `its result: ${reasonOf(error)}`, withResult(null))
      }
    }
    while (running.record.status === 'compensating') await compensateNext(running)
    const { record: end, id } = running
    return outcomeOf(id, end)
  }

  async function compensateNext(running: Running): Promise<void> {
    const { steps: recorded, compensated } = running.record
    const name = recorded[recorded.length - 1 - compensated.length]?.name
    if (name === undefined) return record(running, { status: 'compensated' })
    const step = planned.find((each) => each.name === name)
    for (let tried = 1, pauseMs = retryMs; ; tried++, pauseMs *= 2) {
      goOn(running)
      const done = await attempt(() => step?.compensate?.(context(running, name, 'compensate')))
      goOn(running)
      if (done.ok) return record(running, { compensated: [...compensated, name] })
      onProblem?.({ id: running.id, step: name, attempt: tried, error: done.error })
      if (tried >= attemptsMax) {
        const message = `saga ${running.id}: the compensation of ${name} has failed ${tried} times, last with: ${reasonOf(done.error)}. resume() tries again`
        throw new SagaStuckError(message, { code: 'saga_stuck', written: 'unknown', cause: done.error })
      }
      await pause(Math.min(pauseMs, RETRY_MAX_MS), running.signal)
    }
  }

  /** `input`: it must be the same. `first`: the record of one that begins if there is none yet. */
  async function take(
    id: string,
    waitMs: number,
    signal: AbortSignal | undefined,
    input?: { readonly json: unknown },
    first?: SagaRecord,
  ): Promise<SagaOutcome> {
    const key = stateKey(id)
    const begin = first && {
      compare: [{ key, exists: false }],
      success: [{ put: { key, value: jsonOf(first) } }],
    }
    const line = { ...owners(id), joining: begin && [{ txn: begin }] }
    const held = await takeIn(kv, line, { ttlMs, waitMs, signal })
    let running: Running | undefined
    try {
      const found = await existing(id, signal, input)
      if (found === undefined) throw notFound(id)
      running = {
        ...{ id, key, held, ...found, mayHaveRecorded: false },
        signal: signal === undefined ? held.signal : AbortSignal.any([signal, held.signal]),
      }
      return hasEnded(running.record) ? outcomeOf(id, running.record) : await runToEnd(running)
    } catch (error) {
      if (error instanceof LockLostError) throw takenOver(id, error)
      const mayHaveWritten = first !== undefined || running?.mayHaveRecorded === true
      if (!mayHaveWritten || !(error instanceof QuorateError) || error.written !== 'no') throw error
      // What has failed last has written nothing, but this call may have begun the saga, or gone on with it.
      if (!isOfSaga(error)) throw mayHaveBegun(`saga ${id}`, error, signal)
      const { message, code } = error
      throw new QuorateError(message, { code, written: 'unknown', cause: error })
    } finally {
      await held.release()
    }
  }

  /** undefined: there is none. Its input must be the same. */
  async function existing(
    id: string,
    signal: AbortSignal | undefined,
    input: { readonly json: unknown } | undefined,
  ): Promise<{ readonly record: SagaRecord; readonly modRevision: number } | undefined> {
    const found = await kv.get(stateKey(id), { signal })
    if (found === undefined) return undefined
    const record = recordIn(found)
    if (input === undefined || isDeepStrictEqual(record.input, input.json))
      return { record, modRevision: found.modRevision }
    throw new QuorateError(`saga ${id} is there already, with another input: choose another id`, {
      code: 'saga_exists',
      written: 'no',
    })
  }

  /** `onStrange` is told of each key that no saga has written; without it that is an error. */
  async function* unfinished(
    signal?: AbortSignal | undefined,
    onStrange?: (error: unknown) => void,
  ): AsyncGenerator<SagaView, void, undefined> {
    for await (const found of kv.list({ prefix: statePrefix, signal })) {
      const id = unescaped(Buffer.from(found.keyBytes).toString('utf8', statePrefix.length))
      try {
        const view = viewOf(id, recordIn(found))
        if (!hasEnded(view)) yield view
      } catch (error) {
        if (onStrange === undefined || !isStrange(error)) throw error
        onStrange(error)
      }
    }
  }

  /** Those that have not ended and that no process owns, or did not own a moment ago. */
  async function* leftBehind(
    signal: AbortSignal | undefined,
    onStrange: (error: unknown) => void,
  ): AsyncGenerator<string, void, undefined> {
    const owned = new Set<string>()
    for await (const { keyBytes } of kv.list({ prefix: ownerPrefix, keysOnly: true, signal }))
      owned.add(ownedBy(keyBytes))
    for await (const { id } of unfinished(signal, onStrange)) if (!owned.has(id)) yield id
  }

  async function resume({
    signal,
    concurrency = CONCURRENCY,
  }: ResumeOptions): Promise<readonly SagaOutcome[]> {
    const outcomes: SagaOutcome[] = []
    const errors: unknown[] = []
    const isAborted = () => signal?.aborted === true
    const left = leftBehind(signal, (error) => errors.push(error))
    // Several, so that one whose compensation fails again and again keeps no other one waiting.
    async function takeThem(): Promise<void> {
      for await (const id of left) {
        if (isAborted()) throw abortedBy(signal, 'the resumption')
        try {
          outcomes.push(await take(id, 0, signal))
        } catch (error) {
          if (isAborted()) throw error
          if (!isElsewhere(error)) errors.push(error)
        }
      }
    }
    const ended = await Promise.allSettled(Array.from({ length: concurrency }, takeThem))
    for (const each of ended) if (each.status === 'rejected') throw each.reason
    if (errors.length === 1) throw errors[0]
    if (errors.length > 1) throw new AggregateError(errors, `${errors.length} sagas could not be ended`)
    return outcomes
  }

  return {
    run: async (id, input, given = {}) => {
      checkValue('saga.run', 'id', id, isText)
      checkOptions('saga.run', given, { signal: isSignal })
      const json = { json: plain(input) }
      const begun = await existing(id, given.signal, json)
      if (begun !== undefined && hasEnded(begun.record)) return outcomeOf(id, begun.record)
      // One that is there and is forgotten while this waits does not begin again.
      const first = begun === undefined ? fresh(json.json) : undefined
      return take(id, Number.POSITIVE_INFINITY, given.signal, json, first)
    },
    resume: async (given = {}) => {
      checkOptions('saga.resume', given, RESUME)
      return resume(given)
    },
    keepResuming: async (given) => {
      checkOptions('saga.keepResuming', given, { ...RESUME, onError: isFunction })
      const { signal, concurrency = CONCURRENCY } = given
      checkValue('saga.keepResuming', 'signal', signal, isSignal)
      /** Fires when it ends, also because the application's own `onError` has thrown. */
      const over = new AbortController()
      const isOver = AbortSignal.any([signal, over.signal])
      let thrown: { readonly error: unknown } | undefined
      const report = (error: unknown) => {
        if (thrown !== undefined) return
        try {
          given.onError?.(error)
        } catch (error) {
          thrown = { error }
          over.abort()
        }
      }
      /** Those that could not be ended, until they are tried again: each with what cancels that. */
      const later = new Map<string, () => void>()
      const wanted = new Set<string>()
      /** Those that every process that stands by has heard of at the same time. */
      const heardOf = new Set<string>()
      const underWay = new Map<string, Promise<void>>()
      const want = (id: string) => {
        wanted.add(id)
        takeWanted()
      }
      const takeWanted = () => {
        for (const id of wanted) {
          if (isOver.aborted || underWay.size >= concurrency) return
          // Its process may have left it again: that is looked at when it ends.
          if (underWay.has(id)) continue
          wanted.delete(id)
          // What fails leaves it behind once more.
          if (later.has(id)) continue
          const end = () => {
            underWay.delete(id)
            takeWanted()
          }
          underWay.set(id, takeOver(id).then(end))
        }
      }
      const takeOver = async (id: string) => {
        try {
          if (heardOf.delete(id)) {
            await pause(Math.random() * SPREAD_MS, isOver)
            // Another process may have ended it meanwhile.
            if (isOver.aborted || !(await isUnfinished(id))) return
          }
          await take(id, 0, signal)
        } catch (error) {
          // What `signal` has stopped is gone on with later.
          if (signal.aborted || isElsewhere(error)) return
          const again = () => {
            later.delete(id)
            want(id)
          }
          // The key of one that was taken over goes as well if its new process dies.
          if (!(error instanceof SagaTakenOverError)) later.set(id, after(RETRY_MAX_MS, again))
          report(error)
        }
      }
      const isUnfinished = async (id: string) => {
        const found = await existing(id, isOver, undefined)
        return found !== undefined && !hasEnded(found.record)
      }
      const wantLeft = async (ownerKey: Uint8Array) => {
        const id = ownedBy(ownerKey)
        if (later.has(id) || wanted.has(id)) return
        try {
          if (!(await isUnfinished(id))) return
          heardOf.add(id)
          want(id)
        } catch (error) {
          if (!isStrange(error)) throw error
          report(error)
        }
      }
      try {
        while (!isOver.aborted) {
          try {
            // The watch begins before the look, so nothing that is left behind in between is missed.
            const now = { success: [{ get: { key: statePrefix, countOnly: true } }] }
            const { revision } = await kv.txn(now, { signal: isOver })
            for await (const id of leftBehind(isOver, report)) {
              if (isOver.aborted) break
              want(id)
            }
            const options = { prefix: ownerPrefix, only: 'delete', fromRevision: revision + 1 } as const
            for await (const { events } of kv.watch({ ...options, signal: isOver }))
              await Promise.all(events.map(({ keyBytes }) => wantLeft(keyBytes)))
          } catch (error) {
            if (isOver.aborted) break
            if (isClosed(error)) throw error
            if (error instanceof CompactedError) continue
            report(error)
            await pause(RETRY_MS, isOver)
          }
        }
      } finally {
        over.abort()
        await Promise.all(underWay.values())
        for (const cancel of later.values()) cancel()
      }
      if (thrown !== undefined) throw thrown.error
    },
    get: async (id) => {
      checkValue('saga.get', 'id', id, isText)
      const found = await kv.get(stateKey(id))
      return found && viewOf(id, recordIn(found))
    },
    unfinished: () => unfinished(),
    forget: async (id) => {
      checkValue('saga.forget', 'id', id, isText)
      const key = stateKey(id)
      const found = await kv.get(key)
      if (found === undefined) return false
      if (!hasEnded(recordIn(found))) {
        throw new QuorateError(`saga ${id} has not ended: its record is still needed`, {
          code: 'saga_unfinished',
          written: 'no',
        })
      }
      // It may have been forgotten meanwhile, and another one may have begun with its id.
      const isEnded = { key, target: 'mod_revision', op: '=', to: found.modRevision } as const
      return (await kv.txn({ compare: [isEnded], success: [{ delete: { key } }] })).succeeded
    },
  }
}

// ---------------------------------------------------------------------------------------------------------------------

type Attempted =
  | { readonly ok: true; readonly result: unknown }
  | {
      readonly ok: false
      readonly error: unknown
      readonly result?: undefined
    }

async function attempt(act: () => unknown): Promise<Attempted> {
  try {
    return { ok: true, result: await act() }
  } catch (error) {
    return { ok: false, error }
  }
}

function goOn({ held, signal }: Running): void {
  held.throwIfLost()
  if (!signal.aborted) return
  const message = 'the saga, which resume() goes on with, was aborted'
  throw new AbortedError(message, { code: 'aborted', written: 'unknown', cause: signal.reason })
}

/** As it will be read: a run that goes on after a crash and one without a crash see the same. */
function plain(value: unknown): unknown {
  const json: string | undefined = JSON.stringify(value ?? null)
  if (json === undefined) throw new TypeError(`a ${typeof value} cannot be recorded: it is not JSON`)
  const recorded: unknown = JSON.parse(json)
  if (isDeeper(recorded, DEPTH_MAX))
    throw new TypeError(`what is nested more than ${DEPTH_MAX} deep cannot be recorded`)
  return recorded
}

const isDeeper = (value: unknown, levels: number): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (levels === 0 || Object.values(value).some((each) => isDeeper(each, levels - 1)))

/** The fault is that of what should be recorded: it is not JSON, or too large. */
const isUnrecordable = (error: unknown): boolean => !(error instanceof QuorateError) || isTooLarge(error)

const hasEnded = ({ status }: Pick<SagaRecord, 'status'>): boolean =>
  status === 'completed' || status === 'compensated'

const resultsOf = ({ steps }: SagaRecord): Readonly<Record<string, unknown>> =>
  Object.fromEntries(steps.map(({ name, result }) => [name, result]))

const outcomeOf = (id: string, record: SagaRecord): SagaOutcome => ({
  id,
  status: record.status === 'completed' ? 'completed' : 'compensated',
  results: resultsOf(record),
  failure: record.failure ?? undefined,
})

const viewOf = (id: string, { input, status, steps, compensated, failure }: SagaRecord): SagaView => ({
  id,
  status,
  input,
  steps: steps.map(({ name }) => name),
  compensated,
  failure: failure ?? undefined,
})

const takenOver = (id: string, cause?: unknown) =>
  new SagaTakenOverError(
    `saga ${id}: this process has lost it: resume(), or run() with its input, goes on with it, here or elsewhere`,
    {
      code: 'saga_taken_over',
      written: 'unknown',
      cause,
    },
  )

const fresh = (input: unknown): SagaRecord => ({
  input,
  status: 'running',
  steps: [],
  compensated: [],
  failure: null,
  nonce: randomUUID(),
})

const notFound = (id: string) =>
  new QuorateError(`there is no saga ${id}: it was forgotten meanwhile`, { code: 'not_found', written: 'no' })

/** Nothing is to be done here: another process runs it, or has ended it, and it was forgotten since it was listed. */
const isElsewhere = (error: unknown): boolean =>
  error instanceof LockNotTakenError || (error instanceof QuorateError && error.code === 'not_found')

/** Not of a call that the client or a node has refused. */
const isOfSaga = ({ code }: QuorateError): boolean => code === 'not_found' || code.startsWith('saga_')

/** Of another try the same may be asked. */
const isTransient = (error: unknown): boolean =>
  error instanceof QuorateError &&
  !(error instanceof AbortedError || error instanceof SagaTakenOverError) &&
  !(error.code === 'closed' || isStrange(error) || isForbidden(error)) &&
  (error.status === undefined || isPassing(error) || isFull(error) || error.written === 'unknown')

const STATUSES: readonly unknown[] = ['running', 'compensating', 'completed', 'compensated']

function recordIn(found: KvRecord): SagaRecord {
  const json = jsonIn(found)
  const { input, status, steps, compensated, failure, nonce } = Object(json) as SagaRecord
  const isList = (list: unknown, is: (each: unknown) => boolean) => Array.isArray(list) && list.every(is)
  const isStep = (step: unknown) => typeof Object(step).name === 'string'
  const isName = (name: unknown) => typeof name === 'string'
  if (STATUSES.includes(status) && isList(steps, isStep) && isList(compensated, isName))
    return { input, status, steps, compensated, failure, nonce }
  const message = `the key ${found.key} was not written by a saga of this version: delete it, or use the version that has written it`
  throw new QuorateError(message, { code: 'saga_unknown_record', written: 'no' })
}

function jsonIn(found: KvRecord): unknown {
  try {
    return found.json()
  } catch {
    return undefined
  }
}

const isStrange = (error: unknown): boolean =>
  error instanceof QuorateError && error.code === 'saga_unknown_record'

function checkSteps(steps: unknown): void {
  checkValue('saga', 'steps', steps, isStepList)
}

const isStepList: Check = (value) => {
  if (!Array.isArray(value) || value.length === 0) return 'a list of steps that is not empty'
  const names = new Set<unknown>()
  for (const step of value) {
    const { name, run, compensate } = Object(step) as Partial<Record<string, unknown>>
    if (isText(name) !== undefined) return 'a list of steps, each with a name'
    if (typeof run !== 'function')
      return `a list of steps, each with a function run (${String(name)} has none)`
    if (compensate !== undefined && typeof compensate !== 'function')
      return `a list of steps, whose compensate is a function (that of ${String(name)} is none)`
    if (names.has(name)) return `a list of steps with different names (${String(name)} is there twice)`
    names.add(name)
  }
  return undefined
}

/** What was recorded must be the beginning of the steps. */
function checkRecorded({ id, record }: Running, steps: readonly { name: string }[]): void {
  const stranger = record.steps.find(({ name }, at) => steps[at]?.name !== name)
  if (stranger === undefined) return
  const message = `saga ${id} has recorded the step ${stranger.name}, which is not there in the steps given: give it the steps that it has begun with`
  throw new QuorateError(message, { code: 'saga_steps_differ', written: 'no' })
}

const isConcurrency: Check = (value) =>
  isBound(value) === undefined && Number(value) <= CONCURRENCY_MAX
    ? undefined
    : `a whole number from 1 to ${CONCURRENCY_MAX}`

const RESUME = { signal: isSignal, concurrency: isConcurrency }
const OPTIONS = { ttlMs: isLeaseTime, attemptsMax: isBound, retryMs: isTimeout, onProblem: isFunction }
