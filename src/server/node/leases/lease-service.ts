// The leases of a node: the leader's lease keeper, keep-alives forwarded to the leader, and reads of the lease table.

import type { KvState, Outcome, Request } from '../../../kv/index.ts'
import type { LeaseId } from '../../../operations/forms/index.ts'
import type { Raft, RaftTiming, ReplicaId } from '../../../raft/index.ts'
import type { Storage } from '../../../storage/types.ts'
import type { Clock } from '../clock.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { DriverLimits } from '../limits.ts'
import type { PeerSender } from '../membership/peer-sender.ts'
import type { ForwardedKeepAlive, KeepAliveAnswer } from '../network.ts'
import type { Reads } from '../read/reads.ts'
import type { SlicedScan } from '../read/record-scan.ts'
import type { CommandResult, Problem, Result } from '../result.ts'
import type { Proposer } from '../write/proposer.ts'
import { ForwardedKeepAlives } from './forwarded-keep-alives.ts'
import { LeaseKeeper } from './lease-keeper.ts'
import type { LeaseNow } from './lease-rows.ts'
import { leaseNow, scanKeysOfLease, scanLeases } from './lease-rows.ts'
import { OpenRevocations } from './open-revocations.ts'

export interface LeaseCounts {
  /** Leases that exist. */
  readonly count: number
  /**
   * Counts of this process: leases that it has ended as the leader; keep-alives answered without an entry, and with
   * one.
   */
  readonly expired: number
  readonly inMemory: number
  readonly inLog: number
}

interface LeaseServiceOptions {
  readonly clock: Clock
  readonly limits: DriverLimits
  readonly timing: Pick<RaftTiming, 'electionMaxMs'>
  readonly storage: Storage
  readonly raft: Pick<Raft, 'id' | 'leader' | 'term' | 'clusterTimeMs' | 'clusterTimeSeenMs'>
  readonly lifecycle: Pick<Lifecycle, 'fail' | 'guardRead'>
  readonly applied: { readonly state: KvState }
  readonly peers: Pick<PeerSender, 'requestKeepAlive' | 'answerKeepAlive'>
  readonly proposer: Pick<Proposer, 'propose'>
  readonly reads: Pick<Reads, 'read'>
}

export class LeaseService {
  readonly #options: LeaseServiceOptions
  readonly #forwarded: ForwardedKeepAlives
  readonly #keeper: LeaseKeeper
  readonly #revocations: OpenRevocations

  constructor(options: LeaseServiceOptions) {
    this.#options = options
    const { applied, clock, lifecycle, limits, raft, storage } = options
    this.#forwarded = new ForwardedKeepAlives(
      {
        leader: () => (raft.leader === raft.id ? undefined : raft.leader),
        forward: (leader, question) => options.peers.requestKeepAlive(leader, question),
      },
      clock,
      storage.boot,
    )
    const node = {
      get state() {
        return applied.state
      },
      get appliedTerm() {
        return storage.applied.term
      },
      get isApplying() {
        return storage.hashOfChanges !== undefined
      },
      leading: () => {
        const clusterTimeMs = raft.clusterTimeMs(clock.now())
        return clusterTimeMs === undefined ? undefined : { term: raft.term, clusterTimeMs }
      },
      scan: (range: Parameters<Storage['scan']>[0]) => lifecycle.guardRead(() => storage.scan(range)),
      confirm: (timeoutMs: number, done: (problem: Problem | undefined) => void) =>
        options.reads.read({ consistency: 'linearizable', timeoutMs }, (result) =>
          done(result.ok ? undefined : result.problem),
        ),
      propose: (request: Request, timeoutMs: number, done: (result: Result<Outcome>) => void) =>
        options.proposer.propose(request, timeoutMs, (result) =>
          done(result.ok ? { ok: true, value: result.value.outcome } : result),
        ),
      forwardToLeader: (...question: Parameters<ForwardedKeepAlives['forward']>) =>
        this.#forwarded.forward(...question),
      failed: (error: Error) => lifecycle.fail(error),
    }
    this.#keeper = new LeaseKeeper(node, clock, limits)
    this.#revocations = new OpenRevocations(storage, clock, limits.proposalsMax)
  }

  get counts(): LeaseCounts {
    return { count: this.#options.applied.state.leases.count, ...this.#keeper.totals }
  }

  /** Keep-alives that wait for the leader's answer. */
  get forwardedCount(): number {
    return this.#forwarded.size
  }

  inspect(): Readonly<Record<string, number>> {
    return { ...this.#keeper.inspect(), revocations: this.#revocations.size }
  }

  stop(): void {
    this.#keeper.stop()
    this.#forwarded.stop()
    this.#revocations.stop()
  }

  /** Called when the role may have changed, and when entries were applied. */
  check(): void {
    this.#keeper.check()
    if (this.#options.storage.hashOfChanges === undefined) this.#revocations.check()
  }

  /** A snapshot has replaced the applied state. */
  replaced(): void {
    this.#revocations.replaced()
  }

  /** Called after each step of the core, since the leader may have changed. */
  checkForwarded(): void {
    this.#forwarded.check()
  }

  connected(peer: ReplicaId): void {
    this.#keeper.connected()
    this.#forwarded.check(peer)
  }

  disconnected(peer: ReplicaId): void {
    this.#forwarded.check(peer)
  }

  rowChanged(...[rowKey, row, clusterTimeMs]: Parameters<LeaseKeeper['rowChanged']>): void {
    this.#keeper.rowChanged(rowKey, row, clusterTimeMs)
    if (row === undefined) this.#revocations.leaseDeleted()
  }

  keepAliveRequested(from: ReplicaId, { number, timeoutMs, renews, ids }: ForwardedKeepAlive): void {
    const answer = (kept: KeepAliveAnswer['kept']) =>
      this.#options.peers.answerKeepAlive(from, { number, kept })
    if (renews) this.#keeper.keepAliveFor(ids, timeoutMs, answer)
    else answer(this.#keeper.remainingTtlsFor(ids))
  }

  keepAliveAnswered(from: ReplicaId, answer: KeepAliveAnswer): void {
    this.#forwarded.answered(from, answer)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Requests of clients (`KvNode`)

  get ttlMsMin(): number {
    return 2 * this.#options.timing.electionMaxMs
  }

  /** `done` for the proposal of a request. The answer to a revocation waits until all keys of its lease are deleted. */
  whenRevoked(
    { command }: Request,
    timeoutMs: number,
    done: (result: CommandResult) => void,
  ): (result: CommandResult) => void {
    if (command.kind !== 'revoke') return done
    const { applied, clock } = this.#options
    const until = clock.now() + timeoutMs
    return (result) => {
      if (!result.ok) return done(result)
      const { outcome, replayed } = result.value
      if (outcome.kind !== 'revoked' || outcome.left === undefined) return done(result)
      const inPart = { outcome: { ...outcome, left: outcome.left }, replayed }
      const leftMs = Math.max(1, until - clock.now())
      this.#revocations.wait(command.id, inPart, () => applied.state.revision, leftMs, done)
    }
  }

  keepAlive(...keepAlive: Parameters<LeaseKeeper['keepAlive']>): void {
    this.#keeper.keepAlive(...keepAlive)
  }

  get(id: LeaseId): LeaseNow | undefined {
    const { applied, lifecycle, storage } = this.#options
    const timeMs = this.#clusterTimeSeenMs
    return lifecycle.guardRead(() =>
      leaseNow(id, storage, applied.state, timeMs, this.#keeper.remainingMs(id)),
    )
  }

  /** A leader answers from `get` and `list`. */
  remainingTtls(
    ids: readonly LeaseId[],
    timeoutMs: number,
    done: (ttlsMs: readonly (number | undefined)[]) => void,
  ): void {
    const unknown = ids.map(() => undefined)
    const isForwarded = this.#forwarded.forward(ids, timeoutMs, (ttlsMs) => done(ttlsMs ?? unknown), false)
    if (!isForwarded) this.#options.clock.soon(() => done(unknown))
  }

  list(after: LeaseId | undefined): SlicedScan<LeaseNow & { readonly id: LeaseId }> {
    const { applied, lifecycle, storage } = this.#options
    const timeMs = this.#clusterTimeSeenMs
    return lifecycle.guardRead(() =>
      scanLeases(after, storage, applied.state, timeMs, (id) => this.#keeper.remainingMs(id)),
    )
  }

  listKeys(id: LeaseId): SlicedScan<Uint8Array> {
    const { lifecycle, storage } = this.#options
    return lifecycle.guardRead(() => scanKeysOfLease(storage, id))
  }

  get #clusterTimeSeenMs(): number {
    return this.#options.raft.clusterTimeSeenMs(this.#options.clock.now())
  }
}
