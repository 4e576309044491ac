// Order, filters and limit of a range, as etcd applies them: to all keys of the range, after they are read
// (server/etcdserver/txn/range.go).

import type { KeyValue, RangeRequest } from '../../etcd/messages/kv.ts'
import { SORT_ORDERS, SORT_TARGETS } from '../../etcd/messages/kv.ts'
import { ETCD_ERRORS } from '../../etcd/status.ts'
import { compareKeys } from '../../operations/forms/index.ts'

const ASCEND = SORT_ORDERS.indexOf('ASCEND')
const DESCEND = SORT_ORDERS.indexOf('DESCEND')

type Ordered = Pick<RangeRequest, 'sortOrder' | 'sortTarget'>
type Filtered = Pick<
  RangeRequest,
  'minModRevision' | 'maxModRevision' | 'minCreateRevision' | 'maxCreateRevision'
>

/** Throws `GrpcError`. */
export function checkRange({ key, sortOrder, sortTarget }: Pick<RangeRequest, 'key'> & Ordered): void {
  if (key.length === 0) throw ETCD_ERRORS.emptyKey
  if (SORT_ORDERS[sortOrder] === undefined || SORT_TARGETS[sortTarget] === undefined)
    throw ETCD_ERRORS.invalidSortOption
}

/** Whether the range is in the order of its keys. */
export const isInKeyOrder = ({ sortTarget }: Ordered): boolean => sortTarget === 0

/** Whether the order depends on the values. */
export const isSortedByValue = ({ sortTarget }: Ordered): boolean => SORT_TARGETS[sortTarget] === 'VALUE'

export const isDescending = ({ sortOrder }: Ordered): boolean => sortOrder === DESCEND

export const isFiltered = (request: Filtered): boolean =>
  request.minModRevision !== 0 ||
  request.maxModRevision !== 0 ||
  request.minCreateRevision !== 0 ||
  request.maxCreateRevision !== 0

/** Whether a part of the range does not tell its beginning in the requested order. */
export const needsAll = (request: Ordered & Filtered): boolean =>
  !isInKeyOrder(request) || isFiltered(request)

/** The fields by which rows are sorted. */
type SortedRow = Pick<KeyValue, 'key' | 'value' | 'version' | 'createRevision' | 'modRevision'>

const COMPARE: Readonly<Record<number, (a: SortedRow, b: SortedRow) => number>> = {
  0: (a, b) => compareKeys(a.key, b.key),
  1: (a, b) => a.version - b.version,
  2: (a, b) => a.createRevision - b.createRevision,
  3: (a, b) => a.modRevision - b.modRevision,
  4: (a, b) => compareKeys(a.value, b.value),
}

/** Whether a row passes the filters of the request. */
export const isKept = (
  { modRevision, createRevision }: Pick<KeyValue, 'modRevision' | 'createRevision'>,
  { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision }: Filtered,
): boolean =>
  (minModRevision === 0 || modRevision >= minModRevision) &&
  (maxModRevision === 0 || modRevision <= maxModRevision) &&
  (minCreateRevision === 0 || createRevision >= minCreateRevision) &&
  (maxCreateRevision === 0 || createRevision <= maxCreateRevision)

type SelectedRow = Pick<KeyValue, 'key' | 'modRevision' | 'createRevision'>

/** The rows of a range that a request wants, in the order in which they are read. */
export class Selection {
  readonly #filters: Filtered | undefined
  readonly #limit: number
  /** Rows that were selected, and that were looked at. */
  rows = 0
  visited = 0
  /** The key of the last row that was looked at. */
  last: Uint8Array | undefined
  /** No further row is needed. */
  isComplete = false
  /** The range has rows beyond the limit. */
  more = false

  constructor(request: Filtered, limit: number) {
    this.#filters = isFiltered(request) ? request : undefined
    this.#limit = limit
  }

  /** Rows that are still to be read, at most. */
  get rowsMax(): number {
    return this.#filters === undefined ? this.#limit - this.rows : Number.MAX_SAFE_INTEGER
  }

  /** Passes the selected ones of these rows on. `more`: whether there are rows after them; undefined: unknown. */
  take<R extends SelectedRow>(
    { rows, more }: { readonly rows: readonly R[]; readonly more: boolean | undefined },
    select: (row: R) => void,
  ): void {
    for (const row of rows) {
      const isSelected = this.#filters === undefined || isKept(row, this.#filters)
      if (isSelected && this.rows === this.#limit) {
        this.more = true
        this.isComplete = true
        return
      }
      this.visited++
      this.last = row.key
      if (!isSelected) continue
      this.rows++
      select(row)
    }
    const isFull = this.#filters === undefined && this.rows === this.#limit
    if (more === false || (isFull && more === true)) {
      this.isComplete = true
      this.more = more
    }
  }
}

type Order = (a: SortedRow, b: SortedRow) => number

/** The order of the request; undefined: that in which rows are read. */
function orderOf({ sortTarget, sortOrder }: Ordered): Order | undefined {
  const compare = COMPARE[sortTarget]
  if (compare === undefined || (sortTarget === 0 && sortOrder !== DESCEND)) return undefined
  // Without an order, another target than the key is in ascending order.
  const sign = sortOrder === DESCEND ? -1 : ASCEND
  return (a, b) => sign * compare(a, b)
}

/** `rows`: in the order of their keys, all of the range if the order or a filter needs them. */
export function arrange(rows: readonly KeyValue[], request: Ordered & Filtered): readonly KeyValue[] {
  const kept = isFiltered(request) ? rows.filter((row) => isKept(row, request)) : rows
  const order = orderOf(request)
  return order === undefined ? kept : kept.toSorted(order)
}

/** Work on many rows. Other work may be done after each step. */
export type RowSteps<T> = Generator<undefined, T, undefined>

/** Rows that are sorted or merged in one step. */
const STEP_ROWS = 512

/** Sorts many rows in the order of the request, in steps. Rows that are equal keep their order. */
export function* sortInSteps<R extends SortedRow>(
  rows: readonly R[],
  request: Ordered,
): RowSteps<readonly R[]> {
  const order = orderOf(request)
  if (order === undefined) return rows
  let runs: R[][] = []
  for (let at = 0; at < rows.length; at += STEP_ROWS) {
    runs.push(rows.slice(at, at + STEP_ROWS).sort(order))
    yield
  }
  while (runs.length > 1) {
    const merged: R[][] = []
    for (let at = 0; at < runs.length; at += 2)
      merged.push(yield* merge(runs[at] ?? [], runs[at + 1] ?? [], order))
    runs = merged
  }
  return runs[0] ?? []
}

function* merge<R extends SortedRow>(first: R[], second: R[], order: Order): RowSteps<R[]> {
  if (second.length === 0) return first
  const merged: R[] = []
  let [a, b] = [0, 0]
  for (;;) {
    const [left, right] = [first[a], second[b]]
    if (left === undefined && right === undefined) return merged
    if (right === undefined || (left !== undefined && order(left, right) <= 0)) {
      if (left !== undefined) merged.push(left)
      a++
    } else {
      merged.push(right)
      b++
    }
    if (merged.length % STEP_ROWS === 0) yield
  }
}

/** The arranged rows within the limit. */
export function limited(
  rows: readonly KeyValue[],
  { limit, keysOnly }: Pick<RangeRequest, 'limit' | 'keysOnly'>,
): { readonly kvs: readonly KeyValue[]; readonly more: boolean } {
  const more = limit > 0 && rows.length > limit
  const kept = more ? rows.slice(0, limit) : rows
  return { kvs: keysOnly ? kept.map(withoutValue) : kept, more }
}

const withoutValue = (row: KeyValue): KeyValue => ({ ...row, value: NO_VALUE })
const NO_VALUE = new Uint8Array()
