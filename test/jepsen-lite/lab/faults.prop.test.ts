// The faults that a view lists are those that last: nothing else is cut, down or skewed, and `heal` ends what it names.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Lab, labSchedule } from '../../../jepsen-lite/lab/index.ts'
import type { NewLine } from '../../../jepsen-lite/lab/lab-run.ts'
import type { FaultView, LabView } from '../../../jepsen-lite/lab/view.ts'
import { cutsLink } from '../../../web/src/lab/active-faults.ts'
import { runs } from '../../runs.ts'

const NAMES = ['n1', 'n2', 'n3']
const CUT = { stalls: true, refuses: false, breaks: false }
/** A line takes effect within so much, and what it does to processes and links too. */
const AT_ONCE_MS = 1.5
/** Faults last no longer. */
const MS_MAX = 5000

type Lasting = Extract<NewLine, { readonly ms: number }>
/** Few machines and few kinds, so that faults meet. */
const place = fc.constantFrom(0, 1)
const places = fc.subarray([...NAMES.keys()])

const KINDS = ['isolate', 'partition', 'one-way', 'deaf', 'crash', 'crash-many', 'skew'] as const
const OTHERS = ['slow-disk', 'slow-apply', 'compact-log', 'lossy'] as const

const faultOf = (kinds: readonly string[]): fc.Arbitrary<Lasting> =>
  fc.tuple(place, place, places, fc.integer({ min: 50, max: MS_MAX })).chain(([target, other, some, ms]) => {
    const all: readonly Lasting[] = [
      { kind: 'isolate', target, ms, ...CUT },
      { kind: 'isolate', target, companion: other, ms, ...CUT },
      { kind: 'partition', side: some, ms, ...CUT },
      { kind: 'one-way', from: target, to: other, ms, ...CUT },
      { kind: 'deaf', target, direction: 'in', ms, ...CUT },
      { kind: 'deaf', target, direction: 'out', ms, ...CUT },
      { kind: 'crash', target, point: 'now', skip: 0, inFlight: 'lost', silent: false, ms },
      { kind: 'crash-many', places: some, inFlight: ['lost'], silent: false, ms },
      { kind: 'skew', target, perMille: 300, ms },
      { kind: 'skew', target, perMille: 2500, ms },
      { kind: 'slow-disk', target, factor: 9, ms },
      { kind: 'slow-apply', target, entryMs: 20, ms },
      { kind: 'compact-log', target, ms },
      { kind: 'lossy', perMille: 100, ms },
    ]
    return fc.constantFrom(...all.filter(({ kind }) => kinds.includes(kind)))
  })

const isIn = ({ nodes }: FaultView, name: string): boolean => nodes.includes(name)

/** Everything that a view shows of faults is what its list of faults says. */
function expectTruth({ faults, cuts, nodes, now }: LabView): void {
  for (const { until } of faults) expect(until).toBeGreaterThan(now)
  const links = NAMES.flatMap((from) => NAMES.map((to) => ({ from, to }))).filter(
    ({ from, to }) => from !== to && faults.some((one) => cutsLink(one, { from, to })),
  )
  expect(cuts).toEqual(links)
  for (const { name, state, clock } of nodes) {
    const isDown = faults.some((one) => /^crash/.test(one.kind) && isIn(one, name))
    expect([name, state === 'down']).toEqual([name, isDown])
    const skewed = faults.findLast((one) => one.kind === 'skew' && isIn(one, name))
    expect([name, clock.rate]).toEqual([name, Number(skewed?.fields.perMille ?? 1000) / 1000])
  }
}

const actions = fc
  .tuple(fc.constantFrom(...KINDS), fc.constantFrom(...KINDS, ...OTHERS))
  .chain((kinds) =>
    fc.array(
      fc.oneof(
        { arbitrary: faultOf(kinds).map((line) => ({ line })), weight: 3 },
        { arbitrary: fc.record({ waitMs: fc.integer({ min: 5, max: 1000 }) }), weight: 1 },
        { arbitrary: fc.record({ pick: fc.nat(), byPeer: fc.boolean() }), weight: 2 },
      ),
      { minLength: 6, maxLength: 20 },
    ),
  )

/** Heals a fault that lasts. Returns which of these faults it ends. */
function heal(lab: Lab, { kind, nodes: [first, second] }: FaultView, byPeer: boolean) {
  const [target, peer] = [first, second].map((name = '') => NAMES.indexOf(name))
  const names = byPeer && second !== undefined ? { target, peer } : { target }
  lab.add({ kind: 'heal', fault: kind, ...names } as NewLine)
  return ({ kind: other, nodes }: FaultView): boolean =>
    other === kind && nodes[0] === first && (names.peer === undefined || nodes[1] === second)
}

test('a view has the faults that last, and their effects alone', () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.noBias(actions), (seed, all) => {
      const lab = new Lab(labSchedule(seed, { nodes: NAMES.length, spares: 0 }))
      lab.runTo(3000)
      for (const act of all) {
        const before = lab.view().faults
        const until = lab.now + ('waitMs' in act ? act.waitMs : AT_ONCE_MS)
        const lasting = (one: FaultView): boolean => one.until > until
        if ('line' in act) {
          const { line } = act
          const isDown = (at: number): boolean => lab.view().nodes[at]?.state === 'down'
          // A process that is gone cannot be killed.
          if (line.kind === 'crash' && typeof line.target === 'number' && isDown(line.target)) continue
          if (line.kind === 'crash-many' && line.places.some(isDown)) continue
          const { at, kind, ...fields } = lab.add(line)
          lab.runTo(until)
          const { faults } = lab.view()
          expect(faults.slice(0, -1)).toEqual(before.filter(lasting))
          const newest = faults.at(-1)
          expect(newest).toMatchObject({ kind, fields, until: at + line.ms })
          expect(new Set(newest?.nodes).size).toBe(newest?.nodes.length)
        } else if ('waitMs' in act) {
          lab.runTo(until)
          expect(lab.view().faults).toEqual(before.filter(lasting))
        } else {
          const meant = before[act.pick % Math.max(1, before.length)]
          if (meant === undefined || meant.nodes.length === 0) continue
          const isHealed = heal(lab, meant, act.byPeer)
          lab.runTo(until)
          expect(lab.view().faults).toEqual(before.filter((one) => lasting(one) && !isHealed(one)))
        }
        expectTruth(lab.view())
      }
      lab.runTo(lab.now + MS_MAX + 10)
      expect(lab.view().faults).toEqual([])
      expectTruth(lab.view())
    }),
    { numRuns: runs(100), endOnFailure: true },
  )
})
