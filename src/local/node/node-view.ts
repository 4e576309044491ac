// The state of a node as it reports it itself, and conclusions from the views of several nodes.

import type { KvNode } from '../../server/node/kv-node.ts'
import type { DriverStatus } from '../../server/node/observe/status.ts'

export interface NodeView {
  readonly role: DriverStatus['raft']['role']
  readonly term: number
  readonly leader: string | undefined
  /** Empty when it is a voter, knows a leader and has applied everything that was committed when it started. */
  readonly notReady: readonly string[]
  /** Faults that it has detected, such as a full disk. */
  readonly errors: readonly string[]
  /** The members of the newest configuration that it knows. */
  readonly members: readonly MemberView[]
}

/** The state of a node on request: its indexes change with each write. */
export interface NodeReport extends Pick<NodeView, 'role' | 'term' | 'leader'> {
  readonly commitIndex: number
  readonly appliedIndex: number
  readonly revision: number
}

export function nodeReport(api: KvNode): NodeReport {
  const { raft, revision } = api.status()
  const { role, term, commit: commitIndex, applied: appliedIndex } = raft
  return { role, term, leader: api.leaderName, commitIndex, appliedIndex, revision }
}

export interface MemberView {
  readonly name: string
  readonly url: string
  readonly isVoter: boolean
}

export function nodeView(api: KvNode): NodeView {
  const { raft, notReady, errors } = api.status()
  const { members, voters, votersOutgoing } = raft.configuration
  return {
    role: raft.role,
    term: raft.term,
    leader: api.leaderName,
    notReady,
    errors,
    members: members.map(({ id, name, url }) => ({
      name,
      url,
      isVoter: voters.includes(id) || votersOutgoing.includes(id),
    })),
  }
}

/** A node with its view; undefined while the node does not run. */
interface ViewedNode {
  readonly name: string
  readonly url: string
  readonly view: NodeView | undefined
}

/** The node that leads in the highest term: a leader that was replaced may not know it yet. */
export function leaderAmong<Node extends Pick<ViewedNode, 'view'>>(nodes: readonly Node[]): Node | undefined {
  return nodes
    .flatMap((node) => (node.view?.role === 'leader' ? [{ node, term: node.view.term }] : []))
    .sort((a, b) => a.term - b.term)
    .at(-1)?.node
}

/**
 * Whether all `nodes` know the present URL of `node`. After a start at other ports they report the old URL to clients
 * until the change is committed.
 */
export function isUrlKnown({ name, url }: ViewedNode, nodes: readonly ViewedNode[]): boolean {
  return nodes.every(({ view }) => view?.members.some((member) => member.name === name && member.url === url))
}

/** Faults of all nodes. The full disk of the leader may be the reason why another node is not ready. */
export function nodeFaults(nodes: readonly ViewedNode[]): string[] {
  return nodes.flatMap(({ name, view }) => (view?.errors ?? []).map((error) => `${name}: ${error}`))
}
