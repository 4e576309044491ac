import { expect, test } from 'vitest'
import { checkRevisionAccounting } from '../../../jepsen-lite/checker/revision-accounting.ts'
import {
  buildHistory,
  type HistoryEvent,
  type HistoryOperation,
  type RecordedResult,
  Recorder,
} from '../../../jepsen-lite/workload/history.ts'

type End = RecordedResult | 'fail' | 'unknown'

/** One operation after the other, then what the only node holds. */
function judged(operations: readonly (readonly [Partial<HistoryOperation>, End])[], revision: number) {
  const events: HistoryEvent[] = []
  const recorder = new Recorder(
    { workload: 'register', command: 'a test', complete: true },
    () => events.length,
    (event) => events.push(event),
  )
  for (const [at, [op, end]] of operations.entries()) {
    const id = recorder.invoke(0, 'n1', { f: 'put', key: 'k', value: `v${at}`, ...op } as HistoryOperation)
    if (end === 'fail') recorder.fail(id, 'no_leader')
    else if (end === 'unknown') recorder.unknown(id, 'ECONNRESET')
    else recorder.ok(id, end)
  }
  recorder.final('n1', revision, '', [])
  return checkRevisionAccounting(buildHistory(events))[0]?.message
}

const made = (revision: number): RecordedResult => ({ revision, modRevision: revision })

test('every revision was made by a change that was acknowledged, or by one of unknown outcome', () => {
  expect(
    judged(
      [
        [{}, made(2)],
        [{}, 'unknown'],
        [{}, made(4)],
        [{}, 'unknown'],
      ],
      4,
    ),
  ).toBeUndefined()
  expect(
    judged(
      [
        [{}, made(2)],
        [{}, 'unknown'],
        [{}, made(3)],
      ],
      4,
    ),
  ).toBeUndefined()
})

test('a change that is said to have failed, and was made, shows by a revision that nobody else can have made', () => {
  expect(
    judged(
      [
        [{}, made(2)],
        [{}, 'fail'],
        [{}, made(4)],
      ],
      4,
    ),
  ).toMatch('revision 3 is not accounted for')
  expect(
    judged(
      [
        [{}, 'unknown'],
        [{}, made(3)],
        [{}, 'fail'],
      ],
      4,
    ),
  ).toMatch('revision 4 is not accounted for')
})

test('a change under the condition of a revision cannot have made that revision, nor one below', () => {
  const refused: RecordedResult = { applied: false, current: 2, revision: 3 }
  const conditional = (ifRevision: number) =>
    judged(
      [
        [{}, made(2)],
        [{ ifRevision }, 'unknown'],
        [{ ifRevision: 9 }, refused],
      ],
      3,
    )
  expect(conditional(2)).toBeUndefined()
  expect(conditional(3)).toMatch('revision 3 is not accounted for')
})

test('nobody is answered at a revision from before the beginning', () => {
  const early = 'from before the store began'
  expect(judged([[{}, made(1)]], 2)).toMatch(early)
  expect(judged([[{ f: 'del' }, { revision: 1, deleted: 1 }]], 2)).toMatch(early)
  expect(judged([[{ f: 'get' }, { value: null, revision: 0 }]], 1)).toMatch(early)
  for (const [op, result] of [
    [{ f: 'get' }, { value: null, revision: 1 }],
    [{ f: 'del' }, { deleted: 0, revision: 1 }],
    // It may have found nothing.
    [{ f: 'del' }, { revision: 1 }],
    [{ ifRevision: 4 }, { applied: false, current: null, revision: 1 }],
  ] as const)
    expect(judged([[op, result]], 1)).toBeUndefined()
})

test('an operation cannot have made what was told before it began', () => {
  expect(
    judged(
      [
        [{}, made(3)],
        [{}, 'unknown'],
      ],
      3,
    ),
  ).toMatch('revision 2 is not accounted for')
})

test('attempts under one token make one revision, and none when one of them was answered', () => {
  const once = { idempotency: 't1', value: 'once' }
  expect(
    judged(
      [
        [once, 'unknown'],
        [once, 'unknown'],
      ],
      2,
    ),
  ).toBeUndefined()
  expect(
    judged(
      [
        [once, 'unknown'],
        [once, 'unknown'],
      ],
      3,
    ),
  ).toMatch('revision 3 is not accounted for')
  expect(
    judged(
      [
        [once, 'unknown'],
        [once, { ...made(2), replayed: true }],
      ],
      3,
    ),
  ).toMatch('revision 3 is not accounted for')
})

test('what changed nothing makes no revision', () => {
  const [kept, nothing]: RecordedResult[] = [
    { applied: false, current: 2, revision: 2 },
    { deleted: 0, revision: 2 },
  ]
  expect(
    judged(
      [
        [{}, made(2)],
        [{}, kept ?? {}],
        [{ f: 'del' }, nothing ?? {}],
      ],
      2,
    ),
  ).toBeUndefined()
})
