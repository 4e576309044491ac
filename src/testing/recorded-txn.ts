// txn, recorded. Each of its operations is an operation of the history, and all have the number of one transaction.
// They begin before the request is sent, those of both branches, since nobody knows which one will be taken. With the
// answer, what was not done has failed, and reads that were not made are taken back.
//
// Comparisons are recorded where they say what the store holds: that of a revision of a key that is changed is the
// condition of the change; another one that has held is a read. Reads of keys that the transaction itself has changed
// before are not recorded: they say nothing of the others.

import type { HistoryOperation, RecordedResult } from '../../jepsen-lite/workload/history.ts'
import { QuorateError } from '../client/errors.ts'
import { wireTxn } from '../client/txn.ts'
import type { TxnGetResult, TxnOperationResult, TxnResult } from '../client/txn-types.ts'
import { propertiesOf, type WireComparison, type WireTxn, type WireTxnOperation } from '../client/txn-wire.ts'
import type { AnswerInfo } from '../client/types.ts'
import type { End } from './end.ts'
import type { ListedRange } from './recorded-single.ts'
import {
  answerFields,
  checkUnleased,
  defined,
  endOf,
  foundIn,
  keyText,
  type Method,
  type Recording,
  readFields,
  valueText,
} from './recording.ts'

export const txn: Method<'txn'> =
  (recording) =>
  async (txn, options = {}) => {
    // It is sent as it is now, whatever becomes of the caller's objects.
    const sent = wireTxn(txn)
    const { isRead } = propertiesOf(sent)
    checkRecordable(sent)
    let info: AnswerInfo | undefined
    const call = {
      ...options,
      ...(isRead && {
        onAnswer: (answerInfo: AnswerInfo) => {
          info = answerInfo
          options.onAnswer?.(answerInfo)
        },
      }),
    }
    const { client, history } = recording
    return history.transaction(async () => {
      const planned = new Planned(recording, sent, isRead ? readFields(recording, options) : {})
      try {
        const answer = await client.txn(txn, call)
        await planned.answered(answer, isRead ? answerFields(info) : asOf(answer))
        return answer
      } catch (error) {
        await planned.ended(error)
        throw error
      }
    })
  }

const hasChanged = ({ results }: TxnResult): boolean =>
  results.some(
    ({ put, delete: deleted, txn: inner }) =>
      put !== undefined || (deleted?.deleted ?? 0) > 0 || (inner !== undefined && hasChanged(inner)),
  )

/** Reads beside changes show the store before the revision of the changes. */
const asOf = (answer: TxnResult): RecordedResult => ({
  revision: hasChanged(answer) ? answer.revision - 1 : answer.revision,
})

function checkRecordable({ success, failure }: WireTxn): void {
  for (const operation of [...success, ...failure]) {
    if ('txn' in operation) checkRecordable(operation.txn)
    if ('put' in operation) checkUnleased(operation.put.lease ?? operation.put.ttl)
    if ('delete' in operation && operation.delete.key === undefined)
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
}

/** The operations of one transaction, from their beginning to their end. */
class Planned {
  readonly #recording: Recording
  readonly #readFields: ReturnType<typeof readFields>
  readonly #top: PlannedTxn
  readonly #open = new Map<number, HistoryOperation>()

  constructor(recording: Recording, sent: WireTxn, fields: ReturnType<typeof readFields>) {
    this.#recording = recording
    this.#readFields = fields
    try {
      this.#top = this.#plan(sent, new Set())
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
      [...this.#open].map(([id, op]) => [id, isRead(op) ? failed(error) : endOf(op, error)]),
    )
  }

  #begin(op: HistoryOperation): number {
    const id = this.#recording.history.invoke(this.#recording.name, op)
    this.#open.set(id, op)
    return id
  }

  /** `changed`: by operations before, in either branch of each of them; those of this one are added. */
  #plan({ compare, success, failure }: WireTxn, changed: Set<string>): PlannedTxn {
    const conditions = new Map<string, number>()
    const changes = new Set(success.flatMap((operation) => changedBy(operation)))
    const compared = compare.map((comparison) => {
      const { key } = comparison
      const held = key === undefined ? undefined : heldBy(comparison)
      if (key === undefined || held === undefined) return { id: undefined, held: {} }
      const name = keyText(key)
      const revision = held.value === null ? 0 : held.modRevision
      if (changed.has(name)) return { id: undefined, held }
      if (revision !== undefined && changes.has(name)) {
        conditions.set(name, revision)
        return { id: undefined, held }
      }
      return { id: this.#begin({ f: 'get', key: name, ...this.#readFields }), held }
    })
    const [inSuccess, inFailure] = [new Set(changed), new Set(changed)]
    const planned = {
      compare: compared,
      success: success.map((operation) => this.#planned(operation, inSuccess, conditions)),
      failure: failure.map((operation) => this.#planned(operation, inFailure, new Map())),
    }
    for (const key of [...inSuccess, ...inFailure]) changed.add(key)
    return planned
  }

  #planned(
    sent: WireTxnOperation,
    changed: Set<string>,
    conditions: ReadonlyMap<string, number>,
  ): PlannedOperation {
    if ('txn' in sent) return { id: undefined, op: undefined, inner: this.#plan(sent.txn, changed) }
    const op = this.#operationOf(sent, changed, conditions)
    for (const key of changedBy(sent)) changed.add(key)
    return { id: op && this.#begin(op), op, inner: undefined }
  }

  #operationOf(
    sent: Exclude<WireTxnOperation, { readonly txn: WireTxn }>,
    changed: ReadonlySet<string>,
    conditions: ReadonlyMap<string, number>,
  ): HistoryOperation | undefined {
    if ('put' in sent) {
      const key = keyText(sent.put.key)
      return { f: 'put', key, value: valueText(sent.put.value), ...conditionOf(conditions.get(key)) }
    }
    if ('delete' in sent) {
      const key = keyText(sent.delete.key ?? '')
      const ifRevision = conditions.get(key) || undefined
      return { f: 'del', key, ...defined<{ ifRevision: number }>({ ifRevision }) }
    }
    const { key, prefix, start, end, limit, keys_only: keysOnly, count_only: countOnly } = sent.get
    if (key !== undefined) {
      const name = keyText(key)
      // Without its value, or only its number.
      if (changed.has(name) || keysOnly || countOnly) return undefined
      return { f: 'get', key: name, ...this.#readFields }
    }
    if (changed.size > 0) return undefined
    const text = (bound: Buffer | undefined) => (bound === undefined ? undefined : keyText(bound))
    const fields = defined<
      Pick<ListedRange, 'prefix' | 'start' | 'end' | 'limit' | 'keysOnly' | 'countOnly'>
    >({
      ...{ prefix: text(prefix), start: text(start), end: text(end), limit, keysOnly, countOnly },
    })
    return { f: 'range', ...fields, ...this.#readFields }
  }

  #end(
    planned: PlannedTxn,
    { succeeded, results }: TxnResult,
    answer: { readonly read: RecordedResult; readonly revision: number },
    ends: [number, End][],
  ): void {
    if (succeeded) {
      for (const { id, held } of planned.compare)
        if (id !== undefined) ends.push([id, { result: { ...held, ...answer.read } }])
    }
    for (const [at, operation] of (succeeded ? planned.success : planned.failure).entries()) {
      const { id, inner, op } = operation
      const result = results[at]
      if (inner !== undefined && result?.txn !== undefined) this.#end(inner, result.txn, answer, ends)
      if (id === undefined || op === undefined || result === undefined) continue
      const found = resultOf(op, result, answer)
      if (found !== undefined) ends.push([id, { result: found }])
    }
  }
}

const isRead = ({ f }: HistoryOperation): boolean => f === 'get' || f === 'range'

const failed = (error: unknown): End => ({
  fail: error instanceof QuorateError ? error.code : String(error),
})

const changedBy = (operation: WireTxnOperation): readonly string[] => {
  if ('put' in operation) return [keyText(operation.put.key)]
  if ('delete' in operation) return [keyText(operation.delete.key ?? '')]
  if ('txn' in operation) return [...operation.txn.success, ...operation.txn.failure].flatMap(changedBy)
  return []
}

const conditionOf = (revision: number | undefined): { ifAbsent?: true; ifRevision?: number } => {
  if (revision === undefined) return {}
  return revision === 0 ? { ifAbsent: true } : { ifRevision: revision }
}

/** State of a key that follows from a comparison that holds; undefined: none that a history can hold. */
function heldBy({ target, op, to, exists }: WireComparison): RecordedResult | undefined {
  if (exists === false) return { value: null }
  if (op !== '=') return undefined
  if (target === 'value') return { value: valueText(to as Buffer) }
  if (to === 0 && target !== 'lease') return { value: null }
  return target === 'mod_revision' ? { modRevision: Number(to) } : undefined
}

/** undefined: unknown. */
function resultOf(
  op: HistoryOperation,
  { put, get, delete: deleted }: TxnOperationResult,
  { read, revision }: { readonly read: RecordedResult; readonly revision: number },
): RecordedResult | undefined {
  if (put !== undefined) return { revision, modRevision: put.modRevision, version: put.version }
  if (deleted !== undefined) return { revision, deleted: deleted.deleted === 0 ? 0 : 1 }
  if (get === undefined || get.omitted === true) return undefined
  if (op.f === 'range') return rangeResultOf(op, get, read)
  const [record] = get.kvs ?? []
  return record === undefined ? { value: null, ...read } : { ...foundIn(record), ...read }
}

function rangeResultOf(
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
