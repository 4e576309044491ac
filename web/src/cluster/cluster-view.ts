// The cluster as the page knows it: status and metrics of each member, read again and again, and a history of
// the last hour, which the page keeps while it is open.

import { batch, signal } from '@preact/signals'
import type { StatusResult } from '../../../src/operations/documents/status.ts'
import { status } from '../../../src/operations/status.ts'
import {
  checkLeader,
  describeError,
  fetchText,
  type NodeEndpoint,
  needsLogin,
  RefusedError,
  type RequestOptions,
  run,
} from './connection.ts'
import { consoleHost } from './console-host.ts'
import {
  addBuckets,
  type Buckets,
  type MetricSamples,
  parseMetrics,
  quantile,
  readBuckets,
  type Sample,
  subtractBuckets,
  sumSamples,
} from './metrics.ts'
import { nodeTurns } from './request-turns.ts'

export interface ClusterMember {
  readonly name: string
  readonly url: string
  readonly replicaId: string
  readonly isLearner: boolean
  /** Its last answer; undefined: it has never answered. */
  readonly status: StatusResult | undefined
  readonly metrics: MetricSamples | undefined
  /** Why it does not answer now; undefined: it does. */
  readonly error: string | undefined
  /** Since when (`Date.now()`) it does not answer. */
  readonly silentSince: number | undefined
  /** Requests of clients to this member. undefined: not known yet. */
  readonly load: Load | undefined
}

export interface Load {
  readonly writesPerSecond: number
  readonly readsPerSecond: number
}

/** The load of the whole cluster at a time of `Date.now()`. Durations are in seconds; undefined: nothing was done. */
export interface LoadSample extends Load {
  readonly time: number
  readonly writeP50: number | undefined
  readonly writeP99: number | undefined
  readonly readP50: number | undefined
  readonly readP99: number | undefined
  /** The highest term that a member knows. */
  readonly term: number
  readonly leader: string | undefined
}

export interface LeaderChange {
  readonly time: number
  readonly term: number
  readonly leader: string | undefined
}

/** Members of the newest configuration that was seen, by name. */
export const members = signal<readonly ClusterMember[]>([])
/** The newest status of the leader, or of the node in use. */
export const newest = signal<StatusResult | undefined>(undefined)
export const history = signal<readonly LoadSample[]>([])
/** Leaders of the last hour. The first one led when it began, or when the page was opened. */
export const leaderChanges = signal<readonly LeaderChange[]>([])
/** Why nothing can be shown yet. */
export const firstError = signal<string | undefined>(undefined)

const POLL_MS = 1_000
/** The pause while nobody sees the page. */
const HIDDEN_POLL_MS = 10_000
const HISTORY_MS = 3_600_000
const CHANGES_MAX = 500
const ANSWER_MS = 2_000
const GRACE_MS = 300
/** The turn of a request that any node may answer. No node has this name. */
const FIRST_DOOR = ''
/** The time after which a round ends without the members that have not answered yet. */
const PATIENCE_MS = 500

interface Counts {
  readonly time: number
  readonly writes: number
  readonly reads: number
  readonly writeBuckets: Buckets
  readonly readBuckets: Buckets
}

/** Operations of HTTP, and RPCs of etcd. One of these transactions usually writes, as a client has no other guard. */
const WRITES = new Set(['put', 'delete', 'batch', 'KV/Put', 'KV/DeleteRange', 'KV/Txn'])
const READS = new Set(['get', 'range', 'KV/Range'])
const isWrite = ({ operation, rpc }: Sample['labels']): boolean => WRITES.has(operation ?? rpc ?? '')
const isRead = ({ operation, rpc }: Sample['labels']): boolean => READS.has(operation ?? rpc ?? '')

const counts = new Map<string, Counts>()

/** Reads that have not ended. A member that hangs is not asked again, and does not hold up the others. */
const unanswered = new Map<string, Promise<void>>()
/** Reads that have ended since the last round. */
const answers = new Map<string, MemberRead>()

/** Reads the cluster until the signal fires. */
export async function keepReading(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await readOnce(signal)
    await pause(document.visibilityState === 'visible' ? POLL_MS : HIDDEN_POLL_MS, signal)
  }
}

/** Ends early when the page becomes visible. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', end)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    document.addEventListener('visibilitychange', end)
    signal.addEventListener('abort', end)
  })
}

async function readOnce(signal: AbortSignal): Promise<void> {
  try {
    const own = await nodeTurns.take(FIRST_DOOR, () =>
      run(status, { kind: 'status' }, { signal, timeoutMs: ANSWER_MS, graceMs: GRACE_MS }),
    )
    if (own.result.leader !== undefined) void checkLeader()
    const configured = own.result.members
    const before = new Map(members.peek().map((member) => [member.name, member]))
    const asked = configured.map(({ name }) =>
      askMember(name, name === own.result.name ? own.result : undefined),
    )
    // Nothing is said of a member of which nothing is known.
    const isFirst = configured.some(({ name }) => !before.has(name))
    await Promise.race([Promise.all(asked), isFirst ? NEVER : pause(PATIENCE_MS, signal)])
    if (signal.aborted) return
    const time = Date.now()
    const read = configured.map(({ name }) => answers.get(name))
    answers.clear()
    const next = configured.map((member, at): ClusterMember => {
      const earlier = before.get(member.name)
      const now = {
        name: member.name,
        url: member.url,
        replicaId: member.replicaId,
        isLearner: member.role === 'learner',
      }
      const answer = read[at]
      if (answer === undefined && earlier !== undefined) return { ...earlier, ...now }
      const { result, metrics, buckets, error } = answer ?? { error: 'it was not asked' }
      return {
        ...now,
        status: result ?? earlier?.status,
        metrics: metrics ?? earlier?.metrics,
        error,
        silentSince: error === undefined ? undefined : (earlier?.silentSince ?? time),
        load: error === undefined && buckets ? loadSince(counts.get(member.name), buckets) : undefined,
      }
    })
    const leading = next
      .flatMap(({ status: each, error }) => (each?.role === 'leader' && error === undefined ? [each] : []))
      .sort((a, b) => b.term - a.term)[0]
    const sample = sampleLoad(
      time,
      next,
      read.map((each) => each?.buckets),
      leading ?? own.result,
    )
    batch(() => {
      members.value = next.toSorted((a, b) => (a.name < b.name ? -1 : 1))
      newest.value = leading ?? own.result
      firstError.value = undefined
      needsLogin.value = false
      noteLeader(sample)
      history.value = [...history.peek().filter((each) => each.time > time - HISTORY_MS), sample]
    })
  } catch (error) {
    if (signal.aborted || (error instanceof RefusedError && needsLogin.peek())) return
    if (newest.peek() === undefined) firstError.value = describeError(error)
  }
}

const NEVER = new Promise<never>(() => {})

function askMember(name: string, own: StatusResult | undefined): Promise<void> {
  const asked =
    unanswered.get(name) ??
    readMember(name, own).then((answer) => {
      answers.set(name, answer)
      unanswered.delete(name)
    })
  unanswered.set(name, asked)
  return asked
}

interface MemberRead {
  readonly result?: StatusResult
  readonly metrics?: MetricSamples
  readonly buckets?: Counts
  readonly error?: string
}

/**
 * Reads a member through its own endpoint, if there is one; the others report through the node that is asked. `own`:
 * the status, if it is that node. Never rejects.
 */
async function readMember(name: string, own?: StatusResult): Promise<MemberRead> {
  const endpoint = findEndpoint(name)
  const isRelayed = own === undefined && endpoint === undefined
  const options = { timeoutMs: ANSWER_MS, graceMs: GRACE_MS, ...(endpoint && { endpoint }) }
  const path = isRelayed ? `/metrics?node=${encodeURIComponent(name)}` : '/metrics'
  try {
    return await nodeTurns.take(name, async () => {
      const result = own ?? (await readStatus(isRelayed ? name : undefined, options))
      const metrics = parseMetrics(await fetchText(path, options))
      return { result, metrics, buckets: readCounts(metrics) }
    })
  } catch (error) {
    return { error: describeError(error) }
  }
}

async function readStatus(node: string | undefined, options: RequestOptions): Promise<StatusResult> {
  const request = { kind: 'status', ...(node === undefined ? undefined : { node }) } as const
  return (await run(status, request, options)).result
}

/** The endpoint of a node of a local cluster. A node that serves the page is the only endpoint. */
function findEndpoint(name: string): NodeEndpoint | undefined {
  const host = consoleHost.peek()
  const node = host?.kind === 'cluster' ? host.nodes.find((each) => each.name === name) : undefined
  return node && { node: node.name, base: node.base }
}

/** By the two ways to a node. */
const REQUESTS = ['quorate_http_requests_total', 'quorate_grpc_calls_total']
const DURATIONS = ['quorate_http_request_duration_seconds', 'quorate_grpc_call_duration_seconds']

function readCounts(metrics: MetricSamples): Counts {
  const count = (fits: typeof isWrite): number =>
    REQUESTS.reduce((sum, name) => sum + (sumSamples(metrics, name, fits) ?? 0), 0)
  const buckets = (fits: typeof isWrite): Buckets =>
    addBuckets(DURATIONS.map((name) => readBuckets(metrics, name, fits)))
  return {
    time: performance.now(),
    ...{ writes: count(isWrite), reads: count(isRead) },
    ...{ writeBuckets: buckets(isWrite), readBuckets: buckets(isRead) },
  }
}

function loadSince(before: Counts | undefined, now: Counts): Load | undefined {
  const seconds = before === undefined ? 0 : (now.time - before.time) / 1000
  // A node that has started again counts from 0.
  if (before === undefined || seconds <= 0 || now.writes < before.writes || now.reads < before.reads)
    return undefined
  return {
    writesPerSecond: (now.writes - before.writes) / seconds,
    readsPerSecond: (now.reads - before.reads) / seconds,
  }
}

function sampleLoad(
  time: number,
  seen: readonly ClusterMember[],
  read: readonly (Counts | undefined)[],
  { term, leader }: StatusResult,
): LoadSample {
  const writes: Buckets[] = []
  const reads: Buckets[] = []
  seen.forEach(({ name }, at) => {
    const now = read[at]
    if (now === undefined) return
    const before = counts.get(name)
    counts.set(name, now)
    if (before === undefined) return
    writes.push(subtractBuckets(now.writeBuckets, before.writeBuckets))
    reads.push(subtractBuckets(now.readBuckets, before.readBuckets))
  })
  const written = addBuckets(writes)
  const answered = addBuckets(reads)
  return {
    time,
    writesPerSecond: seen.reduce((sum, { load }) => sum + (load?.writesPerSecond ?? 0), 0),
    readsPerSecond: seen.reduce((sum, { load }) => sum + (load?.readsPerSecond ?? 0), 0),
    writeP50: quantile(written, 0.5),
    writeP99: quantile(written, 0.99),
    readP50: quantile(answered, 0.5),
    readP99: quantile(answered, 0.99),
    term,
    leader,
  }
}

function noteLeader({ time, term, leader }: LoadSample): void {
  const last = leaderChanges.peek().at(-1)
  if (last !== undefined && last.term === term && last.leader === leader) return
  const all = [...leaderChanges.peek(), { time, term, leader }]
  // Whoever led when the last hour began stays: pages show the changes after the first one.
  const first = all.findLastIndex((each) => each.time <= time - HISTORY_MS)
  leaderChanges.value = all.slice(Math.max(0, first, all.length - CHANGES_MAX))
}
