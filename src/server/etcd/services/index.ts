// All RPCs that are served.

import type { AnyRpc } from '../rpc.ts'
import { watch } from '../watch/stream.ts'
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
import { deleteRange } from './delete-range.ts'
import { leaseGrant } from './lease-grant.ts'
import { leaseKeepAlive } from './lease-keep-alive.ts'
import { leaseLeases } from './lease-leases.ts'
import { leaseRevoke } from './lease-revoke.ts'
import { leaseTimeToLive } from './lease-time-to-live.ts'
import { memberList } from './member-list.ts'
import { put } from './put.ts'
import { range } from './range.ts'
import { status } from './status.ts'
import { txn } from './txn.ts'

export const RPCS: readonly AnyRpc[] = [
  range,
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
  status,
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
]
