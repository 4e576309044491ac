// The events of the network: greetings, messages and requests of the peers, and the state of the connections.

import {
  finalConfiguration,
  isMember,
  type Message,
  type Raft,
  type ReplicaId,
  type Term,
} from '../../raft/index.ts'
import type { SnapshotSource, Storage } from '../../storage/types.ts'
import type { Clock } from './clock.ts'
import type { DiskSpacePolicy } from './disk-space/disk-space-policy.ts'
import type { EntryTraces } from './entry-traces.ts'
import type { LeaseService } from './leases/lease-service.ts'
import type { Lifecycle } from './lifecycle.ts'
import type { Members } from './membership/members.ts'
import type { SnapshotTransfers } from './membership/snapshot-transfers.ts'
import type { StateWaiters } from './membership/state-waiters.ts'
import type {
  ForwardedKeepAlive,
  Greeting,
  KeepAliveAnswer,
  NetworkEvents,
  ReportAnswer,
  ReportRequest,
  StateHashAt,
  TracedProposal,
} from './network.ts'
import type { NodeEvents } from './node-events.ts'
import type { MemberReports } from './observe/member-reports.ts'
import type { StepScheduler } from './step-scheduler.ts'
import type { BackgroundChecks } from './upkeep/background-checks.ts'
import type { GroupCommit } from './write/group-commit.ts'

interface PeerEventsOptions {
  readonly clock: Clock
  readonly storage: Pick<Storage, 'boot' | 'identity'>
  readonly raft: Pick<Raft, 'id' | 'leader'>
  readonly lifecycle: Lifecycle
  readonly members: Members
  readonly waits: Pick<StateWaiters, 'size'>
  readonly commits: Pick<GroupCommit, 'durable'>
  readonly spacePolicy: Pick<DiskSpacePolicy, 'receivable'>
  readonly leases: LeaseService
  readonly snapshots: SnapshotTransfers
  readonly checks: Pick<BackgroundChecks, 'hashReported'>
  readonly reports: Pick<MemberReports, 'requested' | 'answered' | 'disconnected'>
  readonly traces: Pick<EntryTraces, 'received'>
  /** host:port of the peer listener. */
  peerAddress(): string
  readonly scheduler: Pick<StepScheduler, 'unpark'>
  readonly events: Pick<NodeEvents, 'step'>
}

export class PeerEvents implements NetworkEvents {
  readonly #options: PeerEventsOptions

  constructor(options: PeerEventsOptions) {
    this.#options = options
  }

  greeting(): Greeting {
    const { commits, members, raft, storage } = this.#options
    const { clusterId, name } = storage.identity
    return {
      clusterId,
      replicaId: raft.id,
      name,
      boot: storage.boot,
      ...commits.durable,
      clusterVersion: members.versions.known,
      peer: this.#options.peerAddress(),
    }
  }

  admit(greeting: Greeting): { refuse: string; stop: boolean } | undefined {
    const { lifecycle, members } = this.#options
    if (lifecycle.end !== undefined) return { refuse: 'this node has ended', stop: false }
    return members.refusal(greeting)
  }

  message(message: Message): void {
    const { clock, spacePolicy } = this.#options
    this.#options.events.step({ kind: 'message', now: clock.now(), message: spacePolicy.receivable(message) })
  }

  connected({ replicaId: peer, boot, term, lastIndex, clusterVersion }: Greeting): void {
    const { clock, leases, members, raft } = this.#options
    members.versions.reported(peer, clusterVersion)
    this.#options.events.step({ kind: 'connected', now: clock.now(), peer, boot, term, lastIndex })
    leases.connected(peer)
    // Requests that could not be forwarded while the connection to the leader was broken can be sent again.
    if (peer === raft.leader) this.#options.scheduler.unpark()
  }

  disconnected(peer: ReplicaId): void {
    this.#options.events.step({ kind: 'disconnected', now: this.#options.clock.now(), peer })
    this.#options.leases.disconnected(peer)
    this.#options.reports.disconnected(peer)
  }

  unreachable(peer: ReplicaId): void {
    this.#options.events.step({ kind: 'unreachable', now: this.#options.clock.now(), peer })
  }

  stop(reason: string): void {
    const { lifecycle, members, raft, waits } = this.#options
    // A client may wait here for the removal of this node. The leader's next messages show that it is complete.
    const leaves = !isMember(finalConfiguration(members.configuration), raft.id)
    if (leaves && waits.size > 0) lifecycle.scheduleShutdown(reason)
    else lifecycle.refuse(reason)
  }

  stateHash(from: ReplicaId, at: StateHashAt): void {
    this.#options.checks.hashReported(from, at)
  }

  keepAliveRequested(from: ReplicaId, question: ForwardedKeepAlive): void {
    if (this.#options.lifecycle.end === undefined) this.#options.leases.keepAliveRequested(from, question)
  }

  keepAliveAnswered(from: ReplicaId, answer: KeepAliveAnswer): void {
    if (this.#options.lifecycle.end === undefined) this.#options.leases.keepAliveAnswered(from, answer)
  }

  reportRequested(from: ReplicaId, request: ReportRequest): void {
    if (this.#options.lifecycle.end === undefined) this.#options.reports.requested(from, request)
  }

  reportAnswered(from: ReplicaId, answer: ReportAnswer): void {
    if (this.#options.lifecycle.end === undefined) this.#options.reports.answered(from, answer)
  }

  tracesReceived(proposals: readonly TracedProposal[]): void {
    if (this.#options.lifecycle.end === undefined) this.#options.traces.received(proposals)
  }

  snapshotOffered(...offer: Parameters<NetworkEvents['snapshotOffered']>): void {
    this.#options.snapshots.offered(...offer)
  }

  snapshotReceived(from: ReplicaId, term: Term, snapshotId: string, meta: SnapshotSource['meta']): void {
    this.#options.snapshots.received(from, term, snapshotId, meta)
  }

  snapshotSent(...sent: Parameters<NetworkEvents['snapshotSent']>): void {
    this.#options.snapshots.sent(...sent)
  }
}
