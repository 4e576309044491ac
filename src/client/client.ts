// The public API of the client.

import { randomBytes } from 'node:crypto'
import { types } from 'node:util'
import { bytesOf, keyBytes, keyPath, type QueryValue, withQuery } from './address.ts'
import {
  checkCall,
  checkClient,
  checkCount,
  checkDelete,
  checkGet,
  checkList,
  checkMember,
  checkName,
  checkNodeCall,
  checkPut,
  checkSettings,
} from './arguments.ts'
import { type Call, type CallContext, leastMs, perform } from './call.ts'
import {
  answerInfo,
  arrayIn,
  decoded,
  disagree,
  headerText,
  headerWholeNumber,
  isObject,
  isOfNode,
  memberFromJson,
  recordFromJson,
  stringIn,
  wholeNumberIn,
} from './decode.ts'
import { type Endpoint, Endpoints } from './endpoints.ts'
import { AbortedError, QuorateError, UnavailableError, type Written } from './errors.ts'
import { type Answer, Transport } from './exchange.ts'
import { Hedges } from './hedges.ts'
import { type Interruption, pages, rangePath, streamed } from './list.ts'
import { QUESTION, Questions } from './questions.ts'
import { Turns } from './turns.ts'
import type {
  CallOptions,
  ClientOptions,
  ClusterInfo,
  DeleteOptions,
  DeleteResult,
  KvRecord,
  ListOptions,
  Member,
  NewMember,
  NodeCallOptions,
  NodeStatus,
  PutOptions,
  PutResult,
  RangeOptions,
  ReadOptions,
  Settings,
} from './types.ts'
import type { CallKind } from './verdict.ts'

const TIMEOUT_MS = 5_000
/**
 * How many calls may be under way at a time. Far fewer keep three nodes busy.
 *
 * @internal
 */
export const CALLS_MAX = 256
/** The revision of an empty store. A node that is joining and has no data yet answers 0. */
const FIRST_REVISION = 1
/** The shortest time between two reads of the member list: while all is well, and after a failure. */
const DISCOVER_AGAIN_MS = 30_000
const DISCOVER_AFTER_FAILURE_MS = 1_000
const DISCOVER_TIMEOUT_MS = 2_000

type Json = Readonly<Record<string, unknown>>

interface Request {
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** Return an answer of 200 when it begins, before its body is read. */
  readonly stream?: boolean
  /** Used instead of the endpoints that the client knows. */
  readonly endpoints?: Endpoints
}

/**
 * For tests: see `Client[inspect]`.
 *
 * @internal
 */
export const inspect = Symbol('inspect')

/**
 * A client of one cluster. It keeps connections open between calls. They keep no process alive, and `close()` ends them
 * at once.
 */
export class Client {
  readonly #endpoints: Endpoints
  readonly #transport = new Transport()
  readonly #questions = new Questions(this.#transport)
  readonly #turns: Turns
  readonly #hedges: Hedges
  readonly #callsMax: number
  readonly #timeoutMs: number
  readonly #unreachableAfterMs: number | undefined
  readonly #discover: boolean
  readonly #warn: (message: string) => void
  /** Endpoints of other clusters for which a warning was given. */
  readonly #foreign = new Set<string>()
  readonly #onClose = new Set<() => void>()
  /** Identifies this client in its idempotency keys: 128 random bits, so that no two clients share one. */
  readonly #tokenPrefix = randomBytes(16).toString('base64url')
  #tokens = 0
  /** The cluster id of the first node that answered. */
  #clusterId: string | undefined
  #revision: number | undefined
  #discoverAt = 0
  #closed = false

  constructor(options: ClientOptions) {
    checkClient(options)
    this.#endpoints = new Endpoints(options.endpoints)
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS
    this.#callsMax = options.callsMax ?? CALLS_MAX
    this.#turns = new Turns(this.#callsMax)
    this.#hedges = new Hedges(this.#callsMax)
    this.#unreachableAfterMs = options.unreachableAfterMs
    this.#discover = options.discover ?? true
    this.#warn = options.onWarning ?? ((message) => process.emitWarning(message, 'QuorateWarning'))
  }

  /** Base URLs of the nodes that the client may ask: those given and those learned. */
  get endpoints(): readonly string[] {
    return this.#endpoints.all.map((endpoint) => endpoint.url)
  }

  /** The highest revision seen in an answer. Later reads are at least as new. 0 before the first answer. */
  get revision(): number {
    return this.#revision ?? 0
  }

  /** Sets a key. Applied at most once, even if it was sent several times. */
  async put(
    key: string | Uint8Array,
    value: string | Uint8Array,
    options: PutOptions = {},
  ): Promise<PutResult> {
    checkPut(key, value, options)
    const conditions: Record<string, string> = {}
    if (options.ifRevision !== undefined) conditions['If-Match'] = `"${options.ifRevision}"`
    if (options.ifAbsent === true) conditions['If-None-Match'] = '*'
    const request = { method: 'PUT', path: keyPath(nonEmpty(key)), headers: conditions, body: copyOf(value) }
    const answer = await this.#call('keyed', request, options)
    return decoded(answer, 'unknown', (json) => ({
      revision: wholeNumberIn(json, 'revision'),
      createRevision: wholeNumberIn(json, 'create_revision'),
      modRevision: wholeNumberIn(json, 'mod_revision'),
      version: wholeNumberIn(json, 'version'),
    }))
  }

  /** The record of a key; undefined when the key does not exist. */
  async get(key: string | Uint8Array, options: ReadOptions = {}): Promise<KvRecord | undefined> {
    checkGet(key, options)
    const bytes = copyOf(nonEmpty(key))
    try {
      const answer = await this.#read(keyPath(bytes), options)
      return decoded(answer, 'no', (json) => {
        const record = recordFromJson(json)
        return Buffer.compare(record.keyBytes, bytes) === 0
          ? record
          : disagree('it is the record of another key')
      })
    } catch (error) {
      if (error instanceof QuorateError && error.code === 'not_found') return undefined
      throw error
    }
  }

  /** Removes a key. It is not an error if the key does not exist. */
  async delete(key: string | Uint8Array, options: DeleteOptions = {}): Promise<DeleteResult> {
    checkDelete(key, options)
    const conditions: Record<string, string> = {}
    if (options.ifRevision !== undefined) conditions['If-Match'] = `"${options.ifRevision}"`
    const request = { method: 'DELETE', path: keyPath(nonEmpty(key)), headers: conditions }
    const answer = await this.#call('keyed', request, options)
    return decoded(answer, 'unknown', (json) => ({
      deleted: wholeNumberIn(json, 'deleted') === 0 ? 0 : 1,
      revision: wholeNumberIn(json, 'revision'),
    }))
  }

  /** Records in the order of their keys' bytes. */
  list(options: ListOptions = {}): AsyncGenerator<KvRecord, void, undefined> {
    return this.#list(withOwnBorders(options))
  }

  async *#list(options: ListOptions): AsyncGenerator<KvRecord, void, undefined> {
    checkList(options)
    const interruption = this.#interruption(options.signal)
    if (options.snapshot === true) {
      const headers = { Accept: 'application/x-ndjson' }
      const answer = await this.#read(rangePath(options), options, { headers, stream: true })
      yield* streamed(answer, options.timeoutMs ?? this.#timeoutMs, options, interruption)
    } else {
      yield* pages(options, interruption, (path) => this.#read(path, options))
    }
  }

  /** The number of keys in a range. */
  async count(options: RangeOptions = {}): Promise<number> {
    checkCount(options)
    const answer = await this.#read(withQuery(rangePath(options), { count_only: true }), options)
    return decoded(answer, 'no', (json) => wholeNumberIn(json, 'count'))
  }

  /** The status of one node: the one at `endpoint`, or any. */
  async status(options: NodeCallOptions = {}): Promise<NodeStatus> {
    checkNodeCall('status', options)
    const request = { method: 'GET', path: '/v1/status', endpoints: this.#those(options.endpoint) }
    const answer = await this.#call('read', request, options)
    return decoded(answer, 'no', statusFromJson)
  }

  /** The members and the leader, as one node knows them: the one at `endpoint`, or any. */
  async cluster(options: NodeCallOptions = {}): Promise<ClusterInfo> {
    checkNodeCall('cluster', options)
    const request = { method: 'GET', path: '/v1/cluster', endpoints: this.#those(options.endpoint) }
    return clusterInfo(await this.#call('read', request, options))
  }

  async members(options: CallOptions = {}): Promise<readonly Member[]> {
    checkCall('members', options)
    return (await this.cluster(options)).members
  }

  /** Name of the leader, as known to any node. */
  async leader(options: CallOptions = {}): Promise<string | undefined> {
    checkCall('leader', options)
    return (await this.cluster(options)).leader
  }

  /** Adds a node as a learner; it becomes a voter once it has caught up. */
  async addMember(member: NewMember, options: CallOptions = {}): Promise<void> {
    checkMember('addMember', member)
    checkCall('addMember', options)
    membersIn(await this.#post('/v1/cluster/members', memberJson(member), options), 'unknown')
  }

  async removeMember(name: string, options: CallOptions = {}): Promise<void> {
    checkName('removeMember', name)
    checkCall('removeMember', options)
    const path = `/v1/cluster/members/${encodeURIComponent(name)}`
    membersIn(await this.#call('bare', { method: 'DELETE', path }, options), 'unknown')
  }

  /** Removes the replica named `name` and adds another in its place, in one change. */
  async replaceMember(name: string, member: NewMember, options: CallOptions = {}): Promise<void> {
    checkName('replaceMember', name)
    checkMember('replaceMember', member)
    checkCall('replaceMember', options)
    const path = `/v1/cluster/members/${encodeURIComponent(name)}/replace`
    membersIn(await this.#post(path, memberJson(member), options), 'unknown')
  }

  /** Moves leadership to a voter, or to the most up-to-date one. Returns the new leader's name. */
  async transferLeader(to?: string, options: CallOptions = {}): Promise<string> {
    if (to !== undefined) checkName('transferLeader', to)
    checkCall('transferLeader', options)
    const answer = await this.#post('/v1/cluster/leader', { to }, options)
    return decoded(answer, 'unknown', (json) => stringIn(json, 'leader'))
  }

  /** The replicated limits and switches. */
  async settings(options: CallOptions = {}): Promise<Settings> {
    checkCall('settings', options)
    const answer = await this.#call('read', { method: 'GET', path: '/v1/cluster/settings' }, options)
    return decoded(answer, 'no', (json) => json)
  }

  /** Changes the named settings. Returns all settings after the change. */
  async changeSettings(settings: Settings, options: CallOptions = {}): Promise<Settings> {
    checkSettings('changeSettings', settings)
    checkCall('changeSettings', options)
    const answer = await this.#post('/v1/cluster/settings', settings, options)
    return decoded(answer, 'unknown', (json) => {
      const missing = Object.keys(settings).find((name) => !Object.hasOwn(json, name))
      return missing === undefined ? json : disagree(`it has no setting ${JSON.stringify(missing)}`)
    })
  }

  /** Ends all calls under way with `AbortError` and closes every connection. */
  async close(): Promise<void> {
    this.#closed = true
    for (const end of [...this.#onClose]) end()
    this.#transport.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /**
   * What is under way; all numbers are 0 while no call runs.
   *
   * @internal
   */
  [inspect]() {
    return {
      calls: this.#onClose.size,
      turns: this.#turns.wanted,
      requests: this.#transport.underway,
      questions: this.#questions.underway,
      probes: this.#endpoints.all.filter((endpoint) => endpoint.isProbed).length,
    }
  }

  #those(endpoint: string | undefined): Endpoints {
    return endpoint === undefined ? this.#endpoints : new Endpoints([endpoint])
  }

  #post(path: string, json: Json, options: CallOptions): Promise<Answer> {
    const headers = { 'Content-Type': 'application/json' }
    const body = bytesOf(JSON.stringify(json))
    return this.#call('bare', { method: 'POST', path, headers, body }, options)
  }

  /**
   * A read of the store. `min_revision` is the highest revision seen, so the read never returns older data than an
   * earlier answer.
   */
  #read(
    path: string,
    options: ReadOptions,
    how: Pick<Request, 'headers' | 'stream'> = { headers: { Accept: 'application/json' } },
  ): Promise<Answer> {
    const minRevision = Math.max(this.revision, options.minRevision ?? 0)
    const query: Record<string, QueryValue> = {
      consistency: options.consistency,
      max_staleness: options.maxStalenessMs === undefined ? undefined : duration(options.maxStalenessMs),
      min_revision: minRevision > 0 ? minRevision : undefined,
    }
    const request = { method: 'GET', path: withQuery(path, query), ...how }
    return this.#call('read', request, options, (answer) => {
      // "This key does not exist" is an answer too.
      const served = answer.kind === 'streaming' || answer.status === 200 || answer.status === 404
      if (served) options.onAnswer?.(answerInfo(answer.headers))
    })
  }

  async #call(
    kind: CallKind,
    request: Request,
    options: CallOptions,
    onAnswer: (answer: Answer) => void = () => {},
  ): Promise<Answer> {
    if (this.#closed) throw closedError()
    const { signal, timeoutMs = this.#timeoutMs } = options
    const startedAt = performance.now()
    const waitedMs = this.#turns.tryAcquire()
      ? 0
      : await this.#waitForTurn({ kind, startedAt, timeoutMs, signal })
    let copies = 0
    const mayHedge = () => {
      const may = this.#hedges.tryAcquire(this.#turns.acquired)
      if (may) copies += 1
      return may
    }
    try {
      // The time for reaching an endpoint starts now.
      const unreachableAfterMs = (this.#unreachableAfterMs ?? timeoutMs) + waitedMs
      const limits = { startedAt, timeoutMs, unreachableAfterMs, signal }
      const endpoints = request.endpoints ?? this.#endpoints
      const isReached = kind !== 'read' && (await this.#identify(limits, mayHedge))
      const { method, path, body, stream = false } = request
      const headers = () => ({ ...request.headers, ...this.#ownHeaders(kind) })
      const renewed = kind === 'keyed' ? { renewed: headers } : {}
      const call = { kind, method, path, body, stream, headers: headers(), ...limits, isReached, ...renewed }
      const context = { ...this.#context(endpoints, onAnswer, mayHedge), transport: this.#transport }
      return await perform(call, context)
    } finally {
      this.#hedges.callEnded(copies)
      this.#turns.giveAfter(performance.now() - startedAt - waitedMs)
    }
  }

  /** Waits before any byte of the call has left. Returns how long it has waited. */
  async #waitForTurn(call: Pick<Call, 'kind' | 'startedAt' | 'timeoutMs' | 'signal'>): Promise<number> {
    const { startedAt, timeoutMs } = call
    const interruption = this.#interruption(call.signal)
    const isTurn = await this.#turns.wait(timeoutMs, interruption)
    const waitedMs = performance.now() - startedAt
    if (isTurn && timeoutMs - waitedMs >= leastMs(call, this.#turns.usualMs)) return waitedMs
    if (isTurn) this.#turns.give()
    const reason = interruption.reason()
    if (reason !== undefined) throw reason
    const seconds = Number((timeoutMs / 1_000).toFixed(3))
    const message = `not sent: its turn did not come in time (of ${seconds} s), since ${this.#callsMax} calls of this client (callsMax) were under way`
    throw new UnavailableError(message, { code: 'timeout', written: 'no' })
  }

  /**
   * No change is sent before the client knows its cluster and a revision. With these the cluster refuses a late copy of
   * the change whose outcome was forgotten, and does not apply it again. Returns whether a node had to be asked for
   * them.
   */
  async #identify(
    limits: Pick<Call, 'startedAt' | 'timeoutMs' | 'unreachableAfterMs' | 'signal'>,
    mayHedge: () => boolean,
  ): Promise<boolean> {
    // The client accepts a revision only from its own cluster, so when it knows a revision, it knows the cluster.
    const isKnown = () => this.#revision !== undefined
    if (isKnown()) return false
    const call = { ...QUESTION, ...limits, kind: 'read', stream: false, isEnough: isKnown } as const
    const context = this.#context(this.#endpoints, () => {}, mayHedge)
    const { endpoint } = await perform(call, { ...context, transport: this.#questions })
    if (isKnown()) return true
    const message = `${endpoint.url} answered, but not like a quorate node: Kv-Revision is missing or malformed`
    throw new QuorateError(message, { code: 'unexpected_answer', written: 'no', endpoint: endpoint.url })
  }

  #context(
    endpoints: Endpoints,
    onAnswer: (answer: Answer) => void,
    mayHedge: () => boolean,
  ): Omit<CallContext, 'transport'> {
    return {
      endpoints,
      onAnswer: (answer) => {
        const otherCluster = this.#noteAnswer(answer, endpoints)
        if (otherCluster === undefined && isOfNode(answer.headers)) onAnswer(answer)
        return otherCluster
      },
      onFailure: () => this.#hastenDiscovery(),
      mayHedge,
      onClose: (end) => this.#whenClosed(end),
    }
  }

  #whenClosed(end: () => void): () => void {
    this.#onClose.add(end)
    // The client was closed after the call began. No event follows for that.
    if (this.#closed) end()
    return () => this.#onClose.delete(end)
  }

  #interruption(signal: AbortSignal | undefined): Interruption {
    const reason = () => {
      if (this.#closed) return closedError()
      if (signal?.aborted !== true) return undefined
      const details = { code: 'aborted', written: 'no', cause: signal.reason } as const
      return new AbortedError('the call was aborted', details)
    }
    return {
      reason,
      listen: (end) => {
        const takeBack = this.#whenClosed(end)
        signal?.addEventListener('abort', end)
        // No event follows if the reason exists already.
        if (reason() !== undefined) end()
        return () => {
          signal?.removeEventListener('abort', end)
          takeBack()
        }
      },
    }
  }

  #ownHeaders(kind: CallKind): Record<string, string> {
    const headers: Record<string, string> = {}
    if (this.#clusterId !== undefined) headers['Kv-Cluster'] = this.#clusterId
    if (kind === 'keyed') {
      const since = Math.max(FIRST_REVISION, this.revision)
      headers['Idempotency-Key'] = `${this.#tokenPrefix}-${++this.#tokens};since=${since}`
    }
    return headers
  }

  /** The id of the answer's cluster if it is not the client's cluster. */
  #noteAnswer({ headers, endpoint }: Answer, asked: Endpoints): string | undefined {
    const clusterId = headerText(headers, 'kv-cluster')
    if (clusterId === undefined) return undefined
    // A node that the caller named for one call does not determine the client's cluster.
    if (asked === this.#endpoints) this.#clusterId ??= clusterId
    if (clusterId !== this.#clusterId) {
      if (this.#clusterId === undefined) return undefined
      if (asked === this.#endpoints) this.#warnOf(endpoint, clusterId, this.#clusterId)
      return clusterId
    }
    const revision = headerWholeNumber(headers, 'kv-revision')
    if (revision !== undefined) this.#revision = Math.max(this.revision, revision)
    const discover = this.#discover && !this.#closed
    if (discover && performance.now() >= this.#discoverAt) this.#learnMembers(endpoint)
    return undefined
  }

  #warnOf({ url }: Endpoint, clusterId: string, ours: string): void {
    if (this.#foreign.has(url)) return
    this.#foreign.add(url)
    this.#warn(
      `${url} belongs to another cluster (${clusterId}) than the node that answered first (${ours}): left out`,
    )
  }

  /** Runs in the background, started by answers and not by a timer, so that no timer is left over. */
  #learnMembers(endpoint: Endpoint): void {
    this.#discoverAt = performance.now() + DISCOVER_AGAIN_MS
    const get = { method: 'GET', path: '/v1/cluster', headers: this.#ownHeaders('read'), body: undefined }
    const background = { timeoutMs: DISCOVER_TIMEOUT_MS, background: true }
    void this.#transport
      .exchange(endpoint, get, background)
      .result.then((result) => {
        if (result.kind !== 'answered' || result.status !== 200) throw new Error('no list of members')
        const cluster = clusterInfo({ ...result, endpoint })
        if (cluster.clusterId !== this.#clusterId) return
        // A node that was removed while it was stopped knows no leader and none of the newer members.
        const isCurrent = cluster.leader !== undefined
        const urls = cluster.members.map((member) => member.url)
        this.#endpoints.learn(urls, isCurrent)
        if (!isCurrent) this.#hastenDiscovery()
      })
      .catch(() => this.#hastenDiscovery())
  }

  #hastenDiscovery(): void {
    this.#discoverAt = Math.min(this.#discoverAt, performance.now() + DISCOVER_AFTER_FAILURE_MS)
  }
}

/**
 * The value may be sent again and is compared with answers, so later changes of the caller's buffer must not affect it.
 */
const copyOf = (value: string | Uint8Array): Uint8Array =>
  typeof value === 'string' ? bytesOf(value) : new Uint8Array(value)

/** The borders are copied when the list is requested, and checked when its first record is. */
function withOwnBorders(options: ListOptions): ListOptions {
  if (typeof options !== 'object' || options === null) return options
  const own = (border: string | Uint8Array | undefined) =>
    types.isUint8Array(border) ? new Uint8Array(border) : border
  return { ...options, prefix: own(options.prefix), start: own(options.start), end: own(options.end) }
}

function nonEmpty(key: string | Uint8Array): Uint8Array {
  const bytes = keyBytes(key)
  if (bytes.length === 0)
    throw new QuorateError('a key has at least one byte', { code: 'key_empty', written: 'no' })
  return bytes
}

/** With at most as many decimals as a node reads, and never 0. */
const duration = (ms: number) => `${Math.max(1e-6, Number(ms.toFixed(6)))}ms`

const closedError = () => new AbortedError('the client is closed', { code: 'closed', written: 'no' })

function clusterInfo(answer: Answer): ClusterInfo {
  return {
    clusterId: headerText(answer.headers, 'kv-cluster'),
    leader: headerText(answer.headers, 'kv-leader'),
    term: headerWholeNumber(answer.headers, 'kv-term'),
    members: membersIn(answer, 'no'),
  }
}

/** The answer to a change of members contains them. Any other answer does not come from a node. */
const membersIn = (answer: Answer, written: Written): readonly Member[] =>
  decoded(answer, written, (json) => arrayIn(json, 'members').map(memberFromJson))

function statusFromJson(json: Json): NodeStatus {
  return {
    name: stringIn(json, 'name'),
    version: stringIn(json, 'version'),
    clusterId: stringIn(json, 'cluster_id'),
    replicaId: stringIn(json, 'replica_id'),
    role: stringIn(json, 'role'),
    leader: typeof json.leader === 'string' ? json.leader : undefined,
    term: wholeNumberIn(json, 'term'),
    commitIndex: wholeNumberIn(json, 'commit_index'),
    appliedIndex: wholeNumberIn(json, 'applied_index'),
    logFirstIndex: wholeNumberIn(json, 'log_first_index'),
    revision: wholeNumberIn(json, 'revision'),
    clusterVersion: wholeNumberIn(json, 'cluster_version'),
    stateHash: stringIn(json, 'state_hash'),
    members: arrayIn(json, 'members').map(memberFromJson),
    errors: arrayIn(json, 'errors').map((error) => (isObject(error) ? JSON.stringify(error) : String(error))),
  }
}

function memberJson(member: NewMember): Json {
  return { name: member.name, replica_id: member.replicaId, peer: member.peer, url: member.url }
}
