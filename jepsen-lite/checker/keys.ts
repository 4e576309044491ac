// Keys in the order of a store: by their bytes in UTF-8.

import { countWhile } from '../workload/sorted.ts'

/**
 * Below 0: `a` comes first. The comparison of UTF-16 texts gives the same order except for surrogates, which stand for
 * the highest code points.
 */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const [one, other] = [a.charCodeAt(at), b.charCodeAt(at)]
    if (one !== other) return rank(one) - rank(other)
  }
  return a.length - b.length
}

const rank = (unit: number): number => (unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit)

/** Keys from `from` (inclusive) up to `to` (exclusive; undefined: to the last key). */
export interface KeyInterval {
  readonly from: string
  readonly to: string | undefined
}

/** The first text after all texts that begin with `prefix`; undefined: there is none. */
export function prefixEnd(prefix: string): string | undefined {
  const points = Array.from(prefix, (point) => point.codePointAt(0) ?? 0)
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    if (last < 0x10ffff) return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1)
  }
  return undefined
}

/** The first text after this one. */
export const keyAfter = (key: string): string => `${key}\0`

export const contains = ({ from, to }: KeyInterval, key: string): boolean =>
  compareKeys(key, from) >= 0 && (to === undefined || compareKeys(key, to) < 0)

/** Every key in the history, in order. */
export class SortedKeys {
  readonly #sorted: readonly string[]

  constructor(keys: Iterable<string>) {
    this.#sorted = [...new Set(keys)].sort(compareKeys)
  }

  in({ from, to }: KeyInterval): readonly string[] {
    const end = to === undefined ? this.#sorted.length : this.#place(to)
    return this.#sorted.slice(this.#place(from), end)
  }

  /** How many keys come before `key`. */
  #place(key: string): number {
    return countWhile(this.#sorted, (other) => compareKeys(other, key) < 0)
  }
}
