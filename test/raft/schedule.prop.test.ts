// Random schedules of faults and work on whole clusters. A failure prints the shortest schedule that fast-check could find. Once it is understood
// it becomes a transcript or a test of one core, which says what went wrong; what is too tangled for that is kept in `regressions/` and replayed.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { runs } from '../runs.ts'
import { LEADER, play, type Reached, type Schedule, type Step } from './harness/schedule.ts'

const node = fc.oneof(fc.nat(LEADER), fc.constant(LEADER))
const ms = fc.integer({ min: 1, max: 2500 })
const survive = fc.nat(3)
const kind = <Name extends Step['do']>(name: Name) => fc.constant(name)

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: kind('wait'), ms: fc.integer({ min: 1, max: 700 }) }) },
  { weight: 8, arbitrary: fc.record({ do: kind('propose'), node, count: fc.nat(3) }) },
  { weight: 5, arbitrary: fc.record({ do: kind('read'), lease: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: kind('crash'), node, survive, ms }) },
  { weight: 2, arbitrary: fc.record({ do: kind('partition'), side: fc.nat(127), breaks: fc.boolean(), ms }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: kind('isolate'),
      node: fc.constantFrom(LEADER, LEADER, 0, 1),
      breaks: fc.boolean(),
      ms,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: kind('one-way'), from: node, to: node, ms }) },
  { weight: 1, arbitrary: fc.record({ do: kind('stall-disk'), node, ms }) },
  { weight: 1, arbitrary: fc.record({ do: kind('pause'), node, ms }) },
  { weight: 4, arbitrary: fc.record({ do: kind('change'), node, kind: fc.nat(5), target: node }) },
  { weight: 1, arbitrary: fc.record({ do: kind('transfer'), node, to: node }) },
  { weight: 1, arbitrary: fc.record({ do: kind('leases'), node, on: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: kind('compact'), node }) },
)

/** Little but leaders that are cut off, deposed and asked to read: what leases must survive. */
const leaseStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: kind('wait'), ms: fc.integer({ min: 1, max: 300 }) }) },
  { weight: 6, arbitrary: fc.record({ do: kind('propose'), node, count: fc.constant(0) }) },
  { weight: 8, arbitrary: fc.record({ do: kind('read'), lease: fc.constant(true) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: kind('isolate'), node: fc.constant(LEADER), breaks: fc.boolean(), ms }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: kind('crash'), node, survive, ms: fc.integer({ min: 1, max: 60 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: kind('transfer'), node: fc.constant(LEADER), to: node }) },
  { weight: 1, arbitrary: fc.record({ do: kind('leases'), node: fc.constant(LEADER), on: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: kind('stall-disk'), node, ms: fc.integer({ min: 1, max: 400 }) }) },
)

const schedulesOf = (one: fc.Arbitrary<Step>, leases: fc.Arbitrary<boolean>): fc.Arbitrary<Schedule> =>
  fc.record({
    seed: fc.nat(0xffff_ffff),
    voters: fc.constantFrom(0, 1, 2, 2, 2, 3, 4),
    leases,
    loss: fc.constantFrom(0, 0, 5, 20),
    doubled: fc.constantFrom(0, 0, 10, 40),
    delayMsMax: fc.constantFrom(1, 10, 60, 400),
    diskMsMax: fc.constantFrom(0, 5, 30),
    tight: fc.boolean(),
    steps: fc.array(one, { minLength: 10, maxLength: 80, size: 'max' }),
  })

const schedules = schedulesOf(step, fc.boolean())

test('no schedule of faults breaks an invariant or shows a client the past', { timeout: 120_000 }, () => {
  const total: Omit<Reached, 'trace'> = {
    commits: 0,
    terms: 0,
    reads: 0,
    leaseReads: 0,
    staleBounds: 0,
    snapshots: 0,
    changes: 0,
  }
  fc.assert(
    fc.property(schedules, (schedule) => {
      const reached = play(schedule)
      for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += reached[key]
    }),
    { numRuns: runs(600), interruptAfterTimeLimit: 12_000 },
  )
  // The generator is not blind: all that is checked does happen.
  expect(Object.entries(total).filter(([, count]) => count === 0)).toEqual([])
})

test('no lease outlives the promise that it rests on', { timeout: 120_000 }, () => {
  let leaseReads = 0
  fc.assert(
    fc.property(schedulesOf(leaseStep, fc.constant(true)), (schedule) => {
      const elected: Step = { do: 'wait', ms: 1200 }
      leaseReads += play({ ...schedule, steps: [elected, ...schedule.steps] }).leaseReads
    }),
    { numRuns: runs(300), interruptAfterTimeLimit: 6_000 },
  )
  expect(leaseReads).toBeGreaterThan(0)
})

test('a schedule runs the same way every time', () => {
  fc.assert(
    fc.property(schedules, (schedule) => {
      expect(play(schedule)).toEqual(play(schedule))
    }),
    { numRuns: runs(10) },
  )
})

const regressions = join(import.meta.dirname, 'regressions')

test.each(readdirSync(regressions))('what once failed does not any more: %s', (file) => {
  const schedule: Schedule = JSON.parse(readFileSync(join(regressions, file), 'utf8'))
  expect(play(schedule).commits).toBeGreaterThan(0)
})
