// Puts and deletes that begin in the same turn of the event loop become one batch: one request, one entry of the log,
// one write id. The cluster spends less on it than on as many entries, and so does the client.
//
// A batch stands above the call engine, because its write id makes it the unit of a retry: changes that were sent as
// one request must be sent again as that request. It is open until a transport encodes it, at the end of the turn.

import { type BatchRequest, batch, commandBytes, type DecodedBatch } from '../operations/batch.ts'
import { type DeleteOutcome, type DeleteRequest, del } from '../operations/delete.ts'
import type { AnswerHead } from '../operations/forms/answer-head.ts'
import { judgeProblem } from '../operations/forms/answers.ts'
import { DisagreementError, type Fields, isWholeNumber } from '../operations/forms/decode.ts'
import type { ProblemAnswer } from '../operations/forms/problems.ts'
import type { Item } from '../operations/mux/form.ts'
import { type PutOutcome, type PutRequest, put } from '../operations/put.ts'
import type { CallEngine, ClientCall } from './call-engine.ts'
import { problemError } from './call-error.ts'
import { CallSpan } from './call-span.ts'
import type { ClientItemForm, ClientOperation, OperationRequest } from './client-operation.ts'
import { unexpected } from './decode.ts'
import type { Endpoint } from './endpoints.ts'
import {
  AbortedError,
  PreconditionFailedError,
  QuorateError,
  UnavailableError,
  UnreachableError,
} from './errors.ts'
import { leastMs } from './retry-policy.ts'
import type { MuxTransport } from './transport/mux-transport.ts'
import { resultFrom } from './transport/transport.ts'
import type { DeleteResult, PutResult } from './types.ts'

export const BATCH_CHANGES_MAX = 256
export const BATCH_BYTES_MAX = 128 * 1024
/** A batch has one deadline: its changes begin within this share of their timeout. */
const SPREAD_SHARE = 0.01

/** A change of one key. */
export type ChangeRequest = (PutRequest | DeleteRequest) & { readonly prev: false }

type ChangeOutcome = PutOutcome | DeleteOutcome

/** An operation that changes one key, and the result that its caller receives. */
export interface ChangeForm<Q extends ChangeRequest, R> {
  readonly operation: ClientOperation<Q, ChangeOutcome>
  readonly resultFrom: (outcome: ChangeOutcome) => R
}

export const PUT: ChangeForm<PutRequest & { readonly prev: false }, PutResult> = {
  operation: put,
  resultFrom(outcome) {
    if (outcome.kind !== 'put') throw new Error('a put has the outcome of a delete')
    const { revision, createRevision, modRevision, version } = outcome
    return { revision, createRevision, modRevision, version }
  },
}

export const DELETE: ChangeForm<DeleteRequest & { readonly prev: false }, DeleteResult> = {
  operation: del,
  resultFrom(outcome) {
    if (outcome.kind !== 'delete') throw new Error('a delete has the outcome of a put')
    return { deleted: outcome.deleted, revision: outcome.revision }
  },
}

/** Limits of a change that has acquired its permit. */
interface ChangeLimits extends Pick<ClientCall, 'startedAt' | 'timeoutMs' | 'signal' | 'span'> {
  readonly waitedMs: number
}

export class ChangeBatches {
  readonly #engine: CallEngine
  readonly #mux: MuxTransport
  #open: Batch | undefined

  constructor(engine: CallEngine, mux: MuxTransport) {
    this.#engine = engine
    this.#mux = mux
  }

  /** Makes a change, alone or with others. */
  run<Q extends ChangeRequest, R>(
    form: ChangeForm<Q, R>,
    request: NoInfer<Q>,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<R> {
    const span = CallSpan.begin(form.operation, request)
    const result = this.#run(form, request, timeoutMs, signal, span)
    return span === undefined ? result : span.during(result)
  }

  async #run<Q extends ChangeRequest, R>(
    form: ChangeForm<Q, R>,
    request: Q,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    span: CallSpan | undefined,
  ): Promise<R> {
    const call = { startedAt: performance.now(), timeoutMs, signal, span }
    const limits = { ...call, waitedMs: await this.#engine.acquire(call, 'by-id') }
    const open = this.#open
    if (open?.takes(request, limits) === true) {
      const change = new BatchedChange(form, request)
      open.add(change, span)
      return change.result
    }
    const { writeIds } = this.#engine.options
    const isBatched = signal?.aborted !== true && this.#mux.isReady(performance.now())
    const writeId = isBatched ? writeIds.next() : undefined
    if (writeId === undefined || !('session' in writeId)) return this.#alone(form, request, limits)
    const change = new BatchedChange(form, request)
    const batch = new Batch(change, limits)
    this.#open = batch
    void this.#send(batch, { ...call, seal: () => batch.seal(), writeId }, limits)
    return change.result
  }

  async #send(batch: Batch, call: ClientCall, limits: ChangeLimits): Promise<void> {
    const { changes, request } = batch
    const { options } = this.#engine
    try {
      const answer = await this.#engine.perform(CHANGES, request, call, limits.waitedMs)
      const { endpoint, head } = answer
      const outcomes = resultFrom(answer).outcomes.map((outcome) =>
        'problem' in outcome ? errorOfChange(outcome.problem, head.node, endpoint) : outcome,
      )
      this.#release(limits, changes.length)
      for (const [at, outcome] of outcomes.entries()) changes[at]?.settle(outcome)
    } catch (thrown) {
      const error = asErrorOfBatch(changes.length, thrown)
      if (changes.length > 1 && isOfBatchOnly(error)) this.#splitUp(batch, limits, error)
      else {
        this.#release(limits, changes.length)
        batch.fail(error)
      }
    } finally {
      if (call.writeId !== undefined) options.writeIds.release(call.writeId)
      if (this.#open === batch) this.#open = undefined
    }
  }

  /** Nothing of the batch was written. Each change is made by itself, if there is time for it. */
  #splitUp(batch: Batch, limits: ChangeLimits, cause: QuorateError): void {
    const leftMs = limits.startedAt + limits.timeoutMs - performance.now()
    if (leftMs < leastMs(false, limits.timeoutMs, 0)) {
      this.#release(limits, batch.changes.length)
      const message = `it was refused with others (${cause.message}), and there was no time to make it by itself`
      batch.fail(new UnavailableError(message, { code: 'timeout', written: 'no', cause }))
      return
    }
    const alone: ChangePerformer = (form, request) => this.#alone(form, request, limits)
    for (const change of batch.changes) change.perform(alone)
  }

  async #alone<Q extends ChangeRequest, R>(
    { operation, resultFrom: changeResultFrom }: ChangeForm<Q, R>,
    request: Q,
    limits: ChangeLimits,
  ): Promise<R> {
    try {
      const answer = await this.#engine.perform(operation, request, limits, limits.waitedMs)
      return changeResultFrom(resultFrom(answer))
    } finally {
      this.#release(limits, 1)
    }
  }

  #release({ startedAt, waitedMs }: ChangeLimits, calls: number): void {
    this.#engine.limiter.releaseAfter(performance.now() - startedAt - waitedMs, calls)
  }
}

type ChangePerformer = <Q extends ChangeRequest, R>(form: ChangeForm<Q, R>, request: Q) => Promise<R>

/** A change of a batch, as the batch sees it. */
interface BatchMember {
  readonly request: ChangeRequest
  settle(outcome: ChangeOutcome | QuorateError): void
  /** Leaves the batch: `performer` makes the change. */
  perform(performer: ChangePerformer): void
  fail(error: unknown): void
}

class BatchedChange<Q extends ChangeRequest, R> implements BatchMember {
  readonly request: Q
  readonly result: Promise<R>
  readonly #form: ChangeForm<Q, R>
  readonly #resolve: (result: R | Promise<R>) => void
  readonly #reject: (error: unknown) => void

  constructor(form: ChangeForm<Q, R>, request: Q) {
    this.request = request
    this.#form = form
    const { promise, resolve, reject } = Promise.withResolvers<R>()
    this.result = promise
    this.#resolve = resolve
    this.#reject = reject
  }

  settle(outcome: ChangeOutcome | QuorateError): void {
    if (outcome instanceof QuorateError) this.#reject(outcome)
    else this.#resolve(this.#form.resultFrom(outcome))
  }

  perform(performer: ChangePerformer): void {
    this.#resolve(performer(this.#form, this.request))
  }

  fail(error: unknown): void {
    this.#reject(error)
  }
}

/** Changes that are one request. */
class Batch {
  readonly changes: BatchMember[]
  readonly request: BatchRequest
  readonly #commands: ChangeRequest[]
  /** Total of all keys and values. */
  #bytes: number
  /** It was encoded, so it must not grow: a retry is the same request. */
  #isSealed = false
  readonly #limits: ChangeLimits

  constructor(first: BatchMember, limits: ChangeLimits) {
    this.changes = [first]
    this.#commands = [first.request]
    this.request = { kind: 'batch', commands: this.#commands, idempotency: undefined }
    this.#bytes = commandBytes(first.request)
    this.#limits = limits
  }

  takes(request: ChangeRequest, { startedAt, timeoutMs, signal }: ChangeLimits): boolean {
    const limits = this.#limits
    return (
      !this.#isSealed &&
      limits.signal === signal &&
      limits.timeoutMs === timeoutMs &&
      Math.abs(limits.startedAt - startedAt) <= timeoutMs * SPREAD_SHARE &&
      this.changes.length < BATCH_CHANGES_MAX &&
      this.#bytes + commandBytes(request) <= BATCH_BYTES_MAX
    )
  }

  seal(): void {
    this.#isSealed = true
  }

  add(change: BatchMember, span: CallSpan | undefined): void {
    if (span !== undefined && this.#limits.span !== undefined) span.joins(this.#limits.span)
    this.changes.push(change)
    this.#commands.push(change.request)
    this.#bytes += commandBytes(change.request)
  }

  fail(error: unknown): void {
    for (const change of this.changes) change.fail(error)
  }
}

/**
 * Conditions belong to individual changes, never to a batch. A node that reports a failed condition for a batch says
 * nothing about the outcome.
 */
const asErrorOfBatch = (changes: number, error: unknown): unknown =>
  error instanceof PreconditionFailedError && changes > 1
    ? unexpected(new DisagreementError('a batch has no condition'), error.endpoint ?? '', 'unknown')
    : error

/** The batch was refused. Its changes may be accepted one by one. */
const isOfBatchOnly = (error: unknown): error is QuorateError =>
  error instanceof QuorateError &&
  error.written === 'no' &&
  error.code !== 'unauthenticated' &&
  !(error instanceof UnavailableError || error instanceof UnreachableError || error instanceof AbortedError)

/** Throws if nobody can read the problem: then no outcome of the batch is known. */
function errorOfChange(problem: ProblemAnswer, node: string | undefined, endpoint: Endpoint): QuorateError {
  if (isWholeNumber(problem.fields.status))
    return problemError(judgeProblem(problem), node, endpoint, 'by-id')
  throw unexpected(new DisagreementError('"status" is not a whole number'), endpoint.url, 'unknown')
}

// ---------------------------------------------------------------------------------------------------------------------
// The operation

/** A batch as it is sent: one of a single change is that change. */
const CHANGES: ClientOperation<BatchRequest, DecodedBatch> = {
  effect: batch.effect,
  repeat: batch.repeat,
  http: {
    encode: (request) => sentForm(request).encode(),
    decodeResult: (body, request, head) => sentForm(request).decodeResult(body, head),
  },
  mux: {
    credit: batch.mux.credit,
    size: batch.mux.size,
    encode: (id, timeoutMs, request) => sentForm(request).encodeItem(id, timeoutMs),
    decodeResult: (item, request) => sentForm(request).decodeItem(item),
    decodeHead: (item, request) => sentForm(request).decodeHead(item),
  },
}

function sentForm(request: BatchRequest) {
  const { commands, idempotency } = request
  const [change] = commands
  if (change === undefined || commands.length > 1) return requestForms(batch, request)
  return change.kind === 'put'
    ? requestForms(put, { ...change, idempotency })
    : requestForms(del, { ...change, idempotency })
}

type BatchOrChange = DecodedBatch | ChangeOutcome

/** The forms of one request. */
const requestForms = <Q extends OperationRequest>(
  {
    http,
    mux,
  }: {
    readonly http: Required<Pick<ClientOperation<Q, BatchOrChange>['http'], 'encode' | 'decodeResult'>>
    readonly mux: ClientItemForm<Q, BatchOrChange>
  },
  request: Q,
) => ({
  encode: () => http.encode(request),
  decodeResult: (body: Fields, head: AnswerHead) => asBatch(http.decodeResult(body, request, head)),
  encodeItem: (id: number, timeoutMs: number) => mux.encode(id, timeoutMs, request),
  decodeItem: (item: Item) => asBatch(mux.decodeResult(item, request)),
  decodeHead: (item: Item) => mux.decodeHead(item, request),
})

const asBatch = (result: BatchOrChange): DecodedBatch =>
  result.kind === 'batch' ? result : { kind: 'batch', revision: result.revision, outcomes: [result] }
