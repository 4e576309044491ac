// The link to one peer: the connection that we dialled, for what we send, and the one that it dialled, for what it sends. The link stands when
// both do.
//
// The core compares what a peer says of its durable state with what it has heard from it before (design §3: a replica that comes back
// behind has lost state and must stop). So that this never accuses a healthy peer, such a statement must not be overtaken by messages of the
// same peer: what counts is the hello of the connection that brings its messages, and nothing of that connection is delivered before
// the link stands and `connected` has been said. Where only our own connection had to be made again, the peer is asked to state
// its state anew, in order with its messages.

import type { Member, ReplicaId } from '../../raft/types.ts'
import type { Greeting } from '../types.ts'
import type { ByteReader } from './bytes.ts'
import { isMessageCode, readMessage } from './codec.ts'
import type { Connection } from './connection.ts'
import type { Context } from './context.ts'
import { dial } from './dial.ts'
import { FRAME, readRefusal, readState, readStateHash, type Speaker, writeGreeting } from './handshake.ts'

interface Inbound {
  readonly connection: Connection
  readonly greeting: Greeting
  /** Nothing of it is delivered yet. */
  held: boolean
}

export class Peer {
  readonly id: ReplicaId
  /** Named by the configuration; a guest called by itself, and is kept for as long as its connection stands. */
  configured: boolean
  private readonly context: Context
  private readonly guestGone: () => void
  private member: Member
  /** Where the peer says that it listens, when the configuration says otherwise. */
  private hint: string | undefined
  private reachedAt: string | undefined
  private outbound: Connection | undefined
  /** The process at its other end. */
  private answeredBy: bigint | undefined
  private inbound: Inbound | undefined
  /** `connected` was said, and `disconnected` not yet. */
  private standing = false
  /** The peer asked for our state before our connection to it stood. */
  private owesState = false
  private abandonDial: (() => void) | undefined
  private retry: NodeJS.Timeout | undefined
  private failures = 0
  private dials = 0
  /** Runs from the break of the outbound connection until it stands again (`NetworkEvents.refused`). */
  private grace: { readonly timer: NodeJS.Timeout; failed: boolean; over: boolean } | undefined
  private gone = false

  constructor(context: Context, member: Member, configured: boolean, guestGone: () => void) {
    this.context = context
    this.id = member.id
    this.member = member
    this.configured = configured
    this.guestGone = guestGone
    this.dial()
  }

  /** As `Connection.send`; false: dropped. */
  send(...frame: Parameters<Connection['send']>): boolean {
    return this.outbound?.send(...frame) ?? false
  }

  update(member: Member): void {
    const moved = member.peer !== this.member.peer
    this.member = member
    this.configured = true
    if (!moved || this.outbound !== undefined) return
    this.abandonDial?.()
    clearTimeout(this.retry)
    this.retry = undefined
    this.failures = 0
    this.dial()
  }

  get name(): string {
    return this.member.name
  }

  /** Where it was reached last, or will be looked for next. */
  get address(): string {
    return this.reachedAt ?? this.context.resolve(this.member)
  }

  private get addresses(): readonly string[] {
    const { context, member, hint } = this
    const configured = context.resolve(member)
    const hinted = hint === undefined ? configured : context.resolve({ ...member, peer: hint })
    return hinted === configured ? [configured] : [configured, hinted]
  }

  /** The peer has called and was let in. */
  accept(connection: Connection, { greeting, process }: Speaker): void {
    const older = this.inbound
    const inbound = { connection, greeting, held: true }
    this.inbound = inbound
    this.hint = greeting.peer
    connection.established({
      frame: (type, body) => this.frame(connection, type, body),
      closed: (why) => this.inboundBroke(inbound, why),
    })
    connection.hold()
    older?.connection.close('the peer has called again')
    this.broken('the peer has called again')
    if (this.gone) return
    // After a loss of power the end of the older process is not told: nobody is left to close its connections.
    if (this.answeredBy !== process) this.outbound?.close('the peer has been started anew')
    if (this.outbound === undefined) this.dialNow()
    else this.deliver(inbound)
  }

  /** Ends the link without another event. */
  remove(): void {
    this.gone = true
    clearTimeout(this.retry)
    this.retry = undefined
    this.endGrace()
    this.abandonDial?.()
    this.outbound?.drain()
    this.inbound?.connection.drain()
  }

  close(): void {
    this.remove()
    this.outbound?.close('closed')
    this.inbound?.connection.close('closed')
  }

  // ---- the connection that we dial

  private dialNow(): void {
    if (this.retry === undefined) return
    clearTimeout(this.retry)
    this.retry = undefined
    this.failures = 0
    this.dial()
  }

  private dial(): void {
    const { addresses } = this
    const address = addresses[this.dials++ % addresses.length] ?? this.member.peer
    this.abandonDial = dial(this.context, address, this.id, 'messages', {
      reached: (connection, speaker) => {
        this.reachedAt = address
        this.reached(connection, speaker)
      },
      failed: (why) => this.dialFailed(address, why),
    })
  }

  private reached(connection: Connection, { process }: Speaker): void {
    this.abandonDial = undefined
    this.failures = 0
    this.endGrace()
    this.outbound = connection
    this.answeredBy = process
    connection.established({
      frame: (type, body) => this.answer(connection, type, body),
      closed: (why) => this.outboundBroke(why),
    })
    if (this.owesState) this.sendState()
    if (this.inbound?.held === true) this.deliver(this.inbound)
    else if (this.inbound !== undefined) connection.send(FRAME.ask)
  }

  private dialFailed(address: string, why: string): void {
    this.abandonDial = undefined
    this.context.logger.debug({ peer: this.member.name, address, why }, 'could not reach a peer')
    const { reconnectMinMs, reconnectMaxMs } = this.context.limits
    const pauseMs = Math.min(reconnectMaxMs, reconnectMinMs * 2 ** Math.min(this.failures++, 16))
    this.retry = setTimeout(
      () => {
        this.retry = undefined
        this.dial()
      },
      pauseMs * (0.5 + Math.random() / 2),
    )
    if (this.grace !== undefined) this.grace.failed = true
    this.reportRefused()
  }

  private outboundBroke(why: string): void {
    this.outbound = undefined
    this.owesState = false
    this.context.counters.connectionsBroken++
    if (this.gone) return
    this.endGrace()
    const timer = setTimeout(() => {
      if (this.grace !== undefined) this.grace.over = true
      this.reportRefused()
    }, this.context.limits.refusedAfterMs)
    this.grace = { timer, failed: false, over: false }
    this.dial()
    this.broken(why)
  }

  private reportRefused(): void {
    if (this.grace === undefined || !this.grace.over || !this.grace.failed) return
    this.endGrace()
    this.context.logger.info(
      { peer: this.member.name },
      'a peer is gone: its connection broke and it cannot be reached',
    )
    this.context.events.refused(this.id)
  }

  private endGrace(): void {
    clearTimeout(this.grace?.timer)
    this.grace = undefined
  }

  /** All that a peer may say on a connection that we dialled is why it ends it. */
  private answer(connection: Connection, type: number, body: ByteReader): void {
    if (type !== FRAME.refusal) {
      connection.close(`a frame of type ${type} on a connection that it does not send on`)
      return
    }
    const refusal = connection.decode(() => readRefusal(body))
    if (refusal === undefined) return
    connection.close(refusal.sentence)
    if (refusal.stop && refusal.clusterId === this.context.clusterId)
      this.context.events.stop(refusal.sentence)
  }

  // ---- the connection that the peer dialled

  private deliver(inbound: Inbound): void {
    inbound.held = false
    this.stand(inbound.greeting)
    inbound.connection.release()
  }

  private frame(connection: Connection, type: number, body: ByteReader): void {
    const { events, counters, clusterId } = this.context
    if (isMessageCode(type)) {
      const message = connection.decode(() => readMessage(type, body, this.id, this.context.self))
      if (message === undefined) return
      counters.messagesReceived++
      events.message(message)
    } else if (type === FRAME.stateHash) {
      const at = connection.decode(() => readStateHash(body))
      if (at !== undefined) events.stateHash(this.id, at)
    } else if (type === FRAME.ask) {
      this.owesState = true
      this.sendState()
    } else if (type === FRAME.state) {
      const greeting = connection.decode(() => readState(body, this.id))
      if (greeting !== undefined && this.outbound !== undefined && !this.standing) this.stand(greeting)
    } else {
      connection.refuse({ clusterId, stop: false, sentence: `frames of type ${type} are unknown here` })
    }
  }

  private sendState(): void {
    if (this.outbound === undefined) return
    this.owesState = false
    this.outbound.send(FRAME.state, (out) => writeGreeting(out, this.context.events.greeting()))
  }

  private inboundBroke(inbound: Inbound, why: string): void {
    this.context.counters.connectionsBroken++
    if (this.inbound !== inbound) return
    this.inbound = undefined
    if (this.gone) return
    this.broken(why)
    if (!this.configured) this.guestGone()
  }

  // ---- both

  private stand(greeting: Greeting): void {
    this.standing = true
    this.context.logger.info({ peer: this.member.name, boot: greeting.boot }, 'connected to a peer')
    this.context.events.connected(greeting)
  }

  private broken(why: string): void {
    if (!this.standing) return
    this.standing = false
    this.context.logger.info({ peer: this.member.name, why }, 'the connection to a peer broke')
    this.context.events.disconnected(this.id)
  }
}
