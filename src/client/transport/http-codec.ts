// Requests of the client as HTTP requests, and the results in the answers. Answers of the multiplexed connection have
// the same form (mux-codec.ts), so results are decoded here for both.

import { isUtf8 } from 'node:buffer'
import { types } from 'node:util'
import { disagree, isObject } from '../../operations/forms/disagreement.ts'
import {
  type Condition,
  compareKeys,
  conditionHeaders,
  durationText,
  type FreshnessOptions,
  type KeyRange,
  keyAfter,
  type NewReplica,
  type Permission,
  type PutLease,
  rangeBounds,
  type Where,
} from '../../operations/forms/index.ts'
import type { BatchedCommand, RequestedAuthChange } from '../../operations/index.ts'
import { bytesOf, keyPath, withQuery } from '../address.ts'
import { problemError } from '../call-error.ts'
import {
  arrayIn,
  bytesToJson,
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
import { txnFields } from './txn-fields.ts'

/** One HTTP request. */
export interface OutgoingRequest {
  readonly method: string
  /** The raw request target. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | undefined
}

/** Without the header fields that all requests of the client have. */
export function httpRequestOf(request: CallRequest): OutgoingRequest {
  switch (request.kind) {
    case 'put': {
      const { key, value, condition, lease } = request
      const path = withQuery(keyPath(key), leaseFields(lease))
      return { method: 'PUT', path, headers: conditionHeaders(condition), body: value }
    }
    case 'delete':
      return {
        method: 'DELETE',
        path: keyPath(request.key),
        headers: conditionHeaders(request.condition),
        body: undefined,
      }
    case 'batch':
      return jsonPost('/v1/changes', { changes: request.commands.map(changeJson) })
    case 'get': {
      const path = withQuery(keyPath(request.key), { revision: request.revision })
      return { ...read(freshPath(path, request.freshness)), headers: JSON_ANSWER }
    }
    case 'range':
      return rangeRequest(request)
    case 'txn':
      return jsonPost(freshPath('/v1/txn', request.freshness), txnFields(request.txn))
    case 'delete-range': {
      const { range } = request
      const all = range.start.length === 0 && range.end === undefined ? true : undefined
      return remove(withQuery('/v1/kv', { ...rangeBounds(range), all }))
    }
    case 'compact':
      return jsonPost('/v1/compact', { revision: request.revision })
    case 'watch':
      return { ...read(watchPath(request.request)), headers: LINES }
    case 'grant':
      return jsonPost(LEASES, { ttl: durationText(request.ttlMs), id: request.id })
    case 'revoke':
      return remove(`${LEASES}/${request.id}`)
    case 'keep-alive':
      return jsonPost(`${LEASES}/keepalive`, { ids: request.ids })
    case 'show-lease':
      return read(withQuery(`${LEASES}/${request.id}`, { keys: request.keys || undefined }))
    case 'list-leases':
      return read(withQuery(LEASES, { limit: request.limit, after: request.after }))
    case 'open-session':
      return jsonPost('/v1/sessions', {})
    case 'status':
      return read('/v1/status')
    case 'cluster':
      return read('/v1/cluster')
    case 'settings':
      return read(SETTINGS)
    case 'change-settings':
      return jsonPost(SETTINGS, request.document)
    case 'backup':
      return read(withQuery('/v1/backup', { history: request.history ? undefined : false }))
    case 'add-member':
      return jsonPost(MEMBERS, memberJson(request.member))
    case 'remove-member':
      return remove(namedPath(MEMBERS, request.name))
    case 'replace-member':
      return jsonPost(`${namedPath(MEMBERS, request.name)}/replace`, memberJson(request.member))
    case 'transfer-leadership':
      return jsonPost('/v1/cluster/leader', { to: request.to })
    case 'show-auth':
      return read('/v1/auth')
    case 'log-in':
      return jsonPost('/v1/auth/login', { user: request.user, password: request.password })
    case 'show-users':
      return read(request.name === undefined ? USERS : namedPath(USERS, request.name))
    case 'show-roles':
      return read(request.name === undefined ? ROLES : namedPath(ROLES, request.name))
    case 'change-auth': {
      const { change, ifRevision } = request
      const outgoing = authRequest(change)
      if (ifRevision === undefined) return outgoing
      return { ...outgoing, headers: { ...outgoing.headers, 'If-Match': `"${ifRevision}"` } }
    }
  }
}

const NO_HEADERS = {}
const JSON_ANSWER = { Accept: 'application/json' }
const LINES = { Accept: 'application/x-ndjson' }
const JSON_BODY = { 'Content-Type': 'application/json' }

const LEASES = '/v1/leases'
const MEMBERS = '/v1/cluster/members'
const SETTINGS = '/v1/cluster/settings'
const USERS = '/v1/auth/users'
const ROLES = '/v1/auth/roles'

const namedPath = (folder: string, name: string): string => `${folder}/${encodeURIComponent(name)}`

const read = (path: string): OutgoingRequest => ({
  method: 'GET',
  path,
  headers: NO_HEADERS,
  body: undefined,
})
const remove = (path: string): OutgoingRequest => ({
  method: 'DELETE',
  path,
  headers: NO_HEADERS,
  body: undefined,
})

const jsonPost = (path: string, content: object): OutgoingRequest => ({
  method: 'POST',
  path,
  headers: JSON_BODY,
  body: bytesOf(JSON.stringify(jsonOf(content))),
})

/** Bytes become strings. */
function jsonOf(value: unknown): unknown {
  if (types.isUint8Array(value)) return bytesJson(value)
  if (Array.isArray(value)) return value.map(jsonOf)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, inside]) => [name, jsonOf(inside)]))
}

/** Base64 also for text whose escapes are longer: up to six times the text, and a body has a limit. */
function bytesJson(bytes: Uint8Array): unknown {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (isUtf8(buffer)) {
    const text = buffer.toString()
    if (Buffer.byteLength(JSON.stringify(text)) <= bytes.length * BASE64_SHARE + ESCAPES_BYTES) return text
  }
  return { base64: buffer.toString('base64') }
}

const BASE64_SHARE = 4 / 3
/** Short text stays readable. */
const ESCAPES_BYTES = 64

function leaseFields(lease: PutLease | undefined): Readonly<Record<string, string>> {
  if (lease === undefined) return NO_FIELDS
  return 'id' in lease ? { lease: lease.id } : { ttl: durationText(lease.ttlMs) }
}

const NO_FIELDS = {}

function changeJson(change: BatchedCommand): Json {
  const { key, condition } = change
  const fields = { key, ...conditionFields(condition) }
  if (change.kind === 'delete') return { delete: fields }
  return { put: { key, value: change.value, ...conditionFields(condition), ...leaseFields(change.lease) } }
}

function conditionFields(condition: Condition | undefined): Json {
  const { ifMatch, ifNoneMatch } = condition ?? {}
  return { if_match: tagsField(ifMatch), if_none_match: tagsField(ifNoneMatch) }
}

const tagsField = (tags: Condition['ifMatch']): unknown => (tags === 'any' ? '*' : tags)

function rangeRequest(request: RequestOf<'range'>): OutgoingRequest {
  const { range, order, keysOnly, revision, limit, after, count, countOnly, stream, freshness } = request
  const path = withQuery('/v1/kv', {
    ...rangeBounds(range),
    order,
    keys_only: keysOnly || undefined,
    revision,
    limit,
    after,
    count: count || undefined,
    count_only: countOnly || undefined,
  })
  return { ...read(freshPath(path, freshness)), headers: stream === true ? LINES : JSON_ANSWER }
}

const watchPath = ({ where, from, prev, only, values, progressMs }: RequestOf<'watch'>['request']): string =>
  withQuery('/v1/watch', {
    ...watchedFields(where),
    from,
    prev: prev || undefined,
    only,
    values: values ? undefined : false,
    progress: durationText(progressMs),
  })

export const watchedFields = (where: Where) => ('key' in where ? { key: where.key } : rangeBounds(where))

function freshPath(path: string, { consistency, maxStalenessMs, minRevision }: FreshnessOptions): string {
  const max_staleness = maxStalenessMs && durationText(maxStalenessMs)
  return withQuery(path, { consistency, max_staleness, min_revision: minRevision })
}

const memberJson = ({ name, id, peer, url }: NewReplica): Json => ({ name, replica_id: id, peer, url })

function authRequest(change: RequestedAuthChange): OutgoingRequest {
  switch (change.kind) {
    case 'enable':
    case 'disable':
      return jsonPost(`/v1/auth/${change.kind}`, {})
    case 'put-user': {
      const { name, password, oldPassword: old_password, roles } = change
      return { ...jsonPost(namedPath(USERS, name), { password, old_password, roles }), method: 'PUT' }
    }
    case 'delete-user':
      return remove(namedPath(USERS, change.name))
    case 'put-role': {
      const permissions = change.permissions.map(permissionJson)
      return { ...jsonPost(namedPath(ROLES, change.name), { permissions }), method: 'PUT' }
    }
    case 'delete-role':
      return remove(namedPath(ROLES, change.name))
  }
}

function permissionJson({ access, range }: Permission): Json {
  return range === undefined ? { access } : { access, ...permittedFields(range) }
}

function permittedFields(range: KeyRange): Json {
  const { start, end } = range
  if (range.isPrefix !== true && end !== undefined && compareKeys(end, keyAfter(start)) === 0)
    return { key: bytesToJson(start) }
  if (range.isPrefix !== true && start.length === 0 && end === undefined) return { all: true }
  const bounds = Object.entries(rangeBounds(range)).filter(([, bound]) => bound !== undefined)
  return Object.fromEntries(bounds.map(([name, bound]) => [name, bytesToJson(bound)]))
}

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
