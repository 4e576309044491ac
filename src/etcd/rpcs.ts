// All RPCs of etcd's API: their paths of gRPC, their paths of the JSON gateway, and their messages. Server and driver
// find them here. Source: etcd's api/etcdserverpb/rpc.proto, and the definitions of Lock, Election and Health.

import type { MessageCodec } from './message.ts'
import * as auth from './messages/auth.ts'
import * as cluster from './messages/cluster.ts'
import * as coordination from './messages/coordination.ts'
import * as kv from './messages/kv.ts'
import * as lease from './messages/lease.ts'
import * as maintenance from './messages/maintenance.ts'
import * as watch from './messages/watch.ts'

/** `server-stream`: one request, many responses. `duplex`: many of both. */
export type RpcKind = 'unary' | 'server-stream' | 'duplex'

export interface RpcDescription<Q, A, K extends RpcKind = RpcKind> {
  readonly kind: K
  /** Path of gRPC, such as `/etcdserverpb.KV/Put`. */
  readonly path: `/${string}/${string}`
  readonly request: MessageCodec<Q>
  readonly response: MessageCodec<A>
  /** Paths of the JSON gateway; none: etcd's gateway does not have it. */
  readonly gateway: readonly `/v3/${string}`[]
}

const describe =
  <K extends RpcKind>(kind: K) =>
  <Q, A>(
    path: `${string}/${string}`,
    request: MessageCodec<Q>,
    response: MessageCodec<A>,
    ...gateway: `/v3/${string}`[]
  ): RpcDescription<Q, A, K> => ({ kind, path: `/${path}`, request, response, gateway })

const unary = describe('unary')
const serverStream = describe('server-stream')
const duplex = describe('duplex')

const KV = 'etcdserverpb.KV'
const WATCH = 'etcdserverpb.Watch'
const LEASE = 'etcdserverpb.Lease'
const CLUSTER = 'etcdserverpb.Cluster'
const MAINTENANCE = 'etcdserverpb.Maintenance'
const AUTH = 'etcdserverpb.Auth'
const LOCK = 'v3lockpb.Lock'
const ELECTION = 'v3electionpb.Election'
const HEALTH = 'grpc.health.v1.Health'

export const RPC = {
  range: unary(`${KV}/Range`, kv.RangeRequest, kv.RangeResponse, '/v3/kv/range'),
  rangeStream: serverStream(
    `${KV}/RangeStream`,
    kv.RangeRequest,
    kv.RangeStreamResponse,
    '/v3/kv/range/stream',
  ),
  put: unary(`${KV}/Put`, kv.PutRequest, kv.PutResponse, '/v3/kv/put'),
  deleteRange: unary(
    `${KV}/DeleteRange`,
    kv.DeleteRangeRequest,
    kv.DeleteRangeResponse,
    '/v3/kv/deleterange',
  ),
  txn: unary(`${KV}/Txn`, kv.TxnRequest, kv.TxnResponse, '/v3/kv/txn'),
  compact: unary(`${KV}/Compact`, kv.CompactionRequest, kv.CompactionResponse, '/v3/kv/compaction'),

  watch: duplex(`${WATCH}/Watch`, watch.WatchRequest, watch.WatchResponse, '/v3/watch'),

  leaseGrant: unary(
    `${LEASE}/LeaseGrant`,
    lease.LeaseGrantRequest,
    lease.LeaseGrantResponse,
    '/v3/lease/grant',
  ),
  leaseRevoke: unary(
    `${LEASE}/LeaseRevoke`,
    lease.LeaseRevokeRequest,
    lease.LeaseRevokeResponse,
    '/v3/lease/revoke',
    '/v3/kv/lease/revoke',
  ),
  leaseKeepAlive: duplex(
    `${LEASE}/LeaseKeepAlive`,
    lease.LeaseKeepAliveRequest,
    lease.LeaseKeepAliveResponse,
    '/v3/lease/keepalive',
  ),
  leaseTimeToLive: unary(
    `${LEASE}/LeaseTimeToLive`,
    lease.LeaseTimeToLiveRequest,
    lease.LeaseTimeToLiveResponse,
    '/v3/lease/timetolive',
    '/v3/kv/lease/timetolive',
  ),
  leaseLeases: unary(
    `${LEASE}/LeaseLeases`,
    lease.LeaseLeasesRequest,
    lease.LeaseLeasesResponse,
    '/v3/lease/leases',
    '/v3/kv/lease/leases',
  ),

  memberAdd: unary(
    `${CLUSTER}/MemberAdd`,
    cluster.MemberAddRequest,
    cluster.MemberAddResponse,
    '/v3/cluster/member/add',
  ),
  memberRemove: unary(
    `${CLUSTER}/MemberRemove`,
    cluster.MemberRemoveRequest,
    cluster.MemberRemoveResponse,
    '/v3/cluster/member/remove',
  ),
  memberUpdate: unary(
    `${CLUSTER}/MemberUpdate`,
    cluster.MemberUpdateRequest,
    cluster.MemberUpdateResponse,
    '/v3/cluster/member/update',
  ),
  memberList: unary(
    `${CLUSTER}/MemberList`,
    cluster.MemberListRequest,
    cluster.MemberListResponse,
    '/v3/cluster/member/list',
  ),
  memberPromote: unary(
    `${CLUSTER}/MemberPromote`,
    cluster.MemberPromoteRequest,
    cluster.MemberPromoteResponse,
    '/v3/cluster/member/promote',
  ),

  alarm: unary(
    `${MAINTENANCE}/Alarm`,
    maintenance.AlarmRequest,
    maintenance.AlarmResponse,
    '/v3/maintenance/alarm',
  ),
  status: unary(
    `${MAINTENANCE}/Status`,
    maintenance.StatusRequest,
    maintenance.StatusResponse,
    '/v3/maintenance/status',
  ),
  defragment: unary(
    `${MAINTENANCE}/Defragment`,
    maintenance.DefragmentRequest,
    maintenance.DefragmentResponse,
    '/v3/maintenance/defragment',
  ),
  // etcd's gateway has `/v3/maintenance/hash` for both; HashKV is the one that it serves there.
  hash: unary(`${MAINTENANCE}/Hash`, maintenance.HashRequest, maintenance.HashResponse),
  hashKv: unary(
    `${MAINTENANCE}/HashKV`,
    maintenance.HashKvRequest,
    maintenance.HashKvResponse,
    '/v3/maintenance/hash',
    '/v3/maintenance/hashkv',
  ),
  snapshot: serverStream(
    `${MAINTENANCE}/Snapshot`,
    maintenance.SnapshotRequest,
    maintenance.SnapshotResponse,
    '/v3/maintenance/snapshot',
  ),
  moveLeader: unary(
    `${MAINTENANCE}/MoveLeader`,
    maintenance.MoveLeaderRequest,
    maintenance.MoveLeaderResponse,
    '/v3/maintenance/transfer-leadership',
  ),
  downgrade: unary(
    `${MAINTENANCE}/Downgrade`,
    maintenance.DowngradeRequest,
    maintenance.DowngradeResponse,
    '/v3/maintenance/downgrade',
  ),

  authEnable: unary(`${AUTH}/AuthEnable`, auth.AuthRequest, auth.AuthResponse, '/v3/auth/enable'),
  authDisable: unary(`${AUTH}/AuthDisable`, auth.AuthRequest, auth.AuthResponse, '/v3/auth/disable'),
  authStatus: unary(`${AUTH}/AuthStatus`, auth.AuthRequest, auth.AuthStatusResponse, '/v3/auth/status'),
  authenticate: unary(
    `${AUTH}/Authenticate`,
    auth.AuthenticateRequest,
    auth.AuthenticateResponse,
    '/v3/auth/authenticate',
  ),
  userAdd: unary(`${AUTH}/UserAdd`, auth.AuthUserAddRequest, auth.AuthResponse, '/v3/auth/user/add'),
  userGet: unary(`${AUTH}/UserGet`, auth.AuthUserGetRequest, auth.AuthUserGetResponse, '/v3/auth/user/get'),
  userList: unary(`${AUTH}/UserList`, auth.AuthRequest, auth.AuthUserListResponse, '/v3/auth/user/list'),
  userDelete: unary(
    `${AUTH}/UserDelete`,
    auth.AuthUserDeleteRequest,
    auth.AuthResponse,
    '/v3/auth/user/delete',
  ),
  userChangePassword: unary(
    `${AUTH}/UserChangePassword`,
    auth.AuthUserChangePasswordRequest,
    auth.AuthResponse,
    '/v3/auth/user/changepw',
  ),
  userGrantRole: unary(
    `${AUTH}/UserGrantRole`,
    auth.AuthUserGrantRoleRequest,
    auth.AuthResponse,
    '/v3/auth/user/grant',
  ),
  userRevokeRole: unary(
    `${AUTH}/UserRevokeRole`,
    auth.AuthUserRevokeRoleRequest,
    auth.AuthResponse,
    '/v3/auth/user/revoke',
  ),
  roleAdd: unary(`${AUTH}/RoleAdd`, auth.AuthRoleAddRequest, auth.AuthResponse, '/v3/auth/role/add'),
  roleGet: unary(`${AUTH}/RoleGet`, auth.AuthRoleGetRequest, auth.AuthRoleGetResponse, '/v3/auth/role/get'),
  roleList: unary(`${AUTH}/RoleList`, auth.AuthRequest, auth.AuthRoleListResponse, '/v3/auth/role/list'),
  roleDelete: unary(
    `${AUTH}/RoleDelete`,
    auth.AuthRoleDeleteRequest,
    auth.AuthResponse,
    '/v3/auth/role/delete',
  ),
  roleGrantPermission: unary(
    `${AUTH}/RoleGrantPermission`,
    auth.AuthRoleGrantPermissionRequest,
    auth.AuthResponse,
    '/v3/auth/role/grant',
  ),
  roleRevokePermission: unary(
    `${AUTH}/RoleRevokePermission`,
    auth.AuthRoleRevokePermissionRequest,
    auth.AuthResponse,
    '/v3/auth/role/revoke',
  ),

  lock: unary(`${LOCK}/Lock`, coordination.LockRequest, coordination.LockResponse, '/v3/lock/lock'),
  unlock: unary(`${LOCK}/Unlock`, coordination.UnlockRequest, coordination.UnlockResponse, '/v3/lock/unlock'),
  campaign: unary(
    `${ELECTION}/Campaign`,
    coordination.CampaignRequest,
    coordination.CampaignResponse,
    '/v3/election/campaign',
  ),
  proclaim: unary(
    `${ELECTION}/Proclaim`,
    coordination.ProclaimRequest,
    coordination.ProclaimResponse,
    '/v3/election/proclaim',
  ),
  leader: unary(
    `${ELECTION}/Leader`,
    coordination.LeaderRequest,
    coordination.LeaderResponse,
    '/v3/election/leader',
  ),
  observe: serverStream(
    `${ELECTION}/Observe`,
    coordination.LeaderRequest,
    coordination.LeaderResponse,
    '/v3/election/observe',
  ),
  resign: unary(
    `${ELECTION}/Resign`,
    coordination.ResignRequest,
    coordination.ResignResponse,
    '/v3/election/resign',
  ),

  healthCheck: unary(`${HEALTH}/Check`, maintenance.HealthCheckRequest, maintenance.HealthCheckResponse),
  healthWatch: serverStream(
    `${HEALTH}/Watch`,
    maintenance.HealthCheckRequest,
    maintenance.HealthCheckResponse,
  ),
} as const
