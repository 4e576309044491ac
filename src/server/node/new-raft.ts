// The core of a replica, as its storage has it.

import { crc32 } from 'node:zlib'
import { decodeState } from '../../kv/index.ts'
import { decodeAppliedState, Raft } from '../../raft/index.ts'
import type { DriverOptions } from './driver-options.ts'

export const newRaft = (
  { clock, random, raftLimits: limits, storage, timing }: DriverOptions,
  admission: ConstructorParameters<typeof Raft>[0]['admission'],
): Raft =>
  new Raft({
    id: storage.identity.replicaId,
    boot: storage.boot,
    hardState: storage.hardState,
    appliedIndex: storage.applied.index,
    applied: decodeAppliedState(storage.applied.raft),
    clusterTimeMs: decodeState(storage.applied.kv).clusterTimeMs,
    log: storage.log,
    ...{ limits, timing, random, crc32, admission },
    now: clock.now(),
  })
