// A schedule is plain JSON that says what is done to a cluster, and when; `run.ts` interprets it. It is made of named
// fields that hold numbers, names and lists, and every valid value means something at every moment, so that a part can
// be taken out and the rest still runs: a machine is a number taken modulo how many there are, or a role. Times are
// virtual ms from the start.

import type { Fault } from './fault-kinds.ts'
import type { Limits } from './node-limits.ts'
import type { Target } from './shape.ts'
import type { Waiting } from './waiting.ts'

export const SCHEDULE_VERSION = 2

export interface Schedule {
  readonly version: typeof SCHEDULE_VERSION
  /** Of everything that chance decides while it runs: delays, losses, election time-outs. */
  readonly seed: number
  readonly config: Config
  readonly ops: readonly Op[]
  readonly faults: readonly Fault[]
}

/** The swarm's choices: what exists at all in this run, and how strong (testing: swarm configurations). */
export interface Config {
  /** Voters at the start. */
  readonly nodes: number
  /** Machines that are empty at the start and may join. */
  readonly spares: number
  /** 1: one node founds the cluster and the others join it, as in life. 0: all are formatted as its voters. */
  readonly grow: number
  /** When the faults end and the liveness phase begins. */
  readonly ms: number
  readonly heartbeatMs: number
  readonly electionMinMs: number
  readonly electionMaxMs: number
  readonly commitDelayMs: number
  /** Of a message: at least, and up to so much more; `tail`: one in so many takes 20 times as long (0: none). */
  readonly delayMs: number
  readonly jitterMs: number
  readonly tail: number
  /**
   * 1: messages may vanish, double and overtake each other on a connection that stands: harder than TCP, and the core
   * promises to bear it.
   */
  readonly harsh: number
  /** Of a thousand messages. */
  readonly lost: number
  readonly doubled: number
  /** 1: messages of one connection may overtake each other. */
  readonly reordered: number
  /** A connection on which nothing arrives for so long is given up; 0: never. */
  readonly silenceMs: number
  readonly writeMs: number
  readonly writeJitterMs: number
  readonly readMs: number
  /**
   * 0: all clocks are equal. 1: they drift within the promised bound. 2: beyond it, and jump; leases stay off. 3: each
   * at one end of the bound.
   */
  readonly clocks: number
  /** 1: leader leases are on from the start. */
  readonly leases: number
  /** How long a lease lasts, from the start on. */
  readonly leaseMs: number
  /** How soon a process that ended by itself is started again. */
  readonly restartMs: number
  readonly limits: Limits
  /** Keys that clients use. */
  readonly keys: number
  readonly clients: number
  readonly timeoutMs: number
}

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
] as const
export type OpKind = (typeof OP_KINDS)[number]

/**
 * put, del; cas: put or delete if the revision is the one that the client saw last; create: put if absent; range: a
 * list, in slices; get, lease, stale: reads; once: a change under a new idempotency token, with a condition as often as
 * not, again: the client's last request under its token once more; reuse: its token with another request; prev: a put
 * that asks for what was there before; settings: a replicated limit.
 */
export interface Op extends Waiting {
  readonly at: number
  readonly kind: OpKind
  readonly client: number
  /** The machine that is asked. */
  readonly node: Target
  readonly key: number
  readonly x: number
}
