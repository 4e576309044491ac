// An operation as the engine and the transports see it: its facts, and its forms at a client. A call passes the
// definition of its operation with the request, so a client loads only the operations that it calls.

import type { HttpAnswerForm, OperationFacts, Repeat } from '../operations/definition.ts'
import type { AnswerHead } from '../operations/forms/answer-head.ts'
import type { Idempotency } from '../operations/forms/index.ts'
import type { OutgoingRequest } from '../operations/http/requests.ts'
import type { Item, MuxRequestForm } from '../operations/mux/form.ts'

export interface OperationRequest {
  readonly kind: string
  /** Changes that may be sent again by their name have this field. */
  readonly idempotency?: Idempotency | undefined
}

/** The facts that a client reads. */
type ClientFacts<Q> = Pick<
  OperationFacts<Q>,
  'effect' | 'repeat' | 'needsLeader' | 'hashesPassword' | 'isStreamed' | 'isEndless' | 'resource'
>

/** The definition of an operation with requests `Q`, whose result is `R`. */
export interface ClientOperation<Q extends OperationRequest, R> extends ClientFacts<Q> {
  /** Without `decodeResult`, every answer that is served is a stream. */
  readonly http: Partial<HttpAnswerForm<Q, R>> & { readonly encode: (request: Q) => OutgoingRequest }
  /** undefined: multiplexed connections do not carry it. */
  readonly mux?: ClientItemForm<Q, R>
}

export interface ClientItemForm<Q extends OperationRequest, R>
  extends Pick<MuxRequestForm<Q>, 'encode' | 'carries' | 'credit' | 'size'> {
  readonly decodeResult: (item: Item, request: Q) => R
  readonly decodeHead: (item: Item, request: Q) => AnswerHead
}

/** How the request may be sent again. */
export const findRepeat = <Q extends OperationRequest>(
  { effect, repeat }: ClientOperation<Q, unknown>,
  request: Q,
): Repeat => repeat?.(request) ?? (effect === 'read' ? 'freely' : 'never')

/** A transaction counts as a change, also if it only reads. */
export const isChange = ({ effect }: Pick<OperationFacts<never>, 'effect'>): boolean => effect === 'change'

/** Whether the leader takes part: in each change, and in some reads. */
export const needsLeader = <Q extends OperationRequest>(
  operation: ClientOperation<Q, unknown>,
  request: Q,
): boolean => isChange(operation) || operation.needsLeader?.(request) === true

/** Whether the answer in HTTP is a stream. */
export const isStreamed = <Q extends OperationRequest>(
  operation: ClientOperation<Q, unknown>,
  request: Q,
): boolean => operation.isStreamed?.(request) === true

/** The form in which multiplexed connections carry the request; undefined: they do not. */
export const findItemForm = <Q extends OperationRequest, R>(
  { mux }: ClientOperation<Q, R>,
  request: Q,
): ClientItemForm<Q, R> | undefined => (mux?.carries?.(request) === false ? undefined : mux)
