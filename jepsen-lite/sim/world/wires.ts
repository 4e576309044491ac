// Connections of the simulated network, as wires of src/server/peers. What is sent arrives in order until the
// connection ends; each end learns of the end at its own time. `network.ts` decides how long everything takes, what is
// cut and what is lost.

import type { Wire, WireOwner } from '../../../src/server/peers/index.ts'
import type { Frame, Purpose } from '../../../src/server/peers/wires.ts'
import type { Process } from './process.ts'

/** Carrier of frames between two ends. */
export interface Carrier {
  /** Limit of the frames in flight from one end. */
  readonly queueMax: number
  carry(from: WireEnd, frame: Frame): void
  /** This end has closed. The other one must be notified. */
  closed(end: WireEnd, why: string): void
  /** The queue of this end is full. */
  full(end: WireEnd): void
  /** An end is on hold. Calls back when that has lasted too long, if there is a limit. */
  whenHeldLong(end: WireEnd, then: () => void): void
  /** Calls back when the other end has heard that this one has closed, and everything sent before. */
  whenNotified(end: WireEnd, then: () => void): void
}

const nobody: WireOwner = { frame: () => {}, closed: () => {} }

export class WireEnd implements Wire {
  readonly process: Process
  readonly remote: string
  readonly network: string
  readonly connection: SimConnection
  closed = false
  queuedFrames = 0
  readonly queuedBytes = 0
  /** When the newest frame to this end arrives. */
  lastAt = 0
  /** Nothing that is sent from now on arrives before this time. */
  floorAt = 0
  /** When everything sent to this end has left the other one. */
  leftAt = 0
  /** A frame on the way to this end was lost. No later one may arrive. */
  torn = false
  readonly #carrier: Carrier
  #owner = nobody
  /** Arrivals while on hold: frames, or the news of the end. */
  #held: (Frame | string)[] | undefined

  constructor(process: Process, remote: string, connection: SimConnection, carrier: Carrier) {
    this.process = process
    this.remote = remote
    this.network = this.remote
    this.connection = connection
    this.#carrier = carrier
  }

  get other(): WireEnd {
    return this.connection.caller === this ? this.connection.called : this.connection.caller
  }

  get onHold(): boolean {
    return this.#held !== undefined
  }

  ownedBy(owner: WireOwner): void {
    this.#owner = owner
  }

  established(_from: unknown, _to: unknown, owner: WireOwner): void {
    this.#owner = owner
  }

  send(frame: Frame): boolean {
    if (this.closed) return false
    if (this.queuedFrames >= this.#carrier.queueMax) {
      this.#carrier.full(this)
      return false
    }
    this.queuedFrames++
    if (frame.type === 'snapshot-chunk') this.connection.unacknowledged++
    this.#carrier.carry(this, frame)
    return true
  }

  hold(): void {
    const held = this.#held ?? []
    this.#held = held
    this.#carrier.whenHeldLong(this, () => {
      if (this.#held === held) this.close('no sign of life')
    })
  }

  release(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const what of held) {
      if (this.closed) return
      if (typeof what === 'string') this.close(what)
      else this.#take(what)
    }
  }

  close(why: string): void {
    if (this.closed) return
    this.closed = true
    this.#carrier.closed(this, why)
    this.#owner.closed(why)
  }

  drain(then: () => void = () => {}): void {
    this.#owner = nobody
    this.#held = undefined
    this.close('drained')
    this.#carrier.whenNotified(this, then)
  }

  deliver(frame: Frame): void {
    if (this.#held === undefined) this.#take(frame)
    else this.#held.push(frame)
  }

  /**
   * The other end says that it has ended. A socket that is not read reports that at once, unless data waits to be read.
   */
  broke(why: string): void {
    if (this.#held === undefined || this.#held.length === 0) this.close(why)
    else this.#held.push(why)
  }

  /** Nothing is heard of the other end any more. An end that does not read does not notice. */
  fellSilent(): void {
    if (this.#held === undefined) this.close('no sign of life')
  }

  #take(frame: Frame): void {
    this.other.queuedFrames--
    if (frame.type === 'snapshot-written') this.connection.unacknowledged--
    this.#owner.frame(frame)
  }
}

/** One connection, with what the network has read on it. */
export class SimConnection {
  readonly caller: WireEnd
  readonly called: WireEnd
  purpose: Purpose | undefined
  /** The snapshot that travels on it. */
  snapshotId = ''
  /** Chunks of it that were sent, and that the sender does not know to be written. */
  unacknowledged = 0
  /** Whether the wire is cut: everything that either end sends from now on vanishes. */
  severed = false

  constructor(caller: Process, called: Process, carrier: Carrier) {
    this.caller = new WireEnd(caller, called.name, this, carrier)
    this.called = new WireEnd(called, caller.name, this, carrier)
  }
}
