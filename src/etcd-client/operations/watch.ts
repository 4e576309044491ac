// A watch: its messages, as those of a node.
//
// A watch must hear something regularly, so it requests progress. Until 3.4.25 and 3.5.8, an answer to that request may
// come before events of earlier revisions (etcd#15220). So it shows only that the member is alive. What a member
// reports by itself for a watch comes in order.
//
// Before 3.5.16, a watch from the compact revision begins, and the deletes of that revision are lost (etcd#18089). So a
// watch is requested from one revision earlier, whose events are left out. The member refuses it if its first revision
// is compacted.

import { UnavailableError } from '../../client/errors.ts'
import { after } from '../../client/timer.ts'
import type { WatchMessages } from '../../client/transport/transport.ts'
import {
  EVENT_DELETE,
  type Event,
  FILTER_NO_DELETE,
  FILTER_NO_PUT,
  type WatchCreateRequest,
  type WatchRequest as WatchMessage,
  type WatchResponse,
} from '../../etcd/messages/watch.ts'
import { RPC } from '../../etcd/rpcs.ts'
import { ETCD_ERRORS, GrpcError } from '../../etcd/status.ts'
import { disagree } from '../../operations/forms/decode.ts'
import { ApiError, asRevision, type KeyRow, type Revision } from '../../operations/forms/index.ts'
import { decodeProblem, problemDocument } from '../../operations/forms/problems.ts'
import type {
  DecodedEvent,
  DecodedWatchMessage,
  WatchedChanges,
  WatchRequest,
} from '../../operations/watch.ts'
import { decodeRow, encodeWhere, revisionFrom } from '../fields.ts'
import { ConnectionError, type GrpcStream } from '../grpc-client.ts'
import { problemFrom } from '../problems.ts'
import type { EtcdCalls, EtcdOperation } from './operation.ts'

export const watch: EtcdOperation<WatchRequest, unknown> = async ({ request }, calls) => {
  const { where, from = asRevision(0), only, prev } = request
  const stream = calls.duplex(RPC.watch)
  const createRequest: Partial<WatchCreateRequest> = {
    ...encodeWhere(where),
    startRevision: Math.max(Math.min(from, 1), from - 1),
    progressNotify: true,
    prevKv: prev,
    filters: only === undefined ? [] : [only === 'put' ? FILTER_NO_DELETE : FILTER_NO_PUT],
  }
  stream.send({ createRequest } as Partial<WatchMessage>)
  const responses = stream[Symbol.asyncIterator]()
  const { value: first } = await responses.next()
  if (first === undefined) return disagree('the stream of the watch has ended')
  if (first.canceled) {
    stream.cancel()
    throw refusal(first)
  }
  const { header } = first
  const revision = revisionFrom(header)
  const begins = from > 0 ? from : revision + 1
  return { stream: new EtcdWatch(stream, responses, request, calls, revision, begins), header }
}

class EtcdWatch implements WatchMessages {
  readonly #stream: GrpcStream<WatchMessage, WatchResponse>
  readonly #responses: AsyncIterator<WatchResponse>
  readonly #request: WatchedChanges
  readonly #calls: EtcdCalls
  readonly #createdAt: Revision
  /** Events before this revision were not requested. */
  readonly #begins: number
  /** All events up to this revision have arrived. */
  #position: Revision
  #silence: UnavailableError | undefined

  constructor(
    stream: GrpcStream<WatchMessage, WatchResponse>,
    responses: AsyncIterator<WatchResponse>,
    request: WatchedChanges,
    calls: EtcdCalls,
    createdAt: Revision,
    begins: number,
  ) {
    this.#stream = stream
    this.#responses = responses
    this.#request = request
    this.#calls = calls
    this.#createdAt = createdAt
    this.#begins = begins
    this.#position = asRevision(begins - 1)
  }

  destroy(): void {
    this.#stream.cancel()
  }

  async *messages(): AsyncGenerator<DecodedWatchMessage, void> {
    const asking = setInterval(() => this.#requestProgress(), this.#request.progressMs)
    if (this.#calls.background) asking.unref()
    try {
      yield { kind: 'created', revision: this.#createdAt }
      for (;;) {
        const { done, value } = await this.#next()
        if (done === true) return
        yield* this.#decode(value)
      }
    } catch (error) {
      if (!(error instanceof GrpcError) || error instanceof ConnectionError || this.#silence !== undefined)
        throw this.#silence ?? error
      yield ended(problemFrom(error))
    } finally {
      clearInterval(asking)
      this.destroy()
    }
  }

  #requestProgress(): void {
    this.#stream.send({ progressRequest: {} } as Partial<WatchMessage>)
  }

  async #next(): Promise<IteratorResult<WatchResponse>> {
    const { silentMs, background, url } = this.#calls
    const stopTimer = after(
      silentMs,
      () => {
        const message = `${url} has sent a watch nothing for ${silentMs} ms`
        this.#silence = new UnavailableError(message, { code: 'timeout', written: 'no', endpoint: url })
        this.#stream.cancel()
      },
      { unref: background },
    )
    return this.#responses.next().finally(stopTimer)
  }

  *#decode(response: WatchResponse): Generator<DecodedWatchMessage> {
    if (response.canceled) {
      yield ended(refusal(response))
      return
    }
    // A response has whole revisions, as this watch does not ask for fragments.
    let events: DecodedEvent[] = []
    for (const each of response.events) {
      const event = this.#decodeEvent(each)
      if (event.revision < this.#begins) continue
      if (event.revision !== this.#position && events.length > 0) {
        yield { kind: 'events', revision: this.#position, events }
        events = []
      }
      this.#position = event.revision
      events.push(event)
    }
    if (events.length > 0) yield { kind: 'events', revision: this.#position, events }
    else if (response.events.length === 0) {
      const isOrdered = response.watchId >= 0
      const revision = revisionFrom(response.header)
      if (isOrdered && revision > this.#position) this.#position = revision
      // The store may not have reached the revision at which the watch begins.
      yield { kind: 'progress', revision: asRevision(Math.min(this.#position, revision)) }
    }
  }

  #decodeEvent({ type, kv, prevKv }: Event): DecodedEvent {
    if (kv === undefined) return disagree('an event has no key')
    const row = this.#shown(decodeRow(kv))
    const { key, modRevision: revision } = row
    const before = prevKv && this.#shown(decodeRow(prevKv))
    if (type === EVENT_DELETE) return { type: 'delete', key, revision, prev: before }
    // A record that was changed before may be compacted.
    const prev = this.#request.prev && row.version === 1 ? null : before
    return { type: 'put', key, revision, record: row, prev }
  }

  #shown(row: KeyRow): KeyRow {
    return this.#request.values ? row : { ...row, value: NO_VALUE }
  }
}

const NO_VALUE = new Uint8Array()

const ended = (problem: ApiError): DecodedWatchMessage => ({
  kind: 'ended',
  problem: decodeProblem(problemDocument(problem)),
})

/** Why the member has ended the watch. */
function refusal({ compactRevision, cancelReason }: WatchResponse): ApiError {
  if (compactRevision > 0) {
    const detail = `revisions before ${compactRevision} are compacted`
    // Deletes of that revision itself may be gone.
    const members = { compact_revision: compactRevision, resume_from: compactRevision + 1 }
    return new ApiError('compacted', detail, { members })
  }
  const known = Object.values(ETCD_ERRORS).find(({ message }) => cancelReason.includes(message))
  return known === undefined ? new ApiError('internal', cancelReason) : problemFrom(known)
}
