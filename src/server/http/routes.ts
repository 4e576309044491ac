// All routes outside the hot path: those of the operations, and the listener's own.

import { ApiError } from '../../operations/forms/index.ts'
import { HttpError, jsonResponse } from '../../operations/http/form.ts'
import { arraySchema, integer, object, string } from '../../operations/http/json-schema.ts'
import { flag, text } from '../../operations/http/parameters.ts'
import { type Route, route } from '../../operations/http/route.ts'
import { OPERATIONS, type Operation, type OperationFacts } from '../../operations/index.ts'
import type { Api } from '../api/api.ts'
import { requestReport } from '../api/member-reports.ts'
import { FOR_ALL, FOR_USERS, type Wanted } from '../clients/gate.ts'
import type { HttpRequest } from '../connections/messages.ts'
import type { KvNode } from '../node/kv-node.ts'
import { METRICS_CONTENT_TYPE } from '../node/observe/metric-list.ts'
import type { Metrics } from '../node/observe/metrics.ts'
import { type ColdRoutes, createApp, type ServedRoute, served } from './app.ts'
import { consoleRoutes } from './console.ts'
import { health, readiness } from './health.ts'
import { INDEX_SCHEMA, indexResponse } from './index-page.ts'
import { openApiDocument } from './openapi.ts'
import { openWatch } from './watch.ts'

interface RoutesOptions {
  readonly api: Api
  readonly metrics: Metrics
  readonly isClosing: () => boolean
  /** The folder with the files of the console; that of this program unless given. */
  readonly consoleDirectory?: string | undefined
}

export function createColdRoutes(options: RoutesOptions): Promise<ColdRoutes> {
  const { api } = options
  const routes: ServedRoute[] = [...OPERATION_ROUTES, ...listenerRoutes(options)]
  const document = { method: 'GET', path: '/openapi.json', summary: 'This document' } as const
  let text: string | undefined
  const openApi = route({ ...document, answers: object({}) }, () => {
    text ??= openApiDocument(api.version, routes, api.limits.pageRowsMax)
    return jsonResponse(text)
  })
  routes.push(served(FOR_ALL, openApi))
  return createApp({
    requestBytesMax: api.limits.requestBytesMax,
    unauthenticatedBodyMs: api.limits.unauthenticatedBodyMs,
    turns: api.outbound.turns,
    pageRowsMax: api.limits.pageRowsMax,
    // OpenAPI describes what programs use.
    routes: [...routes, served(FOR_USERS, CONNECT), ...consoleRoutes(api, options.consoleDirectory)],
    openWatch: (request, operation) => openWatch(request, operation, api),
  })
}

/** The routes of all operations but those under /v1/kv, which no router sees. */
export const OPERATION_ROUTES: readonly ServedRoute<Operation>[] = Object.values(OPERATIONS).flatMap(
  (operation) => {
    const { open, isForJoining }: Partial<OperationFacts<never>> = operation
    const routes: readonly Route<Operation>[] = 'routes' in operation.http ? operation.http.routes : []
    return routes.map((each) => served({ open, isForJoining }, each))
  },
)

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
// The listener's own

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
    reasons: { ...arraySchema(string), description: 'Why it is not ready' },
    errors: arraySchema(string),
  },
)

const VERBOSE = flag('Say more')

const PROBE: Wanted = { ...FOR_ALL, isProbe: true }
const PAGE: Wanted = { ...FOR_ALL, isPage: true }

/** Health and metrics belong to the HTTP listener: they answer whatever the cluster can do. */
const listenerRoutes = ({
  api: { node, version },
  metrics,
  isClosing,
}: RoutesOptions): readonly ServedRoute[] => [
  served(
    PAGE,
    route(
      { method: 'GET', path: '/', summary: 'What this is, and where things are', answers: INDEX_SCHEMA },
      ({ headers }) => indexResponse(node.status(), version, headers.accept),
    ),
  ),
  served(
    PROBE,
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
  ),
  served(
    PROBE,
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
  ),
  served(
    FOR_USERS,
    route(
      {
        method: 'GET',
        path: '/metrics',
        summary: 'Metrics in the text format of Prometheus',
        parameters: { node: text('The name of a member; this node unless given') },
        answers: METRICS_CONTENT_TYPE,
      },
      ({ values }) =>
        async (request) => ({
          status: 200,
          headers: ['Content-Type', METRICS_CONTENT_TYPE],
          body: await readMetrics(node, metrics, values.node, request),
          revision: undefined,
        }),
    ),
  ),
]

/** The metrics of this node, or of the member with this name. Rejects with `ApiError`. */
function readMetrics(
  node: KvNode,
  metrics: Metrics,
  name: string | undefined,
  request: HttpRequest,
): Promise<string | Uint8Array> {
  if (name === undefined || name === node.name) return metrics.text()
  return new Promise((resolve, reject) =>
    requestReport(node, name, 'metrics', request, (report) =>
      report instanceof ApiError ? reject(report) : resolve(report),
    ),
  )
}
