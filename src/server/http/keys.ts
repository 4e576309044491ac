// The routes of one key: PUT, GET, HEAD and DELETE of /v1/kv/{key}, or of /v1/kv?key=…, the same resource in a form
// that no client normalises.

import type { Command, Condition, KeyRow } from '../../kv/index.ts'
import { conditionHolds, keyAfter } from '../../kv/index.ts'
import type { NodeApi, ReadGrant, Result } from '../node/types.ts'
import { namesMediaType } from './accept-header.ts'
import {
  type Answer,
  type ApiRequest,
  answering,
  asError,
  jsonAnswer,
  type Respond,
  timeLeftMs,
} from './answer.ts'
import { codingRefusal } from './body.ts'
import { entityTag, readConditions } from './conditions.ts'
import { readIdentity } from './idempotency-headers.ts'
import { ESCAPED_BYTES_MAX, recordJson, revisionsJson } from './json.ts'
import { checkedKey } from './key.ts'
import { PUT_LEASE_PARAMETERS, putLeaseOf } from './lease-values.ts'
import {
  flag,
  HISTORY_PARAMETERS,
  type ParameterTable,
  type ParameterValues,
  READ_PARAMETERS,
  readQuery,
} from './parameters.ts'
import { ApiError, refusedByNode } from './problem.ts'
import { holding, preconditionFailed, prevWithToken, propose, unexpected } from './propose.ts'
import { readFirst, refusedIfEnded } from './range-reading.ts'
import { checkRevision, freshnessHeaders, readOptions } from './read-options.ts'
import type { OutboundBudget } from './response-budget.ts'
import { percentDecode } from './target.ts'

export const PUT_PARAMETERS = { prev: flag('Answer with the record before'), ...PUT_LEASE_PARAMETERS }
export const DELETE_PARAMETERS = {}
export const GET_PARAMETERS = { ...HISTORY_PARAMETERS, ...READ_PARAMETERS }

/**
 * The key and the other parameters. An unknown parameter is refused before a missing key. Throws `Refused`.
 */
function readTarget<P extends ParameterTable>(
  { keys = [], pairs }: ApiRequest,
  table: P,
): { readonly key: Uint8Array; readonly values: ParameterValues<P> } {
  if (keys.length > 1) throw new ApiError('bad_request', 'key is given twice')
  const values = readQuery(pairs, table)
  return { key: checkedKey(percentDecode(keys[0] ?? '')), values }
}

/**
 * Reads a PUT without its body. Throws `Refused` if it is wrong. The returned function takes the body and answers.
 */
export function putKey(
  node: NodeApi,
  backlog: OutboundBudget,
  asked: ApiRequest,
): (value: Uint8Array, respond: Respond) => void {
  const { headers } = asked
  if (headers['content-encoding'] !== undefined)
    throw new ApiError(
      'unsupported_media_type',
      'a value is stored as it is sent: Content-Encoding is not accepted',
    )
  const refused = codingRefusal(headers)
  if (refused !== undefined) throw refused
  if (headers['content-range'] !== undefined)
    throw new ApiError('bad_request', 'a value is replaced as a whole: Content-Range is not accepted')
  const { key, values } = readTarget(asked, PUT_PARAMETERS)
  const { prev = false } = values
  const lease = putLeaseOf(values, node)
  const condition = readConditions(headers)
  const idempotency = readIdentity(headers)
  if (idempotency !== undefined && prev)
    throw prevWithToken('token' in idempotency ? 'Idempotency-Key' : 'Kv-Session')
  return (value, respond) => {
    const command: Command = { kind: 'put', key, value, condition, prev, lease }
    const put = (answer: Respond): void =>
      answering(answer, () =>
        propose(node, asked, { command, idempotency }, answer, (outcome, more) => {
          if (outcome.kind !== 'put') throw unexpected(outcome)
          const { revision, modRevision, prev: before } = outcome
          const prevJson =
            before === undefined ? '' : `,"prev":${before === null ? 'null' : recordJson(before)}`
          const json = `{"revision":${revision},${revisionsJson(outcome)}${prevJson}}`
          answer(jsonAnswer(json, ['ETag', entityTag(modRevision), ...more], revision))
        }),
      )(undefined)
    if (!prev) return put(respond)
    const find = answering(respond, (found: Found) =>
      put(holding(backlog, respond, recordBytesMax(foundIn(found)))),
    )
    node.get(key, (error, row) => find({ error, row }))
  }
}

/** What a node has answered when it was asked for a key. */
interface Found {
  readonly error: Error | undefined
  readonly row: KeyRow | undefined
}

function foundIn({ error, row }: Found): KeyRow | undefined {
  if (error !== undefined) throw refusedIfEnded(error)
  return row
}

/**
 * Of the record before, by what is stored now. Values that others write meanwhile are limited by what may be under way.
 */
const recordBytesMax = (row: KeyRow | undefined): number =>
  row === undefined ? 0 : ESCAPED_BYTES_MAX * (RECORD_BYTES + row.key.length + row.value.length)

/** What a record has beside its key and value. */
const RECORD_BYTES = 48

export function deleteKey(node: NodeApi, asked: ApiRequest, respond: Respond): void {
  const { key } = readTarget(asked, DELETE_PARAMETERS)
  const command: Command = { kind: 'delete', key, condition: readConditions(asked.headers), prev: false }
  const idempotency = readIdentity(asked.headers)
  propose(node, asked, { command, idempotency }, respond, (outcome, more) => {
    if (outcome.kind !== 'delete') throw unexpected(outcome)
    const { deleted, revision } = outcome
    respond(jsonAnswer(`{"deleted":${deleted},"revision":${revision}}`, more, revision))
  })
}

/** GET and HEAD. The server omits the body for HEAD. */
export function getKey(node: NodeApi, asked: ApiRequest, respond: Respond): void {
  const { key, values } = readTarget(asked, GET_PARAMETERS)
  const options = readOptions(timeLeftMs(asked), values)
  const condition = readConditions(asked.headers)
  const asRecord = wantsRecord(asked.headers.accept)
  const answer = answering(respond, (result: Result<ReadGrant>) => {
    if (!result.ok) throw refusedByNode(result.problem)
    const grant = result.value
    checkRevision(node, values.revision, grant)
    if (values.revision === undefined) {
      const tell = answering(respond, (asFound: Found) => found(foundIn(asFound), grant))
      node.get(key, (error, row) => tell({ error, row }))
    } else
      readFirst(node, {
        start: key,
        end: keyAfter(key),
        reverse: false,
        revision: values.revision,
        keysOnly: false,
      })
        .then((row) => found(row, grant))
        .catch((error: unknown) => respond(asError(error)))
  })
  const found = (row: KeyRow | undefined, grant: ReadGrant): void => {
    if (row === undefined) throw missing(grant)
    if (!conditionHolds(ifMatchOf(condition), row))
      throw preconditionFailed(row, grant.revision, freshnessHeaders(grant))
    const unchanged = !conditionHolds(condition, row)
    respond(unchanged ? notModified(row, grant) : asRecord ? record(row, grant) : value(row, grant))
  }
  node.read(options, answer)
}

const ifMatchOf = (condition: Condition | undefined): Condition | undefined =>
  condition && { ...condition, ifNoneMatch: undefined }

/** The Accept header names JSON, without the wildcard for all types. */
const wantsRecord = (accept: string | undefined): boolean =>
  namesMediaType(accept, 'application/json') && !namesMediaType(accept, '*/*')

const sharedHeaders = (row: KeyRow, grant: ReadGrant): string[] => [
  'ETag',
  entityTag(row.modRevision),
  'Vary',
  'Accept',
  ...freshnessHeaders(grant),
]

const value = (row: KeyRow, grant: ReadGrant): Answer => ({
  status: 200,
  headers: ['Content-Type', 'application/octet-stream', ...NOSNIFF, ...sharedHeaders(row, grant)],
  body: row.value,
  revision: grant.revision,
})

const record = (row: KeyRow, grant: ReadGrant): Answer =>
  jsonAnswer(recordJson(row), [...NOSNIFF, ...sharedHeaders(row, grant)], grant.revision)

const notModified = (row: KeyRow, grant: ReadGrant): Answer => ({
  status: 304,
  headers: sharedHeaders(row, grant),
  body: '',
  revision: grant.revision,
})

const NOSNIFF = ['X-Content-Type-Options', 'nosniff'] as const

const missing = (grant: ReadGrant): ApiError =>
  new ApiError('not_found', 'the key does not exist', {
    headers: freshnessHeaders(grant),
    revision: grant.revision,
  })
