// The public API of the client.

import { types } from 'node:util'
import { bytesOf, roundedMs, withQuery } from './address.ts'
import {
  checkCall,
  checkClient,
  checkCompact,
  checkCount,
  checkDelete,
  checkGet,
  checkList,
  checkMember,
  checkName,
  checkNodeCall,
  checkPut,
  checkSettings,
  checkTxn,
} from './arguments.ts'
import { type Call, type CallContext, leastMs, perform } from './call.ts'
import { Connections } from './connections.ts'
import {
  answerInfo,
  arrayIn,
  DisagreementError,
  decoded,
  disagree,
  headerText,
  headerWholeNumber,
  isObject,
  isOfNode,
  isWholeNumber,
  type Json,
  memberFromJson,
  parseObject,
  stringIn,
  unexpected,
  wholeNumberIn,
} from './decode.ts'
import { type Endpoint, Endpoints } from './endpoints.ts'
import {
  AbortedError,
  PreconditionFailedError,
  QuorateError,
  UnavailableError,
  UnreachableError,
  type Written,
} from './errors.ts'
import { type Answer, Transport } from './exchange.ts'
import { type FastCall, FastCalls, type Limits, type Settled } from './fast.ts'
import { Hedges } from './hedges.ts'
import { Identities, type Identity, type Opened } from './identity.ts'
import type {
  GrantedLease,
  KeptLease,
  LeaseInfo,
  LeaseOptions,
  NewLease,
  RevokedLease,
  Session,
  SessionOptions,
} from './lease-types.ts'
import {
  grant,
  grantForSession,
  keepAlive,
  keepAliveMany,
  type LeaseCalls,
  leases,
  revoke,
  show,
} from './leases.ts'
import { type Interruption, pages, rangeOf, streamed } from './list.ts'
import type { Welcome } from './messages.ts'
import {
  type ChangesOperation,
  COMPACT,
  DELETE,
  DELETE_RANGE,
  type Freshness,
  GET,
  type GetOperation,
  isChange,
  KEEP_ALIVE,
  ownBytes,
  ownKey,
  PUT,
  RANGE,
  type Result,
  type SeldomOperation,
  type SingleOperation,
  TXN,
  WATCH,
  type WatchRequest,
} from './operation.ts'
import { QUESTION, Questions } from './questions.ts'
import { freshPath, rangePath, requestOf, resultOf, resultsOf } from './requests.ts'
import { traitsOf } from './sent-txn.ts'
import type { Sessions } from './sessions.ts'
import { whenAborted } from './signals.ts'
import { Turns } from './turns.ts'
import { sentRange, sentTxn, txnResult } from './txn.ts'
import type {
  CompactResult,
  DeleteRange,
  DeleteRangeResult,
  Transaction,
  TransactOptions,
  Txn,
  TxnOptions,
  TxnResult,
} from './txn-types.ts'
import type {
  AnswerInfo,
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
import { ClientWatch, type WatchHost, type WatchStream } from './watch.ts'
import { streamOf } from './watch-http.ts'
import type { MirrorOptions, MirrorView, Watch, WatchOptions } from './watch-types.ts'

const TIMEOUT_MS = 5_000
/**
 * How many calls may be under way at a time. Far fewer keep three nodes busy.
 *
 * @internal
 */
export const CALLS_MAX = 256
/** The shortest time between two reads of the member list: while all is well, and after a failure. */
const DISCOVER_AGAIN_MS = 30_000
const DISCOVER_AFTER_FAILURE_MS = 1_000
const DISCOVER_TIMEOUT_MS = 2_000

/** So long a watch waits for a connection that is being made, at most half of its time. */
const WATCH_CONNECT_MS = 1_000

const NONE = {}
const noop = () => {}

interface Request extends Pick<Call, 'method' | 'path' | 'operation' | 'identity' | 'firstTry'> {
  /** Told under which identity a change is sent from now on. */
  readonly onIdentity?: ((identity: Identity) => void) | undefined
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | undefined
  /** Return an answer of 200 when it begins, before its body is read. */
  readonly stream?: boolean
  /** Used instead of the endpoints that the client knows. */
  readonly endpoints?: Endpoints
  /** It waits behind no other call: neither for a turn, nor for a second node. */
  readonly isUrgent?: boolean
}

/** What was done before for a call. */
type Begun = Pick<Request, 'identity' | 'firstTry'>

/**
 * For tests: see `Client[inspect]`.
 *
 * @internal
 */
export const inspect = Symbol('inspect')

type ClientTransport = Pick<Transport, 'exchange' | 'underway' | 'close'>

/**
 * A client of one cluster. It keeps connections open between calls. They keep no process alive, and `close()` ends them
 * at once.
 */
export class Client {
  readonly #endpoints: Endpoints
  readonly #transport: ClientTransport
  readonly #connections: Connections
  readonly #routes: Pick<Transport, 'exchange'>
  readonly #fast: FastCalls
  readonly #questions: Questions
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
  readonly #identities = new Identities()
  readonly #leaseCalls: LeaseCalls = {
    call: (kind, request, options) => this.#call(kind, request, options),
    keepAlive: (ids, options) => this.#seldom('read', { op: KEEP_ALIVE, leases: ids }, options),
  }
  /** Of sessions. A lease would end behind the other calls of its client, so they wait for none of them. */
  readonly #urgentCalls: Pick<LeaseCalls, 'keepAlive'> = {
    keepAlive: (ids, options) =>
      this.#seldom('read', { op: KEEP_ALIVE, leases: ids }, options, noop, { isUrgent: true }),
  }
  #sessions: Sessions | undefined
  readonly #watchHost: WatchHost
  /** Settles when the first watch has begun, or has failed. */
  #firstWatch: Promise<void> | undefined
  /** The cluster id of the first node that answered. */
  #clusterId: string | undefined
  #revision: number | undefined
  #discoverAt = 0
  #closed = false

  constructor(options: ClientOptions)
  /**
   * `transport`: other than HTTP over sockets, for the simulator.
   *
   * @internal
   */
  constructor(options: ClientOptions, transport?: ClientTransport)
  constructor(options: ClientOptions, transport: ClientTransport = new Transport()) {
    checkClient(options)
    this.#transport = transport
    this.#questions = new Questions(transport)
    this.#endpoints = new Endpoints(options.endpoints)
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS
    this.#callsMax = options.callsMax ?? CALLS_MAX
    this.#turns = new Turns(this.#callsMax)
    this.#hedges = new Hedges(this.#callsMax)
    this.#unreachableAfterMs = options.unreachableAfterMs
    this.#discover = options.discover ?? true
    this.#warn = options.onWarning ?? ((message) => process.emitWarning(message, 'QuorateWarning'))
    this.#connections = new Connections(
      {
        clusterId: () => this.#clusterId,
        onWelcome: (endpoint, welcome) => this.#welcomed(endpoint, welcome),
      },
      options.transport === 'http',
    )
    this.#routes = this.#connections.or(this.#transport)
    this.#watchHost = {
      timeoutMs: this.#timeoutMs,
      open: (request, limits) => this.#openWatch(request, limits),
      seen: (revision) => {
        this.#revision = Math.max(this.revision, revision)
      },
      interruption: (signal) => this.#interruption(signal),
    }
    this.#fast = new FastCalls({
      endpoints: this.#endpoints,
      connections: this.#connections,
      turns: this.#turns,
      hedges: this.#hedges,
      identify: (nowMs) => this.#newIdentity(nowMs),
      release: (identity) => this.#identities.release(identity),
      answered: (endpoint, revision, nowMs) => this.#noteRevision(endpoint, revision, nowMs),
      goOn: (operation, { limits, onAnswer, identity, endpoint }, exchange) =>
        this.#goOn({ operation, limits, onAnswer, identity, firstTry: { endpoint, exchange } }),
      goOnTogether: (operation, { limits, identity, endpoint }, exchange) =>
        this.#goOnTogether(operation, limits, { identity, firstTry: { endpoint, exchange } }),
    })
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
  put(key: string | Uint8Array, value: string | Uint8Array, options: PutOptions = NONE): Promise<PutResult> {
    try {
      checkPut(key, value, options)
      const { ifRevision, ifAbsent = false, lease, ttlMs } = options
      // Over HTTP it is rounded. A put that is sent again over the other transport must be the same request there.
      const conditions = { ifRevision, ifAbsent, lease, ttlMs: ttlMs && roundedMs(ttlMs) }
      const operation = { op: PUT, key: ownKey(key), value: ownBytes(value), ...conditions } as const
      return this.#operate(operation, options) as Promise<PutResult>
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** The record of a key; undefined when the key does not exist. */
  get(key: string | Uint8Array, options: ReadOptions = NONE): Promise<KvRecord | undefined> {
    try {
      checkGet(key, options)
      const { revision } = options
      const operation = { op: GET, key: ownKey(key), revision, ...this.#freshness(options) } as const
      if (revision !== undefined) return this.#getAsOf(operation, options)
      return this.#operate(operation, options, options.onAnswer) as Promise<KvRecord | undefined>
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Removes a key. It is not an error if the key does not exist. */
  delete(key: string | Uint8Array, options: DeleteOptions = NONE): Promise<DeleteResult> {
    try {
      checkDelete(key, options)
      const operation = { op: DELETE, key: ownKey(key), ifRevision: options.ifRevision } as const
      return this.#operate(operation, options) as Promise<DeleteResult>
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Records in the order of their keys' bytes. */
  list(options: ListOptions = {}): AsyncGenerator<KvRecord, void, undefined> {
    return this.#list(withOwnBorders(options))
  }

  async *#list(options: ListOptions): AsyncGenerator<KvRecord, void, undefined> {
    checkList(options)
    const interruption = this.#interruption(options.signal)
    if (options.snapshot === true) {
      const path = freshPath(rangePath(rangeOf(options)), this.#freshness(options))
      const request = { method: 'GET', path, headers: { Accept: 'application/x-ndjson' }, stream: true }
      const answer = await this.#read(request, options)
      yield* streamed(answer, options.timeoutMs ?? this.#timeoutMs, options, interruption)
    } else {
      yield* pages(options, interruption, (page) => {
        const operation = { op: RANGE, ...page, ...this.#freshness(options) } as const
        return this.#read({ ...requestOf(operation), operation }, options)
      })
    }
  }

  /** The number of keys in a range. */
  async count(options: RangeOptions = {}): Promise<number> {
    checkCount(options)
    const path = withQuery(rangePath(rangeOf(options)), { count_only: true })
    const headers = { Accept: 'application/json' }
    const request = { method: 'GET', path: freshPath(path, this.#freshness(options)), headers }
    const answer = await this.#read(request, options)
    return decoded(answer, 'no', (json) => wholeNumberIn(json, 'count'))
  }

  /**
   * Compares, and does one of two lists of operations, at one revision. Applied at most once, even if it was sent
   * several times.
   */
  async txn(txn: Txn, options: TxnOptions = NONE): Promise<TxnResult> {
    const sent = sentTxn(txn)
    const traits = traitsOf(sent)
    checkTxn(options, traits.isRead)
    const freshness = traits.isRead ? this.#freshness(options) : undefined
    const operation = { op: TXN, txn: sent, freshness, ...traits } as const
    const kind = traits.isRead ? 'read' : traits.hasPrev ? 'bare' : 'keyed'
    const answer = await this.#seldom(kind, operation, options, informing(options.onAnswer))
    return decoded(answer, traits.isRead ? 'no' : 'unknown', (json) => txnResult(sent, json))
  }

  /**
   * Runs `body`, which reads the store as it was at one revision, and commits what it writes if nothing that it has
   * read was changed meanwhile. Otherwise it runs again, so it must have no other effects.
   */
  async transact<T>(body: (tx: Transaction) => Promise<T> | T, options: TransactOptions = NONE): Promise<T> {
    const { transact } = await import('./transact.ts')
    const { signal, timeoutMs = this.#timeoutMs } = options ?? NONE
    return transact(this, body, options, timeoutMs, this.#interruption(signal))
  }

  /** Deletes all keys of a range, at one revision. */
  async deleteRange(range: DeleteRange, options: CallOptions = NONE): Promise<DeleteRangeResult> {
    const operation = { op: DELETE_RANGE, range: sentRange(range) } as const
    checkCall('deleteRange', options)
    const answer = await this.#seldom('keyed', operation, options)
    return decoded(answer, 'unknown', (json) => ({
      deleted: wholeNumberIn(json, 'deleted'),
      revision: wholeNumberIn(json, 'revision'),
    }))
  }

  /** Ends the history before a revision: the store can be read from this revision on. */
  async compact(revision: number, options: CallOptions = NONE): Promise<CompactResult> {
    checkCompact(revision, options)
    const answer = await this.#seldom('keyed', { op: COMPACT, revision }, options)
    return decoded(answer, 'unknown', (json) => ({
      compactRevision: wholeNumberIn(json, 'compact_revision'),
      revision: wholeNumberIn(json, 'revision'),
    }))
  }

  /** Grants a lease: its keys are deleted when it ends. It is granted once, even if it was asked for several times. */
  grantLease(lease: NewLease, options: CallOptions = NONE): Promise<GrantedLease> {
    return grant(this.#leaseCalls, lease, options)
  }

  /** The time to live of a lease begins anew. Throws `lease_not_found`. */
  keepLeaseAlive(id: string, options: CallOptions = NONE): Promise<{ readonly ttlMs: number }> {
    return keepAlive(this.#leaseCalls, id, options)
  }

  /** The same for many leases, which costs little more than for one. */
  keepLeasesAlive(ids: readonly string[], options: CallOptions = NONE): Promise<readonly KeptLease[]> {
    return keepAliveMany(this.#leaseCalls, ids, options)
  }

  /** A lease; undefined: there is none with this id. */
  lease(
    id: string,
    options: LeaseOptions = NONE,
  ): Promise<(LeaseInfo & { readonly keys?: readonly Uint8Array[] }) | undefined> {
    return show(this.#leaseCalls, id, options)
  }

  /** All leases, in the order of their ids. */
  leases(options: CallOptions = NONE): AsyncGenerator<LeaseInfo, void, undefined> {
    return leases(this.#leaseCalls, options)
  }

  /** Ends a lease, and deletes its keys at one revision. Throws `lease_not_found`. */
  revokeLease(id: string, options: CallOptions = NONE): Promise<RevokedLease> {
    return revoke(this.#leaseCalls, id, options)
  }

  /** Grants a lease and keeps it alive until it is closed. */
  async session(options: SessionOptions = NONE): Promise<Session> {
    const { Sessions } = await import('./sessions.ts')
    this.#sessions ??= new Sessions({
      grantLease: (lease, call) => grantForSession(this.#leaseCalls, lease, call),
      keepLeasesAlive: (ids, call) => keepAliveMany(this.#urgentCalls, ids, call),
      revokeLease: (id, call) => this.revokeLease(id, call),
      put: (key, value, call) => this.put(key, value, call),
      whenClosed: (end) => this.#whenClosed(end),
    })
    return this.#sessions.begin(options)
  }

  /**
   * Every change of a key or a range: in order, once, a revision as a whole. It begins now, and goes on at other nodes
   * when one fails.
   */
  watch(options: WatchOptions): Watch {
    return new ClientWatch(this.#watchHost, options)
  }

  /** A range as a map in memory that follows the changes. */
  mirror(options: MirrorOptions): AsyncGenerator<MirrorView, void, undefined> {
    return this.#mirror(withOwnBorders(options))
  }

  async *#mirror(options: MirrorOptions): AsyncGenerator<MirrorView, void, undefined> {
    const { mirror } = await import('./mirror.ts')
    yield* mirror(
      {
        count: (range) => this.count(range),
        list: (range) => this.list(range),
        watch: (watched) => new ClientWatch(this.#watchHost, watched),
        interruption: this.#interruption(options?.signal),
      },
      options,
    )
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
    this.#turns.close()
    this.#transport.close()
    this.#connections.close()
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
      calls: this.#onClose.size + this.#fast.underWay + this.#turns.waiting,
      turns: this.#turns.acquired + this.#turns.waiting,
      requests: this.#transport.underway + this.#connections.waiting,
      questions: this.#questions.underway,
      probes: this.#endpoints.all.filter((endpoint) => endpoint.isProbed).length,
    }
  }

  async #openWatch(
    request: WatchRequest,
    { timeoutMs, silentMs, signal }: Parameters<WatchHost['open']>[1],
  ): Promise<WatchStream> {
    const operation = { op: WATCH, request, silentMs } as const
    // A watch stays where it begins, and on a connection of its own it costs its node ten times as much. So all but the
    // first wait for the connection that is being made.
    const startedAt = performance.now()
    if (this.#firstWatch !== undefined) {
      const waitMs = Math.min(WATCH_CONNECT_MS, timeoutMs / 2)
      await this.#connections.settled(this.#endpoints, this.#firstWatch, waitMs)
    }
    const leftMs = Math.max(1, timeoutMs - (performance.now() - startedAt))
    const opening = this.#seldom('read', operation, { timeoutMs: leftMs, signal })
    this.#firstWatch ??= opening.then(noop, noop)
    return streamOf(await opening, silentMs)
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
   * `minRevision` is at least the highest revision seen, so a read never returns older data than an earlier answer. A
   * read of history needs a node that has its revision.
   */
  #freshness(options: ReadOptions): Freshness {
    const { consistency, maxStalenessMs, minRevision = 0, revision = this.revision } = options
    const needed = Math.min(this.revision, revision)
    return { consistency, maxStalenessMs, minRevision: Math.max(needed, minRevision) }
  }

  #read(request: Request, options: ReadOptions): Promise<Answer> {
    return this.#call('read', request, options, informing(options.onAnswer))
  }

  async #getAsOf(operation: GetOperation, options: ReadOptions): Promise<KvRecord | undefined> {
    try {
      const answer = await this.#seldom('read', operation, options, informing(options.onAnswer))
      return resultOf(operation, answer) as KvRecord
    } catch (error) {
      if (error instanceof QuorateError && error.code === 'not_found') return undefined
      throw error
    }
  }

  /** An operation that `fast.ts` does not know. It takes a connection, too, if there is one that can send it now. */
  async #seldom(
    kind: CallKind,
    operation: SeldomOperation,
    { signal, timeoutMs = this.#timeoutMs }: CallOptions,
    onAnswer: (answer: Answer) => void = noop,
    { isUrgent = false } = {},
  ): Promise<Answer> {
    if (this.#closed) throw closedError()
    const startedAt = performance.now()
    const limits = { startedAt, timeoutMs, waitedMs: 0, signal }
    const waitedMs = isUrgent || this.#turns.tryAcquire() ? 0 : await this.#waitForTurn(kind, limits)
    const nowMs = startedAt + waitedMs
    const mayConnect = this.#connections.areWanted(this.#turns.acquired) && signal?.aborted !== true
    const identity =
      kind === 'keyed' && mayConnect && this.#revision !== undefined ? this.#newIdentity(nowMs) : undefined
    const asked = { operation, identity, deadline: startedAt + timeoutMs }
    const firstTry = mayConnect ? this.#connections.firstTry(this.#endpoints, nowMs, asked) : undefined
    const first = { identity, ...(firstTry && { firstTry }) }
    const stream = operation.op === WATCH
    const request = { ...requestOf(operation), operation, ...first, stream, isUrgent }
    try {
      if (isUrgent) return await this.#perform(kind, request, { ...limits, waitedMs }, onAnswer)
      return await this.#withTurn(kind, request, { ...limits, waitedMs }, onAnswer)
    } finally {
      if (identity !== undefined) this.#identities.release(identity)
    }
  }

  /** A put, delete or get. */
  #operate(
    operation: SingleOperation,
    { signal, timeoutMs = this.#timeoutMs }: CallOptions,
    onAnswer?: (info: AnswerInfo) => void,
  ): Promise<Result> {
    if (this.#closed) return Promise.reject(closedError())
    const limits = { startedAt: performance.now(), timeoutMs, waitedMs: 0, signal }
    if (!this.#turns.tryAcquire()) return this.#operateLater(operation, limits, onAnswer)
    return this.#fast.begin(operation, limits, onAnswer) ?? this.#goOn({ operation, limits, onAnswer })
  }

  async #operateLater(
    operation: SingleOperation,
    limits: Limits,
    onAnswer: ((info: AnswerInfo) => void) | undefined,
  ): Promise<Result> {
    const waitedMs = await this.#waitForTurn(isChange(operation) ? 'keyed' : 'read', limits)
    const later = { ...limits, waitedMs }
    return this.#fast.begin(operation, later, onAnswer) ?? this.#goOn({ operation, limits: later, onAnswer })
  }

  /** An operation that has its turn, by the rules for all calls. */
  async #goOn({
    operation,
    limits,
    onAnswer,
    ...first
  }: { readonly operation: SingleOperation } & Pick<FastCall, 'limits' | 'onAnswer'> &
    Begun): Promise<Result> {
    const request = { ...requestOf(operation), operation, ...first }
    try {
      const kind = isChange(operation) ? 'keyed' : 'read'
      return resultOf(operation, await this.#withTurn(kind, request, limits, informing(onAnswer)))
    } catch (error) {
      if (operation.op === GET && error instanceof QuorateError && error.code === 'not_found')
        return undefined
      throw error
    }
  }

  /** The same for a batch, all of whose changes have their turns. */
  async #goOnTogether(operation: ChangesOperation, limits: Limits, first: Begun): Promise<Settled> {
    const { changes } = operation
    let turns = changes.length
    try {
      const request = { ...requestOf(operation), operation, ...first }
      return resultsOf(operation, await this.#perform('keyed', request, limits, () => {}))
    } catch (thrown) {
      const error = asErrorOfBatch(thrown)
      if (!isOfTheBatch(error)) throw error
      // Nothing of it was written: each change is made by itself, if there is time for it.
      checkTimeLeft(limits, error)
      turns = 0
      return changes.map(
        (each) =>
          this.#fast.beginAlone(each, limits) ?? this.#goOn({ operation: each, limits, onAnswer: undefined }),
      )
    } finally {
      this.#turns.giveAfter(performance.now() - limits.startedAt - limits.waitedMs, turns)
    }
  }

  async #call(
    kind: CallKind,
    request: Request,
    { signal, timeoutMs = this.#timeoutMs }: CallOptions,
    onAnswer: (answer: Answer) => void = () => {},
  ): Promise<Answer> {
    if (this.#closed) throw closedError()
    const limits = { startedAt: performance.now(), timeoutMs, waitedMs: 0, signal }
    const waitedMs = this.#turns.tryAcquire() ? 0 : await this.#waitForTurn(kind, limits)
    return this.#withTurn(kind, request, { ...limits, waitedMs }, onAnswer)
  }

  async #withTurn(
    kind: CallKind,
    request: Request,
    limits: Limits,
    onAnswer: (answer: Answer) => void,
  ): Promise<Answer> {
    try {
      return await this.#perform(kind, request, limits, onAnswer)
    } finally {
      this.#turns.giveAfter(performance.now() - limits.startedAt - limits.waitedMs)
    }
  }

  async #perform(
    kind: CallKind,
    request: Request,
    { startedAt, timeoutMs, waitedMs, signal }: Limits,
    onAnswer: (answer: Answer) => void,
  ): Promise<Answer> {
    let copies = 0
    const mayHedge = () => {
      if (request.isUrgent === true) return true
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
      const { stream = false, body } = request
      const headers = { ...request.headers, ...this.#ownHeaders() }
      const renewed = () => {
        if (request.identity !== undefined) this.#identities.forgotten(request.identity)
        const identity = this.#identities.token(this.revision)
        request.onIdentity?.(identity)
        return identity
      }
      const keyed = kind === 'keyed' ? { identity: request.identity ?? renewed(), renewed } : {}
      const call = { ...request, kind, body, stream, headers, ...limits, isReached, ...keyed }
      const context = { ...this.#context(endpoints, onAnswer, mayHedge), transport: this.#routes }
      return await perform(call, context)
    } finally {
      this.#hedges.callEnded(copies)
    }
  }

  /** Waits before any byte of the call has left. Returns how long it has waited. */
  async #waitForTurn(kind: CallKind, { startedAt, timeoutMs, signal }: Limits): Promise<number> {
    const isTurn = await this.#turns.wait(timeoutMs, signal)
    const waitedMs = performance.now() - startedAt
    const [leftMs, neededMs] = [timeoutMs - waitedMs, leastMs({ kind, timeoutMs }, this.#turns.usualMs)]
    if (isTurn && leftMs >= neededMs) return waitedMs
    if (isTurn) this.#turns.give()
    const reason = this.#interruption(signal).reason()
    if (reason !== undefined) throw reason
    const seconds = (ms: number) => `${Number((ms / 1_000).toFixed(3))} s`
    const why = `since ${this.#callsMax} calls of this client (callsMax) were under way`
    const message =
      isTurn && leftMs > 0
        ? `not sent: its turn came after ${seconds(waitedMs)}, ${why}. ${seconds(leftMs)} were left, and now a call begins only with ${seconds(neededMs)}`
        : `not sent: its turn did not come in time (of ${seconds(timeoutMs)}), ${why}`
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
        const stopListening = whenAborted(signal, end)
        // No event follows if the reason exists already.
        if (reason() !== undefined) end()
        return () => {
          stopListening()
          takeBack()
        }
      },
    }
  }

  #ownHeaders(): Record<string, string> {
    return this.#clusterId === undefined ? {} : { 'Kv-Cluster': this.#clusterId }
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
    this.#noteRevision(endpoint, headerWholeNumber(headers, 'kv-revision'), performance.now())
    return undefined
  }

  /** An endpoint of this cluster has answered. */
  #noteRevision(endpoint: Endpoint, revision: number | undefined, nowMs: number): void {
    if (revision !== undefined) this.#revision = Math.max(this.revision, revision)
    const discover = this.#discover && !this.#closed
    if (discover && nowMs >= this.#discoverAt) this.#learnMembers(endpoint)
  }

  /** Returns whether the node belongs to the client's cluster. */
  #welcomed(endpoint: Endpoint, { cluster, revision }: Welcome): boolean {
    if (cluster === this.#clusterId) this.#noteRevision(endpoint, revision, performance.now())
    else if (this.#clusterId !== undefined) this.#warnOf(endpoint, cluster, this.#clusterId)
    return cluster === this.#clusterId
  }

  #warnOf({ url }: Endpoint, clusterId: string, ours: string): void {
    if (this.#foreign.has(url)) return
    this.#foreign.add(url)
    this.#warn(
      `${url} belongs to another cluster (${clusterId}) than the node that answered first (${ours}): left out`,
    )
  }

  #newIdentity(nowMs: number): Identity {
    if (this.#identities.shouldOpen(nowMs)) this.#openSession(nowMs)
    return this.#identities.next(this.revision)
  }

  /** Runs in the background. Until it is done, and where it fails, writes have tokens. */
  #openSession(nowMs: number): void {
    const endpoint = this.#endpoints.pick(new Set(), nowMs)
    if (endpoint === undefined) return
    const headers = { ...this.#ownHeaders(), 'Content-Type': 'application/json' }
    const post = { method: 'POST', path: '/v1/sessions', headers, body: bytesOf('{}') }
    const background = { timeoutMs: this.#timeoutMs, background: true }
    void this.#transport.exchange(endpoint, post, background).result.then((result) => {
      if (result.kind !== 'answered' || result.status !== 200 || this.#closed) return
      const cluster = headerText(result.headers, 'kv-cluster')
      const opened = openedIn(result.body)
      if (cluster === this.#clusterId && opened !== undefined) this.#identities.opened(opened, nowMs)
    })
  }

  /** Runs in the background, started by answers and not by a timer, so that no timer is left over. */
  #learnMembers(endpoint: Endpoint): void {
    this.#discoverAt = performance.now() + DISCOVER_AGAIN_MS
    const get = { method: 'GET', path: '/v1/cluster', headers: this.#ownHeaders(), body: undefined }
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
        this.#connections.keep(this.#endpoints.all)
        if (!isCurrent) this.#hastenDiscovery()
      })
      .catch(() => this.#hastenDiscovery())
  }

  #hastenDiscovery(): void {
    this.#discoverAt = Math.min(this.#discoverAt, performance.now() + DISCOVER_AFTER_FAILURE_MS)
  }
}

/** undefined: the answer has another form. */
function openedIn(body: Parameters<typeof parseObject>[0]): Opened | undefined {
  const { session, age_ms, slots } = parseObject(body) ?? {}
  const isWell = isWholeNumber(session) && isWholeNumber(age_ms) && isWholeNumber(slots)
  return isWell ? { session, age_ms, slots } : undefined
}

/** The borders are copied when the list or mirror is requested, and checked when its first record or view is. */
function withOwnBorders(options: ListOptions): ListOptions
function withOwnBorders(options: MirrorOptions): MirrorOptions
function withOwnBorders(options: ListOptions | MirrorOptions): ListOptions | MirrorOptions {
  if (typeof options !== 'object' || options === null) return options
  const own = (border: string | Uint8Array | undefined) =>
    types.isUint8Array(border) ? new Uint8Array(border) : border
  return { ...options, prefix: own(options.prefix), start: own(options.start), end: own(options.end) }
}

/** What a call tells of the answers to a read. */
const informing =
  (onAnswer: ((info: AnswerInfo) => void) | undefined) =>
  (answer: Answer): void => {
    // "This key does not exist" is an answer too.
    const served = answer.kind === 'streaming' || answer.status === 200 || answer.status === 404
    if (served) onAnswer?.(answerInfo(answer.headers))
  }

/** Only the changes of a batch have conditions. Who says that the batch has one did not say what became of it. */
const asErrorOfBatch = (error: unknown): unknown =>
  error instanceof PreconditionFailedError
    ? unexpected(new DisagreementError('a batch has no condition'), error.endpoint ?? '', 'unknown')
    : error

/** A try without time for its answer would make the outcome unknown. */
function checkTimeLeft({ startedAt, timeoutMs }: Limits, cause: QuorateError): void {
  const leftMs = startedAt + timeoutMs - performance.now()
  if (leftMs >= leastMs({ kind: 'keyed', timeoutMs }, 0)) return
  const message = `it was refused with others (${cause.message}), and there was no time to ask for it by itself`
  throw new UnavailableError(message, { code: 'timeout', written: 'no', cause })
}

/** A batch was refused, and its changes may not be when each is asked for by itself. */
const isOfTheBatch = (error: unknown): error is QuorateError =>
  error instanceof QuorateError &&
  error.written === 'no' &&
  !(error instanceof UnavailableError || error instanceof UnreachableError || error instanceof AbortedError)

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
