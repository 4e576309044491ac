// One AbortSignal that is given to thousands of calls. A listener for each would make every further call search them
// all, when it begins and when it ends.

import { getEventListeners } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import type { Client } from '../../src/client/index.ts'
import { pause } from '../../src/client/timer.ts'
import { type CallName, callsOf } from './call-names.ts'
import { clientOf, failure, fake, fakePeer, freezeTime, passing, until } from './with-fakes.ts'

const AT_REST = { calls: 0, permits: 0, requests: 0, probes: 0 }
/** One for each part of the client that listens. */
const LISTENERS_MAX = 4

const first = async (list: AsyncGenerator): Promise<unknown> => (await list.next()).value

test.each<[string, (kv: Client, signal: AbortSignal) => Promise<unknown>]>([
  ['watches', (kv, signal) => kv.watch({ key: 'k', signal }).next()],
  ['bodies of transactions', (kv, signal) => kv.transact(() => new Promise(() => {}), { signal })],
  ['reads and writes', (kv, signal) => Promise.any([kv.put('k', 'v', { signal }), kv.get('k', { signal })])],
  ['lists', (kv, signal) => first(kv.list({ prefix: 'k', snapshot: true, signal }))],
  ['mirrors', (kv, signal) => first(kv.mirror({ prefix: 'k', signal }))],
  ['pauses of recipes', (_kv, signal) => pause(Number.POSITIVE_INFINITY, signal)],
])('%s with one signal share its listeners, and leave none behind', async (_what, call) => {
  const node = await fake()
  const kv = clientOf([node], { timeoutMs: 60_000 })
  await kv.put('first', '1')
  node.fault = () => 'hang'
  const abort = new AbortController()
  const { signal } = abort
  const ends = Array.from({ length: 50 }, () => call(kv, signal).catch(() => 'ended'))
  await until(() => getEventListeners(signal, 'abort').length > 0)
  for (let turns = 0; turns < 20; turns++) await nextTurn()
  expect(getEventListeners(signal, 'abort').length).toBeLessThanOrEqual(LISTENERS_MAX)
  abort.abort()
  await Promise.all(ends)
  await until(() => kv[inspect]().calls === 0)
  expect([getEventListeners(signal, 'abort'), kv[inspect]()]).toEqual([[], AT_REST])
})

test('a signal that earlier calls have had ends later ones too', async () => {
  const node = await fake()
  const kv = clientOf([node], { timeoutMs: 60_000 })
  const abort = new AbortController()
  const { signal } = abort
  for (let n = 0; n < 3; n++) {
    await kv.put('k', 'v', { signal })
    expect(getEventListeners(signal, 'abort')).toEqual([])
  }
  node.fault = () => 'hang'
  let isOver = false
  const get = failure(kv.get('k', { signal })).finally(() => {
    isOver = true
  })
  await until(() => node.seen.length === 4)
  abort.abort()
  await until(() => isOver)
  expect(await get).toMatchObject({ code: 'aborted', written: 'no' })
  expect([getEventListeners(signal, 'abort'), kv[inspect]()]).toEqual([[], AT_REST])
})

const all = async (items: AsyncIterable<unknown>): Promise<void> => {
  for await (const _ of items);
}
const member = { name: 'n9', replicaId: '9', peer: '127.0.0.1:9', url: 'http://127.0.0.1:9' }

/** Every public call, with a signal that outlives it. */
const CALLS: Readonly<Record<CallName, (kv: Client, signal: AbortSignal) => Promise<unknown>>> = {
  put: (kv, signal) => kv.put('k', 'v', { signal }),
  putJson: (kv, signal) => kv.putJson('k', {}, { signal }),
  get: (kv, signal) => kv.get('k', { signal }),
  delete: (kv, signal) => kv.delete('k', { signal }),
  list: (kv, signal) => all(kv.list({ prefix: 'k', snapshot: true, signal })),
  count: (kv, signal) => kv.count({ prefix: 'k', signal }),
  txn: (kv, signal) => kv.txn({ success: [{ put: { key: 'k', value: 'v' } }] }, { signal }),
  transact: (kv, signal) => kv.transact(async (tx) => tx.put('k', String(await tx.get('k'))), { signal }),
  deleteRange: (kv, signal) => kv.deleteRange({ prefix: 'k' }, { signal }),
  compact: (kv, signal) => kv.compact(1, { signal }),
  raiseRevision: (kv, signal) => kv.raiseRevision(1, { signal }),
  grantLease: (kv, signal) => kv.grantLease({ ttlMs: 60_000 }, { signal }),
  keepLeaseAlive: (kv, signal) => kv.keepLeaseAlive('7', { signal }),
  keepLeasesAlive: (kv, signal) => kv.keepLeasesAlive(['7'], { signal }),
  lease: (kv, signal) => kv.lease('7', { signal }),
  leases: (kv, signal) => all(kv.leases({ signal })),
  revokeLease: (kv, signal) => kv.revokeLease('7', { signal }),
  session: async (kv, signal) => (await kv.session({ ttlMs: 60_000, signal })).close(),
  watch: async (kv, signal) => {
    await using watch = kv.watch({ key: 'k', signal })
    await watch.ready
  },
  mirror: (kv, signal) => first(kv.mirror({ prefix: 'k', signal })),
  status: (kv, signal) => kv.status({ signal }),
  cluster: (kv, signal) => kv.cluster({ signal }),
  members: (kv, signal) => kv.members({ signal }),
  leader: (kv, signal) => kv.leader({ signal }),
  addMember: (kv, signal) => kv.addMember(member, { signal }),
  removeMember: (kv, signal) => kv.removeMember('n9', { signal }),
  replaceMember: (kv, signal) => kv.replaceMember('n8', member, { signal }),
  transferLeader: (kv, signal) => kv.transferLeader('n1', { signal }),
  settings: (kv, signal) => kv.settings({ signal }),
  changeSettings: (kv, signal) => kv.changeSettings({ value_bytes_max: 65_536 }, { signal }),
  backup: (kv, signal) => all(kv.backup({ signal })),
  'auth.status': (kv, signal) => kv.auth.status({ signal }),
  'auth.self': (kv, signal) => kv.auth.self({ signal }),
  'auth.enable': (kv, signal) => kv.auth.enable({ signal }),
  'auth.disable': (kv, signal) => kv.auth.disable({ signal }),
  'users.list': (kv, signal) => kv.users.list({ signal }),
  'users.get': (kv, signal) => kv.users.get('u', { signal }),
  'users.put': (kv, signal) => kv.users.put('u', { roles: [] }, { signal }),
  'users.delete': (kv, signal) => kv.users.delete('u', { signal }),
  'roles.list': (kv, signal) => kv.roles.list({ signal }),
  'roles.get': (kv, signal) => kv.roles.get('r', { signal }),
  'roles.put': (kv, signal) => kv.roles.put('r', [], { signal }),
  'roles.delete': (kv, signal) => kv.roles.delete('r', { signal }),
}

test('the table has every call', () => {
  expect(callsOf(clientOf(['http://127.0.0.1:1'])).sort()).toEqual(Object.keys(CALLS).sort())
})

const HANGING = { 'to the end': Number.POSITIVE_INFINITY, 'until the others were tried': 2_500 }

test.each(Object.entries(HANGING))(
  'no call leaves a listener behind, with nodes that hang %s',
  async (_, untilMs) => {
    const own = await fake()
    const nodes = [own, await fakePeer(own, 'n2')]
    const kv = clientOf(nodes, { timeoutMs: 5_000, transport: 'http' })
    await kv.put('k', 'v')
    freezeTime()
    const left: string[] = []
    for (const [name, call] of Object.entries(CALLS)) {
      const { signal } = new AbortController()
      for (const node of nodes) node.fault = () => (performance.now() < hangsUntil ? 'hang' : undefined)
      const hangsUntil = performance.now() + untilMs
      let isOver = false
      const ends = Array.from({ length: 3 }, () => call(kv, signal).catch(() => undefined))
      void Promise.all(ends).then(() => {
        isOver = true
      })
      while (!isOver) await passing(250)
      for (const node of nodes) node.fault = () => undefined
      await until(() => kv[inspect]().calls === 0)
      if (getEventListeners(signal, 'abort').length > 0) left.push(name)
    }
    expect(left).toEqual([])
  },
)
