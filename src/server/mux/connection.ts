// One multiplexed connection. It takes operations from messages as long as their client keeps within its credit, and
// sends the answers that became ready in one turn of the event loop together. While its client does not take its
// answers, nothing more is read from it.

import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Bodies } from '../http/body.ts'
import type { Owner } from '../http/connections.ts'
import type { HttpLimits } from '../http/limits.ts'
import { ApiError } from '../http/problem.ts'
import { afterDrain, type OutboundBudget, PIECE_BYTES } from '../http/response-budget.ts'
import type { WatchBuffers } from '../http/watch-limits.ts'
import { NumberMap } from '../node/number-map.ts'
import { bytesIn, changesBytes } from './fields.ts'
import { asItem, type Item, idOf, packMessage, readMessage, type SharedItem } from './messages.ts'
import { Operation } from './operation.ts'
import {
  CANCEL,
  CHANGES,
  DELETE_RANGE,
  Fault,
  GOING_AWAY,
  INTERNAL_ERROR,
  KEEP_ALIVE,
  NAMES,
  NOTICE,
  type Op,
  POLICY_VIOLATION,
  PROTOCOL_ERROR,
  PUT,
  RANGE,
  TRY_AGAIN_LATER,
  TXN,
  UNSUPPORTED_DATA,
  WATCH,
} from './protocol.ts'
import { txnBytes } from './txn.ts'
import { MuxWatch, SMALL_ITEM_BYTES, type WatchConnection } from './watch-sink.ts'

/** What the id of a lease counts for credit. */
const LEASE_ID_BYTES = 20
/** What a range, or a watch that begins, counts for credit. */
const RANGE_CREDIT_BYTES = 1024
/** Of a ping or pong of a client: two bytes and the mask. */
const CONTROL_HEAD_BYTES = 6
/** Answers of about this much memory go into one message. */
const MESSAGE_BYTES = 1024 * 1024

export interface ConnectionOptions {
  readonly limits: HttpLimits
  readonly backlog: OutboundBudget
  readonly bodies: Bodies
  readonly watchBuffers: WatchBuffers
  readonly run: (operation: Operation, item: Item) => void
  /** An operation has its answer. */
  readonly ended: (operation: Operation) => void
  /** `flush` is to be called at the end of this turn of the event loop. */
  readonly flushSoon: (connection: Connection) => void
  /** An error that is not the client's fault. */
  readonly failed: (error: unknown) => void
}

/** An item of a watch that is not sent yet. */
class WatchItem {
  readonly item: Item | SharedItem
  readonly bytes: number

  constructor(item: Item | SharedItem, bytes: number) {
    this.item = item
    this.bytes = bytes
  }
}

export class Connection implements Owner, WatchConnection {
  quietSince = performance.now()
  /** Connections are told their progress at different times, so that nothing waits for all of them. */
  readonly phase = Math.random()
  readonly #ws: WebSocket
  readonly #socket: Socket
  readonly #options: ConnectionOptions
  /** Operations whose answers are not sent yet, by id. */
  #open: NumberMap<Operation> | undefined
  /** Bytes of their keys and values. */
  #openBytes = 0
  /** How many of them have no answer yet. */
  #underWay = 0
  /** Watches that have begun, by id. */
  #watches: Map<number, MuxWatch> | undefined
  /** Those that wait until the client has taken more. */
  #waitingWatches: MuxWatch[] = []
  /** Bytes of items of watches that are ready, or that the kernel has not taken yet. */
  #watchBytes = 0
  /** Those in the last message. */
  #watchBytesSent = 0
  /** Notices, answered operations and items of watches, not sent yet, in the order in which they became ready. */
  #ready: (Operation | WatchItem | Item)[] = []
  /** Memory of their answers. It is in the backlog. */
  #readyBytes = 0
  #flushesSoon = false
  /** Bytes of the last message that the kernel has not taken; 0: it has taken all of it. */
  #untakenBytes = 0
  /** Bytes of a message that has not arrived completely; a part of one chunk may be missing in it. */
  #arrivingBytes = 0
  /** A message was complete in the chunk that is being read. */
  #hasArrived = false
  /** Bytes of pings and pongs that were complete in this chunk. They may come between the pieces of a message. */
  #controlBytes = 0
  /** How long nothing has come from the client, in looks, so that only time counts in which it could be noticed. */
  #silentMs = 0
  #heardBytes = 0
  /** Nothing more is read or answered. */
  #isOver = false

  constructor(ws: WebSocket, socket: Socket, options: ConnectionOptions) {
    this.#ws = ws
    this.#socket = socket
    this.#options = options
    ws.on('message', (data: Buffer, isBinary: boolean) => this.#receive(data, isBinary))
    const onControl = (data: Buffer): void => {
      this.#controlBytes += CONTROL_HEAD_BYTES + data.length
    }
    ws.on('ping', onControl).on('pong', onControl)
    // After `ws`, which has read what is complete in this chunk.
    socket.on('data', (chunk: Buffer) => this.#countArriving(chunk.length))
    // The connection is closing, and `close` follows.
    ws.on('error', () => this.#end())
    socket.on('close', () => this.#end())
  }

  get isOver(): boolean {
    return this.#isOver
  }

  waitsFor(): 'nothing' | 'client' | 'node' {
    if (this.#isOver || this.#untakenBytes > 0) return 'client'
    return this.#underWay > 0 || (this.#watches?.size ?? 0) > 0
      ? 'node'
      : this.#ready.length > 0
        ? 'client'
        : 'nothing'
  }

  /** Sends an item that answers no operation. */
  notice(...fields: readonly unknown[]): void {
    if (this.#isOver) return
    this.#ready.push([NOTICE, ...fields])
    this.#flushSoon()
  }

  /**
   * The node stops: the connection ends unless something is under way. What arrives after that was not taken, and what
   * was taken is answered.
   */
  leave(): void {
    this.flush()
    if (this.waitsFor() === 'nothing') this.#close(GOING_AWAY, 'the node stops')
  }

  /** Called at intervals of `sinceMs`: a client that is gone is found by a ping that it does not answer. */
  look(sinceMs: number): void {
    const { muxPingMs } = this.#options.limits
    const { bytesRead } = this.#socket
    // While the client does not take its answers, nothing is read, and another limit applies.
    const isHeard = bytesRead !== this.#heardBytes || this.#ws.isPaused
    const before = this.#silentMs
    this.#heardBytes = bytesRead
    this.#silentMs = isHeard ? 0 : before + sinceMs
    if (this.#silentMs >= 2 * muxPingMs) this.#socket.destroy()
    else if (before < muxPingMs && this.#silentMs >= muxPingMs && !this.#isOver) this.#ws.ping()
  }

  /** Throws `Refused` if the client has so many answers to take that there is no room for this one. */
  checkRoom(bytes: number): void {
    const { backlog, limits } = this.#options
    const waiting = this.#readyBytes + this.#untakenBytes
    if (waiting > 0 && waiting + bytes > limits.muxAnswersBytesMax)
      throw new ApiError('overloaded', 'too many answers wait on this connection, which does not take them')
    if (backlog.bytes > 0) backlog.check(bytes)
  }

  answered(operation: Operation): void {
    const { backlog, ended } = this.#options
    this.#underWay--
    ended(operation)
    if (this.#isOver) return
    this.#readyBytes += operation.answerBytes
    backlog.add(operation.answerBytes)
    this.#ready.push(operation)
    // Large answers do not wait for others.
    if (this.#readyBytes >= MESSAGE_BYTES && this.#untakenBytes === 0) this.flush()
    else this.#flushSoon()
  }

  #flushSoon(): void {
    if (this.#flushesSoon || this.#untakenBytes > 0) return
    this.#flushesSoon = true
    this.#options.flushSoon(this)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Watches

  openWatch(id: number): MuxWatch {
    const { muxWatchesMax } = this.#options.limits
    if ((this.#watches?.size ?? 0) < muxWatchesMax) return new MuxWatch(id, this)
    throw new ApiError('overloaded', `this connection has ${muxWatchesMax} watches already`)
  }

  began(id: number, watch: MuxWatch): void {
    this.#watches ??= new Map()
    this.#watches.set(id, watch)
  }

  watchEnded(id: number): void {
    this.#watches?.delete(id)
  }

  /** Answers that wait do not count: they are limited on their own, and may never come to an end. */
  get isFull(): boolean {
    // One by one its watches would be told their progress too late.
    const progressBytes = SMALL_ITEM_BYTES * (this.#watches?.size ?? 0)
    return this.#options.watchBuffers.isFull(this.#watchBytes, progressBytes)
  }

  waits(watch: MuxWatch): void {
    this.#waitingWatches.push(watch)
  }

  tell(item: Item | SharedItem, bytes: number): void {
    if (this.#isOver) return
    const { backlog, watchBuffers } = this.#options
    this.#ready.push(new WatchItem(item, bytes))
    this.#readyBytes += bytes
    this.#watchBytes += bytes
    watchBuffers.bytes += bytes
    backlog.add(bytes)
    this.#flushSoon()
  }

  /** The kernel has taken the last message. */
  #taken(): void {
    const { watchBuffers } = this.#options
    watchBuffers.bytes -= this.#watchBytesSent
    this.#watchBytes -= this.#watchBytesSent
    this.#watchBytesSent = 0
  }

  /** Watches go on when the client has taken half of what may wait of them. */
  #resumeWatches(): void {
    const { limits } = this.#options
    if (this.#waitingWatches.length === 0) return
    if (this.#watchBytes > limits.watchBufferBytesMax / 2) return
    const waiting = this.#waitingWatches
    this.#waitingWatches = []
    for (const watch of waiting) watch.drained()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // From the client

  #receive(data: Buffer, isBinary: boolean): void {
    this.#hasArrived = true
    if (this.#isOver) return
    try {
      if (!isBinary) throw new Fault(UNSUPPORTED_DATA, 'a message is binary')
      const arrivedAt = performance.now()
      for (const item of readMessage(data)) this.#take(asItem(item), arrivedAt)
    } catch (error) {
      if (!(error instanceof Fault)) this.#options.failed(error)
      const { code, message } = error instanceof Fault ? error : INTERNAL
      this.#close(code, message)
    }
    this.#pace()
  }

  #take(item: Item, arrivedAt: number): void {
    const id = idOf(item)
    const op = item[1]
    if (op === CANCEL) {
      this.#cancel(id)
      return
    }
    if (!isOp(op)) throw new Fault(PROTOCOL_ERROR, `operation ${id} is of an unknown kind`)
    const { limits } = this.#options
    const bytes = creditOf(op, item)
    this.#open ??= new NumberMap()
    if (this.#open.get(id) !== undefined || this.#watches?.has(id))
      throw new Fault(POLICY_VIOLATION, `the id ${id} is in use`)
    if (this.#open.size >= limits.muxOperationsMax || this.#openBytes + bytes > limits.muxBytesMax)
      throw new Fault(POLICY_VIOLATION, 'more operations, or bytes of them, than the credit allows')
    const operation = new Operation(this, id, op, bytes, arrivedAt)
    this.#open.set(id, operation)
    this.#openBytes += bytes
    this.#underWay++
    this.#options.run(operation, item)
  }

  /** The outcome of a change is answered as ever. */
  #cancel(id: number): void {
    this.#watches?.get(id)?.cancel()
    const operation = this.#open?.get(id)
    if (operation === undefined || operation.isChange || operation.status !== undefined) return
    operation.refuse(new ApiError('cancelled', 'the client has cancelled it'), 'no')
  }

  /** Messages that are not complete use memory, on all connections together. */
  #countArriving(bytes: number): void {
    const { bodies } = this.#options
    const before = this.#arrivingBytes
    const isWhole = this.#hasArrived || this.#isOver
    this.#arrivingBytes = isWhole ? 0 : Math.max(0, before + bytes - this.#controlBytes)
    this.#hasArrived = false
    this.#controlBytes = 0
    bodies.bytes += this.#arrivingBytes - before
    if (bodies.bytes > bodies.limits.bodiesBytesMax && this.#arrivingBytes > 0)
      this.#close(TRY_AGAIN_LATER, 'too many messages are being received')
  }

  /** A client that does not take its answers is not read. */
  #pace(): void {
    const ahead = this.#readyBytes + this.#untakenBytes > this.#options.limits.muxAheadBytesMax
    if (ahead === this.#ws.isPaused || this.#isOver) return
    if (ahead) this.#ws.pause()
    else this.#ws.resume()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // To the client

  /** Sends what is ready, until the client does not take it. */
  flush(): void {
    this.#flushesSoon = false
    if (this.#untakenBytes === 0) this.#taken()
    while (this.#ready.length > 0 && this.#untakenBytes === 0 && !this.#isOver) {
      this.#sendMessage()
      if (this.#untakenBytes === 0) this.#taken()
    }
    if (this.#ready.length === 0 && this.#untakenBytes === 0) this.quietSince = performance.now()
    this.#resumeWatches()
    this.#pace()
  }

  #sendMessage(): void {
    const items: (Item | SharedItem)[] = []
    let bytes = 0
    let count = 0
    for (const ready of this.#ready) {
      if (ready instanceof Operation) {
        if (bytes > 0 && bytes + ready.answerBytes > MESSAGE_BYTES) break
        bytes += ready.answerBytes
        items.push(ready.answer)
        // From here on the client may use the id and the credit again.
        this.#open?.delete(ready.id)
        this.#openBytes -= ready.bytes
      } else if (ready instanceof WatchItem) {
        if (bytes > 0 && bytes + ready.bytes > MESSAGE_BYTES) break
        bytes += ready.bytes
        this.#watchBytesSent += ready.bytes
        items.push(ready.item)
      } else items.push(ready)
      count++
    }
    if (count === this.#ready.length) this.#ready = []
    else this.#ready.splice(0, count)
    this.#readyBytes -= bytes
    this.#options.backlog.remove(bytes)
    this.#send(packMessage(items), 0)
  }

  /**
   * A large message leaves in fragments, each after the kernel has taken the one before, so that a slow client is seen
   * to take something.
   */
  #send(message: Uint8Array, from: number): void {
    const { backlog } = this.#options
    let at = from
    while (at < message.length) {
      if (this.#isOver) return
      const end = Math.min(message.length, at + PIECE_BYTES)
      const fin = end === message.length
      this.#ws.send(at === 0 && fin ? message : message.subarray(at, end), { binary: true, fin })
      at = end
      if (this.#socket.writableLength === 0) continue
      // It stays in memory as a whole.
      const left = message.length - end
      backlog.add(left)
      this.#untakenBytes = left + this.#socket.writableLength
      afterDrain(this.#socket, backlog, () => {
        backlog.remove(left)
        this.#untakenBytes = 0
        // It is also called when the connection is gone.
        if (this.#socket.destroyed) this.#end()
        this.#send(message, end)
        if (this.#untakenBytes === 0) this.flush()
      })
      return
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // The end

  #close(code: number, reason: string): void {
    this.#end()
    this.#ws.close(code, reason.slice(0, REASON_CHARS_MAX))
  }

  /** What is under way goes on, but nobody is told. */
  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    const { backlog, bodies, watchBuffers } = this.#options
    backlog.remove(this.#readyBytes)
    for (const watch of this.#watches?.values() ?? []) watch.forget()
    this.#watches = undefined
    this.#waitingWatches = []
    watchBuffers.bytes -= this.#watchBytes
    this.#watchBytes = 0
    this.#watchBytesSent = 0
    bodies.bytes -= this.#arrivingBytes
    this.#arrivingBytes = 0
    this.#readyBytes = 0
    this.#ready = []
    this.#open = undefined
    if (this.#ws.isPaused) this.#ws.resume()
  }
}

function creditOf(op: Op, item: Item): number {
  if (op === RANGE || op === WATCH) return RANGE_CREDIT_BYTES
  if (op === CHANGES) return changesBytes(item[3])
  if (op === TXN || op === DELETE_RANGE) return txnBytes(item[3])
  if (op === KEEP_ALIVE) return Array.isArray(item[3]) ? LEASE_ID_BYTES * item[3].length : 0
  return op === PUT ? bytesIn(item[3]) + bytesIn(item[4]) : bytesIn(item[3])
}

const INTERNAL = new Fault(INTERNAL_ERROR, 'the node failed to read this message')
/** A close frame has room for 123 bytes. All reasons are ASCII. */
const REASON_CHARS_MAX = 123

const isOp = (op: unknown): op is Op => typeof op === 'number' && Object.hasOwn(NAMES, op)
