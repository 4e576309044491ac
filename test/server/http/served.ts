// The client port of a fake node, and a client that normalises nothing.

import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import { connect } from 'node:net'
import { onTestFinished } from 'vitest'
import { Api } from '../../../src/server/api/api.ts'
import type { Audit } from '../../../src/server/api/audit.ts'
import type { ServedClients } from '../../../src/server/clients/guard.ts'
import { ClientListener } from '../../../src/server/listener/client-listener.ts'
import { type HttpLimits, httpLimits } from '../../../src/server/listener/limits.ts'
import { Metrics } from '../../../src/server/node/observe/metrics.ts'
import type { ListenerTls } from '../../../src/server/tls/handshakes.ts'
import { PLACEHOLDER } from '../../console/placeholder.ts'
import { FakeNode } from './fake-node.ts'

export interface Answered {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly bytes: Buffer
  readonly text: string
  /** The body as JSON; whatever it is, so that tests can look into it. */
  readonly json: Json
}

// biome-ignore lint/suspicious/noExplicitAny: what came over the wire is checked by the expectations themselves
type Json = any

export interface Asking {
  readonly headers?: Record<string, string>
  readonly body?: string | Uint8Array
  /**
   * Whose connections are used; otherwise they are kept alive as long as the test, so that plain requests take the fast
   * lane.
   */
  readonly agent?: Agent
}

export interface Served {
  readonly node: FakeNode
  readonly api: Api
  readonly http: ClientListener
  readonly port: number
  readonly metrics: Metrics
  readonly logged: string[]
  /** `target` is sent unchanged. */
  ask(method: string, target: string, asking?: Asking): Promise<Answered>
  /** All bytes received before the server closes, or before `enough`. */
  raw(bytes: string | Uint8Array, enough?: (received: string) => boolean): Promise<string>
}

export interface Serving {
  readonly node?: FakeNode
  readonly allowedHosts?: readonly string[]
  readonly corsOrigins?: readonly string[]
  readonly limits?: Partial<HttpLimits>
  readonly tls?: ListenerTls
  readonly served?: ServedClients
  readonly audit?: Audit
  readonly etcdApi?: boolean
  readonly consoleDirectory?: string
}

export interface Started extends Served {
  close(): Promise<void>
}

/** A server that the caller closes. */
export async function start({
  node = new FakeNode(),
  allowedHosts = [],
  corsOrigins = [],
  limits,
  tls,
  served = 'all',
  audit,
  etcdApi,
  consoleDirectory = PLACEHOLDER,
}: Serving = {}): Promise<Started> {
  const logged: string[] = []
  const log = (_: object, message: string): void => void logged.push(message)
  const metrics = new Metrics()
  const allLimits = { ...httpLimits, ...limits }
  const api = new Api({
    node,
    limits: allLimits,
    version: '1.2.3',
    audit,
    failed: ({ message }) => void logged.push(`a request failed: ${message}`),
  })
  const http = new ClientListener({
    api,
    allowedHosts,
    corsOrigins,
    metrics,
    logger: { debug: log, info: log, warn: log, error: log },
    limits: allLimits,
    tls,
    served,
    etcdApi,
    consoleDirectory,
  })
  const { url } = await http.listen('127.0.0.1', 0)
  const port = Number(new URL(url).port)
  const kept = new Agent({ keepAlive: true })
  const close = (): Promise<void> => {
    kept.destroy()
    return http.close({ graceful: false })
  }
  return {
    close,
    node,
    api,
    http,
    port,
    metrics,
    logged,
    ask: (method, target, asking = {}) => ask(port, method, target, { agent: kept, ...asking }),
    raw: (bytes, enough) => raw(port, bytes, enough),
  }
}

/** A server that is closed when the test ends. */
export async function serve(serving: Serving = {}): Promise<Served> {
  const { close, ...served } = await start(serving)
  onTestFinished(close)
  return served
}

function ask(
  port: number,
  method: string,
  path: string,
  { headers = {}, body, agent }: Asking,
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(body)) }
    const outgoing = request(
      { host: '127.0.0.1', port, method, path, agent, headers: { ...length, ...headers } },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const bytes = Buffer.concat(chunks)
          const text = bytes.toString('utf8')
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            bytes,
            text,
            get json() {
              return JSON.parse(text)
            },
          })
        })
      },
    )
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

function raw(port: number, bytes: string | Uint8Array, enough = (_: string) => false): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let received = ''
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
      if (enough(received)) socket.destroy()
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(received))
    socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  })
}

export const JSON_TYPE = { 'Content-Type': 'application/json' }
