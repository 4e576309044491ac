// The listener for probes and Prometheus: plain HTTP, health and metrics, nothing else, to anybody who reaches it. It
// works where the client port wants certificates. It shares no limit with that port.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { isIPv6, type Socket } from 'node:net'
import { ApiError } from '../../operations/forms/index.ts'
import { errorResponse, HttpError } from '../../operations/http/form.ts'
import { networkPrefix } from '../../system/addresses.ts'
import { asError } from '../../system/errors.ts'
import { http } from '../../system/node-http.ts'
import { ByNetwork } from '../by-network.ts'
import type { HttpResponse } from '../connections/messages.ts'
import { parseTarget } from '../connections/target.ts'
import { health, readiness } from '../http/health.ts'
import { METRICS_CONTENT_TYPE } from '../node/observe/metric-list.ts'
import type { Metrics } from '../node/observe/metrics.ts'
import type { DriverStatus } from '../node/observe/status.ts'
import type { ListenAddress, Logger } from '../options.ts'

/** Connections of one listener. One more closes the oldest of the network that has most. */
const CONNECTIONS_MAX = 64
const HEAD_BYTES_MAX = 8 * 1024
/** Time from a connection to the end of its only answer. */
const CONNECTION_MS = 5_000
/** Metrics are made no more often: some count from one scrape to the next. */
const SCRAPE_EVERY_MS = 1_000

interface MetricsListenerOptions {
  readonly status: () => DriverStatus
  readonly isClosing: () => boolean
  readonly metrics: Metrics
  readonly logger: Logger
}

export class MetricsListener {
  /** Base URL; empty before it listens. */
  url = ''
  readonly #options: MetricsListenerOptions
  readonly #connections = new Set<Socket>()
  readonly #byNetwork = new ByNetwork<Socket>()
  readonly #server
  #text: Promise<string> | undefined
  #textAt = Number.NEGATIVE_INFINITY

  constructor(options: MetricsListenerOptions) {
    this.#options = options
    const limits = { maxHeaderSize: HEAD_BYTES_MAX, requireHostHeader: false }
    this.#server = http.createServer(limits, (request, response) => void this.#serve(request, response))
    this.#server.on('connection', (socket: Socket) => this.#accept(socket))
  }

  /** Rejects if the address cannot be used. */
  async listen({ host, port }: ListenAddress): Promise<void> {
    const server = this.#server
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      // Otherwise workers of node:cluster would share the port.
      server.listen({ host, port, exclusive: true }, () => {
        server.off('error', reject)
        server.on('error', (error) =>
          this.#options.logger.error({ error: error.message }, 'the listener for metrics failed'),
        )
        resolve()
      })
    })
    const address = server.address()
    const bound = typeof address === 'object' && address !== null ? address.port : port
    this.url = `http://${isIPv6(host) ? `[${host}]` : host}:${bound}`
  }

  /** Closes all connections. */
  close(): void {
    this.#server.close()
    for (const socket of this.#connections) socket.destroy()
  }

  #accept(socket: Socket): void {
    const late = setTimeout(() => socket.destroy(), CONNECTION_MS)
    const network = networkPrefix(socket.remoteAddress ?? '')
    this.#connections.add(socket)
    this.#byNetwork.set(network, socket)
    socket.on('error', () => {})
    socket.once('close', () => {
      clearTimeout(late)
      this.#connections.delete(socket)
      this.#byNetwork.delete(network, socket)
    })
    if (this.#connections.size <= CONNECTIONS_MAX) return
    const [oldest] = this.#byNetwork.largest()
    oldest?.destroy()
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A body is dropped.
    request.resume()
    const answer = await this.#answer(request).catch((error: unknown) =>
      errorResponse(error instanceof ApiError ? error : new ApiError('internal', asError(error).message)),
    )
    const { status, headers, body } = answer
    const text = String(body)
    response.writeHead(status, [
      ...headers,
      'Content-Length',
      String(Buffer.byteLength(text)),
      'Connection',
      'close',
    ])
    response.end(request.method === 'HEAD' ? undefined : text)
  }

  async #answer({ method = '', url = '' }: IncomingMessage): Promise<HttpResponse> {
    const { status, isClosing } = this.#options
    const { path, query } = parseTarget(method, url)
    const isVerbose = /^verbose(?:=(?:true|1)?)?$/.test(query)
    if (!PATHS.has(path))
      throw new ApiError(
        'route_not_found',
        'only /livez, /readyz and /metrics are here: keys are on the client port',
      )
    if (method !== 'GET' && method !== 'HEAD')
      throw new HttpError('method_not_allowed', 'only GET and HEAD are allowed here', ['Allow', 'GET, HEAD'])
    if (path === '/livez') return health(status(), isVerbose)
    if (path === '/readyz') return readiness(status(), isClosing(), isVerbose)
    const headers = ['Content-Type', METRICS_CONTENT_TYPE]
    return { status: 200, headers, body: await this.#metricsNow(), revision: undefined }
  }

  #metricsNow(): Promise<string> {
    const now = performance.now()
    if (this.#text === undefined || now - this.#textAt >= SCRAPE_EVERY_MS) {
      this.#text = this.#options.metrics.text()
      this.#textAt = now
    }
    return this.#text
  }
}

const PATHS: ReadonlySet<string> = new Set(['/livez', '/readyz', '/metrics'])
