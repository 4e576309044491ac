// The heaviest requests while rights are checked, and the end of all watches of a node. They follow each other: the
// first one enables rights, which ends all watches of clients that have named no user.

import { once } from 'node:events'
import { Packr } from 'msgpackr'
import { WebSocket } from 'ws'
import type { HeavyRequest, TestStore } from './requests.ts'

const [USERS, ROLES, RANGES] = [60, 15, 1300]
const WATCHES = 50_000
const WATCHES_PER_CONNECTION = 10_000
const WATCHES_PER_MESSAGE = 500
const WATCH = 16
const TIMEOUT_MS = 30_000

const packr = new Packr({ useRecords: false, int64AsType: 'number' })
const passwordOf = (user: string): string => `password of ${user}`
const roles = Array.from({ length: ROLES }, (_, at) => `role${at}`)
const users = Array.from({ length: USERS }, (_, at) => `user${at}`)

const putUser = (store: TestStore, user: string, password: string, more: object = {}): Promise<string> =>
  store.call('PUT', `/v1/auth/users/${user}`, { password, ...more })

const putRole = (store: TestStore, role: string, access: string): Promise<string> =>
  store.call('PUT', `/v1/auth/roles/${role}`, {
    permissions: Array.from({ length: RANGES }, (_, at) => ({
      access,
      key: `${role}/${String((at * 7919) % RANGES).padStart(5, '0')}`,
    })),
  })

async function logIn(store: TestStore, user: string): Promise<string> {
  const body = { user, password: passwordOf(user) }
  return `Bearer ${JSON.parse(await store.call('POST', '/v1/auth/login', body)).token}`
}

async function watchAsUsers(store: TestStore): Promise<void> {
  const root = store.authorization
  for (const user of users) {
    store.authorization = await logIn(store, user)
    await store.watch(`key=role0/00001`)
  }
  store.authorization = root
}

/** Opens watches of single keys on a multiplexed connection. Resolves when all have begun. */
async function openWatches(url: string, count: number): Promise<void> {
  const socket = new WebSocket(`${url}/v1/connect`, 'quorate.v1', { perMessageDeflate: false })
  socket.on('error', () => {})
  await once(socket, 'message')
  for (let at = 0; at < count; at += WATCHES_PER_MESSAGE) {
    const items = Array.from({ length: WATCHES_PER_MESSAGE }, (_, more) => {
      const key = Buffer.from(`watched/${at + more}`)
      return [at + more + 1, WATCH, TIMEOUT_MS, { key }, null, null]
    })
    socket.send(packr.encode(items))
    let begun = 0
    while (begun < items.length) {
      const [data] = await once(socket, 'message')
      begun += packr.decode(data).length
    }
  }
}

export const RIGHTS_REQUESTS: readonly HeavyRequest[] = [
  {
    name: 'the end of 50,000 watches',
    async prepare(store) {
      await putUser(store, 'root', passwordOf('root'), { roles: ['root'] })
      for (let left = WATCHES; left > 0; left -= WATCHES_PER_CONNECTION)
        await openWatches(store.url, Math.min(left, WATCHES_PER_CONNECTION))
      return async () => {
        await store.call('POST', '/v1/auth/enable', {})
        store.authorization = await logIn(store, 'root')
      }
    },
  },
  {
    name: 'a change of a password, 60 watching users of 19,500 ranges',
    async prepare(store) {
      for (const role of roles) await putRole(store, role, 'readwrite')
      await putUser(store, 'plain', passwordOf('plain'))
      for (const user of users) await putUser(store, user, passwordOf(user), { roles })
      await watchAsUsers(store)
      return async () => {
        await putUser(store, 'plain', 'another password')
      }
    },
  },
  {
    name: 'put of a role with 1,300 ranges, 60 watching users of 19,500 ranges',
    async prepare(store) {
      await watchAsUsers(store)
      return async () => {
        await putRole(store, 'role1', 'read')
      }
    },
  },
  {
    name: 'first request after a change of a role, 19,500 ranges',
    async prepare(store) {
      const root = store.authorization
      const user = await logIn(store, 'user0')
      await putRole(store, 'role1', 'readwrite')
      return async () => {
        store.authorization = user
        await store.call('GET', '/v1/kv/role3%2F00001', undefined, [404])
        store.authorization = root
      }
    },
  },
  {
    name: 'list of 15 roles with 19,500 ranges',
    prepare: async (store) => async () => {
      await store.call('GET', '/v1/auth/roles')
    },
  },
]
