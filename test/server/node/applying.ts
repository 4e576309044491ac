// Entries of requests, and an applier for them.

import { type Request, requestKind } from '../../../src/kv/index.ts'
import { stampFrame } from '../../../src/raft/entry.ts'
import { asIndex, asReplicaId, asTerm, type Entry } from '../../../src/raft/types.ts'
import { Applier, type ApplierOwner, type EntryEvents } from '../../../src/server/node/apply/applier.ts'
import type { Storage } from '../../../src/storage/index.ts'
import { bodyOf } from '../../kv/store.ts'
import { sealed } from '../../raft/harness/frames.ts'

/** An entry of term 1. */
export function entryOf(index: number, request: Request, clusterTimeMs = 0): Entry {
  const frame = sealed(requestKind(request).kind, asReplicaId('9'), 1, index, bodyOf(request))
  stampFrame(frame, asTerm(1), asIndex(index), clusterTimeMs)
  return { index: asIndex(index), term: asTerm(1), frame }
}

/** It throws its failures. */
export function applierOn(
  storage: Storage,
  keysAtOnce: number,
  some: Partial<ApplierOwner & EntryEvents> = {},
): Applier {
  const all = {
    leaseChanged: () => {},
    authChanged: () => {},
    coreEntryApplied: () => new Uint8Array(),
    entryRead: () => {},
    entryApplied: () => undefined,
    failed: (error: Error) => {
      throw error
    },
    ...some,
  }
  return new Applier(storage, all, all, keysAtOnce)
}
