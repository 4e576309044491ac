// A schedule is plain JSON: operations and faults, with their times. `run.ts` interprets it. It consists of named
// fields with numbers, names and lists. Every valid value has a meaning at every moment, so that a part can be removed
// and the rest still runs. A machine is a number modulo the number of machines, or a role. Times are virtual ms from
// the start.

import type { SimFault } from '../faults/fault-kinds.ts'
import type { TriggerWait } from '../faults/trigger-wait.ts'
import type { WrongRuleName } from '../wrong-rules.ts'
import type { SimConfig } from './config.ts'
import type { MachineTarget } from './shape.ts'

export const SCHEDULE_VERSION = 2

export interface Schedule {
  readonly version: typeof SCHEDULE_VERSION
  /** Seed of all random decisions during the run: delays, losses, election timeouts. */
  readonly seed: number
  /** The wrong rule of all nodes. Absent: they have the rules as they are. */
  readonly rule?: WrongRuleName
  readonly config: SimConfig
  readonly ops: readonly ScheduledOp[]
  readonly faults: readonly SimFault[]
  /** Clients that use a recipe (../recipes). Absent: there are none. */
  readonly recipe?: RecipePlan
}

/** Recipes that such clients use. */
export const RECIPES = ['lock', 'queue', 'election'] as const
export type Recipe = (typeof RECIPES)[number]

interface RecipePlan {
  readonly name: Recipe
  /** Each is a process with several clients. */
  readonly processes: number
  readonly faults: readonly ClientFault[]
}

/**
 * Fault of a process of clients. stop: it stands still for `ms`; kill: it ends, and another one begins after `ms`; cut:
 * nothing passes between it and the machine `node` for `ms`.
 */
export interface ClientFault extends TriggerWait {
  readonly at: number
  readonly kind: (typeof CLIENT_FAULTS)[number]
  readonly client: number
  readonly node: MachineTarget
  readonly ms: number
}

export const CLIENT_FAULTS = ['stop', 'kill', 'cut'] as const

/** Operations of `store-clients.ts` and `watchers.ts`. */
export const STORE_OPS = [
  'txn',
  'append',
  'delete-range',
  'read-at',
  'compact',
  'history',
  'grant',
  'attach',
  'keep-alive',
  'revoke',
  'watch',
  'unwatch',
] as const
export type StoreOp = (typeof STORE_OPS)[number]

/** Operations of `store-clients.ts` in schedules whose users have rights (`themes/rights.ts`). */
export const RIGHTS_OPS = ['permitted', 'rights'] as const
export type RightsOp = (typeof RIGHTS_OPS)[number]

/** Operations of `lock-clients.ts`. A person chooses them; no schedule is drawn with them. */
export const LOCK_OPS = ['lock', 'release', 'write', 'fenced-write', 'stand-still'] as const
export type LockOp = (typeof LOCK_OPS)[number]

export const OP_KINDS = [
  'put',
  'get',
  'del',
  'cas',
  'create',
  'range',
  'once',
  'again',
  'reuse',
  'stale',
  'lease',
  'prev',
  'settings',
  'session',
  'slot',
  'slot-again',
  'batch',
  ...STORE_OPS,
] as const
export type OpKind = (typeof OP_KINDS)[number]

/** All kinds of operations. */
export const ALL_OPS = [...OP_KINDS, ...RIGHTS_OPS, ...LOCK_OPS] as const

export const isLockOp = (kind: string): kind is LockOp => LOCK_OPS.some((one) => one === kind)

/**
 * put, del: a put, a delete; cas: put or delete if the revision is the one that the client saw last; create: put if
 * absent; range: a list, in slices; get, lease, stale: reads; once: a change with a new idempotency token, in half of
 * the cases with a condition; again: repeats the client's last request with its token; reuse: its token with another
 * request; prev: a put that asks for the row before; settings: a replicated limit; session: opens a session; slot: a
 * change or a batch in a slot of the client's session, whether or not the client waits for other answers; slot-again:
 * repeats a request of a slot, perhaps while its first answer is awaited, or after the slot has gone on; batch: several
 * changes in one request.
 *
 * On keys of their own: txn: a transaction; append: an element is added to lists, by two transactions; delete-range;
 * read-at: a list at an earlier revision, or a lease; compact; history: a setting of history or of leases; grant,
 * keep-alive, revoke: of leases; attach: a put with or without a lease, or a delete; watch: a client begins a watch;
 * unwatch: it loses its connection, and continues at this machine.
 *
 * rights: root changes users or roles, or has rights checked from now on; permitted: a change by another user, who may
 * have no right to it.
 *
 * lock, release: of the lock; write, fenced-write: of the key that it protects, the latter with the fencing token;
 * stand-still: the process of the client stands still for `x` ms.
 */
export interface ScheduledOp extends TriggerWait {
  readonly at: number
  readonly kind: (typeof ALL_OPS)[number]
  readonly client: number
  /** The machine that gets the request. */
  readonly node: MachineTarget
  readonly key: number
  readonly x: number
}
