// The codec of HTTP: requests become operations, results become responses. What both mean is decided in `api/`.

import type { OutcomeOfKey } from '../../kv/index.ts'
import { del } from '../../operations/delete.ts'
import { deleteRange } from '../../operations/delete-range.ts'
import {
  errorResponse,
  freshnessHeaders,
  jsonResponse,
  NOSNIFF,
  OCTETS,
  replayedHeader,
  type UnencodedResponse,
} from '../../operations/forms/http.ts'
import {
  ApiError,
  type KeyRow,
  type KvSettings,
  problemDocument,
  SESSION_SLOTS_MAX,
} from '../../operations/forms/index.ts'
import { bytesJson, revisionsJson } from '../../operations/forms/json.ts'
import { encodeUnchanged, get } from '../../operations/get.ts'
import type { Operation } from '../../operations/index.ts'
import { put } from '../../operations/put.ts'
import { PAGE_START, range } from '../../operations/range.ts'
import { isVoter } from '../../raft/index.ts'
import type { LeaderLeaseSetting } from '../../raft/types.ts'
import type { BudgetPart } from '../api/budget.ts'
import { errorOfOutcome } from '../api/errors.ts'
import type { AcceptedOutcome, ApiResult, LeaseDescription, RowStream } from '../api/operation.ts'
import type { BodySink, HttpRequest, HttpResponse, PageSlices } from '../connections/messages.ts'
import { hex } from '../node/state-hashes.ts'
import type { DriverStatus, NodeApi } from '../node/types.ts'
import { roleJson, userJson } from './auth-routes.ts'
import { SETTING_FIELDS } from './schemas.ts'
import { txnJsonParts } from './txn-json.ts'
import { watchResponse } from './watch.ts'

/** Decodes a GET of a range. Its records are collected as JSON. Throws `ApiError`. */
export function decodeRange(request: HttpRequest, rowsMax: number): Operation {
  const operation = range.http.decode(request, rowsMax)
  if (operation.stream !== true) request.page = new JsonPage(operation.keysOnly === true)
  return operation
}

/** Decodes a DELETE of a key or of a range. Throws `ApiError`. */
export const decodeDelete = (request: HttpRequest): Operation =>
  request.target.keys?.length === 0 ? deleteRange.http.decode(request) : del.http.decode(request)

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
    const json = range.http.encodeRecord(row, this.#keysOnly)
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
  readonly node: NodeApi
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
      const { grant, txn, result: outcome } = result
      const parts = txnJsonParts(txn, outcome, grant.revision)
      return { ...jsonResponse('', freshnessHeaders(grant), grant.revision), body: { parts } }
    }
    case 'watching':
      return watchResponse(result, request)
    case 'kept-alive': {
      const { ids, ttlsMs, one } = result
      if (one) return jsonResponse(`{"ttl_ms":${ttlsMs[0]}}`)
      const leases = ids.map((id, at) => {
        const ttlMs = ttlsMs[at]
        return `{"id":"${id}",${ttlMs === undefined ? '"missing":true' : `"ttl_ms":${ttlMs}`}}`
      })
      return jsonResponse(`{"leases":[${leases.join(',')}]}`)
    }
    case 'lease':
      return leaseResponse(result, context)
    case 'leases': {
      const { grant, leases, more } = result
      const next = more ? `,"next":"${leases.at(-1)?.id}"` : ''
      const listed = leases.map((lease) => `{${leaseFields(lease)}}`).join(',')
      const json = `{"leases":[${listed}],"more":${more}${next},"revision":${grant.revision}}`
      return jsonResponse(json, freshnessHeaders(grant), grant.revision)
    }
    case 'backup':
      return backupResponse(result)
    case 'status':
      return jsonResponse(statusJson(result.status, context))
    case 'cluster':
      return jsonResponse(clusterJson(result.status, context.node))
    case 'settings': {
      const { settings, leaderLeases, revision } = result
      return jsonResponse(settingsJson(settings, leaderLeases), replayedHeader(result), revision)
    }
    case 'leader':
      return jsonResponse(JSON.stringify({ leader: result.leader }))
    case 'auth':
      return jsonResponse(JSON.stringify({ enabled: result.enabled, revision: result.revision }))
    case 'token':
      return jsonResponse(
        JSON.stringify({ token: result.token, expires_in_ms: result.expiresInMs }),
        NO_STORE,
      )
    case 'users':
      return jsonResponse(namedJson('users', result.users.map(userJson), result))
    case 'roles':
      return jsonResponse(namedJson('roles', result.roles.map(roleJson), result))
  }
}

const NO_STORE = ['Cache-Control', 'no-store'] as const

const namedJson = (
  name: string,
  all: readonly string[],
  { one, revision }: ResultOf<'users' | 'roles'>,
): string => (one ? (all[0] ?? '') : `{"${name}":[${all.join(',')}],"revision":${revision}}`)

type ResultOf<K> = Extract<ApiResult, { readonly kind: K }>

function appliedResponse(result: ResultOf<'applied'>): HttpResponse | UnencodedResponse {
  const { outcome, txn } = result
  const headers = replayedHeader(result)
  const { revision } = outcome
  switch (outcome.kind) {
    case 'put':
      return put.http.encodeResult(outcome, result)
    case 'delete':
      return del.http.encodeResult(outcome, result)
    case 'delete-range':
      return deleteRange.http.encodeResult(outcome, result)
    case 'batch':
      return { ...jsonResponse('', headers, revision), body: { parts: batchJsonParts(outcome) } }
    case 'txn':
      if (txn === undefined) return jsonResponse('', headers, revision)
      return { ...jsonResponse('', headers, revision), body: { parts: txnJsonParts(txn, outcome, revision) } }
    default:
      return jsonResponse(outcomeJson(outcome), headers, revision)
  }
}

function outcomeJson(
  outcome: Exclude<AcceptedOutcome, { readonly kind: 'put' | 'delete' | 'delete-range' | 'batch' | 'txn' }>,
): string {
  const { revision } = outcome
  switch (outcome.kind) {
    case 'revoked':
      return `{"deleted":${outcome.deleted},"revision":${revision}}`
    case 'granted':
      return `{"id":"${outcome.lease}","ttl_ms":${outcome.ttlMs}}`
    case 'compacted':
      return `{"compact_revision":${outcome.compactRevision},"revision":${revision}}`
    case 'session':
      return JSON.stringify({
        ...{ session: outcome.session, age_ms: outcome.ageMsMax, slots: SESSION_SLOTS_MAX },
      })
    default:
      throw new Error(`no client of HTTP proposes what ends as ${outcome.kind}`)
  }
}

function* batchJsonParts({
  revision,
  outcomes,
}: Extract<AcceptedOutcome, { kind: 'batch' }>): Iterable<string> {
  yield `{"revision":${revision},"results":[`
  for (const [at, outcome] of outcomes.entries()) yield `${at === 0 ? '' : ','}${changeJson(outcome)}`
  yield ']}'
}

function changeJson(outcome: OutcomeOfKey): string {
  switch (outcome.kind) {
    case 'put':
      return `{"put":{${revisionsJson(outcome)}}}`
    case 'delete':
      return `{"delete":{"deleted":${outcome.deleted},"revision":${outcome.revision}}}`
    default:
      return `{"problem":${JSON.stringify({ ...problemDocument(errorOfOutcome(outcome)), written: 'no' })}}`
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Keys

function foundResponse({ grant, row, isUnchanged }: ResultOf<'found'>, request: HttpRequest): HttpResponse {
  if (isUnchanged && row !== undefined) return encodeUnchanged(row, grant)
  return get.http.encodeResult(row, grant, request)
}

function pageResponse(result: ResultOf<'page'>, { slices }: PageSlices): HttpResponse {
  const { grant } = result
  const body = [PAGE_START, ...slices, range.http.encodePageEnd(result, grant)]
  return { ...range.http.encodeHead(grant, false), body }
}

const countLine = ({ grant, count = 0 }: ResultOf<'page'>): HttpResponse => ({
  ...range.http.encodeHead(grant, true),
  body: range.http.encodeEndLine(count, grant),
})

function linesResponse(
  { rows, keysOnly, grant }: ResultOf<'stream'>,
  { errorOf }: EncodeContext,
): HttpResponse {
  let count = 0
  const text = (slice: readonly KeyRow[]): string => {
    count += slice.length
    return slice.map((row) => `${range.http.encodeRecord(row, keysOnly)}\n`).join('')
  }
  const failed = (sink: BodySink, error: unknown): void =>
    sink.end(`${JSON.stringify({ error: problemDocument(errorOf(error)) })}\n`)
  const end = (): string => range.http.encodeEndLine(count, grant)
  const pour = (sink: BodySink): void => void pourRows(rows, sink, text, end, failed)
  return { ...range.http.encodeHead(grant, true), body: { pour } }
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
  const headers = [...OCTETS, ...NOSNIFF, ...freshnessHeaders(grant)]
  return { status: 200, headers, body: { pour }, revision: grant.revision }
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

// ---------------------------------------------------------------------------------------------------------------------
// Leases

const leaseFields = ({ id, grantedTtlMs, remainingTtlMs }: LeaseDescription): string =>
  `"id":"${id}","granted_ttl_ms":${grantedTtlMs},"remaining_ttl_ms":${remainingTtlMs}`

/** A lease may have many keys. */
function leaseResponse({ grant, lease, keys }: ResultOf<'lease'>, { errorOf }: EncodeContext): HttpResponse {
  const fields = leaseFields(lease)
  const head = freshnessHeaders(grant)
  if (keys === undefined) return jsonResponse(`{${fields}}`, head, grant.revision)
  let before = `{${fields},"keys":[`
  const text = (slice: readonly Uint8Array[]): string => {
    const json = before + slice.map(bytesJson).join(',')
    before = ','
    return json
  }
  if (keys.isWhole) {
    const json = `${text(keys.first())}]}`
    keys.close()
    return jsonResponse(json, head, grant.revision)
  }
  const failed = (sink: BodySink, error: unknown): void => {
    errorOf(error)
    sink.cut()
  }
  const pour = (sink: BodySink): void => void pourRows(keys, sink, text, () => ']}', failed)
  return { ...jsonResponse('', head, grant.revision), body: { pour } }
}

// ---------------------------------------------------------------------------------------------------------------------
// The node and its cluster

function statusJson(status: DriverStatus, { node, version }: EncodeContext): string {
  const { raft } = status
  return JSON.stringify({
    name: status.name,
    version,
    cluster_id: status.clusterId,
    replica_id: status.replicaId,
    role: raft.role,
    leader: node.leaderName ?? null,
    term: raft.term,
    commit_index: raft.commit,
    applied_index: raft.applied,
    log_first_index: raft.firstIndex,
    revision: status.revision,
    cluster_version: status.settings.clusterVersion,
    state_hash: hex(status.stateHash),
    members: membersDocument(status),
    disk_free_bytes: finite(status.diskFreeBytes),
    disk_total_bytes: finite(status.host.diskTotalBytes),
    certificates: status.host.certificates.map(({ file, seconds }) => ({
      file,
      expires_in_ms: Math.round(seconds * 1000),
    })),
    last_backup_age_ms: status.host.lastBackupAgeMs ?? null,
    errors: status.errors,
  })
}

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null)

function clusterJson(status: DriverStatus, { clusterId, leaderName }: NodeApi): string {
  const leader = leaderName ?? null
  const { term, configuration } = status.raft
  const joint = configuration.votersOutgoing.length > 0
  return JSON.stringify({ cluster_id: clusterId, leader, term, joint, members: membersDocument(status) })
}

/** Only the leader knows the `match_index` of each member. */
function membersDocument({ raft }: DriverStatus) {
  const { configuration, progress, id: self, stableIndex, role } = raft
  return configuration.members.map(({ id, name, peer, url }) => ({
    name,
    replica_id: id,
    role: isVoter(configuration, id) ? 'voter' : 'learner',
    peer,
    url,
    // JSON omits undefined fields.
    match_index:
      role === 'leader' && id === self ? stableIndex : progress.find((follower) => follower.id === id)?.match,
  }))
}

function settingsJson(settings: KvSettings, { on, durationMs }: LeaderLeaseSetting): string {
  const values = SETTING_FIELDS.map(([field, name]) => [field, settings[name]])
  return JSON.stringify({ ...Object.fromEntries(values), leases: { on, duration_ms: durationMs } })
}
