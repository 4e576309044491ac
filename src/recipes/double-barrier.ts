// A double barrier: a number of processes start together and finish together.
//
// Promise: `enter` returns only when at least `count` live processes have entered. `leave` returns only when each of
// them has left or died. A process that comes during a round waits for the next one.
//
// Limits: a process is alive while its lease is, so a paused one counts until its lease expires (`ttlMs`). All must
// give the same `count`, up to 100, because the start of a round compares one key of each process.
//
// Keys: doublebarrier/NAME/in/LEASE     of each process that has entered, empty, with that lease
//       doublebarrier/NAME/begun        exists during a round: from the last `enter` to the last `leave`. It names the
//                                       leases of its processes. If all have died, the next process that comes
//                                       deletes it.
//
// Invariant: `begun` is created in a transaction that compares the keys of `count` processes, and that there are no
// keys under `in/` but those of the leases that it names. While it exists, no key is added there. So a process whose
// lease it does not name knows that an import has restored it, and deletes it. Otherwise it is deleted only when no key
// is left under `in/`.

import {
  type CallOptions,
  type Client,
  type Session,
  SessionLostError,
  type TxnComparison,
} from '../client/index.ts'
import { type Check, checkOptions, checkValue } from '../client/validators.ts'
import { BarrierNotPassedError, type WaitOptions } from './barrier.ts'
import type { LockOptions } from './fair-lock-queue.ts'
import { isOwned } from './foreign-keys.ts'
import { keySpace } from './key-space.ts'
import { CALL_OPTIONS, isWait, LOCK_OPTIONS } from './option-checks.ts'
import { isLeaseGone } from './transient-errors.ts'
import { type PendingWait, REVOKE_WAIT_MS, waitUntil } from './wait-until.ts'
import { anySignal } from './watch-helpers.ts'

const COUNT_MAX = 100
const TTL_MS = 10_000

export interface Entered {
  /** Fires before the cluster can have taken this process for dead. */
  readonly signal: AbortSignal
  /** Waits until all others have left as well. This process has left, even if the call throws. */
  leave(options?: WaitOptions): Promise<void>
}

export interface DoubleBarrier {
  /** Throws a `BarrierNotPassedError` after `waitMs`, and a `SessionLostError` if the lease has expired. */
  enter(options?: LockOptions): Promise<Entered>
}

/** `count`: number of processes in a round, from 1 to 100. */
export function doubleBarrier(
  kv: Pick<Client, 'txn' | 'watch' | 'session'>,
  name: string | Uint8Array,
  count: number,
): DoubleBarrier {
  const space = keySpace('doubleBarrier', 'doublebarrier', name)
  checkValue('doubleBarrier', 'count', count, isCount)
  const inside = space.key('in', '')
  const begun = space.key('begun')
  const created = (key: Uint8Array, to: number): TxnComparison => ({
    key,
    target: 'createRevision',
    op: '=',
    to,
  })

  async function read(call: CallOptions) {
    const { results, revision } = await kv.txn(
      { success: [{ get: { key: begun } }, { get: { prefix: inside, keysOnly: true } }] },
      call,
    )
    const members = (results[1]?.get?.kvs ?? []).filter((record) => isOwned('double barrier', record))
    const record = results[0]?.get?.kvs?.[0]
    const round = record?.createRevision
    return { round, names: record?.text().split(',') ?? [], members, revision }
  }

  /** No key of a live process is left. Keys without a lease belong to no process. */
  const endRound = (round: number, call: CallOptions) => {
    const isEmpty = { prefix: inside, target: 'lease', op: '=', to: '0' } as const
    return kv.txn({ compare: [created(begun, round), isEmpty], success: [{ delete: { key: begun } }] }, call)
  }

  /** Takes the next step towards the start of a round with this process, until the round has started. */
  async function entered(
    session: Session,
    call: CallOptions,
  ): Promise<{ readonly round: number } | PendingWait> {
    const { lease } = session
    const own = space.key('in', lease)
    for (;;) {
      const { round, names, members, revision } = await read(call)
      const isIn = members.some((member) => member.lease === lease)
      const pending: PendingWait = { revision, watch: { prefix: space.prefix, keysOnly: true } }
      if (round !== undefined) {
        if (isIn && names.includes(lease)) return { round }
        if (isIn)
          await kv.txn({ compare: [created(begun, round)], success: [{ delete: { key: begun } }] }, call)
        else if (members.length > 0) return pending
        else await endRound(round, call)
      } else if (!isIn) {
        const compare = [created(begun, 0)]
        await kv.txn({ compare, success: [{ put: { key: own, value: '', lease } }] }, call)
      } else if (members.length >= count) {
        const all = members.slice(0, COUNT_MAX)
        const compare = [
          created(begun, 0),
          ...all.map(({ keyBytes, createRevision }) => created(keyBytes, createRevision)),
          { prefix: inside, target: 'createRevision', op: '<', to: revision + 1 } as const,
        ]
        const value = members.map((member) => member.lease).join()
        await kv.txn({ compare, success: [{ put: { key: begun, value } }] }, call)
      } else return pending
    }
  }

  async function left(round: number, call: CallOptions): Promise<object | PendingWait> {
    for (;;) {
      const { round: current, members, revision } = await read(call)
      if (current !== round) return {}
      if (members.length > 0) return { revision, watch: { prefix: space.prefix, keysOnly: true } }
      await endRound(round, call)
    }
  }

  const timeoutError = (what: string, waitMs: number) => () =>
    new BarrierNotPassedError(`doubleBarrier.${what}: the others were missing after ${waitMs} ms`, {
      code: 'barrier_not_passed',
      written: 'no',
    })

  async function leave(session: Session, round: number, options: WaitOptions): Promise<void> {
    checkOptions('doubleBarrier.leave', options, { ...CALL_OPTIONS, waitMs: isWait })
    const { waitMs = Number.POSITIVE_INFINITY, timeoutMs } = options
    const { signal = new AbortController().signal } = options
    const untilMs = performance.now() + waitMs
    await session.close({ timeoutMs })
    const check = () => left(round, { signal, timeoutMs })
    await waitUntil(kv, check, { signal, untilMs, timeoutError: timeoutError('leave', waitMs) })
  }

  return {
    enter: async (options = {}) => {
      checkOptions('doubleBarrier.enter', options, LOCK_OPTIONS)
      const { ttlMs = TTL_MS, waitMs = Number.POSITIVE_INFINITY, signal, timeoutMs } = options
      const untilMs = performance.now() + waitMs
      const session = await kv.session({ ttlMs, signal, timeoutMs })
      try {
        const isOver = anySignal(session.signal, signal)
        const check = () => entered(session, { signal: isOver, timeoutMs })
        const controls = { signal: isOver, untilMs, timeoutError: timeoutError('enter', waitMs) }
        const { round } = await waitUntil(kv, check, controls)
        return { signal: session.signal, leave: (leaving = {}) => leave(session, round, leaving) }
      } catch (error) {
        const lost = isLeaseGone(error) ? leaseLost(error) : session.signal.reason
        await session.close({ timeoutMs: REVOKE_WAIT_MS })
        throw signal?.aborted === true ? error : (lost ?? error)
      }
    },
  }
}

const leaseLost = (cause: unknown): SessionLostError =>
  new SessionLostError('doubleBarrier.enter: the lease was revoked, or has expired', {
    code: 'session_lost',
    written: 'no',
    cause,
  })

const isCount: Check = (value) =>
  Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= COUNT_MAX
    ? undefined
    : `a whole number from 1 to ${COUNT_MAX}`
