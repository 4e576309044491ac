// Short forms for the lists beside this file.

import type { Edit, Layer } from '../mutant.ts'

export const edit = (file: string, find: string, replace: string): Edit => ({ file, find, replace })

export const RAFT = 'src/raft/raft.ts'
export const ASKED_READS = 'src/raft/pending-reads.ts'
export const DISK_ROOM = 'src/raft/disk-room.ts'
export const LEASES = 'src/raft/leader-lease.ts'
export const PEERS = 'src/raft/peers.ts'
export const LEADER_STATE = 'src/raft/leader-state.ts'
export const MEMBERSHIP = 'src/raft/membership.ts'
export const RAFT_PROPOSALS = 'src/raft/proposals.ts'
export const READ_INDEX = 'src/raft/read-index.ts'
export const SLOW_DISK = 'src/raft/slow-disk.ts'
export const TRANSFER = 'src/raft/transfer.ts'
export const LOG = 'src/raft/log.ts'

/** The simulator can see it. If its search has no luck, a test that was written for it does. */
export const SIM: readonly Layer[] = ['sim']
export const SIM_UNIT: readonly Layer[] = ['sim', 'unit']
export const UNIT: readonly Layer[] = ['unit']

/** The core's own tests, by specification and by example. */
export const RAFT_TESTS = [
  'golden',
  'paper',
  'pitfalls',
  'configuration',
  'quorum',
  'membership',
  'late-answers',
].map((name) => `test/raft/${name}.test.ts`)
export const KV_TESTS = ['test/kv/']
export const DRIVER_TESTS = ['driver', 'admit', 'applier', 'proposals', 'reads'].map(
  (name) => `test/server/${name}.test.ts`,
)
export const STORE_TESTS = [
  'memory',
  'faults',
  'tampered',
  'row-heads.prop',
  'formats',
  'verify',
  'leveldb-log',
  'install-term',
  'background-error',
].map((name) => `test/storage/${name}.test.ts`)
