// Attempts that wait, in turns: each network has one, then the next. So a network with many attempts delays its own.

export class FairQueue<T> {
  readonly #itemsMax: number
  readonly #dropped: (item: T) => void
  /** The first network is next. Each has at least one item. */
  readonly #byNetwork = new Map<string, T[]>()
  #size = 0

  /** `dropped`: receives an item that has lost its place to one of a network with fewer. */
  constructor(itemsMax: number, dropped: (item: T) => void) {
    this.#itemsMax = itemsMax
    this.#dropped = dropped
  }

  get size(): number {
    return this.#size
  }

  /** Returns false if there is no room. */
  add(network: string, item: T): boolean {
    const own = this.#byNetwork.get(network)
    if (this.#size >= this.#itemsMax && !this.#dropOfLargest((own?.length ?? 0) + 1)) return false
    this.#size++
    if (own === undefined) this.#byNetwork.set(network, [item])
    else own.push(item)
    return true
  }

  take(): T | undefined {
    for (const [network, items] of this.#byNetwork) {
      const item = items.shift()
      this.#byNetwork.delete(network)
      if (items.length > 0) this.#byNetwork.set(network, items)
      this.#size--
      return item
    }
    return undefined
  }

  /** Drops the newest item of the network that has most of them, if these are more than `count`. */
  #dropOfLargest(count: number): boolean {
    let largest: T[] | undefined
    for (const items of this.#byNetwork.values())
      if (items.length > (largest?.length ?? count)) largest = items
    const item = largest?.pop()
    if (item === undefined) return false
    this.#size--
    this.#dropped(item)
    return true
  }
}
