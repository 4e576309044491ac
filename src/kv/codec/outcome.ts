// Remembered outcomes in bytes: code (1), revision (8), then
//   put:                 create_revision (8), mod_revision (8), version (8)
//   delete:              deleted (1)
//   precondition failed: 0, or 1, create_revision (8), mod_revision (8), version (8) of the key as it was; or 2, the
//                        same, its lease (8)
//   settings:            all settings (`settings.ts`)
//   session:             its number (8), its greatest age (8)
//   compacted:           compact_revision (8)
//   revision-raised
//   delete-range:        number of keys (8)
//   txn:                 succeeded (1), number of results (1), then for each operation:
//                        1 put: create_revision (8), mod_revision (8), version (8); 2 get; 3 delete: number of keys (8);
//                        4 txn: as above
//   granted:             lease (8), time to live (8)
//   renewed:             count (2), then for each its time to live (8), 0: there is no such lease
//   revoked:             number of keys (8); in part: the same, number of keys that the lease still has (8)
//   expired:             number of leases (8), number of keys (8)
//   auth:                auth revision (8)
//   batch:               count (2), then an outcome for each command
//   refused:             reason (1), two numbers (8 each): `rejections.ts`

import { assertNever, type Reader, type Writer } from '../../bytes/index.ts'
import { asRevision, type KeyRevisions, type RecordMetadata } from '../../operations/forms/index.ts'
import type { KvTxnOperationResult, KvTxnResult } from '../../operations/index.ts'
import { MalformedBytesError, UnknownKindError } from '../errors.ts'
import { REASONS, rejection } from '../rejections.ts'
import { readAllSettings, writeSettings } from '../settings.ts'
import type { Command, KeyCommand, Outcome, OutcomeOfKey } from '../types.ts'
import { asLeaseId } from './rows.ts'

const CODES = {
  put: 1,
  delete: 2,
  'precondition-failed': 3,
  settings: 4,
  refused: 5,
  session: 6,
  batch: 7,
  compacted: 8,
  'delete-range': 9,
  txn: 10,
  granted: 11,
  renewed: 12,
  revoked: 13,
  expired: 14,
  auth: 15,
  'revision-raised': 16,
} as const satisfies { readonly [kind in Outcome['kind']]: number }

/** The code of `revoked` for a lease that has keys left. */
const REVOKED_IN_PART = 17

const RESULT_OF_PUT = 1
const RESULT_OF_GET = 2
const RESULT_OF_DELETE = 3
const RESULT_OF_TXN = 4

export function writeOutcome(outcome: Outcome, to: Writer): void {
  to.uint8(outcomeCode(outcome)).uint64(outcome.revision)
  switch (outcome.kind) {
    case 'put':
      writeMeta(outcome, to)
      break
    case 'delete':
      to.uint8(outcome.deleted)
      break
    case 'precondition-failed':
      writeCurrent(outcome.current, to)
      break
    case 'granted':
      to.bigUint64(BigInt(outcome.lease)).uint64(outcome.ttlMs)
      break
    case 'renewed':
      to.uint16(outcome.ttlsMs.length)
      for (const ttlMs of outcome.ttlsMs) to.uint64(ttlMs ?? 0)
      break
    case 'revoked':
      to.uint64(outcome.deleted)
      if (outcome.left !== undefined) to.uint64(outcome.left)
      break
    case 'delete-range':
      to.uint64(outcome.deleted)
      break
    case 'expired':
      to.uint64(outcome.leases).uint64(outcome.deleted)
      break
    case 'auth':
      to.uint64(outcome.authRevision)
      break
    case 'settings':
      writeSettings(outcome.settings, to)
      break
    case 'batch':
      to.uint16(outcome.outcomes.length)
      for (const each of outcome.outcomes) writeOutcome(each, to)
      break
    case 'session':
      to.uint64(outcome.session).uint64(outcome.ageMsMax)
      break
    case 'compacted':
      to.uint64(outcome.compactRevision)
      break
    case 'revision-raised':
      break
    case 'txn':
      writeTxnResult(outcome, to)
      break
    case 'refused':
      to.uint8(REASONS.indexOf(outcome.reason)).uint64(outcome.numbers[0]).uint64(outcome.numbers[1])
      break
    default:
      assertNever(outcome, 'outcome')
  }
}

const outcomeCode = (outcome: Outcome): number =>
  outcome.kind === 'revoked' && outcome.left !== undefined ? REVOKED_IN_PART : CODES[outcome.kind]

/** `command`: the request, which has the keys. */
export function readOutcome(from: Reader, command: Command): Outcome {
  const code = from.uint8()
  const revision = asRevision(from.uint64())
  switch (code) {
    case CODES.put:
      return { kind: 'put', revision, ...readMeta(from), prev: undefined }
    case CODES.delete:
      return { kind: 'delete', deleted: from.uint8() === 0 ? 0 : 1, revision, prev: undefined }
    case CODES['precondition-failed']: {
      const form = from.uint8()
      if (form === 0 || !('key' in command)) return { kind: 'precondition-failed', revision, current: null }
      const meta = { key: command.key, ...readMeta(from) }
      const lease = form === WITH_LEASE ? asLeaseId(from.bigUint64()) : undefined
      return { kind: 'precondition-failed', revision, current: { ...meta, lease } }
    }
    case CODES.granted:
      return { kind: 'granted', revision, lease: asLeaseId(from.bigUint64()), ttlMs: from.uint64() }
    case CODES.renewed: {
      const ttlsMs = Array.from({ length: from.uint16() }, () => from.uint64() || undefined)
      return { kind: 'renewed', revision, ttlsMs }
    }
    case CODES.revoked:
      return { kind: 'revoked', revision, deleted: from.uint64() }
    case REVOKED_IN_PART:
      return { kind: 'revoked', revision, deleted: from.uint64(), left: from.uint64() }
    case CODES.expired:
      return { kind: 'expired', revision, leases: from.uint64(), deleted: from.uint64() }
    case CODES.auth:
      return { kind: 'auth', revision, authRevision: from.uint64() }
    case CODES.batch: {
      const commands = command.kind === 'batch' ? command.commands : []
      const count = from.uint16()
      if (count !== commands.length)
        throw new MalformedBytesError(`${count} outcomes of ${commands.length} commands`)
      return { kind: 'batch', revision, outcomes: commands.map((each) => readOutcomeOfKey(from, each)) }
    }
    case CODES.session:
      return { kind: 'session', revision, session: from.uint64(), ageMsMax: from.uint64() }
    case CODES.compacted:
      return { kind: 'compacted', revision, compactRevision: asRevision(from.uint64()) }
    case CODES['revision-raised']:
      return { kind: 'revision-raised', revision }
    case CODES['delete-range']:
      return { kind: 'delete-range', revision, deleted: from.uint64() }
    case CODES.txn:
      return { kind: 'txn', revision, ...readTxnResult(from) }
    case CODES.settings:
      return { kind: 'settings', revision, settings: readAllSettings(from) }
    case CODES.refused: {
      const number = from.uint8()
      const reason = REASONS[number]
      if (reason === undefined) throw new UnknownKindError(`refusal ${number} in a token row`)
      return rejection(revision, reason, [from.uint64(), from.uint64()])
    }
    default:
      throw new UnknownKindError(`outcome ${code} in a token row`)
  }
}

/** Records are not remembered. */
function writeTxnResult({ succeeded, results }: KvTxnResult, to: Writer): void {
  to.flag(succeeded).uint8(results.length)
  for (const result of results) {
    switch (result.kind) {
      case 'put':
        writeMeta(result, to.uint8(RESULT_OF_PUT))
        break
      case 'get':
        to.uint8(RESULT_OF_GET)
        break
      case 'delete':
        to.uint8(RESULT_OF_DELETE).uint64(result.deleted)
        break
      case 'txn':
        writeTxnResult(result, to.uint8(RESULT_OF_TXN))
        break
      default:
        assertNever(result, 'result')
    }
  }
}

function readTxnResult(from: Reader): KvTxnResult {
  const succeeded = from.flag()
  const results = Array.from({ length: from.uint8() }, () => readResult(from))
  return { succeeded, results }
}

function readResult(from: Reader): KvTxnOperationResult {
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
function writeCurrent(current: RecordMetadata | null, to: Writer): void {
  if (current === null) {
    to.uint8(0)
    return
  }
  const { lease } = current
  writeMeta(current, to.uint8(lease === undefined ? WITHOUT_LEASE : WITH_LEASE))
  if (lease !== undefined) to.bigUint64(BigInt(lease))
}

function writeMeta({ createRevision, modRevision, version }: KeyRevisions, to: Writer): void {
  to.uint64(createRevision).uint64(modRevision).uint64(version)
}

const readMeta = (from: Reader): KeyRevisions => ({
  createRevision: asRevision(from.uint64()),
  modRevision: asRevision(from.uint64()),
  version: from.uint64(),
})
