// A conversation leaves a server as it was: others with the same server follow.

import { expect, test } from 'vitest'
import { RPC, type RpcDescription } from '../../src/etcd/rpcs.ts'
import { type GrpcCallOptions, GrpcClient } from '../../src/etcd-client/grpc-client.ts'
import { quickPasswords } from '../quick-passwords.ts'
import { Conversation, type Step } from './differential/conversation.ts'
import { type JsonObject, SELF } from './differential/frame.ts'
import { nodeOfFile } from './node-of-file.ts'

quickPasswords()

const node = nodeOfFile()
let runs = 0

async function talk(steps: readonly Step[], on = node.client): Promise<void> {
  const conversation = await Conversation.begin(on, ++runs)
  for (const step of steps) await conversation.make(step)
  await conversation.end()
}

const step = (rpc: Step['rpc'], request: JsonObject, more: Partial<Step> = {}): Step => ({
  rpc,
  request,
  ...more,
})
const USERS = [
  step('userAdd', { name: 'root', password: 'secret' }),
  step('userAdd', { name: 'ann', password: 'secret' }),
  step('roleAdd', { name: 'one' }),
  step('userGrantRole', { user: 'root', role: 'root' }),
]
const LOGIN = step('authenticate', { name: 'root', password: 'secret' })
const CHANGE = step('userChangePassword', { name: 'root', password: 'other' }, { as: 'root' })

test.each<[string, readonly Step[]]>([
  [
    'keys and leases',
    [step('leaseGrant', { id: 1, ttl: 300 }), step('put', { key: 'a', lease: 1 }), step('put', { key: 'b' })],
  ],
  ['a lease that the server has chosen', [step('leaseGrant', { ttl: 300 }), step('leaseGrant', { ttl: 5 })]],
  [
    'a lock and a client that waits for it',
    [1, 2].flatMap((id) => [
      step('leaseGrant', { id, ttl: 300 }),
      step('lock', { name: 'n', lease: id }, { stream: id }),
    ]),
  ],
  ['a lock with a lease of the server', [step('lock', { name: 'n' }, { stream: 1 })]],
  ['users and roles', USERS],
  [
    'rights that are checked',
    [...USERS, step('authEnable', {}), LOGIN, step('put', { key: 'a' }, { as: 'root' })],
  ],
  ['rights that are checked, without a login', [...USERS, step('authEnable', {})]],
  ['another password', [...USERS, step('authEnable', {}), LOGIN, CHANGE]],
  [
    'another password before rights are checked',
    [...USERS, step(CHANGE.rpc, CHANGE.request), step('authEnable', {})],
  ],
])('%s are gone when it has ended', async (_, steps) => {
  await talk(steps)
  expect((await node.client.unary(RPC.authStatus, {})).enabled).toBe(false)
  expect((await node.client.unary(RPC.userList, {})).users).toEqual([])
  expect((await node.client.unary(RPC.roleList, {})).roles).toEqual([])
  const zero = Buffer.from([0])
  expect((await node.client.unary(RPC.range, { key: zero, rangeEnd: zero })).kvs).toEqual([])
  expect((await node.client.unary(RPC.leaseLeases, {})).leases).toEqual([])
})

/** A server that keeps alarms, as etcd does, until a client deactivates them. */
class ClientWithAlarms extends GrpcClient {
  alarms: object[] = []

  override async unary<Q, A>(
    rpc: RpcDescription<Q, A, 'unary'>,
    request: Partial<Q>,
    options?: GrpcCallOptions,
  ): Promise<A> {
    if (rpc.path !== RPC.alarm.path) return super.unary(rpc, request, options)
    const { action = 0, memberId, alarm } = request as JsonObject
    if (action === 1) this.alarms.push({ memberId, alarm })
    if (action === 2) this.alarms = this.alarms.filter((each) => Object(each).alarm !== alarm)
    return { alarms: this.alarms } as A
  }
}

test('alarms are gone when it has ended, also those from before other requests', async () => {
  const fake = new ClientWithAlarms({ endpoint: node.endpoint })
  const alarms = [1, 2].map((alarm) => step('alarm', { action: 1, memberId: SELF, alarm }))
  await talk([...alarms, step('put', { key: 'a' })], fake)
  expect(fake.alarms).toEqual([])
  fake.close()
})
