// A table: every RPC at a node that cannot do what it asks for, because it hangs, is cut off, or knows no leader. Each
// is answered before the client's deadline, with an error of etcd after which its clients try another member.

import { describe, expect, test } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { FakeNode } from '../http/fake-node.ts'
import { serve } from '../http/served.ts'
import { fails, PROBLEMS, type RpcName, requestsOf } from './requests.ts'
import { base64, ETCD_WIRES } from './wires.ts'

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
const REQUESTS = requestsOf('n')

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
      const rows = Object.entries(REQUESTS).map(async ([rpcName, [asks, request]]) => {
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
