/// <reference lib="esnext.disposable" preserve="true" />
// The client library: how an application uses a cluster. README.md explains how it works.
//
//   const kv = new Client({ endpoints: ['http://127.0.0.1:7301'] })
//   await kv.put('greeting', 'hello')
//   console.log((await kv.get('greeting'))?.text())

import '../system/require-node.ts'

export type {
  AuthChangeOptions,
  AuthSelf,
  AuthStatus,
  AuthSwitch,
  PermittedRange,
  RoleInfo,
  RoleList,
  RolePermission,
  Roles,
  UserChange,
  UserInfo,
  UserList,
  Users,
} from './auth-types.ts'
export { Client } from './client.ts'
export {
  AbortedError,
  CompactedError,
  ConflictError,
  type ErrorCode,
  type ErrorDetails,
  OutcomeUnknownError,
  PreconditionFailedError,
  QuorateError,
  type RecordMeta,
  SessionLostError,
  UnavailableError,
  UnreachableError,
  type Written,
} from './errors.ts'
export type {
  GrantedLease,
  KeptLease,
  LeaseInfo,
  LeaseOptions,
  NewLease,
  RevokedLease,
  Session,
  SessionOptions,
} from './lease-types.ts'
export type {
  CompactResult,
  DeleteRange,
  DeleteRangeResult,
  Place,
  RaisedRevision,
  Transaction,
  TransactionListOptions,
  TransactOptions,
  Txn,
  TxnComparison,
  TxnDelete,
  TxnDeleteResult,
  TxnGet,
  TxnGetResult,
  TxnOperation,
  TxnOperationResult,
  TxnOperator,
  TxnOptions,
  TxnPut,
  TxnPutOptions,
  TxnPutResult,
  TxnResult,
} from './txn-types.ts'
export type {
  AnswerInfo,
  BackupOptions,
  CallOptions,
  ClientOptions,
  ClientTls,
  ClusterInfo,
  Consistency,
  DeleteOptions,
  DeleteResult,
  GetOptions,
  KvRecord,
  ListOptions,
  Member,
  NewMember,
  NodeCallOptions,
  NodeStatus,
  PutOptions,
  PutResult,
  RangeOptions,
  ReadOptions,
  Settings,
} from './types.ts'
export type {
  MirrorOptions,
  MirrorView,
  Watch,
  WatchBatch,
  WatchEvent,
  WatchedPlace,
  WatchOptions,
  WatchResumed,
} from './watch-types.ts'
