// Drawn schedules of simulations: from jepsen-lite's random numbers, and from those of fast-check.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  drawSchedule,
  parseSchedule,
  type SimulatedFaultKind,
  type SimulatedFaultsOptions,
  SimulatedSchedule,
  simulatedFaults,
} from '../../../../jepsen-lite/simulation/schedule/index.ts'
import { Random } from '../../../../jepsen-lite/workload/random.ts'
import { runs } from '../../../runs.ts'

const PROCESSES = ['worker', 'api-1', 'a.b/c_d']
const OF_NODES: readonly SimulatedFaultKind[] = ['stop', 'one-way', 'power-loss', 'slow-disk']
const DOWNING: readonly SimulatedFaultKind[] = ['crash', 'stop', 'pause', 'power-loss']

test('the text of a schedule is the schedule', () => {
  fc.assert(
    fc.property(simulatedFaults({ nodes: 5, processes: PROCESSES, steps: 8 }), (schedule) => {
      expect(parseSchedule(schedule.text)).toEqual(schedule.faults)
      const literal: string = new Function(`return ${schedule}`)()
      expect(new SimulatedSchedule(literal)).toEqual(schedule)
    }),
    { numRuns: runs(500) },
  )
})

test('schedules stay within the options', () => {
  const options: SimulatedFaultsOptions = {
    nodes: 5,
    processes: PROCESSES,
    steps: 3,
    ms: 777,
    durationMaxMs: 99,
  }
  fc.assert(
    fc.property(simulatedFaults(options), ({ faults }) => {
      expect(faults.length).toBeLessThanOrEqual(3)
      for (const { at, fault, on, for: duration, by = 1 } of faults) {
        expect(at).toBeLessThanOrEqual(777)
        expect(duration).toBeLessThanOrEqual(99)
        const nodes = on.filter((name) => !PROCESSES.includes(name))
        for (const name of nodes) expect(['leader', 'n1', 'n2', 'n3', 'n4', 'n5']).toContain(name)
        if (OF_NODES.includes(fault)) expect(nodes).toEqual(on)
        // A majority stays, and a partition has two sides.
        if (DOWNING.includes(fault)) expect(nodes.length).toBeLessThanOrEqual(2)
        if (fault === 'partition' || fault === 'one-way') expect(nodes.length).toBeLessThanOrEqual(4)
        if (fault === 'skew') expect(Math.abs(by - 1)).toBeLessThan(nodes.length > 0 ? 0.0501 : 0.1001)
      }
    }),
    { numRuns: runs(500) },
  )
})

test.each([2, 3, 4, 5, 6, 7, 8, 9])('a majority of %d nodes stays', (nodes) => {
  const random = new Random(nodes)
  let most = 0
  for (let n = 0; n < 500; n++)
    for (const { on } of drawSchedule(random, { nodes, processes: PROCESSES, kinds: DOWNING }).faults)
      most = Math.max(most, on.filter((name) => !PROCESSES.includes(name)).length)
  expect(most).toBe(Math.max(1, Math.ceil(nodes / 2) - 1))
})

test('schedules reach all that the options allow', () => {
  const random = new Random(7)
  const seen = new Set<string>()
  let [round, times] = [0, 0]
  for (let n = 0; n < 2_000; n++) {
    const { faults } = drawSchedule(random, { processes: ['a', 'b'], steps: 2, ms: 14, durationMaxMs: 12 })
    seen.add(`${faults.length} faults`)
    for (const { at, fault, on, for: duration, by } of faults) {
      seen
        .add(`at ${at}`)
        .add(`for ${duration}`)
        .add(`${fault} ${on.join(',')}`)
      if (fault === 'skew') seen.add(`skew by ${by}`)
      if (at % 10 === 0) round += 1
      times += 1
    }
  }
  for (let n = 0; n <= 14; n++) expect(seen).toContain(`at ${n}`)
  for (let n = 1; n <= 12; n++) expect(seen).toContain(`for ${n}`)
  for (const kind of ['crash', 'pause', 'partition', 'slow-link', 'skew'])
    for (const on of ['leader', 'n1', 'n3', 'a', 'b', 'a,b', 'n1,a,b', 'leader,a'])
      expect(seen).toContain(`${kind} ${on}`)
  for (const kind of OF_NODES)
    for (const on of ['leader', 'n1', 'n2', 'n3']) expect(seen).toContain(`${kind} ${on}`)
  for (const on of ['n1,n2', 'leader,n1']) expect(seen).toContain(`partition ${on}`)
  expect(seen).toContain('slow-disk n1,n2,n3')
  for (const what of ['1 faults', '2 faults', 'skew by 0.9', 'skew by 1.1', 'skew by 1.01'])
    expect(seen).toContain(what)
  expect(round / times).toBeGreaterThan(0.5)
})

test('most faults strike a process, if processes are named', () => {
  const random = new Random(7)
  const faults = Array.from(
    { length: 1_000 },
    () => drawSchedule(random, { processes: PROCESSES }).faults,
  ).flat()
  const strikes = (kinds: readonly string[]) =>
    faults.filter(({ fault, on }) => kinds.includes(fault) && on.some((name) => PROCESSES.includes(name)))
  expect(strikes(['crash', 'pause', 'partition', 'slow-link', 'skew']).length).toBeGreaterThan(
    0.6 * faults.length,
  )
  expect(strikes(['pause', 'partition']).length).toBeGreaterThan(0.2 * faults.length)
  expect(faults.filter(({ fault }) => OF_NODES.includes(fault)).length).toBeGreaterThan(0.15 * faults.length)
})

test('only kinds of the options are drawn, and schedules shrink to no others', () => {
  const kinds = ['power-loss', 'skew'] as const
  const fails = ({ faults }: SimulatedSchedule) => faults.some(({ on }) => on.includes('n2'))
  const drawn = new Set<string>()
  const property = fc.property(simulatedFaults({ kinds }), (schedule) => {
    for (const { fault } of schedule.faults) drawn.add(fault)
    return !fails(schedule)
  })
  const { counterexample } = fc.check(property, { numRuns: 1_000 })
  expect(['0 power-loss n2 for 1', '0 skew n2 by 1.01 for 1', '0 skew n2 by 0.99 for 1']).toContain(
    counterexample?.[0].text,
  )
  expect([...drawn].filter((kind) => kind !== 'power-loss' && kind !== 'skew')).toEqual([])
})

test('the same random numbers draw the same schedule', () => {
  const options = { processes: PROCESSES, nodes: 4 }
  const draw = (seed: number) => drawSchedule(new Random(seed), options).text
  const texts = Array.from({ length: 50 }, (_, seed) => draw(seed))
  expect(texts).toEqual(texts.map((_, seed) => draw(seed)))
  expect(new Set(texts).size).toBe(50)
})

test('a cluster of one node has faults too', () => {
  const { faults } = drawSchedule(new Random(1), { nodes: 1, steps: 1, kinds: ['crash'] })
  expect(faults[0]?.on).toHaveLength(1)
})

test('arguments are checked', () => {
  const anything = (value: unknown) => value as never
  expect(() => simulatedFaults(anything({ kind: 'crash' }))).toThrow('did you mean kinds?')
  expect(() => simulatedFaults({ nodes: 0 })).toThrow('nodes must be a number from 1 to 9')
  expect(() => simulatedFaults({ kinds: [] })).toThrow('kinds must be a list of some of crash, stop,')
  expect(() => simulatedFaults({ steps: 0 })).toThrow('steps must be a whole number from 1 on')
  expect(() => simulatedFaults({ ms: -1 })).toThrow('simulatedFaults: ms must be')
  expect(() => drawSchedule(new Random(1), { durationMaxMs: 0 })).toThrow('drawSchedule: durationMaxMs must')
  for (const processes of [['n1'], ['leader'], ['for'], ['a b'], ['a', 'a'], 'a'])
    expect(() => simulatedFaults({ processes: anything(processes) })).toThrow(
      'processes must be a list of different names, each the name of a process',
    )
})
