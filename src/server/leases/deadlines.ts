// Times in rising order: a binary heap. An item is taken when its time has come; nothing is removed before.

export interface Timed {
  readonly atMs: number
}

export class Deadlines<T extends Timed> {
  readonly #items: T[] = []

  get size(): number {
    return this.#items.length
  }

  /** The earliest. */
  get first(): T | undefined {
    return this.#items[0]
  }

  add(item: T): void {
    const items = this.#items
    let at = items.length
    items.push(item)
    while (at > 0) {
      const above = (at - 1) >> 1
      if (this.#timeAt(above) <= item.atMs) break
      this.#swap(at, above)
      at = above
    }
  }

  /** Removes the earliest. */
  take(): T | undefined {
    const items = this.#items
    const [first] = items
    const last = items.pop()
    if (last === undefined || items.length === 0) return first
    items[0] = last
    for (let at = 0; ; ) {
      const left = 2 * at + 1
      const below = this.#timeAt(left + 1) < this.#timeAt(left) ? left + 1 : left
      if (this.#timeAt(below) >= last.atMs) return first
      this.#swap(at, below)
      at = below
    }
  }

  clear(): void {
    this.#items.length = 0
  }

  #timeAt(at: number): number {
    return this.#items[at]?.atMs ?? Number.POSITIVE_INFINITY
  }

  #swap(a: number, b: number): void {
    const items = this.#items
    const [one, other] = [items[a], items[b]]
    if (one === undefined || other === undefined) return
    items[a] = other
    items[b] = one
  }
}
