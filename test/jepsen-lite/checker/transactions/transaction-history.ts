// Histories of transactions, written by hand: what each transaction did, in the order in which they began and ended.

import {
  buildHistory,
  type HistoryEvent,
  type HistoryOperation,
  type RecordedResult,
  Recorder,
} from '../../../../jepsen-lite/workload/history.ts'

export type RecordedStep = readonly [HistoryOperation, RecordedResult]

export class TransactionHistory {
  readonly #events: HistoryEvent[] = []
  readonly #recorder: Recorder
  #time = 0
  #transactions = 0

  constructor(initial: string | null = null) {
    this.#recorder = new Recorder(
      { workload: 'transactions', command: '', initial },
      () => {
        this.#time += 1
        return this.#time
      },
      (event) => this.#events.push(event),
    )
  }

  /** All steps begin now; the returned function ends them. */
  begin(...steps: readonly RecordedStep[]): (outcome?: 'ok' | 'fail' | 'unknown') => void {
    this.#transactions += 1
    return this.goOn(this.#transactions, ...steps)
  }

  /** The same, as further steps of a transaction; the first is number 1. */
  goOn(number: number, ...steps: readonly RecordedStep[]): (outcome?: 'ok' | 'fail' | 'unknown') => void {
    const begun = steps.map(([op, result]) => ({
      id: this.#recorder.invoke(`c${number}`, '', op, number),
      result,
    }))
    return (outcome = 'ok') => {
      for (const { id, result } of begun) {
        if (outcome === 'ok') this.#recorder.ok(id, result)
        else this.#recorder[outcome](id, 'told so')
      }
    }
  }

  /** Alone: begins and ends at once. */
  did(...steps: readonly RecordedStep[]): this {
    this.begin(...steps)()
    return this
  }

  /** At the same time: all begin before the first one ends. */
  together(...all: readonly (readonly RecordedStep[])[]): this {
    for (const end of all.map((steps) => this.begin(...steps))) end()
    return this
  }

  get history() {
    return buildHistory(this.#events)
  }
}

export const read = (
  key: string,
  value: string | null,
  modRevision?: number,
  revision = modRevision,
): RecordedStep => [
  { f: 'get', key },
  {
    value,
    ...(modRevision !== undefined && value !== null && { modRevision }),
    ...(revision !== undefined && { revision }),
  },
]
export const write = (key: string, value: string, modRevision?: number): RecordedStep => [
  { f: 'put', key, value },
  modRevision === undefined ? {} : { modRevision, revision: modRevision },
]
export const append = (key: string, value: string, modRevision?: number): RecordedStep => [
  { f: 'append', key, value },
  modRevision === undefined ? {} : { modRevision, revision: modRevision },
]
export const remove = (key: string, revision?: number): RecordedStep => [
  { f: 'del', key },
  { deleted: 1, ...(revision !== undefined && { revision }) },
]
