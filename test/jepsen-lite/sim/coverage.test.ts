// The counts of a search, and a generator that tries what they lack.

import { describe, expect, test } from 'vitest'
import { EVENTS, NOTHING_RARE, STATES, type StateCoverage } from '../../../jepsen-lite/sim/coverage.ts'
import { dies } from '../../../jepsen-lite/sim/faults/fault-builders.ts'
import { FAULT_KINDS, type SimFault } from '../../../jepsen-lite/sim/faults/fault-kinds.ts'
import { generate, type Schedule, Search } from '../../../jepsen-lite/sim/index.ts'
import { SCHEDULE_VERSION } from '../../../jepsen-lite/sim/schedule/schedule.ts'
import { calmConfig } from './calm-config.ts'
import { runFaults } from './run-faults.ts'

/** Three nodes, a write at each of them now and then. */
function calm(faults: readonly SimFault[]): Schedule {
  return {
    version: SCHEDULE_VERSION,
    seed: 1,
    config: calmConfig({ nodes: 3, ms: 8000, clients: 3, keys: 2 }),
    ops: Array.from({ length: 60 }, (_, at) => ({
      ...({ at: 2000 + 100 * at, kind: 'put', client: at % 3, node: at % 3, key: at % 2, x: at } as const),
    })),
    faults,
  }
}

function coverageOf(faults: readonly SimFault[]): StateCoverage {
  const { violation, coverage } = runFaults(calm(faults))
  expect(violation).toBeUndefined()
  return coverage
}

test('a fault is counted with the state of whom it strikes', () => {
  const coverage = coverageOf([
    { at: 4000, kind: 'pause', target: 'leader', ms: 100 },
    { at: 4050, kind: 'break', target: 'leader' },
    { at: 5000, ...dies, target: 'follower-0', ms: 1000 },
    { at: 5500, kind: 'slow-disk', target: 'follower-4', factor: 2, ms: 10 },
  ])
  const seen = FAULT_KINDS.flatMap((kind) =>
    STATES.flatMap((state) => (coverage.times(`fault ${kind}`, state) > 0 ? [`${kind}: ${state}`] : [])),
  )
  expect(seen).toEqual(['break: stopped', 'crash: follower', 'pause: leader', 'slow-disk: follower'])
})

test('triggers, requests and messages are counted with the state of whom they reach', () => {
  const coverage = coverageOf([])
  expect(coverage.times('when elected', 'new leader')).toBeGreaterThan(0)
  expect(coverage.times('when elected', 'leader')).toBe(0)
  expect(coverage.times('hears append', 'follower')).toBeGreaterThan(50)
  expect(coverage.times('hears append', 'leader')).toBe(0)
  const asked = ['leader', 'follower'].map((state) => coverage.times('requested put', state))
  expect(asked).toEqual([20, 40])
})

test('two faults at one trigger are a pair, at two they are none', () => {
  const slow = { kind: 'slow-disk', target: 'subject', factor: 2, ms: 10 } as const
  const waits = { at: 3000, when: 'committed' } as const
  const breaks = { ...waits, kind: 'break', target: 'subject' } as const
  const pairs = (faults: readonly SimFault[]): string[] =>
    coverageOf(faults)
      .pairs()
      .flatMap(({ pair, times }) => (times > 0 ? [`${pair.join(' ')} ${times}`] : []))
  expect(pairs([breaks, { ...waits, ...slow }])).toEqual(['break slow-disk 1'])
  expect(pairs([breaks, { ...waits, ...slow, after: 30 }])).toEqual(['break slow-disk 1'])
  expect(pairs([breaks, { ...waits, ...slow, at: 5000 }])).toEqual([])
})

describe('what is rare', () => {
  test('is what was never seen, and nothing else', () => {
    const coverage = coverageOf([{ at: 4000, kind: 'pause', target: 'leader', ms: 100 }])
    for (let turn = 0; turn < 50; turn++) {
      const { events, pairs } = coverage.rarest(turn)
      for (const trigger of ['committed', 'read-asked']) {
        expect(events).not.toContainEqual([trigger, 'fault', 'pause'])
        expect(events).not.toContainEqual([trigger, 'op', 'put'])
      }
      expect(events.length).toBeGreaterThan(10)
      expect(pairs.length).toBeGreaterThan(10)
    }
  })

  test('is tried', () => {
    const rare = { events: [['staged', 'fault', 'full-disk']], pairs: [['break', 'break-streams']] } as const
    const isTried = ({ faults }: Schedule): boolean =>
      (['full-disk', 'break', 'break-streams'] as const).every((kind) =>
        faults.some((fault) => fault.kind === kind && fault.when === 'staged'),
      )
    const count = (schedules: readonly Schedule[]): number => schedules.filter(isTried).length
    const seeds = Array.from({ length: 60 }, (_, seed) => seed)
    expect(count(seeds.map((seed) => generate(seed, 5, rare)))).toBeGreaterThan(5)
    expect(count(seeds.map((seed) => generate(seed, 5, NOTHING_RARE)))).toBe(0)
  })
})

test('a search that goes by what it has seen runs alike every time', () => {
  const searched = (): readonly unknown[] => {
    const search = new Search(3)
    // Short schedules whose faults wait for triggers: what is rare decides which.
    for (const seed of [110, 97]) search.run(seed)
    const { trace, coverage } = search
    return [trace, EVENTS.map((event) => STATES.map((state) => coverage.times(event, state)))]
  }
  expect(searched()).toEqual(searched())
})
