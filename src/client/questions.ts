// The question that a client asks before its first change: to which cluster does this node belong, and what is its
// revision? Calls that begin together share one question to a node. Each call has a separate deadline, so the question
// goes on as long as any of them waits for it.

import type { Endpoint } from './endpoints.ts'
import type { Exchange, Exchanged, HttpRequest, Transport } from './transport/http-transport.ts'

/** A stale read without a value. Any node serves it, with or without a leader, and every answer has the headers. */
export const QUESTION = { method: 'HEAD', path: '/v1/kv/0?consistency=stale', headers: {}, body: undefined }

/**
 * Calls that begin within this time share a question. Later ones ask again, so that a stuck connection does not make
 * them wait.
 */
const SHARED_MS = 250

interface Shared {
  readonly endpoint: Endpoint
  /** A time of `performance.now()`. */
  readonly askedAt: number
  readonly exchange: Exchange
  waiting: number
}

export class Questions {
  readonly #transport: Pick<Transport, 'exchange'>
  readonly #underway = new Set<Shared>()

  constructor(transport: Pick<Transport, 'exchange'>) {
    this.#transport = transport
  }

  get underway(): number {
    return this.#underway.size
  }

  /** The shared question ends when the last waiting call has cancelled. */
  exchange(endpoint: Endpoint, outgoing: HttpRequest): Exchange {
    const shared = this.#askedJustNow(endpoint) ?? this.#ask(endpoint, outgoing)
    const { exchange } = shared
    const { promise, resolve } = Promise.withResolvers<Exchanged>()
    let isWaiting = true
    const leave = (result: Exchanged) => {
      if (isWaiting) shared.waiting -= 1
      isWaiting = false
      resolve(result)
    }
    const cancel = () => {
      leave({
        kind: 'failed',
        connected: exchange.isConnected(),
        timedOut: false,
        cause: new Error('given up'),
      })
      if (shared.waiting > 0 || !this.#underway.delete(shared)) return
      exchange.cancel()
    }
    shared.waiting += 1
    void exchange.result.then(leave)
    return { ...exchange, result: promise, cancel }
  }

  #askedJustNow(endpoint: Endpoint): Shared | undefined {
    const since = performance.now() - SHARED_MS
    return [...this.#underway].find((shared) => shared.endpoint === endpoint && shared.askedAt >= since)
  }

  #ask(endpoint: Endpoint, outgoing: HttpRequest): Shared {
    const exchange = this.#transport.exchange(endpoint, outgoing, { timeoutMs: Number.POSITIVE_INFINITY })
    const shared = { endpoint, askedAt: performance.now(), exchange, waiting: 0 }
    this.#underway.add(shared)
    void exchange.result.then(() => this.#underway.delete(shared))
    return shared
  }
}
