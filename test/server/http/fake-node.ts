// A KvNode without consensus: the real state machine on rows in memory, and a few levers for what a cluster can be in.
// Nodes of one cluster share the state machine.

import { MemoryRows } from '../../../jepsen-lite/sim/world/memory-rows.ts'
import { countWhile } from '../../../jepsen-lite/workload/sorted.ts'
import {
  applyEntry,
  areTooManyKeys,
  attachedKey,
  attachmentRange,
  decodeVersion,
  encodeRequest,
  encodeState,
  initialState,
  isReadable,
  type KvState,
  LiveVersions,
  placesOfEntry,
  ROOT,
  requestKind,
  runSteps,
  SYSTEM_PRINCIPAL,
  versionKey,
  versionRange,
} from '../../../src/kv/index.ts'
import type { Outcome, RangeToRead, Request, Rows } from '../../../src/kv/types.ts'
import { TABLE_AUTH, TABLE_KEY_METADATA } from '../../../src/kv/types.ts'
import type { ReadGrant } from '../../../src/operations/forms/index.ts'
import {
  compareKeys,
  type KeyRange,
  type KeyRow,
  type KvSettings,
  type LeaseId,
  type ReadConsistency,
  type Revision,
} from '../../../src/operations/forms/index.ts'
import { encodeAppliedState } from '../../../src/raft/index.ts'
import type {
  Configuration,
  ConfigurationChange,
  LeaderLeaseSetting,
  RaftMember,
  RaftStatus,
  ReplicaId,
} from '../../../src/raft/types.ts'
import { asIndex, asReplicaId, asTerm } from '../../../src/raft/types.ts'
import { type Auth, AuthView } from '../../../src/server/node/apply/auth-view.ts'
import type { KvNode } from '../../../src/server/node/kv-node.ts'
import type { LeaseNow } from '../../../src/server/node/leases/lease-rows.ts'
import { leaseNow, scanKeysOfLease, scanLeases } from '../../../src/server/node/leases/lease-rows.ts'
import { type DriverLimits, driverLimits } from '../../../src/server/node/limits.ts'
import type { ReportKind } from '../../../src/server/node/network.ts'
import type { DriverStatus } from '../../../src/server/node/observe/status.ts'
import { MetadataScan } from '../../../src/server/node/read/metadata-scan.ts'
import type { ReadRequirements } from '../../../src/server/node/read/reads.ts'
import type { SlicedScan } from '../../../src/server/node/read/record-scan.ts'
import {
  getRecord,
  KeyScan,
  RecordScan,
  type RecordScanOptions,
} from '../../../src/server/node/read/record-scan.ts'
import type { Problem, Result } from '../../../src/server/node/result.ts'
import { systemClock } from '../../../src/server/node/system-clock.ts'
import {
  type PermittedWatch,
  type WatchCounts,
  type WatchHandle,
  WatchHub,
  type WatchSink,
} from '../../../src/server/node/watch/index.ts'
import { commandDigest } from '../../../src/server/node/write/command-digest.ts'

import type { Pair } from '../../../src/storage/engine.ts'
import { ALL_ROWS, hashOfRow, noEmptyRanges } from '../../../src/storage/index.ts'
import { keyString } from '../../../src/storage/keys.ts'

import type { PageLimits, Range, RowScan, Storage, StoredRow } from '../../../src/storage/types.ts'

type Done<T> = (result: Result<T>) => void

export class FakeNode implements KvNode {
  name = 'n1'
  clusterId = '4242'
  readonly term = asTerm(3)
  leaderName: string | undefined = 'n2'
  leaseTtlMsMin = 2000
  /** The times that leases have left, as the leader knows them. */
  readonly knownTtls = new Map<string, number>()
  configuration: Configuration = configurationOf(
    memberOf('n1', '1'),
    memberOf('n2', '2'),
    memberOf('n3', '3'),
  )
  leaderLeases: LeaderLeaseSetting = { on: false, durationMs: 500 }
  role: RaftStatus['role'] = 'follower'
  errors: readonly string[] = []
  certificates: DriverStatus['host']['certificates'] = []
  appliedIndex = 99
  /** The newest entry that another member has, as the leader knows. */
  matchIndex = (id: ReplicaId): number => 88 + Number(id)
  notReady: string[] = []

  /** Levers: what the next calls end in instead. */
  problem: Problem | undefined
  served: ReadConsistency | undefined
  stalenessMs: number | undefined
  /** Rows whose reading fails. */
  corrupt: ((key: Uint8Array) => boolean) | undefined
  headsAreInMemory = true

  /** The calls of the node, for tests of the arguments that it receives. */
  readonly asked: {
    readonly options?: ReadRequirements
    readonly request?: Request
    readonly timeoutMs: number
  }[] = []
  readonly changes: ConfigurationChange[] = []
  /** The reports of other members that were requested, and what each of them is. */
  readonly reported: (readonly [ReplicaId, ReportKind])[] = []
  report: Uint8Array = new Uint8Array()
  /** Reads without a result. */
  openReads = 0
  openScans = 0
  /** Rows that scans have read, and those of them with their values. */
  rowsRead = 0
  valuesRead = 0
  /** The error of unreadable rows that ranges skip. It is reported when they finish. */
  unread: Error | undefined
  /** Called before each slice of a range is read. */
  onSlice: (() => void) | undefined
  /** Called before a proposal is answered; the answer waits until it calls back. */
  hold: ((release: () => void) => void) | undefined

  readonly #waiting: (() => void)[] = []
  readonly #machine: Machine

  readonly #storage = {
    keyMetadata: (rowKey: Uint8Array) =>
      this.headsAreInMemory ? (this.#heads.get(rowKey) ?? ('absent' as const)) : undefined,
    scan: (range: Range) => this.scan(range),
    emptyRanges: noEmptyRanges,
    // Scans say 99. Rows may change while they are open.
    applied: { index: asIndex(100), term: asTerm(1), raft: NO_VALUE, kv: NO_VALUE },
    damaged: (what: string) => new Error(what),
  }

  constructor(settings: Partial<KvSettings> = {}, limits: Partial<DriverLimits> = {}, peer?: FakeNode) {
    this.#machine =
      peer === undefined
        ? new Machine(
            initialState(settings),
            { ...driverLimits, ...limits },
            {
              get: (rowKey) => this.#row(rowKey),
              scan: (range) => this.scan(range),
            },
          )
        : peer.#machine
  }

  /** Another node of its cluster. */
  createPeer(name: string): FakeNode {
    const peer = new FakeNode({}, {}, this)
    const { clusterId, leaderName, configuration } = this
    return Object.assign(peer, { name, clusterId, leaderName, configuration })
  }

  get state(): KvState {
    return this.#machine.state
  }

  set state(state: KvState) {
    this.#machine.state = state
  }

  get clusterTimeMs(): number {
    return this.#machine.clusterTimeMs
  }

  set clusterTimeMs(clusterTimeMs: number) {
    this.#machine.clusterTimeMs = clusterTimeMs
  }

  get watches(): WatchHub {
    return this.#machine.watches
  }

  /** The failures of the watches. */
  get watchFailures(): readonly unknown[] {
    return this.#machine.watchFailures
  }

  get #rows(): MemoryRows {
    return this.#machine.rows
  }

  get #heads(): MemoryRows {
    return this.#machine.heads
  }

  watch(request: PermittedWatch, sink: WatchSink): Result<WatchHandle> {
    return this.watches.open(request, sink)
  }

  /** Writes without HTTP. */
  put(key: string | Uint8Array, value: string | Uint8Array): void {
    const [keyBytes, valueBytes] = [Buffer.from(key), Buffer.from(value)]
    const command = {
      kind: 'put',
      key: keyBytes,
      value: valueBytes,
      condition: undefined,
      prev: false,
    } as const
    this.apply(command)
  }

  /** Any change, without HTTP, by the user root if rights are checked. */
  apply(command: Request['command']): void {
    this.applyAs(ROOT, command)
  }

  /** The same by any user. */
  applyAs(user: string, command: Request['command']): void {
    const { enabled, revision, state } = this.auth
    const origin = enabled
      ? { principal: user, authRevision: revision, madeAt: state.users.get(user)?.madeAt }
      : { principal: '' }
    this.#apply({ command, idempotency: undefined, ...origin })
  }

  get auth(): Auth {
    return this.#machine.auth.now
  }

  /** An empty store. */
  clear(state: KvState): void {
    this.#machine.clear(state)
  }

  /** Resolves when no scan is open. */
  scansClosed(): Promise<void> {
    return new Promise((resolve) => {
      if (this.openScans === 0) resolve()
      else this.#waiting.push(resolve)
    })
  }

  get revision(): Revision {
    return this.state.revision
  }

  get keys(): number {
    return this.state.keys
  }

  status(): DriverStatus {
    const { term, revision, leaderLeases, configuration, role, clusterId, name } = this
    const self = asReplicaId('1')
    const match = (id: ReplicaId) => ({
      id,
      match: asIndex(this.matchIndex(id)),
      next: asIndex(91),
      applied: asIndex(89),
      state: 'replicate' as const,
      inflightMessages: 0,
      paused: false,
      recentlyActive: true,
      lateSnapshots: 0,
    })
    const raft: RaftStatus = {
      id: self,
      role,
      term,
      vote: undefined,
      leader: this.leaderName === undefined ? undefined : asReplicaId('2'),
      commit: asIndex(100),
      applied: asIndex(this.appliedIndex),
      firstIndex: asIndex(7),
      lastIndex: asIndex(101),
      stableIndex: asIndex(101),
      configuration,
      leaderLeases,
      leaderLeaseValid: false,
      transferTarget: undefined,
      progress:
        role === 'leader'
          ? configuration.members.filter(({ id }) => id !== self).map(({ id }) => match(id))
          : [],
      reachesLeader: true,
      oldestWriteMs: 0,
      stalenessMs: this.stalenessMs,
    }
    const { settings } = this.state
    const { certificates, errors, notReady } = this
    return {
      name,
      clusterId,
      replicaId: self,
      raft,
      revision,
      settings,
      storeBytes: this.state.storeBytes,
      diskFreeBytes: 80 * 1024 ** 3,
      diskSpace: 'enough' as const,
      host: {
        diskTotalBytes: 100 * 1024 ** 3,
        certificates,
        lastBackupAgeMs: undefined,
        backupFailure: undefined,
      },
      stateHash: 0xabcdn,
      leases: { count: this.state.leases.count, expired: 0, inMemory: 0, inLog: 0 },
      errors,
      notReady,
    }
  }

  propose(request: Request, timeoutMs: number, done: Done<{ outcome: Outcome; replayed: boolean }>): void {
    this.asked.push({ request, timeoutMs })
    this.#later(() => {
      if (this.problem !== undefined) return { ok: false, problem: this.problem }
      const { outcome, replayed } = this.#apply(request)
      return { ok: true, value: { outcome, replayed } }
    }, done)
  }

  read(options: ReadRequirements, done: Done<ReadGrant>): () => void {
    this.asked.push({ options, timeoutMs: options.timeoutMs })
    let isOpen = true
    this.openReads++
    const end: Done<ReadGrant> = (result) => {
      if (!isOpen) return
      isOpen = false
      this.openReads--
      done(result)
    }
    this.#later(() => {
      if (this.problem !== undefined) return { ok: false, problem: this.problem }
      const served = this.served ?? options.consistency
      return {
        ok: true,
        value: {
          served,
          stalenessMs: served === 'stale' ? this.stalenessMs : undefined,
          revision: this.revision,
        },
      }
    }, end)
    return () =>
      end({ ok: false, problem: { code: 'cancelled', detail: 'the client has gone', written: 'no' } })
  }

  get history(): KvState['history'] {
    return this.state.history
  }

  get clientSessions(): KvState['clientSessions'] {
    return this.state.clientSessions
  }

  rows(): RowScan {
    return this.scan({ ...ALL_ROWS, reverse: false })
  }

  get(key: Uint8Array, done: (error: Error | undefined, record: KeyRow | undefined) => void): void {
    getRecord({ ...this.#storage, get: (rowKey) => this.#row(rowKey) }, key, done)
  }

  /** All records, in order. */
  records(): KeyRow[] {
    return this.#keysIn({ start: NO_VALUE, end: undefined }).map((key) => {
      let found: KeyRow | undefined
      this.get(key, (_, record) => {
        found = record
      })
      if (found === undefined) throw new Error('a key of which the node knows no record')
      return found
    })
  }

  list(options: RecordScanOptions): RecordScan {
    return new RecordScan(this.#storage, options)
  }

  listMetadata(options: RecordScanOptions): MetadataScan {
    return new MetadataScan(this.#storage, options)
  }

  listKeys(options: RecordScanOptions): KeyScan {
    return new KeyScan(this.#storage, options)
  }

  keepAlive(ids: readonly LeaseId[], timeoutMs: number, done: Done<readonly (number | undefined)[]>): void {
    this.asked.push({ timeoutMs })
    this.#later(() => {
      if (this.problem !== undefined) return { ok: false, problem: this.problem }
      const { outcome } = this.#apply({
        command: { kind: 'renew', ids },
        idempotency: undefined,
        principal: SYSTEM_PRINCIPAL,
      })
      if (outcome.kind !== 'renewed') throw new Error(`a renewal ended as ${outcome.kind}`)
      return { ok: true, value: outcome.ttlsMs }
    }, done)
  }

  lease(id: LeaseId): LeaseNow | undefined {
    const storage = { get: (rowKey: Uint8Array) => this.#row(rowKey) }
    return leaseNow(id, storage, this.state, this.clusterTimeMs, undefined)
  }

  remainingTtls(
    ids: readonly LeaseId[],
    _timeoutMs: number,
    done: (ttlsMs: (number | undefined)[]) => void,
  ): void {
    setImmediate(() => done(ids.map((id) => this.knownTtls.get(id))))
  }

  listLeases(after: LeaseId | undefined): SlicedScan<LeaseNow & { readonly id: LeaseId }> {
    const get = (rowKey: Uint8Array): Uint8Array | undefined => this.#row(rowKey)
    const storage = { get, scan: (range: Range) => this.scan(range) }
    return scanLeases(after, storage, this.state, this.clusterTimeMs, () => undefined)
  }

  keysOfLease(id: LeaseId): SlicedScan<Uint8Array> {
    return scanKeysOfLease({ scan: (range: Range) => this.scan(range) }, id)
  }

  #row(rowKey: Uint8Array): Uint8Array | undefined {
    if (this.corrupt?.(rowKey)) throw new Error('the CRC of a row does not hold')
    return this.#rows.get(rowKey)
  }

  scan(range: Range): RowScan {
    this.openScans++
    const pairs = pairsIn(this.#rows, range)
    const pages = new Pages(pairs, range)
    let isClosed = false
    const close = (): void => {
      if (isClosed) return
      isClosed = true
      this.openScans--
      if (this.openScans === 0) for (const resolve of this.#waiting.splice(0)) resolve()
    }
    const broken = (): Error | undefined => {
      const { corrupt } = this
      const isBroken = corrupt !== undefined && pairs.some(([key]) => corrupt(key))
      return isBroken ? new Error('the CRC of a row does not hold') : undefined
    }
    const kv = encodeState(this.state)
    const raft = encodeAppliedState({ configuration: this.configuration, leaderLeases: this.leaderLeases })
    return {
      applied: { index: asIndex(99), term: this.term, raft, kv },
      stateHash: 0xabcdn,
      next: (limits, done) => {
        this.onSlice?.()
        const error = broken()
        if (error !== undefined) setImmediate(done, error, [], false)
        else {
          const page = pages.next(limits)
          this.rowsRead += page[0].length
          this.valuesRead += page[0].filter(({ value }) => value.length > 0).length
          setImmediate(done, undefined, ...page)
        }
      },
      seek: (key, lt) => pages.seek(key, lt),
      finish: (done) => {
        close()
        setImmediate(done, this.unread)
      },
      close,
    }
  }

  change(change: ConfigurationChange, timeoutMs: number, done: Done<Configuration>): void {
    this.asked.push({ timeoutMs })
    this.#later(() => {
      if (this.problem !== undefined) return { ok: false, problem: this.problem }
      this.changes.push(change)
      this.#reconfigure(change)
      return { ok: true, value: this.configuration }
    }, done)
  }

  setLeaderLeases(setting: LeaderLeaseSetting, timeoutMs: number, done: Done<LeaderLeaseSetting>): void {
    this.asked.push({ timeoutMs })
    this.#later(() => {
      if (this.problem !== undefined) return { ok: false, problem: this.problem }
      this.leaderLeases = setting
      return { ok: true, value: setting }
    }, done)
  }

  requestReport(member: ReplicaId, kind: ReportKind, timeoutMs: number, done: Done<Uint8Array>): void {
    this.asked.push({ timeoutMs })
    this.reported.push([member, kind])
    this.#later(
      () =>
        this.problem === undefined ? { ok: true, value: this.report } : { ok: false, problem: this.problem },
      done,
    )
  }

  transfer(to: ReplicaId | undefined, timeoutMs: number, done: Done<{ readonly leader: string }>): void {
    this.asked.push({ timeoutMs })
    this.#later(() => {
      if (this.problem !== undefined) return { ok: false, problem: this.problem }
      this.leaderName = this.configuration.members.find(({ id }) => id === to)?.name ?? 'n3'
      return { ok: true, value: { leader: this.leaderName } }
    }, done)
  }

  #later<T>(result: () => Result<T>, done: Done<T>): void {
    const run = (): void => done(result())
    const { hold } = this
    setImmediate(hold === undefined ? run : () => hold(run))
  }

  #apply(request: Request) {
    const { kind, version } = requestKind(request)
    const body = encodeRequest(request, commandDigest).slice()
    const tableOf = (key: Uint8Array) => (key[0] === TABLE_KEY_METADATA ? this.#heads : this.#rows)
    const places = placesOfEntry(kind, version, body)
    const keys = new Map<RangeToRead, readonly Uint8Array[]>()
    for (const place of places)
      if ('start' in place) keys.set(place, this.#findIn(place).slice(0, place.keysMax))
    const found = [...keys.values()].flat()
    const keyBytes = found.reduce((sum, { length }) => sum + length, 0)
    const isTooMuch = areTooManyKeys(found.length, keyBytes, this.state.settings)
    const findNamed = (range: RangeToRead) => {
      const named = [...keys.keys()].find((other) => isSame(other, range))
      if (named === undefined) throw new Error('a range that the entry does not name')
      return isTooMuch ? undefined : keys.get(named)
    }
    const rows: Rows = {
      read: (key) => {
        const row = tableOf(key).get(key)
        return row && { bytes: row, length: row.length, ...hashOf(key, row) }
      },
      inRange: findNamed,
      versionsIn: findNamed,
      attached: (lease) =>
        pairsIn(this.#rows, { ...attachmentRange(lease), reverse: false }).map(
          ([key]) => new Uint8Array(attachedKey(key)),
        ),
      write: ({ key, value, rest = new Uint8Array() }) => {
        if (key[0] === TABLE_AUTH) this.#machine.auth.rowChanged(key)
        if (value === undefined) {
          tableOf(key).edit([[keyString(key), undefined]])
          return { mix: 0, crc: 0 }
        }
        const row = Buffer.concat([value, rest])
        tableOf(key).edit([[keyString(key), [new Uint8Array(key), row]]])
        return hashOf(key, row)
      },
    }
    const applied = applyEntry(kind, version, body, this.clusterTimeMs, this.state, rows)
    this.state = applied.state
    const steps = this.watches.applied(applied.state)
    if (steps !== undefined) runSteps(steps)
    return applied
  }

  /** The users' keys in a range, in order; at a revision the keys of the rows of their versions. */
  #findIn(range: RangeToRead): Uint8Array[] {
    const { revision } = range
    if (revision === undefined) return this.#keysIn(range)
    if (!isReadable(revision, this.state)) return []
    const live = new LiveVersions(revision, false, decodeVersion)
    const rows = pairsIn(this.#rows, { ...versionRange(range), reverse: false })
    return [...rows.map(([key, row]) => live.take(key, row)), live.end()]
      .filter((record) => record !== undefined)
      .map(({ key, modRevision }) => versionKey(key, modRevision))
  }

  #keysIn({ start, end }: KeyRange): Uint8Array[] {
    const gte = Buffer.from([TABLE_KEY_METADATA, ...start])
    const lt =
      end === undefined ? Buffer.from([TABLE_KEY_METADATA + 1]) : Buffer.from([TABLE_KEY_METADATA, ...end])
    return pairsIn(this.#heads, { gte, lt, reverse: false }).map(([key]) => key.subarray(1))
  }

  #reconfigure(change: ConfigurationChange): void {
    if (change.kind !== 'change') return
    let { members, voters, learners } = this.configuration
    for (const step of change.steps) {
      if (step.kind === 'remove') {
        members = members.filter(({ id }) => id !== step.id)
        voters = voters.filter((id) => id !== step.id)
      } else if (step.kind === 'update') {
        members = members.map((member) => (member.id === step.member.id ? step.member : member))
      } else if (step.kind === 'add-learner') {
        members = [...members, step.member]
        learners = [...learners, step.member.id]
      }
    }
    this.configuration = { ...this.configuration, members, voters, learners }
  }
}

/** The state machine that the nodes of a cluster share. */
class Machine {
  state: KvState
  clusterTimeMs = 0
  rows = new MemoryRows()
  heads = new MemoryRows()
  readonly auth = new AuthView({ get: (rowKey) => this.rows.get(rowKey) }, this)
  readonly watches: WatchHub
  readonly watchFailures: unknown[] = []

  constructor(state: KvState, limits: DriverLimits, storage: Pick<Storage, 'get' | 'scan'>) {
    this.state = state
    const lifecycle = { fail: (error: unknown) => void this.watchFailures.push(error) }
    this.watches = new WatchHub({ clock: systemClock, limits, storage, state, lifecycle })
  }

  clear(state: KvState): void {
    this.state = state
    this.rows = new MemoryRows()
    this.heads = new MemoryRows()
    this.auth.replaced()
    this.watches.replaced(state)
  }
}

const NO_VALUE = new Uint8Array()

const isSame = (a: RangeToRead, b: RangeToRead): boolean =>
  a.keysMax === b.keysMax &&
  a.revision === b.revision &&
  compareKeys(a.start, b.start) === 0 &&
  (a.end === undefined || b.end === undefined ? a.end === b.end : compareKeys(a.end, b.end) === 0)

function hashOf(key: Uint8Array, row: Uint8Array) {
  const { mix, crc } = hashOfRow(key, row)
  return { mix, crc }
}

const pairsIn = (rows: MemoryRows, { gte, lt, reverse, keysOnly = false }: Range): Pair[] =>
  rows.scan({ gte, lt, reverse, keysOnly }).next(Number.POSITIVE_INFINITY)

/** Rows, page by page. */
class Pages {
  readonly #pairs: readonly Pair[]
  readonly #range: Range
  #at = 0
  #end: number

  constructor(pairs: readonly Pair[], range: Range) {
    this.#pairs = pairs
    this.#range = range
    this.#end = pairs.length
  }

  /** The next page, and whether rows are left. */
  next({ rowsMax, bytesMax }: PageLimits): [StoredRow[], boolean] {
    const page: StoredRow[] = []
    let bytes = 0
    for (const [key, row] of this.#pairs.slice(this.#at, Math.min(this.#end, this.#at + rowsMax))) {
      const value = this.#range.keysOnly ? NO_VALUE : row
      bytes += key.length + value.length
      if (page.length > 0 && bytes > bytesMax) break
      page.push({ key, value })
    }
    this.#at += page.length
    return [page, this.#at < this.#end]
  }

  /** Continues at `key`, and ends before `lt`. */
  seek(key: Uint8Array, lt?: Uint8Array): void {
    this.#at = this.#firstFrom(key)
    if (lt !== undefined) this.#end = Math.max(this.#at, this.#firstFrom(lt))
  }

  /** In falling order, of the pairs before `key`. */
  #firstFrom(key: Uint8Array): number {
    const { reverse } = this.#range
    return countWhile(this.#pairs, ([other]) => Buffer.compare(other, key) < 0 !== reverse)
  }
}

export function memberOf(name: string, id: string): RaftMember {
  return { id: asReplicaId(id), name, peer: `127.0.0.1:70${id}`, url: `http://127.0.0.1:80${id}` }
}

const configurationOf = (...members: RaftMember[]): Configuration => ({
  voters: members.map(({ id }) => id),
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  members,
  demoted: [],
  removed: [],
})

/** For metrics. */
export const NO_WATCHES: WatchCounts = {
  open: 0,
  behind: 0,
  slow: 0,
  eventsTotal: 0,
  slowTotal: 0,
  compactedTotal: 0,
}
