// Copies a range from one cluster to another, and follows its changes. Both sides are clients: of quorate, or of etcd.
//
//   copy      the keys as they were at one revision of the source, in the order of their revisions (changes.ts)
//   follow    the changes of later revisions, in their order
//   compare   both sides, at the last revision
//
// Where the source has compacted a revision that is needed, `repair` copies what differs from a newer one.

import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Client,
  CompactedError,
  type KvRecord,
  QuorateError,
  type TxnOperation,
} from '../../client/index.ts'
import type { EtcdClient } from '../../etcd-client/index.ts'
import { Failure } from '../../local/failure.ts'
import { type KeyRange, prefixRange } from '../../operations/forms/index.ts'
import { EXIT } from '../exit-codes.ts'
import { CarriedLeases } from './carried-leases.ts'
import {
  changeKey,
  compareOrder,
  countFitting,
  countSharedRecords,
  OPERATIONS_MAX,
  type SourceChange,
  type SourceRecord,
  sourceRecord,
} from './changes.ts'
import { isPositionKey, type MigrationPosition, StoredPosition } from './position.ts'
import { type Difference, findDifference, pairRecords, scan } from './scan.ts'
import { isNegative, isTooLarge, keyText, type TargetLimits } from './target-limits.ts'
import { WatchQueue } from './watch-queue.ts'

/** Values up to this many bytes are kept between the first scan and their copy. Others are read again. */
const KEPT_BYTES_MAX = 128 * 1024 * 1024
const READS_AT_ONCE = 64
/** Attempts to copy from a source that compacts faster. */
const REPAIRS_MAX = 5
/** Attempts that lie further apart are not counted together. */
const REPAIR_PAUSE_MS = 10 * 60_000
/** How often leases are looked after while nothing changes. */
const IDLE_MS = 500
/** Interval at which the position moves without a change, so that the source may compact. */
const IDLE_MOVE_MS = 10_000
/** A watch that is silent for this long has probably delivered everything. The comparison shows whether it has. */
const QUIET_MS = 300
/** How long the last changes may take to arrive. */
const CATCH_UP_MS_MAX = 30_000
/** Pause before a transaction is made again whose lease has ended. */
const LEASE_PAUSE_MS = 50
/** How often the source is asked for a key whose lease has ended. */
const DELETED_LOOKS = 10
/** Differing keys that a result names. */
const NAMED_MAX = 100

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
  /** Gives up. */
  readonly signal: AbortSignal
  readonly onEvent: (event: MigrationEvent) => void
}

export type MigrationEvent =
  | { readonly kind: 'copying'; readonly revision: number; readonly keys: number; readonly copied: number }
  | { readonly kind: 'resumed'; readonly position: MigrationPosition }
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
  readonly differences: readonly { readonly key: Uint8Array; readonly difference: Difference }[]
  readonly positionKey: string
}

/** Rejects with a `Failure`, or with a `QuorateError` of one of the sides. */
export async function migrate(options: MigrationOptions): Promise<MigrationResult> {
  return new Migration(options).run()
}

class Migration {
  readonly #options: MigrationOptions
  readonly #range: KeyRange
  readonly #stored: StoredPosition
  readonly #leases: CarriedLeases
  #position: MigrationPosition
  /** The next record to copy; undefined: none. */
  #next: SourceRecord | undefined
  #copied = 0
  #changes = 0
  #deletedLooks = DELETED_LOOKS

  constructor(options: MigrationOptions) {
    const { source, sourceId, target, writer, prefix, signal } = options
    this.#options = options
    this.#range = prefixRange(Buffer.from(prefix))
    this.#stored = new StoredPosition(target, writer, prefix, signal)
    this.#leases = new CarriedLeases(source, target, signal)
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
        ['Delete them, or choose another --prefix. Nothing was copied.'],
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
    const newest = await this.#readRevision()
    if (newest < found.revision) {
      const at = `the migration is at revision ${found.revision}`
      throw new Failure(EXIT.failed, `the source has gone back to revision ${newest}, and ${at}`)
    }
    await this.#stored.move([], found)
    this.#position = found
    this.#options.onEvent({ kind: 'resumed', position: found })
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
      const records: SourceRecord[] = []
      let kept = 0
      for await (const found of scan(source, this.#range, { revision, signal })) {
        const record = sourceRecord(found)
        limits.add(record)
        kept += record.bytes
        records.push(kept <= KEPT_BYTES_MAX ? record : withoutValue(record))
      }
      limits.check()
      await limits.probe(writer, signal)
      records.sort(compareOrder)
      if (!isResumed) await this.#move([], { ...this.#position, revision })
      else await this.#reviveLeases(records.slice(0, this.#position.copied))
      onEvent({ kind: 'copying', revision, keys: records.length, copied: this.#position.copied })
      await this.#copyRecords(records)
    } catch (error) {
      if (!(error instanceof CompactedError)) throw error
      await this.#beginRepair()
    }
  }

  async #copyRecords(records: readonly SourceRecord[]): Promise<void> {
    for (let at = this.#position.copied; at < records.length; at = this.#position.copied) {
      this.#next = records[at]
      await this.#restoreLost()
      const count = countSharedRecords(records, at)
      const some = await this.#load(records.slice(at, at + count))
      await this.#apply(some, { ...this.#position, copied: at + count })
      this.#copied += count
    }
    this.#next = undefined
    await this.#move([], { ...this.#position, phase: 'follow', copied: records.length })
  }

  /** Reads the values that were not kept. */
  async #load(records: readonly SourceRecord[]): Promise<readonly SourceChange[]> {
    const { source, signal } = this.#options
    const { revision } = this.#position
    const load = async (record: SourceRecord): Promise<SourceRecord | undefined> => {
      if (record.value !== NOT_KEPT) return record
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
    this.#options.onEvent({ kind: 'compacted', revision: this.#position.revision })
    this.#next = undefined
    await this.#move([], { ...this.#position, phase: 'repair', copied: 0 })
  }

  /** Makes the target as the source is at its newest revision. */
  async #repair(): Promise<void> {
    const { source, target, limits, signal } = this.#options
    const revision = await this.#readRevision()
    let changes: SourceChange[] = []
    const ours = scan(source, this.#range, { revision, signal })
    for await (const pair of pairRecords(ours, scan(target, this.#range, { signal }))) {
      if (findDifference(pair) === undefined) {
        if (pair.ours?.lease !== undefined) await this.#leases.carry(pair.ours.lease)
        continue
      }
      const record = pair.ours && sourceRecord(pair.ours)
      if (record !== undefined) this.#refuseFault(limits.findFault(record), revision)
      const change: SourceChange =
        record === undefined ? { type: 'delete', key: pair.key } : { type: 'put', record }
      if (countFitting([...changes, change], OPERATIONS_MAX) <= changes.length) {
        await this.#apply(changes, this.#position)
        changes = []
      }
      changes.push(change)
    }
    await this.#apply(changes, { ...this.#position, phase: 'follow', revision })
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
        await this.#move([], { ...this.#position, revision: queue.seen })
      }
      const isSilent = !(await queue.wait(IDLE_MS, until))
      if (isBehind && queue.isEmpty && (isSilent || queue.seen >= newest)) {
        isBehind = false
        onEvent({ kind: 'caught-up', revision: Math.max(newest, this.#position.revision) })
      }
    }
    return await this.#catchUp(queue)
  }

  /** Copies what the source has now, and compares both sides at that revision. */
  async #catchUp(queue: WatchQueue): Promise<MigrationResult> {
    const revision = await this.#readRevision()
    const deadline = performance.now() + CATCH_UP_MS_MAX
    for (;;) {
      if (await this.#applyNext(queue, revision)) continue
      const isReached = queue.isEmpty ? queue.seen >= revision : queue.hasAfter(revision)
      if (!isReached && (await queue.wait(QUIET_MS))) continue
      await this.#leases.renewAll()
      await this.#restoreLost()
      // A member of etcd does not report how far a watch is. So both sides may be compared too early.
      const result = await this.#compare(revision)
      if (result.different > 0 && !isReached && performance.now() < deadline) continue
      const isBehind = this.#position.revision < revision
      if (result.different === 0 && isBehind) await this.#move([], { ...this.#position, revision })
      return result
    }
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
    const transactions = await this.#apply(changes, { ...this.#position, revision })
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
    missing.sort(compareOrder)
    for (let at = 0; at < missing.length; ) {
      const some = missing.slice(at, at + countSharedRecords(missing, at))
      await this.#apply(some.map(putOf), this.#position)
      at += some.length
    }
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
      if (!(await this.#applyTogether(some, isLast ? next : this.#position))) {
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
      const operations: TxnOperation[] = []
      for (const change of changes) operations.push(...(await this.#encode(change)))
      try {
        await this.#move(operations, next, changes.length)
        return true
      } catch (error) {
        if (!(error instanceof QuorateError)) throw error
        if (error.code === 'lease_not_found') {
          // One of them has ended. It is granted again if it lives in the source.
          for (const { put } of operations as readonly { put?: { lease?: string | undefined } }[])
            if (put?.lease !== undefined) this.#leases.lose(put.lease)
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

  /** A key of a lease that has ended is about to be deleted in the source. It is not put. */
  async #encode(change: SourceChange): Promise<readonly TxnOperation[]> {
    if (change.type === 'delete') return [{ delete: { key: change.key } }]
    const { keyBytes: key, value, lease } = change.record
    if (lease !== undefined && !(await this.#leases.carry(lease))) return []
    return [{ put: { key, value, lease } }]
  }

  async #move(operations: readonly TxnOperation[], next: MigrationPosition, changes = 0): Promise<void> {
    await this.#stored.move(operations, next)
    this.#position = next
    this.#options.onEvent({ kind: 'moved', position: next, changes })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Compare

  async #compare(revision: number): Promise<MigrationResult> {
    const { source, target, signal, onEvent } = this.#options
    onEvent({ kind: 'comparing', revision })
    const differences: { readonly key: Uint8Array; readonly difference: Difference }[] = []
    const leases = new Map<string, boolean>()
    let [keys, different] = [0, 0]
    const isEnded = async (id: string): Promise<boolean> => {
      const known = leases.get(id)
      if (known === true) return true
      const ended = (await source.lease(id, { signal })) === undefined
      leases.set(id, ended)
      return ended
    }
    const ours = scan(source, this.#range, { revision, signal })
    for await (const pair of pairRecords(ours, scan(target, this.#range, { signal }))) {
      const lease = pair.ours?.lease
      if (pair.ours !== undefined) keys += 1
      if (lease !== undefined && !leases.has(lease)) leases.set(lease, false)
      onEvent({ kind: 'compared', keys })
      const difference = findDifference(pair)
      if (difference === undefined) continue
      const isGone = lease !== undefined && difference === 'missing' && (await isEnded(lease))
      if (isGone && (await this.#isDeleted(pair.ours))) continue
      different += 1
      if (differences.length < NAMED_MAX) differences.push({ key: pair.key, difference })
    }
    return {
      revision,
      keys,
      leases: leases.size,
      copied: this.#copied,
      changes: this.#changes,
      different,
      differences,
      positionKey: this.#stored.key,
    }
  }

  /** Whether the source has deleted a key with its lease. A damaged etcd may keep the key for ever. */
  async #isDeleted(record: KvRecord | undefined): Promise<boolean> {
    const { source, signal } = this.#options
    if (record === undefined) return true
    const { keyBytes, modRevision } = record
    for (let looks = 1; ; looks++) {
      if ((await source.get(keyBytes, { signal }))?.modRevision !== modRevision) return true
      if (looks >= this.#deletedLooks) break
      await sleep(LEASE_PAUSE_MS)
    }
    // There are others, most likely.
    this.#deletedLooks = 1
    return false
  }
}

const TOO_FAST =
  'the source compacts its history faster than it can be copied: let it keep more, and run the command again'

type LeasedRecord = Pick<SourceRecord, 'lease'>

const putOf = (record: SourceRecord): SourceChange => ({ type: 'put', record })

const NOT_KEPT = new Uint8Array()

/** The key is copied: it may be a part of a page, which would stay in memory as a whole. */
const withoutValue = (record: SourceRecord): SourceRecord => ({
  ...record,
  keyBytes: new Uint8Array(record.keyBytes),
  value: NOT_KEPT,
})

/** Codes with which a target refuses a transaction that has too many changes. */
const TOO_MANY = new Set(['too_many_operations', 'range_too_large'])

const isSplittable = (error: QuorateError): boolean => TOO_MANY.has(error.code) || isTooLarge(error)

const isInRange = (key: Uint8Array, { start, end }: KeyRange): boolean =>
  Buffer.compare(key, start) >= 0 && (end === undefined || Buffer.compare(key, end) < 0)
