// Remembered outcomes in bytes: code (1), revision (8), then
//   put:                 create_revision (8), mod_revision (8), version (8)
//   delete:              deleted (1)
//   precondition failed: 0, or 1, create_revision (8), mod_revision (8), version (8) of the key as it was; or 2, the
//                        same, its lease (8)
//   settings:            all settings (`settings.ts`)
//   session:             its number (8), its greatest age (8)
//   compacted:           compact_revision (8)
//   delete-range:        number of keys (8)
//   txn:                 succeeded (1), number of results (1), then for each operation:
//                        1 put: create_revision (8), mod_revision (8), version (8); 2 get; 3 delete: number of keys (8);
//                        4 txn: as above
//   granted:             lease (8), time to live (8)
//   renewed:             count (2), then for each its time to live (8), 0: there is no such lease
//   revoked:             number of keys (8)
//   expired:             number of leases (8), number of keys (8)
//   auth:                auth revision (8)
//   batch:               count (2), then an outcome for each command
//   refused:             reason (1), two numbers (8 each): `rejections.ts`

import { type Reader, writeBigUint64, writeUint16, writeUint64 } from '../../bytes/index.ts'
import { assertNever, MalformedBytesError, UnknownKindError } from '../errors.ts'
import { REASONS, rejection } from '../rejections.ts'
import { readAllSettings, settingsBytes, writeSettings } from '../settings.ts'
import type {
  Command,
  KeyCommand,
  KeyMeta,
  KeyRevisions,
  KvTxnResult,
  OperationResult,
  Outcome,
  OutcomeOfKey,
} from '../types.ts'
import { asRevision } from '../types.ts'
import { leaseOf } from './rows.ts'

const PUT = 1
const DELETE = 2
const PRECONDITION_FAILED = 3
const SETTINGS = 4
const REFUSED = 5
const SESSION = 6
const BATCH = 7
const COMPACTED = 8
const DELETE_RANGE = 9
const TXN = 10
const GRANTED = 11
const RENEWED = 12
const REVOKED = 13
const EXPIRED = 14
const AUTH = 15
const RESULT_OF_PUT = 1
const RESULT_OF_GET = 2
const RESULT_OF_DELETE = 3
const RESULT_OF_TXN = 4

export function outcomeBytes(outcome: Outcome): number {
  switch (outcome.kind) {
    case 'put':
      return 9 + 24
    case 'delete':
      return 9 + 1
    case 'precondition-failed':
      return 9 + (outcome.current === null ? 1 : outcome.current.lease === undefined ? 25 : 33)
    case 'settings':
      return 9 + settingsBytes(outcome.settings)
    case 'session':
      return 9 + 16
    case 'compacted':
    case 'delete-range':
    case 'revoked':
    case 'auth':
      return 9 + 8
    case 'granted':
    case 'expired':
      return 9 + 16
    case 'renewed':
      return 9 + 2 + 8 * outcome.ttlsMs.length
    case 'txn':
      return 9 + txnBytes(outcome)
    case 'batch':
      return outcome.outcomes.reduce((sum, each) => sum + outcomeBytes(each), 9 + 2)
    case 'refused':
      return 9 + 17
    default:
      return assertNever(outcome, 'outcome')
  }
}

export function writeOutcome(outcome: Outcome, target: Uint8Array, at: number): void {
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
      writeCurrent(outcome.current, target, at + 9)
      break
    case 'granted':
      target[at] = GRANTED
      writeBigUint64(target, at + 9, BigInt(outcome.lease))
      writeUint64(target, at + 17, outcome.ttlMs)
      break
    case 'renewed':
      target[at] = RENEWED
      writeUint16(target, at + 9, outcome.ttlsMs.length)
      for (const [i, ttlMs] of outcome.ttlsMs.entries()) writeUint64(target, at + 11 + 8 * i, ttlMs ?? 0)
      break
    case 'revoked':
      target[at] = REVOKED
      writeUint64(target, at + 9, outcome.deleted)
      break
    case 'expired':
      target[at] = EXPIRED
      writeUint64(target, at + 9, outcome.leases)
      writeUint64(target, at + 17, outcome.deleted)
      break
    case 'auth':
      target[at] = AUTH
      writeUint64(target, at + 9, outcome.authRevision)
      break
    case 'settings':
      target[at] = SETTINGS
      writeSettings(outcome.settings, target, at + 9)
      break
    case 'batch': {
      target[at] = BATCH
      writeUint16(target, at + 9, outcome.outcomes.length)
      let next = at + 11
      for (const each of outcome.outcomes) {
        writeOutcome(each, target, next)
        next += outcomeBytes(each)
      }
      break
    }
    case 'session':
      target[at] = SESSION
      writeUint64(target, at + 9, outcome.session)
      writeUint64(target, at + 17, outcome.ageMsMax)
      break
    case 'compacted':
      target[at] = COMPACTED
      writeUint64(target, at + 9, outcome.compactRevision)
      break
    case 'delete-range':
      target[at] = DELETE_RANGE
      writeUint64(target, at + 9, outcome.deleted)
      break
    case 'txn':
      target[at] = TXN
      writeTxnResult(outcome, target, at + 9)
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

/** `command`: the request, which has the keys. */
export function readOutcome(from: Reader, command: Command): Outcome {
  const code = from.uint8()
  const revision = asRevision(from.uint64())
  switch (code) {
    case PUT:
      return { kind: 'put', revision, ...readMeta(from), prev: undefined }
    case DELETE:
      return { kind: 'delete', deleted: from.uint8() === 0 ? 0 : 1, revision, prev: undefined }
    case PRECONDITION_FAILED: {
      const form = from.uint8()
      if (form === 0 || !('key' in command)) return { kind: 'precondition-failed', revision, current: null }
      const meta = { key: command.key, ...readMeta(from) }
      const lease = form === WITH_LEASE ? leaseOf(from.bigUint64()) : undefined
      return { kind: 'precondition-failed', revision, current: { ...meta, lease } }
    }
    case GRANTED:
      return { kind: 'granted', revision, lease: leaseOf(from.bigUint64()), ttlMs: from.uint64() }
    case RENEWED: {
      const ttlsMs = Array.from({ length: from.uint16() }, () => from.uint64() || undefined)
      return { kind: 'renewed', revision, ttlsMs }
    }
    case REVOKED:
      return { kind: 'revoked', revision, deleted: from.uint64() }
    case EXPIRED:
      return { kind: 'expired', revision, leases: from.uint64(), deleted: from.uint64() }
    case AUTH:
      return { kind: 'auth', revision, authRevision: from.uint64() }
    case BATCH: {
      const commands = command.kind === 'batch' ? command.commands : []
      const count = from.uint16()
      if (count !== commands.length)
        throw new MalformedBytesError(`${count} outcomes of ${commands.length} commands`)
      return { kind: 'batch', revision, outcomes: commands.map((each) => readOutcomeOfKey(from, each)) }
    }
    case SESSION:
      return { kind: 'session', revision, session: from.uint64(), ageMsMax: from.uint64() }
    case COMPACTED:
      return { kind: 'compacted', revision, compactRevision: asRevision(from.uint64()) }
    case DELETE_RANGE:
      return { kind: 'delete-range', revision, deleted: from.uint64() }
    case TXN:
      return { kind: 'txn', revision, ...readTxnResult(from) }
    case SETTINGS:
      return { kind: 'settings', revision, settings: readAllSettings(from) }
    case REFUSED: {
      const number = from.uint8()
      const reason = REASONS[number]
      if (reason === undefined) throw new UnknownKindError(`refusal ${number} in a token row`)
      return rejection(revision, reason, [from.uint64(), from.uint64()])
    }
    default:
      throw new UnknownKindError(`outcome ${code} in a token row`)
  }
}

const txnBytes = ({ results }: KvTxnResult): number =>
  results.reduce((sum, result) => sum + 1 + resultBytes(result), 2)

function resultBytes(result: OperationResult): number {
  switch (result.kind) {
    case 'put':
      return 24
    case 'get':
      return 0
    case 'delete':
      return 8
    case 'txn':
      return txnBytes(result)
    default:
      return assertNever(result, 'result')
  }
}

/** Records are not remembered. Returns where the result ends. */
function writeTxnResult({ succeeded, results }: KvTxnResult, target: Uint8Array, at: number): number {
  target[at] = succeeded ? 1 : 0
  target[at + 1] = results.length
  let next = at + 2
  for (const result of results) {
    switch (result.kind) {
      case 'put':
        target[next] = RESULT_OF_PUT
        writeMeta(result, target, next + 1)
        next += 25
        break
      case 'get':
        target[next] = RESULT_OF_GET
        next += 1
        break
      case 'delete':
        target[next] = RESULT_OF_DELETE
        writeUint64(target, next + 1, result.deleted)
        next += 9
        break
      case 'txn':
        target[next] = RESULT_OF_TXN
        next = writeTxnResult(result, target, next + 1)
        break
      default:
        assertNever(result, 'result')
    }
  }
  return next
}

function readTxnResult(from: Reader): KvTxnResult {
  const succeeded = from.flag()
  const results = Array.from({ length: from.uint8() }, () => readResult(from))
  return { succeeded, results }
}

function readResult(from: Reader): OperationResult {
  const code = from.uint8()
  switch (code) {
    case RESULT_OF_PUT: {
      const { createRevision, modRevision, version } = readMeta(from)
      return { kind: 'put', createRevision, modRevision, version, prev: undefined }
    }
    case RESULT_OF_GET:
      return { kind: 'get', found: undefined }
    case RESULT_OF_DELETE:
      return { kind: 'delete', deleted: from.uint64(), prev: undefined }
    case RESULT_OF_TXN:
      return { kind: 'txn', ...readTxnResult(from) }
    default:
      throw new UnknownKindError(`result ${code} of an operation`)
  }
}

function readOutcomeOfKey(from: Reader, command: KeyCommand): OutcomeOfKey {
  const outcome = readOutcome(from, command)
  switch (outcome.kind) {
    case 'put':
    case 'delete':
    case 'precondition-failed':
    case 'refused':
      return outcome
    default:
      throw new MalformedBytesError(`a ${command.kind} with the outcome of a ${outcome.kind}`)
  }
}

const WITHOUT_LEASE = 1
const WITH_LEASE = 2

/** The key of a failed precondition. */
function writeCurrent(current: KeyMeta | null, target: Uint8Array, at: number): void {
  target[at] = current === null ? 0 : current.lease === undefined ? WITHOUT_LEASE : WITH_LEASE
  if (current === null) return
  writeMeta(current, target, at + 1)
  if (current.lease !== undefined) writeBigUint64(target, at + 25, BigInt(current.lease))
}

function writeMeta(meta: KeyRevisions, target: Uint8Array, at: number): void {
  writeUint64(target, at, meta.createRevision)
  writeUint64(target, at + 8, meta.modRevision)
  writeUint64(target, at + 16, meta.version)
}

const readMeta = (from: Reader): KeyRevisions => ({
  createRevision: asRevision(from.uint64()),
  modRevision: asRevision(from.uint64()),
  version: from.uint64(),
})
