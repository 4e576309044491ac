// Clients that make a node hold as much as they can, in a thread of their own: their memory is not that of the node.
// They speak all wires over plain sockets, and send whatever serves that purpose.

import { connect, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { RPC } from '../../../src/etcd/rpcs.ts'
import {
  callFields,
  END_HEADERS,
  END_STREAM,
  frame as http2Frame,
  literal,
  SETTING,
  settings,
  TYPE,
  uint32,
} from '../etcd/raw-http2.ts'
import { CANCEL, GET, KEEP_ALIVE, PUT, pack, RANGE, WATCH } from '../mux/mux-client.ts'

const KiB = 1024

/** Whom the node takes a client for, as its credentials say; while rights are not checked, all of them are users. */
export const ROLES = ['user', 'user without a right', 'unauthenticated client'] as const
export type Role = (typeof ROLES)[number]

/** Clients that do the same. */
export interface Group {
  readonly action: Action
  readonly role: Role
  readonly connections: number
  /** Bytes that each of them sends, about, or has the node answer. */
  readonly bytes: number
  /** Another form of the action. */
  readonly isOther: boolean
}

export type Departure = 'end' | 'close' | 'reset'

export type Order =
  | { readonly kind: 'begin'; readonly name: number; readonly group: Group }
  | { readonly kind: 'leave'; readonly name: number; readonly departure: Departure }
  | { readonly kind: 'report' }

/** Bytes that the kernel has taken, of all clients so far, and connections that are open. */
export interface Report {
  readonly sent: number
  readonly open: number
}

export interface HostileClientsData {
  readonly port: number
  /** Tokens; none while rights are not checked. */
  readonly tokens: { readonly [role in Role]?: string }
}

/** Keys that the node has, or treats in a way of its own. */
export const KEYS = {
  /** The node holds changes of other keys for ever. */
  small: 'app/kept/small',
  /** Some, with large values. */
  large: 'app/kept/large/',
  largeCount: 8,
  largeBytes: 128 * KiB,
  /** Changes all the time. */
  watched: 'app/kept/watched',
} as const

/** A revision that the node never has: reads at it wait. */
export const FUTURE = 1_000_000

const LONG_KEY = `app/${'k'.repeat(4_000)}`

// ---------------------------------------------------------------------------------------------------------------------
// Connections

class Line {
  readonly socket: Socket
  readonly #token: string | undefined
  #received: Buffer = Buffer.alloc(0)
  #changed = (): void => {}

  constructor({ port, tokens }: HostileClientsData, role: Role) {
    this.#token = tokens[role]
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.socket.on('data', (chunk: Buffer) => {
      // Later bytes are read and dropped.
      if (this.#received.length < RECEIVED_MAX) this.#received = Buffer.concat([this.#received, chunk])
      this.#changed()
    })
    this.socket.on('error', () => {})
    this.socket.on('end', () => this.#changed())
    this.socket.on('close', () => this.#changed())
  }

  get isClosed(): boolean {
    return this.socket.closed || this.socket.destroyed
  }

  get sent(): number {
    return this.socket.bytesWritten - this.socket.writableLength
  }

  write(...parts: readonly (string | Uint8Array)[]): void {
    if (!this.socket.writable) return
    const all = parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part))
    this.socket.write(Buffer.concat(all))
  }

  /** Resolves when it has received enough, or has ended. */
  async until(isEnough: (received: Buffer) => boolean): Promise<void> {
    while (!isEnough(this.#received) && !this.isClosed && !this.socket.readableEnded)
      await new Promise<void>((resolve) => {
        this.#changed = resolve
      })
  }

  /** The same, for some time at most: a node that refuses has not so much to say. */
  async untilBytes(bytes: number): Promise<void> {
    const late = new Promise<void>((resolve) => setTimeout(resolve, 1_000))
    await Promise.race([this.until((received) => received.length >= bytes), late])
  }

  leave(departure: Departure): void {
    if (departure === 'end') this.socket.end()
    else if (departure === 'reset') this.socket.resetAndDestroy()
    else this.socket.destroy()
    // A node answers what has arrived before the end, and nobody takes it.
    if (departure === 'end') setTimeout(() => this.socket.destroy(), 100)
  }

  /** The lines of a head with the credentials. */
  get fields(): string {
    return this.#token === undefined
      ? 'Host: localhost\r\n'
      : `Host: localhost\r\nAuthorization: Bearer ${this.#token}\r\n`
  }

  get metadata(): Buffer[] {
    return this.#token === undefined ? [] : [literal('token', this.#token)]
  }
}

const RECEIVED_MAX = 64 * KiB

/** A first request. The node knows the client afterwards, unless it is unauthenticated. */
async function identified(line: Line, role: Role, target = `/v1/kv/${KEYS.small}`): Promise<void> {
  if (role === 'unauthenticated client') return
  line.write(`GET ${target} HTTP/1.1\r\n${line.fields}\r\n`)
  await line.until((received) => received.includes('\r\n\r\n'))
}

/** A target that the reader without node:http does not have. */
const COLD = '/livez'

const onNodeHttp = (line: Line, role: Role): Promise<void> => identified(line, role, COLD)

/** So many bytes of fields, each of which has as few as possible. */
const tinyFields = (bytes: number): string => 'a:\r\n'.repeat(Math.floor(bytes / 4))

// ---------------------------------------------------------------------------------------------------------------------
// Multiplexed connections

async function openMux(line: Line): Promise<void> {
  line.write(
    `GET /v1/connect HTTP/1.1\r\n${line.fields}Connection: Upgrade\r\nUpgrade: websocket\r\n`,
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n',
    'Sec-WebSocket-Protocol: quorate.v1\r\n\r\n',
  )
  await line.until((received) => received.includes('\r\n\r\n'))
}

const [CONTINUATION, BINARY, PING] = [0, 2, 9]

/** A frame of a client, whose mask changes nothing. `length`: that which it states. */
function wsFrame(opcode: number, payload: Uint8Array, isLast = true, length = payload.length): Buffer {
  const head = Buffer.alloc(14)
  head[0] = (isLast ? 0x80 : 0) | opcode
  if (length < 126) {
    head[1] = 0x80 | length
    return Buffer.concat([head.subarray(0, 6), payload])
  }
  head[1] = 0x80 | 127
  head.writeUInt32BE(length, 6)
  return Buffer.concat([head, payload])
}

/** The items in messages of some hundred items each. An item may have a thousand parts, and a message 100,000. */
async function sendItems(line: Line, items: Iterable<readonly unknown[]>): Promise<void> {
  let message: (readonly unknown[])[] = []
  const flush = (): void => line.write(wsFrame(BINARY, pack(message)))
  for (const item of items) {
    message.push(item)
    if (message.length < 100) continue
    flush()
    message = []
    await nextTurn()
  }
  if (message.length > 0) flush()
}

function* repeated<T>(count: number, make: (at: number) => T): Generator<T> {
  for (let at = 0; at < count; at++) yield make(at)
}

// ---------------------------------------------------------------------------------------------------------------------
// gRPC

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'

/** The first call makes the client known. `given`: its settings. */
async function openGrpc(line: Line, role: Role, given = settings()): Promise<void> {
  line.write(PREFACE, given)
  await line.until((received) => received.length > 0)
  if (role === 'unauthenticated client') return
  const key = Buffer.from(KEYS.small)
  line.write(...call(line, 1, RPC.range.path, true, RPC.range.request.encode({ key })))
  await line.until((received) => hasHeaders(received))
}

/** Whether a frame with the head of a response has arrived. */
function hasHeaders(received: Buffer): boolean {
  for (let at = 0; at + 9 <= received.length; at += 9 + received.readUIntBE(at, 3))
    if (received[at + 3] === TYPE.headers) return true
  return false
}

/** The frames of a call; without a message it stays open. */
function call(
  line: Line,
  stream: number,
  path: string,
  isEnd: boolean,
  message?: Uint8Array,
  more: readonly Buffer[] = [],
): Buffer[] {
  const block = callFields(path, ...line.metadata, ...more)
  const head = http2Frame(TYPE.headers, END_HEADERS, stream, block.subarray(0, 16 * KiB))
  return message === undefined ? [head] : [head, ...data(stream, grpcMessage(message), isEnd)]
}

/** Frames of data, each of which is as large as it may be. */
function data(stream: number, bytes: Uint8Array, isEnd: boolean): Buffer[] {
  const frames: Buffer[] = []
  for (let at = 0; at < bytes.length; at += 16 * KiB) {
    const isLast = at + 16 * KiB >= bytes.length
    const part = bytes.subarray(at, at + 16 * KiB)
    frames.push(http2Frame(TYPE.data, isEnd && isLast ? END_STREAM : 0, stream, part))
  }
  return frames
}

/** `length`: that which its head states. */
function grpcMessage(message: Uint8Array, length = message.length): Buffer {
  const bytes = Buffer.alloc(5 + message.length)
  bytes.writeUInt32BE(length, 1)
  bytes.set(message, 5)
  return bytes
}

/** Streams of a client, without that of its first call. */
const streamOf = (at: number): number => 2 * at + 3

// ---------------------------------------------------------------------------------------------------------------------
// Actions

type Do = (line: Line, group: Group) => Promise<void>

const HEAD_BYTES = 60 * KiB
const METADATA_BYTES = 14 * KiB
/** Large answers: more than the sockets hold. */
const ANSWERS = 64

const largeKey = (at: number): string => `${KEYS.large}${at % KEYS.largeCount}`

const ACTIONS = {
  /** A head of many tiny fields, or of a large one, without its end. */
  'http: half heads': async (line, { role, bytes, isOther }) => {
    await (isOther ? identified : onNodeHttp)(line, role)
    const length = Math.min(bytes, HEAD_BYTES)
    line.write(`GET /v1/kv/${KEYS.small} HTTP/1.1\r\nHost: localhost\r\n`)
    // The node reads the fields in more than one piece.
    for (let left = length; left > 0; left -= 16 * KiB) {
      line.write(isOther ? `x: ${'x'.repeat(16 * KiB)}` : tinyFields(Math.min(left, 16 * KiB)))
      await nextTurn()
    }
  },
  /** Requests behind one that the node holds. */
  'http: requests ahead': async (line, { role, bytes, isOther }) => {
    await (isOther ? identified : onNodeHttp)(line, role)
    line.write(`PUT /v1/kv/app/held HTTP/1.1\r\n${line.fields}Content-Length: 1\r\n\r\nv`)
    const field = `X-Long: ${'x'.repeat(6 * KiB)}\r\n`
    for (let left = bytes; left > 0; left -= field.length)
      line.write(`GET /v1/kv/${KEYS.small} HTTP/1.1\r\n${line.fields}${field}\r\n`)
  },
  'http: half bodies': async (line, { role, bytes, isOther }) => {
    await identified(line, role)
    const length = Math.min(bytes, 1024 * KiB)
    const target = isOther ? '/v1/changes' : '/v1/kv/app/held'
    const method = isOther ? 'POST' : 'PUT'
    const framing = isOther ? 'Transfer-Encoding: chunked' : `Content-Length: ${length + 1}`
    line.write(
      `${method} ${target} HTTP/1.1\r\n${line.fields}Content-Type: application/json\r\n${framing}\r\n\r\n`,
    )
    if (!isOther) line.write(Buffer.alloc(length, 'x'))
    else
      for (let left = length; left > 0; left -= 4 * KiB) {
        line.write('7\r\nxxxxxxx\r\n'.repeat(Math.ceil(Math.min(left, 4 * KiB) / 12)))
        await nextTurn()
      }
  },
  'http: half trailers': async (line, { role, bytes }) => {
    await onNodeHttp(line, role)
    line.write(
      `PUT /v1/kv/app/held HTTP/1.1\r\n${line.fields}Transfer-Encoding: chunked\r\n\r\n1\r\nv\r\n0\r\n`,
    )
    for (let left = Math.min(bytes, HEAD_BYTES); left > 0; left -= 16 * KiB) {
      line.write(tinyFields(Math.min(left, 16 * KiB)))
      await nextTurn()
    }
  },
  'http: changes that wait': async (line, { role, bytes, isOther }) => {
    await (isOther ? identified : onNodeHttp)(line, role)
    const value = Buffer.alloc(Math.min(bytes, 256 * KiB), 'v')
    // The fields of the head stay as long as the change.
    line.write(`PUT /v1/kv/app/held HTTP/1.1\r\n${line.fields}X-Long: ${'x'.repeat(8 * KiB)}\r\n`)
    line.write(`Content-Length: ${value.length}\r\n\r\n`, value)
  },
  'http: reads that wait': async (line, { role, bytes, isOther }) => {
    await (isOther ? identified : onNodeHttp)(line, role)
    const long = 'x'.repeat(Math.min(bytes, HEAD_BYTES))
    line.write(
      `GET /v1/kv/${KEYS.small}?min_revision=${FUTURE} HTTP/1.1\r\n${line.fields}X-Long: ${long}\r\n\r\n`,
    )
  },
  'http: untaken answers': async (line, { role, isOther }) => {
    await identified(line, role)
    line.socket.pause()
    for (let at = 0; at < ANSWERS; at++) {
      const target = isOther ? `/v1/kv?prefix=${KEYS.large}` : `/v1/kv/${largeKey(at)}`
      line.write(`GET ${target} HTTP/1.1\r\n${line.fields}\r\n`)
    }
  },
  'http: watches': async (line, { role, bytes }) => {
    await identified(line, role)
    const long = 'x'.repeat(Math.min(bytes, 32 * KiB))
    line.write(`GET /v1/watch?key=${LONG_KEY} HTTP/1.1\r\n${line.fields}X-Long: ${long}\r\n\r\n`)
  },
  'http: untaken events': async (line, { role, isOther }) => {
    await identified(line, role)
    line.socket.pause()
    const accept = isOther ? 'text/event-stream' : 'application/x-ndjson'
    line.write(`GET /v1/watch?key=${KEYS.watched} HTTP/1.1\r\n${line.fields}Accept: ${accept}\r\n\r\n`)
  },
  /** Watches of the gateway, and the half of one more. */
  'gateway: watches': async (line, { role, bytes, isOther }) => {
    await identified(line, role)
    const key = Buffer.from(LONG_KEY).toString('base64')
    line.write(`POST /v3/watch HTTP/1.1\r\n${line.fields}Content-Type: application/json\r\n`)
    line.write('Transfer-Encoding: chunked\r\n\r\n')
    const chunk = (text: string): void => line.write(`${text.length.toString(16)}\r\n${text}\r\n`)
    for (let left = bytes; left > 0; left -= key.length) chunk(`{"create_request":{"key":"${key}"}}`)
    if (isOther) chunk(`{"create_request":{"key":"${key.repeat(20)}`)
  },
  'gateway: untaken answers': async (line, { role }) => {
    await identified(line, role)
    line.socket.pause()
    const [key, end] = [KEYS.large, `${KEYS.large}~`].map((text) => Buffer.from(text).toString('base64'))
    const body = JSON.stringify({ key, range_end: end })
    for (let at = 0; at < ANSWERS / KEYS.largeCount; at++) {
      line.write(`POST /v3/kv/range HTTP/1.1\r\n${line.fields}Content-Type: application/json\r\n`)
      line.write(`Content-Length: ${body.length}\r\n\r\n${body}`)
    }
  },

  /** A message of one large frame, or of many small ones between pings, without its end. */
  'mux: half messages': async (line, { bytes, isOther }) => {
    await openMux(line)
    if (!isOther)
      line.write(wsFrame(BINARY, Buffer.alloc(Math.min(bytes, 3 * 1024 * KiB), 1), true, 4 * 1024 * KiB))
    else
      for (let at = 0; at < 800; at++) {
        const part = Buffer.alloc(Math.min(4 * KiB, Math.ceil(bytes / 800)), 1)
        line.write(wsFrame(at === 0 ? BINARY : CONTINUATION, part, false), wsFrame(PING, Buffer.alloc(100)))
        if (at % 50 === 0) await nextTurn()
      }
  },
  'mux: changes that wait': async (line, { bytes, isOther }) => {
    await openMux(line)
    const value = Buffer.alloc(isOther ? 16 * KiB : 16)
    const count = Math.min(4_000, Math.ceil(bytes / (512 + value.length)))
    await sendItems(
      line,
      repeated(count, (at) => [at + 1, PUT, 60_000, 'app/held', value]),
    )
  },
  /** Their conditions have many revisions. */
  'mux: conditional changes that wait': async (line, { bytes }) => {
    await openMux(line)
    const tags = Array.from({ length: 10_000 }, (_, at) => 100_000 + at)
    const count = Math.min(100, Math.ceil(bytes / (8 * tags.length)))
    for (let at = 0; at < count; at++)
      await sendItems(line, [[at + 1, PUT, 60_000, 'app/held', 'v', null, { if_none_match: tags }]])
  },
  'mux: reads that wait': async (line, { bytes, isOther }) => {
    await openMux(line)
    const count = Math.min(4_000, Math.ceil(bytes / (isOther ? 8_512 : 4_512)))
    await sendItems(
      line,
      repeated(count, (at) =>
        isOther
          ? [at + 1, RANGE, 60_000, { start: LONG_KEY, end: `${LONG_KEY}~` }, FUTURE]
          : [at + 1, GET, 60_000, LONG_KEY, FUTURE],
      ),
    )
  },
  'mux: keep-alives that wait': async (line, { bytes }) => {
    await openMux(line)
    const ids = Array.from({ length: 900 }, (_, at) => `${at + 1}`)
    await sendItems(
      line,
      repeated(Math.min(500, Math.ceil(bytes / 80 / ids.length)), (at) => [at + 1, KEEP_ALIVE, 60_000, ids]),
    )
  },
  /** In the other form all of them are cancelled. */
  'mux: watches': async (line, { bytes, isOther }) => {
    await openMux(line)
    const count = Math.min(2_000, Math.ceil(bytes / 4_096))
    await sendItems(
      line,
      repeated(count, (at) => [at + 1, WATCH, null, { key: LONG_KEY }]),
    )
    if (!isOther) return
    await line.untilBytes(400 + 4 * count)
    await sendItems(
      line,
      repeated(count, (at) => [at + 1, CANCEL]),
    )
  },
  'mux: untaken answers': async (line, { isOther }) => {
    await openMux(line)
    line.socket.pause()
    await sendItems(
      line,
      repeated(ANSWERS, (at) =>
        isOther ? [at + 1, RANGE, null, { prefix: KEYS.large, limit: 4 }] : [at + 1, GET, null, largeKey(at)],
      ),
    )
  },
  'mux: untaken events': async (line) => {
    await openMux(line)
    line.socket.pause()
    await sendItems(
      line,
      repeated(20, (at) => [at + 1, WATCH, null, { key: KEYS.watched }]),
    )
  },
  'mux: ranges given up': async (line) => {
    await openMux(line)
    for (let at = 0; at < ANSWERS; at++) {
      await sendItems(line, [[at + 1, RANGE, null, { prefix: KEYS.large }]])
      await nextTurn()
      await sendItems(line, [[at + 1, CANCEL]])
    }
  },

  /** A header block, or a frame of data, without its end. */
  'grpc: half blocks': async (line, { role, isOther }) => {
    await openGrpc(line, role)
    const block = callFields(RPC.range.path, ...line.metadata, ...repeated(380, () => literal('a', '')))
    if (!isOther) line.write(http2Frame(TYPE.headers, 0, streamOf(0), block))
    else {
      line.write(...call(line, streamOf(0), RPC.put.path, false, Buffer.alloc(1)))
      line.write(http2Frame(TYPE.data, 0, streamOf(0), Buffer.alloc(15 * KiB)).subarray(0, 14 * KiB))
    }
  },
  /** Calls that have not sent a request, with large metadata. */
  'grpc: idle calls': async (line, { role, bytes, isOther }) => {
    await openGrpc(line, role)
    const path = isOther ? RPC.range.path : RPC.watch.path
    const more = isOther
      ? [literal('x', 'x'.repeat(METADATA_BYTES))]
      : Array.from({ length: 60 }, (_, at) => literal(`x${at}`, 'x'.repeat(METADATA_BYTES / 64)))
    for (let at = 0; at * METADATA_BYTES < bytes; at++) {
      line.write(...call(line, streamOf(at), path, false, undefined, more))
      if (at % 50 === 0) await nextTurn()
    }
  },
  /** The same without metadata. */
  'grpc: many idle calls': async (line, { role, bytes }) => {
    await openGrpc(line, role)
    for (let at = 0; at < Math.min(2_000, bytes / 4_096); at++) {
      line.write(...call(line, streamOf(at), RPC.watch.path, false))
      if (at % 100 === 0) await nextTurn()
    }
  },
  'grpc: half messages': async (line, { role, bytes, isOther }) => {
    await openGrpc(line, role)
    const part = Buffer.alloc(Math.min(isOther ? 4 * KiB : 200 * KiB, bytes))
    for (let at = 0; at * part.length < bytes; at++) {
      line.write(...call(line, streamOf(at), isOther ? RPC.watch.path : RPC.put.path, false))
      line.write(...data(streamOf(at), grpcMessage(part, 1024 * KiB), false))
      await nextTurn()
    }
  },
  /** Fields that the node keeps for later calls. */
  'grpc: header tables': async (line, { role }) => {
    await openGrpc(line, role, settings([SETTING.headerTableSize, 65_536]))
    const kept = Array.from({ length: 90 }, (_, at) => literal(`x${at}`, '', true))
    for (let at = 0; at < 4; at++)
      line.write(...call(line, streamOf(at), '/none', true, Buffer.alloc(0), kept))
  },
  'grpc: changes that wait': async (line, { role, bytes, isOther }) => {
    await openGrpc(line, role)
    const value = Buffer.alloc(isOther ? 64 * KiB : 100)
    const message = RPC.put.request.encode({ key: Buffer.from('app/held'), value })
    for (let at = 0; at < Math.min(2_000, bytes / (4_096 + value.length)); at++) {
      line.write(...call(line, streamOf(at), RPC.put.path, true, message))
      if (at % 50 === 0) await nextTurn()
    }
  },
  /** In the other form all of them are cancelled. */
  'grpc: watches': async (line, { role, bytes, isOther }) => {
    await openGrpc(line, role)
    const count = Math.min(2_000, Math.ceil(bytes / 4_096))
    const { request, path } = RPC.watch
    line.write(...call(line, streamOf(0), path, false))
    const key = Buffer.from(LONG_KEY).toString('base64')
    for (let at = 1; at <= count; at++) {
      const created = request.fromJson({ create_request: { key, watch_id: `${at}` } })
      line.write(...data(streamOf(0), grpcMessage(request.encode(created)), false))
      if (at % 100 === 0) await nextTurn()
    }
    if (isOther) await line.untilBytes(30 * count)
    if (isOther)
      for (let at = 1; at <= count; at++) {
        const cancelled = request.fromJson({ cancel_request: { watch_id: `${at}` } })
        line.write(...data(streamOf(0), grpcMessage(request.encode(cancelled)), false))
      }
  },
  /** Responses for which the client gives no window. */
  'grpc: untaken answers': async (line, { role, bytes, isOther }) => {
    await openGrpc(line, role, settings([SETTING.initialWindowSize, isOther ? 65_535 : 0]))
    for (let at = 0; at < Math.ceil(bytes / KEYS.largeBytes); at++) {
      const key = Buffer.from(isOther ? KEYS.large : largeKey(at))
      const range = isOther ? { key, rangeEnd: Buffer.from(`${KEYS.large}~`), limit: 4 } : { key }
      line.write(...call(line, streamOf(at), RPC.range.path, true, RPC.range.request.encode(range)))
    }
  },
  'grpc: untaken events': async (line, { role }) => {
    await openGrpc(line, role, settings([SETTING.initialWindowSize, 0]))
    const key = Buffer.from(KEYS.watched).toString('base64')
    for (let at = 0; at < 20; at++) {
      const request = RPC.watch.request.encode(RPC.watch.request.fromJson({ create_request: { key } }))
      line.write(...call(line, streamOf(at), RPC.watch.path, false, request))
    }
  },
  'grpc: keep-alives that wait': async (line, { role, bytes }) => {
    await openGrpc(line, role)
    const { path, request } = RPC.leaseKeepAlive
    line.write(...call(line, streamOf(0), path, false))
    const message = grpcMessage(request.encode({ id: 7n }))
    const many = Buffer.concat(Array.from({ length: 1_000 }, () => message))
    for (let at = 0; at < Math.min(15, bytes / 32_000); at++) {
      line.write(...data(streamOf(0), many, false))
      await nextTurn()
    }
  },
  /** Calls that the client resets at once, or when they wait. */
  'grpc: resets': async (line, { role, bytes, isOther }) => {
    await openGrpc(line, role)
    const key = Buffer.from(isOther ? KEYS.large : 'app/held')
    const message = isOther
      ? RPC.range.request.encode({ key, rangeEnd: Buffer.from(`${KEYS.large}~`) })
      : RPC.put.request.encode({ key, value: Buffer.alloc(KiB) })
    for (let at = 0; at < Math.min(300, bytes / 4_096); at++) {
      line.write(...call(line, streamOf(at), isOther ? RPC.range.path : RPC.put.path, true, message))
      await nextTurn()
      line.write(http2Frame(TYPE.reset, 0, streamOf(at), uint32(8)))
    }
  },
} satisfies Record<string, Do>

export type Action = keyof typeof ACTIONS
export const ACTION_NAMES = Object.keys(ACTIONS) as Action[]

// ---------------------------------------------------------------------------------------------------------------------
// Orders

function serveOrders(given: HostileClientsData): void {
  const groups = new Map<number, readonly Line[]>()
  let sentBefore = 0
  const begin = async (name: number, group: Group): Promise<void> => {
    const lines = Array.from({ length: group.connections }, () => new Line(given, group.role))
    groups.set(name, lines)
    await Promise.all(lines.map((line) => ACTIONS[group.action](line, group)))
  }
  const leave = (name: number, departure: Departure): void => {
    for (const line of groups.get(name) ?? []) {
      sentBefore += line.sent
      line.leave(departure)
    }
    groups.delete(name)
  }
  parentPort?.on('message', async (order: Order) => {
    if (order.kind === 'begin') await begin(order.name, order.group)
    if (order.kind === 'leave') leave(order.name, order.departure)
    const lines = [...groups.values()].flat()
    const report: Report = {
      sent: lines.reduce((sum, line) => sum + line.sent, sentBefore),
      open: lines.filter((line) => !line.isClosed).length,
    }
    parentPort?.postMessage(report)
  })
}

if (!isMainThread && workerData?.hostileClients !== undefined) serveOrders(workerData.hostileClients)
