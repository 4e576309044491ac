// The network between the nodes of a run, and between clients and nodes: one relay of src/server/relay.ts for each ordered pair of nodes and one
// in front of each node's API. Every link can be cut on its own, in one direction, and counts what it has handed on, so that a
// cut can be shown to be one.

import { createRelay, type Relay } from '../../src/server/relay.ts'
import type { ListenAddress } from '../../src/server/types.ts'

export const CLIENTS = 'clients'

export interface Listeners {
  peer(name: string): ListenAddress | undefined
  api(name: string): ListenAddress | undefined
}

/** What `from` sends to `to`: each node dials its own connection to each peer. `from` is CLIENTS for the API of `to`. */
export class Link {
  readonly from: string
  readonly to: string
  readonly #relay: Relay
  /** Cuts that stand: two faults may hit one link, and the healing of one must not undo the other. */
  #cuts = 0
  /** Where its connections lead instead of to the node: through something that spoils them. */
  #detour: ListenAddress | undefined

  static async create(from: string, to: string, target: () => ListenAddress | undefined): Promise<Link> {
    const relay = await createRelay({
      listen: { host: '127.0.0.1', port: 0 },
      // A dead node looks dead, whatever stands in front of it.
      target: () => (target() === undefined ? undefined : (link.#detour ?? target())),
    })
    const link = new Link(from, to, relay)
    return link
  }

  private constructor(from: string, to: string, relay: Relay) {
    this.from = from
    this.to = to
    this.#relay = relay
  }

  get address(): ListenAddress {
    return this.#relay.address
  }

  get passedBytes(): number {
    return this.#relay.passedBytes
  }

  get hasDetour(): boolean {
    return this.#detour !== undefined
  }

  /** Bytes stop, sockets stay, nobody is told; with `reset` they are told first. The function returned undoes it, once. */
  cut(reset: boolean): () => void {
    this.#cuts++
    this.#relay.setMode('blackhole')
    if (reset) this.#relay.reset()
    let undone = false
    return () => {
      if (undone) return
      undone = true
      this.#cuts--
      if (this.#cuts === 0) this.#relay.setMode('pass')
    }
  }

  /** Its connections begin anew, through `detour` or straight. */
  lead(detour: ListenAddress | undefined): void {
    this.#detour = detour
    this.#relay.reset()
  }

  close(): Promise<void> {
    return this.#relay.close()
  }
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
    const links = pairs.map(({ from, to }) => {
      const behind = from === CLIENTS ? listeners.api : listeners.peer
      return Link.create(from, to, () => behind(to))
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
    return Object.fromEntries(own.map(({ to, address }) => [to, `${address.host}:${address.port}`]))
  }

  /** The links between nodes for which `cut` says so. */
  between(cut: (from: string, to: string) => boolean): Link[] {
    return this.links.filter(({ from, to }) => from !== CLIENTS && cut(from, to))
  }

  async close(): Promise<void> {
    await Promise.all(this.links.map((link) => link.close()))
  }
}
