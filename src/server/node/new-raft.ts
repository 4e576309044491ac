// The core of a replica, as its storage has it.

import { crc32 } from 'node:zlib'
import { decodeState } from '../../kv/index.ts'
import { decodeAppliedState, Raft, type RaftOptions } from '../../raft/index.ts'
import type { DriverOptions } from './driver-options.ts'

const createPlainRaft = (options: RaftOptions): Raft => new Raft(options)

export const newRaft = (
  { clock, createRaft = createPlainRaft, random, raftLimits: limits, storage, timing }: DriverOptions,
  { commandRefusal, diskRoom }: Pick<RaftOptions, 'commandRefusal' | 'diskRoom'>,
): Raft =>
  createRaft({
    id: storage.identity.replicaId,
    boot: storage.boot,
    hardState: storage.hardState,
    appliedIndex: storage.applied.index,
    applied: decodeAppliedState(storage.applied.raft),
    clusterTimeMs: decodeState(storage.applied.kv).clusterTimeMs,
    log: storage.log,
    limits,
    timing,
    random,
    crc32,
    commandRefusal,
    diskRoom,
    now: clock.now(),
  })
