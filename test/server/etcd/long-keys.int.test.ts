// Keys and bounds that do not fit into the log: no RPC proposes them.

import { describe, expect, test } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { serve } from '../http/served.ts'
import { callRpc, openSession } from './grpc-call.ts'
import { base64, ETCD_WIRES } from './wires.ts'

type RpcName = keyof typeof RPC

const put = { request_put: { key: base64('a') } }

/** The least length that is refused everywhere. */
const LENGTH = 65_535

/** Requests with keys and bounds of this length. */
function requestsOf(length: number): readonly (readonly [rpc: RpcName, request: object])[] {
  const key = base64('k'.repeat(length))
  const end = base64('l'.repeat(length))
  const name = key
  const leader = { name, key, rev: '1', lease: '0' }
  return [
    ['range', { key }],
    ['range', { key, range_end: end }],
    ['rangeStream', { key: base64('a'), range_end: end }],
    ['put', { key }],
    ['deleteRange', { key }],
    ['deleteRange', { key, prev_kv: true }],
    ['deleteRange', { key: base64('a'), range_end: end }],
    ['deleteRange', { key, range_end: base64('\0'), prev_kv: true }],
    ['txn', { compare: [{ key }], success: [put] }],
    ['txn', { compare: [{ key: base64('a'), range_end: end }], success: [put] }],
    ['txn', { success: [{ request_put: { key } }] }],
    ['txn', { success: [put, { request_range: { key } }] }],
    ['txn', { failure: [put, { request_delete_range: { key, range_end: end } }] }],
    ['txn', { success: [{ request_txn: { success: [{ request_put: { key } }] } }] }],
    ['roleGrantPermission', { name: 'r', perm: { key } }],
    ['roleGrantPermission', { name: 'r', perm: { key: base64('a'), range_end: end } }],
    ['roleRevokePermission', { role: 'r', key }],
    ['lock', { name }],
    ['unlock', { key }],
    ['campaign', { name, value: key }],
    ['proclaim', { leader, value: key }],
    ['resign', { leader }],
    ['leader', { name }],
    ['observe', { name }],
  ]
}

describe.each(ETCD_WIRES)('%s', (_, open) => {
  test('a key that no log has is refused by every RPC, and the node lives', async () => {
    const { port, node, logged } = await serve()
    const call = open(port, { timeoutMs: 1_000 })
    await call(RPC.roleAdd, { name: 'r' })
    const { asked } = node
    const changes = () => asked.filter(({ request }) => request !== undefined).length
    const before = changes()
    for (const [rpc, request] of requestsOf(LENGTH)) {
      const { error } = await call(RPC[rpc], request)
      expect([rpc, request, error]).toEqual([rpc, request, '3 etcdserver: request is too large'])
    }
    // A lock and a lead without a lease are refused before they grant one.
    expect(changes() - before).toBe(0)
    const create = { key: base64('k'.repeat(LENGTH)) }
    const { responses } = await call(RPC.watch, { create_request: create })
    expect(responses[0]).toMatchObject({
      canceled: true,
      cancel_reason: expect.stringMatching(/request is too large$/),
    })
    for (const [rpc, request] of requestsOf(LENGTH - 1)) await call(RPC[rpc], request)
    expect(await call(RPC.put, { key: base64('a') })).toMatchObject({ error: undefined })
    expect(logged).toEqual([])
  })

  test('a revision that no store reaches is one of the future', async () => {
    const { port, logged } = await serve()
    const call = open(port)
    const revision = String(2n ** 62n)
    for (const [rpc, request] of [
      [RPC.range, { key: base64('a'), revision }],
      [RPC.rangeStream, { key: base64('a'), revision }],
      [RPC.txn, { success: [{ request_range: { key: base64('a'), revision } }] }],
      [RPC.hashKv, { revision }],
      [RPC.compact, { revision }],
    ] as const)
      expect((await call(rpc, request)).error).toBe(
        '11 etcdserver: mvcc: required revision is a future revision',
      )
    const far = await call(RPC.watch, { create_request: { key: base64('a'), start_revision: revision } })
    expect(far.responses[0]).toMatchObject({ created: true })
    const proclaim = { leader: { key: base64('a'), rev: revision } }
    expect((await call(RPC.proclaim, proclaim)).error).toBe('2 election: not leader')
    expect(logged).toEqual([])
  })
})

test('the text of an error is short enough for every client', async () => {
  const { port } = await serve()
  const session = openSession(port)
  const refused = await callRpc(session, RPC.userAdd, { name: '\n'.repeat(100_000), password: 'password' })
  expect(refused).toMatchObject({ status: 3, message: expect.stringMatching(/^etcdserver: .*\\n/) })
  expect(await callRpc(session, RPC.put, { key: Buffer.from('a') })).toMatchObject({ status: 0 })
})
