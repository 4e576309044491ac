// Copies a range from one cluster to another, and follows its changes. Both sides are clients: of quorate, or of etcd.
//
//   check     what an earlier run has left, against what the source had then (target-check.ts)
//   copy      the keys as they were at one revision of the source, in the order of their revisions (changes.ts)
//   follow    the changes of later revisions, in their order
//   compare   both sides, at the last revision whose changes are copied (comparison.ts)
//
// Where the source has compacted a revision that is needed, `repair` copies what differs from a newer one, in the order
// of a copy.

import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, CompactedError, QuorateError, type TxnOperation } from '../../client/index.ts'
import type { EtcdClient } from '../../etcd-client/index.ts'
import { Failure } from '../../local/failure.ts'
import { type KeyRange, prefixRange } from '../../operations/forms/index.ts'
import { EXIT } from '../exit-codes.ts'
import { formatMs } from '../format/text.ts'
import { CarriedLeases } from './carried-leases.ts'
import {
  changeKey,
  compareOrder,
  countFitting,
  countSharedRecords,
  isOrdered,
  OPERATIONS_MAX,
  type SourceChange,
  type SourceRecord,
  sourceRecord,
} from './changes.ts'
import { Comparison, type KeyDifference } from './comparison.ts'
import {
  DELETED,
  isPositionKey,
  type MigrationPosition,
  StoredPosition,
  TakenOverFailure,
} from './position.ts'
import { isKept, RecordList } from './record-list.ts'
import { type Lead, RevisionLead } from './revision-lead.ts'
import { findDifference, pairRecords, scan } from './scan.ts'
import { checkCopied, checkTarget } from './target-check.ts'
import { ForeignKeys, TargetKeys } from './target-keys.ts'
import { isNegative, isTooLarge, keyText, type TargetLimits } from './target-limits.ts'
import { AgedMessages, isCountOfAged } from './topic-keys.ts'
import { WatchQueue } from './watch-queue.ts'

const READS_AT_ONCE = 64
/** Attempts to copy from a source that compacts faster. */
const REPAIRS_MAX = 5
/** Attempts that lie further apart are not counted together. */
const REPAIR_PAUSE_MS = 10 * 60_000
/** Interval between checks of leases while nothing changes. */
const IDLE_MS = 500
/** Interval at which the position moves without a change, so that the source may compact. */
const IDLE_MOVE_MS = 10_000
/** A watch that is silent for this long has probably delivered everything. The comparison shows whether it has. */
const QUIET_MS = 300
/** Pause before a transaction is made again whose lease has ended. */
const LEASE_PAUSE_MS = 50
/** How long a request, and a change that is expected, may take without another timeout. */
const TIMEOUT_MS = 60_000
/** Attempts to finish while clients write to the source. */
const FINISHES_MAX = 5

export interface MigrationOptions {
  readonly source: Client
  /** Id of the cluster of `source`. */
  readonly sourceId: string
  readonly target: Client
  /**
   * For transactions of the target: a client of its etcd API, where values have more bytes than over HTTP. `target`
   * lists records, for which etcd's API counts all that follow a page.
   */
  readonly writer: EtcdClient
  readonly prefix: string
  readonly limits: TargetLimits
  /** Ends following; undefined: changes until the end of the copy are copied, and no later ones. */
  readonly until?: AbortSignal | undefined
  /** Closes the migration if both sides are the same at its end. Later runs change nothing. */
  readonly finish?: boolean | undefined
  /** Limit on each request, repeated as often as needed, and on the wait for a change that the source has made. */
  readonly timeoutMs?: number | undefined
  /** Gives up. */
  readonly signal: AbortSignal
  readonly onEvent: (event: MigrationEvent) => void
}

export type MigrationEvent =
  | { readonly kind: 'copying'; readonly revision: number; readonly keys: number; readonly copied: number }
  | { readonly kind: 'resumed'; readonly position: MigrationPosition }
  /** The target is at a revision above the source. */
  | { readonly kind: 'raised'; readonly revision: number; readonly source: number }
  /** It is not: revisions that keys and values name have another meaning there. `revision`: of the target. */
  | {
      readonly kind: 'below'
      readonly revision: number
      readonly source: number
      readonly reason: string | undefined
    }
  | { readonly kind: 'following'; readonly revision: number }
  /** The target has what the source had when following began. */
  | { readonly kind: 'caught-up'; readonly revision: number }
  /** The position has moved. */
  | { readonly kind: 'moved'; readonly position: MigrationPosition; readonly changes: number }
  | { readonly kind: 'compacted'; readonly revision: number }
  /** The changes of one revision did not fit into one transaction. */
  | { readonly kind: 'split'; readonly revision: number; readonly changes: number }
  | { readonly kind: 'comparing'; readonly revision: number }
  | { readonly kind: 'compared'; readonly keys: number }

export interface MigrationResult {
  /** The revision of the source at which both sides were compared. */
  readonly revision: number
  /** Keys of the source. */
  readonly keys: number
  /** Leases of these keys. */
  readonly leases: number
  /** Keys copied by this run as they were at one revision. */
  readonly copied: number
  /** Changes that this run has followed. */
  readonly changes: number
  readonly different: number
  /** The first of them. */
  readonly differences: readonly KeyDifference[]
  readonly positionKey: string
  /** The newest revision of the source after the comparison. */
  readonly newest: number
  /** Whether the revisions of the target are above those of the source. */
  readonly isAbove: boolean
  readonly isFinished: boolean
}

/** Rejects with a `Failure`, or with a `QuorateError` of one of the sides. */
export async function migrate(options: MigrationOptions): Promise<MigrationResult> {
  return new Migration(options).run()
}

class Migration {
  readonly #options: MigrationOptions
  readonly #timeoutMs: number
  readonly #range: KeyRange
  readonly #stored: StoredPosition
  readonly #leases: CarriedLeases
  readonly #lead: RevisionLead
  readonly #keys = new TargetKeys()
  readonly #foreign = new ForeignKeys()
  #position: MigrationPosition
  /** The next record to copy; undefined: none. */
  #next: SourceRecord | undefined
  #aged = new AgedMessages()
  #copied = 0
  #changes = 0

  constructor(options: MigrationOptions) {
    const { source, sourceId, target, writer, prefix, signal, timeoutMs = TIMEOUT_MS } = options
    this.#options = options
    this.#timeoutMs = timeoutMs
    this.#range = prefixRange(Buffer.from(prefix))
    this.#stored = new StoredPosition(target, writer, prefix, signal, timeoutMs)
    this.#leases = new CarriedLeases(source, target, signal, timeoutMs)
    this.#lead = new RevisionLead(target, signal)
    this.#position = { source: sourceId, prefix, phase: 'copy', revision: 0, copied: 0 }
  }

  async run(): Promise<MigrationResult> {
    const { source, signal } = this.#options
    const found = await this.#stored.read()
    if (found === undefined) await this.#refuseOccupied()
    else await this.#resume(found)
    this.#leases.start()
    try {
      if (this.#position.phase === 'copy') await this.#copy(found !== undefined)
      else if (this.#position.phase === 'follow')
        await this.#reviveLeases(scan(source, this.#range, { keysOnly: true, signal }))
      for (let repairs = 0; ; repairs++) {
        const begunAtMs = performance.now()
        try {
          if (this.#position.phase === 'repair') await this.#repair()
          return await this.#follow()
        } catch (error) {
          if (!(error instanceof CompactedError)) throw error
          if (performance.now() - begunAtMs > REPAIR_PAUSE_MS) repairs = 0
          if (repairs === REPAIRS_MAX) throw new Failure(EXIT.failed, TOO_FAST)
          await this.#beginRepair()
        }
      }
    } finally {
      await this.#leases.stop()
    }
  }

  async #refuseOccupied(): Promise<void> {
    const { target, prefix, signal } = this.#options
    for await (const { keyBytes } of scan(target, this.#range, { keysOnly: true, signal })) {
      const where = prefix === '' ? '' : ` that begin with ${prefix}`
      throw new Failure(
        EXIT.failed,
        `the target has keys${where}, such as ${keyText(keyBytes)}, and none of them is from this migration`,
        ['Nothing was copied. Choose another --prefix, or delete these keys if nobody needs them.'],
      )
    }
  }

  /** Takes over from an earlier run. */
  async #resume(found: MigrationPosition): Promise<void> {
    const { sourceId, prefix } = this.#options
    if (found.prefix !== prefix) throw new Failure(EXIT.failed, `${this.#stored.key} is of another prefix`)
    if (found.source !== sourceId) {
      throw new Failure(
        EXIT.failed,
        `the target has keys of a migration from cluster ${found.source}; this source is cluster ${sourceId}`,
        [`The key ${this.#stored.key} of the target is the position of that migration.`],
      )
    }
    const taken = await this.#takeOver(found)
    // The records of a copy are known later.
    if (taken.phase !== 'copy')
      await this.#check((foreign) => checkTarget(this.#checked, this.#keys, foreign))
    this.#options.onEvent({ kind: 'resumed', position: taken })
  }

  /** The run before changes nothing any more. It may move the position between the read and the takeover. */
  async #takeOver(found: MigrationPosition): Promise<MigrationPosition> {
    const deadlineMs = performance.now() + this.#timeoutMs
    for (let next: MigrationPosition | undefined = found; ; next = await this.#stored.read()) {
      if (next === undefined) throw new Failure(EXIT.failed, DELETED)
      refuseFinished(next, this.#stored.key)
      const newest = await this.#readRevision()
      if (newest < next.revision) {
        const at = `the migration is at revision ${next.revision}`
        throw new Failure(EXIT.failed, `the source has gone back to revision ${newest}, and ${at}`)
      }
      // A run that is refused leaves the next one what it has to check.
      const uncheckedSince = next.uncheckedSince ?? this.#stored.modRevision
      try {
        await this.#movePosition({ ...next, uncheckedSince })
        return next
      } catch (error) {
        if (!(error instanceof TakenOverFailure) || performance.now() >= deadlineMs) throw error
      }
    }
  }

  async #check(run: (foreign: ForeignKeys) => Promise<void>): Promise<void> {
    const foreign = new ForeignKeys()
    await run(foreign)
    foreign.check(this.#howToContinue)
    this.#position = { ...this.#position, uncheckedSince: undefined }
  }

  get #checked() {
    const { source, target, signal } = this.#options
    const since = this.#position.uncheckedSince ?? this.#stored.modRevision
    return { source, target, range: this.#range, position: this.#position, since, signal }
  }

  get #howToContinue(): readonly string[] {
    return [
      `If clients use the target now, the migration is over: end it by deleting ${this.#stored.key} there.`,
      'If they must not, stop them and put back what they have changed. Then the same command continues.',
    ]
  }

  /** The newest revision of the source. */
  async #readRevision(): Promise<number> {
    const { source, prefix, signal } = this.#options
    let revision = 0
    await source.get(`${prefix}\0`, { signal, onAnswer: (info) => (revision = info.revision ?? 0) })
    return revision
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Copy

  async #copy(isResumed: boolean): Promise<void> {
    const { source, writer, limits, signal, onEvent } = this.#options
    try {
      const revision = this.#position.revision || (await this.#readRevision())
      const list = new RecordList()
      for await (const found of scan(source, this.#range, { revision, signal })) limits.add(list.add(found))
      limits.check()
      await limits.probe(writer, signal)
      const records = list.sort()
      for (const record of records) this.#aged.add(record)
      if (!isResumed) {
        await this.#beginLead(revision)
        await this.#movePosition({ ...this.#position, revision })
      } else {
        const copied = records.slice(0, this.#position.copied)
        await this.#check((foreign) => checkCopied(this.#checked, copied, this.#keys, foreign))
        await this.#reviveLeases(copied)
      }
      onEvent({ kind: 'copying', revision, keys: records.length, copied: this.#position.copied })
      await this.#copyRecords(records)
    } catch (error) {
      if (!(error instanceof CompactedError)) throw error
      if (this.#position.uncheckedSince !== undefined) {
        const position = { ...this.#position, phase: 'repair', revision: 0 } as const
        await this.#check((foreign) => checkTarget({ ...this.#checked, position }, this.#keys, foreign))
      }
      await this.#beginRepair()
    }
  }

  /** Before the first transaction of a migration: the position is a key, and a cluster with keys is not raised. */
  async #beginLead(source: number): Promise<void> {
    this.#report(await this.#lead.begin(source), source)
  }

  /** Before changes up to this revision of the source are made in the target. */
  async #keepAbove(source: number): Promise<void> {
    const known = this.#stored.modRevision
    if (this.#position.isBelow === true || known > source) return
    this.#report(await this.#lead.keep(source, known), source)
  }

  #report(lead: Lead, source: number): void {
    const { kind, revision } = lead
    if (kind === 'below') {
      this.#position = { ...this.#position, isBelow: true }
      this.#options.onEvent({ kind, revision, source, reason: lead.reason })
    } else this.#options.onEvent({ kind: 'raised', revision, source })
  }

  async #copyRecords(records: readonly SourceRecord[]): Promise<void> {
    for (let at = this.#position.copied; at < records.length; at = this.#position.copied) {
      this.#next = records[at]
      await this.#restoreLost()
      const count = countSharedRecords(records, at)
      const next = { ...this.#position, copied: at + count, isPartial: undefined }
      await this.#put(records.slice(at, at + count), this.#position.revision, next)
      this.#copied += count
    }
    this.#next = undefined
    await this.#movePosition({ ...this.#position, phase: 'follow', copied: records.length })
  }

  /** Puts records in their order, and leaves the position where it is. */
  async #putInOrder(records: readonly SourceRecord[], revision: number): Promise<void> {
    const position = this.#position
    for (let at = 0; at < records.length; ) {
      const count = countSharedRecords(records, at)
      await this.#put(records.slice(at, at + count), revision, position)
      at += count
    }
  }

  /** Puts records that share a transaction. `revision`: of the source, which has them. */
  async #put(records: readonly SourceRecord[], revision: number, next: MigrationPosition): Promise<void> {
    const changes = await this.#load(records, revision)
    for (const record of records) await this.#putAgain(record)
    await this.#apply(changes, next)
  }

  /** Puts a record before its turn as often as its version needs (topic-keys.ts). */
  async #putAgain(record: SourceRecord): Promise<void> {
    for (let puts = this.#aged.puts(record); puts > 1; puts--)
      await this.#apply([putOf(record)], { ...this.#position, isPartial: true })
  }

  /** Reads the values that were not kept. */
  async #load(records: readonly SourceRecord[], revision: number): Promise<readonly SourceChange[]> {
    const { source, signal } = this.#options
    const load = async (record: SourceRecord): Promise<SourceRecord | undefined> => {
      if (isKept(record)) return record
      const found = await source.get(record.keyBytes, { revision, signal })
      return found && sourceRecord(found)
    }
    const changes: SourceChange[] = []
    for (let at = 0; at < records.length; at += READS_AT_ONCE) {
      const loaded = await Promise.all(records.slice(at, at + READS_AT_ONCE).map(load))
      for (const record of loaded) if (record !== undefined) changes.push(putOf(record))
    }
    return changes
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Repair

  async #beginRepair(): Promise<void> {
    const { phase, revision } = this.#position
    this.#options.onEvent({ kind: 'compacted', revision })
    if (this.#stored.modRevision === 0) await this.#beginLead(await this.#readRevision())
    this.#next = undefined
    // The target has a part of the copy only.
    const complete = phase === 'copy' ? 0 : revision
    await this.#movePosition({ ...this.#position, phase: 'repair', revision: complete, copied: 0 })
  }

  /**
   * Makes the target as the source is at its newest revision. Deletes come first, then puts in the order of a copy.
   *
   * A put keeps the create revision of a copy. So a copy is deleted before if recipes rely on its order, and the source
   * may have created the key again since: a client that has released a lock, and waits for it, would hold it.
   */
  async #repair(): Promise<void> {
    const { source, target, limits, signal } = this.#options
    const revision = await this.#readRevision()
    await this.#keepAbove(revision)
    const position = this.#position
    const list = new RecordList()
    this.#aged = new AgedMessages()
    let deletes: SourceChange[] = []
    const records = scan(source, this.#range, { revision, signal })
    for await (const pair of pairRecords(records, scan(target, this.#range, { signal }))) {
      const { key, ours, copy } = pair
      const isAnew = ours !== undefined && isOrdered(ours) && ours.createRevision > position.revision
      const isCounted = ours !== undefined && isCountOfAged(key) && ours.modRevision > position.revision
      if (ours !== undefined && (isAnew || isCounted || findDifference(pair) !== undefined)) {
        const record = list.add(ours)
        this.#refuseFault(limits.findFault(record), revision)
        this.#aged.add(record)
      } else if (ours?.lease !== undefined) await this.#leases.carry(ours.lease)
      const isDeleted = copy !== undefined && (ours === undefined || isAnew)
      if (isDeleted) deletes.push({ type: 'delete', key })
      if (deletes.length < OPERATIONS_MAX) continue
      await this.#apply(deletes, position)
      deletes = []
    }
    if (deletes.length > 0) await this.#apply(deletes, position)
    await this.#putInOrder(list.sort(), revision)
    await this.#movePosition({ ...position, phase: 'follow', revision, isPartial: undefined })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Follow

  async #follow(): Promise<MigrationResult> {
    const { source, prefix, until, signal, onEvent } = this.#options
    await using queue = new WatchQueue(source, prefix, this.#position.revision + 1, signal)
    if (until !== undefined) onEvent({ kind: 'following', revision: this.#position.revision })
    const newest = await this.#readRevision()
    let [isBehind, movedAtMs] = [true, performance.now()]
    while (until?.aborted === false) {
      if (await this.#applyNext(queue, Number.POSITIVE_INFINITY)) {
        movedAtMs = performance.now()
        continue
      }
      const isIdle = queue.isEmpty && performance.now() - movedAtMs > IDLE_MOVE_MS
      if (isIdle && queue.seen > this.#position.revision) {
        movedAtMs = performance.now()
        await this.#movePosition({ ...this.#position, revision: queue.seen })
      }
      const isSilent = !(await queue.wait(IDLE_MS, until))
      if (isBehind && queue.isEmpty && (isSilent || queue.seen >= newest)) {
        isBehind = false
        onEvent({ kind: 'caught-up', revision: Math.max(newest, this.#position.revision) })
      }
    }
    for (let attempts = 1; ; attempts++) {
      const result = await this.#catchUp(queue)
      if (this.#options.finish !== true || result.different > 0) return result
      // A change that has arrived since was made by a client that still runs.
      if (queue.isEmpty) return await this.#finish(result)
      if (attempts === FINISHES_MAX) throw new Failure(EXIT.failed, STILL_WRITTEN, [STOP_CLIENTS])
    }
  }

  /** Copies what the source has now, and compares both sides at that revision. */
  async #catchUp(queue: WatchQueue): Promise<MigrationResult> {
    const revision = await this.#readRevision()
    let [waitedMs, isCompared] = [0, false]
    for (;;) {
      if (await this.#applyNext(queue, revision)) {
        ;[waitedMs, isCompared] = [0, false]
        continue
      }
      const isReached = queue.isEmpty ? queue.seen >= revision : queue.hasAfter(revision)
      if (!isReached) {
        if (waitedMs > this.#timeoutMs) throw this.#late(revision)
        if (await queue.wait(QUIET_MS)) continue
        waitedMs += QUIET_MS
        if (isCompared) continue
      }
      await this.#leases.renewAll()
      await this.#restoreLost()
      // A member of etcd does not report how far a watch is. So both sides may be compared too early.
      const comparison = await this.#compare(revision)
      isCompared = true
      if (!isReached && comparison.outstanding > 0) continue
      const isApplied = isReached || comparison.different === 0
      if (isApplied && this.#position.revision < revision)
        await this.#movePosition({ ...this.#position, revision })
      return await this.#result(comparison, revision)
    }
  }

  #late(revision: number): Failure {
    const within = formatMs(this.#timeoutMs)
    return new Failure(
      EXIT.unavailable,
      `the changes of the source up to revision ${revision} have not arrived within ${within}`,
      [`The target is as the source was at revision ${this.#position.revision}. The same command continues.`],
    )
  }

  async #finish(result: MigrationResult): Promise<MigrationResult> {
    await this.#keepAbove(result.newest)
    const finishedAt = new Date().toISOString()
    await this.#movePosition({ ...this.#position, phase: 'finished', finishedAt })
    return { ...result, isFinished: true }
  }

  /** Applies the first changes up to `last`. Returns whether there were any. */
  async #applyNext(queue: WatchQueue, last: number): Promise<boolean> {
    await this.#restoreLost()
    const revisions = queue.take(last)
    const revision = revisions.at(-1)?.revision
    if (revision === undefined) return false
    const changes: SourceChange[] = []
    for (const each of revisions)
      for (const change of each.changes) if (!(await this.#isReplaced(change))) changes.push(change)
    if (changes.length === 0) return true
    await this.#keepAbove(revision)
    const transactions = await this.#apply(changes, { ...this.#position, revision, isPartial: undefined })
    if (transactions > 1) this.#options.onEvent({ kind: 'split', revision, changes: changes.length })
    this.#changes += changes.length
    return true
  }

  /** Whether the target cannot store a record that the source has replaced. Throws if the source has it now. */
  async #isReplaced(change: SourceChange): Promise<boolean> {
    if (change.type === 'delete') return false
    const { source, limits, signal } = this.#options
    const { keyBytes, modRevision } = change.record
    const fault = limits.findFault(change.record)
    if (fault === undefined) return false
    const now = await source.get(keyBytes, { signal })
    if (now?.modRevision === modRevision) this.#refuseFault(fault, modRevision)
    return true
  }

  #refuseFault(fault: string | undefined, revision: number): void {
    if (fault === undefined) return
    const { phase, revision: at } = this.#position
    const state = phase === 'follow' ? [`The target is as the source was at revision ${at}.`] : []
    throw new Failure(EXIT.failed, `the target cannot store revision ${revision} of the source: ${fault}`, [
      ...state,
      'Correct this, or delete the key in the source. Then the same command continues the migration.',
    ])
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Leases

  /** Leases that an earlier run has carried may have ended in the target since, with their keys. */
  async #reviveLeases(records: Iterable<LeasedRecord> | AsyncIterable<LeasedRecord>): Promise<void> {
    const ids = new Set<string>()
    // Following ends before a revision with a negative one.
    for await (const { lease } of records) if (lease !== undefined && !isNegative(lease)) ids.add(lease)
    for (const id of ids) await this.#leases.revive(id)
  }

  /** Puts the keys of leases again that have ended in the target, but not in the source, in their order. */
  async #restoreLost(): Promise<void> {
    const ids = this.#leases.takeLost()
    const missing: SourceRecord[] = []
    for (let at = 0; at < ids.length; at += READS_AT_ONCE) {
      const found = await Promise.all(ids.slice(at, at + READS_AT_ONCE).map((id) => this.#findMissing(id)))
      missing.push(...found.flat())
    }
    await this.#putInOrder(missing.sort(compareOrder), this.#position.revision)
  }

  /** The copied keys of a lease that the target does not have with this lease. */
  async #findMissing(id: string): Promise<readonly SourceRecord[]> {
    const { source, target, signal } = this.#options
    const { phase, revision } = this.#position
    const missing: SourceRecord[] = []
    for (const key of (await source.lease(id, { keys: true, signal }))?.keys ?? []) {
      if (!isInRange(key, this.#range) || isPositionKey(key)) continue
      const record = await source.get(key, { signal, revision: phase === 'copy' ? revision : undefined })
      // The watch, or the copy, will have the others.
      const isCopied =
        record?.lease === id &&
        record.modRevision <= revision &&
        (this.#next === undefined || compareOrder(record, this.#next) < 0)
      if (isCopied && (await target.get(key, { signal }))?.lease !== id) missing.push(sourceRecord(record))
    }
    return missing
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Transactions

  /** Makes the changes in as few transactions as the limits allow, and returns their number. The last one moves. */
  async #apply(changes: readonly SourceChange[], next: MigrationPosition): Promise<number> {
    let left = changes
    let max = OPERATIONS_MAX
    for (let transactions = 1; ; ) {
      const some = left.slice(0, countFitting(left, max))
      const isLast = some.length === left.length
      const position = isLast ? next : ({ ...this.#position, isPartial: true } as const)
      if (!(await this.#applyTogether(some, position))) {
        max = Math.floor(some.length / 2)
        continue
      }
      if (isLast) return transactions
      left = left.slice(some.length)
      transactions += 1
    }
  }

  /** Returns false if the target refuses so many changes at once. */
  async #applyTogether(changes: readonly SourceChange[], next: MigrationPosition): Promise<boolean> {
    for (;;) {
      const done: SourceChange[] = []
      for (const change of changes) done.push(await this.#living(change))
      try {
        if (await this.#move(done, next)) return true
        const { target, signal } = this.#options
        for (const key of await this.#keys.findForeign(done, target, signal)) this.#foreign.add(key)
        this.#foreign.check(this.#howToContinue)
      } catch (error) {
        if (!(error instanceof QuorateError)) throw error
        if (error.code === 'lease_not_found') {
          // One of them has ended. It is granted again if it lives in the source.
          for (const change of done) {
            const lease = change.type === 'put' ? change.record.lease : undefined
            if (lease !== undefined) this.#leases.lose(lease)
          }
          await sleep(LEASE_PAUSE_MS)
          continue
        }
        if (!isSplittable(error)) throw error
        const [first] = changes
        if (changes.length > 1) return false
        const name = first === undefined ? '' : keyText(changeKey(first))
        throw new Failure(EXIT.failed, `the target refuses ${name}: ${error.message}`)
      }
    }
  }

  /** A key of a lease that has ended is about to be deleted in the source. It is deleted, not put. */
  async #living(change: SourceChange): Promise<SourceChange> {
    if (change.type === 'delete' || change.record.lease === undefined) return change
    const isLiving = await this.#leases.carry(change.record.lease)
    return isLiving ? change : { type: 'delete', key: change.record.keyBytes }
  }

  async #movePosition(next: MigrationPosition): Promise<void> {
    if (!(await this.#move([], next))) throw new Error('the move of a position without changes was refused')
  }

  /** Returns false if a key of the target is not as the migration has left it. */
  async #move(changes: readonly SourceChange[], next: MigrationPosition): Promise<boolean> {
    const operations = changes.map((change): TxnOperation => {
      if (change.type === 'delete') return { delete: { key: change.key } }
      const { keyBytes: key, value, lease } = change.record
      return { put: { key, value, lease } }
    })
    const move = await this.#stored.move(operations, next, this.#keys.expect(changes))
    if (move.kind === 'unexpected') return false
    this.#keys.apply(changes, move.revision)
    this.#position = next
    this.#options.onEvent({ kind: 'moved', position: next, changes: changes.length })
    return true
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Compare

  async #compare(revision: number): Promise<Comparison> {
    const { source, target, signal, onEvent } = this.#options
    onEvent({ kind: 'comparing', revision })
    const comparison = new Comparison(source, this.#keys, this.#position.revision, signal)
    const ours = scan(source, this.#range, { revision, signal })
    for await (const pair of pairRecords(ours, scan(target, this.#range, { signal }))) {
      await comparison.add(pair)
      onEvent({ kind: 'compared', keys: comparison.keys })
    }
    return comparison
  }

  async #result(
    { keys, leases, different, differences }: Comparison,
    revision: number,
  ): Promise<MigrationResult> {
    const newest = await this.#readRevision()
    await this.#keepAbove(newest)
    return {
      revision,
      keys,
      leases,
      copied: this.#copied,
      changes: this.#changes,
      different,
      differences,
      positionKey: this.#stored.key,
      newest,
      isAbove: this.#position.isBelow !== true,
      isFinished: false,
    }
  }
}

function refuseFinished({ phase, revision, finishedAt }: MigrationPosition, key: string): void {
  if (phase !== 'finished') return
  throw new Failure(
    EXIT.failed,
    `this migration was finished at revision ${revision} of the source, at ${finishedAt}: nothing was changed`,
    [`Another migration of these keys begins only when the target has none of them, and no key ${key}.`],
  )
}

const STILL_WRITTEN = 'clients still write to the source: both sides are the same, but this is not the end'
const STOP_CLIENTS = 'Stop them. Then the same command continues.'

const TOO_FAST =
  'the source compacts its history faster than it can be copied: let it keep more, and run the command again'

type LeasedRecord = Pick<SourceRecord, 'lease'>

const putOf = (record: SourceRecord): SourceChange => ({ type: 'put', record })

/** Codes with which a target refuses a transaction that has too many changes. */
const TOO_MANY = new Set(['too_many_operations', 'range_too_large'])

const isSplittable = (error: QuorateError): boolean => TOO_MANY.has(error.code) || isTooLarge(error)

const isInRange = (key: Uint8Array, { start, end }: KeyRange): boolean =>
  Buffer.compare(key, start) >= 0 && (end === undefined || Buffer.compare(key, end) < 0)
