// Conversations that are recorded with etcd, with the services beside keys, leases and watches.

import type { Step } from './conversation.ts'
import { type JsonObject, SELF } from './frame.ts'
import { IMPOSTOR } from './users.ts'

const step = (rpc: Step['rpc'], request: JsonObject = {}, more: Partial<Step> = {}): Step => ({
  ...{ rpc, request },
  ...more,
})

// ---------------------------------------------------------------------------------------------------------------------
// Users

const READ = 0
const WRITE = 1
const BOTH = 2

const grant = (name: string, permType: number, key: string, rangeEnd = ''): Step =>
  step('roleGrantPermission', { name, perm: { permType, key, rangeEnd } })
const addUser = (name: string, ...roles: string[]): readonly Step[] => [
  step('userAdd', { name, password: 'secret' }),
  ...roles.map((role) => step('userGrantRole', { user: name, role })),
]
const logIn = (name: string, password = 'secret'): Step => step('authenticate', { name, password })
const ROOT = addUser('root', 'root')
/** Ann reads and writes `a` to `c`, Bob reads `a` and writes `b`. */
const USERS = [
  ...ROOT,
  step('roleAdd', { name: 'one' }),
  step('roleAdd', { name: 'two' }),
  grant('one', BOTH, 'a', 'c'),
  grant('two', READ, 'a'),
  grant('two', WRITE, 'b'),
  ...addUser('ann', 'one'),
  ...addUser('bob', 'two'),
]
const CHECKED = [...USERS, step('authEnable'), ...['root', 'ann', 'bob'].map((name) => logIn(name))]

const READS_AND_WRITES = [
  step('put', { key: 'a', value: '1' }),
  step('put', { key: 'b', value: '1' }),
  step('put', { key: 'b', value: '1', prevKv: true }),
  step('put', { key: 'c', value: '1' }),
  step('range', { key: 'a' }),
  step('range', { key: 'b' }),
  step('range', { key: 'a', rangeEnd: 'c' }),
  step('range', { key: 'a', rangeEnd: 'd' }),
  step('range', { key: 'a', rangeEnd: '\0' }),
  step('deleteRange', { key: 'b', prevKv: true }),
  step('deleteRange', { key: 'a', rangeEnd: 'c' }),
  step('txn', { compare: [{ key: 'a', target: 0 }], success: [{ requestPut: { key: 'b' } }] }),
  step('txn', { compare: [{ key: 'b', target: 0 }], success: [{ requestRange: { key: 'a' } }] }),
]
const readsAndWrites = (as: string) => READS_AND_WRITES.map((each) => ({ ...each, as }))

export const USER_EXAMPLES = {
  'users and roles': [
    ...USERS,
    ...USERS,
    step('userAdd', { name: '', password: 'secret' }),
    step('userAdd', { name: 'eve', options: { noPassword: true } }),
    step('userList'),
    step('userGet', { name: 'ann' }),
    step('userGet', { name: 'nobody' }),
    step('userGrantRole', { user: 'ann', role: 'nothing' }),
    step('userGrantRole', { user: 'nobody', role: 'one' }),
    step('userRevokeRole', { name: 'ann', role: 'two' }),
    step('userRevokeRole', { name: 'ann', role: 'one' }),
    step('userChangePassword', { name: 'nobody', password: 'other' }),
    step('userDelete', { name: 'bob' }),
    step('userDelete', { name: 'bob' }),
    logIn('ann'),
  ],
  'permissions of roles': [
    step('roleAdd', { name: 'one' }),
    step('roleAdd', { name: '' }),
    grant('one', READ, 'b'),
    grant('one', WRITE, 'a', '\0'),
    grant('one', BOTH, 'a', 'c'),
    grant('one', READ, '\0', '\0'),
    grant('one', WRITE, 'b'),
    grant('nothing', READ, 'a'),
    step('roleGet', { role: 'one' }),
    step('roleGet', { role: 'nothing' }),
    step('roleRevokePermission', { role: 'one', key: 'a' }),
    step('roleRevokePermission', { role: 'one', key: 'a', rangeEnd: 'c' }),
    step('roleRevokePermission', { role: 'nothing', key: 'a' }),
    step('roleGet', { role: 'one' }),
    step('roleList'),
    step('roleDelete', { role: 'one' }),
    step('roleDelete', { role: 'one' }),
    step('roleList'),
  ],
  'when rights may be checked': [
    step('authEnable'),
    step('authDisable'),
    step('userAdd', { name: 'root', password: 'secret' }),
    step('authEnable'),
    step('userGrantRole', { user: 'root', role: 'root' }),
    step('authEnable'),
    step('authEnable'),
    logIn('root', 'wrong'),
    logIn('nobody'),
    logIn('root'),
    step('userDelete', { name: 'root' }, { as: 'root' }),
    step('userRevokeRole', { name: 'root', role: 'root' }, { as: 'root' }),
    step('roleDelete', { role: 'root' }, { as: 'root' }),
    step('authDisable', {}, { as: 'root' }),
    step('put', { key: 'a' }),
  ],
  'requests in the name of users': [
    ...CHECKED,
    ...readsAndWrites('root'),
    ...readsAndWrites('ann'),
    ...readsAndWrites('bob'),
    ...readsAndWrites('nobody'),
    ...readsAndWrites(IMPOSTOR),
  ],
  'users who manage themselves': [
    ...CHECKED,
    step('userGet', { name: 'ann' }, { as: 'ann' }),
    step('userGet', { name: 'bob' }, { as: 'ann' }),
    step('roleGet', { role: 'one' }, { as: 'ann' }),
    step('roleGet', { role: 'two' }, { as: 'ann' }),
    step('userList', {}, { as: 'ann' }),
    step('userAdd', { name: 'eve', password: 'secret' }, { as: 'ann' }),
    step('userGrantRole', { user: 'ann', role: 'root' }, { as: 'ann' }),
    step('roleAdd', { name: 'three' }, { as: 'ann' }),
    step('authDisable', {}, { as: 'ann' }),
    step('defragment', {}, { as: 'ann' }),
    step('hashKv', {}, { as: 'ann' }),
  ],
  'tokens that have ended': [
    ...CHECKED,
    step('range', { key: 'a' }, { as: 'ann' }),
    step('userChangePassword', { name: 'ann', password: 'other' }, { as: 'root' }),
    step('range', { key: 'a' }, { as: 'ann' }),
    logIn('ann'),
    logIn('ann', 'other'),
    step('range', { key: 'a' }, { as: 'ann' }),
    step('userDelete', { name: 'ann' }, { as: 'root' }),
    step('range', { key: 'a' }, { as: 'ann' }),
    logIn('ann', 'other'),
  ],
  'watches of users': [
    ...CHECKED,
    step('watch', { createRequest: { key: 'a', rangeEnd: 'c' } }, { as: 'ann', stream: 0 }),
    step('watch', { createRequest: { key: 'c' } }, { as: 'ann', stream: 0 }),
    step('watch', { createRequest: { key: 'a' } }, { as: 'bob', stream: 1 }),
    step('watch', { createRequest: { key: 'a', rangeEnd: 'b' } }, { as: 'bob', stream: 1 }),
    step('put', { key: 'a', value: '2' }, { as: 'ann' }),
    step('put', { key: 'b', value: '2' }, { as: 'bob' }),
  ],
}

// ---------------------------------------------------------------------------------------------------------------------
// Locks and elections

const LEASES = [1, 2, 3].map((id) => step('leaseGrant', { id, ttl: 300 }))
const lock = (stream: number, lease: number): Step => step('lock', { name: 'n', lease }, { stream })
const campaign = (stream: number, lease: number, value: string): Step =>
  step('campaign', { name: 'n', lease, value }, { stream })
const unlock = (call: number): Step => step('unlock', { key: { call } })
const proclaim = (call: number, value: string): Step => step('proclaim', { leader: { call }, value })
const resign = (call: number): Step => step('resign', { leader: { call } })
const LEADER = step('leader', { name: 'n' })

export const COORDINATION_EXAMPLES = {
  'a lock goes from one to the next': [
    ...LEASES,
    lock(0, 1),
    lock(1, 2),
    lock(2, 3),
    lock(3, 1),
    step('range', { key: 'n/', rangeEnd: 'n0' }),
    unlock(0),
    unlock(1),
    unlock(1),
    unlock(2),
    step('unlock'),
  ],
  'a lock whose holder has gone': [
    ...LEASES,
    lock(0, 1),
    lock(1, 2),
    step('leaseRevoke', { id: 1 }),
    unlock(1),
  ],
  'a client that waits no longer': [
    ...LEASES,
    lock(0, 1),
    lock(1, 2),
    step('cancelCall', {}, { stream: 1 }),
    lock(2, 3),
    unlock(0),
  ],
  'locks with leases that do not exist': [lock(0, 7), campaign(1, 7, 'x')],
  'leaders follow each other': [
    ...LEASES,
    LEADER,
    step('observe', { name: 'n' }, { stream: 9 }),
    campaign(0, 1, 'one'),
    LEADER,
    campaign(1, 2, 'two'),
    proclaim(0, 'uno'),
    LEADER,
    campaign(2, 1, 'one again'),
    resign(0),
    LEADER,
    proclaim(0, 'late'),
    resign(0),
    step('leaseRevoke', { id: 2 }),
    LEADER,
  ],
  'requests without a leader': [step('proclaim', { value: 'x' }), step('resign')],
}

// ---------------------------------------------------------------------------------------------------------------------
// Members, and the upkeep of the store

const put = (value: JsonObject | string): Step => step('put', { key: 'a', value })

export const MAINTENANCE_EXAMPLES = {
  'members and their state': [
    step('memberList'),
    step('memberRemove', { id: 4 }),
    step('memberPromote', { id: 4 }),
    step('memberAdd', { peerUrls: ['x'] }),
    step('memberUpdate', { id: 4, peerUrls: ['http://127.0.0.1:1'] }),
    step('moveLeader', { targetId: 4 }),
    step('moveLeader', { targetId: SELF }),
    step('status'),
    step('healthCheck'),
    step('healthCheck', { service: 'KV' }),
    step('healthWatch'),
  ],
  'the upkeep of the store': [
    put('1'),
    put('2'),
    step('hash'),
    step('hashKv'),
    step('hashKv', { revision: 11 }),
    step('hashKv', { revision: 9 }),
    step('hashKv', { revision: 13 }),
    step('compact', { revision: 12, physical: true }),
    step('hashKv', { revision: 11 }),
    step('hashKv', { revision: 12 }),
    step('defragment'),
    step('alarm'),
    step('alarm', { action: 2, alarm: 1 }),
    step('snapshot'),
  ],
  'large requests': [
    put({ bytes: 1_048_577 }),
    put({ bytes: 1_572_000 }),
    put({ bytes: 1_572_900 }),
    put({ bytes: 2_097_153 }),
    step('txn', {
      success: ['a', 'b'].map((key) => ({ requestPut: { key, value: { bytes: 790_000 } } })),
    }),
    step('range', { key: 'a' }),
    step(
      'watch',
      { createRequest: { key: 'a', startRevision: 11, fragment: true, prevKv: true } },
      { stream: 0 },
    ),
    put({ bytes: 600_000 }),
    step('range', { key: 'a', rangeEnd: 'c', keysOnly: true }, { times: 100 }),
  ],
  'bytes that are no message': [
    step('put', { key: 'a' }, { junk: '\x12' }),
    step('put', { key: 'a' }, { junk: '\x12\x7fa' }),
    step('put', { key: 'a' }, { junk: '\x10' }),
    step('range', { key: 'a' }, { junk: '\x18\xff\xff' }),
    step('range', { key: 'a' }, { junk: '\x00' }),
    step('put', { key: 'a', value: '1' }, { junk: '\xfa\x3f\x01z' }),
    step('range', { key: 'a' }),
  ],
}
