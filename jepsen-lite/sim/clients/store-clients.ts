// Clients of the whole store: transactions, deletes of ranges, reads at a revision, compaction, leases. They use keys
// of their own, so that the history of single keys stays one of single keys. Every answer is compared with the replayed
// log at once. What leases were promised is kept for checker/leases, and what list-append transactions have read and
// written is a history of its own, for checker/transactions, which does not know the log.

import type { Command, Outcome } from '../../../src/kv/index.ts'
import type { AuthChange } from '../../../src/kv/types.ts'
import {
  asRevision,
  type KeyRow,
  type KvSettings,
  type LeaseId,
  type Permission,
  type PutLease,
  type Where,
} from '../../../src/operations/forms/index.ts'
import type {
  BatchedCommand,
  KvComparison,
  KvTxn,
  KvTxnOperation,
  KvTxnOperationResult,
} from '../../../src/operations/index.ts'
import type { Driver } from '../../../src/server/node/driver.ts'
import type { ReadRequirements } from '../../../src/server/node/read/reads.ts'
import type { LeaseChange, LeasePromise } from '../../checker/leases/index.ts'
import type { OperationEnd, Recorder } from '../../workload/history.ts'
import { Random } from '../../workload/random.ts'
import {
  appendToLists,
  type KnownList,
  readLists,
  recordTransaction,
  type StoreTransaction,
} from '../../workload/transaction.ts'
import { bytes, text } from '../oracle/model-row.ts'
import { DRAW } from '../schedule/random-purposes.ts'
import type { ScheduledOp } from '../schedule/schedule.ts'
import type { Machine, Process } from '../world/process.ts'
import type { SimWorld } from '../world/world.ts'
import { type Clients, isSameRow, type Lane, type Requester } from './clients.ts'
import { DAMAGED, unlessDamaged } from './damaged-read.ts'
import { linearizable } from './null-requests.ts'
import { SimWatchers } from './watchers.ts'

/** How many lists there are. */
const LISTS = 3
/** Lists do not grow further: every read would be longer. */
const LIST_BYTES_MAX = 250
/** Leases that clients remember. */
const KNOWN_MAX = 6

/** Users and roles whose rights change. */
const USERS = 3
const ROLES = 3

/** A requester whose requests are drawn from the numbers of the operation alone. */
interface DrawnRequester extends Requester {
  readonly rng: Random
}

export class StoreClients {
  readonly #world: SimWorld
  readonly #clients: Clients
  readonly #transactions: Recorder
  readonly #lanes: Lane[]
  readonly watchers: SimWatchers
  readonly promises: LeasePromise[] = []
  /** When the cluster had converged after the last fault. */
  calmAt: number | undefined
  /** Whether a client has requested a lease. */
  hasLeases = false
  /** Leases that clients were granted and that have not ended. */
  readonly #granted = new Map<string, { readonly client: string; readonly ttlMs: number }>()
  /** Ids of leases that were granted. The oldest first. */
  #leases: LeaseId[] = []
  /** The last seen record of each key; a key that was not there is not in it. */
  readonly #seen = new Map<string, KeyRow>()
  #sent = 0

  constructor(world: SimWorld, clients: Clients, transactions: Recorder, count: number) {
    this.#world = world
    this.#clients = clients
    this.#transactions = transactions
    this.#lanes = Array.from({ length: count }, (_, at) => ({ name: `s${at + 1}`, busy: false }))
    this.watchers = new SimWatchers(world, clients)
    world.invariants.model.onLeaseChanges = (changes) => this.#noteEnds(changes)
  }

  /** Returns whether a process was asked. */
  run(op: ScheduledOp, machine: Machine | undefined): boolean {
    const process = machine?.process
    const driver = process?.driver
    if (process === undefined || driver === undefined) return false
    const rng = new Random(op.x, DRAW.store, op.key)
    if (op.kind === 'watch') return this.watchers.begin(process, driver, rng)
    if (op.kind === 'unwatch') return this.watchers.move(op.client, process.machine)
    const lane = this.#lanes[op.client % this.#lanes.length]
    if (lane === undefined || lane.busy) return false
    return this.#runOperation({ lane, process, driver, rng }, op)
  }

  #runOperation(requester: DrawnRequester, op: ScheduledOp): boolean {
    switch (op.kind) {
      case 'txn':
        this.#propose(requester, { kind: 'txn', txn: this.#drawTxn(requester, 1) }, (outcome) => {
          if (outcome.kind === 'txn') for (const result of outcome.results) this.#rememberRecords(result)
        })
        return true
      case 'append':
        this.#growLists(requester)
        return true
      case 'delete-range': {
        const where = this.#drawRange(requester.rng)
        this.#propose(requester, { kind: 'delete-range', range: where }, () => {})
        return true
      }
      case 'read-at':
        if (op.x % 4 === 0) this.#readLease(requester)
        else this.#readAt(requester)
        return true
      case 'compact': {
        const { revision, history } = requester.driver
        const to = requester.rng.int(history.compacted, revision + 2)
        this.#propose(requester, { kind: 'compact', revision: asRevision(to) }, (outcome) => {
          if (outcome.kind === 'compacted') this.#world.probeCoverage.hit('history compacted by a client')
        })
        return true
      }
      case 'history':
        this.#propose(requester, { kind: 'settings', settings: drawSettings(requester.rng) }, () => {})
        return true
      case 'grant':
        this.#grant(requester)
        return true
      case 'attach':
        this.#attach(requester)
        return true
      case 'keep-alive':
        return this.#keepAlive(requester)
      case 'permitted':
        this.#proposeAsUser(requester, `user${op.client % USERS}`)
        return true
      case 'rights': {
        const change = unlessDamaged(() => this.#drawAuthChange(requester))
        if (change === DAMAGED) return false
        this.#propose(requester, { kind: 'auth', ifRevision: undefined, change }, () => {})
        return true
      }
      case 'revoke': {
        const id = this.#pickLease(requester.rng)
        if (id === undefined) return false
        this.#propose(requester, { kind: 'revoke', id }, () => {})
        return true
      }
      default:
        return false
    }
  }

  #propose(
    requester: Requester,
    command: Parameters<Driver['propose']>[0]['command'],
    done: (outcome: Outcome) => void,
    notDone: () => void = () => {},
    user = requester.lane.name,
  ): void {
    const principal = `${user}.${this.#sent++}`
    this.#clients.propose(requester, { command, idempotency: undefined, principal }, (outcome) => {
      if (outcome?.kind === 'refused') this.#noteLimit(outcome.code)
      if (outcome === undefined) notDone()
      else done(outcome)
    })
  }

  #noteLimit(code: string): void {
    if (code === 'range_too_large')
      this.#world.probeCoverage.hit('refused for the keys of its ranges or lease')
    if (code === 'storage_full') this.#world.probeCoverage.hit('request to the whole store refused as full')
  }

  // ---- users with rights

  /** A change on the keys of all clients. */
  #proposeAsUser(requester: DrawnRequester, user: string): void {
    const { rng } = requester
    const value = (): BatchedCommand => ({
      kind: 'put',
      key: bytes(this.#drawKey(rng)),
      value: bytes(this.#drawValue(rng)),
      condition: undefined,
      prev: false,
    })
    const drawn: readonly [() => Command, ...(() => Command)[]] = [
      value,
      value,
      () => ({ ...value(), prev: true }),
      () => ({ kind: 'batch', commands: [value(), value()] }),
      () => ({ kind: 'delete', key: bytes(this.#drawKey(rng)), condition: undefined, prev: false }),
      () => ({ kind: 'delete-range', range: this.#drawRange(rng) }),
      () => ({ kind: 'txn', txn: this.#drawTxn(requester, 1) }),
      () => ({ ...value(), lease: this.#drawLease(requester) }),
      () => ({ kind: 'batch', commands: [value(), { ...value(), lease: this.#drawLease(requester) }] }),
      () => ({ kind: 'grant', id: undefined, ttlMs: this.#drawTtlMs(requester) }),
      () => ({ kind: 'revoke', id: this.#pickLease(rng) ?? ('1' as LeaseId) }),
    ]
    const command = rng.pick(drawn)()
    const permitted = (outcome: Outcome): void => {
      if (outcome.kind !== 'refused' && unlessDamaged(() => requester.driver.auth.enabled) === true)
        this.#world.probeCoverage.hit('change by a user with the right')
      if (outcome.kind === 'granted') this.#rememberLease(outcome.lease)
    }
    this.#propose(requester, command, permitted, () => {}, user)
  }

  /** First there must be root, and rights must be checked. */
  #drawAuthChange({ rng, driver }: DrawnRequester): AuthChange {
    const { enabled, state } = driver.auth
    if (!state.users.has('root'))
      return { kind: 'put-user', name: 'root', passwordHash: 'hash', roles: ['root'] }
    if (!enabled && rng.chance(0.8))
      return {
        kind: 'enable',
        rootHasCertificate: false,
        tokenKey: bytes('t'.repeat(32)),
        leaseIdKey: bytes('l'.repeat(16)),
      }
    const [user, role] = [`user${rng.below(USERS)}`, `role${rng.below(ROLES)}`]
    const kind = rng.below(14)
    if (kind === 0) return { kind: 'disable' }
    if (kind === 1) return { kind: 'delete-user', name: user }
    if (kind === 2) return { kind: 'delete-role', name: role }
    if (kind < 8) return { kind: 'put-role', name: role, permissions: this.#drawPermissions(rng) }
    if (kind === 8) return { kind: 'put-user', name: user, passwordHash: 'hash', roles: undefined }
    const roles = [...state.roles.keys()].filter(() => rng.chance(0.7))
    return { kind: 'put-user', name: user, passwordHash: undefined, roles }
  }

  #drawPermissions(rng: Random): Permission[] {
    return Array.from({ length: rng.pick([0, 1, 1, 2, 3]) }, () => ({
      access: rng.pick(['readwrite', 'readwrite', 'write', 'read'] as const),
      range: rng.chance(0.4) ? { start: bytes('b'), end: bytes('c') } : this.#drawRange(rng),
    }))
  }

  // ---- transactions

  #drawKey(rng: Random): string {
    return `b${rng.below(this.#world.config.keys + 1)}`
  }

  #drawRange(rng: Random): { readonly start: Uint8Array; readonly end: Uint8Array } {
    const [start, end] = rng.pick([
      ['b', 'c'],
      ['b', this.#drawKey(rng)],
      [this.#drawKey(rng), 'c'],
      [this.#drawKey(rng), `${this.#drawKey(rng)}~`],
    ] as const)
    return { start: bytes(start), end: bytes(end) }
  }

  #drawWhere(rng: Random, ranges: number): Where {
    return rng.chance(ranges) ? this.#drawRange(rng) : { key: bytes(this.#drawKey(rng)) }
  }

  #drawTxn(requester: DrawnRequester, depth: number): KvTxn {
    const { rng } = requester
    const operations = (most: number): KvTxnOperation[] =>
      Array.from({ length: rng.below(most + 1) }, () => this.#drawOperation(requester, depth))
    return {
      compare: Array.from({ length: rng.pick([0, 1, 1, 1, 2]) }, () => this.#drawComparison(rng)),
      success: operations(4),
      failure: operations(3),
    }
  }

  /** About as often true as not. */
  #drawComparison(rng: Random): KvComparison {
    const where = this.#drawWhere(rng, 0.3)
    const seen = 'key' in where ? this.#seen.get(text(where.key)) : undefined
    const op = rng.pick(['=', '=', '=', '!=', '<', '>'] as const)
    switch (rng.below(5)) {
      case 0:
        return { where, op, target: 'value', to: seen?.value ?? bytes('s') }
      case 1:
        return { where, op, target: 'version', to: seen?.version ?? rng.below(2) }
      case 2:
        return { where, op, target: 'create_revision', to: seen?.createRevision ?? 0 }
      case 3:
        return { where, op, target: 'lease', to: rng.chance(0.5) ? seen?.lease : this.#pickLease(rng) }
      default:
        return { where, op, target: 'mod_revision', to: seen?.modRevision ?? 0 }
    }
  }

  #drawOperation(requester: DrawnRequester, depth: number): KvTxnOperation {
    const { rng } = requester
    const kind = rng.below(8)
    if (kind < 3)
      return {
        kind: 'put',
        key: bytes(this.#drawKey(rng)),
        prev: rng.chance(0.3),
        value: bytes(this.#drawValue(rng)),
        lease: rng.chance(0.3) ? this.#drawLease(requester) : undefined,
      }
    if (kind === 3) return { kind: 'delete', where: this.#drawWhere(rng, 0.4), prev: rng.chance(0.3) }
    if (kind === 4 && depth > 0) return { kind: 'txn', txn: this.#drawTxn(requester, depth - 1) }
    const { revision, history } = requester.driver
    return {
      kind: 'get',
      where: this.#drawWhere(rng, 0.5),
      limit: rng.pick([undefined, undefined, 1, 3]),
      keysOnly: rng.chance(0.2),
      count: rng.chance(0.3),
      countOnly: rng.chance(0.1),
      // Rarely: a revision that cannot be read refuses the whole transaction.
      revision: rng.chance(0.1) ? asRevision(rng.int(history.compacted, revision + 1)) : undefined,
    }
  }

  #drawValue(rng: Random): string {
    return `s${this.#sent}.${rng.below(1000)}`.padEnd(rng.pick([0, 0, 0, 40, 200]), '~')
  }

  #rememberRecords(result: KvTxnOperationResult): void {
    if (result.kind === 'txn') for (const each of result.results) this.#rememberRecords(each)
    if (result.kind !== 'get') return
    for (const row of result.found?.records ?? [])
      if (row.value.length > 0) this.#seen.set(text(row.key), row)
  }

  // ---- lists, which grow at their ends

  /** First reads some lists, then adds an element to one or two of them, if they are still as they were. */
  #growLists(requester: DrawnRequester): void {
    const { rng } = requester
    const keys = rng
      .shuffled(Array.from({ length: LISTS }, (_, at) => `a${at}`))
      .slice(0, rng.int(1, LISTS + 1))
    this.#transact(requester, readLists(this.#sent, keys), (lists) => {
      if (lists.some(({ value }) => value.length > LIST_BYTES_MAX) || rng.chance(0.2)) return
      const grown = lists.slice(0, rng.int(1, Math.min(2, keys.length) + 1))
      if (requester.lane.busy || requester.process.serving === undefined) return
      const element = `${requester.lane.name}.${this.#sent},`
      this.#transact(requester, appendToLists(this.#sent, keys, grown, element))
    })
  }

  /** `done`: the lists as they were read. */
  #transact(
    requester: DrawnRequester,
    txn: StoreTransaction,
    done: (lists: readonly KnownList[]) => void = () => {},
  ): void {
    const { lane, process } = requester
    const record = recordTransaction(this.#transactions, lane.name, process.name, txn)
    const end = (outcome: Outcome): void => {
      record(operationEnds(outcome, txn))
      if (outcome.kind !== 'txn') return
      this.#world.probeCoverage.hit(
        outcome.succeeded ? 'transaction succeeded' : 'transaction whose comparison failed',
      )
      done(
        txn.steps.flatMap(({ f, key }, at) => {
          const row = f === 'get' ? firstRow(outcome.results[at]) : undefined
          if (f !== 'get') return []
          return { key, value: row === undefined ? '' : text(row.value), revision: row?.modRevision ?? 0 }
        }),
      )
    }
    this.#propose(requester, { kind: 'txn', txn: kvTxnFrom(txn) }, end, () => record([]))
  }

  // ---- reads

  #drawReadOptions(rng: Random): ReadRequirements {
    const { timeoutMs } = this.#world.config
    return {
      ...linearizable(timeoutMs),
      consistency: rng.pick(['linearizable', 'linearizable', 'stale']),
    }
  }

  #readAt(requester: DrawnRequester): void {
    const { process, driver, rng } = requester
    const clients = this.#clients
    clients.read(requester, this.#drawReadOptions(rng), (index, grant, open) => {
      const { model } = this.#world.invariants
      const compactRevision = driver.history.compacted
      if (compactRevision !== model.compactedAt(index))
        throw clients.wrong(
          'KV-21',
          `${process.name} is compacted up to ${compactRevision} at ${index}, the log says ${model.compactedAt(index)}`,
        )
      const revision = rng.int(compactRevision, grant.revision + 1)
      const { start, end } = this.#drawRange(rng)
      const keysOnly = revision % 2 === 1
      const list = {
        op: {
          f: 'range',
          start: text(start),
          end: text(end),
          order: rng.pick(['asc', 'desc']),
          ...(keysOnly && { keysOnly }),
        },
        rowsMax: rng.pick([512, 1, 2]),
        bytesMax: rng.pick([1 << 20, 150]),
      } as const
      clients.list(open, driver, list, revision, ({ rows }) => {
        const expected = model.keys
          .filter(
            (key) => key >= list.op.start && key < list.op.end && model.atRevision(key, revision) !== null,
          )
          .sort()
        if (list.op.order === 'desc') expected.reverse()
        const keys = rows.map(({ key }) => text(key))
        const differs = rows.find((row) => {
          const atRevision = model.atRevision(text(row.key), revision)
          const value = keysOnly ? atRevision?.value : text(row.value)
          return !isSameRow({ ...row, value: value ?? '' }, atRevision)
        })
        if (keys.join() !== expected.join() || differs !== undefined)
          throw clients.wrong(
            'KV-20',
            `${process.name} reads ${keys.join()} at revision ${revision}, the log says ${expected.join()}${differs === undefined ? '' : `; ${text(differs.key)} differs`}`,
          )
        if (revision < grant.revision) this.#world.probeCoverage.hit('read at an earlier revision')
        clients.end(open)
      })
    })
  }

  /** Whether there is a lease, and how long it lives. */
  #readLease(requester: DrawnRequester): void {
    const { process, driver, rng } = requester
    const id = this.#pickLease(rng)
    const options = { ...this.#drawReadOptions(rng), consistency: 'linearizable' } as const
    this.#clients.read(requester, options, (index, _grant, open) => {
      if (id !== undefined) this.#compareLease(process, driver, id, index)
      this.#clients.end(open)
    })
  }

  #compareLease(process: Process, driver: Driver, id: LeaseId, index: number): void {
    const lives = this.#world.invariants.model
      .livesOfLease(id)
      .some(({ from, to }) => from <= index && index < to)
    const found = driver.lease(id)
    if ((found !== undefined && !found.isEnding) === lives) return
    throw this.#clients.wrong(
      'KV-23',
      `${process.name} says at ${index} that lease ${id} ${lives ? 'does not exist' : 'exists'}, the log says otherwise`,
    )
  }

  // ---- leases

  #pickLease(rng: Random): LeaseId | undefined {
    return this.#leases[rng.below(Math.max(1, this.#leases.length))]
  }

  #rememberLease(id: LeaseId): void {
    this.#leases = [...this.#leases.filter((known) => known !== id), id].slice(-KNOWN_MAX)
  }

  #drawTtlMs({ rng, driver }: DrawnRequester): number {
    return Math.max(Math.ceil(driver.leaseTtlMsMin), 1000) + rng.pick([0, 0, 1000, 5000, 15_000])
  }

  /** Lease of a put: one of its own, or a known one. */
  #drawLease(requester: DrawnRequester): PutLease | undefined {
    if (requester.rng.chance(0.2)) {
      this.hasLeases = true
      return { ttlMs: this.#drawTtlMs(requester) }
    }
    const id = this.#pickLease(requester.rng)
    return id === undefined ? undefined : { id }
  }

  #grant(requester: DrawnRequester): void {
    const { rng } = requester
    const ttlMs = this.#drawTtlMs(requester)
    const id = rng.chance(0.2) ? (String(1 + rng.below(3)) as LeaseId) : undefined
    this.grant(requester, { id, ttlMs })
  }

  /**
   * `done` receives the id of the lease; undefined: the grant was refused, or its outcome is unknown. `user`: the name
   * under which it is requested. A client that sends other requests too needs another name for its leases.
   */
  grant(
    requester: Requester,
    { id, ttlMs, user }: { readonly id: LeaseId | undefined; readonly ttlMs: number; readonly user?: string },
    done: (lease?: LeaseId) => void = () => {},
  ): void {
    const askedMs = this.#world.time.now
    this.hasLeases = true
    const { name } = requester.process
    this.#propose(
      requester,
      { kind: 'grant', id, ttlMs },
      (outcome) => {
        if (outcome.kind === 'granted') {
          this.promises.push({
            id: outcome.lease,
            ttlMs,
            askedMs,
            grantedMs: this.#world.time.now,
            node: name,
          })
          this.#rememberLease(outcome.lease)
          const client = requester.lane.name
          this.#granted.set(outcome.lease, { client, ttlMs })
          this.#world.say(requester.process, { kind: 'lease', client, what: 'granted', ttlMs })
        }
        done(outcome.kind === 'granted' ? outcome.lease : undefined)
      },
      done,
      user,
    )
  }

  /** The keys of a lease are deleted before it ends. */
  #noteEnds(changes: readonly LeaseChange[]): void {
    let keys: string[] = []
    for (const change of changes) {
      if (change.what === 'deleted') keys.push(change.key)
      else if (change.what === 'expired' || change.what === 'revoked') {
        const { id, what } = change
        const granted = this.#granted.get(id)
        if (granted !== undefined) this.#world.say(undefined, { kind: 'lease', ...granted, what, keys })
        this.#granted.delete(id)
        keys = []
      }
    }
  }

  #attach(requester: DrawnRequester): void {
    const { rng, process } = requester
    const key = this.#drawKey(rng)
    const prev = rng.chance(0.2)
    if (rng.chance(0.15)) {
      this.#propose(requester, { kind: 'delete', key: bytes(key), condition: undefined, prev }, () => {})
      return
    }
    const lease = rng.chance(0.8) ? this.#drawLease(requester) : undefined
    const askedMs = this.#world.time.now
    const value = bytes(this.#drawValue(rng))
    this.#propose(
      requester,
      { kind: 'put', key: bytes(key), value, condition: undefined, prev, lease },
      (outcome) => {
        if (outcome.kind !== 'put') return
        if (lease !== undefined) this.#world.probeCoverage.hit('key attached to a lease')
        const own = this.#world.invariants.model.atRevision(key, outcome.modRevision)?.lease
        if (lease !== undefined && 'ttlMs' in lease && own !== undefined)
          this.promises.push({ id: own, ttlMs: lease.ttlMs, askedMs, node: process.name })
      },
    )
  }

  #keepAlive(requester: DrawnRequester): boolean {
    const ids = this.#leases.filter(() => requester.rng.chance(0.6))
    if (ids.length > 0) this.keepAlive(requester, ids)
    return ids.length > 0
  }

  /** `done` receives the time to live of each lease; undefined: it has ended. It is not called without an answer. */
  keepAlive(
    requester: Requester,
    ids: readonly LeaseId[],
    done: (ttls: readonly (number | undefined)[]) => void = () => {},
  ): void {
    const { process, driver } = requester
    const { time, config, probeCoverage, invariants } = this.#world
    const askedMs = time.now
    const { floor } = this.#clients
    const open = this.#clients.begin(requester)
    driver.keepAlive(ids, config.timeoutMs, (result) => {
      if (!result.ok) return this.#clients.end(open, result.problem.code)
      for (const [at, id] of ids.entries()) {
        const ttlMs = result.value[at]
        const lives = invariants.model.livesOfLease(id)
        if (ttlMs === undefined) {
          if (lives.some(({ from, to }) => from <= floor && to === Number.POSITIVE_INFINITY))
            throw this.#clients.wrong(
              'KV-24',
              `${process.name} says that there is no lease ${id}, the log says otherwise`,
            )
          continue
        }
        if (lives.every(({ to }) => to <= floor))
          throw this.#clients.wrong(
            'KV-24',
            `${process.name} keeps lease ${id} alive, which had ended before; ${floor} was known before the request`,
          )
        probeCoverage.hit('lease kept alive')
        this.promises.push({ id, ttlMs, askedMs, node: process.name })
        this.#world.say(process, { kind: 'lease', client: requester.lane.name, what: 'kept alive', ttlMs })
      }
      this.#clients.end(open)
      done(result.value)
    })
  }
}

/** A transaction of a workload, as the store has it. */
function kvTxnFrom({ unchanged, steps, before }: StoreTransaction): KvTxn {
  const operations = steps.map(({ key: name, ...step }): KvTxnOperation => {
    const key = bytes(name)
    if (step.f === 'get')
      return {
        kind: 'get',
        where: { key },
        limit: undefined,
        keysOnly: false,
        count: false,
        countOnly: false,
      }
    if (step.f === 'del') return { kind: 'delete', where: { key }, prev: false }
    const value = step.f === 'append' ? `${before.get(name) ?? ''}${step.value}` : step.value
    return { kind: 'put', key, prev: false, value: bytes(value) }
  })
  return {
    compare: [...unchanged].map(([key, to]) => ({
      where: { key: bytes(key) },
      op: '=',
      target: 'mod_revision',
      to,
    })),
    success: operations,
    failure: unchanged.size === 0 ? [] : operations.filter(({ kind }) => kind === 'get'),
  }
}

/** One end for each of its operations. */
function operationEnds(outcome: Outcome, { steps, before }: StoreTransaction): OperationEnd[] {
  if (outcome.kind !== 'txn') return steps.map(() => ({ kind: 'fail', why: outcome.kind }))
  const { results, succeeded, revision } = outcome
  return steps.map(({ f, key, ...step }, at): OperationEnd => {
    const result = results[at]
    if (f === 'get') {
      const row = firstRow(result)
      const read =
        row === undefined ? { value: null } : { value: text(row.value), modRevision: row.modRevision }
      return { kind: 'ok', result: read }
    }
    if (!succeeded || result?.kind !== 'put' || !('value' in step)) return { kind: 'fail', why: 'compared' }
    const { modRevision, version } = result
    const value = `${before.get(key) ?? ''}${step.value}`
    return { kind: 'ok', result: { value, modRevision, version, revision } }
  })
}

const firstRow = (result: KvTxnOperationResult | undefined): KeyRow | undefined =>
  result?.kind === 'get' ? result.found?.records[0] : undefined

/** Settings: retention of history, interval of cluster time, limits of keys and leases. */
function drawSettings(rng: Random): Partial<KvSettings> {
  switch (rng.below(6)) {
    case 0:
      return { historyRevisionsMax: rng.pick([1, 5, 20, 100_000]) }
    case 1:
      return { historyAgeMs: rng.pick([1000, 10_000, 3_600_000]) }
    case 2:
      return { historyBytesMax: rng.pick([0, 2000, 2 ** 30]) }
    case 3:
      return { rangeKeysMax: rng.pick([1, 3, 6, 10_000, 10_000]) }
    case 4:
      return { leasesMax: rng.pick([0, 2, 4, 1_000_000, 1_000_000]) }
    default:
      return { leaseCheckpointMs: rng.pick([100, 1000, 3000, 5000]) }
  }
}
