// The result of each operation, whichever transport has carried it: in the words of ../../operations where nodes and
// clients share them, otherwise in those of the library.

import type { DecodedBatch } from '../../operations/batch.ts'
import type { CompactOutcome } from '../../operations/compact.ts'
import type { KeyRow, LeaseId, Revision } from '../../operations/forms/index.ts'
import type { DeleteOutcome, DeleteRangeOutcome, PutOutcome } from '../../operations/index.ts'
import type { KeepAliveResult } from '../../operations/keep-alive.ts'
import type { RangePage } from '../../operations/range.ts'
import type { TxnOutcome } from '../../operations/txn.ts'
import type { AuthStatus, RoleInfo, UserInfo } from '../auth-types.ts'
import type { GrantedLease, LeaseInfo, RevokedLease } from '../lease-types.ts'
import type { Member, NodeStatus, Settings } from '../types.ts'

export interface OperationResults {
  /** The revision at which it begins. */
  readonly watch: Revision
  /** Its bytes are a stream. */
  readonly backup: undefined
  readonly put: PutOutcome
  readonly delete: DeleteOutcome
  /** undefined: the key does not exist. */
  readonly get: KeyRow | undefined
  readonly range: RangePage
  /** A batch of one change is sent as that change. */
  readonly batch: DecodedBatch | PutOutcome | DeleteOutcome
  readonly 'delete-range': DeleteRangeOutcome
  readonly txn: TxnOutcome
  readonly compact: CompactOutcome
  readonly grant: GrantedLease
  readonly revoke: RevokedLease
  readonly 'keep-alive': KeepAliveResult
  readonly 'show-lease': LeaseInfo & { readonly keys?: readonly Uint8Array[] }
  readonly 'list-leases': { readonly leases: readonly LeaseInfo[]; readonly next: LeaseId | undefined }
  readonly 'open-session': { readonly session: number; readonly ageMs: number; readonly slots: number }
  readonly status: NodeStatus
  readonly cluster: readonly Member[]
  readonly settings: Settings
  readonly 'change-settings': Settings
  readonly 'add-member': readonly Member[]
  readonly 'remove-member': readonly Member[]
  readonly 'replace-member': readonly Member[]
  /** The name of the new leader. */
  readonly 'transfer-leadership': string
  readonly 'show-auth': AuthStatus
  readonly 'log-in': { readonly token: string; readonly expiresInMs: number }
  readonly 'show-users': Named<UserInfo>
  readonly 'show-roles': Named<RoleInfo>
  readonly 'change-auth': ChangedAuth
}

type ResultOf<K extends keyof OperationResults> = OperationResults[K]

export type { ResultOf }

/** All, or the one that was named. */
export interface Named<T> {
  readonly all: readonly T[]
  /** The auth revision of a list. */
  readonly revision: number | undefined
}

export type ChangedAuth =
  | { readonly kind: 'auth'; readonly status: AuthStatus }
  | { readonly kind: 'user'; readonly user: UserInfo }
  | { readonly kind: 'role'; readonly role: RoleInfo }
