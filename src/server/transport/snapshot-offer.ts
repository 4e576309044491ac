// What the sender of a snapshot says of it before the first chunk.

import type { Term } from '../../raft/types.ts'
import { asIndex, asTerm } from '../../raft/types.ts'
import type { SnapshotSource } from '../../storage/types.ts'
import type { ByteReader, ByteWriter } from './bytes.ts'

export interface SnapshotOffer {
  /** The term in which the sender leads. */
  readonly term: Term
  readonly snapshotId: string
  readonly meta: SnapshotSource['meta']
}

export function writeOffer(out: ByteWriter, { term, snapshotId, meta }: SnapshotOffer): void {
  out.integer(term)
  out.text(snapshotId)
  out.integer(meta.index)
  out.integer(meta.term)
  out.big(meta.stateHash)
  out.integer(meta.applied.index)
  out.integer(meta.applied.term)
  out.blob(meta.applied.raft)
  out.blob(meta.applied.kv)
}

export function readOffer(input: ByteReader): SnapshotOffer {
  const term = asTerm(input.integer())
  const snapshotId = input.text()
  const index = asIndex(input.integer())
  const termOfIndex = asTerm(input.integer())
  const stateHash = input.big()
  const applied = {
    index: asIndex(input.integer()),
    term: asTerm(input.integer()),
    // Kept for as long as the snapshot is the newest: in memory of their own.
    raft: new Uint8Array(input.blob()),
    kv: new Uint8Array(input.blob()),
  }
  input.end()
  return { term, snapshotId, meta: { index, term: termOfIndex, applied, stateHash } }
}
