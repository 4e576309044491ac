// One keep-alive HTTP/1.1 connection over a bare socket: one request at a time, no more work per answer than finding its end. The
// generator shares the machine with what it measures, so it has to cost little.

import { connect, type Socket } from 'node:net'

export type Answered = (status: number, body: Buffer) => void

export class HttpConnection {
  private readonly socket: Socket
  private readonly host: string
  private arrived: Buffer = Buffer.alloc(0)
  private answered: Answered | undefined
  private over = false

  /** `broken` is called once, when no more can be asked over it; a request under way gets no answer then. */
  constructor(url: string, broken: (why: string) => void) {
    const { hostname, port, host } = new URL(url)
    this.host = host
    this.socket = connect({ host: hostname, port: Number(port), noDelay: true })
    const end = (why: string): void => {
      if (this.over) return
      this.over = true
      this.socket.destroy()
      broken(why)
    }
    this.socket.on('data', (chunk) => this.take(chunk, end))
    this.socket.on('error', (error) => end(error.message))
    this.socket.on('close', () => end('closed'))
  }

  /** The bytes of a PUT whose key can be overwritten in place, for as long as no request is under way. */
  putRequest(key: string, value: Buffer): { readonly bytes: Buffer; readonly keyAt: number } {
    const before = 'PUT /v1/kv/'
    const head = `${before}${key} HTTP/1.1\r\nHost: ${this.host}\r\nContent-Length: ${value.length}\r\n\r\n`
    return { bytes: Buffer.concat([Buffer.from(head), value]), keyAt: before.length }
  }

  getRequest(target: string): Buffer {
    return Buffer.from(`GET ${target} HTTP/1.1\r\nHost: ${this.host}\r\n\r\n`)
  }

  ask(request: Buffer, answered: Answered): void {
    this.answered = answered
    this.socket.write(request)
  }

  close(): void {
    this.over = true
    this.socket.destroy()
  }

  private take(chunk: Buffer, end: (why: string) => void): void {
    this.arrived = this.arrived.length === 0 ? chunk : Buffer.concat([this.arrived, chunk])
    const headEnd = this.arrived.indexOf('\r\n\r\n')
    if (headEnd < 0) return
    const head = this.arrived.toString('latin1', 0, headEnd)
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
    if (length === undefined) {
      end('an answer without Content-Length')
      return
    }
    const whole = headEnd + 4 + Number(length)
    if (this.arrived.length < whole) return
    const body = this.arrived.subarray(headEnd + 4, whole)
    this.arrived = this.arrived.subarray(whole)
    const { answered } = this
    this.answered = undefined
    answered?.(Number(head.slice(9, 12)), body)
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
