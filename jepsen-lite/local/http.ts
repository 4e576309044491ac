// A minimal HTTP client: one request, at most one answer, no retries. It distinguishes the three cases that a history
// needs: an answer, a request of which no byte was sent, and a request with an unknown outcome.

import { Agent, request } from 'node:http'

export interface HttpRequest {
  readonly method: 'GET' | 'PUT' | 'DELETE' | 'POST'
  /** Path and query, as sent. */
  readonly target: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export type HttpEnd =
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly headers: Readonly<Record<string, string | string[] | undefined>>
      readonly body: string
    }
  /** There was no connection: no byte of the request was sent. */
  | { readonly kind: 'not-sent'; readonly why: string }
  /** The request may have been sent, completely or in part, and no complete answer came. */
  | { readonly kind: 'no-answer'; readonly why: string }

/** A client waits this much longer than the deadline, so that the server can answer what it knows at the deadline. */
const GRACE_MS = 500

/** One client with keep-alive connections: at most one to each address. */
export class HttpClient {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })

  /** `timeoutMs` is sent to the server as the deadline. Never rejects. */
  ask(port: number, asked: HttpRequest, timeoutMs: number): Promise<HttpEnd> {
    return new Promise((resolve) => {
      let connected = false
      const end = (why: string): void => {
        clearTimeout(timer)
        resolve(connected ? { kind: 'no-answer', why } : { kind: 'not-sent', why })
      }
      const { method, headers = {}, body = '' } = asked
      const separator = asked.target.includes('?') ? '&' : '?'
      const path = `${asked.target}${separator}timeout=${Math.round(timeoutMs)}ms`
      const length = method === 'GET' ? {} : { 'Content-Length': Buffer.byteLength(body) }
      const sent = request({
        host: '127.0.0.1',
        port,
        method,
        path,
        agent: this.#agent,
        headers: { ...headers, ...length },
      })
      const timer = setTimeout(() => sent.destroy(new Error('no answer in time')), timeoutMs + GRACE_MS)
      sent.on('socket', (socket) => {
        if (!socket.connecting) connected = true
        else
          socket.once('connect', () => {
            connected = true
          })
      })
      sent.on('error', (error) => end(codeOf(error)))
      sent.on('response', (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', (error) => end(codeOf(error)))
        response.on('end', () => {
          clearTimeout(timer)
          if (!response.complete) return end('the answer was cut short')
          const { statusCode: status = 0, headers: answered } = response
          resolve({ kind: 'answer', status, headers: answered, body: Buffer.concat(chunks).toString() })
        })
        response.on('close', () => end('the answer was cut short'))
      })
      sent.end(body)
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}

const codeOf = (error: Error): string =>
  'code' in error && typeof error.code === 'string' ? error.code : error.message
