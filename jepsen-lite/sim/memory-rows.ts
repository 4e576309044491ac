// The content of a simulated disk, an ordered set of bytes: sorted pairs.

import type { Pair, ScanRange } from '../../src/storage/engine.ts'
import { keyString } from '../../src/storage/keys.ts'
import { countWhile } from '../workload/sorted.ts'

/** A pair to be stored under its name, or the name of one to be deleted. */
export type RowEdit = readonly [name: string, pair: Pair | undefined]

export class MemoryRows {
  readonly #pairs: Map<string, Pair>
  /** In order; undefined: not sorted yet. */
  #names: string[] | undefined

  constructor(pairs: Map<string, Pair> = new Map()) {
    this.#pairs = pairs
  }

  get count(): number {
    return this.#pairs.size
  }

  copy(): MemoryRows {
    return new MemoryRows(new Map(this.#pairs))
  }

  edit(edits: readonly RowEdit[]): void {
    for (const [name, pair] of edits) {
      const isNamed = this.#pairs.has(name)
      if (pair === undefined) this.#pairs.delete(name)
      else this.#pairs.set(name, pair)
      if (this.#names === undefined || isNamed === (pair !== undefined)) continue
      const at = firstAtLeast(this.#names, name)
      if (isNamed) this.#names.splice(at, 1)
      else this.#names.splice(at, 0, name)
    }
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#pairs.get(keyString(key))?.[1]
  }

  between(range: ScanRange): Pair[] {
    this.#names ??= [...this.#pairs.keys()].sort()
    const from = firstAtLeast(this.#names, keyString(range.gte))
    const to = firstAtLeast(this.#names, keyString(range.lt))
    const pairs: Pair[] = []
    for (let at = from; at < to; at++) {
      const pair = this.#pairs.get(this.#names[at] ?? '')
      if (pair !== undefined) pairs.push(pair)
    }
    return range.reverse ? pairs.reverse() : pairs
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
    this.#pairs.set(name, [pair[0], value])
    return true
  }
}

const firstAtLeast = (sorted: readonly string[], name: string): number =>
  countWhile(sorted, (other) => other < name)
