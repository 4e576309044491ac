// What all changes share: the proposed request, and the answer for its outcome.

import { type KeyMeta, type Outcome, type Request, type Revision, rejectionText } from '../../kv/index.ts'
import type { NodeApi } from '../node/types.ts'
import { type ApiRequest, answering, type Respond, timeLeftMs } from './answer.ts'
import { entityTag } from './conditions.ts'
import { metaJson } from './json.ts'
import { ApiError, refusedByNode } from './problem.ts'
import type { OutboundBudget } from './response-budget.ts'

type Rejected = Extract<Outcome, { kind: 'refused' | 'precondition-failed' }>
type Accepted = Exclude<Outcome, Rejected>

/** The outcome of a change that was accepted. Throws `Refused`, with these headers, for any other. */
export function acceptedOf(outcome: Outcome, headers: readonly string[] = []): Accepted {
  if (outcome.kind === 'refused' || outcome.kind === 'precondition-failed') throw refusalOf(outcome, headers)
  return outcome
}

/** The problem for the outcome of a change that was not accepted. */
export function refusalOf(outcome: Rejected, headers: readonly string[] = []): ApiError {
  const { revision } = outcome
  if (outcome.kind === 'precondition-failed') return preconditionFailed(outcome.current, revision, headers)
  const members = outcome.reason === 'compacted' ? { compact_revision: outcome.numbers[1] } : {}
  return new ApiError(outcome.code, rejectionText(outcome), { headers, revision, members })
}

/** The answer to a change is never refused, so room for a large answer is reserved before. Throws `Refused`. */
export function holding(backlog: OutboundBudget, respond: Respond, bytes: number): Respond {
  const hold = backlog.hold()
  hold.grow(bytes)
  return (answer) => {
    hold.release()
    respond(answer)
  }
}

/** `token`: how this way of asking calls it. */
export const prevWithToken = (token: string): ApiError =>
  new ApiError('bad_request', `prev cannot be combined with ${token}: values are not remembered`)

/**
 * Proposes the request, and answers every outcome except acceptance. `headers` are added to the answer for acceptance.
 */
export function propose(
  node: NodeApi,
  asked: ApiRequest,
  { command, idempotency }: Pick<Request, 'command' | 'idempotency'>,
  respond: Respond,
  accepted: (outcome: Accepted, headers: readonly string[]) => void,
): void {
  const answer = answering(respond, (result: Parameters<Parameters<NodeApi['propose']>[2]>[0]) => {
    if (!result.ok) throw refusedByNode(result.problem)
    const { outcome, replayed } = result.value
    const headers = replayed ? ['Idempotency-Replayed', 'true'] : []
    accepted(acceptedOf(outcome, headers), headers)
  })
  node.propose({ command, idempotency, principal: '' }, timeLeftMs(asked), answer)
}

export const unexpected = ({ kind }: Outcome): Error => new Error(`the outcome of another command: ${kind}`)

/** 412 with the current record without its value, or null. */
export function preconditionFailed(
  current: KeyMeta | null,
  revision: Revision,
  headers: readonly string[],
): ApiError {
  if (current === null)
    return new ApiError('precondition_failed', 'the key does not exist', {
      members: { current },
      headers,
      revision,
    })
  return new ApiError('precondition_failed', `the key is at revision ${current.modRevision}`, {
    members: { current: JSON.parse(metaJson(current)) },
    headers: [...headers, 'ETag', entityTag(current.modRevision)],
    revision,
  })
}
