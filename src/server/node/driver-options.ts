// Options of the driver: clock, disk, storage and limits, and the receivers of its events.

import type { Raft, RaftLimits, RaftOptions, RaftTiming, RoleChange } from '../../raft/index.ts'
import type { Storage } from '../../storage/types.ts'
import type { CertificateExpiry, Logger, NodeEnd } from '../options.ts'
import type { NodeClock } from './clock.ts'
import type { Disk } from './disk.ts'
import type { DriverLimits } from './limits.ts'
import type { ReportKind } from './network.ts'

/** Receives the events for metrics. Every method is called on a hot path and must be cheap. */
export interface DriverObserver {
  /** `count`: the number of callers that waited for it. */
  proposalEnded(outcome: 'committed' | 'refused' | 'unknown', count: number): void
  batchStored(ms: number, entries: number): void
  entriesApplied(count: number): void
  roleChanged(change: RoleChange): void
}

/** The surroundings of the replica: its disk, files and backups. The values may be read at each access. */
export interface HostStatus {
  /** The size of the file system with the data directory; Infinity when it is unknown. */
  readonly diskTotalBytes: number
  readonly certificates: readonly CertificateExpiry[]
  /** The age of the newest scheduled backup that this node knows; undefined: it knows none. */
  readonly lastBackupAgeMs: number | undefined
  /** Why the last scheduled backup of this node failed. */
  readonly backupFailure: string | undefined
}

/** Makes a report of this node for another member. Calls `done` once; with undefined if it cannot be made. */
export type ReportSource = (kind: ReportKind, done: (report: Uint8Array | undefined) => void) => void

export interface DriverOptions {
  readonly clock: NodeClock
  /** The disk with the storage's files. */
  readonly disk: Disk
  readonly storage: Storage
  readonly timing: RaftTiming
  readonly raftLimits: RaftLimits
  readonly limits: DriverLimits
  /** A random number, uniform in [0, 1). */
  readonly random: () => number
  readonly logger: Logger
  readonly observer: DriverObserver
  /** host:port of the peer listener, for the greeting. */
  readonly peerAddress: () => string
  /** The newest cluster version that the replica knows; without it, that of this program. Tests run older replicas. */
  readonly knownVersion?: number | undefined
  /** Makes the core; without it, a plain one. A test may observe its steps. */
  readonly createRaft?: (options: RaftOptions) => Raft
  /** Reports on the host, for the status; undefined: nothing is known of it. */
  readonly host?: HostStatus
  /** undefined: the node reports nothing to other members. */
  readonly reports?: ReportSource
  /** Called when role, term or known leader have changed. */
  readonly onRoleChange?: () => void
  /** The node has ended for this reason. The caller closes HTTP and other servers. */
  readonly onEnd: (end: NodeEnd) => void
}
