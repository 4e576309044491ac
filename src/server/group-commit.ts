// One writer with at most one batch in flight; what arrives meanwhile joins the next batch (group commit). Entries, hard state and the
// rows applied since become durable together and in order. Messages wait here for the write that must be durable before they leave.

import type {
  HardState,
  LogIndex,
  Message,
  Outgoing,
  Term,
  UnderWay,
  Write,
  WriteNumber,
} from '../raft/types.ts'
import type { Storage } from '../storage/types.ts'
import type { DriverLimits } from './limits.ts'
import { LogTail } from './log-tail.ts'
import type { Clock, Timer } from './types.ts'

/**
 * What this replica says of its durable state, as of one moment: the log shows a truncation as soon as its batch is submitted, and a lower end under
 * the old term looks to a leader of that term as if acknowledged entries were lost.
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
  send(message: Message): void
  /** These writes, in order, are durable; `ms` is how long the batch took. */
  stored(writes: readonly Write[], ms: number): void
  /** Final: nothing is submitted any more. */
  failed(error: Error): void
}

export class GroupCommit {
  readonly #clock: Clock
  readonly #storage: Storage
  readonly #limits: DriverLimits
  readonly #events: GroupCommitEvents
  readonly #tail: LogTail
  #writes: Write[] = []
  #held: Outgoing[] = []
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

  take(write: Write): void {
    this.#writes.push(write)
    this.#tail.written(write)
  }

  /** Sends at once, or when the write that the message names is durable. */
  send(outgoing: Outgoing): void {
    if (outgoing.after <= this.#durableWrite) this.#events.send(outgoing.message)
    else this.#held.push(outgoing)
  }

  /** Submits what is there, unless a batch is in flight. Rows alone wait a little for company. */
  flush(): void {
    if (this.#inFlight || this.#closed) return
    if (this.#writes.length > 0) this.#submit()
    else if (this.#storage.dirty || this.#storage.hasGarbage) this.#armIdle()
  }

  /** Writes what is left, then calls back; nothing is taken afterwards. */
  close(done: (error: Error | undefined) => void): void {
    this.#closed = true
    this.#idle?.cancel()
    const finish = (error?: Error): void => {
      if (error !== undefined || (this.#writes.length === 0 && !this.#storage.dirty)) {
        done(error)
        return
      }
      this.#storage.write(
        { writes: this.#writes, hardState: this.#events.hardState(), compactTo: undefined },
        done,
      )
    }
    if (this.#inFlight) this.#whenIdle = finish
    else finish()
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
    const writes = this.#writes
    const hardState = this.#events.hardState()
    const applied = this.#storage.applied.index
    const firstIndex = this.#storage.log.firstIndex()
    const compactTo = this.#tail.compactTo(firstIndex, this.#durableApplied, this.#events.neededAfter())
    const began = this.#clock.now()
    this.#writes = []
    this.#inFlight = true
    this.#storage.write({ writes, hardState, compactTo }, (error) => {
      this.#inFlight = false
      if (error !== undefined) {
        this.#closed = true
        this.#events.failed(error)
        this.#whenIdle?.(error)
        return
      }
      this.#durable = { term: hardState.term, lastIndex: this.#storage.log.lastIndex() }
      this.#durableApplied = applied
      if (this.#closed) this.#whenIdle?.()
      else this.#completed(writes, this.#clock.now() - began)
    })
  }

  #completed(writes: readonly Write[], ms: number): void {
    this.#durableWrite = writes.at(-1)?.number ?? this.#durableWrite
    const held = this.#held
    this.#held = []
    for (const outgoing of held) this.send(outgoing)
    this.#events.stored(writes, ms)
    this.flush()
  }
}
