// transact, recorded. The body gets a transaction that notes what it reads and writes. What an attempt has read was
// compared when it was committed, so all of an attempt is recorded there, as operations of one transaction: they begin
// before the commit is sent. An attempt that others have overtaken has changed nothing, and its reads are of no use.
//
// An attempt that writes nothing is not committed: the store is not asked again. All that it has read is of the
// revision of its first read. So its operations are recorded as having begun when the body began.

import { isUtf8 } from 'node:buffer'
import { contains, keyAfter, prefixEnd } from '../../jepsen-lite/checker/keys.ts'
import type { HistoryOperation, ListedRow, RecordedResult } from '../../jepsen-lite/workload/history.ts'
import type { Transaction, TransactionListOptions, TransactOptions } from '../client/txn-types.ts'
import type { KvRecord } from '../client/types.ts'
import type { End, Mark } from './end.ts'
import type { ListedRange } from './recorded-single.ts'
import {
  checkUnleased,
  defined,
  endOf,
  foundIn,
  keyText,
  type Method,
  type Recording,
  valueText,
} from './recording.ts'

export const transact: Method<'transact'> =
  (recording) =>
  async <T>(body: (tx: Transaction) => Promise<T> | T, options?: TransactOptions): Promise<T> => {
    let last: Attempt | undefined
    let overtaken = Promise.resolve()
    let isOver = false
    const recordedBody = async (tx: Transaction): Promise<T> => {
      const before = last
      last = undefined
      if (before !== undefined) overtaken = before.ends(() => ({ fail: 'conflict' }))
      await overtaken
      // The call may end at any time, also now.
      if (isOver) throw new Error('the transaction has ended')
      const attempt = new Attempt(recording, tx)
      const result = await body(attempt)
      // The call has ended before its body did: nothing of it is sent.
      if (isOver) return result
      attempt.commits()
      last = attempt
      return result
    }
    try {
      const result = await recording.client.transact(
        typeof body === 'function' ? recordedBody : body,
        options,
      )
      await last?.isDone()
      return result
    } catch (error) {
      isOver = true
      await overtaken
      await last?.ends((op) => endOf(op, error))
      throw error
    }
  }

type Write = Extract<HistoryOperation, { readonly f: 'put' | 'del' }>

class Attempt implements Transaction {
  readonly #recording: Recording
  readonly #tx: Transaction
  readonly #begun: Mark
  /** By the text of the key. */
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
    const reading = this.#tx.get(key)
    const record = await reading
    const name = keyText(key)
    // Its own writes say nothing about the store.
    if (!this.#writes.has(name))
      this.#reads.set(name, record === undefined ? { value: null } : foundIn(record))
    return record
  }

  list(options: TransactionListOptions = {}): AsyncGenerator<KvRecord, void, undefined> {
    return this.#listed(this.#tx.list(options), { ...options })
  }

  put(...[key, value, options]: Parameters<Transaction['put']>): void {
    checkUnleased(options?.lease ?? options?.ttlMs)
    this.#tx.put(key, value, options)
    const name = keyText(key)
    this.#writes.set(name, { f: 'put', key: name, value: valueText(value) })
  }

  delete(key: string | Uint8Array): void {
    this.#tx.delete(key)
    const name = keyText(key)
    this.#writes.set(name, { f: 'del', key: name })
  }

  async *#listed(
    records: AsyncGenerator<KvRecord, void, undefined>,
    { prefix, start, end, limit, order, keysOnly }: TransactionListOptions,
  ): AsyncGenerator<KvRecord, void, undefined> {
    const rows: ListedRow[] = []
    let isWhole = false
    let isText = true
    let shown = 0
    try {
      for await (const record of records) {
        const { key, keyBytes, modRevision, version, value } = record
        isText &&= isUtf8(keyBytes)
        // A record that the body has written has no revision yet.
        if (modRevision > 0)
          rows.push({ key, modRevision, version, ...(keysOnly ? {} : { value: valueText(value) }) })
        shown += 1
        yield record
      }
      isWhole = shown < (limit ?? Number.POSITIVE_INFINITY)
    } finally {
      const [from, last] = [textOf(prefix ?? start), rows.at(-1)?.key]
      const to = prefix === undefined ? textOf(end) : prefixEnd(keyText(prefix))
      // Among keys that the body has written, it is not known which keys of the store the list has passed.
      const isMixed = [...this.#writes.keys()].some((key) => contains({ from: from ?? '', to }, key))
      if (isText && !isMixed && (isWhole || last !== undefined)) {
        const isDescending = order === 'desc'
        const seen = defined<Pick<ListedRange, 'start' | 'end' | 'keysOnly'>>({
          start: isWhole || !isDescending ? from : last,
          end: isWhole || isDescending || last === undefined ? to : keyAfter(last),
          keysOnly: keysOnly || undefined,
        })
        this.#ranges.push({ op: { f: 'range', ...seen }, rows: isDescending ? rows.toReversed() : rows })
      } else if (isText && !keysOnly) {
        for (const { key, ...found } of rows) this.#reads.set(key, found)
      }
    }
  }

  // -------------------------------------------------------------------------------------------------------------------

  /** The body has ended, and nothing of it was sent yet. */
  commits(): void {
    const { history, name } = this.#recording
    const done: (readonly [HistoryOperation, RecordedResult])[] = [
      ...[...this.#reads].map(([key, result]) => [{ f: 'get', key }, result] as const),
      ...this.#ranges.map(({ op, rows }) => [op, { rows, more: false }] as const),
      ...[...this.#writes.values()].map((op) => [op, {}] as const),
    ]
    void history.transaction(async () => {
      this.#open = done.map(([op, result]) => {
        const id =
          this.#writes.size === 0 ? history.invokeSince(this.#begun, name, op) : history.invoke(name, op)
        return { id, op, result }
      })
    })
  }

  async isDone(): Promise<void> {
    await this.#recording.history.endAll(this.#open.map(({ id, result }) => [id, { result }]))
  }

  async ends(endOfWrite: (op: Write) => End): Promise<void> {
    const { history } = this.#recording
    const ends: [number, End][] = []
    for (const { id, op } of this.#open) {
      if (op.f === 'put' || op.f === 'del') ends.push([id, endOfWrite(op)])
      else history.withdraw(id)
    }
    await history.endAll(ends)
  }
}

const textOf = (bound: string | Uint8Array | undefined): string | undefined =>
  bound === undefined ? undefined : keyText(bound)
