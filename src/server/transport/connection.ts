// One TCP connection that speaks in frames: what is sent in one turn leaves in one write, what waits is bounded, a side that falls silent
// is noticed, and it ends exactly once, with a reason.

import type { Socket } from 'node:net'
import { type ByteReader, ByteWriter } from './bytes.ts'
import { FrameReader, FrameWriter, frameBytes } from './frames.ts'
import { FRAME, type RefusalFrame, writeRefusal } from './handshake.ts'
import type { TransportCounters, TransportLimits } from './limits.ts'

export interface ConnectionOwner {
  /** One whole frame; reads it through `Connection.decode`. Pings are answered before it sees them. */
  frame(type: number, body: ByteReader): void
  /** The connection is over; said once, never from within `send`. */
  closed(why: string): void
}

/** Ticks without a byte after which the other side counts as gone; the first asks with a ping. */
const SILENT_TICKS = 3

/** Frames are put together here, then copied: nothing runs in between. */
const scratch = new ByteWriter()

export class Connection {
  private readonly socket: Socket
  private readonly limits: TransportLimits
  private readonly counters: TransportCounters
  private owner: ConnectionOwner
  private readonly reader: FrameReader
  private readonly writer = new FrameWriter()
  private readonly ticker: NodeJS.Timeout
  private silentTicks = 0
  /** Given to `send` and not yet taken by the kernel … */
  private queuedBytes = 0
  private queuedFrames = 0
  /** … and of these, not yet given to the socket. */
  private waitingBytes = 0
  private waitingFrames = 0
  private flushAsked = false
  private greeted = false
  private over = false
  private onHold = false
  private readonly held: Buffer[] = []

  /** `asks`: this side sends the pings (the dialler), the other answers. */
  constructor(
    socket: Socket,
    limits: TransportLimits,
    counters: TransportCounters,
    asks: boolean,
    owner: ConnectionOwner,
  ) {
    this.socket = socket
    this.limits = limits
    this.counters = counters
    this.owner = owner
    this.reader = new FrameReader(limits.helloBytesMax)
    counters.connectionsOpened++
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.arrived(chunk))
    socket.on('drain', this.flush)
    socket.on('end', () => this.ended('the other side closed it'))
    socket.on('error', (error) => this.ended(error.message))
    socket.on('close', () => this.ended('it was cut'))
    this.ticker = setInterval(() => this.tick(asks), limits.silenceMs / SILENT_TICKS)
  }

  get closed(): boolean {
    return this.over
  }

  /** The handshake is done: from here on `owner` is told, and long frames are read. */
  established(owner: ConnectionOwner): void {
    this.owner = owner
    this.greeted = true
    this.reader.bytesMax = this.limits.frameBytesMax
  }

  /**
   * Queues one frame: what `write` writes, then `tail`, whose long parts go out from where they lie if `stable` (frames.ts). False: the queue is full, or the connection is over, and nothing was queued.
   */
  send(
    type: number,
    write: (out: ByteWriter) => void = () => {},
    tail: readonly Uint8Array[] = [],
    stable = false,
  ): boolean {
    if (this.over) return false
    scratch.clear()
    write(scratch)
    const fixed = scratch.written()
    const bytes = frameBytes(fixed, tail)
    const { limits } = this
    if (bytes > limits.frameBytesMax) throw new RangeError(`a frame of ${bytes} bytes cannot be sent`)
    if (this.queuedFrames >= limits.queueMessagesMax) return false
    if (this.queuedFrames > 0 && this.queuedBytes + bytes > limits.queueBytesMax) return false
    this.writer.append(type, fixed, tail, stable)
    this.queuedBytes += bytes
    this.waitingBytes += bytes
    this.queuedFrames++
    this.waitingFrames++
    if (!this.flushAsked) {
      this.flushAsked = true
      process.nextTick(() => this.flush())
    }
    return true
  }

  /** What `read` makes of a frame; undefined, and the end of the connection, when that is malformed. */
  decode<T>(read: () => T): T | undefined {
    try {
      return read()
    } catch (error) {
      this.corrupt(error)
      return undefined
    }
  }

  /** Frames that arrive from now on wait, and the sender with them. */
  hold(): void {
    this.onHold = true
    this.socket.pause()
  }

  release(): void {
    this.onHold = false
    this.read()
    for (const chunk of this.held.splice(0)) this.arrived(chunk)
    if (!this.over) this.socket.resume()
  }

  /** Says why, if that can still be said, and ends. */
  refuse(refusal: RefusalFrame): void {
    this.send(FRAME.refusal, (out) => writeRefusal(out, refusal))
    this.close(refusal.sentence)
  }

  /** What was sent before still goes out if the kernel takes it now. */
  close(why: string): void {
    this.flush()
    this.ended(why)
  }

  /** Lets what is queued go out, listens no more, then ends. */
  drain(): void {
    this.owner = { frame: () => {}, closed: () => {} }
    this.socket.off('drain', this.flush)
    this.writeOut()
    this.socket.end()
    const timer = setTimeout(() => this.ended('drained'), this.limits.drainMs)
    this.socket.once('close', () => clearTimeout(timer))
  }

  private readonly flush = (): void => {
    this.flushAsked = false
    if (!this.socket.writableNeedDrain) this.writeOut()
  }

  private writeOut(): void {
    const { socket, writer, waitingBytes, waitingFrames } = this
    if (writer.empty || this.over || socket.writableEnded) return
    this.waitingBytes = 0
    this.waitingFrames = 0
    this.counters.bytesSent += waitingBytes
    const pieces = writer.takePieces()
    const last = pieces.length - 1
    socket.cork()
    for (const [at, piece] of pieces.entries()) {
      if (at < last) socket.write(piece)
      else socket.write(piece, () => this.taken(waitingBytes, waitingFrames))
    }
    socket.uncork()
  }

  private taken(bytes: number, frames: number): void {
    this.queuedBytes -= bytes
    this.queuedFrames -= frames
    if (this.queuedFrames === 0) this.writer.allSent()
  }

  private arrived(chunk: Buffer): void {
    this.silentTicks = 0
    this.counters.bytesReceived += chunk.length
    if (this.onHold) {
      this.held.push(chunk)
      return
    }
    this.reader.push(chunk)
    this.read()
  }

  private read(): void {
    while (!this.over && !this.onHold) {
      let frame: ReturnType<FrameReader['next']>
      try {
        frame = this.reader.next()
      } catch (error) {
        this.corrupt(error)
        return
      }
      if (frame === undefined) return
      if (this.greeted && frame.type === FRAME.ping) this.send(FRAME.pong)
      else if (!this.greeted || frame.type !== FRAME.pong) this.owner.frame(frame.type, frame.body)
    }
  }

  /** Nothing after a frame that could not be read can be trusted. */
  private corrupt(error: unknown): void {
    this.counters.framesCorrupt++
    this.close(`it sent ${error instanceof Error ? error.message : String(error)}`)
  }

  private tick(asks: boolean): void {
    if (this.onHold) return
    this.silentTicks++
    if (this.silentTicks > SILENT_TICKS) this.close(`no sign of life for ${this.limits.silenceMs} ms`)
    else if (asks) this.send(FRAME.ping)
  }

  private ended(why: string): void {
    if (this.over) return
    this.over = true
    clearInterval(this.ticker)
    this.socket.destroy()
    this.owner.closed(why)
  }
}
