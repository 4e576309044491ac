// One connection that speaks gRPC over HTTP/2 (../http2). This file bounds what its client can make the node hold and
// do; stream.ts serves the calls.

import { tooManyBodies } from '../../api/budget.ts'
import type { ClientConnection, ConnectionOwner } from '../../clients/client-connection.ts'
import { ServerConnection } from '../http2/connection.ts'
import { FRAME_HEAD_BYTES, PAYLOAD_BYTES_MAX } from '../http2/frames.ts'
import type { Http2Connection, Http2Server, Http2Stream } from '../http2/http2.ts'
import type { RequestFields } from '../http2/request-fields.ts'
import { ServedStream, type ServedStreamOptions, type StreamConnection } from './stream.ts'

export interface GrpcConnectionOptions extends ServedStreamOptions {
  readonly isClosing: () => boolean
}

const KiB = 1024
const MiB = 1024 * KiB

/** Bytes that a client may send ahead on one stream, and on the connection. */
const STREAM_WINDOW = 1 * MiB
const CONNECTION_WINDOW = 16 * MiB
/** The same while nobody is known on the connection: the least that the protocol has without a round trip. */
const UNIDENTIFIED_WINDOW = 64 * KiB - 1

/** Memory of an open call that waits, without its request. */
const CALL_BYTES = 4 * KiB

/** Interval in which calls that end early, and settings, are counted. */
const COUNTED_MS = 10_000
/** Settings of a client in this interval. Clients change their windows a few times. */
const SETTINGS_MAX = 100
/** Pings that come too early. The one after them closes the connection, as in etcd. */
const EARLY_PINGS_MAX = 2

/** Metadata of a call: fields. */
const FIELDS_MAX = 100

export class GrpcConnection implements ConnectionOwner, StreamConnection, Http2Server {
  quietSince = performance.now()
  readonly client: ClientConnection
  readonly options: GrpcConnectionOptions
  readonly pings
  readonly #http2: Http2Connection
  readonly #streams = new Set<ServedStream>()
  /** Memory of calls, and of the table of fields, as it counts. */
  #overheadBytes = 0
  /** Bytes of responses that the client has not taken, and of those that it has. */
  #waitingBytes = 0
  #takenBytes = 0
  #pongs = 0
  #isPinging = false
  /** Calls that were refused while nobody was known. */
  #unidentifiedCalls = 0
  /** A call was refused, or ended early, while nobody was known. */
  #hasFailed = false
  /** Calls that ended early, and settings, since this interval began. */
  #countedMs = 0
  #resets = 0
  #settings = 0
  #pingedAt = Number.NEGATIVE_INFINITY
  #earlyPings = 0

  constructor(client: ClientConnection, options: GrpcConnectionOptions) {
    const { limits } = options
    const { socket } = client
    this.client = client
    this.options = options
    this.pings = { pingMs: limits.grpcPingMs, isWithinMessage: false, ping: () => this.#ping() }
    // A client that ends its side has left.
    socket.allowHalfOpen = false
    this.#http2 = new ServerConnection(socket, this, {
      limits: {
        streamsMax: limits.grpcUnidentifiedStreamsMax,
        streamWindow: UNIDENTIFIED_WINDOW,
        connectionWindow: UNIDENTIFIED_WINDOW,
      },
      head: { headBytesMax: limits.grpcHeadBytesMax, fieldsMax: FIELDS_MAX },
    })
  }

  get takenBytes(): number {
    return this.#takenBytes
  }

  get calls(): number {
    return this.#streams.size
  }

  /** Before it is known, a client with a call that was refused, or broken, has only the time for its first request. */
  get isResting(): boolean {
    return this.#streams.size === 0 && this.#http2.isBetweenFrames && !this.#hasFailed
  }

  waitsFor(): 'nothing' | 'client' | 'node' {
    let waits: 'nothing' | 'client' = 'nothing'
    for (const stream of this.#streams) {
      if (stream.isBeingServed) return 'node'
      waits = 'client'
    }
    return waits
  }

  /**
   * A client that answers pings takes what the node sends. What it does not take of one stream is that stream's.
   * undefined: no data waits, and the socket has all other frames.
   */
  output(): { readonly waiting: number; readonly taken: number } | undefined {
    if (this.#waitingBytes === 0) return undefined
    return { waiting: this.#waitingBytes, taken: this.#takenBytes + this.#pongs }
  }

  identified(): void {
    const { limits } = this.options
    this.#http2.raise({
      streamsMax: limits.grpcStreamsMax,
      streamWindow: STREAM_WINDOW,
      connectionWindow: CONNECTION_WINDOW,
    })
  }

  /** A single frame is read even where no byte has room: a call is refused, and not its connection. */
  holdIncomplete(bytes: number): boolean {
    return this.client.holdHead(bytes) || bytes <= FRAME_HEAD_BYTES + PAYLOAD_BYTES_MAX
  }

  /** Bytes of a request that nobody reads yet: who its client is, is not known yet, or it takes no responses. */
  holdUnread(bytes: number): boolean {
    return this.#tryHold(bytes)
  }

  /** Counts so many bytes more, and what the connection holds beside them. Of its calls, a single one takes none. */
  #tryHold(bytes: number): boolean {
    const overheadBytes = CALL_BYTES * Math.max(0, this.#streams.size - 1) + this.#http2.tableBytes
    if (!this.client.tryHold(bytes + overheadBytes - this.#overheadBytes)) return false
    this.#overheadBytes = overheadBytes
    return true
  }

  /** Counts bytes of requests. Throws `ApiError` if there is no room for them. */
  hold(bytes: number): void {
    if (!this.#tryHold(bytes)) throw tooManyBodies()
  }

  release(bytes: number): void {
    this.client.release(bytes)
  }

  outlive(bytes: number): () => void {
    return this.client.outlive(CALL_BYTES + bytes)
  }

  /** A response has so many bytes that its client has not taken. */
  sent(bytes: number): void {
    this.#waitingBytes += bytes
    this.options.etcd.api.outbound.add(bytes)
  }

  /** Clients in Go ping once for each round trip while data arrives, also within one large response. */
  taken(bytes: number): void {
    this.#earlyPings = 0
    this.#waitingBytes -= bytes
    this.#takenBytes += bytes
    this.options.etcd.api.outbound.remove(bytes)
  }

  /** Something was sent to the client. It may ping for that. */
  responded(): void {
    this.#earlyPings = 0
  }

  refusedUnidentified(): void {
    if (this.client.isKnown) return
    this.#hasFailed = true
    if (++this.#unidentifiedCalls > this.options.limits.grpcUnidentifiedStreamsMax)
      this.cut('too_many_refused_calls')
  }

  streamClosed(stream: ServedStream, endedEarly: boolean): void {
    this.#streams.delete(stream)
    this.#tryHold(0)
    this.quietSince = performance.now()
    if (endedEarly) this.streamRefused()
  }

  /** A call has ended early, or was refused before it began. */
  streamRefused(): void {
    if (!this.client.isKnown) this.#hasFailed = true
    if (++this.#resets > this.options.limits.grpcResetsMax) this.cut('too_many_resets')
  }

  settingsReceived(): void {
    if (++this.#settings > SETTINGS_MAX) this.cut('too_many_settings')
  }

  /** The node stops: accepted calls are answered, streams of many responses end, and later calls are refused. */
  leave(): void {
    this.#http2.leave()
    for (const stream of this.#streams) stream.leave()
  }

  /** Called at intervals of `sinceMs`. */
  check(sinceMs: number): void {
    this.#countedMs += sinceMs
    if (this.#countedMs >= COUNTED_MS) {
      this.#countedMs = 0
      this.#resets = 0
      this.#settings = 0
    }
    this.#http2.check()
    for (const stream of this.#streams) stream.check(sinceMs)
    // A pong shows that the client takes what is sent.
    if (this.#waitingBytes > 0) this.#ping()
  }

  #ping(): void {
    if (this.#isPinging) return
    this.#isPinging = true
    this.#http2.ping(() => {
      this.#isPinging = false
      this.#pongs++
    })
  }

  pinged(): void {
    const now = performance.now()
    const isEarly = now - this.#pingedAt < this.options.limits.grpcPingMsMin
    this.#pingedAt = now
    if (isEarly && ++this.#earlyPings > EARLY_PINGS_MAX) this.cut('too_many_pings')
  }

  /** Closes the connection of a client that asks too much. Clients show the reason. */
  cut(reason: string): void {
    this.#http2.cut(reason)
  }

  begin(stream: Http2Stream, head: RequestFields): void {
    const call = new ServedStream(stream, head, this)
    stream.receiver = call
    this.#streams.add(call)
    call.begin()
  }
}
