// A request of every RPC, as the JSON gateway has it, and what the node is asked for first.

import type { RPC } from '../../../src/etcd/rpcs.ts'
import type { Problem } from '../../../src/server/node/result.ts'
import type { FakeNode } from '../http/fake-node.ts'
import { base64 } from './wires.ts'

export type RpcName = keyof typeof RPC

/** `change`, `read`: what the node is asked for first. `itself`: it answers by what it knows. */
type Asks = 'change' | 'read' | 'itself'

const all = { key: base64('\0'), range_end: base64('\0') }

/** All RPCs: without one it does not compile. `of`: the name of a lock or an election. */
export function requestsOf(of: string): Readonly<Record<RpcName, readonly [asks: Asks, request: object]>> {
  const name = base64(of)
  const leader = { name, key: base64(`${of}/7`), rev: '1', lease: '7' }
  return {
    range: ['read', all],
    rangeStream: ['read', all],
    put: ['change', { key: base64('a') }],
    deleteRange: ['change', all],
    txn: ['change', { success: [{ request_put: { key: base64('a') } }] }],
    compact: ['change', { revision: '1' }],
    watch: ['read', { create_request: { key: base64('a') } }],
    leaseGrant: ['change', { TTL: '60' }],
    leaseRevoke: ['change', { ID: '7' }],
    leaseKeepAlive: ['read', { ID: '7' }],
    leaseTimeToLive: ['read', { ID: '7', keys: true }],
    leaseLeases: ['read', {}],
    memberAdd: ['itself', {}],
    memberRemove: ['read', { ID: '2' }],
    memberUpdate: ['itself', {}],
    memberPromote: ['read', {}],
    memberList: ['itself', {}],
    alarm: ['itself', {}],
    status: ['itself', {}],
    defragment: ['read', {}],
    hash: ['read', {}],
    hashKv: ['read', {}],
    snapshot: ['read', {}],
    moveLeader: ['itself', { targetID: '2' }],
    downgrade: ['itself', {}],
    authEnable: ['read', {}],
    authDisable: ['read', {}],
    authStatus: ['itself', {}],
    authenticate: ['read', { name: 'bob', password: 'p' }],
    userAdd: ['read', { name: 'bob', password: 'password' }],
    userGet: ['read', { name: 'bob' }],
    userList: ['read', {}],
    userDelete: ['read', { name: 'bob' }],
    userChangePassword: ['read', { name: 'bob', password: 'password' }],
    userGrantRole: ['read', { user: 'bob', role: 'r' }],
    userRevokeRole: ['read', { name: 'bob', role: 'r' }],
    roleAdd: ['read', { name: 'r' }],
    roleGet: ['read', { role: 'r' }],
    roleList: ['read', {}],
    roleDelete: ['read', { role: 'r' }],
    roleGrantPermission: ['read', { name: 'r', perm: { permType: 'READ', key: base64('a') } }],
    roleRevokePermission: ['read', { role: 'r', key: base64('a') }],
    lock: ['change', { name }],
    unlock: ['change', { key: base64(`${of}/7`) }],
    campaign: ['change', { name, value: base64('v') }],
    proclaim: ['change', { leader, value: base64('v') }],
    leader: ['read', { name }],
    observe: ['read', { name }],
    resign: ['change', { leader }],
    healthCheck: ['itself', {}],
    healthWatch: ['itself', {}],
  }
}

const UNWRITTEN = { written: 'no' } as const
export const PROBLEMS = {
  noLeader: { code: 'no_leader', detail: 'there is none', ...UNWRITTEN },
  noQuorum: { code: 'no_quorum', detail: 'no majority has answered', ...UNWRITTEN },
  unknown: { code: 'outcome_unknown', detail: 'it is in the log', written: 'unknown' },
} as const satisfies Record<string, Problem>

/** Calls of the node end so from now on: at once, or when the time that they were given is over. */
export function fails(node: FakeNode, isLate: boolean, change: Problem, read: Problem): void {
  const fail = (
    problem: Problem,
    timeoutMs: number,
    done: (result: { ok: false; problem: Problem }) => void,
  ) => {
    const timer = setTimeout(() => done({ ok: false, problem }), isLate ? timeoutMs : 0)
    return () => {
      clearTimeout(timer)
      done({ ok: false, problem: { code: 'cancelled', detail: 'the client has gone', ...UNWRITTEN } })
    }
  }
  Object.assign(node, {
    propose: (_, timeoutMs, done) => void fail(change, timeoutMs, done),
    change: (_, timeoutMs, done) => void fail(change, timeoutMs, done),
    transfer: (_, timeoutMs, done) => void fail(change, timeoutMs, done),
    keepAlive: (_, timeoutMs, done) => void fail(read, timeoutMs, done),
    read: ({ timeoutMs }, done) => fail(read, timeoutMs, done),
  } satisfies Partial<FakeNode>)
}

/** It answers again. */
export function recovers(node: FakeNode): void {
  for (const name of ['propose', 'change', 'transfer', 'keepAlive', 'read'] as const)
    Reflect.deleteProperty(node, name)
}
