// The arithmetic of the study, from a recorded history alone: the phase of each request, which requests were answered,
// how fast, how old the answers were, and how long each level was not answered.
//
// A request counts in a phase if it began in it and its deadline is before the end of the phase. The next phase may
// change the result of a request that began later. So such a request is in the history and is checked, but it is in no
// fraction.

import type { History, HistoryCall, NoteEvent } from '../workload/history.ts'
import { countWhile } from '../workload/sorted.ts'
import { type Level, type PartitionSide, parseStreamName, resultRevision } from './levels.ts'

export const PHASES = ['before', 'during', 'after'] as const
export type Phase = (typeof PHASES)[number]

/** One partition. All times are times of the history. */
export interface Round {
  readonly number: number
  /** The leader that was cut off. */
  readonly leader: string
  readonly sides: Readonly<Record<PartitionSide, readonly string[]>>
  readonly startMs: number
  readonly cutMs: number
  readonly healMs: number
  readonly endMs: number
  /** When a node of the majority was first seen as leader after the cut. */
  readonly electedMs: number | undefined
}

/** A request of a round. */
export interface StudyRequest {
  readonly level: Level
  readonly side: PartitionSide
  readonly round: Round
  readonly call: HistoryCall
  /** The phase in which it began. */
  readonly phase: Phase
  /** Whether the deadline of the request is in that phase too. */
  readonly counts: boolean
  /** When it was answered; undefined if it was refused or its outcome is unknown. */
  readonly answeredMs: number | undefined
  /** Age of an answered get that names a revision. */
  readonly age: Age | undefined
}

/** How old an answer was. */
interface Age {
  /**
   * The time between the acknowledgement of the first write that the answer does not show and the beginning of the
   * read. 0: the answer shows all writes that were acknowledged before.
   */
  readonly behindMs: number
  /** The revision of the newest write acknowledged before the read began, minus the revision that the answer shows. */
  readonly behindRevisions: number
  /** The bound that the answer itself gives. */
  readonly claimedMs: number | undefined
}

/** The rounds that were completed. */
export function collectRounds({ notes }: History): Round[] {
  const stages = notes.filter(({ what, round }) => what === 'phase' && typeof round === 'number')
  return [...new Set(stages.map(({ round }) => Number(round)))].flatMap((number) => {
    const at = (phase: string): NoteEvent | undefined =>
      stages.find((note) => note.round === number && note.phase === phase)
    const [before, during, after, done] = ['before', 'during', 'after', 'done'].map(at)
    if (before === undefined || during === undefined || after === undefined || done === undefined) return []
    const sides = { minority: parseNames(before.minority), majority: parseNames(before.majority) }
    const elected = notes.find(
      ({ what, role, node, time }) =>
        what === 'role' && role === 'leader' && time >= during.time && sides.majority.includes(node ?? ''),
    )
    const electedMs = elected !== undefined && elected.time < after.time ? elected.time : undefined
    const times = { startMs: before.time, cutMs: during.time, healMs: after.time, endMs: done.time }
    return [{ number, leader: String(before.leader), sides, electedMs, ...times }]
  })
}

const parseNames = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : [])

export function measureRequests(
  history: History,
  rounds: readonly Round[],
  timeoutMs: number,
): StudyRequest[] {
  const computeAge = ageAgainst(history)
  return history.calls.flatMap((call) => {
    const stream = parseStreamName(call.client)
    const round = rounds.find(({ startMs, endMs }) => startMs <= call.startMs && call.startMs < endMs)
    if (stream === undefined || round === undefined) return []
    const phase = phaseAt(round, call.startMs)
    const answeredMs = call.outcome.kind === 'ok' ? call.endMs : undefined
    const counts = call.startMs + timeoutMs <= phaseEnd(round, phase)
    return [{ ...stream, round, call, phase, counts, answeredMs, age: computeAge(call) }]
  })
}

export function phaseAt({ cutMs, healMs }: Round, timeMs: number): Phase {
  return timeMs < cutMs ? 'before' : timeMs < healMs ? 'during' : 'after'
}

function phaseEnd({ cutMs, healMs, endMs }: Round, phase: Phase): number {
  return { before: cutMs, during: healMs, after: endMs }[phase]
}

/** Compares a read with all writes of all clients that had been acknowledged when it began. */
function ageAgainst({ calls }: History): (call: HistoryCall) => Age | undefined {
  const writes = calls.flatMap(({ op, outcome, endMs }) => {
    const revision = op.f === 'put' && outcome.kind === 'ok' ? resultRevision(outcome.result) : undefined
    return revision === undefined || endMs === undefined ? [] : [{ revision, endMs }]
  })
  const byTime = writes.toSorted((a, b) => a.endMs - b.endMs)
  const newestBy = runningMax(byTime.map(({ revision }) => revision))
  const byRevision = writes.toSorted((a, b) => a.revision - b.revision)
  // For each write, by revision: minus the earliest time at which it or a write of a higher revision was acknowledged.
  const toldFrom = runningMax(byRevision.map(({ endMs }) => -endMs).reverse()).reverse()
  return ({ op, outcome, startMs }) => {
    if (op.f !== 'get' || outcome.kind !== 'ok') return undefined
    const revision = resultRevision(outcome.result)
    if (revision === undefined) return undefined
    const newest = newestBy[countWhile(byTime, ({ endMs }) => endMs < startMs) - 1] ?? 0
    const firstSeen = toldFrom[countWhile(byRevision, (write) => write.revision <= revision)]
    return {
      behindMs: firstSeen === undefined ? 0 : Math.max(0, startMs + firstSeen),
      behindRevisions: Math.max(0, newest - revision),
      claimedMs: outcome.result.stalenessMs,
    }
  }
}

function runningMax(values: readonly number[]): number[] {
  let most = Number.NEGATIVE_INFINITY
  return values.map((value) => {
    most = Math.max(most, value)
    return most
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// How long a level was not answered

/** How one stream was answered in one partition; durations in milliseconds. */
export interface Outage {
  /**
   * From the cut until the last request was sent that was sent and answered in the partition; undefined if there was
   * none.
   */
  readonly servedUntilMs: number | undefined
  /** Time from the cut to the first answer to a request that was sent in the partition. */
  readonly firstAnswerMs: number | undefined
  /** The longest time in the partition without an answer. */
  readonly silentMs: number
  /**
   * From the heal to the first answer. `not away`: there were answers until shortly before the heal. undefined: no
   * request was answered after the heal.
   */
  readonly backMs: number | 'not away' | undefined
}

/** A stream that gets no answer for this long before the heal is `away`. */
const AWAY_MS_MIN = 500

/** `requests`: those of one stream in one round. */
export function measureOutage({ cutMs, healMs }: Round, requests: readonly StudyRequest[]): Outage {
  const answered = requests.filter(({ answeredMs }) => answeredMs !== undefined)
  const ends = answered.flatMap(({ answeredMs }) => answeredMs ?? []).sort((a, b) => a - b)
  const within = answered.filter(
    ({ call, answeredMs = healMs }) => cutMs <= call.startMs && answeredMs < healMs,
  )
  const last = within.at(-1)
  const first = Math.min(...within.map(({ answeredMs = healMs }) => answeredMs))
  const marks = [cutMs, ...ends.filter((end) => cutMs < end && end < healMs), healMs]
  const away = healMs - (marks.at(-2) ?? cutMs) >= AWAY_MS_MIN
  const back = ends.find((end) => end > healMs)
  return {
    servedUntilMs: last && last.call.startMs - cutMs,
    firstAnswerMs: last && first - cutMs,
    silentMs: Math.max(...marks.slice(1).map((mark, at) => mark - (marks[at] ?? mark))),
    backMs: back === undefined ? undefined : away ? back - healMs : 'not away',
  }
}

/** Returns undefined if there are no values. */
export function computeMedian(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[middle]]
  return low === undefined || high === undefined ? undefined : (low + high) / 2
}
