// Chooses the endpoint of the next try: round robin, with a circuit breaker for each endpoint.
//
// A breaker opens when its endpoint fails (no connection, no answer, an answer that it cannot serve, or an answer of
// another cluster). While it is open, the endpoint is passed over. After a pause, one request at a time may probe it.
// When that request ends in any way, the next one may probe. An open breaker never makes a call fail: if no other
// endpoint is left, the request goes to this one.

import { endpointUrl } from './address.ts'
import { Backoff } from './backoff.ts'

const PAUSE_BASE_MS = 100
const PAUSE_MAX_MS = 5_000

export class Endpoint {
  /** Without a trailing slash. */
  readonly url: string
  readonly host: string
  readonly port: number
  readonly isSecure: boolean
  readonly #pauses = new Backoff(PAUSE_BASE_MS, PAUSE_MAX_MS)
  #probeFromMs = 0
  #isBroken = false
  /** The caller whose request probes the endpoint while the breaker is open. */
  #probe: object | undefined
  #answeredAtMs = Number.NEGATIVE_INFINITY
  /** Time of the first request since its last answer. */
  #unansweredSinceMs: number | undefined

  constructor(url: URL) {
    this.url = url.origin
    // node:http expects the address of [::1] without the brackets.
    this.host = url.hostname.replace(/[[\]]/g, '')
    this.isSecure = url.protocol === 'https:'
    this.port = url.port === '' ? (this.isSecure ? 443 : 80) : Number(url.port)
  }

  allows(nowMs: number): boolean {
    return !this.#isBroken || (this.#probe === undefined && nowMs >= this.#probeFromMs)
  }

  get isProbed(): boolean {
    return this.#probe !== undefined
  }

  /** A request of `caller` is sent. While the breaker is open, it is the only one that may be sent. */
  requestSent(caller: object, nowMs: number): void {
    if (this.#isBroken) this.#probe = caller
    this.#unansweredSinceMs ??= nowMs
  }

  hasAnsweredSince(ms: number): boolean {
    return this.#answeredAtMs >= ms
  }

  worked(nowMs = performance.now()): void {
    this.#answeredAtMs = nowMs
    this.#isBroken = false
    this.#unansweredSinceMs = undefined
    this.#pauses.reset()
  }

  failed(nowMs: number): void {
    this.#isBroken = true
    this.#probe = undefined
    this.#probeFromMs = nowMs + this.#pauses.next()
  }

  /**
   * The caller has aborted a request before its answer. It may do so early, so only requests over `silenceMs` show that
   * the endpoint does not answer.
   */
  requestGivenUp(nowMs: number, silenceMs: number): void {
    if (nowMs - (this.#unansweredSinceMs ?? nowMs) >= silenceMs) this.failed(nowMs)
  }

  /** The request of `caller` has ended: it worked, failed, or was given up. */
  requestEnded(caller: object): void {
    if (this.#probe === caller) this.#probe = undefined
  }
}

export class Endpoints {
  readonly #configured: readonly Endpoint[]
  all: readonly Endpoint[]
  #next: number

  constructor(urls: readonly string[], random: () => number = Math.random) {
    if (urls.length === 0) throw new TypeError('a client needs at least one endpoint')
    this.#configured = unique(urls.map(endpointUrl)).map((url) => new Endpoint(url))
    this.all = this.#configured
    // A random start, so that clients that start together do not all begin with the same node.
    this.#next = Math.floor(random() * this.all.length)
  }

  /** The next endpoint of those that `suits`, closed breakers first. */
  pick(suits: (endpoint: Endpoint) => boolean, nowMs: number): Endpoint | undefined {
    return this.pickWhere((endpoint) => endpoint.allows(nowMs) && suits(endpoint)) ?? this.pickWhere(suits)
  }

  /**
   * The members' addresses, from a node. If it `isCurrent`, learned endpoints that it does not name are forgotten. The
   * endpoints given at the start always stay. A client that was given only secure endpoints uses no others.
   */
  learn(urls: readonly string[], isCurrent: boolean): void {
    // A node that is about to join knows no members.
    if (urls.length === 0) return
    const known = new Map(this.all.map((endpoint) => [endpoint.url, endpoint]))
    const learned = urls.flatMap((url) => {
      try {
        return [endpointUrl(url)]
      } catch {
        return []
      }
    })
    const configured = new Set(this.#configured.map((endpoint) => endpoint.url))
    const isSecure = this.#configured.every((endpoint) => endpoint.isSecure)
    const others = unique(learned)
      .filter((url) => !configured.has(url.origin) && (!isSecure || url.protocol === 'https:'))
      .map((url) => known.get(url.origin) ?? new Endpoint(url))
    this.all = [...new Set([...(isCurrent ? this.#configured : this.all), ...others])]
  }

  /** The next endpoint that suits. */
  pickWhere(suits: (endpoint: Endpoint) => boolean): Endpoint | undefined {
    for (let step = 0; step < this.all.length; step++) {
      const at = (this.#next + step) % this.all.length
      const endpoint = this.all[at]
      if (endpoint === undefined || !suits(endpoint)) continue
      this.#next = at + 1
      return endpoint
    }
    return undefined
  }
}

function unique(urls: readonly URL[]): URL[] {
  return [...new Map(urls.map((url) => [url.origin, url])).values()]
}
