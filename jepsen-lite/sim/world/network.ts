// The network between the machines. The shipped links (src/server/peers) decide what happens on connections. This file
// decides how they are carried: how long frames take, what is cut, what breaks, and when each end notices.
//
// A connection delivers what was sent on it in order, from the first frame on, until it ends. A cut holds frames back,
// whether or not the receiving process is stopped. Only a harsh schedule loses, doubles and reorders Raft messages: TCP
// does not, but the core promises to tolerate it. Frames of the links themselves are never lost alone, even there: if
// one is lost, so is the rest of its connection.

import type { Message, RaftMember, ReplicaId } from '../../../src/raft/index.ts'
import type { Network, NetworkEvents } from '../../../src/server/node/network.ts'
import { Links, type Wire, type WireOwner, type Wires } from '../../../src/server/peers/index.ts'
import type { DialCallbacks, Frame, WireMessage } from '../../../src/server/peers/wires.ts'
import { bits, mixed, stream, unit } from '../../workload/random.ts'
import { TAIL_FACTOR } from '../schedule/config.ts'
import { DRAW } from '../schedule/random-purposes.ts'
import { Forwards } from './forwards.ts'
import { MESSAGE_TYPES } from './message-types.ts'
import type { Process } from './process.ts'
import { SmallChunks, SnapshotStreams } from './snapshot-streams.ts'
import { Event, IO, MESSAGE } from './time.ts'
import { type Carrier, SimConnection, WireEnd } from './wires.ts'
import type { SimWorld } from './world.ts'

/** Limit of the frames of one link. */
const FRAMES_MAX = 2 ** 32
/** After this long without an answer the operating system repeats a call. */
const CALL_AGAIN_MS = 1000
/** An end that has nothing to send notices a broken connection late. */
const NOTICED_MS_MAX = 300

/** How a cut works. Bytes wait instead of vanishing; calls are refused instead of ignored. */
export interface CutMode {
  readonly stalls: boolean
  readonly refuses: boolean
}

/** The fate of one message. */
export interface MessageFate {
  readonly fate: 'lost' | 'late' | 'doubled'
  readonly delayMs: number
}

interface DecidedFate extends MessageFate {
  readonly onEffect: () => void
}

/** Receives what becomes of each message of Raft. `number` is that of the message on its link. */
export interface MessageObserver {
  /** Also called for a copy of a message, when it is made. */
  sent(from: Process, to: Process, message: WireMessage, number: number, arrivesAt: number): void
  /** A fault has decided about a message between these machines. It takes effect when the message would arrive. */
  decided(from: number, to: number, number: number, fate: MessageFate['fate']): void
  /** It arrives later than it would have. */
  delayed(from: Process, to: Process, number: number, arrivesAt: number): void
  /** `arrived`: the process has read it. */
  ended(from: Process, to: Process, number: number, arrived: boolean): void
}

/** One process on the network. */
interface Host {
  readonly process: Process
  readonly ends: Set<WireEnd>
  called: ((wire: Wire) => WireOwner) | undefined
}

/** A process tries to reach a machine. */
interface Call {
  readonly from: Host
  readonly place: number
  readonly dialled: DialCallbacks
  /** Neither answered nor given up. */
  open: boolean
  end: WireEnd | undefined
}

/** Numbers of messages in the trace. */
const TYPE_NUMBERS = new Map<string, number>(MESSAGE_TYPES.map((type, number) => [type, number]))

/** A connection continues when one of these is lost. */
const LOST_ALONE: ReadonlySet<Frame['type']> = new Set([
  'state-hash',
  'keep-alive',
  'kept-alive',
  'report-request',
  'report-answer',
])

const isMessage = (frame: Frame): frame is WireMessage => TYPE_NUMBERS.has(frame.type)

export class SimNetwork implements Carrier {
  readonly #world: SimWorld
  readonly #size: number
  readonly #hosts = new Map<Process, Host>()
  readonly #byId = new Map<ReplicaId, Process>()
  readonly #byPlace: (Host | undefined)[] = []
  /**
   * How many faults cut each direction, and since when; and how many of them hold bytes back instead of losing them.
   */
  readonly #cuts: Int32Array
  readonly #stalls: Int32Array
  /** How many of them refuse a call, as a firewall may, instead of ignoring it. */
  readonly #refusals: Int32Array
  readonly #cutSince: Float64Array
  readonly #stalled = new Map<number, Event[]>()
  readonly #delays: Float64Array
  /** How many frames were sent in each direction. */
  readonly #sent: Int32Array
  /** Fates of single messages, by link and number. */
  readonly #fates = new Map<number, DecidedFate>()
  observer: MessageObserver | undefined
  /** Lost messages per thousand, in addition to the configuration. */
  extraLost = 0
  /** No message is lost, doubled or overtaken any more. */
  calm = false
  /** No message takes longer than usual. So leaders stay, and the snapshots that they send arrive. */
  prompt = false
  /** The capacity of a wire in each direction. */
  bytesPerMs = Number.POSITIVE_INFINITY
  /** Frames and calls affected by a cut or a slow link, by direction: whether a fault had an effect. */
  readonly affected: Int32Array
  /** Set while processes die by a loss of power: their connections are not closed. */
  silentDeath = false
  readonly streams: SnapshotStreams
  readonly #forwards = new Forwards()
  readonly queueMax: number

  constructor(world: SimWorld, size: number) {
    this.#world = world
    this.#size = size
    this.#cuts = new Int32Array(size * size)
    this.#stalls = new Int32Array(size * size)
    this.#refusals = new Int32Array(size * size)
    this.#cutSince = new Float64Array(size * size)
    this.#delays = new Float64Array(size * size)
    this.#sent = new Int32Array(size * size)
    this.affected = new Int32Array(size * size)
    this.streams = new SnapshotStreams(world, this)
    // The queue must have room for what a follower forwards (docs/reference/limits.md, queueBytesMax), unless messages
    // may be lost anyway.
    this.queueMax = world.config.harsh === 1 ? 256 : 4096
  }

  findProcess(id: ReplicaId): Process | undefined {
    return this.#byId.get(id)
  }

  // ---- cuts

  link(from: Process, to: Process): number {
    return from.place * this.#size + to.place
  }

  isCut(from: Process, to: Process): boolean {
    const link = this.link(from, to)
    if ((this.#cuts[link] ?? 0) === 0) return false
    this.affected[link] = (this.affected[link] ?? 0) + 1
    return true
  }

  cut(from: number, to: number, { stalls, refuses }: CutMode): void {
    const link = from * this.#size + to
    if (refuses) this.#refusals[link] = (this.#refusals[link] ?? 0) + 1
    const { time, config } = this.#world
    const before = this.#cuts[link] ?? 0
    this.#cuts[link] = before + 1
    if (stalls) this.#stalls[link] = (this.#stalls[link] ?? 0) + 1
    if (before > 0) return
    this.#cutSince[link] = time.now
    const since = time.now
    if (config.silenceMs === 0) return
    time.push(time.now + config.silenceMs, IO, undefined, () => {
      if ((this.#cuts[link] ?? 0) === 0 || this.#cutSince[link] !== since) return
      for (const end of this.endsAt(to)) {
        const { process, onHold, other } = end
        // A process that is stopped, or does not read, does not notice silence either.
        if (other.process.place === from && !process.paused && !onHold) end.fellSilent()
      }
    })
  }

  uncut(from: number, to: number, { stalls, refuses }: CutMode): void {
    const link = from * this.#size + to
    if (refuses) this.#refusals[link] = Math.max(0, (this.#refusals[link] ?? 0) - 1)
    if (stalls) this.#stalls[link] = Math.max(0, (this.#stalls[link] ?? 0) - 1)
    this.#cuts[link] = Math.max(0, (this.#cuts[link] ?? 0) - 1)
    if ((this.#cuts[link] ?? 0) > 0) return
    const held = this.#stalled.get(link)
    this.#stalled.delete(link)
    for (const event of held ?? []) this.#world.time.late(event)
    for (const { torn, other, connection } of this.endsAt(to))
      if (torn && other.process.place === from) this.reset(connection)
  }

  slow(from: number, to: number, ms: number): void {
    const link = from * this.#size + to
    this.#delays[link] = (this.#delays[link] ?? 0) + ms
  }

  isCutOneWay(from: number, to: number): boolean {
    return (this.#cuts[from * this.#size + to] ?? 0) > 0
  }

  isCutBetween(a: number, b: number): boolean {
    return this.isCutOneWay(a, b) || this.isCutOneWay(b, a)
  }

  #isCutQuietly(from: Process, to: Process): boolean {
    return (this.#cuts[this.link(from, to)] ?? 0) > 0
  }

  /** Additional delay of a link now. */
  #extraMs(link: number): number {
    const extra = this.#delays[link] ?? 0
    if (extra > 0) this.affected[link] = (this.affected[link] ?? 0) + 1
    return extra
  }

  // ---- breaks

  /**
   * Connections for messages break: one, the other or both, and now and then also those of snapshots. False: there was
   * no connection.
   */
  breakBetween(a: number, b: number): boolean {
    const which = this.#draw(a, b)
    let broke = false
    for (const { connection, other, process } of this.endsAt(a)) {
      if (other.process.place !== b) continue
      const isCaller = connection.caller.process === process
      const breaks =
        connection.purpose === 'snapshot' ? which % 8 === 0 : which % 4 < 2 || isCaller === (which % 4 === 2)
      if (!breaks) continue
      broke = true
      this.reset(connection)
    }
    return broke
  }

  /**
   * Messages that a machine has sent and that are not read yet are lost, and everything after them on those
   * connections.
   */
  forget(place: number): void {
    for (const { other } of this.endsAt(place)) other.torn = true
  }

  /** A process is stopped. Peers that have not heard it for long close their connections. */
  stopped(process: Process): void {
    const { time, config } = this.#world
    if (config.silenceMs === 0) return
    const since = process.resumedAt
    const poll = (): void => {
      if (!process.live || !process.paused || process.resumedAt !== since) return
      for (const { other } of this.endsAt(process.place))
        if (other.lastAt <= time.now - config.silenceMs) other.fellSilent()
      time.push(time.now + config.silenceMs, IO, undefined, poll)
    }
    time.push(time.now + config.silenceMs, IO, undefined, poll)
  }

  /** Both ends notice the break, each at its own time. Frames in flight arrive or do not. */
  reset(connection: SimConnection): void {
    if (connection.severed) return
    connection.severed = true
    for (const end of [connection.caller, connection.called]) {
      const draw = this.#draw(end.other.process.place, end.process.place)
      if (draw % 2 === 0) end.torn = true
      const { delayMs, jitterMs } = this.#world.config
      const late = mixed(draw + 1) % 4 === 0 ? NOTICED_MS_MAX : jitterMs
      this.#breakAt(end, this.#world.time.now + delayMs + late * unit(mixed(draw + 2)), 'it was reset')
    }
  }

  #breakAt(end: WireEnd, at: number, why: string): void {
    this.#world.time.push(at, IO, end.process, () => end.broke(why))
  }

  /** Chunks that this process has sent, and that were not reported as written. */
  chunksInFlight(process: Process): number {
    return this.endsAt(process.place).reduce(
      (sum, { connection }) =>
        connection.caller.process === process ? sum + connection.unacknowledged : sum,
      0,
    )
  }

  endsAt(place: number): readonly WireEnd[] {
    return [...(this.#byPlace[place]?.ends ?? [])]
  }

  // ---- a process and its peers

  createNetwork(process: Process): Network {
    const { seed, probeCoverage, triggers } = this.#world
    const host: Host = { process, ends: new Set(), called: undefined }
    const wires: Wires = {
      dial: (address, dialled) => this.#dial(host, address, dialled),
      onCall: (called) => {
        host.called = called
      },
      close: () => {
        host.called = undefined
      },
    }
    const links = new Links({
      self: { replicaId: process.id, clusterId: '1' },
      clock: process.clock,
      random: stream(seed, DRAW.handshake, process.number),
      wires,
      events: this.#findEvents(process),
      limits: { snapshotChunksInflightMax: process.machine.limits.snapshotChunksInflightMax },
      logger: {
        debug() {},
        warn() {},
        error() {},
        info: (_fields, text) => this.#world.say(process, { kind: 'connection', text }),
      },
    })
    this.#hosts.set(process, host)
    this.#byId.set(process.id, process)
    this.#byPlace[process.place] = host
    return {
      setPeers: (members: readonly RaftMember[]) => links.setPeers(members),
      send: (message) => {
        this.#world.leaving(process, message)
        process.send(message)
        if (message.type === 'forward')
          this.#forwards.left(process, message, process.driver?.installing === true)
        links.send(message)
      },
      sendStateHash: (at) => links.sendStateHash(at),
      requestKeepAlive: (to, question) => links.requestKeepAlive(to, question),
      answerKeepAlive: (to, answer) => links.answerKeepAlive(to, answer),
      requestReport: (to, request) => links.requestReport(to, request),
      answerReport: (to, answer) => links.answerReport(to, answer),
      sendTraces: (to, proposals) => links.sendTraces(to, proposals),
      sendSnapshot: (to, term, source) => {
        probeCoverage.hit('snapshot stream begun')
        process.snapshotsSent++
        triggers.met('sends-snapshot', process, this.#byId.get(to))
        links.sendSnapshot(to, term, new SmallChunks(source, process.machine.limits.chunkRows))
      },
      inspect: () => links.inspect(),
      close: () => {
        links.close()
        this.#removeHost(host)
      },
    }
  }

  installed(process: Process): void {
    this.#forwards.installed(process)
  }

  /** The events of the links for the driver, which the simulator observes on the way. */
  #findEvents(process: Process): NetworkEvents {
    const driver = process.driver
    if (driver === undefined) throw new Error('a network without a driver')
    const { probeCoverage, triggers } = this.#world
    return {
      greeting: () => {
        const greeting = driver.events.greeting()
        this.#world.invariants.greets(process.replica, greeting)
        return greeting
      },
      admit: (greeting) => driver.events.admit(greeting),
      message: (message) => this.#received(process, message),
      stateHash: (from, at) => driver.events.stateHash(from, at),
      keepAliveRequested: (from, question) => driver.events.keepAliveRequested(from, question),
      keepAliveAnswered: (from, answer) => driver.events.keepAliveAnswered(from, answer),
      reportRequested: (from, request) => driver.events.reportRequested(from, request),
      reportAnswered: (from, answer) => driver.events.reportAnswered(from, answer),
      tracesReceived: (proposals) => driver.events.tracesReceived(proposals),
      connected: (greeting) => {
        this.#forwards.reconnects(process, greeting.replicaId)
        triggers.met('connected', process, this.#byId.get(greeting.replicaId))
        this.#world.rollbacks.connected(process, this.#byId.get(greeting.replicaId))
        driver.events.connected(greeting)
      },
      disconnected: (peer) => {
        triggers.met('disconnected', process, this.#byId.get(peer))
        driver.events.disconnected(peer)
      },
      unreachable: (peer) => driver.events.unreachable(peer),
      stop: (reason) => driver.events.stop(reason),
      snapshotOffered: (from, ...offer) => {
        process.isStaging = true
        triggers.met('offered', process, this.#byId.get(from))
        driver.events.snapshotOffered(from, ...offer)
      },
      snapshotReceived: (...snapshot) => driver.events.snapshotReceived(...snapshot),
      snapshotSent: (to, index, failure) => {
        process.snapshotsSent--
        if (failure !== undefined) probeCoverage.hit('snapshot stream given up')
        driver.events.snapshotSent(to, index, failure)
      },
    }
  }

  #received(process: Process, message: Message): void {
    const { driver } = process
    const { trace, probeCoverage, invariants, config } = this.#world
    if (driver === undefined) return
    trace.mix((TYPE_NUMBERS.get(message.type) ?? 0) + 32 * message.term)
    trace.mix('index' in message ? Number(message.index) : 'commit' in message ? message.commit : 0)
    if (message.type === 'heartbeat' && message.term < driver.term)
      probeCoverage.hit('message of an old leader after a newer one')
    if (message.type === 'forward') probeCoverage.hit('write forwarded to the leader')
    if (message.type === 'read-index') probeCoverage.hit('read forwarded to the leader')
    // Does not hold where messages may be lost on an open connection.
    if (config.harsh === 0)
      invariants.violation ??= this.#forwards.arrives(this.#byId.get(message.from), process, message)
    this.#world.messageReceived(process, message)
    invariants.messageReceived(process.replica, message, driver.term)
    driver.events.message(message)
  }

  /** The process is gone. The machine closes its connections, unless the power went. */
  #removeHost(host: Host): void {
    const { process } = host
    for (const end of [...host.ends]) end.drain()
    this.#hosts.delete(process)
    if (this.#byId.get(process.id) === process) this.#byId.delete(process.id)
    if (this.#byPlace[process.place] === host) this.#byPlace[process.place] = undefined
  }

  // ---- connections

  #dial(from: Host, address: string, dialled: DialCallbacks): () => void {
    const place = Number(/^n(\d+):1$/.exec(address)?.[1] ?? 0) - 1
    const call: Call = { from, place, dialled, open: true, end: undefined }
    this.#dialPeer(call)
    return () => {
      call.open = false
      call.end?.drain()
    }
  }

  #dialPeer(call: Call): void {
    if (!call.open || call.end !== undefined) return
    const { time, config } = this.#world
    const { from, place } = call
    const link = from.process.place * this.#size + place
    if ((this.#refusals[link] ?? 0) > 0) {
      this.#refuseCall(call, 2 * config.delayMs)
      return
    }
    const draw = this.#draw(from.process.place, place)
    const travelMs = config.delayMs + config.jitterMs * unit(draw) + this.#extraMs(link)
    time.push(time.now + travelMs, IO, undefined, () => {
      if (call.open && from.process.live && !this.#isCutAt(link)) this.#acceptCall(call, mixed(draw + 1))
    })
    time.push(time.now + CALL_AGAIN_MS, IO, from.process, () => this.#dialPeer(call))
  }

  #refuseCall(call: Call, afterMs: number): void {
    const { time } = this.#world
    time.push(time.now + afterMs, IO, call.from.process, () => {
      if (!call.open) return
      call.open = false
      call.dialled.failed('no process listens there')
    })
  }

  /** A call arrives at a machine. Its process is notified, if there is one, and a little later the caller's. */
  #acceptCall(call: Call, draw: number): void {
    const { time, config } = this.#world
    const { from, place, dialled } = call
    const back = place * this.#size + from.process.place
    const backMs = config.delayMs + config.jitterMs * unit(draw) + this.#extraMs(back)
    const to = this.#byPlace[place]
    if (to?.called === undefined) {
      if (!this.#isCutAt(back)) this.#refuseCall(call, backMs)
      return
    }
    const { caller, called } = new SimConnection(from.process, to.process, this)
    call.end = caller
    from.ends.add(caller)
    to.ends.add(called)
    time.push(time.now, IO, to.process, () => {
      if (called.closed) return
      if (to.called === undefined) called.drain()
      else called.ownedBy(to.called(called))
    })
    caller.lastAt = time.now + backMs
    time.push(caller.lastAt, IO, from.process, () => {
      if (!call.open || caller.closed) return
      call.open = false
      caller.ownedBy(dialled.connected(caller))
    })
  }

  #isCutAt(link: number): boolean {
    if ((this.#cuts[link] ?? 0) === 0) return false
    this.affected[link] = (this.affected[link] ?? 0) + 1
    return true
  }

  closed(end: WireEnd, why: string): void {
    const { other, process } = end
    const { probeCoverage, time, config } = this.#world
    this.#findHost(process)?.ends.delete(end)
    if (why === 'the peer has called again') probeCoverage.hit('stale connection replaced')
    if (other.closed || end.connection.severed) return
    if (this.silentDeath) {
      this.#breaksBySilence(other)
      return
    }
    const at = Math.max(
      time.now + config.delayMs + this.#extraMs(this.link(process, other.process)),
      other.lastAt,
    )
    other.lastAt = at
    time.push(at, IO, undefined, this.#endArrives, other)
  }

  /** Waiting frames are sent repeatedly, as TCP does. */
  full(end: WireEnd): void {
    if (end.other.closed) this.#answerReset(end)
  }

  whenHeldLong({ process }: WireEnd, then: () => void): void {
    const { time, config } = this.#world
    if (config.silenceMs > 0) time.push(time.now + config.silenceMs, IO, process, then)
  }

  whenNotified({ process, other }: WireEnd, then: () => void): void {
    const { time, config } = this.#world
    time.push(Math.max(time.now, other.lastAt) + config.delayMs, IO, process, then)
  }

  #findHost(process: Process): Host | undefined {
    return this.#hosts.get(process) ?? this.#byPlace.find((host) => host?.process === process)
  }

  /** The news of a close arrives after what was sent before; or it does not, and the silence shows the end. */
  readonly #endArrives = (event: Event): void => {
    const end = event.subject
    if (!(end instanceof WireEnd) || end.closed) return
    if (!this.isCut(end.other.process, end.process)) this.#deliver(event, end, this.#endRead)
    else if (!this.#hold(this.link(end.other.process, end.process), event)) this.#breaksBySilence(end)
  }

  readonly #endRead = ({ subject: end }: Event): void => {
    if (end instanceof WireEnd && !end.closed) end.broke('the other side closed it')
  }

  #breaksBySilence(end: WireEnd): void {
    const { time, config } = this.#world
    if (config.silenceMs > 0) time.push(time.now + config.silenceMs, IO, end.process, () => end.fellSilent())
  }

  // ---- frames

  /** Decides what happens to a message that has not arrived yet. `onEffect` is called when it happens. */
  decide(from: number, to: number, number: number, fate: MessageFate, onEffect: () => void): void {
    this.#fates.set((from * this.#size + to) * FRAMES_MAX + number, { ...fate, onEffect })
    this.observer?.decided(from, to, number, fate.fate)
  }

  #takeFate(from: Process, to: Process, number: number): DecidedFate | undefined {
    const id = this.link(from, to) * FRAMES_MAX + number
    const fate = this.#fates.get(id)
    this.#fates.delete(id)
    return fate
  }

  #draw(from: number, to: number): number {
    const link = from * this.#size + to
    const count = this.#sent[link] ?? 0
    this.#sent[link] = count + 1
    return bits(this.#world.seed, DRAW.message, link, count)
  }

  carry(from: WireEnd, frame: Frame): void {
    const { other: to, process, connection } = from
    const { config, time, probeCoverage } = this.#world
    if (to.closed) this.#answerReset(from)
    if (connection.severed) return
    const number = this.#sent[this.link(process, to.process)] ?? 0
    const draw = this.#draw(process.place, to.process.place)
    const carried = this.#read(from, frame)
    const delay = this.#delay(process, to.process, draw)
    to.leftAt = Math.max(time.now, to.leftAt) + frameSize(carried) / this.bytesPerMs
    const arrivesAt = to.leftAt + delay
    if (!isMessage(carried)) {
      to.lastAt = Math.max(arrivesAt, to.lastAt)
      to.floorAt = to.lastAt
      time.push(to.lastAt, IO, undefined, this.#frameArrives, to, carried)
      return
    }
    const lost = this.calm ? 0 : config.lost + this.extraLost
    if (lost > 0 && mixed(draw + 1) % 1000 < lost) {
      probeCoverage.fault('message-lost')
      from.queuedFrames--
      return
    }
    let at = Math.max(arrivesAt, to.floorAt)
    if (config.reordered === 0 || this.calm) at = Math.max(at, to.lastAt)
    else if (at < to.lastAt) probeCoverage.fault('message-overtaken')
    if (at > to.lastAt) to.lastAt = at
    this.observer?.sent(process, to.process, carried, number, at)
    time.push(at, MESSAGE, undefined, this.#frameArrives, to, carried, number)
    if (config.doubled > 0 && !this.calm && mixed(draw + 2) % 1000 < config.doubled) {
      probeCoverage.fault('message-doubled')
      const again = Math.max(time.now + delay * (1 + 20 * unit(mixed(draw + 3))), to.floorAt)
      this.observer?.sent(process, to.process, carried, number, again)
      time.push(again, MESSAGE, undefined, this.#copyArrives, to, ownFrames(carried), number)
    }
  }

  /** The effect of the network on a frame. */
  #read({ connection, process, other }: WireEnd, frame: Frame): Frame {
    const { probeCoverage, triggers } = this.#world
    switch (frame.type) {
      case 'hello':
        connection.purpose = frame.purpose
        return frame
      case 'forward':
        triggers.met('forwarded', process, other.process)
        return ownFrames(frame)
      case 'snapshot-offer':
        connection.snapshotId = frame.snapshotId
        return frame
      case 'snapshot-accept':
        if (frame.nextChunk > 0) probeCoverage.hit('snapshot stream resumed in the middle')
        return frame
      case 'snapshot-staged':
        triggers.met('staged', process, other.process)
        return frame
      case 'snapshot-chunk': {
        const { number, bytes } = frame
        return {
          ...frame,
          bytes: this.streams.made(process, other.process, connection.snapshotId, number, bytes),
        }
      }
      case 'refusal':
        if (connection.purpose === 'snapshot')
          this.streams.refused(process, connection.snapshotId, frame.sentence)
        return frame
      default:
        return frame
    }
  }

  #delay(from: Process, to: Process, draw: number): number {
    const { delayMs, jitterMs, tail } = this.#world.config
    const usual = delayMs + jitterMs * unit(draw) + this.#extraMs(this.link(from, to))
    return tail > 0 && !this.prompt && mixed(draw + 4) % tail === 0 ? usual * TAIL_FACTOR : usual
  }

  readonly #frameArrives = (event: Event): void => {
    const end = event.subject
    if (!(end instanceof WireEnd)) return
    const { process, other } = end
    const frame = event.detail as Frame
    if (this.#fates.size > 0 && isMessage(frame) && this.#meetsFate(event, end, frame)) return
    if (!this.isCut(other.process, process)) this.#deliver(event, end, this.#frameRead)
    else if (!this.#hold(this.link(other.process, process), event)) {
      other.queuedFrames--
      // If a frame of the links is lost, the rest of its connection is lost too.
      if (!isMessage(frame) && !LOST_ALONE.has(frame.type)) end.torn = true
      if (this.observer !== undefined && isMessage(frame))
        this.observer.ended(other.process, process, event.number, false)
    }
  }

  /** Returns whether the message does not arrive now. */
  #meetsFate({ number }: Event, end: WireEnd, frame: WireMessage): boolean {
    const { process, other } = end
    const decided = this.#takeFate(other.process, process, number)
    if (decided === undefined) return false
    const { fate, delayMs, onEffect } = decided
    onEffect()
    const { time } = this.#world
    const again = time.now + delayMs
    if (fate === 'late') {
      this.observer?.delayed(other.process, process, number, again)
      time.push(again, MESSAGE, undefined, this.#frameArrives, end, frame, number)
    } else if (fate === 'doubled') {
      this.observer?.sent(other.process, process, frame, number, again)
      time.push(again, MESSAGE, undefined, this.#copyArrives, end, ownFrames(frame), number)
    } else {
      other.queuedFrames--
      this.observer?.ended(other.process, process, number, false)
    }
    return fate !== 'doubled'
  }

  /** A copy is made on the way. It has not waited at its sender. */
  readonly #copyArrives = (event: Event): void => {
    if (event.subject instanceof WireEnd) event.subject.other.queuedFrames++
    event.run = this.#frameArrives
    this.#frameArrives(event)
  }

  readonly #frameRead = ({ subject: end, detail, number }: Event): void => {
    if (!(end instanceof WireEnd)) return
    const { process, other } = end
    const frame = detail as Frame
    if (this.observer !== undefined && isMessage(frame))
      this.observer.ended(other.process, process, number, !end.closed && !end.torn)
    if (end.closed || end.torn) {
      if (end.closed && isMessage(frame) && this.#isConnected(process, other.process))
        this.#world.probeCoverage.hit('message of an older connection arrived')
      other.queuedFrames--
      // It may have been sent during a cut, when no reset could answer it.
      if (end.closed) this.#answerReset(other)
      return
    }
    end.deliver(frame)
  }

  /**
   * A frame that has passed all cuts is at the machine. A stopped process reads such frames in the order of arrival
   * when it continues.
   */
  #deliver(event: Event, { process }: WireEnd, read: (event: Event) => void): void {
    const { at, seq, kind, subject, detail, number } = event
    if (!process.live) {
      if (this.observer !== undefined && subject instanceof WireEnd && isMessage(detail as Frame))
        this.observer.ended(subject.other.process, process, number, false)
      return
    }
    if (!process.paused) read(event)
    else process.defer(new Event(at, seq, kind, process, read, subject, detail, number))
  }

  /** Whether another connection of the same peer is open. */
  #isConnected(process: Process, peer: Process): boolean {
    return this.endsAt(process.place).some(
      ({ process: own, other }) => own === process && other.process === peer,
    )
  }

  isOfLeader({ subject, detail, owner }: Event, term: number): boolean {
    if (!(subject instanceof WireEnd) || subject.process !== owner) return false
    const frame = detail as Frame
    const leads = frame.type === 'append' || frame.type === 'heartbeat'
    return leads && frame.term >= term && !subject.closed && !subject.torn
  }

  /** A cut holds these bytes back. False: they vanish. */
  #hold(link: number, event: Event): boolean {
    if ((this.#stalls[link] ?? 0) === 0) return false
    const held = this.#stalled.get(link)
    if (held === undefined) this.#stalled.set(link, [event])
    else held.push(event)
    return true
  }

  /**
   * A frame for an end that is gone is answered with a reset, if that machine runs: it may have lost its power and be
   * back.
   */
  #answerReset(end: WireEnd): void {
    const { process, other, connection } = end
    if (connection.severed || this.#isCutQuietly(process, other.process)) return
    if (this.#isCutQuietly(other.process, process) || this.#byPlace[other.process.place] === undefined) return
    connection.severed = true
    const { time, config } = this.#world
    this.#breakAt(end, Math.max(time.now + 2 * config.delayMs, end.lastAt), 'it was reset')
  }
}

/** The leader changes a forwarded frame when it stamps it, so the receiver gets copies. */
function ownFrames<T extends WireMessage>(message: T): WireMessage {
  if (message.type !== 'forward') return message
  const proposals = message.proposals.map(({ seq, frame }) => ({ seq, frame: Uint8Array.from(frame) }))
  return { ...message, proposals }
}

/** The approximate overhead of every frame. */
const FRAME_BYTES = 64

function frameSize(frame: Frame): number {
  switch (frame.type) {
    case 'append':
      return frame.entries.reduce((sum, entry) => sum + entry.frame.length, FRAME_BYTES)
    case 'forward':
      return frame.proposals.reduce((sum, proposal) => sum + proposal.frame.length, FRAME_BYTES)
    case 'snapshot-chunk':
      return frame.bytes.length + FRAME_BYTES
    default:
      return FRAME_BYTES
  }
}
