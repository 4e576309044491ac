// Outcomes remembered for tokens, and the eviction of the oldest.
//
// Every outcome that apply decides for a request is remembered, including refusals: "nothing was written" must stay
// true when a copy of the request arrives late. Three refusals that concern the token itself are not remembered.
// "Expired" is not, because an expired token stays expired. "Used for another request" is not, because the row of the
// token is taken. "The previous row was requested" is not, because the request alone decides it.
//
// Neither values nor keys are stored: a repeated request carries its key.

import { equalBytes, Reader, Writer, writeUint32 } from '../bytes/index.ts'
import { readOutcome, writeOutcome } from './codec/outcome.ts'
import type { TokenOrderRow } from './codec/rows.ts'
import {
  decodeTokenOrderRow,
  encodeTokenOrderRow,
  rememberedBytes,
  tokenKey,
  tokenOrderKey,
} from './codec/rows.ts'
import { MalformedBytesError } from './errors.ts'
import type { Command, KvState, Outcome, Revision, Rows } from './types.ts'

type Tokens = KvState['idempotencyTokens']

/**
 * Limits the work of one entry when a setting was lowered or many outcomes are due at once. Later entries evict the
 * rest.
 */
export const EVICTIONS_PER_ENTRY_MAX = 64

/** The outcome remembered for this request; undefined when the token is new. */
export function lookUp(
  tokenRow: Uint8Array | undefined,
  print: Uint8Array,
  command: Command,
): Outcome | 'other-request' | undefined {
  if (tokenRow === undefined) return undefined
  if (!equalBytes(tokenRow.subarray(0, FINGERPRINT_BYTES), print)) return 'other-request'
  const from = new Reader(tokenRow.subarray(FINGERPRINT_BYTES), 'a token row', MalformedBytesError)
  return readOutcome(from, command)
}

/**
 * Whether the outcome of a token may have been forgotten. `since` is the store's revision when the token was first
 * sent, or an older one.
 *
 * A request that changed something has an outcome above its `since`. A request that changed nothing may have an outcome
 * exactly at its `since`. Below the horizon both kinds may be forgotten; at the horizon only the second kind. A token
 * at the horizon is refused too, unless the store is still at that revision. In that case neither keys nor settings
 * have changed since the forgotten outcome, so a late copy of the request gets the same outcome again and changes
 * nothing. Therefore a token whose `since` is the store's revision is never refused. Leases and compaction are the
 * exception: they change what an outcome may be and raise no revision. A late copy that grants or needs a lease, or
 * compacts, may have another outcome then.
 */
export function isForgotten(since: Revision, { revision, idempotencyTokens }: KvState): boolean {
  return since < idempotencyTokens.horizon || (since === idempotencyTokens.horizon && since < revision)
}

/**
 * Whether the oldest outcome must be forgotten. `incoming`: the bytes of a new outcome to make room for; 0: no new one.
 */
function evictionDue(
  { count, bytes, oldestAtMs }: Pick<Tokens, 'count' | 'bytes' | 'oldestAtMs'>,
  settings: KvState['settings'],
  clusterTimeMs: number,
  incoming: number,
): boolean {
  return (
    count > 0 &&
    (count + (incoming > 0 ? 1 : 0) > settings.idempotencyTokensMax ||
      bytes + incoming > settings.idempotencyBytesMax ||
      clusterTimeMs - oldestAtMs > settings.idempotencyAgeMsMax)
  )
}

/** Forgets the outcomes that are due. */
export function evict(
  { idempotencyTokens, settings, clusterTimeMs }: KvState,
  incoming: number,
  rows: Rows,
): Tokens {
  let { count, bytes, oldest, oldestAtMs, horizon } = idempotencyTokens
  if (!evictionDue(idempotencyTokens, settings, clusterTimeMs, incoming)) return idempotencyTokens

  let row = readOrderRow(oldest, rows)
  for (let evicted = 0; evicted < EVICTIONS_PER_ENTRY_MAX; evicted++) {
    if (!evictionDue({ count, bytes, oldestAtMs }, settings, clusterTimeMs, incoming)) break
    rows.write({ key: tokenKey(row.token), value: undefined })
    rows.write({ key: tokenOrderKey(oldest), value: undefined })
    count--
    bytes -= row.bytes
    oldest++
    // Revisions never decrease from one position to the next.
    horizon = row.revision
    if (count === 0) break
    row = readOrderRow(oldest, rows)
    oldestAtMs = row.clusterTimeMs
  }
  return { count, bytes, oldest, next: idempotencyTokens.next, oldestAtMs, horizon }
}

function readOrderRow(position: number, rows: Rows): TokenOrderRow {
  const row = rows.read(tokenOrderKey(position), false)
  if (row === undefined) throw new MalformedBytesError(`token position ${position} has no row`)
  return decodeTokenOrderRow(row.bytes)
}

/** Writes the two rows of an outcome: the one of the token, and the one of its position. */
export function remember(
  tokens: Tokens,
  token: Uint8Array,
  tokenRow: Uint8Array,
  revision: Revision,
  clusterTimeMs: number,
  rows: Rows,
): Tokens {
  const bytes = rememberedBytes(token, tokenRow)
  rows.write({ key: tokenKey(token), value: tokenRow })
  rows.write({
    key: tokenOrderKey(tokens.next),
    value: encodeTokenOrderRow({ token, clusterTimeMs, revision, bytes }),
  })
  return {
    ...tokens,
    count: tokens.count + 1,
    bytes: tokens.bytes + bytes,
    next: tokens.next + 1,
    oldestAtMs: tokens.count === 0 ? clusterTimeMs : tokens.oldestAtMs,
  }
}

const scratch = new Writer()

export function encodeTokenRow(print: Uint8Array, outcome: Outcome): Uint8Array {
  writeOutcome(outcome, scratch.clear().raw(print))
  return scratch.copy()
}

// ---------------------------------------------------------------------------------------------------------------------
// Tells two different requests with the same idempotency token apart. 64 bits: two lanes of MurmurHash3 (Appleby,
// public domain) with different seeds. It detects a client's mistake. It does not protect against an attacker.

export const FINGERPRINT_BYTES = 8

/** The fingerprint of `bytes` in an entry of `kind`. */
export function fingerprint(kind: number, bytes: Uint8Array): Uint8Array {
  const print = new Uint8Array(FINGERPRINT_BYTES)
  writeUint32(print, 0, murmur3(bytes, kind))
  writeUint32(print, 4, murmur3(bytes, ~kind))
  return print
}

/** The first of the two lanes alone, for a request that is known by a session, its slot and its number. */
export const fingerprint32 = (kind: number, bytes: Uint8Array): number => murmur3(bytes, kind)

/** A DataView reads a word four times as fast as four reads of bytes. Making it takes as long as reading 60 bytes. */
function murmur3(bytes: Uint8Array, seed: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const whole = bytes.length & ~3
  let hash = seed
  for (let at = 0; at < whole; at += 4) {
    hash ^= scramble(view.getInt32(at, true))
    // Without `| 0` the sum would be no 32-bit integer, and V8 would calculate with doubles.
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0
  }
  let tail = 0
  for (let at = bytes.length - 1; at >= whole; at--) tail = (tail << 8) | view.getUint8(at)
  hash ^= scramble(tail) ^ bytes.length
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

function scramble(word: number): number {
  const product = Math.imul(word, 0xcc9e2d51)
  return Math.imul((product << 15) | (product >>> 17), 0x1b873593)
}
