import { expect, test } from 'vitest'
import { factsOf } from './differential/facts.ts'
import type { JsonObject } from './differential/frame.ts'

const member = { id: 'self', name: 'n1', peerUrls: ['http://a'], clientUrls: ['http://b', 'http://c'] }
const header = { revision: 10 }
const status = { header, leader: 'self', version: '3.6.0', raftIndex: 7, raftAppliedIndex: 6, raftTerm: 2 }

/** RPCs, each with a response, and with changes of it that etcd and quorate may not have. */
const RESPONSES: Readonly<Record<string, readonly [JsonObject, readonly JsonObject[]]>> = {
  authenticate: [{ header, token: 'a token' }, [{ header: {} }, { token: '' }]],
  status: [
    status,
    [
      { header: { revision: 11 } },
      { leader: 'chosen' },
      { isLearner: true },
      { errors: ['a fault'] },
      { version: '3.6' },
      { raftAppliedIndex: 8 },
      { raftAppliedIndex: 0 },
      { raftTerm: 0 },
    ],
  ],
  authStatus: [
    { header, enabled: true, authRevision: 3 },
    [{ header: {} }, { enabled: false }, { authRevision: 0 }],
  ],
  hash: [{ header, hash: 5 }, [{ header: {} }]],
  hashKv: [{ header, hash: 5, compactRevision: 10 }, [{ header: {} }, { compactRevision: 9 }]],
  ...Object.fromEntries(
    ['memberList', 'memberRemove', 'memberPromote'].map((rpc) => [
      rpc,
      [
        { header, members: [member] },
        [
          { header: {} },
          { members: [] },
          { members: [member, member] },
          ...[
            { id: 'chosen' },
            { isLearner: true },
            { name: '' },
            { peerUrls: [] },
            { peerUrls: ['http://a', 'http://b'] },
            { clientUrls: ['http://b'] },
            { clientUrls: [] },
          ].map((change) => ({ members: [{ ...member, ...change }] })),
        ],
      ] as const,
    ]),
  ),
  put: [{ header, prevKv: { key: 'a' } }, [{ header: {} }, { prevKv: { key: 'b' } }, { more: true }]],
}

const CASES = Object.entries(RESPONSES).flatMap(([rpc, [response, changes]]) =>
  changes.map((change) => [rpc, change, response] as const),
)

test.each(CASES)('%s: %j is another response', (rpc, change, response) => {
  expect(factsOf(rpc, { ...response, ...change })).not.toEqual(factsOf(rpc, response))
})

test('what a server has for itself is the same on both', () => {
  const own: readonly (readonly [string, JsonObject, JsonObject])[] = [
    ['authenticate', { header, token: 'a' }, { header, token: 'b' }],
    ['hash', { header, hash: 5 }, { header, hash: 6 }],
    ['hashKv', { header, hash: 5 }, { header, hash: 6 }],
    ['status', status, { ...status, version: '3.4.23', raftIndex: 100, raftAppliedIndex: 100, raftTerm: 9 }],
    [
      'memberList',
      { members: [member] },
      { members: [{ ...member, name: 'e0', clientUrls: ['http://d', 'x'] }] },
    ],
  ]
  for (const [rpc, one, other] of own) expect(factsOf(rpc, one)).toEqual(factsOf(rpc, other))
})
