// Promises of each level of consistency to a reader (docs/reference/http.md). The search and the order of revisions
// check linearizable and lease reads. A stale read may be old, but it keeps three promises:
//
// - It shows a past state of the store, never a future one. revision-history.ts compares its content with the changes.
// - It is not older than it claims, and it claims an age when a bound was requested.
// - It is not behind the requested revision. So a client that sends its last revision never reads older data.

import type { History, HistoryCall, ReadFields, ReadLevel, RecordedResult } from '../workload/history.ts'
import { countWhile } from '../workload/sorted.ts'
import type { Anomaly } from './anomaly.ts'
import { collectRequests, isStaleRead } from './partition.ts'
import { reportedRevision } from './revision-history.ts'

const RANK: Record<ReadLevel, number> = { stale: 0, lease: 1, linearizable: 2 }

interface Read {
  readonly call: HistoryCall
  readonly op: ReadFields
  readonly result: RecordedResult
}

interface ReadsResult {
  readonly findings: readonly Anomaly[]
  /** Number of answered reads by the requested level. */
  readonly answered: Readonly<Record<ReadLevel, number>>
}

export function checkReads(history: History): ReadsResult {
  const reads = history.calls.flatMap(readsFrom)
  const answered = { stale: 0, lease: 0, linearizable: 0 }
  for (const { op } of reads) answered[op.consistency ?? 'linearizable'] += 1
  const ageOf = ageAgainst(history)
  const writtenBy = indexWriters(history)
  const findings = reads.flatMap((read) => [
    ...brokenOptions(read),
    ...ageOf(read),
    ...fromTheFuture(read, history, writtenBy),
  ])
  return { findings, answered }
}

function readsFrom(call: HistoryCall): Read[] {
  const { op, outcome } = call
  if ((op.f !== 'get' && op.f !== 'range') || outcome.kind !== 'ok') return []
  return [{ call, op: op, result: outcome.result }]
}

function brokenOptions({ call, op, result }: Read): Anomaly[] {
  const messages: string[] = []
  const level = op.consistency ?? 'linearizable'
  if (result.served !== undefined && RANK[result.served] < RANK[level]) {
    messages.push(`was requested with ${level} and served ${result.served}`)
  }
  if (
    op.minRevision !== undefined &&
    (reportedRevision(call, result) ?? Number.POSITIVE_INFINITY) < op.minRevision
  ) {
    messages.push(
      `requested revision ${op.minRevision} or later and was shown ${reportedRevision(call, result)}`,
    )
  }
  if (op.maxStalenessMs !== undefined && isStaleRead(call) && result.served !== 'linearizable') {
    const claimed = result.stalenessMs
    if (claimed === undefined || claimed > op.maxStalenessMs) {
      messages.push(
        `allowed ${op.maxStalenessMs} ms of staleness and was given ${claimed === undefined ? 'no bound' : `${claimed} ms`}`,
      )
    }
  }
  return messages.map((message) => findingAbout(call, message))
}

/**
 * An answer that claims to be at most s ms old was made after the request arrived. So it reflects everything that had
 * been answered s ms before the request was sent. The clock of a node measured the age, and may be slower than ours.
 */
function ageAgainst(history: History): (read: Read) => Anomaly[] {
  const toldBy = (call: HistoryCall, result: RecordedResult | undefined, endMs: number | undefined) => {
    const revision = result && reportedRevision(call, result)
    return revision === undefined || endMs === undefined ? [] : [{ id: call.id, revision, endMs }]
  }
  // The state in a stale read existed too.
  const stale = history.calls.flatMap((call) =>
    isStaleRead(call) && call.outcome.kind === 'ok' ? toldBy(call, call.outcome.result, call.endMs) : [],
  )
  const answers = collectRequests(history)
    .flatMap(({ calls: [call], result, endMs }) => (call === undefined ? [] : toldBy(call, result, endMs)))
    .concat(stale)
    .sort((a, b) => a.endMs - b.endMs)
  // The highest revision so far at each place.
  for (const [at, here] of answers.entries()) {
    const before = answers[at - 1]
    if (before !== undefined && before.revision > here.revision)
      answers[at] = { ...before, endMs: here.endMs }
  }
  const drift = history.header.clockDriftMax ?? 0
  return ({ call, result }) => {
    const revision = reportedRevision(call, result)
    if (!isStaleRead(call) || result.stalenessMs === undefined || revision === undefined) return []
    const since = call.startMs - result.stalenessMs * ((1 + drift) / (1 - drift))
    const known = answers[countWhile(answers, ({ endMs }) => endMs < since) - 1]
    if (known === undefined || known.revision <= revision) return []
    return [
      findingAbout(
        call,
        `claims to be at most ${result.stalenessMs} ms old, but shows revision ${revision}: ` +
          `operation ${known.id} had been answered at ${known.revision} more than ${Math.round(since - known.endMs)} ms before that`,
        [known.id],
      ),
    ]
  }
}

/**
 * If answers tell no revisions, one thing about a stale read is still certain: a client had asked to write what it
 * shows.
 */
function fromTheFuture(
  { call, result }: Read,
  history: History,
  findWriters: (key: string) => readonly HistoryCall[],
): Anomaly[] {
  const { op } = call
  if (!isStaleRead(call) || reportedRevision(call, result) !== undefined) return []
  const shown =
    op.f === 'get' ? [{ key: op.key, value: result.value }] : op.f === 'range' ? (result.rows ?? []) : []
  return shown.flatMap(({ key, value }) => {
    if (typeof value !== 'string' || value === history.header.initial) return []
    const written = findWriters(key).some(({ op: other, start }) => start < call.end && writes(other, value))
    return written
      ? []
      : [findingAbout(call, `shows ${JSON.stringify(value)}, which no request had written by then`)]
  })
}

/** Finds the requests that may have written a key. */
function indexWriters({ calls }: History): (key: string) => readonly HistoryCall[] {
  const changes = calls.filter(
    ({ op, outcome }) => op.f !== 'get' && op.f !== 'range' && outcome.kind !== 'fail',
  )
  const writers = Map.groupBy(changes, ({ op }) => ('key' in op ? op.key : ''))
  return (key) => writers.get(key) ?? []
}

function writes(op: HistoryCall['op'], value: string): boolean {
  switch (op.f) {
    case 'put':
      return op.value === value
    case 'cas':
      return op.to === value
    case 'append':
      return value.endsWith(op.value)
    case 'acquire':
      return op.owner === value
    default:
      return false
  }
}

function findingAbout(call: HistoryCall, message: string, others: readonly number[] = []): Anomaly {
  const { id, op } = call
  return {
    check: 'reads',
    key: op.f === 'range' ? undefined : 'key' in op ? op.key : undefined,
    message: `operation ${id} ${message}`,
    calls: [...others, id].sort((a, b) => a - b),
  }
}
