// The answers of a correct store pass with every model, whichever of their fields are missing.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { check } from '../../../jepsen-lite/checker/index.ts'
import type { KeyOperation } from '../../../jepsen-lite/checker/models/model.ts'
import { plain } from '../../../jepsen-lite/checker/models/plain.ts'
import type { RecordedResult } from '../../../jepsen-lite/workload/history.ts'
import { runs } from '../../runs.ts'
import { Story } from './story.ts'

const key = fc.constantFrom('x', 'y')
const value = fc.constantFrom('', 'a', 'b', 'ab')
const is = <F extends string>(f: F) => fc.constant(f)
const conditions = { ifRevision: fc.integer({ min: 1, max: 6 }), ifAbsent: fc.constant(true as const) }

const operation: fc.Arbitrary<KeyOperation> = fc.oneof(
  fc.record({ f: is('get'), key }),
  fc.record({ f: is('put'), key, value, ...conditions }, { requiredKeys: ['f', 'key', 'value'] }),
  fc.record({ f: is('del'), key, ...conditions }, { requiredKeys: ['f', 'key'] }),
  fc.record({ f: is('cas'), key, from: fc.option(value), to: value }),
  fc.record({ f: is('append'), key, value }),
  fc.record({ f: is('acquire'), key, owner: value }),
  fc.record({ f: is('release'), key, owner: value, token: fc.integer({ min: 1, max: 6 }) }),
)

/** Its outcome: an answer, or unknown. */
const fate = fc.constantFrom('answered', 'answered', 'answered', 'lost', 'unknown')
const TOLD = ['value', 'modRevision', 'revision', 'current', 'deleted'] as const
const told = fc.subarray([...TOLD])

class RightStore {
  revision = 1
  readonly #rows = new Map<string, { readonly value: string; readonly mod: number }>()

  answer(asked: KeyOperation): RecordedResult {
    const op = plain(asked)
    const row = this.#rows.get(op.key)
    if (op.f === 'get')
      return { value: row?.value ?? null, revision: this.revision, ...(row && { modRevision: row.mod }) }
    const refused: RecordedResult = { applied: false, current: row?.mod ?? null, revision: this.revision }
    if (op.f === 'cas' && op.from !== (row?.value ?? null)) return { ...refused, value: row?.value ?? null }
    if (op.f === 'put' || op.f === 'del') {
      if (op.ifAbsent && row !== undefined) return refused
      if (op.ifRevision !== undefined && op.ifRevision !== row?.mod) return refused
    }
    if (op.f === 'del') {
      if (this.#rows.delete(op.key)) this.revision++
      return { deleted: row === undefined ? 0 : 1, revision: this.revision }
    }
    this.revision++
    const left = op.f === 'append' ? (row?.value ?? '') + op.value : op.f === 'cas' ? op.to : op.value
    this.#rows.set(op.key, { value: left, mod: this.revision })
    const whole = op.f === 'append' ? { value: left } : {}
    return { modRevision: this.revision, revision: this.revision, ...whole }
  }
}

const calls = fc.array(fc.tuple(operation, fate, told), { minLength: 1, maxLength: 25, size: 'max' })

test('answers of a right store fit every model', () => {
  fc.assert(
    fc.property(calls, (all) => {
      const store = new RightStore()
      const story = new Story({ complete: true })
      for (const [op, fate, names] of all) {
        const asked = story.ask(op)
        const answer = fate === 'lost' ? {} : store.answer(op)
        if (fate !== 'answered') asked.unknown()
        else {
          const left = Object.entries(answer).filter(
            ([name]) => name === 'applied' || names.some((kept) => kept === name),
          )
          asked.ok(Object.fromEntries(left))
        }
      }
      for (const model of ['kv', 'versioned-register'])
        expect(check(story.history, { model }).findings, model).toEqual([])
    }),
    { numRuns: runs(2_000) },
  )
})
