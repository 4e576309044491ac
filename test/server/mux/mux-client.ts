// A client of multiplexed connections that sends the given items and splits the answers.

import { Packr, Unpackr } from 'msgpackr'
import { onTestFinished, vi } from 'vitest'
import { WebSocket } from 'ws'

export const [PUT, DELETE, GET, RANGE, OPEN_SESSION, CHANGES] = [1, 2, 3, 4, 5, 6]
export const [TXN, DELETE_RANGE, COMPACT, KEEP_ALIVE] = [7, 8, 9, 10]
export const [CANCEL, WATCH] = [0, 16]

// biome-ignore lint/suspicious/noExplicitAny: what came over the wire is checked by the expectations themselves
type Wire = any

const packr = new Packr({ useRecords: false })
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' })

export const pack = (value: unknown): Buffer => Buffer.from(packr.pack(value))

export interface Dialing {
  readonly query?: string
  readonly headers?: Record<string, string>
  readonly protocols?: string[]
}

export class MuxClient {
  readonly ws: WebSocket
  /** Each with its items. */
  readonly messages: Wire[][] = []
  /** All answers so far, by id. */
  readonly answers = new Map<number, Wire[]>()
  readonly notices: Wire[][] = []
  /** Items of watches, after the answers that they have begun. */
  readonly watched: Wire[][] = []
  closed: { readonly code: number; readonly reason: string } | undefined
  #changed: () => void = () => {}

  constructor(port: number, { query = '', headers = {}, protocols = ['quorate.v1'] }: Dialing = {}) {
    this.ws = new WebSocket(`ws://127.0.0.1:${port}/v1/connect${query}`, protocols, {
      headers,
      perMessageDeflate: false,
    })
    this.ws.on('message', (data: Buffer) => {
      const items: Wire[][] = unpackr.unpack(data)
      this.messages.push(items)
      for (const item of items) {
        if (item[0] === 0) this.notices.push(item)
        else if (item[1] > 1) this.watched.push(item)
        else if (this.answers.has(item[0])) throw new Error(`operation ${item[0]} is answered twice`)
        else this.answers.set(item[0], item)
      }
      this.#changed()
    })
    this.ws.on('error', () => {})
    this.ws.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() }
      this.#changed()
    })
    onTestFinished(() => this.ws.terminate())
  }

  /** Resolves when `isSo`, or when the connection is closed. */
  async until(isSo: () => boolean): Promise<this> {
    while (!isSo() && this.closed === undefined)
      await new Promise<void>((resolve) => {
        const before = this.#changed
        this.#changed = () => {
          before()
          resolve()
        }
      })
    return this
  }

  /** Resolves when the connection is open and its welcome has arrived. */
  open(): Promise<this> {
    return this.until(() => this.notices.length > 0)
  }

  /** One message. */
  send(...items: readonly (readonly unknown[])[]): this {
    this.ws.send(pack(items))
    return this
  }

  /** The answer to this operation; undefined if the connection ends without one. An id may be used again after it. */
  async answer(id: number): Promise<Wire[] | undefined> {
    await this.until(() => this.answers.has(id))
    const answer = this.answers.get(id)
    this.answers.delete(id)
    return answer
  }

  /** Sends one operation and waits for its answer. */
  async ask(id: number, ...fields: readonly unknown[]): Promise<Wire[]> {
    return (await this.send([id, ...fields]).answer(id)) ?? []
  }

  async end(): Promise<NonNullable<MuxClient['closed']>> {
    await this.until(() => this.closed !== undefined)
    return this.closed ?? { code: 0, reason: '' }
  }
}

/** Tries again until it holds. */
export const soon = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 30_000, interval: 5 })
