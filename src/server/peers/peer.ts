// The link to one peer: the connection that we dialled, for our messages, and the one that the peer dialled, for its
// messages. The link is connected when both are.
//
// The core compares the durable state that a peer reports with the peer's earlier messages. By RAFT-19, a replica that
// returns with less has lost state and must stop. To never accuse a healthy peer, messages of the peer must not
// overtake such a report. So the report that counts is the hello of the connection that carries the peer's messages.
// Messages of that connection are delivered only after both connections are established and `connected` was called.
//
// When one of the two breaks, the other is replaced too. Otherwise replies to the peer's messages would be lost while
// our connection is down, and the peer would never learn that.

import type { RaftMember, ReplicaId } from '../../raft/types.ts'
import type { Timer } from '../node/clock.ts'
import type { Greeting } from '../node/network.ts'
import { frameName, refuseWire } from './accept.ts'
import type { Context } from './context.ts'
import { dial } from './dial.ts'
import type { Frame, MemberIdentity, PeerProcess, Wire } from './wires.ts'

/** How many failed attempts to connect prolong the next pause. */
export const FAILURES_MAX = 16

interface Inbound {
  readonly wire: Wire
  readonly greeting: Greeting
  /** Whether delivery from this connection has not begun yet. */
  held: boolean
}

export class Peer {
  readonly id: ReplicaId
  /**
   * Whether the configuration has this peer. Another peer has called on its own, and is kept while its connection
   * lasts.
   */
  configured: boolean
  /** Making the names takes longer than counting. */
  readonly #counterNames: ReturnType<typeof counterNames>
  readonly #context: Context
  readonly #guestGone: () => void
  #member: RaftMember
  /** The peer's own listen address, if the configuration has another one. */
  #hint: string | undefined
  #reachedAt: string | undefined
  #outbound: Wire | undefined
  /** The process at the other end of our connection. */
  #answeredBy: bigint | undefined
  #inbound: Inbound | undefined
  /** `connected` was called, and `disconnected` was not yet. */
  #standing = false
  #abandonDial: (() => void) | undefined
  #retry: Timer | undefined
  #failures = 0
  #dials = 0
  /** The reason that was logged last, if the connection is refused. */
  #refusedFor: string | undefined
  /** Runs from the break of the outbound connection until it is established again (`NetworkEvents.unreachable`). */
  #grace: { readonly timer: Timer; failed: boolean; over: boolean } | undefined
  #gone = false

  constructor(context: Context, member: RaftMember, configured: boolean, guestGone: () => void) {
    this.#context = context
    this.id = member.id
    this.#counterNames = counterNames(member.id)
    this.#member = member
    this.configured = configured
    this.#guestGone = guestGone
    this.#dial()
  }

  /** Returns false when the frame was dropped. */
  send(frame: Frame): boolean {
    return this.#outbound?.send(frame) ?? false
  }

  /** Both directions are established, and the node knows it. */
  get isConnected(): boolean {
    return this.#standing
  }

  update(member: RaftMember): void {
    const moved = member.peer !== this.#member.peer
    this.#member = member
    this.configured = true
    if (!moved || this.#outbound !== undefined) return
    this.#abandonDial?.()
    this.#retry?.cancel()
    this.#retry = undefined
    this.#failures = 0
    this.#dial()
  }

  get name(): string {
    return this.#member.name
  }

  /** Name and address of the peer, from the configuration or from the description by a member. */
  get identity(): MemberIdentity {
    return this.#member
  }

  /** Where it was last reached, or will be dialled next. */
  get address(): string {
    return this.#reachedAt ?? this.#context.resolve(this.#member)
  }

  get #addresses(): readonly string[] {
    const configured = this.#context.resolve(this.#member)
    const hinted =
      this.#hint === undefined ? configured : this.#context.resolve({ ...this.#member, peer: this.#hint })
    return [...new Set([configured, hinted])]
  }

  /** The peer has called and was let in. */
  accept(wire: Wire, { greeting, incarnation }: PeerProcess): void {
    const older = this.#inbound
    const inbound = { wire, greeting, held: true }
    this.#inbound = inbound
    this.#hint = greeting.peer
    wire.established(this.id, this.#context.self, {
      frame: (frame) => this.#frame(wire, frame),
      closed: (why) => this.#inboundBroke(inbound, why),
    })
    wire.hold()
    older?.wire.close('the peer has called again')
    this.#broken('the peer has called again')
    if (this.#gone) return
    // After a power failure, the end of the older process is not reported: nothing closes its connections.
    if (this.#answeredBy !== incarnation) this.#outbound?.close('the peer has been started anew')
    if (this.#outbound === undefined) this.#dialNow()
    else this.#deliver(inbound)
  }

  /** Adds the work in flight, as `… of <id>`; all 0 when the link is connected and no frame is queued. */
  inspect(inFlight: Record<string, number>): void {
    const names = this.#counterNames
    inFlight[names.broken] = Number(!this.#standing)
    inFlight[names.dialling] = Number(this.#abandonDial !== undefined)
    inFlight[names.retrying] = Number(this.#retry !== undefined)
    inFlight[names.grace] = Number(this.#grace !== undefined)
    inFlight[names.held] = Number(this.#inbound?.held === true)
    inFlight[names.failures] = this.#failures
    inFlight[names.queuedFrames] = this.#outbound?.queuedFrames ?? 0
    inFlight[names.queuedBytes] = this.#outbound?.queuedBytes ?? 0
  }

  /** Ends the link without another event. */
  remove(): void {
    this.#gone = true
    this.#retry?.cancel()
    this.#retry = undefined
    this.#endGrace()
    this.#abandonDial?.()
    // A peer whose own connection breaks closes ours, so the queued messages are sent first.
    const hangUp = (): void => this.#inbound?.wire.drain()
    if (this.#outbound === undefined) hangUp()
    else this.#outbound.drain(hangUp)
  }

  close(): void {
    this.remove()
    this.#outbound?.close('closed')
    this.#inbound?.wire.close('closed')
  }

  // ---- the connection that we dial

  #dialNow(): void {
    if (this.#retry === undefined) return
    this.#retry.cancel()
    this.#retry = undefined
    this.#failures = 0
    this.#dial()
  }

  #dial(): void {
    const addresses = this.#addresses
    const address = addresses[this.#dials++ % addresses.length] ?? this.#member.peer
    this.#abandonDial = dial(this.#context, address, this.id, 'messages', {
      reached: (wire, speaker) => {
        this.#reachedAt = address
        this.#reached(wire, speaker)
      },
      failed: (why, isRefused) => this.#dialFailed(address, why, isRefused),
    })
  }

  #reached(wire: Wire, { incarnation }: PeerProcess): void {
    this.#abandonDial = undefined
    this.#refusedFor = undefined
    this.#failures = 0
    this.#endGrace()
    this.#outbound = wire
    this.#answeredBy = incarnation
    wire.established(this.id, this.#context.self, {
      frame: (frame) => this.#answer(wire, frame),
      closed: (why) => this.#outboundBroke(why),
    })
    if (this.#inbound !== undefined) this.#deliver(this.#inbound)
  }

  #dialFailed(address: string, why: string, isRefused: boolean): void {
    this.#abandonDial = undefined
    const { logger } = this.#context
    if (isRefused && why !== this.#refusedFor)
      logger.warn({ peer: this.#member.name, address, why }, `a connection to a peer is refused: ${why}`)
    else logger.debug({ peer: this.#member.name, address, why }, 'could not reach a peer')
    if (isRefused) this.#refusedFor = why
    const { reconnectMinMs, reconnectMaxMs } = this.#context.limits
    const pauseMs = Math.min(reconnectMaxMs, reconnectMinMs * 2 ** this.#failures)
    this.#failures = Math.min(this.#failures + 1, FAILURES_MAX)
    this.#retry = this.#context.clock.after(pauseMs * (0.5 + this.#context.random() / 2), () => {
      this.#retry = undefined
      this.#dial()
    })
    if (this.#grace !== undefined) this.#grace.failed = true
    this.#reportUnreachable()
  }

  #outboundBroke(why: string): void {
    this.#outbound = undefined
    this.#context.counters.connectionsBroken++
    const timer = this.#context.clock.after(this.#context.limits.refusedAfterMs, () => {
      grace.over = true
      this.#reportUnreachable()
    })
    const grace = { timer, failed: false, over: false }
    this.#grace = grace
    this.#broken(why)
    // A held connection has delivered nothing yet, and its report of the peer's state is still current.
    if (this.#inbound?.held === false) this.#inbound.wire.close('our connection to the peer broke')
    if (!this.#gone) this.#dial()
  }

  #reportUnreachable(): void {
    if (this.#grace === undefined || !this.#grace.over || !this.#grace.failed) return
    this.#endGrace()
    this.#context.logger.info(
      { peer: this.#member.name },
      'a peer is gone: its connection broke and it cannot be reached',
    )
    this.#context.events.unreachable(this.id)
  }

  #endGrace(): void {
    this.#grace?.timer.cancel()
    this.#grace = undefined
  }

  /** On a connection that we dialled, a peer may send only the reason for ending it. */
  #answer(wire: Wire, frame: Frame): void {
    if (frame.type !== 'refusal') {
      wire.close(`a frame of type ${frameName(frame)} on a connection that it does not send on`)
      return
    }
    wire.close(frame.sentence)
    if (frame.stop && frame.clusterId === this.#context.clusterId) this.#context.events.stop(frame.sentence)
  }

  // ---- the connection that the peer dialled

  #deliver(inbound: Inbound): void {
    inbound.held = false
    this.#stand(inbound.greeting)
    inbound.wire.release()
  }

  #frame(wire: Wire, frame: Frame): void {
    if (this.#gone) return
    const { events, counters } = this.#context
    switch (frame.type) {
      case 'state-hash':
        events.stateHash(this.id, frame.at)
        return
      case 'keep-alive':
        events.keepAliveRequested(this.id, frame.question)
        return
      case 'kept-alive':
        events.keepAliveAnswered(this.id, frame.answer)
        return
      case 'report-request':
        events.reportRequested(this.id, frame.request)
        return
      case 'report-answer':
        events.reportAnswered(this.id, frame.answer)
        return
      case 'traces':
        events.tracesReceived(frame.proposals)
        return
      case 'member-request':
        this.#context.identities.answer(this.id, frame.id)
        return
      case 'member-answer':
        if (this.configured) this.#context.identities.learn(frame.id, frame.member)
        return
      case 'hello':
      case 'foreign-hello':
      case 'welcome':
      case 'refusal':
      case 'snapshot-offer':
      case 'snapshot-accept':
      case 'snapshot-chunk':
      case 'snapshot-written':
      case 'snapshot-end':
      case 'snapshot-staged':
      case 'unknown':
        refuseWire(this.#context, wire, `frames of type ${frameName(frame)} are unknown here`)
        return
      default:
        counters.messagesReceived++
        events.message(frame)
    }
  }

  #inboundBroke(inbound: Inbound, why: string): void {
    this.#context.counters.connectionsBroken++
    if (this.#inbound !== inbound) return
    this.#inbound = undefined
    if (this.#gone) return
    this.#broken(why)
    if (!this.configured) this.#guestGone()
  }

  // ---- both

  #stand(greeting: Greeting): void {
    this.#standing = true
    this.#context.logger.info({ peer: this.#member.name, boot: greeting.boot }, 'connected to a peer')
    this.#context.events.connected(greeting)
  }

  #broken(why: string): void {
    if (!this.#standing) return
    this.#standing = false
    this.#context.logger.info({ peer: this.#member.name, why }, 'the connection to a peer broke')
    this.#context.events.disconnected(this.id)
  }
}

const counterNames = (id: ReplicaId) => ({
  broken: `broken of ${id}`,
  dialling: `dialling of ${id}`,
  retrying: `retrying of ${id}`,
  grace: `grace of ${id}`,
  held: `held of ${id}`,
  failures: `failures of ${id}`,
  queuedFrames: `queuedFrames of ${id}`,
  queuedBytes: `queuedBytes of ${id}`,
})
