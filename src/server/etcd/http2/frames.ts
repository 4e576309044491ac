// The layout of frames (RFC 9113 §4 and §6), and the buffer in which those of one turn are collected.

export const TYPE = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

export const FLAG = {
  endStream: 0x1,
  ack: 0x1,
  endHeaders: 0x4,
  padded: 0x8,
  priority: 0x20,
} as const

export const SETTING = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const

export const FRAME_HEAD_BYTES = 9
export const SETTING_BYTES = 6
export const PRIORITY_BYTES = 5
/** The largest payload that this side accepts: the default of the protocol. */
export const PAYLOAD_BYTES_MAX = 16_384
export const PAYLOAD_BYTES_END = 2 ** 24
/** The table of header fields of either side, until settings say otherwise. */
export const TABLE_BYTES_DEFAULT = 4096
export const WINDOW_MAX = 2 ** 31 - 1
/** The window of a connection, and of streams until settings say otherwise. */
export const WINDOW_DEFAULT = 65_535

/** A larger payload is not copied. */
const COPIED_BYTES_MAX = 4096
const SLAB_BYTES = 16 * 1024

const NOTHING = Buffer.alloc(0)
/** The rest of the memory that was written last: connections without frames hold none. */
let spare = NOTHING

/** Frames that have not been written to the socket. */
export class FrameBuffer {
  readonly #parts: Uint8Array[] = []
  #slab = NOTHING
  /** Where the frames of the slab begin that are in no part yet, and where they end. */
  #from = 0
  #at = 0
  /** Bytes of all frames. */
  length = 0

  add(type: number, flags: number, stream: number, payload: Uint8Array): void {
    const { length } = payload
    this.#addHead(type, flags, stream, length)
    this.length += length
    if (length > COPIED_BYTES_MAX) {
      this.#cut()
      this.#parts.push(payload)
      return
    }
    this.#reserve(length)
    this.#slab.set(payload, this.#at)
    this.#at += length
  }

  addUint32(type: number, stream: number, value: number): void {
    this.#addHead(type, 0, stream, 4)
    this.length += 4
    this.#reserve(4)
    this.#at = this.#slab.writeUInt32BE(value, this.#at)
  }

  #addHead(type: number, flags: number, stream: number, length: number): void {
    this.length += FRAME_HEAD_BYTES
    this.#reserve(FRAME_HEAD_BYTES)
    const slab = this.#slab
    let at = this.#at
    slab[at++] = length >>> 16
    slab[at++] = length >>> 8
    slab[at++] = length
    slab[at++] = type
    slab[at++] = flags
    slab[at++] = stream >>> 24
    slab[at++] = stream >>> 16
    slab[at++] = stream >>> 8
    slab[at++] = stream
    this.#at = at
  }

  /** All frames in their order. The buffer is empty afterwards. */
  take(): readonly Uint8Array[] {
    this.#cut()
    spare = this.#slab.subarray(this.#at)
    this.#slab = NOTHING
    this.#from = 0
    this.#at = 0
    this.length = 0
    return this.#parts.splice(0)
  }

  /** Written bytes stay as they are: the socket may hold them for long. */
  #cut(): void {
    if (this.#at === this.#from) return
    this.#parts.push(this.#slab.subarray(this.#from, this.#at))
    this.#from = this.#at
  }

  #reserve(bytes: number): void {
    if (this.#slab.length - this.#at >= bytes) return
    this.#cut()
    if (spare.length >= bytes) {
      this.#slab = spare
      spare = NOTHING
    } else this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
    this.#from = 0
    this.#at = 0
  }
}
