// The operations of a history, each with its answer.

import { formatOperation, formatOutcome } from '../report/format-operation.ts'
import type { LockRequest } from '../sim/clients/lock-clients.ts'
import type { HistoryEvent } from '../workload/history.ts'
import type { OperationView } from './view.ts'

const READS: ReadonlySet<string> = new Set(['get', 'range', 'lease'])

/** It reads each event of the history once. The view of an operation is another object when it changes. */
export class OperationViews {
  readonly #views = new Map<number, OperationView>()
  readonly #max: number
  #read = 0
  #newest: readonly OperationView[] = []

  /** The view has the newest operations, at most so many. */
  constructor(max: number) {
    this.#max = max
  }

  view(history: readonly HistoryEvent[]): readonly OperationView[] {
    if (this.#read === history.length) return this.#newest
    for (const event of history.slice(this.#read)) this.#add(event)
    this.#read = history.length
    // An older one may be answered yet, but is not shown any more.
    for (const id of [...this.#views.keys()].slice(0, -this.#max)) this.#views.delete(id)
    this.#newest = [...this.#views.values()]
    return this.#newest
  }

  #add(event: HistoryEvent): void {
    if (event.type === 'invoke')
      this.#views.set(event.id, {
        ...{ id: event.id, client: String(event.client), node: event.node, text: formatOperation(event.op) },
        kind: READS.has(event.op.f) ? 'read' : 'write',
        ...{ from: event.time, until: undefined, outcome: 'waits', answer: '' },
      })
    else if (event.type === 'ok' || event.type === 'fail' || event.type === 'unknown') {
      const view = this.#views.get(event.id)
      if (view !== undefined) this.#views.set(event.id, { ...view, until: event.time, ...ended(event) })
    }
  }
}

function ended(
  event: Extract<HistoryEvent, { type: 'ok' | 'fail' | 'unknown' }>,
): Pick<OperationView, 'outcome' | 'answer'> {
  if (event.type === 'ok') {
    const { stalenessMs, ...others } = event.result
    // Clocks are rounded up: the answer is no older than that.
    const result = stalenessMs === undefined ? others : { ...others, stalenessMs: Math.ceil(stalenessMs) }
    return { outcome: 'ok', answer: formatOutcome({ kind: 'ok', result }) }
  }
  return { outcome: event.type === 'fail' ? 'failed' : 'unknown', answer: event.why }
}

/** Ids of requests about a lock, which no history has: no operation of a history has one so high. */
const LOCK_IDS = 1e9

/** The newest requests about a lock, at most `max`. */
export const lockViews = (requests: readonly LockRequest[], max: number): OperationView[] =>
  requests
    .map((request, at): OperationView => ({ ...request, id: LOCK_IDS + at, kind: 'write', isLock: true }))
    .slice(-max)
