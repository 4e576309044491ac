// The errors of etcd for those of the API.

import { TooManyFieldsError } from '../../etcd/message.ts'
import { ProtobufError } from '../../etcd/protobuf.ts'
import { ETCD_ERRORS, GRPC, GrpcError } from '../../etcd/status.ts'
import { ApiError, type ApiErrorCode } from '../../operations/forms/index.ts'
import type { Api } from '../api/api.ts'
import type { Opening } from '../clients/gate.ts'

/** Nobody receives it: the client has gone. */
export const CANCELLED = new GrpcError(GRPC.cancelled, 'context canceled')

/** The identity that a client has shown. */
type ShownIdentity = Pick<Opening, 'authorization' | 'principal'>

/** `undefined`: etcd has no such error, so the client receives the sentence of quorate under this code. */
const STATUS_OF: { readonly [K in ApiErrorCode]: GrpcError | number } = {
  bad_request: GRPC.invalidArgument,
  unknown_parameter: GRPC.invalidArgument,
  key_empty: ETCD_ERRORS.emptyKey,
  key_too_long: ETCD_ERRORS.requestTooLarge,
  duplicate_key: ETCD_ERRORS.duplicateKey,
  future_revision: ETCD_ERRORS.futureRevision,
  unauthenticated: ETCD_ERRORS.invalidAuthToken,
  loopback_only: GRPC.permissionDenied,
  permission_denied: ETCD_ERRORS.permissionDenied,
  origin_not_allowed: GRPC.permissionDenied,
  not_found: GRPC.notFound,
  route_not_found: GRPC.unimplemented,
  lease_not_found: ETCD_ERRORS.leaseNotFound,
  method_not_allowed: GRPC.unimplemented,
  idempotency_expired: GRPC.failedPrecondition,
  lease_exists: ETCD_ERRORS.leaseExists,
  membership_refused: GRPC.failedPrecondition,
  compacted: ETCD_ERRORS.compacted,
  precondition_failed: GRPC.failedPrecondition,
  value_too_large: ETCD_ERRORS.requestTooLarge,
  request_too_large: ETCD_ERRORS.requestTooLarge,
  too_many_operations: ETCD_ERRORS.tooManyOps,
  range_too_large: ETCD_ERRORS.requestTooLarge,
  unsupported_media_type: GRPC.invalidArgument,
  host_not_allowed: GRPC.permissionDenied,
  wrong_cluster: GRPC.failedPrecondition,
  idempotency_key_reused: GRPC.failedPrecondition,
  upgrade_required: GRPC.unimplemented,
  overloaded: ETCD_ERRORS.tooManyRequests,
  cancelled: GRPC.cancelled,
  internal: GRPC.internal,
  no_leader: ETCD_ERRORS.noLeader,
  no_quorum: ETCD_ERRORS.noLeader,
  not_ready: ETCD_ERRORS.stopped,
  too_stale: ETCD_ERRORS.timeout,
  revision_behind: ETCD_ERRORS.timeout,
  outcome_unknown: ETCD_ERRORS.timeout,
  storage_full: ETCD_ERRORS.noSpace,
}

/** The status for whatever an RPC has thrown. Reports what is not the client's fault. */
export function toGrpcError(api: Api, error: unknown): GrpcError {
  if (error instanceof GrpcError) return error
  // Only a transaction has a use for so many.
  if (error instanceof TooManyFieldsError) return ETCD_ERRORS.tooManyOps
  if (error instanceof ProtobufError)
    return new GrpcError(GRPC.internal, `grpc: error unmarshalling request: ${error.message}`)
  const { code, message } = api.toApiError(error)
  const status = STATUS_OF[code]
  return typeof status === 'number' ? new GrpcError(status, `etcdserver: ${message}`) : status
}

/**
 * The refusal of a client, as etcd names it: it tells a client without a token apart from one whose token is not good.
 */
export function nameRefusal({ authorization, principal }: ShownIdentity, error: unknown): unknown {
  if (!(error instanceof ApiError) || error.code !== 'unauthenticated' || authorization !== undefined)
    return error
  // A certificate may name anybody.
  return principal === undefined ? ETCD_ERRORS.userEmpty : ETCD_ERRORS.permissionDenied
}

/** For puts and transactions: what they do not find is the key of a put that keeps its value or its lease. */
export function throwKeyNotFound(error: unknown): never {
  throw error instanceof ApiError && error.code === 'not_found' ? ETCD_ERRORS.keyNotFound : error
}
