// A TCP connection that carries frames. Frames of one turn of the event loop are sent in one write. The queue is
// limited, a silent peer is noticed, and the connection ends exactly once, with a reason.

import type { Socket } from 'node:net'
import { type Reader, Writer } from '../../../bytes/index.ts'
import type { ReplicaId } from '../../../raft/types.ts'
import { networkPrefix } from '../../../system/addresses.ts'
import type { LinkCounters, LinkLimits } from '../limits.ts'
import type { Frame, Wire, WireOwner } from '../wires.ts'
import { FrameReader, FrameWriter, frameBytes } from './frames.ts'
import {
  CODE,
  frameCode,
  frameTail,
  isStable,
  readFrame,
  readGreetingFrame,
  writeFrame,
} from './link-codec.ts'

/** Number of ticks without a byte after which the peer counts as gone. The first tick sends a ping. */
const SILENT_TICKS = 3
/** About how much is given to the socket at once. The socket reports only when it has taken all of that. */
const WRITE_BYTES = 256 * 1024

/** Frames are built here and then copied. No other code runs in between. */
const scratch = new Writer()
const NOTHING: readonly Uint8Array[] = []

interface Piece {
  readonly bytes: Uint8Array
  /** Frames that are sent when this piece is sent, without the frames of earlier pieces. */
  readonly frames: number
}

export const noOwner: WireOwner = { frame: () => {}, closed: () => {} }

export class Connection implements Wire {
  readonly remote: string
  readonly network: string
  readonly objectionTo: Wire['objectionTo']
  readonly #socket: Socket
  readonly #limits: LinkLimits
  readonly #counters: LinkCounters
  #owner: WireOwner = noOwner
  /** The replica at the other end, once the handshake is done. */
  #between: { readonly from: ReplicaId; readonly to: ReplicaId } | undefined
  readonly #reader: FrameReader
  readonly #writer = new FrameWriter()
  readonly #ticker: NodeJS.Timeout
  #silentTicks = 0
  /** Bytes have arrived since the last frame to the peer. */
  #owesPong = false
  /** Pieces of queued frames that the socket does not have yet. */
  readonly #waiting: Piece[] = []
  /** Queued frames that are not in `waiting` yet. */
  #unbundledFrames = 0
  /** Queued frames that the socket does not have yet, and their bytes. */
  #ownFrames = 0
  #ownBytes = 0
  /** Frames that the socket was given since it was last empty. */
  #givenFrames = 0
  #isFlushScheduled = false
  #over = false
  /** The socket is paused, so that no chunk arrives. */
  #onHold = false

  /** `sendsPings`: this side is the dialler, which sends the pings; the other side replies. */
  constructor(
    socket: Socket,
    limits: LinkLimits,
    counters: LinkCounters,
    sendsPings: boolean,
    objectionTo?: Wire['objectionTo'],
  ) {
    this.#socket = socket
    this.objectionTo = objectionTo
    this.remote = `${socket.remoteAddress}:${socket.remotePort}`
    this.network = networkPrefix(socket.remoteAddress ?? '')
    this.#limits = limits
    this.#counters = counters
    this.#reader = new FrameReader(limits.helloBytesMax)
    counters.connectionsOpened++
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.#receive(chunk))
    socket.on('drain', this.#flush)
    socket.on('end', () => this.#ended('the other side closed it'))
    socket.on('error', (error) => this.#ended(error.message))
    socket.on('close', () => this.#ended('it was cut'))
    this.#ticker = setInterval(() => this.#tick(sendsPings), limits.silenceMs / SILENT_TICKS)
  }

  get closed(): boolean {
    return this.#over
  }

  // The count of unsent frames is read from the socket: a callback would cost each write a closure and a call of
  // nextTick.
  get queuedFrames(): number {
    return this.#ownFrames + (this.#socket.writableLength === 0 ? 0 : this.#givenFrames)
  }

  get queuedBytes(): number {
    return this.#ownBytes + this.#socket.writableLength
  }

  /** Receives the events until the handshake is done. */
  ownedBy(owner: WireOwner): void {
    this.#owner = owner
    if (!this.#onHold && !this.#over) this.#socket.resume()
  }

  established(from: ReplicaId, to: ReplicaId, owner: WireOwner): void {
    this.#owner = owner
    this.#between = { from, to }
    this.#reader.bytesMax = this.#limits.frameBytesMax
  }

  send(frame: Frame): boolean {
    if (this.#over) return false
    scratch.clear()
    writeFrame(scratch, frame)
    return this.#queue(frameCode(frame), frameTail(frame), isStable(frame))
  }

  /** Queues the content of `scratch`, then `tail`. If `stable`, long parts of `tail` are not copied (frames.ts). */
  #queue(code: number, tail: readonly Uint8Array[], stable: boolean): boolean {
    const fixed = scratch.written()
    const bytes = frameBytes(fixed, tail)
    const limits = this.#limits
    if (bytes > limits.frameBytesMax) throw new RangeError(`a frame of ${bytes} bytes cannot be sent`)
    const queued = this.queuedFrames
    if (queued >= limits.queueMessagesMax) return false
    if (queued > 0 && this.queuedBytes + bytes > limits.queueBytesMax) return false
    if (queued === 0) this.#writer.allSent()
    this.#writer.append(code, fixed, tail, stable)
    this.#ownBytes += bytes
    this.#ownFrames++
    this.#unbundledFrames++
    if (!this.#isFlushScheduled) {
      this.#isFlushScheduled = true
      process.nextTick(this.#flush)
    }
    return true
  }

  #sendPong(): void {
    this.#owesPong = false
    this.#sendBare(CODE.pong)
  }

  /** Sends a ping or its answer. */
  #sendBare(code: number): void {
    if (this.#over) return
    scratch.clear()
    this.#queue(code, NOTHING, false)
  }

  /** Stops reading: later frames wait, and so does their sender. */
  hold(): void {
    this.#onHold = true
    this.#silentTicks = 0
    this.#socket.pause()
  }

  release(): void {
    this.#onHold = false
    this.#silentTicks = 0
    this.#read()
    // A frame that has waited may have put it on hold again.
    if (!this.#over && !this.#onHold) this.#socket.resume()
  }

  /** Earlier frames are still sent if the kernel takes them now. */
  close(why: string): void {
    this.#flush()
    this.#ended(why)
  }

  /** Sends the queued frames, reads nothing more, then ends. */
  drain(then: () => void = () => {}): void {
    this.#owner = noOwner
    if (this.#over) {
      then()
      return
    }
    this.#socket.off('drain', this.#flush)
    this.#writeOut(Number.POSITIVE_INFINITY)
    this.#socket.end()
    const timer = setTimeout(() => this.#ended('drained'), this.#limits.drainMs)
    this.#socket.once('close', () => {
      clearTimeout(timer)
      then()
    })
  }

  readonly #flush = (): void => {
    this.#isFlushScheduled = false
    if (!this.#socket.writableNeedDrain) this.#writeOut()
  }

  /** Gives queued pieces to the socket, up to `bytesMax`. The rest follows when the socket has taken these. */
  #writeOut(bytesMax = WRITE_BYTES): void {
    const socket = this.#socket
    const waiting = this.#waiting
    if (this.#over || socket.writableEnded) return
    this.#bundle()
    let count = 0
    let bytes = 0
    let frames = 0
    for (; count < waiting.length && bytes < bytesMax; count++) {
      bytes += waiting[count]?.bytes.length ?? 0
      frames += waiting[count]?.frames ?? 0
    }
    if (count === 0) return
    this.#counters.bytesSent += bytes
    if (socket.writableLength === 0) this.#givenFrames = 0
    this.#givenFrames += frames
    this.#ownFrames -= frames
    this.#ownBytes -= bytes
    if (count > 1) socket.cork()
    for (const piece of waiting.splice(0, count)) socket.write(piece.bytes)
    if (count > 1) socket.uncork()
  }

  #bundle(): void {
    if (this.#writer.empty) return
    const pieces = this.#writer.takePieces()
    const last = pieces.length - 1
    for (const [at, bytes] of pieces.entries())
      this.#waiting.push({ bytes, frames: at < last ? 0 : this.#unbundledFrames })
    this.#unbundledFrames = 0
  }

  #receive(chunk: Buffer): void {
    this.#silentTicks = 0
    this.#owesPong = true
    this.#counters.bytesReceived += chunk.length
    this.#reader.push(chunk)
    this.#read()
  }

  #read(): void {
    while (!this.#over && !this.#onHold) {
      let frame: ReturnType<FrameReader['next']>
      try {
        frame = this.#reader.next()
      } catch (error) {
        this.#corrupt(error)
        return
      }
      if (frame === undefined) return
      this.#onFrame(frame.type, frame.body)
    }
  }

  #onFrame(code: number, body: Reader): void {
    const between = this.#between
    if (between !== undefined && code === CODE.ping) this.#sendPong()
    if (between !== undefined && (code === CODE.ping || code === CODE.pong)) return
    let frame: Frame
    try {
      frame = between === undefined ? readGreetingFrame(code, body) : readFrame(code, body, between)
    } catch (error) {
      this.#corrupt(error)
      return
    }
    this.#owner.frame(frame)
  }

  /** Nothing after an unreadable frame can be trusted. */
  #corrupt(error: unknown): void {
    this.close(`it sent ${error instanceof Error ? error.message : String(error)}`)
  }

  #tick(sendsPings: boolean): void {
    this.#silentTicks++
    // While it is on hold, this side answers no ping. So after this time the peer also gives up the connection, if it
    // still exists.
    if (this.#silentTicks > SILENT_TICKS) this.close(`no sign of life for ${this.#limits.silenceMs} ms`)
    else if (this.#onHold) return
    else if (sendsPings) this.#sendBare(CODE.ping)
    // On a slow connection a ping waits behind earlier frames. So this side reports without a ping that some of them
    // arrived.
    else if (this.#owesPong && this.#between !== undefined) this.#sendPong()
  }

  #ended(why: string): void {
    if (this.#over) return
    this.#over = true
    clearInterval(this.#ticker)
    this.#socket.destroy()
    this.#owner.closed(why)
  }
}
