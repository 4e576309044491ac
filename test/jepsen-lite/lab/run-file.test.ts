// Files of runs: the schedules that jepsen-lite and the lab write, and texts with addresses.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, test } from 'vitest'
import { labAddress } from '../../../jepsen-lite/commands/lab-address.ts'
import {
  breakingMoment,
  formatLink,
  formatRunFile,
  labSchedule,
  parseRunFile,
  refuseForeign,
} from '../../../jepsen-lite/lab/index.ts'
import { formatScheduleFile, generate, runSchedule } from '../../../jepsen-lite/sim/index.ts'
import { type HistoryEvent, Recorder } from '../../../jepsen-lite/workload/history.ts'

describe('a file', () => {
  const schedule = generate(7)

  it('of jepsen-lite sim has the moment of its violation, and says what broke', () => {
    const detail = 'RAFT-1: two votes'
    const text = formatScheduleFile({ invariant: 'RAFT-1', detail, trace: '0', seed: 7, at: 812.5, schedule })
    expect(parseRunFile(text)).toEqual({ schedule, at: 812.5, detail })
  })

  it('of the lab has the moment that was shown', () => {
    expect(parseRunFile(formatRunFile(schedule, 3040.25))).toEqual({
      schedule,
      at: 3040.25,
      detail: undefined,
    })
  })

  it('may be the schedule alone', () => {
    expect(parseRunFile(JSON.stringify(schedule))).toEqual({ schedule, at: undefined, detail: undefined })
  })

  it.each([
    ['an address', `http://127.0.0.1:7360/#${formatLink(schedule)}\n`],
    ['its fragment', formatLink(schedule)],
    ['a letter with one', `Look at this:\n\nhttps://lab.example/raft/#${formatLink(schedule)}\n\nWhy?\n`],
  ])('may be %s', (_, text) => {
    expect(parseRunFile(text).schedule).toEqual(schedule)
    expect(parseRunFile(text.replace(/seed=7,/, 'seed=7,at=5200,')).at).toBe(5200)
  })

  it.each([
    ['', 'expected a schedule of jepsen-lite'],
    ['Dear all, this is no run.', 'expected a schedule of jepsen-lite'],
    ['{"version":', 'no JSON'],
    ['{"ok":false,"seed":3,"failure":{"schedule":"500ms kill"}}', 'only quorate simulate runs it'],
  ])('with %j is refused', (text, words) => {
    expect(() => parseRunFile(text)).toThrow(words)
  })

  it('whose clients use a recipe is read, and the lab refuses it', () => {
    const recipe = { name: 'lock', processes: 1, faults: [] }
    const run = parseRunFile(JSON.stringify({ ...schedule, recipe }))
    expect(() => refuseForeign(run.schedule)).toThrow('the lab runs no clients with recipes')
  })
})

const regressions = join(import.meta.dirname, '../regressions/testdata')

test.each(readdirSync(regressions))('a kept schedule opens at its step: %s', (name) => {
  const { schedule, at, detail } = parseRunFile(readFileSync(join(regressions, name), 'utf8'))
  expect(at).toBeGreaterThan(0)
  expect(detail).toMatch(/^[A-Z]+-\d+: /)
  expect(labAddress(schedule, at).address).toContain(`,at=${at}`)
})

test('an address that is too long is refused, with another way', () => {
  const put = { at: 1, kind: 'put', client: 0, node: 'leader', key: 0, x: 41 } as const
  const schedule = { ...labSchedule(), ops: Array.from({ length: 300 }, () => put) }
  expect(labAddress(schedule, 5)).toMatchObject({
    address: undefined,
    refusal: expect.stringContaining('more than 8000: run `quorate lab --open`'),
  })
})

describe('a run that breaks a rule', () => {
  const LEADERLESS = labSchedule(3, {
    ...{ nodes: 2, spares: 0, ms: 1000, delayMs: 3000, electionMinMs: 800, electionMaxMs: 1500 },
  })

  it('is shown from shortly before the violation', () => {
    const result = runSchedule(LEADERLESS)
    const at = breakingMoment(result, LEADERLESS.config) ?? expect.fail('no rule is broken')
    expect((result.violation?.atMs ?? 0) - at).toBeCloseTo(2 * 3020 + 12)
  })

  it('is shown from shortly before the first answer that no order explains', () => {
    let now = 0
    const history: HistoryEvent[] = []
    const header = { workload: 'register', command: 'test' }
    const recorder = new Recorder(
      header,
      () => now,
      (event) => history.push(event),
    )
    const key = 'k'
    for (const [value, read] of [
      ['1', '1'],
      ['2', '1'],
      ['3', '3'],
    ] as const) {
      now += 1000
      recorder.ok(recorder.invoke('c1', 'n1', { f: 'put', key, value }), {})
      const get = recorder.invoke('c2', 'n2', { f: 'get', key })
      now += 20
      recorder.ok(get, { value: read })
    }
    const violation = { invariant: 'CHECK-linearizability', detail: 'a read is stale', atMs: 90_000 }
    const result = { ...runSchedule(LEADERLESS), violation, history, transactions: history.slice(0, 1) }
    expect(breakingMoment(result, labSchedule().config)).toBeCloseTo(2040 - 2 * 40 - 12)
  })

  it('is shown from its beginning if it breaks the rule at once', () => {
    const violation = { invariant: 'RAFT-1', detail: 'two votes', atMs: 3 }
    const result = { ...runSchedule(LEADERLESS), violation }
    expect(breakingMoment(result, LEADERLESS.config)).toBe(0)
  })

  it('is not sought where no rule is broken', () => {
    const result = { ...runSchedule(LEADERLESS), violation: undefined }
    expect(breakingMoment(result, LEADERLESS.config)).toBeUndefined()
  })
})
