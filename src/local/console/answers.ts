// Answers of the supervisor itself, in the form of a node: JSON, problems (RFC 9457), and pages for browsers.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { ApiError, problemDocument, retryAfterSeconds } from '../../operations/forms/problems.ts'
import { HttpError } from '../../operations/http/form.ts'
import { apiLimits } from '../../server/api/limits.ts'
import { connectionLimits } from '../../server/clients/limits.ts'
import { type Advice, advicePage, wantsPage } from '../../server/connections/refusal-page.ts'
import { PROGRAM } from '../program-name.ts'

/** Limits on the rest of a body, as a node has them. It is read within them: the client reads the answer. */
interface DropLimits {
  readonly bytesMax: number
  readonly timeoutMs: number
}

const DROPPED: DropLimits = {
  bytesMax: connectionLimits.drainBytesMax,
  timeoutMs: connectionLimits.drainMsMax,
}

/** The limits for a client without the token. */
export const DROPPED_OF_UNIDENTIFIED: DropLimits = {
  bytesMax: connectionLimits.unauthenticatedDrainBytesMax,
  timeoutMs: apiLimits.unauthenticatedBodyMs,
}

export function sendJson(
  response: ServerResponse,
  status: number,
  document: object,
  headers: readonly string[] = [],
): void {
  const type = status < 400 ? 'application/json' : 'application/problem+json'
  const all = [
    ...['Content-Type', type, 'Cache-Control', 'no-store'],
    ...['X-Content-Type-Options', 'nosniff', ...headers],
  ]
  send(response, status, all, JSON.stringify(document))
}

/** Sends a whole answer. */
export function send(
  response: ServerResponse,
  status: number,
  headers: readonly string[],
  body: string | Uint8Array,
): void {
  if (response.headersSent || response.destroyed) return
  const length = ['Content-Length', String(Buffer.byteLength(body))]
  response.writeHead(status, [...headers, ...(status === NOT_MODIFIED ? [] : length)])
  if (response.req.method !== 'HEAD' && body.length > 0) response.write(body)
  end(response)
}

const NOT_MODIFIED = 304

/**
 * Ends a response whose bytes are written, after the rest of the body of its request. If a connection ended while its
 * client sends, the client would lose the answer.
 */
export function end(response: ServerResponse): void {
  const { req } = response
  if (!hasBody(req) || req.complete) {
    response.end()
    return
  }
  dropBody(req)
  req.once('end', () => response.end())
}

/** Whether the request announces a body (RFC 9112 §6.3). */
const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'

/** Reads a body up to its end, or up to a limit, where the connection ends. */
export function dropBody(request: IncomingMessage, { bytesMax, timeoutMs } = DROPPED): void {
  if (request.complete || request.readableEnded || request.destroyed) return
  let bytes = 0
  const timer = setTimeout(() => request.destroy(), timeoutMs).unref()
  request.once('close', () => clearTimeout(timer))
  request.once('end', () => clearTimeout(timer))
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > bytesMax) request.destroy()
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// Errors

/** `status`: another one than that of the code. */
export function sendError(response: ServerResponse, error: unknown, status?: number): void {
  const problem = error instanceof ApiError ? error : new ApiError('internal', 'the supervisor failed')
  const { method, headers: received } = response.req
  // No browser asks its user for credentials of this scheme.
  const challenge = problem.code === 'unauthenticated' ? ['WWW-Authenticate', 'Quorate-Control'] : []
  if (wantsPage(method, received.accept) && REFUSALS.has(problem.code)) {
    const page = advicePage(problem, ADVICE, challenge)
    send(response, page.status, page.headers, page.body)
    return
  }
  const document = problemDocument(problem)
  const seconds = retryAfterSeconds(document)
  const headers = [
    ...challenge,
    ...(seconds === undefined ? [] : ['Retry-After', String(seconds)]),
    ...(problem instanceof HttpError ? problem.headers : []),
  ]
  sendJson(response, status ?? document.status, { ...document, status: status ?? document.status }, headers)
}

/** Codes of refusals that a user sees who opens another address than that of the console. */
const REFUSALS: ReadonlySet<string> = new Set(['unauthenticated', 'host_not_allowed', 'origin_not_allowed'])

const ADVICE: Advice = {
  title: 'The console of this cluster has an address of its own',
  steps: [`Open the console: \`${PROGRAM} console\``, `Print its address: \`${PROGRAM} cluster status\``],
}

/** A request that cannot be done in the state of the cluster: 409. */
export function sendConflict(response: ServerResponse, detail: string): void {
  const code = 'refused'
  const title = 'The cluster cannot do this now'
  sendJson(response, 409, { type: `urn:quorate:problem:${code}`, title, status: 409, code, detail })
}
