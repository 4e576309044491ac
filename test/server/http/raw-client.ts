// A client that writes bytes and takes answers apart, and levers for the server that it talks to.

import { connect, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import type { Served } from './served.ts'

export const put = (key: string, value: string, more = '') =>
  `PUT /v1/kv/${key} HTTP/1.1\r\nHost: localhost\r\n${more}Content-Length: ${value.length}\r\n\r\n${value}`
export const get = (key: string, more = '') => `GET /v1/kv/${key} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`
export const COLD = 'GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n'

/** A client that sends the given bytes and splits the answers. */
export class Client {
  readonly #socket: Socket
  #received = ''
  #ended = false
  #isOver = false
  #changed: () => void = () => {}

  constructor(port: number) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.#socket.on('data', (chunk) => {
      this.#received += chunk.toString('latin1')
      this.#changed()
    })
    // A broken connection is an end as well; the bytes before it count.
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => {
      this.#ended = true
      this.#changed()
    })
    onTestFinished(() => this.leave())
  }

  /** Each piece in a separate write, with a turn of the event loop between two. */
  async send(...pieces: readonly string[]): Promise<this> {
    for (const piece of pieces) {
      await new Promise<void>((resolve) => {
        if (this.#socket.destroyed) resolve()
        else this.#socket.write(piece, 'latin1', () => setImmediate(resolve))
      })
    }
    return this
  }

  /** The next response as received, without its date; undefined when the connection ends without one. */
  async answer(bodiless = false): Promise<string | undefined> {
    for (;;) {
      const headEnd = this.#received.indexOf('\r\n\r\n') + 4
      const length = Number(/\r\nContent-Length: (\d+)/i.exec(this.#received.slice(0, headEnd))?.[1] ?? 0)
      const end = headEnd + (bodiless ? 0 : length)
      if (headEnd > 3 && this.#received.length >= end) {
        const whole = this.#received.slice(0, end)
        this.#received = this.#received.slice(end)
        this.#isOver = /\r\nConnection: close\r\n/i.test(whole)
        return whole.replace(/\r\nDate: [^\r]{29}/, '')
      }
      if (this.#ended) return undefined
      await new Promise<void>((resolve) => {
        this.#changed = resolve
      })
    }
  }

  async answers(count: number): Promise<(string | undefined)[]> {
    const all = []
    for (let i = 0; i < count; i++) all.push(await this.answer())
    return all
  }

  /** Everything up to the end of the connection. */
  async rest(): Promise<string> {
    while (!this.#ended) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve
      })
    }
    return this.#received
  }

  /** The last answer said that the connection ends. */
  get isOver(): boolean {
    return this.#isOver
  }

  endSending(): this {
    this.#socket.end()
    return this
  }

  /** Reads so many bytes more, and no further. */
  async take(bytes: number): Promise<void> {
    const enough = this.#received.length + bytes
    this.#socket.resume()
    while (this.#received.length < enough && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve
      })
    }
    this.#socket.pause()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Resets the connection, even during a request. */
  reset(): void {
    this.#socket.resetAndDestroy()
  }

  leave(): void {
    this.#socket.destroy()
  }
}

/** A connection that node:http has already. */
export async function onNodeHttp({ port }: Served): Promise<Client> {
  const client = await new Client(port).send(COLD)
  await client.answer()
  return client
}

export const statusOf = (answer: string | undefined): number => Number(answer?.slice(9, 12))

/** Makes proposals wait. `release` has a function for each, which lets it continue. */
export function holding(node: Served['node']) {
  const held: (() => void)[] = []
  let changed = (): void => {}
  node.hold = (go) => {
    held.push(go)
    changed()
  }
  async function* released(): AsyncGenerator<() => void, never> {
    for (;;) {
      const go = held.shift()
      if (go !== undefined) yield go
      else
        await new Promise<void>((resolve) => {
          changed = resolve
        })
    }
  }
  return { release: released() }
}

/** Without a server, what one waits for does not come. */
async function expectServed(client: Client): Promise<void> {
  if ((await (await client.send(COLD)).answer()) === undefined) throw new Error('the server has ended')
}

/** The value at which `count` stays while other requests are served. */
export async function settled({ port }: Served, count: () => number, rounds = 100): Promise<number> {
  const other = new Client(port)
  for (let before = -1, calm = 0; calm < rounds; ) {
    await expectServed(other)
    calm = count() === before ? calm + 1 : 0
    before = count()
  }
  other.leave()
  return count()
}

/** Serves others until it is so. A client without a user is served once on a connection while rights are checked. */
export async function until({ port }: Served, isSo: () => boolean): Promise<void> {
  let other = new Client(port)
  while (!isSo()) {
    await expectServed(other)
    if (other.isOver) other = new Client(port)
  }
  other.leave()
}

/** Waits until nothing is in flight, and no connection is left but those of the caller. */
export const atRest = (served: Served, connections = 0): Promise<void> =>
  until(served, () => {
    const { ranges, bodyBytes, answerBytes, ...counts } = served.http.inspect()
    // Without the connection and the request of the test itself.
    const left = counts.connections - 1 - connections
    return left <= 0 && counts.requests <= 0 && ranges === 0 && bodyBytes === 0 && answerBytes === 0
  })
