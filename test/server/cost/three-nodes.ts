// Three shipped drivers with the shipped store and frames, for tests of what a put costs. Beneath them are a disk and
// wires in memory that count what they are given. Everything runs in one loop in virtual time, so every count is exact,
// and a test can look at the heap before and after each call into a node. The simulator (jepsen-lite/sim) has faults
// and checkers as well, which would allocate far more than the nodes, and knows no sessions.

import { Writer } from '../../../src/bytes/index.ts'
import { encodeState, initialState, type Outcome, type Request } from '../../../src/kv/index.ts'
import { TABLE_EVENTS, TABLE_VERSIONS } from '../../../src/kv/types.ts'
import {
  asIndex,
  asReplicaId,
  asTerm,
  emptyConfiguration,
  encodeAppliedState,
  type RaftMember,
} from '../../../src/raft/index.ts'
import type { NodeClock, Timer } from '../../../src/server/node/clock.ts'
import { Driver } from '../../../src/server/node/driver.ts'
import { KeyIndex, keyIndexLimits } from '../../../src/server/node/key-index/key-index.ts'
import { driverLimits, raftLimits, raftTiming } from '../../../src/server/node/limits.ts'
import type { Result } from '../../../src/server/node/result.ts'
import { LINK_LIMITS } from '../../../src/server/peers/index.ts'
import { FrameReader, FrameWriter, frameBytes } from '../../../src/server/peers/tcp/frames.ts'
import {
  frameCode,
  frameTail,
  isStable,
  readFrame,
  writeFrame,
} from '../../../src/server/peers/tcp/link-codec.ts'
import type { Frame } from '../../../src/server/peers/wires.ts'
import type { Engine, EngineBatch, Pair, Scan, ScanRange } from '../../../src/storage/engine.ts'
import { formatEngine } from '../../../src/storage/first-state.ts'
import { FORMAT_VERSION } from '../../../src/storage/index.ts'
import { keyString } from '../../../src/storage/keys.ts'
import { openStore, storeLimits } from '../../../src/storage/store.ts'

const WRITE_MS = 0.5
const WIRE_MS = 0.1
/** As much as a socket hands on at a time. */
const CHUNK_BYTES = 64 * 1024
const FOREVER_MS = 1e9

/** The writes of one node to its disk and to its wires since the start. */
export interface Spent {
  readonly syncs: number
  /** Operations on rows, deletes too, by the first bytes of the key: storage's table, and that of the state machine. */
  readonly rows: ReadonlyMap<string, number>
  readonly rowBytes: number
  readonly messages: ReadonlyMap<string, number>
  readonly messageBytes: number
  /** The frames of one turn for one peer, together. */
  readonly socketWrites: number
}

/** Called when a call into a node begins and ends. They are not nested. */
export interface Meter {
  begins(): void
  ends(node: CountedNode): void
}

interface Event {
  readonly at: number
  run: () => void
}

export class ThreeNodes {
  readonly nodes: readonly CountedNode[]
  now = 0
  meter: Meter | undefined
  readonly #events: Event[] = []

  constructor() {
    const members = ['1', '2', '3'].map(
      (id): RaftMember => ({ id: asReplicaId(id), name: `n${id}`, peer: `n${id}:1`, url: '' }),
    )
    this.nodes = members.map((member) => new CountedNode(this, member, members))
    this.until(() => this.nodes.every((node) => node.isOpen))
    for (const node of this.nodes) node.start()
    this.until(() => this.nodes.every(({ driver }) => driver.status().notReady.length === 0))
  }

  get leader(): CountedNode {
    const leader = this.nodes.find(({ driver }) => driver.status().raft.role === 'leader')
    if (leader === undefined) throw new Error('no leader')
    return leader
  }

  get followers(): readonly CountedNode[] {
    const { leader } = this
    return this.nodes.filter((node) => node !== leader)
  }

  at(at: number, run: () => void): Event {
    const event = { at, run }
    let place = this.#events.length
    while (place > 0 && (this.#events[place - 1]?.at ?? 0) > at) place--
    this.#events.splice(place, 0, event)
    return event
  }

  /** A call into a node. */
  into(node: CountedNode, call: () => void): void {
    this.meter?.begins()
    call()
    this.meter?.ends(node)
  }

  until(reached: () => boolean): void {
    while (!reached()) {
      const event = this.#events.shift()
      if (event === undefined) throw new Error('nothing is under way')
      this.now = event.at
      event.run()
    }
  }

  advance(ms: number): void {
    let isOver = false
    this.at(this.now + ms, () => {
      isOver = true
    })
    this.until(() => isOver)
  }

  /** Proposes all of these in one turn on the leader, until all are answered. */
  propose(requests: readonly Request[]): readonly Outcome[] {
    const { leader } = this
    const outcomes: Outcome[] = []
    const done = (result: Result<{ readonly outcome: Outcome }>): void => {
      if (!result.ok) throw new Error(result.problem.detail)
      outcomes.push(result.value.outcome)
    }
    this.into(leader, () => {
      for (const request of requests) leader.driver.propose(request, FOREVER_MS, done)
    })
    this.until(() => outcomes.length === requests.length)
    return outcomes
  }
}

const silent = { debug() {}, info() {}, warn() {}, error() {} }

export class CountedNode {
  readonly member: RaftMember
  readonly #cluster: ThreeNodes
  readonly #engine: MemoryEngine
  readonly #wires = new Map<string, CountedWire>()
  #driver: Driver | undefined

  constructor(cluster: ThreeNodes, member: RaftMember, members: readonly RaftMember[]) {
    this.#cluster = cluster
    this.member = member
    this.#engine = new MemoryEngine(cluster, this)
    const { id: replicaId, name } = member
    const configuration = { ...emptyConfiguration, voters: members.map(({ id }) => id), members }
    const batch = this.#engine.batch()
    formatEngine(batch, {
      hardState: { term: asTerm(1), vote: undefined, commit: asIndex(1) },
      applied: {
        index: asIndex(1),
        term: asTerm(1),
        raft: encodeAppliedState({ configuration, leaderLeases: { on: false, durationMs: 500 } }),
        kv: encodeState(initialState()),
      },
    })
    this.#engine.commit(batch)
    const limits = { ...storeLimits, ...keyIndexLimits, rowHeads: 8192, rowFilterBytes: 1 << 16 }
    const identity = { clusterId: '1', replicaId, name, formatVersion: FORMAT_VERSION }
    openStore(this.#engine, identity, limits, KeyIndex.of(limits), (error, storage) => {
      if (storage === undefined) throw error ?? new Error('no storage')
      this.#driver = new Driver({
        clock: this.#clock,
        storage,
        disk: {
          freeBytes: () => Number.POSITIVE_INFINITY,
          hasReserve: false,
          takeReserve() {},
          giveBackReserve() {},
        },
        // No beat of a clock falls between the puts: what they cost is the same however long they take.
        timing: { ...raftTiming, heartbeatMs: 10_000, electionMinMs: 30_000, electionMaxMs: 60_000 },
        raftLimits,
        limits: {
          ...{ ...driverLimits, diskReserveBytes: 0, diskCheckMs: FOREVER_MS, scrubEveryMs: FOREVER_MS },
          ...{ hashEveryEntries: FOREVER_MS, hashIdleMs: FOREVER_MS },
        },
        random: () => Number(member.id) / 10,
        logger: silent,
        observer: { proposalEnded() {}, batchStored() {}, entriesApplied() {}, roleChanged() {} },
        peerAddress: () => member.peer,
        onEnd: ({ reason }) => {
          throw new Error(`${name} has ended: ${reason}`)
        },
      })
    })
  }

  get isOpen(): boolean {
    return this.#driver !== undefined
  }

  get driver(): Driver {
    if (this.#driver === undefined) throw new Error(`${this.member.name} is not open`)
    return this.#driver
  }

  get spent(): Spent {
    const wires = [...this.#wires.values()]
    const messages = new Map<string, number>()
    for (const wire of wires)
      for (const [type, count] of wire.messages) messages.set(type, (messages.get(type) ?? 0) + count)
    return {
      syncs: this.#engine.syncs,
      rows: new Map(this.#engine.rows),
      rowBytes: this.#engine.rowBytes,
      messages,
      messageBytes: wires.reduce((sum, { bytes }) => sum + bytes, 0),
      socketWrites: wires.reduce((sum, { writes }) => sum + writes, 0),
    }
  }

  start(): void {
    const others = this.#cluster.nodes.filter((node) => node !== this)
    for (const node of others) this.#wires.set(node.member.id, new CountedWire(this.#cluster, this, node))
    const send = (to: string, frame: Frame): void => this.#wires.get(to)?.send(frame)
    this.driver.start({
      setPeers() {},
      send: (message) => {
        if (message.type !== 'snapshot') send(message.to, message)
      },
      sendStateHash: (at) => {
        for (const { member } of others) send(member.id, { type: 'state-hash', at })
      },
      requestKeepAlive: (to, question) => send(to, { type: 'keep-alive', question }),
      answerKeepAlive: (to, answer) => send(to, { type: 'kept-alive', answer }),
      requestReport: () => false,
      answerReport() {},
      sendTraces: (to, proposals) => send(to, { type: 'traces', proposals }),
      sendSnapshot() {
        throw new Error('a follower is behind')
      },
      inspect: () => ({}),
      close() {},
    })
    for (const { driver } of others)
      this.#cluster.at(this.#cluster.now, () => this.driver.events.connected(driver.events.greeting()))
  }

  get #clock(): NodeClock {
    const cluster = this.#cluster
    const at = (time: number, run: () => void): Timer => {
      const event = cluster.at(time, () => cluster.into(this, run))
      return {
        cancel: () => {
          event.run = () => {}
        },
      }
    }
    return {
      now: () => cluster.now,
      wallTimeMs: () => cluster.now,
      after: (delayMs, run) => at(cluster.now + delayMs, run),
      soon: (run) => void at(cluster.now, run),
    }
  }
}

/** One direction of a connection: what `Connection` does with frames, without a socket. */
class CountedWire {
  readonly messages = new Map<string, number>()
  bytes = 0
  writes = 0
  readonly #cluster: ThreeNodes
  readonly #from: CountedNode
  readonly #to: CountedNode
  readonly #writer = new FrameWriter()
  readonly #reader = new FrameReader(LINK_LIMITS.frameBytesMax)
  #isAsked = false

  constructor(cluster: ThreeNodes, from: CountedNode, to: CountedNode) {
    this.#cluster = cluster
    this.#from = from
    this.#to = to
  }

  send(frame: Frame): void {
    scratch.clear()
    writeFrame(scratch, frame)
    const fixed = scratch.written()
    const tail = frameTail(frame)
    this.messages.set(frame.type, (this.messages.get(frame.type) ?? 0) + 1)
    this.bytes += frameBytes(fixed, tail)
    this.#writer.append(frameCode(frame), fixed, tail, isStable(frame))
    if (this.#isAsked) return
    this.#isAsked = true
    this.#cluster.at(this.#cluster.now, this.#flush)
  }

  readonly #flush = (): void => {
    this.#isAsked = false
    this.writes++
    const bytes = Buffer.concat(this.#writer.takePieces())
    this.#writer.allSent()
    const chunks: Buffer[] = []
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) chunks.push(bytes.subarray(at, at + CHUNK_BYTES))
    this.#cluster.at(this.#cluster.now + WIRE_MS, () =>
      this.#cluster.into(this.#to, () => {
        for (const chunk of chunks) this.#arrived(chunk)
      }),
    )
  }

  #arrived(chunk: Buffer): void {
    const { driver, member } = this.#to
    const from = this.#from.member.id
    this.#reader.push(chunk)
    for (let next = this.#reader.next(); next !== undefined; next = this.#reader.next()) {
      const frame = readFrame(next.type, next.body, { from, to: member.id })
      if ('term' in frame && frame.type !== 'snapshot-offer') driver.events.message(frame)
      else if (frame.type === 'state-hash') driver.events.stateHash(from, frame.at)
      else if (frame.type === 'traces') driver.events.tracesReceived(frame.proposals)
    }
  }
}

const scratch = new Writer()

/** It takes batches without allocating anything, so that what a node spends is its own. */
class MemoryBatch implements EngineBatch {
  readonly keys = new Array<Uint8Array | undefined>(16_384).fill(undefined)
  readonly values = new Array<Uint8Array | undefined>(16_384).fill(undefined)
  operations = 0

  put(key: Uint8Array, value: Uint8Array): void {
    this.keys[this.operations] = key
    this.values[this.operations++] = value
  }

  delete(key: Uint8Array): void {
    this.keys[this.operations] = key
    this.values[this.operations++] = undefined
  }

  abandon(): void {}
}

const STORAGE_TABLES = ['', 'meta', 'applied', 'staging', 'log', 'rows']
const KV_TABLES = new Map([
  [1, 'data'],
  [2, 'token'],
  [3, 'order'],
  [4, 'session'],
  [5, 'slot'],
  [TABLE_EVENTS, 'events'],
  [TABLE_VERSIONS, 'version'],
])

function tableOf(key: Uint8Array, isDeleted: boolean): string {
  const table = STORAGE_TABLES[key[2] ?? 0] ?? ''
  const name = table === 'rows' ? (KV_TABLES.get(key[7] ?? 0) ?? '') : table
  return isDeleted ? `-${name}` : name
}

class MemoryEngine implements Engine {
  sequence = 0
  syncs = 0
  rowBytes = 0
  readonly rows = new Map<string, number>()
  readonly quarantined = undefined
  readonly #cluster: ThreeNodes
  readonly #node: CountedNode
  readonly #pairs = new Map<string, Pair>()
  readonly #unused: MemoryBatch[] = []

  constructor(cluster: ThreeNodes, node: CountedNode) {
    this.#cluster = cluster
    this.#node = node
  }

  get heldTo(): number {
    return this.sequence
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#pairs.get(keyString(key))?.[1]
  }

  batch(begun?: EngineBatch): MemoryBatch {
    return begun instanceof MemoryBatch ? begun : (this.#unused.pop() ?? new MemoryBatch())
  }

  write(batch: EngineBatch, done: (error: Error | undefined) => void): void {
    if (!(batch instanceof MemoryBatch)) throw new TypeError('a batch of another engine')
    this.syncs++
    this.#cluster.at(this.#cluster.now + WRITE_MS, () => {
      this.commit(batch)
      this.#cluster.into(this.#node, () => done(undefined))
    })
  }

  commit(batch: MemoryBatch): void {
    for (let at = 0; at < batch.operations; at++) {
      const [key, value] = [batch.keys[at], batch.values[at]]
      if (key === undefined) continue
      const table = tableOf(key, value === undefined)
      this.rows.set(table, (this.rows.get(table) ?? 0) + 1)
      this.rowBytes += key.length + (value?.length ?? 0)
      if (value === undefined) this.#pairs.delete(keyString(key))
      else this.#pairs.set(keyString(key), [key, value])
    }
    this.sequence += batch.operations
    batch.operations = 0
    this.#unused.push(batch)
  }

  scan({ gte, lt }: ScanRange): Scan {
    const [from, to] = [keyString(gte), keyString(lt)]
    const found = [...this.#pairs].filter(([name]) => name >= from && name < to)
    const pairs = found.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, pair]) => pair)
    return {
      next: (_pairsMax, done) => {
        const all = pairs.splice(0)
        this.#cluster.at(this.#cluster.now, () => done(undefined, all, true))
      },
      seek() {},
      finish: (done) => done(undefined),
      close() {},
    }
  }

  quarantine(why: string): void {
    throw new Error(why)
  }
  compactDatabase(): void {
    throw new Error('nothing is short here')
  }
  close(done: (error: Error | undefined) => void): void {
    done(undefined)
  }
}
