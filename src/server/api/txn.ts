// Transactions: what is refused before the log, the memory of their answers, and the evaluation of those that change
// nothing. These are evaluated on the store of one instant, without the log, and mean the same as in the log
// (`executeTxn`): comparisons first, those of nested transactions included.

import { areTooManyKeys } from '../../kv/index.ts'
import { rejection } from '../../kv/rejections.ts'
import { keyLimits } from '../../kv/settings.ts'
import { comparisonHolds, readsValue, TXN_OPERATIONS_MAX, txnFault } from '../../kv/txn.ts'
import type { BatchedCommand } from '../../operations/batch.ts'
import {
  ApiError,
  asRevision,
  type Condition,
  compareKeys,
  type KeyRange,
  type KeyRow,
  type KvSettings,
  keyAfter,
  type PutLease,
  type Revision,
  type Where,
} from '../../operations/forms/index.ts'
import { TXN_DEPTH_MAX } from '../../operations/forms/transactions.ts'
import type {
  KvComparison,
  KvTxn,
  KvTxnOperation,
  KvTxnOperationResult,
  KvTxnResult,
} from '../../operations/index.ts'
import type { KvNode } from '../node/kv-node.ts'
import type { MetadataScan } from '../node/read/metadata-scan.ts'
import type { RecordScan } from '../node/read/record-scan.ts'
import type { AnswerTo } from './answer.ts'
import type { Reservation } from './budget.ts'
import { errorOfOutcome } from './errors.ts'
import { finish, type Instant, type Ranges } from './ranges.ts'

/** Throws `ApiError` for a transaction that is refused whatever the store has. */
export function checkTxn(node: KvNode, txn: KvTxn): void {
  const fault = txnFault(txn)
  if (fault !== undefined)
    throw errorOfOutcome(rejection(node.revision, fault, [TXN_OPERATIONS_MAX, TXN_DEPTH_MAX]))
}

/** The same transaction with other leases of its puts, nested ones included. */
export function withLeases(txn: KvTxn, replaceLease: (lease: PutLease) => PutLease): KvTxn {
  const each = (operation: KvTxnOperation): KvTxnOperation => {
    if (operation.kind === 'put')
      return operation.lease === undefined
        ? operation
        : { ...operation, lease: replaceLease(operation.lease) }
    return operation.kind === 'txn'
      ? { kind: 'txn', txn: withLeases(operation.txn, replaceLease) }
      : operation
  }
  return { ...txn, success: txn.success.map(each), failure: txn.failure.map(each) }
}

/** Operations of both branches, nested ones included. */
const flattenOperations = ({ success, failure }: KvTxn): readonly KvTxnOperation[] =>
  [...success, ...failure].flatMap((operation) =>
    operation.kind === 'txn' ? [operation, ...flattenOperations(operation.txn)] : [operation],
  )

// ---------------------------------------------------------------------------------------------------------------------
// Changes of one key

/**
 * The change of a transaction that compares one key with a revision or with absence, and then puts or deletes it. If
 * the comparison fails, it gets the key, or does nothing. undefined: it is another one. So it demands the rights of its
 * change, and apply decides again on those. Clients of etcd create, update and delete keys so. Changes of single keys
 * that arrive together share an entry, and an entry costs each node many times as much as a change in it.
 *
 * A change of a key is refused for its size before its condition is tested, and a transaction afterwards. So this is
 * for sizes that are not refused.
 */
export function keyChangeOf(
  txn: KvTxn,
  { keyBytesMax, valueBytesMax }: Pick<KvSettings, 'keyBytesMax' | 'valueBytesMax'>,
): BatchedCommand | undefined {
  const { compare, success, failure } = txn
  const [comparison] = compare
  const [change] = success
  if (comparison === undefined || compare.length > 1 || change === undefined || success.length > 1)
    return undefined
  if (failure.length > 0 && keyGetOf(txn) === undefined) return undefined
  const condition = conditionOf(comparison)
  if (condition === undefined || !('key' in comparison.where)) return undefined
  const { key } = comparison.where
  if (key.length > keyBytesMax) return undefined
  if (change.kind === 'delete' && !change.prev && 'key' in change.where && areEqual(change.where.key, key))
    return { kind: 'delete', key, condition, prev: false }
  if (change.kind !== 'put' || change.prev || change.keepsValue || change.keepsLease) return undefined
  if (!areEqual(change.key, key) || change.value.length > valueBytesMax) return undefined
  return { kind: 'put', key, value: change.value, condition, prev: false, lease: change.lease }
}

const areEqual = (a: Uint8Array, b: Uint8Array): boolean => compareKeys(a, b) === 0

/** The condition that holds when the comparison of a key does; undefined: no condition says it. */
function conditionOf({ op, target, to }: KvComparison): Condition | undefined {
  if (op !== '=' || (target !== 'version' && target !== 'create_revision' && target !== 'mod_revision'))
    return undefined
  if (to === 0) return { ifMatch: undefined, ifNoneMatch: 'any' }
  return target === 'mod_revision' ? { ifMatch: [asRevision(to)], ifNoneMatch: undefined } : undefined
}

/** The answer to the transaction, from that to its change. */
export function answerOfKeyChange(answer: AnswerTo<'put'> | AnswerTo<'delete'>): AnswerTo<'txn'> {
  const { revision, ...result } = answer.result
  const results: KvTxnOperationResult[] =
    result.kind === 'put' ? [result] : [{ kind: 'delete', deleted: result.deleted, prev: undefined }]
  return { kind: 'txn', result: { revision, succeeded: true, results }, head: answer.head }
}

type TxnGet = Extract<KvTxnOperation, { readonly kind: 'get' }>

/** The get of a whole record that is all that a transaction does when its comparison fails, of the key it compares. */
interface KeyGet {
  readonly comparison: KvComparison
  readonly get: TxnGet & { readonly where: { readonly key: Uint8Array } }
}

/** undefined: the transaction of a key reads something else when its comparison fails. */
export function keyGetOf({ compare: [comparison], failure: [get, ...others] }: KvTxn): KeyGet | undefined {
  if (comparison === undefined || get?.kind !== 'get' || others.length > 0) return undefined
  const { where, limit = 1, revision } = get
  if (!('key' in where) || !hasValues(get) || limit < 1 || revision !== undefined) return undefined
  if (!('key' in comparison.where) || !areEqual(where.key, comparison.where.key)) return undefined
  return { comparison, get: { ...get, where } }
}

export const resultOfKeyGet = ({ count }: TxnGet, row: KeyRow | undefined): KvTxnOperationResult => {
  const records = row === undefined ? [] : [row]
  return { kind: 'get', found: { records, more: false, count: count ? records.length : undefined } }
}

// ---------------------------------------------------------------------------------------------------------------------
// Memory

/** Largest size of a result without records. */
const RESULT_BYTES_MAX = 128

/** The estimate of an answer to a change, for its reservation. */
export interface AnswerEstimate {
  /** Keys whose records it may have. */
  readonly keys: readonly Uint8Array[]
  /** Limit on the bytes of these records. */
  readonly recordBytesMax: number
  /** Bytes of everything else. */
  readonly bytes: number
}

/** The number of records in a range is unknown before, so the limit on all records of an answer stands for them. */
export function estimateAnswer(
  txn: KvTxn,
  { rangeBytesMax }: Pick<KvSettings, 'rangeBytesMax'>,
  expansion: number,
): AnswerEstimate {
  const operations = flattenOperations(txn)
  const keys: Uint8Array[] = []
  let bytes = (1 + operations.length) * RESULT_BYTES_MAX
  let writtenBytes = 0
  for (const operation of operations) {
    if (operation.kind === 'put') writtenBytes += expansion * operation.value.length
    const where = answeredBy(operation)
    if (where === undefined) continue
    const isOfPast = operation.kind === 'get' && operation.revision !== undefined
    if (isOfPast || !('key' in where)) return { keys: [], recordBytesMax: 0, bytes: bytes + rangeBytesMax }
    if (operation.kind === 'get' && operation.keysOnly)
      bytes += RESULT_BYTES_MAX + expansion * where.key.length
    else keys.push(where.key)
  }
  // A get may answer what a put of its own transaction has written.
  if (keys.length > 0) bytes += Math.min(writtenBytes, rangeBytesMax)
  return { keys, recordBytesMax: rangeBytesMax, bytes }
}

/** The keys whose records the result of the operation may have. */
function answeredBy(operation: KvTxnOperation): Where | undefined {
  switch (operation.kind) {
    case 'put':
      return operation.prev ? { key: operation.key } : undefined
    case 'delete':
      return operation.prev ? operation.where : undefined
    case 'get':
      return operation.countOnly ? undefined : operation.where
    case 'txn':
      return undefined
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Without changes

/**
 * Evaluates a transaction without changes on one instant. `checkAt`: throws if the store cannot be read at a revision.
 * Throws `ApiError` beyond the limits of a transaction.
 */
export async function evaluateTxn(
  txn: KvTxn,
  instant: Instant,
  ranges: Ranges,
  revision: Revision | undefined,
  settings: KvSettings,
  checkAt: (revision: Revision) => void,
): Promise<{ readonly result: KvTxnResult; readonly reservation: Reservation }> {
  const reservation = ranges.reserve()
  try {
    const reads = new TxnReads(txn, instant, ranges, revision, settings, reservation, checkAt)
    const result = await evaluate(txn, reads)
    await reads.finish()
    return { result, reservation }
  } catch (error) {
    reservation.release()
    throw error
  }
}

/** All keys. */
const EVERYTHING: KeyRange = { start: new Uint8Array(), end: undefined }

/** The store at one instant, within the limits of one transaction. One scan reads all its keys and ranges in turn. */
class TxnReads {
  readonly #instant: Instant
  readonly #ranges: Ranges
  readonly #records: RecordScan
  /** Reads what needs no values; undefined: everything needs them. `#records` is a part of it. */
  readonly #metadata: MetadataScan | undefined
  /** Reads at the revisions of single gets; undefined: there are none. */
  readonly #past: RecordScan | undefined
  readonly #checkAt: (revision: Revision) => void
  readonly #settings: KvSettings
  readonly #reservation: Reservation
  /** Keys of ranges that were read, and their bytes. */
  #keys = 0
  #keyBytes = 0
  /** Bytes of keys and values of the answer. */
  #bytes = 0
  /** Bytes of the values that were compared. */
  #comparedBytes = 0

  constructor(
    txn: KvTxn,
    instant: Instant,
    ranges: Ranges,
    revision: Revision | undefined,
    settings: KvSettings,
    reservation: Reservation,
    checkAt: (revision: Revision) => void,
  ) {
    this.#instant = instant
    this.#ranges = ranges
    const options = { ...EVERYTHING, reverse: false, revision }
    this.#metadata = needsValuesOnly(txn) ? undefined : instant.listMetadata(options)
    this.#records = this.#metadata?.records ?? instant.list(options)
    // It is moved to the revision of each get.
    this.#past = readsPast(txn) ? instant.list({ ...options, revision: asRevision(0) }) : undefined
    this.#checkAt = checkAt
    this.#settings = settings
    this.#reservation = reservation
  }

  /** Counts a record of the answer. */
  keep({ key, value }: KeyRow): void {
    const bytes = key.length + value.length
    this.#bytes += bytes
    this.#checkRecordBytes(this.#bytes)
    this.#reservation.grow(bytes)
  }

  /** Counts a value that is compared. */
  compare({ value }: KeyRow): void {
    this.#comparedBytes += value.length
    this.#checkRecordBytes(this.#comparedBytes)
  }

  /**
   * Calls `take` with the records of a key or a range in the order of their keys, until it returns false. Reads no more
   * than `recordsMax`. `withValues`: otherwise their values are empty. `revision`: of a single get; then they have
   * their values in any case.
   */
  async each(
    where: Where,
    withValues: boolean,
    take: (record: KeyRow) => boolean,
    recordsMax = Number.MAX_SAFE_INTEGER,
    revision?: Revision,
  ): Promise<void> {
    const isKey = 'key' in where
    const range = isKey ? { start: where.key, end: keyAfter(where.key) } : where
    const scan = this.#moveTo(range, withValues, revision)
    const { call } = this.#instant
    const rowsMax = isKey ? 1 : Math.min(recordsMax, Number.MAX_SAFE_INTEGER)
    for await (const { rows } of this.#ranges.slices(call, scan, rowsMax)) {
      if (performance.now() > call.deadline)
        throw new ApiError('overloaded', 'the transaction could not be read within the timeout')
      if (!isKey) this.#count(rows)
      if (!rows.every(take)) break
    }
  }

  /** The scan that reads there. */
  #moveTo(range: KeyRange, withValues: boolean, revision: Revision | undefined): RecordScan | MetadataScan {
    if (revision === undefined) {
      const scan = withValues ? this.#records : (this.#metadata ?? this.#records)
      scan.moveTo(range)
      return scan
    }
    this.#checkAt(revision)
    if (this.#past === undefined) throw new Error('a transaction without gets at a revision')
    this.#past.moveTo(range, revision)
    return this.#past
  }

  /** Throws if what was read is not complete. */
  async finish(): Promise<void> {
    if (this.#past !== undefined) await finish(this.#past)
    await finish(this.#metadata ?? this.#records)
  }

  #count(rows: readonly KeyRow[]): void {
    this.#keys += rows.length
    for (const { key } of rows) this.#keyBytes += key.length
    if (areTooManyKeys(this.#keys, this.#keyBytes, this.#settings))
      throw this.#createRejection('range-too-large', keyLimits(this.#settings))
  }

  #checkRecordBytes(bytes: number): void {
    const { rangeBytesMax } = this.#settings
    if (bytes > rangeBytesMax) throw this.#createRejection('records-too-large', [bytes, rangeBytesMax])
  }

  #createRejection(
    reason: 'records-too-large' | 'range-too-large',
    numbers: readonly [number, number],
  ): ApiError {
    return errorOfOutcome(rejection(this.#instant.grant.revision, reason, numbers))
  }
}

/** Whether an answer to this get has values. */
const hasValues = ({ keysOnly, countOnly }: Extract<KvTxnOperation, { kind: 'get' }>): boolean =>
  !keysOnly && !countOnly

const needsValuesOnly = (txn: KvTxn): boolean =>
  txn.compare.every(({ target }) => target === 'value') &&
  [...txn.success, ...txn.failure].every((operation) =>
    operation.kind === 'txn'
      ? needsValuesOnly(operation.txn)
      : operation.kind !== 'get' || hasValues(operation),
  )

const readsPast = ({ success, failure }: KvTxn): boolean =>
  [...success, ...failure].some((operation) =>
    operation.kind === 'txn'
      ? readsPast(operation.txn)
      : operation.kind === 'get' && operation.revision !== undefined,
  )

async function evaluate(txn: KvTxn, reads: TxnReads): Promise<KvTxnResult> {
  const succeeded = await allHold(txn.compare, reads)
  const results: KvTxnOperationResult[] = []
  for (const operation of succeeded ? txn.success : txn.failure)
    results.push(
      operation.kind === 'txn'
        ? { kind: 'txn', ...(await evaluate(operation.txn, reads)) }
        : await evaluateOperation(operation, reads),
    )
  return { succeeded, results }
}

async function allHold(comparisons: readonly KvComparison[], reads: TxnReads): Promise<boolean> {
  for (const comparison of comparisons) if (!(await holds(comparison, reads))) return false
  return true
}

async function holds(comparison: KvComparison, reads: TxnReads): Promise<boolean> {
  const { where } = comparison
  let count = 0
  let isTrue = true
  await reads.each(where, comparison.target === 'value', (record) => {
    count++
    if (readsValue(comparison, record.value.length)) reads.compare(record)
    isTrue = comparisonHolds(comparison, record, record.value)
    return isTrue
  })
  return count === 0 ? comparisonHolds(comparison, undefined, undefined) : isTrue
}

/** The record as a scan of metadata has it. */
const withoutValue = ({ by: _by, ...record }: KeyRow): KeyRow => ({ ...record, value: NO_VALUE })
const NO_VALUE = new Uint8Array()

async function evaluateOperation(
  operation: Exclude<KvTxnOperation, { kind: 'txn' }>,
  reads: TxnReads,
): Promise<KvTxnOperationResult> {
  if (operation.kind !== 'get') throw new Error(`a ${operation.kind} is no read`)
  const {
    where,
    limit = Number.POSITIVE_INFINITY,
    count: isCounted,
    countOnly,
    keysOnly,
    revision,
  } = operation
  const counts = isCounted || countOnly
  const records: KeyRow[] = []
  let count = 0
  await reads.each(
    where,
    hasValues(operation),
    (record) => {
      count++
      if (countOnly || records.length >= limit) return counts
      reads.keep(record)
      records.push(keysOnly && revision !== undefined ? withoutValue(record) : record)
      return true
    },
    counts ? undefined : limit + 1,
    revision,
  )
  const more = !countOnly && records.length < count
  return { kind: 'get', found: { records, more, count: counts ? count : undefined } }
}
