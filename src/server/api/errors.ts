// The errors for problems of a node, and for outcomes that changed nothing.

import { type Outcome, type OutcomeOfKey, rejectionText } from '../../kv/index.ts'
import {
  ApiError,
  type ErrorFacts,
  type RecordMetadata,
  type Revision,
} from '../../operations/forms/index.ts'
import type { DeleteOutcome, PutOutcome } from '../../operations/index.ts'
import type { Problem } from '../node/result.ts'

/** The error for a problem of the node. A change that may have been made never gets a code that denies it. */
export function errorOfNode({ code, detail, written }: Problem, isRead = false): ApiError {
  const isUnclear = written === 'unknown' && code !== 'internal'
  const facts = { written: isRead ? ('no' as const) : written }
  return new ApiError(isUnclear ? 'outcome_unknown' : code, detail, facts)
}

/** The error of an operation whose client has disconnected. It is never sent. */
export const abandoned = (): ApiError => new ApiError('cancelled', 'the client has gone')

type RejectedOutcome = Extract<Outcome, { kind: 'refused' | 'precondition-failed' }>

/** The error for an outcome that changed nothing. */
export function errorOfOutcome(
  outcome: RejectedOutcome,
  facts: Pick<ErrorFacts, 'replayed' | 'grant'> = {},
): ApiError {
  const { revision } = outcome
  if (outcome.kind === 'precondition-failed') return preconditionFailed(outcome.current, revision, facts)
  return new ApiError(outcome.code, rejectionText(outcome), {
    ...facts,
    revision,
    members: rejectionFields(outcome),
  })
}

/** The outcomes of the changes of a batch, with errors for those that changed nothing. */
export const changeOutcomes = (
  outcomes: readonly OutcomeOfKey[],
): Iterable<PutOutcome | DeleteOutcome | ApiError> =>
  outcomes.every(isAccepted) ? outcomes : new OutcomesWithErrors(outcomes)

const isAccepted = (outcome: OutcomeOfKey | ApiError): outcome is PutOutcome | DeleteOutcome =>
  !(outcome instanceof ApiError) && (outcome.kind === 'put' || outcome.kind === 'delete')

/** Makes each error when it is first read: a thousand of them take milliseconds, and are encoded in several turns. */
class OutcomesWithErrors implements Iterable<PutOutcome | DeleteOutcome | ApiError> {
  readonly #outcomes: (OutcomeOfKey | ApiError)[]

  constructor(outcomes: readonly OutcomeOfKey[]) {
    this.#outcomes = [...outcomes]
  }

  *[Symbol.iterator](): Iterator<PutOutcome | DeleteOutcome | ApiError> {
    for (const [at, outcome] of this.#outcomes.entries()) {
      const known = outcome instanceof ApiError || isAccepted(outcome) ? outcome : errorOfOutcome(outcome)
      this.#outcomes[at] = known
      yield known
    }
  }
}

function rejectionFields({
  reason,
  numbers,
}: Extract<RejectedOutcome, { kind: 'refused' }>): ErrorFacts['members'] & {} {
  if (reason === 'compacted') return { compact_revision: numbers[1] }
  return reason === 'auth-changed' ? { auth_revision: numbers[0] } : {}
}

export function preconditionFailed(
  current: RecordMetadata | null,
  revision: Revision,
  facts: Pick<ErrorFacts, 'replayed' | 'grant'> = {},
): ApiError {
  const detail = current === null ? 'the key does not exist' : `the key is at revision ${current.modRevision}`
  return new ApiError('precondition_failed', detail, { ...facts, revision, current })
}
