// Remembered outcomes: what a token row holds, and how the oldest outcomes are forgotten.
//
// Every outcome that apply decides for a request is remembered, refusals too: an answer "nothing was written" must stay
// true when a copy of the request arrives late. Three refusals that concern the token itself are not remembered:
// "expired", because an expired token stays expired; "used for another request", because the row of the token is taken;
// and "the row before was asked for", because the request alone decides it.
//
// An outcome in bytes: code (1), revision (8), then
//   put                 create_revision (8), mod_revision (8), version (8)
//   delete              deleted (1)
//   precondition failed 0, or 1, create_revision (8), mod_revision (8), version (8) of the key as it was
//   settings            all of them (`settings.ts`)
//   refused             reason (1), two numbers (8 each): `refusals.ts`
// Neither values nor keys are stored: a repeated request carries its key.

import { equalBytes, Reader, writeUint64 } from '../bytes/index.ts'
import { assertNever, MalformedBytesError, UnknownKindError } from './errors.ts'
import { FINGERPRINT_BYTES } from './fingerprint.ts'
import { REASONS, refused } from './refusals.ts'
import type { TokenOrderRow } from './rows.ts'
import { decodeTokenOrderRow, encodeTokenOrderRow, rememberedBytes, tokenKey, tokenOrderKey } from './rows.ts'
import { readAllSettings, settingsBytes, writeSettings } from './settings.ts'
import type { Command, KeyMeta, KvState, Outcome, ReadRow, Revision, RowChange } from './types.ts'
import { asRevision } from './types.ts'

type Tokens = KvState['tokens']

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
 * nothing. Therefore a token whose `since` is the store's revision is never refused.
 */
export function isForgotten(since: Revision, { revision, tokens }: KvState): boolean {
  return since < tokens.horizon || (since === tokens.horizon && since < revision)
}

/**
 * Whether the oldest outcome must be forgotten. `incoming`: the bytes of a new outcome to make room for; 0: no new one.
 */
export function evictionDue(
  {
    tokens,
    settings,
    clusterTimeMs,
  }: Pick<KvState, 'settings' | 'clusterTimeMs'> & {
    readonly tokens: Pick<Tokens, 'count' | 'bytes' | 'oldestAtMs'>
  },
  incoming: number,
): boolean {
  const { count, bytes, oldestAtMs } = tokens
  return (
    count > 0 &&
    (count + (incoming > 0 ? 1 : 0) > settings.idempotencyTokensMax ||
      bytes + incoming > settings.idempotencyBytesMax ||
      clusterTimeMs - oldestAtMs > settings.idempotencyAgeMsMax)
  )
}

/** Forgets the outcomes that are due. Appends to `changes`. */
export function evict(
  { tokens, settings, clusterTimeMs }: KvState,
  incoming: number,
  changes: RowChange[],
  read: ReadRow,
): Tokens {
  let { count, bytes, oldest, oldestAtMs, horizon } = tokens
  const due = () => evictionDue({ tokens: { count, bytes, oldestAtMs }, settings, clusterTimeMs }, incoming)
  if (!due()) return tokens

  let row = readOrderRow(oldest, read)
  for (let evicted = 0; evicted < EVICTIONS_PER_ENTRY_MAX && due(); evicted++) {
    changes.push(
      { key: tokenKey(row.token), value: undefined },
      { key: tokenOrderKey(oldest), value: undefined },
    )
    count--
    bytes -= row.bytes
    oldest++
    // Revisions never decrease from one position to the next.
    horizon = row.revision
    if (count === 0) break
    row = readOrderRow(oldest, read)
    oldestAtMs = row.clusterTimeMs
  }
  return { count, bytes, oldest, next: tokens.next, oldestAtMs, horizon }
}

function readOrderRow(position: number, read: ReadRow): TokenOrderRow {
  const row = read(tokenOrderKey(position), false)
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
  changes: RowChange[],
): Tokens {
  const bytes = rememberedBytes(token, tokenRow)
  changes.push(
    { key: tokenKey(token), value: tokenRow },
    {
      key: tokenOrderKey(tokens.next),
      value: encodeTokenOrderRow({ token, clusterTimeMs, revision, bytes }),
    },
  )
  return {
    ...tokens,
    count: tokens.count + 1,
    bytes: tokens.bytes + bytes,
    next: tokens.next + 1,
    oldestAtMs: tokens.count === 0 ? clusterTimeMs : tokens.oldestAtMs,
  }
}

export function encodeTokenRow(print: Uint8Array, outcome: Outcome): Uint8Array {
  const bytes = new Uint8Array(FINGERPRINT_BYTES + outcomeBytes(outcome))
  bytes.set(print)
  writeOutcome(outcome, bytes, FINGERPRINT_BYTES)
  return bytes
}

const PUT = 1
const DELETE = 2
const PRECONDITION_FAILED = 3
const SETTINGS = 4
const REFUSED = 5

function outcomeBytes(outcome: Outcome): number {
  switch (outcome.kind) {
    case 'put':
      return 9 + 24
    case 'delete':
      return 9 + 1
    case 'precondition-failed':
      return 9 + (outcome.current === null ? 1 : 25)
    case 'settings':
      return 9 + settingsBytes(outcome.settings)
    case 'refused':
      return 9 + 17
    default:
      return assertNever(outcome, 'outcome')
  }
}

function writeOutcome(outcome: Outcome, target: Uint8Array, at: number): void {
  writeUint64(target, at + 1, outcome.revision)
  switch (outcome.kind) {
    case 'put':
      target[at] = PUT
      writeMeta(outcome, target, at + 9)
      break
    case 'delete':
      target[at] = DELETE
      target[at + 9] = outcome.deleted
      break
    case 'precondition-failed':
      target[at] = PRECONDITION_FAILED
      target[at + 9] = outcome.current === null ? 0 : 1
      if (outcome.current !== null) writeMeta(outcome.current, target, at + 10)
      break
    case 'settings':
      target[at] = SETTINGS
      writeSettings(outcome.settings, target, at + 9)
      break
    case 'refused':
      target[at] = REFUSED
      target[at + 9] = REASONS.indexOf(outcome.reason)
      writeUint64(target, at + 10, outcome.numbers[0])
      writeUint64(target, at + 18, outcome.numbers[1])
      break
    default:
      assertNever(outcome, 'outcome')
  }
}

function readOutcome(from: Reader, command: Command): Outcome {
  const code = from.uint8()
  const revision = asRevision(from.uint64())
  switch (code) {
    case PUT:
      return { kind: 'put', revision, ...readMeta(from), prev: undefined }
    case DELETE:
      return { kind: 'delete', deleted: from.uint8() === 0 ? 0 : 1, revision, prev: undefined }
    case PRECONDITION_FAILED: {
      if (from.uint8() === 0 || command.kind === 'settings')
        return { kind: 'precondition-failed', revision, current: null }
      return { kind: 'precondition-failed', revision, current: { key: command.key, ...readMeta(from) } }
    }
    case SETTINGS:
      return { kind: 'settings', revision, settings: readAllSettings(from) }
    case REFUSED: {
      const number = from.uint8()
      const reason = REASONS[number]
      if (reason === undefined) throw new UnknownKindError(`refusal ${number} in a token row`)
      return refused(revision, reason, [from.uint64(), from.uint64()])
    }
    default:
      throw new UnknownKindError(`outcome ${code} in a token row`)
  }
}

function writeMeta(meta: Omit<KeyMeta, 'key'>, target: Uint8Array, at: number): void {
  writeUint64(target, at, meta.createRevision)
  writeUint64(target, at + 8, meta.modRevision)
  writeUint64(target, at + 16, meta.version)
}

const readMeta = (from: Reader): Omit<KeyMeta, 'key'> => ({
  createRevision: asRevision(from.uint64()),
  modRevision: asRevision(from.uint64()),
  version: from.uint64(),
})
