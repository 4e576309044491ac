// The metrics of a node, in the text format of Prometheus. On the hot path a count is an addition to a field. Values
// with an owner are read at each scrape. docs/reference/metrics.md lists the metrics; a test compares the two.

import { readdir, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { OPERATION_LABELS } from '../../../operations/index.ts'
import type { InFlightCounts } from '../../../raft/types.ts'
import { version } from '../../../system/version.ts'
import type { CertificateExpiry } from '../../options.ts'
import type { DriverObserver } from '../driver-options.ts'
import type { PeerTotals } from '../network.ts'
import type { WatchCounts } from '../watch/types.ts'
import { openFilesMax } from './descriptors.ts'
import { MetricList } from './metric-list.ts'
import { EventLoopLag, openFiles } from './process-load.ts'
import { DurationHistogram, RequestMetrics } from './request-metrics.ts'
import type { DriverStatus } from './status.ts'

/** Sources of values that are read at each scrape. Each owner registers its source when it exists. */
export interface MetricSources {
  readonly status: () => DriverStatus
  readonly inFlight: () => InFlightCounts
  readonly watches: () => WatchCounts
  readonly peers: () => PeerTotals
  /** LevelDB's directory. */
  readonly databaseDir: string
}

/** Resources that the HTTP API has in use, 0 at rest without connections; and two totals. */
export interface HttpCounts {
  /** Connections of clients, and how many of them are on the fast lane. */
  readonly connections: number
  readonly fastConnections: number
  /** How many of the connections are multiplexed. */
  readonly muxConnections: number
  /** How many of the connections speak gRPC, and the calls that are open on them. */
  readonly grpcConnections: number
  readonly grpcCalls: number
  /** Requests in progress. */
  readonly requests: number
  /** Operations in progress on multiplexed connections. */
  readonly operations: number
  readonly ranges: number
  /** Bytes that wait for clients of watches. */
  readonly watchBytes: number
  /** Bytes of bodies that are being received, and of responses that clients have not read yet. */
  readonly bodyBytes: number
  readonly answerBytes: number
  /** Bytes of requests on connections on which no user is known, while rights are checked. */
  readonly unauthenticatedBytes: number
  /**
   * Totals since the start: connections that were closed because their client read nothing, and connections that were
   * refused for lack of room.
   */
  readonly stalledTotal: number
  readonly refusedTotal: number
  /** Bytes of heads on connections on which nobody is known, without 1 KiB of each. */
  readonly unidentifiedHeadBytes: number
  /** Connections on which nobody is known yet; total of those that were closed late or to make room. */
  readonly unidentified: number
  readonly unidentifiedClosedTotal: number
  /** Connections whose TLS handshake is not done; total of those whose handshake has failed. */
  readonly handshakes: number
  readonly handshakesFailedTotal: number
}

/** Scheduled backups. */
export interface BackupCounts {
  /** The time of the newest backup that this node knows, on the clock of the machine; undefined: it knows none. */
  readonly lastSuccessMs: number | undefined
  readonly failuresTotal: number
  /** Why the last attempt failed; undefined after one that succeeded. */
  readonly failure: string | undefined
}

const HTTP_LABELS = { kind: 'operation', status: 'status' }
const GRPC_LABELS = { kind: 'rpc', status: 'code' }
const DISK_SPACE_STATES = ['none', 'low', 'enough'] as const
const ROLES = ['follower', 'pre-candidate', 'candidate', 'leader'] as const

/** Bounds of durations from 50 µs, typical for answers from memory, to the longest timeout. */
const DURATION_BUCKETS = [
  0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
  10, 60,
]

function metricsOf(
  name: string,
  all: Map<string, RequestMetrics>,
  labels: ConstructorParameters<typeof RequestMetrics>[1],
): RequestMetrics {
  let found = all.get(name)
  if (found === undefined) {
    found = new RequestMetrics(DURATION_BUCKETS, labels)
    all.set(name, found)
  }
  return found
}

export class Metrics implements DriverObserver {
  readonly #metrics = new MetricList()
  readonly #proposals = { committed: 0, refused: 0, unknown: 0 }
  /** By operation, and by RPC for those of the JSON gateway that were called. */
  readonly #answered = new Map<string, RequestMetrics>(
    OPERATION_LABELS.map((label) => [label, new RequestMetrics(DURATION_BUCKETS, HTTP_LABELS)]),
  )
  /** By RPC, for those that were called. */
  readonly #grpc = new Map<string, RequestMetrics>()
  readonly #fsyncs = new DurationHistogram(DURATION_BUCKETS)
  #stored = 0
  #applied = 0
  #roleChanges = 0
  readonly #eventLoopLag = new EventLoopLag()

  constructor() {
    const metrics = this.#metrics
    metrics.add({
      name: 'quorate_http_requests_total',
      type: 'counter',
      help: 'Requests answered, by operation and HTTP status',
      series: () => [...this.#answered].flatMap(([operation, of]) => of.counts(operation)),
    })
    metrics.add({
      name: 'quorate_http_request_duration_seconds',
      type: 'histogram',
      help: 'From the head of a request to its answer, by operation',
      series: () => [...this.#answered].flatMap(([operation, of]) => of.durations(operation)),
    })
    metrics.add({
      name: 'quorate_grpc_calls_total',
      type: 'counter',
      help: 'Calls of gRPC that ended, by RPC and status',
      series: () => [...this.#grpc].flatMap(([rpc, of]) => of.counts(rpc)),
    })
    metrics.add({
      name: 'quorate_grpc_call_duration_seconds',
      type: 'histogram',
      help: 'From the metadata of a call to its end, by RPC',
      series: () => [...this.#grpc].flatMap(([rpc, of]) => of.durations(rpc)),
    })
    const ended = 'Proposals of this node that ended, by outcome'
    metrics.byLabel('counter', 'quorate_proposals_total', ended, 'outcome', () => this.#proposals)
    metrics.add({
      name: 'quorate_fsync_duration_seconds',
      type: 'histogram',
      help: 'Batches written and synced, from submission to completion',
      series: () => this.#fsyncs.series({}),
    })
    metrics.counter('quorate_entries_stored_total', 'Log entries made durable', () => this.#stored)
    metrics.counter('quorate_entries_applied_total', 'Log entries applied', () => this.#applied)
    metrics.counter(
      'quorate_role_changes_total',
      'Changes of role, term or known leader',
      () => this.#roleChanges,
    )
    const labels = { version: version(), node_version: process.version }
    metrics.add({
      name: 'quorate_build_info',
      type: 'gauge',
      help: 'Versions of the running program; always 1',
      series: () => [{ labels, value: 1 }],
    })
    observeProcess(metrics, this.#eventLoopLag)
  }

  /** `operation`: its label, or an RPC that the node serves. */
  requestEnded(operation: string, status: number, ms: number): void {
    metricsOf(operation, this.#answered, HTTP_LABELS).add(status, ms / 1000)
  }

  /** `rpc`: one that the node serves. */
  callEnded(rpc: string, code: number, ms: number): void {
    metricsOf(rpc, this.#grpc, GRPC_LABELS).add(code, ms / 1000)
  }

  proposalEnded(outcome: 'committed' | 'refused' | 'unknown', count = 1): void {
    this.#proposals[outcome] += count
  }

  batchStored(ms: number, entries: number): void {
    this.#fsyncs.add(ms / 1000)
    this.#stored += entries
  }

  entriesApplied(count: number): void {
    this.#applied += count
  }

  roleChanged(): void {
    this.#roleChanges++
  }

  /** Called once, when the node runs. */
  watch({ status, inFlight, watches, peers, databaseDir }: MetricSources): void {
    this.#eventLoopLag.start()
    observeStatus(this.#metrics, status)
    observePending(this.#metrics, inFlight)
    observeWatches(this.#metrics, watches)
    observePeers(this.#metrics, peers)
    observeDatabase(this.#metrics, databaseDir)
  }

  /** Called once, by the HTTP server. */
  watchHttp(counts: () => HttpCounts): void {
    observeHttp(this.#metrics, counts)
  }

  /** Called once, by a node with TLS: how long the files of certificates are still valid. */
  watchTls(expiries: () => readonly CertificateExpiry[]): void {
    const name = 'quorate_tls_certificate_expiry_seconds'
    const help = 'Seconds until the first certificate or revocation list of a file ends'
    const series = () => expiries().map(({ file, seconds }) => ({ labels: { file }, value: seconds }))
    this.#metrics.add({ name, type: 'gauge', help, series })
  }

  /** Called once, by a node with an audit log. */
  watchAudit(counts: () => { readonly dropped: number; readonly skipped: number }): void {
    const dropped = 'Lines of the audit log that were not written'
    this.#metrics.counter('quorate_audit_lines_dropped_total', dropped, () => counts().dropped)
    const skipped = 'Refusals of clients without a user that are only counted in the audit log'
    this.#metrics.counter('quorate_audit_refusals_skipped_total', skipped, () => counts().skipped)
  }

  /** Called once, by a node that makes backups. `everyMs`: the age of the newest one from which another one is due. */
  watchBackups(everyMs: number, counts: () => BackupCounts): void {
    observeBackups(this.#metrics, everyMs, counts)
  }

  /** Called when the node has ended. */
  close(): void {
    this.#eventLoopLag.stop()
  }

  text(): Promise<string> {
    return this.#metrics.text()
  }
}

function byName<K extends string, T>(names: readonly K[], make: (name: K) => T): Record<K, T> {
  // Object.fromEntries loses the literal types of the names.
  return Object.fromEntries(names.map((name) => [name, make(name)])) as Record<K, T>
}

function observeStatus(metrics: MetricList, status: () => DriverStatus): void {
  const gauge = (name: string, help: string, value: (status: DriverStatus) => number | undefined): void =>
    metrics.gauge(name, help, () => value(status()))
  metrics.byLabel('gauge', 'quorate_role', '1 for the role that the node has now', 'role', () => {
    const { role } = status().raft
    return byName(ROLES, (name) => (name === role ? 1 : 0))
  })
  gauge('quorate_has_leader', '1 while the node knows a leader', ({ raft }) =>
    raft.leader === undefined ? 0 : 1,
  )
  gauge('quorate_term', 'Current term', ({ raft }) => raft.term)
  gauge('quorate_commit_index', 'Highest log index known to be committed', ({ raft }) => raft.commit)
  gauge('quorate_applied_index', 'Highest log index applied', ({ raft }) => raft.applied)
  gauge('quorate_log_first_index', 'First log index that is kept', ({ raft }) => raft.firstIndex)
  gauge('quorate_log_last_index', 'Last log index', ({ raft }) => raft.lastIndex)
  gauge('quorate_revision', 'Revision of the store', ({ revision }) => revision)
  gauge('quorate_voters', 'Voters of the configuration', ({ raft }) => raft.configuration.voters.length)
  gauge(
    'quorate_followers_late',
    'Followers of this leader whose last snapshot came too late for the log',
    ({ raft }) => raft.progress.filter(({ lateSnapshots }) => lateSnapshots > 0).length,
  )
  gauge(
    'quorate_staleness_seconds',
    'Proven bound on how old the applied state is; absent when unknown',
    ({ raft }) => (raft.stalenessMs === undefined ? undefined : raft.stalenessMs / 1000),
  )
  gauge(
    'quorate_disk_free_bytes',
    'Free bytes of the file system of the data directory',
    ({ diskFreeBytes }) => (Number.isFinite(diskFreeBytes) ? diskFreeBytes : undefined),
  )
  gauge(
    'quorate_disk_room',
    '2: changes are taken, 1: deletes only, 0: no change is written for lack of disk space',
    ({ diskSpace }) => DISK_SPACE_STATES.indexOf(diskSpace),
  )
  gauge('quorate_leases', 'Leases (time to live) that exist', ({ leases }) => leases.count)
  const expired = 'Leases that this node has ended as the leader'
  metrics.counter('quorate_leases_expired_total', expired, () => status().leases.expired)
  const kept = 'Keep-alives of leases that this node has answered: from memory, or by an entry of the log'
  metrics.byLabel('counter', 'quorate_lease_keepalives_total', kept, 'by', () => {
    const { inMemory, inLog } = status().leases
    return { memory: inMemory, log: inLog }
  })
  gauge('quorate_errors', 'What an operator should look at; see /v1/status', ({ errors }) => errors.length)
}

function observePending(metrics: MetricList, inFlight: () => InFlightCounts): void {
  const help = 'Memory of proposals and messages in flight'
  metrics.byLabel('gauge', 'quorate_pending_bytes', help, 'part', () => {
    const now = inFlight()
    const queued = Object.keys(now).filter((key) => key.startsWith('links.queuedBytes of '))
    const peers = queued.reduce((sum, key) => sum + (now[key] ?? 0), 0)
    return { proposals: now['proposals.bytes'] ?? 0, peers }
  })
}

function observeWatches(metrics: MetricList, counts: () => WatchCounts): void {
  const help = 'Watches, by state: live, behind (reading history), or slow (waiting for their clients)'
  metrics.byLabel('gauge', 'quorate_watches', help, 'state', () => {
    const { open, behind, slow } = counts()
    return { live: open - behind - slow, behind, slow }
  })
  const counter = (of: string, what: string, value: (now: WatchCounts) => number): void =>
    metrics.counter(of, what, () => value(counts()))
  counter('quorate_watch_events_total', 'Events sent to watches', (now) => now.eventsTotal)
  counter('quorate_watch_slow_total', 'Watches that had to wait for clients', (now) => now.slowTotal)
  counter(
    'quorate_watch_compacted_total',
    'Watches that compaction has overtaken',
    (now) => now.compactedTotal,
  )
}

function observeBackups(metrics: MetricList, everyMs: number, counts: () => BackupCounts): void {
  const interval = 'Age of the newest scheduled backup from which the leader makes another one'
  metrics.gauge('quorate_backup_interval_seconds', interval, () => everyMs / 1000)
  const last = 'Time of the newest scheduled backup that this node knows'
  metrics.gauge('quorate_backup_last_success_timestamp_seconds', last, () => {
    const { lastSuccessMs } = counts()
    return lastSuccessMs === undefined ? undefined : lastSuccessMs / 1000
  })
  const failures = 'Scheduled backups of this node that have failed'
  metrics.counter('quorate_backup_failures_total', failures, () => counts().failuresTotal)
}

function observeHttp(metrics: MetricList, counts: () => HttpCounts): void {
  const gauge = (name: string, help: string, value: (now: HttpCounts) => number): void =>
    metrics.gauge(name, help, () => value(counts()))
  const counter = (name: string, help: string, value: (now: HttpCounts) => number): void =>
    metrics.counter(name, help, () => value(counts()))
  metrics.byLabel('gauge', 'quorate_http_connections', 'Connections of clients, by lane', 'lane', () => {
    const { connections, fastConnections, muxConnections, grpcConnections } = counts()
    const full = connections - fastConnections - muxConnections - grpcConnections
    return { fast: fastConnections, full, mux: muxConnections, grpc: grpcConnections }
  })
  gauge('quorate_http_requests_open', 'Requests not answered yet', (now) => now.requests)
  gauge('quorate_http_operations_open', 'Operations not answered yet', (now) => now.operations)
  gauge('quorate_grpc_calls_open', 'Calls of gRPC that are open', (now) => now.grpcCalls)
  gauge('quorate_http_ranges_open', 'Ranges being read', (now) => now.ranges)
  gauge('quorate_http_watch_bytes', 'Not taken by clients of watches', (now) => now.watchBytes)
  gauge('quorate_http_body_bytes', 'Requests being received or served, in bytes', (now) => now.bodyBytes)
  gauge(
    'quorate_http_unauthenticated_bytes',
    'Requests without a user, in bytes',
    (now) => now.unauthenticatedBytes,
  )
  gauge(
    'quorate_http_unidentified_head_bytes',
    'Heads on unidentified connections, in bytes',
    (now) => now.unidentifiedHeadBytes,
  )
  gauge('quorate_http_answer_bytes', 'Answers not taken yet', (now) => now.answerBytes)
  counter('quorate_http_connections_stalled_total', 'Cut: took nothing', (now) => now.stalledTotal)
  counter('quorate_http_connections_refused_total', 'No room for them', (now) => now.refusedTotal)
  gauge(
    'quorate_http_unidentified_connections',
    'Connections on which nobody is known yet',
    (now) => now.unidentified,
  )
  const closed = 'Connections on which nobody was known, closed late or to make room'
  counter('quorate_http_unidentified_connections_closed_total', closed, (now) => now.unidentifiedClosedTotal)
  gauge('quorate_tls_handshakes_open', 'TLS handshakes of clients not done', (now) => now.handshakes)
  counter(
    'quorate_tls_handshakes_failed_total',
    'TLS handshakes of clients that failed',
    (now) => now.handshakesFailedTotal,
  )
}

function observePeers(metrics: MetricList, totals: () => PeerTotals): void {
  const counter = (
    name: string,
    help: string,
    label: string,
    values: (now: PeerTotals) => Record<string, number>,
  ): void => metrics.byLabel('counter', name, help, label, () => values(totals()))
  counter('quorate_peer_bytes_total', 'Bytes exchanged with peers', 'direction', (now) => ({
    sent: now.bytesSent,
    received: now.bytesReceived,
  }))
  counter('quorate_peer_messages_total', 'Messages to and from peers', 'fate', (now) => ({
    sent: now.messagesSent,
    received: now.messagesReceived,
    dropped: now.messagesDropped,
  }))
  counter('quorate_peer_connections_total', 'Connections with peers', 'fate', (now) => ({
    opened: now.connectionsOpened,
    broken: now.connectionsBroken,
  }))
  const failed = 'TLS handshakes of peers that failed'
  metrics.counter('quorate_peer_tls_handshakes_failed_total', failed, () => totals().tlsHandshakesFailed)
}

function observeDatabase(metrics: MetricList, dir: string): void {
  let sizes: Promise<Record<string, readonly number[]>> | undefined
  const gauge = (name: string, help: string, value: (sizes: readonly number[]) => number): void =>
    metrics.byLabel('gauge', name, help, 'kind', async () => {
      // Both gauges of one scrape share one reading of the directory.
      sizes ??= fileSizes(dir).finally(() => {
        sizes = undefined
      })
      return Object.fromEntries(Object.entries(await sizes).map(([kind, found]) => [kind, value(found)]))
    })
  gauge('quorate_leveldb_files', 'Files of LevelDB', (found) => found.length)
  gauge('quorate_leveldb_bytes', 'Bytes in files of LevelDB', (found) =>
    found.reduce((sum, size) => sum + size, 0),
  )
}

async function fileSizes(dir: string): Promise<Record<string, readonly number[]>> {
  const kinds = { table: [] as number[], wal: [] as number[], other: [] as number[] }
  for (const name of await readdir(dir)) {
    // LevelDB may delete a file at any time.
    const found = await stat(join(dir, name)).catch(() => undefined)
    if (found?.isFile()) kinds[fileKind(name)].push(found.size)
  }
  return kinds
}

function fileKind(name: string): 'table' | 'wal' | 'other' {
  const extension = extname(name)
  return extension === '.ldb' ? 'table' : extension === '.log' ? 'wal' : 'other'
}

/** Metrics of the whole process, even if several nodes run in it. */
function observeProcess(metrics: MetricList, lag: EventLoopLag): void {
  const startedAt = 'Unix time at which the process started'
  metrics.gauge('process_start_time_seconds', startedAt, () => performance.timeOrigin / 1000)
  metrics.gauge('process_resident_memory_bytes', 'Resident memory', () => process.memoryUsage.rss())
  metrics.gauge('process_heap_used_bytes', 'JavaScript heap in use', () => process.memoryUsage().heapUsed)
  metrics.gauge('process_open_fds', 'Open file descriptors', openFiles)
  metrics.gauge('process_max_fds', 'Open file descriptors that the process may have', () => {
    const max = openFilesMax()
    return Number.isFinite(max) ? max : undefined
  })
  metrics.counter('process_cpu_seconds_total', 'User and system CPU time', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  const late = 'How late timers ran since the scrape before'
  metrics.byLabel('gauge', 'nodejs_eventloop_lag_seconds', late, 'statistic', () =>
    Object.fromEntries(lag.take()),
  )
}
