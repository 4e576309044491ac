// One request on its socket and the one answer to it: the headers that all answers share, and how bytes leave.

import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
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

interface Addition {
  /** A route under /v1, whose answers name cluster, node, term, revision and leader. */
  readonly kv: boolean
  /** Headers for this client (CORS). */
  readonly extra: readonly string[]
}

/** Through node:http. */
export function send(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
  addition: Addition,
  context: ExchangeContext,
): void {
  const { body, status } = answer
  if (response.headersSent || response.destroyed) {
    // Where half of another answer is out, only a broken connection tells the client so.
    if (!response.writableEnded) response.destroy()
    if (isPoured(body)) body.pour(GONE)
    return
  }
  const headers = headersOf(answer, addition, context)
  const bodiless = isBodiless(request, answer)

  if (isPoured(body)) {
    response.writeHead(status, headers)
    if (bodiless) response.end()
    body.pour(bodiless ? GONE : sinkOf(response, context.limits))
    return
  }
  const parts = typeof body === 'string' || body instanceof Uint8Array ? [body] : body
  pushLength(headers, status, parts)
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

/** Onto bare sockets, whose requests have arrived whole: the same bytes that node:http writes. All answers are of routes under /v1. */
export class PlainAnswers {
  readonly #node: NodeApi
  readonly #keepAlive: string
  /** What the heads of many answers share, and what it depends on. */
  #shared = { term: -1, leaderName: '', begin: '', end: '' }

  constructor(node: NodeApi, limits: HttpLimits) {
    this.#node = node
    this.#keepAlive = keepAlive(limits)
  }

  send(
    socket: Socket,
    request: { readonly method: string },
    answer: Answer,
    extra: readonly string[],
    closing: boolean,
  ): void {
    const { body, status, headers } = answer
    if (isPoured(body)) throw new Error('a stream cannot be sent as a plain answer')
    const whole = typeof body === 'string' || body instanceof Uint8Array ? body : body.join('')
    const { begin, end } = this.#sharedNow()
    let head = `${statusLine(status)}${begin}${answer.revision ?? this.#node.revision}${end}`
    for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`
    for (let i = 0; i < extra.length; i += 2) head += `${extra[i]}: ${extra[i + 1]}\r\n`
    if (closing) head += 'Connection: close\r\n'
    if (hasLength(status)) head += `Content-Length: ${byteLength([whole])}\r\n`
    head += `Date: ${httpDate()}\r\n${closing ? '' : this.#keepAlive}\r\n`
    writeBoth(socket, head, isBodiless(request, answer) ? '' : whole)
  }

  #sharedNow(): { readonly begin: string; readonly end: string } {
    const { term, leaderName = '', clusterId, name } = this.#node
    if (term !== this.#shared.term || leaderName !== this.#shared.leaderName) {
      const begin = `Kv-Cluster: ${clusterId}\r\nKv-Node: ${name}\r\nKv-Term: ${term}\r\nKv-Revision: `
      const end = leaderName === '' ? '\r\n' : `\r\nKv-Leader: ${leaderName}\r\n`
      this.#shared = { term, leaderName, begin, end }
    }
    return this.#shared
  }
}

const statusLine = (status: number): string =>
  status === 200 ? 'HTTP/1.1 200 OK\r\n' : `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n`

function writeBoth(socket: Socket, head: string, body: string | Uint8Array): void {
  const text = oneByteText(body)
  if (text !== undefined) socket.write(head + text, 'latin1')
  else {
    socket.cork()
    socket.write(head, 'latin1')
    socket.write(body)
    socket.uncork()
  }
}

const keepAlive = ({ keepAliveMs }: HttpLimits): string =>
  `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveMs / 1000)}\r\n`

let date = ''
let dateSecond = 0

function httpDate(): string {
  const now = Date.now()
  const second = Math.floor(now / 1000)
  if (second !== dateSecond) {
    dateSecond = second
    date = new Date(now).toUTCString()
  }
  return date
}

function headersOf(answer: Answer, { kv, extra }: Addition, context: ExchangeContext): string[] {
  const headers = kv ? kvHeaders(context.node, answer) : []
  headers.push(...answer.headers, ...extra)
  if (context.closing) headers.push('Connection', 'close')
  return headers
}

const hasLength = (status: number): boolean => status !== 304 && status !== 204

function pushLength(headers: string[], status: number, parts: Parts): void {
  if (hasLength(status)) headers.push('Content-Length', String(byteLength(parts)))
}

const isBodiless = ({ method }: { readonly method?: string | undefined }, { status }: Answer): boolean =>
  method === 'HEAD' || status === 304 || status === 204

type Parts = readonly (string | Uint8Array)[]

/** Up to this size copying into one write is cheaper than a second one. */
const ONE_WRITE_BYTES_MAX = 16 * 1024

/** Node joins head and body into one write when both are strings of one byte a character. */
function endWith(response: ServerResponse, body: string | Uint8Array | undefined): void {
  const text = body === undefined ? undefined : oneByteText(body)
  if (text === undefined) response.end(body)
  else response.end(text, 'latin1')
}

/** As a string of one byte a character; undefined where there is none, or it is not worth the copy. */
function oneByteText(body: string | Uint8Array): string | undefined {
  if (typeof body === 'string') return Buffer.byteLength(body) === body.length ? body : undefined
  if (body.length > ONE_WRITE_BYTES_MAX) return undefined
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1')
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

function byteLength(pieces: Parts): number {
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
