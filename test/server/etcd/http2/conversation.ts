// A client that sends one thing at a time to a server of HTTP/2, and what has come of it.

import type { Socket } from 'node:net'
import type { Http2Limits } from '../../../../src/server/etcd/http2/http2.ts'
import { END_STREAM, type Frame, RawHttp2, settings, TYPE } from '../raw-http2.ts'
import { type ConnectionClass, type Http2Served, serveHttp2, type Told } from './served.ts'

/** The state of a stream, as its client sees it. */
export interface StreamOutcome {
  readonly bytes: number
  readonly hasHead: boolean
  readonly hasEnded: boolean
  /** A reset, but for one without an error after the end. */
  readonly resetCode: number | undefined
}

/** How the connection has ended: with the code of GOAWAY, or without one. */
type End = number | 'closed' | undefined

export interface Outcome {
  readonly streams: Readonly<Record<number, StreamOutcome>>
  readonly end: End
}

const NOTHING: StreamOutcome = { bytes: 0, hasHead: false, hasEnded: false, resetCode: undefined }

/** Turns of the event loop in which a server of this process answers what it has read. */
const TURNS = 8

export class Conversation {
  readonly client: RawHttp2
  readonly #served: Http2Served

  private constructor(client: RawHttp2, served: Http2Served) {
    this.client = client
    this.#served = served
  }

  static async begin(
    Connection: ConnectionClass,
    limits: Partial<Http2Limits> = {},
    first = settings(),
  ): Promise<Conversation> {
    const served = await serveHttp2(Connection, limits)
    const conversation = new Conversation(new RawHttp2(served.port, first), served)
    await conversation.settle()
    return conversation
  }

  get told(): Told {
    const [told] = this.#served.told
    if (told === undefined) throw new Error('the server has no connection yet')
    return told
  }

  /** The server's side of the connection. */
  get accepted(): Socket {
    const [socket] = this.#served.sockets
    if (socket === undefined) throw new Error('the server has no connection yet')
    return socket
  }

  /** Sends these frames, and waits until the server has answered them. */
  async send(...frames: readonly Uint8Array[]): Promise<Outcome> {
    this.client.write(...frames)
    await this.settle()
    return this.outcome()
  }

  /** Bytes that the kernel has taken arrive in the next turn: both sides are in this process. */
  async settle(): Promise<void> {
    const { socket } = this.client
    while (socket.connecting || socket.writableLength > 0) await turn()
    for (let turns = 0; turns < TURNS; turns++) await turn()
  }

  outcome(): Outcome {
    const streams: Record<number, StreamOutcome> = {}
    let end: End = this.client.isClosed ? 'closed' : undefined
    for (const each of this.client.frames) {
      const { stream, type, payload } = each
      if (type === TYPE.goaway && payload.readUInt32BE(4) !== 0) end = payload.readUInt32BE(4)
      if (stream !== 0) streams[stream] = withFrame(streams[stream] ?? NOTHING, each)
    }
    return { streams, end }
  }
}

function withFrame(before: StreamOutcome, { type, flags, payload }: Frame): StreamOutcome {
  const hasEnded = before.hasEnded || (isEndable(type) && (flags & END_STREAM) !== 0)
  if (type === TYPE.headers) return { ...before, hasHead: true, hasEnded }
  if (type === TYPE.data) return { ...before, bytes: before.bytes + payload.length, hasEnded }
  if (type !== TYPE.reset) return before
  const code = payload.readUInt32BE(0)
  return before.hasEnded && code === 0 ? before : { ...before, resetCode: code }
}

const isEndable = (type: number): boolean => type === TYPE.headers || type === TYPE.data

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
