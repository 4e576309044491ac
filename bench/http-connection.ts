// One keep-alive HTTP/1.1 connection over a bare socket: one request at a time, no more work per answer than finding
// its end. The generator shares the machine with what it measures, so it has to cost little.

import { connect, type Socket } from 'node:net'

/** `body` is overwritten once this returns. */
export type Answered = (status: number, body: Buffer) => void

const READ_BYTES = 64 * 1024

export class HttpConnection {
  readonly #socket: Socket
  readonly #host: string
  /** The beginning of an answer that came in several reads. */
  #arrived: Buffer | undefined
  #answered: Answered | undefined
  #over = false

  /** `broken` is called once, when no more can be asked over it; a request under way gets no answer then. */
  constructor(url: string, broken: (why: string) => void) {
    const { hostname, port, host } = new URL(url)
    this.#host = host
    // One buffer for all reads: a buffer for each would cost as much as the rest.
    const onread = {
      buffer: Buffer.allocUnsafe(READ_BYTES),
      callback: (length: number, buffer: Uint8Array): boolean => {
        this.#take(Buffer.from(buffer.buffer, buffer.byteOffset, length), end)
        return true
      },
    }
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true, onread })
    const end = (why: string): void => {
      if (this.#over) return
      this.#over = true
      this.#socket.destroy()
      broken(why)
    }
    this.#socket.on('error', (error) => end(error.message))
    this.#socket.on('close', () => end('closed'))
  }

  /** The bytes of a PUT whose key can be overwritten in place, for as long as no request is under way. */
  putRequest(key: string, value: Buffer): { readonly bytes: Buffer; readonly keyAt: number } {
    const before = 'PUT /v1/kv/'
    const head = `${before}${key} HTTP/1.1\r\nHost: ${this.#host}\r\nContent-Length: ${value.length}\r\n\r\n`
    return { bytes: Buffer.concat([Buffer.from(head), value]), keyAt: before.length }
  }

  getRequest(target: string): Buffer {
    return Buffer.from(`GET ${target} HTTP/1.1\r\nHost: ${this.#host}\r\n\r\n`)
  }

  ask(request: Buffer, answered: Answered): void {
    this.#answered = answered
    this.#socket.write(request)
  }

  close(): void {
    this.#over = true
    this.#socket.destroy()
  }

  #take(read: Buffer, end: (why: string) => void): void {
    const bytes = this.#arrived === undefined ? read : Buffer.concat([this.#arrived, read])
    this.#arrived = undefined
    const headEnd = bytes.indexOf('\r\n\r\n')
    const head = headEnd < 0 ? '' : bytes.toString('latin1', 0, headEnd)
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
    if (headEnd >= 0 && length === undefined) {
      end('an answer without Content-Length')
      return
    }
    const whole = headEnd + 4 + Number(length)
    if (headEnd < 0 || bytes.length < whole) {
      this.#arrived = Buffer.from(bytes)
      return
    }
    // No answer follows before the next request.
    const answered = this.#answered
    this.#answered = undefined
    answered?.(Number(head.slice(9, 12)), bytes.subarray(headEnd + 4, whole))
  }
}

/** One GET on a connection of its own, as JSON. Rejects when it cannot be had. */
export function getJson(url: string, target: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const connection = new HttpConnection(url, (why) => reject(new Error(`${url}: ${why}`)))
    connection.ask(connection.getRequest(target), (status, body) => {
      connection.close()
      if (status === 200) resolve(JSON.parse(body.toString()))
      else reject(new Error(`${url}${target} answered ${status}`))
    })
  })
}
