// Requests and answers as the handlers see them: plain data, without fastify and sockets.

import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { Revision } from '../../kv/index.ts'
import type { Classified } from './classify.ts'
import { type ApiError, problemDocument, retryAfterSeconds } from './problem.ts'
import type { Part } from './response-budget.ts'

export interface ApiRequest extends Classified {
  readonly method: string
  /** Raw, still percent-encoded. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** Deadline of the answer, on the clock of `performance.now()`. */
  readonly deadline: number
  /** The client has closed its connection. Nobody will read the answer. */
  readonly isAbandoned: () => boolean
}

export const timeLeftMs = ({ deadline }: Pick<ApiRequest, 'deadline'>): number =>
  Math.max(1, deadline - performance.now())

/** The receiver of a streamed body. */
export interface Sink {
  /**
   * Resolves to true when the client has taken the piece, and to false when the client is gone. Throws `Refused` if too
   * many bytes already wait for other clients.
   */
  write(text: string): Promise<boolean>
  end(text: string): void
}

/** `pour` is called exactly once, even if the client is already gone. */
interface Poured {
  readonly pour: (sink: Sink) => void
}

/** The body is written while the client listens. `stream` is called exactly once; undefined: nobody will read it. */
interface Streamed {
  readonly stream: (to: ServerResponse | undefined) => void
}

type Whole = string | Uint8Array | readonly string[]
export type Body = Whole | Poured | Streamed

export const isPoured = (body: Body): body is Poured => typeof body === 'object' && 'pour' in body

export const isStreamed = (body: Body): body is Streamed => typeof body === 'object' && 'stream' in body

export const partsOf = (body: Whole): readonly Part[] =>
  typeof body === 'string' || body instanceof Uint8Array ? [body] : body

export interface Answer {
  readonly status: number
  /** Flat: name, value, name, value, … */
  readonly headers: readonly string[]
  readonly body: Body
  /** The revision that the answer reflects; the node's newest unless given. */
  readonly revision: Revision | undefined
}

/** Receives the answer or an error. A `Refused` becomes its problem, any other error status 500. */
export type Respond = (answer: Answer | Error) => void

/** Answers exactly once, now or later. May throw before it has answered. */
export type Handler = (request: ApiRequest, respond: Respond) => void

export const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)))

/** A callback. If it throws, the error becomes the answer. */
export const answering =
  <T>(respond: Respond, then: (value: T) => void) =>
  (value: T): void => {
    try {
      then(value)
    } catch (error) {
      respond(asError(error))
    }
  }

export const jsonAnswer = (body: string, headers: readonly string[] = [], revision?: Revision): Answer => ({
  status: 200,
  headers: ['Content-Type', 'application/json', ...headers],
  body,
  revision,
})

export function problemAnswer(refused: ApiError): Answer {
  const document = problemDocument(refused)
  const headers = ['Content-Type', 'application/problem+json', ...refused.headers]
  const seconds = retryAfterSeconds(refused.code)
  if (seconds !== undefined) headers.push('Retry-After', String(seconds))
  return { status: document.status, headers, body: JSON.stringify(document), revision: refused.revision }
}
