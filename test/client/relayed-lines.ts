// The multiplexed connections of a relayed node. The relay has a connection to the node for each connection of a client
// and passes items between them, with the same faults as requests over HTTP. A test may answer by itself, and send what
// no node would.
//
// Unless a test says otherwise, a welcome names no limits of batches, transactions, watches and keep-alives, as that of
// a node that has only operations on one key and ranges: `lines.welcome = { changes_max: 1000 }`.

import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { Packr } from 'msgpackr'
import { WebSocket, WebSocketServer } from 'ws'
import type { OutgoingRequest } from '../../src/operations/http/requests.ts'
import { findByOpcode, OPERATIONS, type Operation } from '../../src/operations/index.ts'
import { isNotice, SUBPROTOCOL } from '../../src/operations/mux/connection.ts'
import { type Item, PROBLEM } from '../../src/operations/mux/form.ts'
import { OPCODES } from '../../src/operations/mux/opcodes.ts'
import { asItem, readMessage } from '../../src/server/mux/messages.ts'
import type { CannedAnswer, RelayedNode, Seen } from './relayed-node.ts'

export type { Item }

const packr = new Packr({ useRecords: false, int64AsType: 'number', encodeUndefinedAsNil: true })

export class RelayedLines {
  /** Answers to upgrades instead of a connection: raw bytes, after which the socket is closed. */
  refusal: string | undefined
  /** Parts of the welcome that are different. */
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
  readonly #node: RelayedNode
  readonly #server = new WebSocketServer({ noServer: true, perMessageDeflate: false })

  constructor(node: RelayedNode) {
    this.#node = node
  }

  /** Nothing is left of what a test has set, and of what has arrived. */
  reset(): void {
    this.onItem = () => false
    this.items.length = 0
    for (const line of this.open) line.cut()
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { url = '', headers } = request
    this.upgrades.push(url)
    this.authorizations.push(headers.authorization)
    socket.on('error', () => {})
    if (this.isRefused(headers.authorization)) {
      socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n')
      return
    }
    if (this.refusal !== undefined) {
      socket.end(this.refusal)
      return
    }
    this.#node.track(this.#connect(request, socket, head))
  }

  async #connect(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const address = `ws://127.0.0.1:${await this.#node.openPort()}${request.url}`
    const upstream = new WebSocket(address, SUBPROTOCOL, { perMessageDeflate: false })
    upstream.on('error', () => socket.destroy())
    // The welcome may come in the chunk that opens the connection.
    upstream.on('open', () =>
      this.#server.handleUpgrade(request, socket, head, (ws) => this.#opened(ws, socket, upstream, request)),
    )
  }

  #opened(ws: WebSocket, socket: Duplex, upstream: WebSocket, { headers }: IncomingMessage): void {
    const line = new Line(ws, socket, upstream, headers.authorization, this.#node)
    this.open.push(line)
    ws.on('error', () => {})
    ws.on('close', () => this.open.splice(this.open.indexOf(line), 1))
    ws.on('message', (data) => {
      for (const item of packr.decode(data as Buffer) as Item[]) {
        this.items.push(item)
        if (!this.onItem(item, line)) this.serve(item, line)
      }
    })
    upstream.on('message', (data) => line.answered(packr.decode(data as Buffer) as Item[], this.welcome))
    upstream.on('close', () => line.lost())
  }

  /** Serves it as the node does. `answer`: in place of the client it receives the answer. */
  serve(item: Item, line: Line, answer?: (item: Item) => void): void {
    const seen = seenFrom(item)
    if (seen === undefined) {
      void line.pass(item)
      return
    }
    this.#node.receive(seen, {
      pass: () => line.pass(item, answer),
      execute: () => line.pass(item, () => {}),
      answer: (canned) => this.#answer(item, canned, line, answer),
      cut: () => line.cut(),
    })
  }

  #answer([id]: Item, { status, body }: CannedAnswer, line: Line, answer = line.send.bind(line)): void {
    // No proxy can answer an operation.
    if (typeof body === 'string') line.cut()
    else if (status >= 400) answer([id, PROBLEM, body, this.#node.revision, false])
    else throw new Error(`an item says nothing of status ${status}: let the test send it`)
  }
}

export class Line {
  readonly ws: WebSocket
  readonly socket: Duplex
  readonly authorization: string | undefined
  readonly #upstream: WebSocket
  readonly #node: RelayedNode
  /** Items that leave for the node at the end of this turn. */
  #leaving: Item[] = []
  /** Items that the node has not answered yet, by id. */
  readonly #passed = new Map<unknown, PassedItem>()

  constructor(
    ws: WebSocket,
    socket: Duplex,
    upstream: WebSocket,
    authorization: string | undefined,
    node: RelayedNode,
  ) {
    this.ws = ws
    this.socket = socket
    this.#upstream = upstream
    this.authorization = authorization
    this.#node = node
  }

  /** One message. */
  send(...items: unknown[]): void {
    this.ws.send(packr.encode(items), () => {})
  }

  cut(): void {
    this.ws.terminate()
  }

  /**
   * Passes an item to the node, also when the client has gone. `answer`: in place of the client it receives the answer.
   * Resolves when the node has answered.
   */
  pass(item: Item, answer?: (item: Item) => void): Promise<void> {
    const [id, op] = item
    // The node knows nothing of what a test holds.
    if (op === OPCODES.cancel && !this.#passed.has(id)) return Promise.resolve()
    if (this.#leaving.length === 0) queueMicrotask(() => this.#flush())
    this.#leaving.push(item)
    if (op === OPCODES.cancel || op === OPCODES.trace) return Promise.resolve()
    const answered = new Promise<void>((resolve) => this.#passed.set(id, { answer, resolve }))
    this.#node.track(answered)
    return answered
  }

  #flush(): void {
    this.#upstream.send(packr.encode(this.#leaving), () => {})
    this.#leaving = []
  }

  /** Items of the node have arrived. */
  answered(items: readonly Item[], welcome: Record<string, unknown>): void {
    const sent: Item[] = []
    for (const item of items) {
      const [id, kind, fields] = item
      const passed = this.#passed.get(id)
      this.#passed.delete(id)
      passed?.resolve()
      if (passed?.answer !== undefined) passed.answer(item)
      else if (isNotice(item) && kind === 'welcome')
        sent.push([id, kind, { ...(fields as object), ...FEW_OPERATIONS, ...welcome }])
      else sent.push(item)
    }
    if (sent.length > 0) this.send(...sent)
  }

  /** The node has closed the connection. */
  lost(): void {
    for (const { resolve } of this.#passed.values()) resolve()
    this.#passed.clear()
    this.cut()
  }
}

interface PassedItem {
  /** In place of the client it receives the answer. */
  readonly answer: ((item: Item) => void) | undefined
  readonly resolve: () => void
}

const FEW_OPERATIONS = { changes_max: 0, txn_operations_max: 0, watches_max: 0, keep_alive_max: 0 }

/** The item as the request that it would be over HTTP; undefined: it is none, or a watch. */
function seenFrom(item: Item): Seen | undefined {
  const [, opcode, timeoutMs] = item
  const definition = opcode === OPERATIONS.watch.mux.opcode ? undefined : findByOpcode(opcode)
  if (definition === undefined) return undefined
  // The node reads maps in another way.
  const [read] = readMessage(packr.encode([item]))
  const operation = definition.mux.decode(asItem(read), ITEM_LIMITS)
  const { encode } = OPERATIONS[operation.kind].http as { encode(operation: Operation): OutgoingRequest }
  const { method, path, headers, body = Buffer.alloc(0) } = encode(operation)
  const named = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])
  return {
    ...{ method, target: path, timeoutMs: Number(timeoutMs) },
    ...{ headers: Object.fromEntries(named), body: Buffer.from(body) },
  }
}

const ITEM_LIMITS = { pageRowsMax: 1_000, requestBytesMax: 2 ** 30 }
