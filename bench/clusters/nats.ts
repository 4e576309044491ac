// A cluster of NATS: three servers on loopback with JetStream, and a bucket of keys and values with three replicas.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { cachedPrograms, pinnedVersion } from '../../test/etcd/go-programs.ts'
import { GO_MODULE } from '../load/go-generator.ts'
import { sendOnce } from '../load/http-connection.ts'
import { MemberProcesses } from './member-processes.ts'
import { natsRequest } from './nats-request.ts'
import { consecutivePorts } from './ports.ts'
import { ETCD_ONLY, QUORATE_ONLY, type StartedCluster, type System, withoutWatches } from './system.ts'

const NAMES = ['n1', 'n2', 'n3'] as const
const PROGRAM = { 'nats-server': 'github.com/nats-io/nats-server/v2' } as const
const BUCKET_WITHIN_MS = 60_000
const AGAIN_MS = 200

/** As nats.go creates a bucket. */
const BUCKET = {
  name: 'KV_bench',
  subjects: ['$KV.bench.>'],
  storage: 'file',
  retention: 'limits',
  discard: 'new',
  num_replicas: NAMES.length,
  max_msgs_per_subject: 1,
  max_consumers: -1,
  max_msgs: -1,
  max_bytes: -1,
  max_age: 0,
  max_msg_size: -1,
  duplicate_window: 120_000_000_000,
  allow_rollup_hdrs: true,
  deny_delete: true,
  allow_direct: true,
}

const NO_LINEARIZABLE = 'its gets are answered by any replica: get-stale has them'
const FEW_WATCHES = 'by default a bucket has 1,000 consumers, of which each watch is one'
const WITHOUT: Readonly<Record<string, string>> = {
  ...QUORATE_ONLY,
  ...ETCD_ONLY,
  ...Object.fromEntries(
    ['get-1', 'get-16', 'get-64', 'get-256', 'get-1000', 'get-10m', 'mixed'].map((name) => [
      name,
      NO_LINEARIZABLE,
    ]),
  ),
  ...withoutWatches(FEW_WATCHES),
  range: 'its buckets have no ranges of keys',
}

const system = (name: string, syncs: 'always' | 'default', about: string): System => ({
  name,
  about: `JetStream bucket with three replicas, ${about}; no history; gets by any replica`,
  over: 'nats',
  without: WITHOUT,
  async prepare() {
    const version = await pinnedVersion(GO_MODULE, [PROGRAM['nats-server']])
    const directory = await cachedPrograms(`nats-${version}`, PROGRAM, GO_MODULE)
    const program = join(directory, 'nats-server')
    return (data) => startNats({ name, program, version, syncs, directory: data })
  },
})

export const NATS = system('nats', 'always', 'sync_interval: always')
export const NATS_DEFAULT = system('nats:default', 'default', 'which syncs every two minutes')

interface Start {
  readonly name: string
  readonly program: string
  readonly version: string
  readonly syncs: 'always' | 'default'
  readonly directory: string
}

async function startNats({ name, program, version, syncs, directory }: Start): Promise<StartedCluster> {
  const port = await consecutivePorts(3 * NAMES.length)
  const address = (offset: number): string => `127.0.0.1:${port + offset}`
  const routes = NAMES.map((_, at) => `nats-route://${address(2 * NAMES.length + at)}`)
  const members = NAMES.map((member, at) => ({
    name: member,
    url: `nats://${address(at)}`,
    monitor: `http://${address(NAMES.length + at)}`,
    args: ['--config', join(directory, `${member}.json`)],
  }))
  for (const [at, member] of NAMES.entries()) {
    const configuration = {
      server_name: member,
      listen: address(at),
      http: address(NAMES.length + at),
      jetstream: {
        store_dir: join(directory, member),
        ...(syncs === 'always' && { sync_interval: 'always' }),
      },
      cluster: { name: 'bench', listen: address(2 * NAMES.length + at), routes },
    }
    await writeFile(join(directory, `${member}.json`), JSON.stringify(configuration))
  }
  const processes = new MemberProcesses(program, directory, members)
  const ask = (node: string, path: string): Promise<string> =>
    sendOnce(members.find((member) => member.name === node)?.monitor ?? '', { method: 'GET', path })
  const cluster: StartedCluster = {
    system: name,
    version,
    nodes: async () => processes.nodes(),
    async view({ name }) {
      const { leader, state, peers, term, applied } = groupOf(await ask(name, '/raftz?acc=$G'))
      const isLeader = state.toLowerCase() === 'leader'
      return { leader: isLeader ? name : peers[leader ?? '']?.name, term, applied }
    },
    async isReady({ name }) {
      await ask(name, '/healthz')
      return true
    },
    // A server does not report its syncs.
    syncs: async () => undefined,
    async put({ url }, key, value) {
      await natsRequest(url, `$KV.bench.${key}`, value)
    },
    restart: (member) => processes.restart(member),
    stop: () => processes.stop(),
  }
  await createBucket(cluster)
  return cluster
}

/** The servers refuse it until they have elected a leader. */
async function createBucket(cluster: StartedCluster): Promise<void> {
  const deadline = performance.now() + BUCKET_WITHIN_MS
  for (;;) {
    try {
      const [node] = await cluster.nodes()
      await natsRequest(node?.url ?? '', `$JS.API.STREAM.CREATE.${BUCKET.name}`, JSON.stringify(BUCKET))
      return
    } catch (error) {
      if (performance.now() > deadline) throw error
      await sleep(AGAIN_MS)
    }
  }
}

interface RaftGroup {
  readonly leader?: string
  readonly state: string
  readonly term: number
  readonly applied: number
  /** By their id, without the server itself. */
  readonly peers: Readonly<Record<string, { readonly name: string }>>
}

/** The group of the bucket, whose leader also answers its clients. The one account has no other. */
function groupOf(raftz: string): RaftGroup {
  const accounts: Readonly<Record<string, Readonly<Record<string, RaftGroup>>>> = JSON.parse(raftz)
  const groups = Object.values(accounts).flatMap((account) => Object.entries(account))
  const [, group] = groups.find(([id]) => id.startsWith('S-')) ?? []
  if (group === undefined) throw new Error('the server has no replica of the bucket yet')
  return group
}
