// Which rows certainly do not exist: a Bloom filter over the keys of all rows. Without it, creating a key would make
// LevelDB look for it in every level. It excludes nothing until it has read all keys once, in the background: at a
// start, and after a snapshot has replaced the rows.
//
// Each step uses a separate scan. While a scan is open, LevelDB keeps every table that was live when it began, and
// compactions go on. With one long scan a disk with little room could be full before all keys are read.
//
// A key is never taken out. A deleted row only costs a look-up that finds nothing.

import type { Engine, Scan } from './engine.ts'
import type { FirstError } from './first-error.ts'
import { ROW_PREFIX_BYTES, rowRange } from './keys.ts'

const PROBES = 4
/** Keys per step: small steps keep the event loop free, but beginning a scan costs as much as a few hundred keys. */
const SCAN_KEYS = 1024

export class RowFilter {
  readonly #engine: Engine
  readonly #first: FirstError
  readonly #words: Int32Array
  #isComplete = false
  /** Changes when the current reading becomes useless. */
  #pass = 0
  #scan: Scan | undefined

  /** `bytes`: with 16 bits a key, one key in five hundred is looked for although it is absent. */
  constructor(engine: Engine, first: FirstError, bytes: number) {
    this.#engine = engine
    this.#first = first
    this.#words = new Int32Array(Math.ceil(bytes / 4))
  }

  /** True: the row certainly does not exist. */
  excludes(key: Uint8Array): boolean {
    if (!this.#isComplete) return false
    const hash = hashOfKey(key)
    for (let probe = 0; probe < PROBES; probe++) {
      const bit = this.#bit(hash, probe)
      if (((this.#words[bit >>> 5] ?? 0) & (1 << (bit & 31))) === 0) return true
    }
    return false
  }

  /** Must be called for every row that is applied. */
  add(key: Uint8Array): void {
    const hash = hashOfKey(key)
    for (let probe = 0; probe < PROBES; probe++) {
      const bit = this.#bit(hash, probe)
      this.#words[bit >>> 5] = (this.#words[bit >>> 5] ?? 0) | (1 << (bit & 31))
    }
  }

  /** Forgets everything and reads the keys of `generation`. Rows applied from now on are added as well. */
  readAll(generation: number): void {
    this.close()
    this.#isComplete = false
    this.#words.fill(0)
    this.#read(generation, this.#pass)
  }

  close(): void {
    this.#pass++
    this.#scan?.close()
    this.#scan = undefined
  }

  /** `after`: all keys up to this one have been read. */
  #read(generation: number, pass: number, after?: Uint8Array): void {
    const isOver = (): boolean => pass !== this.#pass || this.#first.error !== undefined
    const scan = this.#engine.scan({ ...rowRange(generation, after), reverse: false, keysOnly: true })
    this.#scan = scan
    scan.next(SCAN_KEYS, (error, pairs, ended) => {
      if (isOver()) return
      this.#scan = undefined
      scan.finish((unread) => {
        if (isOver()) return
        const fault = error ?? unread
        if (fault !== undefined) {
          this.#first.fail(fault)
          return
        }
        for (const [engineKey] of pairs) this.add(engineKey.subarray(ROW_PREFIX_BYTES))
        if (ended) this.#isComplete = true
        else this.#read(generation, pass, pairs.at(-1)?.[0])
      })
    })
  }

  #bit(hash: number, probe: number): number {
    const mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
    const step = (mixed ^ (mixed >>> 13)) | 1
    return ((hash + Math.imul(probe, step)) >>> 0) % (this.#words.length * 32)
  }
}

/** FNV-1a, with its high bits folded into the low ones. */
export function hashOfKey(key: Uint8Array): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ (key[i] ?? 0), 0x01000193)
  return hash ^ (hash >>> 15)
}
