// Errors in the form of etcd's gateway, whose clients read the text.

import { ETCD_ERRORS, GRPC, type GrpcError } from '../../../etcd/status.ts'
import { ApiError, problemDocument } from '../../../operations/forms/index.ts'
import { HttpError } from '../../../operations/http/form.ts'
import type { Api } from '../../api/api.ts'
import type { HttpRequest, HttpResponse } from '../../connections/messages.ts'
import { LOGIN_NEEDED } from '../call.ts'
import { nameRefusal, toGrpcError } from '../errors.ts'

/** The status of HTTP for a code of gRPC, as grpc-gateway has it. */
const STATUS_OF: Readonly<Record<number, number>> = {
  [GRPC.cancelled]: 499,
  [GRPC.invalidArgument]: 400,
  [GRPC.deadlineExceeded]: 504,
  [GRPC.notFound]: 404,
  [GRPC.permissionDenied]: 403,
  [GRPC.resourceExhausted]: 429,
  [GRPC.failedPrecondition]: 400,
  [GRPC.outOfRange]: 400,
  [GRPC.unimplemented]: 501,
  [GRPC.unavailable]: 503,
  [GRPC.unauthenticated]: 401,
}

const INTERNAL = 500

/** Faults of a request of HTTP, whose status is that of quorate's own routes. */
const OF_HTTP: ReadonlySet<ApiError['code']> = new Set([
  'host_not_allowed',
  'method_not_allowed',
  'unsupported_media_type',
])

export const JSON_HEADERS = ['Content-Type', 'application/json'] as const
/** Headers of a response that an RPC has made. */
export const RESULT_HEADERS = [...JSON_HEADERS, 'Grpc-Metadata-Content-Type', 'application/grpc'] as const

export function encodeError(api: Api, request: HttpRequest, thrown: unknown): HttpResponse {
  const error = nameRefusal(request, thrown)
  const { code, message } = toGrpcError(api, error)
  const status =
    error instanceof ApiError && OF_HTTP.has(error.code)
      ? problemDocument(error).status
      : (STATUS_OF[code] ?? INTERNAL)
  const headers = error instanceof HttpError ? [...JSON_HEADERS, ...error.headers] : JSON_HEADERS
  return { status, headers, body: JSON.stringify({ error: message, message, code }), revision: undefined }
}

/** The line that ends a stream whose head is sent. */
export function encodeStreamError(end: GrpcError): string {
  // Clients of HTTP take 503 for a fault of the node, and read the text.
  const { code, message } = end === LOGIN_NEEDED ? ETCD_ERRORS.invalidAuthToken : end
  const status = STATUS_OF[code] ?? INTERNAL
  const error = { grpc_code: code, http_code: status, message, http_status: STATUS_TEXT[status] }
  return `${JSON.stringify({ error })}\n`
}

const STATUS_TEXT: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  429: 'Too Many Requests',
  499: 'Client Closed Request',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
}
