// A double barrier: a number of processes begin together, and end together.
//
// Promise: `enter` returns only when at least `count` processes that live have entered, and `leave` only when each of
// them has left or died. Who comes while a round is under way waits for the next one.
//
// Limits: processes that live are those whose leases live, so a stopped one counts until its lease has ended (`ttlMs`);
// `signal` of the others does not tell of it. All must give the same `count`, up to 100: the beginning of a round
// compares a key of each.
//
// Keys: doublebarrier/NAME/in/LEASE     of each that has entered, empty, with that lease
//       doublebarrier/NAME/begun        exists from the moment when all have entered, until all have left; if all have
//                                       died, until somebody comes again

import {
  type CallOptions,
  type Client,
  type Session,
  SessionLostError,
  type TxnComparison,
} from '../client/index.ts'
import { type Check, checkOptions, checkValue } from '../client/validators.ts'
import { BarrierNotPassedError, type WaitOptions } from './barrier.ts'
import { CALL, isWait, LOCK } from './checks.ts'
import type { LockOptions } from './line.ts'
import { placeOf } from './place.ts'
import { GIVE_UP_MS, isWithoutLease, type NotYet, patienceOf, until } from './waiting.ts'

const COUNT_MAX = 100
const TTL_MS = 10_000

export interface Entered {
  /** Fires before the cluster can have taken this process for dead. */
  readonly signal: AbortSignal
  /** Waits until all others have left as well. This process has left, also if it throws. */
  leave(options?: WaitOptions): Promise<void>
}

export interface DoubleBarrier {
  /** A `BarrierNotPassedError` after `waitMs`, a `SessionLostError` if the lease has ended meanwhile. */
  enter(options?: LockOptions): Promise<Entered>
}

/** `count`: processes of a round, from 1 to 100. */
export function doubleBarrier(
  kv: Pick<Client, 'txn' | 'watch' | 'session'>,
  name: string | Uint8Array,
  count: number,
): DoubleBarrier {
  const place = placeOf('doubleBarrier', 'doublebarrier', name)
  checkValue('doubleBarrier', 'count', count, isCount)
  const inside = place.key('in', '')
  const begun = place.key('begun')
  const created = (key: Uint8Array, to: number): TxnComparison => ({
    key,
    target: 'createRevision',
    op: '=',
    to,
  })
  const isEmpty: TxnComparison = { prefix: inside, target: 'createRevision', op: '=', to: 0 }

  async function read(call: CallOptions) {
    const { results, revision } = await kv.txn(
      { success: [{ get: { key: begun } }, { get: { prefix: inside, keysOnly: true } }] },
      call,
    )
    return {
      round: results[0]?.get?.kvs?.[0]?.createRevision,
      members: results[1]?.get?.kvs ?? [],
      revision,
    }
  }

  /** The last one has left, or died. */
  const endRound = (round: number, call: CallOptions) =>
    kv.txn({ compare: [created(begun, round), isEmpty], success: [{ delete: { key: begun } }] }, call)

  /** Does the next thing that is to be done for this process to enter, until it has. */
  async function entered(session: Session, call: CallOptions): Promise<{ readonly round: number } | NotYet> {
    const { lease } = session
    const own = place.key('in', lease)
    for (;;) {
      const { round, members, revision } = await read(call)
      const isIn = members.some((member) => member.lease === lease)
      const change: NotYet = { revision, range: { prefix: place.prefix, keysOnly: true } }
      if (round !== undefined) {
        if (isIn) return { round }
        if (members.length > 0) return change
        await endRound(round, call)
      } else if (!isIn) {
        await kv.txn(
          {
            compare: [created(begun, 0), created(own, 0)],
            success: [{ put: { key: own, value: '', lease } }],
          },
          call,
        )
      } else if (members.length >= count) {
        const all = members
          .slice(0, COUNT_MAX)
          .map((member) => created(member.keyBytes, member.createRevision))
        await kv.txn(
          { compare: [created(begun, 0), ...all], success: [{ put: { key: begun, value: '' } }] },
          call,
        )
      } else return change
    }
  }

  async function left(round: number, call: CallOptions): Promise<object | NotYet> {
    for (;;) {
      const { round: now, members, revision } = await read(call)
      if (now !== round) return {}
      if (members.length > 0) return { revision, range: { prefix: place.prefix, only: 'delete' } }
      await endRound(round, call)
    }
  }

  const notWithin = (what: string, waitMs: number | undefined) => () =>
    new BarrierNotPassedError(`doubleBarrier.${what}: the others were not there within ${waitMs} ms`, {
      code: 'barrier_not_passed',
      written: 'no',
    })

  async function leave(session: Session, round: number, options: WaitOptions): Promise<void> {
    checkOptions('doubleBarrier.leave', options, { ...CALL, waitMs: isWait })
    const { waitMs, signal = new AbortController().signal, timeoutMs } = options
    const patience = patienceOf(waitMs)
    try {
      await session.close({ timeoutMs })
      const look = () => left(round, { signal, timeoutMs })
      await until(kv, look, { signal, patience: patience.signal, notWithin: notWithin('leave', waitMs) })
    } finally {
      patience.end()
    }
  }

  return {
    enter: async (options = {}) => {
      checkOptions('doubleBarrier.enter', options, LOCK)
      const { ttlMs = TTL_MS, waitMs, signal, timeoutMs } = options
      const patience = patienceOf(waitMs)
      try {
        const session = await kv.session({ ttlMs, signal, timeoutMs })
        try {
          const isOver = AbortSignal.any([session.signal, ...(signal ? [signal] : [])])
          const look = () => entered(session, { signal: isOver, timeoutMs })
          const waiting = { signal: isOver, patience: patience.signal, notWithin: notWithin('enter', waitMs) }
          const { round } = await until(kv, look, waiting)
          return { signal: session.signal, leave: (leaving = {}) => leave(session, round, leaving) }
        } catch (error) {
          const lost = isWithoutLease(error) ? lostBy(error) : session.signal.reason
          await session.close({ timeoutMs: GIVE_UP_MS })
          throw signal?.aborted === true ? error : (lost ?? error)
        }
      } finally {
        patience.end()
      }
    },
  }
}

const lostBy = (cause: unknown): SessionLostError =>
  new SessionLostError('doubleBarrier.enter: the lease was revoked, or has ended', {
    code: 'session_lost',
    written: 'no',
    cause,
  })

const isCount: Check = (value) =>
  Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= COUNT_MAX
    ? undefined
    : `a whole number from 1 to ${COUNT_MAX}`
