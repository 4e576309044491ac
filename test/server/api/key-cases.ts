// One key: puts, deletes, reads, their conditions, their limits, and the names under which they are made once.

import { expect } from 'vitest'
import { encodeUtf8 } from '../../../src/bytes/index.ts'
import { initialState } from '../../../src/kv/index.ts'
import {
  type Case,
  current,
  del,
  filled,
  get,
  invalid,
  type KeyChange,
  OPEN_SESSION,
  put,
  type Row,
  range,
  refused,
  story,
} from './steps.ts'

const LONGEST = '\xff'.repeat(4096)

/** A condition on a key that does not exist, and on one at revision 3, which had revision 2 before. */
function condition(when: Partial<KeyChange>, onMissing: boolean, onPresent: boolean): Row[] {
  const at3 = current('k', 2, 3, 2)
  const reset: Row = [(node) => node.clear(initialState())]
  return ['put', 'delete'].flatMap((op): Row[] => {
    const change = op === 'put' ? put('k', '3', when) : del('k', when)
    return [
      reset,
      [change, onMissing ? {} : refused('precondition_failed', { revision: 1, current: null })],
      reset,
      filled('k=1', 'k=2'),
      [change, onPresent ? {} : refused('precondition_failed', { revision: 3, current: at3 })],
    ]
  })
}

export const KEY_CASES: readonly Case[] = [
  story('a key is created, changed, read and deleted', [
    [put('a', '1'), { revision: 2, put: [2, 2, 1], replayed: false }],
    [put('a', '2'), { revision: 3, put: [2, 3, 2] }],
    [get('a'), { revision: 3, record: ['a', '2', 2, 3, 2], served: 'linearizable' }],
    [del('a'), { revision: 4, deleted: 1 }],
    [del('a'), { revision: 4, deleted: 0 }],
    [get('a'), { revision: 4, record: null, served: 'linearizable' }],
    [put('a', '3'), { revision: 5, put: [5, 5, 1] }],
  ]),
  story('a change is proposed as it was sent, by nobody in particular', [
    [put('a', 'x', { token: 't', since: 1 }), { calls: 1 }],
    [
      (node) =>
        // A clone of any bytes is a Uint8Array.
        expect(structuredClone(node.asked.map(({ request }) => request))).toMatchObject([
          {
            command: { kind: 'put', key: encodeUtf8('a'), value: encodeUtf8('x'), prev: false },
            idempotency: { token: 't', since: 1 },
            principal: '',
          },
        ]),
    ],
  ]),
  story('keys and values are bytes', [
    [put('\xff\x00/../%', '\x00\xfe'), { revision: 2, put: [2, 2, 1] }],
    [put('é', ''), { revision: 3, put: [3, 3, 1] }],
    [get('\xff\x00/../%'), { record: ['\xff\x00/../%', '\x00\xfe', 2, 2, 1] }],
    [get('é'), { record: ['é', '', 3, 3, 1] }],
    [put(LONGEST, 'v'.repeat(2 ** 20)), { revision: 4 }],
    [get(LONGEST), { record: [LONGEST, 'v'.repeat(2 ** 20), 4, 4, 1] }],
  ]),
  story('a put answers with the record before, if it is requested', [
    [put('a', '1', { prev: true }), { put: [2, 2, 1], prev: null }],
    [put('a', '\xff', { prev: true }), { put: [2, 3, 2], prev: ['a', '1', 2, 2, 1] }],
    [put('a', '', { prev: true }), { put: [2, 4, 3], prev: ['a', '\xff', 2, 3, 2] }],
    [
      put('a', '3', { prev: true, token: 't' }),
      invalid('bad_request', 'prev cannot be combined with Idempotency-Key'),
    ],
    [
      put('a', '3', { prev: true, slot: [1, 0, 1] }),
      invalid('bad_request', 'prev cannot be combined with Kv-Session'),
    ],
  ]),
  story('a change whose condition does not hold changes nothing, and shows what is there', [
    ...condition({ ifMatch: '*' }, false, true),
    ...condition({ ifMatch: [3] }, false, true),
    ...condition({ ifMatch: [1, 3] }, false, true),
    ...condition({ ifMatch: [2] }, false, false),
    ...condition({ ifMatch: [0] }, false, false),
    // The same request over every wire, so that a copy over another one is recognized.
    [
      (node) => {
        const command = node.asked.at(-1)?.request?.command
        // Conditions of etcd are comparisons.
        if (command?.kind !== 'txn') expect(command).toMatchObject({ condition: { ifMatch: [0] } })
      },
    ],
    ...condition({ ifNoneMatch: '*' }, true, false),
    ...condition({ ifNoneMatch: [3] }, true, false),
    ...condition({ ifNoneMatch: [2, 3] }, true, false),
    ...condition({ ifNoneMatch: [2] }, true, true),
    ...condition({ ifMatch: [3], ifNoneMatch: [9] }, false, true),
    ...condition({ ifMatch: [2], ifNoneMatch: [9] }, false, false),
    ...condition({ ifMatch: [3], ifNoneMatch: [3] }, false, false),
    ...condition({ ifMatch: '*', ifNoneMatch: '*' }, false, false),
  ]),
  story('under a token a change is made once, and a copy gets the same outcome', [
    [put('a', '1', { token: 't1' }), { revision: 2, put: [2, 2, 1], replayed: false }],
    [put('a', '2'), { revision: 3, put: [2, 3, 2] }],
    [put('a', '1', { token: 't1' }), { revision: 2, put: [2, 2, 1], replayed: true }],
    [put('a', '1', { token: 't1', since: 1 }), { revision: 2, put: [2, 2, 1], replayed: true }],
    [get('a'), { record: ['a', '2', 2, 3, 2] }],
    [put('a', '2', { token: 't1' }), refused('idempotency_key_reused')],
    [del('a', { token: 't1' }), refused('idempotency_key_reused')],
    [put('a', '1', { token: 't2', ifMatch: [9] }), refused('precondition_failed', { replayed: false })],
    [put('a', '1', { token: 't2', ifMatch: [9] }), refused('precondition_failed', { replayed: true })],
    [del('a', { token: 't3' }), { deleted: 1, replayed: false }],
    [del('a', { token: 't3' }), { deleted: 1, replayed: true }],
    [put('a', '1', { token: 'a b' }), invalid('bad_request')],
    [put('a', '1', { token: 't'.repeat(256) }), invalid('bad_request')],
  ]),
  story(
    'a token that was in use before the oldest remembered one is too old',
    [
      [put('a', '1', { token: 't1', since: 1 }), { revision: 2 }],
      [put('a', '1', { token: 't2', since: 1 }), { revision: 3 }],
      [put('a', '1', { token: 't1', since: 1 }), refused('idempotency_expired', { revision: 3 })],
      [put('a', '1', { token: 't3', since: 3 }), { revision: 4 }],
    ],
    { settings: { idempotencyTokensMax: 1 } },
  ),
  story(
    'a refusal from before the log is not remembered, one in the log is',
    [
      [
        (node) => {
          node.problem = { code: 'no_leader', detail: 'there is none', written: 'no' }
        },
      ],
      [put('a', '1', { token: 't' }), refused('no_leader')],
      [
        (node) => {
          node.problem = undefined
        },
      ],
      [put('a', '1', { token: 't' }), { revision: 2, replayed: false }],
      [put('a', 'long', { token: 'u' }), refused('value_too_large', { replayed: false })],
      [put('a', 'long', { token: 'u' }), refused('value_too_large', { replayed: true })],
    ],
    { settings: { valueBytesMax: 3 } },
  ),
  story('under a slot of a session a change is made once', [
    [OPEN_SESSION, { revision: 1, session: 1 }],
    [OPEN_SESSION, { revision: 1, session: 2 }],
    [put('a', '1', { slot: [1, 0, 5] }), { revision: 2, put: [2, 2, 1], replayed: false }],
    [put('a', '2'), { revision: 3 }],
    [put('a', '1', { slot: [1, 0, 5] }), { revision: 2, put: [2, 2, 1], replayed: true }],
    [put('a', '2', { slot: [1, 0, 5] }), refused('idempotency_key_reused')],
    [put('a', '2', { slot: [1, 0, 4] }), refused('idempotency_expired')],
    [put('a', '2', { slot: [77, 0, 1] }), refused('idempotency_expired')],
    [put('a', '3', { slot: [2, 0, 5] }), { revision: 4, replayed: false }],
    [put('a', '4', { slot: [1, 4095, 2 ** 48 - 1] }), { revision: 5, replayed: false }],
    [put('a', '2', { slot: [0, 0, 1] }), invalid('bad_request')],
    [put('a', '2', { slot: [1, 4096, 1] }), invalid('bad_request')],
    [put('a', '2', { slot: [1, 0, 0] }), invalid('bad_request')],
    [put('a', '2', { slot: [1, 0, 2 ** 48] }), invalid('bad_request')],
  ]),
  story(
    'keys and values have limits',
    [
      [put('', '1'), invalid('key_empty', 'the key is empty')],
      // In etcd's API the store decides.
      [
        put(`${LONGEST}k`, '1'),
        { ...invalid('key_too_long', 'key of 4097 bytes, at most 4096'), etcd: { calls: 1 } },
      ],
      // The settings may allow larger values through etcd's API: those of a new cluster do.
      [put('a', 'v'.repeat(2 ** 20 + 1)), { ...invalid('value_too_large'), etcd: { calls: 1 } }],
      [get(''), invalid('key_empty')],
      [get(`${LONGEST}k`), { ...invalid('key_too_long'), etcd: { code: undefined, calls: 1, record: null } }],
      [del(''), invalid('key_empty')],
      [del(`${LONGEST}k`), { ...invalid('key_too_long'), etcd: { calls: 1 } }],
      [range(), { records: [] }],
    ],
    { settings: { valueBytesMax: 2 ** 20 } },
  ),
  story(
    'the settings of the cluster limit keys, values and the store',
    [
      [put('abc', ''), refused('key_too_long', { detail: 'key of 3 bytes, at most 2' })],
      [put('a', '1234'), refused('value_too_large')],
      [put('a', '123'), { revision: 2 }],
      [put('b', '123'), { revision: 3 }],
      [put('c', ''), refused('storage_full')],
      [del('b'), { deleted: 1, revision: 4 }],
    ],
    { settings: { keyBytesMax: 2, valueBytesMax: 3, storeBytesMax: 8 } },
  ),
  story('reads are as fresh as requested, and say how fresh they are', [
    filled('a=1', 'a=2'),
    [
      (node) => {
        node.stalenessMs = 12.3
      },
    ],
    [get('a', { consistency: 'stale' }), { record: ['a', '2', 2, 3, 2], served: 'stale', stalenessMs: 13 }],
    [get('none', { consistency: 'stale' }), { record: null, served: 'stale', stalenessMs: 13 }],
    [range({ consistency: 'stale', maxStalenessMs: 500 }), { served: 'stale', stalenessMs: 13 }],
    [
      (node) =>
        expect(node.asked.at(-1)?.options).toMatchObject({ consistency: 'stale', maxStalenessMs: 500 }),
    ],
    [get('a', { consistency: 'lease', minRevision: 2 }), { served: 'lease' }],
    [
      (node) => {
        expect(node.asked.at(-1)?.options).toMatchObject({ consistency: 'lease', minRevision: 2 })
        node.served = 'linearizable'
      },
    ],
    [get('a', { consistency: 'lease' }), { served: 'linearizable' }],
    [get('a', { maxStalenessMs: 5 }), invalid('bad_request', 'max_staleness is for stale reads')],
    [range({ consistency: 'lease', maxStalenessMs: 5 }), invalid('bad_request', 'max_staleness')],
  ]),
  story('a key is read as it was at a revision', [
    filled('a=1', 'b=1', 'a=2'),
    [get('a', { revision: 3 }), { revision: 4, record: ['a', '1', 2, 2, 1] }],
    [get('a', { revision: 4 }), { record: ['a', '2', 2, 4, 2] }],
    [get('b', { revision: 2 }), { record: null }],
    [get('a', { revision: 9 }), { code: 'future_revision' }],
  ]),
  story('rows that cannot be read are an error of the node', [
    filled('a=1'),
    [
      (node) => {
        node.corrupt = () => true
      },
    ],
    [get('a'), { code: 'internal', detail: 'the CRC of a row does not hold' }],
    [get('a', { revision: 2 }), { code: 'internal' }],
    [range(), { code: 'internal' }],
  ]),
  story('the outcome of another command leaves open whether the change was made', [
    [
      (node) => {
        const outcome = { kind: 'settings', revision: node.revision, settings: node.state.settings } as const
        node.propose = (_request, _timeoutMs, done) => done({ ok: true, value: { outcome, replayed: false } })
      },
    ],
    [put('a', '1'), { code: 'internal', detail: 'another command: settings' }],
    [del('a'), { code: 'internal', detail: 'another command: settings' }],
  ]),
]
