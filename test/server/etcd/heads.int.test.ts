// Facts of a request that have two sources, and requests that follow each other on one connection: none of them is
// judged by another one.

import { expect, test } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { AS_BOB, AS_ROOT, nodeWithUsers } from '../auth/users.ts'
import { serve } from '../http/served.ts'
import { callRpc, openSession } from './grpc-call.ts'

const key = Buffer.from('a')

/** Heads that are served, and others that are refused with this status. */
const HEADS: readonly (readonly [status: number, fields: Readonly<Record<string, string>>])[] = [
  [0, {}],
  [0, { origin: 'http://127.0.0.1:PORT' }],
  [0, { ':authority': 'elsewhere.example' }],
  [7, { ':authority': 'elsewhere.example', origin: 'http://elsewhere.example' }],
  [7, { origin: 'http://elsewhere.example' }],
  [7, { 'sec-fetch-site': 'cross-site' }],
]

test('a request of another site is refused, whichever request came before it', async () => {
  const { port } = await serve()
  const fieldsOf = (fields: Readonly<Record<string, string>>) =>
    Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [name, value.replace('PORT', `${port}`)]),
    )
  for (const [firstStatus, first] of HEADS)
    for (const [secondStatus, second] of HEADS) {
      const session = openSession(port)
      const statuses: (number | undefined)[] = []
      for (const fields of [first, second, first])
        statuses.push((await callRpc(session, RPC.range, { key }, fieldsOf(fields))).status)
      expect([first, second, statuses]).toEqual([first, second, [firstStatus, secondStatus, firstStatus]])
      session.destroy()
    }
})

test('of two tokens that disagree, that of etcd counts', async () => {
  const { port } = await serve({ node: nodeWithUsers() })
  const [root, bob] = [AS_ROOT, AS_BOB].map(({ Authorization }) => Authorization)
  const statusOf = async (fields: Readonly<Record<string, string | undefined>>) =>
    (await callRpc(openSession(port), RPC.userList, {}, fields)).status
  expect(await statusOf({ token: root })).toBe(0)
  expect(await statusOf({ authorization: root })).toBe(0)
  expect(await statusOf({ token: root, authorization: bob })).toBe(0)
  expect(await statusOf({ authorization: root, token: bob })).toBe(7)
  expect(await statusOf({ authorization: root, token: 'wrong' })).toBe(16)
})
