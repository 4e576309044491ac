// A node behind a relay that has faults on demand. The node is the client port over the fake node, which has the real
// state machine: it serves both wires. Each request takes the next fault of the script, if there is one: the relay cuts
// it, holds it, is late, or answers in place of the node, as a proxy may. What arrives is kept for the test.

import { once } from 'node:events'
import {
  Agent,
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { buffer, text } from 'node:stream/consumers'
import { UNDATED_RETRY_MS } from '../../src/client/retry-policy.ts'
import { initialState, SYSTEM_PRINCIPAL } from '../../src/kv/index.ts'
import type { ReadConsistency } from '../../src/operations/forms/index.ts'
import { asRevision, type KeyRow } from '../../src/operations/forms/index.ts'
import type { Configuration, ReplicaId } from '../../src/raft/types.ts'
import { asReplicaId } from '../../src/raft/types.ts'
import type { ClientListener } from '../../src/server/listener/client-listener.ts'
import type { HttpLimits } from '../../src/server/listener/limits.ts'
import { FakeNode } from '../server/http/fake-node.ts'
import { type Started, start } from '../server/http/served.ts'
// Loaded before a test measures time.
import '../../src/server/http/routes.ts'
import '../../src/server/mux/multiplexer.ts'
import { RelayedLines } from './relayed-lines.ts'

export interface Seen {
  readonly method: string
  /** The raw request target without the `timeout` parameter. */
  readonly target: string
  readonly timeoutMs: number | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export type Fault =
  /** The connection is cut before anything is done. */
  | 'cut'
  /** The request is executed, its answer is cut. */
  | 'cut-after'
  /** Never answered. */
  | 'hang'
  /** Executed and answered late. */
  | { readonly afterMs: number }
  | CannedAnswer

/** An answer that the test defines. */
export interface CannedAnswer {
  readonly status: number
  readonly body: unknown
  readonly headers?: Record<string, string>
  /** Whether the request is executed all the same. */
  readonly do?: boolean
}

/** The way of a request and of its answer, on the wire on which it has arrived. */
export interface Exchange {
  /** Passes the request to the node, and its answer to the client. */
  pass(): void
  /** Passes the request to the node. Resolves when the node has answered it; the answer is dropped. */
  execute(): Promise<void>
  answer(canned: CannedAnswer): void
  cut(): void
}

export interface Member {
  readonly name: string
  /** A voter unless given. */
  readonly role?: string
  readonly url: string
}

interface Row {
  readonly value: Buffer
  readonly create: number
  readonly mod: number
  readonly version: number
}

interface Starting {
  readonly name?: string
  readonly port?: number
  readonly peer?: RelayedNode
}

const DISCOVERY = '/v1/cluster'
const SESSIONS = '/v1/sessions'

export class RelayedNode {
  /** All requests except those that open a session. */
  readonly seen: Seen[] = []
  readonly faults: Fault[] = []
  /** Called for every request; may return a fault. `faults` come first. */
  fault: (seen: Seen) => Fault | undefined = () => undefined
  /** The node behind the relay. */
  readonly kv: FakeNode
  /** Limits of its client port. They hold from its first request on. */
  limits: Partial<HttpLimits> = {}
  /** The limits of a session, as an answer names them; undefined: it opens none. */
  sessions: { readonly ageMs: number; readonly slots: number } | undefined
  sessionsAsked = 0
  /** Lines of a stream, after which it breaks. Its continuation breaks at once. */
  streamBreaksAfter = Number.POSITIVE_INFINITY
  /** How it breaks: in order, as if it was complete, or by losing the connection. */
  streamEndsWell = false
  /** undefined: it takes no multiplexed connections. */
  lines: RelayedLines | undefined
  readonly #server = createServer(
    { maxHeaderSize: 256 * 1024 },
    (incoming, response) => void this.#serve(incoming, response),
  )
  readonly #sockets = new Set<Socket>()
  /** The client ports of the node, by the cluster that it says it belongs to. */
  readonly #ports = new Map<string, Promise<Started>>()
  readonly #listeners = new Set<ClientListener>()
  readonly #agent = new Agent({ keepAlive: true })
  /** Requests that are still executed. */
  readonly #executing = new Set<Promise<unknown>>()
  /** When a change under a token without a revision arrived last, at any node of the cluster. */
  readonly #undated: { at: number }

  private constructor(kv: FakeNode, undated = { at: Number.NEGATIVE_INFINITY }) {
    this.kv = kv
    this.#undated = undated
  }

  /** Starts another node in the cluster of `peer`, or the first of a new cluster. */
  static async start({ name = 'n1', port = 0, peer }: Starting = {}): Promise<RelayedNode> {
    const kv = peer === undefined ? new FakeNode() : peer.kv.createPeer(name)
    const node = new RelayedNode(kv, peer === undefined ? undefined : peer.#undated)
    if (peer === undefined) Object.assign(kv, { name, clusterId: '77', leaderName: 'n1' })
    kv.role = name === 'n1' ? 'leader' : 'follower'
    node.#server.on('connection', (socket) => {
      node.#sockets.add(socket)
      socket.on('close', () => node.#sockets.delete(socket))
    })
    await new Promise<void>((resolve) => node.#server.listen(port, '127.0.0.1', resolve))
    node.members = [{ name: 'n1', url: node.url }]
    return node
  }

  /** From now on it takes multiplexed connections. */
  multiplex(): RelayedLines {
    const lines = new RelayedLines(this)
    this.lines = lines
    this.#server.on('upgrade', (request, socket, head) => lines.upgrade(request, socket, head))
    return lines
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Connections of clients. */
  get connections(): number {
    return this.#sockets.size
  }

  /** All its sockets in use: those of clients, and those between relay and node. */
  get sockets(): number {
    const inside = [...this.#listeners].map((listener) => listener.inspect().connections)
    const outside = this.lines?.open.length ?? 0
    return inside.reduce((sum, count) => sum + count, this.connections + outside)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // The node

  get name(): string {
    return this.kv.name
  }

  /** The cluster that the node says it belongs to. */
  get clusterId(): string {
    return this.kv.clusterId
  }

  set clusterId(id: string) {
    this.kv.clusterId = id
  }

  get leader(): string | undefined {
    return this.kv.leaderName
  }

  set leader(name: string | undefined) {
    this.kv.leaderName = name
  }

  get members(): readonly Member[] {
    return this.kv.configuration.members
  }

  set members(members: readonly Member[]) {
    this.kv.configuration = configurationOf(members)
  }

  /** Its reads are stale by as much. */
  set stalenessMs(stalenessMs: number) {
    const served: ReadConsistency = 'stale'
    Object.assign(this.kv, { served, stalenessMs })
  }

  get revision(): number {
    return this.kv.revision
  }

  set revision(revision: number) {
    this.kv.state = { ...this.kv.state, revision: asRevision(revision) }
  }

  /** Each key with its row. Keys are latin1 text: one character per byte. */
  get rows(): ReadonlyMap<string, Row> {
    return new Map(this.kv.records().map((record) => [latin1(record.key), rowOf(record)]))
  }

  /** Keys and values as text. */
  get contents(): Record<string, string> {
    return Object.fromEntries([...this.rows].map(([key, row]) => [key, row.value.toString()]))
  }

  /** Writes a key, whose name is latin1 text. */
  set(key: string, value: string | Buffer): void {
    this.kv.put(Buffer.from(key, 'latin1'), value)
  }

  delete(key: string): void {
    this.kv.apply({ kind: 'delete', key: Buffer.from(key, 'latin1'), condition: undefined, prev: false })
  }

  clear(): void {
    for (const key of this.rows.keys()) this.delete(key)
  }

  /** Cluster time passes until outcomes are forgotten, but not that of a token that is still retried without a date. */
  forgetOutcomes(): void {
    if (performance.now() - this.#undated.at <= UNDATED_RETRY_MS) return
    this.#passTime()
  }

  /** Cluster time passes until all sessions are forgotten. */
  forgetSessions(): void {
    this.#passTime()
    const isForgotten = () => this.kv.state.clientSessions.horizon === this.kv.state.clientSessions.next
    // An entry forgets some of them.
    for (let entries = 0; !isForgotten(); entries++) {
      if (entries > 1_000) throw new Error('sessions are not forgotten')
      this.kv.applyAs(SYSTEM_PRINCIPAL, { kind: 'renew', ids: [] })
    }
  }

  #passTime(): void {
    this.kv.clusterTimeMs += this.kv.state.settings.idempotencyAgeMsMax + 1
    this.kv.applyAs(SYSTEM_PRINCIPAL, { kind: 'renew', ids: [] })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // The relay

  /** Requests to the store: all except those of discovery. */
  get asked(): Seen[] {
    return this.seen.filter((seen) => seen.target !== DISCOVERY)
  }

  /** Resolves when nothing is left to execute. */
  async quiet(): Promise<void> {
    while (this.#executing.size > 0) await Promise.all(this.#executing)
  }

  /** Begins anew: the store of its cluster is empty, and nothing is left of faults. Its port stays open. */
  reset(): void {
    this.kv.clear(initialState())
    this.kv.clusterTimeMs = 0
    this.clusterId = '77'
    this.faults.length = 0
    this.fault = () => undefined
    this.seen.length = 0
    this.#undated.at = Number.NEGATIVE_INFINITY
    this.lines?.reset()
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
    this.#agent.destroy()
    for (const port of this.#ports.values()) await (await port).close()
  }

  /** The number of the node's own port, which opens when it is first needed. */
  async openPort(): Promise<number> {
    const { clusterId, limits } = this
    const opening = this.#ports.get(clusterId) ?? start({ node: this.kv, limits })
    this.#ports.set(clusterId, opening)
    const { port, http } = await opening
    this.#listeners.add(http)
    return port
  }

  /** Keeps `quiet` waiting until the node has executed it. A node that is closed executes nothing more. */
  track(execution: Promise<unknown>): void {
    const done = (): void => void this.#executing.delete(tracked)
    const tracked: Promise<void> = execution.then(done, done)
    this.#executing.add(tracked)
  }

  /** A request has arrived on either wire: it meets the next fault. */
  receive(seen: Seen, exchange: Exchange): void {
    this.seen.push(seen)
    const token = seen.headers['idempotency-key']
    if (typeof token === 'string' && !token.includes(';since=')) this.#undated.at = performance.now()
    const scripted = seen.target === DISCOVERY ? undefined : this.faults.shift()
    const fault = scripted ?? this.fault(seen)
    if (fault === undefined) exchange.pass()
    else if (fault === 'cut') exchange.cut()
    else if (fault === 'cut-after') this.track(exchange.execute().then(() => exchange.cut()))
    else if (typeof fault === 'object') {
      if ('afterMs' in fault) this.track(passesMs(fault.afterMs).then(() => exchange.pass()))
      else if (fault.do === true) this.track(exchange.execute().then(() => exchange.answer(fault)))
      else exchange.answer(fault)
    }
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(incoming).catch(() => undefined)
    if (body === undefined) return
    const { method = '', url = '', headers } = incoming
    const timeout = /[?&]timeout=([0-9]+)ms/.exec(url)
    const timeoutMs = timeout === null ? undefined : Number(timeout[1])
    const target = url.replace(/[?&]timeout=[0-9]+ms/, '')
    const exchange = this.#exchange(incoming, body, response)
    if (target === SESSIONS) this.#openSession(incoming, body, response)
    else this.receive({ method, target, timeoutMs, headers, body }, exchange)
  }

  #exchange(incoming: IncomingMessage, body: Buffer, response: ServerResponse): Exchange {
    return {
      pass: () => {
        const passed = this.#forward(incoming, body)
        this.track(passed.then((answer) => this.#relay(answer, incoming.url ?? '', response)))
      },
      execute: () => this.#forward(incoming, body).then(drained),
      answer: (canned) => this.#answer(canned, response),
      cut: () => void incoming.socket.destroy(),
    }
  }

  async #forward(incoming: IncomingMessage, body: Buffer): Promise<IncomingMessage> {
    const port = await this.openPort()
    const { method, url } = incoming
    const headers = { ...incoming.headers, host: `127.0.0.1:${port}` }
    const outgoing = request({ host: '127.0.0.1', port, method, path: url, headers, agent: this.#agent })
    outgoing.end(body)
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
    return answer
  }

  async #relay(answer: IncomingMessage, url: string, response: ServerResponse): Promise<void> {
    if (response.destroyed) {
      answer.destroy()
      return
    }
    response.on('close', () => answer.destroy())
    answer.on('error', () => response.destroy())
    response.writeHead(answer.statusCode ?? 500, answer.headers)
    const isStream = answer.headers['content-type'] === 'application/x-ndjson'
    if (!isStream || this.streamBreaksAfter === Number.POSITIVE_INFINITY) {
      answer.pipe(response)
      return
    }
    const lines = (await text(answer)).split(/(?<=\n)/)
    const kept = lines.slice(0, url.includes('after=') ? 0 : this.streamBreaksAfter).join('')
    if (kept.length === lines.join('').length || this.streamEndsWell) response.end(kept)
    else response.write(kept, () => response.destroy())
  }

  #answer({ status, body, headers }: CannedAnswer, response: ServerResponse): void {
    const isText = typeof body === 'string'
    const type = isText ? 'text/html' : 'application/problem+json'
    response.writeHead(status, { 'content-type': type, ...this.#ownHeaders(), ...headers })
    response.end(isText ? body : JSON.stringify(body))
  }

  /** The headers of each answer of the node. */
  #ownHeaders(): Record<string, string> {
    const { clusterId, name, term, leaderName, revision } = this.kv
    return {
      'kv-cluster': clusterId,
      'kv-node': name,
      'kv-term': String(term),
      'kv-revision': String(revision),
      ...(leaderName === undefined ? {} : { 'kv-leader': leaderName }),
    }
  }

  #openSession(incoming: IncomingMessage, body: Buffer, response: ServerResponse): void {
    this.sessionsAsked += 1
    const { sessions } = this
    if (sessions === undefined) {
      this.#answer(problem(404, 'not_found', 'no sessions here'), response)
      return
    }
    const opened = this.#forward(incoming, body).then(async (answer) => {
      const said = JSON.parse(await text(answer)) as object
      const session = { ...said, age_ms: sessions.ageMs, slots: sessions.slots }
      this.#answer({ status: 200, body: session }, response)
    })
    this.track(opened)
  }
}

const passesMs = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const drained = async (answer: IncomingMessage): Promise<void> => void (await buffer(answer))

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

const rowOf = ({ value, createRevision, modRevision, version }: KeyRow): Row => ({
  value: Buffer.from(value),
  create: createRevision,
  mod: modRevision,
  version,
})

function configurationOf(members: readonly Member[]): Configuration {
  const known = members.map(({ name, url }, at) => ({
    ...{ id: asReplicaId(String(at + 1)), name, peer: '127.0.0.1:1', url },
  }))
  const isLearner = members.map(({ role }) => role === 'learner')
  const [voters, learners] = [false, true].map((wanted) =>
    known.filter((_, at) => isLearner[at] === wanted).map(({ id }) => id),
  ) as [ReplicaId[], ReplicaId[]]
  return {
    ...{ members: known, voters, votersOutgoing: [], learners, learnersNext: [] },
    ...{ demoted: [], removed: [] },
  }
}

export const memberJson = (name: string, url: string) => ({
  ...{ name, replica_id: '1', role: 'voter', peer: '127.0.0.1:1', url },
})

export function problem(
  status: number,
  code: string,
  detail: string,
  more: Record<string, unknown> = {},
): { status: number; body: unknown } {
  return { status, body: { type: 'about:blank', title: code, status, code, detail, ...more } }
}
