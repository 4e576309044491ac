// Compares the lifetimes that clients were promised with the lifetimes of leases in the log.
//
// - early: a lease does not expire before its time to live has passed since the last promise. This is true time, less
//   the drift of clocks.
// - late: while one leader writes entries, a lease does not exist much longer than its deadline. So no leader begins
//   its time to live anew.
// - time: while there are leases, an entry has the time at least once in a checkpoint time.
// - log: a lease ends once, after it has begun, and only by an entry.
// - keys: when a lease ends, exactly the keys are deleted whose last put named it. A put without a lease detaches a
//   key, and a put with another lease moves it. A lease with many keys ends in parts. From the first one on it does not
//   exist, but for the keys that it still has.
// - alive: no key is attached to a lease that does not exist.
//
// A promise is an answered grant or keep-alive. The time to live counts from a moment between request and answer; the
// earliest one is used. The cluster time of a leader may be ahead of its predecessor's by the drift since the last
// entry that both know. That entry set the deadline, or is later. Hence the bound of `earliestEnd`.
//
// In a real run the entries come from a watch of all keys: puts with their leases, and deletes. A delete has no reason,
// so `expired` is known only for leases that no client has revoked. Without `term` and `clusterMs`, `late` and `time`
// are not judged.

interface LeaseRecord {
  readonly promises: readonly LeasePromise[]
  /** Entries about leases, in the order of the log. */
  readonly entries: readonly LeaseEntry[]
}

export interface LeasePromise {
  readonly id: string
  readonly ttlMs: number
  /** When it was asked for, in true time. */
  readonly askedMs: number
  /** When a grant was answered: a lease with this id that has ended before was another one. */
  readonly grantedMs?: number | undefined
  readonly node: string
}

export interface LeaseEntry {
  /** When its effect was first seen, in true time. */
  readonly atMs: number
  readonly term?: number | undefined
  /** Cluster time. */
  readonly clusterMs?: number | undefined
  /** How much longer than their time to live leases are kept in the log. */
  readonly checkpointMs: number
  readonly changes: readonly LeaseChange[]
}

export type LeaseChange =
  | {
      readonly what: 'granted' | 'renewed'
      readonly id: string
      readonly ttlMs: number
      readonly deadlineMs: number
    }
  /**
   * The changes before it in the same entry have deleted its keys. `replaced`: it was made for one key, which has it no
   * longer.
   */
  | { readonly what: 'expired' | 'revoked' | 'replaced'; readonly id: string }
  /** The changes before it in the same entry have deleted a part of its keys. */
  | { readonly what: 'part'; readonly id: string; readonly why: 'expired' | 'revoked' }
  | { readonly what: 'put'; readonly key: string; readonly lease: string | undefined }
  | { readonly what: 'deleted'; readonly key: string }

export type LeaseGuarantee = 'early' | 'late' | 'time' | 'log' | 'keys' | 'alive'

export interface LeaseAnomaly {
  readonly guarantee: LeaseGuarantee
  /** The rule in docs/invariants.md. */
  readonly promise: 'KV-23' | 'KV-24' | 'KV-25'
  readonly lease: string
  readonly message: string
}

interface LeaseCheckOptions {
  /** How much faster than true time the clock of a node may run, a fraction; undefined: without a bound. */
  readonly driftMax: number | undefined
  /** Patience with a leader that cannot write, by the time of the entry. Infinity: `late` and `time` are not judged. */
  readonly lateMs: (atMs: number) => number
}

const PROMISES = {
  early: 'KV-24',
  late: 'KV-25',
  time: 'KV-25',
  log: 'KV-23',
  keys: 'KV-23',
  alive: 'KV-23',
} as const

/** Cluster time is in whole milliseconds. */
const ROUNDING_MS = 2

interface LeaseState {
  readonly ttlMs: number
  readonly deadlineMs: number
  /** A part of its keys is deleted. */
  readonly isEnding?: true
}

export function checkLeases({ promises, entries }: LeaseRecord, options: LeaseCheckOptions): LeaseAnomaly[] {
  const anomalies: LeaseAnomaly[] = []
  const found = (guarantee: LeaseGuarantee, lease: string, message: string): void => {
    anomalies.push({ guarantee, promise: PROMISES[guarantee], lease, message: `lease ${lease} ${message}` })
  }
  const promisesOf = Map.groupBy(promises, ({ id }) => id)
  const leases = new Map<string, LeaseState>()
  /** When a lease with this id ended last: promises from before are not those of the next one. */
  const ended = new Map<string, number>()
  /** The lease of each key that has one. */
  const attached = new Map<string, string>()
  let before: LeaseEntry | undefined
  let checkpointMs = 0
  /** Cluster time at which the present leader has written its first entry. */
  let leadsSinceMs = 0
  for (const entry of entries) {
    checkpointMs = Math.max(checkpointMs, entry.checkpointMs)
    const isNewTerm = before?.term !== entry.term
    if (isNewTerm) leadsSinceMs = entry.clusterMs ?? 0
    judgeTime(entry, isNewTerm ? undefined : before, leases, leadsSinceMs, options, found)
    /** Keys that were deleted by this entry, and the lease that each had. */
    const deleted: { readonly key: string; readonly lease: string | undefined }[] = []
    for (const change of entry.changes) {
      switch (change.what) {
        case 'granted':
        case 'renewed': {
          const { what, id, ttlMs, deadlineMs } = change
          if (leases.has(id) !== (what === 'renewed'))
            found('log', id, what === 'renewed' ? 'is renewed, and there is none' : 'is granted twice')
          else if (leases.get(id)?.isEnding) found('log', id, 'is renewed, and some of its keys are deleted')
          leases.set(id, { ttlMs, deadlineMs })
          break
        }
        case 'put':
          if (change.lease === undefined) attached.delete(change.key)
          else {
            const isNew = attached.get(change.key) !== change.lease
            attached.set(change.key, change.lease)
            if (!leases.has(change.lease))
              found('alive', change.lease, `has the key ${change.key}, and does not exist`)
            else if (isNew && leases.get(change.lease)?.isEnding)
              found('alive', change.lease, `gets the key ${change.key}, and is ending`)
          }
          break
        case 'deleted':
          deleted.push({ key: change.key, lease: attached.get(change.key) })
          attached.delete(change.key)
          break
        case 'part':
        case 'expired':
        case 'revoked':
        case 'replaced': {
          const lease = leases.get(change.id)
          // It has ended with the first part.
          if (!lease?.isEnding)
            judgeEnd(
              change,
              entry,
              (promisesOf.get(change.id) ?? []).filter(
                ({ askedMs }) => askedMs >= (ended.get(change.id) ?? 0),
              ),
              checkpointMs,
              options,
              found,
            )
          if (lease === undefined) found('log', change.id, 'ends, and there is none')
          judgeKeys(change, deleted, attached, found)
          if (change.what !== 'replaced') deleted.length = 0
          if (change.what === 'part') {
            if (lease !== undefined) leases.set(change.id, { ...lease, isEnding: true })
            break
          }
          ended.set(change.id, entry.atMs)
          leases.delete(change.id)
          break
        }
      }
    }
    before = entry
  }
  return anomalies
}

type FoundLease = (guarantee: LeaseGuarantee, lease: string, message: string) => void

/** Checks what the time of an entry says of the leases that there are before it. */
function judgeTime(
  { clusterMs }: LeaseEntry,
  before: LeaseEntry | undefined,
  leases: ReadonlyMap<string, LeaseState>,
  leadsSinceMs: number,
  { lateMs }: LeaseCheckOptions,
  found: FoundLease,
): void {
  if (clusterMs === undefined || before?.clusterMs === undefined) return
  const patienceMs = lateMs(before.atMs)
  const [first] = leases
  if (first !== undefined && clusterMs - before.clusterMs > before.checkpointMs + patienceMs)
    found('time', first[0], `exists, and no entry tells the time from ${before.clusterMs} to ${clusterMs}`)
  for (const [id, { deadlineMs }] of leases)
    if (before.clusterMs > Math.max(deadlineMs, leadsSinceMs) + patienceMs)
      found('late', id, `is there at ${before.clusterMs}, and its deadline was ${deadlineMs}`)
}

type LeaseEnd = Extract<LeaseChange, { readonly what: 'part' | 'expired' | 'revoked' | 'replaced' }>

function judgeEnd(
  change: LeaseEnd,
  { atMs }: LeaseEntry,
  promises: readonly LeasePromise[],
  checkpointMs: number,
  { driftMax }: LeaseCheckOptions,
  found: FoundLease,
): void {
  const { id } = change
  const why = change.what === 'part' ? change.why : change.what
  if (why !== 'expired' || driftMax === undefined) return
  for (const promise of promises) {
    const endMs = earliestEnd(promise, checkpointMs, driftMax)
    if ((promise.grantedMs ?? promise.askedMs) > atMs || atMs >= endMs) continue
    found(
      'early',
      id,
      `expires at ${ms(atMs)}, and ${promise.node} had promised at ${ms(promise.askedMs)} that it lives for ${promise.ttlMs} ms`,
    )
    return
  }
}

/**
 * The entry that set the deadline was written at most a checkpoint time before the promise. From then on cluster time
 * is faster than true time by the drift at most.
 */
const earliestEnd = ({ askedMs, ttlMs }: LeasePromise, checkpointMs: number, driftMax: number): number =>
  askedMs + (ttlMs - checkpointMs * driftMax) / (1 + driftMax) - ROUNDING_MS

function judgeKeys(
  { what, id }: LeaseEnd,
  deleted: readonly { readonly key: string; readonly lease: string | undefined }[],
  attached: ReadonlyMap<string, string>,
  found: FoundLease,
): void {
  if (what !== 'part')
    for (const [key, lease] of attached)
      if (lease === id) found('keys', id, `ends as ${what}, and its key ${key} stays`)
  if (what === 'replaced') return
  for (const { key, lease } of deleted)
    if (lease !== id)
      found(
        'keys',
        id,
        `ends as ${what}, and deletes ${key}, ${lease === undefined ? 'which has no lease' : `a key of ${lease}`}`,
      )
}

const ms = (time: number): string => `${time.toFixed(1)} ms`
