// Calls about the cluster itself: status, members, leadership and settings.

import { disagree } from '../operations/forms/disagreement.ts'
import { bytesOf } from './address.ts'
import type { ClientCall } from './call-engine.ts'
import { clusterInfo, memberJson, membersIn, statusFromJson } from './cluster-codec.ts'
import { decoded, type Json, stringIn } from './decode.ts'
import { Endpoints } from './endpoints.ts'
import type { ApiRequest } from './operation.ts'
import type { NodeAnswer } from './transport/transport.ts'
import type {
  CallOptions,
  ClusterInfo,
  Member,
  NewMember,
  NodeCallOptions,
  NodeStatus,
  Settings,
} from './types.ts'
import { checkCall, checkMember, checkName, checkNodeCall, checkSettings } from './validate-arguments.ts'

/** Performs a request of the HTTP API. */
export type ApiCall = (
  call: Omit<ClientCall, 'request' | 'startedAt' | 'timeoutMs' | 'signal'>,
  request: Omit<ApiRequest, 'op'>,
  options: CallOptions,
) => Promise<NodeAnswer>

export async function status(call: ApiCall, options: NodeCallOptions): Promise<NodeStatus> {
  checkNodeCall('status', options)
  return decoded(await readFrom(call, '/v1/status', options), 'no', statusFromJson)
}

export async function cluster(call: ApiCall, options: NodeCallOptions): Promise<ClusterInfo> {
  checkNodeCall('cluster', options)
  return clusterInfo(await readFrom(call, '/v1/cluster', options))
}

export async function members(call: ApiCall, options: CallOptions): Promise<readonly Member[]> {
  checkCall('members', options)
  return (await cluster(call, options)).members
}

export async function leader(call: ApiCall, options: CallOptions): Promise<string | undefined> {
  checkCall('leader', options)
  return (await cluster(call, options)).leader
}

export async function addMember(call: ApiCall, member: NewMember, options: CallOptions): Promise<void> {
  checkMember('addMember', member)
  checkCall('addMember', options)
  membersIn(await post(call, MEMBERS, memberJson(member), options), 'unknown')
}

export async function removeMember(call: ApiCall, name: string, options: CallOptions): Promise<void> {
  checkName('removeMember', name)
  checkCall('removeMember', options)
  membersIn(await call({ kind: 'bare' }, { method: 'DELETE', path: pathOf(name) }, options), 'unknown')
}

export async function replaceMember(
  call: ApiCall,
  name: string,
  member: NewMember,
  options: CallOptions,
): Promise<void> {
  checkName('replaceMember', name)
  checkMember('replaceMember', member)
  checkCall('replaceMember', options)
  membersIn(await post(call, `${pathOf(name)}/replace`, memberJson(member), options), 'unknown')
}

export async function transferLeader(
  call: ApiCall,
  to: string | undefined,
  options: CallOptions,
): Promise<string> {
  if (to !== undefined) checkName('transferLeader', to)
  checkCall('transferLeader', options)
  const answer = await post(call, '/v1/cluster/leader', { to }, options)
  return decoded(answer, 'unknown', (json) => stringIn(json, 'leader'))
}

export async function settings(call: ApiCall, options: CallOptions): Promise<Settings> {
  checkCall('settings', options)
  const answer = await call({ kind: 'read' }, { method: 'GET', path: SETTINGS }, options)
  return decoded(answer, 'no', (json) => json)
}

export async function changeSettings(
  call: ApiCall,
  changes: Settings,
  options: CallOptions,
): Promise<Settings> {
  checkSettings('changeSettings', changes)
  checkCall('changeSettings', options)
  // The switch of leader leases is no entry of the log, so the cluster does not know a repeated change of it.
  const kind = Object.hasOwn(changes, 'leases') ? 'bare' : 'keyed'
  return decoded(await post(call, SETTINGS, changes, options, kind), 'unknown', (json) => {
    const missing = Object.keys(changes).find((name) => !Object.hasOwn(json, name))
    return missing === undefined ? json : disagree(`it has no setting ${JSON.stringify(missing)}`)
  })
}

const MEMBERS = '/v1/cluster/members'
const SETTINGS = '/v1/cluster/settings'
const pathOf = (name: string): string => `${MEMBERS}/${encodeURIComponent(name)}`

/** Reads from the node that the caller names, or from any. `stream`: the answer is returned when it begins. */
export function readFrom(
  call: ApiCall,
  path: string,
  options: NodeCallOptions,
  stream = false,
): Promise<NodeAnswer> {
  const endpoints = options.endpoint === undefined ? undefined : new Endpoints([options.endpoint])
  return call({ kind: 'read', endpoints }, { method: 'GET', path, stream }, options)
}

/** Sends a change. Without a write id it must not be sent twice. */
function post(
  call: ApiCall,
  path: string,
  json: Json,
  options: CallOptions,
  kind: 'bare' | 'keyed' = 'bare',
): Promise<NodeAnswer> {
  const headers = { 'Content-Type': 'application/json' }
  const body = bytesOf(JSON.stringify(json))
  return call({ kind }, { method: 'POST', path, headers, body }, options)
}
