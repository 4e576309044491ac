// The head of an answer: its facts beside the result, on every wire.

import type { ReadConsistency, ReadGrant } from './freshness.ts'
import type { Revision } from './store.ts'

export interface AnswerHead {
  /** The revision that the answer reflects; undefined: that of its result, or the node's newest. */
  readonly revision?: Revision | undefined
  /** The consistency at which a read was served. */
  readonly served?: ReadConsistency | undefined
  /** Proven upper bound on the age of a stale read, when it is known. */
  readonly stalenessMs?: number | undefined
  /** The outcome is that of an earlier copy of the change. */
  readonly replayed?: boolean | undefined
}

/** Whether it is the head of a read. A transaction that only reads is answered as a read. */
export const isGrant = (head: AnswerHead): head is ReadGrant => head.served !== undefined

/** The head as a client receives it: also from which node. */
export interface NodeAnswerHead extends AnswerHead {
  /** Every answer of a node has it. */
  readonly clusterId: string | undefined
  readonly node: string | undefined
}
