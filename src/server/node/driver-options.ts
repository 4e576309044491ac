// Options of the driver: clock, disk, storage and limits, and the receivers of its events.

import type { RaftLimits, RaftTiming, RoleChange } from '../../raft/index.ts'
import type { Storage } from '../../storage/types.ts'
import type { Disk } from './disk-space.ts'
import type { DriverLimits } from './limits.ts'
import type { Clock, HostStatus, Logger, NodeEnd } from './types.ts'

/** Receives the events for metrics. Every method is called on a hot path and must be cheap. */
export interface DriverObserver {
  /** `count`: the number of callers that waited for it. */
  proposalEnded(outcome: 'committed' | 'refused' | 'unknown', count: number): void
  batchStored(ms: number, entries: number): void
  entriesApplied(count: number): void
  roleChanged(change: RoleChange): void
}

export interface DriverOptions {
  readonly clock: Clock
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
  /** Without it, nothing is known of the host. */
  readonly host?: HostStatus
  /** Called when role, term or known leader have changed. */
  readonly onRoleChange?: () => void
  /** The node has ended for this reason. The caller closes HTTP and other servers. */
  readonly onEnd: (end: NodeEnd) => void
}
