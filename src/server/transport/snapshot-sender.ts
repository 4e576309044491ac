// Streams one snapshot to one peer, on a connection of its own, so that no heartbeat waits behind a chunk. A few chunks are on their way at a
// time, and each is read in a turn of the event loop of its own. When the connection breaks, another is dialled and the receiver says
// where to go on; without a chunk acknowledged for a while the transfer is given up.

import type { ReplicaId, Term } from '../../raft/types.ts'
import type { SnapshotSource } from '../../storage/types.ts'
import type { ByteReader } from './bytes.ts'
import type { Connection } from './connection.ts'
import type { Context } from './context.ts'
import { dial } from './dial.ts'
import { FRAME, readRefusal } from './handshake.ts'
import { writeOffer } from './snapshot-offer.ts'

export interface SnapshotTransfer {
  readonly to: ReplicaId
  /** Where the receiver listens, asked anew for each dial. */
  readonly address: () => string
  /** The term in which we lead. */
  readonly term: Term
  readonly source: SnapshotSource
}

export class SnapshotSender {
  private readonly context: Context
  private readonly transfer: SnapshotTransfer
  private readonly done: (ok: boolean, why: string) => void
  private readonly stall: NodeJS.Timeout
  private abandonDial: (() => void) | undefined
  private retry: NodeJS.Timeout | undefined
  private connection: Connection | undefined
  /** The receiver has said where to begin. */
  private accepted = false
  private nextChunk = 0
  private inflight = 0
  private endSent = false
  private reading = false
  private over = false

  /** `done` is called once, never before the constructor returns. */
  constructor(context: Context, transfer: SnapshotTransfer, done: (ok: boolean, why: string) => void) {
    this.context = context
    this.transfer = transfer
    this.done = done
    this.stall = setTimeout(() => this.end(false, 'no progress'), context.limits.snapshotStallMs)
    this.dial()
  }

  /** Ends it without calling `done`. */
  abort(why: string): void {
    if (this.over) return
    this.over = true
    clearTimeout(this.stall)
    clearTimeout(this.retry)
    this.abandonDial?.()
    this.connection?.close(why)
    if (!this.reading) this.transfer.source.close()
  }

  private dial(): void {
    const { to, address } = this.transfer
    this.abandonDial = dial(this.context, address(), to, 'snapshot', {
      reached: (connection) => this.reached(connection),
      failed: () => this.dialAgain(),
    })
  }

  private dialAgain(): void {
    this.abandonDial = undefined
    if (this.over) return
    this.retry = setTimeout(() => this.dial(), this.context.limits.reconnectMaxMs)
  }

  private reached(connection: Connection): void {
    this.abandonDial = undefined
    this.connection = connection
    connection.established({
      frame: (type, body) => this.frame(connection, type, body),
      closed: () => this.broke(),
    })
    const { term, source } = this.transfer
    connection.send(FRAME.snapshotOffer, (out) =>
      writeOffer(out, { term, snapshotId: source.id, meta: source.meta }),
    )
  }

  private broke(): void {
    this.connection = undefined
    this.accepted = false
    this.dialAgain()
  }

  private frame(connection: Connection, type: number, body: ByteReader): void {
    switch (type) {
      case FRAME.snapshotAccept: {
        const from = connection.decode(() => body.integer())
        if (from !== undefined) this.begin(from)
        break
      }
      case FRAME.snapshotWritten:
        this.inflight--
        this.stall.refresh()
        this.fill()
        break
      case FRAME.snapshotStaged:
        this.end(true, 'staged')
        break
      case FRAME.refusal: {
        const refusal = connection.decode(() => readRefusal(body))
        if (refusal !== undefined) this.end(false, refusal.sentence)
        break
      }
      default:
        connection.close(`a frame of type ${type} in a snapshot transfer`)
    }
  }

  private begin(from: number): void {
    this.accepted = true
    this.nextChunk = from
    this.inflight = 0
    this.endSent = false
    this.fill()
  }

  private fill(): void {
    if (!this.accepted || this.endSent || this.reading) return
    if (this.inflight >= this.context.limits.snapshotChunksInflightMax) return
    if (this.context.events.greeting().term > this.transfer.term) {
      this.end(false, `term ${this.transfer.term} is over`)
      return
    }
    const { connection, nextChunk } = this
    this.reading = true
    this.transfer.source.read(nextChunk, (error, chunk) => {
      this.reading = false
      if (this.over) this.transfer.source.close()
      else if (error !== undefined) this.end(false, error.message)
      else {
        // What was read for a connection that has broken since is read again for the next one.
        if (this.connection === connection && this.nextChunk === nextChunk) this.sendChunk(chunk)
        setImmediate(() => this.fill())
      }
    })
  }

  private sendChunk(chunk: Uint8Array | undefined): void {
    const { connection, nextChunk } = this
    if (chunk === undefined) {
      this.endSent = true
      connection?.send(FRAME.snapshotEnd, (out) => out.integer(nextChunk))
      return
    }
    this.nextChunk++
    this.inflight++
    this.context.counters.snapshotChunksSent++
    connection?.send(FRAME.snapshotChunk, (out) => out.integer(nextChunk), [chunk], true)
  }

  giveUp(why: string): void {
    this.end(false, why)
  }

  private end(ok: boolean, why: string): void {
    if (this.over) return
    this.abort(why)
    this.done(ok, why)
  }
}
