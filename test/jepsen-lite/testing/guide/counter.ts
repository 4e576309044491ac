import { setTimeout as after } from 'node:timers/promises'
import { type Client, PreconditionFailedError } from '../../../../src/index.ts'

/** Counts visits. Only one instance is in use at a time, so nothing comes between its get and its put. */
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

/** Uses one instance, and changes to the other when there is no answer in time. */
export class FailOver {
  readonly #instances: (() => Promise<number>)[]

  constructor(instances: (() => Promise<number>)[]) {
    this.#instances = instances
  }

  async increment(): Promise<number> {
    for (;;) {
      const [active] = this.#instances
      const answer = await Promise.race([active?.().catch(() => undefined), after(300)])
      if (answer !== undefined) return answer
      this.#instances.reverse()
    }
  }
}

/** Its put only succeeds if nothing came between. Otherwise it begins again. */
export class SafeCounter {
  readonly #kv: Client

  constructor(kv: Client) {
    this.#kv = kv
  }

  async increment(): Promise<number> {
    for (;;) {
      const record = await this.#kv.get('visits')
      const visits = Number(record?.text() ?? 0) + 1
      const unchanged = record === undefined ? { ifAbsent: true } : { ifRevision: record.modRevision }
      try {
        await this.#kv.put('visits', String(visits), unchanged)
        return visits
      } catch (error) {
        if (!(error instanceof PreconditionFailedError)) throw error
      }
    }
  }
}
