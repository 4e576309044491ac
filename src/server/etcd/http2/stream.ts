// One stream: the request of a client, and the response to it. Both have windows.

import { WINDOW_MAX } from './frames.ts'
import { CODE, type FieldBlock, type Http2Server, type Http2Stream, type StreamReceiver } from './http2.ts'

/** The connection of a stream. */
export interface Http2StreamConnection {
  readonly server: Http2Server
  /** Bytes that a client may send ahead on one stream. */
  readonly streamWindow: number
  dataRead(bytes: number): void
  sendableBytes(window: number): number
  sendFields(id: number, block: Uint8Array, isEnd: boolean): void
  sendData(stream: ServerStream, bytes: Uint8Array, taken: (() => void) | undefined): void
  sendReset(id: number, code: number): void
  sendWindowUpdate(id: number, bytes: number): void
  /** Has the stream send its next frame when that may be possible, until it is unblocked. */
  block(stream: ServerStream): void
  unblock(stream: ServerStream): void
  streamClosed(stream: ServerStream): void
}

interface WaitingData {
  readonly bytes: Uint8Array
  readonly taken: (() => void) | undefined
}

export class ServerStream implements Http2Stream {
  readonly id: number
  receiver: StreamReceiver | undefined
  untakenBytes = 0
  isPaused = true
  readonly #connection: Http2StreamConnection

  // The request
  #receiveWindow: number
  /** Bytes that have been read and that the client does not know of. */
  #readBytes = 0
  /** Bytes that have arrived while the stream was paused: the beginning of this memory. */
  #unread: Uint8Array = NOTHING
  #unreadBytes = 0
  /** Bytes that `content-length` has announced and that have not arrived. */
  #announcedBytes: number | undefined
  /** The client has ended its request; the receiver knows. */
  #hasEnded = false
  #isEndReceived = false

  // The response
  #sendWindow: number
  /** Data that the windows or the socket have not let through. */
  readonly #waiting: WaitingData[] = []
  #trailers: FieldBlock | undefined
  #isClosed = false

  constructor(
    id: number,
    connection: Http2StreamConnection,
    sendWindow: number,
    contentLength: string | undefined,
  ) {
    this.id = id
    this.#connection = connection
    this.#sendWindow = sendWindow
    this.#receiveWindow = connection.streamWindow
    this.#announcedBytes = contentLength === undefined ? undefined : Number(contentLength)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // The request

  resume(): void {
    if (!this.isPaused || this.#isClosed) return
    this.isPaused = false
    const bytes = this.#unreadBytes
    if (bytes > 0) {
      const unread = this.#unread.subarray(0, bytes)
      this.#unread = NOTHING
      this.#unreadBytes = 0
      this.#connection.server.releaseUnread(bytes)
      this.#read(unread, bytes)
    }
    this.#passEnd()
  }

  pause(): void {
    this.isPaused = true
  }

  /** `length`: of the whole frame, with its padding. */
  receiveData(data: Uint8Array, length: number, isEnd: boolean): void {
    this.#receiveWindow -= length
    if (this.#hasEnded || this.#receiveWindow < 0) {
      this.#connection.dataRead(length)
      this.reset(this.#hasEnded ? CODE.streamClosed : CODE.flowControlError)
      return
    }
    if (this.#announcedBytes !== undefined) this.#announcedBytes -= data.length
    if (this.isPaused) this.#keep(data, length)
    else this.#read(data, length)
    if (isEnd) this.receiveEnd()
  }

  receiveEnd(): void {
    if (this.#isClosed) return
    if (this.#hasEnded) this.reset(CODE.streamClosed)
    // It is something else than a number, or not what has arrived.
    else if (this.#announcedBytes !== undefined && this.#announcedBytes !== 0) this.reset(CODE.protocolError)
    else {
      this.#hasEnded = true
      this.#passEnd()
    }
  }

  #read(data: Uint8Array, length: number): void {
    if (data.length > 0) this.receiver?.receive(data)
    this.#credit(length)
  }

  #credit(bytes: number): void {
    this.#connection.dataRead(bytes)
    this.#readBytes += bytes
    if (this.#hasEnded || this.#isClosed || this.#readBytes < this.#connection.streamWindow / 2) return
    this.#receiveWindow += this.#readBytes
    this.#connection.sendWindowUpdate(this.id, this.#readBytes)
    this.#readBytes = 0
  }

  /** The memory doubles, so many small frames cost no more than a large one. */
  #keep(data: Uint8Array, length: number): void {
    this.#credit(length - data.length)
    if (data.length === 0) return
    const before = this.#unreadBytes
    const needed = before + data.length
    if (!this.#connection.server.holdUnread(data.length)) {
      this.#connection.dataRead(data.length)
      this.receiver?.roomDenied()
      return
    }
    if (needed > this.#unread.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * before))
      grown.set(this.#unread.subarray(0, before))
      this.#unread = grown
    }
    this.#unread.set(data, before)
    this.#unreadBytes = needed
  }

  #passEnd(): void {
    if (!this.#hasEnded || this.#isEndReceived || this.isPaused || this.#isClosed) return
    this.#isEndReceived = true
    this.receiver?.requestEnded()
  }

  growReceiveWindow(bytes: number): void {
    this.#receiveWindow += bytes
  }

  // -------------------------------------------------------------------------------------------------------------------
  // The response

  /** Returns whether the window is legal. It may be negative (RFC 9113 §6.9.2). */
  growSendWindow(bytes: number): boolean {
    this.#sendWindow += bytes
    return this.#sendWindow <= WINDOW_MAX
  }

  sendHead({ bytes }: FieldBlock, isEnd: boolean): void {
    if (this.#isClosed) return
    this.#connection.sendFields(this.id, bytes, isEnd)
    if (isEnd) this.#ended()
  }

  sendData(bytes: Uint8Array, taken?: () => void): void {
    if (this.#isClosed || bytes.length === 0) return
    this.untakenBytes += bytes.length
    this.#connection.server.sent(bytes.length)
    const rest = this.#waiting.length > 0 ? bytes : this.#sendNow(bytes, taken)
    if (rest.length === 0) return
    this.#waiting.push({ bytes: rest, taken })
    this.#connection.block(this)
  }

  sendTrailers(fields: FieldBlock): void {
    if (this.#isClosed) return
    this.#trailers = fields
    this.#endIfSent()
  }

  /** Sends what the windows and the socket let through. Returns the rest. */
  #sendNow(bytes: Uint8Array, taken: (() => void) | undefined): Uint8Array {
    let rest = bytes
    while (rest.length > 0) {
      const length = Math.min(rest.length, this.#connection.sendableBytes(this.#sendWindow))
      if (length === 0) break
      rest = this.#sendPart(rest, length, taken)
    }
    return rest
  }

  #sendPart(bytes: Uint8Array, length: number, taken: (() => void) | undefined): Uint8Array {
    this.#sendWindow -= length
    const isLast = length === bytes.length
    this.#connection.sendData(this, isLast ? bytes : bytes.subarray(0, length), isLast ? taken : undefined)
    return isLast ? NOTHING : bytes.subarray(length)
  }

  /** Sends the next frame of what waits. Returns whether it could. */
  sendNext(): boolean {
    const [next] = this.#waiting
    if (next === undefined) return false
    const { bytes, taken } = next
    const length = Math.min(bytes.length, this.#connection.sendableBytes(this.#sendWindow))
    if (length === 0) return false
    const rest = this.#sendPart(bytes, length, taken)
    if (rest.length > 0) this.#waiting[0] = { bytes: rest, taken }
    else this.#waiting.shift()
    if (this.#waiting.length === 0) {
      this.#connection.unblock(this)
      this.#endIfSent()
    }
    return true
  }

  #endIfSent(): void {
    if (this.#trailers === undefined || this.#waiting.length > 0) return
    this.#connection.sendFields(this.id, this.#trailers.bytes, true)
    this.#ended()
  }

  /** The response has ended. The rest of the request is not read. */
  #ended(): void {
    if (!this.#hasEnded) this.#connection.sendReset(this.id, CODE.noError)
    this.close(CODE.noError)
  }

  /** The client has taken data. */
  dataTaken(bytes: number, taken: (() => void) | undefined): void {
    if (this.#isClosed) return
    this.untakenBytes -= bytes
    taken?.()
    this.receiver?.responseTaken()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // The end

  reset(code: number): void {
    if (this.#isClosed) return
    this.#connection.sendReset(this.id, code)
    this.close(code)
  }

  /** The stream is closed, without a further frame. */
  close(code: number): void {
    if (this.#isClosed) return
    this.#isClosed = true
    const { server } = this.#connection
    let unsent = 0
    for (const { bytes } of this.#waiting.splice(0)) unsent += bytes.length
    if (unsent > 0) server.taken(unsent)
    if (this.#unreadBytes > 0) {
      server.releaseUnread(this.#unreadBytes)
      this.#connection.dataRead(this.#unreadBytes)
      this.#unread = NOTHING
    }
    this.#connection.streamClosed(this)
    this.receiver?.closed(code)
  }
}

const NOTHING = new Uint8Array()
