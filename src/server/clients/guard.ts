// Checks whether a client may send requests to this node. Any web page can make a browser on the same machine send
// requests. So the guard checks the host name (Host) and the page that sent the request (Origin, Sec-Fetch-Site).

import type { IncomingHttpHeaders } from 'node:http'
import { isIP, type Socket } from 'node:net'
import { ApiError } from '../../operations/forms/index.ts'
import { isLoopback } from '../../system/addresses.ts'

/** The parts of a request that are checked. */
export interface RequestHead {
  readonly method: string
  readonly httpVersion: string
  readonly headers: IncomingHttpHeaders
  /** Number of Host fields. */
  readonly hosts: number
}

interface GuardOptions {
  readonly clusterId: string
  readonly allowedHosts: readonly string[]
  readonly corsOrigins: readonly string[]
  /** Whether clients use `https://`. */
  readonly isSecure?: boolean
}

const EXPOSED =
  'ETag, Idempotency-Replayed, Kv-Cluster, Kv-Node, Kv-Term, Kv-Revision, Kv-Leader, Kv-Consistency, Kv-Staleness-Ms, Retry-After'
export const METHODS = 'GET, HEAD, PUT, POST, DELETE'
const HEADERS =
  'Accept, Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, Kv-Session, Kv-Cluster'
const READS = new Set(['GET', 'HEAD', 'OPTIONS'])

export class Guard {
  readonly #clusterId: string
  readonly #allowedHosts: ReadonlySet<string>
  readonly #corsOrigins: ReadonlySet<string>
  readonly #isSecure: boolean
  /** Headers of each response to a client without an allowed origin. */
  readonly #varying: readonly string[]
  /** The last accepted host: clients send the same one each time. */
  #goodHost: string | undefined

  constructor({ clusterId, allowedHosts, corsOrigins, isSecure = false }: GuardOptions) {
    this.#isSecure = isSecure
    this.#clusterId = clusterId
    this.#allowedHosts = new Set(allowedHosts.map((host) => host.toLowerCase()))
    this.#corsOrigins = new Set(corsOrigins.map((origin) => origin.toLowerCase().replace(/\/$/, '')))
    this.#varying = corsOrigins.length === 0 ? [] : ['Vary', 'Origin']
  }

  /** Throws `ApiError` for another host. `authority`: of an absolute target, which counts in place of the header. */
  checkHost(request: RequestHead, authority?: string): void {
    if (request.headers.host === undefined && request.httpVersion !== '1.0')
      throw new ApiError('bad_request', 'a request needs a Host header')
    const host = authority ?? request.headers.host
    if (host === undefined) return
    if (request.hosts > 1) throw new ApiError('bad_request', 'a request has one Host header')
    if (host === this.#goodHost) return
    if (!this.#isOurs(host))
      throw new ApiError('host_not_allowed', `${JSON.stringify(host)} is not served here; see --allowed-host`)
    this.#goodHost = host
  }

  /**
   * CORS headers for this client; empty for most. Throws `ApiError` for a change from a page of another origin.
   * `isPage`: what is requested is a page that users may visit by a link.
   */
  checkOrigin(request: RequestHead, isPage = false): readonly string[] {
    const { origin, host = '', 'sec-fetch-site': site } = request.headers
    if (origin === undefined) {
      if (site !== undefined && !(isPage && isVisit(request))) this.#checkSite(site)
      return this.#varying
    }
    const named = origin.toLowerCase()
    if (this.#corsOrigins.has(named) || this.#corsOrigins.has('*')) {
      return [
        'Access-Control-Allow-Origin',
        origin,
        'Access-Control-Expose-Headers',
        EXPOSED,
        'Vary',
        'Origin',
      ]
    }
    const preflight = asksForCors(request)
    // A browser omits the default port.
    const own = this.#isSecure
      ? `https://${host.toLowerCase().replace(/:(?:443)?$/, '')}`
      : `http://${host.toLowerCase().replace(/:(?:80)?$/, '')}`
    if (named !== own && (preflight || !READS.has(request.method)))
      throw new ApiError(
        'origin_not_allowed',
        `${JSON.stringify(origin)} may not make changes here; see --cors-origin`,
      )
    if (named !== own && site !== undefined) this.#checkSite(site)
    return this.#varying
  }

  /**
   * A page of another site cannot read a response, but its requests make the node work. Browsers mark them; such a
   * request has no Origin if it is a simple GET.
   */
  #checkSite(site: string | readonly string[]): void {
    if ((site === 'cross-site' || site === 'same-site') && !this.#corsOrigins.has('*'))
      throw new ApiError(
        'origin_not_allowed',
        'a page of another site may not send requests here; see --cors-origin',
      )
  }

  /** Throws `ApiError` if the client expects another cluster. */
  checkCluster(cluster: string | readonly string[] | undefined): void {
    if (cluster !== undefined && cluster !== this.#clusterId)
      throw new ApiError(
        'wrong_cluster',
        `this node belongs to cluster ${this.#clusterId}, not ${String(cluster)}`,
      )
  }

  /** Names have letters, digits, hyphens and, in those of containers, underscores: programs read others differently. */
  #isOurs(host: string): boolean {
    const parsed = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{0,5})?$/i.exec(host)?.[1]?.toLowerCase()
    if (parsed === undefined) return false
    const name = parsed.replace(/[[\]]/g, '')
    if (isIP(name) !== 0 || name === 'localhost' || name.endsWith('.localhost')) return true
    return this.#allowedHosts.has(name) || this.#allowedHosts.has(host.toLowerCase())
  }
}

/** Whether a browser names the page that sends the request. */
export const isOfPage = ({ headers }: Pick<RequestHead, 'headers'>): boolean =>
  headers.origin !== undefined || headers['sec-fetch-site'] !== undefined

/**
 * Whether a user follows a link. The page of the link cannot read what is answered, nor show it in a frame, and it
 * costs no more than an error. The console of a node that has ended follows such a link to another node.
 */
const isVisit = ({ method, headers }: RequestHead): boolean =>
  method === 'GET' && headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document'

/** Whether a browser asks what a page of another origin may send. It sends no credentials. */
export const asksForCors = ({ method, headers }: Pick<RequestHead, 'method' | 'headers'>): boolean =>
  method === 'OPTIONS' && headers['access-control-request-method'] !== undefined

/** Whether it asks so for a page that may send requests. */
export const isPreflight = (request: RequestHead, corsHeaders: readonly string[]): boolean =>
  asksForCors(request) && corsHeaders.includes('Access-Control-Allow-Origin')

export const PREFLIGHT_HEADERS = [
  'Access-Control-Allow-Methods',
  METHODS,
  'Access-Control-Allow-Headers',
  HEADERS,
  'Access-Control-Max-Age',
  '600',
] as const

// -------------------------------------------------------------------------------------------------------------------
// Clients of other machines

/** `own-machine`: only clients of the machine of the node. */
export type ServedClients = 'all' | 'own-machine'

export const loopbackOnly = (): ApiError =>
  new ApiError(
    'loopback_only',
    'without authentication this node serves only clients of its own machine; start it with --client-cert required, which needs --tls-ca, or accept every client with --insecure',
  )

/** Whether a client needs no rights, as long as they are not checked. */
export const isServed = (served: ServedClients, socket: Socket): boolean =>
  served === 'all' || isOfOwnMachine(socket)

/** A connection within one machine may use any address of it. */
function isOfOwnMachine({ remoteAddress = '', localAddress = '' }: Socket): boolean {
  const remote = withoutMapping(remoteAddress)
  return isLoopback(remote) || (remote !== '' && remote === withoutMapping(localAddress))
}

/** An IPv4 address as a listener for both families reports it. */
const withoutMapping = (address: string): string => address.replace(/^::ffff:(?=[0-9.]+$)/, '')
