// Lists are judged as a whole: their rows, missing rows, the order, the count, and where the next page begins.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { check } from '../../../jepsen-lite/checker/index.ts'
import { compareKeys, keyAfter, prefixEnd, SortedKeys } from '../../../jepsen-lite/checker/keys.ts'
import type {
  HistoryOperation,
  ListedRow,
  RecordedRange,
  RecordedResult,
} from '../../../jepsen-lite/workload/history.ts'
import { runs } from '../../runs.ts'
import { list, rangeOf } from './random-history.ts'
import { at, get, put, Story, seen } from './story.ts'

const row = (key: string, modRevision: number, value = `${modRevision}`): ListedRow => ({
  key,
  value,
  modRevision,
})
/** a, b, c, d at revisions 2 to 5. */
const four = (): Story => {
  const story = new Story()
  for (const [place, key] of ['a', 'b', 'c', 'd'].entries())
    story.tell(put(key, `${place + 2}`), at(place + 2))
  return story
}
const [A, B, C, D] = [row('a', 2), row('b', 3), row('c', 4), row('d', 5)] as const
const messages = (op: Omit<RecordedRange, 'f'>, result: RecordedResult): string[] =>
  check(four().tell({ f: 'range', ...op }, { revision: 5, ...result }).history).findings.map(
    ({ message }) => message,
  )

describe('a list that keeps its promises', () => {
  test.each<[string, Omit<RecordedRange, 'f'>, RecordedResult]>([
    ['is whole', { prefix: '' }, { rows: [A, B, C, D], more: false }],
    ['is whole where it does not say', {}, { rows: [A, B, C, D] }],
    ['falls', { prefix: '', order: 'desc' }, { rows: [D, C, B, A], more: false }],
    ['ends early and says so', { prefix: '' }, { rows: [A, B], more: true, next: 'b' }],
    ['falls, ends early and says so', { order: 'desc' }, { rows: [D, C], more: true, next: 'c' }],
    ['ends at the limit without a word', { prefix: '', limit: 2, stream: true }, { rows: [A, B], count: 2 }],
    ['goes on', { prefix: '', after: 'b' }, { rows: [C, D], more: false }],
    ['goes on falling', { prefix: '', order: 'desc', after: 'c' }, { rows: [B, A], more: false }],
    ['has bounds', { start: 'b', end: 'd' }, { rows: [B, C], more: false }],
    [
      'counts all, whatever it shows',
      { limit: 1, after: 'b', count: true },
      { rows: [C], more: true, next: 'c', count: 4 },
    ],
    ['only counts', { start: 'b', countOnly: true }, { rows: [], more: false, count: 3 }],
    ['has no values', { keysOnly: true, prefix: 'a' }, { rows: [{ key: 'a', modRevision: 2 }], more: false }],
  ])('%s', (_, op, result) => {
    expect(messages(op, result)).toEqual([])
  })
})

describe('a list that does not', () => {
  test.each<[string, Omit<RecordedRange, 'f'>, RecordedResult, string]>([
    ['shows a row twice', {}, { rows: [A, A, B, C, D] }, 'lists a twice'],
    ['is in the wrong order', {}, { rows: [A, C, B, D] }, 'in the wrong order'],
    ['rises where it should fall', { order: 'desc' }, { rows: [A, B, C, D] }, 'in the wrong order'],
    ['leaves out a row', {}, { rows: [A, B, D] }, 'saw c at revision 5: absent'],
    [
      'leaves out a row of a page',
      {},
      { rows: [A, C], more: true, next: 'c' },
      'saw b at revision 5: absent',
    ],
    ['ends early without a word', {}, { rows: [A, B], more: false }, 'saw c at revision 5: absent'],
    ['shows what is outside', { prefix: 'a' }, { rows: [A, B] }, 'not in the requested range'],
    ['shows what comes before', { after: 'b' }, { rows: [B, C, D] }, 'not in the requested range'],
    ['shows too much', { limit: 2 }, { rows: [A, B, C], more: true, next: 'c' }, '2 at most'],
    ['goes on elsewhere', { limit: 2 }, { rows: [A, B], more: true, next: 'c' }, 'to continue after c'],
    ['does not say where to go on', { limit: 2 }, { rows: [A, B], more: true }, 'to continue after nothing'],
    [
      'says where to go on, and there is no more',
      {},
      { rows: [A, B, C, D], more: false, next: 'd' },
      'there is no more',
    ],
    ['promises more than there is', {}, { rows: [A, B, C, D], more: true, next: 'd' }, 'more behind d'],
    ['promises more and shows nothing', {}, { rows: [], more: true }, 'more'],
    [
      'miscounts what it shows',
      { count: true },
      { rows: [A, B, C, D], more: false, count: 5 },
      'counts 5 keys',
    ],
    [
      'miscounts what it does not show',
      { limit: 1, count: true },
      { rows: [A], more: true, next: 'a', count: 3 },
      'counts 3 keys at revision 5, when there were 4',
    ],
    [
      'only counts, and wrongly',
      { start: 'b', countOnly: true },
      { rows: [], count: 4 },
      'when there were 3',
    ],
    ['does not count', { count: true }, { rows: [A, B, C, D] }, 'returned none'],
    ['lost a line of its stream', { stream: true }, { rows: [A, B, C, D], count: 5 }, 'sent 4'],
    ['shows values nobody wanted', { keysOnly: true, prefix: 'a' }, { rows: [A] }, 'with its value'],
    ['shows no values', { prefix: 'a' }, { rows: [{ key: 'a', modRevision: 2 }] }, 'without its value'],
    [
      'shows another revision',
      { keysOnly: true, prefix: 'a' },
      { rows: [{ key: 'a', modRevision: 3 }] },
      'since revision 3',
    ],
  ])('%s', (_, op, result, words) => {
    expect(messages(op, result).join()).toContain(words)
  })

  test('is found out by values alone, where it covers what it does not show', () => {
    const told = (rows: readonly ListedRow[], more: boolean): string => {
      const story = new Story().tell(put('a', '1'), {}).tell(put('b', '1'), {})
      return check(
        story.tell({ f: 'range', prefix: '' }, { rows, more, ...(more && { next: 'a' }) }).history,
        { model: 'kv' },
      ).verdict
    }
    expect(told([row('a', 2, '1')], false)).toBe('violation')
    expect(told([row('a', 2, '1')], true)).toBe('pass')
  })

  test('is found out when it may be stale, too', () => {
    const op: RecordedRange = { f: 'range', prefix: '', consistency: 'stale' }
    const told = (result: RecordedResult): string =>
      check(four().tell(op, { served: 'stale', ...result }).history).verdict
    expect(told({ revision: 3, rows: [A, B] })).toBe('pass')
    expect(told({ revision: 3, rows: [B, A] })).toBe('violation')
    expect(told({ revision: 4, rows: [A, B] })).toBe('violation')
  })

  test('a count may hold writes of which nobody knows, and nothing else', () => {
    const counted = (count: number): string => {
      const story = new Story().tell(put('a', '1'), at(2))
      story.ask(put('b', '1')).unknown()
      story.ask({ f: 'del', key: 'a' }).unknown()
      return check(story.tell({ f: 'range', countOnly: true }, { rows: [], count, revision: 4 }).history)
        .verdict
    }
    expect([0, 1, 2, 3].map(counted)).toEqual(['pass', 'pass', 'pass', 'violation'])
  })
})

/** The ways in which a list can be wrong; undefined: not this one. */
const MANGLES: readonly ((result: RecordedResult) => RecordedResult | undefined)[] = [
  ({ rows = [], ...rest }) => (rows.length > 0 ? { ...rest, rows: rows.slice(1) } : undefined),
  ({ rows = [], ...rest }) => (rows.length > 1 ? { ...rest, rows: rows.toSpliced(1, 1) } : undefined),
  ({ rows = [], ...rest }) =>
    rows.length > 0 ? { ...rest, rows: [...rows.slice(0, 1), ...rows] } : undefined,
  ({ rows = [], ...rest }) => (rows.length > 1 ? { ...rest, rows: rows.toReversed() } : undefined),
  ({ rows = [], ...rest }) =>
    rows.length > 0
      ? {
          ...rest,
          rows: rows.map((one, place) => (place === 0 ? { ...one, modRevision: one.modRevision + 1 } : one)),
        }
      : undefined,
  ({ rows = [], ...rest }) =>
    rows[0]?.value === undefined
      ? undefined
      : { ...rest, rows: rows.map((one, place) => (place === 0 ? { ...one, value: 'damaged' } : one)) },
  ({ count, ...rest }) => (count === undefined ? undefined : { ...rest, count: count + 1 }),
  ({ count, ...rest }) => (count === undefined || count === 0 ? undefined : { ...rest, count: count - 1 }),
  ({ more, next: _, ...rest }) => (more === true ? { ...rest, more: false } : undefined),
  ({ more, ...rest }) =>
    more === false && rest.rows?.length
      ? { ...rest, more: true, next: rest.rows.at(-1)?.key ?? '' }
      : undefined,
  ({ next, ...rest }) => (next === undefined ? undefined : { ...rest, next: `${next}!` }),
]

/** Numbers for `rangeOf`. */
const ARGUMENT_MAX = 255

test('of every list that is wrong in one way, the checker says so; of the right one it does not', () => {
  const keys = ['a', 'b', 'c', 'd', 'e']
  const change = fc.record({ key: fc.constantFrom(...keys), deletes: fc.boolean() })
  const caught = MANGLES.map(() => 0)
  // The store is full, so that every kind of mistake is possible, even with few draws.
  const full = keys.map((key) => ({ key, deletes: false }))
  const everyList = Array.from({ length: ARGUMENT_MAX + 1 }, (_, argument): [typeof full, number] => [
    full,
    argument,
  ])
  fc.assert(
    fc.property(fc.array(change, { maxLength: 12 }), fc.nat(ARGUMENT_MAX), (changes, argument) => {
      const { told, store, revision } = written(changes)
      const op = rangeOf(argument, keys)
      const answer = list(op, store, revision)
      const judged = (result: RecordedResult): string => {
        const story = new Story()
        for (const [asked, answered] of told) story.tell(asked, answered)
        return check(story.tell(op, result).history).verdict
      }
      expect(judged(answer)).toBe('pass')
      for (const [which, mangle] of MANGLES.entries()) {
        const mangled = mangle(answer)
        if (mangled === undefined) continue
        caught[which] = (caught[which] ?? 0) + 1
        expect(judged(mangled), JSON.stringify([op, mangled])).toBe('violation')
      }
    }),
    { numRuns: everyList.length + runs(1_000), examples: everyList },
  )
  expect(Math.min(...caught)).toBeGreaterThan(0)
})

/** Changes, one after the other, and the content of the store after them. */
function written(changes: readonly { readonly key: string; readonly deletes: boolean }[]) {
  const store = new Map<string, { value: string; mod: number }>()
  const told: [HistoryOperation, RecordedResult][] = []
  let revision = 1
  for (const { key, deletes } of changes) {
    if (deletes && !store.has(key)) continue
    revision++
    told.push(
      deletes
        ? [
            { f: 'del', key },
            { deleted: 1, revision },
          ]
        : [put(key, `v${revision}`), at(revision)],
    )
    if (deletes) store.delete(key)
    else store.set(key, { value: `v${revision}`, mod: revision })
  }
  return { told, store, revision }
}

describe('keys', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 5 })

  test('are in the order of their bytes', () => {
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(Math.sign(compareKeys(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)))
      }),
    )
    expect(compareKeys('\u{1F600}', '\uFF5E')).toBeGreaterThan(0)
  })

  test('those with a prefix are an interval', () => {
    fc.assert(
      fc.property(fc.array(text, { maxLength: 20 }), text, (names, prefix) => {
        const sorted = [...new Set(names)].sort(compareKeys)
        const inside = new SortedKeys(names).in({ from: prefix, to: prefixEnd(prefix) })
        expect(inside).toEqual(sorted.filter((name) => name.startsWith(prefix)))
      }),
    )
    expect(prefixEnd('\u{10FFFF}')).toBeUndefined()
    expect(compareKeys(keyAfter('a'), 'a')).toBeGreaterThan(0)
  })
})

test('a get between two pages sees what they do not cover', () => {
  const story = four().tell({ f: 'range', limit: 2 }, { rows: [A, B], more: true, next: 'b', revision: 5 })
  story.tell({ f: 'del', key: 'c' }, { deleted: 1, revision: 6 }).tell(get('d'), seen('5', 5, 6))
  story.tell({ f: 'range', after: 'b' }, { rows: [D], more: false, revision: 6 })
  expect(check(story.history).findings).toEqual([])
})
