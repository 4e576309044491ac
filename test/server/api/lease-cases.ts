// Leases: of puts, alone, in batches and in transactions, and keep-alives.

import { expect } from 'vitest'
import type { LeaseId } from '../../../src/operations/forms/index.ts'
import {
  batch,
  type Case,
  invalid,
  keepAlive,
  list,
  put,
  type Row,
  range,
  refused,
  story,
  txn,
} from './steps.ts'

const LAST_ID = '9223372036854775807'

const granted = (...ids: string[]): Row => [
  (node) => {
    for (const id of ids) node.apply({ kind: 'grant', id: id as LeaseId, ttlMs: 30_000 })
  },
]

/** Whether the lease of a key is this one; 0: none. */
const leaseIs = (key: string, id: string, succeeded = true): Row => [
  txn({ compare: [{ key, target: 'lease', op: '=', to: id }] }),
  { succeeded },
]

/** The last command that was proposed has these parts. */
const proposed = (command: object): Row => [
  (node) => expect(node.asked.at(-1)?.request).toMatchObject({ command }),
]

/** The time to live of the lease that the last put of a key made. */
const ownLease = (ttlMs: number): Row => proposed({ lease: { ttlMs } })

export const LEASE_CASES: readonly Case[] = [
  story('a put attaches its key to a lease, and one without a lease detaches it', [
    granted('7'),
    [put('a', '1', { lease: '7' }), { revision: 2 }],
    leaseIs('a', '7'),
    [put('a', '2'), { revision: 3 }],
    leaseIs('a', '0'),
    [put('a', '3', { ttlMs: 3000 }), { revision: 4 }],
    leaseIs('a', '0', false),
    [(node) => expect(node.state.leases.count).toBe(2)],
    // The lease of a time to live ends with its key.
    [put('a', '4'), { revision: 5 }],
    [(node) => expect(node.state.leases.count).toBe(1)],
  ]),
  story('puts in batches and transactions have leases too, and all of a transaction fails with one of them', [
    granted('7'),
    [
      batch([put('a', '', { lease: '7' }), put('b', '', { ttlMs: 3000 }), put('c', '', { lease: '8' })]),
      { results: [[2, 2, 1], [3, 3, 1], 'lease_not_found'] },
    ],
    leaseIs('a', '7'),
    leaseIs('b', '0', false),
    [
      txn({
        success: [{ put: { key: 'd', value: '', lease: '7' } }, { put: { key: 'a', value: '', ttl: '1h' } }],
      }),
      { revision: 4 },
    ],
    leaseIs('d', '7'),
    leaseIs('a', '7', false),
    [
      txn({ success: [{ put: { key: 'x', value: '' } }, { put: { key: 'd', value: '', lease: '8' } }] }),
      refused('lease_not_found', { detail: 'there is no lease 8' }),
    ],
    [range({ countOnly: true }), { count: 3, revision: 4 }],
  ]),
  story(
    'a time to live below what an election takes is raised, and a part of a millisecond counts as a whole one',
    [
      [put('a', '', { ttlMs: 1000 }), {}],
      ownLease(2000),
      [put('a', '', { ttlMs: 2000.25 }), {}],
      ownLease(2001),
      [put('a', '', { ttlMs: 315_360_000_000 }), {}],
      ownLease(315_360_000_000),
      [batch([put('a', '', { ttlMs: 1000 }), put('b', '', { ttlMs: 3000 })]), {}],
      proposed({ commands: [{ lease: { ttlMs: 2000 } }, { lease: { ttlMs: 3000 } }] }),
      [txn({ success: [{ put: { key: 'a', value: '', ttl: '1s' } }] }), {}],
      proposed({ txn: { success: [{ lease: { ttlMs: 2000 } }] } }),
    ],
  ),
  story('a lease of a put exists, and has an id or a time to live of its own', [
    granted('7'),
    [put('a', '', { lease: '8' }), refused('lease_not_found', { detail: 'there is no lease 8' })],
    [put('a', '', { lease: '7', ttlMs: 3000 }), invalid('bad_request', 'lease cannot be combined with ttl')],
    [put('a', '', { lease: '0' }), invalid('bad_request', 'lease must be the id of a lease')],
    [put('a', '', { lease: 'x' }), invalid('bad_request', 'lease must be the id of a lease')],
    [
      put('a', '', { lease: '9223372036854775808' }),
      invalid('bad_request', 'lease must be the id of a lease'),
    ],
    [put('a', '', { ttlMs: 999 }), invalid('bad_request')],
    [put('a', '', { ttlMs: 315_360_000_001 }), invalid('bad_request')],
    [range(), { records: [], revision: 1 }],
  ]),
  story(
    'leases and their keys have limits',
    [
      granted('7'),
      [put('a', '', { lease: '7' }), { revision: 2 }],
      [put('b', '', { lease: '7' }), refused('range_too_large')],
      [put('c', '', { ttlMs: 3000 }), { revision: 3 }],
      [put('d', '', { ttlMs: 3000 }), refused('storage_full', { detail: 'leases_max' })],
      // The lease of the old value ends with it.
      [put('c', '', { ttlMs: 4000 }), { revision: 4 }],
    ],
    { settings: { leasesMax: 2, rangeKeysMax: 1, clusterVersion: 1 } },
  ),
  story('a failed condition shows the lease of the key, also to a copy', [
    granted('7'),
    [put('a', '1', { lease: '7' }), {}],
    ...[false, true].map(
      (replayed): Row => [
        put('a', '2', { ifNoneMatch: '*', token: 't' }),
        refused('precondition_failed', { replayed, current: expect.objectContaining({ lease: '7' }) }),
      ],
    ),
  ]),
  story('leases are kept alive together, and each that is missing is named', [
    granted('7', LAST_ID),
    [
      (node) => {
        node.clusterTimeMs = 4000
      },
    ],
    [keepAlive('7', '8', LAST_ID), { ttlsMs: [30_000, null, 30_000] }],
    [(node) => expect(node.lease('7' as LeaseId)).toMatchObject({ remainingTtlMs: 30_000 })],
    [keepAlive(...list(1000, (at) => `${at + 8}`)), { ttlsMs: list(1000, () => null) }],
    [keepAlive(...list(1001, (at) => `${at + 8}`)), { code: 'bad_request', calls: 0 }],
    [keepAlive(), { code: 'bad_request', calls: 0 }],
    [keepAlive('7', 'x'), { code: 'bad_request', calls: 0 }],
    [keepAlive('9223372036854775808'), { code: 'bad_request', calls: 0 }],
  ]),
]
