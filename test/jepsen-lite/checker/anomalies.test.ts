// One history for each way in which a store can break its word, and beside it the nearest one that is innocent.

import { describe, expect, test } from 'vitest'
import { type Anomaly, check, judge } from '../../../jepsen-lite/checker/index.ts'
import type { HistoryOperation, RecordedResult, RecordedRow } from '../../../jepsen-lite/workload/history.ts'
import { append, at, get, put, Story, seen } from './story.ts'

const verdict = ({ history }: Story): string => check(history).verdict
const blamed = ({ history }: Story): Anomaly['check'][] => [
  ...new Set(check(history).findings.map(({ check: by }) => by)),
]
const row = (key: string, value: string, modRevision: number): RecordedRow => ({ key, value, modRevision })

describe('linearizable reads and writes', () => {
  test('a stale read', () => {
    const written = () => new Story().tell(put('x', 'old'), {}).tell(put('x', 'new'), {})
    expect(verdict(written().tell(get('x'), { value: 'old' }))).toBe('violation')
    expect(verdict(written().tell(get('x'), { value: 'new' }))).toBe('pass')
  })

  test('a read that overlaps the write may see either, but two readers see them in order', () => {
    const story = new Story().tell(put('x', 'old'), {})
    const write = story.ask(put('x', 'new'))
    story.tell(get('x'), { value: 'new' }, 'b')
    story.tell(get('x'), { value: 'old' }, 'c')
    write.ok()
    expect(verdict(story)).toBe('violation')
  })

  test('a lost update', () => {
    const cas = (from: string, to: string): HistoryOperation => ({ f: 'cas', key: 'x', from, to })
    const story = new Story().tell(put('x', '1'), {})
    const one = story.ask(cas('1', '2'), 'b')
    const other = story.ask(cas('1', '3'), 'c')
    one.ok({ applied: true })
    other.ok({ applied: true })
    expect(verdict(story)).toBe('violation')

    const innocent = new Story().tell(put('x', '1'), {})
    const first = innocent.ask(cas('1', '2'), 'b')
    const second = innocent.ask(cas('1', '3'), 'c')
    first.ok({ applied: true })
    second.ok({ applied: false, value: '2' })
    expect(verdict(innocent)).toBe('pass')
  })

  test('a write that was lost on the way to its acknowledgement', () => {
    const appended = () => new Story().tell(append('x', 'a,'), {}).tell(append('x', 'b,'), {})
    expect(verdict(appended().tell(get('x'), { value: 'b,' }))).toBe('violation')
    expect(verdict(appended().tell(get('x'), { value: 'a,b,' }))).toBe('pass')
  })

  test('a dirty read: what certainly failed was seen', () => {
    const story = new Story()
    story.ask(put('x', 'dirty')).fail()
    expect(verdict(story.tell(get('x'), { value: 'dirty' }))).toBe('violation')
    const innocent = new Story()
    innocent.ask(put('x', 'dirty')).fail()
    expect(verdict(innocent.tell(get('x'), { value: null }))).toBe('pass')
  })

  test('a write that was applied twice', () => {
    const story = new Story()
    const write = story.ask(append('x', 'a,'))
    write.ok()
    expect(verdict(story.tell(get('x'), { value: 'a,a,' }))).toBe('violation')
  })

  test('an old write that came back', () => {
    const story = new Story()
      .tell(put('x', 'old'), {})
      .tell(put('x', 'new'), {})
      .tell(get('x'), { value: 'new' })
    expect(verdict(story.tell(get('x'), { value: 'old' }))).toBe('violation')
  })

  test('a write of unknown outcome may appear, late, or never; but not twice', () => {
    const unknown = () => {
      const story = new Story().tell(put('x', 'old'), {})
      story.ask(put('x', 'late')).unknown()
      return story.tell(get('x'), { value: 'old' })
    }
    expect(verdict(unknown())).toBe('pass')
    expect(verdict(unknown().tell(get('x'), { value: 'late' }))).toBe('pass')
    expect(verdict(unknown().tell(put('x', 'new'), {}).tell(get('x'), { value: 'late' }))).toBe('pass')
    const twice = unknown().tell(get('x'), { value: 'late' }).tell(put('x', 'new'), {})
    expect(verdict(twice.tell(get('x'), { value: 'late' }))).toBe('violation')
  })

  test('an operation that never ended is of unknown outcome', () => {
    const story = new Story()
    story.ask(put('x', 'open'))
    expect(verdict(story.tell(get('x'), { value: 'open' }))).toBe('pass')
  })

  test('a read from the future', () => {
    const story = new Story().tell(get('x'), { value: 'later' }).tell(put('x', 'later'), {})
    expect(verdict(story)).toBe('violation')
    const unknown = new Story().tell(get('x'), { value: 'later' })
    unknown.ask(put('x', 'later')).unknown()
    expect(verdict(unknown)).toBe('violation')
  })

  test.each(['a', 'b', 'c', 'd'])('whichever key is wrong: %s', (wrong) => {
    const story = new Story()
    for (const [place, key] of ['a', 'b', 'c', 'd'].entries()) {
      for (let times = 0; times <= place; times++) story.tell(put(key, `${times}`), {})
      story.tell(get(key), { value: key === wrong ? 'never written' : `${place}` })
    }
    expect(check(story.history).findings).toMatchObject([{ check: 'linearizability', key: wrong }])
  })

  test('too large a search is undecided, which is no pass', () => {
    const story = new Story()
    const writes = Array.from({ length: 12 }, (_, n) => story.ask(append('x', `${n},`), `client ${n}`))
    for (const write of writes) write.ok()
    story.tell(get('x'), { value: 'none of them' })
    expect(check(story.history, { configurationsMax: 1000 }).verdict).toBe('undecided')
  })
})

describe('revisions', () => {
  test('an answer that goes back', () => {
    const story = new Story().tell(put('x', '1'), at(2)).tell(put('y', '1'), at(3))
    expect(blamed(story.tell(get('x'), seen('1', 2, 2)))).toContain('revisions')
  })

  test('but not an old key whose reader was not told where the store is', () => {
    const story = new Story().tell(put('x', '1'), at(2)).tell(put('y', '1'), at(3))
    expect(verdict(story.tell(get('x'), { value: '1', modRevision: 2 }))).toBe('pass')
    const cas: HistoryOperation = { f: 'cas', key: 'x', from: '0', to: '2' }
    expect(verdict(story.tell(cas, { applied: false, value: '1', modRevision: 2 }))).toBe('pass')
  })

  test('a write below what had been told', () => {
    const story = new Story().tell(put('x', '1'), at(5)).tell(put('y', '1'), at(4))
    expect(blamed(story)).toContain('revisions')
  })

  test('one revision for two changes', () => {
    const story = new Story()
    const one = story.ask(put('x', '1'))
    const other = story.ask(put('y', '1'), 'b')
    one.ok(at(2))
    other.ok(at(2))
    expect(blamed(story)).toContain('revisions')
  })

  test('a revision that lies: a stale value in new clothes', () => {
    const story = new Story().tell(put('x', 'old'), at(2)).tell(put('x', 'new'), at(3))
    expect(blamed(story.tell(get('x'), seen('old', 3)))).toEqual(
      expect.arrayContaining(['linearizability', 'revisions']),
    )
  })

  test('a revision that lies: another than the write was told', () => {
    const story = new Story().tell(put('x', '1'), at(2)).tell(get('x'), seen('1', 3))
    expect(blamed(story)).toContain('linearizability')
  })

  test('a listing that mixes two moments', () => {
    const listing = (rows: readonly RecordedRow[], revision: number) =>
      new Story()
        .tell(put('x', '1'), at(2))
        .tell(put('y', '1'), at(3))
        .tell(put('x', '2'), at(4))
        .tell({ f: 'range', prefix: '' }, { rows, revision })
    expect(verdict(listing([row('x', '2', 4), row('y', '1', 3)], 4))).toBe('pass')
    expect(blamed(listing([row('x', '1', 2), row('y', '1', 3)], 4))).toContain('revisions')
    expect(blamed(listing([row('x', '2', 4)], 4))).toContain('revisions')
    expect(blamed(listing([row('x', '2', 4), row('y', '1', 3), row('z', '?', 1)], 4))).toContain('revisions')
  })

  test('two listings under way at once agree on the order of two writes', () => {
    const story = new Story()
    const [x, y] = [story.ask(put('x', '1'), 'a'), story.ask(put('y', '1'), 'b')]
    const [one, other] = [
      story.ask({ f: 'range', prefix: '' }, 'c'),
      story.ask({ f: 'range', prefix: '' }, 'd'),
    ]
    one.ok({ rows: [row('x', '1', 2)], revision: 2 })
    other.ok({ rows: [row('y', '1', 3)], revision: 3 })
    x.ok(at(2))
    y.ok(at(3))
    // By its values each key alone is innocent.
    const { linearizability, findings } = check(story.history, { model: 'kv' })
    expect(linearizability.verdict).toBe('linearizable')
    expect(findings.map(({ check: by }) => by)).toContain('revisions')
  })

  test('a write of unknown outcome seen at two revisions happened twice', () => {
    const story = new Story()
    story.ask(put('x', '1')).unknown()
    story.tell(get('x'), seen('1', 2)).tell(put('x', '2'), at(3))
    expect(verdict(story)).toBe('pass')
    expect(blamed(story.tell(get('x'), seen('1', 4)))).toContain('linearizability')
  })

  test('a condition that is said not to have held, but did', () => {
    const op: HistoryOperation = { f: 'put', key: 'x', value: '2', ifRevision: 2 }
    const story = () => new Story().tell(put('x', '1'), at(2))
    expect(verdict(story().tell(op, { applied: false, current: 2, revision: 2 }))).toBe('violation')
    expect(
      verdict(story().tell(put('x', '3'), at(3)).tell(op, { applied: false, current: 3, revision: 3 })),
    ).toBe('pass')
    expect(verdict(story().tell(put('x', '3'), at(3)).tell(op, at(4)))).toBe('violation')
  })
})

describe('locks', () => {
  const acquire = (owner: string): HistoryOperation => ({ f: 'acquire', key: 'lock', owner })
  const release = (owner: string, token: number): HistoryOperation => ({
    f: 'release',
    key: 'lock',
    owner,
    token,
  })

  test('two owners at once', () => {
    expect(verdict(new Story().tell(acquire('a'), at(2)).tell(acquire('b'), at(3)))).toBe('violation')
    const handed = new Story().tell(acquire('a'), at(2)).tell(release('a', 2), { deleted: 1, revision: 3 })
    expect(verdict(handed.tell(acquire('b'), at(4)))).toBe('pass')
  })

  test('a fencing token that does not rise', () => {
    const story = new Story().tell(acquire('a'), at(5)).tell(release('a', 5), { deleted: 1, revision: 6 })
    expect(verdict(story.tell(acquire('b'), at(4)))).toBe('violation')
  })

  test('a lock released under a token that it does not have any more', () => {
    const story = new Story()
      .tell(acquire('a'), at(2))
      .tell(release('a', 2), { deleted: 1, revision: 3 })
      .tell(acquire('b'), at(4))
    expect(verdict(story.tell(release('a', 2), { deleted: 1, revision: 5 }))).toBe('violation')
  })

  test('an acquisition of unknown outcome may hold the lock', () => {
    const story = new Story()
    story.ask(acquire('a')).unknown()
    expect(verdict(story.tell(acquire('b'), { applied: false, current: 2, revision: 2 }))).toBe('pass')
  })
})

describe('reads that may be stale', () => {
  const stale = (more: object = {}): HistoryOperation => ({
    f: 'get',
    key: 'x',
    consistency: 'stale',
    ...more,
  })
  const written = () => new Story().tell(put('x', 'old'), at(2)).tell(put('x', 'new'), at(3)).pass(100)

  test('may be old, but not otherwise than the store was', () => {
    expect(verdict(written().tell(stale(), { ...seen('old', 2), served: 'stale' }))).toBe('pass')
    expect(verdict(written().tell(stale(), { ...seen('new', 2), served: 'stale' }))).toBe('violation')
    expect(verdict(written().tell(stale(), { ...seen('old', 2, 3), served: 'stale' }))).toBe('violation')
  })

  test('never show the future', () => {
    const story = new Story().tell(stale(), { ...seen('1', 2), served: 'stale' }).tell(put('x', '1'), at(2))
    expect(blamed(story)).toContain('revisions')
    const blind = new Story().tell(stale(), { value: '1' }).tell(put('x', '1'), {})
    expect(blamed(blind)).toContain('reads')
  })

  test('are no older than they claim', () => {
    const claim = (stalenessMs: number) => ({ ...seen('old', 2), served: 'stale' as const, stalenessMs })
    expect(blamed(written().tell(stale(), claim(50)))).toEqual(['reads'])
    expect(verdict(written().tell(stale(), claim(150)))).toBe('pass')
  })

  test('are no older than they claim, by what other stale reads have shown', () => {
    const old = (ms: number) =>
      new Story()
        .tell(put('x', '1'), at(2))
        .tell(stale(), { value: '1', modRevision: 2, revision: 7, served: 'stale' })
        .pass(100)
        .tell(stale(), { value: '1', modRevision: 2, revision: 5, served: 'stale', stalenessMs: ms })
    expect(blamed(old(50))).toEqual(['reads'])
    expect(verdict(old(200))).toBe('pass')
  })

  test('allow for clocks that are said to drift', () => {
    const story = new Story({ clockDriftMax: 0.5 })
      .tell(put('x', 'old'), at(2))
      .tell(put('x', 'new'), at(3))
      .pass(100)
    expect(verdict(story.tell(stale(), { ...seen('old', 2), served: 'stale', stalenessMs: 50 }))).toBe('pass')
  })

  test('say how old they are when a bound was asked for, and keep to it', () => {
    const bounded = stale({ maxStalenessMs: 200 })
    const told = { ...seen('old', 2), served: 'stale' as const }
    expect(blamed(written().tell(bounded, told))).toEqual(['reads'])
    expect(blamed(written().tell(bounded, { ...told, stalenessMs: 300 }))).toEqual(['reads'])
    expect(verdict(written().tell(bounded, { ...told, stalenessMs: 150 }))).toBe('pass')
  })

  test('do not go back for a client that hands on what it has seen', () => {
    const told = { ...seen('old', 2), served: 'stale' as const }
    expect(blamed(written().tell(stale({ minRevision: 3 }), told))).toEqual(['reads'])
    expect(verdict(written().tell(stale({ minRevision: 2 }), told))).toBe('pass')
  })

  test('are not served to whom asked for more', () => {
    expect(blamed(written().tell(get('x'), { ...seen('new', 3), served: 'stale' }))).toEqual(['reads'])
    const lease: HistoryOperation = { f: 'get', key: 'x', consistency: 'lease' }
    expect(blamed(written().tell(lease, { ...seen('new', 3), served: 'stale' }))).toEqual(['reads'])
    expect(verdict(written().tell(lease, { ...seen('new', 3), served: 'linearizable' }))).toBe('pass')
  })

  test('reads under a lease are linearizable', () => {
    const lease: HistoryOperation = { f: 'get', key: 'x', consistency: 'lease' }
    expect(blamed(written().tell(lease, { ...seen('old', 2), served: 'lease' }))).toContain('linearizability')
  })
})

describe('requests that are sent again', () => {
  const once: HistoryOperation = { f: 'append', key: 'x', value: 'a,', idempotency: 'token 1' }

  test('are applied once', () => {
    const repeated = () => {
      const story = new Story()
      story.ask(once).unknown()
      story.tell(once, { ...at(2), replayed: true })
      return story
    }
    expect(verdict(repeated().tell(get('x'), seen('a,', 2)))).toBe('pass')
    expect(verdict(repeated().tell(get('x'), seen('a,a,', 3)))).toBe('violation')
  })

  test('are answered alike', () => {
    expect(verdict(new Story().tell(once, at(2)).tell(once, { ...at(2), replayed: true }))).toBe('pass')
    expect(blamed(new Story().tell(once, at(2)).tell(once, at(3)))).toContain('idempotency')
  })

  test.each<[what: string, first: RecordedResult, again: RecordedResult]>([
    ['another value', { ...at(2), value: 'a,' }, { ...at(2), value: 'b,a,' }],
    ['another revision of the store', at(2), { modRevision: 2, revision: 3 }],
    ['another revision of the key', { revision: 2 }, { modRevision: 3, revision: 2 }],
    ['that it was refused', at(2), { applied: false, revision: 2 }],
  ])('a repeat that tells %s', (_what, first, again) => {
    const repeated = (result: RecordedResult) =>
      new Story().tell(once, first).tell(once, { ...result, replayed: true })
    expect(blamed(repeated(again))).toContain('idempotency')
    expect(verdict(repeated(first))).toBe('pass')
    // A missing field proves nothing.
    expect(verdict(repeated({ revision: 2 }))).toBe('pass')
  })

  test('a repeat that is answered as new', () => {
    const fresh = { ...at(2), replayed: false }
    expect(blamed(new Story().tell(once, fresh).tell(once, fresh))).toEqual(['idempotency'])
    expect(verdict(new Story().tell(once, fresh).tell(once, at(2)))).toBe('pass')
    // The order of two concurrent requests is unknown.
    const story = new Story()
    const [one, other] = [story.ask(once, 'b'), story.ask(once, 'c')]
    one.ok({ ...at(2), replayed: true })
    other.ok(fresh)
    expect(verdict(story)).toBe('pass')
  })

  test('of attempts at once exactly one is answered as new', () => {
    const both = (...replayed: readonly boolean[]) => {
      const story = new Story()
      const asked = replayed.map((_, at) => story.ask(once, `c${at}`))
      for (const [place, attempt] of asked.entries())
        attempt.ok({ ...at(2), replayed: replayed[place] === true })
      return story
    }
    expect(verdict(both(true, false))).toBe('pass')
    expect(blamed(both(false, false))).toEqual(['idempotency'])
    expect(blamed(both(true, false, false))).toEqual(['idempotency'])
    expect(blamed(both(true, true))).toEqual(['idempotency'])
    // The one that was answered as new had not been sent when the repeat was answered.
    const repeat = { ...at(2), replayed: true }
    const late = new Story().tell(once, repeat).tell(once, { ...at(2), replayed: false })
    expect(blamed(late)).toEqual(['idempotency'])
  })

  test('an attempt that is answered as new was applied while it was under way', () => {
    const told = (between: HistoryOperation, result: RecordedResult, replayed: boolean) => {
      const story = new Story()
      story.ask(once).unknown()
      return verdict(story.tell(between, result).tell(once, { ...at(2), value: 'a,', replayed }))
    }
    expect(told(get('x'), seen('a,', 2), true)).toBe('pass')
    expect(told(get('x'), seen('a,', 2), false)).toBe('violation')
    expect(told(get('y'), { value: null, revision: 2 }, true)).toBe('pass')
    expect(told(get('y'), { value: null, revision: 2 }, false)).toBe('violation')
    expect(told(get('x'), { value: null, revision: 1 }, false)).toBe('pass')
  })

  test('a repeat of what nobody had sent before', () => {
    const repeat = { ...at(2), replayed: true }
    expect(blamed(new Story().tell(once, repeat))).toEqual(['idempotency'])
    // Nor had one that was sent later, and one that certainly failed has left nothing to repeat.
    expect(blamed(new Story().tell(once, repeat).tell(once, repeat))).toEqual(['idempotency'])
    const failed = new Story()
    failed.ask(once).fail()
    expect(blamed(failed.tell(once, repeat))).toEqual(['idempotency'])
    const lost = new Story()
    lost.ask(once)
    expect(verdict(lost.tell(once, repeat))).toBe('pass')
  })

  test('an answer as new after another attempt was answered, and a repeat of what has no token', () => {
    const told = (result: RecordedResult) => new Story().tell(once, at(2)).tell(once, { ...at(2), ...result })
    expect(verdict(told({}))).toBe('pass')
    expect(blamed(told({ replayed: false }))).toEqual(['idempotency'])
    const plainly = (replayed: boolean) => new Story().tell(append('x', 'a,'), { ...at(2), replayed })
    expect(verdict(plainly(false))).toBe('pass')
    expect(blamed(plainly(true))).toEqual(['idempotency'])
  })

  test('a repeat does not bring an old write back', () => {
    const write: HistoryOperation = { f: 'put', key: 'x', value: 'a', idempotency: 'token 1' }
    const story = new Story()
      .tell(write, at(2))
      .tell(put('x', 'b'), at(3))
      .tell(write, { ...at(2), replayed: true })
    expect(verdict(story)).toBe('pass')
    expect(blamed(story.tell(get('x'), seen('a', 4)))).toContain('linearizability')
  })
})

describe('requests that are sent again to a store that forgets tokens', () => {
  const once: HistoryOperation = { f: 'put', key: 'x', value: 'a', idempotency: 'token 1' }
  const forgetful = () => new Story({ forgetsTokens: true }).tell(once, at(2)).tell(put('x', 'b'), at(3))

  test('may be applied again, but not unasked', () => {
    expect(verdict(forgetful().tell(once, at(4)).tell(get('x'), seen('a', 4)))).toBe('pass')
    expect(
      verdict(
        forgetful()
          .tell(once, { ...at(2), replayed: true })
          .tell(get('x'), seen('b', 3)),
      ),
    ).toBe('pass')
    expect(verdict(forgetful().tell(get('x'), seen('a', 4)))).toBe('violation')
  })

  test('are not what others promise', () => {
    const { history } = new Story().tell(once, at(2)).tell(put('x', 'b'), at(3)).tell(once, at(4))
    expect(check(history).verdict).toBe('violation')
  })
})

describe('what is there at the end', () => {
  const rows = [row('x', '1', 2), row('y', '1', 3)]
  const written = () => new Story().tell(put('x', '1'), at(2)).tell(put('y', '1'), at(3))

  test('is all that was acknowledged, on every node', () => {
    expect(verdict(written().final('n1', 3, 'h', rows).final('n2', 3, 'h', rows))).toBe('pass')
    const lost = written().final('n1', 3, 'h', rows).final('n2', 3, 'h', rows.slice(0, 1))
    expect(blamed(lost)).toEqual(expect.arrayContaining(['linearizability', 'durability']))
    expect(blamed(written().final('n1', 2, 'h', rows.slice(0, 1)))).toContain('durability')
  })

  test('may be a write of unknown outcome, not one that failed', () => {
    const story = written()
    story.ask(put('z', '1')).unknown()
    expect(verdict(story.final('n1', 4, 'h', [...rows, row('z', '1', 4)]))).toBe('pass')
    const failed = written()
    failed.ask(put('z', '1')).fail()
    expect(verdict(failed.final('n1', 4, 'h', [...rows, row('z', '1', 4)]))).toBe('violation')
  })

  test('has one state hash', () => {
    expect(blamed(written().final('n1', 3, 'h', rows).final('n2', 3, 'i', rows))).toEqual(['durability'])
  })
})

test('the witness of a violation is short, and the operation that fits nowhere is named', () => {
  const story = new Story()
  for (let n = 0; n < 200; n++) story.tell(put('x', `${n}`), {}).tell(get('x'), { value: `${n}` })
  story.tell(get('x'), { value: '150' })
  for (let n = 0; n < 200; n++) story.tell(put('x', `later ${n}`), {}).tell(get('x'), { value: `later ${n}` })
  const [key] = check(story.history).linearizability.keys
  expect(key?.failure?.blocked.id).toBe(401)
  expect(
    key?.failure?.witness().map(({ op, result }) => [op.f, 'value' in op ? op.value : result?.value]),
  ).toEqual([
    ['put', '150'],
    ['put', '199'],
    ['get', '150'],
  ])
  // Everything before it has its place.
  expect(key?.points).toHaveLength(400)
})

describe('answers that do not tell everything', () => {
  test('a put that tells nothing, and a read that tells its revision', () => {
    const story = new Story().tell(put('x', '1'), {}).tell(get('x'), seen('1', 2))
    expect(check(story.history).findings).toEqual([])
    expect(verdict(story.tell(put('x', '2'), {}).tell(get('x'), seen('1', 2, 3)))).toBe('violation')
  })

  test('a put that tells nothing explains one revision, not two', () => {
    const story = new Story().tell(put('x', '1'), {}).tell(get('x'), seen('1', 2)).tell(put('x', '2'), at(3))
    expect(verdict(story)).toBe('pass')
    expect(blamed(story.tell(get('x'), seen('1', 4)))).toContain('linearizability')
  })

  test('an append, and a read that tells only revisions', () => {
    const story = new Story().tell(append('x', 'a'), at(2)).tell(get('x'), at(2))
    expect(check(story.history).findings).toEqual([])
    expect(verdict(story.tell(append('x', 'b'), at(3)).tell(get('x'), at(2)))).toBe('violation')
  })

  test('a read that tells only a revision may have seen an append of which nobody knows', () => {
    const story = new Story().tell(append('x', 'a'), at(2))
    story.ask(append('x', 'b')).unknown()
    expect(verdict(story.tell(get('x'), at(3)))).toBe('pass')
  })

  test('a delete that does not say whether there was anything', () => {
    const del: HistoryOperation = { f: 'del', key: 'x' }
    const gone = (revision: number) => ({ value: null, revision })
    const deleted = () => new Story().tell(put('x', '1'), at(2)).tell(del, { revision: 3 })
    expect(check(deleted().tell(get('x'), gone(3)).history).findings).toEqual([])
    expect(verdict(deleted().tell(get('x'), seen('1', 2, 3)))).toBe('violation')
    expect(verdict(deleted().tell({ f: 'range' }, { rows: [], revision: 3 }))).toBe('pass')
    const nothing = new Story().tell(get('x'), gone(3)).tell(del, { revision: 3 }).tell(get('x'), gone(3))
    expect(check(nothing.history).findings).toEqual([])
    expect(
      check(new Story().tell(put('x', '1'), at(2)).tell(del, {}).tell(get('x'), gone(3)).history).findings,
    ).toEqual([])
  })

  test('an append that tells its revision, and a later one that does not', () => {
    const story = new Story().tell(append('x', 'a'), at(2)).tell(append('x', 'b'), {})
    expect(check(story.history, { model: 'versioned-register' }).findings).toEqual([])
    const readers = new Story().tell(append('x', 'a'), at(2)).tell(get('x'), seen('a', 2, 5))
    expect(check(readers.tell(get('x'), { value: 'a' }).history).findings).toEqual([])
  })

  test('a compare-and-set that found nothing, and one that does not tell what it found', () => {
    const cas: HistoryOperation = { f: 'cas', key: 'x', from: 'b', to: 'c' }
    const story = new Story().tell(cas, { applied: false, value: null }).tell(put('x', 'a'), {})
    expect(check(story.tell(cas, { applied: false }).history, { model: 'kv' }).findings).toEqual([])
  })

  test('are counted, by what they do not tell', () => {
    const story = new Story()
      .tell(put('x', '1'), at(2))
      .tell(put('x', '2'), {})
      .tell({ f: 'range' }, { revision: 3 })
      .tell({ f: 'get', key: 'x', consistency: 'stale' }, { value: '1' })
      .tell({ f: 'get', key: 'x', minRevision: 2 }, { value: '2' })
      .tell(get('x'), {})
    expect(check(story.history).unjudged).toEqual({
      'changes without a revision': 1,
      'lists without rows': 1,
      'stale reads without a revision': 1,
      'reads that do not tell what was served': 1,
      'reads without a revision': 1,
      'reads from a revision on that tell none': 1,
      'reads without a value': 1,
    })
    expect(
      check(new Story().tell(put('x', '1'), at(2)).tell(get('x'), seen('1', 2)).history).unjudged,
    ).toEqual({})
  })
})

describe('answers that cannot be', () => {
  test.each(['kv', 'versioned-register'])('a refusal where there was no condition: model %s', (model) => {
    const story = new Story().tell(put('x', '1'), {}).tell(put('x', '2'), { applied: false, current: 2 })
    expect(check(story.history, { model }).verdict).toBe('violation')
  })

  test.each(['kv', 'versioned-register'])('answers that contradict what was asked: model %s', (model) => {
    const wrong = (op: HistoryOperation, result: RecordedResult) =>
      check(new Story().tell(op, result).history, { model }).findings.map((finding) => finding.check)
    expect(wrong(append('x', ''), { ...at(2), value: null })).toContain('linearizability')
    expect(wrong({ f: 'del', key: 'x', ifRevision: 2 }, { deleted: 0, revision: 2 })).toContain(
      'linearizability',
    )
    const release: HistoryOperation = { f: 'release', key: 'x', owner: 'a', token: 2 }
    expect(wrong(release, { deleted: 0, revision: 2 })).toContain('linearizability')
  })

  test.each(['kv', 'versioned-register'])('a delete that was to find nothing: model %s', (model) => {
    const del: HistoryOperation = { f: 'del', key: 'x', ifAbsent: true }
    const judged = (first: RecordedResult, ...then: RecordedResult[]) => {
      const story = new Story().tell(put('x', '1'), first)
      for (const result of then) story.tell(del, result)
      return check(story.history, { model }).verdict
    }
    expect(judged({ revision: 2 }, { applied: false, current: 2 })).toBe('pass')
    expect(judged({ revision: 2 }, { applied: false, current: null })).toBe('violation')
    expect(judged({ revision: 2 }, { deleted: 1, revision: 3 })).toBe('violation')
    expect(judged({ revision: 2 }, {})).toBe('violation')
  })

  test('one value that is another step in disguise', () => {
    const story = new Story().tell(append('x', 'a'), {}).tell(append('x', '["b","ab"]'), {})
    story.tell(append('x', 'b'), { value: 'ab' })
    expect(check(story.history, { model: 'kv' }).verdict).toBe('violation')
  })

  test('two requests under one token, both answered', () => {
    const once = (value: string): HistoryOperation => ({ f: 'put', key: 'x', value, idempotency: 'token 1' })
    const story = new Story().tell(once('a'), at(2)).tell(once('b'), at(3)).tell(get('x'), seen('b', 3))
    expect(blamed(story)).toEqual(['idempotency'])
    const refused = new Story().tell(once('a'), at(2))
    refused.ask(once('b')).fail('idempotency_key_reused')
    expect(verdict(refused.tell(get('x'), seen('a', 2)))).toBe('pass')
  })

  test('a repeat that tells less says nothing wrong', () => {
    const del: HistoryOperation = { f: 'del', key: 'x', idempotency: 'token 1' }
    const story = new Story().tell(put('x', '1'), at(2)).tell(del, { deleted: 1, revision: 3 })
    expect(verdict(story.tell(del, { revision: 3, replayed: true }))).toBe('pass')
  })

  test('a revision that nobody can have made, where the history holds every change', () => {
    const skipped = (header: object) =>
      new Story(header).tell(put('x', '1'), at(2)).tell(put('x', '2'), at(4)).tell(get('x'), seen('2', 4))
    expect(verdict(skipped({}))).toBe('pass')
    expect(blamed(skipped({ complete: true }))).toEqual(['revision-accounting'])
  })
})

test('requests of unknown outcome are used once each, in any order of times', () => {
  const story = new Story()
  story.ask(put('x', 'a')).unknown()
  story.tell(get('x'), seen('a', 2))
  story.ask(put('x', 'a')).unknown()
  expect(blamed(story.tell(get('x'), at(3)).tell(get('x'), at(4)))).toContain('linearizability')
})

test('a stale read shows no value that no request had written by then', () => {
  const stale: HistoryOperation = { f: 'get', key: 'x', consistency: 'stale' }
  const story = new Story()
  story.ask(put('x', 'a')).unknown()
  story.tell(put('y', '1'), at(5))
  expect(verdict(story.tell(stale, { ...seen('a', 3, 5), served: 'stale' }))).toBe('pass')
  expect(blamed(story.tell(stale, { ...seen('b', 4, 5), served: 'stale' }))).toEqual(['revisions'])
})

describe('what only somebody else has seen', () => {
  const stale = (rest: RecordedResult): [HistoryOperation, RecordedResult] => [
    { f: 'get', key: 'x', consistency: 'stale' },
    { served: 'stale', ...rest },
  ]
  const list: HistoryOperation = { f: 'range', prefix: '', consistency: 'stale' }
  /** x is 1 at revision 2, and 2 from revision 3 on, by a write of which only a reader knows; y is made at 4. */
  const seenByOne = () => {
    const story = new Story().tell(put('x', '1'), at(2))
    story.ask(put('x', '2')).unknown()
    return story.tell(get('x'), seen('2', 3)).tell(put('y', '1'), at(4))
  }

  test('binds an operation that shows a later state', () => {
    expect(verdict(seenByOne().tell(...stale(seen('1', 2, 2))))).toBe('pass')
    expect(verdict(seenByOne().tell(...stale(seen('2', 3, 4))))).toBe('pass')
    expect(blamed(seenByOne().tell(...stale(seen('1', 2, 4))))).toEqual(['revisions'])
    expect(blamed(seenByOne().tell(...stale({ value: '1', revision: 4 })))).toEqual(['revisions'])
    expect(blamed(seenByOne().tell(...stale({ value: null, revision: 4 })))).toEqual(['revisions'])
    expect(
      blamed(seenByOne().tell(list, { rows: [row('y', '1', 4)], revision: 4, served: 'stale' })),
    ).toEqual(['revisions'])
  })

  test('binds an operation that was earlier, too', () => {
    const story = new Story().tell(put('x', '1'), at(2))
    story.ask(put('x', '2')).unknown()
    story.tell(put('y', '1'), at(4)).tell(...stale(seen('1', 2, 4)))
    expect(blamed(story.tell(...stale(seen('2', 3, 4))))).toEqual(['revisions'])
  })

  test('unless a delete of which nobody knows came between', () => {
    const story = seenByOne()
    story.ask({ f: 'del', key: 'x' }).unknown()
    story.tell(put('y', '2'), at(6))
    expect(verdict(story.tell(...stale({ value: null, revision: 6 })))).toBe('pass')
    expect(verdict(story.tell(...stale({ value: null, revision: 4 })))).toBe('violation')
  })

  test('counts', () => {
    const counted = (count: number) =>
      verdict(seenByOne().tell({ f: 'range', countOnly: true }, { rows: [], count, revision: 4 }))
    expect([1, 2, 3].map(counted)).toEqual(['violation', 'pass', 'violation'])
  })
})

test('a read is held to what it says that it was served as, whatever was asked for', () => {
  const story = () => new Story().tell(put('x', 'old'), at(2)).tell(put('x', 'new'), at(3))
  const asked: HistoryOperation = { f: 'get', key: 'x', consistency: 'stale' }
  expect(verdict(story().tell(asked, { ...seen('old', 2), served: 'stale' }))).toBe('pass')
  expect(verdict(story().tell(asked, { ...seen('old', 2), served: 'linearizable' }))).toBe('violation')
  expect(verdict(story().tell(asked, { ...seen('new', 3), served: 'linearizable' }))).toBe('pass')
})

test('what every key holds at the beginning has a revision that nobody made', () => {
  const story = () => new Story({ initial: '0' }).tell(get('x'), seen('0', 1))
  expect(check(story().history).findings).toEqual([])
  expect(verdict(story().tell(put('x', '1'), at(2)).tell(get('x'), seen('1', 2)))).toBe('pass')
  expect(verdict(story().tell(get('x'), seen('0', 2)))).toBe('violation')
})

test('a revision that only a read tells is accounted for, too, where the history holds every change', () => {
  const told = (revision: number) =>
    verdict(
      new Story({ complete: true }).tell(put('x', '1'), at(2)).tell(get('y'), { value: null, revision }),
    )
  expect([2, 3].map(told)).toEqual(['pass', 'violation'])
})

test('nothing was there, and nobody changed anything, at the revision of the empty store', () => {
  const complete = () => new Story({ complete: true })
  const second = (version: number) => {
    const story = complete()
    story.ask(put('x', '?')).unknown()
    return verdict(story.tell(put('x', '1'), { ...at(2), version }))
  }
  expect([1, 2].map(second)).toEqual(['pass', 'violation'])
  const there = (mod: number) => {
    const story = complete()
    story.ask(put('x', '1')).unknown()
    return verdict(story.tell(get('x'), seen('1', mod, 2)))
  }
  expect([1, 2].map(there)).toEqual(['violation', 'pass'])
})

test('a version counts the changes since a key was made', () => {
  const put2 = (version: number, before: (story: Story) => Story = (story) => story) =>
    verdict(
      before(new Story().tell(put('x', '1'), { ...at(2), version: 1 })).tell(put('x', '2'), {
        ...at(9),
        version,
      }),
    )
  expect([1, 2, 3].map((version) => put2(version))).toEqual(['violation', 'pass', 'violation'])
  const deleted = (story: Story): Story => story.tell({ f: 'del', key: 'x' }, { deleted: 1, revision: 3 })
  expect([1, 2].map((version) => put2(version, deleted))).toEqual(['pass', 'violation'])
  const inDoubt = (story: Story): Story => {
    story.ask(put('x', '?')).unknown()
    return story
  }
  expect([1, 2, 3, 4].map((version) => put2(version, inDoubt))).toEqual([
    'violation',
    'pass',
    'pass',
    'violation',
  ])
})

test('a read that tells a version only is of the last change', () => {
  const seenAs = (version: number, story = new Story()) =>
    verdict(
      story
        .tell(put('x', '1'), { ...at(2), version: 1 })
        .tell(put('x', '2'), { ...at(3), version: 2 })
        .tell(get('x'), { version, revision: 9 }),
    )
  expect([1, 2].map((version) => seenAs(version))).toEqual(['violation', 'pass'])
  const inDoubt = new Story()
  inDoubt.ask(put('x', '?')).unknown()
  expect(seenAs(3, inDoubt)).toBe('pass')
  expect(verdict(new Story().tell(get('x'), { version: 1, revision: 9 }))).toBe('violation')
})

test('who changes a key under a condition knows whether it makes it', () => {
  const told = (op: HistoryOperation, version: number) => {
    const story = new Story()
    story.ask(put('x', 'a')).unknown()
    return verdict(story.tell(op, { ...at(9), version }))
  }
  const creates: HistoryOperation = { f: 'put', key: 'x', value: 'b', ifAbsent: true }
  expect([1, 2].map((version) => told(creates, version))).toEqual(['pass', 'violation'])
  const replaces: HistoryOperation = { f: 'cas', key: 'x', from: 'a', to: 'b' }
  expect([1, 2, 3].map((version) => told(replaces, version))).toEqual(['violation', 'pass', 'violation'])
  expect([1, 2, 3].map((version) => told(put('x', 'b'), version))).toEqual(['pass', 'pass', 'violation'])
})

test('reads and lists tell the version that the change made, and all the same', () => {
  const written = () => new Story().tell(put('x', 'a'), { ...at(2), version: 1 })
  const listed = (version: number): RecordedResult => ({
    ...{ rows: [{ ...row('x', 'a', 2), version }], more: false, revision: 2 },
  })
  expect([1, 2].map((version) => verdict(written().tell(get('x'), { ...seen('a', 2), version })))).toEqual([
    'pass',
    'violation',
  ])
  expect([1, 2].map((version) => verdict(written().tell({ f: 'range' }, listed(version))))).toEqual([
    'pass',
    'violation',
  ])
  // No answer names the version that the change made, so all observations of it must agree.
  const twice = (version: number) => {
    const story = new Story()
    story.ask(put('x', 'a')).unknown()
    return verdict(
      story.tell(get('x'), { ...seen('a', 2), version: 1 }).tell({ f: 'range' }, listed(version)),
    )
  }
  expect([1, 2].map(twice)).toEqual(['pass', 'violation'])
})

describe('transactions of the store', () => {
  /** Two puts, which both made this revision. */
  const both = (story: Story, [one, other]: readonly [number | undefined, number | undefined]) => {
    const asked = [story.ask(put('x', '1'), 'a', one), story.ask(put('y', '1'), 'a.2', other)]
    for (const each of asked) each.ok({ modRevision: 2, version: 1, revision: 2 })
    return story
  }

  test('its changes share a revision, those of two requests do not', () => {
    expect(verdict(both(new Story({ complete: true }), [1, 1]))).toBe('pass')
    for (const numbers of [
      [1, 2],
      [1, undefined],
      [undefined, undefined],
    ] as const)
      expect(blamed(both(new Story({ complete: true }), numbers))).toContain('revisions')
  })

  test('nor do those of one that follow each other', () => {
    const story = new Story()
    for (const key of ['x', 'y'])
      story.ask(put(key, '1'), 'a', 1).ok({ modRevision: 2, version: 1, revision: 2 })
    expect(blamed(story)).toContain('revisions')
  })

  test('a revision that two changes share leaves room for what nobody answered', () => {
    const story = new Story({ complete: true })
    story.ask(put('z', '1'), 'b').unknown()
    const asked = [story.ask(put('x', '1'), 'a', 1), story.ask(put('y', '1'), 'a.2', 1)]
    for (const each of asked) each.ok({ modRevision: 3, version: 1, revision: 3 })
    const read = (): Story => story.tell(get('z'), { value: '1', revision: 3 }, 'c')
    expect(blamed(read())).toEqual([])
    expect(blamed(story.tell(get('z'), { value: '2', revision: 3 }, 'c'))).toContain('revisions')
  })

  test('a reader that saw half of one', () => {
    const read = (x: string, y: string): Story => {
      const story = both(new Story(), [1, 1])
      const asked = [story.ask(get('x'), 'b', 2), story.ask(get('y'), 'b.2', 2)]
      const writes = [story.ask(put('x', '2'), 'c', 3), story.ask(put('y', '2'), 'c.2', 3)]
      for (const each of writes) each.ok({ modRevision: 3, version: 2, revision: 3 })
      for (const [at, value] of [x, y].entries()) asked[at]?.ok({ value, modRevision: value === '1' ? 2 : 3 })
      return story
    }
    expect(judge(read('1', '1').history).verdict).toBe('pass')
    expect(judge(read('2', '2').history).verdict).toBe('pass')
    const { verdict: word, findings, check: alone } = judge(read('2', '1').history)
    expect([word, alone.verdict, findings[0]?.check]).toEqual(['violation', 'pass', 'transactions'])
  })
})
