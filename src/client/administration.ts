// Calls about the cluster itself: status, members, leadership and settings.

import type { NewReplica } from '../operations/forms/index.ts'
import { Endpoints } from './endpoints.ts'
import type { CallRequest } from './request.ts'
import type { ResultOf } from './transport/results.ts'
import { type NodeAnswer, resultFrom } from './transport/transport.ts'
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
export type RequestCall = <Q extends CallRequest>(
  request: Q,
  options: CallOptions,
  endpoints?: Endpoints,
) => Promise<NodeAnswer<ResultOf<Q['kind']>>>

export async function status(call: RequestCall, options: NodeCallOptions): Promise<NodeStatus> {
  checkNodeCall('status', options)
  return resultFrom(await readFrom(call, { kind: 'status' }, options))
}

export async function cluster(call: RequestCall, options: NodeCallOptions): Promise<ClusterInfo> {
  checkNodeCall('cluster', options)
  const answer = await readFrom(call, { kind: 'cluster' }, options)
  const { clusterId, leader, term } = answer.head
  return { clusterId, leader, term, members: resultFrom(answer) }
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
  await call({ kind: 'add-member', member: newReplica(member) }, options)
}

export async function removeMember(call: RequestCall, name: string, options: CallOptions): Promise<void> {
  checkName('removeMember', name)
  checkCall('removeMember', options)
  await call({ kind: 'remove-member', name }, options)
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
  await call({ kind: 'replace-member', name, member: newReplica(member) }, options)
}

export async function transferLeader(
  call: RequestCall,
  to: string | undefined,
  options: CallOptions,
): Promise<string> {
  if (to !== undefined) checkName('transferLeader', to)
  checkCall('transferLeader', options)
  return resultFrom(await call({ kind: 'transfer-leadership', to }, options))
}

export async function settings(call: RequestCall, options: CallOptions): Promise<Settings> {
  checkCall('settings', options)
  return resultFrom(await call({ kind: 'settings' }, options))
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
  return resultFrom(await call(request, options))
}

const newReplica = ({ name, replicaId, peer, url }: NewMember): NewReplica => ({
  name,
  id: replicaId,
  peer,
  url,
})

/** Reads from the node that the caller names, or from any. */
export function readFrom<Q extends CallRequest>(
  call: RequestCall,
  request: Q,
  options: NodeCallOptions,
): Promise<NodeAnswer<ResultOf<Q['kind']>>> {
  const endpoints = options.endpoint === undefined ? undefined : new Endpoints([options.endpoint])
  return call(request, options, endpoints)
}
