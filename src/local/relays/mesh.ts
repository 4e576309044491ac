// The network of a cluster on one machine, which can be cut: one TCP relay for each ordered pair of nodes. A node dials
// its peers through its own relays. So each direction between two nodes can be cut alone, and neither node knows of the
// relays.

import { hostPort } from '../../server/addresses.ts'
import type { ListenAddress } from '../../server/node/types.ts'
import { HOST } from '../addresses.ts'
import { createRelay, type Relay } from './relay.ts'

export interface RelayMesh {
  /** Where `from` has to dial to reach each of the others: host:port by name. */
  addressesFor(from: string): Record<string, string>
  /**
   * Only nodes of the same group reach each other from now on. `reset` closes the connections between groups as well.
   */
  partition(groups: readonly (readonly string[])[], reset: boolean): void
  heal(): void
  close(): Promise<void>
}

interface Link extends Dialled {
  readonly relay: Relay
}

/** What `from` dials to reach `to`. */
interface Dialled {
  readonly from: string
  readonly to: string
  readonly address: ListenAddress
}

export async function createRelayMesh(
  names: readonly string[],
  /** Where the peer listener of a node is now; undefined while it has none. */
  peerListener: (name: string) => ListenAddress | undefined,
): Promise<RelayMesh> {
  const pairs = names.flatMap((from) => names.filter((to) => to !== from).map((to) => ({ from, to })))
  const begun = await Promise.allSettled(
    pairs.map(async ({ from, to }): Promise<Link> => {
      const listen = { host: HOST, port: 0 }
      const relay = await createRelay({ listen, target: () => peerListener(to) })
      return { from, to, relay, address: relay.address }
    }),
  )
  const links = begun.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  const closeAll = async (): Promise<void> => {
    await Promise.all(links.map(({ relay }) => relay.close()))
  }
  const failed = begun.find((each) => each.status === 'rejected')
  if (failed !== undefined) {
    await closeAll()
    throw failed.reason
  }
  return {
    addressesFor: (from) => addressesFor(from, links),
    partition(groups, reset) {
      const groupOf = new Map(groups.flatMap((group, number) => group.map((name) => [name, number])))
      for (const { from, to, relay } of links) {
        const cut = groupOf.get(from) !== groupOf.get(to)
        relay.setMode(cut ? 'blackhole' : 'pass')
        if (cut && reset) relay.reset()
      }
    },
    heal() {
      for (const { relay } of links) relay.setMode('pass')
    },
    close: closeAll,
  }
}

/** Where `from` has to dial to reach each of the others: host:port by name. */
export function addressesFor(from: string, links: readonly Dialled[]): Record<string, string> {
  const own = links.filter((link) => link.from === from)
  return Object.fromEntries(own.map(({ to, address }) => [to, hostPort(address)]))
}

/**
 * The groups of a partition, completed: nodes that no group names form one more. A sentence instead, when a name is
 * unknown or stands in two groups, or when there is only one group.
 */
export function completeGroups(
  names: readonly string[],
  groups: readonly (readonly string[])[],
): readonly (readonly string[])[] | string {
  const named = groups.flat()
  const unknown = named.find((name) => !names.includes(name))
  if (unknown !== undefined) return `there is no node ${unknown} (there are ${names.join(', ')})`
  const twice = named.find((name, at) => named.indexOf(name) !== at)
  if (twice !== undefined) return `${twice} is named twice`
  const rest = names.filter((name) => !named.includes(name))
  const complete = [...groups, rest].filter((group) => group.length > 0)
  return complete.length > 1 ? complete : 'one group holds every node: nothing would be cut off'
}
