// The network of a cluster on one machine: one TCP relay for each ordered pair of nodes. A node dials its peers through
// its own relays, so each direction between two nodes can be cut alone. The nodes do not know of the relays.

import type { LinkState } from '../../operations/documents/control.ts'
import type { ListenAddress } from '../../server/options.ts'
import { hostPort } from '../../system/addresses.ts'
import { HOST } from '../addresses.ts'
import { createRelay, type Relay } from './relay.ts'

export interface RelayMesh {
  /** Addresses at which `from` dials each of the others: host:port by name. */
  addressesFor(from: string): Record<string, string>
  /**
   * Lets only nodes of the same group reach each other. `reset` closes the connections between groups as well.
   */
  partition(groups: readonly (readonly string[])[], reset: boolean): void
  /** Lets no message of `from` reach `to`. All other links stay as they are. */
  cut(from: string, to: string): void
  /** Lets the messages of `from` reach `to` again. */
  join(from: string, to: string): void
  /** Joins all links. */
  heal(): void
  /** The state of each link now. */
  links(): readonly LinkState[]
  close(): Promise<void>
}

interface RelayLink extends RelayAddress {
  readonly relay: Relay
  state: LinkState['state']
}

/** The address at which `from` reaches `to`. */
interface RelayAddress {
  readonly from: string
  readonly to: string
  readonly address: ListenAddress
}

export async function createRelayMesh(
  names: readonly string[],
  /** The peer listener of a node; undefined while it does not listen. */
  peerListener: (name: string) => ListenAddress | undefined,
): Promise<RelayMesh> {
  const pairs = names.flatMap((from) => names.filter((to) => to !== from).map((to) => ({ from, to })))
  const results = await Promise.allSettled(
    pairs.map(async ({ from, to }): Promise<RelayLink> => {
      const listen = { host: HOST, port: 0 }
      const relay = await createRelay({ listen, target: () => peerListener(to) })
      return { from, to, relay, address: relay.address, state: 'open' }
    }),
  )
  const links = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const closeAll = async (): Promise<void> => {
    await Promise.all(links.map(({ relay }) => relay.close()))
  }
  const failed = results.find((result) => result.status === 'rejected')
  if (failed !== undefined) {
    await closeAll()
    throw failed.reason
  }
  return {
    addressesFor: (from) => addressesFor(from, links),
    partition(groups, reset) {
      const groupOf = new Map(groups.flatMap((group, number) => group.map((name) => [name, number])))
      for (const link of links) {
        const isCut = groupOf.get(link.from) !== groupOf.get(link.to)
        setState(link, isCut ? (reset ? 'reset' : 'cut') : 'open')
      }
    },
    cut(from, to) {
      for (const link of links) if (link.from === from && link.to === to) setState(link, 'cut')
    },
    join(from, to) {
      for (const link of links) if (link.from === from && link.to === to) setState(link, 'open')
    },
    heal() {
      for (const link of links) setState(link, 'open')
    },
    links: () => links.map(({ from, to, state }) => ({ from, to, state })),
    close: closeAll,
  }
}

function setState(link: RelayLink, state: LinkState['state']): void {
  link.state = state
  link.relay.setMode(state === 'open' ? 'pass' : 'blackhole')
  if (state === 'reset') link.relay.reset()
}

/** Addresses at which `from` dials each of the others: host:port by name. */
export function addressesFor(from: string, links: readonly RelayAddress[]): Record<string, string> {
  const own = links.filter((link) => link.from === from)
  return Object.fromEntries(own.map(({ to, address }) => [to, hostPort(address)]))
}

/**
 * Completes the groups of a partition: nodes that no group names form one more. Returns the reason instead when a name
 * is unknown or in two groups, or when there is only one group.
 */
export function completeGroups(
  names: readonly string[],
  groups: readonly (readonly string[])[],
): readonly (readonly string[])[] | string {
  const named = groups.flat()
  const unknown = named.find((name) => !names.includes(name))
  if (unknown !== undefined) return `there is no node ${unknown}; use ${names.join(', ')}`
  const twice = named.find((name, at) => named.indexOf(name) !== at)
  if (twice !== undefined) return `${twice} is named twice`
  const rest = names.filter((name) => !named.includes(name))
  const complete = [...groups, rest].filter((group) => group.length > 0)
  return complete.length > 1 ? complete : 'one group holds every node, so nothing would be cut off'
}
