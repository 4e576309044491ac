// The changes of the source, and how many of them one transaction of the target has.

import type { KvRecord } from '../../client/index.ts'
import { topicOfMessage } from './topic-keys.ts'

/** Limit of etcd on the operations of a transaction, without the one that moves the position. */
export const OPERATIONS_MAX = 127
/** Limit on the keys and values of one transaction: below the request of etcd and of quorate, 1.5 MiB. */
export const BYTES_MAX = 1_250_000
/** Revisions of the source share a transaction up to this size. */
const SHARED_BYTES_MAX = 256 * 1024

type SourceFields = 'keyBytes' | 'value' | 'lease' | 'createRevision' | 'modRevision' | 'version'

export interface SourceRecord extends Pick<KvRecord, SourceFields> {
  /** Size of the key and the value. */
  readonly bytes: number
}

export const sourceRecord = (record: KvRecord): SourceRecord => {
  const { keyBytes, value, lease, createRevision, modRevision, version } = record
  const bytes = keyBytes.length + value.length
  return { keyBytes, value, lease, createRevision, modRevision, version, bytes }
}

type OrderedRecord = Pick<KvRecord, 'keyBytes' | 'lease' | 'createRevision' | 'modRevision'>

/**
 * The revision that gives a record its place in a copy: the last one. That of a key of a lease is the first one: the
 * oldest key of a lock or an election holds it, also when its value has changed since.
 */
const orderRevision = ({ lease, createRevision, modRevision }: OrderedRecord): number =>
  lease === undefined ? modRevision : createRevision

export const compareOrder = (a: OrderedRecord, b: OrderedRecord): number =>
  orderRevision(a) - orderRevision(b) || Buffer.compare(a.keyBytes, b.keyBytes)

export type SourceChange =
  | { readonly type: 'put'; readonly record: SourceRecord }
  | { readonly type: 'delete'; readonly key: Uint8Array }

/** The changes of one revision. */
export interface SourceRevision {
  readonly revision: number
  readonly changes: readonly SourceChange[]
}

export const changeKey = (change: SourceChange): Uint8Array =>
  change.type === 'put' ? change.record.keyBytes : change.key

export const changeBytes = (change: SourceChange): number =>
  change.type === 'put' ? change.record.bytes : change.key.length

const keyName = (change: SourceChange): string => Buffer.from(changeKey(change)).toString('latin1')

/**
 * Returns the last change of each key. In etcd, one revision may delete all keys from one on, and put some of them; a
 * transaction of the target changes a key once.
 */
export function lastChanges(changes: readonly SourceChange[]): readonly SourceChange[] {
  const last = new Map<string, SourceChange>()
  for (const change of changes) last.set(keyName(change), change)
  return last.size === changes.length ? changes : [...last.values()]
}

/** Whether recipes rely on its order by revisions: that of keys of leases, and of the messages of a topic. */
export const isOrdered = ({ lease, keyBytes }: Pick<SourceRecord, 'lease' | 'keyBytes'>): boolean =>
  lease !== undefined || topicOfMessage(keyBytes) !== undefined

const hasOwnRevision = (change: SourceChange): boolean => change.type === 'put' && isOrdered(change.record)

/**
 * The number of first revisions that share a transaction, 1 at least. A key changes once in a transaction, and some
 * revisions have one of their own.
 */
export function countShared(revisions: Iterable<SourceRevision>): number {
  const keys = new Set<string>()
  let [count, bytes] = [0, 0]
  for (const { changes } of revisions) {
    for (const change of changes) {
      const key = keyName(change)
      bytes += changeBytes(change)
      if (keys.has(key) || hasOwnRevision(change)) return Math.max(1, count)
      keys.add(key)
    }
    if (keys.size > OPERATIONS_MAX || bytes > SHARED_BYTES_MAX) return Math.max(1, count)
    count += 1
  }
  return count
}

/** The number of records from `at` on that share a transaction. They are in their order. */
export function countSharedRecords(records: readonly SourceRecord[], at: number): number {
  // One more than fits: so the last of several revisions is whole.
  const some = records.slice(at, at + OPERATIONS_MAX + 1)
  const revisions: { readonly revision: number; readonly changes: SourceChange[] }[] = []
  for (const record of some) {
    const change = { type: 'put', record } as const
    const last = revisions.at(-1)
    if (last?.revision === orderRevision(record)) last.changes.push(change)
    else revisions.push({ revision: orderRevision(record), changes: [change] })
  }
  return revisions.slice(0, countShared(revisions)).reduce((count, { changes }) => count + changes.length, 0)
}

/** The number of first changes that fit into one transaction, 1 at least. */
export function countFitting(changes: readonly SourceChange[], max: number): number {
  let [count, bytes] = [0, 0]
  for (const change of changes) {
    bytes += changeBytes(change)
    if (count === max || (count > 0 && bytes > BYTES_MAX)) break
    count += 1
  }
  return count
}
