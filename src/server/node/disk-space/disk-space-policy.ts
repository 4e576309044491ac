// The conduct of a node while its disk is short of space (NODE-15). `disk-space.ts` measures the space. The consensus
// core knows nothing of disks: before it appends or forwards a command, `commandRefusal` refuses commands that need
// space. A node without space drops appends as the network may, and leadership moves by the ordinary transfer.

import { freesSpace } from '../../../kv/index.ts'
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
} from '../../../raft/index.ts'
import type { Storage } from '../../../storage/types.ts'
import type { Logger } from '../../options.ts'
import type { Clock } from '../clock.ts'
import type { Disk } from '../disk.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { DriverLimits } from '../limits.ts'
import type { NodeEvents } from '../node-events.ts'
import type { DiskSpaceState } from './disk-space.ts'
import { DiskSpace } from './disk-space.ts'

/** The pause between two hand-overs by one node. If all disks are short, leadership moves no more often. */
const HAND_OVER_PAUSE_MS = 60_000

interface DiskSpacePolicyOptions {
  readonly clock: Clock
  readonly timing: RaftTiming
  readonly limits: DriverLimits
  readonly logger: Logger
  readonly disk: Disk
  readonly storage: Pick<Storage, 'applied' | 'compactDatabase' | 'endOldScans'>
  readonly raft: Raft
  readonly lifecycle: Pick<Lifecycle, 'fail'>
  readonly events: Pick<NodeEvents, 'step'>
}

export class DiskSpacePolicy {
  readonly space: DiskSpace
  readonly #options: DiskSpacePolicyOptions
  /** The time of the last change of role, term or leader. */
  #roleSince: MonotonicMs = Number.NEGATIVE_INFINITY
  #nextHandOverAt: MonotonicMs = Number.NEGATIVE_INFINITY

  constructor(options: DiskSpacePolicyOptions) {
    this.#options = options
    const { clock, disk, lifecycle, limits, storage } = options
    this.space = new DiskSpace(clock, limits, disk, {
      changed: (state) => this.#spaceChanged(state),
      compact: (done, isRoom) =>
        storage.compactDatabase((error) => {
          if (error === undefined) done()
          else lifecycle.fail(error)
        }, isRoom),
      endOldScans: () => storage.endOldScans(),
    })
  }

  /** Why this node must not append the command in this frame, or forward it to the leader. */
  commandRefusal(frame: Uint8Array): Refusal | undefined {
    const { raft } = this.#options
    const { state } = this.space
    if (state === 'enough') return undefined
    if (raft.role !== 'leader') return this.#forwardRefusal
    const frees = freesSpace(frameKind(frame), frameVersion(frame), frameBody(frame))
    if (state === 'low' && frees) return undefined
    // The proposal waits for the successor.
    if (this.#awaitsHandOver) return { reason: 'transferring' }
    return { reason: 'disk-full', detail: 'the disk of the leader is nearly full' }
  }

  /** A node that cannot write an entry never learns its outcome. */
  get #forwardRefusal(): Refusal | undefined {
    if (!this.isBehind) return undefined
    // It takes some heartbeats to prove that this node follows a new leader. The proposal waits for that.
    if (this.space.state === 'low' && this.#isNewRole) return { reason: 'no-leader' }
    // Not `disk-full`: another node may accept the change.
    return { reason: 'overloaded', detail: 'the disk of this node is nearly full' }
  }

  /** Whether lack of space keeps this node behind: it writes no commands, or it lags and takes no snapshot. */
  get isBehind(): boolean {
    const { clock, raft, timing } = this.#options
    if (this.space.state === 'enough') return false
    const stalenessMs = raft.stalenessMs(clock.now()) ?? Number.POSITIVE_INFINITY
    return this.space.state === 'none' || stalenessMs > timing.electionMaxMs
  }

  /** The end of the log while this node is behind for lack of space. */
  get logEnd(): LogIndex | undefined {
    return this.isBehind ? this.#options.raft.lastIndex : undefined
  }

  /** Why no snapshot is accepted. */
  get snapshotRefusal(): string | undefined {
    return this.space.state === 'enough' ? undefined : 'the disk here is nearly full'
  }

  /**
   * The part of a message that this node can store. Without space it takes the leading entries of the core: the first
   * entry of a term is as small as a vote, and reads need it. The leader sends the rest again. An append of commands
   * only shows that the leader is alive, as a heartbeat does.
   */
  receivable(message: Message): Message {
    if (message.type !== 'append' || this.space.state !== 'none') return message
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
   * periodically. A leader that has applied an entry of its own term knows which followers store entries.
   */
  handOverIfShort(): void {
    const { clock, events, raft, storage } = this.#options
    if (!this.#shouldHandOver || storage.applied.term < raft.term) return
    const now = clock.now()
    this.#nextHandOverAt = now + HAND_OVER_PAUSE_MS
    // To the voter with the longest log.
    events.step({ kind: 'transfer', now, to: undefined })
  }

  #spaceChanged(state: DiskSpaceState): void {
    const { clock, logger } = this.#options
    const { freeBytes } = this.space
    if (state === 'enough')
      logger.info({ state, freeBytes }, 'the disk has space again: changes are accepted')
    else logger.error({ state, freeBytes }, diskFullText(state, freeBytes))
    // The change may be noticed while the output of a step is carried out. Its writes and messages come first.
    clock.soon(() => this.handOverIfShort())
  }

  get #shouldHandOver(): boolean {
    const { clock, raft } = this.#options
    if (this.space.state === 'enough' || raft.role !== 'leader' || clock.now() < this.#nextHandOverAt)
      return false
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

export function diskFullText(state: Exclude<DiskSpaceState, 'enough'>, freeBytes: number): string {
  const free = `the disk is nearly full (${Math.floor(freeBytes / 1024 ** 2)} MiB free)`
  const effect = state === 'low' ? 'deletes are taken, other changes are refused' : 'nothing is written'
  return `${free}: ${effect} until there is room again`
}
