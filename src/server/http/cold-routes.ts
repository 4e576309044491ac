// All routes outside the hot path: batches, transactions, status, cluster, and the OpenAPI document.

import { jsonAnswer } from './answer.ts'
import { type AppOptions, type ColdRoutes, createApp } from './app.ts'
import { changesRoute } from './changes.ts'
import { clusterRoutes } from './cluster.ts'
import { compactRoute } from './compact.ts'
import { object } from './json-schema.ts'
import { leaseRoutes } from './leases.ts'
import { openApiDocument } from './openapi.ts'
import { ApiError } from './problem.ts'
import type { RangeReader } from './range-reading.ts'
import type { OutboundBudget } from './response-budget.ts'
import { type Route, route } from './route.ts'
import { type StatusOptions, statusRoutes } from './status.ts'
import { txnRoute } from './txn.ts'
import { watchRoute } from './watch.ts'
import type { WatchBuffers } from './watch-limits.ts'

export interface ColdRoutesOptions extends Omit<AppOptions, 'routes'> {
  readonly facts: StatusOptions
  readonly backlog: OutboundBudget
  readonly ranges: RangeReader
  readonly watchBuffers: WatchBuffers
}

/** Requests that open a multiplexed connection do not come here. OpenAPI describes no WebSockets. */
const CONNECT = route(
  { method: 'GET', path: '/v1/connect', summary: 'Not an upgrade', answers: object({}) },
  () => {
    throw new ApiError('upgrade_required', 'this resource is for WebSocket connections', {
      headers: ['Upgrade', 'websocket'],
    })
  },
)

export function createColdRoutes(options: ColdRoutesOptions): Promise<ColdRoutes> {
  const { facts, backlog, ranges, watchBuffers, limits } = options
  const { node } = facts
  const routes: Route[] = [
    changesRoute(node, backlog),
    txnRoute({ node, backlog, ranges }),
    compactRoute(node),
    watchRoute({ node, backlog, buffers: watchBuffers }),
    ...leaseRoutes({ node, limits, ranges }),
    ...statusRoutes(facts),
    ...clusterRoutes(node),
  ]
  const document = { method: 'GET', path: '/openapi.json', summary: 'This document' } as const
  routes.push(
    route({ ...document, answers: object({}) }, (_, respond) =>
      respond(jsonAnswer(openApiDocument(facts.version, routes))),
    ),
  )
  return createApp({ limits, routes: [...routes, CONNECT] })
}
