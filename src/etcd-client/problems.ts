// The errors of etcd as those of quorate, by etcd's code and text. The engine judges them as it judges the answers of
// nodes: whether a change may have been made, and whether another try may succeed.

import { ETCD_ERRORS, GRPC, GrpcError } from '../etcd/status.ts'
import { type JudgedProblem, judgeProblem } from '../operations/forms/answers.ts'
import { ApiError, type ApiErrorCode } from '../operations/forms/index.ts'
import { decodeProblem, problemDocument } from '../operations/forms/problems.ts'

const E = ETCD_ERRORS

const BY_TEXT: ReadonlyMap<string, ApiErrorCode> = new Map([
  [E.emptyKey.message, 'key_empty'],
  [E.tooManyOps.message, 'too_many_operations'],
  [E.duplicateKey.message, 'duplicate_key'],
  [E.compacted.message, 'compacted'],
  [E.futureRevision.message, 'future_revision'],
  [E.noSpace.message, 'storage_full'],
  [E.leaseNotFound.message, 'lease_not_found'],
  [E.leaseExists.message, 'lease_exists'],
  [E.leaseTtlTooLarge.message, 'bad_request'],
  [E.requestTooLarge.message, 'request_too_large'],
  [E.tooManyRequests.message, 'overloaded'],
  [E.noLeader.message, 'no_leader'],
  [E.notLeader.message, 'no_leader'],
  [E.notSupportedForLearner.message, 'not_ready'],
  [E.permissionDenied.message, 'permission_denied'],
  [E.invalidAuthToken.message, 'unauthenticated'],
  [E.authFailed.message, 'unauthenticated'],
  // A request without a token, where rights are checked, and one with a token from before a change of rights.
  [E.userEmpty.message, 'unauthenticated'],
  ['etcdserver: revision of auth store is old', 'unauthenticated'],
  // The client continues without a user.
  [E.authNotEnabled.message, 'bad_request'],
  // Raft has not even proposed the change: there is no leader.
  ['raft proposal dropped', 'no_leader'],
])

/** Anything else. A change that ends as Unavailable or Unknown may have been made. */
const BY_CODE: { readonly [code: number]: ApiErrorCode } = {
  [GRPC.invalidArgument]: 'bad_request',
  [GRPC.failedPrecondition]: 'bad_request',
  [GRPC.outOfRange]: 'bad_request',
  [GRPC.unimplemented]: 'bad_request',
  [GRPC.notFound]: 'bad_request',
  [GRPC.permissionDenied]: 'permission_denied',
  [GRPC.unauthenticated]: 'unauthenticated',
  // The limit of gRPC on a message.
  [GRPC.resourceExhausted]: 'request_too_large',
  [GRPC.deadlineExceeded]: 'outcome_unknown',
  [GRPC.cancelled]: 'outcome_unknown',
  [GRPC.unavailable]: 'outcome_unknown',
}

export const problemFrom = ({ code, message }: GrpcError): ApiError =>
  new ApiError(BY_TEXT.get(message) ?? BY_CODE[code] ?? 'internal', message)

/** For what etcd cannot do. */
export const notInEtcd = (what: string): ApiError =>
  new ApiError('bad_request', `etcd cannot do this: ${what}`)

/** `isSent`: whether an RPC was sent that may have made a change. */
export function judge(error: ApiError, isSent: boolean): JudgedProblem {
  const problem = judgeProblem(decodeProblem(problemDocument(error)))
  // etcd says so too of the change that exceeds its quota, which it makes. What was never sent was not made.
  return error.code === 'storage_full' && isSent ? { ...problem, written: 'unknown' } : problem
}

/** Whether a change that has failed so was certainly not made. */
export function isNotMade(error: unknown): boolean {
  const refusal = error instanceof GrpcError ? problemFrom(error) : error
  return refusal instanceof ApiError && judge(refusal, true).written === 'no'
}
