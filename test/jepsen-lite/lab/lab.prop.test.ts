// Whatever a person does in the lab, its run is that of its schedule, and the schedule is what the person did.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  formatLink,
  formatRunFile,
  Lab,
  labSchedule,
  linkMoment,
  parseNewLine,
  parseRunFile,
  withMoment,
} from '../../../jepsen-lite/lab/index.ts'
import { LabRun, type Line } from '../../../jepsen-lite/lab/lab-run.ts'
import type { LabView } from '../../../jepsen-lite/lab/view.ts'
import { runs } from '../../runs.ts'

/** Lines of a person that still count, and the latest moment. */
interface Model {
  lines: Line[]
  /** Lines that were added while the lab stood still. */
  fresh: Line[]
  freshAt: number
  end: number
}
type Action = (lab: Lab, model: Model) => 'moved' | 'stepped' | 'added' | 'prepared'

const LINES = [
  'put,client=0,node=leader,key=0,x=41',
  'get,client=1,node=1,key=0,x=41',
  'lock,client=2,node=leader,key=0,x=0',
  'isolate,target=leader,ms=700,stalls=true,refuses=false,breaks=false',
  'crash,target=0,point=now,skip=0,inFlight=lost,silent=false,ms=300',
  'pause,target=leader,ms=900',
]

const toTime = (ms: (lab: Lab) => number): Action => {
  return (lab, model) => {
    const to = Math.max(0, ms(lab))
    lab.runTo(to)
    expect(lab.now).toBe(to)
    model.end = Math.max(model.end, to)
    return 'moved'
  }
}
const one = (move: 'step' | 'skip'): Action => {
  return (lab, model) => {
    const before = lab.now
    lab[move]()
    expect(lab.now).toBeGreaterThanOrEqual(before)
    model.end = Math.max(model.end, lab.now)
    return 'stepped'
  }
}
const add = (line: string): Action => {
  return (lab, model) => {
    const { now } = lab
    if (model.freshAt !== now) model.fresh = []
    const { fresh, lines } = model
    const added = lab.add(parseNewLine(line))
    Object.assign(model, { freshAt: now, fresh: [...fresh, added], end: now })
    model.lines = [...lines.filter((other) => other.at <= now || fresh.includes(other)), added]
    return 'added'
  }
}
const prepare = (slices: number): Action => {
  return (lab) => {
    let left = slices
    lab.prepare(() => left-- <= 0)
    return 'prepared'
  }
}

const actions: fc.Arbitrary<Action> = fc.oneof(
  fc.integer({ min: 0, max: 8000 }).map((ms) => toTime(() => ms)),
  fc.integer({ min: 1, max: 1500 }).map((ms) => toTime((lab) => lab.now + ms)),
  fc.integer({ min: 1, max: 1500 }).map((ms) => toTime((lab) => lab.now - ms)),
  fc.constantFrom(one('step'), one('skip')),
  fc.constantFrom(...LINES).map(add),
  fc.integer({ min: 0, max: 120 }).map(prepare),
)

test('a link and a file show nothing less than the moment that they were made at', () => {
  const link = formatLink(labSchedule(7))
  const moment = fc.oneof(fc.double({ min: 0, max: 600_000, noNaN: true }), fc.nat(600_000))
  fc.assert(
    fc.property(moment, (ms) => {
      const shown = linkMoment(withMoment(link, ms)) ?? expect.fail('the link has no moment')
      expect(shown).toBeGreaterThanOrEqual(ms)
      expect(shown).toBeLessThan(ms + 0.0011)
      expect(linkMoment(withMoment(withMoment(link, 7), ms))).toBe(shown)
      const { at, schedule } = parseRunFile(formatRunFile(labSchedule(7), ms))
      expect([at, schedule]).toEqual([ms, labSchedule(7)])
    }),
    { numRuns: runs(200), examples: [[0]], endOnFailure: true },
  )
})

/** A view agrees with itself. `before`: an earlier one of the same run. */
function expectSound(view: LabView, before: LabView | undefined): void {
  const { now, nodes, operations, diagram } = view
  for (const node of nodes) {
    const { name, state, role, election, log, firstIndex, applied, commit, lastIndex, durable } = node
    const newest = diagram?.states.findLast((one) => one.node === name)?.state
    expect([name, state === 'running' ? role : state]).toEqual([name, newest])
    if (state === 'running' && election !== undefined) {
      expect(election.from).toBeLessThan(now + 0.02)
      expect(election.until).toBeGreaterThan(now - 0.02)
    }
    for (const [low, high] of [
      [firstIndex - 1, applied],
      [applied, commit],
      [commit, lastIndex],
      [durable, lastIndex],
    ] as const)
      if (state !== 'down') expect(low).toBeLessThanOrEqual(high)
    expect(log.map(({ index }) => index)).toEqual(log.map((_, at) => lastIndex - log.length + 1 + at))
    for (const { next, match } of node.progress) expect(next).toBeGreaterThan(match)
    // Terms are on disks.
    const earlier = before?.nodes.find((one) => one.name === name)
    if (before !== undefined && before.now <= now)
      expect([name, node.term]).toEqual([name, Math.max(node.term, earlier?.term ?? 0)])
  }
  const times = operations.map(({ from }) => from)
  expect(times).toEqual(times.toSorted((a, b) => a - b))
}

const isSame = (a: Line, b: Line): boolean => JSON.stringify(a) === JSON.stringify(b)

test('a lab is at each moment the run of its schedule, which has the lines that still count', () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.array(actions, { minLength: 4, maxLength: 14 }), (seed, all) => {
      const lab = new Lab(labSchedule(seed, { nodes: 3, spares: 0 }))
      const model: Model = { lines: [], fresh: [], freshAt: 0, end: 0 }
      const check = (): void => {
        const again = new LabRun(lab.schedule)
        again.runTo(lab.now)
        expect(again.trace).toBe(lab.trace)
        expect(lab.view()).toEqual(again.view())
      }
      toTime(() => 2500)(lab, model)
      let before: LabView | undefined
      for (const act of all) {
        const what = act(lab, model)
        const view = lab.view(['diagram'])
        expectSound(view, before)
        before = view
        expect(lab.end).toBe(model.end)
        const { ops, faults } = lab.schedule
        expect(ops.length + faults.length).toBe(model.lines.length)
        for (const line of model.lines)
          expect([...ops, ...faults].some((other) => isSame(line, other))).toBe(true)
        // After a step, other events of the same moment may not have happened yet.
        if (what === 'moved') check()
      }
      toTime(() => lab.end + 500)(lab, model)
      check()
      toTime(() => lab.end / 2)(lab, model)
      check()
    }),
    { numRuns: runs(40), endOnFailure: true },
  )
})
