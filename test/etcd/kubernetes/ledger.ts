// Acknowledged writes of each object, and those with an unknown outcome.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Api, Reply } from './api.ts'

interface Writes {
  /** Resource versions of the acknowledged puts. */
  readonly revisions: Set<number>
  deletes: number
  /** Writes with an unknown outcome. */
  unknown: number
}

const RETRY_MS = 50

export class Ledger {
  readonly #apis: readonly Api[]
  #requests = 0
  /** By the path of the object. */
  readonly objects = new Map<string, Writes>()
  acknowledged = 0
  unknown = 0

  /** The API servers serve requests by turns. */
  constructor(apis: readonly Api[]) {
    this.#apis = apis
  }

  /** Writes until the outcome is known: a 5xx leaves it open, and so does a lost connection. */
  async write(method: string, path: string, body?: object, object = path): Promise<Reply> {
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
    const writes = this.#writes(object)
    for (;;) {
      const reply = await this.#request(method, path, body, type)
      if (reply === undefined || reply.status >= 500) {
        writes.unknown++
        this.unknown++
      } else if (reply.status < 300) {
        this.acknowledged++
        if (method === 'DELETE') writes.deletes++
        else if (reply.body.kind !== 'Status')
          writes.revisions.add(Number(reply.body.metadata.resourceVersion))
        return reply
      } else if (reply.status !== 429) return reply
      await sleep(RETRY_MS)
    }
  }

  /** Reads until there is an answer. */
  async read(path: string): Promise<Reply> {
    for (;;) {
      const reply = await this.#request('GET', path)
      if (reply !== undefined && reply.status < 500 && reply.status !== 429) return reply
      await sleep(RETRY_MS)
    }
  }

  async #request(method: string, path: string, body?: object, type?: string): Promise<Reply | undefined> {
    const api = this.#apis[this.#requests++ % this.#apis.length]
    return await api?.request(method, path, body, type).catch(() => undefined)
  }

  #writes(object: string): Writes {
    let writes = this.objects.get(object)
    if (writes === undefined) {
      writes = { revisions: new Set(), deletes: 0, unknown: 0 }
      this.objects.set(object, writes)
    }
    return writes
  }
}
