// The multiplexed connection of quorate, bare: no retries and no identities of writes, so what it costs beside the
// client library is what these cost. docs/reference/protocol.md describes the protocol.

import { once } from 'node:events'
import { Packr } from 'msgpackr'
import { WebSocket } from 'ws'
import type { Consistency } from './load.ts'
import type { Target } from './target.ts'

const SUBPROTOCOL = 'quorate.v1'
const [PUT, GET, RANGE] = [1, 3, 4]
const SUCCESS = 0
const TIMEOUT_MS = 5000

const packr = new Packr({ useRecords: false, int64AsType: 'number' })

export class MuxTarget implements Target {
  readonly #connections: readonly MuxConnection[]
  #turn = 0

  private constructor(connections: readonly MuxConnection[]) {
    this.#connections = connections
  }

  static async connect(endpoints: readonly string[], connections: number): Promise<MuxTarget> {
    const urls = Array.from({ length: connections }, (_, at) => endpoints[at % endpoints.length] ?? '')
    return new MuxTarget(await Promise.all(urls.map(MuxConnection.open)))
  }

  async put(key: string, value: Uint8Array): Promise<void> {
    await this.#send(PUT, Buffer.from(key), value, null)
  }

  async update(key: string, value: Uint8Array, revision: number): Promise<number> {
    const condition = revision === 0 ? { if_none_match: '*' } : { if_match: [revision] }
    const [, , , , updated] = await this.#send(PUT, Buffer.from(key), value, null, condition)
    return Number(updated)
  }

  async get(key: string, consistency: Consistency): Promise<void> {
    const [, , , record] = await this.#send(GET, Buffer.from(key), null, freshness(consistency))
    if (record === null) throw new Error('not_found')
  }

  async range(start: string, limit: number, consistency: Consistency): Promise<void> {
    await this.#send(RANGE, { start: Buffer.from(start), limit }, null, freshness(consistency))
  }

  close(): void {
    for (const connection of this.#connections) connection.close()
  }

  #send(op: number, ...fields: readonly unknown[]): Promise<Answer> {
    const connection = this.#connections[this.#turn++ % this.#connections.length]
    return connection?.send(op, fields) ?? Promise.reject(new Error('no connection'))
  }
}

/** The default is left out, as most clients do. */
const freshness = (consistency: Consistency): object | null =>
  consistency === 'linearizable' ? null : { consistency }

type Answer = readonly unknown[]

interface Waiting {
  resolve(answer: Answer): void
  reject(error: Error): void
}

/** All operations of one turn of the event loop leave in one message. */
class MuxConnection {
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, Waiting>()
  #lastId = 0
  #items: unknown[] = []

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on('message', (data) => this.#received(data as Buffer))
    socket.on('error', () => {})
    socket.on('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('connection closed'))
      this.#waiting.clear()
    })
  }

  /** Resolves with the first message, in which the node gives leave to begin. */
  static async open(url: string): Promise<MuxConnection> {
    const socket = new WebSocket(`${url}/v1/connect`, SUBPROTOCOL, { perMessageDeflate: false })
    await once(socket, 'message')
    return new MuxConnection(socket)
  }

  send(op: number, fields: readonly unknown[]): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#socket.readyState !== WebSocket.OPEN) {
        reject(new Error('connection closed'))
        return
      }
      const id = ++this.#lastId
      this.#waiting.set(id, { resolve, reject })
      if (this.#items.length === 0) setImmediate(() => this.#flush())
      this.#items.push([id, op, TIMEOUT_MS, ...fields])
    })
  }

  close(): void {
    this.#socket.close()
  }

  #flush(): void {
    const items = this.#items
    this.#items = []
    this.#socket.send(packr.encode(items))
  }

  #received(data: Buffer): void {
    for (const answer of packr.decode(data)) {
      const [id, kind, problem] = answer
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (kind === SUCCESS) waiting?.resolve(answer)
      else waiting?.reject(new Error(problem?.code ?? 'problem'))
    }
  }
}
