// Room for answers. Those that wait are admitted in their order as soon as the first of them fits: when room comes
// back, and when one of them leaves its place.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { OutboundBudget, type Reservation } from '../../../src/server/api/budget.ts'
import { runs } from '../../runs.ts'

const BYTES_MAX = 10
const bytes = fc.integer({ min: 1, max: BYTES_MAX + 2 })
const answer = fc.nat(5)

const step = fc.oneof(
  fc.record({ kind: fc.constant('wait' as const), answer, bytes }),
  fc.record({ kind: fc.constant('grow' as const), answer, bytes }),
  fc.record({ kind: fc.constant('force' as const), answer, bytes }),
  fc.record({ kind: fc.constant('leave' as const), place: fc.nat(5) }),
  fc.record({ kind: fc.constant('shrink' as const), answer, bytes }),
  fc.record({ kind: fc.constant('release' as const), answer }),
)

interface Answer {
  readonly reservation: Reservation
  held: number
}

interface Place {
  readonly answer: Answer
  readonly bytes: number
  readonly leave: () => void
}

test('no answer waits for room that is free, but behind one that waits for more', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const budget = new OutboundBudget(BYTES_MAX)
      const answers: Answer[] = Array.from({ length: 6 }, () => ({ reservation: budget.reserve(), held: 0 }))
      const waiting: Place[] = []
      const total = (): number => answers.reduce((sum, { held }) => sum + held, 0)
      /** A single answer always fits. */
      const fits = ({ held }: Answer, more: number): boolean =>
        total() === held || total() + more <= BYTES_MAX
      const of = (at: number): Answer => answers[at] ?? expect.fail()
      let admitted: Answer[] = []
      /** Admits what fits in the model, in its order. */
      const admit = (): void => {
        const expected: Answer[] = []
        for (
          let [first] = waiting;
          first !== undefined && fits(first.answer, first.bytes);
          [first] = waiting
        ) {
          waiting.shift()
          first.answer.held += first.bytes
          expected.push(first.answer)
        }
        const numbers = (each: readonly Answer[]): readonly number[] =>
          each.map((one) => answers.indexOf(one))
        expect(numbers(admitted)).toEqual(numbers(expected))
        admitted = []
      }
      for (const each of steps) {
        if (each.kind === 'wait') {
          const answer = of(each.answer)
          const leave = budget.growInTurn(answer.reservation, each.bytes, () => void admitted.push(answer))
          waiting.push({ answer, bytes: each.bytes, leave })
        } else if (each.kind === 'leave') {
          const [left] = waiting.splice(each.place, 1)
          left?.leave()
        } else {
          const answer = of(each.answer)
          const { reservation } = answer
          if (each.kind === 'grow') {
            const isRoom = fits(answer, each.bytes)
            expect(reservation.tryGrow(each.bytes)).toBe(isRoom)
            if (isRoom) answer.held += each.bytes
          } else if (each.kind === 'force') {
            reservation.force(each.bytes)
            answer.held += each.bytes
          } else if (each.kind === 'shrink') {
            const less = Math.min(each.bytes, answer.held)
            reservation.shrink(less)
            answer.held -= less
          } else {
            reservation.release()
            answer.held = 0
          }
        }
        admit()
        expect([budget.bytes, budget.waiting]).toEqual([total(), waiting.length])
      }
    }),
    { numRuns: runs(4_000) },
  )
})
