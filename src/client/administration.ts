// Calls about the cluster itself: status, members, leadership and settings.

import { disagree } from '../operations/forms/disagreement.ts'
import type { NewReplica } from '../operations/forms/index.ts'
import { clusterInfo, membersIn, statusFromJson } from './cluster-codec.ts'
import { decoded, stringIn } from './decode.ts'
import { Endpoints } from './endpoints.ts'
import type { CallRequest } from './request.ts'
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

/** Performs a request. `endpoints`: instead of those that the client knows. */
export type RequestCall = (
  request: CallRequest,
  options: CallOptions,
  endpoints?: Endpoints,
) => Promise<NodeAnswer>

export async function status(call: RequestCall, options: NodeCallOptions): Promise<NodeStatus> {
  checkNodeCall('status', options)
  return decoded(await readFrom(call, { kind: 'status' }, options), 'no', statusFromJson)
}

export async function cluster(call: RequestCall, options: NodeCallOptions): Promise<ClusterInfo> {
  checkNodeCall('cluster', options)
  return clusterInfo(await readFrom(call, { kind: 'cluster' }, options))
}

export async function members(call: RequestCall, options: CallOptions): Promise<readonly Member[]> {
  checkCall('members', options)
  return (await cluster(call, options)).members
}

export async function leader(call: RequestCall, options: CallOptions): Promise<string | undefined> {
  checkCall('leader', options)
  return (await cluster(call, options)).leader
}

export async function addMember(call: RequestCall, member: NewMember, options: CallOptions): Promise<void> {
  checkMember('addMember', member)
  checkCall('addMember', options)
  membersIn(await call({ kind: 'add-member', member: newReplica(member) }, options), 'unknown')
}

export async function removeMember(call: RequestCall, name: string, options: CallOptions): Promise<void> {
  checkName('removeMember', name)
  checkCall('removeMember', options)
  membersIn(await call({ kind: 'remove-member', name }, options), 'unknown')
}

export async function replaceMember(
  call: RequestCall,
  name: string,
  member: NewMember,
  options: CallOptions,
): Promise<void> {
  checkName('replaceMember', name)
  checkMember('replaceMember', member)
  checkCall('replaceMember', options)
  const request = { kind: 'replace-member', name, member: newReplica(member) } as const
  membersIn(await call(request, options), 'unknown')
}

export async function transferLeader(
  call: RequestCall,
  to: string | undefined,
  options: CallOptions,
): Promise<string> {
  if (to !== undefined) checkName('transferLeader', to)
  checkCall('transferLeader', options)
  const answer = await call({ kind: 'transfer-leadership', to }, options)
  return decoded(answer, 'unknown', (json) => stringIn(json, 'leader'))
}

export async function settings(call: RequestCall, options: CallOptions): Promise<Settings> {
  checkCall('settings', options)
  const answer = await call({ kind: 'settings' }, options)
  return decoded(answer, 'no', (json) => json)
}

export async function changeSettings(
  call: RequestCall,
  changes: Settings,
  options: CallOptions,
): Promise<Settings> {
  checkSettings('changeSettings', changes)
  checkCall('changeSettings', options)
  const { leases } = changes
  const request = { kind: 'change-settings', document: changes, leases, idempotency: undefined } as const
  return decoded(await call(request, options), 'unknown', (json) => {
    const missing = Object.keys(changes).find((name) => !Object.hasOwn(json, name))
    return missing === undefined ? json : disagree(`it has no setting ${JSON.stringify(missing)}`)
  })
}

const newReplica = ({ name, replicaId, peer, url }: NewMember): NewReplica => ({
  name,
  id: replicaId,
  peer,
  url,
})

/** Reads from the node that the caller names, or from any. */
export function readFrom(
  call: RequestCall,
  request: CallRequest,
  options: NodeCallOptions,
): Promise<NodeAnswer> {
  const endpoints = options.endpoint === undefined ? undefined : new Endpoints([options.endpoint])
  return call(request, options, endpoints)
}
