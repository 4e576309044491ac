// Clients that change keys for others to watch: puts, deletes of keys and of ranges, several keys in one transaction,
// and sometimes compaction, up to the newest revision in the log of the history.

import type { AnyOperation, ConditionFields, OperationEnd } from '../workload/history.ts'
import type { StoreStep, StoreTransaction } from '../workload/transaction.ts'
import type { Draw, Surroundings, Workload, WorkloadRequest } from './workload.ts'

type Change = Extract<StoreStep, { f: 'put' | 'del' }>

const TRANSACTION_KEYS_MAX = 5
/** How many revisions back reads of the past go; history is often compacted to less. */
const PAST = [10, 50, 1_000]

export class EventsWorkload implements Workload {
  readonly #draw: Draw
  readonly #surroundings: Surroundings
  readonly #revisions = new Map<string, number>()

  constructor(draw: Draw, surroundings: Surroundings) {
    this.#draw = draw
    this.#surroundings = surroundings
  }

  next(): WorkloadRequest {
    const { key, sized, random } = this.#draw
    const draw = random.next()
    if (draw < 0.4) return { f: 'put', key: key(), value: sized() }
    if (draw < 0.5) return { f: 'del', key: key() }
    if (draw < 0.57) return this.#deleteRange()
    if (draw < 0.8) return this.#transaction()
    if (draw < 0.82) {
      // Often close behind, so that slow watches are overtaken.
      const behind = random.pick([0, 5, 50, 500])
      return { f: 'compact', revision: Math.max(1, this.#surroundings.logUpTo() - behind) }
    }
    const now = this.#surroundings.logUpTo()
    if (random.chance(0.5))
      return { f: 'get', key: key(), at: Math.max(1, now - random.below(random.pick(PAST))) }
    return { f: 'get', key: key() }
  }

  ended(op: AnyOperation, end: OperationEnd): void {
    if (end.kind !== 'ok' || (op.f !== 'put' && op.f !== 'get' && op.f !== 'del')) return
    const { modRevision, applied } = end.result
    if (applied !== false && !('at' in op)) this.#revisions.set(op.key, modRevision ?? 0)
  }

  #deleteRange(): WorkloadRequest {
    const { key, random } = this.#draw
    if (random.chance(0.5)) return { f: 'del-range', prefix: key() }
    const [start = '', last = ''] = [key(), key()].sort()
    return { f: 'del-range', start, end: `${last}~` }
  }

  /** Some only if a key is as it was. */
  #transaction(): StoreTransaction {
    const { key, sized, random } = this.#draw
    const keys = [...new Set(Array.from({ length: 1 + random.below(TRANSACTION_KEYS_MAX) }, key))]
    const drawn = keys.map(
      (one): Change => (random.chance(0.7) ? { f: 'put', key: one, value: sized() } : { f: 'del', key: one }),
    )
    const [first = ''] = keys
    const revision = this.#revisions.get(first)
    const unchanged = new Map(revision === undefined || random.chance(0.7) ? [] : [[first, revision]])
    const steps = drawn.map((step) => ({ ...step, ...conditionFields(step, unchanged.get(step.key)) }))
    const number = this.#surroundings.transaction()
    return { f: 'txn', number, unchanged, steps, before: new Map(), idempotency: undefined }
  }
}

/** So the history has it, too. */
function conditionFields({ f }: Change, revision: number | undefined): ConditionFields {
  if (revision === undefined) return {}
  if (revision > 0) return { ifRevision: revision }
  return f === 'put' ? { ifAbsent: true } : {}
}
