// The answers of HTTP: status, header fields and JSON become results, problems and heads.

import type { IncomingHttpHeaders } from 'node:http'
import type { DecodedOutcome } from '../../operations/batch.ts'
import type { NodeAnswerHead } from '../../operations/forms/answer-head.ts'
import { DisagreementError, disagree, isWholeNumber } from '../../operations/forms/disagreement.ts'
import { asRevision, type LeaseId, leaseIdOf, type ReadConsistency } from '../../operations/forms/index.ts'
import { decodeProblem } from '../../operations/forms/problems.ts'
import type {
  DeleteOutcome,
  KvTxn,
  KvTxnOperation,
  KvTxnOperationResult,
  PutOutcome,
} from '../../operations/index.ts'
import type { AuthStatus, RoleInfo, RolePermission, UserInfo } from '../auth-types.ts'
import {
  arrayIn,
  bytesFromJson,
  type Json,
  memberFromJson,
  objectOf,
  parseObject,
  problemFrom,
  revisionIn,
  rowFromJson,
  stringIn,
  wholeNumberIn,
} from '../decode.ts'
import type { LeaseInfo } from '../lease-types.ts'
import type { CallRequest, RequestOf } from '../request.ts'
import type { Member } from '../types.ts'
import { statusFromJson } from './node-status.ts'
import type { OperationResults, ResultOf } from './results.ts'
import type { Refused, Served, Unreadable } from './transport.ts'

/** Header fields of an answer, lower case. Every answer of a node has `kv-cluster`, `kv-node` and `kv-revision`. */
export type Headers = IncomingHttpHeaders

/** A complete answer. */
export interface HttpAnswer {
  readonly kind: 'answered'
  readonly status: number
  readonly headers: Headers
  readonly body: Buffer
}

export function decodeHead(headers: Headers): NodeAnswerHead {
  const revision = headerWholeNumber(headers, 'kv-revision')
  return {
    clusterId: headerText(headers, 'kv-cluster'),
    node: headerText(headers, 'kv-node'),
    revision: revision === undefined ? undefined : asRevision(revision),
    served: consistencyFrom(headers['kv-consistency']),
    stalenessMs: headerNumber(headers, 'kv-staleness-ms'),
    leader: headerText(headers, 'kv-leader'),
    term: headerWholeNumber(headers, 'kv-term'),
  }
}

function headerNumber(headers: Headers, name: string): number | undefined {
  const value = headers[name]
  if (typeof value !== 'string' || !/^[0-9]+(\.[0-9]+)?$/.test(value)) return undefined
  return Number(value)
}

function headerWholeNumber(headers: Headers, name: string): number | undefined {
  const value = headerNumber(headers, name)
  return isWholeNumber(value) ? value : undefined
}

function headerText(headers: Headers, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

const consistencyFrom = (text: unknown): ReadConsistency | undefined =>
  text === 'linearizable' || text === 'lease' || text === 'stale' ? text : undefined

/** The outcome of a request in its answer. */
export function decodeAnswer<Q extends CallRequest>(
  request: Q,
  { status, headers, body }: HttpAnswer,
): Served<ResultOf<Q['kind']>> | Unreadable | Refused {
  const head = decodeHead(headers)
  const json = parseObject(body)
  if (status !== OK && status < 400)
    return { kind: 'unreadable', cause: new DisagreementError(`its status is ${status}`), head }
  if (status >= 400) {
    const isOfNode = head.clusterId !== undefined
    const problem = problemFrom(status, json, isOfNode, headerText(headers, 'content-type'))
    if (request.kind !== 'get' || problem.code !== 'not_found') return { kind: 'refused', problem, head }
    return { kind: 'served', result: ABSENT as unknown as ResultOf<Q['kind']>, head }
  }
  try {
    const result = decodeBody(request, json ?? disagree('the body is not a JSON object'))
    return { kind: 'served', result, head }
  } catch (cause) {
    if (cause instanceof DisagreementError) return { kind: 'unreadable', cause, head }
    throw cause
  }
}

/** The result in the body of an answer. Throws `DisagreementError`. */
export function decodeBody<Q extends CallRequest>(request: Q, json: Json): ResultOf<Q['kind']> {
  // TypeScript does not see that request and result are of one kind.
  const decode = DECODERS[request.kind] as unknown as (json: Json, request: Q) => ResultOf<Q['kind']>
  return decode(json, request)
}

/** The status of every answer that was served. */
const OK = 200

/** The result of a get whose key does not exist. */
const ABSENT: OperationResults['get'] = undefined

type Decoder<K extends keyof OperationResults> = (json: Json, request: RequestOf<K>) => OperationResults[K]

const DECODERS: { readonly [K in keyof OperationResults]: Decoder<K> } = {
  put: (json) => putOutcome(json, 'revision'),
  delete: (json) => deleteOutcome(json),
  get: (json, { key }) => {
    const row = rowFromJson(json)
    return Buffer.compare(row.key, key) === 0 ? row : disagree('it is the record of another key')
  },
  range: (json, { keysOnly, countOnly }) => {
    if (countOnly === true)
      return { records: [], more: false, last: undefined, count: wholeNumberIn(json, 'count') }
    const records = arrayIn(json, 'kvs').map((row) => rowFromJson(objectOf(row, 'a record'), keysOnly))
    const { more } = json
    if (typeof more !== 'boolean') return disagree('"more" is neither true nor false')
    return { records, more, last: more ? bytesFromJson(json.next) : undefined, count: undefined }
  },
  batch: (json, { commands }) => {
    const revision = revisionIn(json, 'revision')
    const results = arrayIn(json, 'results')
    if (results.length !== commands.length)
      disagree(`it has ${results.length} results of ${commands.length} changes`)
    const outcomes = commands.map(({ kind }, at) => changeResult(kind, objectOf(results[at], 'a result')))
    return { kind: 'batch', revision, outcomes }
  },
  'delete-range': (json) => ({
    kind: 'delete-range',
    revision: revisionIn(json, 'revision'),
    deleted: wholeNumberIn(json, 'deleted'),
  }),
  txn: (json, { txn }) => ({ ...txnResult(txn, json), revision: revisionIn(json, 'revision') }),
  compact: (json) => ({
    kind: 'compacted',
    revision: revisionIn(json, 'revision'),
    compactRevision: revisionIn(json, 'compact_revision'),
  }),
  watch: () => disagree('the node does not stream'),
  backup: () => disagree('the node does not stream'),
  grant: (json) => ({ id: leaseIdIn(json), ttlMs: wholeNumberIn(json, 'ttl_ms') }),
  revoke: (json) => ({ deleted: wholeNumberIn(json, 'deleted'), revision: wholeNumberIn(json, 'revision') }),
  'keep-alive': (json, { ids }) => {
    const leases = arrayIn(json, 'leases')
    if (leases.length !== ids.length) disagree(`it has ${leases.length} leases of ${ids.length}`)
    return ids.map((id, at) => {
      const lease = objectOf(leases[at], 'a lease')
      if (lease.id !== id) disagree('it has another lease')
      return lease.missing === true ? undefined : wholeNumberIn(lease, 'ttl_ms')
    })
  },
  'show-lease': (json, { keys }) =>
    keys ? { ...leaseInfo(json), keys: arrayIn(json, 'keys').map(bytesFromJson) } : leaseInfo(json),
  'list-leases': (json) => ({
    leases: arrayIn(json, 'leases').map((lease) => leaseInfo(objectOf(lease, 'a lease'))),
    next: json.more === true ? decodeLeaseId(stringIn(json, 'next')) : undefined,
  }),
  'open-session': (json) => ({
    session: wholeNumberIn(json, 'session'),
    ageMs: wholeNumberIn(json, 'age_ms'),
    slots: wholeNumberIn(json, 'slots'),
  }),
  status: statusFromJson,
  cluster: members,
  settings: (json) => json,
  'change-settings': (json, { document }) => {
    const missing = Object.keys(document).find((name) => !Object.hasOwn(json, name))
    return missing === undefined ? json : disagree(`it has no setting ${JSON.stringify(missing)}`)
  },
  // The answer to a change of members contains them. Any other answer does not come from a node.
  'add-member': members,
  'remove-member': members,
  'replace-member': members,
  'transfer-leadership': (json) => stringIn(json, 'leader'),
  'show-auth': authStatus,
  'log-in': (json) => ({ token: stringIn(json, 'token'), expiresInMs: wholeNumberIn(json, 'expires_in_ms') }),
  'show-users': (json, { name }) => named(json, name, 'users', userInfo),
  'show-roles': (json, { name }) => named(json, name, 'roles', roleInfo),
  'change-auth': (json, { change }) => {
    if (change.kind === 'put-user') return { kind: 'user', user: userInfo(json) }
    if (change.kind === 'put-role') return { kind: 'role', role: roleInfo(json) }
    return { kind: 'auth', status: authStatus(json) }
  },
}

const putOutcome = (json: Json, revisionName: string): PutOutcome => ({
  kind: 'put',
  revision: revisionIn(json, revisionName),
  createRevision: revisionIn(json, 'create_revision'),
  modRevision: revisionIn(json, 'mod_revision'),
  version: wholeNumberIn(json, 'version'),
  prev: undefined,
})

const deleteOutcome = (json: Json): DeleteOutcome => ({
  kind: 'delete',
  revision: revisionIn(json, 'revision'),
  deleted: wholeNumberIn(json, 'deleted') === 0 ? 0 : 1,
  prev: undefined,
})

function changeResult(kind: 'put' | 'delete', result: Json): DecodedOutcome {
  const { problem } = result
  if (problem !== undefined) return { problem: decodeProblem(problem) ?? disagree('a problem has no code') }
  return kind === 'put'
    ? putOutcome(objectOf(result.put, 'the result of a put'), 'mod_revision')
    : deleteOutcome(objectOf(result.delete, 'the result of a delete'))
}

/** Throws if it is not the answer to this transaction. */
export function txnResult(
  { success, failure }: KvTxn,
  json: Json,
): Omit<OperationResults['txn'], 'revision'> {
  const { succeeded } = json
  if (typeof succeeded !== 'boolean') return disagree('"succeeded" is neither true nor false')
  const operations = succeeded ? success : failure
  const results = arrayIn(json, 'results')
  if (results.length !== operations.length)
    disagree(`it has ${results.length} results of ${operations.length} operations`)
  return {
    succeeded,
    results: operations.map((operation, at) => operationResult(operation, objectOf(results[at], 'a result'))),
  }
}

function operationResult(operation: KvTxnOperation, result: Json): KvTxnOperationResult {
  switch (operation.kind) {
    case 'put': {
      const json = objectOf(result.put, 'the result of a put')
      const { prev } = json
      return {
        kind: 'put',
        createRevision: revisionIn(json, 'create_revision'),
        modRevision: revisionIn(json, 'mod_revision'),
        version: wholeNumberIn(json, 'version'),
        prev: prev === undefined || prev === null ? prev : rowFromJson(objectOf(prev, '"prev"')),
      }
    }
    case 'get': {
      const json = objectOf(result.get, 'the result of a get')
      if (json.omitted === true) return { kind: 'get', found: undefined }
      const { more } = json
      if (typeof more !== 'boolean') return disagree('"more" is neither true nor false')
      const records = rowsIn(json, 'kvs', operation.keysOnly)
      const count = json.count === undefined ? undefined : wholeNumberIn(json, 'count')
      return { kind: 'get', found: { records, more, count } }
    }
    case 'delete': {
      const json = objectOf(result.delete, 'the result of a delete')
      const deleted = wholeNumberIn(json, 'deleted')
      return { kind: 'delete', deleted, prev: json.prev === undefined ? undefined : rowsIn(json, 'prev') }
    }
    case 'txn':
      return { kind: 'txn', ...txnResult(operation.txn, objectOf(result.txn, 'the result of a transaction')) }
  }
}

const rowsIn = (json: Json, name: string, keysOnly = false) =>
  arrayIn(json, name).map((record) => rowFromJson(objectOf(record, 'a record'), keysOnly))

const leaseInfo = (json: Json): LeaseInfo => ({
  id: leaseIdIn(json),
  grantedTtlMs: wholeNumberIn(json, 'granted_ttl_ms'),
  remainingTtlMs: wholeNumberIn(json, 'remaining_ttl_ms'),
})

const leaseIdIn = (json: Json): LeaseId => decodeLeaseId(stringIn(json, 'id'))

function decodeLeaseId(text: string): LeaseId {
  try {
    return leaseIdOf(text, 'id')
  } catch {
    return disagree('"id" is not the id of a lease')
  }
}

function members(json: Json): readonly Member[] {
  return arrayIn(json, 'members').map(memberFromJson)
}

function named<T>(json: Json, name: string | undefined, list: string, decode: (json: Json) => T) {
  if (name !== undefined) return { all: [decode(json)], revision: undefined }
  const all = arrayIn(json, list).map((each) => decode(objectOf(each, `one of the ${list}`)))
  return { all, revision: wholeNumberIn(json, 'revision') }
}

function authStatus(json: Json): AuthStatus {
  const { enabled } = json
  if (typeof enabled !== 'boolean') return disagree('"enabled" is neither true nor false')
  return { enabled, revision: wholeNumberIn(json, 'revision') }
}

function userInfo(json: Json): UserInfo {
  const { has_password: hasPassword } = json
  if (typeof hasPassword !== 'boolean') return disagree('"has_password" is neither true nor false')
  const names = arrayIn(json, 'roles').map((name) =>
    typeof name === 'string' ? name : disagree('the name of a role is not a string'),
  )
  return { name: stringIn(json, 'name'), roles: names, hasPassword }
}

function roleInfo(json: Json): RoleInfo {
  const permissions = arrayIn(json, 'permissions').map((each) => objectOf(each, 'a permission'))
  return { name: stringIn(json, 'name'), permissions: permissions.map(permissionFromJson) }
}

function permissionFromJson(json: Json): RolePermission {
  const access = stringIn(json, 'access')
  if (access === 'admin') return { access }
  if (access !== 'read' && access !== 'write' && access !== 'readwrite')
    return disagree(`a permission has the access ${access}`)
  const { key, prefix, start, end, all } = json
  if (all === true) return { access, all }
  if (key !== undefined) return { access, key: keyFromJson(key) }
  if (prefix !== undefined) return { access, prefix: keyFromJson(prefix) }
  const until = end === undefined ? undefined : { end: keyFromJson(end) }
  return { access, start: keyFromJson(start), ...until }
}

const keyFromJson = (json: unknown): string | Uint8Array =>
  typeof json === 'string' ? json : bytesFromJson(json)
