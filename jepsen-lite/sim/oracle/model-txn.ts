// Transactions in the model: the same meaning as in the store, by code that is written independently. Comparisons are
// made on the store as it was; operations see what those before them have done; all changes have one revision. What a
// transaction answers is a text, which is compared with the text of the node's answer (`shownTxn`).

import type { KeyRow, PutLease, Where } from '../../../src/operations/forms/index.ts'
import type {
  KvComparison,
  KvTxn,
  KvTxnOperation,
  KvTxnOperationResult,
  KvTxnResult,
} from '../../../src/operations/index.ts'
import { type ModelRow, text } from './model-row.ts'

/** The store, as a transaction needs it. */
export interface TxnStore {
  row(key: string): ModelRow | null
  /** The keys that exist, in order. */
  findKeys(start: string, end: string | undefined): string[]
  /** The records of keys as they were at a revision, in the order of the keys; none if it cannot be read. */
  findAt(revision: number, start: string, end: string | undefined): [key: string, row: ModelRow][]
  /** Whether the ranges of a request may not have these keys. */
  areTooMany(keys: readonly string[]): boolean
  /** Whether a request may not read so many bytes of records. */
  areTooLarge(bytes: number): boolean
  /** Why these puts, and reads at revisions, cannot be made; `freed`: keys whose records go. */
  refusal(
    checked: readonly (ModelPut | { readonly at: number })[],
    freed: ReadonlySet<string>,
  ): string | undefined
  put(put: ModelPut): ModelRow
  del(key: string): void
  /** Before the transaction, and after it. */
  readonly revision: number
  after(): number
}

export interface ModelPut {
  readonly key: string
  /** undefined: the key keeps its value. */
  readonly value: string | undefined
  /** 'kept': the key keeps its lease. */
  readonly lease: PutLease | 'kept' | undefined
}

type PutStep = Pick<
  Extract<KvTxnOperation, { kind: 'put' }>,
  'key' | 'value' | 'lease' | 'keepsValue' | 'keepsLease'
>

export const modelPut = ({ key, value, lease, keepsValue, keepsLease }: PutStep): ModelPut => ({
  key: text(key),
  value: keepsValue ? undefined : text(value),
  lease: keepsLease ? 'kept' : lease,
})

type Step = Exclude<KvTxnOperation, { kind: 'txn' }> | Branch
interface Branch {
  readonly kind: 'branch'
  readonly holds: boolean
  readonly steps: readonly Step[]
}

/** The answer, and the part of it that is remembered for a repeat: not the results of reads. */
export interface TxnRun {
  readonly outcome: string
  readonly remembered: string
  /** Its results, in a row; undefined: it was refused. */
  readonly bytes?: number
}

export function runTxn(txn: KvTxn, store: TxnStore): TxnRun {
  const refused = (code: string): TxnRun => {
    const outcome = `refused ${code} at ${store.revision}`
    return { outcome, remembered: outcome }
  }
  if (collectTxnChanges(txn) === undefined) return refused('duplicate_key')
  if (store.areTooMany(keysOfRanges(txn, store))) return refused('range_too_large')
  if (store.areTooLarge(bytesCompared(txn, store))) return refused('range_too_large')
  const chosen = choose(txn, store)
  const all = flat(chosen)
  if (store.areTooLarge(bytesAnswered(all, store))) return refused('range_too_large')
  const puts = all.flatMap((step) => (step.kind === 'put' ? [modelPut(step)] : []))
  const deleted = all.flatMap((step) => (step.kind === 'delete' ? keysAt(step.where, store) : []))
  const replaced = puts.flatMap(({ key }) => (store.row(key) === null ? [] : [key]))
  const checked = all.flatMap((step): (ModelPut | { readonly at: number })[] => {
    if (step.kind === 'put') return [modelPut(step)]
    return step.kind === 'get' && step.revision !== undefined ? [{ at: step.revision }] : []
  })
  const why = store.refusal(checked, new Set([...deleted, ...replaced]))
  if (why !== undefined) return refused(why)
  const { outcome, remembered, bytes } = runBranch(chosen, store)
  const at = `txn at ${store.after()}: `
  return { outcome: at + outcome, remembered: at + remembered, bytes }
}

function choose({ compare, success, failure }: KvTxn, store: TxnStore): Branch {
  const holds = compare.every((comparison) => isTrue(comparison, store))
  const steps = (holds ? success : failure).map((operation) =>
    operation.kind === 'txn' ? choose(operation.txn, store) : operation,
  )
  return { kind: 'branch', holds, steps }
}

const flat = ({ steps }: Branch): readonly Exclude<Step, Branch>[] =>
  steps.flatMap((step) => (step.kind === 'branch' ? flat(step) : [step]))

function isTrue(comparison: KvComparison, store: TxnStore): boolean {
  const { where } = comparison
  if ('key' in where) return holdsFor(comparison, store.row(text(where.key)))
  const keys = keysAt(where, store)
  return keys.length === 0
    ? holdsFor(comparison, null)
    : keys.every((key) => holdsFor(comparison, store.row(key)))
}

function holdsFor(comparison: KvComparison, row: ModelRow | null): boolean {
  const ordered = <T extends string | number | bigint>(found: T, to: T): boolean => {
    switch (comparison.op) {
      case '=':
        return found === to
      case '!=':
        return found !== to
      case '<':
        return found < to
      case '>':
        return found > to
    }
  }
  switch (comparison.target) {
    case 'value':
      return row !== null && ordered(row.value, text(comparison.to))
    case 'version':
      return ordered(row?.version ?? 0, comparison.to)
    case 'create_revision':
      return ordered(row?.createRevision ?? 0, comparison.to)
    case 'mod_revision':
      return ordered(row?.modRevision ?? 0, comparison.to)
    case 'lease':
      return ordered(BigInt(row?.lease ?? 0), BigInt(comparison.to ?? 0))
  }
}

/** Bytes of the values that comparisons read, also in branches that are not done. A length alone may decide. */
function bytesCompared({ compare, success, failure }: KvTxn, store: TxnStore): number {
  let bytes = 0
  for (const comparison of compare) {
    if (comparison.target !== 'value') continue
    const { op, to, where } = comparison
    const lengths = keysAt(where, store).map((key) => store.row(key)?.value.length ?? 0)
    const isOfLength = (length: number): boolean => op === '<' || op === '>' || length === to.length
    bytes += lengths.filter(isOfLength).reduce((sum, length) => sum + length, 0)
  }
  for (const operation of [...success, ...failure])
    if (operation.kind === 'txn') bytes += bytesCompared(operation.txn, store)
  return bytes
}

/**
 * Bytes of the records in the answer, at most. They are counted before anything is changed: of a get with a limit as
 * many records more as operations before it delete, and all that those before it put.
 */
function bytesAnswered(steps: readonly Exclude<Step, Branch>[], store: TxnStore): number {
  const recordSize = (key: string, keysOnly = false): number =>
    key.length + (keysOnly ? 0 : (store.row(key)?.value.length ?? 0))
  let [bytes, deleted] = [0, 0]
  const puts = new Map<string, number>()
  for (const step of steps) {
    if (step.kind === 'put') {
      const key = text(step.key)
      if (step.prev && store.row(key) !== null) bytes += recordSize(key)
      puts.set(key, step.keepsValue ? (store.row(key)?.value.length ?? 0) : step.value.length)
    } else if (step.kind === 'delete') {
      const keys = keysAt(step.where, store)
      deleted += keys.length
      if (step.prev) for (const key of keys) bytes += recordSize(key)
    } else if (!step.countOnly && step.revision !== undefined) {
      for (const [key, { value }] of pastAt(step, store).slice(0, step.limit))
        bytes += key.length + value.length
    } else if (!step.countOnly) {
      const { where, limit = Number.POSITIVE_INFINITY, keysOnly } = step
      for (const key of keysAt(where, store).slice(0, limit + deleted)) bytes += recordSize(key, keysOnly)
      for (const [key, valueBytes] of puts)
        if (isCovered(key, where)) bytes += key.length + (keysOnly ? 0 : valueBytes)
    }
  }
  return bytes
}

/**
 * The keys of all ranges that it names, also of those in the branch that is not done. A range counts each time. Of a
 * range of which a get answers only some keys, so many count, one more, and what the transaction may delete before.
 */
function keysOfRanges(txn: KvTxn, store: TxnStore, deletes = countDeletes(txn)): string[] {
  const ofPlace = (where: Where): string[] => ('key' in where ? [] : keysAt(where, store))
  const ofOperation = (operation: KvTxnOperation): string[] => {
    switch (operation.kind) {
      case 'txn':
        return keysOfRanges(operation.txn, store, deletes)
      case 'put':
        return []
      case 'delete':
        return ofPlace(operation.where)
      case 'get': {
        const { where, limit, count, countOnly } = operation
        const isWhole = limit === undefined || count || countOnly
        if (operation.revision !== undefined)
          return pastAt(operation, store)
            .slice(0, isWhole ? Number.POSITIVE_INFINITY : limit + 1)
            .map(([key]) => key)
        return ofPlace(where).slice(0, isWhole ? Number.POSITIVE_INFINITY : limit + deletes + 1)
      }
    }
  }
  const { compare, success, failure } = txn
  return [...compare.flatMap(({ where }) => ofPlace(where)), ...[...success, ...failure].flatMap(ofOperation)]
}

/** Keys that it may delete, in both branches; of a range any number. */
const countDeletes = ({ success, failure }: KvTxn): number =>
  [...success, ...failure].reduce((sum, operation) => {
    if (operation.kind === 'txn') return sum + countDeletes(operation.txn)
    if (operation.kind !== 'delete') return sum
    return sum + ('key' in operation.where ? 1 : Number.POSITIVE_INFINITY)
  }, 0)

/** The keys that exist at a place, in order. */
function keysAt(where: Where, store: TxnStore): string[] {
  if (!('key' in where)) return store.findKeys(text(where.start), where.end && text(where.end))
  const key = text(where.key)
  return store.row(key) === null ? [] : [key]
}

/** The records that a get at a revision finds. */
function pastAt(
  { where, revision }: Extract<KvTxnOperation, { kind: 'get' }>,
  store: TxnStore,
): [key: string, row: ModelRow][] {
  if (revision === undefined) throw new Error('a get without a revision')
  if ('key' in where) return store.findAt(revision, text(where.key), `${text(where.key)}\0`)
  return store.findAt(revision, text(where.start), where.end && text(where.end))
}

function runBranch({ holds, steps }: Branch, store: TxnStore): Required<TxnRun> {
  const results = steps.map((step) => runStep(step, store))
  return {
    outcome: branchText(
      holds,
      results.map(({ outcome }) => outcome),
    ),
    remembered: branchText(
      holds,
      results.map(({ remembered }) => remembered),
    ),
    // Whether they held, how many results; the kind of each.
    bytes: results.reduce((sum, { bytes }) => sum + 1 + bytes, 2),
  }
}

/** `previous`: the records before, which are not remembered. */
const kept = (result: string, previous: string, bytes: number): Required<TxnRun> => ({
  outcome: result + previous,
  remembered: result,
  bytes,
})

function runStep(step: Step, store: TxnStore): Required<TxnRun> {
  switch (step.kind) {
    case 'put': {
      const key = text(step.key)
      const before = store.row(key)
      const { createRevision, modRevision, version } = store.put(modelPut(step))
      const prev = step.prev ? previousText(key, before) : ''
      return kept(`put ${createRevision}/${modRevision}/${version}`, prev, 3 * 8)
    }
    case 'get': {
      const all =
        step.revision === undefined
          ? keysAt(step.where, store).map((key) => [key, store.row(key)] as const)
          : pastAt(step, store)
      const shown = step.countOnly ? [] : all.slice(0, step.limit)
      const rows = shown.map(([key, row]) => {
        return rowText(key, row !== null && step.keysOnly ? { ...row, value: '' } : row)
      })
      const count = step.count || step.countOnly ? all.length : undefined
      const outcome = gotText(count, !step.countOnly && shown.length < all.length, rows)
      return { outcome, remembered: NOT_REMEMBERED, bytes: 0 }
    }
    case 'delete': {
      const keys = keysAt(step.where, store)
      const rows = keys.map((key) => rowText(key, store.row(key)))
      for (const key of keys) store.del(key)
      return kept(`deleted ${keys.length}`, step.prev ? ` instead of ${rows.join(' ')}` : '', 8)
    }
    case 'branch':
      return runBranch(step, store)
  }
}

// ---- texts

const branchText = (holds: boolean, results: readonly string[]): string =>
  `${holds ? 'then' : 'else'} (${results.join(', ')})`

const NOT_REMEMBERED = 'got what is not remembered'

const gotText = (count: number | undefined, more: boolean, rows: readonly string[]): string =>
  `got ${rows.join(' ')}${more ? ' …' : ''} of ${count ?? 'some'}`

const rowText = (key: string, row: ModelRow | null): string =>
  row === null
    ? 'nothing'
    : `${key}=${row.value}@${row.createRevision}/${row.modRevision}/${row.version}/${row.lease ?? ''}`

const storedText = (row: KeyRow): string => rowText(text(row.key), { ...row, value: text(row.value) })

export const previousText = (key: string, row: ModelRow | null): string => ` instead of ${rowText(key, row)}`

/** The record before a change, if it was requested, as text of the model. */
export function shownPrevious(row: KeyRow | null | undefined): string {
  if (row === undefined) return ''
  return ` instead of ${row === null ? 'nothing' : storedText(row)}`
}

/** The answer of a transaction, as text of the model. */
export function shownTxn({ succeeded, results }: KvTxnResult): string {
  return branchText(succeeded, results.map(shownResult))
}

function shownResult(result: KvTxnOperationResult): string {
  switch (result.kind) {
    case 'put': {
      const { createRevision, modRevision, version, prev } = result
      return `put ${createRevision}/${modRevision}/${version}${shownPrevious(prev)}`
    }
    case 'get': {
      const { found } = result
      if (found === undefined) return NOT_REMEMBERED
      return gotText(found.count, found.more, found.records.map(storedText))
    }
    case 'delete': {
      const { deleted, prev } = result
      return `deleted ${deleted}${prev === undefined ? '' : ` instead of ${prev.map(storedText).join(' ')}`}`
    }
    case 'txn':
      return shownTxn(result)
  }
}

// ---- which transactions are accepted

interface Changes {
  readonly puts: readonly string[]
  readonly deletes: readonly Where[]
}

/** The keys that each branch may change; undefined: a branch puts a key twice, or puts and deletes it. */
function collectTxnChanges({ success, failure }: KvTxn): Changes | undefined {
  const [one, other] = [collectBranchChanges(success), collectBranchChanges(failure)]
  if (one === undefined || other === undefined) return undefined
  return { puts: [...one.puts, ...other.puts], deletes: [...one.deletes, ...other.deletes] }
}

function collectBranchChanges(operations: readonly KvTxnOperation[]): Changes | undefined {
  const puts: string[] = []
  const deletes: Where[] = []
  for (const operation of operations) {
    const more = changesOfOperation(operation)
    if (more === undefined) return undefined
    const isTwice = more.puts.some(
      (key) => puts.includes(key) || deletes.some((where) => isCovered(key, where)),
    )
    if (isTwice || puts.some((key) => more.deletes.some((where) => isCovered(key, where)))) return undefined
    puts.push(...more.puts)
    deletes.push(...more.deletes)
  }
  return { puts, deletes }
}

function changesOfOperation(operation: KvTxnOperation): Changes | undefined {
  switch (operation.kind) {
    case 'put':
      return { puts: [text(operation.key)], deletes: [] }
    case 'delete':
      return { puts: [], deletes: [operation.where] }
    case 'get':
      return { puts: [], deletes: [] }
    case 'txn':
      return collectTxnChanges(operation.txn)
  }
}

function isCovered(key: string, where: Where): boolean {
  if ('key' in where) return key === text(where.key)
  return key >= text(where.start) && (where.end === undefined || key < text(where.end))
}

// ---- requests as texts

export const plainTxn = ({ compare, success, failure }: KvTxn): unknown => [
  compare.map(({ where, op, target, to }) => [
    plainWhere(where),
    op,
    target,
    to instanceof Uint8Array ? text(to) : (to ?? null),
  ]),
  success.map(plainOperation),
  failure.map(plainOperation),
]

function plainOperation(operation: KvTxnOperation): unknown {
  switch (operation.kind) {
    case 'put': {
      const { kind, key, value, prev, lease, keepsValue = false, keepsLease = false } = operation
      return [kind, text(key), text(value), prev, lease ?? null, keepsValue, keepsLease]
    }
    case 'get': {
      const { kind, where, limit, keysOnly, count, countOnly, revision = null } = operation
      return [kind, plainWhere(where), limit ?? null, keysOnly, count, countOnly, revision]
    }
    case 'delete':
      return [operation.kind, plainWhere(operation.where), operation.prev]
    case 'txn':
      return [operation.kind, plainTxn(operation.txn)]
  }
}

const plainWhere = (where: Where): unknown =>
  'key' in where ? text(where.key) : [text(where.start), where.end ? text(where.end) : null]
