// The snapshots that this replica sends to others and receives from them.
//
// The core requests a snapshot again as soon as it learns that one has failed. What has failed may fail again at once:
// the receiver has no room, or its disk is broken. So the core learns of a failure after a pause, which doubles.

import { decodeState } from '../../../kv/index.ts'
import {
  decodeAppliedState,
  type LogIndex,
  type MonotonicMs,
  type Raft,
  type ReplicaId,
  type SnapshotRequest,
  type Term,
} from '../../../raft/index.ts'
import type { SnapshotSink, SnapshotSource, Storage } from '../../../storage/types.ts'
import type { Logger } from '../../options.ts'
import type { Clock, Timer } from '../clock.ts'
import type { DiskSpacePolicy } from '../disk-space/disk-space-policy.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { DriverLimits } from '../limits.ts'
import type { NetworkEvents } from '../network.ts'
import type { NodeEvents } from '../node-events.ts'
import type { Members } from './members.ts'
import type { PeerSender } from './peer-sender.ts'

interface SnapshotTransfersOptions {
  readonly clock: Clock
  readonly limits: Pick<DriverLimits, 'snapshotRetryMs' | 'snapshotRetryMsMax'>
  readonly logger: Logger
  readonly storage: Pick<Storage, 'snapshotSink' | 'snapshotSource'>
  readonly raft: Pick<Raft, 'id' | 'term' | 'commit' | 'snapshotRefusal'>
  readonly lifecycle: Pick<Lifecycle, 'end' | 'fail'>
  readonly members: Pick<Members, 'findName' | 'versions'>
  readonly spacePolicy: Pick<DiskSpacePolicy, 'snapshotRefusal' | 'space'>
  readonly peers: Pick<PeerSender, 'isStarted' | 'sendSnapshot'>
  readonly events: Pick<NodeEvents, 'step'>
}

/** Snapshots for a peer that have failed, one after the other. */
interface Failures {
  readonly count: number
  /** The reason of the last one. */
  readonly why: string
  /** When that was. */
  readonly at: MonotonicMs
  /** Until the next one may be sent. */
  readonly pause: Timer
}

export class SnapshotTransfers {
  readonly #options: SnapshotTransfersOptions
  /** The peers that a snapshot is being sent to, and when each began. */
  readonly #receivers = new Map<ReplicaId, MonotonicMs>()
  readonly #failures = new Map<ReplicaId, Failures>()

  constructor(options: SnapshotTransfersOptions) {
    this.#options = options
  }

  /** The number of snapshots that are being sent. */
  get size(): number {
    return this.#receivers.size
  }

  /** An error for the status: the last snapshots for this peer, which needs one, have failed. */
  errorOf(peer: ReplicaId): string | undefined {
    const { count, why } = this.#failures.get(peer) ?? { count: 0, why: '' }
    const name = this.#options.members.findName(peer) ?? peer
    return count < 2
      ? undefined
      : `${name} does not catch up: the last ${count} snapshots for it failed: ${why}`
  }

  stop(): void {
    for (const { pause } of this.#failures.values()) pause.cancel()
    this.#failures.clear()
  }

  /** `late`: how many snapshots came too late for the log (`ProgressStatus`). */
  send({ to, late }: SnapshotRequest): void {
    const { clock, logger, members, peers, raft, storage } = this.#options
    if (this.#receivers.has(to) || !peers.isStarted) return
    this.#receivers.set(to, clock.now())
    const source = storage.snapshotSource()
    const fields = { to: members.findName(to), index: source.meta.index }
    if (late === 0) logger.info(fields, 'sending a snapshot')
    else
      logger.warn({ ...fields, late }, 'sending a snapshot again: the one before came too late for the log')
    peers.sendSnapshot(to, raft.term, source)
  }

  sent(...[peer, index, why]: Parameters<NetworkEvents['snapshotSent']>): void {
    if (why === undefined) {
      this.#failures.delete(peer)
      this.#ended(peer, index, true)
      return
    }
    const { clock, lifecycle, limits, logger, members } = this.#options
    if (lifecycle.end !== undefined) return
    const now = clock.now()
    const before = this.#failures.get(peer)
    // A large snapshot may fail only after minutes, so its begin counts.
    const begunAt = this.#receivers.get(peer) ?? now
    const isRecent = before !== undefined && begunAt - before.at <= 2 * limits.snapshotRetryMsMax
    const count = isRecent ? before.count + 1 : 1
    const pauseMs = Math.min(limits.snapshotRetryMs * 2 ** (count - 1), limits.snapshotRetryMsMax)
    logger.warn({ to: members.findName(peer), index, why, count, pauseMs }, 'a snapshot was not received')
    const pause = clock.after(pauseMs, () => this.#ended(peer, index, false))
    this.#failures.set(peer, { count, why, at: now, pause })
  }

  /** The core requests another one if it has failed and is still needed. */
  #ended(peer: ReplicaId, index: LogIndex, ok: boolean): void {
    const { clock, events } = this.#options
    this.#receivers.delete(peer)
    events.step({ kind: 'snapshot-sent', now: clock.now(), peer, index, ok })
  }

  offered(...[from, term, snapshotId, meta, done]: Parameters<NetworkEvents['snapshotOffered']>): void {
    const { lifecycle, members, raft, spacePolicy, storage } = this.#options
    if (lifecycle.end !== undefined) {
      done('this node has ended', undefined)
      return
    }
    try {
      decodeState(meta.applied.kv, members.versions.known)
    } catch (error) {
      // A newer version leads a cluster that uses what this one does not know. Nothing of the snapshot is stored.
      lifecycle.fail(error)
      done('this node has ended', undefined)
      return
    }
    const refuse = raft.snapshotRefusal(term, meta.index) ?? spacePolicy.snapshotRefusal
    if (refuse !== undefined) {
      // A leader that offers a snapshot of committed entries has not received the answer to an earlier transfer. The
      // core answers again.
      if (meta.index <= raft.commit) this.received(from, term, snapshotId, meta)
      done(refuse, undefined)
      return
    }
    storage.snapshotSink(snapshotId, from, meta, (error, sink) =>
      done(error?.message, sink === undefined ? undefined : this.#checkSpaceBefore(sink)),
    )
  }

  /** Reports a complete snapshot to the core. */
  received(from: ReplicaId, term: Term, snapshotId: string, meta: SnapshotSource['meta']): void {
    const { clock, events, raft } = this.#options
    const state = decodeAppliedState(meta.applied.raft)
    const { clusterTimeMs } = decodeState(meta.applied.kv)
    const to = raft.id
    const core = { index: meta.index, term: meta.term, state }
    events.step({
      kind: 'message',
      now: clock.now(),
      message: { type: 'snapshot', from, to, term, snapshotId, meta: core, clusterTimeMs },
    })
  }

  /**
   * A snapshot that was begun with enough space is given up when the disk becomes short, and is offered again later.
   * LevelDB needs the remaining space to compact the received rows, and to delete them.
   */
  #checkSpaceBefore(sink: SnapshotSink): SnapshotSink {
    const { clock, spacePolicy } = this.#options
    return {
      get nextChunk() {
        return sink.nextChunk
      },
      write: (number, chunk, done) => {
        spacePolicy.space.writes(chunk.length)
        const refusal = spacePolicy.snapshotRefusal
        if (refusal === undefined) sink.write(number, chunk, done)
        else clock.soon(() => done(new Error(refusal)))
      },
      finish: (done) => sink.finish(done),
      abort: () => sink.abort(),
    }
  }
}
