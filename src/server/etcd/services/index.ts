// All RPCs that are served.

import type { RPC } from '../../../etcd/rpcs.ts'
import type { AnyRpc } from '../rpc.ts'
import { watch } from '../watch/stream.ts'
import { alarm } from './alarm.ts'
import {
  roleAdd,
  roleDelete,
  roleGet,
  roleGrantPermission,
  roleList,
  roleRevokePermission,
} from './auth-roles.ts'
import { authDisable, authEnable, authenticate, authStatus } from './auth-switch.ts'
import {
  userAdd,
  userChangePassword,
  userDelete,
  userGet,
  userGrantRole,
  userList,
  userRevokeRole,
} from './auth-users.ts'
import { compact } from './compact.ts'
import { defragment } from './defragment.ts'
import { deleteRange } from './delete-range.ts'
import { downgrade } from './downgrade.ts'
import { campaign, leader, observe, proclaim, resign } from './election.ts'
import { hash, hashKv } from './hash.ts'
import { healthCheck, healthWatch } from './health.ts'
import { leaseGrant } from './lease-grant.ts'
import { leaseKeepAlive } from './lease-keep-alive.ts'
import { leaseLeases } from './lease-leases.ts'
import { leaseRevoke } from './lease-revoke.ts'
import { leaseTimeToLive } from './lease-time-to-live.ts'
import { lock, unlock } from './lock.ts'
import { memberAdd, memberPromote, memberRemove, memberUpdate } from './member-changes.ts'
import { memberList } from './member-list.ts'
import { moveLeader } from './move-leader.ts'
import { put } from './put.ts'
import { range } from './range.ts'
import { rangeStream } from './range-stream.ts'
import { snapshot } from './snapshot.ts'
import { status } from './status.ts'
import { txn } from './txn.ts'

/** An RPC that is described and not served does not compile. */
const SERVED = {
  range,
  rangeStream,
  put,
  deleteRange,
  txn,
  compact,
  watch,
  leaseGrant,
  leaseRevoke,
  leaseKeepAlive,
  leaseTimeToLive,
  leaseLeases,
  memberList,
  memberAdd,
  memberRemove,
  memberUpdate,
  memberPromote,
  status,
  alarm,
  defragment,
  hash,
  hashKv,
  snapshot,
  moveLeader,
  downgrade,
  lock,
  unlock,
  campaign,
  proclaim,
  leader,
  observe,
  resign,
  healthCheck,
  healthWatch,
  authEnable,
  authDisable,
  authStatus,
  authenticate,
  userAdd,
  userGet,
  userList,
  userDelete,
  userChangePassword,
  userGrantRole,
  userRevokeRole,
  roleAdd,
  roleGet,
  roleList,
  roleDelete,
  roleGrantPermission,
  roleRevokePermission,
} satisfies { readonly [N in keyof typeof RPC]: AnyRpc }

export const RPCS: readonly AnyRpc[] = Object.values(SERVED)
