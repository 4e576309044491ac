// The numbers as tables of text, for the terminal, Markdown and the page alike.

import type { Latency } from '../local/run-stats.ts'
import { LEVELS, type Level, SIDES, type Side, STRICT } from './levels.ts'
import { PHASES } from './measure.ts'
import type { PhaseResults, StreamResults, StudyResults } from './results.ts'

export interface Table {
  readonly title: string
  /** What its numbers are. */
  readonly note: string
  readonly heads: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

export function tablesOf(results: StudyResults): Table[] {
  return [summary(results), ...details(results)]
}

const NOTHING = '–'

/** The one to remember. */
function summary(results: StudyResults): Table {
  const { calm } = results
  return {
    title: 'What each level gave',
    note:
      'In the partition. Answered: of the requests, how many. Served for: from the cut to the last answer beside the deposed leader. Silent for: the longest time ' +
      'without an answer where another can be elected. Behind: the oldest answer. Wrong: of the answers, those that no linearizable store could have given, so wrong for whoever takes ' +
      'them for linearizable. Broken: answers in any phase against the promise of their own level. Latency: the median before the partition, asked of the leader and of a follower.',
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
      const wrongIn = ({ phases: { during } }: StreamResults): string =>
        STRICT.has(level) ? NOTHING : wrong(during)
      return [
        labelOf(level, results),
        `${ms(quiet?.leader_ms?.p50)} / ${ms(quiet?.follower_ms?.p50)}`,
        percent(minority.phases.during.availability),
        servedFor(minority, results),
        behind(minority.phases.during),
        wrongIn(minority),
        percent(majority.phases.during.availability),
        ms(majority.silent_ms),
        behind(majority.phases.during),
        wrongIn(majority),
        String(minority.broken + majority.broken),
      ]
    }),
  }
}

function details(results: StudyResults): Table[] {
  return [
    rounds(results),
    {
      title: 'Answered',
      note: `Of the requests whose whole deadline (${results.settings.timeout_ms} ms) lies in the phase; the median of the rounds.`,
      heads: ['level', ...SIDES.flatMap((side) => PHASES.map((phase) => `${side} ${phase}`))],
      rows: LEVELS.map((level) => [
        labelOf(level, results),
        ...SIDES.flatMap((side) =>
          PHASES.map((phase) => percent(find(results, level, side).phases[phase].availability)),
        ),
      ]),
    },
    {
      title: 'Away, and back',
      note:
        'Medians of the rounds. First answer: to a request sent after the cut. Silent: the longest time in the partition without an answer (a stream asks every ' +
        `${Math.round(1_000 / results.settings.rate)} ms or so, so less than twice that is nothing). Back: from the heal to the first answer, where the level was away.`,
      heads: ['level', ...SIDES.flatMap((side) => [`${side}: first answer`, 'served for', 'silent', 'back'])],
      rows: LEVELS.map((level) => [
        labelOf(level, results),
        ...SIDES.flatMap((side) => {
          const stream = find(results, level, side)
          const { first_answer_ms, silent_ms, back_ms } = stream
          const was = back_ms === null ? 'not away' : ms(back_ms)
          return [ms(first_answer_ms), servedFor(stream, results), ms(silent_ms), was]
        }),
      ]),
    },
    {
      title: 'Latency before the partition, by who was asked',
      note: 'p50 / p99 / max of what was answered.',
      heads: ['level', 'the leader', 'a follower', 'served as'],
      rows: results.calm.map(({ level, leader_ms, follower_ms, served }) => [
        labelOf(level, results),
        spread(leader_ms),
        spread(follower_ms),
        counts(served),
      ]),
    },
    {
      title: 'Latency by side and phase',
      note: 'p50 / p99 / max of what was answered.',
      heads: ['level', 'side', ...PHASES],
      rows: streamRows(results, ({ phases }) => PHASES.map((phase) => spread(phases[phase].latency_ms))),
    },
    {
      title: 'Age of the answers in the partition',
      note:
        'p50 / max. Behind: for so long writes that the answer does not show had been acknowledged when the read was sent, and how many revisions. Claimed: the bound that the ' +
        'answer itself gave (only stale reads give one). A claim below the truth would be a broken promise.',
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
      title: 'Wrong answers, by the verdict of the checker',
      note:
        'Of the reads that promise less, those that no linearizable store could have given: each is put among the strict operations of its key, and the checker searches for an order. ' +
        'Broken: answers against the promise of their own level, which must be 0.',
      heads: ['level', 'side', ...PHASES.map((phase) => `wrong ${phase}`), 'answers', 'broken'],
      rows: streamRows(results, ({ level, phases, broken }) => [
        ...PHASES.map((phase) => (STRICT.has(level) ? NOTHING : wrong(phases[phase]))),
        String(PHASES.reduce((sum, phase) => sum + phases[phase].judged, 0)),
        String(broken),
      ]),
    },
    {
      title: 'What was not answered in the partition',
      note:
        'Refused: certainly not written, nothing learned. Unknown: a write that may have been applied, or may be later; found: of those, whose value somebody saw then. ' +
        'Why: the code of the answer, or what the client saw.',
      heads: ['level', 'side', 'asked', 'answered', 'refused', 'unknown', 'found', 'why'],
      rows: streamRows(results, ({ phases: { during } }) => [
        ...[during.asked, during.answered, during.refused, during.unknown, during.unknown_seen].map(String),
        counts(during.reasons),
      ]),
    },
  ]
}

function rounds({ rounds: played }: StudyResults): Table {
  return {
    title: 'Rounds',
    note: 'From the cut until a node of the majority was seen to lead (looked at every 25 ms), and until a write sent after the cut was acknowledged there.',
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

/** A row for each level on each side; those for which there is nothing to tell are left out. */
function streamRows(
  results: StudyResults,
  cellsOf: (stream: StreamResults) => readonly string[] | undefined,
): string[][] {
  return LEVELS.flatMap((level) =>
    SIDES.flatMap((side) => {
      const cells = cellsOf(find(results, level, side))
      return cells === undefined ? [] : [[labelOf(level, results), side, ...cells]]
    }),
  )
}

function find({ streams }: StudyResults, level: Level, side: Side): StreamResults {
  const stream = streams.find((one) => one.level === level && one.side === side)
  if (stream === undefined) throw new RangeError(`no ${level} on the side of the ${side}`)
  return stream
}

export function labelOf(level: Level, { settings }: Pick<StudyResults, 'settings'>): string {
  if (level === 'bounded') return `bounded, ${settings.max_staleness_ms} ms`
  return level
}

// ---------------------------------------------------------------------------------------------------------------------
// Cells

/** Closer to the end of the partition than this is the end. */
const TO_THE_END_MS = 500

function servedFor({ served_until_ms }: StreamResults, { settings }: StudyResults): string {
  if (served_until_ms === null) return NOTHING
  return served_until_ms > settings.phase_ms.during - TO_THE_END_MS ? 'to the end' : ms(served_until_ms)
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
