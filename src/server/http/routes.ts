// All routes outside the hot path: their facts, and the operations that they decode to.

import { HttpError, jsonResponse } from '../../operations/forms/http.ts'
import {
  asRevision,
  type KvSettings,
  leaseIdOf,
  readIdempotency,
  ttlMsOf,
} from '../../operations/forms/index.ts'
import { decodeJsonBytes, type JsonBytesValue } from '../../operations/forms/json-bytes.ts'
import {
  anyOf,
  arrayOf,
  boolean,
  closed,
  integer,
  nothing,
  object,
  string,
} from '../../operations/forms/json-schema.ts'
import {
  flag,
  freshnessOf,
  HISTORY_PARAMETERS,
  integer as integerParameter,
  READ_PARAMETERS,
  text,
} from '../../operations/forms/parameters.ts'
import { Bytes, LeaseIdSchema, TtlSchema } from '../../operations/forms/schemas.ts'
import { RENEW_LEASES_MAX } from '../../operations/keep-alive.ts'
import { TXN_DEPTH_MAX } from '../../operations/txn.ts'
import type { Api } from '../api/api.ts'
import { replicaIdOf } from '../api/cluster.ts'
import { type TxnFields, txnOf } from '../api/txn-fields.ts'
import { METRICS_CONTENT_TYPE } from '../node/metric-list.ts'
import type { Metrics } from '../node/metrics.ts'
import { type ColdRoutes, createApp } from './app.ts'
import { AUTH_ROUTES } from './auth-routes.ts'
import { batchRoute } from './batch.ts'
import { health, readiness } from './health.ts'
import { INDEX_SCHEMA, indexResponse } from './index-page.ts'
import { openApiDocument } from './openapi.ts'
import { type Route, route } from './route.ts'
import {
  ClusterSchema,
  MemberSchema,
  Name,
  NewReplica,
  SETTING_FIELDS,
  SettingsBody,
  SettingsSchema,
} from './schemas.ts'
import { TxnBody, TxnResponse, TxnSchema } from './txn-json.ts'
import { watchRoute } from './watch.ts'

export interface RoutesOptions {
  readonly api: Api
  readonly version: string
  readonly metrics: Metrics
  readonly isClosing: () => boolean
}

export function createColdRoutes(options: RoutesOptions): Promise<ColdRoutes> {
  const { api, version } = options
  const routes: Route[] = [
    ...operationRoutes(api),
    ...statusRoutes(options),
    ...CLUSTER_ROUTES,
    backupRoute,
    ...AUTH_ROUTES,
  ]
  const document = { method: 'GET', path: '/openapi.json', summary: 'This document' } as const
  let text: string | undefined
  routes.push(
    route({ ...document, answers: object({}) }, () => {
      text ??= openApiDocument(version, routes)
      return jsonResponse(text)
    }),
  )
  return createApp({
    requestBytesMax: api.limits.requestBytesMax,
    strangerBodyMs: api.limits.strangerBodyMs,
    turns: api.outbound.turns,
    routes: [...routes, CONNECT],
  })
}

/** The routes of keys, transactions, history, watches and leases. */
export const operationRoutes = (api: Api): readonly Route[] => [
  batchRoute,
  txnRoute,
  compactRoute,
  watchRoute(api),
  ...leaseRoutes(api),
]

/** A request that opens a multiplexed connection does not reach this route. OpenAPI describes no WebSockets. */
const CONNECT = route(
  { method: 'GET', path: '/v1/connect', summary: 'Not an upgrade', answers: object({}) },
  () => {
    throw new HttpError('upgrade_required', 'this resource is for WebSocket connections', [
      'Upgrade',
      'websocket',
    ])
  },
)

// ---------------------------------------------------------------------------------------------------------------------
// Transactions and history

/** Commas and brackets of a transaction. Ten times the allowed operations are still counted, and refused by number. */
const TXN_PARTS_MAX = 16_000
/** A transaction within another one is three brackets deeper. */
const TXN_BRACKETS_MAX = 4 * TXN_DEPTH_MAX

const txnRoute = route(
  {
    method: 'POST',
    path: '/v1/txn',
    summary: 'Run a transaction: if the comparisons hold, the first list of operations, else the second',
    parameters: { ...HISTORY_PARAMETERS, ...READ_PARAMETERS },
    takesToken: true,
    body: TxnBody,
    bodyPartsMax: TXN_PARTS_MAX,
    bodyDepthMax: TXN_BRACKETS_MAX,
    describedBody: TxnSchema,
    answers: TxnResponse,
    schemas: { Transaction: TxnSchema, TransactionResult: TxnResponse },
  },
  ({ headers, values: { revision, ...freshness }, body }) => ({
    kind: 'txn',
    // The schema cannot express unions of three types, nor schemas within themselves.
    txn: txnOf(body as TxnFields<Exclude<JsonBytesValue, string>>, decodeJsonBytes),
    idempotency: readIdempotency(headers),
    revision,
    freshness: freshnessOf(freshness),
  }),
)

const Compact = closed(
  object({
    revision: {
      ...integer,
      minimum: 1,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'The store can be read from this revision on, and watched from the next one on',
    },
  }),
)

const compactRoute = route(
  {
    method: 'POST',
    path: '/v1/compact',
    summary: 'Forget how the store was before a revision',
    takesToken: true,
    body: Compact,
    answers: object({ compact_revision: integer, revision: integer }),
  },
  ({ headers, body }) => ({
    kind: 'compact',
    revision: asRevision(body.revision),
    idempotency: readIdempotency(headers),
  }),
)

// ---------------------------------------------------------------------------------------------------------------------
// Leases

const ttl = { ttl_ms: { ...integer, description: 'It lives so long unless it is kept alive' } }
const Granted = object({ id: LeaseIdSchema, ...ttl })
const lifetimes = {
  granted_ttl_ms: integer,
  remaining_ttl_ms: {
    ...integer,
    description: 'Unless it is kept alive; in a stale read it may be too low, by lease_checkpoint_ms at most',
  },
}

const Ids = {
  ...arrayOf(LeaseIdSchema),
  minItems: 1,
  maxItems: RENEW_LEASES_MAX,
  description: 'Of the leases',
}

const leaseRoutes = ({ limits }: Api): readonly Route[] => [
  route(
    {
      method: 'POST',
      path: '/v1/leases',
      summary: 'Grant a lease: its keys are deleted when it ends',
      takesToken: true,
      body: closed(
        object(
          { ttl: TtlSchema },
          { id: { ...LeaseIdSchema, description: 'Unless given, the store chooses one' } },
        ),
      ),
      answers: Granted,
    },
    ({ headers, body }) => {
      const id = body.id === undefined ? undefined : leaseIdOf(body.id, 'id')
      return { kind: 'grant', id, ttlMs: ttlMsOf(body.ttl, 'ttl'), idempotency: readIdempotency(headers) }
    },
  ),
  route(
    {
      method: 'POST',
      path: '/v1/leases/:id/keepalive',
      summary: 'Keep a lease alive: its time to live begins anew',
      body: closed(object({})),
      answers: object(ttl),
    },
    ({ params }) => ({ kind: 'keep-alive', ids: [leaseIdOf(params.id ?? '', 'the lease')], one: true }),
  ),
  route(
    {
      method: 'POST',
      path: '/v1/leases/keepalive',
      summary: 'Keep many leases alive',
      body: closed(object({ ids: Ids })),
      answers: object({
        leases: arrayOf(anyOf(Granted, object({ id: LeaseIdSchema, missing: { const: true } }))),
      }),
    },
    ({ body }) => ({
      kind: 'keep-alive',
      ids: body.ids.map((id, at) => leaseIdOf(id, `ids[${at}]`)),
      one: false,
    }),
  ),
  route(
    {
      method: 'GET',
      path: '/v1/leases/:id',
      summary: 'A lease',
      parameters: { keys: flag('Answer with its keys'), ...READ_PARAMETERS },
      answers: object({ id: LeaseIdSchema, ...lifetimes }, { keys: arrayOf(Bytes) }),
    },
    ({ params, values: { keys = false, ...freshness } }) => {
      const id = leaseIdOf(params.id ?? '', 'the lease')
      return { kind: 'show-lease', id, keys, freshness: freshnessOf(freshness) }
    },
  ),
  route(
    {
      method: 'GET',
      path: '/v1/leases',
      summary: 'All leases, in the order of their ids',
      parameters: {
        limit: integerParameter('Leases at most', 1, limits.pageRowsMax),
        after: text('Leases after this id: the `next` of the page before'),
        ...READ_PARAMETERS,
      },
      answers: object(
        { leases: arrayOf(object({ id: LeaseIdSchema, ...lifetimes })), more: boolean, revision: integer },
        { next: LeaseIdSchema },
      ),
    },
    ({ values: { limit, after, ...freshness } }) => ({
      kind: 'list-leases',
      after: after === undefined ? undefined : leaseIdOf(after, 'after'),
      limit,
      freshness: freshnessOf(freshness),
    }),
  ),
  route(
    {
      method: 'DELETE',
      path: '/v1/leases/:id',
      summary: 'Revoke a lease: its keys are deleted at one revision',
      takesToken: true,
      answers: object({ deleted: integer, revision: integer }),
    },
    ({ headers, params }) => {
      const id = leaseIdOf(params.id ?? '', 'the lease')
      return { kind: 'revoke', id, idempotency: readIdempotency(headers) }
    },
  ),
]

// ---------------------------------------------------------------------------------------------------------------------
// The cluster

const CLUSTER_ROUTES: readonly Route[] = [
  route(
    {
      method: 'GET',
      path: '/v1/cluster',
      summary: 'The members, as this node knows them',
      answers: ClusterSchema,
    },
    () => ({ kind: 'cluster' }),
  ),
  route(
    {
      method: 'POST',
      path: '/v1/cluster/members',
      summary: 'Add a member: a learner, promoted when it has caught up',
      body: closed(object({ name: Name, ...NewReplica })),
      answers: ClusterSchema,
    },
    ({ body: { name, replica_id, peer, url } }) => ({
      kind: 'add-member',
      member: { id: replicaIdOf(replica_id), name, peer, url },
    }),
  ),
  route(
    {
      method: 'DELETE',
      path: '/v1/cluster/members/:name',
      summary: 'Remove a member',
      answers: ClusterSchema,
    },
    ({ params: { name = '' } }) => ({ kind: 'remove-member', name }),
  ),
  route(
    {
      method: 'POST',
      path: '/v1/cluster/members/:name/replace',
      summary: 'Drop the replica of this name and add another, in one joint change',
      body: closed(object(NewReplica, { name: Name })),
      answers: ClusterSchema,
    },
    ({ params, body: { name, replica_id, peer, url } }) => {
      const { name: oldName = '' } = params
      const member = { id: replicaIdOf(replica_id), name: name ?? oldName, peer, url }
      return { kind: 'replace-member', name: oldName, member }
    },
  ),
  route(
    {
      method: 'POST',
      path: '/v1/cluster/leader',
      summary: 'Hand leadership over, to a member or to the most up-to-date voter',
      body: closed(object({}, { to: Name })),
      answers: object({ leader: string }),
    },
    ({ body: { to } }) => ({ kind: 'transfer-leadership', to }),
  ),
  route(
    {
      method: 'GET',
      path: '/v1/cluster/settings',
      summary: 'The replicated settings, as this node has applied them',
      answers: SettingsSchema,
    },
    () => ({ kind: 'settings' }),
  ),
  route(
    {
      method: 'POST',
      path: '/v1/cluster/settings',
      summary: 'Change replicated settings; those that are not named stay as they are',
      takesToken: true,
      body: SettingsBody,
      answers: SettingsSchema,
    },
    ({ headers, body: { leases, ...settings } }) => ({
      kind: 'change-settings',
      settings: settingsOf(settings),
      leases: leases && { on: leases.on, durationMs: leases.duration_ms },
      idempotency: readIdempotency(headers),
    }),
  ),
  route(
    {
      method: 'POST',
      path: '/v1/sessions',
      summary: 'Open a session, by whose slots changes are applied at most once (Kv-Session)',
      body: closed(object({}, {})),
      answers: object({ session: integer, age_ms: integer, slots: integer }),
    },
    () => ({ kind: 'open-session' }),
  ),
]

const backupRoute = route(
  {
    method: 'GET',
    path: '/v1/backup',
    summary: 'All of the store at one revision, as a file',
    parameters: { history: flag('false: without the versions of keys that were replaced') },
    answers: 'application/octet-stream',
  },
  ({ values: { history = true } }) => ({ kind: 'backup', history }),
)

function settingsOf(body: Readonly<Record<string, unknown>>): Partial<KvSettings> {
  const settings = SETTING_FIELDS.flatMap(([field, name]) => {
    const value = body[field]
    return typeof value === 'number' ? [[name, value] as const] : []
  })
  return Object.fromEntries(settings)
}

// ---------------------------------------------------------------------------------------------------------------------
// Operators and monitoring

const StatusSchema = object({
  name: string,
  version: string,
  cluster_id: string,
  replica_id: string,
  role: { ...string, description: 'follower, pre-candidate, candidate or leader' },
  leader: anyOf(string, nothing),
  term: integer,
  commit_index: integer,
  applied_index: integer,
  log_first_index: integer,
  revision: integer,
  cluster_version: integer,
  state_hash: {
    ...string,
    description: '64 bits in hexadecimal; equal on replicas with equal applied_index',
  },
  members: arrayOf(MemberSchema),
  disk_free_bytes: { ...anyOf(integer, nothing), description: 'Of the file system; null when it is unknown' },
  disk_total_bytes: anyOf(integer, nothing),
  certificates: {
    ...arrayOf(object({ file: string, expires_in_ms: { type: 'integer' } })),
    description: 'Until the first certificate or revocation list of each file ends; negative after that',
  },
  last_backup_age_ms: {
    ...anyOf(integer, nothing),
    description: 'Of the newest scheduled backup that this node knows',
  },
  errors: { ...arrayOf(string), description: 'What an operator should look at' },
})

const HealthSchema = object(
  { status: { const: 'ok' } },
  // With `verbose`.
  {
    name: string,
    role: string,
    term: integer,
    commit_index: integer,
    applied_index: integer,
    revision: integer,
    reasons: { ...arrayOf(string), description: 'Why it is not ready' },
    errors: arrayOf(string),
  },
)

const VERBOSE = flag('Say more')

/** Health and metrics belong to the HTTP listener: they answer whatever the cluster can do. */
const statusRoutes = ({ api: { node }, version, metrics, isClosing }: RoutesOptions): readonly Route[] => [
  route(
    { method: 'GET', path: '/', summary: 'What this is, and where things are', answers: INDEX_SCHEMA },
    ({ headers }) => indexResponse(node.status(), version, headers.accept),
  ),
  route({ method: 'GET', path: '/v1/status', summary: 'This node', answers: StatusSchema }, () => ({
    kind: 'status',
  })),
  route(
    {
      method: 'GET',
      path: '/livez',
      summary: 'Whether the process works',
      parameters: { verbose: VERBOSE },
      answers: HealthSchema,
    },
    ({ values }) => health(node.status(), values.verbose),
  ),
  route(
    {
      method: 'GET',
      path: '/readyz',
      summary:
        'Whether to send requests here: it knows a leader, is a voter, and has caught up with its own log',
      parameters: { verbose: VERBOSE },
      answers: HealthSchema,
    },
    ({ values }) => readiness(node.status(), isClosing(), values.verbose),
  ),
  route(
    {
      method: 'GET',
      path: '/metrics',
      summary: 'Metrics in the text format of Prometheus',
      answers: METRICS_CONTENT_TYPE,
    },
    async () => ({
      status: 200,
      headers: ['Content-Type', METRICS_CONTENT_TYPE],
      body: await metrics.text(),
      revision: undefined,
    }),
  ),
]
