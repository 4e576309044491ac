// The core of a replica, as its storage has it.

import { crc32 } from 'node:zlib'
import { checkKnown, decodeState } from '../../kv/index.ts'
import {
  asIndex,
  decodeAppliedState,
  ENTRY_KINDS_OF_CORE,
  frameBody,
  frameKind,
  frameVersion,
  Raft,
  type RaftOptions,
} from '../../raft/index.ts'
import type { Storage } from '../../storage/types.ts'
import type { DriverOptions } from './driver-options.ts'

const createPlainRaft = (options: RaftOptions): Raft => new Raft(options)

type CoreOptions = Pick<
  DriverOptions,
  'clock' | 'createRaft' | 'knownVersion' | 'random' | 'raftLimits' | 'storage' | 'timing'
>

/** Throws `UnknownKindError` when the state, or an entry that is not applied yet, is of a newer version. */
export function newRaft(
  {
    clock,
    createRaft = createPlainRaft,
    knownVersion,
    random,
    raftLimits: limits,
    storage,
    timing,
  }: CoreOptions,
  { commandRefusal, diskRoom }: Pick<RaftOptions, 'commandRefusal' | 'diskRoom'>,
): Raft {
  const { clusterTimeMs } = decodeState(storage.applied.kv, knownVersion)
  checkUnapplied(storage, limits.applyBytesMax, knownVersion)
  return createRaft({
    id: storage.identity.replicaId,
    boot: storage.boot,
    hardState: storage.hardState,
    appliedIndex: storage.applied.index,
    applied: decodeAppliedState(storage.applied.raft),
    clusterTimeMs,
    log: storage.log,
    limits,
    timing,
    random,
    crc32,
    commandRefusal,
    diskRoom,
    now: clock.now(),
  })
}

/** A node that would stop at one of these entries must not say that it is ready before. */
function checkUnapplied({ applied, log }: Storage, bytesMax: number, knownVersion?: number): void {
  const end = asIndex(log.lastIndex() + 1)
  for (let next = asIndex(applied.index + 1); next < end; ) {
    const entries = log.entries(next, end, bytesMax)
    for (const { frame } of entries)
      if (frameKind(frame) >= ENTRY_KINDS_OF_CORE)
        checkKnown(frameKind(frame), frameVersion(frame), frameBody(frame), knownVersion)
    next = asIndex(next + entries.length)
  }
}
