// The accepting side of a handshake. Callers must introduce themselves, and are admitted or refused with a reason.

import type { MonotonicMs } from '../../raft/types.ts'
import { ByNetwork } from '../by-network.ts'
import type { Timer } from '../node/clock.ts'
import type { Greeting } from '../node/network.ts'
import { type Context, misidentity } from './context.ts'
import type { Objection } from './newest-processes.ts'
import type { ForeignHello, Frame, Hello, Wire, WireOwner } from './wires.ts'

/**
 * The version of the frames between nodes. Two nodes of different versions refuse each other: a layout that changes
 * here ends rolling upgrades. A new frame or field that only some clusters use is gated by the cluster version instead.
 */
export const PROTOCOL_VERSION = 2

/** A refused caller retries twice a second. Its refusal is logged again only after this long. */
const LOG_AGAIN_MS = 600_000
/** Refusals that are logged within that time: a caller chooses what its greeting, and so its refusal, says. */
const LOGGED_MAX = 64

/** Called with a caller that was admitted and notified. It must call `wire.established` before it returns. */
type AdmitCallback = (wire: Wire, hello: Hello) => void

export class Acceptor {
  readonly #context: Context
  readonly #admitted: AdmitCallback
  /**
   * Callers that have not introduced themselves, with their timeouts; undefined before this node is ready to reply.
   */
  readonly #unidentified = new Map<Wire, Timer | undefined>()
  readonly #byNetwork = new ByNetwork<Wire>()
  #isOpen = false
  /** Refusals that were logged since `loggedSince`. */
  readonly #logged = new Set<string>()
  #loggedSince: MonotonicMs = 0

  constructor(context: Context, admitted: AdmitCallback) {
    this.#context = context
    this.#admitted = admitted
    context.wires.onCall((wire) => this.#acceptWire(wire))
  }

  /** Begins to reply to callers. Until then they are held. */
  open(): void {
    this.#isOpen = true
    for (const wire of [...this.#unidentified.keys()]) {
      // A message of an earlier caller may have closed this wire.
      if (wire.closed) continue
      this.#unidentified.set(wire, this.#deadline(wire))
      wire.release()
    }
  }

  close(): void {
    this.#context.wires.close()
    for (const wire of [...this.#unidentified.keys()]) wire.close('closed')
  }

  get waiting(): number {
    return this.#unidentified.size
  }

  #acceptWire(wire: Wire): WireOwner {
    // A member introduces itself at once. So the oldest goes, of the network that has most: callers that say nothing
    // keep no member out.
    if (this.#unidentified.size >= this.#context.limits.unidentifiedMax) {
      const [oldest] = this.#byNetwork.largest()
      oldest?.close('too many callers have not identified themselves')
      if (oldest !== undefined) this.#forgetUnidentified(oldest)
    }
    this.#unidentified.set(wire, this.#isOpen ? this.#deadline(wire) : undefined)
    this.#byNetwork.set(wire.network, wire)
    if (!this.#isOpen) wire.hold()
    return {
      frame: (frame) => {
        this.#forgetUnidentified(wire)
        this.#judge(wire, frame)
      },
      closed: (why) => {
        this.#forgetUnidentified(wire)
        const from = wire.remote
        this.#context.logger.debug({ from, why }, 'a connection ended before its handshake was done')
      },
    }
  }

  #deadline(wire: Wire): Timer {
    const { clock, limits } = this.#context
    return clock.after(limits.handshakeMs, () => wire.close('no handshake in time'))
  }

  #forgetUnidentified(wire: Wire): void {
    this.#unidentified.get(wire)?.cancel()
    this.#unidentified.delete(wire)
    this.#byNetwork.delete(wire.network, wire)
  }

  #judge(wire: Wire, frame: Frame): void {
    if (frame.type === 'foreign-hello') {
      this.#refuse(wire, { refuse: this.#foreignText(frame, wire), stop: false })
    } else if (frame.type === 'hello') {
      const objection = this.#objection(wire, frame)
      if (objection !== undefined) {
        this.#refuse(wire, objection)
        return
      }
      wire.send({ type: 'welcome', ...this.#context.speaker() })
      this.#admitted(wire, frame)
    } else wire.close(`a frame of type ${frameName(frame)} before the handshake`)
  }

  /** Both sides log it, and neither ends: the node that must be started with another version may be either. */
  #foreignText({ version, name }: ForeignHello, { remote }: Wire): string {
    const self = this.#context.speaker().greeting.name
    const caller = name ?? `the node at ${remote}`
    const [older, newer] = version < PROTOCOL_VERSION ? [caller, self] : [self, caller]
    return (
      `${self} speaks version ${PROTOCOL_VERSION} of the protocol between nodes, and ${caller} version ${version}: ` +
      `start ${older} with the version of quorate that ${newer} runs, as the guide to upgrades says`
    )
  }

  #refuse(wire: Wire, { refuse, stop, isExpected = false }: Objection): void {
    this.#log(refuse, isExpected ? 'info' : 'warn')
    refuseWire(this.#context, wire, refuse, stop)
  }

  #log(refusal: string, level: 'info' | 'warn'): void {
    const now = this.#context.clock.now()
    if (now - this.#loggedSince >= LOG_AGAIN_MS) {
      this.#logged.clear()
      this.#loggedSince = now
    }
    if (this.#logged.has(refusal) || this.#logged.size >= LOGGED_MAX) return
    this.#logged.add(refusal)
    const more = this.#logged.size === LOGGED_MAX ? '; others are not logged for some minutes' : ''
    this.#context.logger[level]({ why: refusal + more }, 'refused a peer')
  }

  #objection(wire: Wire, hello: Hello): Objection | undefined {
    const { clusterId, processes, events } = this.#context
    const self = this.#context.speaker()
    const { greeting } = hello
    if (greeting.clusterId !== clusterId) {
      return { refuse: `this node belongs to cluster ${clusterId}, not ${greeting.clusterId}`, stop: false }
    }
    // Before anything that the greeting states is recorded, or ends a process.
    const impostor = this.#impostor(wire, greeting)
    if (impostor !== undefined) return impostor
    if (hello.incarnation === self.incarnation)
      return { refuse: 'the caller has reached itself', stop: false }
    const objection = processes.objection(hello)
    if (objection !== undefined) return objection
    if (greeting.replicaId === self.greeting.replicaId) {
      events.stop(
        `a newer process of this replica has been started (${greeting.peer}): this one is superseded`,
      )
      return { refuse: 'the caller has reached an older process of its own replica', stop: false }
    }
    if (hello.target !== self.greeting.replicaId) {
      return { refuse: `this is replica ${self.greeting.replicaId}, not ${hello.target}`, stop: false }
    }
    const refused = events.admit(greeting)
    if (refused !== undefined) return { ...refused, isExpected: true }
    processes.greeted(hello)
    if (!processes.accepts(hello)) return { refuse: 'a newer connection of the caller stands', stop: false }
    return undefined
  }

  /** Why the caller is not the replica that it states. */
  #impostor(wire: Wire, greeting: Greeting): Objection | undefined {
    const misnamed = misidentity(this.#context, wire, greeting.replicaId)
    if (misnamed === undefined) return undefined
    const { identities, events } = this.#context
    const who = JSON.stringify(greeting.name)
    if (identities.of(greeting.replicaId) !== undefined)
      return { refuse: `the caller says that it is ${who}, and ${misnamed}`, stop: false }
    // A replica that was removed must learn of it. The answer can end nobody but the caller.
    const refused = events.admit(greeting)
    if (refused !== undefined) return { ...refused, isExpected: true }
    identities.seek(greeting.replicaId, wire.network)
    return { refuse: `the caller says that it is ${who}, and ${misnamed}`, stop: false, isExpected: true }
  }
}

/** Sends the reason if possible, and closes. */
export function refuseWire({ clusterId }: Context, wire: Wire, sentence: string, stop = false): void {
  wire.send({ type: 'refusal', clusterId, stop, sentence })
  wire.close(sentence)
}

/** The name of a frame that is not allowed at this point. */
export const frameName = (frame: Frame): string | number =>
  frame.type === 'unknown' ? frame.code : frame.type
