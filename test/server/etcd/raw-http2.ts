// A client of HTTP/2 that writes any frames, in any order (RFC 9113). By itself it only answers pings.

import { connect, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

export const TYPE = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

export const END_STREAM = 0x1
export const ACK = 0x1
export const END_HEADERS = 0x4

export const SETTING = { headerTableSize: 1, initialWindowSize: 4 } as const

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const HEAD_BYTES = 9

export function frame(type: number, flags: number, stream: number, payload: Uint8Array = NOTHING): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES + payload.length)
  bytes.writeUIntBE(payload.length, 0, 3)
  bytes.writeUInt8(type, 3)
  bytes.writeUInt8(flags, 4)
  bytes.writeUInt32BE(stream, 5)
  bytes.set(payload, HEAD_BYTES)
  return bytes
}

const NOTHING = Buffer.alloc(0)

export function uint32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length)
  for (const [at, value] of values.entries()) bytes.writeUInt32BE(value >>> 0, 4 * at)
  return bytes
}

export function settings(...pairs: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(6 * pairs.length)
  for (const [at, [id, value]] of pairs.entries()) {
    payload.writeUInt16BE(id, 6 * at)
    payload.writeUInt32BE(value, 6 * at + 2)
  }
  return frame(TYPE.settings, 0, 0, payload)
}

export const windowUpdate = (stream: number, increment: number): Buffer =>
  frame(TYPE.windowUpdate, 0, stream, uint32(increment))

/** A field that is no entry of a table (RFC 7541 §6.2.2), or that becomes one (§6.2.1). */
export function literal(name: string, value: string, indexed = false): Buffer {
  return Buffer.concat([Buffer.from([indexed ? 0x40 : 0]), text(name), text(value)])
}

/** A field of a table (RFC 7541 §6.1). */
export const indexed = (at: number): Buffer => Buffer.from([0x80 | at])

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([integer(bytes.length), bytes])
}

/** An integer with a prefix of 7 bits (RFC 7541 §5.1). */
function integer(value: number): Buffer {
  if (value < 127) return Buffer.from([value])
  const bytes = [127]
  let rest = value - 127
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128)
  return Buffer.from([...bytes, rest])
}

/** The fields of a call of gRPC. */
export const callFields = (path: string, ...more: readonly Buffer[]): Buffer =>
  Buffer.concat([
    literal(':method', 'POST'),
    literal(':scheme', 'http'),
    literal(':path', path),
    literal(':authority', 'localhost'),
    literal('content-type', 'application/grpc'),
    literal('te', 'trailers'),
    ...more,
  ])

export const headers = (stream: number, fields: Uint8Array, flags = END_HEADERS): Buffer =>
  frame(TYPE.headers, flags, stream, fields)

export class RawHttp2 {
  readonly socket: Socket
  /** Frames that have arrived. */
  readonly frames: Frame[] = []
  isClosed = false
  answersPings = true
  #received: Buffer = NOTHING
  #changed: () => void = () => {}

  /** Opens a connection with these settings. */
  constructor(port: number, first: Uint8Array = settings()) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    this.socket.on('error', () => {})
    this.socket.on('close', () => {
      this.isClosed = true
      this.#changed()
    })
    onTestFinished(() => void this.socket.destroy())
    this.write(PREFACE, first)
  }

  write(...frames: readonly Uint8Array[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(frames))
  }

  /** The first frame that is so; undefined: the connection ends without one. */
  async find(isIt: (frame: Frame) => boolean): Promise<Frame | undefined> {
    for (;;) {
      const found = this.frames.find(isIt)
      if (found !== undefined || this.isClosed) return found
      await new Promise<void>((resolve) => {
        this.#changed = resolve
      })
    }
  }

  /** The end of the connection: the code of GOAWAY and its text; undefined: it ends without one. */
  async goaway(): Promise<readonly [code: number, text: string] | undefined> {
    const found = await this.find(
      ({ type, payload }) => type === TYPE.goaway && payload.readUInt32BE(4) !== 0,
    )
    return found && [found.payload.readUInt32BE(4), found.payload.toString('latin1', 8)]
  }

  /** The code with which the server resets a stream. */
  async resetCode(stream: number): Promise<number | undefined> {
    const found = await this.find((each) => each.type === TYPE.reset && each.stream === stream)
    return found?.payload.readUInt32BE(0)
  }

  #receive(chunk: Buffer): void {
    let bytes = Buffer.concat([this.#received, chunk])
    while (bytes.length >= HEAD_BYTES) {
      const end = HEAD_BYTES + bytes.readUIntBE(0, 3)
      if (bytes.length < end) break
      const received = {
        type: bytes.readUInt8(3),
        flags: bytes.readUInt8(4),
        stream: bytes.readUInt32BE(5),
        payload: bytes.subarray(HEAD_BYTES, end),
      }
      this.frames.push(received)
      if (this.answersPings && received.type === TYPE.ping && (received.flags & ACK) === 0)
        this.write(frame(TYPE.ping, ACK, 0, received.payload))
      bytes = bytes.subarray(end)
    }
    this.#received = bytes
    this.#changed()
  }
}
