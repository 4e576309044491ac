// The network between the nodes of a run, and between clients and nodes: one relay (src/local/relays/relay.ts) for each
// ordered pair of nodes, and one in front of each node's API. Every link can be cut alone, in one direction, and counts
// the bytes that it has forwarded, to prove that a cut took effect.

import { HOST } from '../../src/local/addresses.ts'
import { addressesFor } from '../../src/local/relays/mesh.ts'
import { createRelay, type Relay } from '../../src/local/relays/relay.ts'
import type { ListenAddress } from '../../src/server/options.ts'

export const CLIENTS = 'clients'

interface Listeners {
  peer(name: string): ListenAddress | undefined
  api(name: string): ListenAddress | undefined
  /** Where clients reach a node whose API has a relay in front. */
  frontPort(name: string): number
}

/**
 * Traffic from `from` to `to`: each node dials its own connection to each peer. `from` is CLIENTS for the API of `to`.
 */
export class Link {
  readonly from: string
  readonly to: string
  readonly address: ListenAddress
  readonly #target: () => ListenAddress | undefined
  #relay: Relay | undefined
  /** The bytes that earlier relays of this link have forwarded. */
  #passedBefore = 0
  /** `open` and `shut` run one after the other. */
  #turning: Promise<void> = Promise.resolve()
  /** The number of active cuts: two faults may hit one link, and healing one must not undo the other. */
  #cuts = 0
  /** The hop (../study/delay-hop.ts) to which its connections lead instead of to the node. */
  #detour: ListenAddress | undefined

  static async create(
    from: string,
    to: string,
    target: () => ListenAddress | undefined,
    port: number,
  ): Promise<Link> {
    const relay = await createRelay({ listen: { host: HOST, port }, target: () => link.#destination() })
    const link = new Link(from, to, target, relay)
    return link
  }

  private constructor(from: string, to: string, target: () => ListenAddress | undefined, relay: Relay) {
    this.from = from
    this.to = to
    this.address = relay.address
    this.#target = target
    this.#relay = relay
  }

  get passedBytes(): number {
    return this.#passedBefore + (this.#relay?.passedBytes ?? 0)
  }

  /** Stops listening: connections are refused, as when the process does not run. */
  shut(): Promise<void> {
    return this.#turn(async () => {
      const relay = this.#relay
      if (relay === undefined) return
      this.#passedBefore += relay.passedBytes
      this.#relay = undefined
      await relay.close()
    })
  }

  open(): Promise<void> {
    return this.#turn(async () => {
      if (this.#relay !== undefined) return
      this.#relay = await createRelay({ listen: this.address, target: () => this.#destination() })
      if (this.#cuts > 0) this.#relay.setMode('blackhole')
    })
  }

  /**
   * No bytes pass, sockets stay open, without a notice; with `reset` existing connections are also reset. The
   * first call of the returned function undoes it.
   */
  cut(reset: boolean): () => void {
    this.#cuts++
    this.#relay?.setMode('blackhole')
    if (reset) this.#relay?.reset()
    let undone = false
    return () => {
      if (undone) return
      undone = true
      this.#cuts--
      if (this.#cuts === 0) this.#relay?.setMode('pass')
    }
  }

  /** Resets its connections. New ones lead through `detour`, or directly to the node. */
  lead(detour: ListenAddress | undefined): void {
    this.#detour = detour
    this.#relay?.reset()
  }

  /** Without the node there is no destination, also behind a detour. */
  #destination(): ListenAddress | undefined {
    const node = this.#target()
    return node === undefined ? undefined : (this.#detour ?? node)
  }

  #turn(work: () => Promise<void>): Promise<void> {
    this.#turning = this.#turning.then(work)
    return this.#turning
  }
}

export class RelayNetwork {
  readonly links: readonly Link[]

  private constructor(links: readonly Link[]) {
    this.links = links
  }

  /** `names`: all nodes, also those that may be added later. */
  static async create(names: readonly string[], listeners: Listeners): Promise<RelayNetwork> {
    const pairs = names.flatMap((to) =>
      [CLIENTS, ...names].filter((from) => from !== to).map((from) => ({ from, to })),
    )
    const links = pairs.map(({ from, to }) => {
      const behind = from === CLIENTS ? listeners.api : listeners.peer
      return Link.create(from, to, () => behind(to), from === CLIENTS ? listeners.frontPort(to) : 0)
    })
    return new RelayNetwork(await Promise.all(links))
  }

  link(from: string, to: string): Link {
    const link = this.links.find((candidate) => candidate.from === from && candidate.to === to)
    if (link === undefined) throw new RangeError(`no link from ${from} to ${to}`)
    return link
  }

  /** The addresses (host:port, by name) at which `from` reaches its peers. */
  addressesFor(from: string): Record<string, string> {
    return addressesFor(from, this.links)
  }

  /** The links between nodes for which `cut` returns true. */
  between(cut: (from: string, to: string) => boolean): Link[] {
    return this.links.filter(({ from, to }) => from !== CLIENTS && cut(from, to))
  }

  async close(): Promise<void> {
    await Promise.all(this.links.map((link) => link.shut()))
  }
}
