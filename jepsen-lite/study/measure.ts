// The arithmetic of the study, from a recorded history alone: which request belongs to which phase, who was answered,
// how fast, how old the answers were, and how long each level was away.
//
// A request counts in the phase in which its whole deadline lies. One that began less than its deadline before a border
// could be answered, or hang, because of what comes after it; so it is in the history and in the checker's hands, and
// in no fraction.

import type { Call, History, Note } from '../history.ts'
import { type Level, revisionIn, type Side, streamOf } from './levels.ts'

export const PHASES = ['before', 'during', 'after'] as const
export type Phase = (typeof PHASES)[number]

/** One partition. Times of the history. */
export interface Round {
  readonly number: number
  /** Who led when it was cut off. */
  readonly leader: string
  readonly sides: Readonly<Record<Side, readonly string[]>>
  readonly startMs: number
  readonly cutMs: number
  readonly healMs: number
  readonly endMs: number
  /** When a node of the majority was first seen to lead. */
  readonly electedMs: number | undefined
}

/** A request of a round. */
export interface Request {
  readonly level: Level
  readonly side: Side
  readonly round: Round
  readonly call: Call
  /** In which it began. */
  readonly phase: Phase
  /** Its deadline lies in that phase too. */
  readonly counts: boolean
  /** When it was answered; undefined: it was refused, or nobody knows. */
  readonly answeredMs: number | undefined
  /** Of an answered read that told its revision. */
  readonly age: Age | undefined
}

/** How old an answer was. */
export interface Age {
  /**
   * For so long writes had been acknowledged, when the read began, that its answer does not show. 0: it shows all of
   * them.
   */
  readonly behindMs: number
  /** The newest of them, less what the answer shows. */
  readonly behindRevisions: number
  /** The bound that the answer itself gives. */
  readonly claimedMs: number | undefined
}

/** Rounds that were played to their end. */
export function roundsOf({ notes }: History): Round[] {
  const stages = notes.filter(({ what, round }) => what === 'phase' && typeof round === 'number')
  return [...new Set(stages.map(({ round }) => Number(round)))].flatMap((number) => {
    const at = (phase: string): Note | undefined =>
      stages.find((note) => note.round === number && note.phase === phase)
    const [before, during, after, done] = ['before', 'during', 'after', 'done'].map(at)
    if (before === undefined || during === undefined || after === undefined || done === undefined) return []
    const sides = { minority: namesIn(before.minority), majority: namesIn(before.majority) }
    const elected = notes.find(
      ({ what, role, node, time }) =>
        what === 'role' && role === 'leader' && time >= during.time && sides.majority.includes(node ?? ''),
    )
    const electedMs = elected !== undefined && elected.time < after.time ? elected.time : undefined
    const times = { startMs: before.time, cutMs: during.time, healMs: after.time, endMs: done.time }
    return [{ number, leader: String(before.leader), sides, electedMs, ...times }]
  })
}

const namesIn = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : [])

export function requestsOf(history: History, rounds: readonly Round[], timeoutMs: number): Request[] {
  const ageOf = ageAgainst(history)
  return history.calls.flatMap((call) => {
    const stream = streamOf(call.client)
    const round = rounds.find(({ startMs, endMs }) => startMs <= call.startMs && call.startMs < endMs)
    if (stream === undefined || round === undefined) return []
    const phase = phaseAt(round, call.startMs)
    const answeredMs = call.outcome.kind === 'ok' ? call.endMs : undefined
    const counts = call.startMs + timeoutMs <= endOf(round, phase)
    return [{ ...stream, round, call, phase, counts, answeredMs, age: ageOf(call) }]
  })
}

export function phaseAt({ cutMs, healMs }: Round, timeMs: number): Phase {
  return timeMs < cutMs ? 'before' : timeMs < healMs ? 'during' : 'after'
}

function endOf({ cutMs, healMs, endMs }: Round, phase: Phase): number {
  return { before: cutMs, during: healMs, after: endMs }[phase]
}

/** Holds reads against the writes that had been acknowledged, by whomever, when they began. */
function ageAgainst({ calls }: History): (call: Call) => Age | undefined {
  const writes = calls.flatMap(({ op, outcome, endMs }) => {
    const revision = op.f === 'put' && outcome.kind === 'ok' ? revisionIn(outcome.result) : undefined
    return revision === undefined || endMs === undefined ? [] : [{ revision, endMs }]
  })
  const byTime = writes.toSorted((a, b) => a.endMs - b.endMs)
  const newestBy = runningMax(byTime.map(({ revision }) => revision))
  const byRevision = writes.toSorted((a, b) => a.revision - b.revision)
  // When the first write at or above each revision was acknowledged: from the newest back.
  const toldFrom = runningMax(byRevision.map(({ endMs }) => -endMs).reverse()).reverse()
  return ({ op, outcome, startMs }) => {
    if (op.f !== 'get' || outcome.kind !== 'ok') return undefined
    const revision = revisionIn(outcome.result)
    if (revision === undefined) return undefined
    const newest = newestBy[countBelow(byTime, ({ endMs }) => endMs < startMs) - 1] ?? 0
    const told = toldFrom[countBelow(byRevision, (write) => write.revision <= revision)]
    return {
      behindMs: told === undefined ? 0 : Math.max(0, startMs + told),
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

/** How many of the first meet the condition, which none does after one that does not. */
function countBelow<T>(sorted: readonly T[], isBelow: (item: T) => boolean): number {
  let from = 0
  let to = sorted.length
  while (from < to) {
    const middle = (from + to) >> 1
    const item = sorted[middle]
    if (item !== undefined && isBelow(item)) from = middle + 1
    else to = middle
  }
  return from
}

// ---------------------------------------------------------------------------------------------------------------------
// How long a level was away

/** Of one stream in one round; durations in milliseconds. */
export interface Outage {
  /** From the cut to the last request begun in the partition that was answered in it; undefined: none was. */
  readonly servedUntilMs: number | undefined
  /** From the cut to the first answer to a request that began after it. */
  readonly firstAnswerMs: number | undefined
  /** The longest time in the partition without an answer. */
  readonly silentMs: number
  /**
   * From the heal to the first answer. `not away`: it had been served all along; undefined: nothing was answered any
   * more.
   */
  readonly backMs: number | 'not away' | undefined
}

/** Without an answer for so long, a stream that asks every few dozen milliseconds is away. */
const AWAY_MS_MIN = 500

/** `requests`: of one stream in one round. */
export function outageOf({ cutMs, healMs }: Round, requests: readonly Request[]): Outage {
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

/** Of numbers; undefined: there are none. */
export function medianOf(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[middle]]
  return low === undefined || high === undefined ? undefined : (low + high) / 2
}
