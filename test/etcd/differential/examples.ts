// Conversations that are recorded with etcd, and repeated in `npm test`, by their files in `test/etcd/testdata`.

import { CONFD } from './confd.ts'
import type { Step } from './conversation.ts'
import { COREDNS } from './coredns.ts'
import type { JsonObject } from './frame.ts'
import { COORDINATION_EXAMPLES, MAINTENANCE_EXAMPLES, USER_EXAMPLES } from './service-examples.ts'

const put = (key: string, value: string, more: JsonObject = {}): Step => ({
  rpc: 'put',
  request: { key, value, ...more },
})
const range = (key: string, more: JsonObject = {}): Step => ({ rpc: 'range', request: { key, ...more } })
const remove = (key: string, more: JsonObject = {}): Step => ({
  rpc: 'deleteRange',
  request: { key, ...more },
})
const txn = (request: JsonObject): Step => ({ rpc: 'txn', request })
const compact = (revision: number): Step => ({ rpc: 'compact', request: { revision, physical: true } })
const grant = (id: number, ttl = 300): Step => ({ rpc: 'leaseGrant', request: { id, ttl } })
const lease = (
  rpc: 'leaseRevoke' | 'leaseKeepAlive' | 'leaseTimeToLive',
  id: number,
  more: JsonObject = {},
): Step => ({
  rpc,
  request: { id, ...more },
})
const watch = (createRequest: JsonObject, stream = 0): Step => ({
  rpc: 'watch',
  stream,
  request: { createRequest },
})
const cancel = (watchId: number): Step => ({
  rpc: 'watch',
  stream: 0,
  request: { cancelRequest: { watchId } },
})
const PROGRESS: Step = { rpc: 'watch', stream: 0, request: { progressRequest: {} } }
const LEASES: Step = { rpc: 'leaseLeases', request: {} }

/** Four keys, of which `a` has three versions. They are at the revisions 11 to 16. */
const FILLED = [put('a', '3'), put('b', '1'), put('a', '2'), put('ab', '2'), put('c', '1'), put('a', '1')]
const ALL: JsonObject = { rangeEnd: 'd' }
const sorts = [0, 1, 2].flatMap((sortOrder) =>
  [0, 1, 2, 3, 4].map((sortTarget) => range('a', { ...ALL, sortOrder, sortTarget })),
)
const MANY = Array.from({ length: 129 }, () => ({ requestRange: { key: 'a' } }))
const comparisons = [0, 1, 2, 3].flatMap((result) =>
  [
    { target: 0, version: 3 },
    { target: 1, createRevision: 12 },
    { target: 2, modRevision: 16 },
    { target: 3, value: '1' },
    { target: 4, lease: 1 },
  ].flatMap((to) =>
    [{ key: 'a' }, { key: 'a', rangeEnd: 'd' }, { key: 'none' }].map((at) =>
      txn({ compare: [{ result, ...to, ...at }] }),
    ),
  ),
)

/** As the lock of python3-etcd3 is taken and released: its key has the value of its holder. */
const takeLock = (holder: string, leaseId: number): Step =>
  txn({
    compare: [{ target: 1, result: 0, key: '/locks/l', createRevision: 0 }],
    success: [{ requestPut: { key: '/locks/l', value: holder, lease: leaseId } }],
    failure: [{ requestRange: { key: '/locks/l' } }],
  })
const releaseLock = (holder: string): Step =>
  txn({
    compare: [{ target: 3, result: 0, key: '/locks/l', value: holder }],
    success: [{ requestDeleteRange: { key: '/locks/l' } }],
  })
const replace = (key: string, before: string, value: string): Step =>
  txn({
    compare: [{ target: 3, result: 0, key, value: before }],
    success: [{ requestPut: { key, value } }],
  })
/** As Traefik lists its configuration. */
const TREE: JsonObject = { rangeEnd: 'traefil', sortOrder: 2, sortTarget: 0 }

export const EXAMPLES: Readonly<Record<string, Readonly<Record<string, readonly Step[]>>>> = {
  keys: {
    'a put tells the key before': [
      put('a', '1', { prevKv: true }),
      put('a', '2', { prevKv: true }),
      put('a', ''),
      range('a'),
    ],
    'a put keeps what it ignores': [
      put('a', '', { ignoreValue: true }),
      put('a', '1', { ignoreLease: true }),
      grant(1),
      put('a', '1', { lease: 1 }),
      put('a', '2', { ignoreLease: true, prevKv: true }),
      put('a', '', { ignoreValue: true, prevKv: true }),
      range('a'),
    ],
    'requests that a put refuses': [
      put('', '1'),
      put('', '1', { ignoreValue: true }),
      put('a', '1', { ignoreValue: true }),
      put('a', '1', { ignoreLease: true, lease: 1 }),
      put('a', '1', { lease: 7 }),
      put('a', '1', { lease: -1 }),
    ],
    'keys that are deleted': [
      ...FILLED,
      remove('none', { prevKv: true }),
      remove('a', { prevKv: true }),
      remove('b', { rangeEnd: 'a' }),
      remove('a', { ...ALL, prevKv: true }),
      put('a', '9'),
      remove('\0', { rangeEnd: '\0' }),
      remove(''),
      range('\0', { rangeEnd: '\0' }),
    ],
    'ranges and their limits': [
      ...FILLED,
      range('a', ALL),
      range('a', { ...ALL, limit: 2 }),
      range('a', { ...ALL, limit: 4 }),
      range('a', { ...ALL, limit: -1 }),
      range('a', { ...ALL, keysOnly: true }),
      range('a', { ...ALL, countOnly: true, limit: 1 }),
      range('b', { rangeEnd: '\0', serializable: true }),
      range('\0', { rangeEnd: '\0' }),
      range('c', { rangeEnd: 'a' }),
      range('a', { countOnly: true }),
      range(''),
    ],
    'orders of a range': [
      ...FILLED,
      ...sorts,
      range('a', { ...ALL, sortTarget: 4, keysOnly: true, limit: 2 }),
    ],
    'filters of a range': [
      ...FILLED,
      range('a', { ...ALL, minModRevision: 14 }),
      range('a', { ...ALL, maxModRevision: 14, limit: 1 }),
      range('a', { ...ALL, minCreateRevision: 12, maxCreateRevision: 14 }),
      range('a', { ...ALL, minModRevision: 90, countOnly: true }),
      range('a', { maxModRevision: 11 }),
    ],
    'reads of earlier revisions': [
      ...FILLED,
      ...[-1, 0, 9, 10, 11, 13, 16, 17].map((revision) => range('a', { ...ALL, revision })),
      remove('a'),
      range('a', { revision: 16 }),
      compact(16),
      range('a', { revision: 16 }),
      range('a', { revision: 15 }),
      compact(16),
      compact(12),
      compact(99),
      compact(0),
    ],
  },
  transactions: {
    'results of comparisons': [...FILLED, ...comparisons],
    'operations see those before them': [
      ...FILLED,
      txn({
        success: [
          { requestRange: { key: 'a', ...ALL } },
          { requestPut: { key: 'a', value: '7', prevKv: true } },
          { requestRange: { key: 'a', ...ALL, limit: 2 } },
          { requestDeleteRange: { key: 'b', rangeEnd: 'd', prevKv: true } },
          { requestRange: { key: 'a', ...ALL, keysOnly: true, sortOrder: 2, sortTarget: 3 } },
        ],
      }),
      range('a', ALL),
    ],
    'nested transactions compare before any change': [
      ...FILLED,
      txn({
        compare: [{ key: 'a', target: 0, version: 3 }],
        success: [
          { requestPut: { key: 'a', value: '8' } },
          {
            requestTxn: {
              compare: [{ key: 'a', target: 0, version: 4 }],
              success: [{ requestPut: { key: 'x', value: 'after' } }],
              failure: [{ requestPut: { key: 'x', value: 'before' } }, { requestRange: { key: 'x' } }],
            },
          },
        ],
        failure: [{ requestDeleteRange: { key: 'a' } }],
      }),
      range('a', { rangeEnd: 'z' }),
    ],
    'transactions without changes': [
      txn({}),
      txn({ success: [{ requestTxn: {} }, { requestDeleteRange: { key: 'a' } }] }),
      txn({ compare: [{ key: 'a', target: 3, value: '' }], failure: [{ requestRange: { key: 'a' } }] }),
    ],
    'requests that a transaction refuses': [
      txn({ success: MANY }),
      txn({ compare: MANY.map(() => ({ key: 'a' })) }),
      txn({ success: [{}] }),
      txn({ success: [{ requestPut: { key: '' } }] }),
      txn({ compare: [{ key: '' }] }),
      txn({ success: [{ requestPut: { key: 'a' } }, { requestPut: { key: 'a' } }] }),
      txn({ success: [{ requestPut: { key: 'a' } }, { requestDeleteRange: { key: 'a', rangeEnd: 'b' } }] }),
      txn({
        success: [
          { requestPut: { key: 'a' } },
          { requestTxn: { failure: [{ requestPut: { key: 'a' } }], success: [] } },
        ],
      }),
      txn({ success: [{ requestPut: { key: 'a' } }], failure: [{ requestPut: { key: 'a' } }] }),
      txn({ success: [{ requestPut: { key: 'b' } }, { requestPut: { key: 'c', lease: 9 } }] }),
      txn({ success: [{ requestPut: { key: 'b' } }, { requestPut: { key: 'c', ignoreValue: true } }] }),
      range('b'),
    ],
  },
  leases: {
    'keys of a lease': [
      grant(1),
      grant(2),
      put('a', '1', { lease: 1 }),
      put('b', '1', { lease: 1 }),
      put('b', '2', { lease: 2 }),
      lease('leaseTimeToLive', 1, { keys: true }),
      lease('leaseTimeToLive', 2, { keys: true }),
      put('a', '2'),
      lease('leaseTimeToLive', 1, { keys: true }),
      LEASES,
      lease('leaseRevoke', 2),
      range('a', ALL),
      LEASES,
    ],
    'leases that do not exist': [
      lease('leaseRevoke', 0),
      lease('leaseRevoke', 5),
      lease('leaseKeepAlive', 5),
      lease('leaseKeepAlive', 0),
      lease('leaseTimeToLive', 5, { keys: true }),
      lease('leaseTimeToLive', 0),
      LEASES,
    ],
    'leases that are granted': [
      grant(1),
      grant(1),
      lease('leaseKeepAlive', 1),
      grant(0, 100),
      grant(2, -1),
      grant(3, 0),
      grant(4, 1),
      grant(5, 9_000_000_001),
      lease('leaseTimeToLive', 1),
    ],
  },
  watches: {
    'events of a key and of a range': [
      watch({ key: 'a', prevKv: true }),
      watch({ key: 'a', ...ALL }),
      watch({ key: 'b', rangeEnd: '\0', prevKv: true }, 1),
      ...FILLED,
      remove('a', ALL),
      txn({ success: [{ requestPut: { key: 'a', value: 'x' } }, { requestPut: { key: 'b', value: 'x' } }] }),
      grant(1),
      put('b', 'y', { lease: 1 }),
      lease('leaseRevoke', 1),
    ],
    'filters of a watch': [
      watch({ key: 'a', ...ALL, filters: [0] }),
      watch({ key: 'a', ...ALL, filters: [1] }),
      watch({ key: 'a', ...ALL, filters: [0, 1] }),
      ...FILLED,
      remove('a', ALL),
    ],
    'the past and the future': [
      ...FILLED,
      watch({ key: 'a', ...ALL, startRevision: 11, prevKv: true }),
      watch({ key: 'a', startRevision: 16 }),
      watch({ key: 'a', startRevision: 19, fragment: true }, 1),
      put('a', '17'),
      put('a', '18'),
      put('a', '19'),
      watch({ key: 'a', startRevision: 10 }, 1),
    ],
    'a start that is compacted': [
      ...FILLED,
      compact(14),
      watch({ key: 'a', ...ALL, startRevision: 12 }),
      watch({ key: 'a', ...ALL, startRevision: 9 }),
      watch({ key: 'a', startRevision: 14 }),
      put('a', '17'),
      cancel(0),
      cancel(1),
      cancel(1),
    ],
    'ids of watches': [
      watch({ key: 'a', watchId: 1 }),
      watch({ key: 'b' }),
      watch({ key: 'c' }),
      watch({ key: 'c', watchId: 2 }),
      watch({ key: 'a', watchId: 1 }),
      put('a', '1'),
      cancel(1),
      cancel(7),
      put('a', '2'),
      watch({ key: 'a', watchId: 1 }),
      put('a', '3'),
    ],
    'ranges of a watch': [
      watch({}),
      watch({ rangeEnd: '\0' }),
      watch({ key: 'c', rangeEnd: 'a' }),
      watch({ key: 'c', rangeEnd: 'c' }),
      ...FILLED,
    ],
    'progress of all watches': [
      PROGRESS,
      watch({ key: 'a' }),
      put('a', '1'),
      PROGRESS,
      put('b', '1'),
      PROGRESS,
    ],
  },
  users: USER_EXAMPLES,
  coordination: COORDINATION_EXAMPLES,
  maintenance: MAINTENANCE_EXAMPLES,
  confd: CONFD,
  coredns: COREDNS,
  'python-etcd3': {
    'a lock': [
      grant(1, 60),
      takeLock('1', 1),
      grant(2, 60),
      takeLock('2', 2),
      watch({ key: '/locks/l' }),
      range('/locks/l'),
      lease('leaseKeepAlive', 1),
      releaseLock('2'),
      releaseLock('1'),
      takeLock('2', 2),
      cancel(0),
      range('/locks/l'),
    ],
    'a key that is replaced': [
      put('/doot/thing', 'toot'),
      replace('/doot/thing', 'toot', 'doot'),
      replace('/doot/thing', 'toot', 'boot'),
      range('/doot/thing'),
    ],
    'prefixes that are read and watched': [
      watch({ key: '/doot/', rangeEnd: '/doot0' }),
      ...['x', 'n', 'm'].map((key) => put(`/doot/${key}`, key)),
      range('/doot/', { rangeEnd: '/doot0', sortOrder: 1 }),
      range('/doot/', { rangeEnd: '/doot0', sortOrder: 2, keysOnly: true }),
      remove('/doot/', { rangeEnd: '/doot0', prevKv: true }),
      cancel(0),
    ],
  },
  traefik: {
    'a configuration that is read and watched': [
      range('traefik/none'),
      range('traefik', TREE),
      ...[
        ['http/routers/r/rule', 'Path(`/`)'],
        ['http/routers/r/service', 's'],
        ['http/services/s/loadbalancer/servers/0/url', 'http://127.0.0.1'],
      ].map(([key, value = '']) => txn({ success: [{ requestPut: { key: `traefik/${key}`, value } }] })),
      range('traefik', TREE),
      watch({ key: 'traefik', rangeEnd: 'traefil', startRevision: 14 }),
      put('traefik/http/routers/r/service', 't'),
      range('traefik', TREE),
      remove('traefik', { rangeEnd: 'traefil' }),
      range('traefik', TREE),
    ],
  },
}
