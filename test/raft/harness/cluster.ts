// A cluster of real cores in one process: disks in memory, a network of packets, and a virtual clock for each process.
// Nothing happens by itself. A test moves every packet, write and tick by hand, or calls `settle` and `run` to move all
// of them. The invariants are checked after each step.

import { emptyConfiguration } from '../../../src/raft/index.ts'
import {
  type AppliedRaftState,
  asIndex,
  asReplicaId,
  asTerm,
  type Configuration,
  type Entry,
  type LeaderLeaseSetting,
  type LogIndex,
  type Message,
  type Output,
  type RaftLimits,
  type RaftTiming,
  type ReplicaId,
} from '../../../src/raft/types.ts'
import { type AppliedEntry, Disk, type StagedSnapshot, TestLog } from './disk.ts'
import { pastEntries } from './frames.ts'
import { freeze } from './freeze.ts'
import { idOf, LEASES_OFF } from './members.ts'
import { type DiskBatch, LIMITS, type NodeWorld, SimNode, TIMING } from './node.ts'
import { Rules } from './rules.ts'

export interface Packet {
  readonly from: ReplicaId
  readonly to: ReplicaId
  /** A message, or a whole snapshot, in flight. */
  readonly content:
    | { readonly kind: 'message'; readonly message: Message }
    /** `lost`: the stream breaks on the way, and its sender notices. */
    | {
        readonly kind: 'snapshot'
        readonly lost: boolean
        readonly id: string
        readonly snapshot: StagedSnapshot
        readonly term: number
      }
}

export interface ClusterOptions {
  readonly limits?: Partial<RaftLimits>
  readonly timing?: Partial<RaftTiming>
  readonly leases?: LeaderLeaseSetting
}

export interface StartState {
  readonly id?: string
  /** Index of a snapshot of term `baseTerm` (default 1) that contains everything up to there. */
  readonly base?: number
  readonly baseTerm?: number
  /** Terms of the entries from base + 1 on. */
  readonly terms?: readonly number[]
  readonly term?: number
  readonly vote?: ReplicaId
  readonly commit?: number
  readonly configuration?: Configuration
}

export class Cluster implements NodeWorld {
  readonly options: ClusterOptions
  readonly nodes: SimNode[] = []
  readonly rules: Rules
  packets: Packet[] = []
  /** True time in ms, which no process sees. */
  nowMs = 10_000
  /** The difference between each process's clock and true time. */
  readonly #offsetsMs = new Map<ReplicaId, number>()
  /** Pairs with a connection, as "a-b". */
  readonly connections = new Set<string>()
  /** Directions, as "from>to", that lose everything although the connection is open. */
  readonly cuts = new Set<string>()
  /**
   * Actions that `settle` skips: "store n1", "apply n2", "deliver n3", and "report n1", the report to n1 that its
   * snapshot was sent.
   */
  readonly held = new Set<string>()
  #snapshots = 0

  constructor(options: ClusterOptions = {}) {
    this.options = options
    this.rules = new Rules({ ...TIMING, ...options.timing })
  }

  /** Adds a replica and starts it. */
  add(name: string, start: StartState = {}): SimNode {
    const id = start.id === undefined ? idOf(name) : asReplicaId(start.id)
    const configuration = start.configuration ?? emptyConfiguration
    const base = asIndex(start.base ?? 0)
    const baseTerm = asTerm(base === 0 ? 0 : (start.baseTerm ?? 1))
    const list = pastEntries(base + 1, start.terms ?? [])
    const state: AppliedRaftState = { configuration, leaderLeases: this.options.leases ?? LEASES_OFF }
    const disk = new Disk(
      {
        term: asTerm(start.term ?? list.at(-1)?.term ?? baseTerm),
        vote: start.vote,
        commit: asIndex(start.commit ?? base),
      },
      new TestLog(base, baseTerm, list),
      freeze({ index: base, term: baseTerm, state, clusterTimeMs: 0, machine: [] as AppliedEntry[] }),
    )
    return this.adopt(name, id, disk)
  }

  adopt(name: string, id: ReplicaId, disk: Disk, limits: Partial<RaftLimits> = {}): SimNode {
    const node = new SimNode(
      {
        id,
        name,
        limits: { ...LIMITS, ...this.options.limits, ...limits },
        timing: { ...TIMING, ...this.options.timing },
        // Election timeouts and delays are always in the middle.
        random: () => 0.5,
      },
      disk,
      this,
    )
    // Clocks of processes are independent, so they differ from the start.
    this.#offsetsMs.set(id, this.nodes.length * 1_000_000)
    this.nodes.push(node)
    this.rules.adopt(node)
    node.start()
    return node
  }

  node(name: string): SimNode {
    const node = this.nodes.findLast((one) => one.name === name)
    if (node === undefined) throw new Error(`no node ${name}`)
    return node
  }

  byId(id: ReplicaId): SimNode | undefined {
    return this.nodes.find((node) => node.id === id)
  }

  nameOf(id: ReplicaId): string {
    return this.byId(id)?.name ?? `#${id}`
  }

  get running(): SimNode[] {
    return this.nodes.filter((node) => node.running)
  }

  leader(): SimNode | undefined {
    const leaders = this.running.filter((node) => node.raft.role === 'leader')
    return leaders.sort((a, b) => b.raft.term - a.raft.term)[0]
  }

  // ---- time

  now(node: SimNode): number {
    return this.nowMs + this.#offsetMs(node)
  }

  #offsetMs({ id, name }: SimNode): number {
    const offset = this.#offsetsMs.get(id)
    if (offset === undefined) throw new Error(`${name} has no clock`)
    return offset
  }

  /** Only this process's clock advances. */
  skew(node: SimNode, ms: number): void {
    this.#offsetsMs.set(node.id, this.#offsetMs(node) + ms)
  }

  /** All clocks advance; no process is woken. */
  pass(ms: number): void {
    this.nowMs += ms
  }

  tick(node: SimNode): void {
    node.step({ kind: 'tick' })
  }

  /** True time of a process's next deadline. */
  deadline(node: SimNode): number {
    return (node.raft.deadline() ?? Number.POSITIVE_INFINITY) - this.#offsetMs(node)
  }

  /** Only this process's clock advances to its next deadline, and it wakes. */
  wake(node: SimNode): void {
    const wait = this.deadline(node) - this.nowMs
    if (Number.isFinite(wait) && wait > 0) this.skew(node, wait)
    this.tick(node)
  }

  /** Its election timeout passes on its clock: it requests pre-votes, or leads at once if it is the sole voter. */
  timeout(node: SimNode): void {
    for (let tries = 0; tries < 20; tries++) {
      const { role, term } = node.raft
      this.wake(node)
      if (node.raft.role !== role || node.raft.term !== term || role === 'pre-candidate') return
    }
    throw new Error(`${node.name} does not campaign`)
  }

  /** Everything happens at once for `ms`: messages, writes and applying take no time. */
  run(ms: number): void {
    const end = this.nowMs + ms
    this.settle()
    for (;;) {
      const due = this.running
        .map((node) => ({ node, at: this.deadline(node) }))
        .sort((a, b) => a.at - b.at)[0]
      if (due === undefined || due.at > end) break
      this.nowMs = Math.max(this.nowMs, due.at)
      this.tick(due.node)
      this.settle()
    }
    this.nowMs = end
  }

  // ---- the network

  send(from: SimNode, message: Message): void {
    this.rules.sent(from, message)
    this.#post({ from: from.id, to: message.to }, { kind: 'message', message: freeze(copyOf(message)) })
  }

  sendSnapshot(from: SimNode, to: ReplicaId, atLeast: LogIndex): void {
    const { applied, raft } = from.process
    if (applied.index < atLeast)
      throw new Error(`${from.name} has applied ${applied.index}, asked for ${atLeast}`)
    const { index, term, state, machine, clusterTimeMs } = applied
    const id = `s${++this.#snapshots}`
    const snapshot = { meta: { index, term, state }, clusterTimeMs, machine }
    this.#post({ from: from.id, to }, { kind: 'snapshot', lost: false, id, snapshot, term: raft.term })
  }

  #post(link: { from: ReplicaId; to: ReplicaId }, content: Packet['content']): void {
    const stands =
      this.connections.has(pairOf(link.from, link.to)) && !this.cuts.has(`${link.from}>${link.to}`)
    if (stands) this.packets.push({ ...link, content })
    else if (content.kind === 'snapshot') this.packets.push({ ...link, content: { ...content, lost: true } })
  }

  /** Delivers one packet to its receiver, if that is running. */
  deliver(packet: Packet): void {
    this.packets.splice(this.packets.indexOf(packet), 1)
    const { from, to, content } = packet
    const receiver = this.byId(to)
    if (content.kind === 'message') {
      // Each delivery is a copy, because a receiver stamps the proposals in it.
      if (!receiver?.running) return
      const message = freeze(copyOf(content.message))
      this.rules.received(receiver, message)
      receiver.step({ kind: 'message', message })
      return
    }
    const sender = this.byId(from)
    const { snapshot, id } = content
    const arrives = !content.lost && receiver?.running === true
    if (arrives) {
      receiver.disk.staged.set(id, snapshot)
      receiver.step({
        kind: 'message',
        message: {
          type: 'snapshot',
          from,
          to,
          term: asTerm(content.term),
          meta: snapshot.meta,
          clusterTimeMs: snapshot.clusterTimeMs,
          snapshotId: id,
        },
      })
    }
    if (sender?.running && sender.raft.term === content.term && !this.held.has(`report ${sender.name}`))
      sender.step({
        kind: 'snapshot-sent',
        peer: to,
        index: snapshot.meta.index,
        ok: arrives,
      })
  }

  /** Handshake: both ends exchange their durable state. Does nothing if there is a connection or cannot be one. */
  connect(a: SimNode, b: SimNode): void {
    const pair = pairOf(a.id, b.id)
    if (a === b || this.connections.has(pair) || !a.running || !b.running) return
    if (this.cuts.has(`${a.id}>${b.id}`) || this.cuts.has(`${b.id}>${a.id}`)) return
    this.connections.add(pair)
    const greetings = [a, b].map(({ id: peer, disk: { boot, hardState, log } }) => ({
      kind: 'connected' as const,
      peer,
      boot,
      term: hardState.term,
      lastIndex: log.lastIndex(),
    }))
    for (const node of [a, b]) this.rules.greets(node)
    const [ofA, ofB] = greetings
    if (ofB !== undefined) a.step(ofB)
    if (ofA !== undefined && b.running) b.step(ofA)
  }

  connectAll(): void {
    for (const [at, one] of this.nodes.entries())
      for (const other of this.nodes.slice(at + 1)) this.connect(one, other)
  }

  /** Breaks the connections of `node`. Packets in flight are lost, and both ends are notified. */
  disconnect(node: SimNode, from: readonly SimNode[] = this.nodes): void {
    for (const peer of from) {
      if (!this.connections.delete(pairOf(node.id, peer.id))) continue
      this.packets = this.packets.flatMap((packet) => {
        if (pairOf(packet.from, packet.to) !== pairOf(node.id, peer.id)) return [packet]
        return packet.content.kind === 'snapshot'
          ? [{ ...packet, content: { ...packet.content, lost: true } }]
          : []
      })
      if (peer.running) peer.step({ kind: 'disconnected', peer: node.id })
      if (node.running) node.step({ kind: 'disconnected', peer: peer.id })
    }
  }

  crash(node: SimNode, survive = 0): void {
    node.crash(survive)
    this.disconnect(node)
  }

  restart(node: SimNode): void {
    node.start()
    for (const peer of this.nodes) this.connect(node, peer)
  }

  cut(a: SimNode, b: SimNode): void {
    this.cuts.add(`${a.id}>${b.id}`)
    this.cuts.add(`${b.id}>${a.id}`)
  }

  heal(): void {
    this.cuts.clear()
    this.connectAll()
  }

  // ---- everything

  /** Stores, delivers and applies among `only` (all by default) until nothing moves. */
  settle(only: readonly SimNode[] = this.nodes): void {
    for (let turns = 0; turns < 10_000; turns++) if (!this.#turn(only)) return
    throw new Error('the cluster does not come to rest')
  }

  #turn(only: readonly SimNode[]): boolean {
    let moved = false
    for (const node of only) {
      while (node.running && node.process.pending.length > 0 && !this.held.has(`store ${node.name}`)) {
        node.store()
        moved = true
      }
      while (node.running && node.canApply && !this.held.has(`apply ${node.name}`)) {
        node.apply(node.process.applyQueue.length)
        moved = true
      }
    }
    const packet = this.packets.find(
      ({ from, to }) =>
        isAmong(only, from) && isAmong(only, to) && !this.held.has(`deliver ${this.nameOf(to)}`),
    )
    if (packet === undefined) return moved
    this.deliver(packet)
    return true
  }

  // ---- for the nodes

  started(node: SimNode): void {
    this.rules.started(node, () => this.now(node))
  }

  stepped(node: SimNode, output: Output): void {
    this.rules.stepped(node, output)
  }

  stored(node: SimNode, batch: DiskBatch): void {
    this.rules.stored(node, batch)
  }

  applied(node: SimNode, entry: Entry): void {
    this.rules.applied(node, entry)
  }

  installed(node: SimNode): void {
    this.rules.installed(node)
  }

  ended(node: SimNode): void {
    this.rules.ended(node)
  }
}

const pairOf = (a: ReplicaId, b: ReplicaId): string => (a < b ? `${a}-${b}` : `${b}-${a}`)

const isAmong = (nodes: readonly SimNode[], id: ReplicaId): boolean => nodes.some((node) => node.id === id)

/** Like a real network: proposals arrive in separate buffers. */
function copyOf(message: Message): Message {
  if (message.type !== 'forward') return message
  return {
    ...message,
    proposals: message.proposals.map(({ seq, frame }) => ({ seq, frame: Uint8Array.from(frame) })),
  }
}
