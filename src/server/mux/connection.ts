// One multiplexed connection. It takes operations from messages as long as their client keeps within its credit, and
// sends the answers that became ready in one turn of the event loop together. While its client does not take its
// answers, nothing more is read from it.

import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import { ApiError } from '../../operations/forms/index.ts'
import { findByOpcode } from '../../operations/index.ts'
import type { Item } from '../../operations/mux/form.ts'
import { OPCODES } from '../../operations/mux/opcodes.ts'
import type { Api } from '../api/api.ts'
import { afterDrain, PIECE_BYTES } from '../api/budget.ts'
import type { Principal } from '../api/call.ts'
import { WatchBuffer } from '../api/watch.ts'
import { type ClientConnection, type ConnectionOwner, endGently } from '../clients/client-connection.ts'
import { checkServed } from '../clients/gate.ts'
import { NumberMap } from '../node/write/number-map.ts'
import type { MuxLimits } from './limits.ts'
import { asItem, decodeRequestId, packMessage, readMessage, type SharedItem } from './messages.ts'
import { MuxCall } from './mux-call.ts'
import {
  GOING_AWAY,
  INTERNAL_ERROR,
  POLICY_VIOLATION,
  PROTOCOL_ERROR,
  ProtocolFault,
  TRY_AGAIN_LATER,
  UNSUPPORTED_DATA,
} from './protocol-fault.ts'
import { MuxWatch, SMALL_ITEM_BYTES, type WatchConnection } from './watch-sink.ts'

/** Head of a ping or pong of a client: two bytes and the mask. */
const CONTROL_HEAD_BYTES = 6
/** Answers of about this much memory go into one message. */
const MESSAGE_BYTES = 1024 * 1024

export interface ConnectionOptions {
  readonly api: Api
  readonly limits: MuxLimits
  readonly run: (call: MuxCall, item: Item) => void
  /** Called when a call has its answer. */
  readonly ended: (call: MuxCall) => void
  /** Calls `flush` in the next phase of the event loop. */
  readonly flushSoon: (connection: MuxConnection) => void
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

export class MuxConnection implements WatchConnection, ConnectionOwner {
  quietSince = performance.now()
  readonly principal: Principal | undefined
  readonly pings
  /** Connections receive progress at different times, so that their messages are spread. */
  readonly phase = Math.random()
  readonly #client: ClientConnection
  readonly #ws: WebSocket
  readonly #socket: Socket
  readonly #options: ConnectionOptions
  /** The last item, if it is the trace context of the next one. */
  #context: Item | undefined
  /** Operations whose answers are not sent yet, by id. */
  #open: NumberMap<MuxCall> | undefined
  /** Bytes of their keys and values. */
  #openBytes = 0
  /** Number of them without an answer. */
  #pending = 0
  /** Watches that have begun, by id. */
  #watches: Map<number, MuxWatch> | undefined
  /** Items of watches that wait for the client. */
  readonly #watchBuffer: WatchBuffer
  /** Bytes of these in the last message. */
  #watchBytesSent = 0
  /** Notices, answered operations and items of watches, not sent yet, in the order in which they became ready. */
  #ready: (MuxCall | WatchItem | Item)[] = []
  /** Memory of their answers, which the outbound budget counts. */
  #readyBytes = 0
  #flushesSoon = false
  /** Bytes of the last message that the kernel has not taken; 0: it has taken all of it. */
  #untakenBytes = 0
  /** Bytes of a message that has not arrived completely; a part of one chunk may be missing in it. */
  #arrivingBytes = 0
  /** A message was complete in the chunk that is being read. */
  #isMessageComplete = false
  /** Bytes of pings and pongs that were complete in this chunk. They may come between the pieces of a message. */
  #controlBytes = 0
  /** Nothing more is read or answered. */
  #isOver = false

  /** `principal`: the user who has opened it. */
  constructor(
    ws: WebSocket,
    client: ClientConnection,
    principal: Principal | undefined,
    options: ConnectionOptions,
  ) {
    const { socket } = client
    const isWithinMessage = (): boolean => this.#arrivingBytes > 0
    this.principal = principal
    this.pings = {
      pingMs: options.limits.muxPingMs,
      get isWithinMessage() {
        return isWithinMessage()
      },
      ping: () => {
        if (!this.#isOver) ws.ping()
      },
    }
    this.#client = client
    this.#ws = ws
    this.#socket = socket
    this.#options = options
    this.#watchBuffer = new WatchBuffer(options.api.watchBuffers)
    ws.on('message', (data: Buffer, isBinary: boolean) => this.#receive(data, isBinary))
    const onControl = (data: Buffer): void => {
      this.#controlBytes += CONTROL_HEAD_BYTES + data.length
    }
    ws.on('ping', onControl).on('pong', onControl)
    // After `ws`, which has read what is complete in this chunk.
    socket.on('data', (chunk: Buffer) => this.#countArriving(chunk.length))
    // `ws` has sent a close frame.
    ws.on('error', () => this.#endGently())
    socket.on('close', () => this.#end())
  }

  get address(): string {
    return this.#client.address
  }

  /** Throws `ApiError` if the client is not served while rights are not checked. */
  checkServed(): void {
    checkServed(this.#client)
  }

  get isOver(): boolean {
    return this.#isOver
  }

  waitsFor(): 'nothing' | 'client' | 'node' {
    if (this.#isOver || this.#untakenBytes > 0) return 'client'
    return this.#pending > 0 || (this.#watches?.size ?? 0) > 0
      ? 'node'
      : this.#ready.length > 0
        ? 'client'
        : 'nothing'
  }

  /** Sends an item that answers no operation. */
  notice(item: Item): void {
    if (this.#isOver) return
    this.#ready.push(item)
    this.#flushSoon()
  }

  /**
   * The node stops: the connection ends unless an operation or a watch is open. Items that arrive later are not
   * accepted; accepted ones are answered.
   */
  leave(): void {
    this.flush()
    if (this.waitsFor() === 'nothing') this.#close(GOING_AWAY, 'the node stops')
  }

  /** Throws `ApiError` if so many answers wait for the client that there is no room for this one. */
  checkRoom(bytes: number): void {
    const { limits } = this.#options
    const { outbound } = this.#options.api
    const waiting = this.#readyBytes + this.#untakenBytes
    if (waiting > 0 && waiting + bytes > limits.muxAnswersBytesMax)
      throw new ApiError('overloaded', 'too many answers wait on this connection, which does not take them')
    if (outbound.bytes > 0) outbound.check(bytes)
  }

  hold(bytes: number): void {
    this.#client.hold(bytes)
  }

  answered(call: MuxCall): void {
    const { api, ended } = this.#options
    this.#pending--
    call.giveBack?.()
    ended(call)
    if (this.#isOver) return
    this.#readyBytes += call.answerBytes
    api.outbound.add(call.answerBytes)
    this.#ready.push(call)
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

  /** `time`: its messages have the times of changes. */
  openWatch(id: number, time: boolean): MuxWatch {
    const { muxWatchesMax } = this.#options.limits
    if ((this.#watches?.size ?? 0) < muxWatchesMax) return new MuxWatch(id, this, time)
    throw new ApiError('overloaded', `this connection has ${muxWatchesMax} watches already`)
  }

  began(id: number, watch: MuxWatch): void {
    this.#watches ??= new Map()
    this.#watches.set(id, watch)
  }

  watchEnded(id: number): void {
    this.#client.release(this.#watches?.get(id)?.heldBytes ?? 0)
    this.#watches?.delete(id)
  }

  /** Waiting answers do not count: they have a limit of their own, and may never end. */
  get isFull(): boolean {
    // Its watches may always send progress.
    return this.#watchBuffer.isFull(SMALL_ITEM_BYTES * (this.#watches?.size ?? 0))
  }

  get takesProgressOnly(): boolean {
    return this.#watchBuffer.takesProgressOnly
  }

  waits(watch: MuxWatch): void {
    this.#watchBuffer.wait(watch)
  }

  send(item: Item | SharedItem, bytes: number): void {
    if (this.#isOver) return
    this.#ready.push(new WatchItem(item, bytes))
    this.#readyBytes += bytes
    this.#watchBuffer.add(bytes)
    this.#options.api.outbound.add(bytes)
    this.#flushSoon()
  }

  /** The kernel has taken the last message. */
  #onDrain(): void {
    const sent = this.#watchBytesSent
    this.#watchBytesSent = 0
    this.#watchBuffer.remove(sent)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // From the client

  #receive(data: Buffer, isBinary: boolean): void {
    this.#isMessageComplete = true
    if (this.#isOver) return
    try {
      if (!isBinary) throw new ProtocolFault(UNSUPPORTED_DATA, 'a message is binary')
      const arrivedAt = performance.now()
      for (const item of readMessage(data)) this.#accept(asItem(item), arrivedAt)
    } catch (error) {
      if (!(error instanceof ProtocolFault)) this.#options.api.toApiError(error)
      const { code, message } = error instanceof ProtocolFault ? error : INTERNAL
      this.#close(code, message)
    }
    this.#pauseOrResume()
  }

  #accept(item: Item, arrivedAt: number): void {
    const id = decodeRequestId(item)
    const op = item[1]
    const context = this.#context
    this.#context = op === OPCODES.trace ? item : undefined
    if (op === OPCODES.trace) return
    if (op === OPCODES.cancel) {
      this.#cancel(id)
      return
    }
    const definition = findByOpcode(op)
    if (definition === undefined)
      throw new ProtocolFault(PROTOCOL_ERROR, `operation ${id} is of an unknown kind`)
    const { api, limits } = this.#options
    const bytes = definition.mux.itemCredit(item)
    this.#open ??= new NumberMap()
    if (this.#open.get(id) !== undefined || this.#watches?.has(id))
      throw new ProtocolFault(POLICY_VIOLATION, `the id ${id} is in use`)
    if (this.#open.size >= limits.muxOperationsMax || this.#openBytes + bytes > limits.muxBytesMax)
      throw new ProtocolFault(POLICY_VIOLATION, 'more operations, or bytes of them, than the credit allows')
    const call = new MuxCall(this, id, definition, bytes, arrivedAt)
    this.#open.set(id, call)
    this.#openBytes += bytes
    this.#pending++
    call.startSpan(
      api.node.name,
      context !== undefined && decodeRequestId(context) === id ? context : undefined,
    )
    this.#options.run(call, item)
  }

  /** Cancels a read or a watch. The outcome of a change is still answered. */
  #cancel(id: number): void {
    this.#watches?.get(id)?.cancel()
    const call = this.#open?.get(id)
    if (call === undefined || call.isChange || call.status !== undefined) return
    call.fail(new ApiError('cancelled', 'the client has cancelled it'))
    call.withdraw?.()
  }

  /** Messages that are not complete use memory. */
  #countArriving(bytes: number): void {
    if (this.#isOver) return
    const before = this.#arrivingBytes
    const arriving = this.#isMessageComplete ? 0 : Math.max(0, before + bytes - this.#controlBytes)
    this.#isMessageComplete = false
    this.#controlBytes = 0
    // Rights are checked, or its user was deleted, since it was opened: its operations are refused, and need no room.
    if (arriving > PIECE_BYTES && this.#options.api.node.auth.enabled && !this.#isOfUser)
      this.#close(POLICY_VIOLATION, 'the connection is of no user: open one with credentials')
    else if (this.#client.tryHold(arriving - before)) this.#arrivingBytes = arriving
    else this.#close(TRY_AGAIN_LATER, 'too many messages are being received')
  }

  /** Whether its user still exists. */
  get #isOfUser(): boolean {
    const { state } = this.#options.api.node.auth
    return this.principal !== undefined && state.findRights(this.principal.user) !== undefined
  }

  /** Stops to read from a client that does not take its answers, and reads on when it has taken enough. */
  #pauseOrResume(): void {
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
    if (this.#untakenBytes === 0) this.#onDrain()
    while (this.#ready.length > 0 && this.#untakenBytes === 0 && !this.#isOver) {
      this.#sendMessage()
      if (this.#untakenBytes === 0) this.#onDrain()
    }
    if (this.#ready.length === 0 && this.#untakenBytes === 0) this.quietSince = performance.now()
    this.#watchBuffer.resume()
    this.#pauseOrResume()
  }

  #sendMessage(): void {
    const items: (Item | SharedItem)[] = []
    let bytes = 0
    let count = 0
    for (const ready of this.#ready) {
      if (ready instanceof MuxCall) {
        if (bytes > 0 && bytes + ready.answerBytes > MESSAGE_BYTES) break
        bytes += ready.answerBytes
        items.push(ready.answer)
        // From here on the client may use the id and the credit again.
        this.#open?.delete(ready.id)
        this.#openBytes -= ready.bytes
        this.#client.release(ready.heldBytes)
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
    this.#options.api.outbound.remove(bytes)
    this.#send(packMessage(items), 0)
  }

  /**
   * A large message leaves in fragments, each after the kernel has taken the one before, so that a slow client is seen
   * to take something.
   */
  #send(message: Uint8Array, from: number): void {
    const { outbound } = this.#options.api
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
      outbound.add(left)
      this.#untakenBytes = left + this.#socket.writableLength
      afterDrain(this.#socket, outbound, () => {
        outbound.remove(left)
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
    this.#ws.close(code, reason.slice(0, REASON_CHARS_MAX))
    this.#endGently()
  }

  /** `ws` would wait half a minute for the close frame of the client, and keep what arrives before it. */
  #endGently(): void {
    this.#end()
    this.#socket.removeAllListeners('data')
    endGently(this.#socket)
  }

  /**
   * Stops reading and answering. Changes that were proposed are still made, and count until then. A message that has
   * not arrived completely stays in memory, and counts, until the connection closes.
   */
  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#options.api.outbound.remove(this.#readyBytes)
    let heldBytes = 0
    for (const watch of this.#watches?.values() ?? []) {
      heldBytes += watch.heldBytes
      watch.forget()
    }
    this.#watches = undefined
    this.#watchBuffer.close()
    this.#watchBytesSent = 0
    this.#readyBytes = 0
    this.#ready = []
    const open = this.#open
    this.#open = undefined
    for (const call of open?.values() ?? []) {
      heldBytes += call.heldBytes
      call.withdraw?.()
      if (call.status === undefined) call.giveBack = this.#client.outlive(call.heldBytes)
    }
    this.#client.release(heldBytes)
    if (this.#ws.isPaused) this.#ws.resume()
  }
}

const INTERNAL = new ProtocolFault(INTERNAL_ERROR, 'the node failed to read this message')
/** A close frame has room for 123 bytes. All reasons are ASCII. */
const REASON_CHARS_MAX = 123
