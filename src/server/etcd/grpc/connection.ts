// One connection that speaks gRPC. node:http2 reads and writes its frames. This file bounds what its client can make
// the node hold and do; stream.ts serves the calls.

import type { IncomingHttpHeaders } from 'node:http2'
import {
  constants,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { Socket } from 'node:net'
import { ConnectionShare, tooManyBodies } from '../../api/budget.ts'
import {
  type ConnectionOwner,
  type ConnectionTable,
  socketAddress,
} from '../../connections/connection-table.ts'
import { type Guard, isServed, loopbackOnly } from '../../connections/guard.ts'
import { ServedStream, type ServedStreamOptions, type StreamConnection } from './stream.ts'

export interface GrpcConnectionOptions extends ServedStreamOptions {
  readonly guard: Guard
  readonly connections: ConnectionTable
}

const KiB = 1024
const MiB = 1024 * KiB

/** Bytes that a client may send ahead on one stream, and on the connection. */
const STREAM_WINDOW = 1 * MiB
const CONNECTION_WINDOW = 16 * MiB
/** The same on a stream whose client is not known. Until it is, these bytes stay unread. */
const STRANGER_WINDOW = 16 * KiB

/** Interval in which calls that end early, and settings, are counted. */
const COUNTED_MS = 10_000
/** Settings of a client in this interval. Clients change their windows a few times. */
const SETTINGS_MAX = 100
/** Pings that come too early. The one after them closes the connection, as in etcd. */
const EARLY_PINGS_MAX = 2

/** The limits of node:http2 that would close the connection of a client whose calls time out together. */
const UNLIMITED = {
  streamResetBurst: 1_000_000,
  streamResetRate: 1_000_000,
  /** In MB. The bytes of a connection are bounded by its windows, and by the budgets of the API. */
  maxSessionMemory: 1_000,
}

/** Metadata of a call: fields. */
const FIELDS_MAX = 100

export class GrpcConnection implements ConnectionOwner, StreamConnection {
  quietSince = performance.now()
  readonly socket: Socket
  readonly options: GrpcConnectionOptions
  readonly address: string
  readonly isServed: boolean
  /** A user is known on it; while rights are not checked: it has made a call that is served. */
  isKnown = false
  readonly #session: ServerHttp2Session
  readonly #share: ConnectionShare
  readonly #streams = new Set<ServedStream>()
  /** Bytes of requests that the node holds. */
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
  /** The last host that was accepted. */
  #goodHost: string | undefined

  constructor(socket: Socket, options: GrpcConnectionOptions) {
    const { limits, identity, api } = options
    this.socket = socket
    this.options = options
    this.address = socketAddress(socket)
    this.isServed = isServed(identity.served, socket)
    this.#share = new ConnectionShare(api.inboundOfStrangers)
    // A client that ends its side has left.
    socket.allowHalfOpen = false
    this.#session = performServerHandshake(socket, {
      ...UNLIMITED,
      maxHeaderListPairs: FIELDS_MAX,
      settings: {
        maxConcurrentStreams: limits.grpcStrangerStreamsMax,
        initialWindowSize: STRANGER_WINDOW,
        maxHeaderListSize: limits.grpcHeadBytesMax,
      },
    })
    this.#session.on('stream', (stream, headers) => this.#receive(stream, headers))
    this.#session.on('ping', () => this.#pinged())
    this.#session.on('remoteSettings', () => {
      if (++this.#settings > SETTINGS_MAX) this.cut('too_many_settings')
    })
    this.#session.on('error', () => {})
    socket.once('close', () => this.#closed())
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
    this.#session.settings({
      maxConcurrentStreams: limits.grpcStreamsMax,
      initialWindowSize: STREAM_WINDOW,
    })
    this.#session.setLocalWindowSize(CONNECTION_WINDOW)
  }

  /** Throws `ApiError` if the client is not served while rights are not checked. */
  checkServed(): void {
    if (!this.isServed) throw loopbackOnly()
  }

  /**
   * Throws `ApiError` for another host, and for a page of another site. A page speaks HTTP/2 only over TLS, where
   * HTTP/1.1 is preferred.
   */
  checkSender(headers: IncomingHttpHeaders): void {
    const { guard } = this.options
    const { ':authority': authority, host: field, origin, 'sec-fetch-site': site } = headers
    const host = authority ?? field
    const isGoodHost = host !== undefined && host === this.#goodHost
    if (isGoodHost && origin === undefined && site === undefined) return
    const head = {
      method: 'POST',
      httpVersion: '2.0',
      headers: { ...headers, host },
      hosts: 1,
    }
    guard.checkHost(head, NO_TARGET)
    guard.checkOrigin(head)
    this.#goodHost = host
  }

  /**
   * Counts the bytes that its client may send on a stream before it is known who that is. Throws `ApiError` if there is
   * no room.
   */
  holdUnread(): () => void {
    this.hold(STRANGER_WINDOW)
    return () => this.release(STRANGER_WINDOW)
  }

  /** Counts bytes of requests. Throws `ApiError` if there is no room for them. */
  hold(bytes: number): void {
    if (this.#share.set(this.#heldBytes + bytes)) this.#heldBytes += bytes
    else {
      this.#share.set(this.#heldBytes)
      throw tooManyBodies()
    }
  }

  release(bytes: number): void {
    this.#heldBytes -= bytes
    this.#share.set(this.#heldBytes)
  }

  /** A response has so many bytes that its client has not taken. */
  sent(bytes: number): void {
    this.#waitingBytes += bytes
    this.options.api.outbound.add(bytes)
  }

  taken(bytes: number): void {
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
    this.quietSince = performance.now()
    if (endedEarly && ++this.#resets > this.options.limits.grpcResetsMax) this.cut('too_many_resets')
  }

  /** The node stops: accepted calls are answered, streams of many responses end, and later calls are refused. */
  leave(): void {
    this.#session.close()
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
    if (this.#isPinging || this.#session.destroyed) return
    this.#isPinging = true
    this.#session.ping(() => {
      this.#isPinging = false
      this.#pongs++
    })
  }

  #pinged(): void {
    const now = performance.now()
    const isEarly = now - this.#pingedAt < this.options.limits.grpcPingMsMin
    this.#pingedAt = now
    if (isEarly && ++this.#earlyPings > EARLY_PINGS_MAX) this.cut('too_many_pings')
  }

  /** Closes the connection of a client that asks too much. Clients show the reason. */
  cut(reason: string): void {
    const session = this.#session
    if (session.destroyed) return
    session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM, 0, Buffer.from(reason))
    session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }

  #receive(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const call = new ServedStream(stream, headers, this)
    this.#streams.add(call)
    call.begin()
  }

  #closed(): void {
    this.#session.destroy()
    for (const stream of this.#streams) stream.closed()
  }
}

const NO_TARGET = {
  authority: undefined,
  path: '',
  query: '',
  operation: 'other',
  keys: undefined,
  pairs: [],
} as const
