// Clients of watches. A client begins a watch at a node as the front of a node does: when a linearizable read is
// granted. It takes its messages one after the other. Some clients are slow and have a small buffer, so that the node
// must let them read history. When its node dies or ends the watch, or the connection is lost, its waiting messages are
// lost too. It then continues at another node, from the revision after the last one that it has taken.
//
// Everything that a node sends is kept: one record for each connection, for checker/watch.

import { asRevision, type KeyRow } from '../../../src/operations/forms/index.ts'
import type { Driver } from '../../../src/server/node/driver.ts'
import type { EventsMessage } from '../../../src/server/node/watch/events.ts'
import type {
  PermittedWatch,
  WatchEnd,
  WatchHandle,
  WatchSink,
} from '../../../src/server/node/watch/index.ts'
import type { WatchedEvent, WatchMessage, WatchRecord, WatchSelection } from '../../checker/watch/index.ts'
import type { Random } from '../../workload/random.ts'
import { bytes, text } from '../oracle/model-row.ts'
import { RuleViolation } from '../oracle/violation.ts'
import type { Machine, Process } from '../world/process.ts'
import { IO } from '../world/time.ts'
import type { SimWorld } from '../world/world.ts'
import type { Clients, Lane } from './clients.ts'
import { linearizable } from './null-requests.ts'

/** Watches of all clients at a time. */
const WATCHES_MAX = 8
/**
 * Time that a client takes for a message at the end. Progress may come faster than that, and must not keep events from
 * a watch.
 */
export const HURRIED_MS = 60
/** Pause before a client continues at another node. */
const PAUSE_MS = 40

/** A client with one watch, over all its connections. */
interface SimWatchClient {
  readonly lane: Lane
  readonly selection: Omit<WatchSelection, 'from'>
  readonly progressMs: number
  /** Messages that may wait for it, and how long it takes to take them. */
  readonly waitingMax: number
  readonly takesMs: number
  /** Where it continues; undefined: it has seen nothing yet, and continues with the next revision. */
  from: number | undefined
  connection: Connection | undefined
}

export class SimWatchers {
  readonly #world: SimWorld
  readonly #clients: Clients
  readonly #watchers: SimWatchClient[] = []
  readonly #records: WatchRecord[] = []
  /** The machines at which watches are begun again; undefined: all. */
  #nodes: readonly Machine[] | undefined
  #isOver = false

  constructor(world: SimWorld, clients: Clients) {
    this.#world = world
    this.#clients = clients
  }

  get records(): readonly WatchRecord[] {
    return this.#records
  }

  get isEmpty(): boolean {
    return this.#watchers.length === 0
  }

  /** A client begins. Returns whether a node was asked. */
  begin(process: Process, driver: Driver, rng: Random): boolean {
    if (this.#watchers.length >= WATCHES_MAX) return false
    const { keys } = this.#world.config
    const key = (): string => `${rng.pick(['b', 'k'])}${rng.below(keys)}`
    const bounds = rng.pick<Pick<WatchSelection, 'key' | 'start' | 'end'>>([
      { start: '' },
      { start: '' },
      { start: 'b', end: 'c' },
      { start: 'a', end: 'l' },
      { key: key() },
      { start: key() },
    ])
    const { revision, history } = driver
    const watcher: SimWatchClient = {
      lane: { name: `w${this.#watchers.length + 1}`, busy: false },
      selection: {
        ...bounds,
        only: rng.pick([undefined, undefined, undefined, 'put', 'delete']),
        prev: rng.chance(0.4),
        values: rng.chance(0.8),
      },
      progressMs: rng.pick([50, 500, 2000]),
      waitingMax: rng.pick([1, 2, 5, 1000]),
      takesMs: rng.pick([0, 0, 5, 100, 1000]),
      from: rng.pick([
        undefined,
        undefined,
        1,
        Math.max(history.compacted, history.first),
        revision,
        Math.max(1, revision - 5),
        revision + 3,
      ]),
      connection: undefined,
    }
    this.#watchers.push(watcher)
    this.#connect(watcher, process, driver)
    return true
  }

  /** A client loses its connection, and continues at this machine. */
  move(client: number, machine: Machine): boolean {
    const watcher = this.#watchers[client % Math.max(1, this.#watchers.length)]
    if (watcher?.connection === undefined) return false
    this.#world.probeCoverage.hit('watch continues at another node')
    this.#loseConnection(watcher, machine.place)
    return true
  }

  /** A process is gone, and so are its connections. */
  gone(process: Process): void {
    for (const watcher of this.#watchers)
      if (watcher.connection?.process === process) this.#loseConnection(watcher, process.place + 1)
  }

  // ---- the end

  /** All clients continue at these machines, and are not very slow any more. */
  settleAt(machines: readonly Machine[]): void {
    this.#nodes = machines
    for (const [at, watcher] of this.#watchers.entries()) {
      const { connection } = watcher
      if (connection === undefined) continue
      if (machines.includes(connection.process.machine)) connection.hurry()
      else this.#loseConnection(watcher, at)
    }
  }

  /** The reason if a watch lacks an event up to this revision. */
  whyIncomplete(revision: number): string | undefined {
    for (const { lane, connection } of this.#watchers) {
      if (connection === undefined) return `${lane.name} finds no node that serves its watch`
      if (connection.upTo < revision)
        return `${connection.name} received everything up to ${connection.upTo}, and not up to ${revision}`
    }
    return undefined
  }

  /** All watches end. Those that still run have received everything up to `due`. */
  endAll(due: number | undefined): void {
    this.#isOver = true
    for (const { connection } of this.#watchers) connection?.close(due)
    this.#watchers.length = 0
  }

  // ---- connections

  #loseConnection(watcher: SimWatchClient, place: number): void {
    const { connection } = watcher
    watcher.connection = undefined
    if (connection !== undefined) {
      connection.close(undefined)
      this.#sayLost(watcher, connection.process)
      watcher.from = connection.resumesFrom
    }
    this.#resumeLater(watcher, place)
  }

  #sayLost({ lane }: SimWatchClient, process: Process): void {
    this.#world.say(process, { kind: 'watch-lost', watcher: lane.name })
  }

  #resumeLater(watcher: SimWatchClient, place: number): void {
    const { time } = this.#world
    time.push(time.now + PAUSE_MS, IO, undefined, () => {
      if (this.#isOver || watcher.connection !== undefined || watcher.lane.busy) return
      const machines = this.#nodes ?? this.#world.machines
      const machine = machines[place % machines.length]
      const process = machine?.process
      if (process?.serving === undefined) this.#resumeLater(watcher, place + 1)
      else this.#connect(watcher, process, process.serving)
    })
  }

  #connect(watcher: SimWatchClient, process: Process, driver: Driver): void {
    const clients = this.#clients
    const { timeoutMs } = this.#world.config
    const { model } = this.#world.invariants
    const answered = model.revisionAt(clients.floor)
    const again = (): void => this.#resumeLater(watcher, process.place + 1)
    clients.read(
      { lane: watcher.lane, process, driver },
      linearizable(timeoutMs),
      (_index, { revision }, open) => {
        const { selection, from, progressMs } = watcher
        const connection = new Connection(this.#world, process, watcher, answered, (resumeFrom) => {
          if (watcher.connection !== connection) return
          watcher.connection = undefined
          this.#sayLost(watcher, process)
          watcher.from = resumeFrom
          this.#resumeLater(watcher, process.place + 1)
        })
        const begun = driver.watch(watchRequestFrom(selection, from, progressMs), connection)
        if (!begun.ok) return clients.end(open, begun.problem.code)
        connection.begin(begun.value, revision)
        if (this.#nodes !== undefined) connection.hurry()
        this.#records.push(connection)
        watcher.connection = connection
        this.#world.say(process, {
          ...{ kind: 'watch-began', watcher: watcher.lane.name },
          from: connection.resumesFrom,
        })
        this.#world.probeCoverage.hit(from === undefined ? 'watch begun' : 'watch begun at a revision')
        clients.end(open)
      },
      again,
    )
  }
}

function watchRequestFrom(
  selection: SimWatchClient['selection'],
  from: number | undefined,
  progressMs: number,
): PermittedWatch {
  const { key, start = '', end, only, prev, values } = selection
  const where =
    key === undefined
      ? { start: bytes(start), end: end === undefined ? end : bytes(end) }
      : { key: bytes(key) }
  return { where, from: from === undefined ? from : asRevision(from), only, prev, values, progressMs }
}

/** One connection of a watch, at the end of its node. */
class Connection implements WatchSink, WatchRecord {
  readonly #world: SimWorld
  readonly #waitingMax: number
  readonly #onEnd: (resumeFrom: number) => void
  readonly process: Process
  readonly name: string
  readonly selection: WatchSelection
  readonly answered: number
  readonly messages: WatchMessage[] = []
  #watch: WatchHandle | undefined
  #takesMs: number
  /** The revisions of messages that the client has not taken. */
  #waiting: number[] = []
  #isTaking = false
  #waits = false
  /** The client is gone. */
  #isClosed = false
  /** The node has ended it. */
  #hasEnded = false
  /** The revision from which the client continues: it has taken everything below. */
  #next: number

  constructor(
    world: SimWorld,
    process: Process,
    { lane, selection, from, waitingMax, takesMs }: SimWatchClient,
    answered: number,
    onEnd: (resumeFrom: number) => void,
  ) {
    this.#world = world
    this.#waitingMax = waitingMax
    this.#takesMs = takesMs
    this.#onEnd = onEnd
    this.process = process
    this.name = `${lane.name} at ${process.name}`
    this.selection = { ...selection, from }
    this.answered = answered
    this.#next = from ?? 0
  }

  begin(watch: WatchHandle, revision: number): void {
    this.#watch = watch
    this.#next = watch.from
    this.messages.push({ kind: 'created', revision, from: watch.from })
  }

  get resumesFrom(): number {
    return this.#next
  }

  /** Revision up to which the watcher has received everything. */
  get upTo(): number {
    const last = this.messages.at(-1)
    return last?.kind === 'events' || last?.kind === 'progress' ? last.revision : 0
  }

  hurry(): void {
    this.#takesMs = Math.min(this.#takesMs, HURRIED_MS)
    this.#takeNext()
  }

  close(due: number | undefined): void {
    if (this.#isClosed || this.#hasEnded) return
    this.#isClosed = true
    const { time } = this.#world
    // A stopped process does not notice yet.
    time.push(time.now, IO, this.process, () => this.#watch?.cancel())
    if (due !== undefined) this.messages.push({ kind: 'due', revision: due })
  }

  // ---- what the node does

  get isFull(): boolean {
    return this.#waiting.length >= this.#waitingMax
  }

  waits(): void {
    this.#waits = true
    this.#world.probeCoverage.hit('watch waits for a slow client')
  }

  events(message: EventsMessage): void {
    this.#recordMessage({ kind: 'events', revision: message.revision, events: watchedEvents(message) })
    this.#waiting.push(message.revision)
    this.#takeNext()
  }

  progress(revision: number): void {
    this.#recordMessage({ kind: 'progress', revision })
    this.#waiting.push(revision)
    this.#takeNext()
  }

  ended(end: WatchEnd): void {
    if (end.kind === 'compacted') {
      this.#recordMessage(end)
      this.#world.probeCoverage.hit('watch overtaken by compaction')
    } else this.#recordMessage({ kind: 'stopped', resumeFrom: end.resumeFrom })
    this.#hasEnded = true
    // A live node sends the end after all messages. A killed node sends none, so the client does not learn of it.
    if (this.process.live && !this.#isClosed) this.#onEnd(end.resumeFrom)
  }

  #recordMessage(message: WatchMessage): void {
    if (this.#hasEnded)
      throw new RuleViolation('WATCH-3', `${this.name} receives ${message.kind} after its end`)
    if (this.#isClosed) return
    this.messages.push(message)
    this.#world.say(this.process, { kind: 'watch-message', watcher: this.name, message })
  }

  // ---- what the client does

  /** Takes one message at a time. A stopped process does not notice. */
  #takeNext(): void {
    if (this.#isTaking || this.#isClosed || this.#hasEnded) return
    this.#isTaking = true
    const { time } = this.#world
    time.push(time.now + this.#takesMs, IO, this.process, () => {
      this.#isTaking = false
      if (this.#isClosed || this.#hasEnded) return
      const revision = this.#takesMs === 0 ? this.#waiting.at(-1) : this.#waiting[0]
      if (revision !== undefined) this.#next = Math.max(this.#next, revision + 1)
      this.#waiting = this.#takesMs === 0 ? [] : this.#waiting.slice(1)
      if (this.#waiting.length > 0) this.#takeNext()
      else if (this.#waits) {
        this.#waits = false
        this.#watch?.drained()
      }
    })
  }
}

/** Events as a listener encodes them: at once, since records may be deleted later. */
function watchedEvents(message: EventsMessage): WatchedEvent[] {
  const row = ({ key, value, createRevision, modRevision, version, lease }: KeyRow) => ({
    key: text(key),
    createRevision,
    modRevision,
    version,
    lease,
    ...(message.values ? { value: text(value) } : {}),
  })
  const prevs = message.prevs()
  return message.events.map((event, at) => {
    const prev = prevs[at]
    return {
      key: text(event.key),
      type: event.type,
      ...(event.type === 'put' ? { record: row(event.record) } : {}),
      ...(prev === undefined ? {} : { prev: prev === null ? null : row(prev) }),
    }
  })
}
