// Sends requests over node:http. It keeps connections alive, and it shows one thing that fetch hides: whether a byte of
// the request may have left. Bytes leave when the request has a connected socket: at once on a kept connection, and not
// before 'connect' on a new one. Without a connected socket no node has seen the request.

import type { ClientRequest, IncomingMessage } from 'node:http'
import type { LookupFunction, Socket } from 'node:net'
import { http } from '../../node-http.ts'
import { whenAborted } from '../abort-listeners.ts'
import { withQuery } from '../address.ts'
import type { Endpoint } from '../endpoints.ts'
import { lookup } from '../lookup.ts'
import { type CallRequest, isStreamed } from '../operation.ts'
import { ASK_AGAIN_MS, nodeTimeoutMs } from '../retry-policy.ts'
import { after, afterPendingEvents } from '../timer.ts'
import { writeIdHeader } from '../write-id.ts'
import { httpRequestOf, type OutgoingRequest } from './http-codec.ts'
import type { SendOptions, SendOutcome, Transport } from './transport.ts'

/**
 * A node answers within a minute. If nothing arrives for longer, the other end of the connection is gone, and no event
 * will report that.
 */
export const SILENCE_MAX_MS = 70_000

export class HttpTransport implements Transport {
  readonly carriesBatches = false
  // LIFO by default: the connection that was used last is the least likely to be closed now by the other end.
  readonly #agent = new http.Agent({ keepAlive: true })
  readonly #inFlight = new Set<ClientRequest>()
  readonly #silenceMaxMs: number

  constructor(silenceMaxMs = SILENCE_MAX_MS) {
    this.#silenceMaxMs = silenceMaxMs
  }

  send(endpoint: Endpoint, request: CallRequest, options: SendOptions): Promise<SendOutcome> {
    const { method, path, headers, body } = httpRequestOf(request)
    const { timeoutMs, writeId, clusterId } = options
    const timeout = `${nodeTimeoutMs(timeoutMs)}ms`
    const outgoing = {
      method,
      path: withQuery(path, { timeout }),
      headers: {
        ...headers,
        ...(clusterId === undefined ? undefined : { 'Kv-Cluster': clusterId }),
        ...(writeId && writeIdHeader(writeId)),
      },
      body,
    }
    return this.exchange(endpoint, outgoing, options, isStreamed(request))
  }

  /** Sends the request as it is. With `stream`, an answer of 200 is returned when it begins. */
  exchange(
    endpoint: Endpoint,
    outgoing: OutgoingRequest,
    options: SendOptions,
    stream = false,
  ): Promise<SendOutcome> {
    const { method, path, headers, body } = outgoing
    return new Promise((resolve) => {
      const exchange = new Exchange(options, stream, (outcome) => {
        this.#inFlight.delete(req)
        resolve(outcome)
      })
      const { host, port } = endpoint
      const where = { host, port, lookup: exchange.lookup, timeout: this.#silenceMaxMs }
      const req = http.request({ agent: this.#agent, ...where, method, path, headers })
      this.#inFlight.add(req)
      exchange.begin(req, body, this.#silenceMaxMs)
    })
  }

  get inFlight(): number {
    return this.#inFlight.size
  }

  close(): void {
    for (const req of this.#inFlight) req.destroy(new Error('the client was closed'))
    this.#agent.destroy()
  }
}

/** One request, until its outcome is known. */
class Exchange {
  readonly #options: SendOptions
  readonly #stream: boolean
  readonly #settled: (outcome: SendOutcome) => void
  readonly #startedAt = performance.now()
  #req: ClientRequest | undefined
  /** A connection was accepted. */
  #isAccepted = false
  /** Bytes may have left. */
  #isSent = false
  #isTimedOut = false
  #isOpen = true
  #isLookingUp = false
  /** Time of the last byte received, or of the request. */
  #heardAt = this.#startedAt
  #stopTimer = () => {}
  #stopSilence = () => {}
  #stopConnect = () => {}
  #stopListening = () => {}

  constructor(options: SendOptions, stream: boolean, settled: (outcome: SendOutcome) => void) {
    this.#options = options
    this.#stream = stream
    this.#settled = settled
  }

  readonly lookup: LookupFunction = (name, how, done) => {
    const { waitsForLookup = false } = this.#options
    this.#isLookingUp = waitsForLookup
    lookup(name, how, (...found) => {
      this.#isLookingUp = false
      if (waitsForLookup && this.#isOpen) this.#limitConnect()
      done(...found)
    })
  }

  begin(req: ClientRequest, body: Uint8Array | undefined, silenceMaxMs: number): void {
    this.#req = req
    const { timeoutMs, signal, background = false } = this.#options
    this.#stopTimer = afterPendingEvents(timeoutMs, () => this.#giveUp(timeoutMs), { unref: background })
    this.#limitSilence()
    this.#stopListening = whenAborted(signal, () => req.destroy(new Error('given up')))
    req.on('socket', (socket) => this.#onSocket(socket))
    req.on('error', this.#fail)
    req.on('timeout', () => this.#giveUp(silenceMaxMs))
    // Not every end is an error: after an answer that changes the protocol (status 101) the connection just closes.
    req.on('close', this.#onClose)
    req.on('response', (response) => {
      req.off('close', this.#onClose)
      this.#onResponse(response)
    })
    // In one piece, so that Node sends it with its length.
    req.end(body)
  }

  #onSocket(socket: Socket): void {
    if (this.#options.background === true) socket.unref()
    if (!socket.connecting) {
      this.#isSent = true
      return
    }
    socket.once('connect', () => this.#onConnect())
    this.#limitConnect()
  }

  #onConnect(): void {
    this.#stopConnect()
    this.#isAccepted = true
    // If the process was busy and the time is over, the request is not sent.
    const { timeoutMs } = this.#options
    if (performance.now() - this.#startedAt >= timeoutMs) this.#giveUp(timeoutMs)
    else this.#isSent = true
  }

  #onResponse(response: IncomingMessage): void {
    if (this.#stream && response.statusCode === 200) {
      this.#req?.setTimeout(0)
      this.#settle({ kind: 'streaming', headers: response.headers, stream: response })
      return
    }
    this.#heardAt = performance.now()
    const chunks: Buffer[] = []
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      this.#heardAt = performance.now()
    })
    response.on('error', this.#fail)
    response.on('close', this.#onClose)
    response.on('end', () =>
      this.#settle({
        kind: 'answered',
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: Buffer.concat(chunks),
      }),
    )
  }

  #limitConnect(): void {
    const { connectMs, background = false } = this.#options
    if (connectMs === undefined || this.#isLookingUp) return
    this.#stopConnect = afterPendingEvents(connectMs, () => this.#giveUp(connectMs), { unref: background })
  }

  #limitSilence(): void {
    const { timeoutMs, silenceMs = timeoutMs, background = false } = this.#options
    if (silenceMs >= timeoutMs) return
    const look = () => {
      if (this.#heardAt + silenceMs > performance.now()) this.#limitSilence()
      else if (this.#options.mayGiveUp?.() === false) this.#stopSilence = after(ASK_AGAIN_MS, look, unref)
      else this.#giveUp(silenceMs)
    }
    const unref = { unref: background }
    this.#stopSilence = afterPendingEvents(this.#heardAt + silenceMs - performance.now(), look, unref)
  }

  #giveUp(ms: number): void {
    this.#isTimedOut = true
    this.#req?.destroy(new Error(`no answer within ${Math.round(ms)} ms`))
  }

  readonly #onClose = (): void => this.#fail(new Error('the connection was cut'))

  readonly #fail = (cause: Error): void => {
    const timedOut = this.#isTimedOut
    if (this.#isSent) this.#settle({ kind: 'maybe-applied', cause, timedOut })
    else {
      const reached = this.#isAccepted
      this.#settle({ kind: 'not-sent', cause, reached, timedOut })
    }
  }

  #settle(outcome: SendOutcome): void {
    this.#isOpen = false
    this.#stopTimer()
    this.#stopSilence()
    this.#stopConnect()
    this.#stopListening()
    this.#settled(outcome)
  }
}
