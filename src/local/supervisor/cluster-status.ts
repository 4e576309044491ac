// The state of each node of a local cluster, from its process and from its report.

import type { NodeReport } from '../node/node-view.ts'
import type { SupervisedNode } from '../node/supervised-node.ts'

/** The output of `kv cluster status -o json`. */
export interface ClusterStatus {
  readonly cluster_id: string | null
  readonly leader: string | null
  readonly term: number | null
  readonly nodes: readonly LocalNodeStatus[]
}

export interface LocalNodeStatus {
  readonly name: string
  readonly pid: number | null
  readonly url: string
  readonly state: 'running' | 'paused' | 'stopped' | 'unreachable'
  readonly role: string | null
  readonly term: number | null
  readonly commit_index: number | null
  readonly applied_index: number | null
  readonly revision: number | null
}

type StatedNode = Pick<SupervisedNode, 'name' | 'url' | 'pid' | 'paused' | 'report'>

export async function clusterStatus(
  clusterId: string | null,
  nodes: readonly StatedNode[],
): Promise<ClusterStatus> {
  const reports = await Promise.all(
    nodes.map(async (node) => {
      const report = node.paused ? undefined : await node.report()
      // The process may have ended or been paused in the meantime.
      const current = node.pid !== undefined && !node.paused ? report : undefined
      return { status: nodeStatus(node, current), leader: current?.leader }
    }),
  )
  // A leader that is cut off may not know yet that it was replaced: the highest term is right.
  const newest = reports.toSorted((a, b) => (a.status.term ?? -1) - (b.status.term ?? -1))
  const leader = newest.findLast((report) => report.leader !== undefined)?.leader
  const statuses = reports.map(({ status }) => status)
  // The leader may be a node that was started by hand. A local node counts as leader only while it leads.
  const isReplaced = statuses.some(({ name, role }) => name === leader && role !== 'leader')
  return {
    cluster_id: clusterId,
    leader: isReplaced ? null : (leader ?? null),
    term: newest.at(-1)?.status.term ?? null,
    nodes: statuses,
  }
}

function nodeStatus({ name, url, pid, paused }: StatedNode, report: NodeReport | undefined): LocalNodeStatus {
  return {
    name,
    pid: pid ?? null,
    url,
    state: pid === undefined ? 'stopped' : paused ? 'paused' : report ? 'running' : 'unreachable',
    role: report?.role ?? null,
    term: report?.term ?? null,
    commit_index: report?.commitIndex ?? null,
    applied_index: report?.appliedIndex ?? null,
    revision: report?.revision ?? null,
  }
}
