// Where things lie in the charts: arithmetic alone.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fitted } from '../../../jepsen-lite/report/page/ink.js'
import {
  decades,
  isShown,
  Lane,
  logPart,
  moved,
  packed,
  roundStep,
  stretched,
  ticks,
  timeText,
  zoomed,
} from '../../../jepsen-lite/report/page/layout.js'
import { runs } from '../../runs.ts'

const WHOLE = { fromMs: 0, toMs: 1_000 }

describe('zoom and pan', () => {
  test('keep the moment under the pointer where it is', () => {
    expect(zoomed({ fromMs: 200, toMs: 600 }, 0.5, 300, WHOLE)).toEqual({ fromMs: 250, toMs: 450 })
  })

  test('stay within the whole', () => {
    expect(zoomed({ fromMs: 0, toMs: 500 }, 10, 400, WHOLE)).toEqual(WHOLE)
    expect(moved({ fromMs: 100, toMs: 300 }, -500, WHOLE)).toEqual({ fromMs: 0, toMs: 200 })
    expect(moved({ fromMs: 100, toMs: 300 }, 5_000, WHOLE)).toEqual({ fromMs: 800, toMs: 1_000 })
  })

  test('leave room around what is looked for', () => {
    expect(stretched({ fromMs: 200, toMs: 300 }, WHOLE)).toEqual({ fromMs: 185, toMs: 315 })
    expect(stretched({ fromMs: 0, toMs: 0 }, WHOLE)).toEqual({ fromMs: 0, toMs: 2 })
  })

  test('whatever is done, something is shown', () => {
    const part = fc.double({ min: 0, max: 1, noNaN: true })
    const factor = fc.double({ min: 0.001, max: 1_000, noNaN: true })
    fc.assert(
      fc.property(fc.array(fc.tuple(factor, part), { maxLength: 20 }), (steps) => {
        let view = WHOLE
        for (const [by, at] of steps) {
          view = zoomed(view, by, view.fromMs + at * (view.toMs - view.fromMs), WHOLE)
          expect(view.fromMs).toBeGreaterThanOrEqual(0)
          expect(view.toMs).toBeLessThanOrEqual(1_000 + 1e-6)
          expect(view.toMs - view.fromMs).toBeGreaterThan(0.04)
        }
      }),
      { numRuns: runs(100) },
    )
  })
})

describe('axes', () => {
  test('have round steps', () => {
    expect([0.7, 1, 1.1, 3, 5, 7, 230].map(roundStep)).toEqual([1, 1, 2, 5, 5, 10, 500])
    expect(ticks({ fromMs: 130, toMs: 1_010 }, 5)).toEqual({ stepMs: 200, at: [200, 400, 600, 800, 1_000] })
  })

  test('name times as exactly as they need', () => {
    expect(timeText(12_000, 5_000)).toBe('12 s')
    expect(timeText(12_340, 20)).toBe('12.34 s')
    expect(timeText(12_340.25, 0.05)).toBe('12340.25 ms')
  })

  test('of latency are powers of ten', () => {
    expect(decades(0.3, 1_500)).toEqual([0.1, 10_000])
    expect(decades(2, 3)).toEqual([1, 10])
    expect(logPart(10, 1, 1_000)).toBeCloseTo(1 / 3)
    expect([logPart(0, 1, 10), logPart(99, 1, 10)]).toEqual([0, 1])
  })
})

test('a lane finds what is in view, and looks at nothing before it', () => {
  const interval = fc.tuple(fc.nat(100), fc.option(fc.nat(30)))
  fc.assert(
    fc.property(fc.array(interval), fc.nat(100), fc.nat(40), (intervals, fromMs, length) => {
      const items = intervals
        .map(([startMs, ms]) => ({ startMs, endMs: ms === null ? null : startMs + ms }))
        .sort((a, b) => a.startMs - b.startMs)
      const view = { fromMs, toMs: fromMs + length }
      const expected = items.filter(
        ({ startMs, endMs }) => startMs <= view.toMs && (endMs ?? startMs) >= view.fromMs,
      )
      expect([...new Lane(items).within(view)]).toEqual(expected)
    }),
    { numRuns: runs(200) },
  )
})

test('faults that overlap stand in different rows', () => {
  const faults = [
    { fromMs: 0, toMs: 10 },
    { fromMs: 5, toMs: 20 },
    { fromMs: 12, toMs: 15 },
    { fromMs: 14, toMs: 16 },
  ]
  expect(packed(faults, 1)).toEqual([0, 1, 0, 2])
})

test('filters: by key, where a range counts for every key that it covers, by client, by outcome', () => {
  const call = {
    ...{ id: 1, client: 3, node: 'n1', key: -1, prefix: 'a/', writes: false, what: '', answer: '' },
    ...{ startMs: 0, endMs: 1, outcome: 'ok' as const },
  }
  const all = { key: -1, client: -1, outcome: '' }
  const keys = ['a/1', 'b/1']
  const shown = (filter: Partial<typeof all>) => isShown(call, { ...all, ...filter }, keys)
  expect([shown({}), shown({ key: 0 }), shown({ key: 1 })]).toEqual([true, true, false])
  expect(isShown({ ...call, key: 1, prefix: '' }, { ...all, key: 0 }, keys)).toBe(false)
  expect([shown({ client: 3 }), shown({ client: 2 })]).toEqual([true, false])
  expect([shown({ outcome: 'ok' }), shown({ outcome: 'unknown' })]).toEqual([true, false])
})

test('text is shortened to its room', () => {
  const widthOf = (text: string) => text.length * 10
  expect(fitted('abcdef', 60, widthOf)).toBe('abcdef')
  expect(fitted('abcdef', 50, widthOf)).toBe('abcd…')
  expect(fitted('abcdef', 30, widthOf)).toBe('')
})
