// The few small records beside log and rows.
//
// Meta is written last in every batch, and records the sequence number of LevelDB at which that batch ends. On
// opening, it must be the very last record in the database. So if the newest meta is lost in a damaged table and an
// older one appears, that one is not accepted as the newest. Otherwise the replica would have forgotten a vote.

import { crc32 } from 'node:zlib'
import { Reader, Writer, writeUint32 } from '../bytes/index.ts'
import { asIndex, asReplicaId, asTerm, type HardState, type LogIndex, type Term } from '../raft/types.ts'
import { CorruptionError } from './errors.ts'
import { FORMAT_VERSION, refuseOtherFormat } from './format.ts'
import { APPLIED_KEY, META_KEY, STAGING_KEY } from './keys.ts'
import type { AppliedRecord } from './types.ts'

/** Records are built here and copied by `seal`. No other code runs in between. */
const scratch = new Writer()

export interface Position {
  readonly index: LogIndex
  readonly term: Term
}

export interface Meta {
  readonly boot: number
  readonly hardState: HardState
  /** The last entry before the log: the last one of a snapshot or of a compaction. */
  readonly logStart: Position
  readonly logEnd: Position
  /** The generation whose rows are the state. */
  readonly generation: number
  /** Generations are never used twice. */
  readonly nextGeneration: number
  /** Generations whose rows are being deleted. */
  readonly dead: readonly number[]
  /** Sequence number at the end of the batch that wrote the applied record. */
  readonly appliedAt: number
}

export function encodeMeta(meta: Meta, sequence: number): Uint8Array {
  const { hardState, logStart, logEnd } = meta
  const out = scratch
    .clear()
    .uint16(FORMAT_VERSION)
    .uint64(sequence)
    .uint64(meta.boot)
    .uint64(hardState.term)
    .utf8(hardState.vote ?? '')
    .uint64(hardState.commit)
    .uint64(logStart.index)
    .uint64(logStart.term)
    .uint64(logEnd.index)
    .uint64(logEnd.term)
    .uint32(meta.generation)
    .uint32(meta.nextGeneration)
    .uint64(meta.appliedAt)
    .uint32(meta.dead.length)
  for (const generation of meta.dead) out.uint32(generation)
  return seal(META_KEY, out.written())
}

export function decodeMeta(sealed: Uint8Array): { meta: Meta; sequence: number } {
  const from = readChecksummed(META_KEY, sealed, 'the meta record')
  refuseOtherFormat('the meta record', from.uint16())
  const sequence = from.uint64()
  const meta = {
    boot: from.uint64(),
    hardState: decodeHardState(from),
    logStart: decodePosition(from),
    logEnd: decodePosition(from),
    generation: from.uint32(),
    nextGeneration: from.uint32(),
    appliedAt: from.uint64(),
    dead: Array.from({ length: from.uint32() }, () => from.uint32()),
  }
  from.end()
  return { meta, sequence }
}

function decodeHardState(from: Reader): HardState {
  const term = asTerm(from.uint64())
  const vote = from.utf8()
  return { term, vote: vote === '' ? undefined : asReplicaId(vote), commit: asIndex(from.uint64()) }
}

function decodePosition(from: Reader): Position {
  return { index: asIndex(from.uint64()), term: asTerm(from.uint64()) }
}

/** The applied record and the hash of its rows. */
export interface AppliedState {
  readonly applied: AppliedRecord
  readonly stateHash: bigint
}

function encodeApplied(out: Writer, { applied, stateHash }: AppliedState): Writer {
  return out
    .bigUint64(stateHash)
    .uint64(applied.index)
    .uint64(applied.term)
    .bytes(applied.raft)
    .bytes(applied.kv)
}

function decodeApplied(from: Reader): AppliedState {
  const stateHash = from.bigUint64()
  const { index, term } = decodePosition(from)
  return { stateHash, applied: { index, term, raft: from.bytes(), kv: from.bytes() } }
}

export const encodeAppliedRecord = (state: AppliedState, sequence: number): Uint8Array =>
  seal(APPLIED_KEY, encodeApplied(scratch.clear().uint64(sequence), state).written())

export function decodeAppliedRecord(sealed: Uint8Array): AppliedState & { sequence: number } {
  const from = readChecksummed(APPLIED_KEY, sealed, 'the applied record')
  const sequence = from.uint64()
  const state = decodeApplied(from)
  from.end()
  return { ...state, sequence }
}

/** A snapshot that is being received, or that is complete and waits for the `Write` that names it. */
export interface StagingRecord extends AppliedState {
  readonly id: string
  readonly from: string
  readonly generation: number
  readonly nextChunk: number
  /** Hash of the rows received so far. */
  readonly received: bigint
  readonly complete: boolean
}

export function encodeStaging(staging: StagingRecord): Uint8Array {
  const out = scratch
    .clear()
    .utf8(staging.id)
    .utf8(staging.from)
    .uint32(staging.generation)
    .uint64(staging.nextChunk)
    .bigUint64(staging.received)
    .flag(staging.complete)
  return seal(STAGING_KEY, encodeApplied(out, staging).written())
}

export function decodeStaging(sealed: Uint8Array): StagingRecord {
  const from = readChecksummed(STAGING_KEY, sealed, 'the staging record')
  const staging = {
    id: from.utf8(),
    from: from.utf8(),
    generation: from.uint32(),
    nextChunk: from.uint64(),
    received: from.bigUint64(),
    complete: from.flag(),
    ...decodeApplied(from),
  }
  from.end()
  return staging
}

// ---------------------------------------------------------------------------------------------------------------------
// A CRC-32 at the end of each small record of storage. It also covers the key, so that a record under the wrong key is
// rejected like a damaged one.

const CRC_BYTES = 4

/** Appends the CRC-32 of key and payload. */
export function seal(key: Uint8Array, ...payload: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of payload) length += part.length
  const sealed = Buffer.allocUnsafe(length + CRC_BYTES)
  let at = 0
  for (const part of payload) {
    sealed.set(part, at)
    at += part.length
  }
  writeUint32(sealed, length, crc32(sealed.subarray(0, length), crc32(key)))
  return sealed
}

/** The payload of a sealed record; throws `CorruptionError` when its checksum is wrong. */
export function unseal(key: Uint8Array, sealed: Uint8Array, what: string): Uint8Array {
  const length = sealed.length - CRC_BYTES
  const payload = sealed.subarray(0, length)
  if (recordReader(sealed.subarray(length), what).uint32() !== crc32(payload, crc32(key)))
    throw new CorruptionError(`the checksum of ${what} does not hold`)
  return payload
}

/** Reads the payload of a sealed record. Missing or surplus bytes are corruption of `what`. */
export const readChecksummed = (key: Uint8Array, sealed: Uint8Array, what: string): Reader =>
  recordReader(unseal(key, sealed, what), what)

const recordReader = (bytes: Uint8Array, what: string): Reader => new Reader(bytes, what, CorruptionError)
