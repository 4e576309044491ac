// Outcomes remembered for tokens, and the eviction of the oldest.
//
// Every outcome that apply decides for a request is remembered, including refusals: "nothing was written" must stay
// true when a copy of the request arrives late. Three refusals that concern the token itself are not remembered.
// "Expired" is not, because an expired token stays expired. "Used for another request" is not, because the record of
// the token is taken. "The previous row was requested" is not, because the request alone decides it.
//
// While rights are checked, a token belongs to its user: the same token of another user is another token. All records
// of a token are in one row, so that a repeat finds its outcome also after rights began or ceased to be checked. A user
// finds what was remembered while nobody was checked. While nobody is checked, a request finds the record of any user.
// In both cases the command must be the same.
//
// Neither values nor keys are stored: a repeated request carries its key.

import { equalBytes, Reader, readUint32, Writer } from '../bytes/index.ts'
import type { Revision } from '../operations/forms/index.ts'
import { readOutcome, writeOutcome } from './codec/outcome.ts'
import type { TokenOrderRow } from './codec/rows.ts'
import {
  decodeTokenOrderRow,
  encodeTokenOrderRow,
  rememberedBytes,
  tokenKey,
  tokenOrderKey,
} from './codec/rows.ts'
import { MalformedBytesError, MissingRowError } from './errors.ts'
import type { Command, KvState, Outcome, Rows } from './types.ts'
import { FINGERPRINT_BYTES } from './types.ts'

type Tokens = KvState['idempotencyTokens']

/**
 * Limits the work of one entry when a setting was lowered or many outcomes are due at once. Later entries evict the
 * rest.
 */
export const EVICTIONS_PER_ENTRY_MAX = 64

/** Limit on the users of one token. With so many records, its row has less than 3 MiB. */
export const TOKEN_USERS_MAX = 64

/** A record in the row of a token. */
interface TokenRecord {
  /** The auth revision at which its user was made; 0: rights were not checked. */
  readonly madeAt: number
  readonly print: Uint8Array
  readonly outcome: Uint8Array
}

/** The outcome remembered for this request; undefined when the token is new. `madeAt`: as of a record. */
export function lookUp(
  tokenRow: Uint8Array | undefined,
  {
    print,
    madeAt,
    command,
  }: { readonly print: Uint8Array; readonly madeAt: number; readonly command: Command },
): Outcome | 'other-request' | 'too-many-users' | undefined {
  if (tokenRow === undefined) return undefined
  const records = readRecords(tokenRow)
  const own = records.find((record) => record.madeAt === madeAt)
  const isSame = (record: TokenRecord): boolean => equalBytes(record.print, print)
  const visible =
    own !== undefined && isSame(own)
      ? own
      : records.find((record) => isVisible(record, madeAt) && isSame(record))
  if (visible !== undefined)
    return readOutcome(new Reader(visible.outcome, 'a token row', MalformedBytesError), command)
  if (own !== undefined) return 'other-request'
  return records.length >= TOKEN_USERS_MAX ? 'too-many-users' : undefined
}

/** A user finds only his own records, and those of nobody. */
const isVisible = (record: TokenRecord, madeAt: number): boolean => madeAt === 0 || record.madeAt === 0

function readRecords(tokenRow: Uint8Array): readonly TokenRecord[] {
  const from = new Reader(tokenRow, 'a token row', MalformedBytesError)
  const records: TokenRecord[] = []
  while (from.left > 0)
    records.push({ madeAt: from.uint64(), print: from.slice(FINGERPRINT_BYTES), outcome: from.bytes() })
  return records
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
    forgetRecord(row, rows)
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
  if (row === undefined) throw new MissingRowError(`token position ${position} has no row`)
  return decodeTokenOrderRow(row.bytes)
}

/** Deletes the record of a user. Nearly every row has no other one, and need not be read. */
function forgetRecord({ token, madeAt }: TokenOrderRow, rows: Rows): void {
  const key = tokenKey(token)
  const head = rows.read(key, true)
  const isAlone = head !== undefined && head.length === recordEnd(head.bytes)
  const row = isAlone ? undefined : rows.read(key, false)
  const kept = row === undefined ? [] : readRecords(row.bytes).filter((record) => record.madeAt !== madeAt)
  rows.write({ key, value: kept.length === 0 ? undefined : encodeRecords(kept) })
}

const recordEnd = (row: Uint8Array): number => RECORD_HEAD_BYTES + readUint32(row, RECORD_HEAD_BYTES - 4)

function encodeRecords(records: readonly TokenRecord[]): Uint8Array {
  const to = scratch.clear()
  for (const { madeAt, print, outcome } of records) to.uint64(madeAt).raw(print).bytes(outcome)
  return to.copy()
}

/**
 * Writes the rows of an outcome: a record in the row of the token, and the row of its position. `isShared`: the token
 * had a row when the entry began, with the records of other users.
 */
export function remember(
  tokens: Tokens,
  { token, madeAt }: Pick<TokenOrderRow, 'token' | 'madeAt'>,
  record: Uint8Array,
  revision: Revision,
  clusterTimeMs: number,
  rows: Rows,
  isShared: boolean,
): Tokens {
  const bytes = rememberedBytes(token, record)
  const key = tokenKey(token)
  // Making room may have deleted these.
  const others = isShared ? rows.read(key, false)?.bytes : undefined
  rows.write(others === undefined ? { key, value: record } : { key, value: joined(others, record) })
  rows.write({
    key: tokenOrderKey(tokens.next),
    value: encodeTokenOrderRow({ token, madeAt, clusterTimeMs, revision, bytes }),
  })
  return {
    ...tokens,
    count: tokens.count + 1,
    bytes: tokens.bytes + bytes,
    next: tokens.next + 1,
    oldestAtMs: tokens.count === 0 ? clusterTimeMs : tokens.oldestAtMs,
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length)
  both.set(first)
  both.set(second, first.length)
  return both
}

const scratch = new Writer()
const outcomeScratch = new Writer()
const RECORD_HEAD_BYTES = 8 + FINGERPRINT_BYTES + 4

/** The record of an outcome in the row of its token. */
export function encodeTokenRecord(madeAt: number, print: Uint8Array, outcome: Outcome): Uint8Array {
  writeOutcome(outcome, outcomeScratch.clear())
  return scratch.clear().uint64(madeAt).raw(print).bytes(outcomeScratch.written()).copy()
}
