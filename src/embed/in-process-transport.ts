// Carries the requests of a client to nodes in the same process, without sockets and without encoding. Requests that
// are no operations of ../client/operation.ts, and watches, go over HTTP: they are rare, or live long.

import { whenAborted } from '../client/abort-listeners.ts'
import type { Endpoint } from '../client/endpoints.ts'
import { API, type CallRequest, CHANGES, type ClientOperation, sealed } from '../client/operation.ts'
import { RECHECK_MS } from '../client/retry-policy.ts'
import { afterPendingEvents } from '../client/timer.ts'
import { TlsSource } from '../client/tls.ts'
import { HttpTransport } from '../client/transport/http-transport.ts'
import type { SendOptions, SendOutcome, Transport } from '../client/transport/transport.ts'
import type { ClientOptions } from '../client/types.ts'
import { TIMEOUT_MS_MAX } from '../operations/forms/parameters.ts'
import { Api } from '../server/api/api.ts'
import { execute } from '../server/api/execute.ts'
import { answerWithinMs, apiLimits } from '../server/api/limits.ts'
import type { Call } from '../server/api/operation.ts'
import { newerWithinMs } from '../server/api/permit.ts'
import type { NodeApi } from '../server/node/types.ts'
import { decode, encode, hasCodec, RecordPage } from './in-process-codec.ts'

/** Finds the serving node with this URL. 'stopped': it belongs to the cluster, and stops or does not run. */
export type FindNode = (url: string) => NodeApi | 'stopped' | undefined

export class InProcessTransport implements Transport {
  readonly carriesBatches = true
  readonly #findNode: FindNode
  readonly #http: HttpTransport
  /** The API of each node that was used. A node that starts again is another one. */
  readonly #apis = new WeakMap<NodeApi, Api>()
  /** Gives up the requests in flight. */
  readonly #inFlight = new Set<() => void>()

  constructor(findNode: FindNode, tls?: ClientOptions['tls']) {
    this.#findNode = findNode
    this.#http = new HttpTransport({ tls: new TlsSource(tls) })
  }

  get inFlight(): number {
    return this.#inFlight.size + this.#http.inFlight
  }

  send(endpoint: Endpoint, request: CallRequest, options: SendOptions): Promise<SendOutcome> {
    const node = request.op === API || !hasCodec(request) ? undefined : this.#findNode(endpoint.url)
    if (request.op === API || node === undefined) return this.#http.send(endpoint, request, options)
    if (node !== 'stopped') return this.#execute(this.#apiOf(node), request, options)
    const cause = new Error('the node does not run')
    return Promise.resolve({ kind: 'not-sent', cause, reached: false, timedOut: false })
  }

  close(): void {
    for (const giveUp of [...this.#inFlight]) giveUp()
    this.#http.close()
  }

  #apiOf(node: NodeApi): Api {
    let api = this.#apis.get(node)
    // The error of a broken invariant is in the answer.
    api ??= new Api({ node, limits: apiLimits, failed: () => {} })
    this.#apis.set(node, api)
    return api
  }

  #execute(api: Api, request: ClientOperation, options: SendOptions): Promise<SendOutcome> {
    const { timeoutMs, silenceMs = timeoutMs, mayGiveUp, signal, background = false } = options
    const page = new RecordPage()
    const startedAt = performance.now()
    return new Promise((resolve) => {
      let isOpen = true
      const deadline = startedAt + answerWithinMs(Math.min(timeoutMs, TIMEOUT_MS_MAX))
      const call: { -readonly [name in keyof Call]: Call[name] } = {
        ...{ deadline, expansion: 1, page },
        isAbandoned: () => !isOpen,
      }
      const settle = (outcome: SendOutcome): void => {
        if (!isOpen) return
        isOpen = false
        stopTimer()
        stopListening()
        this.#inFlight.delete(leave)
        resolve(outcome)
        call.withdraw?.()
      }
      const giveUp = (cause: string, timedOut: boolean): void =>
        settle({ kind: 'maybe-applied', cause: new Error(cause), timedOut })
      const leave = (): void => giveUp('given up', false)
      const look = (): void => {
        const isLast = performance.now() - startedAt >= timeoutMs
        if (isLast || mayGiveUp?.() !== false) giveUp('no answer in time', true)
        else stopTimer = afterPendingEvents(RECHECK_MS, look, { unref: background })
      }
      let stopTimer = afterPendingEvents(Math.min(silenceMs, timeoutMs), look, { unref: background })
      const stopListening = whenAborted(signal, leave)
      this.#inFlight.add(leave)
      const begin = (): void => {
        if (!isOpen) return
        try {
          const operation = decode(sealed(request), options.writeId)
          call.trace = options.trace?.context
          const { authorization } = options
          api.authenticator.identify(
            { authorization, address: '', certificateUser: undefined },
            newerWithinMs(call),
            (error, principal) => {
              if (error !== undefined) return settle(encode(error, page, api.node))
              call.principal = principal
              execute(api, operation, call, (result) => settle(encode(result, page, api.node)))
            },
          )
        } catch (error) {
          settle(encode(api.errorOf(error), page, api.node))
        }
      }
      // A batch grows until the end of the turn.
      if (request.op === CHANGES) setImmediate(begin)
      else begin()
    })
  }
}
