// A watch of the client. A node sends the changes in a stream. When the stream breaks, the watch opens another one at
// the next node.
//
// `#next` is the first revision that has not been received. Each stream is requested from there on, and must not go
// back. So no change is delivered twice or left out, whichever nodes serve the watch. A node begins a watch with a
// linearizable read: a node that has lost the others refuses, and one that lags waits.
//
// A stream is read only as far as the buffer for the application has room. The rest of an HTTP answer stays in the
// socket. A stream on a shared connection (transport/pending-watch.ts) cannot wait there. It is closed, the excess is
// dropped, and the watch is requested again when there is room. Either way the node has the rest in its history.

import { decodeUtf8 } from '../bytes/utf8.ts'
import { judgeProblem } from '../operations/forms/answers.ts'
import { DisagreementError, disagree } from '../operations/forms/decode.ts'
import type { ProblemAnswer, Where } from '../operations/forms/index.ts'
import type { WatchedChanges } from '../operations/index.ts'
import type { DecodedEvent, DecodedWatchMessage } from '../operations/watch.ts'
import { Backoff } from './backoff.ts'
import { problemError } from './call-error.ts'
import { originFrom, recordFrom, unexpected } from './decode.ts'
import type { Endpoint } from './endpoints.ts'
import { AbortedError, CompactedError, QuorateError, UnavailableError, UnreachableError } from './errors.ts'
import type { Interruption } from './interruption.ts'
import { asMaybeRevision, ownKey, ownRange } from './request.ts'
import { after, pause } from './timer.ts'
import { checkWatch } from './validate-arguments.ts'
import type { Watch, WatchBatch, WatchEvent, WatchedPlace, WatchOptions } from './watch-types.ts'

const PROGRESS_MS = 10_000
/** A node is given up after this many times `progressMs` without a word, and some time for a busy machine. */
const SILENT_PROGRESSES = 2
const SILENT_EXTRA_MS = 1_000
const RETRY_BASE_MS = 20
const RETRY_MAX_MS = 2_000
/**
 * Limit on bytes received and not taken; the batch that exceeds it is kept. It has room for some 4,000 small events, so
 * that a mirror can apply the changes of some seconds in one view.
 */
const BUFFER_BYTES_MAX = 4 * 1024 * 1024
/**
 * Memory of the objects beside the bytes of keys and values: of a batch, and of a record or a deleted key. Measured
 * with Node 24.
 */
const BATCH_BYTES = 250
const RECORD_BYTES = 800

/** Messages of a node, over HTTP or a multiplexed connection. */
export interface WatchSource {
  readonly endpoint: Endpoint
  /** In order. It ends, or throws, when the stream does. */
  readonly messages: AsyncIterable<DecodedWatchMessage>
  /** They arrive whether or not they are taken. All that arrive in one turn of the event loop are taken in it. */
  readonly isShared: boolean
  close(): void
}

export interface OpenLimits {
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** Neither the call nor the stream keeps a process alive. */
  readonly background: boolean
}

/** Calls that a watch needs of the client. */
export interface WatchHost {
  readonly timeoutMs: number
  /** Tries nodes until one serves the watch. Throws as calls do. */
  open(request: WatchedChanges, limits: OpenLimits & { readonly silentMs: number }): Promise<WatchSource>
  /** The application has seen this revision: later reads are at least as new. */
  seen(revision: number): void
  interruption(signal: AbortSignal | undefined): Interruption
}

type BufferEntry =
  | { readonly kind: 'batch'; readonly batch: WatchBatch; readonly bytes: number }
  | { readonly kind: 'progress'; readonly revision: number; readonly bytes: 0 }

type BatchResult = IteratorResult<WatchBatch, undefined>
const DONE: BatchResult = { done: true, value: undefined }

export class ClientWatch implements Watch {
  readonly ready: Promise<number>
  readonly #host: WatchHost
  readonly #options: WatchOptions
  readonly #request: Omit<WatchedChanges, 'from'>
  readonly #began = Promise.withResolvers<number>()
  readonly #backoff = new Backoff(RETRY_BASE_MS, RETRY_MAX_MS)
  /** Ends the call or the pause in progress. */
  readonly #over = new AbortController()
  readonly #unref: { readonly unref: boolean }
  #stopListening = () => {}
  #stream: WatchSource | undefined
  /** undefined: the next change, whatever its revision. */
  #next: number | undefined
  #hasBegun = false
  /** Events or progress have arrived since the last interruption. */
  #hasAdvanced = false
  #received: BufferEntry[] = []
  #receivedBytes = 0
  /** Calls of `next` that wait. */
  readonly #takers: PromiseWithResolvers<BatchResult>[] = []
  /** Ends the wait for room in the buffer. */
  #onRoom: (() => void) | undefined
  /** Set when the watch has ended; `error` is thrown once, after the received batches. */
  #end: { error: unknown } | undefined
  #revision = 0

  constructor(host: WatchHost, options: WatchOptions) {
    checkWatch(options)
    this.#host = host
    this.#options = options
    this.#unref = { unref: options.background ?? false }
    const {
      prev = false,
      only,
      keysOnly = false,
      progressMs = PROGRESS_MS,
      fromRevision,
      time = false,
    } = options
    this.#request = { where: watchedWhere(options), prev, only, values: !keysOnly, progressMs, time }
    this.#next = fromRevision
    this.#revision = fromRevision === undefined ? 0 : fromRevision - 1
    this.ready = this.#began.promise
    // An application that does not use it need not handle its rejection.
    this.ready.catch(() => {})
    const interruption = host.interruption(options.signal)
    this.#stopListening = interruption.listen(() => {
      this.#received = []
      this.#finish(interruption.reason())
    })
    if (this.#end !== undefined) this.#stopListening()
    void this.#run()
  }

  get revision(): number {
    return this.#revision
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<BatchResult> {
    try {
      const batch = this.takeReceived()
      if (batch !== undefined) return { done: false, value: batch }
    } catch (error) {
      // A callback of the application threw this.
      await this.close()
      throw error
    }
    if (this.#end !== undefined) return this.#endOrThrow()
    const taker = Promise.withResolvers<BatchResult>()
    this.#takers.push(taker)
    return taker.promise
  }

  async return(): Promise<BatchResult> {
    this.#received = []
    this.#finish(undefined)
    this.#end = { error: undefined }
    return DONE
  }

  async close(): Promise<void> {
    await this.return()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** The next batch that has been received; undefined: none has. */
  takeReceived(): WatchBatch | undefined {
    for (;;) {
      const received = this.#received.shift()
      if (received === undefined) return undefined
      if (received.kind === 'progress') {
        this.#noteTaken(received.revision)
        this.#options.onProgress?.(received.revision)
        continue
      }
      this.#receivedBytes -= received.bytes
      if (this.#hasRoom) this.#onRoom?.()
      this.#noteTaken(received.batch.revision)
      return received.batch
    }
  }

  #noteTaken(revision: number): void {
    this.#revision = Math.max(this.#revision, revision)
    this.#host.seen(revision)
  }

  #endOrThrow(): BatchResult {
    const error = this.#end?.error
    this.#end = { error: undefined }
    if (error !== undefined) throw error
    return DONE
  }

  #finish(error: unknown): void {
    if (this.#end !== undefined) return
    this.#end = { error }
    this.#stopListening()
    this.#over.abort()
    this.#stream?.close()
    this.#onRoom?.()
    this.#began.reject(error ?? new AbortedError('the watch was closed', { code: 'aborted', written: 'no' }))
    this.#serve()
  }

  /** Resolves waiting calls of `next`. */
  #serve(): void {
    while (this.#takers.length > 0) {
      const taker = this.#takers[0]
      let batch: WatchBatch | undefined
      try {
        batch = this.takeReceived()
      } catch (error) {
        // A callback of the application threw this.
        this.#finish(error)
      }
      if (batch === undefined && this.#end === undefined) return
      this.#takers.shift()
      if (batch !== undefined) taker?.resolve({ done: false, value: batch })
      else {
        try {
          taker?.resolve(this.#endOrThrow())
        } catch (error) {
          taker?.reject(error)
        }
      }
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Streams

  async #run(): Promise<void> {
    const { timeoutMs = this.#host.timeoutMs } = this.#options
    const beginsUntil = performance.now() + timeoutMs
    try {
      let cause: Error | undefined
      while (this.#end === undefined) {
        const stream = await this.#openStream(cause, beginsUntil)
        const stopTimer = this.#hasBegun
          ? () => {}
          : after(beginsUntil - performance.now(), () => stream.close(), this.#unref)
        this.ready.then(stopTimer, stopTimer)
        cause = await this.#read(stream, cause)
        stopTimer()
        if (!this.#hasBegun && performance.now() >= beginsUntil) throw neverBegan(cause)
        if (!this.#hasAdvanced) await pause(this.#backoff.next(), this.#over.signal, this.#unref)
        this.#hasAdvanced = false
        await this.#waitForRoom()
      }
    } catch (error) {
      this.#finish(error)
    }
  }

  /** Opens a stream at the first node that serves the watch. */
  async #openStream(cause: Error | undefined, beginsUntil: number): Promise<WatchSource> {
    const { timeoutMs = Number.POSITIVE_INFINITY } = this.#options
    const { progressMs } = this.#request
    const deadline = this.#hasBegun ? performance.now() + timeoutMs : beginsUntil
    const silentMs = SILENT_PROGRESSES * progressMs + SILENT_EXTRA_MS
    for (;;) {
      const leftMs = Math.max(1, deadline - performance.now())
      const limits = {
        timeoutMs: this.#hasBegun ? Math.min(this.#host.timeoutMs, leftMs) : leftMs,
        silentMs,
        signal: this.#over.signal,
        background: this.#unref.unref,
      }
      try {
        const stream = await this.#host.open({ ...this.#request, from: asMaybeRevision(this.#next) }, limits)
        this.#stream = stream
        if (this.#end !== undefined) stream.close()
        return stream
      } catch (error) {
        if (!this.#hasBegun || !mayPass(error) || performance.now() >= deadline) throw error
        if (this.#end !== undefined) throw cause ?? error
      }
      await pause(this.#backoff.next(), this.#over.signal, this.#unref)
    }
  }

  /** Returns why the stream has ended. Throws if no other node can continue. */
  async #read(
    { messages, endpoint, isShared, close }: WatchSource,
    interruptedBy: Error | undefined,
  ): Promise<Error> {
    let why = new Error(`${endpoint.url}: the stream of the watch has ended`)
    let hasFailed = true
    let isPaused = false
    /** The node may end the stream of an application that takes nothing for long. */
    let wasFull = false
    let pausing: NodeJS.Immediate | undefined
    const pauseIfFull = () => {
      pausing = undefined
      if (!this.#isFull) return
      isPaused = true
      why = new Error('the application takes the events too slowly')
      close()
      this.#dropExcess()
    }
    try {
      for await (const message of messages) {
        if (this.#end !== undefined || isPaused) break
        this.#receive(message, endpoint, interruptedBy)
        // A node reports progress only to an application that takes its events.
        if (message.kind === 'progress') wasFull = false
        if (!this.#isFull) continue
        // An application that waits only for the watch takes all of it in this turn.
        if (isShared) pausing ??= setImmediate(pauseIfFull)
        else {
          wasFull = true
          await this.#waitForRoom()
        }
      }
      return why
    } catch (error) {
      hasFailed = !(error instanceof FinalError)
      if (error instanceof FinalError) throw error.cause
      if (isPaused) return why
      if (error instanceof DisagreementError) return unexpected(error, endpoint.url, 'no')
      if (error instanceof QuorateError) {
        // The node works: the watch begins again after a login.
        hasFailed = error.code !== 'unauthenticated'
        return error
      }
      const reason = error instanceof Error ? error.message : String(error)
      return new Error(`${endpoint.url}: the stream of the watch broke (${reason})`, { cause: error })
    } finally {
      clearImmediate(pausing)
      if (this.#end === undefined && hasFailed && !isPaused && !wasFull) endpoint.failed(performance.now())
      close()
      this.#stream = undefined
    }
  }

  #receive(message: DecodedWatchMessage, endpoint: Endpoint, interruptedBy: Error | undefined): void {
    switch (message.kind) {
      case 'created': {
        const { revision } = message
        const from = this.#next ?? revision + 1
        this.#next = from
        if (!this.#hasBegun) {
          this.#hasBegun = true
          this.#revision = Math.max(this.#revision, from - 1)
          this.#began.resolve(revision)
        } else {
          const cause = interruptedBy ?? new Error('interrupted')
          this.#callBack(() =>
            this.#options.onResume?.({ endpoint: endpoint.url, fromRevision: from, cause }),
          )
        }
        return
      }
      case 'events': {
        const { revision } = message
        if (this.#next === undefined || revision < this.#next) disagree('its events go back')
        const batch = { revision, events: message.events.map(eventFrom) }
        const bytes = batchBytes(batch)
        this.#advanceTo(revision + 1)
        this.#received.push({ kind: 'batch', batch, bytes })
        this.#receivedBytes += bytes
        this.#serve()
        return
      }
      case 'progress': {
        const { revision } = message
        // The first requested revision may lie in the future.
        this.#advanceTo(Math.max(this.#next ?? 0, revision + 1))
        if (this.#received.at(-1)?.kind === 'progress') this.#received.pop()
        this.#received.push({ kind: 'progress', revision, bytes: 0 })
        this.#serve()
        return
      }
      case 'ended':
        throw endError(message.problem, endpoint)
    }
  }

  #advanceTo(next: number): void {
    this.#next = next
    this.#hasAdvanced = true
    this.#backoff.reset()
  }

  #callBack(call: () => void): void {
    try {
      call()
    } catch (error) {
      throw new FinalError(error)
    }
  }

  get #isFull(): boolean {
    return this.#receivedBytes > BUFFER_BYTES_MAX
  }

  get #hasRoom(): boolean {
    return this.#receivedBytes <= BUFFER_BYTES_MAX / 2
  }

  /** Drops the excess, which is requested again later. */
  #dropExcess(): void {
    for (;;) {
      const last = this.#received.at(-1)
      if (last === undefined || this.#receivedBytes - last.bytes <= BUFFER_BYTES_MAX) return
      this.#received.pop()
      this.#receivedBytes -= last.bytes
      if (last.kind === 'batch') this.#next = last.batch.revision
    }
  }

  #waitForRoom(): Promise<void> {
    return new Promise((resolve) => {
      this.#onRoom = () => {
        this.#onRoom = undefined
        resolve()
      }
      if (this.#hasRoom || this.#end !== undefined) this.#onRoom()
    })
  }
}

const neverBegan = (cause: Error): UnavailableError =>
  new UnavailableError(`the watch did not begin: ${cause.message}`, { code: 'timeout', written: 'no', cause })

/** The error for the problem with which the node has ended the watch. */
function endError(problem: ProblemAnswer | undefined, endpoint: Endpoint): Error {
  const error = problemError(judgeProblem(problem), undefined, endpoint, 'freely')
  const isFinal = error instanceof CompactedError || error.code === 'permission_denied'
  return isFinal ? new FinalError(error) : error
}

/** No other node can continue the watch. */
class FinalError extends Error {
  constructor(cause: unknown) {
    super('the watch is over', { cause })
  }
}

/** Another node, or the same one later, may serve the watch. */
export const mayPass = (error: unknown): boolean =>
  error instanceof UnavailableError ||
  error instanceof UnreachableError ||
  (error instanceof QuorateError && (error.code === 'internal' || error.code === 'unexpected_answer'))

const watchedWhere = ({ key, prefix, start, end }: WatchedPlace): Where =>
  key === undefined ? ownRange({ prefix, start, end }) : { key: ownKey(key) }

function batchBytes({ events }: WatchBatch): number {
  let bytes = BATCH_BYTES
  for (const event of events) {
    bytes += RECORD_BYTES + textAndBytes(event)
    if (event.type === 'put') bytes += event.kv.value.length
    if (event.prev) bytes += RECORD_BYTES + textAndBytes(event) + event.prev.value.length
  }
  return bytes
}

/** A key is kept in both forms. */
const textAndBytes = ({ keyBytes }: WatchEvent): number => 2 * keyBytes.length

/** The event as the application receives it. */
function eventFrom(event: DecodedEvent): WatchEvent {
  const prev = event.prev === undefined ? undefined : { prev: event.prev && recordFrom(event.prev) }
  if (event.type === 'put') {
    const kv = recordFrom(event.record)
    return { type: 'put', key: kv.key, keyBytes: kv.keyBytes, kv, ...prev }
  }
  const { type, key: keyBytes, revision: modRevision } = event
  return { type, key: decodeUtf8(keyBytes), keyBytes, modRevision, ...originFrom(event), ...prev }
}
