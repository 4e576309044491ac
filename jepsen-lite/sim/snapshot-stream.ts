// Snapshots on their way: each on a connection of its own, a few chunks in flight, resumed where the receiver says when the connection breaks, given
// up without progress. As src/server/transport does it, in virtual time. The store's chunks are cut into smaller ones first, so that even a
// small state takes several.

import type { ReplicaId, Term } from '../../src/raft/index.ts'
import { decodeChunk, encodeChunk } from '../../src/storage/chunk.ts'
import type { SnapshotSink, SnapshotSource, StoredRow } from '../../src/storage/index.ts'
import type { SimNetwork } from './network.ts'
import type { Process } from './process.ts'
import { bits, DRAW, unit } from './random.ts'
import { IO } from './time.ts'
import { Violation } from './violation.ts'
import type { World } from './world.ts'

const RECONNECT_MS = 500
const STALL_MS = 30_000
const INFLIGHT_MAX = 4

export class SnapshotStreams {
  readonly #world: World
  readonly #network: SimNetwork
  readonly #outgoing = new Set<Outgoing>()
  /** Machines whose next chunk, coming or going, is to be bent. */
  readonly #bending = new Set<number>()
  /** Snapshots of which a chunk was bent, by who receives it. */
  readonly #bent = new Set<string>()
  /** What each process is receiving. */
  readonly #incoming = new Map<Process, Incoming>()

  constructor(world: World, network: SimNetwork) {
    this.#world = world
    this.#network = network
  }

  begin(from: Process, to: ReplicaId, term: Term, source: SnapshotSource, isPeer: boolean): void {
    const { time, tally, config } = this.#world
    const busy = [...this.#outgoing].some((stream) => stream.from === from && stream.to === to)
    if (!isPeer || busy) {
      source.close()
      time.push(time.now, IO, from, () => from.driver?.snapshotSent(to, source.meta.index, false))
      return
    }
    tally.hit('snapshot stream begun')
    const small = new SmallChunks(source, config.limits.chunkRows)
    const stream = new Outgoing(this.#world, this.#network, this, from, to, term, small)
    this.#outgoing.add(stream)
    stream.dial()
  }

  ended(stream: Outgoing): void {
    this.#outgoing.delete(stream)
  }

  giveUp(from: Process, to: ReplicaId, why: string): void {
    for (const stream of [...this.#outgoing]) {
      if (stream.from === from && stream.to === to) stream.end(false, why)
    }
  }

  /** Connections of snapshots break; false when there was none. */
  breakAll(place: number): boolean {
    let broke = false
    for (const stream of [...this.#outgoing]) {
      if (stream.from.place !== place && stream.receiver?.place !== place) continue
      broke = stream.breaks() || broke
    }
    return broke
  }

  /** The next chunk that this machine sends or receives lacks a row, as if its sender had made it so; what is returned calls that off. */
  bendNext(place: number): () => void {
    this.#bending.add(place)
    return () => void this.#bending.delete(place)
  }

  /** A chunk as it is sent. */
  made(from: Process, to: Process, id: string, number: number, chunk: Uint8Array): Uint8Array {
    const place = [from.place, to.place].find((one) => this.#bending.has(one))
    if (place === undefined) return chunk
    const rows = decodeChunk(id, number, chunk)
    if (rows.length === 0) return chunk
    this.#bending.delete(place)
    this.#bent.add(`${to.id} ${id}`)
    this.#world.tally.fault('bend-chunk')
    return encodeChunk(id, number, rows.slice(1))
  }

  /** The receiver refuses what it was sent: it must have been bent. */
  refused(to: Process, id: string, error: Error): void {
    const { tally, invariants } = this.#world
    if (!/chunk \d+ of snapshot|arrived with other rows/.test(error.message)) return
    if (this.#bent.has(`${to.id} ${id}`)) tally.hit('bent snapshot refused')
    else
      invariants.violation ??= new Violation(
        'SNAP-4',
        `${to.name} refuses what it was sent: ${error.message}`,
      )
  }

  closed(process: Process): void {
    this.#incoming.delete(process)
    for (const stream of [...this.#outgoing]) {
      if (stream.from === process) stream.abort()
      else if (stream.receiver === process) stream.breaks()
    }
  }

  /** A newer transfer takes the place of an older one once what that is writing has been written. */
  offered(to: Process, incoming: Incoming): boolean {
    const older = this.#incoming.get(to)
    if (older?.open && older.term > incoming.term) return false
    this.#incoming.set(to, incoming)
    this.#world.moments.met('offered', to, incoming.sender)
    if (older !== undefined) older.open = false
    if (older === undefined) incoming.begin()
    else older.whenIdle(() => incoming.begin())
    return true
  }
}

class Outgoing {
  readonly from: Process
  readonly to: ReplicaId
  readonly term: Term
  readonly source: SmallChunks
  receiver: Process | undefined
  readonly #world: World
  readonly #network: SimNetwork
  readonly #streams: SnapshotStreams
  #incoming: Incoming | undefined
  /** Of the connection; what belongs to an older one is forgotten. */
  #connection = 0
  #next = 0
  #inflight = 0
  #endSent = false
  #reading = false
  #over = false
  #progressAt: number
  #draws = 0
  /** When the newest frame to the receiver, and to the sender, arrives: a connection keeps the order. */
  readonly #lastAt = [0, 0]

  constructor(
    world: World,
    network: SimNetwork,
    streams: SnapshotStreams,
    from: Process,
    to: ReplicaId,
    term: Term,
    source: SmallChunks,
  ) {
    this.#world = world
    this.#network = network
    this.#streams = streams
    this.from = from
    this.to = to
    this.term = term
    this.source = source
    this.#progressAt = world.time.now
    this.#watch()
  }

  #watch(): void {
    const { time } = this.#world
    time.push(this.#progressAt + STALL_MS, IO, this.from, () => {
      if (this.#over) return
      if (time.now >= this.#progressAt + STALL_MS) this.end(false, 'no progress')
      else this.#watch()
    })
  }

  /** Runs at the other end, if it can be reached then. */
  #travel(from: Process, to: Process, run: () => void): void {
    const { time, config, seed } = this.#world
    const draw = bits(seed, DRAW.stream, this.from.number, this.#draws++)
    const connection = this.#connection
    const way = from === this.from ? 0 : 1
    const delay = config.delayMs + config.jitterMs * unit(draw) + this.#network.extraMs(from, to)
    const at = Math.max(time.now + delay, this.#lastAt[way] ?? 0)
    this.#lastAt[way] = at
    time.push(at, IO, to, () => {
      if (this.#over || connection !== this.#connection) return
      if (this.#network.isCut(from, to)) this.breaks()
      else run()
    })
  }

  dial(): void {
    if (this.#over) return
    const receiver = this.#network.processOf(this.to)
    this.receiver = receiver
    if (
      receiver === undefined ||
      this.#network.isCut(this.from, receiver) ||
      this.#network.isCut(receiver, this.from)
    ) {
      this.#dialAgain()
      return
    }
    const greeting = this.from.driver?.greeting()
    const connection = this.#connection
    // A receiver that dies or is stopped says nothing.
    const { time } = this.#world
    time.push(time.now + 2000, IO, this.from, () => {
      if (!this.#over && this.#connection === connection && this.#incoming === undefined) this.breaks()
    })
    this.#travel(this.from, receiver, () => {
      const refusal = greeting === undefined ? undefined : receiver.driver?.admit(greeting)
      if (refusal !== undefined || receiver.driver === undefined) {
        this.#travel(receiver, this.from, () => this.#dialAgain())
        return
      }
      // On this connection, or not at all: a receiver may answer long after it broke.
      const back = (run: () => void): void => {
        if (connection === this.#connection) this.#travel(receiver, this.from, run)
      }
      const incoming = new Incoming(receiver, this.from, this.term, this.source, {
        accept: (next) => back(() => this.#accepted(incoming, next)),
        written: () => back(() => this.#written()),
        broken: (error) => this.#streams.refused(receiver, this.source.id, error),
        staged: () => back(() => this.end(true, 'staged')),
        refuse: (why) => back(() => this.end(false, why)),
      })
      if (!this.#streams.offered(receiver, incoming))
        this.#travel(receiver, this.from, () =>
          this.end(false, 'a snapshot of a newer term is being received'),
        )
    })
  }

  #dialAgain(): void {
    const { time } = this.#world
    const connection = this.#connection
    time.push(time.now + RECONNECT_MS, IO, this.from, () => {
      if (connection === this.#connection) this.dial()
    })
  }

  /** The connection is over; the transfer goes on over another one. */
  breaks(): boolean {
    if (this.#over) return false
    this.#connection++
    if (this.#incoming !== undefined) this.#incoming.open = false
    this.#incoming = undefined
    this.#dialAgain()
    return true
  }

  #accepted(incoming: Incoming, next: number): void {
    this.#incoming = incoming
    if (next > 0) this.#world.tally.hit('snapshot stream resumed in the middle')
    this.#next = next
    this.#inflight = 0
    this.#endSent = false
    this.#fill()
  }

  #written(): void {
    this.#inflight--
    this.#progressAt = this.#world.time.now
    this.#fill()
  }

  #fill(): void {
    const { receiver } = this
    const incoming = this.#incoming
    if (incoming === undefined || receiver === undefined || this.#endSent || this.#reading) return
    if (this.#inflight >= INFLIGHT_MAX) return
    if ((this.from.driver?.greeting().term ?? 0) > this.term) {
      this.end(false, `term ${this.term} is over`)
      return
    }
    const number = this.#next
    const connection = this.#connection
    this.#reading = true
    this.source.read(number, (error, chunk) => {
      this.#reading = false
      if (this.#over) return
      if (error !== undefined) {
        this.end(false, error.message)
        return
      }
      if (connection === this.#connection && number === this.#next) {
        if (chunk === undefined) {
          this.#endSent = true
          this.#travel(this.from, receiver, () => incoming.end())
        } else {
          this.#next++
          this.#inflight++
          const made = this.#streams.made(this.from, receiver, this.source.id, number, chunk)
          this.#travel(this.from, receiver, () => incoming.chunk(number, made))
        }
      }
      this.#world.time.push(this.#world.time.now, IO, this.from, () => this.#fill())
    })
  }

  /** Ends it without a word to the driver. */
  abort(): void {
    if (this.#over) return
    this.#over = true
    if (this.#incoming !== undefined) this.#incoming.open = false
    this.#streams.ended(this)
    this.source.close()
  }

  end(ok: boolean, why: string): void {
    if (this.#over) return
    this.abort()
    const { time, tally } = this.#world
    if (!ok) tally.hit('snapshot stream given up')
    this.#world.say(this.from, `snapshot stream to ${this.to} ended: ${why}`)
    time.push(time.now, IO, this.from, () =>
      this.from.driver?.snapshotSent(this.to, this.source.meta.index, ok),
    )
  }
}

interface Answers {
  accept(nextChunk: number): void
  written(): void
  staged(): void
  refuse(why: string): void
  /** What was sent cannot be taken. */
  broken(error: Error): void
}

class Incoming {
  open = true
  readonly term: Term
  readonly #receiver: Process
  readonly sender: Process
  readonly #source: SmallChunks
  readonly #answers: Answers
  readonly #chunks: { readonly number: number; readonly bytes: Uint8Array }[] = []
  #sink: SnapshotSink | undefined
  #ended = false
  #busy = true
  #idle: () => void = () => {}

  constructor(receiver: Process, sender: Process, term: Term, source: SmallChunks, answers: Answers) {
    this.#receiver = receiver
    this.sender = sender
    this.term = term
    this.#source = source
    this.#answers = answers
  }

  begin(): void {
    if (this.#settled()) return
    const { id, meta } = this.#source
    this.#busy = true
    const { driver } = this.#receiver
    driver?.snapshotOffered(this.sender.id, this.term, id, meta, (refuse, sink) => {
      this.#sink = sink
      if (this.#settled()) return
      if (sink === undefined) this.#answers.refuse(refuse ?? 'there is no room for it')
      else this.#answers.accept(sink.nextChunk)
    })
  }

  /** Calls back once nothing of this transfer, which is over, is under way any more. */
  whenIdle(then: () => void): void {
    const before = this.#idle
    this.#idle = () => {
      before()
      then()
    }
    if (!this.#busy) this.#idle()
  }

  chunk(number: number, bytes: Uint8Array): void {
    this.#chunks.push({ number, bytes })
    this.#work()
  }

  end(): void {
    this.#ended = true
    this.#work()
  }

  #work(): void {
    const sink = this.#sink
    if (this.#busy || !this.open || sink === undefined) return
    const chunk = this.#chunks[0]
    if (chunk !== undefined) {
      this.#busy = true
      sink.write(chunk.number, chunk.bytes, (error) => {
        if (this.#settled()) return
        if (error !== undefined) {
          this.#fails(sink, error)
          return
        }
        this.#chunks.shift()
        this.#answers.written()
        this.#work()
      })
    } else if (this.#ended) {
      this.#ended = false
      this.#busy = true
      sink.finish((error) => {
        const { id, meta } = this.#source
        if (error === undefined) this.#receiver.driver?.snapshotReceived(this.sender.id, this.term, id, meta)
        if (this.#settled()) return
        if (error === undefined) this.#answers.staged()
        else this.#fails(sink, error)
      })
    }
  }

  #fails(sink: SnapshotSink, error: Error): void {
    this.open = false
    sink.abort()
    this.#answers.broken(error)
    this.#answers.refuse(error.message)
  }

  /** What was under way has ended. True: the transfer has, too, and whoever waits for that is told. */
  #settled(): boolean {
    this.#busy = false
    if (!this.open) this.#idle()
    return !this.open
  }
}

/** The rows of a snapshot in chunks of a few rows. */
class SmallChunks {
  readonly #source: SnapshotSource
  readonly #rowsMax: number
  #rows: StoredRow[] | undefined
  #closed = false

  constructor(source: SnapshotSource, rowsMax: number) {
    this.#source = source
    this.#rowsMax = rowsMax
  }

  get id(): string {
    return this.#source.id
  }
  get meta(): SnapshotSource['meta'] {
    return this.#source.meta
  }

  read(number: number, done: (error: Error | undefined, chunk: Uint8Array | undefined) => void): void {
    if (this.#rows === undefined) this.#gather([], 0, () => this.read(number, done), done)
    else {
      const rows = this.#rows.slice(number * this.#rowsMax, (number + 1) * this.#rowsMax)
      done(undefined, rows.length === 0 ? undefined : encodeChunk(this.id, number, rows))
    }
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#source.close()
  }

  #gather(
    rows: StoredRow[],
    number: number,
    then: () => void,
    done: (error: Error | undefined, chunk: Uint8Array | undefined) => void,
  ): void {
    if (this.#closed) return
    this.#source.read(number, (error, chunk) => {
      if (error !== undefined) return done(error, undefined)
      if (chunk === undefined) {
        this.#rows = rows
        then()
        return
      }
      this.#gather([...rows, ...decodeChunk(this.id, number, chunk)], number + 1, then, done)
    })
  }
}
