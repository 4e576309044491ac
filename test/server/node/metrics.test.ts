// The scraped values, each compared with its source.

import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { asReplicaId } from '../../../src/raft/types.ts'
import { type HttpCounts, type MetricSources, Metrics } from '../../../src/server/node/observe/metrics.ts'
import { version } from '../../../src/system/version.ts'
import { FakeNode, NO_WATCHES } from '../http/fake-node.ts'

function database(files: Readonly<Record<string, number>>): string {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-metrics-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(dir, name), Buffer.alloc(bytes))
  mkdirSync(join(dir, 'lost.ldb'))
  return dir
}

const PEERS = {
  ...{ messagesSent: 1, messagesReceived: 2, messagesDropped: 3, bytesSent: 4, bytesReceived: 5 },
  ...{ connectionsOpened: 6, connectionsBroken: 7, tlsHandshakesFailed: 8 },
}

/** The sources of a node at rest. */
const sources = (more: Partial<MetricSources> = {}): MetricSources => ({
  status: () => new FakeNode().status(),
  inFlight: () => ({}),
  watches: () => NO_WATCHES,
  peers: () => PEERS,
  databaseDir: database({}),
  ...more,
})

const HTTP: HttpCounts = {
  ...{
    connections: 9,
    fastConnections: 2,
    muxConnections: 3,
    grpcConnections: 1,
    requests: 3,
    operations: 10,
    ranges: 4,
  },
  ...{
    watchBytes: 12,
    bodyBytes: 5,
    unauthenticatedBytes: 11,
    answerBytes: 6,
    stalledTotal: 7,
    refusedTotal: 8,
  },
  ...{ grpcCalls: 16 },
  ...{ unidentified: 13, unidentifiedClosedTotal: 14, unidentifiedHeadBytes: 15 },
  ...{ handshakes: 9, handshakesFailedTotal: 10 },
}

/** Series by name and labels. */
async function scraped(metrics: Metrics): Promise<Map<string, number>> {
  const lines = (await metrics.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  )
}

const matching = (series: Map<string, number>, begin: RegExp): Record<string, number> =>
  Object.fromEntries([...series].filter(([name]) => begin.test(name)))

test('what the node says of itself', async () => {
  const metrics = new Metrics()
  const node = new FakeNode()
  metrics.watch(
    sources({
      status: () => ({ ...node.status(), leases: { count: 1, expired: 2, inMemory: 5, inLog: 3 } }),
    }),
  )
  const now = async () =>
    matching(
      await scraped(metrics),
      /^quorate_(?!build|proposals|http|fsync|entries|peer|pending|leveldb|watch)/,
    )
  const calm = {
    quorate_applied_index: 99,
    quorate_commit_index: 100,
    quorate_disk_free_bytes: 80 * 1024 ** 3,
    quorate_disk_room: 2,
    quorate_errors: 0,
    quorate_followers_late: 0,
    quorate_has_leader: 1,
    'quorate_lease_keepalives_total{by="log"}': 3,
    'quorate_lease_keepalives_total{by="memory"}': 5,
    quorate_leases: 1,
    quorate_leases_expired_total: 2,
    quorate_log_first_index: 7,
    quorate_log_last_index: 101,
    quorate_revision: 1,
    'quorate_role{role="candidate"}': 0,
    'quorate_role{role="follower"}': 1,
    'quorate_role{role="leader"}': 0,
    'quorate_role{role="pre-candidate"}': 0,
    quorate_role_changes_total: 0,
    quorate_term: 3,
    quorate_voters: 3,
  }
  expect(await now()).toEqual(calm)
  node.leaderName = undefined
  node.errors = ['a', 'b']
  node.role = 'leader'
  node.stalenessMs = 250
  node.configuration = { ...node.configuration, voters: [asReplicaId('1')] }
  metrics.roleChanged()
  metrics.roleChanged()
  expect(await now()).toEqual({
    ...calm,
    quorate_errors: 2,
    quorate_has_leader: 0,
    'quorate_role{role="follower"}': 0,
    'quorate_role{role="leader"}': 1,
    quorate_role_changes_total: 2,
    quorate_staleness_seconds: 0.25,
    quorate_voters: 1,
  })
  // A bound that is not known any more is no bound of 0.
  node.stalenessMs = undefined
  expect(Object.keys(await now())).not.toContain('quorate_staleness_seconds')
})

test('rooms are 2, 1 and 0, and free bytes that nobody can tell are absent', async () => {
  for (const [room, value] of [
    ['enough', 2],
    ['low', 1],
    ['none', 0],
  ] as const) {
    const metrics = new Metrics()
    const status = new FakeNode().status()
    const full = { ...status, diskFreeBytes: Number.POSITIVE_INFINITY, diskSpace: room }
    metrics.watch(sources({ status: () => full }))
    expect(matching(await scraped(metrics), /^quorate_disk/)).toEqual({ quorate_disk_room: value })
  }
})

test('peers, by direction and fate, as running totals', async () => {
  const metrics = new Metrics()
  const totals = { ...PEERS }
  metrics.watch(sources({ peers: () => totals }))
  const peers = {
    'quorate_peer_bytes_total{direction="received"}': 5,
    'quorate_peer_bytes_total{direction="sent"}': 4,
    'quorate_peer_connections_total{fate="broken"}': 7,
    'quorate_peer_connections_total{fate="opened"}': 6,
    'quorate_peer_messages_total{fate="dropped"}': 3,
    'quorate_peer_messages_total{fate="received"}': 2,
    'quorate_peer_messages_total{fate="sent"}': 1,
    quorate_peer_tls_handshakes_failed_total: 8,
  }
  expect(matching(await scraped(metrics), /^quorate_peer/)).toEqual(peers)
  totals.bytesSent = 40
  expect(matching(await scraped(metrics), /^quorate_peer/)).toEqual({
    ...peers,
    'quorate_peer_bytes_total{direction="sent"}': 40,
  })
})

test('files of LevelDB by kind, counted and added up; directories are none', async () => {
  const metrics = new Metrics()
  const databaseDir = database({
    '000005.ldb': 10,
    '000007.ldb': 20,
    '000008.log': 3,
    MANIFEST: 5,
    CURRENT: 1,
  })
  metrics.watch(sources({ databaseDir }))
  const files = {
    'quorate_leveldb_bytes{kind="other"}': 6,
    'quorate_leveldb_bytes{kind="table"}': 30,
    'quorate_leveldb_bytes{kind="wal"}': 3,
    'quorate_leveldb_files{kind="other"}': 2,
    'quorate_leveldb_files{kind="table"}': 2,
    'quorate_leveldb_files{kind="wal"}': 1,
  }
  expect(matching(await scraped(metrics), /^quorate_leveldb/)).toEqual(files)
  // Read anew for each scrape.
  writeFileSync(join(databaseDir, '000009.log'), 'abc')
  expect(matching(await scraped(metrics), /^quorate_leveldb.*wal/)).toEqual({
    'quorate_leveldb_bytes{kind="wal"}': 6,
    'quorate_leveldb_files{kind="wal"}': 2,
  })
})

test('requests by operation and status, with the seconds that they took', async () => {
  const metrics = new Metrics()
  metrics.requestEnded('put', 200, 3)
  metrics.requestEnded('put', 200, 1500)
  metrics.requestEnded('put', 412, 70_000)
  metrics.requestEnded('range', 200, 0)
  const series = await scraped(metrics)
  expect(matching(series, /^quorate_http_requests_total/)).toEqual({
    'quorate_http_requests_total{operation="put",status="200"}': 2,
    'quorate_http_requests_total{operation="put",status="412"}': 1,
    'quorate_http_requests_total{operation="range",status="200"}': 1,
  })
  const seconds = matching(series, /^quorate_http_request_duration_seconds.*"put"/)
  expect(seconds['quorate_http_request_duration_seconds_sum{operation="put"}']).toBeCloseTo(71.503)
  expect(seconds['quorate_http_request_duration_seconds_count{operation="put"}']).toBe(3)
  const buckets = Object.entries(seconds).flatMap(([name, count]) => {
    const bound = /le="([^"]+)"/.exec(name)?.[1]
    return bound === undefined ? [] : [[Number(bound.replace('+Inf', 'Infinity')), count]]
  })
  expect(buckets).toEqual([
    ...[0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5].map((bound) => [bound, 0]),
    ...[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1].map((bound) => [bound, 1]),
    ...[2.5, 5, 10, 60].map((bound) => [bound, 2]),
    [Number.POSITIVE_INFINITY, 3],
  ])
})

test('proposals by outcome from the first scrape on, batches and entries', async () => {
  const metrics = new Metrics()
  const proposals = async () => matching(await scraped(metrics), /^quorate_proposals/)
  expect(await proposals()).toEqual({
    'quorate_proposals_total{outcome="committed"}': 0,
    'quorate_proposals_total{outcome="refused"}': 0,
    'quorate_proposals_total{outcome="unknown"}': 0,
  })
  for (const outcome of ['committed', 'refused', 'refused', 'unknown', 'unknown', 'unknown'] as const)
    metrics.proposalEnded(outcome)
  expect(await proposals()).toEqual({
    'quorate_proposals_total{outcome="committed"}': 1,
    'quorate_proposals_total{outcome="refused"}': 2,
    'quorate_proposals_total{outcome="unknown"}': 3,
  })
  metrics.batchStored(3, 10)
  metrics.batchStored(4000, 1)
  metrics.entriesApplied(7)
  const series = await scraped(metrics)
  expect(series.get('quorate_entries_stored_total')).toBe(11)
  expect(series.get('quorate_entries_applied_total')).toBe(7)
  expect(series.get('quorate_fsync_duration_seconds_sum')).toBeCloseTo(4.003)
  expect(series.get('quorate_fsync_duration_seconds_bucket{le="0.005"}')).toBe(1)
  expect(series.get('quorate_fsync_duration_seconds_bucket{le="5"}')).toBe(2)
})

test('the HTTP front, by lane, and the process', async () => {
  const metrics = new Metrics()
  metrics.watchHttp(() => HTTP)
  const series = await scraped(metrics)
  expect(matching(series, /^quorate_http_(?!request)|^quorate_http_requests_open/)).toEqual({
    quorate_http_answer_bytes: 6,
    quorate_http_body_bytes: 5,
    quorate_http_unauthenticated_bytes: 11,
    quorate_http_unidentified_head_bytes: 15,
    quorate_http_unidentified_connections: 13,
    quorate_http_unidentified_connections_closed_total: 14,
    'quorate_http_connections{lane="fast"}': 2,
    'quorate_http_connections{lane="full"}': 3,
    'quorate_http_connections{lane="mux"}': 3,
    'quorate_http_connections{lane="grpc"}': 1,
    quorate_http_connections_refused_total: 8,
    quorate_http_connections_stalled_total: 7,
    quorate_http_operations_open: 10,
    quorate_http_ranges_open: 4,
    quorate_http_requests_open: 3,
    quorate_http_watch_bytes: 12,
  })
  const { user, system } = process.cpuUsage()
  const seconds = series.get('process_cpu_seconds_total') ?? 0
  expect(seconds).toBeGreaterThan(0)
  expect(seconds).toBeLessThanOrEqual((user + system) / 1e6)
  expect(seconds).toBeGreaterThan((user + system) / 2e6)
  expect(series.get('process_start_time_seconds')).toBe(performance.timeOrigin / 1000)
  expect(series.get(`quorate_build_info{version="${version()}",node_version="${process.version}"}`)).toBe(1)
  expect(series.get('process_heap_used_bytes')).toBeGreaterThan(1e6)
  expect(series.get('process_resident_memory_bytes')).toBeGreaterThan(1e6)
})

test('watches, by what they wait for, and what they have been sent', async () => {
  const metrics = new Metrics()
  const node = new FakeNode()
  const watches = { open: 9, behind: 3, slow: 2, eventsTotal: 5, slowTotal: 6, compactedTotal: 7 }
  metrics.watch(sources({ status: () => node.status(), watches: () => watches }))
  expect(matching(await scraped(metrics), /^quorate_watch/)).toEqual({
    'quorate_watches{state="live"}': 4,
    'quorate_watches{state="behind"}': 3,
    'quorate_watches{state="slow"}': 2,
    quorate_watch_events_total: 5,
    quorate_watch_slow_total: 6,
    quorate_watch_compacted_total: 7,
  })
  metrics.close()
})

test('bytes of proposals and of frames to all peers that wait', async () => {
  const metrics = new Metrics()
  const underWay = {
    'proposals.bytes': 7,
    'links.queuedBytes of 1': 10,
    'links.queuedBytes of 2': 20,
    waits: 5,
  }
  metrics.watch(sources({ inFlight: () => underWay }))
  onTestFinished(() => metrics.close())
  expect(matching(await scraped(metrics), /^quorate_pending/)).toEqual({
    'quorate_pending_bytes{part="peers"}': 30,
    'quorate_pending_bytes{part="proposals"}': 7,
  })
})

/** Holds up all timers for a while. */
function holdUp(): void {
  const until = performance.now() + 200
  while (performance.now() < until);
}

test('how late timers run, while a node is watched', async () => {
  const metrics = new Metrics()
  const lag = async () => matching(await scraped(metrics), /^nodejs_eventloop_lag/)
  expect(await lag()).toEqual({})
  metrics.watch(sources())
  holdUp()
  const found = await lag()
  expect(Object.keys(found)).toEqual([
    'nodejs_eventloop_lag_seconds{statistic="median"}',
    'nodejs_eventloop_lag_seconds{statistic="p99"}',
    'nodejs_eventloop_lag_seconds{statistic="max"}',
  ])
  const values = Object.values(found)
  expect(values).toEqual(values.toSorted((a, b) => a - b))
  expect(values.at(-1)).toBeGreaterThan(0.1)
  metrics.close()
  holdUp()
  expect(await lag()).toEqual({})
})

test('open file descriptors where the system lists them, and how many there may be', async () => {
  const files = Array.from({ length: 100 }, () => openSync(import.meta.filename, 'r'))
  onTestFinished(() => {
    for (const file of files) closeSync(file)
  })
  const series = await scraped(new Metrics())
  const open = series.get('process_open_fds')
  if (process.platform !== 'linux') expect(open).toBeUndefined()
  else expect(open).toBeGreaterThan(100)
  expect(series.get('process_max_fds')).toBeGreaterThan(open ?? 100)
})

test('each metric says in words what it is', async () => {
  const metrics = new Metrics()
  metrics.watch(sources())
  metrics.watchHttp(() => HTTP)
  const lines = (await metrics.text()).split('\n')
  const helped = lines.filter((line) => /^# HELP \w+ \S.*\S$/.test(line)).map((line) => line.split(' ')[2])
  expect(helped.length).toBeGreaterThan(30)
  expect(helped).toEqual(lines.filter((line) => line.startsWith('# TYPE')).map((line) => line.split(' ')[2]))
})

test('the metrics keep the rules of promtool', async () => {
  const metrics = new Metrics()
  metrics.watch(sources())
  holdUp()
  const lines = (await metrics.text()).split('\n')
  const types = new Map(
    lines.flatMap((line) => {
      const [, name = '', type = ''] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? []
      return name === '' ? [] : [[name, type] as const]
    }),
  )
  const faults = [...types].flatMap(([name, type]) => {
    const series = lines
      .filter((line) => line.replace(/_(?:bucket|sum|count)\b/, '').startsWith(`${name}{`))
      .join()
    return [
      lines.some((line) => line.startsWith(`# HELP ${name} `)) ? [] : 'no help text',
      /^[a-z][a-z0-9_]*$/.test(name) ? [] : 'a name has small letters',
      (type === 'counter') === name.endsWith('_total')
        ? []
        : 'counters end with _total, and nothing else does',
      type !== 'summary' && /\bquantile=/.test(series) ? 'quantile is a label of summaries' : [],
      type !== 'histogram' && /\ble=/.test(series) ? 'le is a label of histograms' : [],
      /_(?:ms|milliseconds|minutes|kb|mb|kib|mib)(?:_|$)/.test(name) ? 'a unit is a base unit' : [],
      /_(?:gauge|counter|histogram|summary)(?:_|$)/.test(name) ? 'a name does not contain a type' : [],
    ].flatMap((fault) => (fault.length === 0 ? [] : `${name}: ${fault}`))
  })
  expect(types.size).toBeGreaterThan(10)
  expect(faults).toEqual([])
  metrics.close()
})
