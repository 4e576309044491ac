// Every right that a change needs is taken away after the node has permitted the change, and before it is applied. The
// table has an operation for each command: without one it does not compile. The rights are those of the rules
// themselves, so that a new demand is raced too. Where etcd's API has an RPC for it, the same race runs through its
// wires; and those of its reads, and of RPCs that make several changes.

import { describe, expect, test } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import type { Command } from '../../../src/kv/index.ts'
import {
  type AccessDemand,
  ApiError,
  asRevision,
  keyAfter,
  type LeaseDemand,
  type LeaseId,
  type Permission,
  prefixEnd,
} from '../../../src/operations/forms/index.ts'
import type { KvTxn, Operation } from '../../../src/operations/index.ts'
import type { ApiAnswer } from '../../../src/server/api/answer.ts'
import { Api } from '../../../src/server/api/api.ts'
import { execute } from '../../../src/server/api/execute.ts'
import { apiLimits } from '../../../src/server/api/limits.ts'
import { operationDemands } from '../../../src/server/api/permit.ts'
import { AS_BOB, AS_ROOT, nodeWithUsers } from '../auth/users.ts'
import { base64, ETCD_WIRES } from '../etcd/wires.ts'
import type { FakeNode } from '../http/fake-node.ts'
import { serve } from '../http/served.ts'

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))
const rangeOf = (prefix: string) => ({ start: bytes(prefix), end: prefixEnd(bytes(prefix)) })
const once = { idempotency: undefined } as const
const whole = { ifMatch: undefined, ifNoneMatch: 'any' } as const

/** Leases of root with a key each. */
const LEASES = ['7', '8'] as readonly string[] as readonly LeaseId[]
const [first, second] = LEASES.map((id) => ({ id }))
if (first === undefined || second === undefined) throw new Error('two leases')
const keyOf = (id: LeaseId): Uint8Array => bytes(`held/${id}`)

const put = (key: string, lease?: { id: LeaseId }) =>
  ({ kind: 'put', key: bytes(key), value: bytes('new'), prev: false, lease }) as const

const TXN: KvTxn = {
  compare: [{ where: { key: bytes('t/compared') }, target: 'version', op: '=', to: 0 }],
  success: [put('t/put', first), { kind: 'delete', where: rangeOf('t/deleted/'), prev: true }],
  failure: [
    {
      kind: 'txn',
      txn: {
        compare: [],
        success: [put('t/nested', second)],
        failure: [
          {
            kind: 'get',
            where: { key: bytes('t/read') },
            limit: 1,
            keysOnly: false,
            count: false,
            countOnly: false,
          },
        ],
      },
    },
  ],
}

/** It changes the key that it compares, and otherwise reads another. */
const TXN_OF_KEY: KvTxn = {
  compare: [{ where: { key: bytes('t/key') }, target: 'version', op: '=', to: 0 }],
  success: [put('t/key')],
  failure: [
    {
      ...{ kind: 'get', where: { key: bytes('t/read') }, limit: 1 },
      ...{ keysOnly: false, count: false, countOnly: false },
    },
  ],
}

/** An operation for each command. Clients cannot request those that only nodes propose. */
const OPERATIONS = {
  put: { ...put('app/put', first), condition: whole, prev: true, ...once },
  delete: {
    kind: 'delete',
    key: bytes('app/old'),
    condition: { ifMatch: 'any', ifNoneMatch: undefined },
    prev: true,
    ...once,
  },
  batch: {
    ...{ kind: 'batch', ...once },
    commands: [
      { ...put('app/one', first), condition: whole },
      { ...put('app/two', second), condition: undefined },
      { kind: 'delete', key: bytes('app/three'), condition: undefined, prev: false },
    ],
  },
  'delete-range': { kind: 'delete-range', range: rangeOf('app/'), ...once },
  txn: { kind: 'txn', txn: TXN, freshness: {}, ...once },
  settings: { kind: 'change-settings', settings: { keyBytesMax: 100 }, ...once },
  compact: { kind: 'compact', revision: asRevision(3), ...once },
  // The store has keys.
  'raise-revision': undefined,
  grant: { kind: 'grant', id: '99' as LeaseId, ttlMs: 60_000, ...once },
  revoke: { kind: 'revoke', id: first.id, ...once },
  'open-session': { kind: 'open-session' },
  auth: {
    kind: 'change-auth',
    change: { kind: 'put-role', name: 'new', permissions: [] },
    ifRevision: undefined,
  },
  renew: undefined,
  expire: undefined,
} as const satisfies { readonly [K in Command['kind']]: Operation | undefined }

const BOB = { user: 'bob', epoch: undefined }

/** A change that takes a right away. */
interface Race {
  readonly name: string
  take(node: FakeNode): void
}

const permissionOf = (demand: AccessDemand): readonly Permission[] => {
  switch (demand.to) {
    case 'read':
    case 'write':
      return [{ access: demand.to, range: demand.range }]
    case 'administer':
      return [{ access: 'admin', range: undefined }]
    case 'change':
      return [{ access: 'write', range: rangeOf('app/') }]
    case 'call':
    case 'see-role':
    case 'be-node':
      return []
    default: {
      const range = { start: keyOf(demand.lease), end: keyAfter(keyOf(demand.lease)) }
      return [{ access: demand.to === 'read-lease' ? 'read' : 'write', range }]
    }
  }
}

const changeRole = (node: FakeNode, demands: readonly AccessDemand[]): void =>
  node.apply({
    ...{ kind: 'auth', ifRevision: undefined },
    change: { kind: 'put-role', name: 'app', permissions: demands.flatMap(permissionOf) },
  })

function racesOf(demand: AccessDemand, all: readonly AccessDemand[]): readonly Race[] {
  // Apply decides on a session as version 0.1.0 does: any user may open it.
  if (demand.to === 'call' || demand.to === 'change')
    return [
      {
        name: 'the user is removed',
        take: (node) =>
          node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'delete-user', name: 'bob' } }),
      },
    ]
  const others = all.filter((other) => other !== demand)
  const place =
    'range' in demand ? Buffer.from(demand.range.start).toString() : 'lease' in demand ? demand.lease : ''
  const removal = {
    name: `no right to ${demand.to} ${place}`,
    take: (node: FakeNode) => changeRole(node, others),
  }
  return 'lease' in demand ? [removal, ...racesOfLease(demand)] : [removal]
}

const racesOfLease = ({ to, lease: id }: LeaseDemand): readonly Race[] => [
  {
    name: `a key of others at lease ${id} to ${to}`,
    take: (node) => node.apply({ ...put('secret', { id }), condition: undefined }),
  },
  // Everybody may read that a lease has no keys.
  ...(to === 'read-lease'
    ? []
    : [
        {
          name: `another lease ${id} without keys to ${to}`,
          take: (node: FakeNode) => {
            node.apply({ kind: 'revoke', id })
            node.apply({ kind: 'grant', id, ttlMs: 60_000 })
          },
        },
      ]),
]

function nodeFor(demands: readonly AccessDemand[]): FakeNode {
  const node = nodeWithUsers()
  for (const id of LEASES) {
    node.apply({ kind: 'grant', id, ttlMs: 60_000 })
    node.apply({ ...put(Buffer.from(keyOf(id)).toString(), { id }), condition: undefined })
  }
  node.put('app/old', '')
  changeRole(node, demands)
  return node
}

const whileHeld = (node: FakeNode, between: () => void): void => {
  node.hold = (release) => {
    node.hold = undefined
    between()
    release()
  }
}

/** `between`: called when the change is permitted, and not yet applied. */
const run = (node: FakeNode, operation: Operation, between: () => void): Promise<ApiAnswer> => {
  const failed = (error: Error): never => {
    throw error
  }
  const api = new Api({ node, limits: apiLimits, version: '', failed })
  whileHeld(node, between)
  const call = {
    deadline: performance.now() + 10_000,
    expansion: 1,
    principal: BOB,
    isAbandoned: () => false,
  }
  return new Promise((resolve) => execute(api, operation, call, resolve))
}

const operations: readonly Operation[] = [
  ...Object.values(OPERATIONS).filter((operation) => operation !== undefined),
  { kind: 'txn', txn: TXN_OF_KEY, freshness: {}, ...once },
]

test.each(operations.map((operation) => [operation.kind, operation] as const))(
  '%s is made by a user with the rights',
  async (_, operation) => {
    const node = nodeFor(operationDemands(operation, BOB))
    const { revision, auth, leases, clientSessions, settings, history } = node.state
    expect(await run(node, operation, () => {})).not.toBeInstanceOf(ApiError)
    // It has an effect that its refusal would not have.
    expect(node.state).not.toMatchObject({ revision, auth, leases, clientSessions, settings, history })
  },
)

const RACES = operations.flatMap((operation) => {
  const demands = operationDemands(operation, BOB)
  return demands.flatMap((demand) =>
    racesOf(demand, demands).map((race) => [operation.kind, race.name, operation, race] as const),
  )
})

test.each(RACES)('%s is not made: %s', async (_, __, operation, race) => {
  const node = nodeFor(operationDemands(operation, BOB))
  let before: unknown
  const answer = await run(node, operation, () => {
    race.take(node)
    before = node.state
  })
  expect(answer).toBeInstanceOf(ApiError)
  expect(answer).toMatchObject({ code: expect.stringMatching(/^(permission_denied|unauthenticated)$/) })
  expect(node.state).toEqual(before)
})

test('a write is proposed once, however often passwords of others change before it is applied', async () => {
  const operation = { ...put('app/x'), condition: undefined, ...once }
  const node = nodeFor(operationDemands(operation, BOB))
  node.apply({ kind: 'auth', ifRevision: undefined, change: userOf('carl') })
  let proposals = 0
  const between = (): void => {
    proposals++
    node.apply({ kind: 'auth', ifRevision: undefined, change: { ...userOf('carl'), roles: undefined } })
    if (proposals < 5) whileHeld(node, between)
  }
  expect(await run(node, operation, between)).toMatchObject({ kind: 'put' })
  expect(proposals).toBe(1)
})

test('a change that is decided again keeps the name by which a repeat is known', async () => {
  const node = nodeWithUsers()
  const { ask } = await serve({ node })
  const steps = [
    () => changeRole(node, []),
    // The node waits for the newest rights before it refuses.
    () => changeRole(node, [{ to: 'write', range: rangeOf('app/') }]),
  ]
  node.hold = (release) => {
    steps.shift()?.()
    release()
  }
  const request = { headers: { ...AS_BOB, 'Idempotency-Key': 'once' }, body: 'new' }
  const first = await ask('PUT', '/v1/kv/app/put', request)
  expect([first.status, steps]).toEqual([200, []])
  const { status, headers, json } = await ask('PUT', '/v1/kv/app/put', request)
  expect([status, headers['idempotency-replayed'], json]).toEqual([200, 'true', first.json])
})

const WHOLE = { limit: undefined, keysOnly: false, count: false, countOnly: false } as const
const fresh = { freshness: {} } as const

/** Operations that answer with keys that may no longer be read, and so with nothing. */
const READS: Readonly<Record<string, Operation>> = {
  'a get': { kind: 'get', key: bytes('app/old'), ...fresh },
  'a get at a revision': { kind: 'get', key: bytes('app/old'), revision: asRevision(4), ...fresh },
  'a range': { kind: 'range', range: rangeOf('app/'), countOnly: true, ...fresh },
  'keys of a lease': { kind: 'show-lease', id: first.id, keys: true, ...fresh },
  'a transaction without changes': {
    kind: 'txn',
    txn: { compare: [], success: [{ kind: 'get', where: { key: bytes('app/old') }, ...WHOLE }], failure: [] },
    ...{ ...fresh, ...once },
  },
  // The comparison fails. The entry changes nothing, and another read follows.
  'a transaction of one key': {
    kind: 'txn',
    txn: {
      compare: [{ where: { key: bytes('app/old') }, target: 'version', op: '=', to: 0 }],
      success: [put('app/old')],
      failure: [{ kind: 'get', where: { key: bytes('app/old') }, ...WHOLE }],
    },
    ...{ ...fresh, ...once },
  },
}

test.each(Object.entries(READS))(
  '%s is not answered when the right to read ends during one of its waits',
  async (_, operation) => {
    const demands = operationDemands(operation, BOB)
    /** Takes the right during the wait with this number. Returns the answer, and the number of waits until then. */
    const take = async (at: number): Promise<readonly [ApiAnswer, number]> => {
      const node = nodeFor(demands)
      let waits = 0
      const between = (): void => {
        if (waits++ === at) changeRole(node, [])
        else whileHeld(node, between)
      }
      return [await run(node, operation, between), waits]
    }
    const [answer, waits] = await take(Number.POSITIVE_INFINITY)
    expect(answer).not.toBeInstanceOf(ApiError)
    expect(waits).toBeGreaterThan(0)
    for (let at = 0; at < waits; at++)
      expect((await take(at))[0], `wait ${at}`).toMatchObject({ code: 'permission_denied' })
  },
)

const userOf = (name: string) => ({ kind: 'put-user', name, passwordHash: 'h', roles: [] }) as const

test('a key is not attached to a lease that did not exist when the change was permitted', async () => {
  const operation = { ...put('app/x', { id: '77' as LeaseId }), condition: undefined, ...once }
  const node = nodeFor(operationDemands({ ...operation, lease: undefined }, BOB))
  const answer = await run(node, operation, () =>
    node.apply({ kind: 'grant', id: '77' as LeaseId, ttlMs: 60_000 }),
  )
  expect(answer).toMatchObject({ code: 'permission_denied' })
  expect(node.state.keys).toBe(LEASES.length + 1)
})

test('a change of the own password is not made for a user who was removed', async () => {
  const change = { kind: 'put-user', name: 'bob', passwordHash: 'h', roles: undefined } as const
  const node = nodeFor([])
  const { revision } = node.state.auth
  const command = { kind: 'auth', change, ifRevision: undefined } as const
  const madeAt = node.auth.state.users.get('bob')?.madeAt
  node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'delete-user', name: 'bob' } })
  await new Promise<void>((resolve) =>
    node.propose(
      { command, idempotency: undefined, principal: 'bob', authRevision: revision, madeAt },
      1000,
      (result) => {
        expect(result).toMatchObject({ value: { outcome: { kind: 'refused', reason: 'rights-changed' } } })
        resolve()
      },
    ),
  )
  expect(node.auth.state.users.has('bob')).toBe(false)
})

test('an error states nothing of keys that may not be read', async () => {
  const operation = { kind: 'delete-range', range: rangeOf('app/'), ...once } as const
  const refused = async (...accesses: readonly ('read' | 'write')[]): Promise<ApiAnswer> => {
    const node = nodeFor(accesses.map((to) => ({ to, range: operation.range })))
    for (const key of ['app/1', 'app/2']) node.put(key, '')
    node.apply({ kind: 'settings', settings: { rangeKeysMax: 2 } })
    return run(node, operation, () => {})
  }
  expect(await refused('write', 'read')).toMatchObject({ code: 'range_too_large', members: { count: 3 } })
  const counted = await refused('write')
  expect(counted).toMatchObject({ code: 'range_too_large', message: expect.not.stringContaining('counted') })
  expect(counted).not.toMatchObject({ members: { count: expect.anything() } })

  const node = nodeFor([{ to: 'write', range: operation.range }])
  node.put('app/old', 'x'.repeat(30))
  node.apply({ kind: 'settings', settings: { storeBytesMax: 10 } })
  const larger = { ...put('app/old'), value: new Uint8Array(40), condition: undefined, ...once }
  const full = await run(node, larger, () => {})
  expect(full).toMatchObject({
    code: 'storage_full',
    message: 'the store would hold more than 10 bytes (store_bytes_max)',
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Through etcd's API

interface EtcdRace {
  readonly operation: Operation
  readonly rpc: (typeof RPC)[keyof typeof RPC]
  readonly request: object
}

const prefixed = (prefix: string) => ({ key: base64(prefix), range_end: base64(`${prefix.slice(0, -1)}0`) })
const reads = { limit: undefined, keysOnly: false, freshness: {} } as const

const ETCD_TXN = {
  compare: [{ key: base64('t/compared'), target: 'VERSION', result: 'EQUAL', version: 0 }],
  success: [
    { request_put: { key: base64('t/put'), value: base64('new'), lease: '7' } },
    { request_delete_range: { ...prefixed('t/deleted/'), prev_kv: true } },
  ],
  failure: [
    {
      request_txn: {
        success: [{ request_put: { key: base64('t/nested'), value: base64('new'), lease: '8' } }],
        failure: [{ request_range: { key: base64('t/read'), limit: 1 } }],
      },
    },
  ],
}

/** RPCs that make one change. etcd has none for batches, settings and sessions. */
const ETCD_CHANGES: Readonly<Record<string, EtcdRace>> = {
  put: {
    operation: { ...OPERATIONS.put, condition: undefined },
    rpc: RPC.put,
    request: { key: base64('app/put'), value: base64('new'), lease: '7', prev_kv: true },
  },
  delete: {
    operation: { ...OPERATIONS.delete, condition: undefined },
    rpc: RPC.deleteRange,
    request: { key: base64('app/old'), prev_kv: true },
  },
  'delete of a range': {
    operation: OPERATIONS['delete-range'],
    rpc: RPC.deleteRange,
    request: prefixed('app/'),
  },
  txn: { operation: OPERATIONS.txn, rpc: RPC.txn, request: ETCD_TXN },
  compaction: { operation: OPERATIONS.compact, rpc: RPC.compact, request: { revision: 3 } },
  grant: { operation: OPERATIONS.grant, rpc: RPC.leaseGrant, request: { ID: '99', TTL: 60 } },
  revoke: { operation: OPERATIONS.revoke, rpc: RPC.leaseRevoke, request: { ID: '7' } },
  role: { operation: OPERATIONS.auth, rpc: RPC.roleAdd, request: { name: 'new' } },
}

const WATCHED = { where: rangeOf('app/'), from: undefined, only: undefined, prev: false, values: true }

const ETCD_READS: Readonly<Record<string, EtcdRace>> = {
  get: {
    operation: { kind: 'get', key: bytes('app/old'), freshness: {} },
    rpc: RPC.range,
    request: { key: base64('app/old') },
  },
  range: {
    operation: { kind: 'range', range: rangeOf('app/'), ...reads },
    rpc: RPC.range,
    request: prefixed('app/'),
  },
  'stream of a range': {
    operation: { kind: 'range', range: rangeOf('app/'), ...reads },
    rpc: RPC.rangeStream,
    request: prefixed('app/'),
  },
  'keep-alive': {
    operation: { kind: 'keep-alive', ids: [first.id], one: false },
    rpc: RPC.leaseKeepAlive,
    request: { ID: '7' },
  },
  'time to live': {
    operation: { kind: 'show-lease', id: first.id, keys: true, freshness: {} },
    rpc: RPC.leaseTimeToLive,
    request: { ID: '7', keys: true },
  },
  snapshot: { operation: { kind: 'backup', history: true }, rpc: RPC.snapshot, request: {} },
  watch: {
    operation: { kind: 'watch', request: { ...WATCHED, progressMs: 1000 } },
    rpc: RPC.watch,
    request: { create_request: prefixed('app/') },
  },
}

const REFUSED = /^(7 etcdserver: permission denied|16 etcdserver: invalid auth token)$/
const token = AS_BOB.Authorization.replace('Bearer ', '')

const withoutRight = (node: FakeNode): void => changeRole(node, [])
const withoutUser = (node: FakeNode): void =>
  node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'delete-user', name: 'bob' } })

/** Rows of every demand of every RPC. */
const etcdRacesOf = (table: Readonly<Record<string, EtcdRace>>) =>
  Object.entries(table).flatMap(([name, race]) => {
    const demands = operationDemands(race.operation, BOB)
    return demands.flatMap((demand) =>
      racesOf(demand, demands).map((taken) => [name, taken.name, race, demands, taken] as const),
    )
  })

/** Waits for the proposal of a change, which may follow reads; a read is held itself. */
const whenAsked = (node: FakeNode, isChange: boolean, between: () => void): void => {
  node.hold = (release) => {
    if (isChange && node.asked.at(-1)?.request === undefined) return release()
    node.hold = undefined
    between()
    release()
  }
}

/** etcd answers a watch without a right as one that has ended. */
const refusalOf = (responses: readonly { readonly canceled?: boolean; readonly cancel_reason?: string }[]) =>
  responses.some(
    ({ canceled, cancel_reason }) => canceled && /permission denied|invalid auth/.test(`${cancel_reason}`),
  )

describe.each(ETCD_WIRES)('%s', (_, open) => {
  test.each(Object.entries({ ...ETCD_CHANGES, ...ETCD_READS }))(
    '%s is made by a user with the rights',
    async (_, { operation, rpc, request }) => {
      const node = nodeFor(operationDemands(operation, BOB))
      const { port } = await serve({ node })
      const { responses, error } = await open(port, { token })(rpc, request)
      expect([error, refusalOf(responses)]).toEqual([undefined, false])
      expect(responses.length).toBeGreaterThan(0)
    },
  )

  test.each(etcdRacesOf(ETCD_CHANGES))(
    '%s is not made: %s',
    async (_, __, { rpc, request }, demands, taken) => {
      const node = nodeFor(demands)
      const { port } = await serve({ node })
      let before: unknown
      whenAsked(node, true, () => {
        taken.take(node)
        before = node.state
      })
      expect(await open(port, { token })(rpc, request)).toEqual({
        responses: [],
        error: expect.stringMatching(REFUSED),
      })
      expect(before).toBeDefined()
      expect(node.state).toEqual(before)
    },
  )

  test.each(etcdRacesOf(ETCD_READS))(
    '%s shows nothing: %s',
    async (name, what, { rpc, request }, demands, taken) => {
      const node = nodeFor(demands)
      const { port } = await serve({ node })
      let isTaken = false
      whenAsked(node, false, () => {
        taken.take(node)
        isTaken = true
      })
      const { responses, error } = await open(port, { token })(rpc, request)
      // A lease is kept alive by whoever had the right when he sent the request: nothing is shown by it.
      if (name === 'keep-alive' && isTaken && error === undefined) return
      expect([what, isTaken]).toEqual([what, true])
      if (name === 'watch') expect(refusalOf(responses) || REFUSED.test(`${error}`)).toBe(true)
      else expect({ responses, error }).toEqual({ responses: [], error: expect.stringMatching(REFUSED) })
    },
  )

  test.each([
    ['lock', RPC.lock, { name: base64('app/l') }],
    ['campaign', RPC.campaign, { name: base64('app/l'), value: base64('me') }],
  ] as const)('a %s is not had by a user whose rights end at any step', async (_, rpc, request) => {
    for (const take of [withoutRight, withoutUser]) {
      let steps = 0
      for (let step = 1; ; step++) {
        const node = nodeWithUsers()
        const { port } = await serve({ node })
        steps = 0
        node.hold = (release) => {
          if (++steps === step) take(node)
          release()
        }
        const { error } = await open(port, { token })(rpc, request)
        if (steps < step) {
          expect(error).toBe(undefined)
          break
        }
        expect([step, error]).toEqual([step, expect.stringMatching(REFUSED)])
        expect([step, node.state.keys, node.state.leases.count]).toEqual([step, 0, 0])
      }
      // The lease, the key, and those before it.
      expect(steps).toBeGreaterThanOrEqual(3)
    }
  })

  test('who waits for a lock does not have it after his right has ended', async () => {
    const node = nodeWithUsers()
    const { port } = await serve({ node })
    const root = open(port, { token: AS_ROOT.Authorization.replace('Bearer ', '') })
    const held = await root(RPC.lock, { name: base64('app/l') })
    const waiting = open(port, { token })(RPC.lock, { name: base64('app/l') })
    await expect.poll(() => node.watches.counts().open).toBe(1)
    withoutRight(node)
    expect(await waiting).toEqual({ responses: [], error: expect.stringMatching(REFUSED) })
    expect(await root(RPC.unlock, { key: held.responses[0]?.key })).toMatchObject({ error: undefined })
  })
})
