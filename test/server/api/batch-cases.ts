// Batches: changes of keys in one entry, each with its own revision and its own outcome.

import { BATCH_COMMANDS_MAX } from '../../../src/operations/batch.ts'
import {
  batch,
  type Case,
  del,
  filled,
  get,
  invalid,
  list,
  OPEN_SESSION,
  put,
  type Row,
  range,
  refused,
  story,
} from './steps.ts'

const CHANGES = [put('a', '1'), put('a', '1', { ifNoneMatch: '*' }), put('b', '2')]

export const BATCH_CASES: readonly Case[] = [
  story('the changes of a batch are made in their order, each on what those before it left', [
    filled('a=1', 'b=1'),
    [
      batch([put('a', '2'), put('a', '3'), del('a'), del('a'), put('a', '4'), del('z')]),
      {
        ...{ revision: 7, replayed: false, calls: 1 },
        results: [
          ...[[2, 4, 2], [2, 5, 3], { deleted: 1, revision: 6 }, { deleted: 0, revision: 6 }],
          ...[[7, 7, 1], { deleted: 0, revision: 7 }],
        ],
      },
    ],
    [get('a'), { record: ['a', '4', 7, 7, 1] }],
  ]),
  story('a change of a batch that fails stops no other', [
    filled('a=1', 'b=1'),
    [
      batch([
        put('a', '2', { ifMatch: [2] }),
        put('a', '3', { ifMatch: [2] }),
        put('a', '3', { ifMatch: [1, 4] }),
        del('b', { ifMatch: '*' }),
        put('b', '1', { ifNoneMatch: '*' }),
        put('c', '1', { ifMatch: [9], ifNoneMatch: [1] }),
        put('c', '1', { lease: '5' }),
        del('a', { ifMatch: [5] }),
      ]),
      {
        revision: 8,
        results: [
          ...[[2, 4, 2], 'precondition_failed', [2, 5, 3], { deleted: 1, revision: 6 }, [7, 7, 1]],
          ...['precondition_failed', 'lease_not_found', { deleted: 1, revision: 8 }],
        ],
      },
    ],
  ]),
  story('a batch without an effect has the revision of the store', [
    filled('a=1'),
    [batch([del('z')]), { revision: 2, results: [{ deleted: 0, revision: 2 }] }],
    [
      batch([del('a', { ifMatch: [9] }), del('z', { ifMatch: '*' })]),
      { revision: 2, results: ['precondition_failed', 'precondition_failed'] },
    ],
  ]),
  story('keys and values of a batch are bytes', [
    [batch([put('\xff\x00', '\x00\xff'), put('é', '')]), { revision: 3 }],
    [get('\xff\x00'), { record: ['\xff\x00', '\x00\xff', 2, 2, 1] }],
    [get('é'), { record: ['é', '', 3, 3, 1] }],
  ]),
  story(
    'the settings of the cluster refuse single changes of a batch',
    [
      [
        batch([put('aaa', '1'), put('a', '1234'), put('a', '123'), put('b', '')]),
        { revision: 2, results: ['key_too_long', 'value_too_large', [2, 2, 1], 'storage_full'] },
      ],
    ],
    { settings: { keyBytesMax: 2, valueBytesMax: 3, storeBytesMax: 4 } },
  ),
  ...[{ token: 't' }, { slot: [1, 7, 3] as const }].map((identity) =>
    story(`a batch is made once under a name: ${Object.keys(identity)}`, [
      [OPEN_SESSION, { session: 1 }],
      [
        batch(CHANGES, identity),
        { revision: 3, results: [[2, 2, 1], 'precondition_failed', [3, 3, 1]], replayed: false },
      ],
      [del('a'), { revision: 4 }],
      [
        batch(CHANGES, identity),
        { revision: 3, results: [[2, 2, 1], 'precondition_failed', [3, 3, 1]], replayed: true },
      ],
      ...[CHANGES.toReversed(), CHANGES.slice(0, 1), [...CHANGES, del('q')]].map(
        (others): Row => [batch(others, identity), refused('idempotency_key_reused')],
      ),
      [range({ countOnly: true }), { count: 1, revision: 4 }],
    ]),
  ),
  story('nothing of a batch is made under a session that is not open', [
    [batch([put('a', '1')], { slot: [77, 1, 1] }), refused('idempotency_expired', { revision: 1 })],
  ]),
  story('a batch has 1 to 1000 changes, each of them well formed, or nothing of it is made', [
    [batch(list(BATCH_COMMANDS_MAX, () => del('a', { ifMatch: [1, 2, 3] }))), { revision: 1 }],
    [batch(list(BATCH_COMMANDS_MAX + 1, () => del('a'))), invalid('bad_request')],
    [batch([]), invalid('bad_request')],
    [batch([put('a', '1'), put('', '1')]), invalid('key_empty')],
    [batch([put('a', '1'), del('')]), invalid('key_empty')],
    [batch([put('a', '1'), put('k'.repeat(4097), '')]), invalid('key_too_long')],
    [batch([put('a', '1'), put('a', 'v'.repeat(2 ** 20 + 1))]), invalid('value_too_large')],
    [batch([put('a', '1'), put('a', '1', { lease: '7', ttlMs: 3000 })]), invalid('bad_request')],
    [batch([put('a', '1')], { token: 'a b' }), invalid('bad_request')],
    [range(), { records: [], revision: 1 }],
  ]),
]
