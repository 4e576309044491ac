import type { Client } from '../../../../src/index.ts'

/** Prices in the memory of this process. A watch removes those that have changed. */
export class Prices {
  readonly #kv: Client
  readonly #known = new Map<string, string>()

  constructor(kv: Client) {
    this.#kv = kv
    void this.#removeChanged()
  }

  async get(name: string): Promise<string | undefined> {
    const known = this.#known.get(name)
    if (known !== undefined) return known
    const price = (await this.#kv.get(`prices/${name}`))?.text()
    if (price !== undefined) this.#known.set(name, price)
    return price
  }

  async #removeChanged(): Promise<void> {
    for await (const { events } of this.#kv.watch({ prefix: 'prices/' }))
      for (const { key } of events) this.#known.delete(key.slice('prices/'.length))
  }
}
