// The marks decide what a replica must still have. A replica that kept less than what had left it is a violation; one
// that kept more is not.

import { expect, test } from 'vitest'
import { Judge } from '../../../jepsen-lite/power/power-verdict.ts'
import { Reference } from '../../../jepsen-lite/power/reference.ts'
import type {
  BatchMark,
  EntryMark,
  ReplicaState,
  TraceMark,
} from '../../../jepsen-lite/power/trace-markers.ts'

const start: ReplicaState = {
  ...{ boot: 5, term: 1, vote: '', commit: 0, first: 1, log: [], applied: [0, 0], stateHash: '0' },
}
const opened: TraceMark = { kind: 'opened', replica: start }
const stored: TraceMark = { kind: 'stored' }
const entry = (term: number, index: number): EntryMark => [term, 1000 * term + index]

function batch(change: Partial<BatchMark>): TraceMark {
  const batch = {
    term: 1,
    vote: '',
    commit: 0,
    writes: [],
    applied: [0, 0] as const,
    stateHash: '0',
    ...change,
  }
  return { kind: 'submitted', batch }
}

const appended = (first: number, ...entries: EntryMark[]): TraceMark =>
  batch({ writes: [{ first, entries }] })
const found = (change: Partial<ReplicaState>): ReplicaState => ({ ...start, boot: 6, ...change })

/** The fault of a replica that is found after all these marks. */
function fault(marks: readonly TraceMark[], replica: ReplicaState): string | undefined {
  const reference = new Reference([opened, ...marks])
  return new Judge(reference, { kind: 'opened', replica }).at(reference.demandAfter(1 + marks.length))?.kind
}

test('a batch under way may be there or not, one that was reported durable must be', () => {
  const marks = [appended(1, entry(1, 1)), stored, appended(2, entry(1, 2))]
  const log = [entry(1, 1), entry(1, 2)]
  expect(fault(marks, found({ log }))).toBeUndefined()
  expect(fault(marks, found({ log: log.slice(0, 1) }))).toBeUndefined()
  expect(fault(marks, found({}))).toBe('lost')
  expect(fault(marks, found({ log: log.slice(1) }))).toBe('strange')
  expect(fault(marks.slice(0, 1), found({ log }))).toBe('strange')
})

test('what left before its batch was reported is found out', () => {
  const writing = appended(1, entry(1, 1))
  expect(fault([writing, { kind: 'accepted', index: 1 }], found({}))).toBe('lost')
  expect(fault([writing, { kind: 'accepted', index: 1 }], found({ log: [entry(1, 1)] }))).toBeUndefined()
  const voting = batch({ term: 2, vote: '9' })
  expect(fault([voting, { kind: 'vote', term: 2, vote: '9' }], found({}))).toBe('lost')
  expect(fault([voting, { kind: 'term', term: 2 }], found({}))).toBe('lost')
  expect(fault([voting], found({}))).toBeUndefined()
})

test('what left before it was handed to the storage is found out', () => {
  expect(fault([{ kind: 'vote', term: 2, vote: '9' }], found({}))).toBe('lost')
})

test('an entry that was acknowledged may be truncated later', () => {
  const marks = [
    ...[appended(1, entry(1, 1), entry(1, 2)), stored],
    { kind: 'accepted', index: 2 } as const,
    batch({ term: 2, writes: [{ truncateFrom: 2, first: 2, entries: [entry(2, 2)] }] }),
  ]
  expect(fault(marks, found({ log: [entry(1, 1), entry(1, 2)] }))).toBeUndefined()
  expect(fault(marks, found({ term: 2, log: [entry(1, 1), entry(2, 2)] }))).toBeUndefined()
  expect(fault(marks, found({ log: [entry(1, 1)] }))).toBe('strange')
  expect(fault(marks, found({ term: 2, log: [entry(1, 1), entry(1, 2)] }))).toBe('strange')
})

test('an entry that a client received may be compacted, or be in a snapshot', () => {
  const told = { kind: 'answered', at: [1, 1], crc: 1001 } as const
  const applied = { commit: 1, applied: [1, 1], stateHash: '7' } as const
  const compacted = [appended(1, entry(1, 1)), stored, told, batch({ ...applied, compactTo: 1 }), stored]
  expect(fault(compacted, found({ ...applied, first: 2 }))).toBeUndefined()
  // Whole records go, or none.
  expect(fault(compacted, found({ ...applied, log: [entry(1, 1)] }))).toBeUndefined()
  expect(fault([...compacted.slice(0, 3)], found({ ...applied, first: 2 }))).toBe('strange')
  const snapshot = { at: [9, 1], keepLog: false, stateHash: '8' } as const
  const installed = [
    appended(1, entry(1, 1)),
    stored,
    told,
    batch({ commit: 9, writes: [{ snapshot }] }),
    stored,
  ]
  const state = { commit: 9, first: 10, applied: [9, 1], stateHash: '8' } as const
  expect(fault(installed, found(state))).toBeUndefined()
  expect(fault(installed, found({ ...state, stateHash: '7' }))).toBe('strange')
  expect(fault(installed, found({ log: [entry(1, 1)] }))).toBe('lost')
})

test('a boot counter that was used must not come again', () => {
  expect(fault([], found({ boot: 5 }))).toBe('lost')
  expect(fault([], found({ boot: 6 }))).toBeUndefined()
})

test('nothing is refused without damage; only a directory that was never formatted to its end may be an empty one', () => {
  const refused = { kind: 'refused', message: '' } as const
  const reference = new Reference([{ kind: 'formatted' }, opened])
  expect(new Judge(reference, refused).at(reference.demandAfter(0))?.kind).toBe('refused')
  expect(new Judge(reference, { kind: 'empty' }).at(reference.demandAfter(0))).toBeUndefined()
  expect(new Judge(reference, refused).at(reference.demandAfter(1))?.kind).toBe('refused')
  expect(new Judge(reference, { kind: 'empty' }).at(reference.demandAfter(1))?.kind).toBe('lost')
})
