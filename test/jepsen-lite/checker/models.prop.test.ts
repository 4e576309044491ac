// The assumptions of the search. It keeps one of several steps with equal texts, so these must be equal. A history that
// no order explains gets a verdict, not an exception.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { check, MODELS } from '../../../jepsen-lite/checker/index.ts'
import type { KeyModel, KeyOperation, ModelStep } from '../../../jepsen-lite/checker/models/model.ts'
import type { RecordedResult } from '../../../jepsen-lite/workload/history.ts'
import { runs } from '../../runs.ts'
import { Story } from './story.ts'

const value = fc.constantFrom('', 'a', 'b')
const revision = fc.integer({ min: 1, max: 4 })
const key = fc.constant('x')
const is = <F extends string>(f: F) => fc.constant(f)
const conditions = { ifRevision: revision, ifAbsent: fc.constant(true as const) }

const operation: fc.Arbitrary<KeyOperation> = fc.oneof(
  fc.record({ f: is('get'), key }),
  fc.record({ f: is('put'), key, value, ...conditions }, { requiredKeys: ['f', 'key', 'value'] }),
  fc.record({ f: is('del'), key, ...conditions }, { requiredKeys: ['f', 'key'] }),
  fc.record({ f: is('cas'), key, from: fc.option(value), to: value }),
  fc.record({ f: is('append'), key, value }),
  fc.record({ f: is('acquire'), key, owner: value }),
  fc.record({ f: is('release'), key, owner: value, token: revision }),
)
const result: fc.Arbitrary<RecordedResult | undefined> = fc.option(
  fc.record(
    {
      value: fc.option(value),
      modRevision: revision,
      revision,
      applied: fc.boolean(),
      current: fc.option(revision),
      deleted: fc.constantFrom(0 as const, 1 as const),
    },
    { requiredKeys: [] },
  ),
  { nil: undefined },
)

const STATES_MAX = 60

/** The states that some of the steps may lead to. */
function statesBy(model: KeyModel<unknown>, steps: readonly ModelStep<unknown>[]): readonly unknown[] {
  const states = new Map(
    [null, '', 'a'].map((first) => [model.formatState(model.initial(first)), model.initial(first)]),
  )
  for (const state of states.values()) {
    for (const { apply } of steps) {
      const after = apply(state)
      if (after !== undefined && states.size < STATES_MAX) states.set(model.formatState(after), after)
    }
  }
  return [...states.values()]
}

test.each(['kv', 'versioned-register'])('steps of %s with equal texts do the same', (name) => {
  const model = MODELS.get(name)
  if (model === undefined) throw new Error(`no model ${name}`)
  const calls = fc.array(fc.tuple(operation, result), { minLength: 2, maxLength: 60, size: 'max' })
  fc.assert(
    fc.property(calls, (all) => {
      const steps = all.flatMap(([op, told]) => model.computeStep(op, told) ?? [])
      const states = statesBy(model, steps)
      const first = new Map<string, ModelStep<unknown>>()
      for (const step of steps) {
        const known = first.get(step.text)
        if (known === undefined) {
          first.set(step.text, step)
          continue
        }
        expect([step.isObservation, step.order], step.text).toEqual([known.isObservation, known.order])
        for (const state of states) expect(step.apply(state), step.text).toEqual(known.apply(state))
      }
    }),
    { numRuns: runs(1_000) },
  )
})

test('two refusals of an absent key, of which one contradicts itself, are judged', () => {
  const refused: RecordedResult = { applied: false, current: null }
  const story = new Story()
    .tell({ f: 'release', key: 'x', owner: 'o', token: 2 }, refused)
    .tell({ f: 'acquire', key: 'x', owner: 'o' }, refused)
  for (const model of ['kv', 'versioned-register'])
    expect(check(story.history, { model }).linearizability.verdict, model).toBe('impossible')
})
