// `kv export --strip-prefix`: which key each record gets. Keys that do not begin with the prefix stay as they are, so
// `p/a` and `a` may both want to become `a`: the second one is refused, since a reader of the export would keep one of
// them and never know of the other.

import { printable } from './output.ts'

export type Stripped =
  | { readonly kind: 'key'; readonly key: Uint8Array }
  | { readonly kind: 'refused'; readonly reason: string }

export class PrefixStripper {
  readonly #prefix: Buffer
  /** The keys given out, byte for byte; empty where two can never be the same. */
  readonly #given = new Set<string>()
  readonly #canClash: boolean

  /** `listed`: what every key that comes begins with. */
  constructor(prefix: string, listed: string) {
    this.#prefix = Buffer.from(prefix)
    this.#canClash = !Buffer.from(listed).subarray(0, this.#prefix.length).equals(this.#prefix)
  }

  strip(key: Uint8Array): Stripped {
    const has = Buffer.compare(key.subarray(0, this.#prefix.length), this.#prefix) === 0
    const rest = has ? key.subarray(this.#prefix.length) : key
    if (rest.length === 0) return { kind: 'refused', reason: 'nothing is left of it without the prefix' }
    if (!this.#canClash) return { kind: 'key', key: rest }
    const name = Buffer.from(rest.buffer, rest.byteOffset, rest.byteLength)
    const bytes = name.toString('latin1')
    if (this.#given.has(bytes)) {
      return { kind: 'refused', reason: `another key is exported as ${printable(name.toString())}` }
    }
    this.#given.add(bytes)
    return { kind: 'key', key: rest }
  }
}
