// The public API of the client.

import { deleteRange } from '../operations/delete-range.ts'
import { asRevision, type FreshnessOptions, parsePutLease, roundedMs } from '../operations/forms/index.ts'
import { onlyReads } from '../operations/forms/transactions.ts'
import { get } from '../operations/get.ts'
import { keepAlive } from '../operations/keep-alive.ts'
import { logIn } from '../operations/log-in.ts'
import { range as rangeOperation } from '../operations/range.ts'
import { txn as txnOperation } from '../operations/txn.ts'
import { type WatchedChanges, watch } from '../operations/watch.ts'
import type { RequestCall } from './administration.ts'
import * as administration from './administration.ts'
import { authSwitch, roles, users } from './auth.ts'
import type { AuthSwitch, Roles, Users } from './auth-types.ts'
import { CallEngine, type ClientCall } from './call-engine.ts'
import { ChangeBatches, type ChangeForm, type ChangeRequest, DELETE, PUT } from './change-batches.ts'
import type { ClientOperation, OperationRequest } from './client-operation.ts'
import { ClusterView } from './cluster-view.ts'
import { ClientCredentials } from './credentials.ts'
import { answerInfo, recordFrom } from './decode.ts'
import { Endpoints } from './endpoints.ts'
import { CloseNotifier } from './interruption.ts'
import { jsonText } from './json-text.ts'
import type { LeaseSessions } from './lease-sessions.ts'
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
import type { LeaseCalls } from './leases.ts'
import * as leases from './leases.ts'
import { count, list, ownBorders, type RangeReads } from './list.ts'
import { ABSENT, ANY_FRESHNESS, asMaybeRevision, ownBytes, ownKey, revisionCondition } from './request.ts'
import { tryLimitMs } from './retry-policy.ts'
import { TlsSource } from './tls.ts'
import type { TransactCalls } from './transact.ts'
import { HttpTransport } from './transport/http-transport.ts'
import { MuxTransport } from './transport/mux-transport.ts'
import { simulatedTransport } from './transport/simulated.ts'
import { type NodeAnswer, resultFrom, type Transport } from './transport/transport.ts'
import { watchSourceFrom } from './transport/watch-stream.ts'
import { rangeToDelete, readTxn, txnResult } from './txn.ts'
import type {
  CompactResult,
  DeleteRange,
  DeleteRangeResult,
  RaisedRevision,
  Transaction,
  TransactOptions,
  Txn,
  TxnOptions,
  TxnResult,
} from './txn-types.ts'
import type {
  AnswerInfo,
  BackupOptions,
  CallOptions,
  ClientOptions,
  ClusterInfo,
  DeleteOptions,
  DeleteResult,
  GetOptions,
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
import {
  checkCall,
  checkClient,
  checkCompact,
  checkDelete,
  checkGet,
  checkPut,
  checkRaiseRevision,
  checkTxn,
} from './validate-arguments.ts'
import { ClientWatch, type OpenLimits, type WatchHost, type WatchSource } from './watch.ts'
import type { MirrorOptions, MirrorView, Watch, WatchOptions } from './watch-types.ts'
import { WriteIdSource } from './write-ids.ts'

const TIMEOUT_MS = 5_000
/**
 * How many calls may be in flight. Far fewer keep three nodes busy.
 *
 * @internal
 */
export const CALLS_MAX = 256
/** A watch waits this long for a connection that is being made, at most half of its time. */
const WATCH_CONNECT_MS = 1_000

/** A node that has begun a stream may be silent for so many times as long as one that has not answered. */
const STREAM_TRIES = 2

const NONE = {}

/**
 * For tests: see `Client[inspect]`.
 *
 * @internal
 */
export const inspect = Symbol('inspect')

/**
 * For a client that records: see `Client[transactThrough]`.
 *
 * @internal
 */
export const transactThrough = Symbol('transactThrough')

/**
 * A client of one cluster. It keeps connections open between calls. They keep no process alive, and `close()` ends them
 * at once.
 */
export class Client {
  readonly #endpoints: Endpoints
  readonly #http: Transport
  /** undefined: every call goes over HTTP, or over the transport that was given. */
  readonly #mux: MuxTransport | undefined
  readonly #cluster: ClusterView
  readonly #engine: CallEngine
  /** undefined: without multiplexed connections, each change is a request of its own. */
  readonly #batches: ChangeBatches | undefined
  readonly #closing = new CloseNotifier()
  readonly #timeoutMs: number
  #user: { readonly name: string; readonly password: string } | undefined
  readonly #call: RequestCall = (operation, request, options, endpoints) =>
    this.#run(operation, request, { endpoints }, options)
  readonly #backgroundCall: RequestCall = (operation, request, options) =>
    this.#run(operation, request, { background: true }, options)
  /** The switch that makes rights be checked. */
  readonly auth: AuthSwitch = authSwitch(this.#call)
  readonly users: Users = users(this.#call, (name) =>
    name === this.#user?.name ? this.#user.password : undefined,
  )
  /** Roles: what their users may do. */
  readonly roles: Roles = roles(this.#call)
  readonly #rangeReads: RangeReads
  readonly #leaseCalls: LeaseCalls = {
    call: this.#call,
    keepAlive: (ids, options) => this.#call(keepAlive, { kind: 'keep-alive', ids, one: false }, options),
  }
  /** Keep-alives of sessions. A lease would end behind the other calls of its client, so they wait for none. */
  readonly #urgentCalls: Pick<LeaseCalls, 'keepAlive'> = {
    keepAlive: (ids, options) =>
      this.#run(keepAlive, { kind: 'keep-alive', ids, one: false }, { isUrgent: true }, options),
  }
  #leaseSessions: LeaseSessions | undefined
  readonly #watchHost: WatchHost
  /** Settles when the first watch has begun, or has failed. */
  #firstWatch: Promise<void> | undefined

  constructor(options: ClientOptions)
  /**
   * `transport`: other than HTTP over sockets, for the simulator. `clusterId`: the only cluster whose nodes are used,
   * for a client that knows it before the first answer.
   *
   * @internal
   */
  constructor(options: ClientOptions, transport?: Transport, clusterId?: string)
  constructor(options: ClientOptions, given?: Transport, clusterId?: string) {
    checkClient(options)
    const { user: name, password } = options
    if (name !== undefined && password !== undefined) this.#user = { name, password }
    const { callsMax = CALLS_MAX, discover = true, unreachableAfterMs, timeoutMs = TIMEOUT_MS } = options
    const warn = options.onWarning ?? ((message) => process.emitWarning(message, 'QuorateWarning'))
    const tls = new TlsSource(options.tls, warn)
    const simulated = given ?? simulatedTransport()
    const transport = simulated ?? new HttpTransport({ tls })
    const closing = this.#closing
    const endpoints = new Endpoints(options.endpoints)
    const onMembers = () => mux?.retireOthers()
    const credentials = new ClientCredentials(options, (request, withinMs) =>
      this.#engine.run(logIn, request, {
        isUrgent: true,
        isLogin: true,
        startedAt: performance.now(),
        timeoutMs: withinMs,
        signal: undefined,
      }),
    )
    const shared = { endpoints, http: transport, credentials, closing }
    const cluster = new ClusterView({ id: clusterId, ...shared, discover, warn, onMembers })
    const mux =
      options.transport === 'http' || simulated !== undefined
        ? undefined
        : new MuxTransport({
            endpoints,
            credentials,
            tls,
            warn,
            clusterId: () => cluster.id,
            onWelcome: (endpoint, welcome) => cluster.noteWelcome(endpoint, welcome),
          })
    const writeIds = new WriteIdSource({ ...shared, mux, cluster, timeoutMs })
    this.#endpoints = endpoints
    this.#http = transport
    this.#mux = mux
    this.#cluster = cluster
    this.#timeoutMs = timeoutMs
    this.#engine = new CallEngine({ ...shared, mux, cluster, writeIds, callsMax, unreachableAfterMs })
    this.#batches = mux && new ChangeBatches(this.#engine, mux)
    this.#rangeReads = {
      timeoutMs,
      read: (request, options) => this.#read(rangeOperation, request, options),
      freshness: (options) => this.#freshness(options),
      interruption: (signal) => closing.interruption(signal),
      streamSilenceMs: this.#streamSilenceMs,
    }
    this.#watchHost = {
      timeoutMs,
      open: (request, limits) => this.#openWatch(request, limits),
      seen: (revision) => cluster.seen(revision),
      interruption: (signal) => closing.interruption(signal),
    }
  }

  /** Base URLs of the nodes that the client uses: those given and those learned. */
  get endpoints(): readonly string[] {
    return this.#endpoints.all.map((endpoint) => endpoint.url)
  }

  /** The highest revision seen in an answer. Later reads are at least as recent. 0 before the first answer. */
  get revision(): number {
    return this.#cluster.revision
  }

  /** Sets a key. Applied at most once, even if it was sent several times. */
  put(key: string | Uint8Array, value: string | Uint8Array, options: PutOptions = NONE): Promise<PutResult> {
    try {
      checkPut(key, value, options)
      const { ifRevision, ifAbsent = false, lease, ttlMs } = options
      // Over HTTP it is rounded. A put that is sent again over the other transport must be the same request there.
      const putLease = parsePutLease(lease, ttlMs && roundedMs(ttlMs))
      const request = {
        kind: 'put',
        key: ownKey(key),
        value: ownBytes(value),
        condition: ifAbsent ? ABSENT : revisionCondition(ifRevision),
        prev: false,
        lease: putLease,
        idempotency: undefined,
      } as const
      return this.#change(PUT, request, options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Sets a key to a value as JSON, which `json()` of the record parses. */
  putJson(key: string | Uint8Array, value: unknown, options: PutOptions = NONE): Promise<PutResult> {
    try {
      const json = jsonText('putJson', value)
      checkPut(key, json, options, 'putJson')
      return this.put(key, json, options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** The record of a key; undefined when the key does not exist. */
  async get(key: string | Uint8Array, options: GetOptions = NONE): Promise<KvRecord | undefined> {
    checkGet(key, options)
    const { revision, time } = options
    const request = {
      kind: 'get',
      key: ownKey(key),
      revision: asMaybeRevision(revision),
      ...(time === true ? { time } : {}),
      freshness: this.#freshness(options),
    } as const
    const row = resultFrom(await this.#read(get, request, options))
    return row && recordFrom(row)
  }

  /** Removes a key. It is not an error if the key does not exist. */
  delete(key: string | Uint8Array, options: DeleteOptions = NONE): Promise<DeleteResult> {
    try {
      checkDelete(key, options)
      const condition = revisionCondition(options.ifRevision)
      const request = {
        kind: 'delete',
        key: ownKey(key),
        condition,
        prev: false,
        idempotency: undefined,
      } as const
      return this.#change(DELETE, request, options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Records in the order of their keys' bytes. */
  list(options: ListOptions = {}): AsyncGenerator<KvRecord, void, undefined> {
    return list(this.#rangeReads, ownBorders(options))
  }

  /** The number of keys in a range. */
  count(options: RangeOptions = {}): Promise<number> {
    return count(this.#rangeReads, options)
  }

  /**
   * Compares, and does one of two lists of operations, at one revision. Applied at most once, even if it was sent
   * several times.
   */
  async txn(txn: Txn, options: TxnOptions = NONE): Promise<TxnResult> {
    const requested = readTxn(txn)
    const isRead = onlyReads(requested)
    checkTxn(options, isRead)
    const freshness = isRead ? this.#freshness(options) : ANY_FRESHNESS
    const request = { kind: 'txn', txn: requested, idempotency: undefined, freshness } as const
    const answer = await this.#read(txnOperation, request, options)
    return txnResult(resultFrom(answer))
  }

  /**
   * Runs `body`, which reads the store as it was at one revision, and commits what it writes if nothing that it has
   * read has changed since. Otherwise it runs again, so it must have no other effects.
   */
  transact<T>(body: (tx: Transaction) => Promise<T> | T, options: TransactOptions = NONE): Promise<T> {
    return this[transactThrough](this, body, options)
  }

  /**
   * The same, whose reads and commit go through `calls`.
   *
   * @internal
   */
  async [transactThrough]<T>(
    calls: TransactCalls,
    body: (tx: Transaction) => Promise<T> | T,
    options: TransactOptions = NONE,
  ): Promise<T> {
    const { transact } = await import('./transact.ts')
    const { signal, timeoutMs = this.#timeoutMs } = options ?? NONE
    return transact(calls, body, options, timeoutMs, this.#closing.interruption(signal))
  }

  /** Deletes all keys of a range, at one revision. */
  async deleteRange(range: DeleteRange, options: CallOptions = NONE): Promise<DeleteRangeResult> {
    const request = { kind: 'delete-range', range: rangeToDelete(range), idempotency: undefined } as const
    checkCall('deleteRange', options)
    const { deleted, revision } = resultFrom(await this.#call(deleteRange, request, options))
    return { deleted, revision }
  }

  /** Ends the history before a revision: the store can be read from this revision on. */
  async compact(revision: number, options: CallOptions = NONE): Promise<CompactResult> {
    checkCompact(revision, options)
    const request = { kind: 'compact', revision: asRevision(revision), idempotency: undefined } as const
    const { compact } = await import('../operations/compact.ts')
    const { compactRevision, revision: at } = resultFrom(await this.#call(compact, request, options))
    return { compactRevision, revision: at }
  }

  /**
   * Raises the revision of a store without keys, before records of another store are copied there that name its
   * revisions. To the revision of the store, it does nothing.
   */
  async raiseRevision(revision: number, options: CallOptions = NONE): Promise<RaisedRevision> {
    checkRaiseRevision(revision, options)
    const request = {
      kind: 'raise-revision',
      revision: asRevision(revision),
      idempotency: undefined,
    } as const
    const { raiseRevision } = await import('../operations/raise-revision.ts')
    return { revision: resultFrom(await this.#call(raiseRevision, request, options)).revision }
  }

  /** Grants a lease: its keys are deleted when it ends. It is granted once, even if it was asked for several times. */
  grantLease(lease: NewLease, options: CallOptions = NONE): Promise<GrantedLease> {
    return leases.grantLease(this.#leaseCalls, lease, options)
  }

  /** The time to live of a lease begins anew. Throws `lease_not_found`. */
  keepLeaseAlive(id: string, options: CallOptions = NONE): Promise<{ readonly ttlMs: number }> {
    return leases.keepAlive(this.#leaseCalls, id, options)
  }

  /** The same for many leases, which costs little more than for one. */
  keepLeasesAlive(ids: readonly string[], options: CallOptions = NONE): Promise<readonly KeptLease[]> {
    return leases.keepAliveMany(this.#leaseCalls, ids, options)
  }

  /** A lease; undefined: there is none with this id. */
  lease(
    id: string,
    options: LeaseOptions = NONE,
  ): Promise<(LeaseInfo & { readonly keys?: readonly Uint8Array[] }) | undefined> {
    return leases.show(this.#leaseCalls, id, options)
  }

  /** All leases, in the order of their ids. */
  leases(options: CallOptions = NONE): AsyncGenerator<LeaseInfo, void, undefined> {
    return leases.leases(this.#leaseCalls, options)
  }

  /** Ends a lease, and deletes its keys; more than 10,000 (`range_keys_max`) in parts. Throws `lease_not_found`. */
  revokeLease(id: string, options: CallOptions = NONE): Promise<RevokedLease> {
    return leases.revokeLease(this.#leaseCalls, id, options)
  }

  /** Grants a lease and keeps it alive until it is closed. */
  async session(options: SessionOptions = NONE): Promise<Session> {
    const [{ LeaseSessions }, { revoke }] = await Promise.all([
      import('./lease-sessions.ts'),
      import('../operations/revoke.ts'),
    ])
    this.#leaseSessions ??= new LeaseSessions({
      grantLease: (lease, call) => leases.grantLease(this.#leaseCalls, lease, call),
      keepLeasesAlive: (ids, call) => leases.keepAliveMany(this.#urgentCalls, ids, call),
      revokeLease: (id, call) => leases.revokeBy(revoke, this.#backgroundCall, id, call),
      timeoutMs: this.#timeoutMs,
      put: (key, value, call) => this.put(key, value, call),
      whenClosed: (end) => this.#closing.whenClosed(end),
    })
    return this.#leaseSessions.begin(options)
  }

  /**
   * Every change of a key or a range: in order, once, a revision as a whole. It begins now, and continues at other
   * nodes when one fails.
   */
  watch(options: WatchOptions): Watch {
    return new ClientWatch(this.#watchHost, options)
  }

  /** A range as a map in memory that follows the changes. */
  mirror(options: MirrorOptions): AsyncGenerator<MirrorView, void, undefined> {
    return this.#mirror(ownBorders(options))
  }

  async *#mirror(options: MirrorOptions): AsyncGenerator<MirrorView, void, undefined> {
    const { mirror } = await import('./mirror.ts')
    yield* mirror(
      {
        count: (range) => this.count(range),
        list: (range) => this.list(range),
        watch: (watched) => new ClientWatch(this.#watchHost, watched),
        interruption: this.#closing.interruption(options?.signal),
      },
      options,
    )
  }

  /** The status of one node: the one at `endpoint`, or any. */
  status(options: NodeCallOptions = {}): Promise<NodeStatus> {
    return administration.status(this.#call, options)
  }

  /** The members and the leader, as one node knows them: the one at `endpoint`, or any. */
  cluster(options: NodeCallOptions = {}): Promise<ClusterInfo> {
    return administration.cluster(this.#call, options)
  }

  members(options: CallOptions = {}): Promise<readonly Member[]> {
    return administration.members(this.#call, options)
  }

  /** Name of the leader, as known to any node. */
  leader(options: CallOptions = {}): Promise<string | undefined> {
    return administration.leader(this.#call, options)
  }

  /** Adds a node as a learner; it becomes a voter once it has caught up. */
  addMember(member: NewMember, options: CallOptions = {}): Promise<void> {
    return administration.addMember(this.#call, member, options)
  }

  removeMember(name: string, options: CallOptions = {}): Promise<void> {
    return administration.removeMember(this.#call, name, options)
  }

  /** Removes the replica named `name` and adds another in its place, in one change. */
  replaceMember(name: string, member: NewMember, options: CallOptions = {}): Promise<void> {
    return administration.replaceMember(this.#call, name, member, options)
  }

  /** Moves leadership to a voter, or to the most up-to-date one. Returns the new leader's name. */
  transferLeader(to?: string, options: CallOptions = {}): Promise<string> {
    return administration.transferLeader(this.#call, to, options)
  }

  /** The replicated limits and switches. */
  settings(options: CallOptions = {}): Promise<Settings> {
    return administration.settings(this.#call, options)
  }

  /** Changes the named settings. Returns all settings after the change. */
  changeSettings(settings: Settings, options: CallOptions = {}): Promise<Settings> {
    return administration.changeSettings(this.#call, settings, options)
  }

  /** All of the store at one revision, as the bytes of a file, from one node: the one at `endpoint`, or any. */
  async *backup(options: BackupOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    const { backup } = await import('./backup.ts')
    yield* backup(
      { ...this.#rangeReads, call: this.#call, interruption: this.#closing.interruption(options?.signal) },
      options,
    )
  }

  /** Ends all calls in flight with `AbortError` and closes every connection. */
  async close(): Promise<void> {
    this.#closing.close()
    this.#engine.limiter.close()
    this.#http.close()
    this.#mux?.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /**
   * Numbers of calls, permits, requests and probes in flight; all are 0 while no call runs.
   *
   * @internal
   */
  [inspect]() {
    const { limiter, inFlight } = this.#engine
    return {
      calls: Math.max(inFlight, limiter.acquired) + limiter.waiting,
      permits: limiter.acquired + limiter.waiting,
      requests: this.#http.inFlight + (this.#mux?.inFlight ?? 0),
      probes: this.#endpoints.all.filter((endpoint) => endpoint.isProbed).length,
    }
  }

  // -------------------------------------------------------------------------------------------------------------------

  #run<Q extends OperationRequest, R>(
    operation: ClientOperation<Q, R>,
    request: NoInfer<Q>,
    call: Omit<ClientCall, 'startedAt' | 'timeoutMs' | 'signal'>,
    { signal, timeoutMs = this.#timeoutMs }: CallOptions,
  ): Promise<NodeAnswer<R>> {
    return this.#engine.run(operation, request, { ...call, startedAt: performance.now(), timeoutMs, signal })
  }

  #change<Q extends ChangeRequest, R>(
    form: ChangeForm<Q, R>,
    request: NoInfer<Q>,
    options: CallOptions,
  ): Promise<R> {
    const { signal, timeoutMs = this.#timeoutMs } = options
    if (this.#batches !== undefined) return this.#batches.run(form, request, timeoutMs, signal)
    return this.#run(form.operation, request, NONE, options).then((answer) =>
      form.resultFrom(resultFrom(answer)),
    )
  }

  readonly #streamSilenceMs = (timeoutMs: number): number | undefined =>
    this.#endpoints.all.length > 1 ? STREAM_TRIES * tryLimitMs(timeoutMs) : undefined

  #read<Q extends OperationRequest, R>(
    operation: ClientOperation<Q, R>,
    request: NoInfer<Q>,
    options: ReadOptions,
  ): Promise<NodeAnswer<R>> {
    return this.#run(operation, request, { onAnswer: informing(options.onAnswer) }, options)
  }

  /**
   * `minRevision` is at least the highest revision seen, so a read never returns older data than an earlier answer. A
   * read of history needs a node that has its revision.
   */
  #freshness(options: ReadOptions): FreshnessOptions {
    const { consistency, maxStalenessMs, minRevision = 0, revision = this.revision } = options
    const needed = Math.min(this.revision, revision)
    const least = Math.max(needed, minRevision)
    return { consistency, maxStalenessMs, minRevision: least > 0 ? asRevision(least) : undefined }
  }

  async #openWatch(
    request: WatchedChanges,
    { timeoutMs, signal, background, silentMs }: OpenLimits & { readonly silentMs: number },
  ): Promise<WatchSource> {
    // A watch stays where it begins, and on a connection of its own it costs its node ten times as much. So all but the
    // first wait for the connection that is being made.
    const startedAt = performance.now()
    if (this.#firstWatch !== undefined)
      await this.#mux?.settled(this.#firstWatch, Math.min(WATCH_CONNECT_MS, timeoutMs / 2), background)
    const leftMs = Math.max(1, timeoutMs - (performance.now() - startedAt))
    const opening = this.#run(
      watch,
      { kind: 'watch', request },
      { background, streamSilenceMs: silentMs },
      { timeoutMs: leftMs, signal },
    )
    const settled = () => {}
    this.#firstWatch ??= opening.then(settled, settled)
    return watchSourceFrom(await opening, {
      values: request.values,
      silentMs,
      firstMs: this.#streamSilenceMs(leftMs),
      background,
    })
  }
}

/** Reports the metadata of answers to a read. */
const informing = (onAnswer: ((info: AnswerInfo) => void) | undefined): ClientCall['onAnswer'] =>
  onAnswer && ((head) => onAnswer(answerInfo(head)))
