// transact, recorded. The body gets a transaction that notes what it reads and writes. What an attempt has read was
// compared when it was committed, so all of an attempt is recorded there, as operations of one transaction: they begin
// before the commit is sent. An attempt that others have overtaken has changed nothing, and its reads are of no use.
//
// An attempt that writes nothing is not committed: the store is not asked again. All that it has read is of the
// revision of its first read. So its operations are recorded as having begun when the body began.

import { transactThrough } from '../../src/client/client.ts'
import type { TransactCalls } from '../../src/client/transact.ts'
import type {
  Transaction,
  TransactionListOptions,
  TransactOptions,
  TxnResult,
} from '../../src/client/txn-types.ts'
import type { KvRecord, ReadOptions } from '../../src/client/types.ts'
import { checkTransactionList } from '../../src/client/validate-arguments.ts'
import { bytesCheck, checkValue } from '../../src/client/validators.ts'
import { compareKeys, contains, keyAfter, prefixEnd } from '../checker/keys.ts'
import type { End, Mark } from '../history/end.ts'
import type { HistoryOperation, ListedRow, RecordedResult } from '../workload/history.ts'
import type { ListedRange } from './recorded-single.ts'
import {
  checkUnleased,
  defined,
  endFromError,
  keyText,
  type Method,
  type Recording,
  recordResult,
  resultOfChange,
  revisionCondition,
  txnReadResult,
  valueText,
} from './recording.ts'

export const transact: Method<'transact'> =
  (recording) =>
  async <T>(body: (tx: Transaction) => Promise<T> | T, options?: TransactOptions): Promise<T> => {
    const { client } = recording
    let running: Attempt | undefined
    let last: Attempt | undefined
    let overtaken = Promise.resolve()
    let answer: TxnResult | undefined
    let isOver = false
    const recordedBody = async (tx: Transaction): Promise<T> => {
      const before = last
      last = undefined
      if (before !== undefined) overtaken = before.ends(() => ({ fail: 'conflict' }))
      await overtaken
      // The call may end at any time, also now.
      if (isOver) throw new Error('the transaction has ended')
      const attempt = new Attempt(recording, tx)
      running = attempt
      const result = await body(attempt)
      // The call has ended before its body did: nothing of it is sent.
      if (isOver) return result
      attempt.commits()
      last = attempt
      return result
    }
    /** All reads of an attempt show the revision of the first one, which names none. */
    const noting = <Options extends ReadOptions>(reading: Options): Options => {
      const attempt = running
      if (reading.revision !== undefined || attempt === undefined) return reading
      return {
        ...reading,
        onAnswer: (info) => {
          attempt.revision = info.revision
          reading.onAnswer?.(info)
        },
      }
    }
    const calls: TransactCalls = {
      get: (key, reading) => client.get(key, noting(reading)),
      list: (reading) => client.list(noting(reading)),
      txn: async (txn, call) => {
        answer = await client.txn(txn, call)
        return answer
      },
    }
    try {
      const result = await client[transactThrough](
        calls,
        typeof body === 'function' ? recordedBody : body,
        options,
      )
      await last?.isDone(answer)
      return result
    } catch (error) {
      isOver = true
      await overtaken
      await last?.ends((op) => endFromError(op, error))
      throw error
    }
  }

type Write = Extract<HistoryOperation, { readonly f: 'put' | 'del' }>

class Attempt implements Transaction {
  /** The revision of the store that its reads show. */
  revision: number | undefined
  readonly #recording: Recording
  readonly #tx: Transaction
  readonly #begun: Mark
  /** Results of reads by the text of the key. */
  readonly #reads = new Map<string, RecordedResult>()
  readonly #ranges: { readonly op: ListedRange; readonly rows: readonly ListedRow[] }[] = []
  readonly #writes = new Map<string, Write>()
  #open: { readonly id: number; readonly op: HistoryOperation; readonly result: RecordedResult }[] = []

  constructor(recording: Recording, tx: Transaction) {
    this.#recording = recording
    this.#tx = tx
    this.#begun = recording.history.mark()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Methods for the body

  async get(key: string | Uint8Array): Promise<KvRecord | undefined> {
    const name = textOfKey('tx.get', key)
    // Its own writes say nothing about the store. A write that follows while the read is in flight changes nothing.
    const isOwn = this.#writes.has(name)
    const record = await this.#tx.get(key)
    if (!isOwn) this.#reads.set(name, record === undefined ? { value: null } : recordResult(record))
    return record
  }

  list(options: TransactionListOptions = {}): AsyncGenerator<KvRecord, void, undefined> {
    checkTransactionList(options)
    const { prefix, start, end } = options
    const from = boundText(prefix ?? start) ?? ''
    const to = prefix === undefined ? boundText(end) : prefixEnd(from)
    return this.#listed(this.#tx.list(options), { from, to }, { ...options })
  }

  put(...[key, value, options]: Parameters<Transaction['put']>): void {
    checkUnleased(options?.lease ?? options?.ttlMs)
    // A body that catches the error may commit the transaction, which must not have the change then.
    const name = textOfKey('tx.put', key)
    this.#tx.put(key, value, options)
    this.#writes.set(name, { f: 'put', key: name, value: valueText(value) })
  }

  delete(key: string | Uint8Array): void {
    const name = textOfKey('tx.delete', key)
    this.#tx.delete(key)
    this.#writes.set(name, { f: 'del', key: name })
  }

  async *#listed(
    records: AsyncGenerator<KvRecord, void, undefined>,
    { from, to }: { readonly from: string; readonly to: string | undefined },
    { limit = Number.POSITIVE_INFINITY, order, keysOnly }: TransactionListOptions,
  ): AsyncGenerator<KvRecord, void, undefined> {
    // The list shows these in place of what the store has, so they divide it into parts of the store.
    const own = [...this.#writes.keys()].filter((key) => contains({ from, to }, key)).sort(compareKeys)
    const rows: ListedRow[] = []
    let last: string | undefined
    let isWhole = false
    let shown = 0
    try {
      for await (const record of records) {
        const key = keyText(record.keyBytes)
        const { modRevision, version, value } = record
        // A record that the body has written has no revision yet.
        if (modRevision > 0)
          rows.push({ key, modRevision, version, ...(keysOnly ? {} : { value: valueText(value) }) })
        last = key
        shown += 1
        yield record
      }
      isWhole = shown < limit
    } finally {
      if (isWhole || last !== undefined) {
        const isDescending = order === 'desc'
        let start = isWhole || !isDescending ? from : last
        const end = isWhole || isDescending || last === undefined ? to : keyAfter(last)
        for (const key of own) {
          if (!contains({ from: start ?? '', to: end }, key)) continue
          this.#saw(start, key, rows, keysOnly)
          start = keyAfter(key)
        }
        this.#saw(start, end, rows, keysOnly)
      }
    }
  }

  /** A part of a list that the body has seen: only these rows are there. */
  #saw(from = '', to: string | undefined, rows: readonly ListedRow[], keysOnly: boolean | undefined): void {
    if (to !== undefined && compareKeys(from, to) >= 0) return
    const range = defined<Pick<ListedRange, 'start' | 'end' | 'keysOnly'>>({
      start: from === '' ? undefined : from,
      end: to,
      keysOnly: keysOnly || undefined,
    })
    const seen = rows
      .filter(({ key }) => contains({ from, to }, key))
      .toSorted((a, b) => compareKeys(a.key, b.key))
    this.#ranges.push({ op: { f: 'range', ...range }, rows: seen })
  }

  // -------------------------------------------------------------------------------------------------------------------

  /** The body has ended, and nothing of it was sent yet. */
  commits(): void {
    const { history, name } = this.#recording
    const done: (readonly [HistoryOperation, RecordedResult])[] = [
      ...[...this.#reads].map(([key, result]) => [{ f: 'get', key }, result] as const),
      ...this.#ranges.map(({ op, rows }) => [op, { rows, more: false }] as const),
      ...[...this.#writes.values()].map((op) => [{ ...op, ...this.#writeCondition(op) }, {}] as const),
    ]
    void history.transaction(async () => {
      this.#open = done.map(([op, result]) => {
        const id =
          this.#writes.size === 0 ? history.invokeSince(this.#begun, name, op) : history.invoke(name, op)
        return { id, op, result }
      })
    })
  }

  /** The commit compares what the body has read of the key. */
  #writeCondition({ f, key }: Write): ReturnType<typeof revisionCondition> {
    const read = this.#reads.get(key)
    const revision = read?.value === null ? 0 : read?.modRevision
    return f === 'del' && revision === 0 ? {} : revisionCondition(revision)
  }

  /** `answer`: of the commit; undefined: the body has written nothing. */
  async isDone(answer: TxnResult | undefined): Promise<void> {
    const read =
      answer === undefined || this.#writes.size === 0
        ? defined<RecordedResult>({ revision: this.revision })
        : txnReadResult(answer)
    let changes = 0
    const ends = this.#open.map(({ id, op, result }): [number, End] => {
      const change = isWrite(op) && answer !== undefined ? answer.results[changes++] : undefined
      return [
        id,
        {
          result:
            change === undefined || answer === undefined
              ? { ...result, ...read }
              : (resultOfChange(change, answer.revision) ?? {}),
        },
      ]
    })
    await this.#recording.history.endAll(ends)
  }

  async ends(endOfWrite: (op: Write) => End): Promise<void> {
    const { history } = this.#recording
    const ends: [number, End][] = []
    for (const { id, op } of this.#open) {
      if (isWrite(op)) ends.push([id, endOfWrite(op)])
      else history.withdraw(id)
    }
    await history.endAll(ends)
  }
}

const isWrite = (op: HistoryOperation): op is Write => op.f === 'put' || op.f === 'del'

function textOfKey(caller: string, key: string | Uint8Array): string {
  checkValue(caller, 'key', key, bytesCheck)
  return keyText(key)
}

const boundText = (bound: string | Uint8Array | undefined): string | undefined =>
  bound === undefined ? undefined : keyText(bound)
