// What a node does while its disk is short of space (NODE-15). `disk-space.ts` measures the space. Consensus knows
// nothing of it: the leader's node checks commands before they are appended, a node without space drops appends as the
// network may, and leadership moves by the ordinary transfer.

import { takesNoRoom } from '../../kv/index.ts'
import {
  asIndex,
  ENTRY_KINDS_OF_CORE,
  frameBody,
  frameKind,
  frameVersion,
  type LogIndex,
  type Message,
  type MonotonicMs,
  type Raft,
  type RaftTiming,
  type Refusal,
} from '../../raft/index.ts'
import type { DiskSpace } from './disk-space.ts'
import type { Clock } from './types.ts'

/** The pause between two hand-overs by one node. If all disks are short, leadership moves no more often. */
const HAND_OVER_PAUSE_MS = 60_000

export interface DiskSpacePolicyOptions {
  readonly clock: Clock
  readonly timing: RaftTiming
  readonly space: Pick<DiskSpace, 'state'>
  readonly raft: Raft
  /** Begins the transfer of leadership to the voter with the longest log. */
  handOver(): void
}

export class DiskSpacePolicy {
  readonly #options: DiskSpacePolicyOptions
  /** The time of the last change of role, term or leader. */
  #roleSince: MonotonicMs = Number.NEGATIVE_INFINITY
  #nextHandOverAt: MonotonicMs = Number.NEGATIVE_INFINITY

  constructor(options: DiskSpacePolicyOptions) {
    this.#options = options
  }

  /** Why this node must not append the command in this frame, or forward it to the leader. */
  admission(frame: Uint8Array): Refusal | undefined {
    const { raft, space } = this.#options
    const { state } = space
    if (state === 'enough') return undefined
    if (raft.role !== 'leader') return this.#forwardRefusal
    const frees = takesNoRoom(frameKind(frame), frameVersion(frame), frameBody(frame))
    if (state === 'low' && frees) return undefined
    // The proposal waits for the successor.
    if (this.#awaitsHandOver) return { reason: 'transferring' }
    return { reason: 'storage-full', detail: 'the disk of the leader is nearly full' }
  }

  /** A node that cannot write an entry never learns its outcome. */
  get #forwardRefusal(): Refusal | undefined {
    if (!this.isBehind) return undefined
    // It takes some heartbeats to prove that this node follows a new leader. The proposal waits for that.
    if (this.#options.space.state === 'low' && this.#isNewRole) return { reason: 'no-leader' }
    // Not `storage-full`: another node may accept the change.
    return { reason: 'overloaded', detail: 'the disk of this node is nearly full' }
  }

  /** Whether lack of space keeps this node behind: it writes no commands, or it lags and takes no snapshot. */
  get isBehind(): boolean {
    const { clock, raft, space, timing } = this.#options
    if (space.state === 'enough') return false
    const stalenessMs = raft.stalenessMs(clock.now()) ?? Number.POSITIVE_INFINITY
    return space.state === 'none' || stalenessMs > timing.electionMaxMs
  }

  /** The end of the log while this node is behind for lack of space. */
  get logEnd(): LogIndex | undefined {
    return this.isBehind ? this.#options.raft.lastIndex : undefined
  }

  /** Why no snapshot is accepted. */
  get snapshotRefusal(): string | undefined {
    return this.#options.space.state === 'enough' ? undefined : 'the disk here is nearly full'
  }

  /**
   * The part of a message that this node can store. Without space it takes the leading entries of the core: the first
   * entry of a term is as small as a vote, and reads need it. The leader sends the rest again. An append of commands
   * only shows that the leader is alive, as a heartbeat does.
   */
  receivable(message: Message): Message {
    if (message.type !== 'append' || this.#options.space.state !== 'none') return message
    const { entries, from, to, term } = message
    const command = entries.findIndex(({ frame }) => frameKind(frame) >= ENTRY_KINDS_OF_CORE)
    if (command < 0) return message
    if (command > 0) return { ...message, entries: entries.slice(0, command) }
    const nothing = { commit: asIndex(0), round: 0, confirmed: undefined, appliedByMajority: asIndex(0) }
    return { type: 'heartbeat', from, to, term, ...nothing }
  }

  roleChanged(): void {
    this.#roleSince = this.#options.clock.now()
  }

  /**
   * Hands over leadership once if the disk is short. Called when entries were applied, when the space changed, and
   * periodically.
   * `appliedTerm`: the term of the last applied entry. A leader that has committed in its own term knows which
   * followers store entries.
   */
  handOverIfShort(appliedTerm: number): void {
    const { clock, handOver, raft } = this.#options
    if (!this.#shouldHandOver || appliedTerm < raft.term) return
    this.#nextHandOverAt = clock.now() + HAND_OVER_PAUSE_MS
    handOver()
  }

  get #shouldHandOver(): boolean {
    const { clock, raft, space } = this.#options
    if (space.state === 'enough' || raft.role !== 'leader' || clock.now() < this.#nextHandOverAt) return false
    return raft.configuration.voters.some((id) => id !== raft.id)
  }

  /** Whether this node was elected a moment ago and has not handed over yet. */
  get #awaitsHandOver(): boolean {
    return this.#isNewRole && this.#shouldHandOver
  }

  get #isNewRole(): boolean {
    const { clock, timing } = this.#options
    return clock.now() - this.#roleSince <= timing.electionMaxMs
  }
}
