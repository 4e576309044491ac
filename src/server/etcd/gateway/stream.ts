// An RPC with many responses: each is a line of JSON. The head is sent with the first one, so an error before it has a
// status of its own.

import type { ServerResponse } from 'node:http'
import { RPC } from '../../../etcd/rpcs.ts'
import { ETCD_ERRORS, GRPC, GrpcError } from '../../../etcd/status.ts'
import { type OutboundBudget, writeChunked } from '../../api/budget.ts'
import type { FollowedBody, HttpRequest, HttpResponse } from '../../connections/messages.ts'
import { DEADLINE_EXCEEDED, type EtcdCall } from '../call.ts'
import { Drain } from '../drain.ts'
import { CANCELLED, toGrpcError } from '../errors.ts'
import {
  type AnyStreamRpc,
  type DuplexRpc,
  type RequestReceiver,
  type Responses,
  type ServerStreamRpc,
  UNTAKEN_BYTES_MAX,
} from '../rpc.ts'
import { encodeStreamError, JSON_HEADERS, RESULT_HEADERS } from './errors.ts'
import { decodeRequest, ObjectReader } from './json.ts'

/** Streams without an end of their own. */
const ENDLESS: ReadonlySet<string> = new Set([RPC.watch.path, RPC.observe.path])

const INCOMPLETE = new GrpcError(GRPC.deadlineExceeded, 'the rest of a request has not arrived')

/** Requests that are passed on in one step. */
const STEP_REQUESTS = 64

interface Line {
  readonly bytes: Buffer
  readonly taken: (() => void) | undefined
}

interface StreamOptions {
  readonly call: EtcdCall
  readonly rpc: AnyStreamRpc
  readonly request: HttpRequest
  readonly requestBytesMax: number
  /** How long a client may send nothing of a request that it has begun. */
  readonly stallMsMax: number
  /** Sends the head of the response, or the whole response. */
  readonly respond: (response: HttpResponse) => void
  readonly fail: (error: unknown) => void
  readonly closed: () => void
}

export class GatewayStream implements Responses<object> {
  readonly #options: StreamOptions
  readonly #outbound: OutboundBudget
  #reader: ObjectReader
  #receiver: RequestReceiver<unknown> | undefined
  #requests: FollowedBody | undefined
  /** Bytes that the reader holds. */
  #heldBytes = 0
  /** A step that passes requests on waits for its turn. */
  #isQueued = false
  /** Runs while the rest of a request is missing. */
  #restTimer: NodeJS.Timeout | undefined
  #isHalfClosed = false
  readonly #stopTimer: () => void
  readonly #stopListening: () => void
  /** Its head is sent. */
  #hasHead = false
  #to: ServerResponse | undefined
  #lines: Line[] = []
  #isWriting = false
  /** Bytes of lines that the client has not taken. */
  waitingBytes = 0
  readonly #drain = new Drain()
  /** Nothing is sent any more. */
  #isOver = false
  #isClosed = false

  constructor(options: StreamOptions) {
    this.#options = options
    this.#outbound = options.call.api.outbound
    this.#reader = new ObjectReader(options.requestBytesMax)
    options.request.withdraw = () => this.#closed()
    this.#stopTimer = options.call.whenLate(() => this.end(DEADLINE_EXCEEDED))
    this.#stopListening = ENDLESS.has(options.rpc.path) ? endWithClient(options.request) : () => {}
  }

  /** Serves an RPC with one request. */
  async run(rpc: ServerStreamRpc<unknown, object>, request: unknown): Promise<void> {
    const { call } = this.#options
    try {
      await rpc.run(request, call, this)
      this.end()
    } catch (error) {
      this.end(toGrpcError(call.api, error))
    }
  }

  /** Serves an RPC with many requests, as they arrive. */
  open(rpc: DuplexRpc<unknown, object>): void {
    const { call, request } = this.#options
    this.#receiver = rpc.open(call, this)
    this.#requests = request.body.follow(() => this.#receive())
  }

  /** Requests of many streams may arrive at once. */
  #receive(): void {
    if (this.#isQueued || this.#isOver) return
    this.#isQueued = true
    this.#outbound.turns.run(() => {
      this.#isQueued = false
      this.#passOn()
    })
  }

  #passOn(): void {
    clearTimeout(this.#restTimer)
    const requests = this.#requests
    const receiver = this.#receiver
    if (this.#isOver || receiver === undefined || requests === undefined) return
    try {
      for (let left = STEP_REQUESTS; !this.#isOver; left--) {
        if (this.waitingBytes > UNTAKEN_BYTES_MAX || receiver.isBusy) return
        if (left === 0) {
          this.#receive()
          return
        }
        const request = this.#nextRequest(requests)
        if (request === undefined) {
          this.#awaitRest()
          break
        }
        receiver.request(request)
      }
    } catch (error) {
      this.end(toGrpcError(this.#options.call.api, error))
    }
    if (!requests.isOver || this.#isHalfClosed || this.#isOver) return
    this.#isHalfClosed = true
    receiver.halfClosed()
  }

  /** Its memory counts, so a client that is silent within a request would take room from all. */
  #awaitRest(): void {
    if (this.#reader.heldBytes === 0) return
    this.#restTimer = setTimeout(() => this.end(INCOMPLETE), this.#options.stallMsMax).unref()
  }

  /** undefined: it has not arrived completely. Throws `GrpcError` or `ApiError`. */
  #nextRequest(requests: FollowedBody): unknown {
    let bytes = this.#reader.next()
    if (bytes === undefined) {
      const arrived = requests.take()
      if (arrived.length > 0) this.#reader.add(arrived)
      bytes = this.#reader.next()
      this.#hold(this.#reader.heldBytes)
    }
    return bytes && decodeRequest(this.#options.rpc.request, bytes)
  }

  /** Throws `ApiError` if there is no room. */
  #hold(bytes: number): void {
    this.#options.request.connection.hold(bytes - this.#heldBytes)
    this.#heldBytes = bytes
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Responses

  send(response: object): void {
    this.#sendResult(response)
  }

  sendBytes(message: Uint8Array, taken?: () => void): void {
    this.#sendResult(this.#options.rpc.response.decode(message), taken)
  }

  #sendResult(response: object, taken?: () => void): void {
    if (this.#isOver) return
    const result = this.#options.rpc.response.toJson(response)
    this.#write(`${JSON.stringify({ result })}\n`, taken)
  }

  #write(text: string, taken?: () => void): void {
    const bytes = Buffer.from(text)
    this.waitingBytes += bytes.length
    this.#outbound.add(bytes.length)
    this.#lines.push({ bytes, taken })
    // The transport counts it now.
    this.#options.call.releaseRoom()
    if (this.#hasHead) this.#flush()
    else this.#begin()
  }

  #begin(): void {
    this.#hasHead = true
    const stream = (to: ServerResponse | undefined): void => {
      if (to === undefined) {
        this.#closed()
        return
      }
      this.#to = to
      this.#flush()
    }
    this.#options.respond({ status: 200, headers: RESULT_HEADERS, body: { stream }, revision: undefined })
  }

  #flush(): void {
    const to = this.#to
    if (to === undefined || this.#isWriting || this.#isClosed) return
    if (this.#lines.length === 0) {
      this.#drain.end()
      if (this.#isOver) to.end()
      else if (this.#requests !== undefined) this.#receive()
      return
    }
    const lines = this.#lines
    this.#lines = []
    this.#isWriting = true
    const parts = lines.map(({ bytes }) => bytes)
    const length = parts.reduce((sum, part) => sum + part.length, 0)
    // Its writer counts it from here on.
    this.#outbound.remove(length)
    writeChunked(to, parts, this.#outbound, (isSent) => {
      this.#isWriting = false
      this.waitingBytes -= length
      if (!isSent) return
      for (const { taken } of lines) taken?.()
      this.#flush()
    })
  }

  async drained(until?: number): Promise<void> {
    if (this.#isClosed || this.waitingBytes === 0) return
    await this.#drain.wait(until)
  }

  end(error?: GrpcError): void {
    if (this.#isOver) return
    const { respond, fail } = this.#options
    if (this.#hasHead && error !== undefined) this.#write(encodeStreamError(error))
    this.#isOver = true
    this.#leaveRequests()
    if (this.#hasHead) this.#flush()
    else if (error !== undefined) fail(error)
    else respond({ status: 200, headers: JSON_HEADERS, body: '', revision: undefined })
  }

  /** The node stops. */
  leave(): void {
    this.end(ETCD_ERRORS.stopped)
  }

  #leaveRequests(): void {
    clearTimeout(this.#restTimer)
    this.#requests?.drop()
    // The stream lives until its client has taken the responses.
    this.#reader = new ObjectReader(0)
    this.#hold(0)
  }

  /** The client is gone, or has received everything. */
  #closed(): void {
    if (this.#isClosed) return
    const isUnanswered = !this.#isOver && !this.#hasHead
    this.#isClosed = true
    this.#isOver = true
    this.#stopTimer()
    this.#stopListening()
    this.#leaveRequests()
    for (const { bytes } of this.#lines.splice(0)) this.#outbound.remove(bytes.length)
    this.#options.call.abandon()
    this.#receiver?.closed()
    this.#options.closed()
    // The request counts as open until it is answered, also to nobody.
    if (isUnanswered) this.#options.fail(CANCELLED)
    this.#drain.end()
  }
}

/**
 * Ends the connection of a client that closes its side, until the returned function is called. It still receives its
 * answers elsewhere, but these have no end, and the first of them may be far away.
 */
function endWithClient({ connection: { socket } }: HttpRequest): () => void {
  const leave = (): void => void socket.destroy()
  socket.once('end', leave)
  if (socket.readableEnded) leave()
  return () => void socket.off('end', leave)
}
