// Times in rising order: a binary heap. Each item knows its place in it, so any of them can be removed.

export interface DeadlineItem {
  readonly atMs: number
  /** Kept by the heap. */
  place: number
}

export class Deadlines<T extends DeadlineItem> {
  readonly #items: T[] = []

  /** The earliest. */
  get first(): T | undefined {
    return this.#items[0]
  }

  add(item: T): void {
    this.#put(item, this.#items.length)
    this.#rise(item)
  }

  /** Removes the earliest. */
  take(): T | undefined {
    const { first } = this
    if (first !== undefined) this.remove(first)
    return first
  }

  /** An item that is not there any more may be given. */
  remove(item: T): void {
    const items = this.#items
    if (items[item.place] !== item) return
    const last = items.pop()
    if (last === undefined || last === item) return
    this.#put(last, item.place)
    this.#rise(last)
    this.#sink(last)
  }

  clear(): void {
    this.#items.length = 0
  }

  #rise(item: T): void {
    while (item.place > 0) {
      const above = this.#items[(item.place - 1) >> 1]
      if (above === undefined || above.atMs <= item.atMs) return
      this.#swap(item, above)
    }
  }

  #sink(item: T): void {
    for (;;) {
      const left = this.#items[2 * item.place + 1]
      const right = this.#items[2 * item.place + 2]
      const below = right !== undefined && left !== undefined && right.atMs < left.atMs ? right : left
      if (below === undefined || below.atMs >= item.atMs) return
      this.#swap(item, below)
    }
  }

  #swap(one: T, other: T): void {
    const { place } = one
    this.#put(one, other.place)
    this.#put(other, place)
  }

  #put(item: T, place: number): void {
    this.#items[place] = item
    item.place = place
  }
}
