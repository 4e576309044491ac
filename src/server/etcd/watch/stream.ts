// The watches of one stream, in etcd's protocol: a client creates and cancels them by id, and may request how far all
// of them are.

import type { WatchCreateRequest } from '../../../etcd/messages/watch.ts'
import { type WatchRequest, WatchResponse } from '../../../etcd/messages/watch.ts'
import { RPC } from '../../../etcd/rpcs.ts'
import { ETCD_ERRORS, GRPC, GrpcError, statusText } from '../../../etcd/status.ts'
import { ApiError, type Revision } from '../../../operations/forms/index.ts'
import { WATCH_KEY_COPIES, type WatchedChanges } from '../../../operations/watch.ts'
import { errorOfWatch, WATCH_STALENESS_MAX_MS, WatchBuffer } from '../../api/watch.ts'
import type { WatchEnd } from '../../node/watch/index.ts'
import { type EtcdCall, LOGIN_NEEDED } from '../call.ts'
import { toGrpcError } from '../errors.ts'
import { type RequestReceiver, type Responses, serveDuplex } from '../rpc.ts'
import { decodeWatch, EtcdWatch, isEmptyRange, isTooLargeRange, type WatchResponses } from './watch.ts'

export const watch = serveDuplex(RPC.watch, (call, responses) => new WatchStream(call, responses))

/** The id in responses that are about no watch. */
const NO_WATCH = -1

/** Watches of one stream. */
const WATCHES_MAX = 10_000

/** Watches that wait for the one before them, which may wait for a leader. Beyond, no request is read. */
const CREATING_MAX = 1_000

/** Memory of a watch, as it counts. */
const watchMemory = ({ key, rangeEnd }: WatchCreateRequest): number =>
  512 + WATCH_KEY_COPIES * (key.length + rangeEnd.length)

/** Interval between two checks of how far all watches are. */
const PROGRESS_CHECK_MS = 20

/** Statuses with which a watch has no id. */
const REFUSALS: ReadonlySet<number> = new Set([
  GRPC.permissionDenied,
  GRPC.unauthenticated,
  GRPC.resourceExhausted,
])

/** Largest size of a response without events. */
const SMALL_RESPONSE_BYTES = 64

interface StreamProgress {
  /** All watches have received everything up to it. */
  readonly revision: number
  /** The highest start revision of a watch; -Infinity without watches. */
  readonly begins: number
}

class WatchStream implements RequestReceiver<WatchRequest>, WatchResponses {
  readonly #call: EtcdCall
  readonly #responses: Responses<WatchResponse>
  readonly #watches = new Map<number, EtcdWatch>()
  readonly #buffer: WatchBuffer
  /** Memory of the watches, as long as they are open. */
  #heldBytes = 0
  /** Watches that the node has ended. Their ids are free when the client has cancelled them. */
  readonly #ended = new Set<number>()
  #nextId = 0
  /** Ends when the watches that were requested before have begun: responses have the order of the requests. */
  #created: Promise<void> = Promise.resolve()
  /** Requests for a watch that are not answered. */
  #creating = 0
  #progressTimer: NodeJS.Timeout | undefined
  /** As long as this turn has found nothing that lowers its revision. */
  #progressNow: StreamProgress | undefined
  /** The highest revision that a response has named. */
  #newest = 0
  #isOver = false

  constructor(call: EtcdCall, responses: Responses<WatchResponse>) {
    this.#call = call
    this.#responses = responses
    this.#buffer = new WatchBuffer(call.api.watchBuffers)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Requests

  get isBusy(): boolean {
    return this.#creating >= CREATING_MAX
  }

  request({ createRequest, cancelRequest, progressRequest }: WatchRequest): void {
    if (createRequest !== undefined) this.#create(createRequest)
    else if (cancelRequest !== undefined) this.#cancel(cancelRequest.watchId)
    else if (progressRequest !== undefined) this.#reportProgress()
  }

  /** As in etcd, its watches outlive the end of the requests. */
  halfClosed(): void {}

  closed(): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#progressTimer)
    for (const each of this.#watches.values()) each.cancel()
    this.#watches.clear()
    this.#hold(-this.#heldBytes)
    this.#buffer.close()
  }

  #create(request: WatchCreateRequest): void {
    // They wait for the watch before them, which may wait for a leader.
    if (this.#creating >= WATCHES_MAX) {
      this.#end(ETCD_ERRORS.tooManyRequests)
      return
    }
    this.#creating++
    const { revision } = this.#call.api.node
    const heldBytes = watchMemory(request)
    const refusal =
      this.#findRefusal(request) ??
      (this.#hold(heldBytes) ? undefined : statusText(ETCD_ERRORS.tooManyRequests))
    const id = refusal === undefined ? this.#chooseId(request.watchId) : NO_WATCH
    const created = new EtcdWatch(id, request, this, heldBytes)
    if (refusal === undefined) {
      this.#watches.set(id, created)
      // It has received nothing.
      this.#progressNow = undefined
    }
    const before = this.#created
    this.#created = (async () => {
      try {
        if (refusal !== undefined) {
          await before
          created.refuse(revision, { cancelReason: refusal })
          return
        }
        const [answer] = await Promise.all([
          this.#begin(decodeWatch(request, this.#call.api.limits.etcdProgressMs), created),
          before,
        ])
        if (this.#watches.get(id) === created) created.begin(answer.watch, answer.head.revision)
        else {
          // The client has cancelled it already, and receives that response next; or it is gone.
          answer.watch.cancel()
          created.refuse(answer.head.revision, { canceled: false })
        }
      } catch (error) {
        await before
        // Otherwise the client has cancelled it, or is gone.
        const isWanted = this.#remove(id, created)
        this.#refuse(created, error, isWanted)
      } finally {
        this.#creating--
      }
    })()
  }

  /** The watch keeps `openSink`, and so all that a function around it would keep: the message of the client. */
  #begin(request: WatchedChanges, created: EtcdWatch) {
    const openSink = (): EtcdWatch => created
    const deadline = this.#call.nextDeadline()
    return this.#call.execute(
      { kind: 'watch', request, maxStalenessMs: WATCH_STALENESS_MAX_MS },
      { openSink, deadline },
    )
  }

  /** etcd's reason; undefined: it may be created. */
  #findRefusal(request: WatchCreateRequest): string | undefined {
    const { watchId, startRevision } = request
    if (startRevision < 0) return ETCD_ERRORS.compacted.message
    if (isTooLargeRange(request)) return statusText(ETCD_ERRORS.requestTooLarge)
    if (isEmptyRange(request)) return 'mvcc: watcher range is empty'
    if (watchId !== 0 && this.#isTaken(watchId)) return 'mvcc: duplicate watch ID provided on the WatchStream'
    return this.#watches.size >= WATCHES_MAX ? `etcdserver: more than ${WATCHES_MAX} watches` : undefined
  }

  #isTaken(id: number): boolean {
    return this.#watches.has(id) || this.#ended.has(id)
  }

  /** 0: the next free id. */
  #chooseId(requested: number): number {
    if (requested !== 0) return requested
    while (this.#isTaken(this.#nextId)) this.#nextId++
    return this.#nextId++
  }

  #cancel(id: number): void {
    const canceled = this.#watches.get(id)
    // etcd ignores it too.
    if (canceled === undefined && !this.#ended.delete(id)) return
    if (canceled !== undefined) this.#remove(id, canceled)
    canceled?.cancel()
    void this.#created.then(() => {
      if (canceled?.isRefused === true) return
      const header = this.header(this.#call.api.node.revision)
      this.send(WatchResponse.encode({ header, watchId: id, canceled: true }))
    })
  }

  /** Whether it was still the watch of this id. */
  #remove(id: number, removed: EtcdWatch): boolean {
    if (this.#watches.get(id) !== removed) return false
    this.#watches.delete(id)
    this.#hold(-removed.heldBytes)
    return true
  }

  /** Returns false if there is no room for so many bytes more: then they do not count. */
  #hold(bytes: number): boolean {
    const isHeld = this.#call.client.connection.tryHold(bytes)
    if (isHeld) this.#heldBytes += bytes
    return isHeld
  }

  #keepId(ended: number): void {
    const [oldest] = this.#ended
    if (this.#ended.size >= WATCHES_MAX && oldest !== undefined) this.#ended.delete(oldest)
    this.#ended.add(ended)
  }

  /** Ends a watch that could not begin. */
  #refuse(refused: EtcdWatch, error: unknown, isWanted: boolean): void {
    const { api } = this.#call
    const { revision } = api.node
    const status = toGrpcError(api, error)
    if (REFUSALS.has(status.code)) {
      // The next watch has its id, unless one has the next id already.
      if (refused.id === this.#nextId - 1) this.#nextId--
      refused.refuse(revision, { cancelReason: statusText(status) }, NO_WATCH)
    } else if (!isWanted) refused.refuse(revision, { canceled: false })
    else if (error instanceof ApiError && error.code === 'compacted') {
      this.#keepId(refused.id)
      refused.refuse(revision, { canceled: false })
      refused.canceled(revision, { compactRevision: compactRevisionOf(error) })
    }
    // Clients begin their watches again on another stream.
    else if (status.code === GRPC.unavailable && status !== ETCD_ERRORS.noLeader) this.#end(status)
    else this.#end(this.#leaderlessEnd)
  }

  /** At `no leader`, Go's client ends its watches for good, which only those expect who require a leader. */
  get #leaderlessEnd(): GrpcError {
    return this.#call.client.requiresLeader ? ETCD_ERRORS.noLeader : ETCD_ERRORS.unhealthy
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Progress

  /**
   * Sends how far all watches are, when they have received everything up to now. As in etcd, nothing is sent without
   * watches, or when one of them begins later.
   */
  #reportProgress(): void {
    const { revision: now } = this.#call.api.node
    if (this.#progressTimer !== undefined || this.#progress.begins > now) return
    const check = (): void => {
      this.#progressTimer = undefined
      if (this.#isOver || this.#watches.size === 0) return
      const { revision } = this.#progress
      // Clients take it for their position, so it is not below what one of the watches has received.
      if (revision >= now && revision >= this.#newest)
        this.send(WatchResponse.encode({ header: this.header(revision), watchId: NO_WATCH }))
      else this.#progressTimer = setTimeout(check, PROGRESS_CHECK_MS)
    }
    check()
  }

  /** It is found once for all requests of a chunk, of which there may be thousands. */
  get #progress(): StreamProgress {
    if (this.#progressNow === undefined) {
      const watches = [...this.#watches.values()]
      const reached = watches.map(({ sentUpTo = 0 }) => sentUpTo)
      this.#progressNow = {
        revision: Math.min(this.#call.api.node.revision, ...reached),
        begins: Math.max(...watches.map(({ startRevision }) => startRevision)),
      }
      queueMicrotask(() => (this.#progressNow = undefined))
    }
    return this.#progressNow
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Of its watches

  get isFull(): boolean {
    return this.#buffer.isFull(SMALL_RESPONSE_BYTES * this.#watches.size)
  }

  get takesProgressOnly(): boolean {
    return this.#buffer.takesProgressOnly
  }

  header(revision: number) {
    this.#newest = Math.max(this.#newest, revision)
    return this.#call.header(revision)
  }

  send(message: Uint8Array): void {
    if (this.#isOver) return
    this.#buffer.add(message.length)
    this.#responses.sendBytes(message, () => {
      if (this.#isOver) return
      this.#buffer.remove(message.length)
      this.#buffer.resume()
    })
  }

  waits(waiting: EtcdWatch): void {
    this.#buffer.wait(waiting)
  }

  ended(ended: EtcdWatch, end: WatchEnd): void {
    const { kind } = end
    // Clients begin their watches again on another stream, from the revision that they have received. Go's clients
    // close a watch that is canceled.
    if (kind === 'no-user') {
      this.#end(LOGIN_NEEDED)
      return
    }
    if (kind === 'stopped' || kind === 'no-leader' || kind === 'no-room') {
      this.#end(
        kind === 'no-leader'
          ? this.#leaderlessEnd
          : new GrpcError(GRPC.unavailable, `etcdserver: ${end.reason}`),
      )
      return
    }
    this.#remove(ended.id, ended)
    this.#keepId(ended.id)
    const { revision } = this.#call.api.node
    if (kind === 'compacted' || kind === 'too-large')
      ended.canceled(revision, { compactRevision: compactRevisionOf(errorOfWatch(end)) })
    else {
      const error = toGrpcError(this.#call.api, errorOfWatch(end))
      ended.canceled(revision, { cancelReason: statusText(error) })
    }
  }

  #end(error?: GrpcError): void {
    this.closed()
    this.#responses.end(error)
  }
}

/** Clients of etcd watch again from the revision that they receive. */
const compactRevisionOf = ({ members }: ApiError): Revision => members.resume_from as Revision
