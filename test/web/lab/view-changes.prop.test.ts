// Views on their way to the page: what differs is sent, and the page has the same view as if the whole were sent.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Lab, parseLink, parseNewLine } from '../../../jepsen-lite/lab/index.ts'
import type { LabView } from '../../../jepsen-lite/lab/view.ts'
import { crashLine, cutOffLine, writeLine } from '../../../web/src/lab/line-texts.ts'
import { changeBetween, withChange } from '../../../web/src/lab/view-changes.ts'
import { runs } from '../../runs.ts'

type Action = (lab: Lab) => void
const add =
  (line: string): Action =>
  (lab) =>
    void lab.add(parseNewLine(line))
const actions: fc.Arbitrary<Action> = fc.oneof(
  fc.constantFrom<Action>(
    (lab) => lab.step(),
    (lab) => lab.skip(),
    add(writeLine(0, 'leader')),
    add('stale,client=1,node=1,key=1,x=41'),
    add(cutOffLine('leader', 700)),
    add(crashLine('n1', 300)),
  ),
  fc.integer({ min: 1, max: 900 }).map((ms) => (lab: Lab) => lab.runTo(lab.now + ms)),
  fc.integer({ min: 0, max: 5000 }).map((ms) => (lab: Lab) => lab.runTo(ms)),
)

it('equal views arrive, whatever a person does', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1000 }), fc.array(actions, { maxLength: 25 }), (seed, all) => {
      const lab = new Lab(parseLink(`seed=${seed},nodes=3,spares=0`))
      lab.runTo(1500)
      let [sent, received]: [LabView | undefined, unknown] = [undefined, undefined]
      for (const act of all) {
        act(lab)
        const view = lab.view(['stores', 'diagram'])
        received = withChange(received, structuredClone(changeBetween(sent, view)))
        expect(received).toEqual(lab.view(['stores', 'diagram']))
        sent = view
      }
    }),
    { numRuns: runs(60) },
  )
})

const data = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(undefined, null, 0, 1, 'a', true),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('value')),
  ),
})).value

it('all plain data arrives', () => {
  fc.assert(
    fc.property(data, data, (before, after) => {
      expect(withChange(before, structuredClone(changeBetween(before, after)))).toEqual(after)
      expect(changeBetween(after, structuredClone(after))).toBeUndefined()
    }),
    { numRuns: runs(2000) },
  )
})

describe('a change', () => {
  const objects = [{ id: 1 }, { id: 2 }, { id: 3 }]
  const [first, second, third] = objects

  it('has no elements that were there before', () => {
    const change = changeBetween(
      { objects, now: 1, end: 1 },
      { objects: [second, third, { id: 4 }], now: 1, end: 1 },
    )
    expect(change).toEqual({
      fields: { objects: { elements: [{ from: 1, count: 2 }, { added: [{ id: 4 }] }] } },
    })
  })

  it('leaves equal parts the same objects', () => {
    const before = { objects, other: [1, 2], now: 1 }
    const after = { objects: [first, { id: 5 }, third], other: [1, 2], now: 2 }
    const received = withChange(before, structuredClone(changeBetween(before, after))) as typeof before
    expect(received).toEqual(after)
    expect(received.objects[0]).toBe(first)
  })
})
