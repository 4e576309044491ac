// Connections of clients who are not known yet, by their network. Where there is no room for one more, the network that
// has most of them loses one. So a client that opens many displaces its own.

/** Each network's oldest item first; the oldest network first. */
export class ByNetwork<T> {
  readonly #of = new Map<string, Set<T>>()
  size = 0

  add(network: string, item: T): void {
    const items = this.#of.get(network)
    if (items === undefined) this.#of.set(network, new Set([item]))
    else items.add(item)
    this.size++
  }

  delete(network: string, item: T): void {
    const items = this.#of.get(network)
    if (items?.delete(item) !== true) return
    this.size--
    if (items.size === 0) this.#of.delete(network)
  }

  /** Items of the network that has most; empty if there is none at all. */
  largest(): ReadonlySet<T> {
    let most: ReadonlySet<T> = new Set()
    for (const items of this.#of.values()) if (items.size > most.size) most = items
    return most
  }
}
