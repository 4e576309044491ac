// Runs of schedules that have an end: the faults end, and a majority must converge.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, test } from 'vitest'
import {
  finishedRun,
  Lab,
  labSchedule,
  PLAIN_X,
  parseLink,
  parseRunFile,
} from '../../../jepsen-lite/lab/index.ts'
import { LabRun } from '../../../jepsen-lite/lab/lab-run.ts'
import { LAB_MS_MAX } from '../../../jepsen-lite/lab/lab-schedule.ts'
import { generate, runSchedule } from '../../../jepsen-lite/sim/index.ts'
import { loadRule } from '../../../jepsen-lite/wrong-rules/load-rule.ts'

/** Messages are slower than elections, so nobody is ever elected. */
const LEADERLESS = labSchedule(3, {
  ...{ nodes: 2, spares: 0, ms: 1000, delayMs: 3000, electionMinMs: 800, electionMaxMs: 1500 },
})

const FIGURE_8 = join(import.meta.dirname, '../../../docs/learn/lessons/runs/commit-of-earlier-term.txt')

/** Runs a schedule in parts that end in the middle of waits, and with steps. */
function inParts(run: LabRun): LabRun {
  for (let ms = 0; !run.isOver; ms += 2500) {
    run.runTo(ms)
    for (let step = 0; step < 3; step++) run.step(ms + 1000)
  }
  return run
}

describe('the end of a run', () => {
  it.each([49, 50, 53])('is that of the simulator: schedule %i', (seed) => {
    const schedule = generate(seed, 1)
    const { trace, virtualMs } = runSchedule(schedule)
    const run = inParts(new LabRun(schedule))
    expect([run.trace, run.now, run.view().violation]).toEqual([trace, virtualMs, undefined])
    expect(run.view().isOver).toBe(true)
  })

  it('is the rule that is broken when the faults have ended', () => {
    const { trace, violation } = runSchedule(LEADERLESS)
    const run = inParts(new LabRun(LEADERLESS))
    const { violation: shown, isOver } = run.view()
    expect([run.trace, run.now, shown, isOver]).toEqual([trace, violation?.atMs, violation?.detail, true])
    expect(shown).toMatch(/^LIVE-1: n1 n2 did not converge: no leader/)
  })

  it.each([
    'isolate,target=0,ms=60000,stalls=true,refuses=false,breaks=false',
    'flap,target=0,periodMs=300,ms=60000,stalls=true,refuses=false,breaks=false',
    'crash,target=0,point=now,skip=0,inFlight=lost,silent=false,ms=60000',
    'crash-many,places=(0+1),inFlight=(lost),silent=false,ms=60000',
    'stop,target=0,ms=60000',
    'pause,target=0,ms=60000',
    'slow-disk,target=0,factor=9,ms=60000',
    'skew,target=0,perMille=2000,ms=60000',
    'compact-log,target=0,ms=60000',
  ])('is beyond all faults: %s', (line) => {
    const run = new LabRun(parseLink(`seed=7,nodes=3,spares=0,ms=5000;3000:${line}`))
    run.runTo(4900)
    expect(run.view().faults).toHaveLength(1)
    run.runTo(5001)
    expect(run.view().faults).toEqual([])
  })

  it('is beyond crashes that wait for their moment', () => {
    const killed = (...lines: string[]): unknown => {
      const run = new LabRun(parseLink(['seed=7,nodes=3,spares=0,ms=5000', ...lines].join(';')))
      run.runTo(20_000)
      expect(run.view().nodes.some(({ role }) => role === 'leader')).toBe(true)
      return run.view().notes.flatMap(({ kind, node }) => (kind === 'died' ? [node] : []))
    }
    const crash = 'point=writing,skip=0,inFlight=lost,silent=false,ms=500'
    expect(killed(...[0, 1, 2].map((target) => `4990:crash,target=${target},${crash}`))).toEqual(killed())
  })

  it('is reached again from an earlier moment', () => {
    const lab = new Lab(LEADERLESS)
    lab.runTo(1_000_000)
    const { now } = lab
    const view = lab.view()
    lab.runTo(now - 100)
    expect(lab.view()).toMatchObject({ isOver: false, violation: undefined })
    lab.runTo(1_000_000)
    expect(lab.view()).toEqual(view)
    expect(lab.end).toBe(now)
  })
})

test('figure 8 of the paper loses an entry, with the same hash as in the simulator', async () => {
  const { schedule } = parseRunFile(readFileSync(FIGURE_8, 'utf8'))
  await loadRule(schedule.rule)
  const { trace, violation } = runSchedule(schedule)
  const run = inParts(new LabRun(schedule))
  expect([run.trace, run.view().violation]).toEqual([trace, violation?.detail])
  expect(violation?.detail).toBe('RAFT-10: n5 hands out 3 of term 3, another replica of term 2')
})

it('nothing is added where the faults have ended', () => {
  const lab = new Lab(LEADERLESS)
  const put = { kind: 'put', client: 0, node: 'leader', key: 0, x: PLAIN_X } as const
  lab.runTo(999)
  expect(() => lab.add(put)).toThrow('the faults of this run end at 1 s')
  expect(lab.schedule).toBe(LEADERLESS)
  lab.runTo(998)
  expect(lab.add(put).at).toBe(999)
})

it('a schedule with an end of its own is checked as it is', () => {
  const lab = new Lab(LEADERLESS)
  lab.runTo(500)
  const { schedule, trace, violation } = finishedRun(lab)
  expect(schedule).toEqual(LEADERLESS)
  expect(trace).toBe(runSchedule(LEADERLESS).trace)
  expect(violation).toMatch(/^LIVE-1/)
})

it('a line that was just added is carried out in the run that is checked', () => {
  const lab = new Lab(labSchedule(7))
  lab.runTo(4000)
  lab.add({ kind: 'put', client: 0, node: 'leader', key: 0, x: PLAIN_X })
  const { schedule, violation } = finishedRun(lab)
  expect(violation).toBeUndefined()
  const run = new LabRun(schedule)
  run.runTo(5000)
  expect(run.view().operations).toMatchObject([{ text: 'put k0 = "c1.0"', outcome: 'ok' }])
})

it('a line after the end of each run of the lab does not make the checked run longer', () => {
  const lab = new Lab(parseLink('nodes=1,spares=0;1000000000:put,client=0,node=leader,key=0,x=41'))
  expect(finishedRun(lab).schedule.config.ms).toBe(LAB_MS_MAX)
})

it('a clock that a person puts forward again and again breaks no rule', () => {
  const lab = new Lab(labSchedule(1, { nodes: 3 }))
  lab.runTo(4000)
  for (let press = 1; press <= 12; press++) {
    lab.add({ kind: 'jump', target: 1, forwardMs: 1000 })
    lab.runTo(4000 + press)
  }
  lab.runTo(5000)
  expect(lab.view().violation).toBeUndefined()
})
