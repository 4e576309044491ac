// The operations of the store and of its cluster, each described once (CONTRIBUTING.md, "Add an operation"). A kind
// that is missing here does not compile.

export type {
  KvComparison,
  KvTxn,
  KvTxnOperation,
  KvTxnOperationResult,
  KvTxnResult,
} from './forms/transactions.ts'

import { type AddMemberRequest, addMember } from './add-member.ts'
import { type BackupRequest, backup } from './backup.ts'
import { type BatchRequest, batch } from './batch.ts'
import { type ChangeAuthRequest, changeAuth } from './change-auth.ts'
import { type ChangeSettingsRequest, changeSettings } from './change-settings.ts'
import { type ClusterRequest, cluster } from './cluster.ts'
import { type CompactOutcome, type CompactRequest, compact } from './compact.ts'
import type {
  HttpResultForm,
  KeyRequestForm,
  OperationEffect,
  OperationFacts,
  OperationLabel,
  RouteForm,
} from './definition.ts'
import { type DeleteOutcome, type DeleteRequest, del } from './delete.ts'
import { type DeleteRangeOutcome, type DeleteRangeRequest, deleteRange } from './delete-range.ts'
import type { AnswerHead } from './forms/answer-head.ts'
import { type GetRequest, get } from './get.ts'
import { type GrantOutcome, type GrantRequest, grant } from './grant.ts'
import { type KeepAliveRequest, keepAlive } from './keep-alive.ts'
import { type ListLeasesRequest, listLeases } from './list-leases.ts'
import { type LogInRequest, logIn } from './log-in.ts'
import type { ItemForm, MuxResultForm } from './mux/form.ts'
import { type OpenSessionRequest, openSession, type SessionOutcome } from './open-session.ts'
import { type PutOutcome, type PutRequest, put } from './put.ts'
import { type RaiseRevisionOutcome, type RaiseRevisionRequest, raiseRevision } from './raise-revision.ts'
import { type RangeRequest, range } from './range.ts'
import { type RemoveMemberRequest, removeMember } from './remove-member.ts'
import { type ReplaceMemberRequest, replaceMember } from './replace-member.ts'
import { type RevokeOutcome, type RevokeRequest, revoke } from './revoke.ts'
import { type SettingsRequest, settings } from './settings.ts'
import { type ShowAuthRequest, showAuth } from './show-auth.ts'
import { type ShowLeaseRequest, showLease } from './show-lease.ts'
import { type ShowRolesRequest, showRoles } from './show-roles.ts'
import { type ShowSelfRequest, showSelf } from './show-self.ts'
import { type ShowUsersRequest, showUsers } from './show-users.ts'
import { type StatusRequest, status } from './status.ts'
import { type TransferLeadershipRequest, transferLeadership } from './transfer-leadership.ts'
import { type TxnOutcome, type TxnRequest, txn } from './txn.ts'
import { type WatchRequest, watch } from './watch.ts'

export type { BatchedCommand } from './batch.ts'
export { isOwnPassword, type RequestedAuthChange } from './change-auth.ts'
export {
  type EntryFacts,
  OPERATION_LABELS,
  type OperationFacts,
  type OperationLabel,
  type Repeat,
} from './definition.ts'
export { bytesOfTxn, onlyReads, wantsPrev } from './forms/transactions.ts'
export type { WatchedChanges } from './watch.ts'
export type {
  BatchRequest,
  ChangeSettingsRequest,
  CompactOutcome,
  DeleteOutcome,
  DeleteRangeOutcome,
  DeleteRangeRequest,
  DeleteRequest,
  GrantOutcome,
  GrantRequest,
  OpenSessionRequest,
  PutOutcome,
  PutRequest,
  RaiseRevisionOutcome,
  RaiseRevisionRequest,
  RangeRequest,
  RevokeOutcome,
  RevokeRequest,
  SessionOutcome,
  TxnOutcome,
  TxnRequest,
}

export type Operation =
  | PutRequest
  | DeleteRequest
  | GetRequest
  | RangeRequest
  | BatchRequest
  | DeleteRangeRequest
  | TxnRequest
  | CompactRequest
  | RaiseRevisionRequest
  | WatchRequest
  | GrantRequest
  | RevokeRequest
  | KeepAliveRequest
  | ShowLeaseRequest
  | ListLeasesRequest
  | OpenSessionRequest
  | StatusRequest
  | ClusterRequest
  | SettingsRequest
  | BackupRequest
  | AddMemberRequest
  | RemoveMemberRequest
  | ReplaceMemberRequest
  | TransferLeadershipRequest
  | ChangeSettingsRequest
  | ShowAuthRequest
  | ShowSelfRequest
  | LogInRequest
  | ShowUsersRequest
  | ShowRolesRequest
  | ChangeAuthRequest

export type OperationKind = Operation['kind']
export type OperationOf<K extends OperationKind> = Extract<Operation, { readonly kind: K }>

export const OPERATIONS = {
  put,
  delete: del,
  get,
  range,
  batch,
  'delete-range': deleteRange,
  txn,
  compact,
  'raise-revision': raiseRevision,
  watch,
  grant,
  revoke,
  'keep-alive': keepAlive,
  'show-lease': showLease,
  'list-leases': listLeases,
  'open-session': openSession,
  status,
  cluster,
  settings,
  backup,
  'add-member': addMember,
  'remove-member': removeMember,
  'replace-member': replaceMember,
  'transfer-leadership': transferLeadership,
  'change-settings': changeSettings,
  'show-auth': showAuth,
  'show-self': showSelf,
  'log-in': logIn,
  'show-users': showUsers,
  'show-roles': showRoles,
  'change-auth': changeAuth,
} satisfies {
  readonly [K in OperationKind]: OperationFacts<OperationOf<K>> & {
    readonly http: RequestForm<K> & (K extends WholeKind ? { readonly encodeResult: unknown } : unknown)
  }
}

/** The kinds that the listener finds by method and path (server/http/server.ts). A router finds all others. */
type KeyKind = 'put' | 'get' | 'delete' | 'range' | 'delete-range'

/** An operation without routes, that the listener does not know either, does not compile: nobody could call it. */
type RequestForm<K extends OperationKind> = K extends KeyKind
  ? KeyRequestForm<OperationOf<K>>
  : RouteForm<OperationOf<K>>

// ---------------------------------------------------------------------------------------------------------------------
// Results

/** The kinds whose answers are one whole. Of the others, a wire collects or streams what is read. */
export type WholeKind = Exclude<OperationKind, 'range' | 'watch' | 'backup'>

type EncodeResult<K extends WholeKind> = (typeof OPERATIONS)[K]['http']['encodeResult']

/** The result of an operation, as its form on each wire takes it. */
export type ResultOf<K extends WholeKind> = Parameters<EncodeResult<K>>[0]

/** The head of its answer: the grant of a read, unless its forms need none. */
export type HeadOf<K extends WholeKind> =
  Parameters<EncodeResult<K>> extends readonly [unknown, infer H extends AnswerHead, ...unknown[]]
    ? H
    : AnswerHead

/** The forms of a result. All wires take the same one. */
interface ResultForms<K extends WholeKind> {
  readonly http: HttpResultForm<OperationOf<K>, ResultOf<K>, HeadOf<K>>
  readonly mux?: MuxResultForm<OperationOf<K>, ResultOf<K>, HeadOf<K>>
}

/** The same table, as a type by which TypeScript sees that form, result and head are of one kind. */
export const RESULT_FORMS: { readonly [K in WholeKind]: ResultForms<K> } = OPERATIONS

// ---------------------------------------------------------------------------------------------------------------------
// Kinds

/** An operation that a multiplexed connection carries, as its node sees it. */
export interface ItemOperation {
  readonly effect: OperationEffect
  readonly label: OperationLabel
  readonly mux: ItemForm<Operation>
}

const BY_OPCODE: (ItemOperation | undefined)[] = []
for (const definition of Object.values(OPERATIONS))
  if ('mux' in definition) BY_OPCODE[definition.mux.opcode] = definition

/** undefined: no operation has items of this kind. */
export const findByOpcode = (opcode: unknown): ItemOperation | undefined =>
  typeof opcode === 'number' ? BY_OPCODE[opcode] : undefined

/** The facts of an operation. TypeScript does not see that facts and operation are of one kind. */
export const operationFacts = <K extends OperationKind>(
  operation: OperationOf<K>,
): OperationFacts<OperationOf<K>> => OPERATIONS[operation.kind] as OperationFacts<OperationOf<K>>
