// The console of a local cluster: an HTTP server of its supervisor, on loopback, for the page of `src/console`.
//
//   /ui/…              the page, and console.json: the nodes
//   /control/…         state, events and faults; needs the control token
//   /nodes/NAME/…      requests to a node (node-proxy.ts); needs the control token
//
// A page of another site can reach the port through the browser of the user. So the console refuses clients in the
// order of the gate of a node: by the host, the page that sends the request, the rest of the head, and the token in
// place of a user (test/local/golden/console-refusals.txt). Nothing that follows the head is read before. Without the
// token, a client has one request on a connection, for seconds.

import { randomBytes } from 'node:crypto'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { ClusterConsoleDocument } from '../../operations/documents/console.ts'
import { ControlDocument } from '../../operations/documents/control.ts'
import type { ControlReply, FaultRequest } from '../../operations/documents/supervisor.ts'
import { ApiError } from '../../operations/forms/problems.ts'
import { HttpError } from '../../operations/http/form.ts'
import { Guard } from '../../server/clients/guard.ts'
import { connectionLimits } from '../../server/clients/limits.ts'
import { LazyValue } from '../../system/lazy-value.ts'
import { http } from '../../system/node-http.ts'
import { version } from '../../system/version.ts'
import { HOST, localUrl } from '../addresses.ts'
import { isSameToken } from '../cluster/control-protocol.ts'
import type { ConsoleAddress } from '../directory/cluster-file.ts'
import { asFailure } from '../failure.ts'
import { PROGRAM } from '../program-name.ts'
import { UnidentifiedConnections } from '../unidentified-connections.ts'
import { DROPPED_OF_UNIDENTIFIED, dropBody, send, sendConflict, sendError, sendJson } from './answers.ts'
import { ControlEvents, type ShownCluster } from './control-events.ts'
import { isControlAction, readControlRequest } from './control-requests.ts'
import { forwardRequest } from './node-proxy.ts'

/** Limit on connections, which also limits those to nodes. */
export const CONSOLE_CONNECTIONS_MAX = 64
/** Limit on those that have not shown the token, each for one request. Beyond it, the oldest of them ends. */
export const CONSOLE_UNIDENTIFIED_MAX = 16
/** Limit on requests of a connection without an answer. A browser sends one after the other. */
const REQUESTS_MAX = 4
/** Ports that are tried before the system chooses one. */
const PORTS_TRIED = 20
const TOKEN_BYTES = 24

const SERVER_OPTIONS = {
  maxHeaderSize: connectionLimits.headBytesMax,
  // The guard reports a missing Host header, like other faults.
  requireHostHeader: false,
  /** For the head of a request; a connection that sends none ends after it too. */
  headersTimeout: 5_000,
  /** For a whole request, such as a value for a node. */
  requestTimeout: 60_000,
  connectionsCheckingInterval: 1_000,
  keepAliveTimeout: 5_000,
}

/** Time without a byte either way, in which a client may leave an answer unread. */
export const IDLE_TIMEOUT_MS = 90_000
/** The same without the token. */
const UNIDENTIFIED_IDLE_TIMEOUT_MS = 5_000

/** Paths that a link may lead to. */
const PAGES: ReadonlySet<string> = new Set(['/', '/ui', '/ui/'])

/** Exit code of `kv` for a command line that is wrong. */
const USAGE = 2

/** The cluster of a console, and the commands that change it. */
export interface ConsoleOptions {
  readonly cluster: ShownCluster
  readonly execute: (request: FaultRequest) => Promise<ControlReply>
  /** The first port that is tried; the lower ones follow. */
  readonly port: number
  /** The folder of the build of the page, if it is another one than that of this program. */
  readonly pageDirectory?: string
}

export interface Console {
  readonly address: ConsoleAddress
  /** Ends every connection. The port is free then. */
  close(): Promise<void>
}

export async function openConsole(options: ConsoleOptions): Promise<Console> {
  const token = randomBytes(TOKEN_BYTES).toString('base64url')
  const requests = new ConsoleRequests(options, token)
  const serve = (request: IncomingMessage, response: ServerResponse): void =>
    requests.serve(request, response)
  const server = http.createServer(SERVER_OPTIONS, serve)
  // "100 Continue" is sent when the body is about to be read. An unknown expectation is ignored.
  server.on('checkExpectation', serve).on('checkContinue', (request, response) => {
    requests.serve(request, response, () => response.writeContinue())
  })
  server.maxConnections = CONSOLE_CONNECTIONS_MAX
  // Node:http drops fields beyond this number without an error, and a condition for a node may be one of them.
  server.maxHeadersCount = 0
  server.timeout = UNIDENTIFIED_IDLE_TIMEOUT_MS
  // Neither the console nor a page that is open keeps the supervisor alive.
  server.unref().on('connection', (socket) => {
    socket.unref()
    requests.unidentified.add(socket)
  })
  const port = await listen(server, options.port)
  return {
    address: { url: localUrl(port), token },
    close() {
      requests.close()
      return new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}

/** Listens at the first free port from `first` downwards. */
async function listen(server: Server, first: number): Promise<number> {
  const planned = Array.from({ length: PORTS_TRIED }, (_, at) => first - at).filter((port) => port > 0)
  // The system chooses the last one.
  for (const port of [...planned, 0]) {
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen({ host: HOST, port, exclusive: true }, () => {
          server.off('error', reject)
          resolve()
        })
      })
      const address = server.address()
      if (address !== null && typeof address !== 'string') return address.port
    } catch (error) {
      // Another program has the port, or only root may bind it.
      if (port === 0 || !isTaken(error)) throw error
    }
  }
  throw new Error('the console has no port')
}

const isTaken = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'EADDRINUSE' || error.code === 'EACCES')

class ConsoleRequests {
  readonly #options: ConsoleOptions
  readonly #token: string
  readonly #guard = new Guard({ clusterId: '', allowedHosts: [], corsOrigins: [] })
  readonly #events: ControlEvents
  readonly #page = new LazyValue(async () => {
    const { BuiltPage, CONSOLE } = await import('../../console/built-page.ts')
    return new BuiltPage(CONSOLE, this.#options.pageDirectory)
  })
  /** Number of requests without an answer. */
  readonly #unanswered = new WeakMap<Socket, number>()
  /** Connections that end with the answer to the request that they have had. */
  readonly #ending = new WeakSet<Socket>()
  readonly unidentified = new UnidentifiedConnections(CONSOLE_UNIDENTIFIED_MAX)

  constructor(options: ConsoleOptions, token: string) {
    this.#options = options
    this.#token = token
    this.#events = new ControlEvents(options.cluster)
  }

  close(): void {
    this.#events.close()
  }

  serve(request: IncomingMessage, response: ServerResponse, sendContinue = () => {}): void {
    this.#count(request.socket, 1)
    response.on('close', () => this.#count(request.socket, -1))
    // A client that is gone needs no answer.
    response.on('error', () => {})
    // The parser drops what arrives together with such a request, and may continue within a body.
    if (request.headers.upgrade !== undefined) response.shouldKeepAlive = false
    this.#route(request, response, sendContinue).catch((error: unknown) => sendError(response, error))
  }

  #count(socket: Socket, change: 1 | -1): void {
    this.#unanswered.set(socket, (this.#unanswered.get(socket) ?? 0) + change)
  }

  async #route(request: IncomingMessage, response: ServerResponse, sendContinue: () => void): Promise<void> {
    const target = request.url ?? ''
    const path = target.split('?', 1)[0] ?? ''
    try {
      this.#admit(request, path)
    } finally {
      if (this.unidentified.has(request.socket)) this.#endAfter(request, response)
    }
    if (path === '/' || path === '/ui') {
      checkMethod(request, READS)
      send(response, 308, ['Location', '/ui/', 'Cache-Control', 'no-store'], '')
      return
    }
    if (path.startsWith('/ui/')) return this.#servePage(request, response, path.slice('/ui/'.length))
    const [, first, name = '', rest] = /^\/(control|nodes)\/([^/?]+)(\/.*)?$/.exec(target) ?? []
    if (first === undefined) throw new ApiError('route_not_found', 'there is no such route')
    if (first === 'control')
      return this.#serveControl(request, response, path.slice('/control/'.length), sendContinue)
    const node = this.#options.cluster.nodes.find((candidate) => candidate.name === name)
    if (node === undefined || rest === undefined)
      throw new ApiError('route_not_found', 'there is no such node; a target is /nodes/NAME/ and its target')
    // The node has time limits of its own, and a watch is silent for as long as it likes.
    request.socket.setTimeout(0)
    response.on('close', () => request.socket.setTimeout(IDLE_TIMEOUT_MS))
    sendContinue()
    forwardRequest(request, response, node, rest)
  }

  /** Throws `ApiError` for a client that may not have what it wants. */
  #admit(request: IncomingMessage, path: string): void {
    const { method = '', httpVersion, headers, headersDistinct, socket } = request
    const head = { method, httpVersion, headers, hosts: headersDistinct.host?.length ?? 0 }
    try {
      this.#guard.checkHost(head)
      this.#guard.checkOrigin(head, PAGES.has(path))
    } catch (error) {
      throw inWordsOfConsole(error)
    }
    if (!path.startsWith('/')) throw new ApiError('bad_request', 'the target must be a path')
    if (this.#ending.has(socket) || (this.#unanswered.get(socket) ?? 0) > REQUESTS_MAX)
      throw new ApiError('overloaded', 'the connection has too many requests without an answer')
    if (isSameToken(String(headers['quorate-control'] ?? ''), this.#token)) {
      this.unidentified.identify(socket)
      socket.setTimeout(IDLE_TIMEOUT_MS)
    } else if (!isOpen(method, path)) {
      const detail = `the console needs its token: open the address that \`${PROGRAM} cluster status\` prints`
      throw new ApiError('unauthenticated', detail)
    }
  }

  /** The connection ends with this response. */
  #endAfter(request: IncomingMessage, response: ServerResponse): void {
    this.#ending.add(request.socket)
    response.shouldKeepAlive = false
    dropBody(request, DROPPED_OF_UNIDENTIFIED)
  }

  async #servePage(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    checkMethod(request, READS)
    if (path === 'console.json') {
      const { clusterId, nodes } = this.#options.cluster
      const named = nodes.map(({ name }) => ({ name, base: `/nodes/${name}` }))
      const facts = {
        kind: 'cluster',
        version: version(),
        clusterId: clusterId ?? undefined,
        nodes: named,
      } as const
      sendJson(response, 200, ClusterConsoleDocument.encode(facts))
      return
    }
    const { 'if-none-match': ifNoneMatch, 'accept-encoding': acceptEncoding } = request.headers
    const answer = await (await this.#page.get()).find(path, {
      ifNoneMatch,
      acceptEncoding: acceptEncoding?.toString(),
    })
    if ('missing' in answer) throw new ApiError('route_not_found', answer.missing)
    send(response, answer.status, answer.headers, answer.body)
  }

  async #serveControl(
    request: IncomingMessage,
    response: ServerResponse,
    name: string,
    sendContinue: () => void,
  ): Promise<void> {
    if (name === 'state' || name === 'events') {
      checkMethod(request, ['GET'])
      if (name === 'state') sendJson(response, 200, ControlDocument.encode(this.#events.state()))
      else this.#events.add(response, request.headers['last-event-id']?.toString())
      return
    }
    if (!isControlAction(name)) throw new ApiError('route_not_found', 'there is no such route')
    checkMethod(request, CHANGES)
    const fault = await readControlRequest(name, request, sendContinue)
    const { cluster, execute } = this.#options
    if (name === 'start' && 'node' in fault) {
      const node = cluster.nodes.find((candidate) => candidate.name === fault.node)
      if (node?.pid !== undefined) return sendConflict(response, `${node.name} runs already`)
    }
    const reply = await execute(fault).catch((error: unknown) => asFailure(error))
    if (reply instanceof Error || !reply.ok) {
      if (reply.exitCode === USAGE) throw new ApiError('bad_request', reply.message)
      return sendConflict(response, reply.message)
    }
    sendJson(response, 200, {})
  }
}

const READS: readonly string[] = ['GET', 'HEAD']
const CHANGES: readonly string[] = ['POST']

/** Whether clients without the token may have it too: the page, which shows nothing of the cluster but names. */
const isOpen = (method: string, path: string): boolean =>
  READS.includes(method) && (path === '/' || path === '/ui' || path.startsWith('/ui/'))

/** The refusal of the guard, without the options of a node. */
function inWordsOfConsole(error: unknown): unknown {
  const detail = error instanceof ApiError ? DETAILS.get(error.code) : undefined
  return error instanceof ApiError && detail !== undefined ? new ApiError(error.code, detail) : error
}

const DETAILS: ReadonlyMap<string, string> = new Map([
  ['host_not_allowed', 'the console is served under addresses and localhost only'],
  ['origin_not_allowed', 'a page of another site may not send requests to the console'],
])

function checkMethod({ method = '' }: IncomingMessage, allowed: readonly string[]): void {
  if (allowed.includes(method)) return
  const names = allowed.join(', ')
  throw new HttpError('method_not_allowed', `${method} is not possible here; use ${names}`, ['Allow', names])
}
