// Requests and responses as they read the same on every server: keys without the prefix of the run, revisions as if
// the store had been at revision 10 when it began, ids of leases from 1.

import { crc32 } from 'node:zlib'

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
  'rev',
])
const KEYS = new Set(['key', 'rangeEnd', 'keys'])
const LEASES = new Set(['lease', 'id'])
/** Fields that are text and no bytes. A name is text in the services of users and members. */
const TEXTS = new Set(['user', 'role', 'password', 'service', 'version', 'peerUrls'])
/** Ids of leases that one conversation may choose. */
const LEASES_MAX = 1_000
/** The word for an id that the server has chosen. */
const CHOSEN = 'chosen'
/** The word for the member that answers. */
export const SELF = 'self'
/** Bytes of a value that are shown. Of a longer one, its length and its checksum are. */
const SHOWN_BYTES_MAX = 100
/** An id in hexadecimal at the end of a key. */
const CANDIDATE = /\/([0-9a-f]+)$/

export class Frame {
  readonly #prefix: string
  readonly #firstRevision: number
  readonly #firstLease: bigint
  readonly #memberId: bigint

  constructor(prefix: string, run: number, firstRevision: number, memberId: bigint) {
    this.#prefix = prefix
    this.#firstRevision = firstRevision
    this.#firstLease = BigInt(run) * BigInt(LEASES_MAX)
    this.#memberId = memberId
  }

  /** `names`: what a field `name` is. */
  toRequest(json: JsonObject, names: 'keys' | 'texts' = 'texts'): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(json).map(([name, value]) => [name, this.#to(name, value, names)]),
    )
  }

  #to(name: string, json: Json, names: 'keys' | 'texts'): unknown {
    if (json === SELF) return this.#memberId
    if (Array.isArray(json)) return json.map((each: Json) => this.#to(name, each, names))
    if (typeof json === 'object' && json !== null) {
      const { bytes } = json as JsonObject
      // A long value is written by its length.
      return typeof bytes === 'number'
        ? new Uint8Array(bytes).fill(LETTER)
        : this.toRequest(json as JsonObject, names)
    }
    if (typeof json === 'string') {
      if (name === 'name') return names === 'texts' ? json : toBytes(this.#prefix + json)
      if (TEXTS.has(name)) return json
      return KEYS.has(name) ? this.toKey(json) : toBytes(json)
    }
    if (typeof json !== 'number') return json
    if (REVISIONS.has(name)) return json > 0 ? json - FIRST_REVISION + this.#firstRevision : json
    if (LEASES.has(name)) return json > 0 ? this.#firstLease + BigInt(json) : BigInt(json)
    return name.endsWith('Id') && name !== 'watchId' ? BigInt(json) : json
  }

  /**
   * The ends of all ranges, and the key that is missing, are the same in every run. `n/#1` is the key of a candidate
   * with the lease 1.
   */
  toKey(text: string): Uint8Array {
    const key = text.replace(/#(\d+)$/, (_, lease) => (this.#firstLease + BigInt(lease)).toString(16))
    return toBytes(text === '' || text === '\0' ? text : this.#prefix + key)
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
      if (KEYS.has(name) || name === 'name')
        return this.#fromKey(Buffer.from(value).toString('latin1')) || undefined
      if (value.length > SHOWN_BYTES_MAX) return { bytes: value.length, crc: crc32(value) }
      return Buffer.from(value).toString('latin1') || undefined
    }
    if (typeof value === 'bigint') return this.#fromId(value) || undefined
    if (typeof value === 'number' && REVISIONS.has(name))
      return value > 0 ? value - this.#firstRevision + FIRST_REVISION : value || undefined
    if (typeof value === 'object' && value !== null) return this.fromResponse(value)
    return (value as Json | undefined) || undefined
  }

  #fromKey(text: string): string {
    if (!text.startsWith(this.#prefix)) return text
    return text.slice(this.#prefix.length).replace(CANDIDATE, (_, hex) => {
      const id = this.#fromId(BigInt(`0x${hex}`))
      return id === CHOSEN ? `/${CHOSEN}` : `/#${id}`
    })
  }

  /** Whether the conversation has chosen this id of a lease. */
  isLease(id: bigint): boolean {
    const from = id - this.#firstLease
    return from > 0n && from < BigInt(LEASES_MAX)
  }

  #fromId(id: bigint): Json {
    if (id <= 0n) return Number(id)
    if (id === this.#memberId) return SELF
    return this.isLease(id) ? Number(id - this.#firstLease) : CHOSEN
  }
}

const LETTER = 'a'.charCodeAt(0)

const toBytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'))
