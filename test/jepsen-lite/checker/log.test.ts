// Histories with a log: for each way in which a store can contradict its log a history that shows it, made from one
// with which nothing is wrong.

import { describe, expect, test } from 'vitest'
import { judge } from '../../../jepsen-lite/checker/index.ts'
import type { WatchedEvent, WatchMessage, WatchSelection } from '../../../jepsen-lite/checker/watch/index.ts'
import {
  type AnyOperation,
  buildHistory,
  formatEvent,
  type HistoryEvent,
  type HistoryOperation,
  parseHistory,
  type RecordedResult,
} from '../../../jepsen-lite/workload/history.ts'
import { get, put, Story, seen } from './story.ts'

const ALL: WatchSelection = { start: '', from: 1, prev: false, values: true }

const stored = (key: string, value: string, modRevision: number, createRevision = modRevision, version = 1) =>
  ({ key, type: 'put', record: { key, value, createRevision, modRevision, version } }) satisfies WatchedEvent
const deleted = (key: string): WatchedEvent => ({ key, type: 'delete' })

/** Every kind of change, then what was read, another watch, and the end. */
function whole(): HistoryEvent[] {
  const story = new Story({ workload: 'watch', log: 'log', complete: true })
  const log = story.watch(ALL)
  log({ kind: 'created', revision: 1, from: 2 })
  story.tell(put('k0', 'a'), { modRevision: 2, version: 1, revision: 2 })
  log({ kind: 'events', revision: 2, events: [stored('k0', 'a', 2)] })
  const txn = [story.ask(put('k0', 'b'), 'b', 1), story.ask(put('k1', 'b1'), 'b.2', 1)]
  for (const [at, one] of txn.entries()) one.ok({ modRevision: 3, version: at === 0 ? 2 : 1, revision: 3 })
  log({ kind: 'events', revision: 3, events: [stored('k0', 'b', 3, 2, 2), stored('k1', 'b1', 3)] })
  const other = story.watch({ key: 'k0', prev: true, values: true }, 'w')
  other({ kind: 'created', revision: 3, from: 4 })
  story.tell(get('k0'), { value: 'b', modRevision: 3, revision: 3 }, 'c')
  story.tell({ ...get('k0'), at: 2 } as AnyOperation, { value: 'a', modRevision: 2, revision: 3 }, 'c')
  story.ask(put('k2', 'c'), 'c').unknown()
  log({ kind: 'events', revision: 4, events: [stored('k2', 'c', 4)] })
  story.tell({ f: 'del-range', start: 'k0', end: 'k2' }, { removed: 2, revision: 5 })
  log({ kind: 'events', revision: 5, events: [deleted('k0'), deleted('k1')] })
  other({
    kind: 'events',
    revision: 5,
    events: [{ ...deleted('k0'), prev: stored('k0', 'b', 3, 2, 2).record }],
  })
  story.ask(put('k3', 'd'), 'd').fail()
  story.ask({ f: 'del', key: 'k2' }, 'd').unknown()
  log({ kind: 'events', revision: 6, events: [deleted('k2')] })
  story.tell(put('k4', 'e'), { modRevision: 7, version: 1, revision: 7 })
  log({ kind: 'events', revision: 7, events: [stored('k4', 'e', 7)] })
  story.final('n1', 7, 'hash', [{ key: 'k4', value: 'e', modRevision: 7, version: 1 }])
  log({ kind: 'due', revision: 7 })
  other({ kind: 'due', revision: 7 })
  return story.events
}

const found = (events: readonly HistoryEvent[]): string =>
  judge(buildHistory(events))
    .findings.map(({ check, message }) => `${check}: ${message}`)
    .join('\n')

/** The event at which `which` holds, changed. */
function changed(which: (event: HistoryEvent) => boolean, change: (event: never) => unknown): HistoryEvent[] {
  const events = whole()
  const at = events.findIndex(which)
  expect(at).toBeGreaterThan(-1)
  const made = change(events[at] as never) as HistoryEvent | undefined
  return events.toSpliced(at, 1, ...(made === undefined ? [] : [made]))
}

const isTold =
  (revision: number, id = 1) =>
  (event: HistoryEvent): boolean =>
    event.type === 'told' &&
    event.id === id &&
    event.told.kind === 'events' &&
    event.told.revision === revision
/** With other events. */
const telling =
  (...events: WatchedEvent[]) =>
  (event: object & { told: object }) => ({ ...event, told: { ...event.told, events } })
const answer = (result: object) => (event: { result: object }) => ({
  ...event,
  result: { ...event.result, ...result },
})
const isOk = (id: number) => (event: HistoryEvent) => event.type === 'ok' && event.id === id

test('nothing is wrong with it, also when it was written down and read again', () => {
  expect(found(whole())).toBe('')
  expect(judge(parseHistory(whole().map(formatEvent).join('\n'))).verdict).toBe('pass')
})

test.each<[string, HistoryEvent[], string]>([
  [
    'an acknowledged change is not in it',
    changed(isTold(7), () => undefined),
    'made at revision 7, of which the log',
  ],
  ['it has another value', changed(isTold(2), telling(stored('k0', 'x', 2))), 'has k0 as "x" there'],
  [
    'half of a transaction is in it',
    changed(isTold(3), telling(stored('k0', 'b', 3, 2, 2))),
    'no change of k1',
  ],
  [
    'more than was asked for is in it',
    changed(isTold(2), telling(stored('k0', 'a', 2), stored('k9', 'a', 2))),
    'a change of k9 there as well',
  ],
  ['a range is deleted in part', changed(isTold(5), telling(deleted('k0'))), 'has no change of k1'],
  ['a range had another number of keys', changed(isOk(9), answer({ removed: 3 })), 'the answer says 3'],
  ['a version is another one', changed(isOk(2), answer({ version: 2 })), 'and the answer says 2'],
  [
    'what certainly failed is in it',
    changed(isTold(7), telling(stored('k3', 'd', 7))),
    'the log has a change of k3 there as well',
  ],
  [
    'nobody has asked for it',
    changed(isTold(4), telling(stored('k2', 'z', 4))),
    'revision 4 (put k2) was made by no request',
  ],
  [
    'versions do not follow',
    changed(isTold(3), telling(stored('k0', 'b', 3, 2, 3), stored('k1', 'b1', 3))),
    'version 3',
  ],
  [
    'a reader saw something else',
    changed(isOk(6), answer({ value: 'a', modRevision: 2 })),
    'shows "a" of revision 2',
  ],
  [
    'a reader saw the past',
    changed(isOk(6), answer({ value: 'a', modRevision: 2, revision: 2 })),
    'had shown 3',
  ],
  [
    'a reader of the past saw the present',
    changed(isOk(7), answer({ value: 'b' })),
    'shows "b" of revision 2',
  ],
  [
    'a node holds something else at the end',
    changed(
      (event) => event.type === 'final',
      (event: object) => ({ ...event, rows: [] }),
    ),
    'at the end n1 shows nothing as k4',
  ],
  ['a watch was not told', changed(isTold(5, 5), () => undefined), 'WATCH-1 complete'],
  [
    'a watch was told another record before',
    changed(isTold(5, 5), telling({ ...deleted('k0'), prev: stored('k0', 'a', 2).record })),
    'WATCH-1 prev',
  ],
  [
    'a watch began behind what had been answered',
    changed(
      (event) => event.type === 'told' && event.id === 5 && event.told.kind === 'created',
      (event: object) => ({ ...event, told: { kind: 'created', revision: 2, from: 3 } }),
    ),
    'WATCH-4 created',
  ],
])('a store whose log shows that %s is refused', (_, events, message) => {
  expect(found(events)).toContain(message)
})

test('what was answered as not made must not be there, also if it is at a revision of its own', () => {
  const events = whole()
  const end = events.findIndex(({ type }) => type === 'final')
  const told: HistoryEvent = {
    ...{ type: 'told', id: 1, time: 1000 },
    told: { kind: 'events', revision: 8, events: [stored('k3', 'd', 8)] },
  }
  expect(found([...events.slice(0, end), told])).toContain('which was answered as not made')
})

test('one request of unknown outcome explains one revision', () => {
  const events = whole()
  const end = events.findIndex(({ type }) => type === 'final')
  const again: HistoryEvent = {
    ...{ type: 'told', id: 1, time: 1000 },
    told: { kind: 'events', revision: 8, events: [stored('k2', 'c', 8)] },
  }
  expect(found([...events.slice(0, end), again])).toContain('revision 8 (put k2) was made by no request')
})

describe('what was asked for under a condition', () => {
  /** k is made at 2; then it is put or deleted under a condition, which makes revision 3 or is refused. */
  const judged = (
    op: HistoryOperation,
    result: RecordedResult | undefined,
    ...told: WatchedEvent[]
  ): string => {
    const story = new Story({ workload: 'watch', log: 'log', complete: true })
    const log = story.watch({ start: '', from: 1, prev: false, values: true })
    log({ kind: 'created', revision: 1, from: 2 })
    story.tell({ f: 'put', key: 'k', value: 'a' }, { revision: 2, modRevision: 2, version: 1 })
    log({ kind: 'events', revision: 2, events: [stored('k', 'a', 2)] })
    const asked = story.ask(op)
    if (told.length > 0) log({ kind: 'events', revision: 3, events: told })
    if (result === undefined) asked.unknown()
    else asked.ok(result)
    return judge(story.history)
      .findings.map(({ message }) => message)
      .join('\n')
  }
  const b = {
    ...{ key: 'k', type: 'put' as const },
    record: { key: 'k', value: 'b', createRevision: 2, modRevision: 3, version: 2 },
  }
  const made = { revision: 3, modRevision: 3, version: 2 }
  const put = (condition: object): HistoryOperation => ({ f: 'put', key: 'k', value: 'b', ...condition })

  test('was made where it held', () => {
    expect(judged(put({ ifRevision: 2 }), made, b)).toBe('')
    expect(judged(put({ ifRevision: 2 }), undefined, b)).toBe('')
    expect(judged(put({ ifRevision: 1 }), made, b)).toContain('where its condition wants revision 1')
    expect(judged(put({ ifAbsent: true }), made, b)).toContain('where its condition wants nothing')
    expect(judged(put({ ifAbsent: true }), undefined, b)).toContain('was made by no request')
    const gone: WatchedEvent = { key: 'k', type: 'delete' }
    expect(judged({ f: 'del', key: 'k', ifRevision: 2 }, { revision: 3, deleted: 1 }, gone)).toBe('')
    expect(judged({ f: 'del', key: 'k', ifRevision: 1 }, { revision: 3, deleted: 1 }, gone)).toContain(
      'has k of revision 2 before it, where its condition wants revision 1',
    )
  })

  test('was refused where it did not hold', () => {
    expect(judged(put({ ifRevision: 1 }), { applied: false, current: 2 })).toBe('')
    expect(judged(put({ ifRevision: 2 }), { applied: false, current: 2 })).toContain(
      'the answer shows that it held',
    )
  })

  test.each<[string, HistoryOperation, RecordedResult, string | undefined]>([
    ['says so', put({ ifRevision: 1 }), { applied: false, current: 2, revision: 2 }, undefined],
    ['says less', put({ ifRevision: 1 }), { applied: false, revision: 2 }, undefined],
    [
      'says another revision of the key',
      put({ ifRevision: 2 }),
      { applied: false, current: 7, revision: 2 },
      'was refused at revision 2 because of k of revision 7, and the log has k of revision 2',
    ],
    [
      'says that there is no key',
      { f: 'del', key: 'k', ifRevision: 2 },
      { applied: false, current: null, revision: 2 },
      'because of no k, and the log has k of revision 2',
    ],
    [
      'says nothing of the key, which is as wanted',
      put({ ifRevision: 2 }),
      { applied: false, revision: 2 },
      'was refused at revision 2 because of its condition, and the log has k of revision 2',
    ],
    [
      'says nothing of the key, which was not there as wanted',
      put({ ifAbsent: true }),
      { applied: false, revision: 1 },
      'was refused at revision 1 because of its condition, and the log has no k',
    ],
    [
      'may have been about its lease',
      put({ ifRevision: 2, lease: '7' }),
      { applied: false, revision: 2 },
      undefined,
    ],
  ])('was refused where it did not hold, and the answer %s', (_, op, result, message) => {
    if (message === undefined) expect(judged(op, result)).toBe('')
    else expect(judged(op, result)).toContain(message)
  })

  test('was refused, and is there, though others change keys as well', () => {
    const story = new Story({ workload: 'watch', log: 'log' })
    const log = story.watch(ALL)
    log({ kind: 'created', revision: 1, from: 2 })
    story.tell(put({ ifRevision: 1 }), { applied: false, current: null, revision: 1 })
    log({ kind: 'events', revision: 2, events: [stored('k', 'b', 2)] })
    expect(found(story.events)).toContain('was made by operation 2, which was answered as not made')
  })
})

const LOGGED = { workload: 'watch', log: 'log' }

test.each<[string, () => Story, string]>([
  ['nobody has watched', () => new Story(LOGGED).tell(get('a'), { value: null }), 'it has no watch'],
  [
    'its watch has not requested everything',
    () => {
      const story = new Story(LOGGED)
      story.watch({ ...ALL, only: 'put' })
      return story
    },
    'watch 1 does not ask for every change of every key',
  ],
  [
    'its watch begins later',
    () => {
      const story = new Story(LOGGED)
      story.watch({ ...ALL, from: 3 })
      return story
    },
    'its first watch does not begin at revision 1',
  ],
  [
    'there were keys before',
    () => {
      const story = new Story({ ...LOGGED, initial: 'v' })
      story.watch(ALL)
      return story
    },
    'so the header has no initial value',
  ],
  [
    'requests have tokens',
    () => {
      const story = new Story(LOGGED)
      story.watch(ALL)
      return story.tell({ ...put('a', 'v'), idempotency: 't' } as HistoryOperation, { modRevision: 2 })
    },
    'a history with a log knows no idempotency tokens',
  ],
  [
    'requests are read and then changed',
    () => {
      const story = new Story(LOGGED)
      story.watch(ALL)
      return story.tell({ f: 'cas', key: 'a', from: null, to: 'b' }, { applied: false })
    },
    'a history with a log knows no cas',
  ],
])('a history in which %s has no log that can judge it', (_, story, message) => {
  expect(() => judge(story().history)).toThrow(message)
})

test('operations that need a log are not judged without one', () => {
  const past = new Story().tell({ f: 'get', key: 'k', at: 1 }, { value: null, revision: 1 })
  expect(() => judge(past.history)).toThrow('get at a revision are judged by a log')
  const story = new Story().tell({ f: 'del-range', prefix: 'k' }, { removed: 0, revision: 1 })
  expect(() => judge(story.history)).toThrow('are judged by a log, and there is none')
  const watched = new Story()
  watched.watch({ start: '', prev: false, values: true })({ kind: 'created', revision: 1, from: 2 })
  expect(() => judge(watched.history)).toThrow('operations such as watch are judged by a log')
  for (const attached of [{ lease: '7' }, { ttlMs: 1_000 }])
    expect(() =>
      judge(new Story().tell({ ...put('k', 'a'), ...attached } as HistoryOperation, {}).history),
    ).toThrow('operations such as put with a lease are judged by a log')
})

/** Two keys, and what comes then. */
function twoKeys(tell: (story: Story, log: (told: WatchMessage) => void) => void): string {
  const story = new Story({ workload: 'watch', log: 'log', complete: true })
  const log = story.watch(ALL)
  log({ kind: 'created', revision: 1, from: 2 })
  for (const [at, key] of ['a', 'b'].entries()) {
    const revision = at + 2
    story.tell(put(key, 'v'), { modRevision: revision, version: 1, revision })
    log({ kind: 'events', revision, events: [stored(key, 'v', revision)] })
  }
  tell(story, log)
  return found(story.events)
}

const ROWS = [
  { key: 'a', value: 'v', modRevision: 2, version: 1 },
  { key: 'b', value: 'v', modRevision: 3, version: 1 },
]
const [ROW_A, ROW_B] = ROWS as [(typeof ROWS)[0], (typeof ROWS)[0]]

test.each<[string, AnyOperation, RecordedResult, string | undefined]>([
  ['lists all', { f: 'range', count: true }, { rows: ROWS, count: 2, revision: 3 }, undefined],
  [
    'lists a page',
    { f: 'range', limit: 1 },
    { rows: [ROW_A], more: true, next: 'a', revision: 3 },
    undefined,
  ],
  ['counts', { f: 'range', start: 'b', countOnly: true }, { count: 1, revision: 3 }, undefined],
  [
    'counts too many',
    { f: 'range', countOnly: true },
    { count: 3, revision: 3 },
    'lists: operation 4 counts 3',
  ],
  [
    'counts too many of a page',
    { f: 'range', limit: 1, count: true },
    { rows: [ROW_A], more: true, next: 'a', count: 3, revision: 3 },
    'counts 3 keys',
  ],
  ['lists in another order', { f: 'range' }, { rows: [ROW_B, ROW_A], revision: 3 }, 'in the wrong order'],
  ['lists a key twice', { f: 'range' }, { rows: [ROW_A, ROW_A, ROW_B], revision: 3 }, 'lists a twice'],
  ['lists more than asked for', { f: 'range', limit: 1 }, { rows: ROWS, revision: 3 }, '1 at most'],
  [
    'says that there is more behind the last key',
    { f: 'range', limit: 2 },
    { rows: ROWS, more: true, next: 'b', revision: 3 },
    'says that there is more behind b',
  ],
  [
    'lists another version',
    { f: 'range' },
    { rows: [{ ...ROW_A, version: 2 }, ROW_B], revision: 3 },
    'of revision 2, version 2 as a',
  ],
  [
    'reads another version',
    get('a'),
    { value: 'v', modRevision: 2, version: 2, revision: 3 },
    'of revision 2, version 2 as a',
  ],
  [
    'reads a stale value, and is served older data than it allows',
    { f: 'get', key: 'a', consistency: 'stale', maxStalenessMs: 100 },
    { value: 'v', modRevision: 2, revision: 3, served: 'stale', stalenessMs: 200 },
    'allowed 100 ms of staleness',
  ],
  [
    'asks for a linearizable read, and is served a stale one',
    get('a'),
    { value: 'v', modRevision: 2, revision: 3, served: 'stale' },
    'was requested with linearizable and served stale',
  ],
])('in a history with a log, who %s', (_, op, result, message) => {
  const story = twoKeys((one) => void one.tell(op, result, 'r'))
  if (message === undefined) expect(story).toBe('')
  else expect(story).toContain(message)
})

test('in a history with a log, nodes that differ at the end are found by their state hashes', () => {
  const ends = (...hashes: string[]): string =>
    twoKeys((story) => {
      for (const [at, hash] of hashes.entries()) story.final(`n${at + 1}`, 3, hash, ROWS)
    })
  expect(ends('same', 'same', 'same')).toBe('')
  expect(ends('same', 'same', 'other')).toContain(
    'durability: at the end n1 is at revision 3 (state hash same)',
  )
})

test('of no revision may the log say nothing, also if nobody knows whether it was made', () => {
  const leavesOut = (told: boolean): string =>
    twoKeys((story, log) => {
      story.ask(put('c', 'w'), 'u').unknown()
      story.ask({ f: 'del', key: 'c' }, 'u').unknown()
      if (told) log({ kind: 'events', revision: 4, events: [stored('c', 'w', 4)] })
      if (told) log({ kind: 'events', revision: 5, events: [deleted('c')] })
      story.tell(put('d', 'w'), { modRevision: 6, version: 1, revision: 6 })
      log({ kind: 'events', revision: 6, events: [stored('d', 'w', 6)] })
    })
  expect(leavesOut(true)).toBe('')
  expect(leavesOut(false)).toContain('the log tells revision 6 after 3, and nothing of what is between')
})

test('the log tells the last revision, too', () => {
  const endsAt = (told: WatchMessage): string => twoKeys((_, log) => log(told))
  for (const kind of ['due', 'progress'] as const) {
    expect(endsAt({ kind, revision: 3 })).toBe('')
    expect(endsAt({ kind, revision: 4 })).toContain('has everything up to revision 4, and nothing after 3')
  }
})

test('what was deleted was there, also if a transaction has changed something else', () => {
  const deletes = (key: string, ...gone: WatchedEvent[]): string =>
    twoKeys((story, log) => {
      const steps = [story.ask(put('c', 'w'), 't', 1), story.ask({ f: 'del', key }, 't.2', 1)]
      steps[0]?.ok({ modRevision: 4, version: 1, revision: 4 })
      steps[1]?.ok({ deleted: 1, revision: 4 })
      log({ kind: 'events', revision: 4, events: [stored('c', 'w', 4), ...gone] })
    })
  expect(deletes('a', deleted('a'))).toBe('')
  expect(deletes('x')).toContain('made revision 4, and the log has no x before it, which it has deleted')
})

test('requests of unknown outcome are divided so that each revision has one, if that can be', () => {
  const again = stored('b', 'v', 6, 6)
  expect(
    twoKeys((story, log) => {
      // The first may have made either revision, the second only the first.
      story.ask({ f: 'del', key: 'b' }, 'u').unknown()
      story.ask({ f: 'del', key: 'b', ifRevision: 3 }, 'v').unknown()
      log({ kind: 'events', revision: 4, events: [deleted('b')] })
      story.tell(put('c', 'w'), { modRevision: 5, version: 1, revision: 5 })
      log({ kind: 'events', revision: 5, events: [stored('c', 'w', 5)] })
      story.tell(put('b', 'v'), { modRevision: 6, version: 1, revision: 6 })
      log({ kind: 'events', revision: 6, events: [again] })
      log({ kind: 'events', revision: 7, events: [deleted('b')] })
    }),
  ).toBe('')
  const puts = (times: number): string =>
    twoKeys((story, log) => {
      for (let time = 0; time < times; time++) {
        story.ask(put('c', 'w'), `u${time}`).unknown()
        log({ kind: 'events', revision: 4 + time, events: [stored('c', 'w', 4 + time, 4, 1 + time)] })
      }
      log({ kind: 'events', revision: 4 + times, events: [stored('c', 'w', 4 + times, 4, 1 + times)] })
    })
  // Values need not be unique. One revision has no request.
  expect(puts(3).split('\n')).toHaveLength(1)
  expect(puts(3)).toContain('(put c) was made by no request')
})

test('a request that was answered as made, without its revision, comes before those of unknown outcome', () => {
  expect(
    twoKeys((story, log) => {
      story.ask({ f: 'del', key: 'b' }, 'u').unknown()
      const made = story.ask({ f: 'del', key: 'b' }, 'v')
      log({ kind: 'events', revision: 4, events: [deleted('b')] })
      made.ok({ deleted: 1 })
    }),
  ).toBe('')
  expect(twoKeys((story) => story.tell({ f: 'del', key: 'b' }, { deleted: 1 }))).toContain(
    'was answered as made, and the log knows nothing of it',
  )
})

test('a failed put of another key says nothing of this one', () => {
  const story = new Story(LOGGED)
  const log = story.watch(ALL)
  story.ask(put('a', 'v')).fail()
  log({ kind: 'created', revision: 1, from: 2 })
  log({ kind: 'events', revision: 2, events: [stored('b', 'v', 2)] })
  expect(found(story.events)).toBe('')
})

const STALE: HistoryOperation = { ...get('b'), consistency: 'stale' } as HistoryOperation
const inNone: WatchSelection = { start: 'z', prev: false, values: true }

test.each<[string, (story: Story, log: (told: WatchMessage) => void) => void, string | undefined]>([
  [
    'a watch begins before a change that began later',
    (story, log) => {
      story.watch(inNone, 'w')({ kind: 'created', revision: 3, from: 4 })
      story.tell({ f: 'del', key: 'b' }, { deleted: 1, revision: 4 })
      log({ kind: 'events', revision: 4, events: [deleted('b')] })
    },
    undefined,
  ],
  [
    'a watch begins after a change that began later',
    (story) => {
      story.watch(inNone, 'w')({ kind: 'created', revision: 4, from: 5 })
      story.tell({ f: 'del', key: 'b' }, { deleted: 1, revision: 4 })
    },
    'operation 5 made revision 4, and before it was requested watch 4 had shown 4',
  ],
  [
    'progress is ahead of a change that began later',
    (story) => {
      const watch = story.watch(inNone, 'w')
      watch({ kind: 'created', revision: 3, from: 4 })
      watch({ kind: 'progress', revision: 4 })
      story.tell({ f: 'del', key: 'b' }, { deleted: 1, revision: 4 })
    },
    'operation 5 made revision 4, and before it was requested watch 4 had shown 4',
  ],
  [
    'a watch begins below what a reader was told',
    (story) => {
      story.tell(get('a'), { value: 'v', modRevision: 2, revision: 3 })
      story.watch(inNone, 'w')({ kind: 'created', revision: 2, from: 3 })
    },
    'watch 5 reflects revision 2, and before it was requested operation 3 had shown 3',
  ],
  [
    'a reader is told less than a watch before',
    (story, log) => {
      story.ask({ f: 'del', key: 'b' }, 'u').unknown()
      log({ kind: 'events', revision: 4, events: [deleted('b')] })
      story.tell(get('a'), { value: 'v', modRevision: 2, revision: 3 })
    },
    'operation 5 reflects revision 3, and before it was requested watch 1 had shown 4',
  ],
  [
    'a stale read shows what is there already, though a reader was told more before',
    (story, log) => {
      story.tell({ f: 'del', key: 'b' }, { deleted: 1, revision: 4 })
      log({ kind: 'events', revision: 4, events: [deleted('b')] })
      story.tell(STALE, { value: 'v', modRevision: 3, revision: 3, served: 'stale' })
    },
    undefined,
  ],
  [
    'a stale read shows what is done later',
    (story, log) => {
      story.tell(STALE, { value: null, revision: 4, served: 'stale' })
      story.tell({ f: 'del', key: 'b' }, { deleted: 1, revision: 4 })
      log({ kind: 'events', revision: 4, events: [deleted('b')] })
    },
    'operation 5 made revision 4, and before it was requested operation 4 had shown 4',
  ],
  [
    'a stale read shows more than there is at the end',
    (story) => {
      story.tell(STALE, { value: 'v', modRevision: 3, revision: 9, served: 'stale' })
      story.final('n1', 3, 'h', ROWS)
    },
    'the content of n1 at the end reflects revision 3, and before it was requested operation 4 had shown 9',
  ],
  [
    'a read of the past is of a later revision than the present',
    (story) =>
      story.tell({ ...get('a'), at: 4 } as HistoryOperation, { value: 'v', modRevision: 2, revision: 3 }),
    'operation 4 read revision 4, when the store was at 3',
  ],
  [
    'a node is behind at the end',
    (story) => story.final('n1', 2, 'h', [ROW_A]),
    'the content of n1 at the end reflects revision 2, and before it was requested',
  ],
  [
    'an answer told more than there is at the end',
    (story) => story.tell(get('a'), { value: 'v', modRevision: 2, revision: 9 }).final('n1', 3, 'h', ROWS),
    'the content of n1 at the end reflects revision 3, and before it was requested operation 4 had shown 9',
  ],
  [
    'a key is not there to be deleted',
    (s) => s.tell({ f: 'del', key: 'c' }, { deleted: 0, revision: 3 }),
    undefined,
  ],
  [
    'a key is there, and a delete does not find it',
    (story) => story.tell({ f: 'del', key: 'b' }, { deleted: 0, revision: 3 }),
    'operation 4 found nothing to delete at revision 3, and the log has b there',
  ],
  [
    'a range has keys, and a delete does not find them',
    (story) => story.tell({ f: 'del-range', prefix: 'b' }, { removed: 0, revision: 3 }),
    'operation 4 found nothing to delete at revision 3, and the log has b there',
  ],
])('in a history with a log: %s', (_, tell, message) => {
  const story = twoKeys(tell)
  if (message === undefined) expect(story).toBe('')
  else expect(story).toContain(message)
})

test.each<[string, (story: Story) => unknown, string | undefined]>([
  [
    'the revision up to which it is compacted is read, and one below is refused',
    (story) =>
      story
        .tell({ f: 'compact', revision: 3 }, { revision: 3 })
        .tell({ f: 'get', key: 'a', at: 3 }, { value: 'v', modRevision: 2, revision: 3 })
        .tell({ f: 'get', key: 'a', at: 2 }, { applied: false })
        .tell({ f: 'compact', revision: 3 }, { applied: false }),
    undefined,
  ],
  [
    'a compaction of unknown outcome explains that, and is no reason for it',
    (story) => {
      story.ask({ f: 'compact', revision: 3 }, 'u').unknown()
      return story
        .tell({ f: 'get', key: 'a', at: 2 }, { applied: false })
        .tell({ f: 'get', key: 'a', at: 2 }, { value: 'v', modRevision: 2, revision: 3 })
    },
    undefined,
  ],
  [
    'what is compacted is read',
    (story) =>
      story
        .tell({ f: 'compact', revision: 3 }, { revision: 3 })
        .tell({ f: 'get', key: 'a', at: 2 }, { value: 'v', modRevision: 2, revision: 3 }),
    'operation 5 read revision 2, and operation 4 had compacted up to 3',
  ],
  [
    'a read is refused as compacted too early',
    (story) =>
      story
        .tell({ f: 'compact', revision: 2 }, { revision: 3 })
        .tell({ f: 'get', key: 'a', at: 2 }, { applied: false }),
    'operation 5 learned that revision 2 is compacted, and nobody had requested that',
  ],
  [
    'a compaction is refused as done, and nobody has asked for it before',
    (story) => story.tell({ f: 'compact', revision: 2 }, { applied: false }),
    'operation 4 learned that revision 2 is compacted',
  ],
])('in a history with a log: %s', (_, tell, message) => {
  const story = twoKeys((one) => void tell(one))
  if (message === undefined) expect(story).toBe('')
  else expect(story).toContain(message)
})

describe('what deletes the keys of a lease', () => {
  const leased: WatchedEvent = {
    ...{ key: 'l', type: 'put' },
    record: { key: 'l', value: 'w', createRevision: 4, modRevision: 4, version: 1, lease: '7' },
  }
  /** l is put at 4 under a lease, and goes at 5. */
  const judged = (op: AnyOperation, ...results: (RecordedResult | undefined)[]): string =>
    twoKeys((story, log) => {
      story.tell({ f: 'grant', ttlMs: 60_000 }, { lease: '7', ttlMs: 60_000 })
      story.tell({ ...put('l', 'w'), lease: '7' } as HistoryOperation, {
        modRevision: 4,
        version: 1,
        revision: 4,
      })
      log({ kind: 'events', revision: 4, events: [leased] })
      for (const [at, result] of results.entries()) {
        const asked = story.ask(op, `d${at}`)
        if (result === undefined) asked.unknown()
        else asked.ok(result)
      }
      log({ kind: 'events', revision: 5, events: [deleted('l')] })
    })
  const del = { f: 'del', key: 'l' } as const

  test('may be a request whose answer tells no revision', () => {
    expect(judged(del, { deleted: 1 })).toBe('')
    expect(judged({ f: 'revoke', lease: '7' }, { removed: 1 })).toBe('')
    expect(judged({ f: 'del-range', prefix: 'l' }, { removed: 1 })).toBe('')
    expect(judged(del, undefined, { deleted: 1 })).toBe('')
  })

  test('is one request at most', () => {
    expect(judged(del, { deleted: 1 }, { deleted: 1 })).toContain('the log knows nothing of it')
  })

  test('leaves its request to a revision that needs one', () => {
    expect(
      twoKeys((story, log) => {
        story.tell({ f: 'grant', ttlMs: 1 }, { lease: '7', ttlMs: 1 })
        story.tell({ ...put('l', 'w'), lease: '7' } as HistoryOperation, {
          modRevision: 4,
          version: 1,
          revision: 4,
        })
        log({ kind: 'events', revision: 4, events: [leased] })
        const asked = story.ask(del, 'd')
        log({ kind: 'events', revision: 5, events: [deleted('l')] })
        story.tell(put('l', 'w'), { modRevision: 6, version: 1, revision: 6 })
        log({ kind: 'events', revision: 6, events: [stored('l', 'w', 6)] })
        log({ kind: 'events', revision: 7, events: [deleted('l')] })
        asked.ok({ deleted: 1 })
      }),
    ).toBe('')
  })
})

test('a delete whose answer does not tell whether there was something may have changed nothing', () => {
  for (const op of [
    { f: 'del', key: 'x' },
    { f: 'del-range', prefix: 'x' },
  ] as const) {
    expect(twoKeys((story) => story.tell(op, { revision: 3 }))).toBe('')
    expect(twoKeys((story) => story.tell(op, {}))).toBe('')
  }
  const deletes = (revision: number): string =>
    twoKeys((story, log) => {
      story.tell({ f: 'del', key: 'b' }, { revision })
      log({ kind: 'events', revision: 4, events: [deleted('b')] })
    })
  expect(deletes(4)).toBe('')
  expect(deletes(3)).toContain('revision 4 (deleted b) was made by no request')
})

test('a request that was asked for when its revision was known has not made it', () => {
  const asks = (before: boolean): string =>
    twoKeys((story, log) => {
      const [reader, writer] = [
        () => story.tell(get('c'), seen('w', 4)),
        () => story.ask(put('c', 'w'), 'u').unknown(),
      ]
      for (const one of before ? [writer, reader] : [reader, writer]) one()
      log({ kind: 'events', revision: 4, events: [stored('c', 'w', 4)] })
    })
  expect(asks(true)).toBe('')
  expect(asks(false)).toContain('revision 4 (put c) was made by no request')
})

test('no answer tells a revision that the log does not', () => {
  expect(twoKeys((story) => story.tell(get('a'), seen('v', 2, 3)))).toBe('')
  expect(twoKeys((story) => story.tell(get('a'), seen('v', 2, 4)))).toContain(
    'showed revision 4, and the log has nothing after 3',
  )
})

test('a stale read may still see what another node has compacted', () => {
  const reads = (how: object): string =>
    twoKeys((story) => {
      story.tell({ f: 'compact', revision: 3 }, { revision: 3 })
      story.tell({ ...get('a'), at: 2, ...how } as AnyOperation, seen('v', 2, 3))
    })
  expect(reads({ consistency: 'stale' })).toBe('')
  expect(reads({})).toContain('had compacted up to 3')
})

describe('if not every client was recorded', () => {
  const partly = (tell: (story: Story, log: (told: WatchMessage) => void) => void): string => {
    const story = new Story({ workload: 'watch', log: 'log' })
    const log = story.watch(ALL)
    log({ kind: 'created', revision: 1, from: 2 })
    tell(story, log)
    return found(story.events)
  }

  test('another one may have written before what is refused later', () => {
    expect(
      partly((story, log) => {
        log({ kind: 'events', revision: 2, events: [stored('a', 'v', 2)] })
        story.tell({ ...put('a', 'v'), ifAbsent: true } as HistoryOperation, { applied: false, revision: 2 })
      }),
    ).toBe('')
  })

  test('another one may have compacted', () => {
    expect(
      partly((story, log) => {
        for (const revision of [2, 3])
          log({ kind: 'events', revision, events: [stored('a', 'v', revision, 2, revision - 1)] })
        story.tell({ ...get('a'), at: 2 } as AnyOperation, { applied: false })
        story.watch(
          { ...ALL, from: 2 },
          'w',
        )({ kind: 'compacted', next: 2, compactRevision: 3, resumeFrom: 4 })
      }),
    ).toBe('')
  })

  test('another one may have deleted a key of a lease, or revoked it', () => {
    expect(
      partly((story, log) => {
        const record = { key: 'l', value: 'w', createRevision: 2, modRevision: 2, version: 1, lease: '7' }
        story.tell({ f: 'grant', ttlMs: 60_000 }, { lease: '7', ttlMs: 60_000 })
        story.tell({ ...put('l', 'w'), lease: '7' } as HistoryOperation, {
          modRevision: 2,
          version: 1,
          revision: 2,
        })
        log({ kind: 'events', revision: 2, events: [{ key: 'l', type: 'put', record }] })
        log({ kind: 'events', revision: 3, events: [deleted('l')] })
        story.tell({ f: 'lease', lease: '7' }, { applied: false })
      }),
    ).toBe('')
  })
})
