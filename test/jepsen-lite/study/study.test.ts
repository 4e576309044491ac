// The arithmetic of the study on histories written by hand: one round of three phases of a second each, n1 and n2 cut
// off from n3, n4 and n5.

import { describe, expect, test } from 'vitest'
import { LEVELS, type Level, type PartitionSide } from '../../../jepsen-lite/study/levels.ts'
import { renderMarkdown } from '../../../jepsen-lite/study/markdown.ts'
import {
  collectRounds,
  computeMedian,
  measureOutage,
  measureRequests,
} from '../../../jepsen-lite/study/measure.ts'
import { renderPictures } from '../../../jepsen-lite/study/pictures.ts'
import {
  buildStudyResults,
  type StudyConclusion,
  type StudyResults,
} from '../../../jepsen-lite/study/results.ts'
import { buildTables } from '../../../jepsen-lite/study/tables.ts'
import {
  buildHistory,
  type History,
  type HistoryEvent,
  type HistoryOperation,
  type RecordedResult,
  Recorder,
} from '../../../jepsen-lite/workload/history.ts'

const TIMEOUT_MS = 200
const START_MS = 1_000
const CUT_MS = 2_000
const HEAL_MS = 3_000
const END_MS = 4_000

type End = RecordedResult | 'no_leader' | 'outcome_unknown'

interface Scripted {
  readonly at: number
  readonly write: (recorder: Recorder) => void
}

/** Events at their times, in any order of the arguments. */
class Script {
  readonly #scripted: Scripted[] = []
  #values = 0

  constructor() {
    const [few, many] = [
      ['n1', 'n2'],
      ['n3', 'n4', 'n5'],
    ]
    const stages = { before: START_MS, during: CUT_MS, after: HEAL_MS, done: END_MS }
    for (const [phase, at] of Object.entries(stages))
      this.#at(at, (recorder) =>
        recorder.note('phase', { phase, round: 1, leader: 'n1', minority: few, majority: many }),
      )
  }

  /** `took`: how long the answer took; an answer that is a text is a refusal or an unknown outcome. */
  ask(
    level: Level,
    side: PartitionSide,
    at: number,
    took: number,
    end: End,
    op?: HistoryOperation,
    node?: string,
  ): this {
    let id = 0
    const asked = op ?? operation(level)
    this.#at(at, (recorder) => {
      id = recorder.invoke(`${level} ${side} 1`, node ?? (side === 'minority' ? 'n1' : 'n3'), asked)
    })
    this.#at(at + took, (recorder) => {
      if (end === 'no_leader') recorder.fail(id, end)
      else if (end === 'outcome_unknown') recorder.unknown(id, end)
      else recorder.ok(id, end)
    })
    return this
  }

  write(
    side: PartitionSide,
    at: number,
    took: number,
    revision: number | 'outcome_unknown' | 'no_leader',
    key = 'x',
  ): this {
    const value = typeof revision === 'number' ? `v${revision}` : `unknown ${++this.#values}`
    const end = typeof revision === 'number' ? { revision, modRevision: revision } : revision
    return this.ask('write', side, at, took, end, { f: 'put', key, value })
  }

  note(
    at: number,
    what: string,
    details: { readonly node?: string; readonly [detail: string]: unknown },
  ): this {
    this.#at(at, (recorder) => recorder.note(what, details))
    return this
  }

  get history(): History {
    let now = 0
    const events: HistoryEvent[] = []
    const recorder = new Recorder(
      { workload: 'study', command: '' },
      () => now,
      (event) => events.push(event),
    )
    for (const { at, write } of this.#scripted.toSorted((a, b) => a.at - b.at)) {
      now = at
      write(recorder)
    }
    return buildHistory(events)
  }

  #at(at: number, write: Scripted['write']): void {
    this.#scripted.push({ at, write })
  }
}

function operation(level: Level): HistoryOperation {
  if (level === 'linearizable') return { f: 'get', key: 'x' }
  return { f: 'get', key: 'x', consistency: level === 'lease' ? 'lease' : 'stale' }
}

/** The answer to a read: the value of `x` with its own revision, and the revision of the store. */
const seen = (modRevision: number, revision = modRevision): RecordedResult => ({
  value: `v${modRevision}`,
  modRevision,
  revision,
})

/** A write, and an answer of each level that reads, while all is well. */
const calm = (levels: readonly Level[] = LEVELS): Script =>
  levels
    .filter((level) => level !== 'write')
    .reduce(
      (script, level) => script.ask(level, 'majority', 1_200, 10, seen(2)),
      new Script().write('minority', 1_100, 10, 2),
    )

/** And a write on each side in each phase where it can be: what makes a study prove something. */
const proven = (levels?: readonly Level[]): Script =>
  calm(levels)
    .write('majority', 2_400, 10, 3)
    .write('majority', 3_100, 10, 100)
    .write('minority', 3_200, 10, 101)

function conclude(script: Script): StudyConclusion {
  const settings = {
    ...{
      nodes: 5,
      rounds: 1,
      rate: 20,
      timeoutMs: TIMEOUT_MS,
      maxStalenessMs: 300,
      delayMs: 5,
      leases: true,
    },
    ...{
      phaseMs: { before: 1_000, during: 1_000, after: 1_000 },
      cut: 'silent',
      seed: 7,
      command: 'jepsen-lite study <&>',
    },
  }
  return buildStudyResults(script.history, settings, [])
}

const results = (script: Script): StudyResults => conclude(script).results

function stream(script: Script, level: Level, side: PartitionSide): StudyResults['streams'][number] {
  const found = results(script).streams.find((one) => one.level === level && one.side === side)
  if (found === undefined) throw new Error(`no ${level} ${side}`)
  return found
}

describe('availability', () => {
  test('is of the requests whose whole deadline lies in the phase', () => {
    const script = proven()
      .ask('linearizable', 'majority', 2_100, 50, 'no_leader')
      .ask('linearizable', 'majority', 2_200, 50, seen(2))
      .ask('linearizable', 'majority', 2_300, 50, seen(2))
      .ask('linearizable', 'majority', 2_500, 50, seen(3))
      // Refused in time, but answered it could have been after the heal as well.
      .ask('linearizable', 'majority', 2_850, 140, 'no_leader')
    const { during } = stream(script, 'linearizable', 'majority').phases
    expect(during).toMatchObject({ asked: 4, answered: 3, refused: 1, unknown: 0, availability: 0.75 })
    expect(during.reasons).toEqual({ no_leader: 1 })
    expect(during.latency_ms).toMatchObject({ count: 3, p50: 50, max: 50 })
  })

  test('tells writes that were certainly not made from those that may have been, and finds the latter again', () => {
    const script = proven()
      .write('minority', 2_100, 200, 'outcome_unknown')
      .write('minority', 2_200, 200, 'outcome_unknown')
      .write('minority', 2_300, 50, 'no_leader')
      // The first of them was made after all.
      .ask('linearizable', 'majority', 2_350, 10, { value: 'unknown 1', modRevision: 3, revision: 3 })
    script.write('majority', 2_500, 10, 6)
    const { during } = stream(script, 'write', 'minority').phases
    expect(during).toMatchObject({
      asked: 3,
      answered: 0,
      refused: 1,
      unknown: 2,
      unknown_seen: 1,
      availability: 0,
    })
  })

  test('of nothing asked is nothing', () => {
    expect(stream(proven(), 'lease', 'minority').phases.before).toMatchObject({
      asked: 0,
      availability: null,
      latency_ms: null,
    })
  })
})

test('a median is the middle, or between the two in the middle', () => {
  expect([
    computeMedian([]),
    computeMedian([3]),
    computeMedian([9, 1, 5]),
    computeMedian([4, 1, 2, 100]),
  ]).toEqual([undefined, 3, 5, 3])
})

describe('the age of an answer', () => {
  const ageOf = (script: Script, at: number) => {
    const { history } = script
    const request = measureRequests(history, collectRounds(history), TIMEOUT_MS).find(
      ({ call }) => call.startMs === at,
    )
    return request?.age
  }

  test('is measured against the writes that had been acknowledged when it was asked for', () => {
    const script = new Script()
      .write('majority', 1_100, 10, 2)
      .write('majority', 1_200, 10, 3)
      .write('majority', 1_300, 10, 4, 'y')
      .write('majority', 1_400, 100, 5)
      .ask('stale', 'minority', 1_450, 5, { ...seen(2), stalenessMs: 400 })
      .ask('stale', 'minority', 1_460, 5, seen(3, 4))
    // Revision 3 was acknowledged at 1210, 4 at 1310, 5 not yet.
    expect(ageOf(script, 1_450)).toEqual({ behindMs: 240, behindRevisions: 2, claimedMs: 400 })
    expect(ageOf(script, 1_460)).toEqual({ behindMs: 0, behindRevisions: 0, claimedMs: undefined })
  })

  test('counts from the first write that it lacks, also when a later one was acknowledged before', () => {
    const script = new Script()
      .write('majority', 1_100, 300, 3)
      .write('majority', 1_150, 50, 4)
      .ask('stale', 'minority', 1_500, 5, seen(2, 2))
    expect(ageOf(script, 1_500)).toMatchObject({ behindMs: 300, behindRevisions: 2 })
  })
})

describe('how long a level was away', () => {
  const outage = (script: Script, level: Level, side: PartitionSide) => {
    const { history } = script
    const rounds = collectRounds(history)
    const [round] = rounds
    if (round === undefined) throw new Error('no round')
    const own = measureRequests(history, rounds, TIMEOUT_MS).filter(
      (request) => request.level === level && request.side === side,
    )
    return measureOutage(round, own)
  }

  test('a level that the cut ends, and the heal brings back', () => {
    const script = new Script()
      .ask('lease', 'minority', 2_100, 10, seen(2))
      .ask('lease', 'minority', 2_400, 10, seen(2))
      // Asked in the partition and answered after it: that is the way back, not service.
      .ask('lease', 'minority', 2_900, 160, seen(2))
    expect(outage(script, 'lease', 'minority')).toEqual({
      servedUntilMs: 400,
      firstAnswerMs: 110,
      silentMs: 590,
      backMs: 60,
    })
  })

  test('a level that the election interrupts', () => {
    const script = new Script()
    for (let at = 2_350; at < 3_500; at += 50) script.ask('linearizable', 'majority', at, 10, seen(2))
    // Sent before the cut, answered after it.
    script.ask('linearizable', 'majority', 1_995, 10, seen(2))
    expect(outage(script, 'linearizable', 'majority')).toEqual({
      servedUntilMs: 950,
      firstAnswerMs: 360,
      silentMs: 355,
      backMs: 'not away',
    })
  })

  test('a level that was away and is not answered after the heal either is not called "not away"', () => {
    const script = proven()
      .ask('stale', 'majority', 2_990, 5, seen(2))
      .ask('stale', 'majority', 3_010, 5, seen(2))
    expect(stream(script, 'lease', 'minority')).toMatchObject({ back_ms: null, never_back: 1 })
    expect(stream(script, 'stale', 'majority')).toMatchObject({ back_ms: null, never_back: 0 })
    const outages = buildTables(results(script)).find(({ title }) => title === 'Outages')
    const back = (label: string, column: number) =>
      outages?.rows.find(([level]) => `${level}`.startsWith(label))?.at(column)
    expect(back('lease', 4)).toBe('never')
    expect(back('stale', 8)).toBe('not away')
  })

  test('a level that never came', () => {
    expect(outage(new Script(), 'write', 'minority')).toEqual({
      servedUntilMs: undefined,
      firstAnswerMs: undefined,
      silentMs: 1_000,
      backMs: undefined,
    })
  })

  test('the election is the first leader on the side of the majority, in the partition', () => {
    const script = proven()
      .note(1_500, 'role', { node: 'n3', role: 'leader', term: 1 })
      .note(2_700, 'role', { node: 'n4', role: 'leader', term: 2 })
    expect(results(script).rounds).toMatchObject([
      { round: 1, leader: 'n1', elected_ms: 700, first_write_ms: 410 },
    ])
  })
})

describe('the verdict', () => {
  test('stale reads that show old values are wrong for a reader that takes them for linearizable, and break no promise', () => {
    const script = proven()
      .ask('stale', 'minority', 2_500, 5, { ...seen(2), stalenessMs: 450, served: 'stale' })
      .ask('stale', 'minority', 2_600, 5, { ...seen(2), stalenessMs: 550, served: 'stale' })
      // The store has gone on, this key has not.
      .write('majority', 2_650, 5, 7, 'y')
      .ask('stale', 'majority', 2_700, 5, { ...seen(3), stalenessMs: 300, served: 'stale' })
    const concluded = results(script)
    expect(concluded).toMatchObject({ verdict: 'pass', exit_code: 0, findings: [] })
    expect(stream(script, 'stale', 'minority')).toMatchObject({
      broken: 0,
      phases: { during: { judged: 2, outdated: 2 } },
    })
    expect(stream(script, 'stale', 'majority')).toMatchObject({
      broken: 0,
      phases: { during: { judged: 1, outdated: 0 } },
    })
  })

  test('the same answer to a linearizable read is a violation, and is charged to that level', () => {
    const script = proven().ask('linearizable', 'minority', 2_500, 5, { ...seen(2), served: 'linearizable' })
    expect(results(script)).toMatchObject({ verdict: 'violation', exit_code: 1 })
    expect(stream(script, 'linearizable', 'minority').broken).toBeGreaterThan(0)
    expect(stream(script, 'linearizable', 'majority').broken).toBe(0)
  })

  test('what cannot be explained is no measure for others', () => {
    const script = proven()
      .ask('linearizable', 'minority', 2_500, 5, { ...seen(2), served: 'linearizable' })
      .ask('stale', 'majority', 2_600, 5, { ...seen(3), stalenessMs: 300, served: 'stale' })
    expect(results(script).exit_code).toBe(1)
    expect(stream(script, 'stale', 'majority')).toMatchObject({
      broken: 0,
      phases: { during: { judged: 1, outdated: 0 } },
    })
  })

  test('so is a bound that is not true', () => {
    const script = proven().ask(
      'bounded',
      'minority',
      2_700,
      5,
      { ...seen(2), stalenessMs: 200, served: 'stale' },
      {
        ...{ f: 'get', key: 'x', consistency: 'stale', maxStalenessMs: 300 },
      },
    )
    const concluded = results(script)
    expect(concluded).toMatchObject({ verdict: 'violation', exit_code: 1 })
    expect(concluded.findings[0]?.message).toMatch(
      /^bounded minority: reads: operation \d+ claims to be at most 200 ms old/,
    )
    expect(stream(script, 'bounded', 'minority').broken).toBe(1)
  })

  test('and an answer behind the token of its request', () => {
    const script = proven().ask(
      'token',
      'minority',
      2_700,
      5,
      { ...seen(2), served: 'stale' },
      {
        ...{ f: 'get', key: 'x', consistency: 'stale', minRevision: 3 },
      },
    )
    expect(results(script)).toMatchObject({ verdict: 'violation', exit_code: 1 })
    expect(stream(script, 'token', 'minority').broken).toBe(1)
  })

  test('a partition in which the majority took no write proves nothing', () => {
    const script = calm().write('majority', 3_100, 10, 3).write('minority', 3_200, 10, 4)
    expect(results(script)).toMatchObject({
      verdict: 'failed',
      exit_code: 3,
      findings: [{ kind: 'proves-nothing' }],
    })
  })

  test.each(LEVELS.filter((level) => level !== 'write'))(
    'a store that answers no request of the level %s passes no study',
    (level) => {
      const script = proven(LEVELS.filter((other) => other !== level)).ask(
        level,
        'majority',
        1_300,
        5,
        'no_leader',
      )
      expect(results(script)).toMatchObject({
        verdict: 'failed',
        exit_code: 3,
        findings: [
          {
            kind: 'proves-nothing',
            message: `no request of the level ${level} was answered before the partition`,
          },
        ],
      })
    },
  )
})

test('the text has the numbers, and fits a terminal', () => {
  const script = proven()
    .ask('stale', 'minority', 2_500, 5, { ...seen(2), stalenessMs: 450, served: 'stale' })
    .ask('lease', 'minority', 1_500, 3, { ...seen(2), served: 'lease' })
  const found = results(script)
  // No table is wider than the terminal.
  expect(renderMarkdown(found, 80)).not.toMatch(/^\|.{80}/m)
  const markdown = renderMarkdown(found)
  expect(markdown).toContain('Verdict: **pass**.')
  expect(markdown).toContain('    npx jepsen-lite study <&>')
  const [, summary = ''] = markdown.split('## What each level gave')
  const row = summary.split('\n').find((line) => line.startsWith('| stale ')) ?? ''
  const cells = row.split('|').map((cell) => cell.trim())
  // Asked once, 500 ms after the cut; revision 3 had been acknowledged 90 ms before.
  expect(cells.slice(3, 7)).toEqual(['100 %', '500 ms', '90 ms, 1 rev.', '1 (100 %)'])
  expect(cells.at(-2)).toBe('0')
})

test('the pictures show the fraction that was answered and both ages, tenth by tenth', () => {
  const { requests } = conclude(
    new Script()
      .ask('stale', 'minority', CUT_MS, 5, { ...seen(2), stalenessMs: 400, served: 'stale' })
      .ask('stale', 'minority', CUT_MS + 10, 5, 'no_leader')
      .ask('stale', 'minority', CUT_MS + 100, 5, { ...seen(2), stalenessMs: 500, served: 'stale' }),
  )
  const phaseMs = { before: 100, during: 200, after: 100 }
  const { answered, ages } = renderPictures(requests, phaseMs, (level) => `<${level}>`)
  // Four tenths in 760 units: the partition begins after 190, and a bar of all requests is 18 high.
  expect(answered.match(/M[\d. ]+h190v-[\d.]+/g)).toEqual(['M322 150h190v-9', 'M512 150h190v-18'])
  expect(answered).toContain('&lt;stale&gt;')
  expect(ages.match(/class="claimed" d="M[^"]*L[^"]*"/g)).toEqual(['class="claimed" d="M417 66L607 55"'])
  expect(ages.match(/class="behind" d="M[^"]*L[^"]*"/g)).toEqual(['class="behind" d="M417 110L607 110"'])
})

test('an age that only one tenth has is visible, too', () => {
  const { requests } = conclude(
    new Script().ask('stale', 'minority', CUT_MS, 5, { ...seen(2), stalenessMs: 400, served: 'stale' }),
  )
  const { ages } = renderPictures(requests, { before: 100, during: 200, after: 100 }, (level) => level)
  expect(ages).toMatch(/class="claimed" d="M417 66h\d+"/)
  expect(ages).toMatch(/class="behind" d="M417 110h\d+"/)
})
