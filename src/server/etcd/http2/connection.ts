// One connection of HTTP/2 (RFC 9113): reads frames, keeps the windows of both sides, and writes the frames of one turn
// together. What its client can make it hold is bounded:
//
// - Nothing is read while the client does not take what was sent: acknowledgements would pile up.
// - Frames that ask for nothing are counted.
// - `Http2Server` counts what is not read yet, and what is not taken yet.

import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { endGently } from '../../clients/client-connection.ts'
import {
  FLAG,
  FRAME_HEAD_BYTES,
  FrameBuffer,
  PAYLOAD_BYTES_END,
  PAYLOAD_BYTES_MAX,
  PRIORITY_BYTES,
  SETTING,
  SETTING_BYTES,
  TABLE_BYTES_DEFAULT,
  TYPE,
  WINDOW_DEFAULT,
  WINDOW_MAX,
} from './frames.ts'
import { EMPTY_TABLE, HpackDecoder, HpackError } from './hpack.ts'
import { CODE, type Http2Connection, type Http2Limits, type Http2Server } from './http2.ts'
import { type HeadLimits, RequestFields } from './request-fields.ts'
import { type Http2StreamConnection, ServerStream } from './stream.ts'

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

/** Bytes that wait for the socket. Beyond: streams keep their data. So a client that takes some is seen to take it. */
const DATA_BYTES_MAX = 64 * 1024
/** Beyond so many, nothing is read. */
const OUTPUT_BYTES_MAX = 256 * 1024
/** Frames without a use between two checks. Beyond: the connection is closed. */
const USELESS_FRAMES_MAX = 1_000
/** The acknowledgement of a ping waits so long, or until so many bytes were sent. Then it follows the next frames. */
const ACKNOWLEDGE_MS_MIN = 20
const ACKNOWLEDGE_BYTES = PAYLOAD_BYTES_MAX
/** How long it waits for these frames while calls are open. Without calls it does not wait for any. */
const ACKNOWLEDGE_MS_MAX = 100
/** Frames of one header block. */
const CONTINUATIONS_MAX = 16
/** Settings in one frame. Each may change the windows of all streams. */
const SETTINGS_MAX = 32

/** A fault of the client for which its connection ends. */
class ConnectionFault extends Error {
  readonly code: number

  constructor(code: number, reason: string) {
    super(reason)
    this.code = code
  }
}

const protocolError = (reason: string) => new ConnectionFault(CODE.protocolError, reason)

export class ServerConnection implements Http2Connection, Http2StreamConnection {
  readonly server: Http2Server
  readonly #socket: Socket
  readonly #headLimits: HeadLimits
  #limits: Http2Limits
  readonly #streams = new Map<number, ServerStream>()
  readonly #hpack = new HpackDecoder()
  readonly #output = new FrameBuffer()

  // Reading
  #unread: Uint8Array = NOTHING
  #hasPreface = false
  #hasSettings = false
  /** The newest stream of the client. */
  #lastStream = 0
  /** The header block that is not complete. */
  #block: OpenBlock | undefined
  #uselessFrames = 0
  /** Bytes of frames and header blocks that are not complete, as the server knows. */
  #heldBytes = 0
  /** Bytes that may still arrive, and those that have been read and that the client does not know of. */
  #receiveWindow = WINDOW_DEFAULT
  #readBytes = 0

  // Writing
  #sendWindow = WINDOW_DEFAULT
  #peerStreamWindow = WINDOW_DEFAULT
  /** The windows of all streams grow by so much, or shrink, before a frame that is no setting. */
  #streamWindowsGrow = 0
  /** Streams with data that their own window lets through, in the order of their turns. */
  readonly #ready = new Set<ServerStream>()
  /** The decoder of the client expects to hear that its table is smaller, or has heard that it is empty. */
  #table: 'default' | 'announce' | 'empty' = 'default'
  #isWriteQueued = false
  /** The kernel has not taken all that was written. */
  #isWriting = false
  /** Data in these writes, and in the frames that wait for the next one. */
  #writtenData: SentData[] = []
  #outputData: SentData[] = []
  /** The ping of the client that is not acknowledged, and the bytes that were sent since. */
  #unacknowledged: Buffer | undefined
  #bytesSincePing = 0
  #isAcknowledgementDue = false
  #acknowledgeTimer: NodeJS.Timeout | undefined

  // End
  /** Pings that the client has not answered. */
  readonly #pings: SentPing[] = []
  #isLeaving = false
  #leaveAnnounced = false
  #isClosed = false

  /** `socket` is paused and has the preface of the client unread. */
  constructor(
    socket: Socket,
    server: Http2Server,
    { limits, head }: { readonly limits: Http2Limits; readonly head: HeadLimits },
  ) {
    this.#socket = socket
    this.server = server
    this.#limits = limits
    this.#headLimits = head
    this.#sendSettings([
      [SETTING.maxConcurrentStreams, limits.streamsMax],
      [SETTING.initialWindowSize, limits.streamWindow],
      [SETTING.maxHeaderListSize, head.headBytesMax],
    ])
    this.#growWindow(limits.connectionWindow - WINDOW_DEFAULT)
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.once('close', () => this.#closed())
    socket.resume()
  }

  get tableBytes(): number {
    return this.#hpack.tableBytes
  }

  get isBetweenFrames(): boolean {
    return this.#hasSettings && this.#heldBytes === 0 && !this.#isClosed
  }

  get streamWindow(): number {
    return this.#limits.streamWindow
  }

  raise(limits: Http2Limits): void {
    const before = this.#limits
    this.#limits = limits
    this.#sendSettings([
      [SETTING.maxConcurrentStreams, limits.streamsMax],
      [SETTING.initialWindowSize, limits.streamWindow],
    ])
    for (const stream of this.#streams.values())
      stream.growReceiveWindow(limits.streamWindow - before.streamWindow)
    this.#growWindow(limits.connectionWindow - before.connectionWindow)
  }

  /** Only who reads what was sent knows the bytes of the ping. */
  ping(pong: () => void): void {
    const payload = randomBytes(8)
    this.#pings.push({ payload, pong })
    this.send(TYPE.ping, 0, 0, payload)
  }

  leave(): void {
    if (this.#isLeaving) return
    this.#isLeaving = true
    // Streams that the client opens before it hears of this are still served.
    this.#sendGoaway(WINDOW_MAX, CODE.noError, '')
    this.ping(() => this.#announceLeave())
  }

  #announceLeave(): void {
    if (this.#leaveAnnounced || this.#isClosed) return
    this.#leaveAnnounced = true
    this.#sendGoaway(this.#lastStream, CODE.noError, '')
    this.#endIfDone()
  }

  /** The client has some time for the last responses: the connection ends once they are written. */
  #endIfDone(): void {
    if (!this.#leaveAnnounced || this.#isClosed || this.#streams.size > 0) return
    if (this.#isWriting || this.#output.length > 0) return
    this.#closed()
    endGently(this.#socket)
  }

  cut(reason: string): void {
    this.#end(CODE.enhanceYourCalm, reason)
  }

  check(): void {
    this.#uselessFrames = 0
    if (this.#isLeaving) this.#announceLeave()
  }

  #end(code: number, reason: string): void {
    if (this.#isClosed) return
    this.#sendGoaway(this.#lastStream, code, reason)
    this.#write()
    this.#closed()
    endGently(this.#socket)
  }

  #closed(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#unread = NOTHING
    clearTimeout(this.#acknowledgeTimer)
    for (const stream of [...this.#streams.values()]) stream.close(CODE.cancel)
    this.#taken(this.#writtenData)
    this.#taken(this.#outputData)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Reading

  #receive(chunk: Buffer): void {
    if (this.#isClosed) return
    const bytes = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk])
    let at = 0
    try {
      if (!this.#hasPreface) {
        if (bytes.length < PREFACE.length) {
          this.#unread = Buffer.from(bytes)
          return
        }
        if (bytes.compare(PREFACE, 0, PREFACE.length, 0, PREFACE.length) !== 0)
          throw protocolError('a wrong preface')
        this.#hasPreface = true
        at = PREFACE.length
      }
      while (!this.#isClosed && !this.#isOutputFull && bytes.length - at >= FRAME_HEAD_BYTES) {
        const length = bytes.readUIntBE(at, 3)
        if (length > PAYLOAD_BYTES_MAX)
          throw new ConnectionFault(CODE.frameSizeError, 'a frame that is too large')
        const from = at + FRAME_HEAD_BYTES
        const to = from + length
        if (to > bytes.length) break
        const stream = bytes.readUInt32BE(at + 5) & WINDOW_MAX
        this.#frame(bytes[at + 3] ?? 0, bytes[at + 4] ?? 0, stream, bytes.subarray(from, to))
        at = to
      }
      this.#growStreamWindows()
    } catch (error) {
      if (error instanceof ConnectionFault) this.#end(error.code, error.message)
      else if (error instanceof HpackError) this.#end(CODE.compressionError, error.message)
      else throw error
      return
    }
    if (this.#isClosed) return
    // A few bytes do not keep the buffer of a whole read.
    this.#unread = at === bytes.length ? NOTHING : Buffer.from(bytes.subarray(at))
    this.#holdIncomplete()
    this.#sendReady()
    if (this.#isOutputFull) this.#socket.pause()
  }

  /** A call of a few bytes may have a response of kilobytes. */
  get #isOutputFull(): boolean {
    return this.#output.length > OUTPUT_BYTES_MAX
  }

  #holdIncomplete(): void {
    const bytes = this.#unread.length + (this.#block?.bytes ?? 0)
    if (bytes === this.#heldBytes) return
    this.#heldBytes = bytes
    if (!this.server.holdIncomplete(bytes)) this.#end(CODE.enhanceYourCalm, 'too_many_bytes')
  }

  #frame(type: number, flags: number, id: number, payload: Buffer): void {
    if (this.#block !== undefined && type !== TYPE.continuation)
      throw protocolError('a header block that stops')
    if (!this.#hasSettings) {
      if (type !== TYPE.settings || (flags & FLAG.ack) !== 0) throw protocolError('no settings at first')
      this.#hasSettings = true
    }
    if (type !== TYPE.settings) this.#growStreamWindows()
    switch (type) {
      case TYPE.data:
        this.#data(flags, id, payload)
        break
      case TYPE.headers:
        this.#headers(flags, id, payload)
        break
      case TYPE.priority:
        this.#checkLength(payload, PRIORITY_BYTES)
        if (id === 0) throw protocolError('a priority of no stream')
        this.#countUseless()
        break
      case TYPE.reset:
        this.#checkLength(payload, 4)
        this.#checkSeen(id)
        this.#streams.get(id)?.close(payload.readUInt32BE(0))
        break
      case TYPE.settings:
        this.#settings(flags, id, payload)
        break
      case TYPE.pushPromise:
        throw protocolError('a push of a client')
      case TYPE.ping:
        this.#ping(flags, id, payload)
        break
      case TYPE.goaway:
        if (id !== 0) throw protocolError('a farewell on a stream')
        if (payload.length < 8) throw wrongSize()
        this.#countUseless()
        break
      case TYPE.windowUpdate:
        this.#checkLength(payload, 4)
        this.#windowUpdate(id, payload.readUInt32BE(0) & WINDOW_MAX)
        break
      case TYPE.continuation:
        this.#continuation(flags, id, payload)
        break
      default:
        this.#countUseless()
    }
  }

  #checkLength(payload: Buffer, bytes: number): void {
    if (payload.length !== bytes) throw wrongSize()
  }

  /** The frame belongs to a stream that the client has opened. It may be closed. */
  #checkSeen(id: number): void {
    if (id === 0 || id % 2 === 0 || id > this.#lastStream) throw protocolError('a frame of no stream')
  }

  #countUseless(): void {
    if (++this.#uselessFrames > USELESS_FRAMES_MAX)
      throw new ConnectionFault(CODE.enhanceYourCalm, 'too_many_frames')
  }

  #data(flags: number, id: number, payload: Buffer): void {
    this.#checkSeen(id)
    const { length } = payload
    this.#receiveWindow -= length
    if (this.#receiveWindow < 0) throw new ConnectionFault(CODE.flowControlError, 'more data than the window')
    const isEnd = (flags & FLAG.endStream) !== 0
    if (length === 0 && !isEnd) this.#countUseless()
    const data = withoutPadding(flags, payload)
    const stream = this.#streams.get(id)
    // A stream that was closed lately: its client may not know.
    if (stream === undefined) this.dataRead(length)
    else stream.receiveData(data, length, isEnd)
  }

  #headers(flags: number, id: number, payload: Buffer): void {
    if (id % 2 === 0) throw protocolError('a request on a stream of the server')
    let block = withoutPadding(flags, payload)
    if ((flags & FLAG.priority) !== 0) {
      // It has no use since RFC 9113.
      if (block.length < PRIORITY_BYTES) throw wrongSize()
      block = block.subarray(PRIORITY_BYTES)
    }
    const isEnd = (flags & FLAG.endStream) !== 0
    if ((flags & FLAG.endHeaders) !== 0) this.#headerBlock(id, isEnd, block)
    else this.#block = { id, isEnd, parts: [Buffer.from(block)], bytes: block.length }
  }

  #continuation(flags: number, id: number, payload: Buffer): void {
    const block = this.#block
    if (block?.id !== id) throw protocolError('a continuation of nothing')
    block.parts.push(Buffer.from(payload))
    block.bytes += payload.length
    if (block.bytes > this.#headLimits.headBytesMax || block.parts.length > CONTINUATIONS_MAX)
      throw new ConnectionFault(CODE.enhanceYourCalm, 'too_many_headers')
    if ((flags & FLAG.endHeaders) === 0) return
    this.#block = undefined
    this.#headerBlock(id, block.isEnd, Buffer.concat(block.parts))
  }

  #headerBlock(id: number, isEnd: boolean, block: Uint8Array): void {
    const head = new RequestFields(this.#headLimits)
    this.#hpack.decode(block, (field) => head.add(field))
    if (id <= this.#lastStream) {
      const stream = this.#streams.get(id)
      // A stream that was closed lately: its client may not know.
      if (stream === undefined) this.#countUseless()
      else stream.receiveTrailers(head, isEnd)
      return
    }
    this.#lastStream = id
    head.end()
    if (this.#leaveAnnounced || this.#streams.size >= this.#limits.streamsMax)
      this.#refuse(id, CODE.refusedStream)
    else if (head.fault === 'too large') this.#refuse(id, CODE.enhanceYourCalm)
    else if (head.fault !== undefined) this.#refuse(id, CODE.protocolError)
    else {
      const stream = new ServerStream(id, this, this.#peerStreamWindow, head.contentLength)
      this.#streams.set(id, stream)
      if (isEnd) stream.receiveEnd()
      if (stream.isClosed) this.server.streamRefused()
      else this.server.begin(stream, head)
    }
  }

  /** The stream is never open. */
  #refuse(id: number, code: number): void {
    this.sendReset(id, code)
    this.server.streamRefused()
  }

  #settings(flags: number, id: number, payload: Buffer): void {
    if (id !== 0) throw protocolError('settings of a stream')
    if ((flags & FLAG.ack) !== 0) {
      this.#checkLength(payload, 0)
      this.#countUseless()
      return
    }
    if (payload.length % SETTING_BYTES !== 0) throw wrongSize()
    if (payload.length > SETTINGS_MAX * SETTING_BYTES)
      throw new ConnectionFault(CODE.enhanceYourCalm, 'too_many_settings')
    for (let at = 0; at < payload.length; at += SETTING_BYTES)
      this.#setting(payload.readUInt16BE(at), payload.readUInt32BE(at + 2))
    this.send(TYPE.settings, FLAG.ack, 0, NOTHING)
    this.server.settingsReceived()
  }

  #setting(id: number, value: number): void {
    if (id === SETTING.enablePush && value > 1) throw protocolError('a wrong setting')
    else if (id === SETTING.initialWindowSize) {
      if (value > WINDOW_MAX) throw new ConnectionFault(CODE.flowControlError, 'a wrong setting')
      this.#streamWindowsGrow += value - this.#peerStreamWindow
      this.#peerStreamWindow = value
    } else if (id === SETTING.maxFrameSize) {
      // Frames stay small: the streams take turns.
      if (value < PAYLOAD_BYTES_MAX || value >= PAYLOAD_BYTES_END) throw protocolError('a wrong setting')
    } else if (id === SETTING.headerTableSize && value < TABLE_BYTES_DEFAULT && this.#table === 'default')
      this.#table = 'announce'
  }

  /** Visits all streams. A few bytes change their windows hundreds of times, so it waits until the last change. */
  #growStreamWindows(): void {
    const more = this.#streamWindowsGrow
    if (more === 0) return
    this.#streamWindowsGrow = 0
    for (const stream of this.#streams.values()) if (!stream.growSendWindow(more)) throw windowOverflow()
  }

  #ping(flags: number, id: number, payload: Buffer): void {
    if (id !== 0) throw protocolError('a ping of a stream')
    this.#checkLength(payload, 8)
    if ((flags & FLAG.ack) === 0) {
      this.#acknowledge(payload)
      this.server.pinged()
      return
    }
    if (this.#pings[0]?.payload.equals(payload) === true) this.#pings.shift()?.pong()
    else this.#countUseless()
  }

  /**
   * Clients in Go send a ping when data arrives, unless the one before is not acknowledged yet. Each ping costs a read
   * here, and its acknowledgement a write, which is as much as a call costs. So the acknowledgement waits, and then
   * follows other frames: ahead of a response, it would let the client ping for this one as well.
   */
  #acknowledge(ping: Buffer): void {
    this.#sendAcknowledgement()
    this.#unacknowledged = Buffer.from(ping)
    this.#acknowledgeTimer = setTimeout(this.#acknowledgementDue, ACKNOWLEDGE_MS_MIN)
  }

  readonly #acknowledgementDue = (): void => {
    if (this.#streams.size === 0 || this.#isAcknowledgementDue) this.#sendAcknowledgement()
    else {
      this.#isAcknowledgementDue = true
      this.#acknowledgeTimer = setTimeout(this.#acknowledgementDue, ACKNOWLEDGE_MS_MAX - ACKNOWLEDGE_MS_MIN)
    }
  }

  #sendAcknowledgement(): void {
    const ping = this.#unacknowledged
    if (ping === undefined) return
    clearTimeout(this.#acknowledgeTimer)
    this.#unacknowledged = undefined
    this.#bytesSincePing = 0
    this.#isAcknowledgementDue = false
    this.send(TYPE.ping, FLAG.ack, 0, ping)
  }

  #windowUpdate(id: number, more: number): void {
    if (id === 0) {
      if (more === 0) throw protocolError('a window that does not grow')
      this.#sendWindow += more
      if (this.#sendWindow > WINDOW_MAX) throw windowOverflow()
      return
    }
    this.#checkSeen(id)
    // A stream that is closed: its client has taken the end of the response, and this is for the bytes before.
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    if (more === 0) stream.reset(CODE.protocolError)
    else if (!stream.growSendWindow(more)) stream.reset(CODE.flowControlError)
  }

  /** Bytes of data were read, or dropped: the client may send as many again. */
  dataRead(bytes: number): void {
    this.#readBytes += bytes
    if (this.#readBytes < this.#limits.connectionWindow / 2) return
    this.#growWindow(this.#readBytes)
    this.#readBytes = 0
  }

  #growWindow(bytes: number): void {
    if (bytes <= 0) return
    this.#receiveWindow += bytes
    this.sendWindowUpdate(0, bytes)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Writing

  get isShut(): boolean {
    return this.#sendWindow <= 0
  }

  /** Bytes that may be sent now, whatever the window of the stream. */
  get #sendableBytes(): number {
    return this.#output.length > DATA_BYTES_MAX ? 0 : this.#sendWindow
  }

  /** Bytes of the next frame of data that may be sent now. `window`: of the stream. */
  sendableBytes(window: number): number {
    return Math.max(0, Math.min(window, this.#sendableBytes, PAYLOAD_BYTES_MAX))
  }

  sendData(stream: ServerStream, bytes: Uint8Array, taken: (() => void) | undefined): void {
    this.#sendWindow -= bytes.length
    this.send(TYPE.data, 0, stream.id, bytes)
    this.#outputData.push({ stream, bytes: bytes.length, taken })
  }

  sendFields(id: number, fields: Uint8Array, isEnd: boolean): void {
    const block = this.#table === 'announce' ? Buffer.concat([EMPTY_TABLE, fields]) : fields
    if (this.#table === 'announce') this.#table = 'empty'
    const first = block.subarray(0, PAYLOAD_BYTES_MAX)
    const isWhole = first.length === block.length
    this.send(TYPE.headers, (isEnd ? FLAG.endStream : 0) | (isWhole ? FLAG.endHeaders : 0), id, first)
    for (let at = first.length; at < block.length; at += PAYLOAD_BYTES_MAX) {
      const isLast = at + PAYLOAD_BYTES_MAX >= block.length
      const part = block.subarray(at, at + PAYLOAD_BYTES_MAX)
      this.send(TYPE.continuation, isLast ? FLAG.endHeaders : 0, id, part)
    }
  }

  /** While other streams have their turns, none sends at once. */
  get isFree(): boolean {
    return this.#ready.size === 0
  }

  ready(stream: ServerStream): void {
    this.#ready.add(stream)
  }

  /** Each stream sends a frame in turn. */
  #sendReady(): void {
    while (this.#sendableBytes > 0) {
      const [stream] = this.#ready
      if (stream === undefined) return
      this.#ready.delete(stream)
      if (stream.sendNext()) this.#ready.add(stream)
    }
  }

  streamClosed(stream: ServerStream): void {
    this.#streams.delete(stream.id)
    this.#ready.delete(stream)
    if (this.#leaveAnnounced) this.#endIfDone()
  }

  sendReset(id: number, code: number): void {
    if (this.#isClosed) return
    this.#output.addUint32(TYPE.reset, id, code)
    this.#queueWrite()
  }

  sendWindowUpdate(id: number, bytes: number): void {
    if (this.#isClosed) return
    this.#output.addUint32(TYPE.windowUpdate, id, bytes)
    this.#queueWrite()
  }

  send(type: number, flags: number, id: number, payload: Uint8Array): void {
    if (this.#isClosed) return
    this.#output.add(type, flags, id, payload)
    this.#queueWrite()
  }

  #sendSettings(settings: readonly (readonly [id: number, value: number])[]): void {
    const payload = Buffer.alloc(SETTING_BYTES * settings.length)
    for (const [at, [id, value]] of settings.entries()) {
      payload.writeUInt16BE(id, SETTING_BYTES * at)
      payload.writeUInt32BE(value, SETTING_BYTES * at + 2)
    }
    this.send(TYPE.settings, 0, 0, payload)
  }

  #sendGoaway(lastStream: number, code: number, reason: string): void {
    const payload = Buffer.alloc(8 + reason.length)
    payload.writeUInt32BE(lastStream, 0)
    payload.writeUInt32BE(code, 4)
    payload.write(reason, 8, 'latin1')
    this.send(TYPE.goaway, 0, 0, payload)
  }

  /** Frames of one turn are written together. While the kernel takes nothing more, they wait here. */
  #queueWrite(): void {
    if (this.#isWriteQueued || this.#isWriting) return
    this.#isWriteQueued = true
    process.nextTick(this.#writeQueued)
  }

  readonly #writeQueued = (): void => {
    this.#isWriteQueued = false
    if (!this.#isWriting) this.#write()
  }

  /** While earlier bytes are being written, only the end of the connection calls it. */
  #write(): void {
    const socket = this.#socket
    if (this.#output.length === 0 || !socket.writable) return
    this.#isWriting = true
    if (this.#unacknowledged !== undefined) {
      this.#bytesSincePing += this.#output.length
      if (this.#isAcknowledgementDue || this.#bytesSincePing >= ACKNOWLEDGE_BYTES) this.#sendAcknowledgement()
    }
    const parts = this.#output.take()
    const data = this.#outputData
    this.#outputData = this.#writtenData
    this.#writtenData = data
    socket.cork()
    for (const part of parts) socket.write(part, this.#written)
    socket.uncork()
    this.#written()
  }

  /** Called whenever the kernel has taken something. */
  readonly #written = (): void => {
    if (!this.#isWriting || this.#socket.writableLength > 0 || this.#isClosed) return
    this.#isWriting = false
    this.#taken(this.#writtenData)
    this.#sendReady()
    if (this.#output.length > 0) this.#queueWrite()
    else this.#endIfDone()
    if (!this.#socket.isPaused() || this.#isOutputFull) return
    this.#receive(NOTHING)
    if (!this.#isOutputFull) this.#socket.resume()
  }

  #taken(list: SentData[]): void {
    let all = 0
    for (const { bytes } of list) all += bytes
    if (all > 0) this.server.taken(all)
    for (const { stream, bytes, taken } of list.splice(0)) stream.dataTaken(bytes, taken)
  }
}

/** Data in frames of one write. */
interface SentData {
  readonly stream: ServerStream
  readonly bytes: number
  readonly taken: (() => void) | undefined
}

interface SentPing {
  readonly payload: Buffer
  readonly pong: () => void
}

interface OpenBlock {
  readonly id: number
  readonly isEnd: boolean
  readonly parts: Buffer[]
  bytes: number
}

const NOTHING = Buffer.alloc(0)

const wrongSize = () => new ConnectionFault(CODE.frameSizeError, 'a frame of a wrong size')
const windowOverflow = () => new ConnectionFault(CODE.flowControlError, 'a window that is too large')

/** Throws if there is more padding than payload. */
function withoutPadding(flags: number, payload: Buffer): Buffer {
  if ((flags & FLAG.padded) === 0) return payload
  const padding = payload[0]
  if (padding === undefined || padding >= payload.length) throw protocolError('more padding than payload')
  return payload.subarray(1, payload.length - padding)
}
