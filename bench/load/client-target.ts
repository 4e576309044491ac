import { Client, QuorateError } from '../../src/client/index.ts'
import type { Access, Consistency } from './load.ts'
import type { Target } from './target.ts'

/** The client library, as an application uses it, without its limit of calls in flight. */
export class ClientTarget implements Target {
  readonly #client: Client

  constructor(endpoints: readonly string[], access?: Access) {
    const secure = access && { tls: { ca: access.ca }, user: access.user, password: access.password }
    this.#client = new Client({ endpoints, callsMax: Number.POSITIVE_INFINITY, ...secure })
  }

  async put(key: string, value: Uint8Array): Promise<void> {
    await this.#client.put(key, value).catch(byCode)
  }

  async update(key: string, value: Uint8Array, revision: number): Promise<number> {
    const condition = revision === 0 ? { ifAbsent: true } : { ifRevision: revision }
    return (await this.#client.put(key, value, condition).catch(byCode)).modRevision
  }

  async get(key: string, consistency: Consistency): Promise<void> {
    const record = await this.#client.get(key, { consistency }).catch(byCode)
    if (record === undefined) throw new Error('not_found')
  }

  async range(start: string, limit: number, consistency: Consistency): Promise<void> {
    const records = this.#client.list({ start, limit, consistency })
    let next = await records.next().catch(byCode)
    while (next.done !== true) next = await records.next().catch(byCode)
  }

  close(): Promise<void> {
    return this.#client.close()
  }
}

/** Errors are counted by their code: messages name keys and nodes. */
function byCode(error: unknown): never {
  throw error instanceof QuorateError ? new Error(error.code) : error
}
