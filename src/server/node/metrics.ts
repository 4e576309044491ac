// The metrics of a node, in the text format of Prometheus. On the hot path a count is an addition to a field. Values
// with an owner are read at each scrape. docs/reference/metrics.md lists the metrics; a test compares the two.

import { readdir, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import type { InFlightCounts } from '../../raft/types.ts'
import type { CertificateExpiry } from '../options.ts'
import { version } from '../version.ts'
import { openFilesMax } from './descriptors.ts'
import type { DriverObserver } from './driver-options.ts'
import { EventLoopLag, openFiles } from './process-load.ts'
import { CounterMetric, Gauge, Histogram, MetricRegistry } from './prometheus.ts'
import { RequestHistogram, RequestMetrics, type Value } from './request-metrics.ts'
import type { DriverStatus } from './types.ts'
import type { WatchCounts } from './watch/types.ts'

/** Sources of values that are read at each scrape. Each owner registers its source when it exists. */
export interface MetricSources {
  readonly status: () => DriverStatus
  readonly inFlight: () => InFlightCounts
  readonly watches: () => WatchCounts
  /** Running totals of the peer traffic. */
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
  /**
   * Totals since the start: connections that were closed because their client read nothing, and connections that were
   * refused for lack of room.
   */
  readonly stalledTotal: number
  readonly refusedTotal: number
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

export interface PeerTotals {
  readonly messagesSent: number
  readonly messagesReceived: number
  readonly messagesDropped: number
  readonly bytesSent: number
  readonly bytesReceived: number
  readonly connectionsOpened: number
  readonly connectionsBroken: number
  /** TLS handshakes of callers that failed. */
  readonly tlsHandshakesFailed: number
}

export const OPERATIONS = ['put', 'get', 'delete', 'range', 'batch', 'other'] as const
export type OperationLabel = (typeof OPERATIONS)[number]

const PROPOSAL_OUTCOMES = ['committed', 'refused', 'unknown'] as const
const DISK_SPACE_STATES = ['none', 'low', 'enough'] as const
const ROLES = ['follower', 'pre-candidate', 'candidate', 'leader'] as const

/** From 50 µs, typical for answers from memory, to the longest time-out. */
const DURATION_BUCKETS = [
  0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
  10, 60,
]

export class Metrics implements DriverObserver {
  readonly #registry = new MetricRegistry()
  readonly #proposals = byName(PROPOSAL_OUTCOMES, () => ({ count: 0 }))
  readonly #answered = byName(OPERATIONS, () => new RequestMetrics(DURATION_BUCKETS))
  readonly #fsyncs = new RequestHistogram(DURATION_BUCKETS)
  #stored = 0
  #applied = 0
  #roleChanges = 0
  readonly #eventLoopLag = new EventLoopLag()

  constructor() {
    const registers = [this.#registry]
    const answered = Object.entries(this.#answered)
    const requests = 'quorate_http_requests_total'
    const help = 'Requests answered, by operation and HTTP status'
    computedMetric(CounterMetric, registers, requests, help, ['operation', 'status'], () =>
      answered.flatMap(([operation, of]) => of.counts(operation)),
    )
    const name = 'quorate_http_request_duration_seconds'
    durations(registers, name, 'From the head of a request to its answer, by operation', ['operation'], () =>
      answered.flatMap(([operation, of]) => of.durations(name, operation)),
    )
    const ended = 'Proposals of this node that ended, by outcome'
    computedMetric(CounterMetric, registers, 'quorate_proposals_total', ended, ['outcome'], () =>
      PROPOSAL_OUTCOMES.map((outcome) => [{ outcome }, this.#proposals[outcome].count]),
    )
    const fsync = 'quorate_fsync_duration_seconds'
    durations(registers, fsync, 'Batches written and synced, from submission to completion', [], () =>
      this.#fsyncs.series(fsync, {}),
    )
    const counter = (of: string, what: string, count: () => number): void =>
      computedMetric(CounterMetric, registers, of, what, [], () => [[{}, count()]])
    counter('quorate_entries_stored_total', 'Log entries made durable', () => this.#stored)
    counter('quorate_entries_applied_total', 'Log entries applied', () => this.#applied)
    counter('quorate_role_changes_total', 'Changes of role, term or known leader', () => this.#roleChanges)
    const build = { version: version(), node_version: process.version }
    const labels = Object.keys(build)
    computedMetric(
      Gauge,
      registers,
      'quorate_build_info',
      'Versions of the running program; always 1',
      labels,
      () => [[build, 1]],
    )
    observeProcess(registers, this.#eventLoopLag)
  }

  requestEnded(operation: OperationLabel, status: number, ms: number): void {
    this.#answered[operation].add(status, ms / 1000)
  }

  proposalEnded(outcome: (typeof PROPOSAL_OUTCOMES)[number], count = 1): void {
    this.#proposals[outcome].count += count
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
    const registers = [this.#registry]
    this.#eventLoopLag.start()
    observeStatus(registers, status)
    observePending(registers, inFlight)
    observeWatches(registers, watches)
    observePeers(registers, peers)
    observeDatabase(registers, databaseDir)
  }

  /** Called once, by the HTTP server. */
  watchHttp(counts: () => HttpCounts): void {
    observeHttp([this.#registry], counts)
  }

  /** Called once, by a node with TLS: how long the files of certificates are still valid. */
  watchTls(expiries: () => readonly CertificateExpiry[]): void {
    const name = 'quorate_tls_certificate_expiry_seconds'
    const help = 'Seconds until the first certificate or revocation list of a file ends'
    computedMetric(Gauge, [this.#registry], name, help, ['file'], () =>
      expiries().map(({ file, seconds }) => [{ file }, seconds]),
    )
  }

  /** Called once, by a node with an audit log. */
  watchAudit(dropped: () => number): void {
    const help = 'Lines of the audit log that were not written'
    computedMetric(CounterMetric, [this.#registry], 'quorate_audit_lines_dropped_total', help, [], () => [
      [{}, dropped()],
    ])
  }

  /** Called once, by a node that makes backups. */
  watchBackups(counts: () => BackupCounts): void {
    observeBackups([this.#registry], counts)
  }

  /** Called when the node has ended. */
  close(): void {
    this.#eventLoopLag.stop()
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }
}

function byName<K extends string, T>(names: readonly K[], make: (name: K) => T): Record<K, T> {
  // Object.fromEntries loses the literal types of the names.
  return Object.fromEntries(names.map((name) => [name, make(name)])) as Record<K, T>
}

type Registers = MetricRegistry[]
type Labels = Readonly<Record<string, string>>
type Series = readonly (readonly [labels: Labels, value: number])[]

/** A histogram whose series are made at each scrape. */
function durations(
  registers: Registers,
  name: string,
  help: string,
  labelNames: readonly string[],
  series: () => readonly Value[],
): void {
  const metric = new Histogram({ name, help, labelNames, registers })
  // The registry takes the values from here.
  Object.assign(metric, {
    getForPromString: async () => ({ name, help, type: 'histogram', values: series() }),
  })
}

/** A metric whose series are computed at each scrape. */
function computedMetric(
  Kind: typeof CounterMetric<string> | typeof Gauge<string>,
  registers: Registers,
  name: string,
  help: string,
  labelNames: readonly string[],
  series: () => Series | Promise<Series>,
): void {
  const metric = new Kind({
    name,
    help,
    labelNames,
    registers,
    async collect() {
      const now = await series()
      metric.reset()
      // Resetting a metric without labels would set it to 0, which would be a wrong value. So it is removed.
      if (now.length === 0) metric.remove({})
      for (const [labels, value] of now) metric.inc(labels, value)
    },
  })
}

function observeStatus(registers: Registers, status: () => DriverStatus): void {
  const gauge = (name: string, help: string, value: (status: DriverStatus) => number | undefined): void =>
    computedMetric(Gauge, registers, name, help, [], () => {
      const now = value(status())
      return now === undefined ? [] : [[{}, now]]
    })
  computedMetric(Gauge, registers, 'quorate_role', '1 for the role that the node has now', ['role'], () => {
    const { role } = status().raft
    return ROLES.map((name) => [{ role: name }, name === role ? 1 : 0])
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
  computedMetric(CounterMetric, registers, 'quorate_leases_expired_total', expired, [], () => [
    [{}, status().leases.expired],
  ])
  const kept = 'Keep-alives of leases that this node has answered: from memory, or by an entry of the log'
  computedMetric(CounterMetric, registers, 'quorate_lease_keepalives_total', kept, ['by'], () => {
    const { inMemory, inLog } = status().leases
    return [
      [{ by: 'memory' }, inMemory],
      [{ by: 'log' }, inLog],
    ]
  })
  gauge('quorate_errors', 'What an operator should look at; see /v1/status', ({ errors }) => errors.length)
}

function observePending(registers: Registers, inFlight: () => InFlightCounts): void {
  const name = 'quorate_pending_bytes'
  computedMetric(Gauge, registers, name, 'Memory of proposals and messages in flight', ['part'], () => {
    const now = inFlight()
    const queued = Object.keys(now).filter((key) => key.startsWith('links.queuedBytes of '))
    return [
      [{ part: 'proposals' }, now['proposals.bytes'] ?? 0],
      [{ part: 'peers' }, queued.reduce((sum, key) => sum + (now[key] ?? 0), 0)],
    ]
  })
}

function observeWatches(registers: Registers, counts: () => WatchCounts): void {
  const name = 'quorate_watches'
  const help = 'Watches, by state: live, behind (reading history), or slow (waiting for their clients)'
  computedMetric(Gauge, registers, name, help, ['state'], () => {
    const { open, behind, slow } = counts()
    return [
      [{ state: 'live' }, open - behind - slow],
      [{ state: 'behind' }, behind],
      [{ state: 'slow' }, slow],
    ]
  })
  const counter = (of: string, what: string, value: (now: WatchCounts) => number): void =>
    computedMetric(CounterMetric, registers, of, what, [], () => [[{}, value(counts())]])
  counter('quorate_watch_events_total', 'Events sent to watches', (now) => now.eventsTotal)
  counter('quorate_watch_slow_total', 'Watches that had to wait for clients', (now) => now.slowTotal)
  counter(
    'quorate_watch_compacted_total',
    'Watches that compaction has overtaken',
    (now) => now.compactedTotal,
  )
}

function observeBackups(registers: Registers, counts: () => BackupCounts): void {
  const last = 'Time of the newest scheduled backup that this node knows'
  const name = 'quorate_backup_last_success_timestamp_seconds'
  computedMetric(Gauge, registers, name, last, [], () => {
    const { lastSuccessMs } = counts()
    return lastSuccessMs === undefined ? [] : [[{}, lastSuccessMs / 1000]]
  })
  const failures = 'Scheduled backups of this node that have failed'
  computedMetric(CounterMetric, registers, 'quorate_backup_failures_total', failures, [], () => [
    [{}, counts().failuresTotal],
  ])
}

function observeHttp(registers: Registers, counts: () => HttpCounts): void {
  const metric = (
    Kind: typeof CounterMetric<string> | typeof Gauge<string>,
    name: string,
    help: string,
    value: (now: HttpCounts) => number,
  ): void => computedMetric(Kind, registers, name, help, [], () => [[{}, value(counts())]])
  computedMetric(
    Gauge,
    registers,
    'quorate_http_connections',
    'Connections of clients, by lane',
    ['lane'],
    () => {
      const { connections, fastConnections, muxConnections } = counts()
      return [
        [{ lane: 'fast' }, fastConnections],
        [{ lane: 'full' }, connections - fastConnections - muxConnections],
        [{ lane: 'mux' }, muxConnections],
      ]
    },
  )
  metric(Gauge, 'quorate_http_requests_open', 'Requests not answered yet', (now) => now.requests)
  metric(Gauge, 'quorate_http_operations_open', 'Operations not answered yet', (now) => now.operations)
  metric(Gauge, 'quorate_http_ranges_open', 'Ranges being read', (now) => now.ranges)
  metric(Gauge, 'quorate_http_watch_bytes', 'Not taken by clients of watches', (now) => now.watchBytes)
  metric(
    Gauge,
    'quorate_http_body_bytes',
    'Requests being received or served, in bytes',
    (now) => now.bodyBytes,
  )
  metric(Gauge, 'quorate_http_answer_bytes', 'Answers not taken yet', (now) => now.answerBytes)
  metric(
    CounterMetric,
    'quorate_http_connections_stalled_total',
    'Cut: took nothing',
    (now) => now.stalledTotal,
  )
  metric(
    CounterMetric,
    'quorate_http_connections_refused_total',
    'No room for them',
    (now) => now.refusedTotal,
  )
  metric(Gauge, 'quorate_tls_handshakes_open', 'TLS handshakes of clients not done', (now) => now.handshakes)
  metric(
    CounterMetric,
    'quorate_tls_handshakes_failed_total',
    'TLS handshakes of clients that failed',
    (now) => now.handshakesFailedTotal,
  )
}

function observePeers(registers: Registers, totals: () => PeerTotals): void {
  const counter = (
    name: string,
    help: string,
    label: string,
    series: (now: PeerTotals) => Record<string, number>,
  ): void =>
    computedMetric(CounterMetric, registers, name, help, [label], () =>
      Object.entries(series(totals())).map(([value, count]) => [{ [label]: value }, count]),
    )
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
  computedMetric(CounterMetric, registers, 'quorate_peer_tls_handshakes_failed_total', failed, [], () => [
    [{}, totals().tlsHandshakesFailed],
  ])
}

function observeDatabase(registers: Registers, dir: string): void {
  let sizes: Promise<ReadonlyMap<string, readonly number[]>> | undefined
  // Both gauges of one scrape share one reading of the directory.
  const current = (): Promise<ReadonlyMap<string, readonly number[]>> => {
    sizes ??= fileSizes(dir).finally(() => {
      sizes = undefined
    })
    return sizes
  }
  const gauge = (name: string, help: string, value: (sizes: readonly number[]) => number): void =>
    computedMetric(Gauge, registers, name, help, ['kind'], async () =>
      [...(await current())].map(([kind, found]) => [{ kind }, value(found)]),
    )
  gauge('quorate_leveldb_files', 'Files of LevelDB', (found) => found.length)
  gauge('quorate_leveldb_bytes', 'Bytes in files of LevelDB', (found) =>
    found.reduce((sum, size) => sum + size, 0),
  )
}

async function fileSizes(dir: string): Promise<ReadonlyMap<string, readonly number[]>> {
  const kinds = new Map<string, number[]>([
    ['table', []],
    ['wal', []],
    ['other', []],
  ])
  for (const name of await readdir(dir)) {
    // LevelDB may delete a file at any time.
    const found = await stat(join(dir, name)).catch(() => undefined)
    if (found?.isFile()) kinds.get(kindOf(name))?.push(found.size)
  }
  return kinds
}

function kindOf(name: string): string {
  const extension = extname(name)
  return extension === '.ldb' ? 'table' : extension === '.log' ? 'wal' : 'other'
}

/** Metrics of the whole process, even if several nodes run in it. */
function observeProcess(registers: Registers, lag: EventLoopLag): void {
  const gauge = (name: string, help: string, value: () => number | undefined): void =>
    computedMetric(Gauge, registers, name, help, [], () => {
      const now = value()
      return now === undefined ? [] : [[{}, now]]
    })
  gauge('process_start_time_seconds', 'Unix time at which the process started', () => {
    return performance.timeOrigin / 1000
  })
  gauge('process_resident_memory_bytes', 'Resident memory', () => process.memoryUsage.rss())
  gauge('process_heap_used_bytes', 'JavaScript heap in use', () => process.memoryUsage().heapUsed)
  gauge('process_open_fds', 'Open file descriptors', openFiles)
  gauge('process_max_fds', 'Open file descriptors that the process may have', () => {
    const max = openFilesMax()
    return Number.isFinite(max) ? max : undefined
  })
  computedMetric(
    CounterMetric,
    registers,
    'process_cpu_seconds_total',
    'User and system CPU time',
    [],
    () => {
      const { user, system } = process.cpuUsage()
      return [[{}, (user + system) / 1e6]]
    },
  )
  const name = 'nodejs_eventloop_lag_seconds'
  const help = 'How late timers ran since the scrape before'
  computedMetric(Gauge, registers, name, help, ['statistic'], () =>
    lag.take().map(([statistic, seconds]) => [{ statistic }, seconds]),
  )
}
