// The words of the folds of the lab: the table of stores, the verdict, and what watches have received.

import { describe, expect, it } from 'vitest'
import type { VerdictView } from '../../../jepsen-lite/lab/fold-views.ts'
import { cellText, rowText } from '../../../web/src/lab/store-cells.ts'
import { operationVerdict, verdictText } from '../../../web/src/lab/verdict-words.ts'
import { watchPlace, watchText } from '../../../web/src/lab/watch-text.ts'

const row = (value: string, modRevision: number, lease?: string) => ({ value, modRevision, lease })

describe('a key of a store', () => {
  it('has its value, or the end of a long one', () => {
    expect([undefined, row('c1.0', 2), row(`c1.0${'x'.repeat(40)}end`, 2)].map(rowText)).toEqual([
      'no value',
      'c1.0',
      `…${'x'.repeat(20)}end`,
    ])
  })

  it('says what it misses', () => {
    const newest = row('c2.0', 3)
    expect([
      cellText({ row: newest, isBehind: false }, newest),
      cellText({ row: row('c1.0', 2, '7'), isBehind: true }, newest),
      cellText({ row: undefined, isBehind: true }, newest),
      cellText({ row: row('c1.0', 2), isBehind: true }, undefined),
    ]).toEqual([
      'c2.0, changed at revision 3',
      'c1.0, changed at revision 2, with lease 7; the newest is c2.0 of revision 3',
      'no value; the newest is c2.0 of revision 3',
      'c1.0, changed at revision 2; another node has applied that it was deleted',
    ])
  })
})

describe('the verdict', () => {
  const verdict: VerdictView = {
    ...{ verdict: 'linearizable', judged: 1, effects: [], unordered: undefined, staleReads: [] },
  }
  const unordered = { key: 'k0', operation: 3, missed: 2, operations: [1, 2, 3], text: 'It missed a write.' }

  it('has a sentence for each case', () => {
    expect(verdictText(verdict, [])).toMatch(/^1 answer has an order /)
    expect(verdictText({ ...verdict, judged: 2 }, [])).toMatch(/^2 answers have an order /)
    expect(verdictText({ ...verdict, verdict: 'undecided' }, [])).toMatch(/would take too long/)
    expect(verdictText({ ...verdict, verdict: 'violation', unordered }, [])).toBe('It missed a write.')
  })

  it('says that requests about a lock are not judged, once one has an answer', () => {
    const nothing = { ...verdict, judged: 0 }
    for (const waiting of [[], [{ until: undefined }], [{ isLock: true, until: undefined }]] as const)
      expect(verdictText(nothing, waiting)).toBe('There is nothing to judge yet.')
    expect(verdictText(nothing, [{ isLock: true, until: 900 }])).toBe(
      'There is nothing to judge yet: requests about a lock are not judged.',
    )
  })

  it('says of an operation what part it has', () => {
    const staleReads = [{ operation: 3, ageMs: 400, text: '0.40 s old' }]
    const all = { ...verdict, staleReads }
    expect(operationVerdict(all, 1, false)).toBeUndefined()
    expect(operationVerdict(all, 3, false)).toBe('stale read, not judged: 0.40 s old')
    expect(operationVerdict({ ...all, unordered }, 3, true)).toBe('fits nowhere; stale read: 0.40 s old')
    expect(operationVerdict({ ...all, unordered }, 2, true)).toBe('was missed')
  })
})

describe('a watch', () => {
  it('is at the node to which it is connected', () => {
    expect(watchPlace({ name: 'w1', connection: 'n2' })).toBe('w1 at n2')
    expect(watchPlace({ name: 'w1', connection: undefined })).toBe('w1, at no node')
  })

  const event = (revision: number, value?: string) => ({ at: 0, key: 'k0', revision, value })

  it('has its newest events, the oldest of them first', () => {
    expect(watchText({ received: 0, events: [] })).toBe('no event yet')
    expect(watchText({ received: 2, events: [event(2, 'c1.0'), event(3)] })).toBe(
      'k0 = c1.0 @2, k0 deleted @3',
    )
    const many = Array.from({ length: 30 }, (_, at) => event(at + 2, 'c1.0'))
    expect(watchText({ received: 40, events: many })).toMatch(/^… 32 earlier, k0 = c1\.0 @24, .* @31$/)
  })
})
