// One request, at most one answer, no retries: the transport of the client library, without what the library builds on
// it. It distinguishes the three cases that a history needs: an answer, a request of which no byte was sent, and a
// request with an unknown outcome.

import { Endpoint } from '../../../../src/client/endpoints.ts'
import { TlsSource } from '../../../../src/client/tls.ts'
import { type HttpOutcome, HttpTransport } from '../../../../src/client/transport/http-transport.ts'
import type { ClientTls } from '../../../../src/client/types.ts'
import { localUrl } from '../../../../src/local/addresses.ts'
import type { AnswerHeaders } from '../../../../src/operations/http/answers.ts'
import { GRACE_MS } from '../wire.ts'

export interface ClientHttpRequest {
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
      readonly headers: AnswerHeaders
      readonly body: string
    }
  /** There was no connection: no byte of the request was sent. */
  | { readonly kind: 'not-sent'; readonly why: string }
  /** The request may have been sent, completely or in part, and no complete answer came. */
  | { readonly kind: 'no-answer'; readonly why: string }

/** One client. It keeps its connections open. */
export class HttpClient {
  readonly #transport: HttpTransport
  readonly #isSecure: boolean

  /** `tls`: requests are made over HTTPS. */
  constructor(tls?: ClientTls) {
    this.#transport = new HttpTransport({ tls: new TlsSource(tls) })
    this.#isSecure = tls !== undefined
  }

  /** `timeoutMs` is sent to the server as the deadline. Never rejects. */
  async send(port: number, request: ClientHttpRequest, timeoutMs: number): Promise<HttpEnd> {
    const { method, target, headers = {}, body = '' } = request
    const separator = target.includes('?') ? '&' : '?'
    const path = `${target}${separator}timeout=${Math.round(timeoutMs)}ms`
    const bytes = body === '' ? undefined : Buffer.from(body)
    const length = method === 'GET' ? {} : { 'Content-Length': String(bytes?.length ?? 0) }
    const outgoing = { method, path, headers: { ...headers, ...length }, body: bytes }
    const node = new Endpoint(new URL(localUrl(port, this.#isSecure)))
    return httpEndFrom(await this.#transport.exchange(node, outgoing, { timeoutMs: timeoutMs + GRACE_MS }))
  }

  close(): void {
    this.#transport.close()
  }
}

function httpEndFrom(outcome: HttpOutcome): HttpEnd {
  if (outcome.kind === 'streaming') throw new RangeError('no stream was requested')
  if (outcome.kind === 'answered') {
    const { status, headers, body } = outcome
    return { kind: 'answer', status, headers, body: new TextDecoder().decode(body) }
  }
  const { kind, timedOut, cause } = outcome
  const why = timedOut ? 'no answer in time' : errorCode(cause)
  return { kind: kind === 'maybe-applied' ? 'no-answer' : 'not-sent', why }
}

const errorCode = (error: Error): string =>
  'code' in error && typeof error.code === 'string' ? error.code : error.message
