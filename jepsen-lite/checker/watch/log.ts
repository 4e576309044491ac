// The changes of the store by revision, against which watches are judged. The simulator has it from the replayed log. A
// history with a log has it from one watch of all keys (`../log/store-log.ts`).

import { countWhile } from '../../workload/sorted.ts'
import type { WatchedRow } from '../../workload/watch-record.ts'

/** One change of one key; null: it was deleted. */
export interface LoggedEvent {
  readonly key: string
  readonly revision: number
  readonly record: WatchedRow | null
}

export class EventLog {
  readonly #events: readonly LoggedEvent[]
  /** Events by key, to find the record before an event. */
  readonly #ofKey: ReadonlyMap<string, readonly LoggedEvent[]>
  /** The log knows all revisions up to this one. */
  readonly upTo: number

  /** `events`: of all keys from the empty store on, by revision. */
  constructor(events: readonly LoggedEvent[], upTo: number) {
    this.#events = events
    this.upTo = upTo
    this.#ofKey = Map.groupBy(events, ({ key }) => key)
  }

  /** Events of the revisions from `from` to `to`, both inclusive. */
  between(from: number, to: number): readonly LoggedEvent[] {
    return this.#events.slice(this.#indexAt(from), this.#indexAt(to + 1))
  }

  /** The key before a revision; null: it did not exist. */
  before(key: string, revision: number): WatchedRow | null {
    return this.#ofKey.get(key)?.findLast((event) => event.revision < revision)?.record ?? null
  }

  /** The position of the first event at this revision or later. */
  #indexAt(revision: number): number {
    return countWhile(this.#events, (event) => event.revision < revision)
  }
}
