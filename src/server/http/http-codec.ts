// The codec of HTTP: requests become operations, results become responses. What both mean is decided in `api/`.

import { encodeBackupHead } from '../../operations/backup.ts'
import type { AnswerHead } from '../../operations/forms/answer-head.ts'
import {
  errorResponse,
  freshnessHeaders,
  jsonResponse,
  type UnencodedResponse,
} from '../../operations/forms/http.ts'
import { ApiError, type KeyRow, problemDocument } from '../../operations/forms/index.ts'
import type { ClusterResult, MemberDescription } from '../../operations/forms/members.ts'
import { encodeUnchanged } from '../../operations/get.ts'
import { OPERATIONS, type Operation } from '../../operations/index.ts'
import { PAGE_START } from '../../operations/range.ts'
import { keysJson, LEASE_END, leaseStart } from '../../operations/show-lease.ts'
import type { RolesResult } from '../../operations/show-roles.ts'
import type { UsersResult } from '../../operations/show-users.ts'
import type { StatusResult } from '../../operations/status.ts'
import { assertNever, isVoter } from '../../raft/index.ts'
import type { BudgetPart } from '../api/budget.ts'
import { changeOutcomes } from '../api/errors.ts'
import type { ApiResult, RowStream } from '../api/operation.ts'
import type { BodySink, HttpRequest, HttpResponse, PageSlices } from '../connections/messages.ts'
import type { KvNode } from '../node/kv-node.ts'
import type { DriverStatus } from '../node/observe/status.ts'
import { hex } from '../node/upkeep/state-hashes.ts'
import { watchResponse } from './watch.ts'

/** Decodes a GET of a range. Its records are collected as JSON. Throws `ApiError`. */
export function decodeRange(request: HttpRequest, rowsMax: number): Operation {
  const operation = OPERATIONS.range.http.decode(request, rowsMax)
  if (operation.stream !== true) request.page = new JsonPage(operation.keysOnly === true)
  return operation
}

/** Decodes a DELETE of a key or of a range. Throws `ApiError`. */
export const decodeDelete = (request: HttpRequest): Operation =>
  request.target.keys?.length === 0
    ? OPERATIONS['delete-range'].http.decode(request)
    : OPERATIONS.delete.http.decode(request)

/** Size of the slices of a page. */
const SLICE_CHARS = 128 * 1024

/** The records of a page as JSON. Each full slice becomes bytes at once, so that no page is converted as a whole. */
class JsonPage {
  readonly #keysOnly: boolean
  readonly #slices: Buffer[] = []
  #slice = ''
  #isFirst = true

  constructor(keysOnly: boolean) {
    this.#keysOnly = keysOnly
  }

  get slices(): readonly (string | Buffer)[] {
    return [...this.#slices, this.#slice]
  }

  add(row: KeyRow, bytesMax: number): number {
    const json = OPERATIONS.range.http.encodeRecord(row, this.#keysOnly)
    const bytes = Buffer.byteLength(json)
    if (bytes > bytesMax) return bytes
    this.#slice += this.#isFirst ? json : `,${json}`
    this.#isFirst = false
    if (this.#slice.length >= SLICE_CHARS) {
      this.#slices.push(Buffer.from(this.#slice))
      this.#slice = ''
    }
    return bytes
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Results

/** Data that responses need beside a result. */
export interface EncodeContext {
  readonly node: KvNode
  /** Version of the program. */
  readonly version: string
  readonly errorOf: (error: unknown) => ApiError
}

export function encode(
  result: ApiResult,
  request: HttpRequest,
  context: EncodeContext,
): HttpResponse | UnencodedResponse {
  if (result instanceof ApiError) return errorResponse(result)
  switch (result.kind) {
    case 'applied':
      return appliedResponse(result)
    case 'found':
      return foundResponse(result, request)
    case 'page':
      return request.page === undefined ? countLine(result) : pageResponse(result, request.page)
    case 'stream':
      return linesResponse(result, context)
    case 'txn-read': {
      const { grant, result: outcome } = result
      return OPERATIONS.txn.http.encodeResult({ ...outcome, revision: grant.revision }, grant, result)
    }
    case 'watching':
      return watchResponse(result, request)
    case 'kept-alive':
      return OPERATIONS['keep-alive'].http.encodeResult(result.ttlsMs, NO_HEAD, result)
    case 'lease':
      return leaseResponse(result, context)
    case 'leases':
      return OPERATIONS['list-leases'].http.encodeResult(result, result.grant)
    case 'backup':
      return backupResponse(result)
    case 'status':
      return OPERATIONS.status.http.encodeResult(statusResult(result.status, context))
    case 'cluster':
      return OPERATIONS.cluster.http.encodeResult(clusterResult(result.status, context.node))
    case 'settings':
      return OPERATIONS.settings.http.encodeResult(result, result)
    case 'leader':
      return OPERATIONS['transfer-leadership'].http.encodeResult(result)
    case 'auth':
      return OPERATIONS['show-auth'].http.encodeResult(result)
    case 'token':
      return OPERATIONS['log-in'].http.encodeResult(result)
    case 'users':
      return OPERATIONS['show-users'].http.encodeResult(usersResult(result))
    case 'roles':
      return OPERATIONS['show-roles'].http.encodeResult(rolesResult(result))
    default:
      return assertNever(result)
  }
}

type ResultOf<K> = Extract<ApiResult, { readonly kind: K }>

/** The head of an answer that says nothing beside its result. */
const NO_HEAD: AnswerHead = {}

function appliedResponse(result: ResultOf<'applied'>): HttpResponse | UnencodedResponse {
  const { outcome } = result
  switch (outcome.kind) {
    case 'put':
      return OPERATIONS.put.http.encodeResult(outcome, result)
    case 'delete':
      return OPERATIONS.delete.http.encodeResult(outcome, result)
    case 'delete-range':
      return OPERATIONS['delete-range'].http.encodeResult(outcome, result)
    case 'batch': {
      const { kind, revision } = outcome
      return OPERATIONS.batch.http.encodeResult(
        { kind, revision, outcomes: changeOutcomes(outcome.outcomes) },
        result,
      )
    }
    case 'txn': {
      const { txn: requested } = result
      if (requested === undefined) throw new Error('a transaction was applied, and nobody knows which one')
      return OPERATIONS.txn.http.encodeResult(outcome, result, { txn: requested })
    }
    case 'compacted':
      return OPERATIONS.compact.http.encodeResult(outcome, result)
    case 'session':
      return OPERATIONS['open-session'].http.encodeResult(outcome, result)
    case 'granted':
      return OPERATIONS.grant.http.encodeResult(outcome, result)
    case 'revoked':
      return OPERATIONS.revoke.http.encodeResult(outcome, result)
    case 'settings':
    case 'renewed':
    case 'auth':
    case 'expired':
      throw new Error(`no client of HTTP proposes what ends as ${outcome.kind}`)
    default:
      return assertNever(outcome)
  }
}

function usersResult({ users, revision, one }: ResultOf<'users'>): UsersResult {
  const described = users.map(({ name, roles, passwordHash }) => {
    return { name, roles, hasPassword: passwordHash !== undefined }
  })
  const [user] = described
  return one && user !== undefined ? { user } : { users: described, revision }
}

function rolesResult({ roles, revision, one }: ResultOf<'roles'>): RolesResult {
  const [role] = roles
  return one && role !== undefined ? { role } : { roles, revision }
}

// ---------------------------------------------------------------------------------------------------------------------
// Keys

function foundResponse({ grant, row, isUnchanged }: ResultOf<'found'>, request: HttpRequest): HttpResponse {
  if (isUnchanged && row !== undefined) return encodeUnchanged(row, grant)
  return OPERATIONS.get.http.encodeResult(row, grant, request)
}

function pageResponse(result: ResultOf<'page'>, { slices }: PageSlices): HttpResponse {
  const { grant } = result
  const body = [PAGE_START, ...slices, OPERATIONS.range.http.encodePageEnd(result, grant)]
  return { ...OPERATIONS.range.http.encodeHead(grant, false), body }
}

const countLine = ({ grant, count = 0 }: ResultOf<'page'>): HttpResponse => ({
  ...OPERATIONS.range.http.encodeHead(grant, true),
  body: OPERATIONS.range.http.encodeEndLine(count, grant),
})

function linesResponse(
  { rows, keysOnly, grant }: ResultOf<'stream'>,
  { errorOf }: EncodeContext,
): HttpResponse {
  let count = 0
  const text = (slice: readonly KeyRow[]): string => {
    count += slice.length
    return slice.map((row) => `${OPERATIONS.range.http.encodeRecord(row, keysOnly)}\n`).join('')
  }
  const failed = (sink: BodySink, error: unknown): void =>
    sink.end(`${JSON.stringify({ error: problemDocument(errorOf(error)) })}\n`)
  const end = (): string => OPERATIONS.range.http.encodeEndLine(count, grant)
  const pour = (sink: BodySink): void => void pourRows(rows, sink, text, end, failed)
  return { ...OPERATIONS.range.http.encodeHead(grant, true), body: { pour } }
}

/** The end of the file is in the file. Half of it is no backup, and the connection is cut. */
function backupResponse({ grant, file }: ResultOf<'backup'>): HttpResponse {
  const joined = (pieces: readonly Uint8Array[]): BudgetPart => Buffer.concat(pieces)
  const pour = (sink: BodySink): void =>
    void pourRows(
      file,
      sink,
      joined,
      () => '',
      (to) => to.cut(),
    )
  return { ...encodeBackupHead(grant), body: { pour } }
}

/** Reads each slice when the client has taken the one before. */
async function pourRows<T>(
  rows: RowStream<T>,
  sink: BodySink,
  encoded: (slice: readonly T[]) => BudgetPart,
  end: () => string,
  failed: (sink: BodySink, error: unknown) => void,
): Promise<void> {
  try {
    for (;;) {
      const slice = await rows.next()
      if (slice === undefined) return sink.end(end())
      if (!(await sink.write(encoded(slice)))) return
    }
  } catch (error) {
    failed(sink, error)
  } finally {
    rows.close()
  }
}

/** A lease may have many keys. */
function leaseResponse(result: ResultOf<'lease'>, { errorOf }: EncodeContext): HttpResponse {
  const { grant, lease, keys } = result
  if (keys === undefined) return OPERATIONS['show-lease'].http.encodeResult({ lease, keys }, grant)
  if (keys.isWhole) {
    const whole = keys.first()
    keys.close()
    return OPERATIONS['show-lease'].http.encodeResult({ lease, keys: whole }, grant)
  }
  let before = leaseStart(lease)
  const text = (slice: readonly Uint8Array[]): string => {
    const json = `${before}${keysJson(slice)}`
    before = ','
    return json
  }
  const failed = (sink: BodySink, error: unknown): void => {
    errorOf(error)
    sink.cut()
  }
  const pour = (sink: BodySink): void => void pourRows(keys, sink, text, () => LEASE_END, failed)
  return { ...jsonResponse('', freshnessHeaders(grant), grant.revision), body: { pour } }
}

// ---------------------------------------------------------------------------------------------------------------------
// The node and its cluster

function statusResult(
  { raft, host, settings: { clusterVersion }, ...status }: DriverStatus,
  { node, version }: EncodeContext,
): StatusResult {
  return {
    name: status.name,
    version,
    clusterId: status.clusterId,
    replicaId: status.replicaId,
    role: raft.role,
    leader: node.leaderName,
    term: raft.term,
    commitIndex: raft.commit,
    appliedIndex: raft.applied,
    logFirstIndex: raft.firstIndex,
    revision: status.revision,
    clusterVersion,
    stateHash: hex(status.stateHash),
    members: describeMembers(raft),
    diskFreeBytes: finite(status.diskFreeBytes),
    diskTotalBytes: finite(host.diskTotalBytes),
    certificates: host.certificates.map(({ file, seconds }) => ({
      file,
      expiresInMs: Math.round(seconds * 1000),
    })),
    lastBackupAgeMs: host.lastBackupAgeMs,
    errors: status.errors,
  }
}

const finite = (value: number): number | undefined => (Number.isFinite(value) ? value : undefined)

function clusterResult({ raft }: DriverStatus, { clusterId, leaderName }: KvNode): ClusterResult {
  const joint = raft.configuration.votersOutgoing.length > 0
  return { clusterId, leader: leaderName, term: raft.term, joint, members: describeMembers(raft) }
}

/** Only the leader knows the `matchIndex` of each member. */
function describeMembers(raft: DriverStatus['raft']): readonly MemberDescription[] {
  const { configuration, progress, id: self, stableIndex, role } = raft
  return configuration.members.map(({ id, name, peer, url }) => ({
    name,
    replicaId: id,
    role: isVoter(configuration, id) ? 'voter' : 'learner',
    peer,
    url,
    matchIndex:
      role === 'leader' && id === self ? stableIndex : progress.find((follower) => follower.id === id)?.match,
  }))
}
