// Clusters of quorate: three nodes as `quorate cluster start --detach --direct` runs them, or those of the user.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { readClusterFile } from '../../src/local/directory/cluster-file.ts'
import { sendCommand } from '../../src/local/supervisor/supervisor-socket.ts'
import type { ControlRequest, LocalClusterStatus } from '../../src/operations/documents/supervisor.ts'
import { quorateHttp } from '../load/dialects.ts'
import { sendOnce } from '../load/http-connection.ts'
import { atTheEnd } from '../undo.ts'
import type { Cluster, ClusterNode, NodeView } from './cluster.ts'
import { metric } from './metrics.ts'
import { consecutivePorts } from './ports.ts'
import type { StartedCluster } from './system.ts'

export const QUORATE_COMMAND = join(import.meta.dirname, '../../bin/kv.js')
const NODES = 3

interface Status {
  readonly name: string
  readonly version: string
  readonly leader: string | null
  readonly term: number
  readonly applied_index: number
}

const get = (url: string, path: string): Promise<string> => sendOnce(url, { method: 'GET', path })
const statusOf = async (url: string): Promise<Status> => JSON.parse(await get(url, '/v1/status'))

/** The nodes as they describe themselves, however they were started. */
const description = {
  system: 'quorate',
  async view({ url }: ClusterNode): Promise<NodeView> {
    const { leader, term, applied_index } = await statusOf(url)
    return { leader: leader ?? undefined, term, applied: applied_index }
  },
  async isReady({ url }: ClusterNode): Promise<boolean> {
    await get(url, '/readyz')
    return true
  },
  async syncs({ url }: ClusterNode): Promise<number> {
    return metric(await get(url, '/metrics'), 'quorate_fsync_duration_seconds_count')
  },
  async put({ url }: ClusterNode, key: string, value: string): Promise<void> {
    await sendOnce(url, quorateHttp.put(key, Buffer.from(value)))
  },
  async readCopy({ url }: ClusterNode, key: string): Promise<void> {
    await sendOnce(url, quorateHttp.get(key, 'stale'))
  },
} as const

export const dataIn = (directory: string): string => join(directory, 'quorate')
export const kvCluster = (...args: readonly string[]) =>
  promisify(execFile)(process.execPath, [QUORATE_COMMAND, 'cluster', ...args])

/** Ends all of a cluster, or of a start that was interrupted. */
async function stopQuorate(directory: string): Promise<void> {
  await kvCluster('stop', '--data', dataIn(directory))
}

export async function startQuorate(directory: string): Promise<StartedCluster> {
  atTheEnd(() => stopQuorate(directory))
  const data = dataIn(directory)
  const port = await consecutivePorts(NODES)
  const flags = ['--detach', '--direct', '--nodes', `${NODES}`, '--port', `${port}`]
  await kvCluster('start', '--data', data, ...flags)

  async function command(request: ControlRequest): Promise<LocalClusterStatus | undefined> {
    const supervisor = readClusterFile(data)?.supervisor
    if (supervisor === undefined || supervisor === null) throw new Error('the supervisor of quorate is gone')
    const reply = await sendCommand(supervisor, request)
    if (!reply.ok) throw new Error(reply.message)
    return reply.status
  }
  async function nodes(): Promise<ClusterNode[]> {
    const status = await command({ command: 'status' })
    return (status?.nodes ?? []).map(({ name, url, pid }) => ({ name, url, pid }))
  }
  const [first] = await nodes()
  return {
    ...description,
    version: (await statusOf(first?.url ?? '')).version,
    nodes,
    async restart(node) {
      await command({ command: 'restart', node })
    },
    stop: () => stopQuorate(directory),
  }
}

/** A cluster of the user. `pids` belong to the endpoints in their order, and may be missing. */
export async function givenQuorate(endpoints: readonly string[], pids: readonly number[]): Promise<Cluster> {
  const statuses = await Promise.all(endpoints.map(statusOf))
  const nodes = statuses.map(({ name }, at) => ({ name, url: endpoints[at] ?? '', pid: pids[at] }))
  return {
    ...description,
    version: statuses[0]?.version ?? '',
    nodes: async () => nodes,
    async restart() {
      throw new Error('only a cluster that this program has started can be restarted')
    },
  }
}
