// Requests of the console to a node, passed on as they are: target, headers and body of the request, status, headers
// and body of the answer, each byte as soon as it arrives. Either side that ends ends the other.

import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import type { SecureContextOptions } from 'node:tls'
import { ApiError } from '../../operations/forms/problems.ts'
import { http } from '../../system/node-http.ts'
import { failureReason } from '../failure.ts'
import { end, sendError } from './answers.ts'

/** A node as the console reaches it. */
export interface ProxiedNode {
  readonly name: string
  readonly url: string
  /** The CA of the nodes and the certificate of the command, in a cluster with TLS. */
  readonly requests?: SecureContextOptions | undefined
}

/** Time for a node to begin its answer. No request to a node takes over 60 s. */
const HEAD_TIMEOUT_MS = 75_000
const BAD_GATEWAY = 502
const GATEWAY_TIMEOUT = 504

/** Headers of one connection (RFC 9110 §7.6.1), which are not those of the next one. */
const HOP_BY_HOP = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization'],
  ...['te', 'trailer', 'transfer-encoding', 'upgrade', 'expect', 'host'],
])

/** Headers about the page and its site, which the console has checked, and the token, which is no node's. */
const OF_THE_CONSOLE = /^(?:origin|referer|cookie|quorate-control|sec-.*|access-control-request-.*)$/

/** Passes a request on to `node` with the target `path`. */
export function forwardRequest(
  request: IncomingMessage,
  response: ServerResponse,
  node: ProxiedNode,
  path: string,
): void {
  let outgoing: ClientRequest
  try {
    outgoing = openRequest(request, node, path)
  } catch {
    sendError(response, new ApiError('bad_request', 'the target of the request cannot be passed on'))
    return
  }
  // Before that, no byte has reached the node.
  let isConnected = false
  outgoing.on('socket', (socket) => {
    const event = outgoing.protocol === 'http:' ? 'connect' : 'secureConnect'
    socket.once(event, () => {
      isConnected = true
    })
  })
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    outgoing.destroy()
  }, HEAD_TIMEOUT_MS)
  outgoing.on('close', () => {
    clearTimeout(timer)
    // Without an error too: an answer that changes the protocol ends so.
    if (!response.headersSent) fail('the connection was closed')
  })
  outgoing.on('error', (error) => fail(failureReason(error)))
  const fail = (reason: string): void => {
    if (response.headersSent || response.destroyed) return
    const mayBeWritten = isConnected && request.method !== 'GET' && request.method !== 'HEAD'
    const detail = isLate ? `${node.name} does not answer` : `${node.name} is not reached: ${reason}`
    const error = new ApiError(mayBeWritten ? 'outcome_unknown' : 'not_ready', detail)
    request.unpipe(outgoing)
    sendError(response, error, isLate ? GATEWAY_TIMEOUT : BAD_GATEWAY)
  }
  outgoing.on('response', (incoming) => {
    clearTimeout(timer)
    response.writeHead(incoming.statusCode ?? BAD_GATEWAY, passedHeaders(incoming))
    // The head of a stream arrives before its first event.
    response.flushHeaders()
    incoming.pipe(response, { end: false })
    incoming.on('error', () => response.destroy())
    incoming.on('end', () => {
      // A node may refuse a body before it has arrived.
      request.unpipe(outgoing)
      end(response)
    })
    incoming.on('close', () => {
      if (!incoming.complete) response.destroy()
    })
  })
  response.on('close', () => outgoing.destroy())
  request.pipe(outgoing)
}

function openRequest(request: IncomingMessage, { url, requests }: ProxiedNode, path: string): ClientRequest {
  const { host, hostname, port } = new URL(url)
  const headers = ['Host', host, ...passedHeaders(request)]
  // The coding of the body is that of this connection again. The node refuses those that nobody has decoded.
  const coding = request.headers['transfer-encoding']
  if (coding !== undefined) headers.push('Transfer-Encoding', coding)
  else if (request.headers['content-length'] === undefined && BODIES.has(request.method ?? ''))
    headers.push('Content-Length', '0')
  // Each request has its own connection: one that a node has just closed would lose a request.
  const options = { hostname, port, path, method: request.method, headers, agent: false } as const
  if (requests === undefined) return http.request(options)
  return process.getBuiltinModule('node:https').request({ ...options, ...requests })
}

/** Methods of which Node would send a body of unknown length. */
const BODIES = new Set(['PUT', 'POST', 'PATCH'])

/** Flat: name, value, name, value, … */
function passedHeaders({ rawHeaders, headers }: IncomingMessage): string[] {
  const named = (headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase())
  const passed: string[] = []
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name = '', value = ''] = [rawHeaders[at], rawHeaders[at + 1]]
    const lower = name.toLowerCase()
    if (HOP_BY_HOP.has(lower) || OF_THE_CONSOLE.test(lower)) continue
    // A body without its length would be read as the next request.
    if (named.includes(lower) && lower !== 'content-length') continue
    passed.push(name, value)
  }
  return passed
}
