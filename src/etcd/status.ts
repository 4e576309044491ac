// Statuses of gRPC, and the errors of etcd. Clients of etcd compare the texts, so they are exactly etcd's
// (api/v3rpc/rpctypes/error.go).

import { shortened } from '../bytes/index.ts'

/** Codes of gRPC: https://grpc.io/docs/guides/status-codes. */
export const GRPC = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const

/** Characters of a status, which may quote the client: clients accept trailers of 8 KiB, and each may take 9 bytes. */
const TEXT_CHARS_MAX = 800

/** The end of a call that failed. It has no stack: it is an answer. */
export class GrpcError extends Error {
  override readonly name = 'GrpcError'
  readonly code: number

  constructor(code: number, text: string) {
    const { stackTraceLimit } = STACKS
    STACKS.stackTraceLimit = 0
    super(shortened(text, TEXT_CHARS_MAX))
    STACKS.stackTraceLimit = stackTraceLimit
    this.code = code
  }
}

/** Where V8 keeps the number of frames in the stack of a new error. */
const STACKS = Error as { stackTraceLimit?: number | undefined }

const etcdError = (code: number, text: string): GrpcError => new GrpcError(code, `etcdserver: ${text}`)

export const ETCD_ERRORS = {
  emptyKey: etcdError(GRPC.invalidArgument, 'key is not provided'),
  keyNotFound: etcdError(GRPC.invalidArgument, 'key not found'),
  valueProvided: etcdError(GRPC.invalidArgument, 'value is provided'),
  leaseProvided: etcdError(GRPC.invalidArgument, 'lease is provided'),
  tooManyOps: etcdError(GRPC.invalidArgument, 'too many operations in txn request'),
  duplicateKey: etcdError(GRPC.invalidArgument, 'duplicate key given in txn request'),
  compacted: etcdError(GRPC.outOfRange, 'mvcc: required revision has been compacted'),
  futureRevision: etcdError(GRPC.outOfRange, 'mvcc: required revision is a future revision'),
  noSpace: etcdError(GRPC.resourceExhausted, 'mvcc: database space exceeded'),
  leaseNotFound: etcdError(GRPC.notFound, 'requested lease not found'),
  leaseExists: etcdError(GRPC.failedPrecondition, 'lease already exists'),
  leaseTtlTooLarge: etcdError(GRPC.outOfRange, 'too large lease TTL'),
  invalidSortOption: etcdError(GRPC.invalidArgument, 'invalid sort option'),
  requestTooLarge: etcdError(GRPC.invalidArgument, 'request is too large'),
  tooManyRequests: etcdError(GRPC.resourceExhausted, 'too many requests'),
  learnerNotReady: etcdError(
    GRPC.failedPrecondition,
    'can only promote a learner member which is in sync with leader',
  ),
  memberNotFound: etcdError(GRPC.notFound, 'member not found'),
  notEnoughStartedMembers: etcdError(
    GRPC.failedPrecondition,
    're-configuration failed due to not enough started members',
  ),
  unhealthy: etcdError(GRPC.unavailable, 'unhealthy cluster'),
  noLeader: etcdError(GRPC.unavailable, 'no leader'),
  notLeader: etcdError(GRPC.failedPrecondition, 'not leader'),
  badLeaderTransferee: etcdError(GRPC.failedPrecondition, 'bad leader transferee'),
  stopped: etcdError(GRPC.unavailable, 'server stopped'),
  timeout: etcdError(GRPC.unavailable, 'request timed out'),
  notSupportedForLearner: etcdError(GRPC.unavailable, 'rpc not supported for learner'),
  rootUserNotExist: etcdError(GRPC.failedPrecondition, 'root user does not exist'),
  rootRoleNotExist: etcdError(GRPC.failedPrecondition, 'root user does not have root role'),
  userExists: etcdError(GRPC.failedPrecondition, 'user name already exists'),
  userEmpty: etcdError(GRPC.invalidArgument, 'user name is empty'),
  userNotFound: etcdError(GRPC.failedPrecondition, 'user name not found'),
  roleExists: etcdError(GRPC.failedPrecondition, 'role name already exists'),
  roleNotFound: etcdError(GRPC.failedPrecondition, 'role name not found'),
  roleEmpty: etcdError(GRPC.invalidArgument, 'role name is empty'),
  authFailed: etcdError(GRPC.invalidArgument, 'authentication failed, invalid user ID or password'),
  permissionDenied: etcdError(GRPC.permissionDenied, 'permission denied'),
  roleNotGranted: etcdError(GRPC.failedPrecondition, 'role is not granted to the user'),
  permissionNotGranted: etcdError(GRPC.failedPrecondition, 'permission is not granted to the role'),
  permissionNotGiven: etcdError(GRPC.invalidArgument, 'permission not given'),
  authNotEnabled: etcdError(GRPC.failedPrecondition, 'authentication is not enabled'),
  invalidAuthToken: etcdError(GRPC.unauthenticated, 'invalid auth token'),
  invalidAuthManagement: etcdError(GRPC.invalidArgument, 'invalid auth management'),
} as const satisfies Record<string, GrpcError>

const CODE_NAMES: Readonly<Record<number, string>> = {
  [GRPC.invalidArgument]: 'InvalidArgument',
  [GRPC.resourceExhausted]: 'ResourceExhausted',
  [GRPC.permissionDenied]: 'PermissionDenied',
  [GRPC.unauthenticated]: 'Unauthenticated',
}

/** A status as a text, as the reason of a canceled watch has it. */
export const statusText = ({ code, message }: GrpcError): string =>
  `rpc error: code = ${CODE_NAMES[code] ?? code} desc = ${message}`
