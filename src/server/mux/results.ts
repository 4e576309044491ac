// The answers of `api` as items, and the memory that each takes until it is sent.

import { isGrant } from '../../operations/forms/answer-head.ts'
import { ApiError } from '../../operations/forms/index.ts'
import {
  OPERATIONS,
  type Operation,
  type OperationOf,
  RESULT_FORMS,
  type WholeKind,
} from '../../operations/index.ts'
import type { AnswerTo, ApiAnswer } from '../api/answer.ts'
import type { MuxCall } from './mux-call.ts'

const FOUND = 200
const NOT_FOUND = 404

/** Ends the call with the answer to its operation. Throws `ApiError` if there is no room for the result of a read. */
export function endWithAnswer(call: MuxCall, operation: Operation, answer: ApiAnswer): void {
  if (answer instanceof ApiError) {
    call.fail(answer)
    return
  }
  switch (answer.kind) {
    case 'page': {
      const { records = [], bytes = 0 } = call.page ?? {}
      call.checkRoom(bytes)
      call.end(FOUND, OPERATIONS.range.mux.encodePage(call.id, records, answer, answer.head), bytes)
      return
    }
    case 'watch':
      call.beginWatch(answer.watch)
      call.end(FOUND, OPERATIONS.watch.mux.encodeResult(call.id, answer.head.revision))
      return
    case 'unchanged':
    case 'records':
    case 'lease-keys':
    case 'backup':
      throw new Error(`no multiplexed operation ends as ${answer.kind}`)
    default:
      endWithResult(call, operation, answer)
  }
}

function endWithResult<K extends WholeKind>(
  call: MuxCall,
  operation: Operation,
  { kind, result, head }: AnswerTo<K>,
): void {
  const form = RESULT_FORMS[kind].mux
  if (form === undefined) throw new Error(`no multiplexed operation ends as ${kind}`)
  // TypeScript does not see that answer and operation are of one kind.
  const request = operation as OperationOf<K>
  const bytes = form.resultBytes(result, request)
  if (isGrant(head)) call.checkRoom(bytes)
  call.end(result === undefined ? NOT_FOUND : FOUND, form.encodeResult(call.id, result, head, request), bytes)
}
