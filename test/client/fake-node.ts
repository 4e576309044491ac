// A node as the client sees it: the HTTP API over a Map, with faults on demand. Each request takes the next fault of
// the script, if there is one. What the node saw is kept for the test.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { UNDATED_RETRY_MS } from '../../src/client/retry-policy.ts'
import { FakeLines } from './fake-lines.ts'

export interface Seen {
  readonly method: string
  /** The raw request target without the `timeout` parameter. */
  readonly target: string
  readonly timeoutMs: number | undefined
  readonly headers: IncomingMessage['headers']
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
  /** An answer that the test defines. */
  | {
      readonly status: number
      readonly body: unknown
      readonly headers?: Record<string, string>
      readonly do?: boolean
    }

interface OwnAnswer {
  readonly status: number
  readonly body: unknown
  readonly headers?: Record<string, string>
  /** Whether the request is executed all the same. */
  readonly do?: boolean
}

interface Reply {
  readonly status: number
  readonly body?: unknown
  /** NDJSON instead of a body. */
  readonly lines?: readonly unknown[]
}

interface Row {
  readonly value: Buffer
  readonly create: number
  readonly mod: number
  readonly version: number
}

/** The data that the nodes of one cluster share. */
interface Store {
  readonly rows: Map<string, Row>
  readonly outcomes: Map<string, Reply>
  /** When the tokens without a revision first arrived. */
  readonly undated: Map<string, number>
  revision: number
  /** Highest revision of an outcome that was forgotten. */
  horizon: number
  /** The newest session, and the newest that is forgotten. */
  session: number
  forgottenTo: number
  /** The last request of each slot. */
  readonly slots: Map<string, { readonly seq: number; readonly outcome: Reply }>
}

const emptyStore = (): Store => ({
  ...{ rows: new Map(), outcomes: new Map(), undated: new Map(), revision: 1, horizon: 0 },
  ...{ session: 0, forgottenTo: 0, slots: new Map() },
})

export class FakeNode {
  /** All requests except those that open a session. */
  readonly seen: Seen[] = []
  readonly faults: Fault[] = []
  /** Called for every request; may return a fault. `faults` come first. */
  fault: (seen: Seen) => Fault | undefined = () => undefined
  readonly store: Store
  name = 'n1'
  clusterId = '77'
  leader: string | undefined = 'n1'
  appliedIndex = 40
  certificates: readonly unknown[] = []
  errors: readonly string[] = []
  /** undefined: it opens none. */
  sessions: { readonly ageMs: number; readonly slots: number } | undefined
  sessionsAsked = 0
  /** Whether it has `POST /v1/changes`. */
  knowsBatches = true
  /** Whether it has `POST /v1/txn`, of which it knows puts, deletes and gets of keys in `success`. */
  knowsTransactions = true
  members: unknown[] = []
  settings: Record<string, unknown> = {
    key_bytes_max: 4096,
    value_bytes_max: 1_048_576,
    leases: { on: false, duration_ms: 500 },
  }
  pageMax = 1_000
  streamBreaksAfter = Number.POSITIVE_INFINITY
  /** How it breaks: in order, as if it was complete, or by losing the connection. */
  streamEndsWell = false
  staleness: string | undefined
  readonly #server = createServer(
    { maxHeaderSize: 256 * 1024 },
    (request, response) => void this.#serve(request, response),
  )
  readonly #sockets = new Set<Socket>()
  /** undefined: the node does not know multiplexed connections. */
  lines: FakeLines | undefined
  /** Requests that are executed later. */
  readonly #late = new Set<Promise<void>>()

  private constructor(store: Store) {
    this.store = store
  }

  /** From now on it takes multiplexed connections. */
  multiplex(): FakeLines {
    const lines = new FakeLines(this)
    this.lines = lines
    this.#server.on('upgrade', (request, socket, head) => lines.upgrade(request, socket, head))
    return lines
  }

  /** Starts another node in the cluster of `peer`, or the first of a new cluster. */
  static async start(port = 0, peer?: FakeNode): Promise<FakeNode> {
    const node = new FakeNode(peer?.store ?? emptyStore())
    node.#server.on('connection', (socket) => {
      node.#sockets.add(socket)
      socket.on('close', () => node.#sockets.delete(socket))
    })
    await new Promise<void>((resolve) => node.#server.listen(port, '127.0.0.1', resolve))
    node.members = [memberJson('n1', node.url)]
    return node
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get connections(): number {
    return this.#sockets.size
  }

  get rows(): Map<string, Row> {
    return this.store.rows
  }

  get revision(): number {
    return this.store.revision
  }

  set revision(revision: number) {
    this.store.revision = revision
  }

  /** Keys and values as text. */
  get contents(): Record<string, string> {
    return Object.fromEntries([...this.rows].map(([key, row]) => [key, row.value.toString()]))
  }

  set(key: string, value: string | Buffer): void {
    const old = this.rows.get(key)
    this.revision += 1
    this.rows.set(key, {
      value: Buffer.from(value),
      create: old?.create ?? this.revision,
      mod: this.revision,
      version: (old?.version ?? 0) + 1,
    })
  }

  /** Requests to the store: all except those of discovery. */
  get asked(): Seen[] {
    return this.seen.filter((seen) => seen.target !== '/v1/cluster')
  }

  /** Resolves when no request is left to execute later. */
  async quiet(): Promise<void> {
    await Promise.all(this.#late)
  }

  /** Forgets outcomes, except those of tokens without a revision that are still retried: no node is so quick. */
  forgetOutcomes(): void {
    this.store.horizon = this.revision
    const { outcomes, undated } = this.store
    for (const name of outcomes.keys()) {
      const at = undated.get(name) ?? Number.NEGATIVE_INFINITY
      if (performance.now() - at > UNDATED_RETRY_MS) outcomes.delete(name)
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer)
    } catch {
      return
    }
    const raw = request.url ?? ''
    const timeout = /[?&]timeout=([0-9]+)ms/.exec(raw)
    const seen: Seen = {
      method: request.method ?? '',
      target: raw.replace(/[?&]timeout=[0-9]+ms/, ''),
      timeoutMs: timeout === null ? undefined : Number(timeout[1]),
      headers: request.headers,
      body: Buffer.concat(chunks),
    }
    if (seen.target === '/v1/sessions') {
      this.#respond(seen, this.#openSession(), response)
      return
    }
    this.seen.push(seen)
    const discovery = seen.target === '/v1/cluster'
    const fault = (discovery ? undefined : this.faults.shift()) ?? this.fault(seen)
    this.#withFault(
      seen,
      fault,
      (instead) => this.#respond(seen, instead, response),
      () => void request.socket.destroy(),
    )
  }

  #openSession(): OwnAnswer {
    this.sessionsAsked += 1
    const { sessions } = this
    if (sessions === undefined) return problem(404, 'not_found', 'no sessions here')
    this.store.session += 1
    return {
      status: 200,
      body: { session: this.store.session, age_ms: sessions.ageMs, slots: sessions.slots },
    }
  }

  /** The body of an answer with members. */
  clusterBody(members = this.members): object {
    const { clusterId, leader = null } = this
    return { cluster_id: clusterId, leader, term: 3, joint: false, members }
  }

  /** An operation of a multiplexed connection. */
  serve(
    seen: Seen,
    reply: (answer: { status: number; body: unknown; revision: number }) => void,
    cut: () => void,
  ): void {
    this.seen.push(seen)
    const respond = (fault: OwnAnswer | undefined) => {
      const answer = fault === undefined || fault.do === true ? this.#answer(seen) : undefined
      const { status, body } = fault ?? answer ?? { status: 500, body: {} }
      reply({ status, body, revision: this.revision })
    }
    this.#withFault(seen, this.faults.shift() ?? this.fault(seen), respond, cut)
  }

  #withFault(
    seen: Seen,
    fault: Fault | undefined,
    respond: (instead: OwnAnswer | undefined) => void,
    cut: () => void,
  ): void {
    if (fault === 'hang') return
    if (fault === 'cut') {
      cut()
      return
    }
    if (typeof fault === 'object' && 'afterMs' in fault) {
      const { afterMs } = fault
      const late = new Promise<void>((resolve) => setTimeout(resolve, afterMs))
      const done = late.then(() => {
        this.#late.delete(done)
        respond(undefined)
      })
      this.#late.add(done)
      return
    }
    if (fault === 'cut-after') {
      this.#answer(seen)
      cut()
      return
    }
    respond(fault)
  }

  #respond(seen: Seen, fault: OwnAnswer | undefined, response: ServerResponse): void {
    const answer = fault === undefined || fault.do === true ? this.#answer(seen) : undefined
    const headers: Record<string, string> = {
      'kv-cluster': this.clusterId,
      'kv-node': this.name,
      'kv-term': '3',
      'kv-revision': String(this.revision),
      ...(this.leader === undefined ? {} : { 'kv-leader': this.leader }),
      ...(this.staleness === undefined
        ? {}
        : { 'kv-consistency': 'stale', 'kv-staleness-ms': this.staleness }),
      ...(fault === undefined ? {} : fault.headers),
    }
    if (fault !== undefined) {
      const text = typeof fault.body === 'string'
      const type = text ? 'text/html' : 'application/problem+json'
      response.writeHead(fault.status, { 'content-type': type, ...headers })
      response.end(text ? fault.body : JSON.stringify(fault.body))
      return
    }
    if (answer === undefined) return
    if (answer.lines !== undefined) {
      response.writeHead(200, { 'content-type': 'application/x-ndjson', ...headers })
      // A stream that would be continued breaks at once.
      const isContinued = Number.isFinite(this.streamBreaksAfter) && seen.target.includes('after=')
      const lines = answer.lines.slice(0, isContinued ? 0 : this.streamBreaksAfter)
      const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('')
      if (lines.length === answer.lines.length || this.streamEndsWell) response.end(text)
      else response.write(text, () => response.destroy())
      return
    }
    const body = JSON.stringify(answer.body)
    const length = { 'content-length': String(Buffer.byteLength(body)) }
    response.writeHead(answer.status, { 'content-type': 'application/json', ...length, ...headers })
    response.end(body)
  }

  #answer(seen: Seen): Reply {
    const cluster = seen.headers['kv-cluster']
    if (cluster !== undefined && cluster !== this.clusterId)
      return problem(421, 'wrong_cluster', 'another cluster')
    const token = seen.headers['idempotency-key']
    if (typeof token === 'string') {
      const [name = '', since] = token.split(';since=')
      const known = this.store.outcomes.get(name)
      if (known === undefined && since !== undefined && Number(since) < this.store.horizon)
        return problem(409, 'idempotency_expired', 'outcomes of that time are forgotten')
      if (known === undefined && since === undefined) this.store.undated.set(name, performance.now())
      const outcome = known ?? this.#route(seen)
      this.store.outcomes.set(name, outcome)
      return outcome
    }
    const slot = /^([0-9]+);slot=([0-9]+);seq=([0-9]+)$/.exec(String(seen.headers['kv-session']))
    return slot === null ? this.#route(seen) : this.#underSlot(seen, slot.slice(1).map(Number))
  }

  #underSlot(seen: Seen, [session = 0, slot = 0, seq = 0]: readonly number[]): Reply {
    const expired = problem(409, 'idempotency_expired', 'forgotten')
    if (session <= this.store.forgottenTo || session > this.store.session) return expired
    const known = this.store.slots.get(`${session}/${slot}`)
    if (known !== undefined && seq < known.seq) return expired
    if (known?.seq === seq) return known.outcome
    const outcome = this.#route(seen)
    this.store.slots.set(`${session}/${slot}`, { seq, outcome })
    return outcome
  }

  #route(seen: Seen): Reply {
    const [path = '', search = ''] = seen.target.split('?')
    const query = new Map(
      search
        .split('&')
        .filter((pair) => pair !== '')
        .map((pair) => [pair.split('=')[0] ?? '', latin1(pair.split('=')[1] ?? '')]),
    )
    if (path === '/v1/cluster') return { status: 200, body: this.clusterBody() }
    if (path === '/v1/status') return { status: 200, body: this.#status() }
    if (path === '/v1/cluster/settings') return this.#settings(seen)
    if (path === '/v1/cluster/leader') {
      const { to } = JSON.parse(seen.body.toString()) as { to?: string }
      this.leader = to ?? 'n2'
      return { status: 200, body: { leader: this.leader } }
    }
    if (path.startsWith('/v1/cluster/members')) return { status: 200, body: this.clusterBody() }
    const key = path.startsWith('/v1/kv/') ? latin1(path.slice('/v1/kv/'.length)) : query.get('key')
    if (key !== undefined) return this.#one(seen, key)
    if (path === '/v1/kv') return this.#range(seen, query)
    if (path === '/v1/changes' && this.knowsBatches) return this.#changes(seen)
    if (path === '/v1/txn' && this.knowsTransactions) return this.#txn(seen)
    return problem(404, 'not_found', 'no such route')
  }

  #one(seen: Seen, key: string): { status: number; body: unknown } {
    const row = this.rows.get(key)
    if (seen.method === 'GET' || seen.method === 'HEAD') {
      return row === undefined
        ? problem(404, 'not_found', 'there is no such key')
        : { status: 200, body: recordJson(key, row, true) }
    }
    const ifMatch = seen.headers['if-match']
    const holds =
      (ifMatch === undefined || ifMatch === `"${row?.mod}"`) &&
      (seen.headers['if-none-match'] === undefined || row === undefined)
    if (!holds) {
      const current = row === undefined ? null : recordJson(key, row, false)
      return problem(412, 'precondition_failed', 'the condition does not hold', { current })
    }
    if (seen.method === 'DELETE') {
      if (row !== undefined) this.revision += 1
      const deleted = this.rows.delete(key) ? 1 : 0
      return { status: 200, body: { deleted, revision: this.revision } }
    }
    if (seen.body.length > 1_048_576)
      return problem(413, 'value_too_large', 'a value has at most 1048576 bytes')
    this.set(key, seen.body)
    const { create, mod, version } = this.rows.get(key) ?? { create: 0, mod: 0, version: 0 }
    return {
      status: 200,
      body: { revision: this.revision, create_revision: create, mod_revision: mod, version },
    }
  }

  /** One after the other, each as if it was asked for by itself. */
  #changes(seen: Seen): Reply {
    const { changes } = JSON.parse(seen.body.toString()) as { changes: ChangeJson[] }
    const results = changes.map(({ put, delete: removed }) => {
      const { key, value, if_match, if_none_match } = put ?? removed ?? { key: '' }
      const headers = {
        ...(if_match === undefined ? {} : { 'if-match': `"${if_match[0]}"` }),
        ...(if_none_match === undefined ? {} : { 'if-none-match': if_none_match }),
      }
      const [method, body] = put === undefined ? ['DELETE', Buffer.alloc(0)] : ['PUT', bytesFromJson(value)]
      const one = this.#one({ ...seen, method, headers, body }, bytesFromJson(key).toString('latin1'))
      if (one.status !== 200) return { problem: { ...(one.body as object), written: 'no' } }
      return put === undefined ? { delete: one.body } : { put: one.body }
    })
    return { status: 200, body: { revision: this.revision, results } }
  }

  #range(seen: Seen, query: Map<string, string>): Reply {
    const prefix = query.get('prefix') ?? ''
    const after = query.get('after')
    const withValues = query.get('keys_only') !== 'true'
    const start = query.get('start') ?? ''
    const all = [...this.rows.keys()].filter((key) => key.startsWith(prefix) && key >= start).sort()
    if (query.get('count_only') === 'true') {
      return { status: 200, body: { kvs: [], more: false, count: all.length, revision: this.revision } }
    }
    const records = (keys: string[]) =>
      keys.flatMap((key) => {
        const row = this.rows.get(key)
        return row === undefined ? [] : [recordJson(key, row, withValues)]
      })
    const rest = all.filter((key) => after === undefined || key > after)
    if (seen.headers.accept === 'application/x-ndjson') {
      return {
        status: 200,
        lines: [...records(rest), { end: true, count: rest.length, revision: this.revision }],
      }
    }
    const page = rest.slice(0, Math.min(this.pageMax, Number(query.get('limit') ?? 1_000)))
    const more = page.length < rest.length
    const body = { kvs: records(page), more, revision: this.revision }
    return { status: 200, body: more ? { ...body, next: bytesJson(page.at(-1) ?? '') } : body }
  }

  #txn(seen: Seen): Reply {
    const { success = [] } = JSON.parse(seen.body.toString()) as { success?: TxnOperationJson[] }
    const results = success.map((operation) => {
      const [kind = '', fields] = Object.entries(operation)[0] ?? []
      const key = bytesFromJson(fields?.key).toString('latin1')
      if (kind === 'get') {
        const row = this.rows.get(key)
        const kvs = row === undefined ? [] : [recordJson(key, row, true)]
        return { get: { kvs, more: false, count: kvs.length } }
      }
      const [method, body] =
        kind === 'put' ? ['PUT', bytesFromJson(fields?.value)] : ['DELETE', Buffer.alloc(0)]
      return { [kind]: this.#one({ ...seen, method, headers: {}, body }, key).body }
    })
    return { status: 200, body: { succeeded: true, revision: this.revision, results } }
  }

  #settings(seen: Seen): { status: number; body: unknown } {
    if (seen.method === 'POST') {
      this.settings = { ...this.settings, ...(JSON.parse(seen.body.toString()) as Record<string, unknown>) }
    }
    return { status: 200, body: this.settings }
  }

  #status(): unknown {
    return {
      name: this.name,
      version: '0.1.0',
      cluster_id: this.clusterId,
      replica_id: '1',
      role: this.leader === this.name ? 'leader' : 'follower',
      leader: this.leader ?? null,
      term: 3,
      commit_index: 40,
      applied_index: this.appliedIndex,
      log_first_index: 1,
      revision: this.revision,
      cluster_version: 1,
      state_hash: '00c0ffee00c0ffee',
      members: this.members,
      disk_free_bytes: 60_000_000_000,
      disk_total_bytes: 100_000_000_000,
      certificates: this.certificates,
      last_backup_age_ms: null,
      errors: this.errors,
    }
  }
}

type TxnOperationJson = Record<string, { key?: BytesJson; value?: BytesJson }>

interface ChangeJson {
  readonly put?: KeyJson
  readonly delete?: KeyJson
}

interface KeyJson {
  readonly key: BytesJson
  readonly value?: BytesJson
  readonly if_match?: readonly number[]
  readonly if_none_match?: string
}

type BytesJson = string | { readonly base64: string }

const bytesFromJson = (json: BytesJson = ''): Buffer =>
  typeof json === 'string' ? Buffer.from(json) : Buffer.from(json.base64, 'base64')

export function memberJson(name: string, url: string): unknown {
  return { name, replica_id: '1', role: 'voter', peer: '127.0.0.1:1', url }
}

export function problem(
  status: number,
  code: string,
  detail: string,
  more: Record<string, unknown> = {},
): { status: number; body: unknown } {
  return { status, body: { type: 'about:blank', title: code, status, code, detail, ...more } }
}

// Keys are kept as latin1 text: one character per byte.
const latin1 = (encoded: string): string =>
  encoded.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

function bytesJson(value: string | Buffer): unknown {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'latin1') : value
  const text = bytes.toString()
  return Buffer.from(text).equals(bytes) ? text : { base64: bytes.toString('base64') }
}

function recordJson(key: string, row: Row, withValue: boolean): unknown {
  const meta = { create_revision: row.create, mod_revision: row.mod, version: row.version }
  return withValue
    ? { key: bytesJson(key), value: bytesJson(row.value), ...meta }
    : { key: bytesJson(key), ...meta }
}
