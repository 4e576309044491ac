// For each guarantee of watches a record that breaks it, and beside it the nearest one that does not.

import { describe, expect, test } from 'vitest'
import {
  checkWatches,
  EventLog,
  type LoggedEvent,
  type WatchedEvent,
  type WatchedRow,
  type WatchGuarantee,
  type WatchMessage,
  type WatchSelection,
} from '../../../jepsen-lite/checker/watch/index.ts'

const row = (key: string, modRevision: number, createRevision = modRevision, version = 1): WatchedRow => ({
  ...{ key, value: `${key}${modRevision}`, createRevision, modRevision, version, lease: undefined },
})
const logged = (record: WatchedRow): LoggedEvent => ({
  key: record.key,
  revision: record.modRevision,
  record,
})

/** a at 2, b at 3; a and b together at 5, after a setting at 4; a is deleted at 6, and made again at 7. */
const A2 = row('a', 2)
const B3 = row('b', 3)
const A5 = row('a', 5, 2, 2)
const B5 = row('b', 5, 3, 2)
const A7 = row('a', 7)
const LOG = new EventLog(
  [...[A2, B3, A5, B5].map(logged), { key: 'a', revision: 6, record: null }, logged(A7)],
  8,
)

const put = (record: WatchedRow): WatchedEvent => ({ key: record.key, type: 'put', record })
const deleted = (key: string): WatchedEvent => ({ key, type: 'delete' })
const events = (revision: number, ...all: WatchedEvent[]): WatchMessage => ({
  kind: 'events',
  revision,
  events: all,
})
const created = (from = 2, revision = 8): WatchMessage => ({ kind: 'created', revision, from })
const progress = (revision: number): WatchMessage => ({ kind: 'progress', revision })
const due = (revision: number): WatchMessage => ({ kind: 'due', revision })
const ALL: readonly WatchMessage[] = [
  events(2, put(A2)),
  events(3, put(B3)),
  events(5, put(A5), put(B5)),
  events(6, deleted('a')),
  events(7, put(A7)),
]
const FROM_1: WatchSelection = { start: '', from: 1, prev: false, values: true }

const judged = (
  messages: readonly WatchMessage[],
  {
    selection = FROM_1,
    answered = 0,
    compacted,
  }: { selection?: WatchSelection; answered?: number; compacted?: number } = {},
): WatchGuarantee[] =>
  checkWatches([{ name: 'w', selection, answered, messages }], LOG, { compacted }).map(
    ({ guarantee }) => guarantee,
  )

test('a watch that was told everything, with progress between, keeps every promise', () => {
  expect(judged([created(), ...ALL, progress(8), due(8)])).toEqual([])
  expect(
    judged([created(), progress(1), ...ALL.slice(0, 2), progress(3), progress(4), ...ALL.slice(2)]),
  ).toEqual([])
  // It may end at any time, also before its first event.
  expect(judged([created()])).toEqual([])
  expect(judged([])).toEqual([])
})

describe('is refused if', () => {
  test('revisions fall', () => {
    expect(judged([created(), ...ALL.slice(0, 2), events(2, put(A2))])).toEqual(['ordered'])
  })

  test('a key is told twice at one revision', () => {
    expect(judged([created(), events(2, put(A2)), events(2, put(A2))])).toEqual(['unique'])
    expect(judged([created(), events(2, put(A2), put(A2))])).toEqual(['unique'])
  })

  test('a revision is told in two messages, or in part', () => {
    const before = [created(), ...ALL.slice(0, 2)]
    expect(judged([...before, events(5, put(A5)), events(5, put(B5))])).toEqual(['atomic'])
    expect(judged([...before, events(5, put(B5))])).toEqual(['atomic'])
    // A watch of b must not receive the change of a.
    const selection = { ...FROM_1, key: 'b' }
    expect(judged([created(), events(3, put(B3)), events(5, put(B5)), due(8)], { selection })).toEqual([])
  })

  test('an event in between is missing, or one at the end that was due', () => {
    expect(judged([created(), ...ALL.slice(0, 2), ...ALL.slice(3)])).toEqual(['complete'])
    expect(judged([created(), ...ALL.slice(0, 4), due(7)])).toEqual(['complete'])
    expect(judged([created(), ...ALL.slice(0, 4), due(6)])).toEqual([])
  })

  test('the first event after its revision is missing, or one before it is told', () => {
    const selection = { ...FROM_1, from: 3 }
    expect(judged([created(3), ...ALL.slice(1), due(8)], { selection })).toEqual([])
    expect(judged([created(3), ...ALL.slice(2)], { selection })).toEqual(['resumable'])
    expect(judged([created(3), ...ALL], { selection })).toEqual(['resumable'])
  })

  test('progress is ahead of what was told, falls, or is followed by something older', () => {
    expect(judged([created(), ...ALL.slice(0, 2), progress(5)])).toEqual(['bookmark'])
    expect(judged([created(), ...ALL.slice(0, 2), progress(2)])).toEqual(['bookmark'])
    const selection = { ...FROM_1, key: 'b' }
    expect(judged([created(), events(3, put(B3)), progress(4), events(3, put(B3))], { selection })).toEqual([
      'bookmark',
    ])
    // Where it begins later, progress tells that the store is not there yet.
    expect(judged([created(12), progress(8)], { selection: { ...FROM_1, from: 12 } })).toEqual([])
  })

  test('it is told what the store has not changed, or not so', () => {
    const before = [created(), ...ALL.slice(0, 2)]
    expect(judged([...before, events(4, put(row('c', 4)))])).toEqual(['committed'])
    expect(judged([...before, events(5, put({ ...A5, value: 'other' }), put(B5))])).toEqual(['committed'])
    expect(judged([...before, events(5, put({ ...A5, version: 1 }), put(B5))])).toEqual(['committed'])
    // A key that was made again after its delete has another create revision.
    expect(judged([created(), ...ALL.slice(0, 4), events(7, put({ ...A7, createRevision: 2 }))])).toEqual([
      'committed',
    ])
    expect(judged([created(), ...ALL.slice(0, 3), events(6, put(row('a', 6)))])).toEqual(['committed'])
    expect(judged([created(), ...ALL, progress(9)])).toEqual(['committed'])
    expect(judged([created(), events(2, put({ ...A2, lease: '7' }))])).toEqual(['committed'])
  })

  test('it is told what it did not ask for', () => {
    const puts: WatchSelection = { ...FROM_1, only: 'put' }
    expect(judged([created(), ...ALL.slice(0, 3), ALL[4] ?? due(0), due(8)], { selection: puts })).toEqual([])
    expect(judged([created(), ...ALL], { selection: puts })).toEqual(['filter'])
    expect(judged([created(), events(2, put(A2))], { selection: { ...FROM_1, start: 'b' } })).toEqual([
      'filter',
    ])
    expect(judged([created(), events(2, put(A2))], { selection: { ...FROM_1, values: false } })).toEqual([
      'filter',
    ])
    const { value: _, ...withoutValue } = A2
    const told = [created(), events(2, { key: 'a', type: 'put', record: withoutValue } as const)]
    expect(judged(told, { selection: { ...FROM_1, values: false } })).toEqual([])
    expect(judged(told)).toEqual(['committed'])
    expect(judged([created(), events(2, { ...put(A2), prev: null })])).toEqual(['filter'])
  })

  test('the record before is another one, or is missing', () => {
    const selection = { ...FROM_1, prev: true, key: 'a' }
    const first = events(2, { ...put(A2), prev: null })
    expect(judged([created(), first, events(5, { ...put(A5), prev: A2 })], { selection })).toEqual([])
    expect(judged([created(), first, events(5, { ...put(A5), prev: null })], { selection })).toEqual(['prev'])
    expect(judged([created(), first, events(5, put(A5))], { selection })).toEqual(['prev'])
    expect(judged([created(), events(2, { ...put(A2), prev: A2 })], { selection })).toEqual(['prev'])
    const all = [
      created(),
      first,
      events(5, { ...put(A5), prev: A2 }),
      events(6, { ...deleted('a'), prev: A5 }),
    ]
    expect(judged([...all, events(7, { ...put(A7), prev: null })], { selection })).toEqual([])
    expect(judged([...all, events(7, { ...put(A7), prev: A5 })], { selection })).toEqual(['prev'])
  })

  test('it begins before what was answered, or elsewhere than it should', () => {
    const next: WatchSelection = { ...FROM_1, from: undefined }
    expect(judged([created(6, 5), ...ALL.slice(3), due(8)], { selection: next, answered: 5 })).toEqual([])
    expect(judged([created(6, 5)], { selection: next, answered: 6 })).toEqual(['created'])
    expect(judged([created(5, 5)], { selection: next })).toEqual(['created'])
    expect(judged([created(3)])).toEqual(['created'])
    expect(judged([events(2, put(A2))])).toEqual(['created'])
  })

  test('it ends without having been told what comes before the revision from which it may go on', () => {
    const stopped = (resumeFrom: number): WatchMessage => ({ kind: 'stopped', resumeFrom })
    expect(judged([created(), ...ALL.slice(0, 2), stopped(5)])).toEqual([])
    expect(judged([created(), ...ALL.slice(0, 2), stopped(4)])).toEqual([])
    expect(judged([created(), ...ALL.slice(0, 2), stopped(6)])).toEqual(['ended'])
    // Then it would be delivered twice.
    expect(judged([created(), ...ALL.slice(0, 2), stopped(3)])).toEqual(['ended'])
  })

  test('it ends as compacted where it is not', () => {
    const compacted = (
      next: number,
      compactRevision: number,
      resumeFrom = compactRevision + 1,
    ): WatchMessage => ({
      ...{ kind: 'compacted', next, compactRevision, resumeFrom },
    })
    expect(judged([created(), ...ALL.slice(0, 2), compacted(4, 6)], { compacted: 6 })).toEqual([])
    expect(judged([created(), ...ALL.slice(0, 2), compacted(4, 6)], { compacted: 5 })).toEqual(['ended'])
    expect(judged([created(), ...ALL.slice(0, 2), compacted(4, 3)], { compacted: 6 })).toEqual(['ended'])
    expect(judged([created(), ...ALL.slice(0, 2), compacted(6, 6)], { compacted: 6 })).toEqual(['ended'])
    expect(judged([created(), ...ALL.slice(0, 2), compacted(4, 6, 8)], { compacted: 6 })).toEqual(['ended'])
    const bookmarked = [created(), ...ALL.slice(0, 2), progress(4)]
    expect(judged([...bookmarked, compacted(5, 6)], { compacted: 6 })).toEqual([])
    expect(judged([...bookmarked, compacted(4, 6)], { compacted: 6 })).toEqual(['ended'])
    const selection = { ...FROM_1, from: 5 }
    expect(judged([created(5), compacted(5, 6)], { selection })).toEqual([])
    expect(judged([created(5), compacted(4, 6)], { selection })).toEqual(['ended'])
    // It is refused at its beginning.
    expect(judged([compacted(5, 6)], { selection, compacted: 6 })).toEqual([])
    expect(judged([compacted(5, 4)], { selection, compacted: 6 })).toEqual(['ended'])
    expect(judged([compacted(5, 7)], { selection, compacted: 6 })).toEqual(['ended'])
    expect(judged([compacted(5, 6, 8)], { selection, compacted: 6 })).toEqual(['ended'])
    expect(judged([compacted(6, 6)], { selection, compacted: 6 })).toEqual(['ended'])
    // From now on, nothing is compacted.
    expect(judged([compacted(2, 6)], { selection: { ...selection, from: undefined }, compacted: 6 })).toEqual(
      ['ended'],
    )
  })

  test('it may go on before where it began, or where the store has never been', () => {
    const stopped = (resumeFrom: number): WatchMessage => ({ kind: 'stopped', resumeFrom })
    const selection = { ...FROM_1, from: 5 }
    expect(judged([created(5), stopped(5)], { selection })).toEqual([])
    expect(judged([created(5), stopped(4)], { selection })).toEqual(['ended'])
    expect(judged([created(), ...ALL, stopped(9)])).toEqual([])
    expect(judged([created(), ...ALL, stopped(10)])).toEqual(['ended'])
    expect(judged([created(12), stopped(12)], { selection: { ...FROM_1, from: 12 } })).toEqual([])
  })

  test('it is told more after its end, or nothing', () => {
    const stopped: WatchMessage = { kind: 'stopped', resumeFrom: 3 }
    expect(judged([created(), ALL[0] as WatchMessage, stopped])).toEqual([])
    expect(judged([created(), ALL[0] as WatchMessage, stopped, ALL[1] as WatchMessage])).toEqual(['ended'])
    expect(judged([created(), events(2)])).toEqual(['filter'])
    expect(
      judged([created(), ALL[0] as WatchMessage, events(4)], { selection: { ...FROM_1, key: 'a' } }),
    ).toEqual(['filter'])
  })

  test('it begins where the store has never been', () => {
    const selection = { start: '', prev: false, values: true }
    expect(judged([created(9, 8)], { selection })).toEqual([])
    expect(judged([created(10, 9)], { selection })).toEqual(['created'])
  })
})

test('keys are in the order of their bytes in UTF-8', () => {
  const [last, other] = ['\u{10000}', '\u{ffff}']
  const log = new EventLog([logged(row(last, 2)), logged(row(other, 3))], 3)
  const told = (...all: readonly WatchMessage[]) => [
    { name: 'w', selection: FROM_1, answered: 0, messages: [created(2, 3), ...all] },
  ]
  const from = (start: string) => ({ ...FROM_1, start })
  const [one, two] = [events(2, put(row(last, 2))), events(3, put(row(other, 3)))]
  expect(
    checkWatches(
      told(one, two, due(3)).map((record) => ({ ...record, selection: from(other) })),
      log,
    ),
  ).toEqual([])
  expect(
    checkWatches(
      told(one, due(3)).map((record) => ({ ...record, selection: from(last) })),
      log,
    ),
  ).toEqual([])
})

test('each anomaly names its promise', () => {
  const found = checkWatches(
    [
      { name: 'one', selection: FROM_1, answered: 0, messages: [created(), events(3, put(B3))] },
      { name: 'two', selection: FROM_1, answered: 0, messages: [created(), progress(3)] },
      {
        name: 'three',
        selection: FROM_1,
        answered: 0,
        messages: [created(), { kind: 'stopped', resumeFrom: 4 }],
      },
      { name: 'four', selection: FROM_1, answered: 9, messages: [created()] },
    ],
    LOG,
  )
  expect(found.map(({ watch, promise }) => [watch, promise])).toEqual([
    ['one', 'WATCH-1'],
    ['two', 'WATCH-2'],
    ['three', 'WATCH-3'],
    ['four', 'WATCH-4'],
  ])
})
