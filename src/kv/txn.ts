// Transactions: comparisons, and what is done if all of them hold, or if not. All of it happens at one revision, or
// nothing of it happens.
//
// The meaning is etcd's. All comparisons, also those of nested transactions, are made before anything is changed. So
// they decide which operations are done; these see what the operations before them have changed.

import { assertNever, latin1 } from '../bytes/index.ts'
import {
  asRevision,
  compareKeys,
  type KeyRange,
  type KeyRow,
  keyAfter,
  type LeaseId,
  type RecordMetadata,
  type Revision,
  type Where,
} from '../operations/forms/index.ts'
import { TXN_DEPTH_MAX } from '../operations/forms/transactions.ts'
import type {
  KvComparison,
  KvTxn,
  KvTxnOperation,
  KvTxnOperationResult,
  KvTxnResult,
} from '../operations/index.ts'
import type { ApplyContext } from './apply-context.ts'
import { decodeVersionKey, readVersion } from './codec/rows.ts'
import { compactedUpTo } from './history.ts'
import {
  type KeyMetadata,
  keepFault,
  keyMeta,
  metadataKey,
  putFault,
  readCurrent,
  readKeyRow,
  removeKey,
  writeKey,
  writtenBytes,
} from './keys.ts'
import { LeaseChecks } from './leases.ts'
import { rejection } from './rejections.ts'
import { keyLimits } from './settings.ts'
import type { Steps } from './steps.ts'
import type { KeysOrLease, KvState, Outcome, RangeToRead, Rejection, Rows } from './types.ts'

/** Comparisons of a transaction, and operations of each of its branches, with those of nested transactions. */
export const TXN_OPERATIONS_MAX = 128

/** Why a transaction is not accepted, whatever the store holds; undefined: it is accepted. */
export function txnFault(txn: KvTxn): 'too-many-operations' | 'too-deep' | 'duplicate-key' | undefined {
  if (txnDepth(txn) > TXN_DEPTH_MAX) return 'too-deep'
  if (isTooLong(txn)) return 'too-many-operations'
  return collectTxnChanges(txn) === 'duplicate' ? 'duplicate-key' : undefined
}

const txnDepth = (txn: KvTxn): number =>
  1 +
  Math.max(
    0,
    ...bothBranches(txn).map((operation) => (operation.kind === 'txn' ? txnDepth(operation.txn) : 0)),
  )

/** Each of its three lists counts by itself, as in etcd. */
const isTooLong = (txn: KvTxn): boolean =>
  [countComparisons(txn), countOperations(txn.success), countOperations(txn.failure)].some(
    (count) => count > TXN_OPERATIONS_MAX,
  )

const countComparisons = (txn: KvTxn): number =>
  bothBranches(txn).reduce(
    (sum, operation) => sum + (operation.kind === 'txn' ? countComparisons(operation.txn) : 0),
    txn.compare.length,
  )

const countOperations = (operations: readonly KvTxnOperation[]): number =>
  operations.reduce(
    (sum, operation) =>
      sum + 1 + (operation.kind === 'txn' ? countOperations(bothBranches(operation.txn)) : 0),
    0,
  )

const bothBranches = ({ success, failure }: KvTxn): readonly KvTxnOperation[] => [...success, ...failure]

/** The keys and ranges that the operations of one branch may change. */
interface Changes {
  readonly puts: readonly Uint8Array[]
  readonly deletes: readonly Where[]
}

/** The branches of one transaction exclude each other, so they may change the same key. */
function collectTxnChanges({ success, failure }: KvTxn): Changes | 'duplicate' {
  const [done, otherwise] = [collectBranchChanges(success), collectBranchChanges(failure)]
  if (done === 'duplicate' || otherwise === 'duplicate') return 'duplicate'
  return {
    puts: [...done.puts, ...otherwise.puts],
    deletes: [...done.deletes, ...otherwise.deletes],
  }
}

/** Within a branch a key is put at most once, and not put and deleted. Deletes may overlap. */
function collectBranchChanges(operations: readonly KvTxnOperation[]): Changes | 'duplicate' {
  const puts: Uint8Array[] = []
  const deletes: Where[] = []
  for (const operation of operations) {
    const more = collectOperationChanges(operation)
    if (more === 'duplicate') return more
    if (meet(more.puts, puts) || isAnyCovered(more.puts, deletes) || isAnyCovered(puts, more.deletes))
      return 'duplicate'
    puts.push(...more.puts)
    deletes.push(...more.deletes)
  }
  return { puts, deletes }
}

function collectOperationChanges(operation: KvTxnOperation): Changes | 'duplicate' {
  switch (operation.kind) {
    case 'put':
      return { puts: [operation.key], deletes: [] }
    case 'delete':
      return { puts: [], deletes: [operation.where] }
    case 'get':
      return { puts: [], deletes: [] }
    case 'txn':
      return collectTxnChanges(operation.txn)
    default:
      return assertNever(operation, 'operation')
  }
}

const meet = (some: readonly Uint8Array[], others: readonly Uint8Array[]): boolean =>
  some.some((key) => others.some((other) => compareKeys(key, other) === 0))

const isAnyCovered = (keys: readonly Uint8Array[], places: readonly Where[]): boolean =>
  keys.some((key) => places.some((where) => isCovered(key, where)))

const isCovered = (key: Uint8Array, where: Where): boolean =>
  'key' in where ? compareKeys(key, where.key) === 0 : isInRange(key, where)

const isInRange = (key: Uint8Array, { start, end }: KeyRange): boolean =>
  compareKeys(key, start) >= 0 && (end === undefined || compareKeys(key, end) < 0)

type Place = Exclude<KeysOrLease, { readonly lease: LeaseId }>

/** The ranges that it names. Their keys are read before it is applied. */
export const txnRanges = (txn: KvTxn): readonly RangeToRead[] =>
  txnPlaces(txn).flatMap((place) => ('key' in place ? [] : [place]))

/** All keys and ranges that it names. */
export const txnPlaces = (txn: KvTxn): readonly Place[] => collectPlaces(txn, countDeletes(txn))

/** `deletes`: of the outermost transaction. */
const collectPlaces = ({ compare, success, failure }: KvTxn, deletes: number): readonly Place[] => [
  ...compare.map(({ where }) => wholePlace(where)),
  ...[...success, ...failure].flatMap((operation) => collectOperationPlaces(operation, deletes)),
]

function collectOperationPlaces(operation: KvTxnOperation, deletes: number): readonly Place[] {
  switch (operation.kind) {
    case 'txn':
      return collectPlaces(operation.txn, deletes)
    case 'put':
      return [{ key: operation.key }]
    case 'get':
      return [getPlace(operation, { deletes })]
    case 'delete':
      return [wholePlace(operation.where)]
    default:
      return assertNever(operation, 'operation')
  }
}

const wholePlace = (where: Where): Place => ('key' in where ? where : { ...where, keysMax: undefined })

type Get = Extract<KvTxnOperation, { kind: 'get' }>

/** The place that a get reads: of a range no more than its answer has, and what may be deleted of it before. */
function getPlace(get: Get, { deletes }: Pick<TxnContext, 'deletes'>): Place {
  if (isOfPast(get)) return pastRange(get)
  const { where, limit, count, countOnly } = get
  if ('key' in where || limit === undefined || count || countOnly) return wholePlace(where)
  // One more shows whether there are more.
  const keysMax = limit + deletes + 1
  return { ...where, keysMax: Number.isSafeInteger(keysMax) ? keysMax : undefined }
}

type PastGet = Get & { readonly revision: Revision }

const isOfPast = (operation: KvTxnOperation): operation is PastGet =>
  operation.kind === 'get' && operation.revision !== undefined

/** The range of a get at a revision, also of one key. */
function pastRange({ where, limit, count, countOnly, revision }: PastGet): RangeToRead {
  const range = 'key' in where ? { start: where.key, end: keyAfter(where.key) } : where
  const keysMax = limit === undefined || count || countOnly ? undefined : limit + 1
  return { ...range, keysMax: Number.isSafeInteger(keysMax) ? keysMax : undefined, revision }
}

/** Keys that a transaction deletes at most. */
function countDeletes(txn: KvTxn): number {
  let deletes = 0
  for (const operation of bothBranches(txn))
    if (operation.kind === 'txn') deletes += countDeletes(operation.txn)
    else if (operation.kind === 'delete') deletes += 'key' in operation.where ? 1 : Number.POSITIVE_INFINITY
  return deletes
}

// ---------------------------------------------------------------------------------------------------------------------
// Applying

/** A branch that is to be done. */
interface ChosenBranch {
  readonly succeeded: boolean
  readonly operations: readonly (
    | Exclude<KvTxnOperation, { kind: 'txn' }>
    | ({ readonly kind: 'txn' } & ChosenBranch)
  )[]
}

/** An entry with a transaction. */
interface TxnContext extends ApplyContext {
  /** Keys that the transaction deletes at most. */
  readonly deletes: number
}

export function* executeTxn(txn: KvTxn, context: ApplyContext): Steps<Outcome> {
  const work: TxnContext = { ...context, deletes: countDeletes(txn) }
  const { state } = work
  const fault = txnFault(txn)
  if (fault !== undefined) return rejection(state.revision, fault, [TXN_OPERATIONS_MAX, TXN_DEPTH_MAX])
  if (txnRanges(txn).some((range) => isTooLarge(range, work)))
    return rejection(state.revision, 'range-too-large', keyLimits(state.settings))
  const compared = yield* comparedBytes(txn, work)
  if (compared > state.settings.rangeBytesMax) return recordsTooLarge(compared, work)
  const chosen = yield* choose(txn, work)
  const refusal = yield* checkBranch(chosen, work)
  if (refusal !== undefined) return refusal
  const revision = asRevision(state.revision + 1)
  const { succeeded, results } = yield* run(chosen, revision, new Map(), work)
  return { kind: 'txn', revision: state.revision, succeeded, results }
}

const isTooLarge = (range: RangeToRead, { rows }: ApplyContext): boolean =>
  (range.revision === undefined ? rows.inRange(range) : rows.versionsIn(range)) === undefined

const recordsTooLarge = (bytes: number, { state: { revision, settings } }: ApplyContext): Rejection =>
  rejection(revision, 'records-too-large', [bytes, settings.rangeBytesMax])

/** Bytes of the values that the comparisons read, if all of them are made. */
function* comparedBytes(txn: KvTxn, work: ApplyContext): Steps<number> {
  let bytes = 0
  for (const comparison of txn.compare) {
    const { target, where } = comparison
    if (target !== 'value') continue
    const currents =
      'key' in where ? [readCurrentMetadata(where.key, work)] : yield* currentBefore(where, work)
    for (const current of currents)
      if (current !== null && readsValue(comparison, current.valueBytes)) bytes += current.valueBytes
  }
  for (const operation of bothBranches(txn))
    if (operation.kind === 'txn') bytes += yield* comparedBytes(operation.txn, work)
  return bytes
}

/** Makes all comparisons, before anything is changed. */
function* choose(txn: KvTxn, work: ApplyContext): Steps<ChosenBranch> {
  const succeeded = yield* allHold(txn.compare, work)
  const operations: ChosenBranch['operations'][number][] = []
  for (const operation of succeeded ? txn.success : txn.failure)
    if (operation.kind !== 'txn') operations.push(operation)
    else operations.push({ kind: operation.kind, ...(yield* choose(operation.txn, work)) })
  return { succeeded, operations }
}

function* allHold(comparisons: readonly KvComparison[], work: ApplyContext): Steps<boolean> {
  for (const comparison of comparisons) if (!(yield* holds(comparison, work))) return false
  return true
}

function* holds(comparison: KvComparison, work: ApplyContext): Steps<boolean> {
  const { where } = comparison
  if ('key' in where) return compares(comparison, readCurrentMetadata(where.key, work), work.rows)
  const currents = yield* currentBefore(where, work)
  if (currents.length === 0) return comparisonHolds(comparison, undefined, undefined)
  for (const current of currents) {
    if (!compares(comparison, current, work.rows)) return false
    yield
  }
  return true
}

/** Whether a comparison reads a value of this length. Values of different lengths are not equal, whatever they are. */
export const readsValue = ({ target, op, to }: KvComparison, valueBytes: number): boolean =>
  target === 'value' && (op === '<' || op === '>' || valueBytes === to.length)

function compares(comparison: KvComparison, current: KeyMetadata | null, rows: Rows): boolean {
  if (comparison.target !== 'value' || current === null)
    return comparisonHolds(comparison, current ?? undefined, undefined)
  if (!readsValue(comparison, current.valueBytes)) return comparison.op === '!='
  return comparisonHolds(comparison, current, readKeyRow(current, rows).value)
}

/**
 * Whether a comparison holds for a key. Both are undefined for a key that does not exist, and for a range without keys:
 * their value compares with nothing.
 */
export function comparisonHolds(
  comparison: KvComparison,
  current: Omit<RecordMetadata, 'key'> | undefined,
  value: Uint8Array | undefined,
): boolean {
  const { op } = comparison
  switch (comparison.target) {
    case 'value':
      return value !== undefined && isOrder(compareKeys(value, comparison.to), op)
    case 'version':
      return isOrder((current?.version ?? 0) - comparison.to, op)
    case 'create_revision':
      return isOrder((current?.createRevision ?? 0) - comparison.to, op)
    case 'mod_revision':
      return isOrder((current?.modRevision ?? 0) - comparison.to, op)
    case 'lease':
      return isOrder(compareLeases(current?.lease, comparison.to), op)
    default:
      return assertNever(comparison, 'comparison')
  }
}

function isOrder(order: number, op: KvComparison['op']): boolean {
  switch (op) {
    case '=':
      return order === 0
    case '!=':
      return order !== 0
    case '<':
      return order < 0
    case '>':
      return order > 0
    default:
      return assertNever(op, 'operator')
  }
}

/** Decimal digits without leading zeros: the longer number is the larger one. */
function compareLeases(a: LeaseId | undefined, b: LeaseId | undefined): number {
  const [one, other] = [a ?? NO_LEASE, b ?? NO_LEASE]
  if (one === other) return 0
  return one.length - other.length || (one < other ? -1 : 1)
}

/**
 * Bytes of keys and values that the branch answers with, at most: what a limit leaves out depends on what the
 * operations before have deleted.
 */
function* recordBytes(chosen: ChosenBranch, work: TxnContext): Steps<number> {
  const puts: { readonly key: Uint8Array; readonly valueBytes: number }[] = []
  let [bytes, deleted] = [0, 0]
  for (const operation of flat(chosen)) {
    if (operation.kind === 'put') {
      const { key, prev, keepsValue } = operation
      const current = prev || keepsValue ? readCurrentMetadata(key, work) : null
      if (prev && current !== null) bytes += key.length + current.valueBytes
      puts.push({ key, valueBytes: writtenBytes(operation, current) })
    } else if (operation.kind === 'delete') {
      const found = yield* currentAt(operation.where, NOTHING_PUT, work)
      if (operation.prev) for (const { key, valueBytes } of found) bytes += key.length + valueBytes
      deleted += found.length
    } else if (isOfPast(operation)) {
      bytes += yield* pastBytes(operation, work)
    } else if (!operation.countOnly) {
      const { where, keysOnly, limit = Number.POSITIVE_INFINITY } = operation
      const found = yield* currentAt(getPlace(operation, work), NOTHING_PUT, work)
      for (const { key, valueBytes } of found.slice(0, limit + deleted))
        bytes += key.length + (keysOnly ? 0 : valueBytes)
      for (const { key, valueBytes } of puts)
        if (isCovered(key, where)) bytes += key.length + (keysOnly ? 0 : valueBytes)
    }
  }
  return bytes
}

/** Bytes of the records that a get at a revision reads: with their values, whatever it answers. */
function* pastBytes(get: PastGet, work: ApplyContext): Steps<number> {
  const { limit, countOnly } = get
  let bytes = 0
  for (const rowKey of countOnly ? [] : versionsOf(get, work).slice(0, limit)) {
    const { key, value } = readPast(rowKey, work)
    bytes += key.length + value.length
    // The others need not be read: the transaction is refused.
    if (bytes > work.state.settings.rangeBytesMax) break
    yield
  }
  return bytes
}

/** Why the branch cannot be done; undefined: it can. */
function* checkBranch(chosen: ChosenBranch, work: TxnContext): Steps<Rejection | undefined> {
  const { state } = work
  const { revision, settings } = state
  const answered = yield* recordBytes(chosen, work)
  if (answered > settings.rangeBytesMax) return recordsTooLarge(answered, work)
  let storeBytes = state.storeBytes
  const freed = new Set<string>()
  const leases = new LeaseChecks(work)
  const free = (current: KeyMetadata | null): void => {
    if (current === null || freed.has(latin1(current.key))) return
    freed.add(latin1(current.key))
    storeBytes -= current.key.length + current.valueBytes
  }
  for (const operation of flat(chosen)) {
    if (operation.kind === 'put') {
      const { key, value } = operation
      const current = readCurrentMetadata(key, work)
      const fault = putFault(key, value, state) ?? keepFault(operation, current, state)
      if (fault !== undefined) return fault
      const leaseFault = leases.fault(key, operation.lease, current)
      if (leaseFault !== undefined) return leaseFault
      free(current)
      storeBytes += key.length + writtenBytes(operation, current)
    } else if (operation.kind === 'delete') {
      for (const current of yield* currentAt(operation.where, NOTHING_PUT, work)) {
        free(current)
        yield
      }
    } else if (isOfPast(operation)) {
      const fault = pastFault(operation.revision, state)
      if (fault !== undefined) return fault
    }
  }
  if (storeBytes > settings.storeBytesMax && storeBytes > state.storeBytes)
    return rejection(revision, 'store-full', [settings.storeBytesMax, 0])
  return undefined
}

/** Why the store cannot be read as it was at this revision; undefined: it can. */
function pastFault(at: Revision, { revision, history }: KvState): Rejection | undefined {
  if (at > revision) return rejection(revision, 'future-revision', [at, revision])
  const from = compactedUpTo(at, history)
  return from === undefined ? undefined : rejection(revision, 'compacted', [at, from])
}

/** Operations in the order in which they are done, without transactions. */
const flat = ({ operations }: ChosenBranch): readonly Exclude<KvTxnOperation, { kind: 'txn' }>[] =>
  operations.flatMap((operation) => (operation.kind === 'txn' ? flat(operation) : [operation]))

/** `putBefore`: the keys that this entry has put, by name. */
function* run(
  chosen: ChosenBranch,
  revision: Revision,
  putBefore: Map<string, Uint8Array>,
  work: TxnContext,
): Steps<KvTxnResult> {
  const results: KvTxnOperationResult[] = []
  for (const operation of chosen.operations)
    results.push(
      operation.kind === 'txn'
        ? { kind: 'txn', ...(yield* run(operation, revision, putBefore, work)) }
        : yield* runOperation(operation, revision, putBefore, work),
    )
  return { succeeded: chosen.succeeded, results }
}

function* runOperation(
  operation: Exclude<KvTxnOperation, { kind: 'txn' }>,
  revision: Revision,
  putBefore: Map<string, Uint8Array>,
  work: TxnContext,
): Steps<KvTxnOperationResult> {
  const { rows } = work
  switch (operation.kind) {
    case 'put': {
      const { key, prev: wantsRow } = operation
      const rowKey = metadataKey(key)
      const current = readCurrent(key, rowKey, rows)
      const prev = wantsRow ? current && readKeyRow(current, rows) : undefined
      const { createRevision, version } = writeKey(operation, rowKey, current, revision, work)
      putBefore.set(latin1(key), key)
      return { kind: 'put', createRevision, modRevision: revision, version, prev }
    }
    case 'get': {
      const found = isOfPast(operation)
        ? yield* answer(operation, versionsOf(operation, work), (rowKey) => readPast(rowKey, work))
        : yield* find(operation, putBefore, work)
      return { kind: 'get', found }
    }
    case 'delete': {
      const found = yield* currentAt(operation.where, putBefore, work)
      const prev: KeyRow[] | undefined = operation.prev ? [] : undefined
      for (const current of found) {
        prev?.push(readKeyRow(current, rows))
        removeKey(current, metadataKey(current.key), revision, work)
        yield
      }
      return { kind: 'delete', deleted: found.length, prev }
    }
    default:
      return assertNever(operation, 'operation')
  }
}

type Found = NonNullable<Extract<KvTxnOperationResult, { kind: 'get' }>['found']>

function* find(get: Get, putBefore: ReadonlyMap<string, Uint8Array>, work: TxnContext): Steps<Found> {
  const all = yield* currentAt(getPlace(get, work), putBefore, work)
  return yield* answer(get, all, (current) =>
    get.keysOnly ? { ...current, value: NO_VALUE } : readKeyRow(current, work.rows),
  )
}

/** `all`: what the get has found. */
function* answer<T>(
  { limit = Number.POSITIVE_INFINITY, keysOnly, count, countOnly }: Get,
  all: readonly T[],
  read: (found: T) => KeyRow,
): Steps<Found> {
  const shown = countOnly ? [] : all.slice(0, limit)
  const records: KeyRow[] = []
  for (const found of shown) {
    const record = read(found)
    records.push(keysOnly ? { ...keyMeta(record), value: NO_VALUE } : record)
    yield
  }
  const more = !countOnly && shown.length < all.length
  return { records, more, count: count || countOnly ? all.length : undefined }
}

/** All keys of a range are deleted, at one revision. */
export function* deleteRange(range: KeyRange, work: ApplyContext): Steps<Outcome> {
  const { state, rows } = work
  if (rows.inRange({ ...range, keysMax: undefined }) === undefined)
    return rejection(state.revision, 'range-too-large', keyLimits(state.settings))
  const found = yield* currentBefore(range, work)
  const revision = asRevision(state.revision + 1)
  for (const current of found) {
    removeKey(current, metadataKey(current.key), revision, work)
    yield
  }
  return { kind: 'delete-range', revision: state.revision, deleted: found.length }
}

// ---------------------------------------------------------------------------------------------------------------------
// Keys that exist

const NOTHING_PUT: ReadonlyMap<string, Uint8Array> = new Map()
const NO_VALUE = new Uint8Array()
const NO_LEASE = '0'

/** The keys of the rows of the versions that a get at a revision finds. */
const versionsOf = (get: PastGet, { rows }: ApplyContext): readonly Uint8Array[] =>
  rows.versionsIn(pastRange(get)) ?? []

function readPast(rowKey: Uint8Array, { rows }: ApplyContext): KeyRow {
  const { key, revision } = decodeVersionKey(rowKey)
  return readVersion(key, revision, (versionRowKey) => rows.read(versionRowKey, false)?.bytes)
}

const readCurrentMetadata = (key: Uint8Array, work: ApplyContext): KeyMetadata | null =>
  readCurrent(key, metadataKey(key), work.rows)

/** The keys of a range before the entry, in order. */
const currentBefore = (range: KeyRange, work: ApplyContext): Steps<readonly KeyMetadata[]> =>
  currentAt(range, NOTHING_PUT, work)

/** The keys at a place as they are now, in order. */
function* currentAt(
  where: Where | Place,
  putBefore: ReadonlyMap<string, Uint8Array>,
  work: ApplyContext,
): Steps<readonly KeyMetadata[]> {
  const found: KeyMetadata[] = []
  const take = (key: Uint8Array): void => {
    const current = readCurrentMetadata(key, work)
    if (current !== null) found.push(current)
  }
  if ('key' in where) {
    take(where.key)
    return found
  }
  for (const key of work.rows.inRange({ keysMax: undefined, ...where }) ?? []) {
    // Names of thousands of long keys take a second to make.
    if (putBefore.size === 0 || !putBefore.has(latin1(key))) take(key)
    yield
  }
  const others = [...putBefore.values()].filter((key) => isInRange(key, where))
  if (others.length === 0) return found
  for (const key of others) take(key)
  return found.sort((a, b) => compareKeys(a.key, b.key))
}
