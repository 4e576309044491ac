// Transactions of the store. In a history each of its operations is a call of its own, and all have the same
// `transaction` number: reads and changes of keys as everywhere else. They are open at the same time, so each gets a
// lane of its own.
//
// A transaction first reads, then changes keys if they are still at the revisions at which an earlier one has read
// them. If they are not, it reads the same keys, and its changes have certainly failed.
//
// With an idempotency token it may be sent again, under the same number. A repeat is answered with the first outcome,
// but without what was read.

import type { HistoryOperation, OperationEnd, Recorder } from './history.ts'

export type StoreStep = Extract<HistoryOperation, { f: 'get' | 'put' | 'del' | 'append' }>

export interface StoreTransaction {
  readonly f: 'txn'
  /** Number of the transaction in the history, equal for all attempts if it is sent several times. */
  readonly number: number
  readonly idempotency: string | undefined
  /** The keys that it changes, and the revision at which each must be; 0: it does not exist. */
  readonly unchanged: ReadonlyMap<string, number>
  /** Reads first. */
  readonly steps: readonly StoreStep[]
  /** The value that an append finds, if its key is unchanged. */
  readonly before: ReadonlyMap<string, string>
}

/** A list as a client has read it last; revision 0: it does not exist. */
export interface KnownList {
  readonly key: string
  readonly value: string
  readonly revision: number
}

export const readLists = (number: number, keys: readonly string[]): StoreTransaction => ({
  f: 'txn',
  number,
  idempotency: undefined,
  unchanged: new Map(),
  before: new Map(),
  steps: keys.map((key) => ({ f: 'get', key })),
})

/** Reads the lists of all keys, and adds an element to some of them, if these are as they were read. */
export const appendToLists = (
  number: number,
  keys: readonly string[],
  grown: readonly KnownList[],
  element: string,
  idempotency?: string,
): StoreTransaction => ({
  f: 'txn',
  number,
  idempotency,
  unchanged: new Map(grown.map(({ key, revision }) => [key, revision])),
  steps: [
    ...keys.map((key) => ({ f: 'get' as const, key })),
    ...grown.map(({ key }) => ({ f: 'append' as const, key, value: element })),
  ],
  before: new Map(grown.map(({ key, value }) => [key, value])),
})

/** Writes all of its operations into a history. The returned function writes their ends; none: there was no answer. */
export function recordTransaction(
  recorder: Recorder,
  client: string | number,
  node: string,
  { steps, number, idempotency }: StoreTransaction,
): (ends: readonly OperationEnd[]) => void {
  const ids = steps.map((step, at) =>
    recorder.invoke(
      at === 0 ? client : `${client}.${at + 1}`,
      node,
      // For the checker each change is a request, with a token of its own.
      idempotency === undefined || step.f === 'get' ? step : { ...step, idempotency: `${idempotency}/${at}` },
      number,
    ),
  )
  return (ends) => {
    for (const [at, id] of ids.entries()) recorder.end(id, ends[at] ?? { kind: 'unknown', why: 'no answer' })
  }
}
