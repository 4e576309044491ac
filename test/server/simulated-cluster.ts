// The simulator's cluster (jepsen-lite/sim), driven by a test in place of schedule, faults and clients. The test
// advances time, calls the drivers and injects faults. The wires lose what the test says, the clocks are equal, and
// limits and timeouts have their defaults. The simulator's checks after every event run here too, and the first
// violation fails the test.

import { bytes, text } from '../../jepsen-lite/sim/oracle/model-row.ts'
import type { SimConfig } from '../../jepsen-lite/sim/schedule/config.ts'
import { SimCluster } from '../../jepsen-lite/sim/world/cluster.ts'
import type { InFlight } from '../../jepsen-lite/sim/world/disk.ts'
import type { CutMode } from '../../jepsen-lite/sim/world/network.ts'
import { type NodeLimits, usualLimits } from '../../jepsen-lite/sim/world/node-limits.ts'
import type { Machine, Process } from '../../jepsen-lite/sim/world/process.ts'
import { IO } from '../../jepsen-lite/sim/world/time.ts'
import { Recorder } from '../../jepsen-lite/workload/history.ts'
import type { Command, Outcome } from '../../src/kv/index.ts'
import type {
  KeyRow,
  KvSettings,
  LeaseId,
  PutLease,
  ReadConsistency,
  ReadGrant,
} from '../../src/operations/forms/index.ts'
import type { BatchedCommand } from '../../src/operations/index.ts'
import type { Message, ReplicaId } from '../../src/raft/index.ts'
import { Driver } from '../../src/server/node/driver.ts'
import type { DriverOptions } from '../../src/server/node/driver-options.ts'
import { raftLimits, raftTiming } from '../../src/server/node/limits.ts'
import type { Network, ReportKind } from '../../src/server/node/network.ts'
import type { Result } from '../../src/server/node/result.ts'
import type { NodeEnd } from '../../src/server/options.ts'
import type { Storage } from '../../src/storage/index.ts'

const WRITE_MS = 0.5
const VANISHES: CutMode = { stalls: false, refuses: false }
const REFUSED: CutMode = { stalls: false, refuses: true }

function configOf(nodes: number, { limits = {} }: Options): SimConfig {
  return {
    ...raftTiming,
    grow: 1,
    ...{ nodes, spares: 0, ms: 0, keys: 0, clients: 0, timeoutMs: 5000, restartMs: 0 },
    ...{ delayMs: 0.2, jitterMs: 0, tail: 0, harsh: 0, lost: 0, doubled: 0, reordered: 0, silenceMs: 0 },
    ...{ writeMs: WRITE_MS, writeJitterMs: 0, readMs: 0.01, clocks: 0, leases: 0, leaseMs: 500 },
    // Without entries in memory behind the disk's, a follower that is far behind needs a snapshot.
    limits: {
      ...{ ...usualLimits, tailBytesMax: 0, chunkRows: 100, rowHeads: 1000, rowFilterBytes: 4096 },
      ...limits,
    },
  }
}

interface Options {
  readonly limits?: Partial<NodeLimits>
}

export class SimulatedCluster extends SimCluster {
  override readonly entryBytesMax = raftLimits.entryBytesMax
  readonly nodes = this.machines.map((machine) => new SimulatedNode(this, machine))
  /** Every message that left. */
  readonly sent: Message[] = []
  /** Whether a message is lost. */
  loses: (message: Message) => boolean = () => false
  /** Makes the report of a node for another one. */
  report = (node: string, kind: ReportKind, done: (report: Uint8Array | undefined) => void): void =>
    done(bytes(`${kind} of ${node}`))
  override createDriver = (options: DriverOptions): Driver =>
    new Driver({
      ...options,
      reports: (...request) => this.report(options.storage.identity.name, ...request),
    })
  #cuts: (readonly [from: number, to: number, mode: CutMode])[] = []

  constructor(count: number, options: Options = {}) {
    super(
      1,
      configOf(count, options),
      (now) => new Recorder({ workload: 'test', command: '' }, now, () => {}),
    )
  }

  /** A cluster of `count` voters: n1 founds it and leads, the others join. */
  static formed(count: number, options?: Options): SimulatedCluster {
    const cluster = new SimulatedCluster(count, options)
    cluster.found()
    cluster.until(() => cluster.nodes.every(({ driver }) => driver?.status().notReady.length === 0))
    return cluster
  }

  get leading(): SimulatedNode {
    const node = this.nodes.find(({ machine }) => machine === this.leader?.machine)
    if (node === undefined) throw new Error('no leader')
    return node
  }

  /** Running nodes but the leader. */
  get followers(): SimulatedNode[] {
    return this.nodes.filter(
      ({ machine, driver }) => driver !== undefined && machine !== this.leader?.machine,
    )
  }

  /** One of the followers. */
  get follower(): SimulatedNode {
    const [first] = this.followers
    if (first === undefined) throw new Error('no follower')
    return first
  }

  // ---- time

  advance(ms: number): void {
    this.runUntil(this.time.now + ms)
  }

  /** Runs one event after another until `reached`. */
  until(reached: () => boolean): void {
    if (reached()) return
    this.runUntil(this.time.now + 60_000, reached)
    if (!reached()) throw new Error(`not reached within a minute of virtual time: ${reached}`)
  }

  /** Advances until all running nodes have applied the same entries. */
  converge(): void {
    this.until(() => {
      const running = this.machines.flatMap(({ process }) => process?.storage ?? [])
      const states = new Set(running.map(({ applied, stateHash }) => `${applied.index} ${stateHash}`))
      return this.leader !== undefined && states.size === 1
    })
  }

  // ---- the wires

  /** Isolates a node: bytes between it and the others vanish, and connections stay open. */
  isolate({ machine: { place } }: SimulatedNode): void {
    for (const { place: other } of this.machines) if (other !== place) this.#cut(place, other, VANISHES)
  }

  /** Separates two nodes in the same way. */
  part({ machine: one }: SimulatedNode, { machine: other }: SimulatedNode): void {
    this.#cut(one.place, other.place, VANISHES)
  }

  /** Breaks the connections between two nodes, and refuses new ones. */
  refuse({ machine: one }: SimulatedNode, { machine: other }: SimulatedNode): void {
    this.#cut(one.place, other.place, REFUSED)
    this.#reset(one, other)
  }

  /** Breaks the connections between two nodes, which may dial again. */
  reconnect({ machine: one }: SimulatedNode, { machine: other }: SimulatedNode): void {
    this.#reset(one, other)
  }

  #reset({ place }: Machine, other: Machine): void {
    for (const { connection, other: end } of this.network.endsAt(place))
      if (end.process.machine === other) this.network.reset(connection)
  }

  #cut(one: number, other: number, mode: CutMode): void {
    this.network.cut(one, other, mode)
    this.network.cut(other, one, mode)
    this.#cuts.push([one, other, mode], [other, one, mode])
  }

  heal(): void {
    for (const cut of this.#cuts.splice(0)) this.network.uncut(...cut)
  }

  override createNetwork(process: Process): Network {
    const network = super.createNetwork(process)
    return {
      ...network,
      send: (message) => {
        if (!this.loses(message)) network.send(message)
      },
    }
  }

  // ---- what processes report

  override leaving(process: Process, message: Message): void {
    this.sent.push(message)
    super.leaving(process, message)
  }

  /** A node that has stopped itself stays down. The test checks whether that was right. */
  override ended(process: Process, end: NodeEnd): void {
    process.ended = true
    for (const node of this.nodes) if (node.machine === process.machine) node.end = end
    this.time.push(this.time.now, IO, process, () => this.end(process.machine, 'lost'))
  }
}

export class SimulatedNode {
  readonly #cluster: SimulatedCluster
  readonly machine: Machine
  /** The reason why its process stopped itself. */
  end: NodeEnd | undefined
  #puts = 0

  constructor(cluster: SimulatedCluster, machine: Machine) {
    this.#cluster = cluster
    this.machine = machine
  }

  get name(): string {
    return this.machine.name
  }
  get id(): ReplicaId {
    return this.machine.member.id
  }
  get driver(): Driver | undefined {
    return this.machine.process?.driver
  }
  get running(): Driver {
    return present(this.driver, this.name)
  }
  get storage(): Storage {
    return present(this.machine.process?.storage, this.name)
  }

  start(): void {
    this.end = undefined
    this.machine.start()
  }

  crash(inFlight: InFlight = 'lost'): void {
    this.#cluster.end(this.machine, inFlight)
  }

  /** Sets the duration of a write. */
  slowDisk(ms: number): void {
    this.machine.slowFactor = ms / WRITE_MS
    this.machine.slowUntil = Number.POSITIVE_INFINITY
  }

  put(key: string, value: string, timeoutMs = 5000): Promised<Outcome> {
    return this.#propose(
      { kind: 'put', key: bytes(key), value: bytes(value), condition: undefined, prev: false },
      timeoutMs,
    )
  }

  /** Several changes as one entry; those with a value are puts. */
  batch(changes: readonly (readonly [key: string, value?: string])[], timeoutMs = 5000): Promised<Outcome> {
    const commands = changes.map(([key, value]): BatchedCommand => {
      const change = { key: bytes(key), condition: undefined, prev: false } as const
      return value === undefined
        ? { kind: 'delete', ...change }
        : { kind: 'put', value: bytes(value), ...change }
    })
    return this.#propose({ kind: 'batch', commands }, timeoutMs)
  }

  remove(key: string, timeoutMs = 5000): Promised<Outcome> {
    return this.#propose({ kind: 'delete', key: bytes(key), condition: undefined, prev: false }, timeoutMs)
  }

  /** A put whose key is attached to a lease. */
  putLeased(key: string, value: string, lease: PutLease): Promised<Outcome> {
    return this.#propose(
      { kind: 'put', key: bytes(key), value: bytes(value), condition: undefined, prev: false, lease },
      5000,
    )
  }

  /** Puts a value if the key has another one. */
  compareAndSet(key: string, from: string, to: string): Promised<Outcome> {
    const put = { kind: 'put', key: bytes(key), value: bytes(to), prev: false } as const
    const compare = { where: { key: bytes(key) }, target: 'value', op: '=', to: bytes(from) } as const
    return this.#propose({ kind: 'txn', txn: { compare: [compare], success: [put], failure: [] } }, 5000)
  }

  grantLease(id: LeaseId, ttlMs: number): Promised<Outcome> {
    return this.#propose({ kind: 'grant', id, ttlMs }, 5000)
  }

  revokeLease(id: LeaseId, timeoutMs = 5000): Promised<Outcome> {
    return this.#propose({ kind: 'revoke', id }, timeoutMs)
  }

  keepAlive(ids: readonly LeaseId[], timeoutMs = 5000): Promised<readonly (number | undefined)[]> {
    const promised = new Promised<readonly (number | undefined)[]>()
    this.running.keepAlive(ids, timeoutMs, (result) => promised.settle(result))
    return promised
  }

  requestReport(of: SimulatedNode, kind: ReportKind = 'status', timeoutMs = 2000): Promised<Uint8Array> {
    const promised = new Promised<Uint8Array>()
    this.running.requestReport(of.id, kind, timeoutMs, (result) => promised.settle(result))
    return promised
  }

  set(settings: Partial<KvSettings>): Promised<Outcome> {
    return this.#propose({ kind: 'settings', settings }, 5000)
  }

  open(): Promised<Outcome> {
    return this.#propose({ kind: 'open-session' }, 5000)
  }

  #propose(command: Command, timeoutMs: number): Promised<Outcome> {
    const promised = new Promised<Outcome>()
    const request = { command, idempotency: undefined, principal: `${this.name}.${this.#puts++}` }
    this.#cluster.invariants.model.requested(request)
    this.running.propose(request, timeoutMs, (result) =>
      promised.settle(result.ok ? { ok: true, value: result.value.outcome } : result),
    )
    return promised
  }

  /** Reads at this node: the value, undefined for a missing key. */
  read(key: string, timeoutMs = 5000): Promised<string | undefined> {
    const { running } = this
    return this.#read('linearizable', timeoutMs, () => valueAt(running, key))
  }

  grant(consistency: ReadConsistency, timeoutMs = 5000): Promised<ReadGrant> {
    return this.#read(consistency, timeoutMs, (grant) => grant)
  }

  #read<T>(consistency: ReadConsistency, timeoutMs: number, take: (grant: ReadGrant) => T): Promised<T> {
    const promised = new Promised<T>()
    const options = { consistency, maxStalenessMs: undefined, minRevision: undefined, timeoutMs }
    this.running.read(options, (result) =>
      promised.settle(result.ok ? { ok: true, value: take(result.value) } : result),
    )
    return promised
  }
}

/** A result that is delivered by callback. */
export class Promised<T> {
  result: Result<T> | undefined

  settle(result: Result<T>): void {
    if (this.result !== undefined) throw new Error('answered twice')
    this.result = result
  }

  get code(): string | undefined {
    return this.result === undefined ? undefined : this.result.ok ? 'ok' : this.result.problem.code
  }

  get value(): T {
    if (!this.result?.ok) throw new Error(`no value: ${JSON.stringify(this.result)}`)
    return this.result.value
  }
}

function present<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new Error(`${name} is not running`)
  return value
}

export function valueAt(driver: Driver, key: string): string | undefined {
  let answered: { readonly row: KeyRow | undefined } | undefined
  driver.get(bytes(key), (error, row) => {
    if (error !== undefined) throw error
    answered = { row }
  })
  if (answered === undefined) throw new Error(`the head of ${key} is not in memory`)
  return answered.row && text(answered.row.value)
}
