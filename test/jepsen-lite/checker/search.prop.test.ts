// The search against the definition: 60,000 small histories, of stores that keep their promises and of stores that lie,
// each judged both ways.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { check, MODELS } from '../../../jepsen-lite/checker/index.ts'
import { checkLinearizability } from '../../../jepsen-lite/checker/linearizability.ts'
import type { KeyCall } from '../../../jepsen-lite/checker/partition.ts'
import { checkRevisions } from '../../../jepsen-lite/checker/revisions.ts'
import { buildHistory, type History, type HistoryEvent } from '../../../jepsen-lite/workload/history.ts'
import { runs } from '../../runs.ts'
import { isLinearizable } from './brute-force.ts'
import { type Kind, randomHistory } from './random-history.ts'

const OPERATIONS_MAX = 8
const bytes = fc.uint8Array({ minLength: 2 * 6, maxLength: OPERATIONS_MAX * 6 + 5, size: 'max' })

interface Game {
  readonly name: string
  readonly model: string
  readonly kinds: readonly Kind[]
  readonly keys: readonly string[]
  readonly revisions: boolean
  readonly runs: number
}

const GAMES: readonly Game[] = [
  {
    name: 'registers',
    model: 'register',
    kinds: ['get', 'put', 'get', 'cas', 'del'],
    keys: ['x', 'y'],
    revisions: false,
    runs: 12_000,
  },
  {
    name: 'a register that is only put',
    model: 'register',
    kinds: ['get', 'put'],
    keys: ['x'],
    revisions: false,
    runs: 6_000,
  },
  {
    name: 'the same with revisions',
    model: 'versioned-register',
    kinds: ['get', 'put'],
    keys: ['x'],
    revisions: true,
    runs: 4_000,
  },
  {
    name: 'one contended register',
    model: 'cas',
    kinds: ['get', 'cas', 'put'],
    keys: ['x'],
    revisions: false,
    runs: 12_000,
  },
  {
    name: 'keys with append',
    model: 'kv',
    kinds: ['get', 'append', 'put', 'put-if-absent'],
    keys: ['x', 'y'],
    revisions: false,
    runs: 10_000,
  },
  {
    name: 'keys that are only appended to',
    model: 'kv',
    kinds: ['get', 'append-piece'],
    keys: ['x'],
    revisions: false,
    runs: 5_000,
  },
  {
    name: 'keys that are only appended to, with revisions',
    model: 'versioned-register',
    kinds: ['get', 'append-piece'],
    keys: ['x'],
    revisions: true,
    runs: 5_000,
  },
  {
    name: 'versioned registers',
    model: 'versioned-register',
    kinds: ['get', 'put', 'get', 'put-if-revision', 'put-if-absent', 'del', 'cas', 'append'],
    keys: ['x'],
    revisions: true,
    runs: 7_000,
  },
  {
    name: 'locks',
    model: 'lock',
    kinds: ['get', 'acquire', 'release'],
    keys: ['x'],
    revisions: true,
    runs: 6_000,
  },
]

describe('the search agrees with brute force on', () => {
  test.each(GAMES)('$name', ({ model: name, kinds, keys, revisions, runs: numRuns }) => {
    const model = MODELS.get(name)
    if (model === undefined) throw new Error(`no model ${name}`)
    const seen = { linearizable: 0, impossible: 0, undecided: 0 }
    fc.assert(
      fc.property(bytes, (recipe) => {
        const history = buildHistory(randomHistory({ bytes: recipe, kinds, keys, revisions, lies: true }))
        const found = checkLinearizability(history, model)
        seen[found.verdict] += 1
        expect(found.verdict).toBe(isLinearizable(history, revisions) ? 'linearizable' : 'impossible')
      }),
      { numRuns: runs(numRuns) },
    )
    // Both answers were right often enough to mean something.
    expect(Math.min(seen.linearizable, seen.impossible)).toBeGreaterThan(runs(numRuns) / 50)
    expect(seen.undecided).toBe(0)
  })

  test('the witnesses of what it calls impossible', () => {
    let witnesses = 0
    fc.assert(
      fc.property(bytes, fc.constantFrom(...GAMES), (recipe, { model: name, kinds, keys, revisions }) => {
        const model = MODELS.get(name)
        if (model === undefined) throw new Error(`no model ${name}`)
        const events = randomHistory({ bytes: recipe, kinds, keys, revisions, lies: true })
        for (const { failure } of checkLinearizability(buildHistory(events), model).keys) {
          if (failure === undefined) continue
          witnesses += 1
          expect(isLinearizable(only(failure.witness(), events), revisions)).toBe(false)
        }
      }),
      { numRuns: runs(5_000) },
    )
    expect(witnesses).toBeGreaterThan(runs(5_000) / 50)
  })
})

test('what the check by revisions blames, the search blames too', () => {
  const model = MODELS.get('versioned-register')
  if (model === undefined) throw new Error('no model')
  const kinds: Kind[] = ['get', 'put', 'put-if-absent', 'del', 'cas', 'append', 'put-if-revision']
  const blamed = { bySearch: 0, byBoth: 0 }
  fc.assert(
    fc.property(bytes, (recipe) => {
      const events = randomHistory({ bytes: recipe, kinds, keys: ['x'], revisions: true, lies: true })
      const history = buildHistory(events)
      const { verdict } = checkLinearizability(history, model)
      const { findings } = checkRevisions(history)
      if (verdict === 'impossible') blamed.bySearch += 1
      if (findings.length === 0) return
      blamed.byBoth += 1
      expect(verdict).toBe('impossible')
    }),
    { numRuns: runs(5_000) },
  )
  expect(blamed.byBoth / blamed.bySearch).toBeGreaterThan(0.8)
})

test('longer histories: what revisions explain, values explain too', () => {
  const kinds: Kind[] = ['get', 'put', 'get', 'put-if-absent', 'del', 'cas', 'append']
  const seen = { linearizable: 0, impossible: 0, undecided: 0 }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 24 * 6, size: 'max' }), (recipe) => {
      const events = randomHistory({ bytes: recipe, kinds, keys: ['x', 'y'], revisions: true, lies: true })
      const history = buildHistory(events)
      const verdict = (model: string) => check(history, { model }).linearizability.verdict
      const byRevision = verdict('versioned-register')
      seen[byRevision] += 1
      if (byRevision === 'linearizable') expect(verdict('kv')).toBe('linearizable')
    }),
    { numRuns: runs(3_000) },
  )
  expect(seen.linearizable).toBeGreaterThan(runs(3_000) / 50)
})

test('a store that keeps its promises is never blamed, by any of the checks, whatever its answers leave out', () => {
  const kinds: Kind[] = [
    ...(['get', 'put', 'put-if-absent', 'put-if-revision', 'del', 'cas'] as const),
    ...(['append', 'range', 'stale-get', 'repeat'] as const),
  ]
  // Required fields stay: a list says whether there is more, and a condition that did not hold says so.
  const droppable = ['value', 'modRevision', 'revision', 'deleted', 'current', 'served']
  const drops = fc.oneof(
    fc.constant([0]),
    // Every revision.
    fc.constant([0b010110]),
    fc.uint8Array({ minLength: 40, maxLength: 40 }),
  )
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 40 * 6, size: 'max' }),
      drops,
      fc.boolean(),
      (bytes, dropped, complete) => {
        const events = randomHistory({ bytes, kinds, keys: ['x', 'y', 'z'], revisions: true, lies: false })
        const less = events.map((event): HistoryEvent => {
          if (event.type === 'history') return { ...event, complete }
          if (event.type !== 'ok') return event
          const mask = dropped[event.id % dropped.length] ?? 0
          const kept = Object.entries(event.result).filter(
            ([name]) => (mask & (1 << droppable.indexOf(name))) === 0 || !droppable.includes(name),
          )
          return { ...event, result: Object.fromEntries(kept) }
        })
        for (const model of ['kv', 'versioned-register'])
          expect(check(buildHistory(less), { model })).toMatchObject({ verdict: 'pass', findings: [] })
      },
    ),
    { numRuns: runs(4_000) },
  )
})

/** The history of these calls alone; those that the witness takes as unknown are unknown. */
function only(calls: readonly KeyCall<unknown>[], events: readonly HistoryEvent[]): History {
  const kept = new Map(calls.map((call) => [call.id, call]))
  return buildHistory(
    events.filter((event) => {
      if (event.type === 'history') return true
      const call = event.type === 'note' || event.type === 'final' ? undefined : kept.get(event.id)
      return call !== undefined && (event.type === 'invoke' || call.result !== undefined)
    }),
  )
}
