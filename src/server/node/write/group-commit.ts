// One writer with at most one batch in flight. Writes that arrive during a batch join the next one (group commit).
// Entries, hard state and the rows applied since the last batch become durable together and in order. Messages wait
// here for the write that must be durable before they leave.
//
// The newest term and vote are in every batch, also ahead of writes that still wait. So the vote of a node with a slow
// disk waits for one batch, and not for the queue (RAFT-31). The commit index is not ahead.
//
// A batch is limited in bytes and in number, so that building one never delays heartbeats and reads. A larger write of
// the core is cut into parts, and is durable with the last part. When a batch had no room for all rows, the next batch
// contains only rows.

import type { Raft } from '../../../raft/index.ts'
import {
  asIndex,
  type HardState,
  type InFlightCounts,
  type LogIndex,
  type OutboundMessage,
  type Term,
  type Write,
  type WriteNumber,
} from '../../../raft/types.ts'
import { endAfter, type Room, type Storage, splitWrite, writeCost } from '../../../storage/index.ts'
import { asError } from '../../../system/errors.ts'
import type { Clock, Timer } from '../clock.ts'
import type { DiskSpace } from '../disk-space/disk-space.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { DriverLimits } from '../limits.ts'
import type { PeerSender } from '../membership/peer-sender.ts'
import type { NodeEvents } from '../node-events.ts'
import type { DiskSpeed } from './disk-speed.ts'
import { LogRetention } from './log-retention.ts'

/**
 * The durable state that this replica reports, at one moment. The log object itself shows a truncation as soon as its
 * batch is submitted. To the leader of the old term, a lower end would look like a loss of acknowledged entries.
 */
interface DurableLogPosition {
  readonly term: Term
  readonly lastIndex: LogIndex
}

interface GroupCommitOptions {
  readonly clock: Clock
  readonly storage: Storage
  readonly limits: DriverLimits
  /** Its newest hard state has a commit index that the writes submitted so far cover. */
  readonly raft: Pick<Raft, 'hardState' | 'needed'>
  /** Counts what is written. While the disk is short of space, the log is kept no longer than needed. */
  readonly space: Pick<DiskSpace, 'state' | 'freeBytes' | 'writes'>
  /** Measures each batch. */
  readonly diskSpeed: Pick<DiskSpeed, 'began' | 'ended'>
  readonly peers: Pick<PeerSender, 'send'>
  readonly lifecycle: Pick<Lifecycle, 'fail'>
  readonly events: Pick<NodeEvents, 'batchStored'>
}

export class GroupCommit {
  readonly #clock: Clock
  readonly #storage: Storage
  readonly #limits: DriverLimits
  readonly #options: GroupCommitOptions
  readonly #tail: LogRetention
  /** Waiting writes, or parts of them. Each fits into a batch. */
  #writes: Write[] = []
  #held: OutboundMessage[] = []
  /** The hard state of the newest batch. */
  #hardState: HardState
  #durableWrite: WriteNumber = 0
  #newestWrite: WriteNumber = 0
  #durableTermWrite: WriteNumber = 0
  /** The state at the last durable batch. Entries that a later batch truncates are still counted. */
  durable: DurableLogPosition
  #durableApplied: LogIndex
  #inFlight = false
  #closed = false
  #idle: Timer | undefined
  #whenIdle: ((error?: Error) => void) | undefined

  constructor(options: GroupCommitOptions) {
    const { clock, limits, storage } = options
    this.#clock = clock
    this.#storage = storage
    this.#limits = limits
    this.#options = options
    this.#tail = new LogRetention(limits)
    this.durable = { term: storage.hardState.term, lastIndex: storage.log.lastIndex() }
    this.#hardState = storage.hardState
    this.#durableApplied = storage.applied.index
  }

  /** The work in flight; all 0 at rest. */
  inspect(): InFlightCounts {
    return {
      writes: this.#writes.length,
      heldMessages: this.#held.length,
      inFlight: Number(this.#inFlight),
    }
  }

  enqueue(write: Write): void {
    this.#options.space.writes(countRoom([write]).bytes)
    this.#writes.push(...splitWrite(write, this.#storage.batchLimits))
    this.#newestWrite = write.number
    this.#tail.written(write)
  }

  /** Sends the message at once, or when the writes that it names are durable. */
  send(outbound: OutboundMessage): void {
    if (outbound.after <= this.#durableWrite && outbound.afterTerm <= this.#durableTermWrite) {
      this.#options.peers.send(outbound.message)
      return
    }
    const same = this.#held.findLastIndex((older) => isRepeated(older, outbound))
    if (same >= 0) this.#held.splice(same, 1)
    // The network may lose a message, too.
    if (this.#held.length < this.#limits.heldMessagesMax) this.#held.push(outbound)
  }

  /**
   * Submits the queued writes, unless a batch is in flight. Rows without writes wait a little for more, unless apply
   * waits until they are durable.
   */
  flush(): void {
    if (this.#inFlight || this.#closed) return
    const storage = this.#storage
    if (this.#writes.length > 0 || storage.rowsLeft) this.#submit()
    else if (storage.dirty && storage.overlayBytes >= this.#limits.overlayBytesMax) this.#submit()
    else if (storage.dirty || storage.hasGarbage) this.#armIdle()
  }

  /**
   * Writes the queue for `closeMsMax`, then calls back. Later writes are not accepted. Nobody counts on the rest: no
   * message that depends on it has left, and the rows are made again from the log.
   */
  close(done: (error: Error | undefined) => void): void {
    this.#closed = true
    this.#idle?.cancel()
    const until = this.#clock.now() + this.#limits.closeMsMax
    const finish = (error?: Error): void => {
      const isWritten = this.#writes.length === 0 && !this.#storage.dirty
      if (error !== undefined || isWritten || this.#clock.now() >= until) done(error)
      else this.#submit()
    }
    this.#whenIdle = finish
    if (!this.#inFlight) finish()
  }

  /** Submits nothing more, not even the queue. */
  abandon(): void {
    this.#closed = true
    this.#idle?.cancel()
  }

  #armIdle(): void {
    this.#idle ??= this.#clock.after(this.#limits.idleFlushMs, () => {
      this.#idle = undefined
      if (!this.#inFlight && !this.#closed) this.#submit()
    })
  }

  #submit(): void {
    const writes = this.#storage.rowsLeft ? [] : this.#nextWrites()
    const hardState = this.#hardStateAfter(writes)
    const termWrite = this.#newestWrite
    this.#hardState = hardState
    const firstIndex = this.#storage.log.firstIndex()
    const { diskSpeed, raft, space } = this.#options
    const compactLogTo = this.#tail.compactTo(firstIndex, this.#durableApplied, raft.needed, space)
    const began = this.#clock.now()
    this.#inFlight = true
    try {
      this.#storage.write({ writes, hardState, compactLogTo }, (error) => {
        this.#inFlight = false
        diskSpeed.ended(this.#clock.now())
        if (error !== undefined) return this.#fail(error)
        this.durable = { term: hardState.term, lastIndex: this.#storage.log.lastIndex() }
        this.#durableApplied = this.#storage.appliedSubmitted
        if (this.#closed) this.#whenIdle?.()
        else this.#completed(writes, termWrite, this.#clock.now() - began)
      })
      const { bytes, items } = countRoom(writes)
      diskSpeed.began({ bytes: bytes + this.#storage.rowBytesInFlight, items }, began)
    } catch (thrown) {
      // For example, a record of the log cannot be read. No caller would catch this error: it may come from a timer, or
      // from the end of another batch.
      this.#inFlight = false
      this.#fail(asError(thrown))
    }
  }

  #fail(error: Error): void {
    this.#closed = true
    this.#options.lifecycle.fail(error)
    this.#whenIdle?.(error)
  }

  /** Takes as many waiting writes as fit into one batch, at least one. */
  #nextWrites(): Write[] {
    let { batchBytesMax: bytes, batchItemsMax: items } = this.#storage.batchLimits
    const end = this.#writes.findIndex((write, at) => {
      const cost = writeCost(write)
      bytes -= cost.bytes
      items -= cost.items
      return at > 0 && (bytes < 0 || items < 0)
    })
    return this.#writes.splice(0, end < 0 ? this.#writes.length : end)
  }

  /**
   * The core's newest hard state, if no other write waits. Otherwise the commit index is that of the last write, or
   * part of one, in the batch: entries committed since then may be in writes of a later batch, which may replace
   * entries that the log holds now. So rows that precede a waiting write were committed when the last write was made.
   * Their number is limited, and that write follows them. Term and vote depend on no entry, and are always the newest.
   */
  #hardStateAfter(writes: readonly Write[]): HardState {
    const newest = this.#writes.at(-1)
    if (newest === undefined) return this.#options.raft.hardState()
    const { commit } = writes.at(-1)?.hardState ?? this.#hardState
    const end = endAfter(this.#storage.log.lastIndex(), writes)
    return { ...newest.hardState, commit: asIndex(Math.min(commit, end)) }
  }

  #completed(writes: readonly Write[], termWrite: WriteNumber, ms: number): void {
    // If the last write here continues in a later part, that part has the same number, so the write is not complete.
    const completed = writes.findLast(({ number }) => number !== this.#writes[0]?.number)?.number
    this.#durableWrite = completed ?? this.#durableWrite
    this.#durableTermWrite = termWrite
    const held = this.#held
    this.#held = []
    for (const outbound of held) this.send(outbound)
    this.#options.events.batchStored({
      entries: countRoom(writes).items,
      installed: writes.some(({ snapshot }) => snapshot !== undefined),
      write: this.#durableWrite,
      termWrite,
      ms,
    })
    this.flush()
  }
}

/** The entries of these writes. */
function countRoom(writes: readonly Write[]): Room {
  let [bytes, items] = [0, 0]
  for (const { entries } of writes) {
    items += entries.length
    for (const { frame } of entries) bytes += frame.length
  }
  return { bytes, items }
}

/**
 * Whether the newer message contains all information of the older one, like the reply to the next append. A disk may
 * stall for hours while the leader keeps sending.
 */
function isRepeated(
  { message: older, after, afterTerm }: OutboundMessage,
  { message: newer, after: newerAfter, afterTerm: newerAfterTerm }: OutboundMessage,
): boolean {
  if (after !== newerAfter || afterTerm !== newerAfterTerm || older.to !== newer.to) return false
  return newer.type === 'append-accepted' && older.type === newer.type && older.index <= newer.index
}
