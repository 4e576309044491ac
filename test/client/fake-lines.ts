// The multiplexed connections of a fake node: an operation takes the same way through the node as a request over HTTP,
// with the same faults. A test may answer by itself, and send what no node would. Batches are known where the welcome
// says so: `lines.welcome = { changes_max: 1000 }`.

import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { Packr } from 'msgpackr'
import { type WebSocket, WebSocketServer } from 'ws'
import type { FakeNode, Seen } from './fake-node.ts'

export type Item = readonly unknown[]

const packr = new Packr({ useRecords: false, int64AsType: 'number', encodeUndefinedAsNil: true })

export class FakeLines {
  /** Answers to upgrades instead of a connection: raw bytes, after which the socket is closed. */
  refusal: string | undefined
  /** A part of the welcome that is different. */
  welcome: Record<string, unknown> = {}
  /** Called for each item. Returns whether it was dealt with. */
  onItem: (item: Item, line: Line) => boolean = () => false
  readonly upgrades: string[] = []
  /** The Authorization header of each upgrade. */
  readonly authorizations: (string | undefined)[] = []
  /** Whether an upgrade with this header is refused as `unauthenticated`. */
  isRefused: (authorization: string | undefined) => boolean = () => false
  readonly items: Item[] = []
  /** In the order in which they were opened. */
  readonly open: Line[] = []
  readonly #node: FakeNode
  readonly #server = new WebSocketServer({ noServer: true, perMessageDeflate: false })

  constructor(node: FakeNode) {
    this.#node = node
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.upgrades.push(request.url ?? '')
    const { authorization } = request.headers
    this.authorizations.push(authorization)
    socket.on('error', () => {})
    if (this.isRefused(authorization)) {
      socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n')
      return
    }
    if (this.refusal !== undefined) {
      socket.end(this.refusal)
      return
    }
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      const line = new Line(ws, socket, authorization)
      this.open.push(line)
      ws.on('error', () => {})
      ws.on('close', () => this.open.splice(this.open.indexOf(line), 1))
      ws.on('message', (data) => {
        for (const item of packr.decode(data as Buffer) as Item[]) {
          this.items.push(item)
          if (!this.onItem(item, line)) this.serve(item, line)
        }
      })
      const { clusterId, name, leader, revision } = this.#node
      const limits = { operations_max: 1024, bytes_max: 16 << 20, message_bytes_max: 4 << 20 }
      const welcome = { version: 1, cluster: clusterId, node: name, server: '0', term: 3, leader, revision }
      line.send([0, 'welcome', { ...welcome, ...limits, ...this.welcome }])
    })
  }

  /** Serves it as the node does. */
  serve(item: Item, line: Line): void {
    const seen = seenOf(item)
    if (seen !== undefined)
      this.#node.serve(
        seen,
        (answer) => line.reply(item, answer),
        () => line.cut(),
      )
  }
}

export class Line {
  readonly ws: WebSocket
  readonly socket: Duplex
  readonly authorization: string | undefined

  constructor(ws: WebSocket, socket: Duplex, authorization: string | undefined) {
    this.ws = ws
    this.socket = socket
    this.authorization = authorization
  }

  /** One message. */
  send(...items: unknown[]): void {
    this.ws.send(packr.encode(items))
  }

  cut(): void {
    this.ws.terminate()
  }

  reply(
    [id, op]: Item,
    { status, body, revision }: { status: number; body: unknown; revision: number },
  ): void {
    const json = body as Record<string, unknown>
    // No proxy can answer an operation.
    if (typeof body === 'string') this.cut()
    else if (op === 3 && status === 404) this.send([id, 0, revision, null, 'linearizable'])
    else if (status >= 400) this.send([id, 1, json, revision, false])
    else if (op === 1) {
      this.send([id, 0, json.revision, json.create_revision, json.mod_revision, json.version, false])
    } else if (op === 2) this.send([id, 0, json.revision, json.deleted, false])
    else if (op === 3) this.send([id, 0, revision, recordOf(json, null), 'linearizable'])
    else if (op === 7) this.send([id, 0, json.revision, json, false, 'linearizable'])
    else if (op === 6) this.send([id, 0, json.revision, (json.results as ResultJson[]).map(outcomeOf), false])
    else {
      const records = (json.kvs as Record<string, unknown>[]).map((kv) => recordOf(kv, bytesOf(kv.key)))
      this.send([id, 0, revision, records, json.more, null, 'linearizable'])
    }
  }
}

/** The item as a request. */
function seenOf([, op, timeoutMs, ...fields]: Item): Seen | undefined {
  const seen = { timeoutMs: timeoutMs as number, body: Buffer.alloc(0) }
  const path = (key: unknown) => `/v1/kv/${encoded(key)}`
  const keyed = (identity: unknown, conditions: unknown) => {
    const given = (identity ?? []) as unknown[]
    const [token, since, seq] = given
    const { if_match, if_none_match } = (conditions ?? {}) as { if_match?: number[]; if_none_match?: string }
    return {
      ...(given.length === 2 ? { 'idempotency-key': `${token};since=${since}` } : {}),
      ...(given.length === 3 ? { 'kv-session': `${token};slot=${since};seq=${seq}` } : {}),
      ...(if_match === undefined ? {} : { 'if-match': `"${if_match[0]}"` }),
      ...(if_none_match === undefined ? {} : { 'if-none-match': if_none_match }),
    }
  }
  if (op === 1) {
    const [key, value, identity, conditions] = fields
    return {
      ...seen,
      method: 'PUT',
      target: path(key),
      headers: keyed(identity, conditions),
      body: value as Buffer,
    }
  }
  if (op === 2) {
    const [key, identity, conditions] = fields
    return { ...seen, method: 'DELETE', target: path(key), headers: keyed(identity, conditions) }
  }
  if (op === 3) {
    const asOf = fields[3] === undefined ? '' : `?revision=${fields[3]}`
    return { ...seen, method: 'GET', target: `${path(fields[0])}${asOf}`, headers: {} }
  }
  if (op === 6) {
    const [changes, identity] = fields
    const body = Buffer.from(JSON.stringify({ changes: (changes as Item[]).map(changeJson) }))
    return { ...seen, method: 'POST', target: '/v1/changes', headers: keyed(identity, null), body }
  }
  if (op === 7) {
    const [txn, identity] = fields
    const body = Buffer.from(JSON.stringify(txnJson(txn)))
    return { ...seen, method: 'POST', target: '/v1/txn', headers: keyed(identity, null), body }
  }
  if (op !== 4) return undefined
  const query = Object.entries(fields[0] as object).map(
    ([name, value]) => `${name}=${Buffer.isBuffer(value) ? encoded(value) : String(value)}`,
  )
  return { ...seen, method: 'GET', target: `/v1/kv?${query.join('&')}`, headers: {} }
}

/** A change of a batch as in the body of a request. */
function changeJson([kind, key, ...fields]: Item): unknown {
  const named = { key: base64(key) }
  if (kind === 2) return { delete: { ...named, ...(fields[0] as object | undefined) } }
  return { put: { ...named, value: base64(fields[0]), ...(fields[1] as object | undefined) } }
}

function txnJson(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return base64(value)
  if (Array.isArray(value)) return value.map(txnJson)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, inside]) => [name, txnJson(inside)]))
}

const base64 = (bytes: unknown) => ({ base64: (bytes as Buffer).toString('base64') })

interface ResultJson {
  readonly put?: Record<string, number>
  readonly delete?: Record<string, number>
  readonly problem?: unknown
}

function outcomeOf({ put, delete: removed, problem }: ResultJson): unknown {
  if (put !== undefined) return [put.create_revision, put.mod_revision, put.version]
  return removed === undefined ? problem : [removed.deleted, removed.revision]
}

const encoded = (key: unknown): string =>
  [...(key as Buffer)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')

function recordOf(json: Record<string, unknown>, key: Buffer | null): Item {
  const value = 'value' in json ? bytesOf(json.value) : null
  return [key, value, json.create_revision, json.mod_revision, json.version]
}

const bytesOf = (json: unknown): Buffer =>
  typeof json === 'string' ? Buffer.from(json) : Buffer.from((json as { base64: string }).base64, 'base64')
