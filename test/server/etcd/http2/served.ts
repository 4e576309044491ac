// A server of HTTP/2 without gRPC: it answers each request with what it has received, or as the path says.

import { createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { encodeFields } from '../../../../src/server/etcd/http2/hpack.ts'
import type {
  Http2Connection,
  Http2Limits,
  Http2Server,
  Http2Stream,
  StreamReceiver,
} from '../../../../src/server/etcd/http2/http2.ts'
import type { HeadLimits, RequestFields } from '../../../../src/server/etcd/http2/request-fields.ts'

const KiB = 1024

export const LIMITS: Http2Limits = { streamsMax: 100, streamWindow: 65_535, connectionWindow: 65_535 }
const HEAD: HeadLimits = { headBytesMax: 16 * KiB, fieldsMax: 100 }

export type ConnectionClass = new (
  socket: Socket,
  server: Http2Server,
  options: { readonly limits: Http2Limits; readonly head: HeadLimits },
) => Http2Connection

const OK = encodeFields({ ':status': '200' })
const END = encodeFields({ end: 'well' })

/** The server of one connection, and what it knows. */
export class Told implements Http2Server {
  unread = 0
  unreadMax = 0
  unreadBytesMax = Number.POSITIVE_INFINITY
  incomplete = 0
  untaken = 0
  largestTaken = 0
  begun = 0
  refused = 0
  settings = 0
  pings = 0
  readonly open = new Set<Served>()
  /** By path: how streams ended. */
  readonly closed: { readonly path: string; readonly code: number }[] = []
  connection: Http2Connection | undefined

  begin(stream: Http2Stream, head: RequestFields): void {
    this.begun++
    const served = new Served(stream, head, this)
    stream.receiver = served
    this.open.add(served)
    served.begin()
  }

  streamRefused(): void {
    this.refused++
  }

  settingsReceived(): void {
    this.settings++
  }

  pinged(): void {
    this.pings++
  }

  holdIncomplete(bytes: number): boolean {
    this.incomplete = bytes
    return true
  }

  holdUnread(bytes: number): boolean {
    if (this.unread + bytes > this.unreadBytesMax) return false
    this.unread += bytes
    this.unreadMax = Math.max(this.unreadMax, this.unread)
    return true
  }

  release(bytes: number): void {
    this.unread -= bytes
  }

  sent(bytes: number): void {
    this.untaken += bytes
  }

  taken(bytes: number): void {
    this.untaken -= bytes
    this.largestTaken = Math.max(this.largestTaken, bytes)
  }
}

/**
 * `/echo`: the request, when it has ended. `/bytes/N`: so many bytes. `/hold`: nothing. `/unread`: nothing is read.
 * `/early`: an answer before the request has ended. `/reset/N`: a reset with this code.
 */
export class Served implements StreamReceiver {
  readonly stream: Http2Stream
  readonly head: RequestFields
  readonly #told: Told
  readonly received: Buffer[] = []
  /** The sizes of parts in which the request was passed on. */
  readonly parts: number[] = []
  pausesAfterEach = false
  hasEnded = false

  constructor(stream: Http2Stream, head: RequestFields, told: Told) {
    this.stream = stream
    this.head = head
    this.#told = told
  }

  begin(): void {
    const { path = '' } = this.head
    const [, first, number] = path.split('/')
    if (first === 'early') this.answer(Buffer.from('early'))
    else if (first === 'refuse') this.stream.sendHead(encodeFields({ ':status': '404' }), true)
    else if (first === 'reset') this.stream.reset(Number(number))
    else if (first !== 'unread') this.stream.resume()
  }

  receive(bytes: Uint8Array): void {
    this.parts.push(bytes.length)
    this.received.push(Buffer.from(bytes))
    if (this.pausesAfterEach) this.stream.pause()
  }

  requestEnded(): void {
    this.hasEnded = true
    const [, first, number] = this.head.path?.split('/') ?? []
    if (first === 'bytes') this.answer(pattern(Number(number)))
    else if (first !== 'hold') this.answer(Buffer.concat(this.received))
  }

  answer(bytes: Uint8Array): void {
    this.stream.sendHead(OK, false)
    this.stream.sendData(bytes)
    this.stream.sendTrailers(END)
  }

  roomDenied(): void {
    this.stream.sendHead(encodeFields({ ':status': '503' }), true)
  }

  responseTaken(): void {}

  closed(code: number): void {
    this.#told.open.delete(this)
    this.#told.closed.push({ path: this.head.path ?? '', code })
  }
}

/** Bytes that tell their place. */
export const pattern = (length: number): Buffer =>
  Buffer.from(Array.from({ length }, (_, at) => (at * 7) % 251))

export interface Http2Served {
  readonly port: number
  /** One for each connection, in their order. */
  readonly told: Told[]
  /** The sockets of the server. */
  readonly sockets: Socket[]
}

/** `Connection`: the implementation that serves. */
export async function serveHttp2(
  Connection: ConnectionClass,
  limits: Partial<Http2Limits> = {},
  head: Partial<HeadLimits> = {},
): Promise<Http2Served> {
  const told: Told[] = []
  const sockets: Socket[] = []
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {})
    const each = new Told()
    told.push(each)
    sockets.push(socket)
    each.connection = new Connection(socket, each, {
      limits: { ...LIMITS, ...limits },
      head: { ...HEAD, ...head },
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  return { port: typeof address === 'object' && address !== null ? address.port : 0, told, sockets }
}
