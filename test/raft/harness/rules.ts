// Shows a cluster of test/raft to the rules of the simulator (docs/invariants.md), which check it as they check a
// simulated one: every step of every core, every message, every batch.

import {
  type DiskContent,
  Invariants,
  type LogReplay,
  type ObservedReplica,
  type RecordedState,
} from '../../../jepsen-lite/sim/oracle/invariants.ts'
import { NO_EFFECT } from '../../../jepsen-lite/sim/oracle/model.ts'
import { encodeAppliedState, readHeader } from '../../../src/raft/index.ts'
import type { Entry, Message, Output, RaftTiming } from '../../../src/raft/types.ts'
import type { AppliedRecord } from './disk.ts'
import { crc32 } from './frames.ts'
import type { DiskBatch, SimNode } from './node.ts'

/** A log of texts. They do nothing, so that only their order counts. */
class TextReplay implements LogReplay {
  index = 0
  revision = 0

  startAt(index: number): void {
    this.index = index
  }

  apply(frame: Uint8Array): typeof NO_EFFECT {
    this.index = readHeader(frame).index
    this.revision++
    return NO_EFFECT
  }
}

export class Rules {
  readonly #invariants: Invariants<TextReplay>

  constructor(timing: RaftTiming) {
    this.#invariants = new Invariants(() => new TextReplay(), { ...timing, fixedTimeouts: true })
  }

  #replica({ id, name }: SimNode): ObservedReplica {
    const replica = this.#invariants.replicas.get(id)
    if (replica === undefined) throw new Error(`the rules do not know ${name}`)
    return replica
  }

  /** Registers a replica before its first process, with the content of its disk. */
  adopt({ id, name, disk: { hardState, log, applied } }: SimNode): void {
    const { base, baseTerm, list: entries } = log
    this.#invariants.adopt(id, name, { hardState, applied: recordOf(applied) }, { base, baseTerm, entries })
  }

  /** A test has damaged the disk on purpose. */
  damaged(node: SimNode): void {
    const replica = this.#replica(node)
    const { hardState, log, applied } = node.disk
    const { term, vote, commit } = hardState
    const terms = replica.durable.terms.slice(0, log.lastIndex() + 1)
    const held: DiskContent = { term, vote, commit, terms, applied: applied.index }
    this.#invariants.putBack(replica, held)
    // The boot counter is on another disk.
    replica.boot = node.disk.boot
  }

  started(node: SimNode, now: () => number): void {
    const replica = this.#replica(node)
    const { boot, hardState, log, applied } = node.disk
    const state = { boot, hardState, log, applied: recordOf(applied), stateHash: hashOf(applied) }
    this.#invariants.opened(replica, state)
    this.#invariants.coreBegins(replica, node.raft)
    replica.now = now
    replica.contactTerm = 0
    replica.contactAt = applied.state.leaderLeases.on ? now() : Number.NEGATIVE_INFINITY
  }

  stepped(node: SimNode, output: Output): void {
    this.#invariants.stepped(this.#replica(node), output)
  }

  sent(node: SimNode, message: Message): void {
    this.#invariants.sent(this.#replica(node), message)
  }

  received(node: SimNode, message: Message): void {
    this.#invariants.messageReceived(this.#replica(node), message, node.raft.term)
  }

  greets(node: SimNode): void {
    this.#invariants.greets(this.#replica(node), node.disk.hardState)
  }

  stored(node: SimNode, { writes, hardState, applied }: DiskBatch): void {
    const replica = this.#replica(node)
    const batch = { writes, hardState, compactLogTo: undefined }
    this.#invariants.durable(
      replica,
      this.#invariants.begins(replica, batch, () => applied),
    )
  }

  applied(node: SimNode, { index, term }: Entry): void {
    const { applied } = node.process
    this.#invariants.applies(
      this.#replica(node),
      { ...recordOf(applied), index, term },
      hashOf(applied, index),
    )
  }

  installed(node: SimNode): void {
    const { applied } = node.process
    this.#invariants.installed(this.#replica(node), {
      applied: recordOf(applied),
      stateHash: hashOf(applied),
    })
  }

  ended(node: SimNode): void {
    this.#invariants.ended(this.#replica(node))
  }
}

const recordOf = ({ index, term, state }: AppliedRecord): RecordedState => ({
  index,
  term,
  raft: encodeAppliedState(state),
})

/** Hash of the texts up to an index. */
function hashOf({ machine }: AppliedRecord, upTo = Number.POSITIVE_INFINITY): bigint {
  return BigInt(crc32(JSON.stringify(machine.filter(({ index }) => index <= upTo))))
}
