// Faults on purpose, beneath the store: the n-th read, write or sync fails, as a disk would make it fail.

import type { Engine, EngineBatch, Scan, ScanRange } from '../../src/storage/engine.ts'
import { asError } from '../../src/storage/errors.ts'
import type { Done } from '../../src/storage/types.ts'

export interface Faults {
  /** Throws or returns nothing. Counted from 1, over `get` and each step of a scan. */
  readonly beforeRead?: (count: number) => void
  /** At each step of a scan, true: it passes over what comes first, and says so when it comes to an end. */
  readonly passesOver?: () => boolean
  /** Throws: nothing of the batch reaches the disk. */
  readonly beforeWrite?: (count: number) => void
  /** Throws: the batch has reached the disk, but nobody vouches for that. */
  readonly beforeSync?: (count: number) => void
}

export class FaultyEngine implements Engine {
  readonly #engine: Engine
  readonly #faults: Faults
  #reads = 0
  #writes = 0

  constructor(engine: Engine, faults: Faults) {
    this.#engine = engine
    this.#faults = faults
  }

  get sequence(): number {
    return this.#engine.sequence
  }
  get heldTo(): number {
    return this.#engine.heldTo
  }

  get(key: Uint8Array): Uint8Array | undefined {
    this.#faults.beforeRead?.(++this.#reads)
    return this.#engine.get(key)
  }

  scan(range: ScanRange): Scan {
    return this.#faultyScan(this.#engine.scan(range))
  }

  batch(): EngineBatch {
    return this.#engine.batch()
  }

  write(batch: EngineBatch, done: Done): void {
    const count = ++this.#writes
    const refused = thrownBy(() => this.#faults.beforeWrite?.(count))
    const content = refused === undefined ? batch : this.#engine.batch()
    this.#engine.write(content, (error) => {
      done(refused ?? error ?? thrownBy(() => this.#faults.beforeSync?.(count)))
    })
  }

  get quarantined(): string | undefined {
    return this.#engine.quarantined
  }
  quarantine(why: string): void {
    this.#engine.quarantine(why)
  }

  compact(done: Done, isRoom?: () => boolean): void {
    this.#engine.compact(done, isRoom)
  }

  close(done: Done): void {
    this.#engine.close(done)
  }

  #faultyScan(scan: Scan): Scan {
    let unread: Error | undefined
    return {
      next: (pairsMax, done) =>
        scan.next(pairsMax, (error, pairs, ended) => {
          const fault = thrownBy(() => this.#faults.beforeRead?.(++this.#reads))
          const isPassed = this.#faults.passesOver?.() === true
          if (isPassed) unread = new Error('Too many open files')
          const failed = error ?? fault ?? (ended ? unread : undefined)
          done(failed, failed === undefined ? pairs.slice(Number(isPassed)) : [], ended)
        }),
      finish: (done) => scan.finish((error) => done(error ?? unread)),
      seek: (key) => scan.seek(key),
      close: () => scan.close(),
    }
  }
}

function thrownBy(run: () => void): Error | undefined {
  try {
    run()
    return undefined
  } catch (thrown) {
    return asError(thrown)
  }
}

/** Tells of scans that are taken and given back. */
export class Counted extends FaultyEngine {
  readonly #count: (by: number) => void

  constructor(engine: Engine, count: (by: number) => void) {
    super(engine, {})
    this.#count = count
  }

  override scan(range: ScanRange): Scan {
    return this.#counted(super.scan(range))
  }

  #counted(scan: Scan): Scan {
    this.#count(1)
    return {
      next: (pairsMax, done) => scan.next(pairsMax, done),
      seek: (key) => scan.seek(key),
      finish: (done) => {
        this.#count(-1)
        scan.finish(done)
      },
      close: () => {
        this.#count(-1)
        scan.close()
      },
    }
  }
}
