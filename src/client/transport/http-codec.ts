// Requests of the client as HTTP requests, and the results in the answers. Answers of the multiplexed connection have
// the same form (mux-codec.ts), so results are decoded here for both.

import { encodeSettingsChange } from '../../operations/change-settings.ts'
import { disagree, isObject } from '../../operations/forms/disagreement.ts'
import type { OutgoingRequest } from '../../operations/forms/http-requests.ts'
import { encodeHttpRequest } from '../../operations/index.ts'
import { problemError } from '../call-error.ts'
import {
  arrayIn,
  decoded,
  type Json,
  objectOf,
  problemFrom,
  recordFromJson,
  wholeNumberIn,
} from '../decode.ts'
import type { QuorateError } from '../errors.ts'
import type { CallRequest, ChangeRequest, RequestOf } from '../request.ts'
import type { DeleteResult, KvRecord, PutResult } from '../types.ts'
import type { NodeAnswer } from './transport.ts'

/** Without the header fields that all requests of the client have. */
export const encodeRequest = (request: CallRequest): OutgoingRequest =>
  request.kind === 'change-settings'
    ? encodeSettingsChange(request.document, request.idempotency)
    : encodeHttpRequest(request)

/** Operations on one key. */
export type SingleRequest = ChangeRequest | RequestOf<'get'>

/** The result of an operation on one key. */
export type SingleResult = PutResult | DeleteResult | KvRecord | undefined

/** The result of an operation that was served. */
export function resultOf(request: SingleRequest, answer: NodeAnswer): SingleResult {
  switch (request.kind) {
    case 'put':
      return decoded(answer, 'unknown', (json) => putResult(json, wholeNumberIn(json, 'revision')))
    case 'delete':
      return decoded(answer, 'unknown', deleteResult)
    case 'get':
      if (answer.kind === 'answered' && answer.status === 404) return undefined
      return decoded(answer, 'no', (json) => {
        const record = recordFromJson(json)
        return Buffer.compare(record.keyBytes, request.key) === 0
          ? record
          : disagree('it is the record of another key')
      })
  }
}

/** The result of each change of a batch. */
export function resultsOf(
  changes: readonly ChangeRequest[],
  answer: NodeAnswer,
): readonly (SingleResult | QuorateError)[] {
  const [first] = changes
  if (first !== undefined && changes.length === 1) return [resultOf(first, answer)]
  return decoded(answer, 'unknown', (json) => {
    wholeNumberIn(json, 'revision')
    const results = arrayIn(json, 'results')
    if (results.length !== changes.length)
      disagree(`it has ${results.length} results of ${changes.length} changes`)
    return changes.map((change, at) => resultOfChange(change, objectOf(results[at], 'a result'), answer))
  })
}

function resultOfChange(
  change: ChangeRequest,
  result: Json,
  { headers, endpoint }: NodeAnswer,
): PutResult | DeleteResult | QuorateError {
  const { problem, put } = result
  if (isObject(problem))
    return problemError(
      problemFrom(wholeNumberIn(problem, 'status'), headers, problem),
      headers,
      endpoint,
      'by-id',
    )
  if (change.kind === 'delete') return deleteResult(objectOf(result.delete, 'the result of a delete'))
  const json = objectOf(put, 'the result of a put')
  return putResult(json, wholeNumberIn(json, 'mod_revision'))
}

const putResult = (json: Json, revision: number): PutResult => ({
  revision,
  createRevision: wholeNumberIn(json, 'create_revision'),
  modRevision: wholeNumberIn(json, 'mod_revision'),
  version: wholeNumberIn(json, 'version'),
})

const deleteResult = (json: Json): DeleteResult => ({
  deleted: wholeNumberIn(json, 'deleted') === 0 ? 0 : 1,
  revision: wholeNumberIn(json, 'revision'),
})
