// A table: every public call of a client, while the first node that it tries fails in each of several ways. The other
// two nodes serve the call. It runs through HTTP, and through etcd's API with the client for etcd.

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { Client, type ClientOptions, QuorateError } from '../../src/client/index.ts'
import { EtcdClient } from '../../src/etcd-client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/index.ts'
import { unsureRelay } from '../unsure-relay.ts'
import { type CallName, callsOf } from './call-names.ts'

// ---------------------------------------------------------------------------------------------------------------------
// Nodes that fail

/** Ends what a fault has begun. */
const endings: (() => unknown)[] = []

async function listening(onSocket: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    onSocket(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  endings.push(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not bound to a port')
  return `http://127.0.0.1:${address.port}`
}

/** A connection has the port, so nobody can listen there. */
async function refusing(): Promise<string> {
  const url = await listening(() => {})
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  endings.push(() => socket.destroy())
  await once(socket, 'connect')
  return `http://127.0.0.1:${socket.localPort}`
}

/** Its queue of connections is full, and nobody accepts them: a further connection waits. */
async function notAccepting(): Promise<string> {
  const code = `
    const { parentPort } = require('node:worker_threads')
    const server = require('node:net').createServer().listen(0, '127.0.0.1', 1, () => {
      parentPort.postMessage(server.address().port)
      setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))
    })`
  const worker = new Worker(code, { eval: true })
  endings.push(() => worker.terminate())
  const [port] = (await once(worker, 'message')) as [number]
  // The kernel accepts so many.
  for (let n = 0; n < 3; n++) {
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    endings.push(() => socket.destroy())
  }
  return `http://127.0.0.1:${port}`
}

/** Passes on requests. Of the first answer of a connection it passes on `share`, at least a byte. */
const relay = (to: string, share: number): Promise<string> =>
  listening((socket) => {
    const upstream = connect(Number(new URL(to).port), '127.0.0.1').on('error', () => {})
    endings.push(() => upstream.destroy())
    socket.pipe(upstream)
    socket.on('close', () => upstream.destroy())
    upstream.once('data', (chunk) => socket.write(chunk.subarray(0, Math.ceil(chunk.length * share) || 1)))
  })

const FAULTS = {
  'refuses connections': refusing,
  'hangs before it accepts': notAccepting,
  'hangs after it has accepted': () => listening(() => {}),
  'cuts the connection': () => listening((socket) => socket.once('data', () => socket.resetAndDestroy())),
  'hangs after the first byte': () => relay(cluster.endpoints[0] ?? '', 0),
  'hangs in the middle of its answer': () => relay(cluster.endpoints[0] ?? '', 0.7),
}
type Fault = keyof typeof FAULTS

// ---------------------------------------------------------------------------------------------------------------------
// Calls

/** A call. The test gives each a key, a user or a role of its own: `name`. */
type Call = (kv: Client, name: string) => Promise<unknown>

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

const member = { name: 'n1', replicaId: '1', peer: '127.0.0.1:1', url: 'http://127.0.0.1:1' }

/** The calls of `Client`. Those with an error end with this answer of a node, which is as good as a result. */
const CALLS: Readonly<Record<CallName, Call>> = {
  put: async (kv, name) => expect(await kv.put(name, 'v')).toMatchObject({ version: 1 }),
  putJson: async (kv, name) => expect(await kv.putJson(name, {})).toMatchObject({ version: 1 }),
  get: async (kv) => expect((await kv.get('range/0'))?.text()).toBe('v'),
  delete: async (kv, name) => expect(await kv.delete(await there(name))).toMatchObject({ deleted: 1 }),
  list: async (kv) => {
    expect(await all(kv.list({ prefix: 'range/' }))).toHaveLength(RANGE_KEYS)
    expect(await all(kv.list({ prefix: 'range/', snapshot: true }))).toHaveLength(RANGE_KEYS)
  },
  count: async (kv) => expect(await kv.count({ prefix: 'range/' })).toBe(RANGE_KEYS),
  txn: async (kv, name) => {
    const { succeeded } = await kv.txn({
      compare: [{ key: name, exists: false }],
      success: [{ put: { key: name, value: 'v' } }],
    })
    expect(succeeded).toBe(true)
  },
  transact: async (kv, name) => {
    await kv.transact(async (tx) => tx.put(name, (await tx.get('range/0'))?.text() ?? ''))
    expect(await healthy.get(name)).toMatchObject({ version: 1 })
  },
  deleteRange: async (kv, name) =>
    expect(await kv.deleteRange({ prefix: await there(name) })).toMatchObject({ deleted: 1 }),
  compact: (kv) => kv.compact(1),
  // The store has keys, and more revisions.
  raiseRevision: (kv) =>
    kv.raiseRevision(1).catch((error: unknown) => {
      if (!String(error).includes('revisions never fall')) throw error
    }),
  grantLease: (kv) => kv.grantLease({ ttlMs: 60_000 }),
  keepLeaseAlive: (kv) => kv.keepLeaseAlive(lease),
  keepLeasesAlive: (kv) => kv.keepLeasesAlive([lease]),
  lease: async (kv) => expect(await kv.lease(lease, { keys: true })).toMatchObject({ id: lease }),
  leases: async (kv) => expect((await all(kv.leases())).map(({ id }) => id)).toContain(lease),
  revokeLease: async (kv) => kv.revokeLease((await healthy.grantLease({ ttlMs: 60_000 })).id),
  session: async (kv, name) => {
    const session = await kv.session({ ttlMs: 60_000 })
    await session.put(name, 'v', { ifAbsent: true })
    expect(await session.close()).toBe(true)
  },
  watch: async (kv, name) => {
    await using watch = kv.watch({ key: name, progressMs: 200 })
    await watch.ready
    await healthy.put(name, 'v')
    for await (const { events } of watch) {
      expect(events).toMatchObject([{ key: name, type: 'put' }])
      break
    }
  },
  mirror: async (kv) => {
    for await (const view of kv.mirror({ prefix: 'range/' })) {
      expect(view.size).toBe(RANGE_KEYS)
      break
    }
  },
  status: (kv) => kv.status(),
  cluster: (kv) => kv.cluster(),
  members: async (kv) => expect(await kv.members()).toHaveLength(3),
  // While leaders change, as on a busy machine, there is none for a moment.
  leader: async (kv) => expect((await kv.leader()) ?? 'n1').toMatch(/^n[123]$/),
  addMember: (kv) => kv.addMember(member),
  removeMember: (kv) => kv.removeMember('nobody'),
  replaceMember: (kv) => kv.replaceMember('nobody', member),
  transferLeader: (kv) => kv.transferLeader('nobody'),
  settings: (kv) => kv.settings(),
  changeSettings: (kv) => kv.changeSettings({ value_bytes_max: 1_048_576 }),
  backup: async (kv) => expect((await all(kv.backup())).length).toBeGreaterThan(0),
  'auth.status': (kv) => kv.auth.status(),
  'auth.self': (kv) => kv.auth.self(),
  'auth.enable': (kv) => kv.auth.enable(),
  'auth.disable': (kv) => kv.auth.disable(),
  'users.list': (kv) => kv.users.list(),
  'users.get': (kv) => kv.users.get('somebody'),
  'users.put': (kv, name) => kv.users.put(name, { roles: [] }),
  'users.delete': (kv) => kv.users.delete('somebody'),
  'roles.list': (kv) => kv.roles.list(),
  'roles.get': (kv) => kv.roles.get('some'),
  'roles.put': (kv, name) => kv.roles.put(name, [{ access: 'read', all: true }]),
  'roles.delete': (kv) => kv.roles.delete('some'),
}

/** Changes without a write id: once a node may have them, no other node can say what became of them. */
const BARE: ReadonlySet<CallName> = new Set<CallName>([
  ...(['addMember', 'removeMember', 'replaceMember', 'transferLeader'] as const),
  ...(['auth.enable', 'auth.disable'] as const),
  ...(['users.put', 'users.delete', 'roles.put', 'roles.delete'] as const),
])

interface Wire {
  readonly name: string
  readonly open: (options: ClientOptions) => Client
  /** Changes without a write id. */
  readonly bare: ReadonlySet<CallName>
  /** Changes that read before: their read is sent to another node. */
  readonly readsFirst: ReadonlySet<CallName>
  /** Calls for which it has nothing. */
  readonly missing: ReadonlySet<CallName>
}

const WIRES: readonly Wire[] = [
  {
    name: 'HTTP',
    open: (options) => new Client({ ...options, transport: 'http' }),
    bare: BARE,
    readsFirst: new Set(),
    missing: new Set(),
  },
  {
    name: "etcd's API",
    open: ({ endpoints = [], timeoutMs, unreachableAfterMs }) =>
      new EtcdClient({ endpoints, timeoutMs, unreachableAfterMs }),
    // etcd has no write ids.
    bare: new Set<CallName>([
      ...(['put', 'putJson', 'delete', 'txn', 'transact', 'deleteRange', 'compact'] as const),
      ...(['grantLease', 'revokeLease', 'session'] as const),
    ]),
    readsFirst: new Set<CallName>(['transact', 'revokeLease']),
    missing: new Set<CallName>([
      ...(['addMember', 'removeMember', 'replaceMember', 'transferLeader', 'raiseRevision'] as const),
      ...(['settings', 'changeSettings', 'backup', 'auth.status', 'auth.self'] as const),
      ...(['auth.enable', 'auth.disable'] as const),
      ...(['users.put', 'users.delete', 'roles.put', 'roles.delete'] as const),
    ]),
  },
]

/** Shorter than the time limit of a try, as for the calls of commands: a node that is silent has accepted in time. */
const UNREACHABLE_AFTER_MS = 900

const NOT_SENT: ReadonlySet<Fault> = new Set<Fault>(['refuses connections', 'hangs before it accepts'])

// ---------------------------------------------------------------------------------------------------------------------

const RANGE_KEYS = 40
/** However busy the machine is. The time limit of a try is a second. */
const TIMEOUT_MS = 60_000
/** A change without a write id waits for its node to the end. A busy machine sends all rows in this time. */
const BARE_TIMEOUT_MS = 3_000

let cluster: EmbeddedCluster
let healthy: Client
let lease: string

beforeAll(async () => {
  cluster = await startCluster({ nodes: 3 })
  healthy = new Client({ endpoints: cluster.endpoints.slice(1), timeoutMs: TIMEOUT_MS })
  const puts = Array.from({ length: RANGE_KEYS }, (_, n) => ({ put: { key: `range/${n}`, value: 'v' } }))
  await healthy.txn({ success: puts })
  lease = (await healthy.grantLease({ ttlMs: 600_000 })).id
})

afterAll(async () => {
  vi.restoreAllMocks()
  for (const end of endings) await end()
  await healthy.close()
  await cluster.close()
})

async function there(name: string): Promise<string> {
  await healthy.put(name, 'v')
  return name
}

/** 'ok', or the outcome of a change that no other node can settle. */
async function outcomeOf(
  wire: Wire,
  name: CallName,
  call: Call,
  fault: Fault,
  broken: string,
): Promise<string> {
  const mayBeUnknown = wire.bare.has(name) && !wire.readsFirst.has(name) && !NOT_SENT.has(fault)
  // Round robin begins at the first endpoint.
  vi.spyOn(Math, 'random').mockReturnValueOnce(0)
  await using kv = wire.open({
    ...{ endpoints: [broken, ...cluster.endpoints.slice(1)], discover: false },
    timeoutMs: mayBeUnknown ? BARE_TIMEOUT_MS : TIMEOUT_MS,
    unreachableAfterMs: mayBeUnknown || NOT_SENT.has(fault) ? undefined : UNREACHABLE_AFTER_MS,
  })
  try {
    await call(kv, `${name}-${Object.keys(FAULTS).indexOf(fault)}-${wire.name}`)
    return 'ok'
  } catch (error) {
    if (!(error instanceof QuorateError)) return String(error)
    // A node has refused it.
    const isAnswered = error.status !== undefined && error.endpoint !== broken
    return isAnswered ? 'ok' : `${error.code}: ${error.message}`
  }
}

test('the table has every call', () => {
  expect(callsOf(healthy).sort()).toEqual(Object.keys(CALLS).sort())
})

/** Limit on the rows that wait at a time: all of them would keep a busy machine from answering in time. */
const ROWS_AT_ONCE = 60

describe.each(WIRES)('through $name', (wire) => {
  const faults = Object.keys(FAULTS) as Fault[]
  const unexpected: { readonly fault: Fault; readonly name: CallName; readonly outcome: string }[] = []

  beforeAll(async () => {
    const rows = faults.flatMap((fault) =>
      (Object.entries(CALLS) as [CallName, Call][]).map(([name, call]) => ({ fault, name, call })),
    )
    // Changes without a write id wait longest, so they begin first.
    const queue = [
      ...rows.filter(({ name }) => wire.bare.has(name)),
      ...rows.filter(({ name }) => !wire.bare.has(name)),
    ].values()
    const urls = new Map(faults.map((fault) => [fault, FAULTS[fault]()]))
    const worker = async (): Promise<void> => {
      for (const { fault, name, call } of queue) {
        const outcome = await outcomeOf(wire, name, call, fault, (await urls.get(fault)) ?? '')
        if (!isExpected(wire, name, fault).test(outcome)) unexpected.push({ fault, name, outcome })
      }
    }
    await Promise.all(Array.from({ length: ROWS_AT_ONCE }, worker))
  })

  test.each(faults)('a node %s: the others serve every call', (fault) => {
    expect(unexpected.filter((row) => row.fault === fault)).toEqual([])
  })
})

function isExpected({ bare, missing }: Wire, name: CallName, fault: Fault): RegExp {
  if (missing.has(name)) return /^bad_request: /
  if (bare.has(name) && !NOT_SENT.has(fault)) return /^ok$|^outcome_unknown: /
  // Two nodes do not write the same file.
  const isBroken = name === 'backup' && fault === 'hangs in the middle of its answer'
  return isBroken
    ? /^ok$|^incomplete: the stream of the backup, after [1-9][0-9]* bytes, stood still/
    : /^ok$/
}

// ---------------------------------------------------------------------------------------------------------------------
// Unknown outcomes

/** How many tries of each change have an unknown outcome. */
const LOSSES = 4

/** The end of a call through a relay, and how often each of its changes was tried. */
async function through(name: CallName, losses: number, done: boolean) {
  await using relay = await unsureRelay(cluster.endpoints[0] ?? '', { losses, done })
  await using kv = new Client({
    ...{ endpoints: [relay.url], discover: false, transport: 'http', timeoutMs: TIMEOUT_MS },
  })
  // The first write of a client that knows no revision is sent again for ten seconds only.
  await kv.get('a key that nobody writes')
  const end = await CALLS[name](kv, `${name}-${losses}-${done}`).then(
    () => 'ok',
    (error: unknown) => {
      if (error instanceof QuorateError) return error.code
      throw new Error(`${name}: ${String(error)}`, { cause: error })
    },
  )
  return { end, tries: [...new Set(relay.tries.values())] }
}

const CHANGES = new Set<CallName>([
  ...(['put', 'putJson', 'delete', 'txn', 'transact', 'deleteRange', 'compact', 'raiseRevision'] as const),
  ...(['changeSettings', 'grantLease', 'revokeLease', 'session'] as const),
])

test.each([true, false])(
  'of an unknown outcome every change with a write id asks until it knows; done: %s',
  async (done) => {
    const rows = [...CHANGES].map(async (name) => {
      const [{ end, tries }, usual] = await Promise.all([through(name, LOSSES, done), through(name, 0, done)])
      return [name, end === usual.end ? 'as usual' : end, tries, usual.tries]
    })
    const bare = [...BARE].map(async (name) => {
      const { end, tries } = await through(name, LOSSES, done)
      return [name, end, tries]
    })
    expect(await Promise.all([...rows, ...bare])).toEqual([
      ...[...CHANGES].map((name) => [name, 'as usual', [LOSSES + 1], [1]]),
      ...[...BARE].map((name) => [name, 'outcome_unknown', [1]]),
    ])
  },
)

test('every other call changes nothing', async () => {
  const reads = (Object.keys(CALLS) as CallName[]).filter((name) => !CHANGES.has(name) && !BARE.has(name))
  const rows = reads.map(async (name) => [name, (await through(name, LOSSES, true)).tries])
  expect(await Promise.all(rows)).toEqual(reads.map((name) => [name, []]))
})

// ---------------------------------------------------------------------------------------------------------------------
// Streams in the middle

const VALUE_BYTES = 64 * 1024
/** Some of the eight values. */
const BYTES_MAX = 4 * VALUE_BYTES

/** Passes on so many bytes of the first answer; then it hangs, or is cut. */
const relayUpTo = (to: string, bytesMax: number, end: 'hang' | 'cut'): Promise<string> =>
  listening((socket) => {
    const upstream = connect(Number(new URL(to).port), '127.0.0.1').on('error', () => {})
    endings.push(() => upstream.destroy())
    socket.pipe(upstream)
    socket.on('close', () => upstream.destroy())
    let left = bytesMax
    upstream.on('data', (chunk: Buffer) => {
      if (left > 0) socket.write(chunk.subarray(0, left))
      left -= chunk.length
      if (left <= 0 && end === 'cut') socket.resetAndDestroy()
    })
  })

/** Returns a client that tries the broken node first. */
function clientAt(broken: string): Client {
  vi.spyOn(Math, 'random').mockReturnValueOnce(0)
  const endpoints = [broken, ...cluster.endpoints.slice(1)]
  return new Client({ endpoints, discover: false, transport: 'http', timeoutMs: TIMEOUT_MS })
}

describe.each(['hang', 'cut'] as const)('streams of a node that ends in the middle with a %s', (end) => {
  const keys = Array.from({ length: 8 }, (_, n) => `large-${end}/${n}`)

  beforeAll(async () => {
    for (const key of keys) await healthy.put(key, Buffer.alloc(VALUE_BYTES, key))
  })

  test.concurrent.each(['asc', 'desc'] as const)(
    'a list of one revision (%s) continues at another node',
    async (order) => {
      await using kv = clientAt(await relayUpTo(cluster.endpoints[0] ?? '', BYTES_MAX, end))
      const found: string[] = []
      for await (const record of kv.list({ prefix: `large-${end}/`, snapshot: true, order })) {
        if (found.length === 0) {
          // The list shows the store as it was.
          await healthy.put(`large-${end}/4a`, 'later')
          await healthy.delete(`large-${end}/4a`)
        }
        expect(record.value).toHaveLength(VALUE_BYTES)
        found.push(record.key)
      }
      expect(found).toEqual(order === 'asc' ? keys : keys.toReversed())
    },
  )

  test.concurrent('a backup says how much of it has arrived', async () => {
    await using kv = clientAt(await relayUpTo(cluster.endpoints[0] ?? '', BYTES_MAX, end))
    await expect(all(kv.backup())).rejects.toMatchObject({
      code: 'incomplete',
      message: expect.stringMatching(/^the stream of the backup, after [1-9][0-9]* bytes, /),
    })
  })

  test('a list whose revision was compacted meanwhile says so, and how far it came', async () => {
    await using kv = clientAt(await relayUpTo(cluster.endpoints[0] ?? '', BYTES_MAX, end))
    let count = 0
    const reading = async () => {
      for await (const _ of kv.list({ prefix: `large-${end}/`, snapshot: true })) {
        if (count === 0) await healthy.compact((await healthy.put('later', 'v')).revision)
        count += 1
      }
    }
    await expect(reading()).rejects.toMatchObject({
      ...{ name: 'CompactedError', code: 'compacted', compactRevision: expect.any(Number) },
      message: expect.stringMatching(/^the list of revision [0-9]+ broke off after [1-9] records: /),
    })
  })
})
