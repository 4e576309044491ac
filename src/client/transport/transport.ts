// The seam between the client's call engine and the wire. A transport carries one request to one node, once. It never
// retries, and it knows no rule about what may be retried: the engine (../call-engine.ts) decides from the outcome.

import type { SpanContext } from '@opentelemetry/api'
import type { NodeAnswerHead } from '../../operations/forms/answer-head.ts'
import type { RefusedAnswer, ServedAnswer, UnreadableAnswer } from '../../operations/forms/answers.ts'
import type { DecodedWatchMessage } from '../../operations/watch.ts'
import type { ClientOperation, OperationRequest } from '../client-operation.ts'
import type { Endpoint } from '../endpoints.ts'

export interface SendOptions {
  /** Time for the whole request. When it has passed, the request is given up. */
  readonly timeoutMs: number
  /** The request is given up when no byte of an answer arrives for this long. Default: `timeoutMs`. */
  readonly silenceMs?: number | undefined
  /** Called when `silenceMs` has passed. false: the request continues, and this is called again a little later. */
  readonly mayGiveUp?: (() => boolean) | undefined
  /** The request is given up when no connection is accepted for this long. */
  readonly connectMs?: number | undefined
  /** The request is given up when an accepted connection has no TLS for this long. */
  readonly handshakeMs?: number | undefined
  /** The time for looking up the host name is added to `connectMs`. */
  readonly waitsForLookup?: boolean | undefined
  /** Called before the request is encoded. It is a batch, which does not grow from then on. */
  readonly seal?: (() => void) | undefined
  /** How long a node may be silent in a watch that has begun. */
  readonly streamSilenceMs?: number | undefined
  /** The cluster that must answer. A node of another cluster refuses the request. */
  readonly clusterId?: string | undefined
  /** The Authorization header: who makes the request. */
  readonly authorization?: string | undefined
  /** The trace of the call, read when the request is encoded. undefined: nobody records. */
  readonly trace?: { readonly context: SpanContext } | undefined
  /** Gives the request up when it fires. */
  readonly signal?: AbortSignal | undefined
  /** The request keeps no process alive. */
  readonly background?: boolean | undefined
}

/** An answer that has begun and whose end is open: a watch, or a list of one revision. Its reader sets the limits. */
export interface StreamingAnswer {
  readonly kind: 'streaming'
  readonly head: NodeAnswerHead
  readonly stream: ByteStream | WatchMessages
}

/** Lines of JSON in chunks of any size. */
export interface ByteStream extends AsyncIterable<Buffer> {
  on(event: 'error', listener: (error: Error) => void): unknown
  destroy(error?: Error): unknown
}

/** Messages of a watch, which arrive whether or not they are read. */
export interface WatchMessages {
  messages(): AsyncIterable<DecodedWatchMessage>
  destroy(): void
}

/** A node, or another program, has answered. */
export type Answer<R = unknown> = ServedAnswer<R> | UnreadableAnswer | RefusedAnswer | StreamingAnswer

/** No node has the request: it was certainly not applied. */
export interface NotSent {
  readonly kind: 'not-sent'
  readonly cause: Error
  /** A connection was accepted, so the node can be reached. */
  readonly reached: boolean
  readonly timedOut: boolean
  /** Beginning of what another program has sent, which is not HTTP: no node listens there. */
  readonly greeting?: string | undefined
}

/** Bytes of the request may have reached a node, and no complete answer arrived. A change may have been applied. */
export interface MaybeApplied {
  readonly kind: 'maybe-applied'
  readonly cause: Error
  /** The limits were reached. Otherwise the connection broke, or the caller gave the request up. */
  readonly timedOut: boolean
}

/** Outcome of a request that was sent once. */
export type SendOutcome<R = unknown> = Answer<R> | NotSent | MaybeApplied

/** The answer that a call returns, and the endpoint that gave it. */
export type NodeAnswer<R = unknown> = (ServedAnswer<R> | StreamingAnswer) & { readonly endpoint: Endpoint }

export interface Transport {
  /**
   * Sends a request once. Never rejects. A request whose answer may have no end resolves when it begins.
   */
  send<Q extends OperationRequest, R>(
    endpoint: Endpoint,
    operation: ClientOperation<Q, R>,
    request: Q,
    options: SendOptions,
  ): Promise<SendOutcome<R>>
  /** The other side does not know a change by its name. So no change is sent again while its outcome is unknown. */
  readonly cannotNameChanges?: true
  /**
   * Ends idle connections to the endpoint that have carried no answer since that time of `performance.now()`. A request
   * has had no answer since then: whatever silences its connection, such as a firewall, may silence them too.
   */
  endIdle?(endpoint: Endpoint, since: number): void
  /** Number of requests without an outcome. */
  readonly inFlight: number
  /** Closes all connections. Requests in flight resolve soon, as given up. */
  close(): void
}

/** The result of a call whose answer is no stream. */
export function resultFrom<R>(answer: NodeAnswer<R>): R {
  if (answer.kind === 'served') return answer.result
  throw new Error('a stream has no result')
}
