// Whole nodes (driver, core, state machine, store) in one process and in virtual time: memory disks, a network of queues, one clock.
// Everything random comes from one seed, so a test runs the same way each time.

import {
  type Command,
  dataKey,
  decodeKeyRow,
  encodeState,
  initialState,
  type Outcome,
} from '../../src/kv/index.ts'
import {
  asIndex,
  asReplicaId,
  asTerm,
  bootstrapConfiguration,
  emptyConfiguration,
  encodeAppliedState,
  type Member,
  type Message,
  type ReplicaId,
} from '../../src/raft/index.ts'
import { Driver } from '../../src/server/driver.ts'
import { type DriverLimits, driverLimits, raftLimits, raftTiming } from '../../src/server/limits.ts'
import type { Network, NodeEnd, ReadConsistency, ReadGrant, Result } from '../../src/server/types.ts'
import { MemoryDisk, type SnapshotSource, type Storage } from '../../src/storage/index.ts'
import { VirtualClock } from './virtual-clock.ts'

const LATENCY_MS = 0.2
const FSYNC_MS = 0.5
const GRACE_MS = 20

const silent = { debug() {}, info() {}, warn() {}, error() {} }
const unobserved = { proposalEnded() {}, batchStored() {}, entriesApplied() {}, roleChanged() {} }

/** A small generator with a seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export class SimulatedNode {
  readonly cluster: SimulatedCluster
  readonly id: ReplicaId
  readonly name: string
  readonly disk = new MemoryDisk()
  driver: Driver | undefined
  storage: Storage | undefined
  end: NodeEnd | undefined
  fsyncMs = FSYNC_MS

  constructor(cluster: SimulatedCluster, name: string, id: ReplicaId, founder: boolean) {
    this.cluster = cluster
    this.name = name
    this.id = id
    const at = founder ? 1 : 0
    const configuration = founder ? bootstrapConfiguration(this.member) : emptyConfiguration
    this.disk.format(
      { clusterId: '1', replicaId: id, name, formatVersion: 1 },
      {
        hardState: { term: asTerm(at), vote: undefined, commit: asIndex(at) },
        applied: {
          index: asIndex(at),
          term: asTerm(at),
          raft: encodeAppliedState({ configuration, leases: { on: false, durationMs: 500 } }),
          kv: encodeState(initialState()),
        },
      },
    )
  }

  get member(): Member {
    return { id: this.id, name: this.name, peer: `${this.name}:1`, url: `http://${this.name}` }
  }

  get running(): Driver {
    if (this.driver === undefined) throw new Error(`${this.name} is not running`)
    return this.driver
  }

  start(): void {
    const { clock, random, limits } = this.cluster
    const schedule = (what: 'write' | 'read', complete: () => void): void =>
      void clock.after(what === 'write' ? this.fsyncMs : 0.01, complete)
    this.disk.open((error, storage) => {
      if (storage === undefined) throw error ?? new Error('no storage')
      this.storage = storage
      this.end = undefined
      this.driver = new Driver({
        clock,
        storage,
        timing: raftTiming,
        // Without entries in memory behind the disk's, a follower that is far behind needs a snapshot.
        raftLimits: { ...raftLimits, tailBytesMax: 0 },
        limits,
        random,
        logger: silent,
        observer: unobserved,
        peerAddress: () => this.member.peer,
        onEnd: (end) => {
          this.end = end
          this.gone()
        },
      })
      this.driver.start(this.cluster.networkOf(this))
      this.cluster.cameUp(this)
    }, schedule)
  }

  crash(inFlight: 'lost' | 'kept' = 'lost'): void {
    this.running.crash()
    this.gone()
    this.disk.crash(inFlight)
  }

  gone(): void {
    this.driver = undefined
    this.cluster.wentDown(this)
  }

  put(key: string, value: string, timeoutMs = 5000): Promised<Outcome> {
    const command: Command = {
      kind: 'put',
      key: bytes(key),
      value: bytes(value),
      condition: undefined,
      prev: false,
    }
    const promised = new Promised<Outcome>()
    this.running.propose({ command, idempotency: undefined, principal: '' }, timeoutMs, (result) =>
      promised.settle(result.ok ? { ok: true, value: result.value.outcome } : result),
    )
    return promised
  }

  /** What a read at this node gives: the value, undefined for a missing key. */
  read(
    key: string,
    consistency: ReadConsistency = 'linearizable',
    timeoutMs = 5000,
  ): Promised<string | undefined> {
    const promised = new Promised<string | undefined>()
    const driver = this.running
    driver.read({ consistency, maxStalenessMs: undefined, minRevision: undefined, timeoutMs }, (result) =>
      promised.settle(result.ok ? { ok: true, value: valueAt(driver, key) } : result),
    )
    return promised
  }

  grant(consistency: ReadConsistency): Promised<ReadGrant> {
    const promised = new Promised<ReadGrant>()
    this.running.read(
      { consistency, maxStalenessMs: undefined, minRevision: undefined, timeoutMs: 5000 },
      (result) => promised.settle(result),
    )
    return promised
  }
}

/** A result that comes by callback. */
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

export class SimulatedCluster {
  readonly clock = new VirtualClock()
  readonly random: () => number
  readonly limits: DriverLimits
  readonly nodes: SimulatedNode[] = []
  /** Every message that arrived, for tests that look at traffic. */
  readonly traffic: Message[] = []
  /** Ordered pairs that nothing passes, silently. */
  readonly #cut = new Set<string>()
  readonly #connected = new Set<string>()
  /** Sees each message before it is delivered; false drops it. */
  filter: (message: Message) => boolean = () => true

  constructor({ seed = 1, limits = {} }: { seed?: number; limits?: Partial<DriverLimits> } = {}) {
    this.random = seeded(seed)
    this.limits = { ...driverLimits, ...limits }
  }

  /** A cluster of `count` voters with a leader. */
  static formed(
    count: number,
    options: { seed?: number; limits?: Partial<DriverLimits> } = {},
  ): SimulatedCluster {
    const cluster = new SimulatedCluster(options)
    cluster.add().start()
    cluster.clock.advanceUntil(() => cluster.leader !== undefined)
    for (let i = 1; i < count; i++) cluster.join(cluster.add())
    return cluster
  }

  get leader(): SimulatedNode | undefined {
    let leader: SimulatedNode | undefined
    for (const node of this.nodes) {
      const raft = node.driver?.status().raft
      if (raft?.role === 'leader' && raft.term >= (leader?.running.term ?? 0)) leader = node
    }
    return leader
  }

  get followers(): SimulatedNode[] {
    const { leader } = this
    return this.nodes.filter((node) => node !== leader && node.driver !== undefined)
  }

  node(name: string): SimulatedNode {
    const node = this.nodes.find((candidate) => candidate.name === name)
    if (node === undefined) throw new Error(`no node ${name}`)
    return node
  }

  add(name = `n${this.nodes.length + 1}`): SimulatedNode {
    const node = new SimulatedNode(
      this,
      name,
      asReplicaId(String(100 + this.nodes.length)),
      this.nodes.length === 0,
    )
    this.nodes.push(node)
    return node
  }

  /** Starts a fresh node, adds it, and waits until it is a voter. */
  join(node: SimulatedNode): void {
    const { leader } = this
    node.start()
    leader?.running.change(
      { kind: 'change', steps: [{ kind: 'add-learner', member: node.member }] },
      5000,
      (result) => {
        if (!result.ok) throw new Error(result.problem.detail)
      },
    )
    this.clock.advanceUntil(
      () => this.nodes.every(({ driver }) => driver?.status().notReady.length === 0),
      20_000,
    )
  }

  /** Only nodes of one group reach each other; bytes between groups vanish, connections stay. */
  partition(...groups: SimulatedNode[][]): void {
    this.#cut.clear()
    for (const from of this.nodes) {
      for (const to of this.nodes) {
        const together = groups.some((group) => group.includes(from) && group.includes(to))
        if (!together) this.#cut.add(link(from, to))
      }
    }
  }

  heal(): void {
    this.#cut.clear()
    for (const node of this.nodes) if (node.driver !== undefined) this.cameUp(node)
  }

  /** Until all running nodes have applied the same. */
  converge(): void {
    this.clock.advanceUntil(() => {
      const running = this.nodes.flatMap(({ driver, storage }) =>
        driver === undefined || storage === undefined ? [] : [storage],
      )
      const [first] = running
      return (
        this.leader !== undefined &&
        running.every(
          ({ applied, stateHash }) => applied.index === first?.applied.index && stateHash === first.stateHash,
        )
      )
    })
  }

  // -------------------------------------------------------------------------------------------------------------------

  networkOf(node: SimulatedNode): Network {
    const { clock } = this
    let open = true
    return {
      setPeers: () => this.cameUp(node),
      send: (message) => {
        const to = this.#byId(message.to)
        if (!open || to === undefined || !this.#connected.has(link(node, to))) return
        const copy = structuredClone(message)
        clock.after(LATENCY_MS, () => {
          if (this.#cut.has(link(node, to)) || to.driver === undefined || !this.filter(copy)) return
          this.traffic.push(copy)
          to.driver.message(copy)
        })
      },
      sendStateHash: (at) => {
        for (const to of this.nodes) {
          if (to !== node && open && !this.#cut.has(link(node, to)))
            clock.after(LATENCY_MS, () => to.driver?.stateHash(node.id, at))
        }
      },
      sendSnapshot: (id, term, source) => this.#stream(node, id, term, source),
      close: () => {
        open = false
      },
    }
  }

  cameUp(node: SimulatedNode): void {
    for (const other of this.nodes) {
      if (other === node) continue
      this.#connect(node, other)
      this.#connect(other, node)
    }
  }

  wentDown(node: SimulatedNode): void {
    for (const other of this.nodes) {
      this.#connected.delete(link(node, other))
      if (!this.#connected.delete(link(other, node))) continue
      this.clock.after(LATENCY_MS, () => other.driver?.disconnected(node.id))
      this.clock.after(LATENCY_MS + GRACE_MS, () => {
        if (node.driver === undefined) other.driver?.refused(node.id)
      })
    }
  }

  #connect(from: SimulatedNode, to: SimulatedNode): void {
    if (from.driver === undefined || to.driver === undefined || this.#connected.has(link(from, to))) return
    if (this.#cut.has(link(from, to)) || this.#cut.has(link(to, from))) return
    // Who is not known yet, as a node that has just joined, is called back.
    const knows = (a: Driver, b: SimulatedNode): boolean =>
      a.configuration.members.some(({ id }) => id === b.id)
    if (!knows(from.driver, to) && !knows(to.driver, from)) return
    const greeting = from.driver.greeting()
    const refusal = to.driver.admit(greeting)
    if (refusal !== undefined) {
      if (refusal.stop) this.clock.soon(() => from.driver?.stop(refusal.refuse))
      return
    }
    this.#connected.add(link(from, to))
    this.clock.soon(() => {
      if (from.driver !== undefined && to.driver !== undefined) {
        to.driver.connected(greeting)
        from.driver.connected(to.driver.greeting())
      }
    })
  }

  #stream(from: SimulatedNode, id: ReplicaId, term: ReturnType<typeof asTerm>, source: SnapshotSource): void {
    const to = this.#byId(id)
    const { clock } = this
    const finish = (ok: boolean): void => {
      source.close()
      clock.soon(() => from.driver?.snapshotSent(id, source.meta.index, ok))
    }
    const reachable = (): boolean =>
      to?.driver !== undefined && from.driver !== undefined && !this.#cut.has(link(from, to))
    if (!reachable()) {
      finish(false)
      return
    }
    to?.driver?.snapshotOffered(from.id, term, source.id, source.meta, (refuse, sink) => {
      if (sink === undefined) return finish(false)
      const next = (number: number): void =>
        source.read(number, (error, chunk) => {
          if (error !== undefined || !reachable()) {
            sink.abort()
            return finish(false)
          }
          if (chunk !== undefined)
            return sink.write(number, chunk, (bad) => (bad === undefined ? next(number + 1) : finish(false)))
          sink.finish((bad) => {
            if (bad !== undefined) return finish(false)
            to.driver?.snapshotReceived(from.id, term, source.id, source.meta)
            finish(true)
          })
        })
      void refuse
      next(sink.nextChunk)
    })
  }

  #byId(id: ReplicaId): SimulatedNode | undefined {
    return this.nodes.find((node) => node.id === id)
  }
}

const link = (from: SimulatedNode, to: SimulatedNode): string => `${from.name}→${to.name}`

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

export function valueAt(driver: Driver, key: string): string | undefined {
  const row = driver.get(dataKey(bytes(key)))
  return row === undefined ? undefined : new TextDecoder().decode(decodeKeyRow(bytes(key), row).value)
}
