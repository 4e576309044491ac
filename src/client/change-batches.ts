// Puts and deletes that begin in the same turn of the event loop become one batch: one request, one entry of the log,
// one write id. The cluster spends less on it than on as many entries, and so does the client.
//
// A batch stands above the call engine, because its write id makes it the unit of a retry: changes that were sent as
// one request must be sent again as that request. It is open until a transport encodes it, at the end of the turn.

import { type BatchRequest, batch, type DecodedBatch } from '../operations/batch.ts'
import { type DeleteOutcome, type DeleteRequest, del } from '../operations/delete.ts'
import type { AnswerHead } from '../operations/forms/answer-head.ts'
import { judgeProblem } from '../operations/forms/answers.ts'
import { DisagreementError, type Fields, isWholeNumber } from '../operations/forms/disagreement.ts'
import type { ProblemAnswer } from '../operations/forms/problems.ts'
import type { Item } from '../operations/mux/form.ts'
import { type PutOutcome, type PutRequest, put } from '../operations/put.ts'
import type { CallEngine, ClientCall } from './call-engine.ts'
import { problemError } from './call-error.ts'
import { CallSpan } from './call-span.ts'
import { unexpected } from './decode.ts'
import type { Endpoint } from './endpoints.ts'
import {
  AbortedError,
  PreconditionFailedError,
  QuorateError,
  UnavailableError,
  UnreachableError,
} from './errors.ts'
import type { ClientItemForm, ClientOperation, OperationRequest } from './operation.ts'
import { leastMs } from './retry-policy.ts'
import { resultFrom } from './transport/transport.ts'
import type { DeleteResult, PutResult } from './types.ts'

export const BATCH_CHANGES_MAX = 256
export const BATCH_BYTES_MAX = 128 * 1024
/** A batch has one deadline: its changes begin within this share of their timeout. */
const SPREAD_SHARE = 0.01

/** A change of one key. */
export type ChangeRequest = (PutRequest | DeleteRequest) & { readonly prev: false }

/** The bytes of its key and value. */
const bytesOfChange = (change: ChangeRequest): number =>
  change.key.length + (change.kind === 'put' ? change.value.length : 0)

/** Limits of a change that has acquired its permit. */
interface ChangeLimits extends Pick<ClientCall, 'startedAt' | 'timeoutMs' | 'signal' | 'span'> {
  readonly waitedMs: number
}

export class ChangeBatches {
  readonly #engine: CallEngine
  #open: Batch | undefined

  constructor(engine: CallEngine) {
    this.#engine = engine
  }

  /** Makes a change, alone or with others. */
  run(change: ChangeRequest, timeoutMs: number, signal: AbortSignal | undefined): Promise<ChangeResult> {
    const span = CallSpan.begin(change.kind === 'put' ? put : del, change)
    const result = this.#run(change, timeoutMs, signal, span)
    return span === undefined ? result : span.during(result)
  }

  async #run(
    change: ChangeRequest,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    span: CallSpan | undefined,
  ): Promise<ChangeResult> {
    const call = { startedAt: performance.now(), timeoutMs, signal, span }
    const limits = { ...call, waitedMs: await this.#engine.acquire(call, 'by-id') }
    const open = this.#open
    if (open?.takes(change, limits) === true) return open.add(change, span)
    const { mux, writeIds } = this.#engine.options
    const isBatched = signal?.aborted !== true && mux?.isReady(performance.now()) === true
    const writeId = isBatched ? writeIds.next() : undefined
    if (writeId === undefined || !('session' in writeId)) return this.#alone(change, limits)
    const batch = new Batch(change, limits)
    this.#open = batch
    const result = batch.add()
    void this.#send(batch, { ...call, seal: () => batch.seal(), writeId }, limits)
    return result
  }

  async #send(batch: Batch, call: ClientCall, limits: ChangeLimits): Promise<void> {
    const { changes, request } = batch
    const { options } = this.#engine
    try {
      const answer = await this.#engine.perform(CHANGES, request, call, limits.waitedMs)
      const { endpoint, head } = answer
      const results = resultFrom(answer).outcomes.map((outcome) =>
        'problem' in outcome
          ? errorOfChange(outcome.problem, head.node, endpoint)
          : changeResult(outcome, outcome.kind === 'put' ? outcome.modRevision : outcome.revision),
      )
      this.#release(limits, changes.length)
      batch.settle(results)
    } catch (thrown) {
      const error = asErrorOfBatch(changes, thrown)
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
    batch.settle(batch.changes.map((change) => this.#alone(change, limits)))
  }

  async #alone(change: ChangeRequest, limits: ChangeLimits): Promise<ChangeResult> {
    try {
      const engine = this.#engine
      const answer =
        change.kind === 'put'
          ? await engine.perform(put, change, limits, limits.waitedMs)
          : await engine.perform(del, change, limits, limits.waitedMs)
      return changeResult(resultFrom<PutOutcome | DeleteOutcome>(answer))
    } finally {
      this.#release(limits, 1)
    }
  }

  #release({ startedAt, waitedMs }: ChangeLimits, calls: number): void {
    this.#engine.limiter.releaseAfter(performance.now() - startedAt - waitedMs, calls)
  }
}

/** A batch and the callers of its changes. */
class Batch {
  readonly changes: ChangeRequest[]
  readonly request: BatchRequest
  /** Total of all keys and values. */
  #bytes: number
  /** It was encoded, so it must not grow: a retry is the same request. */
  #isSealed = false
  readonly #limits: ChangeLimits
  readonly #resolves: ((result: ChangeResult | Promise<ChangeResult>) => void)[] = []
  readonly #rejects: ((error: unknown) => void)[] = []

  constructor(change: ChangeRequest, limits: ChangeLimits) {
    this.changes = [change]
    this.request = { kind: 'batch', commands: this.changes, idempotency: undefined }
    this.#bytes = bytesOfChange(change)
    this.#limits = limits
  }

  takes(change: ChangeRequest, { startedAt, timeoutMs, signal }: ChangeLimits): boolean {
    const limits = this.#limits
    return (
      !this.#isSealed &&
      limits.signal === signal &&
      limits.timeoutMs === timeoutMs &&
      Math.abs(limits.startedAt - startedAt) <= timeoutMs * SPREAD_SHARE &&
      this.changes.length < BATCH_CHANGES_MAX &&
      this.#bytes + bytesOfChange(change) <= BATCH_BYTES_MAX
    )
  }

  seal(): void {
    this.#isSealed = true
  }

  /** The result of the added change; without one, of the first. */
  add(change?: ChangeRequest, span?: CallSpan): Promise<ChangeResult> {
    if (change !== undefined) {
      if (span !== undefined && this.#limits.span !== undefined) span.joins(this.#limits.span)
      this.changes.push(change)
      this.#bytes += bytesOfChange(change)
    }
    return new Promise((resolve, reject) => {
      this.#resolves.push(resolve)
      this.#rejects.push(reject)
    })
  }

  settle(results: readonly (ChangeResult | QuorateError | Promise<ChangeResult>)[]): void {
    for (const [at, result] of results.entries()) {
      if (result instanceof QuorateError) this.#rejects[at]?.(result)
      else this.#resolves[at]?.(result)
    }
  }

  fail(error: unknown): void {
    for (const reject of this.#rejects) reject(error)
  }
}

/**
 * Conditions belong to individual changes, never to a batch. A node that reports a failed condition for a batch says
 * nothing about the outcome.
 */
const asErrorOfBatch = (changes: readonly ChangeRequest[], error: unknown): unknown =>
  error instanceof PreconditionFailedError && changes.length > 1
    ? unexpected(new DisagreementError('a batch has no condition'), error.endpoint ?? '', 'unknown')
    : error

/** The batch was refused. Its changes may be accepted one by one. */
const isOfBatchOnly = (error: unknown): error is QuorateError =>
  error instanceof QuorateError &&
  error.written === 'no' &&
  error.code !== 'unauthenticated' &&
  !(error instanceof UnavailableError || error instanceof UnreachableError || error instanceof AbortedError)

type ChangeResult = PutResult | DeleteResult

/** The outcome of a change as the application receives it. */
function changeResult(
  outcome: PutOutcome | DeleteOutcome,
  revision: number = outcome.revision,
): ChangeResult {
  if (outcome.kind === 'delete') return { deleted: outcome.deleted, revision }
  const { createRevision, modRevision, version } = outcome
  return { revision, createRevision, modRevision, version }
}

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

type BatchOrChange = DecodedBatch | PutOutcome | DeleteOutcome

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
