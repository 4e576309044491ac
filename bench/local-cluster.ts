// The local cluster that `kv cluster` runs, as a benchmark sees it.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { getJson } from './http-connection.ts'

export interface BenchNode {
  readonly name: string
  readonly url: string
  /** Of the process that serves; null when it does not run. */
  readonly pid: number | null
}

export interface BenchCluster {
  readonly leader: string | null
  readonly nodes: readonly BenchNode[]
}

const entry = join(import.meta.dirname, '../bin/kv.js')

/** `kv cluster …`, as a user types it. Rejects with what it says when it fails. */
export function kvCluster(dataDir: string, ...args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [entry, 'cluster', ...args, '--data', dataDir], (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(stderr.trim() || error.message))
    })
  })
}

/** Asks the supervisor: it knows the pids and who leads. */
export async function clusterStatus(dataDir: string): Promise<BenchCluster> {
  const status: unknown = JSON.parse(await kvCluster(dataDir, 'status', '-o', 'json'))
  if (!isCluster(status)) throw new Error('kv cluster status answered something else')
  return status
}

/** Resolves when every node is ready and all name the same leader. */
export async function settled(cluster: BenchCluster): Promise<string> {
  for (;;) {
    const leaders = await Promise.all(cluster.nodes.map(({ url }) => leaderOf(url)))
    const [leader] = leaders
    if (leader !== undefined && leaders.every((each) => each === leader)) return leader
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function leaderOf(url: string): Promise<string | undefined> {
  try {
    await getJson(url, '/readyz')
    const status = await getJson(url, '/v1/status')
    return hasLeader(status) ? status.leader : undefined
  } catch {
    return undefined
  }
}

const hasLeader = (value: unknown): value is { leader: string } =>
  typeof value === 'object' && value !== null && 'leader' in value && typeof value.leader === 'string'

const isCluster = (value: unknown): value is BenchCluster =>
  typeof value === 'object' &&
  value !== null &&
  'leader' in value &&
  'nodes' in value &&
  Array.isArray(value.nodes)
