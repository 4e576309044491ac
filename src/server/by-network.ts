// Connections of clients who are not known yet, by their network. Where there is no room for one more, the network that
// has most of them loses one. So a client that opens many displaces its own.

interface Items<T> {
  /** Weight of each item, the oldest item first. */
  readonly weights: Map<T, number>
  weight: number
}

/** Items of networks, with weights: 1 where their number counts, or bytes. The oldest network is first. */
export class ByNetwork<T> {
  readonly #of = new Map<string, Items<T>>()
  size = 0
  /** Sum of all weights. */
  weight = 0

  /** Adds the item, or changes its weight. */
  set(network: string, item: T, weight = 1): void {
    const items = this.#of.get(network) ?? { weights: new Map<T, number>(), weight: 0 }
    this.#of.set(network, items)
    const before = items.weights.get(item)
    if (before === undefined) this.size++
    items.weights.set(item, weight)
    const grown = weight - (before ?? 0)
    items.weight += grown
    this.weight += grown
  }

  delete(network: string, item: T): void {
    const items = this.#of.get(network)
    const weight = items?.weights.get(item)
    if (items === undefined || weight === undefined) return
    items.weights.delete(item)
    items.weight -= weight
    this.weight -= weight
    this.size--
    if (items.weights.size === 0) this.#of.delete(network)
  }

  /** Items of the network with the largest weight, the oldest first; none if there is no item at all. */
  *largest(): Generator<T, void> {
    let most: Items<T> | undefined
    for (const items of this.#of.values()) if (most === undefined || items.weight > most.weight) most = items
    if (most !== undefined) yield* most.weights.keys()
  }
}
