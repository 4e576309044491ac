// Storage in memory, for simulators and tests: the very same store over an engine that forgets on a crash what was not yet durable.

import type { Engine, EngineBatch, EngineSnapshot, Scan, ScanRange } from './engine.ts'
import { formatEngine, type InitialState } from './format.ts'
import { keyString } from './keys.ts'
import { MemoryRows, type RowEdit } from './memory-rows.ts'
import { openStore } from './store.ts'
import type { Done, Identity, Storage } from './types.ts'

/** Runs `complete` later, never at once: when a write has become durable, or a read has its answer. Whoever decides about time decides when. */
export type Schedule = (what: 'write' | 'read', complete: () => void) => void

/** Little: in a test, what does not fit shall be as common as what does. */
const LIMITS = { rowHeads: 8, rowFilterBytes: 32 }

const soon: Schedule = (_what, complete) => void setImmediate(complete)

/** What survives a crash: the disk of one replica. At most one storage is open on it at a time. */
export class MemoryDisk {
  readonly #content = { rows: new MemoryRows(), sequence: 0 }
  #identity: Identity | undefined
  #engine: MemoryEngine | undefined

  get formatted(): boolean {
    return this.#identity !== undefined
  }

  format(identity: Identity, initial: InitialState): void {
    if (this.#identity !== undefined) throw new Error('the disk is formatted already')
    const batch = new MemoryBatch()
    formatEngine(batch, initial)
    commit(this.#content, batch)
    this.#identity = identity
  }

  open(
    done: (error: Error | undefined, storage: Storage | undefined) => void,
    schedule: Schedule = soon,
    under: (engine: Engine) => Engine = (engine) => engine,
  ): void {
    if (this.#identity === undefined) throw new Error('the disk is not formatted')
    if (this.#engine?.isOpen) throw new Error('the disk is in use')
    this.#engine = new MemoryEngine(this.#content, schedule)
    openStore(under(this.#engine), this.#identity, LIMITS, done)
  }

  /** As a power cut: nothing calls back any more. `inFlight`: whether a write that was under way made it to the disk. */
  crash(inFlight: 'lost' | 'kept' = 'lost'): void {
    this.#engine?.crash(inFlight)
  }
}

interface Content {
  rows: MemoryRows
  sequence: number
}

function commit(content: Content, batch: MemoryBatch): void {
  content.rows = content.rows.with(batch.list)
  content.sequence += batch.operations
}

class MemoryBatch implements EngineBatch {
  readonly list: RowEdit[] = []

  put(key: Uint8Array, value: Uint8Array): void {
    this.list.push([keyString(key), [Buffer.from(key), Buffer.from(value)]])
  }
  delete(key: Uint8Array): void {
    this.list.push([keyString(key), undefined])
  }
  get operations(): number {
    return this.list.length
  }
}

class MemoryEngine implements Engine {
  readonly #content: Content
  readonly #schedule: Schedule
  #inFlight: MemoryBatch | undefined
  #isOpen = true

  constructor(content: Content, schedule: Schedule) {
    this.#content = content
    this.#schedule = schedule
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  get sequence(): number {
    return this.#content.sequence
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#content.rows.get(key)
  }

  scan(range: ScanRange): Scan {
    return this.#scan(this.#content.rows, range)
  }

  snapshot(): EngineSnapshot {
    const { rows } = this.#content
    rows.hold()
    return {
      get: (key) => rows.get(key),
      scan: (range) => this.#scan(rows, range),
      close: () => rows.release(),
    }
  }

  batch(): MemoryBatch {
    return new MemoryBatch()
  }

  write(batch: EngineBatch, done: Done): void {
    if (!(batch instanceof MemoryBatch)) throw new TypeError('a batch of another engine')
    if (this.#inFlight !== undefined) throw new Error('two writes in flight')
    this.#inFlight = batch
    this.#later('write', () => {
      this.#inFlight = undefined
      commit(this.#content, batch)
      done(undefined)
    })
  }

  crash(inFlight: 'lost' | 'kept'): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    if (inFlight === 'kept' && this.#inFlight !== undefined) commit(this.#content, this.#inFlight)
  }

  close(done: Done): void {
    this.#later('read', () => {
      this.#isOpen = false
      done(undefined)
    })
  }

  #scan(rows: MemoryRows, range: ScanRange): Scan {
    const pairs = rows.between(range)
    let at = 0
    return {
      next: (pairsMax, done) => {
        const page = pairs.slice(at, at + pairsMax)
        at += pairsMax
        this.#later('read', () => done(undefined, page, page.length === 0))
      },
      close: () => {},
    }
  }

  /** After a crash nobody is called back. */
  #later(what: 'write' | 'read', complete: () => void): void {
    this.#schedule(what, () => {
      if (this.#isOpen) complete()
    })
  }
}
