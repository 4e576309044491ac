// One connection that speaks gRPC over HTTP/2 (../http2). This file bounds what its client can make the node hold and
// do; stream.ts serves the calls.

import type { Socket } from 'node:net'
import { ConnectionShare, tooManyBodies } from '../../api/budget.ts'
import { type ConnectionOwner, type ConnectionTable, socketAddress } from '../../clients/connection-table.ts'
import { isServed } from '../../clients/guard.ts'
import { ServerConnection } from '../http2/connection.ts'
import type { Http2Connection, Http2Server, Http2Stream } from '../http2/http2.ts'
import type { RequestFields } from '../http2/request-fields.ts'
import { ServedStream, type ServedStreamOptions, type StreamConnection } from './stream.ts'

export interface GrpcConnectionOptions extends ServedStreamOptions {
  readonly connections: ConnectionTable
  readonly isClosing: () => boolean
}

const KiB = 1024
const MiB = 1024 * KiB

/** Bytes that a client may send ahead on one stream, and on the connection. */
const STREAM_WINDOW = 1 * MiB
const CONNECTION_WINDOW = 16 * MiB
/** The same while nobody is known on the connection: the least that the protocol has without a round trip. */
const STRANGER_WINDOW = 64 * KiB - 1

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
  readonly socket: Socket
  readonly options: GrpcConnectionOptions
  readonly address: string
  readonly isServed: boolean
  /** A user is known on it; while rights are not checked: it has made a call that is served. */
  isKnown = false
  readonly #http2: Http2Connection
  readonly #share: ConnectionShare
  readonly #streams = new Set<ServedStream>()
  /** Bytes of requests that the node holds, and of heads of calls that are not open yet. */
  #heldBytes = 0
  /** Bytes of responses that the client has not taken, and of those that it has. */
  #waitingBytes = 0
  #takenBytes = 0
  #pongs = 0
  #isPinging = false
  /** Calls that were refused while nobody was known. */
  #strangerCalls = 0
  /** Calls that ended early, and settings, since this interval began. */
  #countedMs = 0
  #resets = 0
  #settings = 0
  #pingedAt = Number.NEGATIVE_INFINITY
  #earlyPings = 0
  /** Time without bytes from the client, counted in checks. */
  #silentMs = 0
  #receivedBytes = 0

  constructor(socket: Socket, options: GrpcConnectionOptions) {
    const { limits, gate, api } = options
    this.socket = socket
    this.options = options
    this.address = socketAddress(socket)
    this.isServed = isServed(gate.identity.served, socket)
    this.#share = new ConnectionShare(api.inboundOfStrangers)
    // A client that ends its side has left.
    socket.allowHalfOpen = false
    this.#http2 = new ServerConnection(socket, this, {
      limits: {
        streamsMax: limits.grpcStrangerStreamsMax,
        streamWindow: STRANGER_WINDOW,
        connectionWindow: STRANGER_WINDOW,
      },
      head: { headBytesMax: limits.grpcHeadBytesMax, fieldsMax: FIELDS_MAX },
    })
  }

  get calls(): number {
    return this.#streams.size
  }

  waitsFor(): 'nothing' | 'client' | 'node' {
    let waits: 'nothing' | 'client' = 'nothing'
    for (const stream of this.#streams) {
      if (stream.isBeingServed) return 'node'
      waits = 'client'
    }
    return waits
  }

  /** A client that answers pings takes what the node sends. What it does not take of one stream is that stream's. */
  output(): { readonly waiting: number; readonly taken: number } {
    return { waiting: this.#waitingBytes, taken: this.#takenBytes + this.#pongs }
  }

  /** Its client is a user, or rights are not checked and it is served. */
  identified(): void {
    if (this.isKnown) return
    const { connections, api, limits } = this.options
    this.isKnown = true
    this.#share.moveTo(api.inbound)
    connections.identified(this.socket)
    this.#http2.raise({
      streamsMax: limits.grpcStreamsMax,
      streamWindow: STREAM_WINDOW,
      connectionWindow: CONNECTION_WINDOW,
    })
  }

  holdIncomplete(bytes: number): void {
    this.options.connections.holdHeads(this.socket, bytes)
  }

  /** Bytes of a request that nobody reads yet: who its client is, is not known yet, or it takes no responses. */
  holdUnread(bytes: number): boolean {
    this.#heldBytes += bytes
    if (this.#count()) return true
    this.#heldBytes -= bytes
    this.#count()
    return false
  }

  /** Counts all that the connection holds. Returns false if there is no room for it. A single call takes none. */
  #count(): boolean {
    return this.#share.set(this.#heldBytes + CALL_BYTES * Math.max(0, this.#streams.size - 1))
  }

  /** Counts bytes of requests. Throws `ApiError` if there is no room for them. */
  hold(bytes: number): void {
    if (!this.holdUnread(bytes)) throw tooManyBodies()
  }

  release(bytes: number): void {
    this.#heldBytes -= bytes
    this.#count()
  }

  /** A response has so many bytes that its client has not taken. */
  sent(bytes: number): void {
    this.#waitingBytes += bytes
    this.options.api.outbound.add(bytes)
  }

  /** Clients in Go ping once for each round trip while data arrives, also within one large response. */
  taken(bytes: number): void {
    this.#earlyPings = 0
    this.#waitingBytes -= bytes
    this.#takenBytes += bytes
    this.options.api.outbound.remove(bytes)
  }

  /** Something was sent to the client. It may ping for that. */
  responded(): void {
    this.#earlyPings = 0
  }

  refusedStranger(): void {
    if (this.isKnown) return
    if (++this.#strangerCalls > this.options.limits.grpcStrangerStreamsMax) this.cut('too_many_refused_calls')
  }

  streamClosed(stream: ServedStream, endedEarly: boolean): void {
    this.#streams.delete(stream)
    this.#count()
    this.quietSince = performance.now()
    if (endedEarly) this.streamRefused()
  }

  /** A call has ended early, or was refused before it began. */
  streamRefused(): void {
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
    this.#checkSilence(sinceMs)
  }

  #checkSilence(sinceMs: number): void {
    const { grpcPingMs } = this.options.limits
    const { bytesRead } = this.socket
    const before = this.#silentMs
    this.#silentMs = bytesRead === this.#receivedBytes ? before + sinceMs : 0
    this.#receivedBytes = bytesRead
    if (this.#silentMs >= 2 * grpcPingMs) this.socket.destroy()
    else if (this.#waitingBytes > 0 || (before < grpcPingMs && this.#silentMs >= grpcPingMs)) this.#ping()
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
