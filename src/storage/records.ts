// The few small records beside log and rows.
//
// Meta is written last in every batch, and says at which sequence number of LevelDB that batch ends. On opening, it
// must be the very last thing that the database holds; so an older meta that comes to light, because the newest was
// lost in a damaged table, is not taken for the newest: a forgotten vote would be just that.

import { asIndex, asReplicaId, asTerm, type HardState, type LogIndex, type Term } from '../raft/types.ts'
import { Decoder, Encoder, seal, unseal } from './codec.ts'
import { StorageRefusedError } from './errors.ts'
import { APPLIED_KEY, META_KEY, STAGING_KEY } from './keys.ts'
import type { AppliedRecord } from './types.ts'

/**
 * Of everything in the directory, the rows of the state machine included. Raised when a layout or the meaning of an
 * entry changes in a way that another version of the program would misread. 1 was in use before the first release, and
 * is not read.
 */
export const FORMAT_VERSION = 2

export interface Position {
  readonly index: LogIndex
  readonly term: Term
}

export interface Meta {
  readonly boot: number
  readonly hardState: HardState
  /** The last entry before the log; what a snapshot or compaction took. */
  readonly logStart: Position
  readonly logEnd: Position
  /** Which rows are the state. */
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
  const encoder = new Encoder()
    .uint16(FORMAT_VERSION)
    .uint64(sequence)
    .uint64(meta.boot)
    .uint64(hardState.term)
    .text(hardState.vote ?? '')
    .uint64(hardState.commit)
    .uint64(logStart.index)
    .uint64(logStart.term)
    .uint64(logEnd.index)
    .uint64(logEnd.term)
    .uint32(meta.generation)
    .uint32(meta.nextGeneration)
    .uint64(meta.appliedAt)
    .uint32(meta.dead.length)
  for (const generation of meta.dead) encoder.uint32(generation)
  return seal(META_KEY, encoder.finish())
}

export function decodeMeta(sealed: Uint8Array): { meta: Meta; sequence: number } {
  const decoder = new Decoder(unseal(META_KEY, sealed, 'the meta record'), 'the meta record')
  refuseOther(decoder.uint16())
  const sequence = decoder.uint64()
  const meta = {
    boot: decoder.uint64(),
    hardState: decodeHardState(decoder),
    logStart: decodePosition(decoder),
    logEnd: decodePosition(decoder),
    generation: decoder.uint32(),
    nextGeneration: decoder.uint32(),
    appliedAt: decoder.uint64(),
    dead: Array.from({ length: decoder.uint32() }, () => decoder.uint32()),
  }
  decoder.end()
  return { meta, sequence }
}

/** There is no older format that is worth reading yet. */
export function refuseOther(version: number): void {
  if (version === FORMAT_VERSION) return
  const [by, remedy] =
    version > FORMAT_VERSION
      ? ['a newer quorate', 'Start the newer version again.']
      : ['a quorate from before the first release', 'Begin with an empty directory.']
  throw new StorageRefusedError(
    `The data was written in format ${version} by ${by}; this one reads format ${FORMAT_VERSION}. ${remedy} Nothing was changed.`,
  )
}

function decodeHardState(decoder: Decoder): HardState {
  const term = asTerm(decoder.uint64())
  const vote = decoder.text()
  return { term, vote: vote === '' ? undefined : asReplicaId(vote), commit: asIndex(decoder.uint64()) }
}

function decodePosition(decoder: Decoder): Position {
  return { index: asIndex(decoder.uint64()), term: asTerm(decoder.uint64()) }
}

/** The applied record with the hash of the rows that it describes. */
export interface AppliedState {
  readonly applied: AppliedRecord
  readonly stateHash: bigint
}

const TWO_32 = 0x1_0000_0000n

function encodeApplied(encoder: Encoder, { applied, stateHash }: AppliedState): Encoder {
  return encoder
    .uint32(Number(stateHash / TWO_32))
    .uint32(Number(stateHash % TWO_32))
    .uint64(applied.index)
    .uint64(applied.term)
    .bytes(applied.raft)
    .bytes(applied.kv)
}

function decodeApplied(decoder: Decoder): AppliedState {
  const stateHash = BigInt(decoder.uint32()) * TWO_32 + BigInt(decoder.uint32())
  const { index, term } = decodePosition(decoder)
  return { stateHash, applied: { index, term, raft: decoder.bytes(), kv: decoder.bytes() } }
}

export const encodeAppliedRecord = (state: AppliedState, sequence: number): Uint8Array =>
  seal(APPLIED_KEY, encodeApplied(new Encoder().uint64(sequence), state).finish())

export function decodeAppliedRecord(sealed: Uint8Array): AppliedState & { sequence: number } {
  const decoder = new Decoder(unseal(APPLIED_KEY, sealed, 'the applied record'), 'the applied record')
  const sequence = decoder.uint64()
  const state = decodeApplied(decoder)
  decoder.end()
  return { ...state, sequence }
}

/** A snapshot that is being received, or lies complete and waits for the `Write` that names it. */
export interface Staging extends AppliedState {
  readonly id: string
  readonly from: string
  readonly generation: number
  readonly nextChunk: number
  /** Hash of the rows received so far. */
  readonly received: bigint
  readonly complete: boolean
}

export function encodeStaging(staging: Staging): Uint8Array {
  const encoder = new Encoder()
    .text(staging.id)
    .text(staging.from)
    .uint32(staging.generation)
    .uint64(staging.nextChunk)
    .uint32(Number(staging.received / TWO_32))
    .uint32(Number(staging.received % TWO_32))
    .uint8(staging.complete ? 1 : 0)
  return seal(STAGING_KEY, encodeApplied(encoder, staging).finish())
}

export function decodeStaging(sealed: Uint8Array): Staging {
  const decoder = new Decoder(unseal(STAGING_KEY, sealed, 'the staging record'), 'the staging record')
  const staging = {
    id: decoder.text(),
    from: decoder.text(),
    generation: decoder.uint32(),
    nextChunk: decoder.uint64(),
    received: BigInt(decoder.uint32()) * TWO_32 + BigInt(decoder.uint32()),
    complete: decoder.uint8() === 1,
    ...decodeApplied(decoder),
  }
  decoder.end()
  return staging
}
