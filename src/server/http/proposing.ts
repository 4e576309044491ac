// What all changes share: the request that is proposed, and what its outcome is in HTTP.

import type { IncomingHttpHeaders } from 'node:http'
import {
  type Command,
  type KeyMeta,
  type Outcome,
  type Request,
  type Revision,
  refusalText,
} from '../../kv/index.ts'
import type { NodeApi } from '../types.ts'
import { type ApiRequest, answering, type Respond, timeLeftMs } from './answer.ts'
import { entityTag } from './conditions.ts'
import { readIdempotencyKey } from './idempotency-key.ts'
import { metaJson } from './json.ts'
import { Refused, refusedByNode } from './problem.ts'

type Accepted = Exclude<Outcome, { kind: 'refused' | 'precondition-failed' }>

/** Throws `Refused` for what can be refused before the log. */
export function requestOf(command: Command, headers: IncomingHttpHeaders): Request {
  const idempotency = readIdempotencyKey(headers['idempotency-key'])
  if (idempotency !== undefined && command.kind !== 'settings' && command.prev)
    throw new Refused(
      'bad_request',
      'prev cannot be combined with Idempotency-Key: values are not remembered',
    )
  return { command, idempotency, principal: '' }
}

/** Proposes, and answers everything but an accepted outcome. `headers` go with the answer to that. */
export function propose(
  node: NodeApi,
  asked: ApiRequest,
  request: Request,
  respond: Respond,
  accepted: (outcome: Accepted, headers: readonly string[]) => void,
): void {
  const answer = answering(respond, (result: Parameters<Parameters<NodeApi['propose']>[2]>[0]) => {
    if (!result.ok) throw refusedByNode(result.problem)
    const { outcome, replayed } = result.value
    const headers = replayed ? ['Idempotency-Replayed', 'true'] : []
    const { revision } = outcome
    if (outcome.kind === 'refused')
      throw new Refused(outcome.code, refusalText(outcome), { headers, revision })
    if (outcome.kind === 'precondition-failed') throw preconditionFailed(outcome.current, revision, headers)
    accepted(outcome, headers)
  })
  node.propose(request, timeLeftMs(asked), answer)
}

export const unexpected = ({ kind }: Outcome): Error => new Error(`the outcome of another command: ${kind}`)

/** 412 with the record as it is, without its value, or null. */
export function preconditionFailed(
  current: KeyMeta | null,
  revision: Revision,
  headers: readonly string[],
): Refused {
  if (current === null)
    return new Refused('precondition_failed', 'the key does not exist', {
      members: { current },
      headers,
      revision,
    })
  return new Refused('precondition_failed', `the key is at revision ${current.modRevision}`, {
    members: { current: JSON.parse(metaJson(current)) },
    headers: [...headers, 'ETag', entityTag(current.modRevision)],
    revision,
  })
}
