// The operations that etcd can do.

import { showRoles, showUsers } from './auth.ts'
import { cluster, status } from './cluster.ts'
import { compact } from './compact.ts'
import { del, deleteRange } from './delete.ts'
import { get } from './get.ts'
import { grant, keepAlive, listLeases, revoke, showLease } from './leases.ts'
import { logIn } from './log-in.ts'
import type { EtcdOperation } from './operation.ts'
import { put } from './put.ts'
import { range } from './range.ts'
import { txn } from './txn.ts'
import { watch } from './watch.ts'

const OPERATIONS = {
  put,
  delete: del,
  get,
  range,
  'delete-range': deleteRange,
  txn,
  compact,
  watch,
  grant,
  revoke,
  'keep-alive': keepAlive,
  'show-lease': showLease,
  'list-leases': listLeases,
  cluster,
  status,
  'log-in': logIn,
  'show-roles': showRoles,
  'show-users': showUsers,
} as const

const BY_KIND = new Map<string, unknown>(Object.entries(OPERATIONS))

/** undefined: etcd has nothing like it. The kind of a request determines the types of the operation. */
export const findOperation = <Q extends { readonly kind: string }, R>({
  kind,
}: Q): EtcdOperation<Q, R> | undefined => BY_KIND.get(kind) as EtcdOperation<Q, R> | undefined
