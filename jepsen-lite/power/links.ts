// Three shipped drivers in one process, connected without sockets, so that everything that leaves one of them can be
// recorded. Links can be cut without notice, as by a broken switch.

import { encodeState, initialState } from '../../src/kv/index.ts'
import {
  asIndex,
  asReplicaId,
  asTerm,
  bootstrapConfiguration,
  type Configuration,
  emptyConfiguration,
  encodeAppliedState,
  type Message,
  type RaftMember,
  type ReplicaId,
} from '../../src/raft/index.ts'
import { DirectoryDisk } from '../../src/server/node/directory-disk.ts'
import { Driver } from '../../src/server/node/driver.ts'
import { KeyIndex, keyIndexLimits } from '../../src/server/node/key-index/key-index.ts'
import { driverLimits, raftLimits, raftTiming } from '../../src/server/node/limits.ts'
import type { Greeting, Network, NetworkEvents } from '../../src/server/node/network.ts'
import { systemClock } from '../../src/server/node/system-clock.ts'
import type { NodeEnd } from '../../src/server/options.ts'
import { formatStorage, type LevelLimits, openStorage } from '../../src/storage/directory.ts'
import { FORMAT_VERSION, type SnapshotSource, type Storage } from '../../src/storage/index.ts'

/**
 * So small that a short load makes LevelDB change its WAL, write tables and merge them. LevelDB accepts nothing
 * smaller.
 */
export const SMALL_LIMITS: Partial<LevelLimits> = { writeBufferSize: 64 * 1024, maxFileSize: 1024 * 1024 }

const TIMING = {
  ...raftTiming,
  heartbeatMs: 20,
  electionMinMs: 120,
  electionMaxMs: 240,
  failoverDelayMaxMs: 10,
}
/** So little log is kept that a replica that was cut off briefly needs a snapshot. */
const LIMITS = {
  ...driverLimits,
  logTailEntries: 40,
  logTailBytes: 128 * 1024,
  logBehindEntries: 0,
  compactEntriesMin: 10,
  hashEveryEntries: 64,
}
const RAFT_LIMITS = { ...raftLimits, tailBytesMax: 0 }

const silent = { debug() {}, info() {}, warn() {}, error() {} }
const unobserved = { proposalEnded() {}, batchStored() {}, entriesApplied() {}, roleChanged() {} }

/** Is called before something leaves a node. */
export interface Observer {
  sending(message: Message): void
  greeting(greeting: Greeting): void
  snapshotOffered(id: string, meta: SnapshotSource['meta']): void
}

export class PeerNode {
  readonly id: ReplicaId
  readonly name: string
  readonly dir: string
  readonly #links: PeerLinks
  storage: Storage | undefined
  driver: Driver | undefined
  end: NodeEnd | undefined
  observer: Observer | undefined

  constructor(links: PeerLinks, number: number, dir: string) {
    this.#links = links
    this.id = asReplicaId(String(100 + number))
    this.name = `n${number}`
    this.dir = dir
  }

  get member(): RaftMember {
    return { id: this.id, name: this.name, peer: `${this.name}:1`, url: `http://${this.name}` }
  }

  get running(): Driver {
    if (this.driver === undefined)
      throw new Error(`${this.name} is not running: ${this.end?.reason ?? 'not started'}`)
    return this.driver
  }

  get open(): Storage {
    if (this.storage === undefined) throw new Error(`${this.name} is not open`)
    return this.storage
  }

  async format(founder: boolean): Promise<void> {
    const at = founder ? 1 : 0
    const configuration: Configuration = founder ? bootstrapConfiguration(this.member) : emptyConfiguration
    const identity = { clusterId: '1', replicaId: this.id, name: this.name, formatVersion: FORMAT_VERSION }
    await formatStorage(this.dir, identity, {
      hardState: { term: asTerm(at), vote: undefined, commit: asIndex(at) },
      applied: {
        index: asIndex(at),
        term: asTerm(at),
        raft: encodeAppliedState({
          configuration,
          leaderLeases: { on: false, durationMs: TIMING.electionMinMs },
        }),
        kv: encodeState(initialState()),
      },
    })
  }

  /** Opens its storage. */
  async start(): Promise<Storage> {
    this.storage = await openStorage(this.dir, { limits: SMALL_LIMITS, index: KeyIndex.of(keyIndexLimits) })
    return this.storage
  }

  /** Starts to take part. */
  run(random: () => number): void {
    const storage = this.open
    this.driver = new Driver({
      clock: systemClock,
      storage,
      timing: TIMING,
      raftLimits: RAFT_LIMITS,
      limits: LIMITS,
      random,
      disk: new DirectoryDisk(this.dir),
      logger: silent,
      observer: unobserved,
      peerAddress: () => this.member.peer,
      onEnd: (end) => {
        this.end = end
        this.driver = undefined
        this.#links.gone(this)
      },
    })
    this.driver.start(this.#links.createNetwork(this))
    this.#links.meet(this)
  }
}

/** How long after a process has ended its node is reported as gone. */
const GRACE_MS = 10

export class PeerLinks {
  readonly nodes: PeerNode[] = []
  readonly #cut = new Set<string>()
  readonly #connected = new Set<string>()
  /** How many chunks of snapshots pass before one stream is broken; undefined: all of them. */
  breakSnapshotAfter: number | undefined

  get leader(): PeerNode | undefined {
    let leader: PeerNode | undefined
    for (const node of this.nodes) {
      const raft = node.driver?.status().raft
      if (raft?.role === 'leader' && raft.term >= (leader?.running.term ?? 0)) leader = node
    }
    return leader
  }

  /** Cuts all links between `node` and the others. */
  isolate(node: PeerNode): void {
    for (const other of this.nodes) {
      this.#cut.add(link(node, other))
      this.#cut.add(link(other, node))
    }
  }

  heal(): void {
    this.#cut.clear()
    for (const node of this.nodes) this.meet(node)
  }

  createNetwork(node: PeerNode): Network {
    let isOpen = true
    const post = (to: PeerNode | undefined, deliver: (events: NetworkEvents) => void): void => {
      if (!isOpen || to === undefined || this.#cut.has(link(node, to))) return
      setImmediate(() => {
        if (to.driver !== undefined) deliver(to.driver.events)
      })
    }
    return {
      setPeers: () => this.meet(node),
      send: (message) => {
        node.observer?.sending(message)
        const to = this.#byId(message.to)
        if (!isOpen || to === undefined || !this.#connected.has(link(node, to))) return
        setImmediate(() => {
          if (!this.#cut.has(link(node, to))) to.driver?.events.message(message)
        })
      },
      sendTraces: () => {},
      sendStateHash: (at) => {
        for (const to of this.nodes) if (to !== node) post(to, (events) => events.stateHash(node.id, at))
      },
      requestKeepAlive: (id, question) =>
        post(this.#byId(id), (events) => events.keepAliveRequested(node.id, question)),
      answerKeepAlive: (id, answer) =>
        post(this.#byId(id), (events) => events.keepAliveAnswered(node.id, answer)),
      requestReport: () => false,
      answerReport: () => {},
      sendSnapshot: (id, term, source) => this.#stream(node, id, term, source),
      inspect: () => ({}),
      close: () => {
        isOpen = false
      },
    }
  }

  /** Connects a node with all nodes that it may talk to. */
  meet(node: PeerNode): void {
    for (const other of this.nodes) {
      if (other === node) continue
      this.#connect(node, other)
      this.#connect(other, node)
    }
  }

  gone(node: PeerNode): void {
    for (const other of this.nodes) {
      this.#connected.delete(link(node, other))
      if (!this.#connected.delete(link(other, node))) continue
      setImmediate(() => other.driver?.events.disconnected(node.id))
      setTimeout(() => other.driver?.events.unreachable(node.id), GRACE_MS)
    }
  }

  #connect(from: PeerNode, to: PeerNode): void {
    if (from.driver === undefined || to.driver === undefined || this.#connected.has(link(from, to))) return
    if (this.#cut.has(link(from, to)) || this.#cut.has(link(to, from))) return
    const knows = (a: Driver, b: PeerNode): boolean => a.configuration.members.some(({ id }) => id === b.id)
    if (!knows(from.driver, to) && !knows(to.driver, from)) return
    const greeting = this.#greeting(from, from.driver)
    const refusal = to.driver.events.admit(greeting)
    if (refusal !== undefined) {
      if (refusal.stop) setImmediate(() => from.driver?.events.stop(refusal.refuse))
      return
    }
    this.#connected.add(link(from, to))
    setImmediate(() => {
      if (from.driver === undefined || to.driver === undefined) return
      to.driver.events.connected(greeting)
      from.driver.events.connected(this.#greeting(to, to.driver))
    })
  }

  #greeting(node: PeerNode, driver: Driver): Greeting {
    const greeting = driver.events.greeting()
    node.observer?.greeting(greeting)
    return greeting
  }

  #stream(
    from: PeerNode,
    id: ReplicaId,
    term: Parameters<Network['sendSnapshot']>[1],
    source: SnapshotSource,
  ): void {
    const to = this.#byId(id)
    const finish = (ok: boolean): void => {
      source.close()
      const failure = ok ? undefined : 'the link is cut'
      setImmediate(() => from.driver?.events.snapshotSent(id, source.meta.index, failure))
    }
    if (to?.driver === undefined || this.#cut.has(link(from, to))) {
      finish(false)
      return
    }
    to.observer?.snapshotOffered(source.id, source.meta)
    to.driver.events.snapshotOffered(from.id, term, source.id, source.meta, (_refuse, sink) => {
      if (sink === undefined) {
        finish(false)
        return
      }
      const next = (number: number): void =>
        source.read(number, (error, chunk) => {
          const isBroken = this.breakSnapshotAfter !== undefined && number >= this.breakSnapshotAfter
          if (error !== undefined || isBroken || to.driver === undefined) {
            this.breakSnapshotAfter = undefined
            finish(false)
            return
          }
          if (chunk !== undefined) {
            sink.write(number, chunk, (bad) => {
              if (bad === undefined) next(number + 1)
              else finish(false)
            })
            return
          }
          sink.finish((bad) => {
            if (bad === undefined) to.driver?.events.snapshotReceived(from.id, term, source.id, source.meta)
            finish(bad === undefined)
          })
        })
      next(sink.nextChunk)
    })
  }

  #byId(id: ReplicaId): PeerNode | undefined {
    return this.nodes.find((node) => node.id === id)
  }
}

const link = (from: PeerNode, to: PeerNode): string => `${from.name}→${to.name}`
