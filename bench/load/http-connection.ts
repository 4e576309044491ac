// One keep-alive HTTP/1.1 connection over a bare socket: one request at a time, no more work per answer than finding
// its end. The generator shares the machine with what it measures, so it has to cost little: a request over node:http
// takes about 90 µs of a processor, one over this connection about 10.

import { connect, type Socket } from 'node:net'
import { connect as connectSecurely } from 'node:tls'

export interface Request {
  readonly method: 'GET' | 'PUT' | 'POST'
  readonly path: string
  /** Content-Type application/json. */
  readonly json?: boolean
  /** A header. */
  readonly condition?: string
  readonly body?: Uint8Array
}

export interface Answer {
  readonly status: number
  /** Overwritten by the next answer. */
  readonly body: Buffer
}

/** Credentials for a node with TLS that checks rights. */
export interface Identity {
  /** Certificate of the CA, in PEM. */
  readonly ca: string
  /** Token of a login; empty: no user is named. */
  readonly token: string
}

interface Waiting {
  resolve(answer: Answer): void
  reject(error: Error): void
}

const READ_BYTES = 64 * 1024
const END_OF_CHUNKS = '\r\n0\r\n\r\n'

export class HttpConnection {
  readonly #url: URL
  readonly #identity: Identity | undefined
  readonly #authorization: string
  #socket: Socket | undefined
  /** The beginning of an answer that came in several reads. */
  #received: Buffer | undefined
  #waiting: Waiting | undefined

  constructor(url: string, identity?: Identity) {
    this.#url = new URL(url)
    this.#identity = identity
    const token = identity?.token ?? ''
    this.#authorization = token === '' ? '' : `Authorization: Bearer ${token}\r\n`
  }

  /** Connects when there is no connection. Rejects when the connection breaks before the answer. */
  send({ method, path, json, condition, body }: Request): Promise<Answer> {
    const length = body === undefined ? '' : `Content-Length: ${body.length}\r\n`
    const type = json === true ? 'Content-Type: application/json\r\n' : ''
    const fields = `${this.#authorization}${type}${condition === undefined ? '' : `${condition}\r\n`}${length}`
    const head = `${method} ${path} HTTP/1.1\r\nHost: ${this.#url.host}\r\n${fields}\r\n`
    const bytes = Buffer.allocUnsafe(head.length + (body?.length ?? 0))
    bytes.write(head, 'latin1')
    if (body !== undefined) bytes.set(body, head.length)
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
      this.#socket ??= this.#connect()
      this.#socket.write(bytes)
    })
  }

  close(): void {
    this.#end('closed')
  }

  #connect(): Socket {
    // One buffer for all reads: a buffer for each would cost as much as the rest.
    const onread = {
      buffer: Buffer.allocUnsafe(READ_BYTES),
      callback: (length: number, buffer: Uint8Array): boolean => {
        this.#take(Buffer.from(buffer.buffer, buffer.byteOffset, length))
        return true
      },
    }
    const { hostname: host, port } = this.#url
    const address = { host, port: Number(port), noDelay: true }
    const identity = this.#identity
    // A socket of TLS has no buffer for all reads.
    const socket =
      identity === undefined
        ? connect({ ...address, onread })
        : connectSecurely({ ...address, ca: identity.ca }).on('data', (read) => this.#take(read))
    const ended = (why: string): void => {
      if (this.#socket === socket) this.#end(why)
    }
    socket.on('error', (error: NodeJS.ErrnoException) => ended(error.code ?? error.message))
    socket.on('close', () => ended('connection closed'))
    return socket
  }

  #end(why: string): void {
    this.#socket?.destroy()
    this.#socket = undefined
    this.#received = undefined
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.reject(new Error(why))
  }

  #take(read: Buffer): void {
    const bytes = this.#received === undefined ? read : Buffer.concat([this.#received, read])
    const headEnd = bytes.indexOf('\r\n\r\n')
    const end = headEnd < 0 ? undefined : endOfBody(bytes, headEnd)
    if (end === undefined || bytes.length < end) {
      this.#received = bytes === read ? Buffer.from(bytes) : bytes
      return
    }
    this.#received = undefined
    // No answer follows before the next request.
    const waiting = this.#waiting
    this.#waiting = undefined
    const status = Number(bytes.toString('latin1', 'HTTP/1.1 '.length, 'HTTP/1.1 200'.length))
    waiting?.resolve({ status, body: bytes.subarray(headEnd + 4, end) })
  }
}

/**
 * Where the answer ends; undefined when that is not known yet. A body in chunks is not decoded: the generator only
 * needs its end, which no JSON text contains.
 */
function endOfBody(bytes: Buffer, headEnd: number): number | undefined {
  const head = bytes.toString('latin1', 0, headEnd)
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
  if (length !== undefined) return headEnd + 4 + Number(length)
  const end = bytes.indexOf(END_OF_CHUNKS, headEnd)
  return end < 0 ? undefined : end + END_OF_CHUNKS.length
}

/** One request on a connection of its own. Rejects unless the answer is 200, with the URL in the message. */
export async function sendOnce(url: string, request: Request, identity?: Identity): Promise<string> {
  const connection = new HttpConnection(url, identity)
  try {
    const { status, body } = await connection.send(request)
    if (status !== 200) throw new Error(`status ${status}`)
    return body.toString()
  } catch (error) {
    throw new Error(`${url}${request.path}: ${(error as Error).message}`)
  } finally {
    connection.close()
  }
}
