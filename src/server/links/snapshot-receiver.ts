// Takes in snapshots, one at a time. Chunks are written one after another; what is written is acknowledged, and that is
// what lets the sender go on. A transfer that breaks off is left as it lies: the sender calls again and is told which
// chunk is missing. A newer transfer takes the place of an older one once what that is writing has been written.

import type { ReplicaId } from '../../raft/types.ts'
import type { SnapshotSink } from '../../storage/types.ts'
import type { Context } from './context.ts'
import { nameOf, refuseWire } from './door.ts'
import type { Frame, SnapshotOffer, Wire } from './wires.ts'

export class SnapshotReceiver {
  readonly #context: Context
  readonly #callers = new Set<Wire>()
  #current: Incoming | undefined
  #closed = false

  constructor(context: Context) {
    this.#context = context
  }

  /** A connection for a snapshot was let in; its first frame is the offer. */
  accept(wire: Wire, from: ReplicaId): void {
    this.#callers.add(wire)
    wire.established(from, this.#context.self, {
      frame: (frame) => {
        this.#callers.delete(wire)
        if (frame.type === 'snapshot-offer') this.#offered(wire, from, frame)
        else wire.close(`a frame of type ${nameOf(frame)} instead of an offer`)
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

  /** Transfers that are being received, or about to be offered. */
  get underWay(): number {
    return this.#callers.size + Number(this.#current?.open === true)
  }

  #offered(wire: Wire, from: ReplicaId, offer: SnapshotOffer): void {
    const older = this.#current
    if (older?.open && older.offer.term > offer.term) {
      refuseWire(this.#context, wire, `a snapshot of term ${older.offer.term} is being received`)
      return
    }
    const incoming = new Incoming(this.#context, wire, from, offer, () => {
      const { term, snapshotId, meta } = offer
      if (!this.#closed) this.#context.events.snapshotReceived(from, term, snapshotId, meta)
    })
    this.#current = incoming
    older?.close('replaced by a newer transfer')
    if (older === undefined) incoming.begin()
    else older.whenIdle(() => incoming.begin())
  }
}

class Incoming {
  readonly offer: SnapshotOffer
  readonly #context: Context
  readonly #wire: Wire
  readonly #from: ReplicaId
  /** It is complete, whether or not its sender is there to hear that. */
  readonly #received: () => void
  readonly #chunks: { readonly number: number; readonly bytes: Uint8Array }[] = []
  #sink: SnapshotSink | undefined
  #ended = false
  /** Waiting for its turn; opening, writing or finishing the sink. */
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
   * Calls back once nothing of this transfer, which is closed, is under way any more. Asked once, by the one that takes
   * its place.
   */
  whenIdle(then: () => void): void {
    if (this.#busy) this.#idle = then
    else then()
  }

  #frame(frame: Frame): void {
    const begun = this.#sink !== undefined && !this.#ended
    const full = this.#chunks.length >= this.#context.limits.snapshotChunksInflightMax
    if (begun && frame.type === 'snapshot-end') this.#ended = true
    else if (begun && frame.type === 'snapshot-chunk' && !full) {
      this.#context.counters.snapshotChunksReceived++
      this.#chunks.push(frame)
    } else {
      this.close(`a frame of type ${nameOf(frame)} out of turn in a snapshot transfer`)
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

  /** What was under way has ended. True: the transfer has, too, and whoever waits for that is told. */
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

/** The sender tells its operator of a transfer as a whole; here each of its connections can be told apart. */
const ended = ({ logger }: Context, from: ReplicaId, why: string): void =>
  logger.debug({ from, why }, 'a connection for a snapshot ended')
