// Histories written by hand: requests and answers in the order of the lines, a millisecond each unless a test lets time
// pass.

import type { WatchMessage, WatchSelection } from '../../../jepsen-lite/checker/watch/index.ts'
import {
  type AnyOperation,
  buildHistory,
  type History,
  type HistoryEvent,
  type HistoryHeader,
  type HistoryOperation,
  type RecordedResult,
  type RecordedRow,
  Recorder,
} from '../../../jepsen-lite/workload/history.ts'

export class Story {
  readonly events: HistoryEvent[] = []
  readonly #recorder: Recorder
  #timeMs = 0

  constructor(header: Partial<HistoryHeader> = {}) {
    this.#recorder = new Recorder(
      { workload: 'story', command: '', ...header },
      () => {
        this.#timeMs += 1
        return this.#timeMs
      },
      (event) => this.events.push(event),
    )
  }

  /** Asked, and not answered yet. */
  ask(op: AnyOperation, client = 'a', transaction?: number): Asked {
    return new Asked(this.#recorder, this.#recorder.invoke(client, 'n1', op, transaction))
  }

  /** Asked and answered with nothing in between. */
  tell(op: AnyOperation, result: RecordedResult, client = 'a'): this {
    this.ask(op, client).ok(result)
    return this
  }

  /** A watch begins. Returns how to tell it something. */
  watch(asked: WatchSelection, client = 'log'): (told: WatchMessage) => void {
    const id = this.#recorder.watch(client, 'n1', asked)
    return (told) => this.#recorder.watchMessage(id, told)
  }

  note(what: string, details: Readonly<Record<string, unknown>> = {}): this {
    this.#recorder.note(what, details)
    return this
  }

  pass(ms: number): this {
    this.#timeMs += ms
    return this
  }

  final(node: string, revision: number, stateHash: string, rows: readonly RecordedRow[]): this {
    this.#recorder.final(node, revision, stateHash, rows)
    return this
  }

  get history(): History {
    return buildHistory(this.events)
  }
}

export class Asked {
  readonly #recorder: Recorder
  readonly id: number

  constructor(recorder: Recorder, id: number) {
    this.#recorder = recorder
    this.id = id
  }

  ok(result: RecordedResult = {}): void {
    this.#recorder.ok(this.id, result)
  }

  fail(why = 'no_leader'): void {
    this.#recorder.fail(this.id, why)
  }

  unknown(why = 'outcome_unknown'): void {
    this.#recorder.unknown(this.id, why)
  }
}

export const get = (key: string): HistoryOperation => ({ f: 'get', key })
export const put = (key: string, value: string): HistoryOperation => ({ f: 'put', key, value })
export const append = (key: string, value: string): HistoryOperation => ({ f: 'append', key, value })
/** The answers to a change and to a read of it. */
export const at = (revision: number): RecordedResult => ({ modRevision: revision, revision })
export const seen = (value: string, modRevision: number, revision = modRevision): RecordedResult => ({
  value,
  modRevision,
  revision,
})
