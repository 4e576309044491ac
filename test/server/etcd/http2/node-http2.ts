// HTTP/2 of node:http2 behind the interface of src/server/etcd/http2: what ours is compared with.

import {
  constants,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { Socket } from 'node:net'
import type {
  FieldBlock,
  Http2Connection,
  Http2Limits,
  Http2Server,
  Http2Stream,
  StreamReceiver,
} from '../../../../src/server/etcd/http2/http2.ts'
import {
  HeaderField,
  type HeadLimits,
  RequestFields,
} from '../../../../src/server/etcd/http2/request-fields.ts'

/** Its own limits, which ours are compared without. */
const UNLIMITED = { streamResetBurst: 1_000_000, streamResetRate: 1_000_000, maxSessionMemory: 1_000 }

export class ServerConnection implements Http2Connection {
  readonly tableBytes = 0
  readonly isBetweenFrames = false
  readonly #session: ServerHttp2Session
  readonly #streams = new Set<NodeStream>()

  constructor(
    socket: Socket,
    server: Http2Server,
    { limits, head }: { readonly limits: Http2Limits; readonly head: HeadLimits },
  ) {
    this.#session = performServerHandshake(socket, {
      ...UNLIMITED,
      maxHeaderListPairs: head.fieldsMax,
      settings: {
        maxConcurrentStreams: limits.streamsMax,
        initialWindowSize: limits.streamWindow,
        maxHeaderListSize: head.headBytesMax,
      },
    })
    if (limits.connectionWindow > WINDOW_DEFAULT) this.#session.setLocalWindowSize(limits.connectionWindow)
    this.#session.on('stream', (stream, headers) => {
      const fields = new RequestFields(head)
      for (const [name, value] of Object.entries(headers))
        if (typeof value === 'string') fields.add(new HeaderField(name, value))
      fields.end()
      const opened = new NodeStream(stream, server, () => this.#streams.delete(opened))
      this.#streams.add(opened)
      server.begin(opened, fields)
    })
    this.#session.on('ping', () => server.pinged())
    this.#session.on('remoteSettings', () => server.settingsReceived())
    this.#session.on('error', () => {})
    socket.once('close', () => {
      this.#session.destroy()
      for (const stream of this.#streams) stream.closed()
    })
  }

  raise({ streamsMax, streamWindow, connectionWindow }: Http2Limits): void {
    if (this.#session.destroyed) return
    this.#session.settings({ maxConcurrentStreams: streamsMax, initialWindowSize: streamWindow })
    this.#session.setLocalWindowSize(connectionWindow)
  }

  ping(pong: () => void): void {
    if (!this.#session.destroyed) this.#session.ping(pong)
  }

  leave(): void {
    this.#session.close()
  }

  cut(reason: string): void {
    const session = this.#session
    if (session.destroyed) return
    session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM, 0, Buffer.from(reason))
    session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }

  check(): void {}
}

const WINDOW_DEFAULT = 65_535

class NodeStream implements Http2Stream {
  receiver: StreamReceiver | undefined
  untakenBytes = 0
  readonly shutWindow = undefined
  readonly #stream: ServerHttp2Stream
  readonly #server: Http2Server
  readonly #forget: () => void
  #isRead = false
  #isClosed = false

  constructor(stream: ServerHttp2Stream, server: Http2Server, forget: () => void) {
    this.#stream = stream
    this.#server = server
    this.#forget = forget
    stream.on('error', () => {})
    stream.on('close', () => this.closed())
    // A stream that is not read ends only when the rest has been read.
    stream.on('aborted', () => stream.resume())
  }

  get isPaused(): boolean {
    return !this.#isRead || this.#stream.isPaused()
  }

  resume(): void {
    if (this.#isRead) this.#stream.resume()
    else {
      this.#isRead = true
      this.#stream.on('data', (bytes: Buffer) => this.receiver?.receive(bytes))
      this.#stream.on('end', () => {
        if (!this.#isOver) this.receiver?.requestEnded()
      })
    }
  }

  pause(): void {
    this.#stream.pause()
  }

  get #isOver(): boolean {
    return this.#isClosed || this.#stream.closed || this.#stream.destroyed
  }

  sendHead({ fields }: FieldBlock, isEnd: boolean): void {
    if (this.#isOver) return
    this.#stream.respond(fields, { endStream: isEnd, waitForTrailers: !isEnd })
    // The rest of the request is not read.
    if (isEnd) this.#stream.close(constants.NGHTTP2_NO_ERROR)
  }

  sendData(bytes: Uint8Array, taken?: () => void): void {
    if (this.#isOver) return
    this.untakenBytes += bytes.length
    this.#server.sent(bytes.length)
    this.#stream.write(bytes, () => {
      if (this.#isClosed) return
      this.untakenBytes -= bytes.length
      this.#server.taken(bytes.length)
      taken?.()
      this.receiver?.responseTaken()
    })
  }

  sendTrailers({ fields }: FieldBlock): void {
    if (this.#isOver) return
    this.#stream.once('wantTrailers', () => this.#stream.sendTrailers(fields))
    this.#stream.end()
  }

  reset(code: number): void {
    if (!this.#isOver) this.#stream.close(code)
  }

  closed(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#forget()
    if (this.untakenBytes > 0) this.#server.taken(this.untakenBytes)
    this.receiver?.closed(this.#stream.rstCode)
  }
}
