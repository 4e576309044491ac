// The graph of dependencies against the definition: is there an order? Histories of a few transactions by a store that
// sometimes serves old snapshots, shows half of a transaction, or numbers versions in another order; all orders tried.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { checkTransactions } from '../../../../jepsen-lite/checker/transactions/index.ts'
import {
  type CheckedTransaction,
  collectTransactions,
} from '../../../../jepsen-lite/checker/transactions/transaction.ts'
import type { History } from '../../../../jepsen-lite/workload/history.ts'
import { runs } from '../../../runs.ts'
import { type RecordedStep, read, remove, TransactionHistory, write } from './transaction-history.ts'

interface Plan {
  readonly steps: readonly { readonly f: 'read' | 'write' | 'delete'; readonly key: 'x' | 'y' }[]
  /** How many transactions old its snapshot is. */
  readonly lag: number
  /** It reads y from the newest state all the same. */
  readonly torn: boolean
  /** Its revision is below that of the transaction before. */
  readonly swapped: boolean
  /** How many others begin before it ends. */
  readonly hold: number
  readonly outcome: 'ok' | 'unknown' | 'lost' | 'fail'
}

const rarely = <T>(usual: T, ...rare: readonly T[]) =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...rare) })

const plans = (outcomes: readonly Plan['outcome'][], deletes: boolean): fc.Arbitrary<Plan[]> =>
  fc.array(
    fc.record<Plan>({
      steps: fc.array(
        fc.record({
          f: deletes ? fc.constantFrom('read', 'write', 'delete') : fc.constantFrom('read', 'write'),
          key: fc.constantFrom('x', 'y'),
        }),
        { minLength: 1, maxLength: 3 },
      ),
      lag: rarely(0, 1, 2),
      torn: rarely(false, true),
      swapped: rarely(false, true),
      hold: fc.constantFrom(0, 0, 1, 2),
      outcome: rarely('ok', ...outcomes),
    }),
    { minLength: 2, maxLength: 5 },
  )

interface Cell {
  readonly value: string | null
  readonly revision: number
}

/** Plays the plans, and returns the answers of the clients. */
function tell(all: readonly Plan[]): History {
  const tale = new TransactionHistory()
  const states: Readonly<Record<string, Cell>>[] = [{}]
  const open: { readonly until: number; readonly end: () => void }[] = []
  for (const [number, plan] of all.entries()) {
    const now = states.at(-1) ?? {}
    const old = states.at(-1 - plan.lag) ?? {}
    const own: Record<string, Cell> = {}
    const revision = plan.swapped ? 10 * number + 5 : 10 * number + 20
    const changed = new Set<string>()
    const steps = plan.steps.flatMap(({ f, key }, at): RecordedStep[] => {
      const seen = own[key] ?? (plan.torn && key === 'y' ? now : old)[key]
      // The store's revision in the answer is as low as it can have been.
      if (f === 'read') return [read(key, seen?.value ?? null, seen?.revision, seen?.revision ?? 1)]
      if (changed.has(key)) return []
      changed.add(key)
      const value = `${number}${at},`
      own[key] = { value: f === 'delete' ? null : value, revision }
      if (f === 'write') return [write(key, value, revision)]
      if ((seen?.value ?? null) !== null) return [remove(key, revision)]
      delete own[key]
      return []
    })
    const end = tale.begin(...steps)
    const outcome = plan.outcome === 'lost' ? 'unknown' : plan.outcome
    open.push({ until: number + plan.hold, end: () => end(outcome) })
    if (plan.outcome === 'ok' || plan.outcome === 'unknown') states.push({ ...now, ...own })
    for (const one of open.filter(({ until }) => until <= number)) {
      one.end()
      open.splice(open.indexOf(one), 1)
    }
  }
  for (const { end } of open) end()
  return tale.history
}

// ---- the definition

interface Held {
  readonly value: string | null
  /** undefined: written by a transaction of unknown outcome, so no answer names its revision. */
  readonly version: number | undefined
  /** Its revision is above this; no read showed the key older. */
  readonly above: number
}

const FIRST: Held = { value: null, version: 0, above: 0 }

function hasOrder(history: History): boolean {
  const { all } = collectTransactions(history)
  const go = (left: readonly CheckedTransaction[], state: ReadonlyMap<string, Held>): boolean => {
    if (left.every(({ end }) => end === Number.POSITIVE_INFINITY)) return true
    const firstEnd = Math.min(...left.map(({ end }) => end))
    return left.some((next) => {
      if (next.start > firstEnd) return false
      const after = applied(next, state)
      return (
        after !== undefined &&
        go(
          left.filter((one) => one !== next),
          after,
        )
      )
    })
  }
  return go(all, new Map())
}

function applied(
  { steps, end }: CheckedTransaction,
  before: ReadonlyMap<string, Held>,
): ReadonlyMap<string, Held> | undefined {
  const state = new Map(before)
  // A key that was absent may be so again when the transaction takes effect.
  const lastRevision = Math.max(
    ...steps.map((step) => (step.f === 'read' ? step.revision : step.version) ?? Number.POSITIVE_INFINITY),
  )
  for (const step of steps) {
    const held = state.get(step.key) ?? FIRST
    if (step.f === 'read') {
      // The results of a transaction of unknown outcome are not known either.
      if (end === Number.POSITIVE_INFINITY) continue
      if (step.value !== held.value) return undefined
      if (step.value === null) {
        if (lastRevision < held.above) return undefined
        state.set(step.key, { ...held, above: Math.max(held.above, step.revision ?? 0) })
        continue
      }
      if (step.version === undefined) continue
      if (held.version !== undefined && held.version !== step.version) return undefined
      if (held.version === undefined && step.version <= held.above) return undefined
      state.set(step.key, { ...held, version: step.version, above: step.version })
      continue
    }
    const { value, version } = step
    if (version !== undefined && version <= held.above) return undefined
    state.set(step.key, { value: value ?? null, version, above: version ?? held.above })
  }
  return state
}

const judged = (history: History): boolean => checkTransactions(history).verdict === 'pass'

const text = ({ calls }: History): string =>
  calls
    .map(({ transaction, op, outcome, start, end }) =>
      JSON.stringify({ transaction, start, end, op, outcome }),
    )
    .join('\n')

test('without unknown outcomes and deletes, the verdict is that of the definition', () => {
  let [broken, sound] = [0, 0]
  fc.assert(
    fc.property(plans(['ok', 'fail'], false), (all) => {
      const history = tell(all)
      const expected = hasOrder(history)
      if (expected) sound += 1
      else broken += 1
      expect(judged(history), text(history)).toBe(expected)
    }),
    { numRuns: runs(12_000) },
  )
  expect(Math.min(broken, sound)).toBeGreaterThan(runs(12_000) / 20)
})

test('what has an order is never reported', () => {
  let [missed, broken] = [0, 0]
  fc.assert(
    fc.property(plans(['unknown', 'lost', 'fail'], true), (all) => {
      const history = tell(all)
      const passes = judged(history)
      if (hasOrder(history)) expect(passes, text(history)).toBe(true)
      else {
        broken += 1
        if (passes) missed += 1
      }
    }),
    { numRuns: runs(12_000) },
  )
  expect(missed).toBeLessThan(broken / 2)
})
