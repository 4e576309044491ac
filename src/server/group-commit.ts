// One writer with at most one batch in flight; what arrives meanwhile joins the next batch (group commit). Entries,
// hard state and the rows applied since become durable together and in order. Messages wait here for the write that
// must be durable before they leave.
//
// A batch is bounded in bytes and in number, so that making one never keeps heartbeats and reads waiting: a write of
// the core that is larger goes in parts, and is durable with the last. Rows for which a batch had no room have the next
// one for themselves.

import {
  asIndex,
  type HardState,
  type LogIndex,
  type Message,
  type Outgoing,
  type Term,
  type UnderWay,
  type Write,
  type WriteNumber,
} from '../raft/types.ts'
import { costOf, cut, endAfter, type Storage } from '../storage/index.ts'
import type { DriverLimits } from './limits.ts'
import { LogTail } from './log-tail.ts'
import type { Clock, Timer } from './types.ts'

/**
 * What this replica says of its durable state, as of one moment: the log shows a truncation as soon as its batch is
 * submitted, and a lower end under the old term looks to a leader of that term as if acknowledged entries were lost.
 */
export interface DurableLog {
  readonly term: Term
  readonly lastIndex: LogIndex
}

export interface GroupCommitEvents {
  /** The core's newest hard state; its commit is covered by the writes handed over so far. */
  hardState(): HardState
  /** A follower that answers needs the log after this index (`Raft.neededAfter`). */
  neededAfter(): LogIndex
  /** The log is kept no longer than needed. */
  isShortOfRoom(): boolean
  send(message: Message): void
  stored(batch: StoredBatch): void
  /** Final: nothing is submitted any more. */
  failed(error: Error): void
}

/** What has become durable. */
export interface StoredBatch {
  readonly entries: number
  /** A snapshot is the state now. */
  readonly installed: boolean
  /** The newest write of the core that is durable as a whole, whether or not with this batch; 0: none. */
  readonly write: WriteNumber
  /** How long it took. */
  readonly ms: number
}

export class GroupCommit {
  readonly #clock: Clock
  readonly #storage: Storage
  readonly #limits: DriverLimits
  readonly #events: GroupCommitEvents
  readonly #tail: LogTail
  /** Or parts of them, each no more than a batch may hold. */
  #writes: Write[] = []
  #held: Outgoing[] = []
  /** Of the newest batch. */
  #hardState: HardState
  #durableWrite: WriteNumber = 0
  #durable: DurableLog
  #durableApplied: LogIndex
  #inFlight = false
  #closed = false
  #idle: Timer | undefined
  #whenIdle: ((error?: Error) => void) | undefined

  constructor(clock: Clock, storage: Storage, limits: DriverLimits, events: GroupCommitEvents) {
    this.#clock = clock
    this.#storage = storage
    this.#limits = limits
    this.#events = events
    this.#tail = new LogTail(limits)
    this.#durable = { term: storage.hardState.term, lastIndex: storage.log.lastIndex() }
    this.#hardState = storage.hardState
    this.#durableApplied = storage.applied.index
  }

  /** As of the last batch that is durable: what a later one cuts off is still there. */
  get durable(): DurableLog {
    return this.#durable
  }

  /** What is under way; all 0 at rest. */
  inspect(): UnderWay {
    return {
      writes: this.#writes.length,
      heldMessages: this.#held.length,
      inFlight: Number(this.#inFlight),
    }
  }

  enqueue(write: Write): void {
    this.#writes.push(...cut(write, this.#storage.batchLimits))
    this.#tail.written(write)
  }

  /** Sends at once, or when the write that the message names is durable. */
  send(outgoing: Outgoing): void {
    if (outgoing.after <= this.#durableWrite) {
      this.#events.send(outgoing.message)
      return
    }
    const same = this.#held.findLastIndex((older) => isRepeated(older, outgoing))
    if (same >= 0) this.#held.splice(same, 1)
    this.#held.push(outgoing)
  }

  /** Submits what is there, unless a batch is in flight. Rows alone wait a little for company. */
  flush(): void {
    if (this.#inFlight || this.#closed) return
    if (this.#writes.length > 0 || this.#storage.rowsLeft) this.#submit()
    else if (this.#storage.dirty || this.#storage.hasGarbage) this.#armIdle()
  }

  /** Writes what is left, then calls back; nothing is taken afterwards. */
  close(done: (error: Error | undefined) => void): void {
    this.#closed = true
    this.#idle?.cancel()
    const finish = (error?: Error): void => {
      if (error !== undefined || (this.#writes.length === 0 && !this.#storage.dirty)) done(error)
      else this.#submit()
    }
    this.#whenIdle = finish
    if (!this.#inFlight) finish()
  }

  /** Submits nothing more, not even what is left. */
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
    this.#hardState = hardState
    const firstIndex = this.#storage.log.firstIndex()
    const [neededAfter, isShort] = [this.#events.neededAfter(), this.#events.isShortOfRoom()]
    const compactTo = this.#tail.compactTo(firstIndex, this.#durableApplied, neededAfter, isShort)
    const began = this.#clock.now()
    this.#inFlight = true
    try {
      this.#storage.write({ writes, hardState, compactTo }, (error) => {
        this.#inFlight = false
        if (error !== undefined) return this.#fail(error)
        this.#durable = { term: hardState.term, lastIndex: this.#storage.log.lastIndex() }
        this.#durableApplied = this.#storage.appliedSubmitted
        if (this.#closed) this.#whenIdle?.()
        else this.#completed(writes, this.#clock.now() - began)
      })
    } catch (thrown) {
      // A record of the log that cannot be read, say. Nobody above would catch it: this may be a timer, or the end of
      // another batch.
      this.#inFlight = false
      this.#fail(thrown instanceof Error ? thrown : new Error(String(thrown)))
    }
  }

  #fail(error: Error): void {
    this.#closed = true
    this.#events.failed(error)
    this.#whenIdle?.(error)
  }

  /** As many as one batch may hold, and always one. */
  #nextWrites(): Write[] {
    let { batchBytesMax: bytes, batchItemsMax: items } = this.#storage.batchLimits
    const end = this.#writes.findIndex((write, at) => {
      const cost = costOf(write)
      bytes -= cost.bytes
      items -= cost.items
      return at > 0 && (bytes < 0 || items < 0)
    })
    return this.#writes.splice(0, end < 0 ? this.#writes.length : end)
  }

  /**
   * The newest when nothing else waits. Otherwise that of the last write, or part of one, in the batch: what is
   * committed by now may lie in writes that come with a later batch, and these may replace what the log holds in its
   * place. So rows that go before a write that waits are those that were committed when the last one was made: they
   * come to an end, and then it is the turn of that write.
   */
  #hardStateAfter(writes: readonly Write[]): HardState {
    if (this.#writes.length === 0) return this.#events.hardState()
    const hardState = writes.at(-1)?.hardState ?? this.#hardState
    const end = endAfter(this.#storage.log.lastIndex(), writes)
    return { ...hardState, commit: asIndex(Math.min(hardState.commit, end)) }
  }

  #completed(writes: readonly Write[], ms: number): void {
    // The first part of a write that is still to come has the number of the last one here.
    const completed = writes.findLast(({ number }) => number !== this.#writes[0]?.number)?.number
    this.#durableWrite = completed ?? this.#durableWrite
    const held = this.#held
    this.#held = []
    for (const outgoing of held) this.send(outgoing)
    this.#events.stored({
      entries: writes.reduce((sum, { entries }) => sum + entries.length, 0),
      installed: writes.some(({ snapshot }) => snapshot !== undefined),
      write: this.#durableWrite,
      ms,
    })
    this.flush()
  }
}

/**
 * Whether the newer says all that the older does: an answer to the next heartbeat, or to the append that comes with it.
 * A disk may stall for hours, and the leader asks on.
 */
function isRepeated(
  { message: older, after }: Outgoing,
  { message: newer, after: newerAfter }: Outgoing,
): boolean {
  if (after !== newerAfter || older.to !== newer.to) return false
  if (newer.type === 'append-accepted') return older.type === newer.type && older.index <= newer.index
  return newer.type === 'heartbeat-answer' && older.type === newer.type
}
