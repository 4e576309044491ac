// A cluster of etcd: three processes on loopback. Everything that makes its writes durable is as etcd has it by
// default; only its quota is raised, because the benchmarks write more than 2 GiB.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { EtcdPrograms } from '../../test/etcd/etcd-programs.ts'
import { etcdGateway } from '../load/dialects.ts'
import { sendOnce } from '../load/http-connection.ts'
import type { Cluster, ClusterNode } from './cluster.ts'
import { metric } from './metrics.ts'
import { consecutivePorts } from './ports.ts'

const NAMES = ['e1', 'e2', 'e3'] as const
export const ETCD_QUOTA_BYTES = 32 * 1024 ** 3

interface Member extends ClusterNode {
  readonly peer: string
}

export interface EtcdCluster extends Cluster {
  /** Ends every process. */
  stop(): Promise<void>
}

export async function startEtcd(directory: string, { etcd, version }: EtcdPrograms): Promise<EtcdCluster> {
  const port = await consecutivePorts(2 * NAMES.length)
  const url = (offset: number): string => `http://127.0.0.1:${port + offset}`
  const members = NAMES.map((name, at) => ({ name, url: url(at), peer: url(NAMES.length + at) }))
  const processes = new Map<string, ChildProcess>()
  const log = (name: string): string => join(directory, `${name}.log`)

  function start({ name, url, peer }: Omit<Member, 'pid'>): void {
    const flags = {
      name,
      'data-dir': join(directory, name),
      'listen-client-urls': url,
      'advertise-client-urls': url,
      'listen-peer-urls': peer,
      'initial-advertise-peer-urls': peer,
      'initial-cluster': members.map((member) => `${member.name}=${member.peer}`).join(','),
      'quota-backend-bytes': ETCD_QUOTA_BYTES,
      'log-level': 'warn',
      logger: 'zap',
    }
    const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`)
    const output = openSync(log(name), 'a')
    processes.set(name, spawn(etcd, args, { stdio: ['ignore', output, output] }))
    closeSync(output)
  }

  /** Resolves when the process has ended. */
  async function ended(name: string): Promise<void> {
    const child = processes.get(name)
    if (child !== undefined && isRunning(child)) await once(child, 'exit')
  }

  async function call(url: string, path: string): Promise<Record<string, unknown>> {
    return JSON.parse(await sendOnce(url, { method: 'POST', path, body: Buffer.from('{}') }))
  }

  for (const member of members) start(member)
  return {
    system: 'etcd',
    version,
    dialect: etcdGateway,
    async nodes() {
      return members.map((member) => {
        const child = processes.get(member.name)
        if (typeof child?.exitCode === 'number')
          throw new Error(
            `etcd ${member.name} ended:\n${readFileSync(log(member.name), 'utf8').slice(-2000)}`,
          )
        return { ...member, pid: child !== undefined && isRunning(child) ? child.pid : undefined }
      })
    },
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
    async restart(name) {
      const member = members.find((each) => each.name === name)
      if (member === undefined) throw new Error(`etcd has no member ${name}`)
      await ended(name)
      start(member)
    },
    async stop() {
      for (const child of processes.values()) child.kill('SIGKILL')
      await Promise.all(NAMES.map(ended))
    },
  }
}

const isRunning = ({ exitCode, signalCode }: ChildProcess): boolean =>
  exitCode === null && signalCode === null
