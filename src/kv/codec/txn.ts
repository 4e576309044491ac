// Transactions, ranges and places of keys in the bytes of a request:
//
//   place        0, key: length (2), bytes; or 1, start: length (2), bytes, end: length (2), bytes; or 2, start: length
//                (2), bytes
//   comparison   place, target (1), operator (1), then what it is compared with: of a value length (4), bytes; of a
//                revision or version 8 bytes; of a lease 8 bytes, 0: none
//   operation    1 put: flags (1): 1 prev, 2 a lease, 4 a lease of its own, 8 keeps its value, 16 keeps its lease; key:
//                length (2), bytes; [lease (8)] [time to live (8)] value: length (4), bytes
//                2 get: flags (1): 1 keys only, 2 count only, 4 a limit, 8 count, 16 a revision; place; [limit (8)]
//                [revision (8)]
//                3 delete: flags (1): 1 prev; place
//                4 transaction
//   transaction  number of comparisons (1), comparisons, number of operations when they hold (1), operations, number of
//                operations otherwise (1), operations

import { assertNever, type Reader, type Writer } from '../../bytes/index.ts'
import {
  asRevision,
  type KeptParts,
  type KeyRange,
  type LeaseId,
  type PutLease,
  type Where,
} from '../../operations/forms/index.ts'
import { TXN_DEPTH_MAX } from '../../operations/forms/transactions.ts'
import type { KvComparison, KvTxn, KvTxnOperation } from '../../operations/index.ts'
import { MalformedBytesError, UnknownKindError } from '../errors.ts'
import { asLeaseId } from './rows.ts'

const KEY = 0
const RANGE = 1
const RANGE_WITHOUT_END = 2
const TARGETS = ['value', 'version', 'create_revision', 'mod_revision', 'lease'] as const
const OPERATORS = ['=', '!=', '<', '>'] as const
const PUT = 1
const GET = 2
const DELETE = 3
const TXN = 4
const PREV = 1
const HAS_LEASE = 2
const HAS_TTL = 4
const KEEPS_VALUE = 8
const KEEPS_LEASE = 16
const KEYS_ONLY = 1
const COUNT_ONLY = 2
const LIMITED = 4
const COUNT = 8
const AT_REVISION = 16

export function writeTxn({ compare, success, failure }: KvTxn, to: Writer): void {
  to.uint8(compare.length)
  for (const comparison of compare) writeComparison(comparison, to)
  for (const branch of [success, failure]) {
    to.uint8(branch.length)
    for (const operation of branch) writeOperation(operation, to)
  }
}

function writeComparison(comparison: KvComparison, to: Writer): void {
  writeWhere(comparison.where, to)
  to.uint8(TARGETS.indexOf(comparison.target)).uint8(OPERATORS.indexOf(comparison.op))
  if (comparison.target === 'value') to.bytes(comparison.to)
  else if (comparison.target === 'lease') to.bigUint64(BigInt(comparison.to ?? 0))
  else to.uint64(comparison.to)
}

function writeOperation(operation: KvTxnOperation, to: Writer): void {
  switch (operation.kind) {
    case 'put':
      to.uint8(PUT).uint8((operation.prev ? PREV : 0) | leaseFlag(operation.lease) | keptFlags(operation))
      writeKeyBytes(operation.key, to)
      writePutLease(operation.lease, to)
      to.bytes(operation.value)
      return
    case 'get': {
      const { where, limit, keysOnly, count, countOnly, revision } = operation
      const flags =
        (keysOnly ? KEYS_ONLY : 0) |
        (countOnly ? COUNT_ONLY : 0) |
        (limit === undefined ? 0 : LIMITED) |
        (count ? COUNT : 0) |
        (revision === undefined ? 0 : AT_REVISION)
      to.uint8(GET).uint8(flags)
      writeWhere(where, to)
      if (limit !== undefined) to.uint64(limit)
      if (revision !== undefined) to.uint64(revision)
      return
    }
    case 'delete':
      to.uint8(DELETE).uint8(operation.prev ? PREV : 0)
      writeWhere(operation.where, to)
      return
    case 'txn':
      to.uint8(TXN)
      writeTxn(operation.txn, to)
      return
    default:
      assertNever(operation, 'operation')
  }
}

const leaseFlag = (lease: PutLease | undefined): number =>
  lease === undefined ? 0 : 'id' in lease ? HAS_LEASE : HAS_TTL

const keptFlags = ({ keepsValue, keepsLease }: KeptParts): number =>
  (keepsValue ? KEEPS_VALUE : 0) | (keepsLease ? KEEPS_LEASE : 0)

/** The same put, which keeps parts of its key. What it keeps it does not state. */
export function withKeptParts<
  P extends { readonly value: Uint8Array; readonly lease?: PutLease | undefined },
>(put: P, keepsValue: boolean, keepsLease: boolean): P & KeptParts {
  if ((keepsValue && put.value.length > 0) || (keepsLease && put.lease !== undefined))
    throw new MalformedBytesError('a put that states what it keeps')
  return { ...put, ...(keepsValue && { keepsValue }), ...(keepsLease && { keepsLease }) }
}

/** The lease that a put names. */
export function writePutLease(lease: PutLease | undefined, to: Writer): void {
  if (lease === undefined) return
  if ('id' in lease) to.bigUint64(BigInt(lease.id))
  else to.uint64(lease.ttlMs)
}

export function readPutLease(from: Reader, hasLease: boolean, hasTtl: boolean): PutLease | undefined {
  if (hasLease && hasTtl) throw new MalformedBytesError('a put with two leases')
  if (hasLease) return { id: readLeaseId(from) }
  return hasTtl ? { ttlMs: from.uint64() } : undefined
}

export function readLeaseId(from: Reader): LeaseId {
  const id = from.bigUint64()
  if (id === 0n) throw new MalformedBytesError('0 is the id of no lease')
  return asLeaseId(id)
}

export function writeWhere(where: Where, to: Writer): void {
  if ('key' in where) {
    to.uint8(KEY)
    writeKeyBytes(where.key, to)
    return
  }
  to.uint8(where.end === undefined ? RANGE_WITHOUT_END : RANGE)
  writeKeyBytes(where.start, to)
  if (where.end !== undefined) writeKeyBytes(where.end, to)
}

export function writeKeyBytes(key: Uint8Array, to: Writer): void {
  to.uint16(key.length).raw(key)
}

/** Throws `UnknownKindError` for what this program does not know. */
export function readTxnCommand(from: Reader, depth = 1): KvTxn {
  if (depth > TXN_DEPTH_MAX) throw new MalformedBytesError('transactions are nested too deep')
  return {
    compare: list(from, () => readComparison(from)),
    success: list(from, () => readOperation(from, depth)),
    failure: list(from, () => readOperation(from, depth)),
  }
}

export function readRange(from: Reader): KeyRange {
  const where = readWhere(from)
  if ('key' in where) throw new MalformedBytesError('a key in place of a range')
  return where
}

const list = <T>(from: Reader, read: () => T): T[] => Array.from({ length: from.uint8() }, read)

function readComparison(from: Reader): KvComparison {
  const where = readWhere(from)
  const target = TARGETS[from.uint8()]
  const op = OPERATORS[from.uint8()]
  if (target === undefined || op === undefined) throw new UnknownKindError('a comparison of a transaction')
  if (target === 'value') return { where, op, target, to: from.bytes() }
  if (target !== 'lease') return { where, op, target, to: from.uint64() }
  const lease = from.bigUint64()
  return { where, op, target, to: lease === 0n ? undefined : asLeaseId(lease) }
}

function readOperation(from: Reader, depth: number): KvTxnOperation {
  const kind = from.uint8()
  switch (kind) {
    case PUT: {
      const flags = knownFlags(from, PREV | HAS_LEASE | HAS_TTL | KEEPS_VALUE | KEEPS_LEASE)
      const key = from.slice(from.uint16())
      const lease = readPutLease(from, (flags & HAS_LEASE) !== 0, (flags & HAS_TTL) !== 0)
      const put = { kind: 'put' as const, key, value: from.bytes(), prev: (flags & PREV) !== 0, lease }
      return withKeptParts(put, (flags & KEEPS_VALUE) !== 0, (flags & KEEPS_LEASE) !== 0)
    }
    case GET: {
      const flags = knownFlags(from, KEYS_ONLY | COUNT_ONLY | LIMITED | COUNT | AT_REVISION)
      const where = readWhere(from)
      const limit = flags & LIMITED ? from.uint64() : undefined
      const get = {
        kind: 'get' as const,
        where,
        limit,
        keysOnly: (flags & KEYS_ONLY) !== 0,
        count: (flags & COUNT) !== 0,
        countOnly: (flags & COUNT_ONLY) !== 0,
      }
      return flags & AT_REVISION ? { ...get, revision: asRevision(from.uint64()) } : get
    }
    case DELETE: {
      const flags = knownFlags(from, PREV)
      return { kind: 'delete', where: readWhere(from), prev: flags !== 0 }
    }
    case TXN:
      return { kind: 'txn', txn: readTxnCommand(from, depth + 1) }
    default:
      throw new UnknownKindError(`operation ${kind} of a transaction`)
  }
}

function readWhere(from: Reader): Where {
  const form = from.uint8()
  if (form > RANGE_WITHOUT_END) throw new UnknownKindError(`form ${form} of a place`)
  const first = from.slice(from.uint16())
  if (form === KEY) return { key: first }
  return { start: first, end: form === RANGE ? from.slice(from.uint16()) : undefined }
}

function knownFlags(from: Reader, known: number): number {
  const flags = from.uint8()
  if ((flags & ~known) !== 0) throw new UnknownKindError(`flags ${flags} of an operation`)
  return flags
}
