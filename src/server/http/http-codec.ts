// The codec of HTTP: requests become operations, results become responses. What both mean is decided in `api/`.

import type { OutcomeOfKey } from '../../kv/index.ts'
import type { KeyRow, KvSettings } from '../../operations/forms/index.ts'
import {
  ApiError,
  checkedKey,
  problemDocument,
  putLeaseOf,
  type ReadGrant,
  rangeOf,
  rangeToDelete,
  readConditions,
  readIdempotency,
  SESSION_SLOTS_MAX,
} from '../../operations/forms/index.ts'
import type { Operation } from '../../operations/index.ts'
import { isVoter } from '../../raft/index.ts'
import type { LeaderLeaseSetting } from '../../raft/types.ts'
import type { BudgetPart } from '../api/budget.ts'
import { errorOfOutcome } from '../api/errors.ts'
import type { AcceptedOutcome, ApiResult, LeaseDescription, RowStream } from '../api/operation.ts'
import { hex } from '../node/state-hashes.ts'
import type { DriverStatus, NodeApi } from '../node/types.ts'
import { roleJson, userJson } from './auth-routes.ts'
import { codingRefusal } from './body.ts'
import { namesMediaType } from './headers.ts'
import { bytesJson, metaJson, prevJson, recordJson, revisionsJson } from './json.ts'
import {
  type BodySink,
  entityTag,
  errorResponse,
  freshnessHeaders,
  type HttpRequest,
  type HttpResponse,
  jsonResponse,
  REPLAYED,
  type UnencodedResponse,
} from './messages.ts'
import {
  bytes,
  flag,
  freshnessOf,
  HISTORY_PARAMETERS,
  integer,
  order,
  type Parameter,
  type ParameterTable,
  type ParameterValues,
  PUT_LEASE_PARAMETERS,
  READ_PARAMETERS,
  readQuery,
} from './parameters.ts'
import { SETTING_FIELDS } from './schemas.ts'
import { percentDecode } from './target.ts'
import { txnJsonParts } from './txn-json.ts'
import { watchResponse } from './watch.ts'

// ---------------------------------------------------------------------------------------------------------------------
// Requests: one key, or a range

export const PUT_PARAMETERS = { prev: flag('Answer with the record before'), ...PUT_LEASE_PARAMETERS }
export const DELETE_PARAMETERS = {}
export const GET_PARAMETERS = { ...HISTORY_PARAMETERS, ...READ_PARAMETERS }

const limitUpTo = (max: number): Parameter<number> =>
  integer('Records at most; a page has 1000 unless given, and never more than 10000', 1, max)

export const RANGE_PARAMETERS = {
  prefix: bytes('Keys that begin with it'),
  start: bytes('From this key on, inclusive'),
  end: bytes('Up to this key, exclusive'),
  after: bytes('Only keys behind this one in the requested order: `next` of the page before'),
  limit: limitUpTo(Number.MAX_SAFE_INTEGER),
  order,
  keys_only: flag('Leave the values out'),
  count: flag('Count the whole range as well'),
  count_only: flag('Count the whole range and answer no records'),
  ...HISTORY_PARAMETERS,
  ...READ_PARAMETERS,
}

export const DELETE_RANGE_PARAMETERS = {
  prefix: bytes('Keys that begin with it'),
  start: bytes('From this key on, inclusive'),
  end: bytes('Up to this key, exclusive'),
  all: flag('Needed if the range has all keys'),
}

/** The key and the other parameters. An unknown parameter is refused before a missing key. */
function readTarget<P extends ParameterTable>(
  { target: { keys = [] }, pairs }: HttpRequest,
  table: P,
): { readonly key: Uint8Array; readonly values: ParameterValues<P> } {
  if (keys.length > 1) throw new ApiError('bad_request', 'key is given twice')
  const values = readQuery(pairs, table)
  return { key: checkedKey(percentDecode(keys[0] ?? '')), values }
}

/** Decodes a PUT without its body. Throws `ApiError`. */
export function decodePut(request: HttpRequest): Omit<PutOperation, 'value'> {
  const { headers } = request
  if (headers['content-encoding'] !== undefined)
    throw new ApiError(
      'unsupported_media_type',
      'a value is stored as it is sent: Content-Encoding is not accepted',
    )
  const refused = codingRefusal(headers)
  if (refused !== undefined) throw refused
  if (headers['content-range'] !== undefined)
    throw new ApiError('bad_request', 'a value is replaced as a whole: Content-Range is not accepted')
  const { key, values } = readTarget(request, PUT_PARAMETERS)
  const { prev = false } = values
  const condition = readConditions(headers)
  const lease = putLeaseOf(values.lease, values.ttl)
  return { kind: 'put', key, condition, prev, lease, idempotency: readIdempotency(headers) }
}

type PutOperation = Extract<Operation, { readonly kind: 'put' }>

export function decodeDelete(request: HttpRequest): Operation {
  if (request.target.keys?.length === 0) return decodeDeleteRange(request)
  const { key } = readTarget(request, DELETE_PARAMETERS)
  const condition = readConditions(request.headers)
  return { kind: 'delete', key, condition, prev: false, idempotency: readIdempotency(request.headers) }
}

function decodeDeleteRange({ pairs, headers }: HttpRequest): Operation {
  const { all, ...bounds } = readQuery(pairs, DELETE_RANGE_PARAMETERS)
  const range = rangeToDelete(bounds, all)
  if (readConditions(headers) !== undefined)
    throw new ApiError('bad_request', 'If-Match and If-None-Match are for one key, not for a range')
  return { kind: 'delete-range', range, idempotency: readIdempotency(headers) }
}

export function decodeGet(request: HttpRequest): Operation {
  const { key, values } = readTarget(request, GET_PARAMETERS)
  const { revision, ...freshness } = values
  const condition = readConditions(request.headers)
  return { kind: 'get', key, revision, condition, freshness: freshnessOf(freshness) }
}

/** The parameters of a page, whose limit is that of the node. */
export const pageParameters = (rowsMax: number): typeof RANGE_PARAMETERS => ({
  ...RANGE_PARAMETERS,
  limit: limitUpTo(rowsMax),
})

export function decodeRange(request: HttpRequest, parameters: typeof RANGE_PARAMETERS): Operation {
  const stream = wantsLines(request)
  const values = readQuery(request.pairs, stream ? RANGE_PARAMETERS : parameters)
  const { after, limit, order, keys_only: keysOnly = false, count, count_only: countOnly, revision } = values
  const range = rangeOf(values)
  if (!stream) request.page = new JsonPage(keysOnly ? metaJson : recordJson)
  return {
    ...{ kind: 'range', range, after, order, limit, keysOnly, count, countOnly, stream, revision },
    freshness: freshnessOf(values),
  }
}

const wantsLines = ({ headers }: HttpRequest): boolean => namesMediaType(headers.accept, NDJSON)
const NDJSON = 'application/x-ndjson'

/** Size of the slices of a page. */
const SLICE_CHARS = 128 * 1024

/** The records of a page as JSON. Each full slice becomes bytes at once, so that no page is converted as a whole. */
class JsonPage {
  readonly #toJson: (row: KeyRow) => string
  readonly #slices: Buffer[] = []
  #slice = ''
  #isFirst = true

  constructor(toJson: (row: KeyRow) => string) {
    this.#toJson = toJson
  }

  get slices(): readonly (string | Buffer)[] {
    return [...this.#slices, this.#slice]
  }

  add(row: KeyRow, bytesMax: number): number {
    const json = this.#toJson(row)
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
      return wantsLines(request) ? countLine(result) : pageResponse(result, request)
    case 'stream': {
      const { grant, rows, keysOnly } = result
      return linesResponse(rows, keysOnly ? metaJson : recordJson, grant, context)
    }
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
      const { settings, leaderLeases, revision, replayed } = result
      return jsonResponse(settingsJson(settings, leaderLeases), replayed ? REPLAYED : [], revision)
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

function appliedResponse({ outcome, replayed, txn }: ResultOf<'applied'>): HttpResponse | UnencodedResponse {
  const headers = replayed ? REPLAYED : []
  const { revision } = outcome
  switch (outcome.kind) {
    case 'put': {
      const json = `{"revision":${revision},${revisionsJson(outcome)}${prevJson(outcome.prev)}}`
      return jsonResponse(json, ['ETag', entityTag(outcome.modRevision), ...headers], revision)
    }
    case 'batch':
      return { ...jsonResponse('', headers, revision), body: { parts: batchJsonParts(outcome) } }
    case 'txn':
      if (txn === undefined) return jsonResponse('', headers, revision)
      return { ...jsonResponse('', headers, revision), body: { parts: txnJsonParts(txn, outcome, revision) } }
    default:
      return jsonResponse(outcomeJson(outcome), headers, revision)
  }
}

function outcomeJson(outcome: Exclude<AcceptedOutcome, { readonly kind: 'put' | 'batch' | 'txn' }>): string {
  const { revision } = outcome
  switch (outcome.kind) {
    case 'delete':
    case 'delete-range':
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
// One key

function foundResponse(
  { grant, row, isUnchanged }: ResultOf<'found'>,
  { headers }: HttpRequest,
): HttpResponse {
  const { revision } = grant
  if (row === undefined) return errorResponse(new ApiError('not_found', 'the key does not exist', { grant }))
  const shared = ['ETag', entityTag(row.modRevision), 'Vary', 'Accept', ...freshnessHeaders(grant)]
  if (isUnchanged) return { status: 304, headers: shared, body: '', revision }
  if (wantsRecord(headers.accept)) return jsonResponse(recordJson(row), [...NOSNIFF, ...shared], revision)
  return { status: 200, headers: [...OCTETS, ...NOSNIFF, ...shared], body: row.value, revision }
}

/** Whether Accept names JSON, without the wildcard for all types. */
const wantsRecord = (accept: string | undefined): boolean =>
  accept !== undefined && namesMediaType(accept, 'application/json') && !namesMediaType(accept, '*/*')

const OCTETS = ['Content-Type', 'application/octet-stream'] as const
const NOSNIFF = ['X-Content-Type-Options', 'nosniff'] as const

// ---------------------------------------------------------------------------------------------------------------------
// Many keys

function pageResponse({ grant, more, last, count }: ResultOf<'page'>, { page }: HttpRequest): HttpResponse {
  const next = more && last !== undefined ? `,"next":${bytesJson(last)}` : ''
  const counted = count === undefined ? '' : `,"count":${count}`
  const tail = `],"more":${more}${next}${counted},"revision":${grant.revision}}`
  return { ...rangeHead(grant, 'application/json'), body: ['{"kvs":[', ...(page?.slices ?? []), tail] }
}

const rangeHead = (grant: ReadGrant, contentType: string): Omit<HttpResponse, 'body'> => ({
  status: 200,
  headers: ['Content-Type', contentType, 'Vary', 'Accept', ...freshnessHeaders(grant)],
  revision: grant.revision,
})

const countLine = ({ grant, count = 0 }: ResultOf<'page'>): HttpResponse => ({
  ...rangeHead(grant, NDJSON),
  body: endLine(count, grant),
})

const endLine = (count: number, { revision }: ReadGrant): string =>
  `{"end":true,"count":${count},"revision":${revision}}\n`

/** A stream without its end line is incomplete. Clients check that. */
function linesResponse(
  rows: RowStream<KeyRow>,
  toJson: (row: KeyRow) => string,
  grant: ReadGrant,
  { errorOf }: EncodeContext,
): HttpResponse {
  let count = 0
  const text = (slice: readonly KeyRow[]): string => {
    count += slice.length
    return slice.map((row) => `${toJson(row)}\n`).join('')
  }
  const failed = (sink: BodySink, error: unknown): void =>
    sink.end(`${JSON.stringify({ error: problemDocument(errorOf(error)) })}\n`)
  const pour = (sink: BodySink): void => void pourRows(rows, sink, text, () => endLine(count, grant), failed)
  return { ...rangeHead(grant, NDJSON), body: { pour } }
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
