// The content of a simulated disk, an ordered set of bytes. The sorted rows are copied only when an edit follows a scan
// or a copy, so that a scan costs no more than the rows that it reads.

import type { Pair, ScanRange } from '../../../src/storage/engine.ts'
import { keyString } from '../../../src/storage/keys.ts'
import { countWhile } from '../../workload/sorted.ts'

/** A pair to be stored under its name, or the name of one to be deleted. */
export type RowEdit = readonly [name: string, pair: Pair | undefined]

export class MemoryRows {
  readonly #pairs: Map<string, Pair>
  /** undefined: not sorted yet. */
  #sorted: RowEdit[] | undefined
  /** A scan or a copy reads the sorted rows too. */
  #isShared = false

  constructor(pairs: Map<string, Pair> = new Map()) {
    this.#pairs = pairs
  }

  get count(): number {
    return this.#pairs.size
  }

  copy(): MemoryRows {
    const copy = new MemoryRows(new Map(this.#pairs))
    copy.#sorted = this.#share()
    copy.#isShared = true
    return copy
  }

  edit(edits: readonly RowEdit[]): void {
    let sorted = this.#sorted
    if (sorted !== undefined && this.#isShared && edits.length > 0) {
      sorted = sorted.slice()
      this.#sorted = sorted
      this.#isShared = false
    }
    for (const edit of edits) {
      const [name, pair] = edit
      const isNamed = this.#pairs.has(name)
      if (pair === undefined) this.#pairs.delete(name)
      else this.#pairs.set(name, pair)
      if (sorted === undefined || !(isNamed || pair !== undefined)) continue
      const at = firstAtLeast(sorted, name)
      if (pair === undefined) sorted.splice(at, 1)
      else if (isNamed) sorted[at] = edit
      else if (at === sorted.length) sorted.push(edit)
      else sorted.splice(at, 0, edit)
    }
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#pairs.get(keyString(key))?.[1]
  }

  /** The rows of this instant. */
  scan(range: ScanRange): MemoryScan {
    const sorted = this.#share()
    return new MemoryScan(
      sorted,
      firstAtLeast(sorted, keyString(range.gte)),
      firstAtLeast(sorted, keyString(range.lt)),
      range.reverse,
    )
  }

  /** Damage: flips one bit of one value; false when there is no value. `pick` and `where` may be any numbers. */
  flip(pick: number, where: number): boolean {
    const names = [...this.#pairs.keys()]
    const name = names[pick % names.length]
    const pair = name === undefined ? undefined : this.#pairs.get(name)
    if (name === undefined || pair === undefined || pair[1].length === 0) return false
    const value = Uint8Array.from(pair[1])
    const at = where % (value.length * 8)
    value[at >> 3] = (value[at >> 3] ?? 0) ^ (1 << (at & 7))
    this.edit([[name, [pair[0], value]]])
    return true
  }

  #share(): RowEdit[] {
    this.#sorted ??= [...this.#pairs].sort(([a], [b]) => (a < b ? -1 : 1))
    this.#isShared = true
    return this.#sorted
  }
}

/** A position in sorted rows, between two ends. */
class MemoryScan {
  readonly #sorted: readonly RowEdit[]
  #from: number
  #to: number
  readonly #isReverse: boolean

  constructor(sorted: readonly RowEdit[], from: number, to: number, isReverse: boolean) {
    this.#sorted = sorted
    this.#from = from
    this.#to = Math.max(from, to)
    this.#isReverse = isReverse
  }

  next(pairsMax: number): Pair[] {
    const count = Math.min(pairsMax, this.#to - this.#from)
    const page: Pair[] = []
    for (let taken = 0; taken < count; taken++) {
      const pair = this.#sorted[this.#isReverse ? --this.#to : this.#from++]?.[1]
      if (pair !== undefined) page.push(pair)
    }
    return page
  }

  /** In falling order, the rows before `key` are next. */
  seek(key: Uint8Array): void {
    const at = firstAtLeast(this.#sorted, keyString(key))
    if (this.#isReverse) this.#to = Math.max(this.#from, at)
    else this.#from = Math.min(this.#to, at)
  }
}

const firstAtLeast = (sorted: readonly RowEdit[], name: string): number =>
  countWhile(sorted, ([other]) => other < name)
