// The errors of calls that fail, as the client makes them.

import { OutcomeUnknownError, UnavailableError } from '../../src/client/index.ts'

/** A call that was not made: nobody leads. */
export const noLeader = (): UnavailableError =>
  new UnavailableError('no leader', { code: 'no_leader', written: 'no', status: 503 })

/** A change that may have been made: its answer was lost. */
export const unknownOutcome = (): OutcomeUnknownError =>
  new OutcomeUnknownError('lost', { code: 'outcome_unknown', written: 'unknown', status: 504 })
