// The numbers as tables of text, for the terminal, Markdown and the page.

import type { Latency } from '../local/run-stats.ts'
import { LEVELS, type Level, type PartitionSide, SIDES, STRICT } from './levels.ts'
import { PHASES } from './measure.ts'
import type { PhaseResults, StreamResults, StudyResults } from './results.ts'

export interface StudyTable {
  readonly title: string
  /** Explanation of the numbers. */
  readonly note: string
  readonly heads: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

export function buildTables(results: StudyResults): StudyTable[] {
  return [summary(results), ...details(results)]
}

const NOTHING = '–'

/** The most important numbers in one table. */
function summary(results: StudyResults): StudyTable {
  const { calm } = results
  return {
    title: 'What each level gave',
    note:
      'Latency is the median before the partition, at the leader and at a follower. All other columns but the last are about the partition. ' +
      'Answered: fraction of the requests. Served for: time until the last answered request was sent. Silent for: longest time without an answer. ' +
      'Behind: maximum age and maximum number of missing revisions. Wrong: answers that no linearizable store could have given. ' +
      'Broken: answers in any phase that break the promise of their own level; this must be 0.',
    heads: [
      'level',
      'latency leader / follower',
      'minority: answered',
      'served for',
      'behind',
      'wrong',
      'majority: answered',
      'silent for',
      'behind',
      'wrong',
      'broken',
    ],
    rows: LEVELS.map((level) => {
      const [minority, majority] = [find(results, level, 'minority'), find(results, level, 'majority')]
      const quiet = calm.find((one) => one.level === level)
      const wrongDuring = ({ phases: { during } }: StreamResults): string =>
        STRICT.has(level) ? NOTHING : wrong(during)
      return [
        levelLabel(level, results),
        `${ms(quiet?.leader_ms?.p50)} / ${ms(quiet?.follower_ms?.p50)}`,
        percent(minority.phases.during.availability),
        servedFor(minority, results),
        behind(minority.phases.during),
        wrongDuring(minority),
        percent(majority.phases.during.availability),
        ms(majority.silent_ms),
        behind(majority.phases.during),
        wrongDuring(majority),
        String(minority.broken + majority.broken),
      ]
    }),
  }
}

function details(results: StudyResults): StudyTable[] {
  return [
    rounds(results),
    {
      title: 'Answered',
      note:
        'Fraction of answered requests, median of the rounds. ' +
        `A request counts in the phase that contains its whole deadline (${results.settings.timeout_ms} ms).`,
      heads: ['level', ...SIDES.flatMap((side) => PHASES.map((phase) => `${side} ${phase}`))],
      rows: LEVELS.map((level) => [
        levelLabel(level, results),
        ...SIDES.flatMap((side) =>
          PHASES.map((phase) => percent(find(results, level, side).phases[phase].availability)),
        ),
      ]),
    },
    {
      title: 'Outages',
      note:
        'Medians of the rounds. First answer: from the cut to the first answer to a request that was sent after it. ' +
        `Served for and silent: as above; less than ${Math.round(2_000 / results.settings.rate)} ms is no outage, because that is twice the time between two requests. ` +
        'Back: from the heal to the first answer, if the level was not answered just before the heal. In brackets: rounds without an answer after the heal.',
      heads: ['level', ...SIDES.flatMap((side) => [`${side}: first answer`, 'served for', 'silent', 'back'])],
      rows: LEVELS.map((level) => [
        levelLabel(level, results),
        ...SIDES.flatMap((side) => {
          const stream = find(results, level, side)
          const { first_answer_ms, silent_ms } = stream
          return [ms(first_answer_ms), servedFor(stream, results), ms(silent_ms), recoveryTime(stream)]
        }),
      ]),
    },
    {
      title: 'Latency before the partition, by the node that received the request',
      note: 'p50 / p99 / max of the answered requests. Served as: the level that the answers name, with their number.',
      heads: ['level', 'the leader', 'a follower', 'served as'],
      rows: results.calm.map(({ level, leader_ms, follower_ms, served }) => [
        levelLabel(level, results),
        spread(leader_ms),
        spread(follower_ms),
        counts(served),
      ]),
    },
    {
      title: 'Latency by side and phase',
      note: 'p50 / p99 / max of the answered requests.',
      heads: ['level', 'side', ...PHASES],
      rows: streamRows(results, ({ phases }) => PHASES.map((phase) => spread(phases[phase].latency_ms))),
    },
    {
      title: 'Age of the answers in the partition',
      note:
        'p50 / max. Behind: time from the acknowledgement of the first missing write to the sending of the read. ' +
        'Revisions behind: difference to the newest acknowledged write. Claimed: the bound in the answer, which only stale reads have. ' +
        'A bound below the measured age breaks a promise.',
      heads: ['level', 'side', 'behind', 'revisions behind', 'claimed'],
      rows: streamRows(results, ({ level, phases: { during } }) =>
        level === 'write'
          ? undefined
          : [
              middleAndMost(during.behind_ms),
              wholes(during.behind_revisions),
              middleAndMost(during.claimed_ms),
            ],
      ),
    },
    {
      title: 'Wrong answers, as judged by the checker',
      note:
        'Wrong: the checker adds each answer of a weaker level separately to the linearizable operations of its key, and finds no order that explains them all. ' +
        'Answers: all answers of the three phases. Broken: as above; this must be 0.',
      heads: ['level', 'side', ...PHASES.map((phase) => `wrong ${phase}`), 'answers', 'broken'],
      rows: streamRows(results, ({ level, phases, broken }) => [
        ...PHASES.map((phase) => (STRICT.has(level) ? NOTHING : wrong(phases[phase]))),
        String(PHASES.reduce((sum, phase) => sum + phases[phase].judged, 0)),
        String(broken),
      ]),
    },
    {
      title: 'Requests that were not answered in the partition',
      note:
        'Refused: the request certainly wrote nothing and returned no value. Unknown: a write that may have been or may be applied. ' +
        'Found: unknown writes whose value a read or a node showed. Why: the error code, or what the client saw instead of an answer.',
      heads: ['level', 'side', 'asked', 'answered', 'refused', 'unknown', 'found', 'why'],
      rows: streamRows(results, ({ phases: { during } }) => [
        ...[during.asked, during.answered, during.refused, during.unknown, during.unknown_seen].map(String),
        counts(during.reasons),
      ]),
    },
  ]
}

function rounds({ rounds: played }: StudyResults): StudyTable {
  return {
    title: 'Rounds',
    note:
      'Elected after: from the cut until the study saw a leader in the majority (it reads the status about every 25 ms). ' +
      'First write after: from the cut until the majority acknowledged a write that was sent after it.',
    heads: ['round', 'minority (the leader first)', 'majority', 'elected after', 'first write after'],
    rows: played.map(({ round, minority, majority, elected_ms, first_write_ms }) => [
      String(round),
      minority.join(' '),
      majority.join(' '),
      ms(elected_ms),
      ms(first_write_ms),
    ]),
  }
}

/** A row for each level on each side, except those for which `buildCells` returns undefined. */
function streamRows(
  results: StudyResults,
  buildCells: (stream: StreamResults) => readonly string[] | undefined,
): string[][] {
  return LEVELS.flatMap((level) =>
    SIDES.flatMap((side) => {
      const cells = buildCells(find(results, level, side))
      return cells === undefined ? [] : [[levelLabel(level, results), side, ...cells]]
    }),
  )
}

function find({ streams }: StudyResults, level: Level, side: PartitionSide): StreamResults {
  const stream = streams.find((one) => one.level === level && one.side === side)
  if (stream === undefined) throw new RangeError(`no ${level} on the side of the ${side}`)
  return stream
}

export function levelLabel(level: Level, { settings }: Pick<StudyResults, 'settings'>): string {
  if (level === 'bounded') return `bounded, ${settings.max_staleness_ms} ms`
  return level
}

// ---------------------------------------------------------------------------------------------------------------------
// Cells

/** A time less than this before the end of the partition is shown as the end. */
const TO_THE_END_MS = 500

function servedFor({ served_until_ms }: StreamResults, { settings }: StudyResults): string {
  if (served_until_ms === null) return NOTHING
  return served_until_ms > settings.phase_ms.during - TO_THE_END_MS ? 'to the end' : ms(served_until_ms)
}

function recoveryTime({ back_ms, never_back }: StreamResults): string {
  if (back_ms === null) return never_back > 0 ? 'never' : 'not away'
  return never_back > 0 ? `${ms(back_ms)} (${never_back} never)` : ms(back_ms)
}

function behind({ behind_ms, behind_revisions }: PhaseResults): string {
  if (behind_ms === null || behind_revisions === null) return NOTHING
  return `${ms(behind_ms.max)}, ${Math.round(behind_revisions.max)} rev.`
}

const wrong = ({ outdated, judged }: { outdated: number; judged: number }): string =>
  judged === 0 ? NOTHING : `${outdated} (${percent(outdated / judged)})`

function percent(fraction: number | null): string {
  if (fraction === null) return NOTHING
  const text = (fraction * 100).toFixed(
    fraction > 0 && fraction < 0.1 ? 1 : fraction > 0.99 && fraction < 1 ? 1 : 0,
  )
  return `${text} %`
}

function ms(value: number | null | undefined): string {
  return value === null || value === undefined ? NOTHING : `${digits(value)} ms`
}

const digits = (value: number): string => (value < 10 && value >= 0.05 ? value.toFixed(1) : value.toFixed(0))

function spread(latency: Latency | null): string {
  if (latency === null) return NOTHING
  const { p50, p99, max } = latency
  return `${digits(p50)} / ${digits(p99)} / ${digits(max)} ms`
}

const middleAndMost = (ages: Latency | null): string =>
  ages === null ? NOTHING : `${digits(ages.p50)} / ${digits(ages.max)} ms`

const wholes = (revisions: Latency | null): string =>
  revisions === null ? NOTHING : `${Math.round(revisions.p50)} / ${Math.round(revisions.max)}`

const counts = (numbers: Readonly<Record<string, number>>): string =>
  Object.entries(numbers)
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
