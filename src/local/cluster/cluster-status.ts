// The state of each node of a local cluster, from its process and from its report.

import type { LocalClusterStatus, LocalNodeStatus } from '../../operations/documents/supervisor.ts'
import type { NodeReport } from '../node/node-view.ts'
import type { SupervisedNode } from '../node/supervised-node.ts'

type StatedNode = Pick<SupervisedNode, 'name' | 'url' | 'pid' | 'paused' | 'report'>

export async function clusterStatus(
  clusterId: string | null,
  nodes: readonly StatedNode[],
): Promise<LocalClusterStatus> {
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
    clusterId: clusterId ?? undefined,
    leader: isReplaced ? undefined : leader,
    term: newest.at(-1)?.status.term,
    nodes: statuses,
  }
}

function nodeStatus({ name, url, pid, paused }: StatedNode, report: NodeReport | undefined): LocalNodeStatus {
  return {
    name,
    pid,
    url,
    state: pid === undefined ? 'stopped' : paused ? 'paused' : report ? 'running' : 'unreachable',
    role: report?.role,
    term: report?.term,
    commitIndex: report?.commitIndex,
    appliedIndex: report?.appliedIndex,
    revision: report?.revision,
  }
}
