// How a node sees itself, and what follows from the views of several.

import type { NodeApi, NodeStatus } from '../server/node/types.ts'

export interface NodeView {
  readonly role: NodeStatus['raft']['role']
  readonly term: number
  readonly leader: string | undefined
  /** Empty: it is a voter, knows a leader and has applied what it knew committed when it started. */
  readonly notReady: readonly string[]
  /** URL of each member, by name, as it tells clients. */
  readonly urls: Readonly<Record<string, string>>
}

export function viewOf(api: NodeApi): NodeView {
  const { raft, notReady } = api.status()
  const urls = Object.fromEntries(raft.configuration.members.map(({ name, url }) => [name, url]))
  return { role: raft.role, term: raft.term, leader: api.leaderName, notReady, urls }
}

interface Viewed {
  /** undefined while it does not run. */
  readonly view: NodeView | undefined
}

/** The one that leads in the highest term: a leader that was replaced may not know it yet. */
export function leaderAmong<Node extends Viewed>(nodes: readonly Node[]): Node | undefined {
  return nodes
    .flatMap((node) => (node.view?.role === 'leader' ? [{ node, term: node.view.term }] : []))
    .sort((a, b) => a.term - b.term)
    .at(-1)?.node
}

/**
 * Whether all `nodes` tell clients the URL at which the node is now. After a start at other ports they tell the one
 * before until they have heard of it: in a copy of a directory, that of the original's node.
 */
export function isKnown(
  { name, url }: { readonly name: string; readonly url: string },
  nodes: readonly Viewed[],
): boolean {
  return nodes.every(({ view }) => view?.urls[name] === url)
}
