// The ends of the operations of a transaction, by the answer to it.

import type { RecordedResult } from '../../workload/history.ts'
import type { StoreStep, StoreTransaction } from '../../workload/transaction.ts'
import type { RequestEnd } from './wire.ts'

export type ChangingStep = Exclude<StoreStep, { f: 'get' }>

/** The answer of a node: which branch it has run, and a result for each operation of it. */
export interface TransactionAnswer<T> {
  readonly succeeded: boolean
  readonly revision: number
  readonly results: readonly T[]
  /** Whether it was applied before; undefined: the client has sent no token. */
  readonly replayed?: boolean | undefined
}

/** The result of one operation: a read, the revisions of a put, or the number of deleted keys. */
export type StepResult = Pick<RecordedResult, 'value' | 'modRevision' | 'version' | 'deleted'>

/** The decoder of a wire. undefined: it is not the result of this operation. `forgotten`: of a read in a repeat. */
type DecodeStep<T> = (result: T, step: StoreStep) => StepResult | 'forgotten' | undefined

export const isRead = ({ f }: StoreStep): boolean => f === 'get'

/** The end of each operation, when the transaction itself has ended so. */
export const endAll = ({ steps }: StoreTransaction, end: RequestEnd): readonly RequestEnd[] =>
  steps.map(() => end)

/** One end for each of its operations. undefined: it is not the answer to this transaction. */
export function endsFrom<T>(
  { succeeded, revision, results, replayed }: TransactionAnswer<T>,
  txn: StoreTransaction,
  decode: DecodeStep<T>,
): RequestEnd[] | undefined {
  if (!succeeded && txn.unchanged.size === 0) return undefined
  const done = succeeded ? txn.steps : txn.steps.filter(isRead)
  if (results.length !== done.length) return undefined
  // Reads beside changes show the state before the revision of these changes. If they are all deletes, they may
  // have made none.
  const changes = succeeded ? txn.steps.filter(({ f }) => f !== 'get') : []
  const mayHaveMadeNone = changes.every(({ f }) => f === 'del')
  const asOf = changes.length === 0 ? { revision } : mayHaveMadeNone ? {} : { revision: revision - 1 }
  let at = 0
  const ends: RequestEnd[] = []
  for (const step of txn.steps) {
    if (!succeeded && step.f !== 'get') {
      ends.push(
        isCondition(step, txn)
          ? { kind: 'ok', result: { applied: false, revision } }
          : { kind: 'fail', why: 'a key was not as before', unreachable: false },
      )
      continue
    }
    const result = results[at++]
    const decoded = result === undefined ? undefined : decode(result, step)
    if (decoded === undefined) return undefined
    // A repeat is answered without what was read.
    if ((decoded === 'forgotten') !== (replayed === true && step.f === 'get')) return undefined
    if (decoded === 'forgotten') {
      ends.push({ kind: 'fail', why: 'what was read is not remembered', unreachable: false })
      continue
    }
    const value = step.f === 'append' ? { value: (txn.before.get(step.key) ?? '') + step.value } : {}
    const shown = step.f === 'get' ? { ...decoded, ...asOf } : { ...value, ...decoded, revision }
    const repeated = replayed !== undefined && step.f !== 'get' ? { replayed } : {}
    ends.push({ kind: 'ok', result: { ...shown, ...repeated } })
  }
  return !succeeded && isAllUnchanged(txn, ends) ? undefined : ends
}

/** The only comparison is the condition of this change, which the history has. So it is known why it was refused. */
const isCondition = (step: ChangingStep, { unchanged }: StoreTransaction): boolean =>
  unchanged.size === 1 &&
  (step.f === 'put' || step.f === 'del') &&
  (step.ifRevision ?? step.ifAbsent) !== undefined

/** The reads beside the refusal show that every key is as it was compared. */
const isAllUnchanged = ({ unchanged, steps }: StoreTransaction, ends: readonly RequestEnd[]): boolean =>
  [...unchanged].every(([key, revision]) => {
    const end = ends[steps.findIndex((step) => step.f === 'get' && step.key === key)]
    return end?.kind === 'ok' && (end.result.modRevision ?? 0) === revision
  })

/** The end of a transaction whose answer is not one to it. */
export function wrongTransaction(txn: StoreTransaction, shown: string): readonly RequestEnd[] {
  const wrong = `an answer that does not fit the transaction: ${shown.slice(0, 300)}`
  const why = 'wrong answer'
  const hasOnlyRead = txn.steps.every(isRead)
  return endAll(
    txn,
    hasOnlyRead ? { kind: 'fail', why, unreachable: false, wrong } : { kind: 'unknown', why, wrong },
  )
}
