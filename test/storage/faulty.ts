// Injected faults beneath the store: the n-th read, write or sync fails, as on a failing disk.

import type { Engine, EngineBatch, Scan, ScanRange } from '../../src/storage/engine.ts'
import type { WriteCallback } from '../../src/storage/types.ts'
import { asError } from '../../src/system/errors.ts'

export interface Faults {
  /** Throws or returns. Counts from 1, over `get` and each step of a scan. */
  readonly beforeRead?: (count: number) => void
  /** Called at each step of a scan. If true, the scan skips the first pair, and reports that at its end. */
  readonly passesOver?: () => boolean
  /** If it throws, nothing of the batch reaches the disk. */
  readonly beforeWrite?: (count: number) => void
  /** If it throws, the batch has reached the disk, but may not be durable. */
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

  get dir(): string | undefined {
    return this.#engine.dir
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

  batch(begun?: EngineBatch): EngineBatch {
    return this.#engine.batch(begun)
  }

  write(batch: EngineBatch, done: WriteCallback): void {
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

  compactDatabase(done: WriteCallback, isRoom?: () => boolean): void {
    this.#engine.compactDatabase(done, isRoom)
  }

  close(done: WriteCallback): void {
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

/** Counts scans that are opened and closed. */
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
