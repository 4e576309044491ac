// The description of an operation. Each operation has a file with its request, its result, its facts and its form on
// each wire; index.ts joins them. Nobody else keeps a list of operations: what depends on the kind reads a fact.

import type { AnswerHead } from './forms/answer-head.ts'
import type { KeyForm } from './forms/http.ts'
import type { AccessDemand, LeaseDemand } from './forms/rights.ts'

/**
 * `read`: it changes nothing that outlives it. A keep-alive and a watch are reads too: they may be made again at any
 * node. `change`: it proposes an entry of the log, or changes the members or the leader.
 */
export type OperationEffect = 'read' | 'change'

/** The names of operations in metrics. The set is small: each has a histogram. */
export const OPERATION_LABELS = ['put', 'get', 'delete', 'range', 'batch', 'other'] as const
export type OperationLabel = (typeof OPERATION_LABELS)[number]

export interface OperationFacts<O> {
  readonly effect: OperationEffect
  /** Whether the audit log has a line for it when it records changes only. A refusal always has one. */
  readonly isAudited: boolean
  readonly label: OperationLabel
  /** All rights that the user of this name needs. */
  readonly demands: (operation: O, user: string) => readonly AccessDemand[]
  /** Whether a node that joins the cluster may call it with the certificate of a node. */
  readonly isForJoining?: true
}

/** Facts of a change that is an entry of the log. */
export interface EntryFacts<O> extends OperationFacts<O> {
  readonly effect: 'change'
  /** Whether the entry may make the store larger. A nearly full disk refuses it. A batch depends on its changes. */
  readonly room: 'takes' | 'frees' | 'depends'
  /** The demands on leases alone, which apply decides again. Most changes have none, and pay nothing for them. */
  readonly leases: (operation: O) => readonly LeaseDemand[]
}

/** The forms of an operation: its request `Q`, its result `R` and the head `H` of its answer on each wire. */
export interface Forms<Q, R, H extends AnswerHead = AnswerHead> {
  readonly http?: KeyForm<Q, R, H>
}
