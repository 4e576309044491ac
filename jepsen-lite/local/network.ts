// The network between the nodes of a run, and between clients and nodes: one relay of src/server/relay.ts for each ordered pair of nodes and one
// in front of each node's API. Every link can be cut on its own, in one direction, and counts what it has handed on, so that a
// cut can be shown to be one.

import { createRelay, type Relay } from '../../src/server/relay.ts'
import type { ListenAddress } from '../../src/server/types.ts'

/** What `from` sends to `to`: each node dials its own connection to each peer. `from` is CLIENTS for the API of `to`. */
export interface Link {
  readonly from: string
  readonly to: string
  readonly relay: Relay
  /** Where its next connections lead instead of to the node: through something that mangles. */
  detour: ListenAddress | undefined
}

export const CLIENTS = 'clients'

export interface Listeners {
  peer(name: string): ListenAddress | undefined
  api(name: string): ListenAddress | undefined
}

export class Network {
  readonly links: readonly Link[]

  private constructor(links: readonly Link[]) {
    this.links = links
  }

  /** `names`: all nodes that there may ever be. */
  static async create(names: readonly string[], listeners: Listeners): Promise<Network> {
    const pairs = names.flatMap((to) =>
      [CLIENTS, ...names].filter((from) => from !== to).map((from) => ({ from, to })),
    )
    const links = pairs.map(async ({ from, to }) => {
      const behind = from === CLIENTS ? listeners.api : listeners.peer
      const target = (): ListenAddress | undefined => {
        const listener = behind(to)
        // A dead node looks dead, whatever stands in front of it.
        return listener === undefined ? undefined : (link.detour ?? listener)
      }
      const relay = await createRelay({ listen: { host: '127.0.0.1', port: 0 }, target })
      const link: Link = { from, to, relay, detour: undefined }
      return link
    })
    return new Network(await Promise.all(links))
  }

  link(from: string, to: string): Link {
    const link = this.links.find((candidate) => candidate.from === from && candidate.to === to)
    if (link === undefined) throw new RangeError(`no link from ${from} to ${to}`)
    return link
  }

  /** Where `from` has to dial its peers: host:port by name. */
  addressesFor(from: string): Record<string, string> {
    const own = this.links.filter((link) => link.from === from)
    return Object.fromEntries(own.map(({ to, relay }) => [to, `${relay.address.host}:${relay.address.port}`]))
  }

  /** The links between nodes for which `cut` says so. */
  between(cut: (from: string, to: string) => boolean): Link[] {
    return this.links.filter(({ from, to }) => from !== CLIENTS && cut(from, to))
  }

  heal(): void {
    for (const link of this.links) {
      link.relay.setMode('pass')
      if (link.detour === undefined) continue
      link.detour = undefined
      link.relay.reset()
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.links.map(({ relay }) => relay.close()))
  }
}
