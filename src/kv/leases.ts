// Leases: a key that is attached to a lease is deleted when the lease ends. A lease ends when its time to live has
// passed since it was granted or renewed, or when it is revoked.
//
//   lease        key    6, id (8)
//                value  flags (1), time to live (8), deadline in cluster time (8), number of keys (4), bytes of keys (4),
//                       beginning of the keys (up to KEY_PREFIX_BYTES_MAX)
//                       flag 1, owned: a put has made it for its key. It ends, too, when that key has it no longer
//                       flag 2: it has an owner
//                       flag 4: it is ending. Some of its keys are deleted, and the others will be
//   owner        key    10, id of the lease (8)
//                value  the user who was granted the lease: the auth revision at which he was made (8), name in ASCII
//   attachment   key    7, id of the lease (8), user's key
//                value  0
//
// The deadline is later than the time to live by `leaseCheckpointMs`. The leader ends a lease earlier, when its time to
// live has passed since the last keep-alive, which it knows in memory (`src/server/node/leases`). As long as what a
// keep-alive promises is before the deadline, it needs no entry. A new leader, which does not know of it, keeps the
// lease until its deadline.
//
// Each renewal gives a lease another deadline. So an entry that was made to end it before does not end it any more.
//
// A lease with more keys than an entry may delete ends in parts. The entry that ends it deletes the first ones, and
// marks the lease as ending. For clients it does not exist any more: nothing renews it, and no key is attached to it.
// Each further entry that ends it deletes the next part, and the one that deletes the last key deletes the lease.

import {
  Reader,
  readBigUint64,
  SIPHASH_KEY_BYTES,
  sipHash,
  writeAscii,
  writeBigUint64,
  writeUint32,
  writeUint64,
} from '../bytes/index.ts'
import {
  type LeaseId,
  type PutLease,
  type RecordMetadata,
  TTL_MS_MAX,
  TTL_MS_MIN,
} from '../operations/forms/index.ts'
import { hasFeature } from '../operations/forms/settings.ts'
import type { ApplyContext } from './apply-context.ts'
import { readLeaseIdKey } from './auth/state.ts'
import { asLeaseId } from './codec/rows.ts'
import { MalformedBytesError, MissingRowError, UnknownKindError } from './errors.ts'
import { leaseNumbers, rejection } from './rejections.ts'
import { areTooManyKeys, keyLimits } from './settings.ts'
import type { KvState, Rejection, Rows, UserIdentity } from './types.ts'
import { TABLE_ATTACHMENTS, TABLE_LEASE_OWNERS, TABLE_LEASES } from './types.ts'

const OWNED = 1
const HAS_OWNER = 2
const ENDING = 4
const ID_AT = 1
const ID_END = 9
const FIXED_BYTES = 25
/** Limit on the beginning of its keys in the row of a lease. A row is no longer than ROW_HEAD_BYTES with it. */
export const KEY_PREFIX_BYTES_MAX = 20
const NO_PREFIX = new Uint8Array(0)

export interface Lease {
  /** Whether a put made the lease, for the key of that put alone. */
  readonly owned: boolean
  /** A row has the name of the user who was granted it. */
  readonly hasOwner: boolean
  /** Whether its keys are being deleted, in parts. For clients there is no such lease any more. */
  readonly isEnding: boolean
  readonly ttlMs: number
  /** In cluster time. */
  readonly deadlineMs: number
  readonly keys: number
  /** The bytes of these keys. */
  readonly keyBytes: number
  /**
   * The beginning of all these keys, up to KEY_PREFIX_BYTES_MAX. Rights on the keys are mostly decided by it, without
   * reading them. Empty without keys. It does not grow when keys leave the lease.
   */
  readonly keyPrefix: Uint8Array
}

/**
 * No lease was ever granted. The ids of a cluster begin at a number of its own, out of 2^51. So the id of a lease of a
 * cluster that was destroyed or restored names no lease in the next one. `clusterId`: decimal digits.
 */
export const noLeases = (clusterId: string): KvState['leases'] => ({
  count: 0,
  chosen: Number(hashed(NO_KEY, BigInt(clusterId)) >> 12n),
})

// ---------------------------------------------------------------------------------------------------------------------
// Rows

export const leaseKey = (id: LeaseId): Uint8Array => tableKey(TABLE_LEASES, id, 0)

export const leaseOwnerKey = (id: LeaseId): Uint8Array => tableKey(TABLE_LEASE_OWNERS, id, 0)

/** The rows of all leases after `after`, in the order of their ids. */
export const leasesAfter = (after: LeaseId | undefined): { gte: Uint8Array; lt: Uint8Array } => ({
  // One byte longer than a key: behind it.
  gte: after === undefined ? Uint8Array.of(TABLE_LEASES) : tableKey(TABLE_LEASES, after, 1),
  lt: Uint8Array.of(TABLE_LEASES + 1),
})

/** The rows of all keys of a lease, in the order of the keys. */
export function attachmentRange(id: LeaseId): { gte: Uint8Array; lt: Uint8Array } {
  const next = BigInt(id) + 1n
  const isLast = next === 2n ** 64n
  return {
    gte: tableKey(TABLE_ATTACHMENTS, id, 0),
    lt: isLast ? Uint8Array.of(TABLE_ATTACHMENTS + 1) : tableKey(TABLE_ATTACHMENTS, asLeaseId(next), 0),
  }
}

/** The id in the key of the row of a lease. */
export function leaseOfKey(rowKey: Uint8Array): LeaseId {
  if (rowKey[0] !== TABLE_LEASES || rowKey.length !== ID_END)
    throw new MalformedBytesError(`row of table ${rowKey[0]}, not of leases`)
  return asLeaseId(readBigUint64(rowKey, ID_AT))
}

/** The user's key in the key of an attachment. */
export function attachedKey(rowKey: Uint8Array): Uint8Array {
  if (rowKey[0] !== TABLE_ATTACHMENTS || rowKey.length <= ID_END)
    throw new MalformedBytesError(`row of table ${rowKey[0]}, not of attachments`)
  return rowKey.subarray(ID_END)
}

export function decodeLease(row: Uint8Array): Lease {
  const from = new Reader(row, 'the row of a lease', MalformedBytesError)
  const flags = from.uint8()
  if (flags > (OWNED | HAS_OWNER | ENDING)) throw new UnknownKindError(`flags ${flags} of a lease`)
  const lease = {
    owned: (flags & OWNED) !== 0,
    hasOwner: (flags & HAS_OWNER) !== 0,
    isEnding: (flags & ENDING) !== 0,
    ttlMs: from.uint64(),
    deadlineMs: from.uint64(),
    keys: from.uint32(),
    keyBytes: from.uint32(),
    keyPrefix: from.rest(),
  }
  const { keys, keyPrefix } = lease
  if (keyPrefix.length > (keys === 0 ? 0 : KEY_PREFIX_BYTES_MAX))
    throw new MalformedBytesError(`a beginning of ${keyPrefix.length} bytes of the ${keys} keys of a lease`)
  return lease
}

function writeLease(id: LeaseId, lease: Lease, rows: Rows): void {
  const { owned, hasOwner, isEnding, ttlMs, deadlineMs, keys, keyBytes, keyPrefix } = lease
  const bytes = new Uint8Array(FIXED_BYTES + keyPrefix.length)
  bytes[0] = (owned ? OWNED : 0) | (hasOwner ? HAS_OWNER : 0) | (isEnding ? ENDING : 0)
  writeUint64(bytes, 1, ttlMs)
  writeUint64(bytes, 9, deadlineMs)
  writeUint32(bytes, 17, keys)
  writeUint32(bytes, 21, keyBytes)
  bytes.set(keyPrefix, FIXED_BYTES)
  rows.write({ key: leaseKey(id), value: bytes })
}

function attachmentKey(id: LeaseId, key: Uint8Array): Uint8Array {
  const bytes = tableKey(TABLE_ATTACHMENTS, id, key.length)
  bytes.set(key, ID_END)
  return bytes
}

const ATTACHED = Uint8Array.of(0)

function tableKey(table: number, id: LeaseId, more: number): Uint8Array {
  const bytes = new Uint8Array(ID_END + more)
  bytes[0] = table
  writeBigUint64(bytes, ID_AT, BigInt(id))
  return bytes
}

// ---------------------------------------------------------------------------------------------------------------------
// Leases that exist

type LeaseContext = Pick<ApplyContext, 'state' | 'rows' | 'by'>

/** A lease, also one that is ending. */
export function readLease(id: LeaseId, { rows }: LeaseContext): Lease | undefined {
  const row = rows.read(leaseKey(id), true)
  return row === undefined ? undefined : decodeLease(row.bytes)
}

/** A lease that exists for clients. */
function readLivingLease(id: LeaseId, work: LeaseContext): Lease | undefined {
  const lease = readLease(id, work)
  return lease?.isEnding ? undefined : lease
}

/** The user in the row of an owner. */
export function decodeLeaseOwner(row: Uint8Array): UserIdentity {
  const from = new Reader(row, 'the row of an owner of a lease', MalformedBytesError)
  return { madeAt: from.uint64(), name: from.ascii(from.left) }
}

function encodeOwner({ name, madeAt }: UserIdentity): Uint8Array {
  const row = new Uint8Array(8 + name.length)
  writeUint64(row, 0, madeAt)
  writeAscii(row, 8, name)
  return row
}

/** A lease that must exist. */
function existing(id: LeaseId, work: LeaseContext): Lease {
  const lease = readLease(id, work)
  if (lease === undefined) throw new MissingRowError(`lease ${id} has a key and no row`)
  return lease
}

export function addLease(
  id: LeaseId,
  { ttlMs, owned }: Pick<Lease, 'ttlMs' | 'owned'>,
  work: LeaseContext,
): void {
  const { state, rows, by } = work
  const hasOwner = by !== undefined
  const deadlineMs = deadlineFrom(ttlMs, state)
  const lease = { owned, hasOwner, isEnding: false, ttlMs, deadlineMs }
  writeLease(id, { ...lease, keys: 0, keyBytes: 0, keyPrefix: NO_PREFIX }, rows)
  if (hasOwner) rows.write({ key: leaseOwnerKey(id), value: encodeOwner(by) })
  state.leases = { ...state.leases, count: state.leases.count + 1 }
}

/** Begins the lease anew. Returns its time to live; undefined: there is no such lease. */
export function renewLease(id: LeaseId, work: LeaseContext): number | undefined {
  const lease = readLivingLease(id, work)
  if (lease === undefined) return undefined
  const deadlineMs = Math.max(lease.deadlineMs + 1, deadlineFrom(lease.ttlMs, work.state))
  writeLease(id, { ...lease, deadlineMs }, work.rows)
  return lease.ttlMs
}

function removeLease(
  id: LeaseId,
  { hasOwner }: Pick<Lease, 'hasOwner'>,
  { state, rows }: LeaseContext,
): void {
  rows.write({ key: leaseKey(id), value: undefined })
  if (hasOwner) rows.write({ key: leaseOwnerKey(id), value: undefined })
  state.leases = { ...state.leases, count: state.leases.count - 1 }
}

const deadlineFrom = (ttlMs: number, { clusterTimeMs, settings }: KvState): number =>
  clusterTimeMs + ttlMs + settings.leaseCheckpointMs

/**
 * An id that no lease has: a keyed hash of how many were chosen. Every replica chooses the same. The proposer could not
 * choose it: a repeated request with a token must have the same bytes. From the first check of rights on, the key is a
 * secret of the cluster. So the ids of a user's own leases say nothing about those of others.
 */
export function chooseId(work: LeaseContext): LeaseId {
  const { state, rows } = work
  const key = readLeaseIdKey(rows)?.slice() ?? NO_KEY
  for (;;) {
    const chosen = state.leases.chosen + 1
    state.leases = { ...state.leases, chosen }
    const bits = hashed(key, BigInt(chosen))
    const id = asLeaseId(bits)
    if (bits !== 0n && readLease(id, work) === undefined) return id
  }
}

/** Key for ids of leases until rights are checked for the first time. Until then ids need not be secret. */
const NO_KEY = new Uint8Array(SIPHASH_KEY_BYTES)

/** 63 bits: clients keep the id of a lease as a signed integer. */
function hashed(key: Uint8Array, number: bigint): bigint {
  const message = new Uint8Array(8)
  writeBigUint64(message, 0, number)
  const { high, low } = sipHash(key, message)
  return (BigInt(high & 0x7fff_ffff) << 32n) | BigInt(low)
}

// ---------------------------------------------------------------------------------------------------------------------
// The end of leases

/** A lease that ends in parts has about so many parts for each entry full of keys. */
const PARTS = 10

/** Limits of the keys that one entry deletes of a lease. It deletes at least one. */
interface LeasePart {
  readonly keysMax: number
  readonly keyBytesMax: number
}

/**
 * The part of a lease that the next entry deletes, which ends it; undefined: all of it. Other entries wait while a part
 * is applied. So the parts are smaller than what fits into an entry.
 */
export function partOfLease(
  { isEnding, keys, keyBytes }: Pick<Lease, 'isEnding' | 'keys' | 'keyBytes'>,
  settings: KvState['settings'],
): LeasePart | undefined {
  if (!hasFeature(settings, 'leaseParts')) return undefined
  if (!isEnding && !areTooManyKeys(keys, keyBytes, settings)) return undefined
  return {
    keysMax: Math.ceil(settings.rangeKeysMax / PARTS),
    keyBytesMax: Math.ceil(settings.rangeBytesMax / PARTS),
  }
}

/** Some keys of the lease, with so many bytes, are deleted and detached. Returns how many keys it still has. */
export function endLease(
  id: LeaseId,
  lease: Lease,
  deleted: Pick<Lease, 'keys' | 'keyBytes'>,
  work: LeaseContext,
): number {
  const keys = lease.keys - deleted.keys
  if (keys === 0) removeLease(id, lease, work)
  else
    writeLease(id, { ...lease, isEnding: true, keys, keyBytes: lease.keyBytes - deleted.keyBytes }, work.rows)
  return keys
}

// ---------------------------------------------------------------------------------------------------------------------
// Keys of leases

/** The lease that a put gives its key. One of its own is made now. */
export function leaseOfPut(requested: PutLease | undefined, work: LeaseContext): LeaseId | undefined {
  if (requested === undefined) return undefined
  if ('id' in requested) return requested.id
  const id = chooseId(work)
  addLease(id, { ttlMs: requested.ttlMs, owned: true }, work)
  return id
}

/** The key is attached to `to`, and no longer to `from`. */
export function moveLease(
  key: Uint8Array,
  from: LeaseId | undefined,
  to: LeaseId | undefined,
  work: LeaseContext,
): void {
  if (from === to) return
  if (from !== undefined) {
    unlink(from, key, work)
    const lease = existing(from, work)
    // It has no other key.
    if (lease.owned) removeLease(from, lease, work)
    else writeLease(from, withoutKey(lease, key), work.rows)
  }
  if (to !== undefined) {
    work.rows.write({ key: attachmentKey(to, key), value: ATTACHED })
    writeLease(to, withKey(existing(to, work), key), work.rows)
  }
}

const withKey = (lease: Lease, key: Uint8Array): Lease => ({
  ...lease,
  keys: lease.keys + 1,
  keyBytes: lease.keyBytes + key.length,
  keyPrefix: lease.keys === 0 ? key.slice(0, KEY_PREFIX_BYTES_MAX) : commonPrefix(lease.keyPrefix, key),
})

const withoutKey = (lease: Lease, key: Uint8Array): Lease => ({
  ...lease,
  keys: lease.keys - 1,
  keyBytes: lease.keyBytes - key.length,
  keyPrefix: lease.keys === 1 ? NO_PREFIX : lease.keyPrefix,
})

function commonPrefix(prefix: Uint8Array, key: Uint8Array): Uint8Array {
  const end = prefix.findIndex((byte, at) => byte !== key[at])
  return end === -1 ? prefix : prefix.subarray(0, end)
}

/** Removes only the attachment. */
export function unlink(id: LeaseId, key: Uint8Array, { rows }: LeaseContext): void {
  rows.write({ key: attachmentKey(id, key), value: undefined })
}

// ---------------------------------------------------------------------------------------------------------------------
// Refusals

export const ttlFault = (ttlMs: number, { revision }: KvState): Rejection | undefined =>
  ttlMs >= TTL_MS_MIN && ttlMs <= TTL_MS_MAX ? undefined : rejection(revision, 'ttl-out-of-range', [ttlMs, 0])

/** The highest counts in the row of a lease. */
const ROW_LIMITS = { rangeKeysMax: 2 ** 32 - 1, rangeBytesMax: 2 ** 32 - 1 }

/** `added`: leases that will be made. */
export function countFault(added: number, { revision, settings, leases }: KvState): Rejection | undefined {
  if (added <= 0 || leases.count + added <= settings.leasesMax) return undefined
  return rejection(revision, 'leases-full', [leases.count, settings.leasesMax])
}

/** Checks of the leases that the puts of one entry request. */
export class LeaseChecks {
  readonly #work: LeaseContext
  /** Leases that the puts make, less those that end with the old values of their keys. */
  #added = 0
  /** The keys that leases have with these puts, and their bytes. */
  readonly #attached = new Map<LeaseId, { readonly keys: number; readonly keyBytes: number }>()

  constructor(work: LeaseContext) {
    this.#work = work
  }

  /** Why the put of `key` is refused; undefined: it is not. `current`: the key before the entry. */
  fault(
    key: Uint8Array,
    requested: PutLease | undefined,
    current: RecordMetadata | null,
  ): Rejection | undefined {
    const before = current?.lease
    if (requested === undefined) return undefined
    if ('id' in requested) return this.#checkAttachment(key, requested.id, before)
    const { state } = this.#work
    const endsOwn = before !== undefined && readLease(before, this.#work)?.owned === true
    this.#added += endsOwn ? 0 : 1
    return ttlFault(requested.ttlMs, state) ?? countFault(this.#added, state)
  }

  #checkAttachment(key: Uint8Array, id: LeaseId, before: LeaseId | undefined): Rejection | undefined {
    const { revision, settings } = this.#work.state
    const lease = readLivingLease(id, this.#work)
    if (lease === undefined) return rejection(revision, 'lease-not-found', leaseNumbers(id))
    if (id === before) return undefined
    if (lease.owned) return rejection(revision, 'lease-owned', leaseNumbers(id))
    const { keys, keyBytes } = this.#attached.get(id) ?? lease
    const now = { keys: keys + 1, keyBytes: keyBytes + key.length }
    this.#attached.set(id, now)
    const limits = hasFeature(settings, 'leaseParts') ? ROW_LIMITS : settings
    if (!areTooManyKeys(now.keys, now.keyBytes, limits)) return undefined
    return rejection(revision, 'lease-full', keyLimits(limits))
  }
}
