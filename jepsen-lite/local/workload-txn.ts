// Transactions that read several lists and add to some.

import type { HistoryOperation, OperationEnd } from '../workload/history.ts'
import { appendToLists, readLists, type StoreTransaction } from '../workload/transaction.ts'
import type { Draw, Surroundings, Workload } from './workload.ts'

/** Keys of one transaction. */
const TRANSACTION_KEYS_MAX = 3

/**
 * Transactions over several lists: each reads some, and most then add an element to one or two of them, on the
 * condition that they are as this client has read them last. Some try it with what they have read long before. Half of
 * them have an idempotency token, if the wire has such: these are sent again if their outcome is unknown, and now and
 * then if it is known.
 */
export class ListAppend implements Workload {
  readonly #draw: Draw
  readonly #surroundings: Surroundings
  readonly #lastRead = new Map<string, { readonly value: string; readonly revision: number }>()
  /** The lists to which the next transaction adds. */
  #due: readonly string[] = []
  #sent: StoreTransaction | undefined
  readonly #repeats: StoreTransaction[] = []

  constructor(draw: Draw, surroundings: Surroundings) {
    this.#draw = draw
    this.#surroundings = surroundings
  }

  next(): HistoryOperation | StoreTransaction {
    const again = this.#draw.random.chance(0.5) ? this.#repeats.shift() : undefined
    const next = again ?? this.#drawNext()
    this.#sent = again === undefined && next.f === 'txn' ? next : undefined
    return next
  }

  #drawNext(): HistoryOperation | StoreTransaction {
    const { key, random } = this.#draw
    const due = this.#due
    this.#due = []
    if (due.length > 0 && random.chance(0.9)) return this.#append(due)
    if (random.chance(0.1)) return { f: 'get', key: key() }
    const keys = [...new Set(Array.from({ length: random.below(TRANSACTION_KEYS_MAX) + 1 }, key))]
    const known = keys.filter((one) => this.#lastRead.has(one))
    if (known.length > 0 && random.chance(0.2)) return this.#append(known)
    this.#due = keys
    return readLists(this.#surroundings.transaction(), keys)
  }

  ended(op: HistoryOperation, end: OperationEnd): void {
    const sent = op.f === 'append' ? this.#sent : undefined
    if (sent?.idempotency !== undefined && (end.kind === 'unknown' || this.#draw.random.chance(0.1))) {
      this.#repeats.push(sent)
      this.#sent = undefined
    }
    if (op.f === 'range' || end.kind !== 'ok') return
    const { value, modRevision } = end.result
    if (value !== undefined) this.#lastRead.set(op.key, { value: value ?? '', revision: modRevision ?? 0 })
  }

  /** A transaction that reads all of these lists, and adds an element to the first one or two. */
  #append(keys: readonly string[]): StoreTransaction {
    const { unique, random } = this.#draw
    const known = keys.flatMap((key) => {
      const read = this.#lastRead.get(key)
      return read === undefined ? [] : [{ key, ...read }]
    })
    const grown = known.slice(0, random.below(2) + 1)
    const element = `${unique()} `
    const { transaction, features } = this.#surroundings
    const number = transaction()
    const hasToken = random.chance(0.5) && features.idempotencyTokens
    return appendToLists(number, keys, grown, element, hasToken ? `t${number}` : undefined)
  }
}
