// Leader election: of the processes that want to lead, one does.
//
// Promise: candidates lead in the order in which they came. The token of each leader is greater than those of all
// before. What a leader writes with `put` and `txn` is done only while it leads. `runAsLeader` runs the body only while
// its process leads, fires `signal` before another one can begin, and runs the body again when it leads again.
//
// Limits: those of lock.ts: a process that was stopped goes on for a moment before it learns that it leads no more.
// Give `token` to other systems that the leader changes. The body must end when `signal` fires: until it does, this
// process is no candidate. When a leader dies, the next one begins after its lease has ended (`ttlMs`).
//
// Key: election/NAME/LEASE     the value of the candidate, with that lease; the first that was created is the leader's

import type { CallOptions, Client, KvRecord } from '../client/index.ts'
import { type Check, checkOptions, checkValue, isBytes, isFunction, isSignal } from '../client/validators.ts'
import { CALL, isLeaseTime, LOCK } from './checks.ts'
import { type HeldLock, type LockClient, type LockOptions, takeIn } from './line.ts'
import { type KeyPlace, placeOf } from './place.ts'
import { isFull, isPassing } from './waiting.ts'
import { changeAfter, pause } from './watching.ts'

/** The pause before it is a candidate again, after the cluster could not be asked. */
const AGAIN_MS = 1_000

export interface Leadership extends Omit<HeldLock, 'release' | 'leftMs' | typeof Symbol.asyncDispose> {
  /** Fires before another process can lead, and when the `signal` of `runAsLeader` fires. */
  readonly signal: AbortSignal
}

export interface CampaignOptions extends LockOptions {
  /** Of this candidate, for `leaderOf`: its address, for example. Default: empty. */
  readonly value?: string | Uint8Array | undefined
}

export interface LeaderOptions {
  /** Of this candidate, for `leaderOf`: its address, for example. Default: empty. */
  readonly value?: string | Uint8Array | undefined
  /** After so long without its process another one leads. From 1,000 on. Default 10,000. */
  readonly ttlMs?: number | undefined
  /** Ends it: no candidate any more. A body that runs is told by its own signal, and waited for. */
  readonly signal?: AbortSignal | undefined
  /** Of each call to the cluster. Default: that of the client. */
  readonly timeoutMs?: number | undefined
  /**
   * Called when the cluster could not be asked or is full, and when a body has thrown after it had lost the lead. It
   * goes on.
   * Default: `process.emitWarning`.
   */
  readonly onError?: ((error: unknown) => void) | undefined
}

/** Waits until this process leads. It leads until `release`, or until its lease ends. */
export async function campaign(
  kv: LockClient,
  name: string | Uint8Array,
  options: CampaignOptions = {},
): Promise<HeldLock> {
  const { prefix, key } = placeOf('campaign', 'election', name)
  checkOptions('campaign', options, CAMPAIGN)
  const { value, ...lock } = options
  return takeIn(kv, { what: 'campaign', key, before: prefix, served: 1, value }, lock)
}

/**
 * Runs `body` while this process leads, and returns what it returns. If the lead was lost before the body has ended,
 * what it returns or throws does not count: this process is a candidate again. What it throws as the leader is thrown.
 * When `signal` fires, the body's end is the end; if none was running, an `AbortError` is thrown.
 */
export async function runAsLeader<T>(
  kv: LockClient,
  name: string | Uint8Array,
  body: (leadership: Leadership) => T | Promise<T>,
  options: LeaderOptions = {},
): Promise<T> {
  checkValue('runAsLeader', 'body', body, isFunction)
  checkOptions('runAsLeader', options, RUN)
  const { signal, onError = warn, ...candidate } = options
  for (;;) {
    let lead: HeldLock
    try {
      lead = await campaign(kv, name, { ...candidate, signal })
    } catch (error) {
      if (!isPassing(error) && !isFull(error)) throw error
      onError(error)
      await pause(AGAIN_MS, signal)
      continue
    }
    const { token, key, guard, put, txn, throwIfLost } = lead
    const isOver = signal === undefined ? lead.signal : AbortSignal.any([lead.signal, signal])
    // A body that has kept the process busy may have ended before the signal could fire: the clock decides.
    const isEnd = () => lead.leftMs > 0 || signal?.aborted === true
    try {
      const result = await body({ token, key, signal: isOver, guard, put, txn, throwIfLost })
      if (isEnd()) return result
    } catch (error) {
      if (isEnd()) throw error
      onError(error)
    } finally {
      await lead.release({ timeoutMs: candidate.timeoutMs })
    }
  }
}

/** The key of the process that leads: its value, and `createRevision`, which is the token. undefined: none leads. */
export async function leaderOf(
  kv: Pick<Client, 'txn'>,
  name: string | Uint8Array,
  options: CallOptions = {},
): Promise<KvRecord | undefined> {
  const place = placeOf('leaderOf', 'election', name)
  checkOptions('leaderOf', options, CALL)
  return (await readLeader(kv, place, options)).leader
}

/**
 * The leader now, and again after each change; undefined: none leads. Of changes that follow each other faster than
 * they are read it shows the last. It ends with `break`, or its signal (`AbortError`).
 */
export async function* followLeader(
  kv: Pick<Client, 'txn' | 'watch'>,
  name: string | Uint8Array,
  options: { readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<KvRecord | undefined, void, undefined> {
  const place = placeOf('followLeader', 'election', name)
  checkOptions('followLeader', options, { signal: isSignal })
  const { signal } = options
  let last: number | undefined
  for (;;) {
    try {
      const { leader, revision } = await readLeader(kv, place, { signal })
      const token = leader?.createRevision ?? 0
      if (token !== last) yield leader
      last = token
      // A put can change the leader only while there is none.
      const only = leader === undefined ? 'put' : 'delete'
      await changeAfter(kv, { prefix: place.prefix, keysOnly: true, only }, revision, signal)
    } catch (error) {
      if (!isPassing(error)) throw error
      await pause(AGAIN_MS, signal)
    }
  }
}

/** The value is read alone: those of all candidates may be more than an answer may have. */
async function readLeader(
  kv: Pick<Client, 'txn'>,
  { prefix }: KeyPlace,
  options: CallOptions,
): Promise<{ readonly leader: KvRecord | undefined; readonly revision: number }> {
  for (;;) {
    const { results, revision } = await kv.txn({ success: [{ get: { prefix, keysOnly: true } }] }, options)
    const [first] = (results[0]?.get?.kvs ?? []).toSorted((a, b) => a.createRevision - b.createRevision)
    if (first === undefined) return { leader: undefined, revision }
    const { keyBytes: key, createRevision: to } = first
    const compare = [{ key, target: 'createRevision', op: '=', to }] as const
    const read = await kv.txn({ compare, success: [{ get: { key } }] }, options)
    const leader = read.results[0]?.get?.kvs?.[0]
    if (leader !== undefined) return { leader, revision }
  }
}

const warn = (error: unknown): void =>
  process.emitWarning(
    `runAsLeader: ${error instanceof Error ? error.message : String(error)}`,
    'QuorateWarning',
  )

const CAMPAIGN = { ...LOCK, value: isBytes }
const RUN: Readonly<Record<keyof LeaderOptions, Check>> = {
  ...CALL,
  value: isBytes,
  ttlMs: isLeaseTime,
  onError: isFunction,
}
