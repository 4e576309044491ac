// The periodic checks of a node: it compares its state hash with those of the peers, scrubs its rows, and compacts
// history.

import { type KvState, MissingRowError } from '../../../kv/index.ts'
import { assertNever, type LogIndex, type Raft, type ReplicaId } from '../../../raft/index.ts'
import { type Storage, UnfitReplicaError } from '../../../storage/index.ts'
import type { Logger } from '../../options.ts'
import type { Clock, Timer } from '../clock.ts'
import type { DiskSpacePolicy } from '../disk-space/disk-space-policy.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { DriverLimits } from '../limits.ts'
import type { Members } from '../membership/members.ts'
import type { PeerSender } from '../membership/peer-sender.ts'
import type { StateHashAt } from '../network.ts'
import type { LeaderLoss } from '../watch/leader-loss.ts'
import type { Proposer } from '../write/proposer.ts'
import { HistoryCompactor } from './history-compactor.ts'
import { Scrubber } from './scrubber.ts'
import { StateHashes } from './state-hashes.ts'

interface BackgroundChecksOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly storage: Storage
  readonly limits: DriverLimits
  readonly raft: Pick<Raft, 'id' | 'clusterTimeMs' | 'stalenessMs'>
  readonly lifecycle: Pick<Lifecycle, 'end' | 'fail' | 'failOnThrow'>
  readonly members: Pick<Members, 'configuration'>
  readonly applied: { readonly state: KvState; readonly index: LogIndex }
  readonly proposer: Pick<Proposer, 'propose'>
  readonly peers: Pick<PeerSender, 'sendStateHash'>
  readonly spacePolicy: Pick<DiskSpacePolicy, 'isBehind' | 'handOverIfShort'>
  readonly leaderLoss: Pick<LeaderLoss, 'withoutSpace'>
}

export class BackgroundChecks {
  readonly #options: BackgroundChecksOptions
  readonly #hashes: StateHashes
  readonly #scrubber: Scrubber
  readonly #compactor: HistoryCompactor
  #timer: Timer | undefined
  #error: string | undefined

  constructor(options: BackgroundChecksOptions) {
    this.#options = options
    const { applied, clock, lifecycle, limits, raft, storage } = options
    this.#hashes = new StateHashes(raft.id)
    this.#scrubber = new Scrubber(clock, storage, limits, (error) => lifecycle.fail(error))
    this.#compactor = new HistoryCompactor({
      get state() {
        return applied.state
      },
      clusterTimeMs: () => raft.clusterTimeMs(clock.now()),
      get: (rowKey) => {
        let row: Uint8Array | undefined
        lifecycle.failOnThrow(() => {
          row = storage.get(rowKey)
          if (row === undefined) throw new MissingRowError('the oldest events of history have no row')
        })
        return row
      },
      propose: (request, done) => options.proposer.propose(request, limits.hashIdleMs, ({ ok }) => done(ok)),
    })
  }

  /** An error for the status: replicas differ, and this one is not known to be wrong. */
  get error(): string | undefined {
    return this.#error
  }

  start(): void {
    this.#arm()
    this.#scrubber.start()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#scrubber.stop()
  }

  /** Reports the state hash at every `hashEveryEntries`-th entry, so that replicas report the same ones. */
  entryApplied(index: LogIndex): void {
    if (index % this.#options.limits.hashEveryEntries === 0) this.#reportHash()
  }

  /** A snapshot has replaced all rows. */
  replaced(): void {
    this.#scrubber.replaced()
  }

  sliceApplied(): void {
    this.#compactor.check(false)
  }

  /** Judges the report of a peer, or of this replica. */
  hashReported(from: ReplicaId, at: StateHashAt): void {
    const { lifecycle, logger, members } = this.#options
    const verdict = this.#hashes.report(from, at, members.configuration.voters)
    switch (verdict.kind) {
      case 'equal':
        return
      case 'all-equal':
        if (this.#error !== undefined) logger.info({}, 'all voters hold the same again')
        this.#error = undefined
        return
      case 'differs':
        if (this.#error === undefined) logger.error({}, `replicas differ: ${verdict.detail}`)
        this.#error = `replicas differ: ${verdict.detail}`
        return
      case 'diverged':
        lifecycle.fail(new UnfitReplicaError(`this replica has diverged: ${verdict.detail}`))
        return
      default:
        assertNever(verdict)
    }
  }

  #arm(): void {
    const { clock, lifecycle, limits } = this.#options
    this.#timer = clock.after(limits.hashIdleMs, () => {
      this.#reportHash()
      this.#compactor.check(true)
      this.#checkSpace()
      if (lifecycle.end === undefined) this.#arm()
    })
  }

  /** Space may have become short, or have been short for long. */
  #checkSpace(): void {
    const { clock, leaderLoss, raft, spacePolicy } = this.#options
    if (spacePolicy.isBehind) leaderLoss.withoutSpace(raft.stalenessMs(clock.now()))
    spacePolicy.handOverIfShort()
  }

  #reportHash(): void {
    const { applied, raft, storage } = this.#options
    const at = { index: applied.index, hash: storage.stateHash }
    this.#options.peers.sendStateHash(at)
    this.hashReported(raft.id, at)
  }
}
