// Requests and responses as they read the same on every server: keys without the prefix of the run, revisions as if
// the store had been at revision 10 when it began, ids of leases from 1.

/** JSON of requests and responses. Bytes are text, one character a byte. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }
export type JsonObject = { readonly [name: string]: Json }

/** The revision at which a conversation begins. Everything before it is compacted. */
export const FIRST_REVISION = 10

const REVISIONS = new Set([
  'revision',
  'createRevision',
  'modRevision',
  'minModRevision',
  'maxModRevision',
  'minCreateRevision',
  'maxCreateRevision',
  'startRevision',
  'compactRevision',
])
const KEYS = new Set(['key', 'rangeEnd', 'keys'])
const LEASES = new Set(['lease', 'id'])
/** Ids of leases that one conversation may choose. */
const LEASES_MAX = 1_000
/** The word for an id that the server has chosen. */
const CHOSEN = 'chosen'

export class Frame {
  readonly #prefix: string
  readonly #firstRevision: number
  readonly #firstLease: bigint

  constructor(prefix: string, run: number, firstRevision: number) {
    this.#prefix = prefix
    this.#firstRevision = firstRevision
    this.#firstLease = BigInt(run) * BigInt(LEASES_MAX)
  }

  toRequest(json: JsonObject): Record<string, unknown> {
    return this.#fieldsTo(json)
  }

  #fieldsTo(json: JsonObject): Record<string, unknown> {
    return Object.fromEntries(Object.entries(json).map(([name, value]) => [name, this.#to(name, value)]))
  }

  #to(name: string, json: Json): unknown {
    if (Array.isArray(json)) return json.map((each: Json) => this.#to(name, each))
    if (typeof json === 'object' && json !== null) return this.#fieldsTo(json as JsonObject)
    if (typeof json === 'string') return KEYS.has(name) ? this.#toKey(json) : toBytes(json)
    if (typeof json !== 'number') return json
    if (REVISIONS.has(name)) return json > 0 ? json - FIRST_REVISION + this.#firstRevision : json
    if (LEASES.has(name)) return json > 0 ? this.#firstLease + BigInt(json) : BigInt(json)
    return json
  }

  /** The ends of all ranges, and the key that is missing, are the same in every run. */
  #toKey(text: string): Uint8Array {
    return toBytes(text === '' || text === '\0' ? text : this.#prefix + text)
  }

  /** Fields with their default are left out. */
  fromResponse(response: object): JsonObject {
    const fields = Object.entries(response).flatMap(([name, value]) => {
      const json = this.#from(name, value)
      return json === undefined ? [] : [[name, json] as const]
    })
    return Object.fromEntries(fields)
  }

  #from(name: string, value: unknown): Json | undefined {
    if (name === 'header' && typeof value === 'object' && value !== null)
      // Ids and terms are those of a cluster.
      return this.fromResponse({ revision: (value as { readonly revision: number }).revision })
    if (Array.isArray(value))
      return value.length === 0 ? undefined : value.map((each) => this.#from(name, each) ?? null)
    if (value instanceof Uint8Array) {
      const text = Buffer.from(value).toString('latin1')
      return (KEYS.has(name) ? this.#fromKey(text) : text) || undefined
    }
    if (typeof value === 'bigint') return this.#fromLease(value) || undefined
    if (typeof value === 'number' && REVISIONS.has(name))
      return value > 0 ? value - this.#firstRevision + FIRST_REVISION : value || undefined
    if (typeof value === 'object' && value !== null) return this.fromResponse(value)
    return (value as Json | undefined) || undefined
  }

  #fromKey(text: string): string {
    return text.startsWith(this.#prefix) ? text.slice(this.#prefix.length) : text
  }

  #fromLease(id: bigint): Json {
    const from = id - this.#firstLease
    if (id <= 0n) return Number(id)
    return from > 0n && from < BigInt(LEASES_MAX) ? Number(from) : CHOSEN
  }
}

const toBytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'))
