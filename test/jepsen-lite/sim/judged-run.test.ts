// The verdict of the checker on a run: what it cannot decide is not said to be right.

import { expect, test } from 'vitest'
import { generate, judged } from '../../../jepsen-lite/sim/index.ts'
import type { SimCluster } from '../../../jepsen-lite/sim/world/cluster.ts'
import type { HistoryOperation } from '../../../jepsen-lite/workload/history.ts'
import { calmConfig } from './calm-config.ts'

const calm = { ...generate(1, 3), config: calmConfig({ nodes: 3, ms: 2000 }), ops: [], faults: [] }

/** Adds operations of another client to the history: all begin before the first answer. */
const alsoAnswered =
  (...answered: readonly (readonly [HistoryOperation, { readonly value?: string }])[]) =>
  ({ recorder }: SimCluster): void => {
    const begun = answered.map(([op, result], at) => [recorder.invoke(`x${at}`, 'n1', op), result] as const)
    for (const [id, result] of begun) recorder.ok(id, result)
  }
const put = (value: string) => [{ f: 'put', key: 'other', value }, {}] as const
const get = (value: string) => [{ f: 'get', key: 'other' }, { value }] as const

test('a run that breaks no rule passes', () => {
  const { verdict, violation } = judged(calm)
  expect([verdict, violation]).toEqual(['pass', undefined])
})

test('an answer that no order explains is a violation of the checker', () => {
  const { verdict, violation } = judged(calm, alsoAnswered(put('a'), get('b')))
  expect(verdict).toBe('violation')
  expect(violation?.invariant).toMatch(/^CHECK-/)
})

test('a history with too many orders is not decided', () => {
  const writes = Array.from({ length: 30 }, (_, at) => put(`v${at}`))
  const { verdict, violation } = judged(calm, alsoAnswered(...writes, get('none of them')))
  expect([verdict, violation]).toEqual(['undecided', undefined])
})
