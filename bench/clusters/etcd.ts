// A cluster of etcd: three processes on loopback. Everything that makes its writes durable is as etcd has it by
// default; only its quota is raised, because the benchmarks write more than 2 GiB.

import { join } from 'node:path'
import { type EtcdPrograms, etcdPrograms } from '../../test/etcd/etcd-programs.ts'
import { type Request, sendOnce } from '../load/http-connection.ts'
import { MemberProcesses } from './member-processes.ts'
import { metric } from './metrics.ts'
import { consecutivePorts } from './ports.ts'
import { QUORATE_ONLY, type StartedCluster, type System } from './system.ts'

const NAMES = ['e1', 'e2', 'e3'] as const
const QUOTA_BYTES = 32 * 1024 ** 3

const system = (name: string, release: '3.6' | '3.4', source: string): System => ({
  name,
  about: `etcd ${release} ${source}, with its defaults, which sync each write; quota 32 GiB`,
  over: 'grpc',
  without: QUORATE_ONLY,
  async prepare() {
    const programs = await etcdPrograms(release)
    return (directory) => startEtcd(name, directory, programs)
  },
})

export const ETCD = system('etcd', '3.6', 'built by Go')
export const ETCD_3_4 = system('etcd:3.4', '3.4', 'of Debian')

async function startEtcd(
  name: string,
  directory: string,
  { etcd, version }: EtcdPrograms,
): Promise<StartedCluster> {
  const port = await consecutivePorts(2 * NAMES.length)
  const urlOf = (offset: number): string => `http://127.0.0.1:${port + offset}`
  const peerOf = (at: number): string => urlOf(NAMES.length + at)
  const initialCluster = NAMES.map((member, at) => `${member}=${peerOf(at)}`).join(',')
  const members = NAMES.map((member, at) => {
    const flags = {
      name: member,
      'data-dir': join(directory, member),
      'listen-client-urls': urlOf(at),
      'advertise-client-urls': urlOf(at),
      'listen-peer-urls': peerOf(at),
      'initial-advertise-peer-urls': peerOf(at),
      'initial-cluster': initialCluster,
      'quota-backend-bytes': QUOTA_BYTES,
      'log-level': 'warn',
      logger: 'zap',
    }
    const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`)
    return { name: member, url: urlOf(at), args }
  })
  const processes = new MemberProcesses(etcd, directory, members)
  return {
    system: name,
    version,
    nodes: async () => processes.nodes(),
    async view({ url }) {
      const [status, list] = await Promise.all([
        call(url, '/v3/maintenance/status'),
        call(url, '/v3/cluster/member/list'),
      ])
      const known = list.members as readonly { readonly ID: string; readonly name?: string }[]
      return {
        leader: known.find(({ ID }) => ID === status.leader)?.name,
        term: Number(status.raftTerm),
        applied: Number(status.raftAppliedIndex),
      }
    },
    async isReady({ url }) {
      const { health } = JSON.parse(await sendOnce(url, { method: 'GET', path: '/health' }))
      return health === 'true'
    },
    async syncs({ url }) {
      const text = await sendOnce(url, { method: 'GET', path: '/metrics' })
      return (
        metric(text, 'etcd_disk_wal_fsync_duration_seconds_count') +
        metric(text, 'etcd_disk_backend_commit_duration_seconds_count')
      )
    },
    async put({ url }, key, value) {
      await call(url, '/v3/kv/put', { key: base64(key), value: base64(value) })
    },
    async readCopy({ url }, key) {
      await call(url, '/v3/kv/range', { key: base64(key), serializable: true })
    },
    restart: (member) => processes.restart(member),
    stop: () => processes.stop(),
  }
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')

/** A request to the JSON gateway. */
async function call(url: string, path: string, message: object = {}): Promise<Record<string, unknown>> {
  const request: Request = { method: 'POST', path, body: Buffer.from(JSON.stringify(message)) }
  return JSON.parse(await sendOnce(url, request))
}
