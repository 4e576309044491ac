// Ranges: bounds, order, pages, counts, and what they cost; ranges that are deleted; history and its end.

import { initialState } from '../../../src/kv/index.ts'
import { ScanEndedError, StorageClosedError } from '../../../src/storage/index.ts'
import {
  type Case,
  compact,
  deleteRange,
  type Expected,
  filled,
  get,
  invalid,
  keys,
  list,
  put,
  type RangeBounds,
  type RangeStep,
  type Row,
  range,
  refused,
  story,
} from './steps.ts'

/** The keys of a page on c, a, ab, b and aa, at revisions 2 to 6. */
const page = (options: Partial<RangeStep>, expected: readonly string[], more: Expected = {}): Row => {
  const order = ['c', 'a', 'ab', 'b', 'aa']
  const records = expected.map((key) => {
    const at = order.indexOf(key) + 2
    return [key, options.keysOnly ? null : 'v', at, at, 1] as const
  })
  return [range(options), { records, ...more }]
}

const KEYS = ['a', 'aa', 'ab', 'b', 'c', '\xff']

/** Deletes a range of KEYS, and what is left. */
const removal = (bounds: RangeBounds, left: readonly string[]): Row[] => {
  const deleted = KEYS.length - left.length
  const records = left.map((key) => [key, null, KEYS.indexOf(key) + 2, KEYS.indexOf(key) + 2, 1] as const)
  return [
    [(node) => node.clear(initialState())],
    filled(...KEYS),
    [deleteRange(bounds), { deleted, revision: deleted === 0 ? 7 : 8, replayed: false, calls: 1 }],
    [range({ keysOnly: true }), { records }],
  ]
}

const LONGEST = 'k'.repeat(4096)
const LONG_BOUND = `${LONGEST}kk`

/** In etcd a bound may have any length. */
const longBound = (bounds: RangeBounds, detail: string): Row => [
  deleteRange(bounds),
  { ...invalid('key_too_long', detail), etcd: { code: undefined, calls: 1, deleted: bounds.end ? 1 : 0 } },
]

export const RANGE_CASES: readonly Case[] = [
  story('a range has bounds, an order, a limit and a first key after another', [
    filled('c=v', 'a=v', 'ab=v', 'b=v', 'aa=v'),
    page({}, ['a', 'aa', 'ab', 'b', 'c'], { revision: 6, more: false, count: null, served: 'linearizable' }),
    page({ prefix: 'a' }, ['a', 'aa', 'ab']),
    page({ prefix: '' }, ['a', 'aa', 'ab', 'b', 'c']),
    page({ prefix: 'zz' }, []),
    page({ start: 'aa' }, ['aa', 'ab', 'b', 'c']),
    page({ end: 'b' }, ['a', 'aa', 'ab']),
    page({ start: 'aa', end: 'b' }, ['aa', 'ab']),
    page({ start: 'b', end: 'b' }, []),
    page({ start: 'c', end: 'a' }, []),
    page({ end: '' }, []),
    page({ order: 'desc' }, ['c', 'b', 'ab', 'aa', 'a']),
    page({ order: 'asc', limit: 2 }, ['a', 'aa'], { more: true }),
    page({ order: 'desc', limit: 2 }, ['c', 'b'], { more: true }),
    page({ limit: 5 }, ['a', 'aa', 'ab', 'b', 'c'], { more: false }),
    page({ prefix: 'a', order: 'desc' }, ['ab', 'aa', 'a']),
    page({ after: 'aa' }, ['ab', 'b', 'c']),
    page({ after: 'a0' }, ['aa', 'ab', 'b', 'c']),
    page({ after: 'aa', order: 'desc' }, ['a']),
    page({ prefix: 'a', after: 'a' }, ['aa', 'ab']),
    page({ prefix: 'a', after: 'zz' }, []),
    page({ prefix: 'b', after: 'a' }, ['b']),
    page({ prefix: 'a', after: 'zz', order: 'desc' }, ['ab', 'aa', 'a']),
    page({ start: 'aa', after: 'a' }, ['aa', 'ab', 'b', 'c']),
    page({ after: '' }, ['a', 'aa', 'ab', 'b', 'c']),
    page({ revision: 3 }, ['a', 'c'], { revision: 6 }),
    page({ keysOnly: true, limit: 1 }, ['a']),
    page({ start: 'b', limit: 1, after: 'b', count: true }, ['c'], { count: 2, more: false }),
    page({ start: 'b', countOnly: true }, [], { count: 2, more: false }),
    page({ start: 'z', end: 'a', count: true }, [], { count: 0 }),
    [range({ revision: 9 }), { code: 'future_revision' }],
    [range({ prefix: 'a', start: 'a' }), { code: 'bad_request', calls: 0 }],
    [range({ prefix: 'a', end: 'a' }), { code: 'bad_request', calls: 0 }],
  ]),
  story('keys and bounds of a range are bytes, in the order of bytes', [
    filled('b', 'a/b', '\xff\xff', '\xc3\xa9', '\xff', '\x00', '\xffA'),
    [
      range({ keysOnly: true }),
      {
        records: [
          ['\x00', null, 7, 7, 1],
          ['a/b', null, 3, 3, 1],
          ['b', null, 2, 2, 1],
          ['\xc3\xa9', null, 5, 5, 1],
          ['\xff', null, 6, 6, 1],
          ['\xffA', null, 8, 8, 1],
          ['\xff\xff', null, 4, 4, 1],
        ],
      },
    ],
    [range({ prefix: '\xff\xff' }), { records: [['\xff\xff', '', 4, 4, 1]] }],
    [
      range({ prefix: '\xff', limit: 1, count: true }),
      { records: [['\xff', '', 6, 6, 1]], more: true, count: 3 },
    ],
  ]),
  story('a page has 1000 rows unless told, and at most 10,000', [
    keys(1001),
    [range(), { records: list(1000, (at) => record(at)), more: true }],
    [range({ limit: 10_000, count: true, keysOnly: true }), { more: false, count: 1001 }],
    [range({ limit: 10_001 }), { code: 'bad_request', calls: 0 }],
  ]),
  story(
    'a page ends at the first record that does not fit, and has one at least',
    [
      filled('a=1', `b=${'x'.repeat(600)}`, 'c=1', `d=${'x'.repeat(600)}`),
      [range(), { records: [['a', '1', 2, 2, 1]], more: true }],
      [range({ after: 'a' }), { records: [['b', 'x'.repeat(600), 3, 3, 1]], more: true }],
      [range({ after: 'c' }), { records: [['d', 'x'.repeat(600), 5, 5, 1]], more: false }],
      [range({ after: 'd', order: 'desc' }), { records: [['c', '1', 4, 4, 1]], more: true }],
      [range({ keysOnly: true, limit: 3 }), { more: true }],
    ],
    { limits: { pageBytesMax: 500 } },
  ),
  story('keys that were deleted are passed over, and no page promises more behind them', [
    filled('a'),
    keys(2000),
    [deleteRange({ prefix: 'k' }), { deleted: 2000 }],
    [range({ limit: 1 }), { records: [['a', '', 2, 2, 1]], more: false }],
    [put('z', ''), {}],
    [range({ limit: 1, count: true }), { records: [['a', '', 2, 2, 1]], more: true, count: 2 }],
  ]),
  story('a range of which something was not read is an error', [
    filled('a', 'b'),
    [
      (node) => {
        node.unread = new Error('a table could not be opened')
      },
    ],
    ...[{}, { limit: 1 }, { count: true }, { countOnly: true, prefix: 'a' }].map(
      (options): Row => [range(options), { code: 'internal', detail: 'a table could not be opened' }],
    ),
    [
      (node) => {
        node.unread = new ScanEndedError()
      },
    ],
    [range(), { code: 'overloaded', detail: 'nearly full' }],
    [
      (node) => {
        node.unread = new StorageClosedError()
      },
    ],
    [range(), { code: 'not_ready' }],
    [
      (node) => {
        node.unread = undefined
      },
    ],
    [range({ countOnly: true }), { count: 2 }],
  ]),
  story('a bound may be longer than any key', [
    [put(LONGEST, ''), { revision: 2 }],
    [range({ prefix: LONG_BOUND }), { records: [] }],
    [range({ start: LONG_BOUND }), { records: [] }],
    [range({ end: LONG_BOUND }), { records: [[LONGEST, '', 2, 2, 1]] }],
    [range({ after: LONG_BOUND }), { records: [] }],
    [range({ after: LONG_BOUND, order: 'desc' }), { records: [[LONGEST, '', 2, 2, 1]] }],
  ]),
  story('all keys of a range are deleted at one revision', [
    ...removal({ prefix: 'a' }, ['b', 'c', '\xff']),
    ...removal({ prefix: 'aa' }, ['a', 'ab', 'b', 'c', '\xff']),
    ...removal({ prefix: '\xff' }, ['a', 'aa', 'ab', 'b', 'c']),
    ...removal({ start: 'aa', end: 'b' }, ['a', 'b', 'c', '\xff']),
    ...removal({ start: 'ab' }, ['a', 'aa']),
    ...removal({ end: 'b' }, ['b', 'c', '\xff']),
    ...removal({ start: 'c', end: '\xff' }, ['a', 'aa', 'ab', 'b', '\xff']),
    ...removal({ prefix: 'z' }, KEYS),
    ...removal({ end: '' }, KEYS),
    ...removal({ start: 'c', end: 'a' }, KEYS),
    ...removal({ prefix: '', all: true }, []),
    ...removal({ start: '', all: true }, []),
    ...removal({ prefix: 'a', all: true }, ['b', 'c', '\xff']),
  ]),
  story('a range to delete is named, has no two forms, and is all keys only if that is confirmed', [
    filled('a'),
    [deleteRange({}), invalid('key_empty', 'name a key, or a range by prefix, or by start and end')],
    [deleteRange({ all: true }), invalid('key_empty')],
    [deleteRange({ prefix: '' }), invalid('bad_request', 'this would delete all keys: add all=true')],
    [deleteRange({ start: '' }), invalid('bad_request', 'this would delete all keys')],
    [deleteRange({ prefix: '', all: false }), invalid('bad_request', 'this would delete all keys')],
    [deleteRange({ prefix: 'a', start: 'a' }), invalid('bad_request', 'prefix cannot be combined')],
    [deleteRange({ prefix: 'a', end: 'b' }), invalid('bad_request', 'prefix cannot be combined')],
    longBound({ prefix: LONG_BOUND }, 'prefix of 4098 bytes, at most 4097'),
    longBound({ start: LONG_BOUND }, 'start of 4098 bytes'),
    longBound({ end: LONG_BOUND }, 'end of 4098 bytes'),
  ]),
  story(
    'a range with more keys than the settings allow is not deleted, and its keys are counted',
    [
      filled('a', 'aa', 'ab', 'b'),
      [
        deleteRange({ prefix: 'a' }, { token: 't' }),
        refused('range_too_large', { revision: 5, replayed: false, count: 3, detail: '(range_keys_max)' }),
      ],
      [range({ countOnly: true }), { count: 4 }],
      [deleteRange({ prefix: 'aa' }), { deleted: 1, revision: 6 }],
      [
        deleteRange({ prefix: 'a' }, { token: 't' }),
        refused('range_too_large', { replayed: true, count: 2 }),
      ],
      [
        (node) => {
          node.corrupt = () => true
        },
      ],
      // The refusal stands without a count.
      [deleteRange({ prefix: 'a' }, { token: 't' }), refused('range_too_large', { replayed: true })],
    ],
    { settings: { rangeKeysMax: 2 } },
  ),
  ...[{ token: 't' }, { slot: [1, 0, 3] as const }].map((identity) =>
    story(
      `a range is deleted once under a name: ${Object.keys(identity)}`,
      [
        [{ op: 'open-session' }, { session: 1 }],
        filled('a1', 'a2', 'a3'),
        [deleteRange({ prefix: 'a' }, identity), { deleted: 3, revision: 5, replayed: false }],
        filled('a4', 'a5', 'a6', 'a7'),
        [deleteRange({ prefix: 'a' }, identity), { deleted: 3, revision: 5, replayed: true }],
        [deleteRange({ prefix: 'b' }, identity), refused('idempotency_key_reused')],
        [range({ countOnly: true }), { count: 4 }],
      ],
      { settings: { rangeKeysMax: 3 } },
    ),
  ),
  story('history ends where it is compacted', [
    filled('a=1', 'a=2', 'a=3'),
    [compact(3, { token: 'c' }), { revision: 4, compactRevision: 3, replayed: false }],
    [compact(3, { token: 'c' }), { revision: 4, compactRevision: 3, replayed: true }],
    [compact(3), { revision: 4, compactRevision: 3, replayed: false, etcd: { code: 'compacted' } }],
    [compact(2), refused('compacted', { compactRevision: 3 })],
    [compact(99), refused('future_revision')],
    [get('a', { revision: 2 }), { code: 'compacted', compactRevision: 3 }],
    [get('a', { revision: 3 }), { record: ['a', '2', 2, 3, 2] }],
    [range({ revision: 2 }), { code: 'compacted', compactRevision: 3 }],
  ]),
]

function record(at: number) {
  return [`k${String(at).padStart(4, '0')}`, '', at + 2, at + 2, 1] as const
}
