// The interface of a running node for what serves its clients: the API, and with it every wire.

import type { SpanContext } from '@opentelemetry/api'
import type { KvState, Request } from '../../kv/types.ts'
import type { KeyRow, LeaseId, ReadGrant, Revision } from '../../operations/forms/index.ts'
import type {
  Configuration,
  ConfigurationChange,
  LeaderLeaseSetting,
  ReplicaId,
  Term,
} from '../../raft/types.ts'
import type { RowScan } from '../../storage/types.ts'
import type { Auth } from './apply/auth-view.ts'
import type { LeaseNow } from './leases/lease-rows.ts'
import type { ReportKind } from './network.ts'
import type { DriverStatus } from './observe/status.ts'
import type { MetadataScan } from './read/metadata-scan.ts'
import type { ReadRequirements } from './read/reads.ts'
import type { KeyScan, RecordScan, RecordScanOptions, SlicedScan } from './read/record-scan.ts'
import type { CommandResult, Result } from './result.ts'
import type { PermittedWatch, WatchHandle, WatchSink } from './watch/types.ts'

/** A node. Callbacks are called exactly once, never before the call returns. */
export interface KvNode {
  readonly name: string
  readonly clusterId: string
  status(): DriverStatus
  /** The parts of the status that are cheap, for the headers of every response. */
  readonly term: Term
  readonly revision: Revision
  /** The number of keys of the store at this revision. */
  readonly keys: number
  readonly leaderName: string | undefined
  /** Users and rights as this node has applied them. */
  readonly auth: Auth
  /** `trace`: the trace of the request, if it is recorded. */
  propose(
    request: Request,
    timeoutMs: number,
    done: (result: CommandResult) => void,
    trace?: SpanContext,
  ): void
  /**
   * Grants a read. `done` runs synchronously with a state that satisfies it: read in it, or open scans. The returned
   * function withdraws the read: if it still waits, it ends at once as `cancelled`.
   */
  read(options: ReadRequirements, done: (result: Result<ReadGrant>) => void): () => void
  /** The revisions at which the store can be read, and from which it can be watched. */
  readonly history: KvState['history']
  /** The sessions of clients: the next one, and the oldest one that is not forgotten. */
  readonly clientSessions: KvState['clientSessions']
  /** Reads a key's current record. `done` may be called before this returns. */
  get(key: Uint8Array, done: (error: Error | undefined, record: KeyRow | undefined) => void): void
  list(options: RecordScanOptions): RecordScan
  /** Scans the metadata of records, without values. */
  listMetadata(options: RecordScanOptions): MetadataScan
  /** Scans the keys of records alone, which is enough to count them. */
  listKeys(options: RecordScanOptions): KeyScan
  /** All rows of the store, and its registers. */
  rows(): RowScan
  /**
   * Begins a watch on the current state. The sink is not called before this returns. It then receives all events from
   * the requested revision on, or from the next one on.
   */
  watch(request: PermittedWatch, sink: WatchSink): Result<WatchHandle>
  /**
   * Lower bound for times to live, which are raised to it: no lease expires because an election takes its usual time.
   */
  readonly leaseTtlMsMin: number
  /**
   * Keeps leases alive. Each lives for its time to live from some time between this call and its result. The result is
   * that time to live for each id, or undefined for a lease that does not exist.
   */
  keepAlive(
    ids: readonly LeaseId[],
    timeoutMs: number,
    done: (result: Result<readonly (number | undefined)[]>) => void,
  ): void
  /** The current state of a lease. */
  lease(id: LeaseId): LeaseNow | undefined
  /**
   * The remaining times to live of leases, as the leader knows them. undefined: it has no such lease, or has not
   * answered.
   */
  remainingTtls(
    ids: readonly LeaseId[],
    timeoutMs: number,
    done: (ttlsMs: readonly (number | undefined)[]) => void,
  ): void
  /** All leases after this one, in the order of their ids. */
  listLeases(after: LeaseId | undefined): SlicedScan<LeaseNow & { readonly id: LeaseId }>
  /** The current keys of a lease. */
  keysOfLease(id: LeaseId): SlicedScan<Uint8Array>
  /** Requests a report of another member, for its API to read. */
  requestReport(
    member: ReplicaId,
    kind: ReportKind,
    timeoutMs: number,
    done: (result: Result<Uint8Array>) => void,
  ): void
  change(change: ConfigurationChange, timeoutMs: number, done: (result: Result<Configuration>) => void): void
  setLeaderLeases(
    setting: LeaderLeaseSetting,
    timeoutMs: number,
    done: (result: Result<LeaderLeaseSetting>) => void,
  ): void
  transfer(
    to: ReplicaId | undefined,
    timeoutMs: number,
    done: (result: Result<{ readonly leader: string }>) => void,
  ): void
}
