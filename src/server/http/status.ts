// The routes for operators and monitoring: status, liveness, readiness, metrics.

import type { Metrics } from '../node/metrics.ts'
import { hex } from '../node/state-hashes.ts'
import type { NodeApi, NodeStatus } from '../node/types.ts'
import { jsonAnswer, type Respond } from './answer.ts'
import { MemberSchema, membersJson } from './cluster.ts'
import { anyOf, arrayOf, integer, nothing, object, string } from './json-schema.ts'
import { flag } from './parameters.ts'
import { ApiError } from './problem.ts'
import { type Route, route } from './route.ts'

export interface StatusOptions {
  readonly node: NodeApi
  readonly version: string
  readonly metrics: Metrics
  readonly isClosing: () => boolean
}

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

export function statusRoutes({ node, version, metrics, isClosing }: StatusOptions): Route[] {
  return [
    route(
      {
        method: 'GET',
        path: '/v1/status',
        summary: 'This node',
        answers: StatusSchema,
      },
      (_, respond) => respondStatus(node, version, respond),
    ),
    route(
      {
        method: 'GET',
        path: '/livez',
        summary: 'Whether the process works',
        parameters: { verbose: VERBOSE },
        answers: HealthSchema,
      },
      ({ values }, respond) => respond(health(node.status(), values.verbose)),
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
      ({ values }, respond) => {
        const status = node.status()
        const reasons = isClosing() ? ['the node is shutting down', ...status.notReady] : status.notReady
        if (reasons.length > 0) throw new ApiError('not_ready', reasons.join('; '), { members: { reasons } })
        respond(health(status, values.verbose))
      },
    ),
    route(
      {
        method: 'GET',
        path: '/metrics',
        summary: 'Metrics in the text format of Prometheus',
        answers: metrics.contentType,
      },
      (_, respond) => {
        const answer = (body: string) =>
          respond({ status: 200, headers: ['Content-Type', metrics.contentType], body, revision: undefined })
        metrics.text().then(answer, respond)
      },
    ),
  ]
}

const VERBOSE = flag('Say more')

const health = (status: NodeStatus, verbose = false) =>
  jsonAnswer(JSON.stringify(verbose ? { status: 'ok', ...details(status) } : { status: 'ok' }))

const details = ({ name, raft, revision, errors, notReady }: NodeStatus) => ({
  name,
  role: raft.role,
  term: raft.term,
  commit_index: raft.commit,
  applied_index: raft.applied,
  revision,
  reasons: notReady,
  errors,
})

function respondStatus(node: NodeApi, version: string, respond: Respond): void {
  const status = node.status()
  const { raft } = status
  const body = {
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
    members: membersJson(status),
    errors: status.errors,
  }
  respond(jsonAnswer(JSON.stringify(body)))
}
