// The wires between the machines: connections with the handshake of the shipped transport, messages that take their time, and cuts.
//
// One session stands for the two TCP connections of a pair. What matters of src/server/transport is kept: who calls says who it is and is
// admitted or refused by the driver; nothing of a session is delivered before `connected` has been said; a new call replaces an older session;
// each end notices a break in its own time, redials, and reports `refused` when that fails beyond the grace time; on a session on which nothing
// arrives for long, the listener hangs up. Messages are lost, doubled and overtaken only where the schedule says so: TCP does not, but
// the core promises to bear it.

import type { Member, Message, ReplicaId, Term } from '../../src/raft/index.ts'
import type { Greeting, Network, StateHashAt } from '../../src/server/types.ts'
import type { SnapshotSource } from '../../src/storage/index.ts'
import type { Process } from './process.ts'
import { bits, DRAW, mixed, unit } from './random.ts'
import { SnapshotStreams } from './snapshot-stream.ts'
import { type Event, IO, MESSAGE } from './time.ts'
import type { World } from './world.ts'

const GRACE_MS = 20
const HANDSHAKE_MS = 2000
const RECONNECT_MS_MIN = 5
const RECONNECT_MS_MAX = 500
/** Of a cut that holds bytes back: the rest does not fit into the socket buffers. */
const STALLED_MAX = 256

/** Of a cut: bytes wait instead of vanishing; calls are refused instead of ignored. */
export interface CutMode {
  readonly stalls: boolean
  readonly refuses: boolean
}

/** What one end of a session knows. */
interface End {
  readonly process: Process
  open: boolean
  /** Nothing arrives before this. */
  readyAt: number
  /** When the newest message to this end arrives. */
  lastAt: number
  sent: number
}

export class Session {
  readonly caller: End
  readonly called: End

  constructor(caller: Process, called: Process) {
    const end = (process: Process): End => ({ process, open: true, readyAt: 0, lastAt: 0, sent: 0 })
    this.caller = end(caller)
    this.called = end(called)
  }

  endOf(process: Process): End {
    return this.caller.process === process ? this.caller : this.called
  }
  otherEnd(process: Process): End {
    return this.caller.process === process ? this.called : this.caller
  }
}

/** What one process keeps of its peers. */
interface Peers {
  readonly process: Process
  readonly sessions: Map<ReplicaId, Session>
  configured: Set<ReplicaId>
  /** Dials under way; the session once the other end has let us in. */
  readonly dialing: Map<ReplicaId, { session: Session | undefined }>
  /** Not reachable at the last try: tried again when something changes. */
  readonly wanted: Set<ReplicaId>
  /** A break not longer ago than the grace time, and whether a dial has failed since. */
  readonly graces: Map<ReplicaId, { failed: boolean; over: boolean }>
  /** Newest process heard of each replica: boot counter and process. */
  readonly newest: Map<ReplicaId, { boot: number; process: number }>
  dials: number
}

/** Numbers of message types in the trace. */
const TYPES = [
  'append',
  'append-accepted',
  'append-rejected',
  'heartbeat',
  'heartbeat-answer',
  'vote-request',
  'pre-vote-request',
  'vote-answer',
  'pre-vote-answer',
  'snapshot',
  'timeout-now',
  'transfer-request',
  'forward',
  'forward-refused',
  'read-index',
  'read-index-answer',
  'lost-state',
] as const satisfies readonly Message['type'][]
const TYPE_NUMBERS = new Map<string, number>(TYPES.map((type, number) => [type, number]))

export class SimNetwork {
  readonly #world: World
  readonly #size: number
  readonly #peers = new Map<Process, Peers>()
  readonly #byId = new Map<ReplicaId, Process>()
  /** How many faults cut each direction, and since when; of these how many hold bytes back instead of losing them. */
  readonly #cuts: Int32Array
  readonly #stalls: Int32Array
  /** How many of them answer a call with a refusal, as a firewall may, instead of silence. */
  readonly #refusals: Int32Array
  readonly #cutSince: Float64Array
  readonly #stalled = new Map<number, Event[]>()
  readonly #delays: Float64Array
  /** Of a thousand messages, beside what the configuration says. */
  extraLost = 0
  /** No message is lost, doubled or overtaken any more. */
  calm = false
  /** Messages and calls that a cut or a slow link has touched, by direction: whether a fault was felt. */
  readonly felt: Int32Array
  readonly streams: SnapshotStreams

  constructor(world: World, size: number) {
    this.#world = world
    this.#size = size
    this.#cuts = new Int32Array(size * size)
    this.#stalls = new Int32Array(size * size)
    this.#refusals = new Int32Array(size * size)
    this.#cutSince = new Float64Array(size * size)
    this.#delays = new Float64Array(size * size)
    this.felt = new Int32Array(size * size)
    this.streams = new SnapshotStreams(world, this)
  }

  processOf(id: ReplicaId): Process | undefined {
    return this.#byId.get(id)
  }

  // ---- cuts

  link(from: Process, to: Process): number {
    return from.place * this.#size + to.place
  }

  isCut(from: Process, to: Process): boolean {
    const link = this.link(from, to)
    if ((this.#cuts[link] ?? 0) === 0) return false
    this.felt[link] = (this.felt[link] ?? 0) + 1
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
      for (const peers of [...this.#peers.values()]) {
        if (peers.process.place !== to) continue
        for (const session of [...peers.sessions.values()]) {
          if (session.otherEnd(peers.process).process.place === from) this.#hangUp(peers.process, session)
        }
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
    for (const event of held ?? []) this.#world.time.again(event)
    this.tryAgain()
  }

  slow(from: number, to: number, ms: number): void {
    const link = from * this.#size + to
    this.#delays[link] = (this.#delays[link] ?? 0) + ms
  }

  /** A connection breaks; both ends notice. False: there was none. */
  breakBetween(a: number, b: number): boolean {
    let broke = false
    for (const { process, sessions } of [...this.#peers.values()]) {
      if (process.place !== a) continue
      for (const session of [...sessions.values()]) {
        if (session.otherEnd(process).process.place !== b) continue
        broke = true
        this.#reset(session)
      }
    }
    return broke
  }

  /** Nothing was heard of a stopped process for long: the others hang up. */
  hushed(process: Process): void {
    for (const session of [...(this.#peers.get(process)?.sessions.values() ?? [])]) {
      this.#hangUp(session.otherEnd(process).process, session)
    }
  }

  /** Whatever could not be reached may be reachable now. */
  tryAgain(): void {
    for (const peers of this.#peers.values()) {
      for (const id of [...peers.wanted]) {
        peers.wanted.delete(id)
        const wait = RECONNECT_MS_MAX * unit(this.#draw(peers))
        this.#world.time.push(this.#world.time.now + wait, IO, peers.process, () => this.#dial(peers, id))
      }
    }
  }

  // ---- a process and its peers

  networkOf(process: Process): Network {
    const peers: Peers = {
      process,
      sessions: new Map(),
      configured: new Set(),
      dialing: new Map(),
      wanted: new Set(),
      graces: new Map(),
      newest: new Map(),
      dials: 0,
    }
    this.#peers.set(process, peers)
    this.#byId.set(process.id, process)
    let open = true
    return {
      setPeers: (members) => {
        if (open) this.#setPeers(peers, members)
      },
      send: (message) => {
        if (open) this.#send(peers, message)
      },
      sendStateHash: (at) => {
        if (open) this.#sendHash(peers, at)
      },
      sendSnapshot: (to, term, source) => this.#sendSnapshot(peers, to, term, source),
      close: () => {
        open = false
        this.#close(peers)
      },
    }
  }

  #setPeers(peers: Peers, members: readonly Member[]): void {
    const { process } = peers
    const now = new Set<ReplicaId>()
    for (const { id } of members) if (id !== process.id) now.add(id)
    const before = peers.configured
    peers.configured = now
    for (const id of before) {
      if (now.has(id)) continue
      peers.wanted.delete(id)
      peers.graces.delete(id)
      this.#abandonDial(peers, id)
      const session = peers.sessions.get(id)
      // What is queued still leaves.
      if (session !== undefined) this.#hangUp(process, session)
      this.streams.giveUp(process, id, 'it is no peer any more')
    }
    for (const id of now) this.#dial(peers, id)
  }

  /** The process is gone: its ends are closed, unless the power went and nobody is left to say so. */
  #close(peers: Peers): void {
    const { process } = peers
    this.#peers.delete(process)
    if (this.#byId.get(process.id) === process) this.#byId.delete(process.id)
    this.streams.closed(process)
    const sessions = [...peers.sessions.values()]
    for (const { session } of peers.dialing.values()) if (session !== undefined) sessions.push(session)
    peers.sessions.clear()
    peers.dialing.clear()
    for (const session of sessions) {
      session.endOf(process).open = false
      this.#tellBroken(session, session.otherEnd(process).process, process, this.silentDeath)
    }
  }

  /** Set while processes die by a loss of power. */
  silentDeath = false

  // ---- messages

  #send(peers: Peers, message: Message): void {
    const { process } = peers
    const world = this.#world
    world.leaving(process, message)
    process.send(message)
    const session = peers.sessions.get(message.to)
    if (session === undefined) return
    const to = session.otherEnd(process)
    if (!to.open) this.#answerReset(session, process, to.process)
    const { config, time } = world
    const draw = bits(world.seed, DRAW.message, process.number * 64 + to.process.place, to.sent++)
    const lost = this.calm ? 0 : config.lost + this.extraLost
    if (lost > 0 && mixed(draw + 1) % 1000 < lost) {
      world.tally.fault('message-lost')
      return
    }
    const content = message.type === 'forward' ? ownFrames(message) : message
    const delay = this.#delay(process, to.process, draw)
    let at = Math.max(time.now + delay, to.readyAt)
    if (config.reordered === 0 || this.calm) at = Math.max(at, to.lastAt)
    else if (at < to.lastAt) world.tally.fault('message-overtaken')
    if (at > to.lastAt) to.lastAt = at
    time.push(at, MESSAGE, to.process, this.#deliver, session, content)
    if (config.doubled > 0 && !this.calm && mixed(draw + 2) % 1000 < config.doubled) {
      world.tally.fault('message-doubled')
      const again = time.now + delay * (1 + 20 * unit(mixed(draw + 3)))
      const copy = message.type === 'forward' ? ownFrames(message) : message
      time.push(Math.max(again, to.readyAt), MESSAGE, to.process, this.#deliver, session, copy)
    }
  }

  #delay(from: Process, to: Process, draw: number): number {
    const { delayMs, jitterMs, tail } = this.#world.config
    const usual = delayMs + jitterMs * unit(draw) + this.extraMs(from, to)
    return tail > 0 && mixed(draw + 4) % tail === 0 ? usual * 20 : usual
  }

  /** By how much a link is slower just now. */
  extraMs(from: Process, to: Process): number {
    const link = this.link(from, to)
    const extra = this.#delays[link] ?? 0
    if (extra > 0) this.felt[link] = (this.felt[link] ?? 0) + 1
    return extra
  }

  readonly #deliver = (event: Event): void => {
    const session = event.subject
    const to = event.owner
    if (!(session instanceof Session)) return
    const process = session.caller.process === to ? session.caller.process : session.called.process
    const end = session.endOf(process)
    const from = session.otherEnd(process).process
    const message = event.detail as Message
    if (this.isCut(from, process)) {
      this.#hold(this.link(from, process), event)
      return
    }
    const world = this.#world
    if (!end.open) {
      if (this.#peers.get(process)?.sessions.has(message.from))
        world.tally.hit('message of an older connection arrived')
      return
    }
    world.trace.mix((TYPE_NUMBERS.get(message.type) ?? 0) + 32 * message.term)
    world.trace.mix('index' in message ? Number(message.index) : 'commit' in message ? message.commit : 0)
    const { driver } = process
    if (driver === undefined) return
    if (message.type === 'heartbeat' && message.term < driver.term)
      world.tally.hit('old leader heard after a newer one')
    if (message.type === 'forward') world.tally.hit('write forwarded to the leader')
    if (message.type === 'read-index') world.tally.hit('read forwarded to the leader')
    world.invariants.heard(process.replica, message, driver.term)
    driver.message(message)
  }

  isOfLeader({ subject, detail, owner }: Event, term: number): boolean {
    if (!(subject instanceof Session)) return false
    const { caller, called } = subject
    const [end, other] = caller.process === owner ? [caller, called] : [called, caller]
    const message = detail as Message
    const leads = message.type === 'append' || message.type === 'heartbeat'
    return leads && message.term >= term && end.open && !this.#isCutQuietly(other.process, end.process)
  }

  #hold(link: number, event: Event): void {
    if ((this.#stalls[link] ?? 0) === 0) return
    const held = this.#stalled.get(link)
    if (held === undefined) this.#stalled.set(link, [event])
    else if (held.length < STALLED_MAX) held.push(event)
  }

  #sendHash(peers: Peers, at: StateHashAt): void {
    const { process } = peers
    const { time, seed } = this.#world
    for (const session of peers.sessions.values()) {
      const to = session.otherEnd(process)
      const draw = bits(seed, DRAW.message, process.number * 64 + to.process.place, to.sent++)
      const arrives = Math.max(time.now + this.#delay(process, to.process, draw), to.readyAt)
      time.push(arrives, IO, to.process, () => {
        if (to.open && !this.isCut(process, to.process)) to.process.driver?.stateHash(process.id, at)
      })
    }
  }

  // ---- connections

  #draw(peers: Peers): number {
    return bits(this.#world.seed, DRAW.handshake, peers.process.number, peers.dials++)
  }

  #dial(peers: Peers, id: ReplicaId): void {
    const { process } = peers
    if (!this.#peers.has(process) || !peers.configured.has(id)) return
    if (peers.sessions.has(id) || peers.dialing.has(id)) return
    const world = this.#world
    const { time } = world
    const dial = { session: undefined }
    peers.dialing.set(id, dial)
    const draw = this.#draw(peers)
    const called = this.#byId.get(id)
    const travel = (to: number): number =>
      world.config.delayMs + world.config.jitterMs * unit(mixed(draw + to))
    const fail = (after: number): void =>
      void time.push(time.now + after, IO, process, () => this.#dialFailed(peers, id, dial))
    if (called === undefined) {
      // Nobody listens there: refused at once, unless the calls to that machine vanish.
      const place = this.#placeOf(id)
      const vanishes = place === undefined || (this.#cuts[process.place * this.#size + place] ?? 0) > 0
      fail(vanishes ? HANDSHAKE_MS : 2 * world.config.delayMs)
      return
    }
    const refuses = (this.#refusals[this.link(process, called)] ?? 0) > 0
    fail(refuses ? 2 * world.config.delayMs : HANDSHAKE_MS)
    const greeting = process.driver?.greeting()
    if (greeting === undefined || this.isCut(process, called)) return
    time.push(time.now + travel(1), IO, called, () => {
      if (!this.isCut(process, called)) this.#called(peers, called, greeting, dial, travel(2))
    })
  }

  #placeOf(id: ReplicaId): number | undefined {
    const place = Math.floor(Number(id) / 1000) - 1
    return place >= 0 && place < this.#size ? place : undefined
  }

  /** A call arrives. */
  #called(
    from: Peers,
    called: Process,
    greeting: Greeting,
    dial: { session: Session | undefined },
    travelMs: number,
  ): void {
    const peers = this.#peers.get(called)
    const { driver } = called
    const caller = from.process
    // Who called may have given up.
    if (peers === undefined || driver === undefined || from.dialing.get(called.id) !== dial) return
    const { time, tally } = this.#world
    // Both call at once: one of the two calls is enough.
    if (peers.dialing.has(caller.id) && called.place < caller.place) return
    const isStale = !this.#heard(peers, greeting, caller)
    const refusal = isStale
      ? { refuse: 'a newer process of that replica has been started', stop: true }
      : driver.admit(greeting)
    if (refusal !== undefined) {
      time.push(time.now + travelMs, IO, caller, () => {
        if (this.isCut(called, caller)) return
        this.#dialFailed(from, called.id, dial)
        if (refusal.stop) caller.driver?.stop(refusal.refuse)
      })
      return
    }
    const older = peers.sessions.get(caller.id)
    if (older !== undefined) {
      tally.hit('stale connection replaced')
      this.#drop(called, older)
    }
    if (!called.live) return
    const session = new Session(caller, called)
    dial.session = session
    session.caller.readyAt = time.now + travelMs
    session.caller.lastAt = session.caller.readyAt
    peers.sessions.set(caller.id, session)
    peers.wanted.delete(caller.id)
    peers.graces.delete(caller.id)
    const answer = driver.greeting()
    time.push(time.now + travelMs, IO, caller, () => {
      if (!this.isCut(called, caller)) this.#answered(from, called, session, answer, dial)
    })
    driver.connected(greeting)
  }

  /** The answer to our call arrives. */
  #answered(
    peers: Peers,
    called: Process,
    session: Session,
    greeting: Greeting,
    dial: { session: Session | undefined },
  ): void {
    const { process } = peers
    if (!this.#peers.has(process)) return
    if (peers.dialing.get(called.id) !== dial) {
      session.caller.open = false
      this.#tellBroken(session, called, process, false)
      return
    }
    if (!this.#heard(peers, greeting, called) || !session.called.open) {
      this.#dialFailed(peers, called.id, dial)
      this.#reset(session)
      return
    }
    peers.dialing.delete(called.id)
    peers.wanted.delete(called.id)
    peers.graces.delete(called.id)
    const older = peers.sessions.get(called.id)
    if (older !== undefined) {
      this.#drop(process, older)
      this.#tellBroken(older, called, process, false)
    }
    if (!process.live) return
    peers.sessions.set(called.id, session)
    process.driver?.connected(greeting)
  }

  /** Of two processes of one replica the one with the higher boot counter is the replica. */
  #heard(peers: Peers, { replicaId, boot }: Greeting, process: Process): boolean {
    const known = peers.newest.get(replicaId)
    if (known !== undefined && known.boot === boot) return known.process === process.number
    if (known !== undefined && known.boot > boot) return false
    peers.newest.set(replicaId, { boot, process: process.number })
    return true
  }

  #dialFailed(peers: Peers, id: ReplicaId, dial: { session: Session | undefined }): void {
    const { process } = peers
    if (peers.dialing.get(id) !== dial || !this.#peers.has(process)) return
    this.#abandonDial(peers, id)
    const grace = peers.graces.get(id)
    if (grace !== undefined) {
      grace.failed = true
      this.#reportRefused(peers, id)
    }
    if (!peers.configured.has(id)) return
    const called = this.#byId.get(id)
    const reachable =
      called !== undefined &&
      !called.paused &&
      !this.#isCutQuietly(process, called) &&
      !this.#isCutQuietly(called, process)
    if (!reachable) {
      peers.wanted.add(id)
      return
    }
    const wait = RECONNECT_MS_MIN + (RECONNECT_MS_MAX - RECONNECT_MS_MIN) * unit(this.#draw(peers))
    this.#world.time.push(this.#world.time.now + wait, IO, process, () => this.#dial(peers, id))
  }

  #abandonDial(peers: Peers, id: ReplicaId): void {
    const session = peers.dialing.get(id)?.session
    peers.dialing.delete(id)
    if (session === undefined) return
    session.caller.open = false
    this.#tellBroken(session, session.called.process, peers.process, false)
  }

  #isCutQuietly(from: Process, to: Process): boolean {
    return (this.#cuts[this.link(from, to)] ?? 0) > 0
  }

  #reportRefused(peers: Peers, id: ReplicaId): void {
    const grace = peers.graces.get(id)
    if (grace === undefined || !grace.over || !grace.failed) return
    peers.graces.delete(id)
    peers.process.driver?.refused(id)
  }

  /** One end closes: it knows at once, the other when that arrives. */
  #hangUp(process: Process, session: Session): void {
    const other = session.otherEnd(process).process
    this.#broke(process, session)
    this.#tellBroken(session, other, process, false)
  }

  #reset(session: Session): void {
    const { caller, called } = session
    this.#tellBroken(session, caller.process, called.process, false)
    this.#tellBroken(session, called.process, caller.process, false)
  }

  /** `process` learns that the other end is closed, behind what is still on its way; or by the silence. */
  #tellBroken(session: Session, process: Process, other: Process, silently: boolean): void {
    const { time, config } = this.#world
    const quiet = silently || this.#isCutQuietly(other, process)
    if (quiet && config.silenceMs === 0) return
    const end = session.endOf(process)
    const at = quiet ? time.now + config.silenceMs : Math.max(time.now + config.delayMs, end.lastAt)
    time.push(at, IO, process, () => this.#broke(process, session))
  }

  /** What comes for an end that is gone is answered with a reset, if that machine runs: it may have died without a word, and be back. */
  #answerReset(session: Session, process: Process, other: Process): void {
    if (this.isCut(process, other)) return
    for (const { place } of this.#peers.keys()) {
      if (place === other.place) this.#tellBroken(session, process, other, false)
    }
  }

  /** `process` notices that a session is over, and tries to make another. */
  #broke(process: Process, session: Session): void {
    const end = session.endOf(process)
    if (!end.open) return
    const { id } = session.otherEnd(process).process
    this.#drop(process, session)
    const peers = this.#peers.get(process)
    if (peers === undefined || !peers.configured.has(id)) return
    peers.graces.set(id, { failed: false, over: false })
    const grace = peers.graces.get(id)
    this.#world.time.push(this.#world.time.now + GRACE_MS, IO, process, () => {
      if (grace === undefined || peers.graces.get(id) !== grace) return
      grace.over = true
      this.#reportRefused(peers, id)
    })
    this.#dial(peers, id)
  }

  #drop(process: Process, session: Session): void {
    const end = session.endOf(process)
    if (!end.open) return
    end.open = false
    const { id } = session.otherEnd(process).process
    const peers = this.#peers.get(process)
    if (peers?.sessions.get(id) !== session) return
    peers.sessions.delete(id)
    process.driver?.disconnected(id)
  }

  // ---- snapshots

  #sendSnapshot(peers: Peers, to: ReplicaId, term: Term, source: SnapshotSource): void {
    const isPeer = peers.configured.has(to) || peers.sessions.has(to)
    this.streams.begin(peers.process, to, term, source, isPeer)
  }
}

/** A forwarded frame is changed by the leader that stamps it. */
function ownFrames(message: Extract<Message, { type: 'forward' }>): Message {
  return {
    ...message,
    proposals: message.proposals.map(({ seq, frame }) => ({ seq, frame: Uint8Array.from(frame) })),
  }
}
