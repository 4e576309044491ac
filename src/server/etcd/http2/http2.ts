// HTTP/2 (RFC 9113) as the server of its requests sees it. `connection.ts` implements it; the tests implement it with
// node:http2 as well, and compare both.

import type { RequestFields } from './request-fields.ts'

/** Error codes (RFC 9113 §7). */
export const CODE = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  enhanceYourCalm: 11,
} as const

export interface Http2Limits {
  /** Streams that the client may have open. Beyond: they are refused, and clients try again. */
  readonly streamsMax: number
  /** Bytes that the client may send ahead on one stream; 65,535 at least, which is the default of the protocol. */
  readonly streamWindow: number
  /** The same on all streams of the connection. */
  readonly connectionWindow: number
}

/** A connection, once its client has sent the preface. */
export interface Http2Connection {
  /** Memory of the table of fields that its client sends again and again, as RFC 7541 counts it. */
  readonly tableBytes: number
  /** The client has opened it completely, and nothing of a frame or a header block has arrived. */
  readonly isBetweenFrames: boolean
  /** Raises limits. They are never lowered. */
  raise(limits: Http2Limits): void
  /** `pong`: the client has answered. */
  ping(pong: () => void): void
  /** The client may open no more streams. The connection is closed when the last one has ended. */
  leave(): void
  /** Closes the connection of a client that asks too much. Clients show the reason. */
  cut(reason: string): void
  /** Called at intervals of some seconds. */
  check(): void
}

/** The server of a connection, which calls these methods. None of them throws. */
export interface Http2Server {
  /**
   * A request has begun. The server sets `stream.receiver` at once. Nothing more of the request is read before
   * `stream.resume()`.
   */
  begin(stream: Http2Stream, head: RequestFields): void
  /** A request was refused before it began: it is malformed, too large, or one too many. */
  streamRefused(): void
  /** The client has sent settings, or a ping. */
  settingsReceived(): void
  pinged(): void
  /**
   * The connection holds so many bytes of frames and header blocks whose rest is missing. Returns whether there is room
   * for them.
   */
  holdIncomplete(bytes: number): boolean
  /**
   * The connection holds so many more bytes of requests that nobody reads yet. Returns whether there is room for them.
   */
  holdUnread(bytes: number): boolean
  release(bytes: number): void
  /** Bytes of responses that the client has not taken: so many more, and so many less. */
  sent(bytes: number): void
  taken(bytes: number): void
}

/** The receiver of a stream, which calls these methods. None of them throws. */
export interface StreamReceiver {
  /** A part of the request. Its memory belongs to the connection. */
  receive(bytes: Uint8Array): void
  /** The client has sent all of the request. */
  requestEnded(): void
  /** There is no room for what the client has sent. It is dropped, and the receiver ends the stream. */
  roomDenied(): void
  /** The client has taken a part of the response. */
  responseTaken(): void
  /**
   * The stream is closed: both sides have ended it, or one has reset it, with this code. After a reset, what was not
   * sent is dropped.
   */
  closed(code: number): void
}

/** The stream of one request. Once it is closed, all methods do nothing. */
export interface Http2Stream {
  receiver: StreamReceiver | undefined
  /** Bytes of the response that the client has not taken. */
  readonly untakenBytes: number
  readonly isPaused: boolean
  /** The window that lets no more data through; undefined: both are open. */
  readonly shutWindow: 'stream' | 'connection' | undefined
  /** Reads the request, which is paused at first. */
  resume(): void
  pause(): void
  /** Sends the fields of a response. `isEnd`: nothing follows. */
  sendHead(fields: FieldBlock, isEnd: boolean): void
  /** `taken`: the kernel has taken these bytes. */
  sendData(bytes: Uint8Array, taken?: () => void): void
  /** Ends the response. If the client has not ended its request, the rest is not read. */
  sendTrailers(fields: FieldBlock): void
  reset(code: number): void
}

/** Fields that are sent, and their encoding. */
export interface FieldBlock {
  readonly fields: Readonly<Record<string, string>>
  readonly bytes: Uint8Array
}
