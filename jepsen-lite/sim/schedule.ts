// A schedule is plain JSON that says what is done to a cluster, and when; `run.ts` interprets it. Everything in it is a flat number, so that
// fast-check can take it apart: whom a fault strikes is a number taken modulo what there is at that moment, or a role. Times are virtual ms
// from the start.

export const SCHEDULE_VERSION = 1

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
  /** 1: messages may vanish, double and overtake each other on a connection that stands: harder than TCP, and the core promises to bear it. */
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
  /** 0: all clocks are equal. 1: they drift within the promised bound. 2: beyond it, and jump; leases stay off. 3: each at one end of the bound. */
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

/** Tiny ones reach the seams. */
export interface Limits {
  readonly appendBytesMax: number
  readonly inflightMessagesMax: number
  readonly uncommittedEntriesMax: number
  readonly applyBytesMax: number
  readonly tailBytesMax: number
  readonly logTailEntries: number
  readonly logBehindEntries: number
  readonly compactEntriesMin: number
  /** From so many proposals under way at once on, fresh ones wait for company. */
  readonly gatherFrom: number
  readonly hashEveryEntries: number
  readonly hashIdleMs: number
  readonly idleFlushMs: number
  /** 0: applying pauses after every few entries. */
  readonly applySliceMs: number
  /** Rows in one chunk of a snapshot. */
  readonly chunkRows: number
  readonly scrubEveryMs: number
  /** Of the store's memory of rows: heads kept, and bytes of the filter. */
  readonly rowHeads: number
  readonly rowFilterBytes: number
}

/**
 * What a part of a schedule can wait for, instead of a time (moments.ts). elected, deposed: a leader takes office, or loses it; candidate: an
 * election begins; voted: a vote leaves, for another; hands-over: a leader asks its successor to take over; committed: a leader commits;
 * ahead: a replica applies what its own disk does not hold yet; reconfigured: it applies a change of the membership or of the leases; joint:
 * it enters a joint configuration; truncated: it has cut off the end of its log; answered: a client is told that its write is done; offered: a snapshot
 * begins to arrive, from another.
 */
export const MOMENTS = [
  'elected',
  'deposed',
  'candidate',
  'voted',
  'hands-over',
  'committed',
  'ahead',
  'reconfigured',
  'joint',
  'truncated',
  'answered',
  'offered',
] as const
export type Moment = (typeof MOMENTS)[number]

/** From its time on it waits for a while for such a moment, lets `after` ms pass, and happens; up to so many times. */
export interface Waiting {
  readonly when?: Moment
  readonly after?: number
  readonly times?: number
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
 * put, del; cas: put or delete if the revision is the one that the client saw last; create: put if absent; range; get, lease, stale: reads;
 * once: a put under a new idempotency token, again: the client's last request under its token once more; reuse: its token with another
 * request; prev: a put that asks for what was
 * there before; settings: a replicated limit.
 */
export interface Op extends Waiting {
  readonly at: number
  readonly kind: OpKind
  readonly client: number
  /** The machine that is asked; see `Fault.a`. */
  readonly node: number
  readonly key: number
  readonly x: number
}

export const FAULT_KINDS = [
  // network
  'partition',
  'isolate',
  'ring',
  'bridge',
  'one-way',
  'deaf',
  'flap',
  'break',
  'break-streams',
  'bend-chunk',
  'lossy',
  'slow-link',
  'late',
  'half-deaf',
  'witness',
  // process
  'crash',
  'crash-many',
  'storm',
  'stop',
  'pause',
  'slow-apply',
  'wipe',
  // disk
  'slow-disk',
  'fail-sync',
  'fail-read',
  'full-disk',
  'bit-flip',
  // clock
  'jump',
  // operators
  'join',
  'remove',
  'replace',
  'demote',
  'promote',
  'transfer',
  'leases',
] as const
export type FaultKind = (typeof FAULT_KINDS)[number]

/** `faults.ts` says what the numbers of each kind mean; all are natural numbers. */
export interface Fault extends Waiting {
  readonly at: number
  readonly kind: FaultKind
  /** Whom it strikes: a machine by its place, or one of the roles below. */
  readonly a: number
  readonly b: number
  /** How long it lasts. */
  readonly ms: number
  readonly x: number
  /** Of cuts: they end at such a moment about the same machine, if that comes first. */
  readonly until?: Moment
}

/** Whoever leads then; the follower, or any other, that comes first then. Smaller numbers are machines. */
export const LEADER = 12
export const FOLLOWER = 13
export const CANDIDATE = 14
/** Of what waits for a moment: whom that is about; with whom (+ 16); and of anything: one that leads no more, and does not know it (+ 32). */
export const SUBJECT = 15
export const OTHER = SUBJECT + 16
export const STALE = SUBJECT + 32
export const SELECTORS = 16

/** Refuses what is no schedule: files are edited by hand. */
export function parseSchedule(text: string): Schedule {
  const value: unknown = JSON.parse(text)
  const inner = isFields(value) && isFields(value.schedule) ? value.schedule : value
  if (!isSchedule(inner)) throw new RangeError('this is no schedule of version 1')
  return inner
}

type Fields = { readonly [name: string]: unknown }

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null

const isWaiting = ({ when, until }: Fields): boolean =>
  [when, until].every((moment) => moment === undefined || MOMENTS.some((one) => one === moment))

const areNumbers = (value: unknown, names: readonly string[]): boolean =>
  isFields(value) && names.every((name) => Number.isFinite(value[name]))

function isSchedule(value: unknown): value is Schedule {
  return (
    isFields(value) &&
    value.version === SCHEDULE_VERSION &&
    Number.isFinite(value.seed) &&
    areNumbers(value.config, ['nodes', 'ms', 'heartbeatMs', 'electionMinMs', 'electionMaxMs']) &&
    Array.isArray(value.ops) &&
    value.ops.every((op) => areNumbers(op, ['at', 'client', 'node', 'key', 'x'])) &&
    value.ops.every((op) => OP_KINDS.includes(op.kind) && isWaiting(op)) &&
    Array.isArray(value.faults) &&
    value.faults.every((fault) => areNumbers(fault, ['at', 'a', 'b', 'ms', 'x'])) &&
    value.faults.every((fault) => FAULT_KINDS.includes(fault.kind) && isWaiting(fault))
  )
}
