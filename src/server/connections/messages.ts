// The requests and responses of HTTP as plain data, whichever reader a request came through.

import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { Span, SpanContext } from '@opentelemetry/api'
import type { ApiError, ApiErrorCode } from '../../operations/forms/index.ts'
import type { UnencodedResponse, WholeResponse } from '../../operations/http/form.ts'
import { takeTimeout } from '../../operations/http/parameters.ts'
import type { Operation } from '../../operations/index.ts'
import type { BudgetPart, OutboundBudget, Reservation } from '../api/budget.ts'
import type { Call, PageCollector, Permit, Principal } from '../api/call.ts'
import { abandoned } from '../api/errors.ts'
import { answerWithinMs } from '../api/limits.ts'
import { newerWithinMs } from '../api/permit.ts'
import type { ClientConnection } from '../clients/client-connection.ts'
import { checkServed, FOR_USERS, type Opening, type Wanted } from '../clients/gate.ts'
import type { RequestHead } from '../clients/guard.ts'
import type { WatchSink } from '../node/watch/index.ts'
import { parseTarget, type Target } from './target.ts'

export interface BodyLimits {
  readonly bytesMax: number
  /** The error code for a larger body. */
  readonly tooLarge: ApiErrorCode
  readonly timeoutMs: number
}

/** A body, from either reader. */
export interface RequestBody {
  /**
   * Passes the whole body to `done`, which is called once, now or later. If the body is refused, the response drops
   * it.
   */
  read(limits: BodyLimits, done: (result: Uint8Array | ApiError) => void): void
  /** The body will not be read. */
  drop(): void
  /**
   * Reads the body while the response is sent. Calls `arrived` when something may be taken, also at once. What is not
   * taken counts as waiting, so the connection is not read far ahead.
   */
  follow(arrived: () => void): FollowedBody
}

/** A body that is read as it arrives. */
export interface FollowedBody {
  /** The bytes that have arrived since the last time. Throws `ApiError` if the rest will not arrive. */
  take(): Uint8Array
  /** Nothing more will arrive. */
  readonly isOver: boolean
  /** The rest will not be read. */
  drop(): void
}

/** The head of a request with its raw target. */
export interface RequestStart extends RequestHead {
  readonly url: string
}

/** The records of a page in JSON. */
export interface PageSlices {
  readonly slices: readonly (string | Buffer)[]
}

/** The reader of a request. */
export interface ResponseSink {
  /** Whether the client has disconnected. */
  readonly isAbandoned: () => boolean
  /** Sends the response to `request`. */
  readonly send: (request: HttpRequest, response: HttpResponse) => void
}

/** A request, whichever reader has read it, from its arrival to its response. */
export class HttpRequest implements Call, Opening {
  /** Largest number of bytes of JSON for one byte of a key or a value. */
  readonly expansion = 6
  readonly method: string
  readonly target: Target
  readonly httpVersion: string
  readonly headers: IncomingHttpHeaders
  readonly hosts: number
  readonly body: RequestBody
  readonly connection: ClientConnection
  /** Arrival of the first byte, on the clock of `performance.now()`. */
  readonly startedAt: number
  readonly sink: ResponseSink
  /** The Authorization header, in the form of HTTP. */
  authorization: string | undefined
  /** The facts of its route, as soon as that is known. */
  wanted: Omit<Wanted, 'decode'> = FOR_USERS
  deadline: number
  /** Parameters of the query, except the key and, after `check`, the timeout. */
  pairs: readonly string[]
  /** Headers of every response to this client. */
  extra: readonly string[] = []
  isAnswered = false
  /** Rights are checked, and its client is no user: its answer ends the connection. */
  isUnauthenticated = false
  isUnidentified = false
  page: (PageCollector & PageSlices) | undefined
  withdraw: (() => void) | undefined
  operation: Operation | undefined
  principal: Principal | undefined
  permit: Permit | undefined
  /** undefined: it is not recorded. */
  span: Span | undefined
  /** The route that it has matched, beside those of keys. */
  route: string | undefined
  /** Its name in metrics, if it is not that of its target. */
  metricName?: string
  room: Reservation | undefined
  /** Check of what its API demands of the head, beside what all requests need. Throws. */
  checkForm: (() => void) | undefined
  /** Makes the response of an error, if its API has a form of its own for errors. */
  encodeError: ((error: unknown) => HttpResponse) | undefined
  openSink?: () => WatchSink

  constructor(
    { method, url, httpVersion, headers, hosts }: RequestStart,
    body: RequestBody,
    connection: ClientConnection,
    startedAt: number,
    sink: ResponseSink,
  ) {
    this.method = method
    this.target = parseTarget(method, url)
    this.httpVersion = httpVersion
    this.headers = headers
    this.hosts = hosts
    this.body = body
    this.connection = connection
    this.startedAt = startedAt
    this.sink = sink
    this.authorization = headers.authorization
    this.deadline = startedAt
    this.pairs = this.target.pairs
  }

  get trace(): SpanContext | undefined {
    return this.span?.spanContext()
  }

  holdRoom(reservation: Reservation): void {
    this.room = reservation
  }

  isAbandoned(): boolean {
    return this.sink.isAbandoned()
  }

  origin(): { readonly method: string; readonly address: string } {
    return { method: this.method, address: this.connection.address }
  }

  /** A method: a closure for each request would survive collections, and cost a fifth of the gets a second. */
  checkServed(): void {
    checkServed(this.connection, this.wanted)
  }

  /** Its client has logged in: the connection stays. */
  identified(): void {
    this.isUnauthenticated = false
    this.connection.identified()
  }

  get cluster(): string | readonly string[] | undefined {
    return this.headers['kv-cluster']
  }

  newerWithinMs(): number {
    return newerWithinMs(this)
  }

  /** Takes the timeout out of the query. Throws `ApiError`. */
  check(): void {
    this.checkForm?.()
    const { timeoutMs, others } = takeTimeout(this.pairs)
    this.pairs = others
    this.deadline = this.startedAt + answerWithinMs(timeoutMs)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Responses

/** The receiver of a streamed body. */
export interface BodySink {
  /**
   * Resolves to true when the client has taken the part, and to false when the client is gone. Throws `ApiError` if too
   * many bytes already wait for other clients. `hasRoom`: its writer has waited for room.
   */
  write(part: BudgetPart, hasRoom?: boolean): Promise<boolean>
  end(text: string): void
  /** Cuts the connection: half of a body is no response. */
  cut(): void
}

/** A body that is read while the client takes it. `writeTo` is called exactly once, even if the client is gone. */
interface SlicedBody {
  readonly writeTo: (sink: BodySink) => void
}

/** A body without an end. `stream` is called exactly once; without `to` the body is discarded. */
interface StreamedBody {
  readonly stream: (to: ServerResponse | undefined) => void
}

export type BufferedBody = string | Uint8Array | readonly (string | Buffer)[]
type ResponseBody = BufferedBody | SlicedBody | StreamedBody

export const isSliced = (body: ResponseBody): body is SlicedBody =>
  typeof body === 'object' && 'writeTo' in body

export const isStreamed = (body: ResponseBody): body is StreamedBody =>
  typeof body === 'object' && 'stream' in body

export const bodyParts = (body: BufferedBody): readonly BudgetPart[] =>
  typeof body === 'string' || body instanceof Uint8Array ? [body] : body

export const isEncoded = (response: HttpResponse | UnencodedResponse): response is HttpResponse =>
  typeof response.body !== 'object' || !('parts' in response.body)

/** Characters of a part of a body that is encoded in several turns. */
const PART_CHARACTERS = 64 * 1024

/**
 * Encodes the body, unless its client is gone. Calls `done` or `failed` once: now, if that takes little time, or later.
 */
export function encodeBody(
  response: UnencodedResponse,
  call: Pick<Call, 'isAbandoned'>,
  outbound: OutboundBudget,
  done: (response: HttpResponse) => void,
  failed: (error: unknown) => void,
): void {
  const from = response.body.parts[Symbol.iterator]()
  const parts: Buffer[] = []
  let part = ''
  let counted = 0
  const uncount = (): void => {
    outbound.remove(counted)
    counted = 0
  }
  const step = (): void => {
    try {
      if (call.isAbandoned()) throw abandoned()
      for (let next = from.next(); !next.done; next = from.next()) {
        part += next.value
        if (part.length < PART_CHARACTERS) continue
        const bytes = Buffer.from(part)
        parts.push(bytes)
        counted += bytes.length
        outbound.add(bytes.length)
        part = ''
        outbound.turns.run(step)
        return
      }
      // Its writer counts it from here on.
      uncount()
      done({ ...response, body: parts.length === 0 ? part : [...parts, part] })
    } catch (error) {
      uncount()
      failed(error)
    }
  }
  outbound.turns.run(step)
}

/** Encodes the whole body at once, if it is not encoded yet. */
export const encodeWhole = (response: HttpResponse | UnencodedResponse): HttpResponse =>
  isEncoded(response) ? response : { ...response, body: [...response.body.parts].join('') }

export interface HttpResponse extends Omit<WholeResponse, 'body'> {
  readonly body: ResponseBody
}
