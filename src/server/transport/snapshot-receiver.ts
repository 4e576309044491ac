// Takes in snapshots, one at a time. Chunks are written one after another; what is written is acknowledged, and that is what lets the
// sender go on. A transfer that breaks off is left as it lies: the sender calls again and is told which chunk is missing. A newer
// transfer takes the place of an older one once what that is writing has been written.

import type { ReplicaId } from '../../raft/types.ts'
import type { SnapshotSink } from '../../storage/types.ts'
import type { ByteReader } from './bytes.ts'
import type { Connection } from './connection.ts'
import type { Context } from './context.ts'
import { FRAME } from './handshake.ts'
import { readOffer, type SnapshotOffer } from './snapshot-offer.ts'

export class SnapshotReceiver {
  private readonly context: Context
  private readonly callers = new Set<Connection>()
  private current: Incoming | undefined

  constructor(context: Context) {
    this.context = context
  }

  /** A connection for a snapshot was let in; its first frame is the offer. */
  accept(connection: Connection, from: ReplicaId): void {
    this.callers.add(connection)
    connection.established({
      frame: (type, body) => {
        this.callers.delete(connection)
        if (type !== FRAME.snapshotOffer) {
          connection.close(`a frame of type ${type} instead of an offer`)
          return
        }
        const offer = connection.decode(() => readOffer(body))
        if (offer !== undefined) this.offered(connection, from, offer)
      },
      closed: () => this.callers.delete(connection),
    })
  }

  close(): void {
    for (const connection of [...this.callers]) connection.close('closed')
    this.current?.close('closed')
  }

  private offered(connection: Connection, from: ReplicaId, offer: SnapshotOffer): void {
    const older = this.current
    if (older?.open && older.offer.term > offer.term) {
      refuse(this.context, connection, `a snapshot of term ${older.offer.term} is being received`)
      return
    }
    const incoming = new Incoming(this.context, connection, from, offer)
    this.current = incoming
    older?.close('replaced by a newer transfer')
    if (older === undefined) incoming.begin()
    else older.whenIdle(() => incoming.begin())
  }
}

class Incoming {
  readonly offer: SnapshotOffer
  private readonly context: Context
  private readonly connection: Connection
  private readonly from: ReplicaId
  private readonly chunks: { readonly number: number; readonly bytes: Uint8Array }[] = []
  private sink: SnapshotSink | undefined
  private ended = false
  /** Waiting for its turn; opening, writing or finishing the sink. */
  private busy = true
  private over = false
  private idle: () => void = () => {}

  constructor(context: Context, connection: Connection, from: ReplicaId, offer: SnapshotOffer) {
    this.context = context
    this.connection = connection
    this.from = from
    this.offer = offer
    connection.established({
      frame: (type, body) => this.frame(type, body),
      closed: () => {
        this.over = true
      },
    })
  }

  begin(): void {
    if (this.settled()) return
    const { term, snapshotId, meta } = this.offer
    this.busy = true
    this.context.events.snapshotOffered(this.from, term, snapshotId, meta, (refusal, sink) => {
      this.sink = sink
      if (this.settled()) return
      if (sink === undefined) this.fail(refusal ?? 'there is no room for it')
      else this.connection.send(FRAME.snapshotAccept, (out) => out.integer(sink.nextChunk))
    })
  }

  get open(): boolean {
    return !this.over
  }

  close(why: string): void {
    this.connection.close(why)
  }

  /** Calls back once nothing of this transfer, which is closed, is under way any more. */
  whenIdle(then: () => void): void {
    const before = this.idle
    this.idle = () => {
      before()
      then()
    }
    if (!this.busy) this.idle()
  }

  private frame(type: number, body: ByteReader): void {
    if (type === FRAME.snapshotEnd && this.sink !== undefined) {
      this.ended = true
      this.work()
      return
    }
    const full = this.chunks.length >= this.context.limits.snapshotChunksInflightMax
    if (type !== FRAME.snapshotChunk || this.sink === undefined || this.ended || full) {
      this.connection.close(`a frame of type ${type} out of turn in a snapshot transfer`)
      return
    }
    const chunk = this.connection.decode(() => ({ number: body.integer(), bytes: body.raw(body.left) }))
    if (chunk === undefined) return
    this.context.counters.snapshotChunksReceived++
    this.chunks.push(chunk)
    this.work()
  }

  private work(): void {
    const { sink } = this
    if (this.busy || this.over || sink === undefined) return
    const chunk = this.chunks[0]
    if (chunk !== undefined) {
      this.busy = true
      sink.write(chunk.number, chunk.bytes, (error) => {
        if (this.settled()) return
        if (error !== undefined) {
          this.giveUp(sink, error)
          return
        }
        this.chunks.shift()
        this.connection.send(FRAME.snapshotWritten, (out) => out.integer(chunk.number))
        this.work()
      })
    } else if (this.ended) {
      this.ended = false
      this.busy = true
      sink.finish((error) => {
        const { term, snapshotId, meta } = this.offer
        if (error === undefined) this.context.events.snapshotReceived(this.from, term, snapshotId, meta)
        if (this.settled()) return
        if (error === undefined) this.connection.send(FRAME.snapshotStaged)
        else this.giveUp(sink, error)
      })
    }
  }

  /** What was under way has ended. True: the transfer has, too, and whoever waits for that is told. */
  private settled(): boolean {
    this.busy = false
    if (this.over) this.idle()
    return this.over
  }

  private giveUp(sink: SnapshotSink, error: Error): void {
    sink.abort()
    this.fail(error.message)
  }

  private fail(why: string): void {
    refuse(this.context, this.connection, why)
  }
}

function refuse(context: Context, connection: Connection, sentence: string): void {
  connection.refuse({ clusterId: context.clusterId, stop: false, sentence })
}
