// One stream: the request of a client, and the response to it. Both have windows.

import { PAYLOAD_BYTES_MAX, WINDOW_MAX } from './frames.ts'
import { CODE, type FieldBlock, type Http2Server, type Http2Stream, type StreamReceiver } from './http2.ts'
import type { RequestFields } from './request-fields.ts'

/** The connection of a stream. */
export interface Http2StreamConnection {
  readonly server: Http2Server
  /** Bytes that a client may send ahead on one stream. */
  readonly streamWindow: number
  dataRead(bytes: number): void
  /** Its window lets no more data through. */
  readonly isShut: boolean
  sendableBytes(window: number): number
  sendFields(id: number, block: Uint8Array, isEnd: boolean): void
  sendData(stream: ServerStream, bytes: Uint8Array, taken: (() => void) | undefined): void
  sendReset(id: number, code: number): void
  sendWindowUpdate(id: number, bytes: number): void
  /** No other stream waits for its turn. */
  readonly isFree: boolean
  /** The stream has data that its own window lets through: it sends a frame when it is its turn. */
  ready(stream: ServerStream): void
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
  /** Bytes that were kept are being passed on. */
  #isResuming = false
  /** Bytes that `content-length` has announced and that have not arrived. */
  #announcedBytes: number | undefined
  /** The client has ended its request; the receiver knows. */
  #hasEnded = false
  #isEndReceived = false

  // The response
  #sendWindow: number
  /** Data that the windows or the socket have not let through: from this place on, as earlier ones are sent. */
  #waiting: WaitingData[] = []
  #waitingFrom = 0
  #trailers: FieldBlock | undefined
  isClosed = false

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

  /** Passes on what was kept, in parts: the receiver may pause again. */
  resume(): void {
    if (!this.isPaused || this.isClosed) return
    this.isPaused = false
    if (this.#isResuming) return
    this.#isResuming = true
    while (this.#unreadBytes > 0 && !this.isPaused) this.#readKept()
    this.#isResuming = false
    this.#passEnd()
  }

  #readKept(): void {
    const part = this.#unread.subarray(0, Math.min(this.#unreadBytes, PAYLOAD_BYTES_MAX))
    this.#unreadBytes -= part.length
    this.#unread = this.#unreadBytes > 0 ? this.#unread.subarray(part.length) : NOTHING
    this.#connection.server.release(part.length)
    this.#read(part, part.length)
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
    if (this.#announcedBytes !== undefined) {
      this.#announcedBytes -= data.length
      if (this.#announcedBytes < 0) {
        this.#connection.dataRead(length)
        this.reset(CODE.protocolError)
        return
      }
    }
    if (this.isPaused) this.#keep(data, length)
    else this.#read(data, length)
    if (isEnd) this.receiveEnd()
  }

  receiveEnd(): void {
    if (this.isClosed) return
    if (this.#hasEnded) this.reset(CODE.streamClosed)
    else if ((this.#announcedBytes ?? 0) > 0) this.reset(CODE.protocolError)
    else {
      this.#hasEnded = true
      this.#passEnd()
    }
  }

  /** Trailers end the request. None of their fields is used. */
  receiveTrailers(head: RequestFields, isEnd: boolean): void {
    if (isEnd && head.areTrailers) this.receiveEnd()
    else this.reset(this.#hasEnded ? CODE.streamClosed : CODE.protocolError)
  }

  #read(data: Uint8Array, length: number): void {
    if (data.length > 0) this.receiver?.receive(data)
    this.#credit(length)
  }

  #credit(bytes: number): void {
    this.#connection.dataRead(bytes)
    this.#readBytes += bytes
    if (this.#hasEnded || this.isClosed || this.#readBytes < this.#connection.streamWindow / 2) return
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
    if (!this.#hasEnded || this.#isEndReceived || this.isPaused || this.isClosed) return
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
    const isShut = this.#sendWindow <= 0
    this.#sendWindow += bytes
    if (isShut && this.#hasWaiting) this.#becomeReady()
    return this.#sendWindow <= WINDOW_MAX
  }

  get shutWindow(): 'stream' | 'connection' | undefined {
    if (this.#sendWindow <= 0) return 'stream'
    return this.#connection.isShut ? 'connection' : undefined
  }

  get #hasWaiting(): boolean {
    return this.#waitingFrom < this.#waiting.length
  }

  #becomeReady(): void {
    if (this.#sendWindow > 0) this.#connection.ready(this)
  }

  sendHead({ bytes }: FieldBlock, isEnd: boolean): void {
    if (this.isClosed) return
    this.#connection.sendFields(this.id, bytes, isEnd)
    if (isEnd) this.#ended()
  }

  sendData(bytes: Uint8Array, taken?: () => void): void {
    if (this.isClosed || bytes.length === 0) return
    this.untakenBytes += bytes.length
    this.#connection.server.sent(bytes.length)
    const isNext = !this.#hasWaiting && this.#connection.isFree
    const rest = isNext ? this.#sendNow(bytes, taken) : bytes
    if (rest.length === 0) return
    this.#waiting.push({ bytes: rest, taken })
    this.#becomeReady()
  }

  sendTrailers(fields: FieldBlock): void {
    if (this.isClosed) return
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

  /** Sends the next frame of what waits. Returns whether its own window lets a further one through. */
  sendNext(): boolean {
    const next = this.#waiting[this.#waitingFrom]
    if (next === undefined) return false
    const { bytes, taken } = next
    const length = Math.min(bytes.length, this.#connection.sendableBytes(this.#sendWindow))
    if (length === 0) return false
    const rest = this.#sendPart(bytes, length, taken)
    if (rest.length > 0) this.#waiting[this.#waitingFrom] = { bytes: rest, taken }
    else this.#waitingFrom++
    if (this.#hasWaiting) {
      this.#dropSent()
      return this.#sendWindow > 0
    }
    this.#waiting = []
    this.#waitingFrom = 0
    this.#endIfSent()
    return false
  }

  /** Data that was sent leaves the list when it is half of it: a long list is not moved for each frame. */
  #dropSent(): void {
    if (this.#waitingFrom < 64 || this.#waitingFrom < this.#waiting.length / 2) return
    this.#waiting = this.#waiting.slice(this.#waitingFrom)
    this.#waitingFrom = 0
  }

  #endIfSent(): void {
    if (this.#trailers === undefined || this.#hasWaiting) return
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
    if (this.isClosed) return
    this.untakenBytes -= bytes
    taken?.()
    this.receiver?.responseTaken()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // The end

  reset(code: number): void {
    if (this.isClosed) return
    this.#connection.sendReset(this.id, code)
    this.close(code)
  }

  /** The stream is closed, without a further frame. */
  close(code: number): void {
    if (this.isClosed) return
    this.isClosed = true
    const { server } = this.#connection
    let unsent = 0
    for (const { bytes } of this.#waiting.slice(this.#waitingFrom)) unsent += bytes.length
    this.#waiting = []
    if (unsent > 0) server.taken(unsent)
    if (this.#unreadBytes > 0) {
      server.release(this.#unreadBytes)
      this.#connection.dataRead(this.#unreadBytes)
      this.#unreadBytes = 0
      this.#unread = NOTHING
    }
    this.#connection.streamClosed(this)
    this.receiver?.closed(code)
  }
}

const NOTHING = new Uint8Array()
