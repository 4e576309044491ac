// The history that recorded clients write: in memory, in the format of jepsen-lite, on one monotonic clock.

import { AsyncLocalStorage } from 'node:async_hooks'
import { readFileSync, writeFileSync } from 'node:fs'
import { checkValue, functionCheck, textCheck } from '../../src/client/validators.ts'
import {
  buildHistory,
  formatEvent,
  type History,
  type HistoryEvent,
  type HistoryOperation,
  parseHistory,
  Recorder,
} from '../workload/history.ts'
import { currentClock } from './clock.ts'
import type { End, Mark } from './end.ts'

interface RecordedTransaction {
  readonly number: number
  readonly begun: Mark
  /** Reads before a condition that did not hold, which the transaction has not made again. */
  outdated: Invocation[]
}
type Invocation = HistoryEvent & { readonly type: 'invoke' }

/** Runs a function outside of the simulated process that calls it, and may not use the disk. */
const outside = AsyncLocalStorage.snapshot()

export const isRead = ({ f }: { readonly f: string }): boolean => f === 'get' || f === 'range'

interface NamedKeys {
  readonly f: string
  readonly key?: string
  readonly prefix?: string
  readonly start?: string
  readonly end?: string
}
const keysText = ({ key, prefix, start, end }: NamedKeys): string => JSON.stringify([key, prefix, start, end])

/** Operations of several clients and their outcomes. Pass it to each `recorded(client, { history })`. */
export class RecordedHistory {
  readonly #events: HistoryEvent[] = []
  readonly #recorder: Recorder
  readonly #transaction = new AsyncLocalStorage<RecordedTransaction>()
  readonly #busy = new Map<number, string>()
  readonly #listeners = new Set<() => Promise<void> | undefined>()
  #clients = 0
  #transactions = 0
  #late = 0
  /** Whether times and numbers are those of another process. */
  #isLoaded = false

  constructor() {
    const now = currentClock()
    const startedAt = now()
    this.#recorder = new Recorder(
      { workload: 'recorded', command: '' },
      () => Math.round((now() - startedAt) * 1000) / 1000,
      (event) => {
        if (this.#isLoaded)
          throw new Error('RecordedHistory: it was loaded from a file, so nothing more is recorded in it')
        this.#events.push(event)
      },
    )
  }

  /** Reads what `save` wrote. */
  static load(file: string): RecordedHistory {
    checkValue('RecordedHistory.load', 'file', file, textCheck)
    const text = readFileSync(file, 'utf8')
    parseHistory(text)
    const history = new RecordedHistory()
    const lines = text.split('\n').filter((line) => line.trim() !== '')
    history.#events.length = 0
    for (const line of lines) history.#events.push(JSON.parse(line))
    history.#isLoaded = true
    return history
  }

  /**
   * Everything that recorded clients do while `body` runs, also in functions that it calls, is one transaction for
   * `checkTransactions`: it should look as if it had happened at one instant.
   *
   * @example
   * await history.transaction(() => account.transfer('a', 'b', 100))
   */
  transaction<T>(body: () => Promise<T>): Promise<T> {
    checkValue('transaction', 'body', body, functionCheck)
    if (this.#transaction.getStore() !== undefined) return body()
    this.#transactions += 1
    return this.#transaction.run({ number: this.#transactions, begun: this.mark(), outdated: [] }, body)
  }

  /** Writes it as JSONL. `npx jepsen-lite check FILE` and `report FILE` read it. */
  save(file: string): void {
    checkValue('save', 'file', file, textCheck)
    outside(() => writeFileSync(file, this.toString()))
  }

  /** As JSONL. */
  toString(): string {
    return this.#events.map((event) => `${formatEvent(event)}\n`).join('')
  }

  /** @internal */
  get recorder(): Recorder {
    return this.#recorder
  }

  /** @internal */
  read(): History {
    return buildHistory(this.#events)
  }

  /** @internal */
  newClient(): string {
    this.#clients += 1
    return String(this.#clients)
  }

  /**
   * A client of a history has one operation open at a time. Further ones at that time are of `NAME.2`, `NAME.3`, …
   *
   * @internal
   */
  invoke(client: string, op: HistoryOperation): number {
    const busy = new Set(this.#busy.values())
    let name = client
    for (let lane = 2; busy.has(name); lane++) name = `${client}.${lane}`
    const transaction = this.#transaction.getStore()
    if (transaction !== undefined) this.#continues(transaction, op)
    const id = this.#recorder.invoke(name, '', op, transaction?.number)
    this.#busy.set(id, name)
    return id
  }

  /** A read replaces the outdated one of the same keys. A write relies on the others. */
  #continues(transaction: RecordedTransaction, op: HistoryOperation): void {
    if (transaction.outdated.length === 0) return
    if (isRead(op)) {
      transaction.outdated = transaction.outdated.filter((read) => keysText(read.op) !== keysText(op))
      return
    }
    for (const read of transaction.outdated)
      this.#events[this.#events.lastIndexOf(read)] = { ...read, transaction: transaction.number }
    transaction.outdated = []
  }

  /**
   * The last event that nobody takes back.
   *
   * @internal
   */
  mark(): Mark {
    return this.#events.findLast(({ type }) => type !== 'invoke')
  }

  /**
   * An operation that began at this mark, and of which nobody knew then.
   *
   * @internal
   */
  invokeSince(mark: Mark, client: string, op: HistoryOperation): number {
    this.#late += 1
    // No other operation of that client is open in between.
    const name = `${client}.late${this.#late}`
    const id = this.#recorder.invoke(name, '', op, this.#transaction.getStore()?.number)
    const event = this.#events.pop()
    const time = mark !== undefined && 'time' in mark ? Number(mark.time) : 0
    if (event !== undefined)
      this.#events.splice(this.#placeAfter(mark), 0, { ...event, time } as HistoryEvent)
    this.#busy.set(id, name)
    return id
  }

  #placeAfter(mark: Mark): number {
    return mark === undefined ? 0 : this.#events.lastIndexOf(mark) + 1
  }

  /**
   * A condition did not hold: what the transaction has read before is outdated. Each of these reads is a transaction of
   * its own then, unless the transaction writes without reading it again.
   *
   * @internal
   */
  beginsAgain(): void {
    const transaction = this.#transaction.getStore()
    if (transaction === undefined) return
    for (let at = this.#placeAfter(transaction.begun); at < this.#events.length; at++) {
      const event = this.#events[at]
      if (event?.type !== 'invoke' || event.transaction !== transaction.number) continue
      if (this.#busy.has(event.id) || !isRead(event.op)) continue
      const { transaction: _, ...alone } = event
      this.#events[at] = alone
      transaction.outdated.push(alone)
    }
  }

  /**
   * The open operation was a smaller one than its beginning said.
   *
   * @internal
   */
  narrow(id: number, op: HistoryOperation): void {
    const place = this.#events.findLastIndex((event) => event.type === 'invoke' && event.id === id)
    const event = this.#events[place]
    if (event?.type === 'invoke') this.#events[place] = { ...event, op }
  }

  /**
   * Takes back an invocation that never happened.
   *
   * @internal
   */
  withdraw(id: number): void {
    const place = this.#events.findLastIndex((event) => event.type === 'invoke' && event.id === id)
    this.#events.splice(place, 1)
    this.#busy.delete(id)
  }

  /**
   * Resolves when the faults that are due now are in force. The caller of the operation continues after that.
   *
   * @internal
   */
  async end(id: number, end: End): Promise<void> {
    await this.endAll([[id, end]])
  }

  /**
   * The same for the operations of one transaction, which count as one.
   *
   * @internal
   */
  async endAll(ends: readonly (readonly [id: number, end: End])[]): Promise<void> {
    for (const [id, end] of ends) {
      this.#busy.delete(id)
      if ('result' in end) this.#recorder.ok(id, end.result)
      else if ('fail' in end) this.#recorder.fail(id, end.fail)
      else this.#recorder.unknown(id, end.unknown)
    }
    for (const listener of [...this.#listeners]) await listener()
  }

  /** @internal */
  onEnd(listener: () => Promise<void> | undefined): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** @internal */
  note(what: string, details: Parameters<Recorder['note']>[1]): void {
    this.#recorder.note(what, details)
  }
}
