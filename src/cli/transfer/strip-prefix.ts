// `kv export --strip-prefix`: the new key of each record. Keys without the prefix do not change, so `p/a` and `a` may
// both become `a`. The second one is refused, because a reader of the export would keep only one of them, without an
// error.

type StripResult =
  | { readonly kind: 'key'; readonly key: Uint8Array }
  | { readonly kind: 'refused'; readonly reason: string }

export class PrefixStripper {
  readonly #prefix: Buffer
  /** The new keys so far, in bytes; empty if two keys can never be equal. */
  readonly #stripped = new Set<string>()
  readonly #canClash: boolean

  /** `listed`: the prefix of all exported keys. */
  constructor(prefix: string, listed: string) {
    this.#prefix = Buffer.from(prefix)
    this.#canClash = !Buffer.from(listed).subarray(0, this.#prefix.length).equals(this.#prefix)
  }

  strip(key: Uint8Array): StripResult {
    const has = Buffer.compare(key.subarray(0, this.#prefix.length), this.#prefix) === 0
    const rest = has ? key.subarray(this.#prefix.length) : key
    if (rest.length === 0) return { kind: 'refused', reason: 'nothing is left of it without the prefix' }
    if (!this.#canClash) return { kind: 'key', key: rest }
    const name = Buffer.from(rest.buffer, rest.byteOffset, rest.byteLength)
    const bytes = name.toString('latin1')
    if (this.#stripped.has(bytes)) {
      return { kind: 'refused', reason: `another key is exported as ${name}` }
    }
    this.#stripped.add(bytes)
    return { kind: 'key', key: rest }
  }
}
