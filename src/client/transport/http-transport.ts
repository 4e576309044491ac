// One HTTP request and its answer over node:http. It keeps connections alive, and it shows one thing that fetch hides:
// whether a byte of the request may have left. Bytes leave when the request has a connected socket: at once on a kept
// connection, and not before 'connect' on a new one. Without a connected socket no node has seen the request.

import type { ClientRequest, IncomingMessage } from 'node:http'
import type { LookupFunction } from 'node:net'
import { http } from '../../node-http.ts'
import type { Endpoint } from '../endpoints.ts'
import { lookup } from '../lookup.ts'
import type { Operation } from '../operation.ts'
import { afterPendingEvents } from '../timer.ts'
import { type WriteId, writeIdHeader } from '../write-id.ts'

export interface HttpRequest {
  readonly method: string
  /** The raw request target. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | undefined
  /** Of a write that must be applied at most once. */
  readonly identity?: WriteId | undefined
  /** The same as an operation, if it is one that the multiplexed connection carries. */
  readonly operation?: Operation | undefined
}

export type Exchanged =
  | {
      readonly kind: 'answered'
      readonly status: number
      readonly headers: Headers
      /** An answer of the multiplexed connection is an object already. */
      readonly body: Buffer | Readonly<Record<string, unknown>>
    }
  /** The answer has begun; its body is not read yet. The reader sets separate limits. */
  | {
      readonly kind: 'streaming'
      readonly headers: Headers
      readonly stream: IncomingMessage | WatchMessages
    }
  | {
      readonly kind: 'failed'
      /** There was a connection, so bytes may have left. */
      readonly connected: boolean
      /** A connection was accepted, but too late for any byte to leave. */
      readonly accepted?: boolean
      readonly timedOut: boolean
      readonly cause: Error
    }

/** What a node tells a watch on a multiplexed connection, as JSON of a line. */
export interface WatchMessages {
  messages(): AsyncIterable<Readonly<Record<string, unknown>>>
  destroy(): void
}

export type Answer = Exclude<Exchanged, { kind: 'failed' }> & { readonly endpoint: Endpoint }

export interface Exchange {
  /** Never rejects. */
  readonly result: Promise<Exchanged>
  /** Whether there is or was a connection, so that bytes may have left. */
  readonly isConnected: () => boolean
  /**
   * When the last part of the answer arrived, by `performance.now()`; before the first, when the request was made. In
   * the second half of its time an answer that is too slow to be complete in time no longer counts.
   */
  readonly heardAt: () => number
  /** How long the lookup of the host name took, or has taken so far; 0 for an address. */
  readonly lookupMs: () => number
  /** Cuts the connection. `result` is then a failure, unless it is known already. */
  readonly cancel: (reason?: string) => void
}

export type Headers = IncomingMessage['headers']

/**
 * A node answers within a minute. If nothing arrives for longer, the other end of the connection is gone, and no event
 * will report that.
 */
export const SILENCE_MAX_MS = 70_000

export class Transport {
  // LIFO by default: the connection that was used last is the least likely to be closed now by the other end.
  readonly #agent = new http.Agent({ keepAlive: true })
  readonly #underway = new Set<ClientRequest>()
  readonly #silenceMaxMs: number

  constructor(silenceMaxMs = SILENCE_MAX_MS) {
    this.#silenceMaxMs = silenceMaxMs
  }

  /**
   * `background` requests keep no process alive. With `stream`, an answer of 200 is returned when it begins; any other
   * answer is read completely, within `timeoutMs`.
   */
  exchange(
    endpoint: Endpoint,
    outgoing: HttpRequest,
    options: { readonly timeoutMs: number; readonly stream?: boolean; readonly background?: boolean },
  ): Exchange {
    const startedAt = performance.now()
    let heardAt = startedAt
    let lookupMs = () => 0
    let connected = false
    let accepted = false
    let timedOut = false
    const { method, path, body, identity } = outgoing
    const headers = { ...outgoing.headers, ...(identity && writeIdHeader(identity)) }
    const { host, port } = endpoint
    const timeout = this.#silenceMaxMs
    const timedLookup: LookupFunction = (name, how, done) => {
      const askedAt = performance.now()
      lookupMs = () => performance.now() - askedAt
      lookup(name, how, (...found) => {
        const ms = lookupMs()
        lookupMs = () => ms
        done(...found)
      })
    }
    const where = { host, port, lookup: timedLookup }
    const req = http.request({ agent: this.#agent, ...where, method, path, headers, timeout })
    this.#underway.add(req)
    const giveUp = (ms: number) => {
      timedOut = true
      req.destroy(new Error(`no answer within ${Math.round(ms)} ms`))
    }
    const onConnect = () => {
      accepted = true
      // If the process was busy meanwhile and the time is over, the request is not sent.
      if (performance.now() - startedAt >= options.timeoutMs) giveUp(options.timeoutMs)
      else connected = true
    }
    const unref = options.background === true
    const stopTimer = afterPendingEvents(options.timeoutMs, () => giveUp(options.timeoutMs), { unref })

    const result = new Promise<Exchanged>((resolve) => {
      const settle = (exchanged: Exchanged) => {
        stopTimer()
        this.#underway.delete(req)
        resolve(exchanged)
      }
      const fail = (cause: Error) => settle({ kind: 'failed', connected, accepted, timedOut, cause })
      req.on('socket', (socket) => {
        if (options.background === true) socket.unref()
        if (!socket.connecting) connected = true
        else socket.once('connect', onConnect)
      })
      req.on('error', fail)
      req.on('timeout', () => giveUp(timeout))
      // Not every end is an error: after an answer that changes the protocol (status 101) the connection just closes.
      const onClose = () => fail(new Error('the connection was cut'))
      req.on('close', onClose)
      req.on('response', (response) => {
        req.off('close', onClose)
        if (options.stream === true && response.statusCode === 200) {
          req.setTimeout(0)
          settle({ kind: 'streaming', headers: response.headers, stream: response })
          return
        }
        const beganAt = performance.now()
        heardAt = beganAt
        const chunks: Buffer[] = []
        const length = Number(response.headers['content-length'])
        let received = 0
        response.on('data', (chunk: Buffer) => {
          chunks.push(chunk)
          received += chunk.length
          const nowMs = performance.now()
          const leftMs = startedAt + options.timeoutMs - nowMs
          const neededMs = ((nowMs - beganAt) / received) * (length - received)
          if (leftMs > options.timeoutMs / 2 || !(neededMs > leftMs)) heardAt = nowMs
        })
        response.on('error', fail)
        response.on('close', onClose)
        response.on('end', () =>
          settle({
            kind: 'answered',
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
          }),
        )
      })
    })
    // In one piece, so that Node sends it with its length.
    req.end(body)
    return {
      result,
      isConnected: () => connected,
      heardAt: () => heardAt,
      lookupMs: () => lookupMs(),
      cancel: (reason = 'given up') => req.destroy(new Error(reason)),
    }
  }

  get underway(): number {
    return this.#underway.size
  }

  /** Cuts all requests under way and all kept connections. */
  close(): void {
    this.#agent.destroy()
  }
}
