// The outcomes of requests in items of the multiplexed connection. The items are forms of ../../operations.

import type { NodeAnswerHead } from '../../operations/forms/answer-head.ts'
import {
  judgeProblem,
  type RefusedAnswer,
  type ServedAnswer,
  type UnreadableAnswer,
} from '../../operations/forms/answers.ts'
import { DisagreementError, isWholeNumber } from '../../operations/forms/decode.ts'
import { asRevision, decodeProblem } from '../../operations/forms/index.ts'
import type { ConnectionWelcome } from '../../operations/mux/connection.ts'
import { type Item, PROBLEM, SUCCESS } from '../../operations/mux/form.ts'
import type { ClientItemForm, OperationRequest } from '../client-operation.ts'

/** The outcome of a request in an item. */
export function decodeItemOutcome<Q extends OperationRequest, R>(
  form: ClientItemForm<Q, R>,
  request: Q,
  item: Item,
  { cluster: clusterId, node }: ConnectionWelcome,
): ServedAnswer<R> | UnreadableAnswer | RefusedAnswer {
  if (item[1] !== SUCCESS) {
    const problem = judgeProblem(item[1] === PROBLEM ? decodeProblem(item[2]) : undefined)
    const revision = isWholeNumber(item[3]) ? asRevision(item[3]) : undefined
    return { kind: 'refused', problem, head: { clusterId, node, revision } }
  }
  try {
    const result = form.decodeResult(item, request)
    const { revision, served, stalenessMs } = form.decodeHead(item, request)
    const head: NodeAnswerHead = { clusterId, node, revision, served, stalenessMs }
    return { kind: 'served', result, head }
  } catch (cause) {
    if (!(cause instanceof DisagreementError)) throw cause
    return { kind: 'unreadable', cause, head: { clusterId, node } }
  }
}
