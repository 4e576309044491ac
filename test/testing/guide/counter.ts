import { setTimeout as after } from 'node:timers/promises'
import type { Client } from '../../../src/index.ts'

/** Counts visits. Only one instance is in use at a time, so nothing can come between its get and its put. Can it? */
export class Counter {
  readonly #kv: Client

  constructor(kv: Client) {
    this.#kv = kv
  }

  async increment(): Promise<number> {
    const record = await this.#kv.get('visits')
    const visits = Number(record?.text() ?? 0) + 1
    await this.#kv.put('visits', String(visits))
    return visits
  }
}

/** Uses the first instance, and changes to the other when that does not answer in time. */
export class FailOver {
  readonly #instances: (() => Promise<number>)[]
  readonly #patienceMs: number

  constructor(instances: (() => Promise<number>)[], patienceMs: number) {
    this.#instances = instances
    this.#patienceMs = patienceMs
  }

  async increment(): Promise<number> {
    for (;;) {
      const [active, standby] = this.#instances
      if (active === undefined || standby === undefined) throw new Error('there must be two instances')
      const answer = await Promise.race([active(), after(this.#patienceMs)])
      if (answer !== undefined) return answer
      this.#instances.reverse()
    }
  }
}
