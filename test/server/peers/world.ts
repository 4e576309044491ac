// Links of several nodes on wires in memory, in virtual time. Frames take a millisecond, and the test breaks
// connections.

import { asIndex, asReplicaId, asTerm, type Message, type RaftMember } from '../../../src/raft/types.ts'
import type { Clock } from '../../../src/server/node/clock.ts'
import type { Greeting, NetworkEvents } from '../../../src/server/node/network.ts'
import {
  type LinkLimits,
  Links,
  type Wire,
  type WireOwner,
  type Wires,
} from '../../../src/server/peers/index.ts'
import type { Frame, Hello } from '../../../src/server/peers/wires.ts'

const TRAVEL_MS = 1
const nobody: WireOwner = { frame: () => {}, closed: () => {} }

interface Task {
  readonly at: number
  readonly run: () => void
  cancelled: boolean
}

/** A node or puppet with an address in a world. */
interface Place {
  readonly member: RaftMember
  readonly wires: Set<MemoryWire>
  /** The names in its certificate; undefined: without TLS. */
  certificate?: readonly string[] | undefined
  called: ((wire: Wire) => WireOwner) | undefined
}

/** One end of a connection. */
class MemoryWire implements Wire {
  readonly remote: string
  readonly network: string
  readonly world: World
  readonly place: Place
  other: MemoryWire | undefined
  owner = nobody
  closed = false
  queuedFrames = 0
  #held: (() => void)[] | undefined

  constructor(world: World, place: Place, remote: string) {
    this.world = world
    this.place = place
    this.remote = remote
    this.network = remote
  }

  get objectionTo(): Wire['objectionTo'] {
    const names = this.other?.place.certificate
    if (names === undefined) return undefined
    return ({ name, peer }) =>
      names.includes(name) || names.includes(peer) ? undefined : `its certificate names ${names.join(', ')}`
  }

  get queuedBytes(): number {
    return 100 * this.queuedFrames
  }

  established(_from: unknown, _to: unknown, owner: WireOwner): void {
    this.owner = owner
  }

  send(frame: Frame): boolean {
    if (this.closed) return false
    this.world.onFrame(this.place, frame)
    // The test's reaction to a frame may have ended the wire.
    if (this.closed) return true
    this.queuedFrames++
    this.#later(() => {
      this.queuedFrames--
      this.other?.owner.frame(frame)
    })
    return true
  }

  hold(): void {
    this.#held ??= []
  }

  release(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const run of held) run()
  }

  close(why: string): void {
    if (this.closed) return
    this.closed = true
    const { other } = this
    this.#later(() => other?.close('the other side closed it'))
    this.owner.closed(why)
  }

  drain(then: () => void = () => {}): void {
    this.owner = nobody
    this.close('drained')
    this.world.after(2 * TRAVEL_MS, then)
  }

  /** Breaks the connection: frames in flight are lost. `told`: both ends are notified, or only this one. */
  breaks(told: 'both' | 'this'): void {
    const { other } = this
    this.other = undefined
    if (other !== undefined) other.other = undefined
    for (const end of told === 'both' ? [this, other] : [this])
      this.world.after(TRAVEL_MS, () => end?.close('it was reset'))
  }

  #later(run: () => void): void {
    const { other } = this
    this.world.after(TRAVEL_MS, () => {
      if (other === undefined || this.other !== other || other.closed) return
      if (other.#held === undefined) run()
      else
        other.#held.push(() => {
          if (!other.closed) run()
        })
    })
  }
}

export type Event =
  | { readonly kind: 'message'; readonly message: Message }
  | { readonly kind: 'connected'; readonly greeting: Greeting }
  | { readonly kind: 'disconnected' | 'unreachable' | 'stop'; readonly what: string }
  | { readonly kind: 'hash'; readonly from: string; readonly hash: bigint }
  | { readonly kind: 'received'; readonly snapshotId: string }
  | { readonly kind: 'sent'; readonly ok: boolean }

const greetingOf = (member: RaftMember, boot: number): Greeting => ({
  ...{
    clusterId: '77',
    replicaId: member.id,
    name: member.name,
    boot,
    term: asTerm(1),
    lastIndex: asIndex(0),
  },
  ...{ peer: member.peer, clusterVersion: 1 },
})

const memberOf = (id: number): RaftMember => ({
  ...{ id: asReplicaId(String(id)), name: `n${id}`, peer: `n${id}`, url: '' },
})

export class Node implements Place {
  readonly world: World
  readonly member: RaftMember
  readonly links: Links
  readonly events: Event[] = []
  readonly wires = new Set<MemoryWire>()
  /** The log: the text, and its fields. */
  readonly logged: (readonly [text: string, fields: object])[] = []
  readonly warnings: object[] = []
  greeting: Greeting
  certificate: readonly string[] | undefined
  snapshotOffered: NetworkEvents['snapshotOffered'] = (_from, _term, _id, _meta, done) =>
    done('no room', undefined)
  admit: NetworkEvents['admit'] = () => undefined
  called: ((wire: Wire) => WireOwner) | undefined
  /** The node's reaction to an event. */
  hears: (event: Event) => void = () => {}

  constructor(world: World, id: number, boot: number, limits: Partial<LinkLimits>) {
    this.world = world
    this.member = memberOf(id)
    this.greeting = greetingOf(this.member, boot)
    const add = (event: Event): void => {
      this.events.push(event)
      this.hears(event)
    }
    const wires: Wires = {
      dial: (address, dialled) => world.dial(this, address, dialled),
      onCall: (called) => {
        this.called = called
      },
      close: () => {
        this.called = undefined
      },
    }
    const log = (fields: object, text: string): void => void this.logged.push([text, fields])
    const warn = (fields: object, text: string): void => {
      log(fields, text)
      this.warnings.push(fields)
    }
    this.links = new Links({
      self: { replicaId: this.member.id, clusterId: '77' },
      ...{ clock: world.clock, random: () => world.random(), wires, limits },
      resolvePeer: (member) => world.resolve(member),
      logger: { debug: log, info: log, warn, error: log },
      events: {
        greeting: () => this.greeting,
        admit: (greeting) => this.admit(greeting),
        message: (message) => add({ kind: 'message', message }),
        stateHash: (from, { hash }) => add({ kind: 'hash', from, hash }),
        keepAliveRequested() {},
        keepAliveAnswered() {},
        reportRequested() {},
        reportAnswered() {},
        tracesReceived() {},
        connected: (greeting) => add({ kind: 'connected', greeting }),
        disconnected: (what) => add({ kind: 'disconnected', what }),
        unreachable: (what) => add({ kind: 'unreachable', what }),
        stop: (what) => add({ kind: 'stop', what }),
        snapshotOffered: (...offer) => this.snapshotOffered(...offer),
        snapshotReceived: (_from, _term, snapshotId) => add({ kind: 'received', snapshotId }),
        snapshotSent: (_to, _index, failure) => add({ kind: 'sent', ok: failure === undefined }),
      },
    })
  }

  of<K extends Event['kind']>(kind: K): (Event & { kind: K })[] {
    return this.events.filter((event): event is Event & { kind: K } => event.kind === kind)
  }

  /** The fields of all log lines with this text. */
  why(text: string): object[] {
    return this.logged.flatMap(([said, fields]) => (said === text ? [fields] : []))
  }

  /** The counts that are not at their start value, by name. */
  get underWay(): Record<string, number> {
    return Object.fromEntries(Object.entries(this.links.inspect()).filter(([, value]) => value !== 0))
  }
}

/** One connection of a puppet. */
export class Talk {
  readonly heard: Frame[] = []
  /** The reason of its end. */
  ended: string | undefined
  wire: Wire | undefined
  readonly #heardMore: (talk: Talk, frame: Frame) => void

  constructor(heardMore: (talk: Talk, frame: Frame) => void = () => {}) {
    this.#heardMore = heardMore
  }

  begin(wire: Wire): WireOwner {
    this.wire = wire
    return {
      frame: (frame) => {
        this.heard.push(frame)
        this.#heardMore(this, frame)
      },
      closed: (why) => {
        this.ended = why
      },
    }
  }

  say(...frames: readonly Frame[]): void {
    for (const frame of frames) this.wire?.send(frame)
  }
}

/** A replica that a test controls: it sends what the test chooses, and records the frames that it receives. */
export class Puppet implements Place {
  readonly world: World
  readonly member: RaftMember
  readonly wires = new Set<MemoryWire>()
  /** The connections on which it was called. */
  readonly talks: Talk[] = []
  greeting: Greeting
  certificate: readonly string[] | undefined
  incarnation = 99n
  /** The reaction to a frame on one of the connections. By default, a hello gets a welcome. */
  hears: (talk: Talk, frame: Frame) => void = (talk, { type }) => {
    if (type === 'hello') this.welcome(talk)
  }
  called: Place['called'] = (wire) => {
    const talk = new Talk((...heard) => this.hears(...heard))
    this.talks.push(talk)
    return talk.begin(wire)
  }

  constructor(world: World, id: number) {
    this.world = world
    this.member = memberOf(id)
    this.greeting = greetingOf(this.member, 1)
  }

  welcome(talk: Talk): void {
    talk.say({ type: 'welcome', greeting: this.greeting, incarnation: this.incarnation })
  }

  /** Calls a node, and sends `first` as soon as it is connected. */
  call({ member }: Node, first: readonly Frame[]): Talk {
    const talk = new Talk()
    this.world.dial(this, member.peer, {
      connected: (wire) => {
        const owner = talk.begin(wire)
        talk.say(...first)
        return owner
      },
      failed: (why) => {
        talk.ended = why
      },
    })
    return talk
  }

  hello(change: Partial<Hello> = {}): Hello {
    const { greeting, incarnation } = this
    return {
      ...{ type: 'hello', purpose: 'messages', target: '1', attempt: 1, greeting, incarnation },
      ...change,
    }
  }
}

export class World {
  now = 0
  readonly #limits: Partial<LinkLimits>
  readonly #places = new Map<string, Place>()
  #tasks: Task[] = []
  #draws = 0
  /** Called with every frame before it leaves. */
  onFrame: (from: Place, frame: Frame) => void = () => {}
  /** The address at which a member is dialled. */
  resolve = ({ peer }: RaftMember): string => peer
  random = (): number => ((++this.#draws * 7919) % 1000) / 1000
  readonly clock: Clock = {
    now: () => this.now,
    after: (ms, run) => this.after(ms, run),
    soon: (run) => void this.after(0, run),
  }

  constructor(limits: Partial<LinkLimits> = {}) {
    this.#limits = limits
  }

  /** Starts a process of that replica, in place of the previous one. */
  start(id: number, boot = 1): Node {
    const node = new Node(this, id, boot, this.#limits)
    this.#places.set(node.member.peer, node)
    return node
  }

  /** Replaces that replica by a puppet. */
  puppet(id: number): Puppet {
    const puppet = new Puppet(this, id)
    this.#places.set(puppet.member.peer, puppet)
    return puppet
  }

  /** Configures these nodes as members. */
  meet(...nodes: readonly Node[]): void {
    for (const { links } of nodes) links.setPeers(nodes.map(({ member }) => member))
  }

  /** Stops the node, as if it was killed. */
  stop(node: Node): void {
    node.links.close()
    if (this.#places.get(node.member.peer) === node) this.#places.delete(node.member.peer)
  }

  /**
   * Breaks connections between two nodes: those that the first has dialled, those that it was called on, or all.
   * `this`: only the first is notified.
   */
  breaks(
    one: Place,
    two: Place,
    which: 'dialled' | 'called' | 'all' = 'all',
    told: 'both' | 'this' = 'both',
  ): void {
    for (const wire of [...one.wires])
      if (
        !wire.closed &&
        wire.remote.startsWith(two.member.peer) &&
        (which === 'all' || wire.remote.endsWith(which))
      )
        wire.breaks(told)
  }

  dial(from: Place, address: string, dialled: Parameters<Wires['dial']>[1]): () => void {
    let open = true
    let made: MemoryWire | undefined
    this.after(TRAVEL_MS, () => {
      if (!open) return
      const to = this.#places.get(address)
      if (to?.called === undefined) {
        this.after(TRAVEL_MS, () => {
          if (open) dialled.failed('nobody is there')
        })
        return
      }
      const [caller, called] = [
        new MemoryWire(this, from, `${address} dialled`),
        new MemoryWire(this, to, `${from.member.peer} called`),
      ]
      caller.other = called
      called.other = caller
      made = caller
      to.wires.add(called)
      from.wires.add(caller)
      called.owner = to.called(called)
      this.after(TRAVEL_MS, () => {
        if (!open) return
        if (caller.closed) dialled.failed('it was cut')
        else caller.owner = dialled.connected(caller)
      })
    })
    return () => {
      open = false
      made?.drain()
    }
  }

  after(ms: number, run: () => void): { cancel(): void } {
    const task: Task = { at: this.now + ms, run, cancelled: false }
    this.#tasks.push(task)
    return {
      cancel: () => {
        task.cancelled = true
      },
    }
  }

  /** The number of pending tasks. */
  get timers(): number {
    return this.#tasks.filter(({ cancelled }) => !cancelled).length
  }

  pass(ms: number): void {
    const until = this.now + ms
    for (;;) {
      let next: Task | undefined
      for (const task of this.#tasks)
        if (task.at <= until && (next === undefined || task.at < next.at)) next = task
      if (next === undefined) break
      this.#tasks.splice(this.#tasks.indexOf(next), 1)
      this.now = Math.max(this.now, next.at)
      if (!next.cancelled) next.run()
    }
    this.now = until
  }
}
