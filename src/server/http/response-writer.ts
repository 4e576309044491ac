// One request on its socket and its one answer: the headers that all answers share, and how bytes are sent.

import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { http } from '../../node-http.ts'
import type { NodeApi } from '../node/types.ts'
import { type Answer, isPoured, isStreamed, partsOf, type Sink } from './answer.ts'
import type { HttpLimits } from './limits.ts'
import type { IncomingRequest } from './node-connection.ts'
import {
  afterDrain,
  byteLength,
  type OutboundBudget,
  type Part,
  PIECE_BYTES,
  writeChunked,
} from './response-budget.ts'

export interface ExchangeContext {
  readonly node: NodeApi
  readonly backlog: OutboundBudget
  /** The server is closing: connections end with their answer. */
  readonly closing: boolean
}

interface Addition {
  /** A route under /v1, whose answers name cluster, node, term, revision and leader. */
  readonly kv: boolean
  /** Headers for this client (CORS). */
  readonly extra: readonly string[]
}

/** An exchange through node:http. */
export function send(
  { request, response, body: sent }: IncomingRequest,
  answer: Answer,
  addition: Addition,
  context: ExchangeContext,
): void {
  const { body, status } = answer
  sent.drop()
  if (response.headersSent || response.destroyed) {
    // Half of another answer is already sent. Only a broken connection can tell the client that it failed.
    if (!response.writableEnded) response.destroy()
    if (isPoured(body)) body.pour(GONE)
    if (isStreamed(body)) body.stream(undefined)
    return
  }
  const headers = headersOf(answer, addition, context)
  const bodiless = isBodiless(request, answer)
  const { backlog } = context
  // After something that the parser cannot read, no further request can be read.
  if (sent.isBroken) response.shouldKeepAlive = false

  if (isStreamed(body)) {
    response.writeHead(status, headers)
    if (bodiless) response.end()
    body.stream(bodiless ? undefined : response)
    return
  }
  if (isPoured(body)) {
    response.writeHead(status, headers)
    if (bodiless) response.end()
    body.pour(bodiless ? GONE : sinkOf(response, backlog))
    return
  }
  const parts = partsOf(body)
  const bytes = byteLength(parts)
  if (hasLength(status)) headers.push('Content-Length', String(bytes))
  response.writeHead(status, headers)
  if (bodiless) response.flushHeaders()
  // The response ends when the client has taken it, not before: node:http treats a connection with an ended response as
  // idle, and closes it when the server closes.
  writeChunked(response, bodiless ? [] : parts, backlog, (taken) => {
    if (!taken) return
    if (sent.ended) response.end()
    else sent.endWhenDropped(response)
  })
}

/**
 * An exchange on a bare socket, whose request has arrived completely. It writes the same bytes as node:http. All its
 * routes are under /v1.
 */
export class PlainAnswers {
  readonly #node: NodeApi
  readonly #backlog: OutboundBudget
  readonly #keepAlive: string
  /** The text that the heads of many answers share, and the values that it depends on. */
  #shared = { term: -1, leaderName: '', begin: '', end: '' }

  constructor(node: NodeApi, limits: HttpLimits, backlog: OutboundBudget) {
    this.#node = node
    this.#backlog = backlog
    this.#keepAlive = keepAlive(limits)
  }

  /**
   * Returns whether the kernel has taken all of it. If not, `taken` is called once, later: when the kernel has taken
   * it, or the connection is gone.
   */
  send(
    socket: Socket,
    request: { readonly method: string },
    answer: Answer,
    extra: readonly string[],
    closing: boolean,
    taken: () => void,
  ): boolean {
    const { body, status, headers } = answer
    if (isPoured(body) || isStreamed(body)) throw new Error('a stream cannot be sent as a plain answer')
    const whole = join(partsOf(body))
    const { begin, end } = this.#sharedNow()
    let head = `${statusLine(status)}${begin}${answer.revision ?? this.#node.revision}${end}`
    for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`
    for (let i = 0; i < extra.length; i += 2) head += `${extra[i]}: ${extra[i + 1]}\r\n`
    if (closing) head += 'Connection: close\r\n'
    const bytes = Buffer.byteLength(whole)
    if (hasLength(status)) head += `Content-Length: ${bytes}\r\n`
    head += `Date: ${httpDate()}\r\n${closing ? '' : this.#keepAlive}\r\n`
    const sent = isBodiless(request, answer) ? '' : whole
    if (sent !== '' && bytes > PIECE_BYTES) {
      socket.cork()
      socket.write(head)
      writeChunked(socket, [sent], this.#backlog, taken)
      socket.uncork()
      return false
    }
    writeBoth(socket, head, sent)
    if (socket.writableLength === 0) return true
    afterDrain(socket, this.#backlog, taken)
    return false
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
  status === 200 ? 'HTTP/1.1 200 OK\r\n' : `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\n`

function writeBoth(socket: Socket, head: string, body: string | Uint8Array): void {
  const text = oneByteText(body)
  if (text !== undefined) socket.write(head + text, 'latin1')
  else {
    socket.cork()
    socket.write(head)
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

const isBodiless = ({ method }: { readonly method?: string | undefined }, { status }: Answer): boolean =>
  method === 'HEAD' || status === 304 || status === 204

/** The text, or the single piece of bytes. */
const join = (parts: readonly Part[]): Part => (parts.length === 1 ? (parts[0] ?? '') : parts.join(''))

/** Up to this size, copying into one write is cheaper than a second write. */
const ONE_WRITE_BYTES_MAX = 16 * 1024

/** The body as a string with one byte per character; undefined if there is none, or if it is too large to copy. */
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

const GONE: Sink = { write: async () => false, end() {} }

const sinkOf = (response: ServerResponse, backlog: OutboundBudget): Sink => ({
  write(text) {
    backlog.check(Buffer.byteLength(text))
    return new Promise((resolve) => writeChunked(response, [text], backlog, resolve))
  },
  end(text) {
    writeChunked(response, [text], backlog, (taken) => {
      if (taken) response.end()
    })
  },
})
