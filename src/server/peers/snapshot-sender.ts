// Streams one snapshot to one peer on a separate connection, so that no heartbeat waits behind a chunk. A few chunks
// are in flight at a time, and each is read in a separate turn of the event loop. When the connection breaks, another
// is dialled. The receiver then names the chunk to continue with, even after a restart
// (src/storage/staged-snapshot.ts). If no chunk is acknowledged for a while, the transfer is abandoned.

import type { ReplicaId, Term } from '../../raft/types.ts'
import type { SnapshotSource } from '../../storage/types.ts'
import type { Timer } from '../node/clock.ts'
import { frameName } from './accept.ts'
import type { Context } from './context.ts'
import { dial } from './dial.ts'
import type { Frame, Wire } from './wires.ts'

interface SnapshotTransfer {
  readonly to: ReplicaId
  /** The receiver's listen address; called before each dial. */
  readonly address: () => string
  /** The term in which this replica leads. */
  readonly term: Term
  readonly source: SnapshotSource
}

export class SnapshotSender {
  readonly #context: Context
  readonly #transfer: SnapshotTransfer
  readonly #done: (ok: boolean, why: string) => void
  /** The timer that abandons the transfer; restarted with every written chunk. */
  #stall: Timer | undefined
  #progressAt: number
  #abandonDial: (() => void) | undefined
  #retry: Timer | undefined
  #wire: Wire | undefined
  /** The connection on which the receiver has named the chunk to begin with. */
  #accepted: Wire | undefined
  #nextChunk = 0
  /** Chunks that are sent and not yet acknowledged as written. */
  inflight = 0
  #endSent = false
  #reading = false
  #over = false

  /** `done` is called once, never before the constructor returns. */
  constructor(context: Context, transfer: SnapshotTransfer, done: (ok: boolean, why: string) => void) {
    this.#context = context
    this.#transfer = transfer
    this.#done = done
    this.#progressAt = context.clock.now()
    this.#watch()
    this.#dial()
  }

  /** Ends it without calling `done`. */
  abort(why: string): void {
    this.#over = true
    this.#stall?.cancel()
    this.#retry?.cancel()
    this.#abandonDial?.()
    this.#wire?.close(why)
    if (!this.#reading) this.#transfer.source.close()
  }

  #watch(): void {
    const { clock, limits } = this.#context
    const leftMs = this.#progressAt + limits.snapshotStallMs - clock.now()
    if (leftMs <= 0) this.#end(false, 'no progress')
    else this.#stall = clock.after(leftMs, () => this.#watch())
  }

  #dial(): void {
    const { to, address } = this.#transfer
    this.#abandonDial = dial(this.#context, address(), to, 'snapshot', {
      reached: (wire) => this.#reached(wire),
      failed: () => this.#dialAgain(),
    })
  }

  #dialAgain(): void {
    this.#abandonDial = undefined
    if (this.#over) return
    this.#retry = this.#context.clock.after(this.#context.limits.reconnectMaxMs, () => this.#dial())
  }

  #reached(wire: Wire): void {
    this.#abandonDial = undefined
    this.#wire = wire
    const { term, source, to } = this.#transfer
    wire.established(to, this.#context.self, {
      frame: (frame) => this.#frame(wire, frame),
      closed: () => this.#broke(),
    })
    wire.send({ type: 'snapshot-offer', term, snapshotId: source.id, meta: source.meta })
  }

  #broke(): void {
    this.#wire = undefined
    this.#accepted = undefined
    // Chunks in flight on that connection will not be acknowledged.
    this.inflight = 0
    this.#endSent = false
    this.#dialAgain()
  }

  #frame(wire: Wire, frame: Frame): void {
    switch (frame.type) {
      case 'snapshot-accept':
        this.#accepted = wire
        this.#nextChunk = frame.nextChunk
        this.#fill()
        break
      case 'snapshot-written':
        this.inflight--
        this.#progressAt = this.#context.clock.now()
        this.#fill()
        break
      case 'snapshot-staged':
        this.#end(true, 'staged')
        break
      case 'refusal':
        this.#end(false, frame.sentence)
        break
      default:
        wire.close(`a frame of type ${frameName(frame)} in a snapshot transfer`)
    }
  }

  #fill(): void {
    const wire = this.#accepted
    const nextChunk = this.#nextChunk
    if (wire === undefined || this.#endSent || this.#reading) return
    if (this.inflight >= this.#context.limits.snapshotChunksInflightMax) return
    if (this.#context.events.greeting().term > this.#transfer.term) {
      this.#end(false, `term ${this.#transfer.term} is over`)
      return
    }
    this.#reading = true
    this.#transfer.source.read(nextChunk, (error, chunk) => {
      this.#reading = false
      if (this.#over) this.#transfer.source.close()
      else if (error !== undefined) this.#end(false, error.message)
      else {
        // If the connection broke during the read, the chunk is read again for the next connection.
        const isNext = this.#accepted === wire && this.#nextChunk === nextChunk
        if (isNext && !this.#sendChunk(wire, chunk)) return
        this.#context.clock.soon(() => this.#fill())
      }
    })
  }

  /**
   * Returns false if the queue of the wire has no room for the chunk. It is read again when an earlier chunk was
   * written.
   */
  #sendChunk(wire: Wire, chunk: Uint8Array | undefined): boolean {
    const number = this.#nextChunk
    if (chunk === undefined) {
      this.#endSent = wire.send({ type: 'snapshot-end', chunks: number })
      return this.#endSent
    }
    if (!wire.send({ type: 'snapshot-chunk', number, bytes: chunk })) return false
    this.#nextChunk++
    this.inflight++
    return true
  }

  giveUp(why: string): void {
    this.#end(false, why)
  }

  #end(ok: boolean, why: string): void {
    if (this.#over) return
    this.abort(why)
    this.#done(ok, why)
  }
}
