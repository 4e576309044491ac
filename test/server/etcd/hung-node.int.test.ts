// A table: every RPC at a node that cannot do what it asks for, because it hangs, is cut off, or knows no leader. Each
// is answered before the client's deadline, with an error of etcd after which its clients try another member.

import { describe, expect, test } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import type { Problem } from '../../../src/server/node/result.ts'
import { FakeNode } from '../http/fake-node.ts'
import { serve } from '../http/served.ts'
import { base64, ETCD_WIRES } from './wires.ts'

type RpcName = keyof typeof RPC

const TIMEOUT_MS = 600
const PATIENT_MS = 2_000
/** Without the deadline of its client, a node waits for 7 s. */
const LATE_MS = 4_000

const NO_LEADER = '14 etcdserver: no leader'
/** The end of a watch: at `no leader`, clients in Go end it for good. */
const UNHEALTHY = '14 etcdserver: unhealthy cluster'
const LATE = '4 context deadline exceeded'
const TIMED_OUT = '14 etcdserver: request timed out'

const name = base64('n')
const all = { key: base64('\0'), range_end: base64('\0') }
const leader = { name, key: base64('n/7'), rev: '1', lease: '7' }

/** `change`, `read`: what the node is asked for first. `itself`: it answers by what it knows. */
type Asks = 'change' | 'read' | 'itself'

/** All RPCs: without one it does not compile. */
const RPCS: Readonly<Record<RpcName, readonly [asks: Asks, request: object]>> = {
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
  leaseTimeToLive: ['read', { ID: '7' }],
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
  unlock: ['change', { key: base64('n/7') }],
  campaign: ['change', { name, value: base64('v') }],
  proclaim: ['change', { leader, value: base64('v') }],
  leader: ['read', { name }],
  observe: ['read', { name }],
  resign: ['change', { leader }],
  healthCheck: ['itself', {}],
  healthWatch: ['itself', {}],
}

const UNWRITTEN = { written: 'no' } as const
const PROBLEMS = {
  noLeader: { code: 'no_leader', detail: 'there is none', ...UNWRITTEN },
  noQuorum: { code: 'no_quorum', detail: 'no majority has answered', ...UNWRITTEN },
  unknown: { code: 'outcome_unknown', detail: 'it is in the log', written: 'unknown' },
} as const satisfies Record<string, Problem>

/** Calls of the node end so from now on: at once, or when the time that they were given is over. */
function fails(node: FakeNode, isLate: boolean, change: Problem, read: Problem): void {
  const fail = (
    problem: Problem,
    timeoutMs: number,
    done: (result: { ok: false; problem: Problem }) => void,
  ) => {
    const timer = setTimeout(() => done({ ok: false, problem }), isLate ? timeoutMs : 0)
    return () => clearTimeout(timer)
  }
  Object.assign(node, {
    propose: (_, timeoutMs, done) => void fail(change, timeoutMs, done),
    change: (_, timeoutMs, done) => void fail(change, timeoutMs, done),
    transfer: (_, timeoutMs, done) => void fail(change, timeoutMs, done),
    keepAlive: (_, timeoutMs, done) => void fail(read, timeoutMs, done),
    read: ({ timeoutMs }, done) => fail(read, timeoutMs, done),
  } satisfies Partial<FakeNode>)
}

interface Fault {
  readonly begin: (node: FakeNode) => void
  readonly change: string
}

const FAULTS: Readonly<Record<string, Fault>> = {
  'that hangs': {
    begin: (node) => fails(node, true, PROBLEMS.unknown, PROBLEMS.noQuorum),
    change: TIMED_OUT,
  },
  'that is cut off from the others': {
    begin: (node) => fails(node, true, PROBLEMS.noLeader, PROBLEMS.noLeader),
    change: NO_LEADER,
  },
  'without a leader': {
    begin: (node) => fails(node, false, PROBLEMS.noLeader, PROBLEMS.noLeader),
    change: NO_LEADER,
  },
}

describe.each(ETCD_WIRES)('%s', (wire, open) => {
  test.each(Object.entries(FAULTS))(
    'every RPC at a node %s is answered in time',
    async (_, { begin, change }) => {
      const node = new FakeNode()
      const { port } = await serve({ node })
      const call = open(port, { timeoutMs: TIMEOUT_MS })
      // The gateway is loaded for the first request.
      await call(RPC.status, {})
      begin(node)
      const rows = Object.entries(RPCS).map(async ([rpcName, [asks, request]]) => {
        const rpc = RPC[rpcName as RpcName]
        if (wire !== "etcd's gRPC" && rpc.gateway.length === 0) return undefined
        const startedAt = performance.now()
        const { error = 'ok' } = await call(rpc, request)
        const ms = performance.now() - startedAt
        // A stream ends with the time of its client. Changes of users wait for each other.
        const expected =
          rpc === RPC.watch ? [UNHEALTHY, TIMED_OUT] : asks === 'change' ? [change] : [NO_LEADER, TIMED_OUT]
        const isEnd = expected.includes(error) || (rpc.kind !== 'unary' && error === LATE)
        const isExpected = asks === 'itself' ? !error.startsWith('14') : isEnd
        return isExpected && ms < LATE_MS ? undefined : `${rpcName}: ${error} after ${Math.round(ms)} ms`
      })
      expect((await Promise.all(rows)).filter((row) => row !== undefined)).toEqual([])
    },
  )

  test('a change of users waits no longer than its client, whoever waits before it', async () => {
    const node = new FakeNode()
    const { port } = await serve({ node })
    fails(node, true, PROBLEMS.unknown, PROBLEMS.noQuorum)
    const user = { name: 'bob', password: 'password' }
    const answered: string[] = []
    const add = async (who: string, timeoutMs: number) => {
      const { error } = await open(port, { timeoutMs })(RPC.userAdd, user)
      answered.push(`${who}: ${error}`)
    }
    await Promise.all([add('patient', PATIENT_MS), add('impatient', TIMEOUT_MS)])
    expect(answered).toEqual([`impatient: ${TIMED_OUT}`, `patient: ${NO_LEADER}`])
  })

  test('who waits for a lock waits no longer than he has stated, and leaves no key', async () => {
    const { port, node } = await serve()
    const call = open(port, { timeoutMs: TIMEOUT_MS })
    const held = await call(RPC.lock, { name })
    expect(await call(RPC.lock, { name })).toEqual({ responses: [], error: LATE })
    await expect.poll(() => node.state.keys).toBe(1)
    expect((await call(RPC.unlock, { key: held.responses[0]?.key })).error).toBe(undefined)
  })
})
