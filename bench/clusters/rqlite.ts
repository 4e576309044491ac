// A cluster of rqlite: three nodes on loopback, and a table of keys and values.

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { cachedRelease, type Release } from '../../test/etcd/go-programs.ts'
import { sendOnce } from '../load/http-connection.ts'
import { getJson } from './get-json.ts'
import { MemberProcesses } from './member-processes.ts'
import { consecutivePorts } from './ports.ts'
import { rqliteRequest } from './rqlite-request.ts'
import { ETCD_ONLY, QUORATE_ONLY, type StartedCluster, type System, withoutWatches } from './system.ts'

const NAMES = ['r1', 'r2', 'r3'] as const
const RELEASE: Release = {
  module: 'github.com/rqlite/rqlite/v8',
  version: '8.43.4',
  directory: 'cmd/rqlited',
  sums: [
    'github.com/rqlite/rqlite/v8 v8.43.4 h1:vTMKQVmR4DAjWRbbIrkCe3Ew8JWaOB3h30yimVAVflU=',
    'github.com/rqlite/rqlite/v8 v8.43.4/go.mod h1:m7DfZDPvFY8UOVG0xd0dE3PP6IIxJA0km7Q3gl6nry8=',
  ],
}
const TABLE_WITHIN_MS = 60_000
const AGAIN_MS = 200

/** The revision is for `updates`. The statements of the load are in bench/generator/rqlite.go. */
const CREATE =
  'CREATE TABLE IF NOT EXISTS kv ' +
  '(key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL)'
const PUT =
  'INSERT INTO kv(key, value, revision) VALUES(?, ?, 1) ' +
  'ON CONFLICT(key) DO UPDATE SET value = excluded.value, revision = revision + 1'
const GET = 'SELECT value FROM kv WHERE key = ?'

const NO_WATCHES = 'it has no watches'
const WITHOUT: Readonly<Record<string, string>> = {
  ...QUORATE_ONLY,
  ...ETCD_ONLY,
  ...withoutWatches(NO_WATCHES),
}

export const RQLITE: System = {
  name: 'rqlite',
  about: 'a table of keys, values and revisions, with its defaults, which sync each write; no history',
  over: 'rqlite',
  connectionPerOperation: true,
  without: WITHOUT,
  async prepare() {
    const program = await cachedRelease('rqlited', RELEASE)
    return (directory) => startRqlite(program, directory)
  },
}

async function startRqlite(program: string, directory: string): Promise<StartedCluster> {
  const port = await consecutivePorts(2 * NAMES.length)
  const address = (offset: number): string => `127.0.0.1:${port + offset}`
  const peers = NAMES.map((_, at) => address(NAMES.length + at)).join(',')
  const members = NAMES.map((member, at) => {
    const flags = {
      'node-id': member,
      'http-addr': address(at),
      'raft-addr': address(NAMES.length + at),
      'bootstrap-expect': NAMES.length,
      join: peers,
    }
    const args = Object.entries(flags).map(([flag, value]) => `-${flag}=${value}`)
    return { name: member, url: `http://${address(at)}`, args: [...args, join(directory, member)] }
  })
  const processes = new MemberProcesses(program, directory, members)
  const cluster: StartedCluster = {
    system: RQLITE.name,
    version: RELEASE.version,
    nodes: async () => processes.nodes(),
    async view({ url }) {
      const { store } = await getJson<Status>(`${url}/status`)
      return {
        leader: store.leader.node_id,
        term: store.raft.term,
        applied: store.raft.applied_index,
      }
    },
    async isReady({ url }) {
      await sendOnce(url, { method: 'GET', path: '/readyz' })
      return true
    },
    // A node does not report its syncs.
    syncs: async () => undefined,
    async put({ url }, key, value) {
      await rqliteRequest(url, '/db/execute', [PUT, key, value])
    },
    async readCopy({ url }, key) {
      const { values } = await rqliteRequest(url, '/db/query?level=none', [GET, key])
      if (values === undefined) throw new Error(`${url} does not have ${key} yet`)
    },
    restart: (member) => processes.restart(member),
    stop: () => processes.stop(),
  }
  await createTable(cluster)
  return cluster
}

/** The nodes refuse it until they have elected a leader. */
async function createTable(cluster: StartedCluster): Promise<void> {
  const deadline = performance.now() + TABLE_WITHIN_MS
  for (;;) {
    try {
      const [node] = await cluster.nodes()
      await rqliteRequest(node?.url ?? '', '/db/execute', [CREATE])
      return
    } catch (error) {
      if (performance.now() > deadline) throw error
      await sleep(AGAIN_MS)
    }
  }
}

/** A part of what a node says about itself. */
interface Status {
  readonly store: {
    readonly leader: { readonly node_id: string }
    readonly raft: { readonly term: number; readonly applied_index: number }
  }
}
