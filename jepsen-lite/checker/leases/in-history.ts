// The leases of a history with a log. A delete in the log that no request made is the end of a lease. Answers to
// clients show more than the log:
//
// - missing: no answer denies a lease while an earlier promise still holds.
// - back: no lease is used after its revocation was answered, or after its end appeared in the log. No two leases have
//   one id. In a complete history no lease is used that nobody was granted.
// - short: no answer gives a lease less time than its grant requested.
// - rest: after all faults, a lease ends soon after its time.

import type { History, HistoryCall, StoreCall } from '../../workload/history.ts'
import type { LogVerdict } from '../log/index.ts'
import {
  checkLeases,
  type LeaseAnomaly,
  type LeaseChange,
  type LeaseEntry,
  type LeasePromise,
} from './index.ts'

/** How much later than its time a new leader may end a lease: the setting lease_checkpoint_ms, unless it is changed. */
const CHECKPOINT_MS = 5_000
/** Limit on the delay of a request with an unknown outcome, and of a late end of a lease. */
const PATIENCE_MS = 5_000

export function checkLeasesInHistory(history: History, verdict: LogVerdict): LeaseAnomaly[] {
  const { clockDriftMax: driftMax = 0 } = history.header
  const promises = collectPromises(history, verdict)
  const ends = collectEnds(history, verdict)
  const record = { promises: promises.map(({ promise }) => promise), entries: leaseEntries(verdict, ends) }
  return [
    ...checkLeases(record, { driftMax, lateMs: () => Number.POSITIVE_INFINITY }),
    ...missing(history, promises, driftMax),
    ...back(history, verdict, ends),
    ...grantedTwice(history),
    ...grantedByNobody(history),
    ...shortened(history),
    ...late(history, verdict, ends),
  ]
}

interface PositionedPromise {
  readonly promise: LeasePromise
  /** The position of the answer. */
  readonly end: number
}

function collectPromises(history: History, { makers, doubtful, log }: LogVerdict): PositionedPromise[] {
  const promises: PositionedPromise[] = []
  const add = ({ node, startMs: askedMs, end }: HistoryCall | StoreCall, id: string, ttlMs: number): void => {
    promises.push({ promise: { id, ttlMs, askedMs, node }, end })
  }
  for (const call of history.storeCalls) {
    const { op, outcome } = call
    if (outcome.kind !== 'ok' || outcome.result.ttlMs === undefined) continue
    const { lease, ttlMs } = outcome.result
    if (op.f === 'grant' && lease !== undefined) add(call, lease, ttlMs)
    if (op.f === 'keep-alive') add(call, op.lease, ttlMs)
  }
  const puts = new Map(history.calls.map((call) => [call.id, call]))
  for (const { revision, events } of log.revisions) {
    const call = puts.get(makers.get(revision)?.ids[0] ?? -1)
    const lease = events[0]?.record?.lease
    if (call?.op.f !== 'put' || call.op.ttlMs === undefined || call.outcome.kind !== 'ok') continue
    if (lease !== undefined && !doubtful.has(revision)) add(call, lease, call.op.ttlMs)
  }
  return promises
}

/** The request that made each revision at which a lease ended. */
type Ends = ReadonlyMap<number, { readonly id: string; readonly what: 'expired' | 'revoked' }>

function collectEnds({ storeCalls }: History, { log, makers, doubtful, leaseEnds }: LogVerdict): Ends {
  /** Times, by lease, of the first request to revoke it whose outcome or revision is unknown. */
  const revokedSince = new Map<string, number>()
  for (const { op, outcome, start } of storeCalls) {
    if (op.f !== 'revoke' || outcome.kind === 'fail') continue
    if (outcome.kind === 'ok' && (outcome.result.applied === false || outcome.result.revision !== undefined))
      continue
    revokedSince.set(op.lease, Math.min(start, revokedSince.get(op.lease) ?? start))
  }
  const mayBeRevoked = (lease: string, position: number): boolean =>
    (revokedSince.get(lease) ?? Number.POSITIVE_INFINITY) < position
  const leases = new Map<string, string | undefined>()
  const ends = new Map<number, { id: string; what: 'expired' | 'revoked' }>()
  for (const { revision, position, events } of log.revisions) {
    const maker = doubtful.has(revision) ? undefined : makers.get(revision)
    const [first] = events
    const held = first === undefined ? undefined : leases.get(first.key)
    if (maker?.lease !== undefined) ends.set(revision, { id: maker.lease, what: 'revoked' })
    else if (leaseEnds.has(revision) && held !== undefined)
      ends.set(revision, { id: held, what: mayBeRevoked(held, position) ? 'revoked' : 'expired' })
    for (const { key, record } of events) leases.set(key, record?.lease)
  }
  return ends
}

function leaseEntries({ log }: LogVerdict, ends: Ends): LeaseEntry[] {
  const known = new Set<string>()
  return log.revisions.map(({ revision, timeMs, events }) => {
    const changes: LeaseChange[] = []
    for (const { key, record } of events) {
      if (record === null) {
        changes.push({ what: 'deleted', key })
        continue
      }
      const { lease } = record
      if (lease !== undefined && !known.has(lease)) {
        known.add(lease)
        changes.push({ what: 'granted', id: lease, ttlMs: 0, deadlineMs: 0 })
      }
      changes.push({ what: 'put', key, lease })
    }
    const end = ends.get(revision)
    if (end !== undefined) changes.push(end)
    return { atMs: timeMs, checkpointMs: CHECKPOINT_MS, changes }
  })
}

const anomaly = (
  guarantee: LeaseAnomaly['guarantee'],
  promise: LeaseAnomaly['promise'],
  lease: string,
  message: string,
): LeaseAnomaly => ({ guarantee, promise, lease, message: `lease ${lease} ${message}` })

const leaseId = ({ op }: HistoryCall | StoreCall): string | undefined =>
  op.f === 'grant' || !('lease' in op) ? undefined : op.lease

function missing(
  { header, calls, storeCalls }: History,
  promises: readonly PositionedPromise[],
  driftMax: number,
): LeaseAnomaly[] {
  // An unrecorded client may have revoked it.
  if (header.complete !== true) return []
  const promisesOf = Map.groupBy(promises, ({ promise }) => promise.id)
  const revokes = storeCalls.filter(({ op, outcome }) => op.f === 'revoke' && outcome.kind !== 'fail')
  const found: LeaseAnomaly[] = []
  for (const call of [...calls, ...storeCalls]) {
    const lease = leaseId(call)
    const { outcome, start, end, endMs = Number.POSITIVE_INFINITY } = call
    if (lease === undefined || outcome.kind !== 'ok' || outcome.result.applied !== false) continue
    if (revokes.some((revoke) => leaseId(revoke) === lease && revoke.id !== call.id && revoke.start < end))
      continue
    const held = promisesOf
      .get(lease)
      ?.find(
        (one) =>
          one.end < start &&
          endMs < one.promise.askedMs + (one.promise.ttlMs - CHECKPOINT_MS * driftMax) / (1 + driftMax),
      )?.promise
    if (held === undefined) continue
    const message = `does not exist for operation ${call.id}, which ended at ${endMs.toFixed(1)} ms, and ${held.node} had promised at ${held.askedMs.toFixed(1)} ms that it lives for ${held.ttlMs} ms`
    found.push(anomaly('early', 'KV-24', lease, message))
  }
  return found
}

function back({ calls, storeCalls }: History, { log }: LogVerdict, ends: Ends): LeaseAnomaly[] {
  /** The position from which each is certainly over, and the client that received this. */
  const over = new Map<string, { readonly since: number; readonly why: string }>()
  const isOver = (lease: string, since: number, why: string): void => {
    if (since < (over.get(lease)?.since ?? Number.POSITIVE_INFINITY)) over.set(lease, { since, why })
  }
  for (const { id, op, outcome, end } of storeCalls)
    if (op.f === 'revoke' && outcome.kind === 'ok' && outcome.result.applied !== false)
      isOver(op.lease, end, `operation ${id} had revoked it`)
  for (const { revision, position } of log.revisions) {
    const end = ends.get(revision)
    if (end !== undefined) isOver(end.id, position, `the log had reported its end, revision ${revision}`)
  }
  return [...calls, ...storeCalls].flatMap((call) => {
    const lease = leaseId(call)
    const before = lease === undefined ? undefined : over.get(lease)
    if (lease === undefined || before === undefined || before.since >= call.start) return []
    if (call.outcome.kind !== 'ok' || call.outcome.result.applied === false) return []
    return [anomaly('log', 'KV-23', lease, `exists for operation ${call.id}, and ${before.why}`)]
  })
}

function grantedTwice({ storeCalls }: History): LeaseAnomaly[] {
  const granted = new Map<string, number>()
  return storeCalls.flatMap(({ id, op, outcome }) => {
    const lease = op.f === 'grant' && outcome.kind === 'ok' ? outcome.result.lease : undefined
    if (lease === undefined) return []
    const other = granted.get(lease)
    granted.set(lease, id)
    return other === undefined
      ? []
      : [anomaly('log', 'KV-23', lease, `was granted by operations ${other} and ${id}`)]
  })
}

/** Only in a complete history. A client that puts keys under a lease has its id from somewhere. */
function grantedByNobody({ header, calls, storeCalls }: History): LeaseAnomaly[] {
  const grants = storeCalls.filter(({ op }) => op.f === 'grant')
  if (header.complete !== true || grants.length === 0) return []
  const granted = new Map<string, number>()
  for (const { outcome, start } of grants)
    if (outcome.kind === 'ok' && outcome.result.lease !== undefined) granted.set(outcome.result.lease, start)
  // An id that was chosen and never answered.
  const unanswered = Math.min(
    ...grants.filter(({ outcome }) => outcome.kind !== 'ok').map(({ start }) => start),
  )
  return calls.flatMap((call) => {
    const lease = leaseId(call)
    if (call.op.f !== 'put' || lease === undefined) return []
    if (call.outcome.kind !== 'ok' || call.outcome.result.applied === false) return []
    if (Math.min(granted.get(lease) ?? Number.POSITIVE_INFINITY, unanswered) < call.end) return []
    return [anomaly('log', 'KV-23', lease, `has a key since operation ${call.id}, and nobody had granted it`)]
  })
}

/** A time may be longer than was asked for: there is a shortest one. */
function shortened({ storeCalls }: History): LeaseAnomaly[] {
  const granted = new Map<string, number>()
  return storeCalls.flatMap(({ id, op, outcome }) => {
    if (outcome.kind !== 'ok' || outcome.result.ttlMs === undefined) return []
    const { ttlMs } = outcome.result
    const lease = op.f === 'grant' ? outcome.result.lease : op.f === 'keep-alive' ? op.lease : undefined
    if (lease === undefined) return []
    if (op.f === 'grant') granted.set(lease, op.ttlMs)
    const leastMs = granted.get(lease) ?? 0
    if (ttlMs >= leastMs) return []
    const message = `is given ${ttlMs} ms by operation ${id}, and was requested with ${leastMs} ms`
    return [anomaly('early', 'KV-24', lease, message)]
  })
}

/** From the phase `end` of a run on, nothing is wrong with the cluster. */
function late(
  { notes, storeCalls, calls, finals }: History,
  { log, makers, doubtful }: LogVerdict,
  ends: Ends,
): LeaseAnomaly[] {
  const calmMs = notes.find(({ what, phase }) => what === 'phase' && phase === 'end')?.time
  if (calmMs === undefined) return []
  /** Times until which each lease may have been promised to live. */
  const until = new Map<string, number>()
  const mayLive = (
    id: string | undefined,
    { endMs, startMs }: HistoryCall | StoreCall,
    ttlMs: number,
  ): void => {
    if (id !== undefined) until.set(id, Math.max(until.get(id) ?? 0, (endMs ?? startMs) + ttlMs))
  }
  const ttls = new Map<string, number>()
  for (const call of storeCalls) {
    const { op, outcome } = call
    if (op.f === 'grant' && outcome.kind === 'ok') {
      const { lease, ttlMs = op.ttlMs } = outcome.result
      if (lease !== undefined) ttls.set(lease, ttlMs)
      mayLive(lease, call, ttlMs)
    }
    if (op.f === 'keep-alive' && outcome.kind !== 'fail') mayLive(op.lease, call, ttls.get(op.lease) ?? 0)
  }
  const puts = new Map(calls.map((call) => [call.id, call]))
  for (const { revision, events } of log.revisions) {
    const call = puts.get(makers.get(revision)?.ids[0] ?? -1)
    if (call?.op.f === 'put' && call.op.ttlMs !== undefined && !doubtful.has(revision))
      mayLive(events[0]?.record?.lease, call, call.op.ttlMs)
  }
  /** Leases with keys at the end. */
  const attached = new Map<string, string | undefined>()
  for (const { events } of log.revisions)
    for (const { key, record } of events) attached.set(key, record?.lease)
  const endedMs = finals.at(-1)?.time ?? 0
  const left = [...new Set(attached.values())].flatMap((id) => {
    const dueMs = id === undefined ? undefined : until.get(id)
    if (id === undefined || dueMs === undefined) return []
    if (endedMs <= Math.max(dueMs, calmMs) + CHECKPOINT_MS + PATIENCE_MS) return []
    const message = `has keys at the end, at ${endedMs.toFixed(1)} ms, and its time was over at ${dueMs.toFixed(1)} ms at the latest; all faults were over at ${calmMs.toFixed(1)} ms`
    return [anomaly('late', 'KV-25', id, message)]
  })
  const tooLate = log.revisions.flatMap(({ revision, timeMs }) => {
    const end = ends.get(revision)
    const dueMs = end === undefined ? undefined : until.get(end.id)
    if (end?.what !== 'expired' || dueMs === undefined) return []
    const latestMs = Math.max(dueMs, calmMs) + CHECKPOINT_MS + PATIENCE_MS
    if (timeMs <= latestMs) return []
    const message = `ends at ${timeMs.toFixed(1)} ms, and its time was over at ${dueMs.toFixed(1)} ms at the latest; all faults were over at ${calmMs.toFixed(1)} ms`
    return [anomaly('late', 'KV-25', end.id, message)]
  })
  return [...tooLate, ...left]
}
