// One request on its socket and the one answer to it: the headers that all answers share, and how bytes leave.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { NodeApi } from '../types.ts'
import type { Answer, Body, Sink } from './answer.ts'
import { dropBodyThenEnd, hasBody } from './body.ts'
import type { HttpLimits } from './limits.ts'

export interface ExchangeContext {
  readonly node: NodeApi
  readonly limits: HttpLimits
  /** The server is closing: connections end with their answer. */
  readonly closing: boolean
}

/** `kv`: a route under /v1, whose answers name cluster, node, term, revision and leader. `extra`: headers for this client (CORS). */
export function send(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
  { kv, extra }: { kv: boolean; extra: readonly string[] },
  context: ExchangeContext,
): void {
  const { body, status } = answer
  if (response.headersSent || response.destroyed) {
    // Where half of another answer is out, only a broken connection tells the client so.
    if (!response.writableEnded) response.destroy()
    if (isPoured(body)) body.pour(GONE)
    return
  }
  const headers = kv ? kvHeaders(context.node, answer) : []
  headers.push(...answer.headers, ...extra)
  if (context.closing) headers.push('Connection', 'close')
  const bodiless = request.method === 'HEAD' || status === 304 || status === 204

  if (isPoured(body)) {
    response.writeHead(status, headers)
    if (bodiless) response.end()
    body.pour(bodiless ? GONE : sinkOf(response, context.limits))
    return
  }
  const parts = typeof body === 'string' || body instanceof Uint8Array ? [body] : body
  if (status !== 304 && status !== 204) headers.push('Content-Length', String(byteLength(parts)))
  response.writeHead(status, headers)
  const last = bodiless ? undefined : parts.at(-1)
  if (!bodiless) for (const part of parts.slice(0, -1)) response.write(part)
  if (request.readableEnded || !hasBody(request)) endWith(response, last)
  else {
    if (last === undefined) response.flushHeaders()
    else response.write(last)
    dropBodyThenEnd(request, response, context.limits)
  }
}

/** Up to this size copying into one write is cheaper than a second one. */
const ONE_WRITE_BYTES_MAX = 16 * 1024

/** Node joins head and body into one write when both are strings of one byte a character. */
function endWith(response: ServerResponse, body: string | Uint8Array | undefined): void {
  if (body instanceof Uint8Array && body.length <= ONE_WRITE_BYTES_MAX)
    response.end(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1'), 'latin1')
  else if (typeof body === 'string' && Buffer.byteLength(body) === body.length) response.end(body, 'latin1')
  else response.end(body)
}

function kvHeaders(node: NodeApi, answer: Answer): string[] {
  const headers = [
    'Kv-Cluster',
    node.clusterId,
    'Kv-Node',
    node.name,
    'Kv-Term',
    String(node.term),
    'Kv-Revision',
    String(answer.revision ?? node.revision),
  ]
  const { leaderName } = node
  if (leaderName !== undefined) headers.push('Kv-Leader', leaderName)
  return headers
}

function byteLength(pieces: readonly (string | Uint8Array)[]): number {
  let bytes = 0
  for (const piece of pieces) bytes += typeof piece === 'string' ? Buffer.byteLength(piece) : piece.byteLength
  return bytes
}

type Poured = Extract<Body, { pour: unknown }>

const isPoured = (body: Body): body is Poured => typeof body === 'object' && 'pour' in body

const GONE: Sink = { write: async () => false, end() {} }

function sinkOf(response: ServerResponse, limits: HttpLimits): Sink {
  const roomOrGone = (): Promise<boolean> =>
    new Promise((resolve) => {
      const settle = (): void => {
        clearTimeout(stalled)
        response.off('drain', settle).off('close', settle)
        resolve(!response.destroyed)
      }
      const stalled = setTimeout(() => response.destroy(), limits.streamStallMsMax)
      response.on('drain', settle).on('close', settle)
    })
  return {
    async write(text) {
      if (response.destroyed) return false
      return response.write(text) || roomOrGone()
    },
    end: (text) => void response.end(text),
  }
}
