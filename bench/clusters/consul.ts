// A cluster of Consul: three servers on loopback, as in production. Its store of keys and values is a part of them.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cachedRelease, type Release } from '../../test/etcd/go-programs.ts'
import { sendOnce } from '../load/http-connection.ts'
import { getJson } from './get-json.ts'
import { MemberProcesses } from './member-processes.ts'
import { consecutivePorts } from './ports.ts'
import { ETCD_ONLY, QUORATE_ONLY, type StartedCluster, type System, withoutWatches } from './system.ts'

const NAMES = ['c1', 'c2', 'c3'] as const
/** The last release under the Mozilla Public License. Its go.mod has the other five modules from its repository. */
const RELEASE: Release = {
  module: 'github.com/hashicorp/consul',
  version: '1.16.3',
  sums: [
    'github.com/hashicorp/consul v1.16.3 h1:XwZrfgL8x0lK0hvGzwD1kUowvkbFtQblc9H6wDfH0Tc=',
    'github.com/hashicorp/consul v1.16.3/go.mod h1:p9/GYcm6yQJAMPzSt7xREZwWZSzE1irZB7M3pc2DQT0=',
    'github.com/hashicorp/consul/api v1.25.1 h1:CqrdhYzc8XZuPnhIYZWH45toM0LB9ZeYr/gvpLVI3PE=',
    'github.com/hashicorp/consul/api v1.25.1/go.mod h1:iiLVwR/htV7mas/sy0O+XSuEnrdBUUydemjxcUrAt4g=',
    'github.com/hashicorp/consul/envoyextensions v0.4.1 h1:7s3IXE+qmwjPbZPva+8BjHLrpkFrFkNE+z/6X/O6PQc=',
    'github.com/hashicorp/consul/envoyextensions v0.4.1/go.mod h1:PkLAV99qviACPT7v8Pn7d/vacZixC8/4fuZpR7Rf7vA=',
    'github.com/hashicorp/consul/proto-public v0.4.1 h1:k1RWFQo3uvtaLyC8ZEdP2jJOCiNp/7Tp8zz9MsjAxc8=',
    'github.com/hashicorp/consul/proto-public v0.4.1/go.mod h1:ENwzmloQTUPAYPu7nC1mli3VY0Ny9QNi/FSzJ+KlZD0=',
    'github.com/hashicorp/consul/sdk v0.14.1 h1:ZiwE2bKb+zro68sWzZ1SgHF3kRMBZ94TwOCFRF4ylPs=',
    'github.com/hashicorp/consul/sdk v0.14.1/go.mod h1:vFt03juSzocLRFo59NkeQHHmQa6+g7oU0pfzdI1mUhg=',
    'github.com/hashicorp/consul/troubleshoot v0.3.1 h1:M3sAzWRT3xXseRoa/Z8q8Kf+Ws0J1xN8nLDj0dC2UIw=',
    'github.com/hashicorp/consul/troubleshoot v0.3.1/go.mod h1:QjmTNmf2Umo/mqTjW+EhDAHEG2l15B81CkcxhF4GALU=',
  ],
}
/** Timing as its manual recommends for production. The default is 5, for the smallest machines. */
const RAFT_MULTIPLIER = 1
/** By default 200. The load is one client for it. */
const CONNECTIONS_PER_CLIENT = 2000

const NO_EVENTS = 'a blocking query answers once, and misses the puts until the next one'
const WITHOUT: Readonly<Record<string, string>> = {
  ...QUORATE_ONLY,
  ...ETCD_ONLY,
  ...withoutWatches(NO_EVENTS),
  range: 'it lists a prefix as a whole',
}

export const CONSUL: System = {
  name: 'consul',
  about: 'three servers with their defaults, which sync each write; raft_multiplier 1; no history',
  over: 'consul',
  connectionPerOperation: true,
  without: WITHOUT,
  async prepare() {
    const program = await cachedRelease('consul', RELEASE)
    return (directory) => startConsul(program, directory)
  },
}

async function startConsul(program: string, directory: string): Promise<StartedCluster> {
  const port = await consecutivePorts(3 * NAMES.length)
  const [rpc, gossip] = [port + NAMES.length, port + 2 * NAMES.length]
  const members = NAMES.map((member, at) => ({
    name: member,
    url: `http://127.0.0.1:${port + at}`,
    rpc: `127.0.0.1:${rpc + at}`,
    args: ['agent', `-config-file=${join(directory, `${member}.json`)}`],
  }))
  for (const [at, member] of NAMES.entries()) {
    const configuration = {
      node_name: member,
      data_dir: join(directory, member),
      server: true,
      bootstrap_expect: NAMES.length,
      bind_addr: '127.0.0.1',
      client_addr: '127.0.0.1',
      retry_join: NAMES.map((_, other) => `127.0.0.1:${gossip + other}`),
      retry_interval: '1s',
      ports: {
        http: port + at,
        server: rpc + at,
        serf_lan: gossip + at,
        serf_wan: -1,
        dns: -1,
        grpc_tls: -1,
      },
      performance: { raft_multiplier: RAFT_MULTIPLIER },
      limits: { http_max_conns_per_client: CONNECTIONS_PER_CLIENT },
      disable_update_check: true,
      log_level: 'warn',
    }
    await writeFile(join(directory, `${member}.json`), JSON.stringify(configuration))
  }
  const processes = new MemberProcesses(program, directory, members)
  return {
    system: CONSUL.name,
    version: RELEASE.version,
    nodes: async () => processes.nodes(),
    async view({ url }) {
      const { Stats: stats } = await getJson<Self>(`${url}/v1/agent/self`)
      return {
        leader: members.find((member) => member.rpc === stats.consul.leader_addr)?.name,
        term: Number(stats.raft.term),
        applied: Number(stats.raft.applied_index),
      }
    },
    /**
     * The leader answers through this server. It may have removed a server, which votes again some seconds after its
     * return.
     */
    async isReady({ url }) {
      const { Servers: servers } = await getJson<Servers>(`${url}/v1/operator/raft/configuration`)
      return servers.filter(({ Voter }) => Voter).length === NAMES.length
    },
    // A server does not report its syncs.
    syncs: async () => undefined,
    async put({ url }, key, value) {
      await sendOnce(url, { method: 'PUT', path: `/v1/kv/${key}`, body: Buffer.from(value) })
    },
    async readCopy({ url }, key) {
      await getJson(`${url}/v1/kv/${key}?stale`)
    },
    restart: (member) => processes.restart(member),
    stop: () => processes.stop(),
  }
}

/** A part of what a server says about itself. */
interface Self {
  readonly Stats: {
    readonly consul: { readonly leader_addr: string }
    readonly raft: { readonly term: string; readonly applied_index: string }
  }
}

interface Servers {
  readonly Servers: readonly { readonly Voter: boolean }[]
}
