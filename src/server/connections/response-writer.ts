// Writes responses: the headers that all responses share, and their bytes, to a bare socket or through node:http. Both
// write the same.

import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { http } from '../../system/node-http.ts'
import {
  afterDrain,
  type BudgetPart,
  byteLength,
  type OutboundBudget,
  PIECE_BYTES,
  writeChunked,
} from '../api/budget.ts'
import type { KvNode } from '../node/kv-node.ts'
import type { IncomingRequest } from './body.ts'
import {
  type BodySink,
  type BufferedBody,
  bodyParts,
  type HttpResponse,
  isSliced,
  isStreamed,
} from './messages.ts'

interface ResponseWriterOptions {
  readonly node: KvNode
  readonly outbound: OutboundBudget
  readonly outboundOfUnauthenticated: OutboundBudget
  readonly keepAliveMs: number
  /** The listener is closing: connections end with their response. */
  readonly isClosing: () => boolean
}

export class ResponseWriter {
  readonly #options: ResponseWriterOptions
  readonly #keepAlive: string
  /** The text that the heads of many responses share, and the values that it depends on. */
  #shared = { term: -1, leaderName: '', begin: '', end: '' }

  constructor(options: ResponseWriterOptions) {
    this.#options = options
    this.#keepAlive = keepAlive(options.keepAliveMs)
  }

  /** Writes a response through node:http. */
  writeToNode(
    incoming: IncomingRequest,
    answer: HttpResponse,
    extra: readonly string[],
    isUnauthenticated = false,
  ): void {
    const { request, response, body: received } = incoming
    const { body, status } = answer
    const { isClosing } = this.#options
    const outbound = isUnauthenticated ? this.#options.outboundOfUnauthenticated : this.#options.outbound
    received.drop()
    if (response.headersSent || response.destroyed) {
      // Half of another response is already sent. Only a broken connection shows the client that it failed.
      if (!response.writableEnded) response.destroy()
      if (isSliced(body)) body.writeTo(GONE)
      if (isStreamed(body)) body.stream(undefined)
      return
    }
    const headers = KV_PATH.test(request.url ?? '') ? this.#kvHeaders(answer) : []
    headers.push(...answer.headers, ...extra)
    if (isClosing()) headers.push('Connection', 'close')
    const bodiless = request.method === 'HEAD' || !hasLength(status)
    // After something that the parser cannot read, no further request can be read.
    if (received.isBroken) response.shouldKeepAlive = false

    if (isStreamed(body) || isSliced(body)) {
      response.writeHead(status, headers)
      if (bodiless) response.end()
      if (isStreamed(body)) body.stream(bodiless ? undefined : response)
      else body.writeTo(bodiless ? GONE : responseSink(response, outbound))
      return
    }
    const parts = bodyParts(body)
    if (hasLength(status)) headers.push('Content-Length', String(byteLength(parts)))
    response.writeHead(status, headers)
    if (bodiless) response.flushHeaders()
    // The response ends when the client has taken it, not before: node:http treats a connection with an ended response
    // as idle, and closes it when the server closes.
    writeChunked(response, bodiless ? [] : parts, outbound, (isSent) => {
      if (!isSent) return
      if (received.ended) response.end()
      else received.endWhenDropped(response)
    })
  }

  /**
   * Writes a response to a bare socket, whose request has arrived completely and is under /v1. Returns whether the
   * kernel has taken all of it. If not, `onSent` is called once, later: when the kernel has taken it, or the connection
   * is gone.
   */
  writeToSocket(
    socket: Socket,
    method: string,
    { body, status, headers, revision }: HttpResponse,
    extra: readonly string[],
    onSent: () => void,
    isLast: boolean,
  ): boolean {
    const { node, outbound } = this.#options
    if (isSliced(body) || isStreamed(body)) throw new Error('a stream needs node:http')
    const parts = bodyParts(body)
    const bytes = byteLength(parts)
    const whole = bytes > PIECE_BYTES ? '' : joinBody(body)
    const { begin, end } = this.#sharedNow()
    let head = `${statusLine(status)}${begin}${revision ?? node.revision}${end}`
    for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`
    for (let i = 0; i < extra.length; i += 2) head += `${extra[i]}: ${extra[i + 1]}\r\n`
    if (isLast) head += 'Connection: close\r\n'
    if (hasLength(status)) head += `Content-Length: ${bytes}\r\n`
    head += `Date: ${httpDate()}\r\n${isLast ? '' : this.#keepAlive}\r\n`
    if (method === 'HEAD' || bytes === 0 || !hasLength(status)) socket.write(head, 'latin1')
    else if (typeof whole === 'string' && bytes === whole.length && bytes <= PIECE_BYTES)
      // One byte for each character.
      socket.write(head + whole, 'latin1')
    else if (typeof whole !== 'string' && bytes <= ONE_WRITE_BYTES_MAX)
      socket.write(head + Buffer.from(whole.buffer, whole.byteOffset, bytes).toString('latin1'), 'latin1')
    else {
      socket.cork()
      socket.write(head)
      if (bytes > PIECE_BYTES) writeChunked(socket, parts, outbound, onSent)
      else socket.write(whole)
      socket.uncork()
      if (bytes > PIECE_BYTES) return false
    }
    if (socket.writableLength === 0) return true
    afterDrain(socket, outbound, onSent)
    return false
  }

  #sharedNow(): { readonly begin: string; readonly end: string } {
    const { node } = this.#options
    const { term, leaderName = '' } = node
    if (term !== this.#shared.term || leaderName !== this.#shared.leaderName) {
      const { clusterId, name } = node
      const begin = `Kv-Cluster: ${clusterId}\r\nKv-Node: ${name}\r\nKv-Term: ${term}\r\nKv-Revision: `
      const end = leaderName === '' ? '\r\n' : `\r\nKv-Leader: ${leaderName}\r\n`
      this.#shared = { term, leaderName, begin, end }
    }
    return this.#shared
  }

  #kvHeaders({ revision }: HttpResponse): string[] {
    const { node } = this.#options
    const { leaderName } = node
    return [
      'Kv-Cluster',
      node.clusterId,
      'Kv-Node',
      node.name,
      'Kv-Term',
      String(node.term),
      'Kv-Revision',
      String(revision ?? node.revision),
      ...(leaderName === undefined ? [] : ['Kv-Leader', leaderName]),
    ]
  }
}

/** Whether a target is under /v1, also if its letters are escaped, because fastify decodes paths. */
const KV_PATH = /^(?:[hH][tT]{2}[pP][sS]?:\/\/[^/?]*)?\/(?:v|%76)(?:1|%31)(?:[/?]|$)/

const statusLine = (status: number): string =>
  status === 200 ? 'HTTP/1.1 200 OK\r\n' : `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\n`

const keepAlive = (keepAliveMs: number): string =>
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

const hasLength = (status: number): boolean => status !== 304 && status !== 204

/** The text, or the single piece of bytes. */
const joinBody = (body: BufferedBody): BudgetPart =>
  typeof body === 'string' || body instanceof Uint8Array ? body : body.map(String).join('')

/** Up to this size, copying bytes into one write is cheaper than a second write. */
const ONE_WRITE_BYTES_MAX = 16 * 1024

const GONE: BodySink = { write: async () => false, end() {}, cut() {} }

const responseSink = (response: ServerResponse, budget: OutboundBudget): BodySink => ({
  write(part, hasRoom = false) {
    if (!hasRoom) budget.check(byteLength([part]))
    return new Promise((resolve) => writeChunked(response, [part], budget, resolve))
  },
  end(text) {
    writeChunked(response, [text], budget, (isSent) => {
      if (isSent) response.end()
    })
  },
  cut() {
    response.destroy()
  },
})
