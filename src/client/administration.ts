// Calls about the cluster itself: status, members, leadership and settings. Most clients make none of them, so each
// loads its operation when it is made.

import type { MemberDescription } from '../operations/documents/members.ts'
import type { StatusResult } from '../operations/documents/status.ts'
import { disagree } from '../operations/forms/decode.ts'
import type { Idempotency, NewReplica } from '../operations/forms/index.ts'
import type { ClientOperation, OperationRequest } from './client-operation.ts'
import type { Complete } from './complete.ts'
import { Endpoints } from './endpoints.ts'
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
export type RequestCall = <Q extends OperationRequest, R>(
  operation: ClientOperation<Q, R>,
  request: NoInfer<Q>,
  options: CallOptions,
  endpoints?: Endpoints,
) => Promise<NodeAnswer<R>>

export async function status(
  call: RequestCall,
  options: NodeCallOptions,
): Promise<Complete<NodeStatus, StatusResult>> {
  checkNodeCall('status', options)
  const { status: operation } = await import('../operations/status.ts')
  return resultFrom(await readFrom(call, operation, { kind: 'status' }, options))
}

export async function cluster(call: RequestCall, options: NodeCallOptions): Promise<ClusterInfo> {
  checkNodeCall('cluster', options)
  const { cluster: operation } = await import('../operations/cluster.ts')
  const answer = await readFrom(call, operation, { kind: 'cluster' }, options)
  const { clusterId, leader, term, members: all } = resultFrom(answer)
  return { clusterId, leader, term, members: all }
}

export async function members(
  call: RequestCall,
  options: CallOptions,
): Promise<readonly Complete<Member, MemberDescription>[]> {
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
  const request = { kind: 'add-member', member: newReplica(member) } as const
  const { addMember: operation } = await import('../operations/add-member.ts')
  await call(operation, request, options)
}

export async function removeMember(call: RequestCall, name: string, options: CallOptions): Promise<void> {
  checkName('removeMember', name)
  checkCall('removeMember', options)
  const { removeMember: operation } = await import('../operations/remove-member.ts')
  await call(operation, { kind: 'remove-member', name }, options)
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
  const { replaceMember: operation } = await import('../operations/replace-member.ts')
  await call(operation, request, options)
}

export async function transferLeader(
  call: RequestCall,
  to: string | undefined,
  options: CallOptions,
): Promise<string> {
  if (to !== undefined) checkName('transferLeader', to)
  checkCall('transferLeader', options)
  const { transferLeadership } = await import('../operations/transfer-leadership.ts')
  return resultFrom(await call(transferLeadership, { kind: 'transfer-leadership', to }, options)).leader
}

export async function settings(call: RequestCall, options: CallOptions): Promise<Settings> {
  checkCall('settings', options)
  const { settings: operation } = await import('../operations/settings.ts')
  return resultFrom(await call(operation, { kind: 'settings' }, options))
}

export async function changeSettings(
  call: RequestCall,
  changes: Settings,
  options: CallOptions,
): Promise<Settings> {
  checkSettings('changeSettings', changes)
  checkCall('changeSettings', options)
  // As they are now.
  const document = { ...changes }
  const request: NamedSettingsRequest = {
    kind: 'change-settings',
    leases: changes.leases,
    idempotency: undefined,
  }
  const { changeSettings: facts, encodeSettingsChange } = await import('../operations/change-settings.ts')
  const operation: ClientOperation<NamedSettingsRequest, Settings> = {
    ...facts,
    http: {
      encode: ({ idempotency }) => encodeSettingsChange(document, idempotency),
      decodeResult(body) {
        const missing = Object.keys(document).find((name) => !Object.hasOwn(body, name))
        return missing === undefined ? body : disagree(`it has no setting ${JSON.stringify(missing)}`)
      },
    },
  }
  return resultFrom(await call(operation, request, options))
}

/** The change of settings that a caller names as in HTTP: a newer node may know more of them than this program. */
interface NamedSettingsRequest {
  readonly kind: 'change-settings'
  /** The setting of leader leases among them. */
  readonly leases: unknown
  readonly idempotency: Idempotency | undefined
}

const newReplica = ({ name, replicaId, peer, url }: NewMember): NewReplica => ({
  name,
  id: replicaId,
  peer,
  url,
})

/** Reads from the node that the caller names, or from any. */
export function readFrom<Q extends OperationRequest, R>(
  call: RequestCall,
  operation: ClientOperation<Q, R>,
  request: NoInfer<Q>,
  options: NodeCallOptions,
): Promise<NodeAnswer<R>> {
  const endpoints = options.endpoint === undefined ? undefined : new Endpoints([options.endpoint])
  return call(operation, request, options, endpoints)
}
