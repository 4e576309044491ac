// Schedules as data: what a file says is read back as it is, what is malformed is named, and the shrinker takes apart
// what the generator makes.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FAULT_KINDS, type SimFault } from '../../../jepsen-lite/sim/faults/fault-kinds.ts'
import {
  formatScheduleFile,
  generate,
  parseSchedule,
  type Schedule,
  WRONG_RULES,
} from '../../../jepsen-lite/sim/index.ts'
import { Run } from '../../../jepsen-lite/sim/run.ts'
import { limitsAt, type SimConfig } from '../../../jepsen-lite/sim/schedule/config.ts'
import { ALL_OPS } from '../../../jepsen-lite/sim/schedule/schedule.ts'
import { shrink } from '../../../jepsen-lite/sim/schedule/shrink.ts'
import { usualLimits } from '../../../jepsen-lite/sim/world/node-limits.ts'
import { runs } from '../../runs.ts'

const seeds = fc.nat(0x7fff_ffff)

test('whatever is generated is valid, and is read back as it was', () => {
  fc.assert(
    fc.property(seeds, fc.constantFrom(1, 3, 5, 7), (seed, nodes) => {
      const schedule = generate(seed, nodes)
      expect(parseSchedule(JSON.stringify(schedule))).toEqual(schedule)
      expect(parseSchedule(JSON.stringify({ invariant: 'RAFT-1', schedule }))).toEqual(schedule)
    }),
    { numRuns: runs(100), endOnFailure: true },
  )
})

test('a schedule file has a line for each operation and each fault, and reads back as the schedule', () => {
  const schedule = generate(1, 3)
  const text = formatScheduleFile({ invariant: 'RAFT-1', detail: 'two votes', trace: '0', seed: 1, schedule })
  expect(parseSchedule(text)).toEqual(schedule)
  const lines = new Set(text.split('\n').map((line) => line.trim().replace(/,$/, '')))
  const events = [...schedule.ops, ...schedule.faults].map((event) => JSON.stringify(event))
  expect(events.filter((event) => !lines.has(event))).toEqual([])
})

test('a write on a slow disk is over long before a majority must have a leader', () => {
  for (let seed = 1; seed <= 400; seed++) {
    const { config, faults } = generate(seed, 3)
    const usualMs = config.writeMs + config.writeJitterMs
    for (const fault of faults)
      if (fault.kind === 'slow-disk') expect(fault.factor * usualMs, `seed ${seed}`).toBeLessThan(10_000)
  }
})

test('in some schedules a part of the machines has the limits as shipped', () => {
  const configs = Array.from({ length: 40 }, (_, seed) => generate(seed, 3).config)
  const unequal = configs.filter(({ usualLimitsFrom }) => usualLimitsFrom !== undefined)
  expect(unequal.length).toBeGreaterThan(0)
  expect(unequal.length).toBeLessThan(configs.length)
  const { limits } = configs[0] as SimConfig
  const config = { ...(configs[0] as SimConfig), limits: { ...limits, rowHeads: 3 }, usualLimitsFrom: 1 }
  expect([0, 1, 2].map((place) => limitsAt(config, place).rowHeads)).toEqual([
    3,
    usualLimits.rowHeads,
    usualLimits.rowHeads,
  ])
})

describe('what is malformed is named', () => {
  const fault = { at: 10, kind: 'pause', target: 'leader', ms: 20 }
  const op = { at: 5, kind: 'put', client: 0, node: 0, key: 0, x: 0 }
  const parse = (change: object): Schedule => {
    const { config } = generate(1)
    return parseSchedule(
      JSON.stringify({ version: 2, seed: 1, config, ops: [op], faults: [fault], ...change }),
    )
  }

  test.each<[string, object, string]>([
    ['another version', { version: 1 }, 'version: expected 2, found 1'],
    [
      'an unknown rule',
      { rule: 'no-votes' },
      `rule: expected one of ${WRONG_RULES.map(({ name }) => name).join(', ')}, found "no-votes"`,
    ],
    ['no list', { faults: {} }, 'faults: expected a list'],
    ['no object', { faults: [7] }, 'faults[0]: expected an object, found 7'],
    [
      'an unknown kind',
      { faults: [fault, { ...fault, kind: 'puase' }] },
      'faults[1].kind: expected one of partition',
    ],
    [
      'a missing field',
      { faults: [{ at: 1, kind: 'pause', ms: 2 }] },
      'faults[0].target: expected the number of a machine',
    ],
    ['an unknown role', { faults: [{ ...fault, target: 'boss' }] }, 'one of leader, stale-leader'],
    ['a negative time', { faults: [{ ...fault, ms: -1 }] }, 'faults[0].ms: expected a whole number from 0'],
    [
      'a field of another kind',
      { faults: [{ ...fault, side: [1] }] },
      'faults[0].side: there is no such field',
    ],
    [
      'an unknown trigger',
      { faults: [{ ...fault, when: 'soon' }] },
      'faults[0].when: expected one of elected',
    ],
    ['an unknown operation', { ops: [{ ...op, kind: 'putt' }] }, 'ops[0].kind: expected one of put'],
    [
      'an operation at no machine',
      { ops: [{ ...op, node: null }] },
      'ops[0].node: expected the number of a machine',
    ],
    [
      'a limit as text',
      { config: { ...generate(1).config, limits: { rowHeads: '1' } } },
      'config.limits.rowHeads: expected a whole number',
    ],
    [
      'no voters',
      { config: { ...generate(1).config, nodes: 0 } },
      'config.nodes: expected a whole number from 1 to 7',
    ],
  ])('%s', (_, change, message) => {
    expect(() => parse(change)).toThrow(message)
  })

  // Such a run ended in no time that a person waits, took all memory, or was said to break a rule.
  test.each<[object, string]>([
    [{ clients: 1_000_000_000 }, 'config.clients: expected a whole number from 1 to 1000, found 1000000000'],
    [{ ms: 1e12 }, 'config.ms: expected a number from 0 to 3600000'],
    [{ heartbeatMs: 0.001 }, 'config.heartbeatMs: expected a number from 50'],
    [{ electionMaxMs: 1e9 }, 'config.electionMaxMs: expected a number from 50 to 20000'],
    [{ delayMs: 1e9 }, 'config.delayMs: expected a number from 0 to 10000'],
    [{ jitterMs: -1 }, 'config.jitterMs: expected a number from 0'],
    [{ timeoutMs: 0 }, 'config.timeoutMs: expected a number from 10'],
    [{ leaseMs: 0.5 }, 'config.leaseMs: expected a whole number from 1'],
    [{ limits: { scrubEveryMs: 0 } }, 'config.limits.scrubEveryMs: expected a whole number from 5000'],
    [{ limits: { proposalsMax: 0 } }, 'config.limits.proposalsMax: expected a whole number from 1'],
    [
      { heartbeatMs: 300, electionMinMs: 500, electionMaxMs: 900 },
      'config: the election timeout (500–900 ms) must be a range that begins above twice the heartbeat (300 ms)',
    ],
  ])('a cluster that cannot run: %j', (change, message) => {
    expect(() => parse({ config: { ...generate(1).config, ...change } })).toThrow(message)
  })

  test.each<[object, string]>([
    [
      { kind: 'storm', target: 0, times: 1e9, inFlight: ['lost'], ms: 9 },
      'times: expected a whole number from 1 to 1000,',
    ],
    [{ kind: 'skew', target: 0, perMille: 1e9, ms: 9 }, 'perMille: expected a whole number from 1 to 10000,'],
    [
      { kind: 'slow-link', from: 0, delayMs: 1e9, ms: 9 },
      'delayMs: expected a whole number from 1 to 60000,',
    ],
  ])('a fault that is never over: %j', (change, message) => {
    expect(() => parse({ faults: [{ at: 10, ...change }] })).toThrow(`faults[0].${message}`)
  })

  test('no JSON', () => {
    expect(() => parseSchedule('{')).toThrow('no JSON')
  })

  test('a limit that is not named is as shipped', () => {
    const { limits } = parse({ config: { ...generate(1).config, limits: { rowHeads: 3 } } }).config
    expect(limits).toMatchObject({ rowHeads: 3, applyBytesMax: 1024 * 1024 })
  })
})

/**
 * Whether a fault is as harmful as this test pretends: a crash of a leader that loses its write, beside another fault.
 */
const breaks = ({ faults }: Schedule): boolean =>
  faults.some((fault) => fault.kind === 'crash' && fault.skip > 2) &&
  faults.some(({ kind }) => kind === 'isolate')

test('a schedule is shrunk to what breaks it, field by field', async () => {
  const found = Array.from({ length: 200 }, (_, seed) => generate(seed)).find(breaks)
  if (found === undefined) throw new Error('no seed has both')
  const schedule = await shrink(found, breaks, () => true)
  expect(schedule.ops).toEqual([])
  const sorted = [...schedule.faults].sort((a, b) => a.kind.localeCompare(b.kind))
  const plain = { stalls: false, refuses: false, breaks: false }
  // A number becomes the first machine, a role the first role.
  const target = expect.toSatisfy((plainest) => plainest === 0 || plainest === 'leader')
  expect(sorted).toEqual([
    { at: 0, kind: 'crash', target, point: 'now', skip: 3, inFlight: 'lost', silent: false, ms: 0 },
    { at: 0, kind: 'isolate', target, ms: 0, ...plain },
  ] satisfies SimFault[])
  expect(parseSchedule(JSON.stringify(schedule))).toEqual(schedule)
})

test('what only a person chooses is never drawn, and everything else is', () => {
  const schedules = Array.from({ length: 200 }, (_, seed) => generate(seed))
  const kindsIn = (list: 'ops' | 'faults'): ReadonlySet<string> =>
    new Set(schedules.flatMap((schedule) => schedule[list].map(({ kind }) => kind)))
  const never = (all: readonly string[], list: 'ops' | 'faults'): string[] =>
    all.filter((kind) => !kindsIn(list).has(kind)).sort()
  // A search for rare events alone draws single messages.
  expect(never(FAULT_KINDS, 'faults')).toEqual(['compact-log', 'heal', 'message', 'remove-many', 'skew'])
  expect(never(ALL_OPS, 'ops')).toEqual(['fenced-write', 'lock', 'release', 'stand-still', 'write'])
  expect(schedules.filter(({ rule }) => rule !== undefined)).toEqual([])
  expect(new Set(schedules.map(({ config }) => config.clocks))).toEqual(new Set([0, 1, 2, 3]))
})

test('disks are short of space in some runs of a schedule that says nothing about them, and in none that says no', () => {
  const { shortDisks: _, ...config } = generate(1, 3).config
  const shortSeeds = (shortDisks: object): number[] =>
    Array.from({ length: 60 }, (_, seed) => seed).filter((seed) => {
      const schedule = { ...generate(1, 3), seed, config: { ...config, ...shortDisks }, ops: [], faults: [] }
      return new Run(schedule).cluster.machines.some(({ space }) => Number.isFinite(space.freeBytes()))
    })
  const seeds = shortSeeds({})
  expect(seeds.length).toBeGreaterThan(2)
  expect(seeds.length).toBeLessThan(20)
  // Files from before disks could be left out run as they did.
  expect(shortSeeds({ shortDisks: 1 })).toEqual(seeds)
  expect(shortSeeds({ shortDisks: 0 })).toEqual([])
})

test('no two parts of a schedule draw the same numbers', () => {
  for (let seed = 1; seed <= 100; seed++) expect(() => generate(seed), `seed ${seed}`).not.toThrow()
})
