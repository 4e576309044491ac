// Receives snapshots, one at a time. Chunks are written one after another. Each written chunk is acknowledged, and
// then the sender sends the next one. An interrupted transfer keeps its chunks: the sender calls again and receives
// the number of the next one. A newer transfer replaces an older one once the older one's current write has ended.

import type { ReplicaId } from '../../raft/types.ts'
import type { SnapshotSink } from '../../storage/types.ts'
import { frameName, refuseWire } from './accept.ts'
import type { Context } from './context.ts'
import type { Frame, SnapshotOffer, Wire } from './wires.ts'

export class SnapshotReceiver {
  readonly #context: Context
  readonly #callers = new Set<Wire>()
  #current: IncomingSnapshot | undefined
  #closed = false

  constructor(context: Context) {
    this.#context = context
  }

  /** Accepts a connection for a snapshot. Its first frame is the offer. */
  accept(wire: Wire, from: ReplicaId): void {
    if (this.#callers.size >= this.#context.limits.unidentifiedMax) {
      wire.close('too many connections for snapshots wait already')
      return
    }
    this.#callers.add(wire)
    wire.established(from, this.#context.self, {
      frame: (frame) => {
        this.#callers.delete(wire)
        if (frame.type === 'snapshot-offer') this.#offered(wire, from, frame)
        else wire.close(`a frame of type ${frameName(frame)} instead of an offer`)
      },
      closed: (why) => {
        this.#callers.delete(wire)
        ended(this.#context, from, why)
      },
    })
  }

  close(): void {
    this.#closed = true
    for (const wire of [...this.#callers]) wire.close('closed')
    this.#current?.close('closed')
  }

  /** The number of transfers that are being received, or are about to be offered. */
  get inFlight(): number {
    return this.#callers.size + Number(this.#current?.open === true)
  }

  #offered(wire: Wire, from: ReplicaId, offer: SnapshotOffer): void {
    const older = this.#current
    if (older?.open && older.offer.term > offer.term) {
      refuseWire(this.#context, wire, `a snapshot of term ${older.offer.term} is being received`)
      return
    }
    const incoming = new IncomingSnapshot(this.#context, wire, from, offer, () => {
      const { term, snapshotId, meta } = offer
      if (!this.#closed) this.#context.events.snapshotReceived(from, term, snapshotId, meta)
    })
    this.#current = incoming
    older?.close('replaced by a newer transfer')
    if (older === undefined) incoming.begin()
    else older.whenIdle(() => incoming.begin())
  }
}

class IncomingSnapshot {
  readonly offer: SnapshotOffer
  readonly #context: Context
  readonly #wire: Wire
  readonly #from: ReplicaId
  /** The snapshot is complete, even if its sender is no longer connected. */
  readonly #received: () => void
  readonly #chunks: { readonly number: number; readonly bytes: Uint8Array }[] = []
  #sink: SnapshotSink | undefined
  #ended = false
  /** Whether the transfer is queued, or the sink opens, writes or finishes. */
  #busy = true
  #over = false
  #idle: () => void = () => {}

  constructor(context: Context, wire: Wire, from: ReplicaId, offer: SnapshotOffer, received: () => void) {
    this.#context = context
    this.#wire = wire
    this.#from = from
    this.offer = offer
    this.#received = received
    wire.established(from, context.self, {
      frame: (frame) => this.#frame(frame),
      closed: (why) => {
        this.#over = true
        ended(context, from, why)
      },
    })
  }

  begin(): void {
    if (this.#settled()) return
    const { term, snapshotId, meta } = this.offer
    this.#busy = true
    this.#context.events.snapshotOffered(this.#from, term, snapshotId, meta, (refusal, sink) => {
      this.#sink = sink
      if (this.#settled()) return
      if (sink === undefined) this.#fail(refusal ?? 'there is no room for it')
      else this.#wire.send({ type: 'snapshot-accept', nextChunk: sink.nextChunk })
    })
  }

  get open(): boolean {
    return !this.#over
  }

  close(why: string): void {
    this.#wire.close(why)
  }

  /**
   * Calls back once this closed transfer has no operation in flight. Only the transfer that replaces it calls this,
   * and only once.
   */
  whenIdle(then: () => void): void {
    if (this.#busy) this.#idle = then
    else then()
  }

  #frame(frame: Frame): void {
    const begun = this.#sink !== undefined && !this.#ended
    const full = this.#chunks.length >= this.#context.limits.snapshotChunksInflightMax
    if (begun && frame.type === 'snapshot-end') this.#ended = true
    else if (begun && frame.type === 'snapshot-chunk' && !full) this.#chunks.push(frame)
    else {
      this.close(`a frame of type ${frameName(frame)} out of turn in a snapshot transfer`)
      return
    }
    this.#work()
  }

  #work(): void {
    const sink = this.#sink
    if (this.#busy || this.#over || sink === undefined) return
    const chunk = this.#chunks[0]
    if (chunk !== undefined) {
      this.#busy = true
      sink.write(chunk.number, chunk.bytes, (error) => {
        if (this.#settled()) return
        if (error !== undefined) {
          this.#giveUp(sink, error)
          return
        }
        this.#chunks.shift()
        this.#wire.send({ type: 'snapshot-written', number: chunk.number })
        this.#work()
      })
    } else if (this.#ended) {
      this.#busy = true
      sink.finish((error) => {
        if (error === undefined) this.#received()
        if (this.#settled()) return
        if (error === undefined) this.#wire.send({ type: 'snapshot-staged' })
        else this.#giveUp(sink, error)
      })
    }
  }

  /**
   * Called when the current operation has ended. Returns true if the transfer is closed; its successor is then
   * notified.
   */
  #settled(): boolean {
    this.#busy = false
    this.#idle()
    return this.#over
  }

  #giveUp(sink: SnapshotSink, error: Error): void {
    sink.abort()
    this.#fail(error.message)
  }

  #fail(why: string): void {
    refuseWire(this.#context, this.#wire, why)
  }
}

/** The sender logs a transfer as a whole. Here each of its connections is logged. */
const ended = ({ logger }: Context, from: ReplicaId, why: string): void =>
  logger.debug({ from, why }, 'a connection for a snapshot ended')
