// The requests that go over the multiplexed connection, and the outcomes in its answers. The items are forms of
// ../../operations.

import type { AnswerHead, NodeAnswerHead } from '../../operations/forms/answer-head.ts'
import { DisagreementError, isObject, isWholeNumber } from '../../operations/forms/disagreement.ts'
import { asRevision } from '../../operations/forms/index.ts'
import { isMuxKind, type MuxKind, OPERATIONS } from '../../operations/index.ts'
import type { ConnectionWelcome } from '../../operations/mux/connection.ts'
import { type Item, PROBLEM, SUCCESS } from '../../operations/mux/form.ts'
import { problemFrom } from '../decode.ts'
import type { CallRequest, RequestOf } from '../request.ts'
import type { ResultOf } from './results.ts'
import type { Refused, Served, Unreadable } from './transport.ts'

/** Requests that the connection carries. A session is opened before it is known whether the client makes many calls. */
export type MuxRequest = RequestOf<Exclude<MuxKind, 'open-session'>>

/** Lists in a stream, and counts, go over HTTP. */
export const isMuxed = (request: CallRequest): request is MuxRequest =>
  isMuxKind(request.kind) &&
  request.kind !== 'open-session' &&
  !(request.kind === 'range' && (request.stream === true || request.countOnly === true))

/** The outcome of a request in an item. */
export function outcomeOf<Q extends MuxRequest>(
  request: Q,
  item: Item,
  welcome: ConnectionWelcome,
): Served<ResultOf<Q['kind']>> | Unreadable | Refused {
  const isServed = item[1] === SUCCESS
  if (!isServed) {
    const problem = item[1] === PROBLEM && isObject(item[2]) ? item[2] : {}
    const status = isWholeNumber(problem.status) ? problem.status : 500
    const head = headOf(request, item, welcome, false)
    return { kind: 'refused', problem: problemFrom(status, problem, true), head }
  }
  try {
    return { kind: 'served', result: decodeItem(request, item), head: headOf(request, item, welcome, true) }
  } catch (cause) {
    if (!(cause instanceof DisagreementError)) throw cause
    const { cluster: clusterId, node } = welcome
    return { kind: 'unreadable', cause, head: { clusterId, node } }
  }
}

function headOf(
  request: MuxRequest,
  item: Item,
  welcome: ConnectionWelcome,
  isServed: boolean,
): NodeAnswerHead {
  const { cluster: clusterId, node } = welcome
  if (!isServed)
    return { clusterId, node, revision: isWholeNumber(item[3]) ? asRevision(item[3]) : undefined }
  const answerHead: AnswerHead = OPERATIONS[request.kind].mux.decodeHead(item)
  const { revision, served, stalenessMs } = answerHead
  return { clusterId, node, revision, served, stalenessMs }
}

/** Throws `DisagreementError`. */
function decodeItem<Q extends MuxRequest>(request: Q, item: Item): ResultOf<Q['kind']> {
  const { decodeResult } = OPERATIONS[request.kind].mux
  // TypeScript does not see that request and result are of one kind.
  return (decodeResult as unknown as (item: Item, request: Q) => ResultOf<Q['kind']>)(item, request)
}
