// Answers of the supervisor itself, in the form of a node: JSON, and problems (RFC 9457).

import type { IncomingMessage, ServerResponse } from 'node:http'
import { ApiError, problemDocument, retryAfterSeconds } from '../../operations/forms/problems.ts'

/** Limits on a refused body, as a node has them. It is read to its end within them: the client reads the answer. */
const DROPPED_BYTES_MAX = 16 * 1024 * 1024
const DROPPED_TIMEOUT_MS = 5_000

export function sendJson(
  response: ServerResponse,
  status: number,
  document: object,
  headers: readonly string[] = [],
): void {
  if (response.headersSent || response.destroyed) return
  dropBody(response.req)
  const body = Buffer.from(JSON.stringify(document))
  const type = status < 400 ? 'application/json' : 'application/problem+json'
  response.writeHead(status, [
    ...['Content-Type', type, 'Content-Length', String(body.length)],
    ...['Cache-Control', 'no-store', 'X-Content-Type-Options', 'nosniff', ...headers],
  ])
  response.end(response.req.method === 'HEAD' ? undefined : body)
}

/** `status`: another one than that of the code. */
export function sendError(response: ServerResponse, error: unknown, status?: number): void {
  const problem = error instanceof ApiError ? error : new ApiError('internal', 'the supervisor failed')
  const document = problemDocument(problem)
  const seconds = retryAfterSeconds(document)
  const headers = seconds === undefined ? [] : ['Retry-After', String(seconds)]
  // No browser asks its user for credentials of this scheme.
  if (problem.code === 'unauthenticated') headers.push('WWW-Authenticate', 'Quorate-Control')
  sendJson(response, status ?? document.status, { ...document, status: status ?? document.status }, headers)
}

/** A request that cannot be done in the state of the cluster: 409. */
export function sendConflict(response: ServerResponse, detail: string): void {
  const code = 'refused'
  const title = 'The cluster cannot do this now'
  sendJson(response, 409, { type: `urn:quorate:problem:${code}`, title, status: 409, code, detail })
}

/** Reads a body up to its end, or up to a limit, where the connection ends. */
export function dropBody(request: IncomingMessage): void {
  if (request.complete || request.readableEnded || request.destroyed) return
  let bytes = 0
  const timer = setTimeout(() => request.destroy(), DROPPED_TIMEOUT_MS).unref()
  request.once('close', () => clearTimeout(timer))
  request.once('end', () => clearTimeout(timer))
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > DROPPED_BYTES_MAX) request.destroy()
  })
}
