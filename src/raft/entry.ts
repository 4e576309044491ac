// The bytes of one log entry. The proposer encodes them once and the leader stamps them once. The same buffer is then
// written to disk, sent to every peer and applied.
//
//   offset size
//   0      4    length of the whole frame in bytes
//   4      4    CRC-32 (IEEE) of the payload: made by the proposer, checked after each read from disk or network
//   8      8    term                      ┐
//   16     8    index                     ├ stamped by the leader when it appends
//   24     8    cluster time in ms        ┘
//   32     1    kind                      ┐
//   33     1    version of that kind      │
//   34     2    flags, 0 today            │
//   36     8    proposer: replica id      ├ payload, sealed by the proposer
//   44     4    proposer: boot counter    │
//   48     6    proposer: seq             │
//   54     …    body                      ┘
//
// All integers are big-endian and unsigned. (proposer, boot, seq) identifies a proposal and is never reused. A node
// uses it to find the outcome of a proposal that it forwarded to a leader that crashed.

import {
  readBigUint64,
  readUint32,
  readUint48,
  readUint64,
  writeBigUint64,
  writeUint32,
  writeUint48,
  writeUint64,
} from '../bytes/index.ts'
import type { LogIndex, ReplicaId, Term } from './types.ts'

export const PAYLOAD_AT = 32
export const BODY_AT = 54

/** Kinds below 16 belong to the core, the others to the state machine (src/kv). */
export const ENTRY_NOOP = 0
export const ENTRY_CONFIGURATION = 1
export const ENTRY_LEADER_LEASES = 2
export const ENTRY_KINDS_OF_CORE = 16

export interface PayloadHeader {
  readonly kind: number
  readonly version: number
  readonly proposer: ReplicaId
  readonly boot: number
  readonly seq: number
}

export interface EntryHeader extends PayloadHeader {
  readonly frameBytes: number
  readonly crc: number
  readonly term: Term
  readonly index: LogIndex
  readonly clusterTimeMs: number
}

/**
 * A frame with room for `bodyBytes`. The payload header is filled in. The caller writes the body at BODY_AT, then
 * seals.
 */
export function newFrame(header: PayloadHeader, bodyBytes: number): Uint8Array {
  const frame = allocate(BODY_AT + bodyBytes)
  writeUint32(frame, 0, frame.length)
  frame[32] = header.kind
  frame[33] = header.version
  frame.set(idBytes(header.proposer), 36)
  writeUint32(frame, 44, header.boot)
  writeUint48(frame, 48, header.seq)
  return frame
}

/** Cache of the last encoded id: nearly all frames of a node have its own id. */
let lastId: ReplicaId | undefined
const lastIdBytes = new Uint8Array(8)

function idBytes(id: ReplicaId): Uint8Array {
  if (id !== lastId) {
    writeBigUint64(lastIdBytes, 0, BigInt(id))
    lastId = id
  }
  return lastIdBytes
}

/** Size of the slabs for frames. One allocation for each frame would cost more than all other work on it. */
const SLAB_BYTES = 64 * 1024
let slab = new Uint8Array(SLAB_BYTES)
let slabUsed = 0

function allocate(bytes: number): Uint8Array {
  if (bytes > SLAB_BYTES / 8) return new Uint8Array(bytes)
  if (slabUsed + bytes > SLAB_BYTES) {
    slab = new Uint8Array(SLAB_BYTES)
    slabUsed = 0
  }
  slabUsed += bytes
  return slab.subarray(slabUsed - bytes, slabUsed)
}

/** Writes the payload's CRC. After this call no byte at or after PAYLOAD_AT may change. */
export function sealFrame(frame: Uint8Array, crc32: (bytes: Uint8Array) => number): Uint8Array {
  writeUint32(frame, 4, crc32(frame.subarray(PAYLOAD_AT)))
  return frame
}

/** Writes the leader's stamp into the frame: term, index and cluster time. */
export function stampFrame(frame: Uint8Array, term: Term, index: LogIndex, clusterTimeMs: number): void {
  writeUint64(frame, 8, term)
  writeUint64(frame, 16, index)
  writeUint64(frame, 24, clusterTimeMs)
}

export function readHeader(frame: Uint8Array): EntryHeader {
  return {
    frameBytes: readUint32(frame, 0),
    crc: readUint32(frame, 4),
    term: readUint64(frame, 8) as Term,
    index: readUint64(frame, 16) as LogIndex,
    clusterTimeMs: readUint64(frame, 24),
    kind: frameKind(frame),
    version: frameVersion(frame),
    proposer: readBigUint64(frame, 36).toString() as ReplicaId,
    boot: readUint32(frame, 44),
    seq: readUint48(frame, 48),
  }
}

export const frameKind = (frame: Uint8Array): number => frame[32] ?? ENTRY_NOOP
export const frameVersion = (frame: Uint8Array): number => frame[33] ?? 0
export const frameFlags = (frame: Uint8Array): number => (frame[34] ?? 0) * 256 + (frame[35] ?? 0)
export const frameTerm = (frame: Uint8Array): Term => readUint64(frame, 8) as Term
export const frameIndex = (frame: Uint8Array): LogIndex => readUint64(frame, 16) as LogIndex
export const frameClusterTimeMs = (frame: Uint8Array): number => readUint64(frame, 24)
export const frameBody = (frame: Uint8Array): Uint8Array => frame.subarray(BODY_AT)

/** Whether length and payload CRC are correct. All code that reads frames from disk or network calls this. */
export function frameIntact(frame: Uint8Array, crc32: (bytes: Uint8Array) => number): boolean {
  if (frame.length < BODY_AT) return false
  if (readUint32(frame, 0) !== frame.length) return false
  return readUint32(frame, 4) === crc32(frame.subarray(PAYLOAD_AT)) >>> 0
}
