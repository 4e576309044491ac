// Histories with a log: for each way in which a store can contradict its log a history that shows it, made from one
// with which nothing is wrong.

import { expect, test } from 'vitest'
import { judge } from '../../../jepsen-lite/checker/index.ts'
import type { ToldEvent, WatchAsked } from '../../../jepsen-lite/checker/watch/index.ts'
import {
  type AnyOperation,
  formatEvent,
  type HistoryEvent,
  historyOf,
  parseHistory,
} from '../../../jepsen-lite/history.ts'
import { get, put, Story } from './story.ts'

const ALL: WatchAsked = { start: '', from: 1, prev: false, values: true }

const stored = (key: string, value: string, modRevision: number, createRevision = modRevision, version = 1) =>
  ({ key, type: 'put', record: { key, value, createRevision, modRevision, version } }) satisfies ToldEvent
const deleted = (key: string): ToldEvent => ({ key, type: 'delete' })

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
  judge(historyOf(events))
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
  (...events: ToldEvent[]) =>
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
    'had told 3',
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

test('operations that need a log are not judged without one', () => {
  const past = new Story().tell({ f: 'get', key: 'k', at: 1 }, { value: null, revision: 1 })
  expect(() => judge(past.history)).toThrow('get at a revision are judged by a log')
  const story = new Story().tell({ f: 'del-range', prefix: 'k' }, { removed: 0, revision: 1 })
  expect(() => judge(story.history)).toThrow('are judged by a log, and there is none')
})
