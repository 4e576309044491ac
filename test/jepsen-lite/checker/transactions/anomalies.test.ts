// One history for each anomaly, by hand, and beside it the most similar one that has an order.

import { describe, expect, test } from 'vitest'
import { checkTransactions } from '../../../../jepsen-lite/checker/transactions/index.ts'
import { append, type RecordedStep, read, remove, TransactionHistory, write } from './transaction-history.ts'

const names = ({ history }: TransactionHistory, level?: 'serializable'): string[] =>
  checkTransactions(history, { level }).findings.map(({ name }) => name)

describe('cycles of versions that answers number', () => {
  test('G0: two transactions overwrite each other in two orders', () => {
    const tale = (ofY: readonly [number, number]) =>
      new TransactionHistory().together(
        [write('x', 'a', 2), write('y', 'a', ofY[0])],
        [write('x', 'b', 3), write('y', 'b', ofY[1])],
      )
    const { findings } = checkTransactions(tale([5, 4]).history)
    expect(findings.map(({ name, calls }) => [name, calls])).toEqual([['G0', [1, 2, 3, 4]]])
    expect(findings[0]?.lines).toEqual([
      'G0: no order of T1 and T3 explains what they read and wrote',
      '  T1 = client c1, operations 1, 2: write x = "a" at revision 2, write y = "a" at revision 5',
      '  T3 = client c2, operations 3, 4: write x = "b" at revision 3, write y = "b" at revision 4',
      '  T1 wrote revision 2 of x before T3 wrote revision 3, so T1 is before T3',
      '  T3 wrote revision 4 of y before T1 wrote revision 5, so T3 is before T1',
    ])
    expect(names(tale([4, 5]))).toEqual([])
  })

  test('G1c: two transactions read from each other', () => {
    const tale = (y: string | null) =>
      new TransactionHistory().together(
        [write('x', 'a', 2), read('y', y, y === null ? undefined : 3)],
        [write('y', 'b', 3), read('x', 'a', 2)],
      )
    expect(names(tale('b'))).toEqual(['G1c'])
    expect(names(tale(null))).toEqual([])
  })

  test('G-single: a lost update', () => {
    const tale = (base: string, at: number) =>
      new TransactionHistory()
        .did(write('n', '1', 2))
        .together([read('n', '1', 2), write('n', '2', 3)], [read('n', base, at), write('n', '3', 4)])
    const { findings } = checkTransactions(tale('1', 2).history)
    expect(findings.map(({ name }) => name)).toEqual(['G-single'])
    expect(findings[0]?.lines).toEqual([
      'G-single (lost update): no order of T4 and T2 explains what they read and wrote',
      '  T2 = client c2, operations 2, 3: read n → "1" at revision 2, write n = "2" at revision 3',
      '  T4 = client c3, operations 4, 5: read n → "1" at revision 2, write n = "3" at revision 4',
      '  T4 read revision 2 of n before T2 wrote revision 3, so T4 is before T2',
      '  T2 wrote revision 3 of n before T4 wrote revision 4, so T2 is before T4',
    ])
    expect(names(tale('2', 3))).toEqual([])
  })

  test('G2: two updates of unknown revision replace what both have read', () => {
    const written = write('n', '1', 2)
    const update = (value: string): RecordedStep[] => [read('n', '1', 2), write('n', value, undefined)]
    const tale = (...updates: readonly RecordedStep[][]) =>
      new TransactionHistory().did(written).together(...updates)
    expect(names(tale(update('2'), update('3')))).toEqual(['G2'])
    expect(names(tale(update('2'), [read('n', '2', 3), write('n', '3', undefined)]))).toEqual([])
    // A delete may have found nothing.
    const gone: RecordedStep[] = [read('m', null, undefined), [{ f: 'del', key: 'm' }, {}]]
    expect(names(new TransactionHistory().did(write('m', '0', 9)).together(gone, gone))).toEqual([])
  })

  test('G-single: a late write after many others is shown as a lost update of two', () => {
    const tale = new TransactionHistory().did(write('n', '0', 2))
    const late = tale.begin(read('n', '0', 2), write('n', '1', 50))
    for (let n = 3; n < 20; n++) tale.did(read('n', String(n - 3), n - 1), write('n', String(n - 2), n))
    late()
    const { findings } = checkTransactions(tale.history)
    expect(findings.map(({ name, calls }) => [name, calls.length])).toEqual([['G-single', 4]])
    expect(findings[0]?.lines[0]).toContain('lost update')
  })

  test('G-single: a reader sees half of a transaction', () => {
    const tale = (y: number) =>
      new TransactionHistory()
        .did(write('x', '0', 2), write('y', '0', 2))
        .together([write('x', '1', 3), write('y', '1', 3)], [read('x', '1', 3), read('y', String(y), y + 2)])
    expect(names(tale(0))).toEqual(['G-single'])
    expect(names(tale(1))).toEqual([])
  })

  test('G2: write skew', () => {
    const tale = (x: number) =>
      new TransactionHistory()
        .did(write('x', '0', 2), write('y', '0', 3))
        .together(
          [read('x', '0', 2), read('y', '0', 3), write('y', '1', 4)],
          [read('x', '0', 2), read('y', x === 0 ? '0' : '1', 3 + x), write('x', '1', 5)],
        )
    expect(names(tale(0))).toEqual(['G2'])
    expect(names(tale(1))).toEqual([])
  })

  test('G2 of three transactions: the smallest cycle is shown', () => {
    const history = new TransactionHistory()
      .did(write('x', '0', 2), write('y', '0', 3), write('z', '0', 4))
      .together(
        [read('x', '0', 2), write('y', '1', 5)],
        [read('y', '0', 3), write('z', '1', 6)],
        [read('z', '0', 4), write('x', '1', 7)],
      ).history
    const { findings } = checkTransactions(history)
    expect(findings.map(({ name, calls }) => [name, calls])).toEqual([['G2', [4, 5, 6, 7, 8, 9]]])
  })

  test('a cycle with one overwritten read is named before a shorter one with two', () => {
    const tale = (w: number) =>
      new TransactionHistory().together(
        [read('y', null), write('x', '1', 2), write('z', '1', 2)],
        [read('x', null), write('y', '1', 3), write('w', '2', w)],
        [read('z', '1', 2), write('w', '1', 5)],
      )
    expect(names(tale(6))).toEqual(['G-single'])
    expect(names(tale(4))).toEqual(['G2'])
  })

  test('-realtime: a stale read has an order, but not in real time', () => {
    const stale = () =>
      new TransactionHistory()
        .did(write('x', '0', 2))
        .did(write('x', '1', 3))
        .did(read('x', '0', 2))
    expect(names(stale())).toEqual(['G-single-realtime'])
    expect(names(stale(), 'serializable')).toEqual([])
    const overlapping = new TransactionHistory()
      .did(write('x', '0', 2))
      .together([write('x', '1', 3)], [read('x', '0', 2)])
    expect(names(overlapping)).toEqual([])
  })

  test('internal: a transaction does not see its own write, or sees it before it was asked for', () => {
    const tale = (...steps: readonly RecordedStep[]) => {
      const told = new TransactionHistory().did(write('x', '0', 3))
      for (const step of steps) told.goOn(2, step)()
      return told
    }
    const wrote = write('x', '1', 5)
    expect(names(tale(wrote, read('x', '0', 3)))).toEqual(['internal'])
    expect(names(tale(wrote, read('x', '1', 5)))).toEqual([])
    expect(names(tale(read('x', '1', 5), wrote))).toEqual(['internal'])
    expect(names(tale(read('x', '0', 3), wrote))).toEqual([])
    expect(names(tale(write('y', '1', 5), read('y', null, undefined, 6)))).toEqual(['internal'])
    expect(names(tale(remove('x', 5), read('x', '0', 3)))).toEqual(['internal'])
    expect(names(tale(remove('x', 5), read('x', null, undefined, 5)))).toEqual([])
    // Concurrent requests may take effect in any order.
    expect(names(new TransactionHistory().did(write('x', '0', 3)).did(wrote, read('x', '0', 3)))).toEqual([])
  })

  test('G0-realtime: a later transaction has the lower revision', () => {
    const tale = new TransactionHistory().did(write('x', 'b', 5)).did(write('x', 'a', 3))
    expect(names(tale)).toEqual(['G0-realtime'])
  })

  test('a key that is absent again after a delete', () => {
    const tale = (atX: number, y: string) =>
      new TransactionHistory()
        .did(write('x', '1', 2))
        .together([remove('x', 3), write('y', 'gone', 3)], [read('x', null, undefined, atX), read('y', y, 3)])
    expect(names(tale(3, 'gone'))).toEqual([])
    const early = new TransactionHistory()
      .did(write('y', '0', 2))
      .together([write('x', '1', 3), write('y', '1', 3)], [read('x', null, undefined, 2), read('y', '1', 3)])
    expect(names(early)).toEqual(['G-single'])
  })

  test('a key that is written and deleted between a read and a write that found it absent', () => {
    const tale = (deletedAt: number, ...written: readonly RecordedStep[]) => {
      const told = new TransactionHistory()
      const read1 = told.begin(read('x', null, undefined, 1))
      told.did(write('x', '1', 2)).did(remove('x', deletedAt))
      read1()
      told.goOn(1, ...written)()
      return told
    }
    expect(names(tale(3, write('x', '2', 4)))).toEqual([])
    expect(names(tale(3, write('y', '2', 4)))).toEqual([])
    // It is deleted only behind the write, or written without a delete.
    expect(names(tale(5, write('x', '2', 4)))).toEqual(['G-single'])
    expect(names(tale(5, write('x', '2', 4), write('y', '2', 6)))).toEqual(['G-single'])
    expect(names(tale(3, read('x', '1', 2)))).toEqual(['G-single'])
  })
})

describe('outcomes', () => {
  const lostUpdate = (end: 'ok' | 'unknown' | 'fail', seen: boolean) => {
    const tale = new TransactionHistory().did(write('n', '1', 2))
    const one = tale.begin([
      { f: 'get', key: 'n' },
      { value: '1', modRevision: 2 },
    ])
    one()
    const other = tale.begin(write('n', '2', 4))
    tale.did(write('n', 'x', 3))
    other(end)
    return seen ? tale.did(read('n', '2', 4)) : tale
  }

  test('what certainly failed and was read is G1a', () => {
    expect(names(lostUpdate('fail', true))).toEqual(['G1a'])
    expect(names(lostUpdate('fail', false))).toEqual([])
  })

  test('a write of unknown outcome counts when it was read', () => {
    expect(names(lostUpdate('unknown', true))).toEqual([])
    const tale = new TransactionHistory().did(write('x', '0', 2))
    const half = tale.begin(write('x', '1'), write('y', '1'))
    half('unknown')
    tale.did(read('x', '1', 3), read('y', null, undefined, 3))
    expect(names(tale)).toEqual([])
    const then = tale.did(read('y', '1', 3))
    expect(names(then)).toEqual(['G-single'])
  })

  test('what a transaction of unknown outcome read counts only when something that it wrote was seen', () => {
    const tale = (seen: string, at: number) => {
      const told = new TransactionHistory().did(write('n', '1', 2), write('m', '1', 2))
      const half = told.begin(read('n', '1', 2))
      told.did(write('n', '2', 3), write('m', '2', 3))
      half()
      told.goOn(2, read('m', '2', 3))()
      told.goOn(2, write('n', '5'))('unknown')
      return told.did(read('n', seen, at))
    }
    expect(names(tale('2', 3))).toEqual([])
    expect(names(tale('5', 4))).toEqual(['G-single'])
  })

  test('a transaction may not see its own write whose outcome is unknown', () => {
    const tale = (end: 'ok' | 'unknown', ...steps: readonly RecordedStep[]) => {
      const told = new TransactionHistory()
      for (const step of steps) {
        told.goOn(1, step)(step[0].f === 'get' ? 'ok' : end)
      }
      return told
    }
    for (const wrote of [write('x', '1', 2), append('x', '1,', 2)]) {
      expect(names(tale('ok', wrote, read('x', null)))).toContain('internal')
      expect(names(tale('unknown', wrote, read('x', null)))).toEqual([])
      expect(names(tale('unknown', read('x', null), wrote, read('x', null), wrote))).toEqual([])
    }
    expect(names(tale('unknown', read('x', null), write('x', '1'), read('x', '1', 2)))).toEqual([])
  })

  test('a version that two writes of unknown outcome may have made is blamed on neither', () => {
    const tale = new TransactionHistory()
    tale.begin(write('x', '1'), write('y', '1'))('unknown')
    tale.begin(write('x', '1'))('unknown')
    tale.did(read('x', '1', 4), read('y', null, undefined, 4)).did(read('y', '1', 6))
    expect(names(tale)).toEqual([])
  })

  test('a delete that found nothing is a read', () => {
    const nothing: RecordedStep = [
      { f: 'del', key: 'x' },
      { deleted: 0, revision: 2 },
    ]
    expect(names(new TransactionHistory().did(write('x', '1', 2)).did(nothing))).toEqual([
      'G-single-realtime',
    ])
    expect(names(new TransactionHistory().did(nothing).did(write('x', '1', 2)))).toEqual([])
  })

  test('a value that no transaction wrote', () => {
    expect(names(new TransactionHistory().did(read('x', '7', 3)))).toEqual(['garbage-read'])
    expect(names(new TransactionHistory('7').did(read('x', '7', 1)))).toEqual([])
    expect(names(new TransactionHistory().did(write('x', '1', 2)).did(read('x', '2', 2)))).toEqual([
      'garbage-read',
    ])
  })

  test('one revision of a key that two transactions wrote', () => {
    expect(names(new TransactionHistory().together([write('x', '1', 2)], [write('x', '2', 2)]))).toEqual([
      'incompatible-order',
    ])
  })

  test('G1b: a state in the middle of a transaction', () => {
    const tale = new TransactionHistory().together(
      [write('x', '1', 2), write('x', '2', 3)],
      [read('x', '1', 2)],
    )
    expect(names(tale)).toContain('G1b')
    expect(
      names(new TransactionHistory().together([write('x', '1', 2), write('x', '2', 3)], [read('x', '2', 3)])),
    ).toEqual([])
  })
})

describe('appends', () => {
  test('a read shows the append of its revision at its end', () => {
    const tale = (seen: string) =>
      new TransactionHistory()
        .did(append('x', '1,', 2))
        .did(append('x', '2,', 3))
        .did(read('x', seen, 3))
    expect(names(tale('1,2,'))).toEqual([])
    expect(names(tale('1,3,'))).toEqual(['garbage-read'])
  })

  test('one of unknown outcome counts when it was read, one that failed is G1a', () => {
    const tale = (end: 'unknown' | 'fail') => {
      const told = new TransactionHistory().did(append('x', '1,', 2))
      told.begin(append('x', '2,'), write('y', '1'))(end)
      return told.did(read('x', '1,2,', 3), read('y', null, undefined, 3)).did(read('y', '1', 3))
    }
    expect(names(tale('unknown'))).toEqual(['G-single'])
    expect(names(tale('fail'))).toContain('G1a')
  })
})

test('a history whose answers name no revisions cannot be judged', () => {
  const tale = new TransactionHistory()
  tale.begin(write('x', '1'))('unknown')
  expect(names(tale.did(read('x', null)))).toEqual([])
  const { history } = tale.did(read('x', '1'))
  expect(() => checkTransactions(history)).toThrow('judged by the revisions in answers, and there are none')
})

test('a refused condition makes what the transaction had read before outdated', () => {
  const attempt = (refused: boolean) => {
    const tale = new TransactionHistory().did(write('n', '1', 2))
    const first = tale.begin(
      read('n', '1', 2),
      [{ f: 'put', key: 'n', value: 'x', ifRevision: 2 }, refused ? { applied: false, current: 3 } : {}],
      read('n', '2', 3),
      write('n', '3', 4),
    )
    tale.did(read('n', '1', 2), write('n', '2', 3))
    first()
    return tale
  }
  expect(names(attempt(true))).toEqual([])
  expect(names(attempt(false))).not.toEqual([])
})

test('stale reads are left out, because they promise less', () => {
  const tale = new TransactionHistory().did(write('x', '0', 2)).did(write('x', '1', 3))
  tale.did([
    { f: 'get', key: 'x', consistency: 'stale' },
    { value: '0', modRevision: 2, served: 'stale' },
  ])
  expect(names(tale)).toEqual([])
})

test('a list counts as a read of every key that it covers, missing ones too', () => {
  const tale = (rows: readonly { key: string; value: string; modRevision: number }[]) =>
    new TransactionHistory().together(
      [write('a', '1', 2), write('b', '1', 2)],
      [
        [
          { f: 'range', prefix: '' },
          { rows, revision: 2 },
        ],
      ],
    )
  const [a, b] = [
    { key: 'a', value: '1', modRevision: 2 },
    { key: 'b', value: '1', modRevision: 2 },
  ]
  expect(names(tale([a]))).toEqual(['G-single'])
  expect(names(tale([a, b]))).toEqual([])
})
