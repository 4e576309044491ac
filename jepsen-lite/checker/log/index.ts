// A history with a log is judged by that log. One client has watched every key from the beginning, so the order of all
// changes is known and needs no search. This covers range deletes, transactions and ends of leases. But the log
// contains only the messages of one watch. So it is compared with all other answers:
//
// - acknowledged: each acknowledged change is in the log, at the revision of its answer, and nothing else is there.
// - conditions: a change under a condition follows a state in which the condition held. A refused one met a state in
//   which it did not hold.
// - asked for: every other revision was made by one request whose answer names none, or by the end of a lease. Each
//   request made one at most, and nobody knew the revision before the request. This needs a complete history. A request
//   that certainly failed made none in any case.
// - read: the result of a read at a revision, and the final content of each node, equal the log, with versions.
//   lists.ts checks lists.
// - nothing: if an answer says that a change had nothing to delete, the log has nothing there.
// - order: no answer reflects a revision below one that was known before its request.
// - numbers: revisions, versions and create revisions of the log follow from each other. In a complete history none is
//   missing, and no answer names a later one.

import {
  FIRST_REVISION,
  type History,
  type HistoryCall,
  type RecordedResult,
} from '../../workload/history.ts'
import type { Anomaly } from '../anomaly.ts'
import { contains, type KeyInterval } from '../keys.ts'
import { coveredBy } from '../list-range.ts'
import { checkList, type KeyCounts } from '../lists.ts'
import type { KnownRevision } from '../order.ts'
import { isStaleRead } from '../partition.ts'
import { conditionHeld } from '../revisions.ts'
import type { LoggedEvent } from '../watch/index.ts'
import { checkCompaction } from './compaction.ts'
import { findMakers, type Unexplained } from './makers.ts'
import { checkOrder, collectKnownRevisions } from './order.ts'
import { collectLogRequests, collectUnchanging, keysChangedBy, type LogRequest } from './requests.ts'
import { buildStoreLog, type LoggedRevision, type StoreLog } from './store-log.ts'

export { collectLogRequests, type LogRequest } from './requests.ts'
export { buildStoreLog, type LoggedRevision, type StoreLog, tellsLog } from './store-log.ts'

export interface LogVerdict {
  readonly log: StoreLog
  readonly findings: readonly Anomaly[]
  /** The request that made each revision; none: a lease has ended. */
  readonly makers: ReadonlyMap<number, LogRequest>
  /** Revisions that other requests may have made just as well: nothing of their own follows from their makers. */
  readonly doubtful: ReadonlySet<number>
  /** Revisions that nothing but the end of a lease can have made; none, if somebody may not have been recorded. */
  readonly leaseEnds: ReadonlySet<number>
  /** Answers that were compared with it. */
  readonly compared: number
}

type Record = NonNullable<LoggedEvent['record']>

export const checkLog = (history: History): LogVerdict => new LogCheck(history).verdict()

class LogCheck implements KeyCounts {
  readonly #history: History
  readonly #log: StoreLog
  /** Every known revision of the store; the highest first. */
  readonly #knownRevisions: readonly KnownRevision[]
  /** The first position in the history at which each revision, or a later one, was known. */
  readonly #knownSince: ReadonlyMap<number, number>
  readonly #findings: Anomaly[] = []
  /** The state at the revision that was checked last. */
  readonly #rows = new Map<string, Record>()
  readonly #makers = new Map<number, LogRequest>()
  readonly #acknowledged = new Map<number, LogRequest>()
  /** Requests that may have made a revision that no answer tells, by a key and the value that they put there. */
  readonly #byPut = new Map<string, LogRequest[]>()
  /** The others of them, by their start. */
  readonly #deletes: LogRequest[] = []
  /** Requests that were answered as made, without the revision. */
  readonly #unplaced: LogRequest[] = []
  readonly #failed = new Map<string, LogRequest[]>()
  /** Revisions that no answer tells, except those that only the end of a lease explains. */
  readonly #unexplained: Unexplained[] = []
  readonly #leaseEnds = new Set<number>()
  #compared = 0

  constructor(history: History) {
    this.#history = history
    this.#log = buildStoreLog(history)
    this.#knownRevisions = collectKnownRevisions(history)
    this.#knownSince = firstKnown(this.#knownRevisions, this.#log)
  }

  verdict(): LogVerdict {
    this.#findings.push(...this.#log.findings)
    this.#sortRequests()
    this.#checkConditions()
    const checks = this.#collectReads()
    let next = 0
    const isComplete = this.#history.header.complete === true
    let last = FIRST_REVISION
    for (const logged of this.#log.revisions) {
      if (isComplete && logged.revision !== last + 1)
        this.#report(
          [],
          `the log tells revision ${logged.revision} after ${last}, and nothing of what is between`,
        )
      last = logged.revision
      for (; (checks[next]?.revision ?? logged.revision) < logged.revision; next++) checks[next]?.check()
      this.#checkRevision(logged)
    }
    for (; next < checks.length; next++) checks[next]?.check()
    this.#findOtherMakers()
    for (const [revision, request] of this.#acknowledged)
      if (!this.#makers.has(revision))
        this.#report(
          request.ids,
          `${requestText(request)} was answered as made at revision ${revision}, of which the log knows nothing`,
        )
    // A setting makes a revision as well; a complete history has none.
    const { due, events } = this.#log
    if (isComplete && Math.max(due, events.upTo) > last)
      this.#report(
        [],
        `the log has everything up to revision ${Math.max(due, events.upTo)}, and nothing after ${last}`,
      )
    const [newest] = this.#knownRevisions
    if (isComplete && newest !== undefined && newest.revision > Math.max(due, events.upTo, last))
      this.#report(
        newest.calls,
        `${newest.what} showed revision ${newest.revision}, and the log has nothing after ${last}`,
      )
    this.#findings.push(...checkOrder(this.#history), ...checkCompaction(this.#history))
    return {
      log: this.#log,
      findings: this.#findings,
      makers: this.#makers,
      doubtful: new Set(
        this.#unexplained.flatMap(({ revision, able }) => (able.length > 1 ? [revision] : [])),
      ),
      leaseEnds: this.#leaseEnds,
      compared: this.#compared,
    }
  }

  #report(calls: readonly number[], message: string, key?: string): void {
    this.#findings.push({ check: 'log', key, message, calls })
  }

  #sortRequests(): void {
    for (const request of collectLogRequests(this.#history)) {
      const { changed, revision } = request
      const isRefused = request.kind === 'fail' || (changed === false && request.puts.size > 0)
      if (isRefused)
        for (const [key, { value }] of request.puts) addTo(this.#failed, pairText(key, value), request)
      if (changed === false) continue
      if (changed === undefined || revision === undefined) {
        if (changed === true) this.#unplaced.push(request)
        for (const [key, { value }] of request.puts) addTo(this.#byPut, pairText(key, value), request)
        if (request.puts.size === 0) this.#deletes.push(request)
        continue
      }
      const other = this.#acknowledged.get(revision)
      if (other !== undefined)
        this.#report(
          [...other.ids, ...request.ids],
          `${requestText(other)} and ${requestText(request)} both made ${revision}`,
        )
      this.#acknowledged.set(revision, request)
      this.#compared += 1
    }
  }

  /** Conditions that did not hold, and did. */
  #checkConditions(): void {
    for (const call of this.#history.calls) {
      const { outcome, id } = call
      const why = outcome.kind === 'ok' ? conditionHeld(call, outcome) : undefined
      if (why !== undefined) this.#report([id], `operation ${id} ${why}`)
    }
  }

  // ---- changes

  #checkRevision({ revision, position, events }: LoggedRevision): void {
    const isComplete = this.#history.header.complete === true
    const acknowledged = this.#acknowledged.get(revision)
    if (acknowledged !== undefined) {
      this.#makers.set(revision, acknowledged)
      const wrong = this.#findDifference(acknowledged, events)
      if (wrong !== undefined)
        this.#report(
          acknowledged.ids,
          `${requestText(acknowledged)} made revision ${revision}, and the log ${wrong}`,
        )
    } else {
      const known = this.#knownSince.get(revision) ?? position
      const able = this.#findPossibleRequests(revision, events, known)
      const mayBeLeaseEnd = this.#isLeaseEnd(events)
      if (mayBeLeaseEnd && able.length === 0 && isComplete) this.#leaseEnds.add(revision)
      else this.#unexplained.push({ revision, known, events, mayBeLeaseEnd, able })
    }
    for (const event of events) this.#applyEvent(event)
  }

  /** How the log differs from what this request has done to the present state. */
  #findDifference(request: LogRequest, events: readonly LoggedEvent[]): string | undefined {
    for (const [key, expected] of request.conditions) {
      const found = this.#rows.get(key)?.modRevision ?? null
      if (found !== expected)
        return `has ${key} ${found === null ? 'absent' : `of revision ${found}`} before it, where its condition wants ${expected === null ? 'nothing' : `revision ${expected}`}`
    }
    for (const key of request.deleted)
      if (!this.#rows.has(key)) return `has no ${key} before it, which it has deleted`
    const keys = keysChangedBy(request, this.#rows)
    const extra = events.find(({ key }) => !keys.has(key))
    if (extra !== undefined) return `has a change of ${extra.key} there as well`
    const logged = new Map(events.map(({ key, record }) => [key, record]))
    for (const key of keys) {
      const record = logged.get(key)
      const put = request.puts.get(key)
      if (record === undefined) return `has no change of ${key} there`
      if (put === undefined) {
        if (record !== null) return `has a put of ${key} there`
        continue
      }
      if (record?.value !== put.value)
        return `has ${key} as ${record === null ? 'deleted' : JSON.stringify(record.value)} there`
      if (put.version !== undefined && put.version !== record.version)
        return `has ${key} as version ${record.version} there, and the answer says ${put.version}`
      if ((put.lease ?? (put.ttlMs === undefined ? undefined : record.lease)) !== record.lease)
        return `has the lease ${record.lease} of ${key} there`
      if (put.ttlMs !== undefined && record.lease === undefined) return `has no lease of ${key} there`
    }
    if (request.removed !== undefined && request.removed !== keys.size)
      return `has ${keys.size} deletes there, and the answer says ${request.removed}`
    return undefined
  }

  /** Each request makes one revision. */
  #findOtherMakers(): void {
    const makers = findMakers(this.#unexplained, this.#unplaced)
    for (const one of this.#unexplained) {
      const { revision, mayBeLeaseEnd } = one
      const maker = makers.get(revision)
      if (maker !== undefined) this.#makers.set(revision, maker)
      else if (!mayBeLeaseEnd) this.#reportUnmade(one)
    }
    const found = new Set(makers.values())
    for (const request of this.#unplaced)
      if (!found.has(request))
        this.#report(
          request.ids,
          `${requestText(request)} was answered as made, and the log knows nothing of it`,
        )
  }

  /** The requests, of those whose revision is not known, that may have made this of the present state. */
  #findPossibleRequests(revision: number, events: readonly LoggedEvent[], known: number): LogRequest[] {
    const put = events.find(({ record }) => record !== null)
    const candidates = put?.record
      ? (this.#byPut.get(pairText(put.key, put.record.value)) ?? [])
      : this.#deletes
    return candidates.filter(
      (maker) =>
        (maker.revision ?? revision) === revision &&
        maker.start < known &&
        this.#findDifference(maker, events) === undefined,
    )
  }

  /** Exactly the keys of one lease are deleted. */
  #isLeaseEnd(events: readonly LoggedEvent[]): boolean {
    const [first] = events
    const lease = first && this.#rows.get(first.key)?.lease
    if (lease === undefined) return false
    const keys = [...this.#rows.values()].filter((row) => row.lease === lease).length
    return keys === events.length && events.every(({ key }) => this.#rows.get(key)?.lease === lease)
  }

  #reportUnmade({ revision, known, events }: Unexplained): void {
    const failed = events
      .flatMap(({ key, record }) =>
        record === null ? [] : (this.#failed.get(pairText(key, record.value)) ?? []),
      )
      .find(({ start }) => start < known)
    if (failed === undefined && this.#history.header.complete !== true) return
    const what = events
      .map(({ key, record }) => (record === null ? `deleted ${key}` : `put ${key}`))
      .join(', ')
    this.#report(
      failed?.ids ?? [],
      failed === undefined
        ? `revision ${revision} (${what}) was made by no request, and by no lease that ended`
        : `revision ${revision} (${what}) was made by ${requestText(failed)}, which was answered as not made`,
      events[0]?.key,
    )
  }

  #applyEvent({ key, revision, record }: LoggedEvent): void {
    const before = this.#rows.get(key)
    const wrong =
      record === null
        ? before === undefined && 'is deleted, and did not exist'
        : record.modRevision !== revision
          ? `has the mod revision ${record.modRevision}`
          : record.createRevision !== (before?.createRevision ?? revision)
            ? `has the create revision ${record.createRevision}`
            : record.version !== (before?.version ?? 0) + 1 && `is version ${record.version}`
    if (wrong !== false) this.#report([], `at revision ${revision} of the log ${key} ${wrong}`, key)
    if (record === null) this.#rows.delete(key)
    else this.#rows.set(key, record)
  }

  // ---- reads

  /** Everything that was read, by the revision that it reflects. */
  #collectReads(): { readonly revision: number; check(): void }[] {
    const { calls, finals } = this.#history
    const checks: { readonly revision: number; check(): void }[] = []
    for (const call of calls) {
      const { op, outcome, id, end } = call
      if (outcome.kind !== 'ok') continue
      const { result } = outcome
      // A read of the past is of another revision than the one that its answer tells.
      const revision = (op.f === 'get' ? op.at : undefined) ?? result.revision
      if (op.f === 'get' && result.revision !== undefined && (op.at ?? 0) > result.revision)
        this.#report([id], `operation ${id} read revision ${op.at}, when the store was at ${result.revision}`)
      if (result.applied === false && result.revision !== undefined)
        checks.push({ revision: result.revision, check: () => this.#checkRefusal(call, result) })
      if (op.f === 'range') {
        const check = (): void => void this.#findings.push(...checkList(call, op, result, end, this))
        checks.push({ revision: revision ?? Number.POSITIVE_INFINITY, check })
      }
      if (revision === undefined) continue
      if (op.f === 'get' && result.value !== undefined) {
        const { value, modRevision, version } = result
        const row = value === null ? undefined : { value, modRevision, version }
        checks.push({ revision, check: () => this.#compareRow(id, revision, op.key, row, isStaleRead(call)) })
      }
      const covered = op.f === 'range' ? coveredBy(op, result) : undefined
      if (covered === undefined || result.rows === undefined) continue
      const rows = new Map(result.rows.map((row) => [row.key, row]))
      const check = (): void => {
        const keys = new Set([
          ...rows.keys(),
          ...[...this.#rows.keys()].filter((key) => contains(covered, key)),
        ])
        for (const key of keys) this.#compareRow(id, revision, key, rows.get(key), isStaleRead(call))
      }
      checks.push({ revision, check })
    }
    for (const { request, revision } of collectUnchanging(this.#history))
      checks.push({
        revision,
        check: () => {
          const [key] = keysChangedBy(request, this.#rows)
          if (key === undefined) return
          this.#report(
            request.ids,
            `${requestText(request)} found nothing to delete at revision ${revision}, and the log has ${key} there`,
            key,
          )
        },
      })
    for (const { node, revision, rows } of finals)
      checks.push({
        revision,
        check: () => {
          const held = new Map(rows.map((row) => [row.key, row]))
          for (const key of new Set([...held.keys(), ...this.#rows.keys()]))
            this.#compareRow(node, revision, key, held.get(key), false)
        },
      })
    return checks.sort((a, b) => a.revision - b.revision)
  }

  /** A condition that did not hold. */
  #checkRefusal({ id, op }: HistoryCall, { current, revision }: RecordedResult): void {
    if (op.f !== 'put' && op.f !== 'del') return
    const found = this.#rows.get(op.key)?.modRevision ?? null
    const shown = found === null ? `no ${op.key}` : `${op.key} of revision ${found}`
    if (current !== undefined && current !== found)
      this.#report(
        [id],
        `operation ${id} was refused at revision ${revision} because of ${current === null ? `no ${op.key}` : `${op.key} of revision ${current}`}, and the log has ${shown}`,
        op.key,
      )
    const isConditional = op.ifAbsent === true || op.ifRevision !== undefined
    const holds = op.ifAbsent === true ? found === null : found === op.ifRevision
    const hasLease = op.f === 'put' && op.lease !== undefined
    if (current === undefined && isConditional && holds && !hasLease)
      this.#report(
        [id],
        `operation ${id} was refused at revision ${revision} because of its condition, and the log has ${shown}`,
        op.key,
      )
  }

  /** Limits on the number of keys in a range, at the revision that is checked. */
  countKeys(range: KeyInterval): { readonly least: number; readonly most: number } {
    const count = [...this.#rows.keys()].filter((key) => contains(range, key)).length
    return { least: count, most: count }
  }

  /** `by`: the call, or the node whose content at the end it is. */
  #compareRow(
    by: number | string,
    revision: number,
    key: string,
    seen: KeySighting | undefined,
    isStale: boolean,
  ): void {
    this.#compared += 1
    const row = this.#rows.get(key)
    const isSame =
      row === undefined || seen === undefined
        ? row === seen
        : (seen.modRevision ?? row.modRevision) === row.modRevision &&
          (seen.version ?? row.version) === row.version &&
          (seen.value ?? row.value) === row.value
    if (isSame) return
    const who = typeof by === 'number' ? `operation ${by}` : `at the end ${by}`
    const shown = (one: KeySighting | undefined): string =>
      one === undefined
        ? 'nothing'
        : `${JSON.stringify(one.value ?? '')} of revision ${one.modRevision}${one.version === undefined ? '' : `, version ${one.version}`}`
    this.#report(
      typeof by === 'number' ? [by] : [],
      `${who} ${isStale ? '(stale) ' : ''}shows ${shown(seen)} as ${key} at revision ${revision}, and the log ${shown(row)}`,
      key,
    )
  }
}

/** The answer of a read about a key. */
interface KeySighting {
  readonly value?: string | undefined
  readonly modRevision?: number | undefined
  readonly version?: number | undefined
}

function firstKnown(tellings: readonly KnownRevision[], { revisions }: StoreLog): Map<number, number> {
  const since = new Map<number, number>()
  let [next, first] = [0, Number.POSITIVE_INFINITY]
  for (const { revision } of revisions.toReversed()) {
    for (let one = tellings[next]; one !== undefined && one.revision >= revision; one = tellings[++next])
      first = Math.min(first, one.end)
    since.set(revision, first)
  }
  return since
}

function addTo(map: Map<string, LogRequest[]>, text: string, request: LogRequest): void {
  const others = map.get(text)
  if (others === undefined) map.set(text, [request])
  else others.push(request)
}

const pairText = (key: string, value: string): string => JSON.stringify([key, value])

const requestText = ({ ids }: LogRequest): string =>
  ids.length === 1 ? `operation ${ids[0]}` : `the transaction of operations ${ids.join(', ')}`
