// Transactions that change nothing. They are evaluated on the store of one instant, without the log, and mean the same
// as in the log (`executeTxn`): comparisons first, also those of nested transactions.

import { compareKeys } from '../../kv/index.ts'
import type { Comparison, KeyRow, Operation, OperationResult, Txn, TxnResult, Where } from '../../kv/types.ts'

/** The store at one instant. */
export interface Snapshot {
  /** What is at a place. All places are opened before anything is read. */
  open(where: Where, keysOnly: boolean): Records
  /** Told of each record that will be in the answer. May throw if they are too many. */
  keep(record: KeyRow): void
}

export interface Records {
  /** Calls `take` with the records in the order of their keys, until it returns false. Resolves if all were read. */
  each(take: (record: KeyRow) => boolean): Promise<void>
}

/** Opens what the transaction may need, and returns a function that evaluates it. Throws if it has changes. */
export function prepareTxn(txn: Txn, snapshot: Snapshot): () => Promise<TxnResult> {
  const comparisons = txn.compare.map((comparison) => prepareComparison(comparison, snapshot))
  const prepare = (operation: Operation) => prepareOperation(operation, snapshot)
  const [success, failure] = [txn.success.map(prepare), txn.failure.map(prepare)]
  return async () => {
    const succeeded = await all(comparisons)
    const results: OperationResult[] = []
    for (const evaluate of succeeded ? success : failure) results.push(await evaluate())
    return { succeeded, results }
  }
}

async function all(comparisons: readonly (() => Promise<boolean>)[]): Promise<boolean> {
  for (const holds of comparisons) if (!(await holds())) return false
  return true
}

// ---------------------------------------------------------------------------------------------------------------------
// Comparisons

function prepareComparison(comparison: Comparison, snapshot: Snapshot): () => Promise<boolean> {
  const { where, target } = comparison
  const records = snapshot.open(where, target !== 'value')
  return async () => {
    let count = 0
    let holds = true
    await records.each((record) => {
      count++
      holds = compares(comparison, record)
      return holds
    })
    return 'key' in where && count === 0 ? compares(comparison, undefined) : holds
  }
}

/** undefined: the key does not exist. */
function compares(comparison: Comparison, record: KeyRow | undefined): boolean {
  const order = orderOf(comparison, record)
  return order !== undefined && IS_ORDER[comparison.op](order)
}

const IS_ORDER: Readonly<Record<Comparison['op'], (order: number) => boolean>> = {
  '=': (order) => order === 0,
  '!=': (order) => order !== 0,
  '<': (order) => order < 0,
  '>': (order) => order > 0,
}

/** undefined: the value of a key that does not exist compares with nothing. */
function orderOf(comparison: Comparison, record: KeyRow | undefined): number | undefined {
  switch (comparison.target) {
    case 'value':
      return record && compareKeys(record.value, comparison.to)
    case 'version':
      return (record?.version ?? 0) - comparison.to
    case 'create_revision':
      return (record?.createRevision ?? 0) - comparison.to
    case 'mod_revision':
      return (record?.modRevision ?? 0) - comparison.to
    case 'lease': {
      const [lease, to] = [BigInt(record?.lease ?? 0), BigInt(comparison.to ?? 0)]
      return Number(lease > to) - Number(lease < to)
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Operations

function prepareOperation(operation: Operation, snapshot: Snapshot): () => Promise<OperationResult> {
  if (operation.kind === 'txn') {
    const evaluate = prepareTxn(operation.txn, snapshot)
    return async () => ({ kind: 'txn', ...(await evaluate()) })
  }
  if (operation.kind !== 'get') throw new Error(`a ${operation.kind} is no read`)
  return prepareGet(operation, snapshot)
}

function prepareGet(
  get: Extract<Operation, { kind: 'get' }>,
  snapshot: Snapshot,
): () => Promise<OperationResult> {
  const { where, limit = Number.POSITIVE_INFINITY, keysOnly, countOnly } = get
  const found = snapshot.open(where, keysOnly || countOnly)
  return async () => {
    const records: KeyRow[] = []
    let count = 0
    await found.each((record) => {
      count++
      if (countOnly || records.length >= limit) return true
      const kept = keysOnly ? { ...record, value: NO_VALUE } : record
      snapshot.keep(kept)
      records.push(kept)
      return true
    })
    return { kind: 'get', found: { records, more: !countOnly && records.length < count, count } }
  }
}

const NO_VALUE = new Uint8Array()
