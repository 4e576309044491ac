// One multiplexed connection to a node (docs/reference/protocol.md): a WebSocket that carries many operations at a
// time.
//
// An operation costs few microseconds. The operations of one turn of the event loop leave in one message, and one timer
// serves all. Operations without an answer are in slots that are used again: a Map with such traffic would leave old
// tables behind.
//
// This file loads `ws` and `msgpackr`, which takes some 20 ms, so it is imported when a client begins to make many
// calls (mux-transport.ts).

import { connect, type Socket } from 'node:net'
import { Packr } from 'msgpackr'
import { WebSocket } from 'ws'
import { DisagreementError } from '../../operations/forms/decode.ts'
import {
  type ConnectionWelcome,
  decodeNotice,
  decodeWelcome,
  encodeCancel,
  encodeTrace,
  isNotice,
  type KnownLeader,
  LARGEST_ID,
  SUBPROTOCOL,
} from '../../operations/mux/connection.ts'
import { type Item, PROBLEM, SUCCESS } from '../../operations/mux/form.ts'
import { ENDED } from '../../operations/watch.ts'
import { lookup } from '../../system/lookup.ts'
import { TRACESTATE_CHARS_MAX, traceHeaders } from '../../tracing/trace-context.ts'
import type { OperationRequest } from '../client-operation.ts'
import type { Endpoint } from '../endpoints.ts'
import { SLOW_BYTES_PER_MS } from '../retry-policy.ts'
import { secureOptions } from '../tls.ts'
import type { ClientTls } from '../types.ts'
import { SILENCE_MAX_MS } from './http-transport.ts'
import { type PendingOperation, QUEUED, WITHDRAWN } from './pending-request.ts'
import { PendingWatch } from './pending-watch.ts'

/** At most the bytes that an item with a trace context takes of a message. */
const TRACE_BYTES = 80 + TRACESTATE_CHARS_MAX
/** How long the node may take until the connection can be used. */
const HANDSHAKE_MS = 5_000
/** Operations are sent in messages of about this size, so that the node begins with the first ones soon. */
const MESSAGE_BYTES = 256 * 1024
/** With more bytes that the system has not taken yet, further operations wait. */
const BUFFERED_MAX = 512 * 1024
/** A page of records is much smaller. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024
/**
 * When nothing at all arrives for so long after a ping, the connection is cut. What was sent before the ping may need
 * time (SLOW_BYTES_PER_MS).
 */
const PING_MS = 3_000
/** The rest of an id tells apart the operations that use one slot after the other: an answer never goes to another. */
const SLOT_BITS = 16
const SLOTS_MAX = 2 ** SLOT_BITS - 1
/** Node cannot wait longer. The timer runs again until something is due. */
const DELAY_MAX_MS = 2 ** 31 - 1
const BINARY = { binary: true }

/** Why a connection has ended. */
export type ConnectionEnd =
  /** No connection was made, or the node cannot serve now, or is another cluster's. */
  | 'failed'
  /** Another answer, or the other end does not follow the protocol. */
  | 'refused'
  /** The node does not accept the credentials. */
  | 'unauthenticated'
  /** It worked before. */
  | 'lost'

interface ConnectionListener {
  /** Returns whether the connection is wanted. */
  readonly onWelcome: (welcome: ConnectionWelcome) => boolean
  readonly onLeader: (leader: KnownLeader) => void
  /** After each message with answers. */
  readonly onEnd: (ending: ConnectionEnd) => void
}

const packr = new Packr({ useRecords: false, int64AsType: 'number', encodeUndefinedAsNil: true })

export class NodeConnection {
  readonly url: string
  /** The credentials of all its operations. */
  readonly authorization: string | undefined
  readonly #socket: Socket
  readonly #ws: WebSocket
  readonly #listener: ConnectionListener
  #welcome: ConnectionWelcome | undefined
  #isEnded = false
  /** The node takes no more operations. */
  #isClosing = false
  /** It does not answer. */
  #isProbed = false
  #hasAnswered = false

  /** Operations that are not sent yet, from the head on. Some may be WITHDRAWN. */
  #queue: (PendingOperation | undefined)[] = []
  #head = 0
  #cancels: Item[] = []
  /** By slot: the operation; ABANDONED when its caller has given up. */
  readonly #slots: (PendingOperation | typeof ABANDONED | typeof ABANDONED_WATCH | undefined)[] = [undefined]
  readonly #ids: number[] = [0]
  readonly #credits: number[] = [0]
  readonly #sentAt: number[] = [0]
  readonly #free: number[] = []
  #unanswered = 0
  /** Watches that were requested and have not ended. */
  #watches = 0
  #bytes = 0
  /** Number of operations with a waiting caller. */
  #waiting = 0
  /** Number of those that keep the process alive. */
  #referenced = 0
  #isScheduled = false
  #isFull = false

  #timer: NodeJS.Timeout | undefined
  #timerMs = Number.POSITIVE_INFINITY
  #receivedAt = 0
  /** A part of a message has arrived. */
  #isReceiving = false
  #pongUntil = 0

  constructor(
    { url, host, port, isSecure }: Pick<Endpoint, 'url' | 'host' | 'port' | 'isSecure'>,
    clusterId: string,
    tls: ClientTls,
    authorization: string | undefined,
    listener: ConnectionListener,
  ) {
    this.url = url
    this.authorization = authorization
    this.#listener = listener
    this.#socket = isSecure
      ? process
          .getBuiltinModule('node:tls')
          .connect({ ...secureOptions(tls, host), host, port, lookup })
          .setNoDelay(true)
      : connect({ host, port, lookup, noDelay: true })
    // An idle connection keeps no process alive, nor does one that is not open yet: calls use HTTP until then.
    this.#socket.unref()
    this.#ws = new WebSocket(`${url}/v1/connect?cluster=${encodeURIComponent(clusterId)}`, SUBPROTOCOL, {
      createConnection: () => this.#socket,
      handshakeTimeout: HANDSHAKE_MS,
      maxPayload: ANSWER_BYTES_MAX,
      perMessageDeflate: false,
      headers: authorization === undefined ? {} : { Authorization: authorization },
    })
    const ws = this.#ws
    ws.on('unexpected-response', (request, { statusCode = 0 }) => {
      request.destroy()
      const ending = PASSING_STATUS.has(statusCode) ? 'failed' : 'refused'
      this.#end(
        statusCode === UNAUTHENTICATED ? 'unauthenticated' : ending,
        new Error(`status ${statusCode}`),
      )
    })
    ws.on('error', (error) => this.#onBroken(error))
    ws.on('close', (_, reason) => this.#onBroken(new Error(reason.toString() || 'the connection was cut')))
    ws.on('open', () => {
      this.#socket.prependListener('data', () => {
        this.#noteReceived(performance.now())
        this.#isReceiving = true
      })
      this.#socket.on('drain', () => {
        this.#isFull = false
        this.#schedule()
      })
      this.#wakeAt(performance.now() + HANDSHAKE_MS)
    })
    ws.on('message', (data, isBinary) => this.#onMessage(data as Buffer, isBinary))
    ws.on('pong', () => this.#noteReceived(performance.now()))
  }

  /** Whether new operations may go here. */
  get isUsable(): boolean {
    return this.#welcome !== undefined && !this.#isClosing && !this.#isProbed && !this.#isEnded
  }

  /** Number of operations with a waiting caller. */
  get waiting(): number {
    return this.#waiting
  }

  get node(): string {
    return this.#welcome?.node ?? ''
  }

  /** Whether an operation is small enough, and the connection may have one more watch, if it is one. */
  takes(credit: number, size: number, isWatch: boolean): boolean {
    const { bytesMax = 0, messageBytesMax = 0, watchesMax = 0 } = this.#welcome ?? {}
    if (isWatch && this.#watches + this.#queue.length - this.#head >= watchesMax) return false
    return credit <= bytesMax && size + TRACE_BYTES <= messageBytesMax
  }

  /** When the last part of an answer has arrived that is not complete; 0 without one. */
  get receivingAt(): number {
    return this.#isReceiving ? this.#receivedAt : 0
  }

  /** Whether it can be sent now. The answers that would give credit back may never come. */
  hasCredit(credit: number): boolean {
    const { operationsMax = 0, bytesMax = 0 } = this.#welcome ?? {}
    if (this.#isFull) return false
    const count = this.#unanswered + this.#queue.length - this.#head
    if (count === 0) return true
    return count < operationsMax && this.#bytes + credit <= bytesMax
  }

  send(pending: PendingOperation): void {
    this.#queue.push(pending)
    this.#wait(pending)
    this.#schedule()
    this.#wakeAt(pending.dueMs)
  }

  /** The caller has given up. An operation that was sent keeps its slot until the node answers. */
  giveUp(pending: PendingOperation): void {
    this.#endWait(pending)
    if (pending.id === QUEUED) {
      pending.id = WITHDRAWN
      return
    }
    this.#slots[pending.id & SLOTS_MAX] = pending instanceof PendingWatch ? ABANDONED_WATCH : ABANDONED
    if (pending.isChange || this.#isEnded) return
    this.#cancels.push(encodeCancel(pending.id))
    this.#schedule()
  }

  /** Checks the connection: an operation is pending and nothing has arrived. */
  probe(sinceMs: number): void {
    if (this.#isProbed || this.#isEnded || this.#receivedAt > sinceMs) return
    this.#isProbed = true
    this.#ws.ping()
    this.#pongUntil = performance.now() + PING_MS + this.#bytes / SLOW_BYTES_PER_MS
    this.#wakeAt(this.#pongUntil)
  }

  /** Takes no new operations, and ends when those in flight are answered. */
  retire(): void {
    this.#isClosing = true
    if (this.#waiting === 0) this.#end('lost', new Error('not in use any more'))
  }

  close(): void {
    this.#end('lost', new Error('the client was closed'))
  }

  /** Operations with a waiting caller. */
  all(): PendingOperation[] {
    const all: PendingOperation[] = []
    for (const pending of this.#slots) if (typeof pending === 'object') all.push(pending)
    for (const pending of this.#queue) if (pending?.id === QUEUED) all.push(pending)
    return all
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Operations

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(this.#flush)
  }

  /** Sends queued operations, as far as the node gives credit. */
  readonly #flush = (): void => {
    this.#isScheduled = false
    const welcome = this.#welcome
    if (welcome === undefined || this.#isEnded || this.#isFull) return
    const nowMs = performance.now()
    const bytesMax = Math.min(MESSAGE_BYTES, welcome.messageBytesMax)
    let items: Item[] = []
    if (this.#cancels.length > 0) {
      items = this.#cancels
      this.#cancels = []
    }
    let size = 0
    while (this.#head < this.#queue.length && !this.#isFull) {
      const pending = this.#queue[this.#head]
      if (pending === undefined) break
      if (pending.id === WITHDRAWN || pending.deadline <= nowMs) {
        this.#shift()
        if (pending.id === QUEUED)
          this.#withdraw(pending, new Error('its time was over before it could be sent'))
        continue
      }
      const { credit, trace } = pending
      if (this.#unanswered >= Math.min(welcome.operationsMax, SLOTS_MAX)) break
      if (this.#bytes + credit > welcome.bytesMax && this.#unanswered > 0) break
      const itemSize = pending.size + (trace === undefined ? 0 : TRACE_BYTES)
      if (size + itemSize > bytesMax && items.length > 0) {
        this.#send(items)
        items = []
        size = 0
        continue
      }
      this.#shift()
      this.#assignSlot(pending, credit, nowMs)
      size += itemSize
      // A batch does not grow any more, and its trace is known, when it is encoded.
      const item = pending.encode(nowMs)
      if (trace !== undefined) {
        const { traceparent, tracestate } = traceHeaders(trace.context)
        items.push(encodeTrace(pending.id, traceparent, tracestate))
      }
      items.push(item)
    }
    if (items.length > 0) this.#send(items)
  }

  #shift(): void {
    this.#queue[this.#head++] = undefined
    if (this.#head < this.#queue.length) return
    this.#queue.length = 0
    this.#head = 0
  }

  #withdraw(pending: PendingOperation, cause: Error): void {
    pending.id = WITHDRAWN
    this.#endWait(pending)
    pending.lost(cause)
  }

  #assignSlot(pending: PendingOperation, credit: number, nowMs: number): void {
    const slot = this.#free.pop() ?? this.#slots.length
    const id = (this.#ids[slot] ?? slot - 2 ** SLOT_BITS) + 2 ** SLOT_BITS
    pending.id = id > LARGEST_ID ? slot : id
    this.#ids[slot] = pending.id
    this.#slots[slot] = pending
    if (pending instanceof PendingWatch) this.#watches += 1
    this.#credits[slot] = credit
    this.#sentAt[slot] = nowMs
    this.#unanswered += 1
    this.#bytes += credit
  }

  #send(items: readonly Item[]): void {
    this.#ws.send(packr.encode(items), BINARY)
    this.#isFull = this.#ws.bufferedAmount > BUFFERED_MAX
  }

  #wait({ background }: PendingOperation): void {
    this.#waiting += 1
    if (background) return
    this.#referenced += 1
    if (this.#referenced > 1) return
    this.#socket.ref()
    this.#timer?.ref()
  }

  #endWait({ background }: PendingOperation): void {
    this.#waiting -= 1
    if (!background) this.#referenced -= 1
    if (this.#referenced === 0) {
      this.#socket.unref()
      this.#timer?.unref()
    }
    if (this.#isClosing && this.#waiting === 0) setImmediate(() => this.#waiting === 0 && this.retire())
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Answers

  #onMessage(data: Buffer, isBinary: boolean): void {
    const nowMs = performance.now()
    this.#noteReceived(nowMs)
    const items = isBinary ? decodeItems(data) : undefined
    if (items === undefined) this.#fault('a message is not a list in MessagePack')
    else for (const item of items) this.#onItem(item, nowMs)
    if (this.#queue.length > 0) this.#schedule()
  }

  #onItem(item: unknown, nowMs: number): void {
    if (this.#isEnded) return
    if (!Array.isArray(item)) this.#fault('an item is not a list')
    else if (this.#welcome === undefined) this.#onWelcome(item)
    else if (isNotice(item)) this.#onNotice(item)
    else this.#onAnswer(item, this.#welcome, nowMs)
  }

  #noteReceived(nowMs: number): void {
    this.#isReceiving = false
    this.#receivedAt = nowMs
    this.#isProbed = false
  }

  #onWelcome(item: Item): void {
    const welcome = decodeWelcome(item)
    if (welcome === undefined) this.#fault('it does not begin with a welcome')
    else if (this.#listener.onWelcome(welcome)) {
      this.#welcome = welcome
      this.#listener.onLeader(welcome.leader)
    } else this.#end('failed', new Error('not wanted'))
  }

  #onNotice(item: Item): void {
    const notice = decodeNotice(item)
    if (notice.kind === 'leader') this.#listener.onLeader(notice.leader)
    if (notice.kind !== 'closing') return
    this.#isClosing = true
    const queue = this.#queue.slice(this.#head)
    this.#queue.length = 0
    this.#head = 0
    for (const pending of queue) {
      if (pending?.id === QUEUED) this.#withdraw(pending, new Error('the node stops'))
    }
  }

  #onAnswer(item: Item, welcome: ConnectionWelcome, nowMs: number): void {
    const [id] = item
    const slot = typeof id === 'number' ? id & SLOTS_MAX : 0
    const pending = this.#slots[slot]
    if (pending === undefined || this.#ids[slot] !== id) {
      this.#fault('it answers an operation that was not pending, or was answered before')
      return
    }
    this.#hasAnswered = true
    const isOfWatch = pending === ABANDONED_WATCH || pending instanceof PendingWatch
    if (isOfWatch && this.#sentAt[slot] === WATCHING) {
      this.#streamed(item, slot, pending, nowMs)
      return
    }
    if (isOfWatch && item[1] !== SUCCESS && item[1] !== PROBLEM) {
      this.#fault('it tells of a watch that has not begun')
      return
    }
    this.#unanswered -= 1
    this.#bytes -= this.#credits[slot] ?? 0
    if (isOfWatch && item[1] === SUCCESS) {
      // The id stays in use until the watch has ended.
      this.#sentAt[slot] = WATCHING
      if (pending === ABANDONED_WATCH) return
      pending.answered(item, welcome, nowMs)
      this.#wakeAt(pending.dueMs)
      return
    }
    if (isOfWatch) this.#watches -= 1
    this.#slots[slot] = undefined
    this.#free.push(slot)
    if (pending === ABANDONED || pending === ABANDONED_WATCH) return
    this.#endWait(pending)
    pending.answered(item, welcome, nowMs)
  }

  /** Handles an item of a watch that has begun. */
  #streamed(
    item: Item,
    slot: number,
    watch: PendingWatch<OperationRequest, unknown> | typeof ABANDONED_WATCH,
    nowMs: number,
  ): void {
    if (item[1] !== ENDED) {
      if (watch === ABANDONED_WATCH) return
      try {
        watch.received(item, nowMs)
      } catch (error) {
        if (!(error instanceof DisagreementError)) throw error
        this.#fault(error.message)
      }
      return
    }
    this.#watches -= 1
    this.#slots[slot] = undefined
    this.#free.push(slot)
    if (watch === ABANDONED_WATCH) return
    this.#endWait(watch)
    watch.ended(item)
  }

  #fault(what: string): void {
    this.#end('refused', new Error(what))
  }

  #onBroken(cause: Error): void {
    this.#end(this.#hasAnswered ? 'lost' : 'failed', cause)
  }

  #end(ending: ConnectionEnd, cause: Error): void {
    if (this.#isEnded) return
    this.#isEnded = true
    clearTimeout(this.#timer)
    const all = this.all()
    this.#queue = []
    this.#head = 0
    this.#slots.length = 0
    this.#waiting = 0
    this.#referenced = 0
    this.#listener.onEnd(ending)
    for (const pending of all) pending.lost(cause)
    this.#ws.terminate()
    this.#socket.destroy()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Time

  /** The timer runs at the earliest moment at which something is due. */
  #wakeAt(dueMs: number): void {
    if (dueMs >= this.#timerMs || this.#isEnded) return
    clearTimeout(this.#timer)
    this.#timerMs = dueMs
    // If the process was busy, events that have arrived are handled first.
    const delayMs = Math.min(DELAY_MAX_MS, Math.max(0, dueMs - performance.now()))
    this.#timer = setTimeout(() => setImmediate(this.#sweep), delayMs)
    if (this.#referenced === 0) this.#timer.unref()
  }

  readonly #sweep = (): void => {
    this.#timerMs = Number.POSITIVE_INFINITY
    this.#timer = undefined
    if (this.#isEnded) return
    const nowMs = performance.now()
    if (this.#welcome === undefined) this.#fault('no welcome')
    else if (nowMs >= this.#deadMs) this.#onBroken(new Error('the node does not answer'))
    else {
      let nextMs = this.#deadMs
      for (const pending of this.all()) {
        if (pending.dueMs <= nowMs) pending.due(nowMs)
        if (pending.dueMs > nowMs) nextMs = Math.min(nextMs, pending.dueMs)
      }
      this.#wakeAt(nextMs)
      if (this.#head > 0 || this.#queue.some((pending) => pending?.id === WITHDRAWN)) {
        this.#queue = this.#queue.filter((pending) => pending?.id === QUEUED)
        this.#head = 0
      }
    }
  }

  /** When the connection is cut if nothing is heard. */
  get #deadMs(): number {
    const pongMs = this.#isProbed ? this.#pongUntil : Number.POSITIVE_INFINITY
    let oldestMs = Number.POSITIVE_INFINITY
    for (const [slot, pending] of this.#slots.entries()) {
      if (pending !== undefined) oldestMs = Math.min(oldestMs, this.#sentAt[slot] ?? oldestMs)
    }
    return Math.min(pongMs, oldestMs + SILENCE_MAX_MS)
  }
}

function decodeItems(data: Buffer): readonly unknown[] | undefined {
  try {
    const items: unknown = packr.decode(data)
    return Array.isArray(items) ? items : undefined
  } catch {
    return undefined
  }
}

/** Statuses of a node, or of a proxy, that may serve soon; 421: of a node of another cluster. */
const PASSING_STATUS = new Set([421, 429, 502, 503, 504])

const UNAUTHENTICATED = 401

/** In place of an operation whose caller has given up. */
const ABANDONED = 'abandoned'
/** In place of a watch that was cancelled, until the node has ended it. */
const ABANDONED_WATCH = 'abandoned watch'
/** In place of the time at which a watch was sent that has begun: it has no timeout. */
const WATCHING = Number.POSITIVE_INFINITY
