// A wrong argument causes a TypeError that names it, before anything is sent. Each row: the call, and the parts of the
// message.

import { describe, expect, test } from 'vitest'
import { Client } from '../../src/client/index.ts'
import { clientOf, fake } from './with-fakes.ts'

/** TypeScript would reject these calls; plain JavaScript does not. */
type Loose = Record<string, (...args: unknown[]) => Promise<unknown>>

/** A transaction that contains itself. */
function endless(): unknown {
  const success: unknown[] = []
  const txn = { success }
  success.push({ txn })
  return txn
}

const member = { name: 'n4', replicaId: '9', peer: '127.0.0.1:4', url: 'http://127.0.0.1:5' }

const rows: [call: string, args: unknown[], ...says: string[]][] = [
  ['put', ['k', undefined], 'put: value must be', 'not undefined'],
  ['put', ['k', null], 'value', 'not null'],
  ['put', ['k', 5], 'value', 'not 5'],
  ['put', ['k', { a: 1 }], 'value', 'an object (Object)'],
  ['put', ['k', new ArrayBuffer(1)], 'value', 'ArrayBuffer'],
  ['putJson', ['k', undefined], 'putJson: value must be JSON', 'not undefined'],
  ['putJson', ['k', () => {}], 'putJson: value must be JSON', 'not function'],
  ['put', ['k', new Uint16Array(1)], 'value', 'Uint16Array'],
  ['put', ['k'], 'value', 'undefined'],
  ['put', ['k', '\ud800'], 'value', 'Unicode'],
  ['put', [undefined, 'v'], 'put: key must be', 'undefined'],
  ['put', [7, 'v'], 'key', '7'],
  ['put', ['\udc00', 'v'], 'key', 'Unicode'],
  ['put', ['k', 'v', { ifAbsnt: true }], '"ifAbsnt"', 'did you mean ifAbsent?'],
  ['put', ['k', 'v', { ifRevison: 1 }], '"ifRevison"', 'did you mean ifRevision?'],
  ['put', ['k', 'v', { ifRevision: undefined }], 'ifRevision is undefined'],
  ['put', ['k', 'v', { ifAbsent: undefined }], 'ifAbsent is undefined'],
  ['put', ['k', 'v', { ifRevision: null }], 'ifRevision', 'null'],
  ['put', ['k', 'v', { ifRevision: '5' }], 'ifRevision', '"5"'],
  ['put', ['k', 'v', { ifRevision: 1.5 }], 'ifRevision', '1.5'],
  ['put', ['k', 'v', { ifRevision: -1 }], 'ifRevision', '-1'],
  ['put', ['k', 'v', { ifRevision: Number.NaN }], 'ifRevision', 'NaN'],
  ['put', ['k', 'v', { ifAbsent: 'yes' }], 'ifAbsent', '"yes"'],
  ['put', ['k', 'v', { ifAbsent: true, ifRevision: 5 }], 'ifAbsent', 'ifRevision', 'contradict'],
  ['put', ['k', 'v', null], 'options', 'null'],
  ['put', ['k', 'v', 5], 'options', '5'],
  ['put', ['k', 'v', [1]], 'options', '[1]'],
  ['put', ['k', 'v', AbortSignal.abort()], 'no option'],
  ['put', ['k', 'v', { signal: 5 }], 'signal', '5'],
  ['put', ['k', 'v', { timeoutMs: 0 }], 'timeoutMs', 'above 0'],
  ['put', ['k', 'v', { timeoutMs: '5s' }], 'timeoutMs', '"5s"'],
  ['put', ['k', 'v', { timeoutMs: Number.NaN }], 'timeoutMs', 'NaN'],
  ['put', ['k', 'v', { constructor: 1 }], '"constructor"'],
  ['get', [], 'get: key', 'undefined'],
  ['get', [['k']], 'key', '["k"]'],
  ['get', ['k', 'stale'], 'options', '"stale"'],
  ['get', ['k', { consistancy: 'stale' }], 'did you mean consistency?'],
  ['get', ['k', { consistency: 'eventual' }], 'consistency', 'linearizable, lease, stale'],
  ['get', ['k', { consistency: 'stale', maxStalenessMs: 0 }], 'maxStalenessMs'],
  ['get', ['k', { consistency: 'stale', maxStalenessMs: Number.POSITIVE_INFINITY }], 'maxStalenessMs'],
  ['get', ['k', { maxStalenessMs: 5 }], 'maxStalenessMs', "consistency: 'stale'"],
  ['get', ['k', { consistency: 'lease', maxStalenessMs: 5 }], "consistency: 'stale'"],
  ['get', ['k', { minRevision: '7' }], 'minRevision', '"7"'],
  ['get', ['k', { minRevision: 2 ** 60 }], 'minRevision'],
  ['get', ['k', { onAnswer: true }], 'onAnswer', 'a function'],
  ['get', ['k', { ifRevision: 1 }], '"ifRevision"'],
  ['delete', [undefined], 'delete: key'],
  ['put', ['k', 'v', { lease: '7', ttlMs: 1000 }], 'lease and ttlMs contradict'],
  ['put', ['k', 'v', { lease: 7 }], 'lease', 'id of a lease'],
  ['put', ['k', 'v', { ttlMs: 10 }], 'ttlMs', 'from 1,000 to 315,360,000,000 (ten years), not 10'],
  ['put', ['k', 'v', { ttl: 5 }], 'did you mean ttlMs?'],
  ['grantLease', [{}], 'grantLease: ttlMs', 'undefined'],
  ['grantLease', [{ ttlMs: 'a' }], 'ttlMs', '"a"'],
  ['grantLease', [{ ttlMs: 1000, id: '0' }], 'id', 'id of a lease'],
  ['grantLease', [{ ttlMs: 1000, ID: '1' }], '"ID"'],
  ['keepLeaseAlive', ['9223372036854775808'], 'id of a lease'],
  ['keepLeaseAlive', [7], 'id of a lease'],
  ['keepLeasesAlive', ['7'], 'list of ids'],
  ['keepLeasesAlive', [['7', '-7']], 'list of ids'],
  ['lease', ['07'], 'id of a lease'],
  ['lease', ['7', { key: true }], 'did you mean keys?'],
  ['revokeLease', [undefined], 'id of a lease'],
  ['session', [{ ttlMs: 1000, lease: '7' }], 'lease and ttlMs contradict'],
  ['session', [{ ttlMs: -1 }], 'ttlMs', 'from 1,000'],
  ['session', [{ ttl: 5 }], 'did you mean ttlMs?'],
  ['delete', ['k', { ifAbsent: true }], '"ifAbsent"'],
  ['delete', ['k', { ifRevision: undefined }], 'ifRevision is undefined'],
  ['delete', ['k', 7], 'options', '7'],
  ['count', ['prefix/'], 'options', '"prefix/"'],
  ['count', [{ prefx: 'a' }], 'did you mean prefix?'],
  ['count', [{ limit: 5 }], '"limit"'],
  ['count', [{ prefix: 'a', start: 'b' }], 'prefix', 'start'],
  ['get', ['k', { revision: 0 }], 'revision must be a revision, a whole number from 1 on, not 0'],
  ['count', [{ revision: '7' }], 'count: revision', '"7"'],
  ['txn', [], 'txn: options must be an object, not undefined'],
  ['txn', [[]], 'txn: options', '[]'],
  ['txn', [{ compares: [] }], 'txn: there is no option "compares"', 'did you mean compare?'],
  ['txn', [{ success: {} }], 'success must be a list'],
  ['txn', [{ compare: undefined }], 'txn: compare is undefined'],
  ['txn', [{ success: [{ txn: { compare: undefined } }] }], 'txn: success[0].txn: compare is undefined'],
  ['txn', [{ compare: [5] }], 'txn: compare[0]: a comparison must be an object, not 5'],
  [
    'txn',
    [{ compare: [{ target: 'version', op: '=', to: 1 }] }],
    'txn: compare[0]: name either key, or prefix',
  ],
  ['txn', [{ compare: [{ key: 'a', op: '=', to: 1 }] }], 'txn: compare[0]: target', 'undefined'],
  [
    'txn',
    [{ compare: [{ key: 'a', target: 'versions', op: '=', to: 1 }] }],
    'compare[0]: target',
    '"versions"',
  ],
  ['txn', [{ compare: [{ key: 'a', target: 'version', op: '==', to: 1 }] }], 'compare[0]: op', '"=="'],
  [
    'txn',
    [{ compare: [{ key: 'a', target: 'version', op: '=', to: '1' }] }],
    'compare[0]: to',
    'whole number',
  ],
  ['txn', [{ compare: [{ key: 'a', target: 'mod_revision', op: '=' }] }], 'compare[0]: to', 'undefined'],
  ['txn', [{ compare: [{ key: 'a', target: 'value', op: '=', to: 1 }] }], 'compare[0]: to', 'Uint8Array'],
  ['txn', [{ compare: [{ key: 'a', target: 'lease', op: '=', to: 1 }] }], 'compare[0]: to', 'decimal digits'],
  [
    'txn',
    [{ compare: [{ key: 'a', target: 'lease', op: '=', to: '9223372036854775808' }] }],
    'id of a lease',
  ],
  ['txn', [{ compare: [{ key: 'a', exists: 1 }] }], 'compare[0]: exists', 'true or false'],
  ['txn', [{ compare: [{ prefix: 'a', exists: true }] }], 'compare[0]', '"prefix"'],
  ['txn', [{ compare: [{ key: 'a', exists: true, to: 1 }] }], 'compare[0]', '"to"'],
  ['txn', [{ success: [{}] }], 'txn: success[0]: an operation has one of put, get, delete, txn'],
  ['txn', [{ success: [{ put: {}, get: {} }] }], 'success[0]: an operation has one of'],
  [
    'txn',
    [{ failure: [{ gett: { key: 'a' } }] }],
    'failure[0]: there is no option "gett"',
    'did you mean get?',
  ],
  ['txn', [{ success: [{ put: { key: 'a' } }] }], 'success[0].put: value', 'undefined'],
  ['txn', [{ success: [{ put: { value: 'a' } }] }], 'success[0].put: key', 'undefined'],
  ['txn', [{ success: [{ put: { key: 'a', value: 'b', ttl: 5 } }] }], 'did you mean ttlMs?'],
  [
    'txn',
    [{ success: [{ put: { key: 'a', value: 'b', ttlMs: 0 } }] }],
    'success[0].put: ttlMs',
    'from 1,000',
  ],
  ['txn', [{ success: [{ put: { key: 'a', value: 'b', lease: '0' } }] }], 'success[0].put: lease', '"0"'],
  [
    'txn',
    [{ success: [{ put: { key: 'a', value: 'b', lease: '1', ttlMs: 5_000 } }] }],
    'lease and ttlMs contradict',
  ],
  ['txn', [{ success: [{ put: { prefix: 'a', value: 'b' } }] }], 'success[0].put', '"prefix"'],
  [
    'txn',
    [{ success: [{ get: { key: 'a', keys_only: true } }] }],
    'success[0].get',
    'did you mean keysOnly?',
  ],
  ['txn', [{ success: [{ get: { key: 'a', limit: 0 } }] }], 'success[0].get: limit', 'from 1 on'],
  ['txn', [{ success: [{ delete: { start: 'a', end: undefined } }] }], 'success[0].delete: end', 'undefined'],
  ['txn', [{ success: [{ delete: { key: 'a', prefix: 'b' } }] }], 'success[0].delete: name either key'],
  ['txn', [{ success: [{ delete: {} }] }], 'success[0].delete: name either key'],
  [
    'txn',
    [{ success: [{ txn: { success: [{ put: 5 }] } }] }],
    'txn: success[0].txn.success[0]: put must be an object',
  ],
  ['txn', [endless()], 'nested more than 64 deep'],
  ['txn', [{}, { consistancy: 'stale' }], 'did you mean consistency?'],
  ['txn', [{}, { revision: 5 }], '"revision"'],
  [
    'txn',
    [{ success: [{ delete: { key: 'a' } }] }, { consistency: 'stale' }],
    'consistency is for transactions without',
  ],
  [
    'txn',
    [{ success: [{ delete: { key: 'a' } }] }, { onAnswer: () => {} }],
    'onAnswer is for transactions without',
  ],
  ['transact', [], 'transact: the body must be a function, not undefined'],
  ['transact', [() => {}, { attempts: 5 }], 'did you mean attemptsMax?'],
  ['transact', [() => {}, { attemptsMax: 0 }], 'attemptsMax', 'from 1 on'],
  ['transact', [() => {}, null], 'options', 'null'],
  ['transact', [(tx: Loose) => tx.get?.(7)], 'tx.get: key', '7'],
  ['transact', [(tx: Loose) => tx.put?.('a')], 'tx.put: value', 'undefined'],
  ['transact', [(tx: Loose) => tx.put?.('a', '', { ttl: 5 })], 'tx.put', 'did you mean ttlMs?'],
  ['transact', [(tx: Loose) => tx.delete?.()], 'tx.delete: key'],
  ['transact', [(tx: Loose) => tx.list?.({ snapshot: true })], 'tx.list', '"snapshot"'],
  ['transact', [(tx: Loose) => tx.list?.({ prefix: 'a', end: 'b' })], 'tx.list: prefix cannot be combined'],
  ['deleteRange', [], 'deleteRange: options', 'undefined'],
  ['deleteRange', [{}], 'deleteRange: name prefix, or start and end; { all: true } deletes all keys'],
  ['deleteRange', [{ prefix: undefined }], 'deleteRange: prefix', 'undefined'],
  ['deleteRange', [{ start: 'a', end: undefined }], 'deleteRange: end', 'undefined'],
  ['deleteRange', [{ prefix: '' }], 'this range has all keys: say { all: true }'],
  ['deleteRange', [{ start: '' }], 'this range has all keys'],
  ['deleteRange', [{ all: false }], 'deleteRange: name prefix'],
  ['deleteRange', [{ all: true, prefix: 'a' }], 'all cannot be combined'],
  ['deleteRange', [{ key: 'a' }], '"key"'],
  ['deleteRange', [{ prefix: 'a' }, { ifRevision: 7 }], '"ifRevision"'],
  ['compact', [], 'compact: revision', 'undefined'],
  ['compact', [1.5], 'compact: revision', '1.5'],
  ['compact', [7, { timeout: 5 }], 'did you mean timeoutMs?'],
  ['status', ['http://127.0.0.1:1'], 'options'],
  ['status', [{ endpoint: 7301 }], 'endpoint', '7301'],
  ['status', [{ endpoint: 'ftp://127.0.0.1:1' }], 'http://'],
  ['status', [{ endpoints: ['http://127.0.0.1:1'] }], 'did you mean endpoint?'],
  ['cluster', [{ endpont: 'http://127.0.0.1:1' }], 'did you mean endpoint?'],
  ['members', [{ timeout: 5 }], 'members:', 'did you mean timeoutMs?'],
  ['leader', [{ sgnal: 5 }], 'leader:', 'did you mean signal?'],
  ['addMember', [], 'addMember', 'undefined'],
  ['addMember', [{ name: 'n4' }], 'replicaId', 'undefined'],
  ['addMember', [{ ...member, replica_id: '9' }], 'did you mean replicaId?'],
  ['addMember', [{ ...member, replicaId: 9 }], 'replicaId', '9'],
  ['addMember', [{ ...member, url: 'nowhere://' }], 'nowhere://'],
  ['addMember', [member, { timeout: 1 }], 'did you mean timeoutMs?'],
  ['removeMember', [], 'name', 'undefined'],
  ['removeMember', [''], 'name', '""'],
  ['removeMember', ['\ud800'], 'name', 'well-formed'],
  ['removeMember', ['n4', { force: true }], '"force"'],
  ['replaceMember', [member], 'name', 'an object'],
  ['replaceMember', ['n4', 'n5'], 'member', '"n5"'],
  ['replaceMember', ['n4', member, 5], 'options', '5'],
  ['transferLeader', [{ to: 'n2' }], 'name', 'an object'],
  ['transferLeader', ['n2', { to: 'n2' }], '"to"'],
  ['settings', [{ all: true }], '"all"'],
  ['changeSettings', [], 'settings', 'undefined'],
  ['changeSettings', [[1]], 'settings', '[1]'],
  ['changeSettings', [{ value_bytes_max: undefined }], 'value_bytes_max', 'undefined'],
  ['changeSettings', [{ value_bytes_max: Number.NaN }], 'value_bytes_max', 'NaN'],
  ['changeSettings', [{ leases: { on: undefined } }], 'leases', 'on', 'undefined'],
  ['changeSettings', [{ value_bytes_max: 5 }, { timout: 1 }], 'did you mean timeoutMs?'],
  ['changeSettings', [null], 'settings must be an object, not null'],
  ['changeSettings', [{ name: null }], 'name must be a number, a string, true or false, not null'],
  ['transferLeader', ['', {}], 'name must be a string that is not empty, not ""'],
  ['delete', ['k', { ifRevison: 1 }], 'did you mean ifRevision?'],
  [
    'put',
    ['k', 'v', { force: true }],
    'there is no option "force" (there are signal, timeoutMs, ifRevision, ifAbsent, lease, ttlMs)',
  ],
]

/** The required type, and how a wrong value is shown: long enough to be recognised, never complete. */
const shown: [call: string, args: unknown[], says: string][] = [
  [
    'put',
    ['k', Object.create(null)],
    'value must be a string or a Uint8Array (putJson stores objects), not an object (without a class)',
  ],
  ['put', ['k', () => 'v'], 'value must be a string or a Uint8Array, not a function'],
  ['put', ['k', [1, 'b', null]], 'not [1, "b", null]'],
  ['put', ['k', [1, 2, 3, 4]], 'not [1, 2, 3, …]'],
  ['put', ['k', [[1], { a: 1 }]], 'not [[…], an object (Object)]'],
  [
    'put',
    ['k', 'v', { ifAbsent: 'x'.repeat(40) }],
    `ifAbsent must be true or false, not "${'x'.repeat(40)}"`,
  ],
  [
    'put',
    ['k', 'v', { ifAbsent: 'x'.repeat(41) }],
    `ifAbsent must be true or false, not "${'x'.repeat(40)}…"`,
  ],
  ['put', ['k', 'v', { ifRevision: '5' }], 'ifRevision must be a whole number from 0 on, not "5"'],
  ['put', ['k', 'v', { timeoutMs: '5' }], 'timeoutMs must be a number of milliseconds above 0, not "5"'],
  ['put', ['k', 'v', { timeoutMs: ['5'] }], 'timeoutMs must be a number of milliseconds above 0, not ["5"]'],
  ['put', ['k', 'v', { signal: null }], 'signal must be an AbortSignal, not null'],
  ['put', ['k', 'v', { signal: { aborted: false } }], 'signal must be an AbortSignal'],
  ['put', ['k', 'v', { signal: { addEventListener() {} } }], 'signal must be an AbortSignal'],
  ['put', ['k', 'v', { signal: { aborted: 1, addEventListener() {} } }], 'signal must be an AbortSignal'],
  ['put', ['k', 'v', { signal: { aborted: true, addEventListener: 1 } }], 'signal must be an AbortSignal'],
  [
    'get',
    ['k', { consistency: 'stale', maxStalenessMs: '5' }],
    'maxStalenessMs must be a number of milliseconds above 0 and up to 86,400,000 (a day), not "5"',
  ],
  ['get', ['k', { consistency: 'stale', maxStalenessMs: 86_400_001 }], 'up to 86,400,000 (a day)'],
]

test.each([...rows, ...shown])('%s(%j)', async (call, args, ...says) => {
  const node = await fake()
  node.set('k', 'v')
  const kv = clientOf([node]) as unknown as Loose
  for (let round = 0; round < 2; round++) {
    const error = await kv[call]?.(...args).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(TypeError)
    const { message } = error as TypeError
    for (const each of says) expect(message).toContain(each)
    // Only the message about an invalid address begins with the address.
    if (!/^("|not an endpoint)/.test(message))
      expect(message).toMatch(call === 'transact' ? /^(transact: |tx\.)/ : new RegExp(`^${call}: `))
  }
  expect(node.seen).toEqual([])
})

test.each<[unknown, ...string[]]>([
  ['prefix/', 'options', '"prefix/"'],
  [{ prefx: 'a' }, 'did you mean prefix?'],
  [{ prefix: 5 }, 'prefix', '5'],
  [{ prefix: 'a', end: 'b' }, 'prefix', 'end'],
  [{ start: null }, 'start', 'null'],
  [{ end: {} }, 'end'],
  [{ limit: -1 }, 'limit', '-1'],
  [{ limit: '5' }, 'limit', '"5"'],
  [{ order: 'down' }, 'order', 'asc, desc'],
  [{ keysOnly: 1 }, 'keysOnly', '1'],
  [{ snapshot: 'yes' }, 'snapshot', '"yes"'],
  [{ snapshot: true, maxStalenessMs: 5 }, 'list: maxStalenessMs', "consistency: 'stale'"],
])('list(%j)', async (options, ...says) => {
  const node = await fake()
  const kv = clientOf([node])
  const error = await kv
    .list(options as object)
    .next()
    .catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(TypeError)
  const { message } = error as TypeError
  for (const each of says) expect(message).toContain(each)
  expect(message.startsWith('list: ')).toBe(true)
  expect(node.seen).toEqual([])
})

test.each<[unknown, ...string[]]>([
  [null, 'options must be an object, not null'],
  [{ signal: 5 }, 'signal must be an AbortSignal, not 5'],
  [{ history: 1 }, 'history must be true or false, not 1'],
])('backup(%j)', async (options, ...says) => {
  const node = await fake()
  const kv = clientOf([node])
  const error = await kv
    .backup(options as object)
    .next()
    .catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(TypeError)
  for (const each of says) expect((error as TypeError).message).toBe(`backup: ${each}`)
  expect(node.seen).toEqual([])
})

test.each<[unknown, ...string[]]>([
  [undefined, 'Client: options', 'undefined'],
  [null, 'null'],
  ['http://127.0.0.1:1', 'options'],
  [{}, 'Client: endpoints must be a list of URLs', 'not undefined'],
  [{ endpoints: 'http://127.0.0.1:1' }, 'endpoints must be a list', '"http://127.0.0.1:1"'],
  [{ endpoints: [] }, 'at least one'],
  [{ endpoints: [undefined] }, 'endpoints', '[undefined]'],
  [{ endpoints: [7301] }, 'endpoints', '[7301]'],
  [{ endpoints: ['ftp://127.0.0.1:1'] }, 'http://'],
  [
    { endpoints: ['https://127.0.0.1:1'], tls: { ca: '/etc/ca.crt' } },
    'Client: tls: ca must be the content of a PEM file',
  ],
  [
    { endpoints: ['https://127.0.0.1:1'], tls: { ca: '-----BEGIN PRIVATE KEY-----' } },
    'Client: tls: ca has no certificate',
  ],
  [{ endpoints: ['https://127.0.0.1:1'], tls: { cacert: 'x' } }, 'cacert'],
  [
    { endpoints: ['https://127.0.0.1:1'], tls: { key: '-----BEGIN PRIVATE KEY-----' } },
    'cert and key go together',
  ],
  [{ endpoints: ['https://127.0.0.1:1'], timeoutMs: 0 }, 'Client: timeoutMs', 'not 0'],
  [{ endpoints: [''] }, 'endpoints', '[""]'],
  [{ endpoints: [' '] }, 'not an endpoint', '" "'],
  [{ endpoints: ['http://'] }, 'not an endpoint', '"http://"'],
  [{ endpoints: ['127.0.0.1:65536'] }, 'not an endpoint', '"127.0.0.1:65536"'],
  [{ endpoints: ['file:///7301'] }, 'not an endpoint', '"file:///7301"'],
  [{ endpoints: ['http://127.0.0.1:1/path'] }, 'nothing more'],
  [{ endpoints: ['http://127.0.0.1:1#fragment'] }, 'nothing more'],
  [{ endpoint: 'http://127.0.0.1:1' }, 'did you mean endpoints?'],
  [{ endpoints: ['http://127.0.0.1:1'], timeout: 5 }, 'did you mean timeoutMs?'],
  [{ endpoints: ['http://127.0.0.1:1'], timeoutMs: -1 }, 'timeoutMs', '-1'],
  [{ endpoints: ['http://127.0.0.1:1'], discover: 'no' }, 'discover', '"no"'],
  [{ endpoints: ['http://127.0.0.1:1'], unreachableAfterMs: '1s' }, 'unreachableAfterMs', '"1s"'],
  ...[0, -1, 1.5, Number.NaN, '8'].map((callsMax): [unknown, ...string[]] => [
    { endpoints: ['http://127.0.0.1:1'], callsMax },
    'callsMax must be a whole number from 1 on, or Infinity',
  ]),
  [{ endpoints: ['http://127.0.0.1:1'], onWarning: 1 }, 'onWarning', '1'],
])('new Client(%j)', (options, ...says) => {
  try {
    new Client(options as never)
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError)
    for (const each of says) expect((error as TypeError).message).toContain(each)
    return
  }
  throw new Error('it was accepted')
})

describe('what is right is taken', () => {
  test('options that are undefined, except conditions', async () => {
    const node = await fake()
    const kv = new Client({
      endpoints: [node.url],
      timeoutMs: undefined,
      discover: undefined,
      unreachableAfterMs: undefined,
      callsMax: undefined,
      onWarning: undefined,
    })
    await kv.put('k', Buffer.from('v'), { signal: undefined, timeoutMs: undefined, ifAbsent: false })
    const { signal } = new AbortController()
    await kv.get('k', { consistency: undefined, maxStalenessMs: undefined, onAnswer: undefined, signal })
    await kv.put('k', 'w', { ifAbsent: false, ifRevision: 2 })
    expect(await kv.count({ prefix: undefined, start: undefined })).toBe(1)
    await kv.transferLeader(undefined, { timeoutMs: 1_000 })
    await kv.close()
    expect(node.contents).toEqual({ k: 'w' })
  })

  test('ranges, and settings of every type', async () => {
    const node = await fake()
    const kv = clientOf([node])
    for await (const _ of kv.list({ start: 'a', order: 'desc', keysOnly: true }));
    for await (const _ of kv.list({ prefix: 'a/', keysOnly: false }));
    await kv.count({ end: Uint8Array.of(255) })
    await kv.count({ start: 'a', end: 'b' })
    // The node is of a newer version.
    node.faults.push({ status: 200, body: { leases: { on: true, duration_ms: 7.5 }, note: 'x' } })
    await kv.changeSettings({ leases: { on: true, duration_ms: 7.5 }, note: 'x' })
    expect(node.seen.map((seen) => seen.target)).toEqual([
      '/v1/kv?start=a&order=desc&keys_only=true&limit=1000',
      '/v1/kv?prefix=a%2F&limit=1000&min_revision=1',
      '/v1/kv?end=%FF&count_only=true&min_revision=1',
      '/v1/kv?start=a&end=b&count_only=true&min_revision=1',
      '/v1/cluster/settings',
    ])
    expect(JSON.parse(String(node.seen.at(-1)?.body))).toEqual({
      leases: { on: true, duration_ms: 7.5 },
      note: 'x',
    })
  })

  test.each([
    ['127.0.0.1:7301', 'http://127.0.0.1:7301'],
    [' http://127.0.0.1:7301/ ', 'http://127.0.0.1:7301'],
    ['\t127.0.0.1:7301\n', 'http://127.0.0.1:7301'],
    ['HTTP://Node-1:7301', 'http://node-1:7301'],
    [' localhost ', 'http://localhost'],
    ['http://node-1:80', 'http://node-1'],
    ['[::1]:7301', 'http://[::1]:7301'],
  ])('the endpoint %j', (written, url) => {
    expect(new Client({ endpoints: [written] }).endpoints).toEqual([url])
  })

  test('limits of 0 and without end', async () => {
    const node = await fake()
    for (const key of ['a', 'b']) node.set(key, 'v')
    const kv = clientOf([node])
    for (const snapshot of [false, true]) {
      for (const [limit, found] of [
        [0, 0],
        [1, 1],
        [Number.POSITIVE_INFINITY, 2],
      ] as const) {
        let count = 0
        for await (const _ of kv.list({ limit, snapshot })) count += 1
        expect(count).toBe(found)
      }
    }
  })

  test('a bound of any length is written so that a node can read it', async () => {
    const node = await fake()
    const kv = clientOf([node])
    for (const maxStalenessMs of [1e-9, 0.1 + 0.2, 250, 86_400_000]) {
      await kv.get('k', { consistency: 'stale', maxStalenessMs })
    }
    const written = node.seen.map((seen) => /max_staleness=([^&]*)/.exec(seen.target)?.[1])
    expect(written).toEqual(['0.000001ms', '0.3ms', '250ms', '86400000ms'])
  })

  test('a time between two words of a watch is written so that a node can read it', async () => {
    const node = await fake()
    const kv = clientOf([node])
    for (const progressMs of [100, 1000 / 3, 3_600_000]) {
      const watch = kv.watch({ key: 'k', progressMs })
      await watch.ready
      await watch.close()
    }
    const written = node.seen.map((seen) => /progress=([^&]*)/.exec(seen.target)?.[1])
    expect(written).toEqual(['100ms', '333.333333ms', '3600000ms'])
  })
})
