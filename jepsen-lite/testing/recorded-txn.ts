// txn, recorded. Each of its operations is an operation of the history, and all have the number of one transaction.
// They begin before the request is sent, those of both branches, since nobody knows which one will be taken. With the
// answer, what was not done has failed, and reads that were not made are taken back.
//
// A comparison that has held is a read of its key. That of a revision of a key that the same branch changes is the
// condition of the change. A transaction with a comparison or a read that a history cannot hold is a TypeError, and is
// not sent: the verdict would be about a weaker transaction.

import { QuorateError } from '../../src/client/errors.ts'
import { readTxn } from '../../src/client/txn.ts'
import type { TxnGetResult, TxnOperationResult, TxnResult } from '../../src/client/txn-types.ts'
import { rangeAt, rangeBounds } from '../../src/operations/forms/index.ts'
import { type KvComparison, type KvTxn, type KvTxnOperation, onlyReads } from '../../src/operations/index.ts'
import { contains, keyAfter } from '../checker/keys.ts'
import { listedInterval } from '../checker/list-range.ts'
import type { End } from '../history/end.ts'
import { isRead } from '../history/recorded-history.ts'
import type { HistoryOperation, RecordedResult } from '../workload/history.ts'
import type { ListedRange } from './recorded-single.ts'
import {
  answerFields,
  answerListener,
  checkUnleased,
  defined,
  endFromError,
  keyText,
  type Method,
  type Recording,
  readFields,
  recordResult,
  resultOfChange,
  revisionCondition,
  txnReadResult,
  valueText,
} from './recording.ts'

export const txn: Method<'txn'> =
  (recording) =>
  async (txn, options = {}) => {
    // It is sent as it is now, whatever becomes of the caller's objects.
    const sent = readTxn(txn)
    const isReading = onlyReads(sent)
    checkRecordable(sent)
    const { onAnswer, last } = answerListener(options.onAnswer)
    const call = isReading ? { ...options, onAnswer } : options
    const { client, history } = recording
    return history.transaction(async () => {
      const planned = new Planned(recording, sent, isReading ? readFields(recording, options) : {})
      try {
        const answer = await client.txn(txn, call)
        await planned.answered(answer, isReading ? answerFields(last()) : txnReadResult(answer))
        return answer
      } catch (error) {
        await planned.ended(error)
        throw error
      }
    })
  }

function checkRecordable({ success, failure }: KvTxn): void {
  for (const operation of [...success, ...failure]) {
    if (operation.kind === 'txn') checkRecordable(operation.txn)
    if (operation.kind === 'put') checkUnleased(operation.lease)
    if (operation.kind === 'delete' && !('key' in operation.where))
      throw new TypeError(
        'recorded: a delete of a range is not recorded yet. Call it on a client of its own, or delete key by key',
      )
  }
}

/** An operation of the history that is open; undefined: it is not recorded. */
type Open = number | undefined

interface PlannedTxn {
  readonly compare: readonly { readonly id: Open; readonly held: RecordedResult }[]
  readonly success: readonly PlannedOperation[]
  readonly failure: readonly PlannedOperation[]
}

interface PlannedOperation {
  readonly id: Open
  readonly op: HistoryOperation | undefined
  readonly inner: PlannedTxn | undefined
  readonly changes: readonly string[]
}

/** Keys that operations before may have changed, in either branch of each of them. */
type Changed = ReadonlySet<string>

/** The operations of one transaction, from their beginning to their end. */
class Planned {
  readonly #recording: Recording
  readonly #readFields: ReturnType<typeof readFields>
  readonly #top: PlannedTxn
  readonly #open = new Map<number, HistoryOperation>()

  constructor(recording: Recording, sent: KvTxn, fields: ReturnType<typeof readFields>) {
    this.#recording = recording
    this.#readFields = fields
    try {
      this.#top = this.#plan(sent, new Set(), new Map())
    } catch (error) {
      // It cannot be recorded, so it is not sent.
      for (const id of this.#open.keys()) recording.history.withdraw(id)
      throw error
    }
  }

  async answered(answer: TxnResult, read: RecordedResult): Promise<void> {
    const ends: [number, End][] = []
    this.#end(this.#top, answer, { read, revision: answer.revision }, ends)
    const { history } = this.#recording
    if (!answer.succeeded && !this.#top.failure.some(({ op }) => op?.f === 'put' || op?.f === 'del'))
      history.beginsAgain()
    for (const [id] of ends) this.#open.delete(id)
    for (const [id, op] of this.#open) {
      if (isRead(op)) history.withdraw(id)
      else ends.push([id, { fail: 'the other operations of the transaction were done' }])
    }
    await history.endAll(ends)
  }

  async ended(error: unknown): Promise<void> {
    await this.#recording.history.endAll(
      [...this.#open].map(([id, op]) => [id, isRead(op) ? failed(error) : endFromError(op, error)]),
    )
  }

  #begin(op: HistoryOperation): number {
    const id = this.#recording.history.invoke(this.#recording.name, op)
    this.#open.set(id, op)
    return id
  }

  /** `conditions`: revisions of keys that the transactions around it compare. */
  #plan(
    { compare, success, failure }: KvTxn,
    changed: Changed,
    conditions: ReadonlyMap<string, number>,
  ): PlannedTxn {
    const own = new Map(conditions)
    /** A delete may have the condition that its key has a revision, and not that it is absent. */
    const isCondition = (key: string, revision: number): boolean =>
      own.get(key) === revision &&
      success.some(
        (each) =>
          each.kind !== 'txn' &&
          (revision > 0 || each.kind === 'put') &&
          changedBy(each).some((one) => one === key),
      )
    const compared = compare.map((comparison) => {
      const { op, held } = comparedRead(comparison)
      const key = 'key' in comparison.where ? keyText(comparison.where.key) : ''
      // A comparison of its own change shows nothing of the store.
      if (changed.has(key))
        throw unrecordable('a comparison of a key that the transaction has changed before')
      const revision = op.f !== 'get' ? undefined : held.value === null ? 0 : held.modRevision
      if (revision !== undefined && !own.has(key)) own.set(key, revision)
      return revision !== undefined && isCondition(key, revision)
        ? { id: undefined, held }
        : { id: this.#begin({ ...op, ...this.#readFields }), held }
    })
    return {
      compare: compared,
      success: this.#planAll(success, changed, own),
      failure: this.#planAll(failure, changed, conditions),
    }
  }

  #planAll(
    operations: readonly KvTxnOperation[],
    before: Changed,
    conditions: ReadonlyMap<string, number>,
  ): readonly PlannedOperation[] {
    const changed = new Set(before)
    return operations.map((sent) => {
      const changes = changedBy(sent)
      const inner = sent.kind === 'txn' ? this.#plan(sent.txn, changed, conditions) : undefined
      const op = sent.kind === 'txn' ? undefined : this.#recordedOperation(sent, changed, conditions)
      for (const key of changes) changed.add(key)
      return { id: op && this.#begin(op), op, inner, changes }
    })
  }

  #recordedOperation(
    sent: Exclude<KvTxnOperation, { readonly kind: 'txn' }>,
    changed: Changed,
    conditions: ReadonlyMap<string, number>,
  ): HistoryOperation {
    if (sent.kind === 'put') {
      const key = keyText(sent.key)
      return { f: 'put', key, value: valueText(sent.value), ...revisionCondition(conditions.get(key)) }
    }
    const { where } = sent
    if (sent.kind === 'delete') {
      const key = 'key' in where ? keyText(where.key) : ''
      const ifRevision = conditions.get(key) || undefined
      return { f: 'del', key, ...defined<{ ifRevision: number }>({ ifRevision }) }
    }
    const { limit, keysOnly, countOnly } = sent
    if ('key' in where && !keysOnly && !countOnly)
      return { f: 'get', key: keyText(where.key), ...this.#readFields }
    const text = (bound: Uint8Array | undefined) => (bound === undefined ? undefined : keyText(bound))
    const bounds = rangeBounds(rangeAt(where))
    const op: ListedRange = {
      f: 'range',
      ...defined<Pick<ListedRange, 'prefix' | 'start' | 'end' | 'limit' | 'keysOnly' | 'countOnly'>>({
        prefix: text(bounds.prefix),
        start: text(bounds.start),
        end: text(bounds.end),
        limit,
        keysOnly: keysOnly || undefined,
        countOnly: countOnly || undefined,
      }),
      ...this.#readFields,
    }
    // It shows some keys as they were before the transaction, and others as they are after it.
    if ([...changed].some((each) => contains(listedInterval(op), each)))
      throw unrecordable('a read of a range in which the transaction has changed a key before')
    return op
  }

  #end(
    planned: PlannedTxn,
    { succeeded, results }: TxnResult,
    answer: { readonly read: RecordedResult; readonly revision: number },
    ends: [number, End][],
    changed = new Set<string>(),
  ): void {
    if (succeeded) {
      for (const { id, held } of planned.compare)
        if (id !== undefined) ends.push([id, { result: { ...held, ...answer.read } }])
    }
    for (const [at, operation] of (succeeded ? planned.success : planned.failure).entries()) {
      const { id, inner, op, changes } = operation
      const result = results[at]
      if (inner !== undefined && result?.txn !== undefined)
        this.#end(inner, result.txn, answer, ends, changed)
      if (id === undefined || op === undefined || result === undefined) continue
      for (const key of changes) changed.add(key)
      // A key that the transaction has changed before is read as the transaction leaves it.
      const isOwn = op.f === 'get' && changed.has(op.key)
      const { revision } = answer
      const found = recordedResult(op, result, { revision, read: isOwn ? { revision } : answer.read })
      if (found !== undefined) ends.push([id, { result: found }])
    }
  }
}

const failed = (error: unknown): End => ({
  fail: error instanceof QuorateError ? error.code : String(error),
})

function changedBy(operation: KvTxnOperation): readonly string[] {
  switch (operation.kind) {
    case 'put':
      return [keyText(operation.key)]
    case 'get':
      return []
    case 'delete':
      return ['key' in operation.where ? keyText(operation.where.key) : '']
    case 'txn':
      return [...operation.txn.success, ...operation.txn.failure].flatMap(changedBy)
  }
}

const unrecordable = (what: string): TypeError =>
  new TypeError(`recorded: ${what} is not recorded yet. Use a client of its own`)

/** The read that a comparison is, and its result if the comparison holds. */
function comparedRead({ where, ...compared }: KvComparison): {
  readonly op: Extract<HistoryOperation, { readonly f: 'get' | 'range' }>
  readonly held: RecordedResult
} {
  const { target, op, to } = compared
  const what = `a comparison of ${target} by ${op}`
  if (!('key' in where)) throw unrecordable(`${what} over a range`)
  const key = keyText(where.key)
  const get = { f: 'get', key } as const
  if (to === 0 && op === '=') return { op: get, held: { value: null } }
  if (to === 0 && (op === '!=' || op === '>'))
    return { op: { f: 'range', start: key, end: keyAfter(key), countOnly: true }, held: { count: 1 } }
  if (op !== '=') throw unrecordable(what)
  switch (compared.target) {
    case 'value':
      return { op: get, held: { value: valueText(compared.to) } }
    case 'mod_revision':
      return { op: get, held: { modRevision: compared.to } }
    case 'version':
      return { op: get, held: { version: compared.to } }
    case 'create_revision':
    case 'lease':
      throw unrecordable(what)
  }
}

/** undefined: unknown. */
function recordedResult(
  op: HistoryOperation,
  result: TxnOperationResult,
  { read, revision }: { readonly read: RecordedResult; readonly revision: number },
): RecordedResult | undefined {
  if (result.get === undefined) return resultOfChange(result, revision)
  const { get } = result
  if (get.omitted === true) return undefined
  if (op.f === 'range') return recordedRangeResult(op, get, read)
  const [record] = get.kvs ?? []
  return record === undefined ? { value: null, ...read } : { ...recordResult(record), ...read }
}

function recordedRangeResult(
  op: ListedRange,
  { kvs = [], more, count }: TxnGetResult,
  read: RecordedResult,
): RecordedResult | undefined {
  if (op.countOnly) return { ...defined<RecordedResult>({ count }), ...read }
  const rows = kvs.map((record) => {
    const row = { key: record.key, modRevision: record.modRevision, version: record.version }
    return op.keysOnly ? row : { ...row, value: valueText(record.value) }
  })
  const last = rows.at(-1)
  return {
    rows,
    ...(more ? { more: true, ...defined<RecordedResult>({ next: last?.key }) } : { more: false }),
    ...read,
  }
}
