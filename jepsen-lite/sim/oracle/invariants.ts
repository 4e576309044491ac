// Rules that hold after every event (docs/invariants.md). The checker sees all disks, all messages and everything that
// was ever committed. It shares no code with the core except the layout of an entry.
//
// It costs O(1) per event, because it checks only where something can have changed: a message when it is sent, a batch
// when it is begun and when it is durable, an entry when it is applied, a role when it is taken. Nothing changes in
// between. Two rules differ from the paper: an entry is committed when it is durable on a quorum, without the leader's
// own disk if necessary; and the terms in a pre-vote need not be durable.

import { decodeState, type Request, SYSTEM_PRINCIPAL } from '../../../src/kv/index.ts'
import {
  type Configuration,
  decodeAppliedState,
  ENTRY_CONFIGURATION,
  type Entry,
  frameKind,
  type HardState,
  type Message,
  type RaftStatus,
  type ReplicaId,
  readHeader,
} from '../../../src/raft/index.ts'
import type { AppliedRecord, Storage, StorageBatch } from '../../../src/storage/index.ts'
import type { SimConfig } from '../schedule/config.ts'
import { type Effect, NO_EFFECT, StoreModel } from './model.ts'
import { ProtocolRules } from './protocol-rules.ts'
import { RuleViolation } from './violation.ts'

/** The state of one replica, seen from outside. It outlives the replica's processes. */
export class ObservedReplica {
  readonly id: ReplicaId
  readonly name: string
  /** Content of its disk. */
  durable: DiskContent
  /** Content of its disk after the newest batch that its process has begun. */
  begun: DiskContent
  /** The process applies in order. */
  applied = 0
  stateHash = 0n
  /** The term that its process leads or led last, and the highest `match` of each follower in it. */
  leads = 0
  /** The newest round of heartbeats that its process has begun as leader. */
  heartbeatRound = 0
  readonly matches = new Map<ReplicaId, number>()
  /** Its status. It is expensive, so it is read only after a commit. */
  status: (() => RaftStatus) | undefined
  /** The core's state after the last applied entry: encoded, and the configuration as its process has it now. */
  raft: Uint8Array | undefined
  configuration: Configuration | undefined
  configurationNow: (() => Configuration) | undefined
  /** Its disk was damaged or lost, and with it what it promised. It must never take part again. */
  damaged = false
  /** Content of its disk before an earlier state was restored. */
  forgotten: DiskContent | undefined
  /** Boot counter of its current process. */
  boot = 0
  role = 'follower'
  /** The clock of its machine. */
  now: (() => number) | undefined
  /** By that clock: when a leader was last heard, or the process began while leases were on. */
  contactAt = Number.NEGATIVE_INFINITY
  contactTerm = 0
  /** Messages of a leader that arrived while its process was stopped, and are not read yet. */
  unread = 0
  /** Replicas that asked for its vote in a transfer of leadership. No promise forbids that vote. */
  readonly transfers = new Map<ReplicaId, number>()

  constructor(id: ReplicaId, name: string, held: DiskContent) {
    this.id = id
    this.name = name
    this.durable = held
    this.begun = copyOf(held)
    this.applied = held.applied
  }
}

const ROUNDING_MS = 1e-3
/** Cluster time is in whole ms. */
const WHOLE_MS = 1 + ROUNDING_MS

/** Present or future content of a disk. */
export interface DiskContent {
  term: number
  vote: ReplicaId | undefined
  commit: number
  /** Term of each index from 1 on, also of compacted ones. */
  terms: number[]
  applied: number
}

export const copyOf = (held: DiskContent): DiskContent => ({ ...held, terms: held.terms.slice() })

interface KnownEntry {
  readonly term: number
  readonly previousTerm: number
  readonly frame: Uint8Array
}

interface CommittedEntry {
  readonly term: number
  /** Configuration and lease setting, encoded. */
  readonly raft: Uint8Array
  readonly stateHash: bigint
  readonly effect: Effect
}

/** Whether others count on the message after a crash of its sender. Such messages wait for its term. */
function promises(message: Message): boolean {
  switch (message.type) {
    case 'vote-request':
    case 'append':
    case 'append-accepted':
    case 'heartbeat':
    case 'timeout-now':
      return true
    case 'vote-answer':
      return message.granted
    case 'read-index-answer':
      return message.index !== undefined
    default:
      return false
  }
}

/** Effect of a batch on the disk. */
export interface BatchEffect {
  readonly writes: StorageBatch['writes']
  readonly hardState: HardState
  /** Applied index of the rows in it, known as soon as it is submitted. */
  readonly applied: () => number
}

export class Invariants {
  /** The first violation. */
  violation: RuleViolation | undefined
  /** Called for triggers that only the checker can see. */
  onTrigger: (trigger: 'committed' | 'ahead' | 'reconfigured', replica: ObservedReplica) => void = () => {}
  readonly model: StoreModel
  readonly replicas = new Map<ReplicaId, ObservedReplica>()
  /** Index and leader's term of each commit. Both numbers rise. */
  readonly commitSteps: { readonly index: number; readonly term: number }[] = []
  readonly committed: CommittedEntry[] = []
  maxCommitted = 0
  /** Entries that were permitted under other rights, and refused under those of their index. */
  outdated = 0
  maxTerm = 0
  /** Highest index that ever held a change of the configuration in any log. */
  newestChange = 0
  /** The indexes at which each request was committed. */
  readonly #requests = new Map<string, number[]>()
  readonly #notWritten = new Set<string>()
  readonly #seen: KnownEntry[][] = []
  readonly #leaders = new Map<number, ReplicaId>()
  /** The first index of each term. */
  readonly #firstOfTerm = new Map<number, number>()
  /** For each term: the cluster time of its first entry, and its leader's clock when it took office. */
  readonly #timeOfTerm = new Map<number, number>()
  readonly #ledAt = new Map<number, number>()
  /** By principal: the clock of each leader when the request was first sent, by the leader's term. */
  readonly #askedAt = new Map<string, ReadonlyMap<number, number>>()
  readonly #votes = new Map<string, ReplicaId>()
  readonly #protocolRules: ProtocolRules

  constructor(config: Pick<SimConfig, 'heartbeatMs' | 'electionMaxMs'>) {
    this.model = new StoreModel((invariant, detail) => this.#violated(invariant, detail))
    this.#protocolRules = new ProtocolRules(
      config,
      (index) => this.committed[index]?.term,
      (invariant, detail) => this.#violated(invariant, detail),
    )
  }

  /** A replica whose disk was formatted, with the content of that disk. */
  adopt(
    id: ReplicaId,
    name: string,
    { hardState, applied }: { hardState: HardState; applied: AppliedRecord },
  ): ObservedReplica {
    const terms = Array.from({ length: applied.index + 1 }, (_, index) => (index === 0 ? 0 : applied.term))
    const { term, vote, commit } = hardState
    const replica = new ObservedReplica(id, name, { term, vote, commit, terms, applied: applied.index })
    this.replicas.set(id, replica)
    if (commit > this.maxCommitted) {
      this.maxCommitted = commit
      this.commitSteps.push({ index: commit, term })
      this.model.startAt(commit)
    }
    return replica
  }

  /** Its disk was put back to an earlier state. What it has promised since is gone. */
  putBack(replica: ObservedReplica, held: DiskContent): void {
    replica.forgotten = replica.durable
    replica.durable = copyOf(held)
    replica.damaged = true
    replica.boot = 0
  }

  /** Its process begins with what the store recovered. */
  opened(replica: ObservedReplica, storage: Storage): void {
    const { applied, boot, stateHash } = storage
    const { durable, name } = replica
    this.#recovers(replica, storage)
    if (boot <= replica.boot)
      this.#violated('DISK-2', `${name} starts with boot ${boot} after ${replica.boot}`)
    replica.boot = boot
    replica.begun = copyOf(durable)
    replica.applied = applied.index
    replica.leads = 0
    this.#state(replica, applied, stateHash)
  }

  /** The state that it would recover if it began now; undefined: the store would refuse. */
  wouldOpen(replica: ObservedReplica, storage: Storage | undefined, why: string): void {
    if (storage === undefined) this.#violated('DISK-3', `${replica.name} would refuse its disk now: ${why}`)
    this.#recovers(replica, storage)
  }

  /** Exactly what was durable. */
  #recovers({ durable, name }: ObservedReplica, { hardState, log, applied }: Storage): void {
    const { term, vote, commit } = hardState
    if (term !== durable.term || vote !== durable.vote || commit !== durable.commit)
      this.#violated(
        'DISK-1',
        `${name} recovered {term ${term}, vote ${vote}, commit ${commit}}, durable was {term ${durable.term}, vote ${durable.vote}, commit ${durable.commit}}`,
      )
    const last = durable.terms.length - 1
    if (log.lastIndex() !== last || log.termAt(log.lastIndex()) !== durable.terms[last])
      this.#violated(
        'DISK-1',
        `${name} recovered a log up to ${log.lastIndex()} of term ${log.termAt(log.lastIndex())}, durable was ${last} of term ${durable.terms[last]}`,
      )
    if (applied.index !== durable.applied)
      this.#violated(
        'DISK-1',
        `${name} recovered applied index ${applied.index}, durable was ${durable.applied}`,
      )
  }

  /** The violation is stored as well as thrown, because the code in between may catch it. */
  #violated(invariant: string, detail: string): never {
    const violation = new RuleViolation(invariant, detail)
    this.violation ??= violation
    throw violation
  }

  // ---- what is sent

  sent(replica: ObservedReplica, message: Message): void {
    const { type, term } = message
    if (message.from !== replica.id)
      this.#violated('RAFT-16', `${replica.name} sends ${type} under the name of ${message.from}`)
    this.#protocolRules.sent(replica, message)
    if (message.to === replica.id) this.#violated('RAFT-16', `${replica.name} sends ${type} to itself`)
    if (type === 'pre-vote-request') {
      this.#keepsPromise(replica, term, `asks for a pre-vote of term ${term}`)
      return
    }
    if (type === 'pre-vote-answer') {
      this.#exposed(replica, message.commit)
      if (!message.granted) return
      if (replica.role === 'leader')
        this.#violated('RAFT-17', `${replica.name} leads and grants a pre-vote for term ${term}`)
      this.#keepsPromise(replica, term, `grants a pre-vote for term ${term}`)
      return
    }
    const { durable } = replica
    if (promises(message) && term > durable.term)
      this.#violated('RAFT-2', `${replica.name} sends a ${type} of term ${term}, durable is ${durable.term}`)
    switch (type) {
      case 'vote-answer':
        this.#exposed(replica, message.commit)
        if (!message.granted) return
        if (term === durable.term) this.#granted(replica, term, message.to)
        // The batch may hold the vote and a newer term. The newer term binds too.
        else this.#vote(replica, term, message.to)
        return
      case 'vote-request':
        if (term === durable.term && durable.vote !== replica.id)
          this.#violated('RAFT-1', `${replica.name} asks for votes before its own vote is durable`)
        return
      case 'append-accepted':
        // Entries accepted in an older term may have been truncated in the same batch that made them durable. The
        // leader of that term cannot commit with them, because a quorum has moved on.
        if (term === durable.term) this.#accepted(replica, message.index, message.to, term)
        return
      case 'append':
        this.#appending(replica, message.prevIndex, message.prevTerm, message.entries)
        this.#leading(replica, term)
        this.#exposed(replica, message.commit)
        return
      case 'heartbeat': {
        this.#leading(replica, term)
        this.#exposed(replica, message.commit)
        // The heartbeats of one round leave together.
        if (message.round !== 0 && message.round === replica.heartbeatRound) return
        replica.heartbeatRound = message.round
        const status = replica.status?.()
        this.#checkProgress(replica, status)
        this.#countsAll(replica, status)
        return
      }
      case 'read-index-answer':
        if (message.index !== undefined) this.#exposed(replica, message.index)
        // May be newer than the index: the commit index may have risen during the round.
        this.#exposed(replica, message.commit)
        return
    }
  }

  /** The durable state in its greeting. A peer will take any later decrease for a loss. */
  greets({ name, durable }: ObservedReplica, { term }: { readonly term: number }): void {
    if (term > durable.term)
      this.#violated('RAFT-2', `${name} says that it is in term ${term}, durable is ${durable.term}`)
  }

  /** The obligations of the receiver of a message; `term` is the receiver's. */
  messageReceived(replica: ObservedReplica, message: Message, term: number): void {
    const { type } = message
    this.#protocolRules.messageReceived(replica, message)
    if ((type === 'append' || type === 'heartbeat') && message.term >= term) {
      replica.contactAt = replica.now?.() ?? Number.NEGATIVE_INFINITY
      replica.contactTerm = message.term
    }
    if (type === 'vote-request' && message.transfer) replica.transfers.set(message.from, message.term)
  }

  /**
   * While leases are on: no vote and no campaign within a lease after contact with a leader or the start of the process
   * (RAFT-25).
   */
  #keepsPromise(replica: ObservedReplica, term: number, what: string): void {
    // A vote leaves when it is durable. Its candidate may be elected, and heard, before this check.
    if (replica.contactTerm >= term) return
    const leases = replica.status?.().leaderLeases
    if (leases === undefined || !leases.on || replica.now === undefined) return
    const since = replica.now() - replica.contactAt
    if (since < leases.durationMs - ROUNDING_MS)
      this.#violated(
        'LEASE-1',
        `${replica.name} ${what} ${since.toFixed(3)} ms after contact with a leader, with leases of ${leases.durationMs} ms`,
      )
  }

  #granted(replica: ObservedReplica, term: number, to: ReplicaId): void {
    if (replica.transfers.get(to) !== term) this.#keepsPromise(replica, term, `grants a vote in term ${term}`)
    this.#vote(replica, term, to)
    if (replica.durable.vote !== to)
      this.#violated(
        'RAFT-1',
        `${replica.name} grants ${to} in term ${term}, durable vote is ${replica.durable.vote}`,
      )
  }

  #vote(replica: ObservedReplica, term: number, candidate: ReplicaId): void {
    const key = `${replica.id}/${term}`
    const earlier = this.#votes.get(key)
    if (earlier === candidate) return
    if (earlier !== undefined)
      this.#violated('RAFT-1', `${replica.name} votes for ${earlier} and for ${candidate} in term ${term}`)
    this.#votes.set(key, candidate)
  }

  #leading(replica: ObservedReplica, term: number): void {
    const leader = this.#leaders.get(term)
    if (leader === replica.id) return
    if (leader !== undefined) this.#violated('RAFT-6', `${replica.name} and ${leader} both lead term ${term}`)
    this.#leaders.set(term, replica.id)
  }

  #accepted(replica: ObservedReplica, index: number, to: ReplicaId, term: number): void {
    const { terms } = replica.durable
    if (terms.length <= index)
      this.#violated('RAFT-3', `${replica.name} accepts up to ${index}, durable is ${terms.length - 1}`)
    const leader = this.replicas.get(to)
    if (leader?.leads !== term || leader.damaged || leader.begun.term !== term) return
    const has = leader.begun.terms[index]
    if (has !== undefined && has !== terms[index])
      this.#violated(
        'RAFT-14',
        `${replica.name} accepts ${index} of term ${terms[index]}, its leader ${leader.name} has term ${has} there`,
      )
  }

  /** A leader's view of its followers (paper figure 2): match < next, `match` is durable there and never decreases. */
  #checkProgress({ name, leads, matches, begun }: ObservedReplica, status: RaftStatus | undefined): void {
    if (status === undefined || status.role !== 'leader' || status.term !== leads) return
    for (const { id, match, next } of status.progress) {
      if (next <= match) this.#violated('RAFT-14', `${name}: next ${next} ≤ match ${match} of ${id}`)
      const before = matches.get(id) ?? 0
      if (match < before)
        this.#violated('RAFT-14', `${name}: match of ${id} falls from ${before} to ${match}`)
      matches.set(id, match)
      const follower = this.replicas.get(id)
      if (follower === undefined || follower.damaged || follower.durable.term > leads) continue
      const has = follower.durable.terms[match]
      if (has === undefined || (begun.terms[match] ?? has) !== has)
        this.#violated(
          'RAFT-14',
          `${name} holds match ${match} of ${follower.name} in term ${begun.terms[match]}, durable there is term ${has}`,
        )
    }
  }

  /**
   * A leader has committed every entry of its term that it knows to be durable on a majority of each half. This is
   * checked whenever it can have changed without an acknowledgement, because the next acknowledgement would hide a
   * fault.
   */
  #countsAll({ name, leads, begun }: ObservedReplica, status: RaftStatus | undefined): void {
    if (status === undefined || status.role !== 'leader' || status.term !== leads) return
    const { configuration, progress, stableIndex, commit } = status
    const matchOf = (id: ReplicaId): number =>
      id === status.id ? stableIndex : (progress.find((follower) => follower.id === id)?.match ?? 0)
    let reached = Number.POSITIVE_INFINITY
    for (const half of [configuration.voters, configuration.votersOutgoing]) {
      const falling = half.map(matchOf).sort((a, b) => b - a)
      reached = Math.min(reached, falling[half.length >> 1] ?? Number.POSITIVE_INFINITY)
    }
    if (reached > commit && begun.terms[reached] === leads)
      this.#violated(
        'RAFT-24',
        `${name} knows ${reached} to be durable on a majority, and has committed only up to ${commit}`,
      )
  }

  #appending(replica: ObservedReplica, prevIndex: number, prevTerm: number, entries: readonly Entry[]): void {
    let previous = prevTerm
    for (const entry of entries) {
      if (entry.index <= prevIndex)
        this.#violated('RAFT-8', `${replica.name} appends ${entry.index} behind ${prevIndex}`)
      this.#enter(replica, entry, previous)
      previous = entry.term
    }
  }

  // ---- what is stored

  /** A batch is begun. The caller passes the result to `durable`. */
  begins(replica: ObservedReplica, { writes, hardState }: StorageBatch, applied: () => number): BatchEffect {
    const { begun, name } = replica
    const { term, vote, commit } = hardState
    if (term < begun.term) this.#violated('RAFT-4', `${name}: term falls from ${begun.term} to ${term}`)
    if (term === begun.term && begun.vote !== undefined && vote !== begun.vote)
      this.#violated('RAFT-1', `${name}: vote changes from ${begun.vote} to ${vote} in term ${term}`)
    if (commit < begun.commit)
      this.#violated('RAFT-12', `${name}: commit falls from ${begun.commit} to ${commit}`)
    this.#exposed(replica, commit)
    for (const { truncateFrom, entries, snapshot, hardState } of writes) {
      if (snapshot !== undefined) this.#installs(replica, snapshot)
      if (truncateFrom !== undefined) this.#truncates(replica, truncateFrom, hardState.term)
      let previous = begun.terms[(entries[0]?.index ?? 0) - 1] ?? 0
      for (const entry of entries) {
        if (entry.term > term)
          this.#violated('RAFT-4', `${name}: entry of term ${entry.term} in term ${term}`)
        this.#enter(
          replica,
          entry,
          truncateFrom === undefined && snapshot === undefined ? previous : undefined,
        )
        previous = entry.term
      }
      this.#take(begun, { snapshot, truncateFrom, entries })
    }
    begun.term = term
    begun.vote = vote
    begun.commit = commit
    if (term > this.maxTerm) this.maxTerm = term
    return { writes: [...writes], hardState, applied }
  }

  durable(replica: ObservedReplica, { writes, hardState, applied }: BatchEffect): void {
    const { durable } = replica
    for (const write of writes) this.#take(durable, write)
    durable.term = hardState.term
    durable.vote = hardState.vote
    durable.commit = hardState.commit
    durable.applied = applied()
    if (hardState.vote !== undefined) this.#vote(replica, hardState.term, hardState.vote)
    for (const { snapshot } of writes) {
      if (snapshot !== undefined) durable.applied = Math.max(durable.applied, snapshot.meta.index)
    }
    if (hardState.commit >= durable.terms.length)
      this.#violated('RAFT-5', `${replica.name} stored commit ${hardState.commit} beyond its log`)
    if (durable.applied > hardState.commit)
      this.#violated(
        'RAFT-5',
        `${replica.name} stored applied ${durable.applied} beyond commit ${hardState.commit}`,
      )
  }

  #take(
    held: DiskContent,
    {
      snapshot,
      truncateFrom,
      entries,
    }: Pick<StorageBatch['writes'][number], 'snapshot' | 'truncateFrom' | 'entries'>,
  ): void {
    const { terms } = held
    if (snapshot !== undefined && !snapshot.keepLog) {
      const { index, term } = snapshot.meta
      terms.length = 0
      for (let at = 0; at < index; at++) terms.push(this.committed[at]?.term ?? (at === 0 ? 0 : 1))
      terms.push(term)
    }
    if (truncateFrom !== undefined && truncateFrom < terms.length) terms.length = truncateFrom
    for (const entry of entries) terms[entry.index] = entry.term
  }

  #truncates({ begun, name, leads }: ObservedReplica, from: number, term: number): void {
    if (leads === term && begun.terms.at(-1) === term)
      this.#violated('RAFT-7', `${name} leads term ${term} and truncates from ${from}`)
    // A message of a deposed leader may arrive late. What a newer leader has committed by then did not depend on a
    // replica that has not heard of it.
    const upTo = this.#committedBefore(term + 1)?.index ?? 0
    for (let index = from; index <= upTo && index < begun.terms.length; index++) {
      const written = this.committed[index]?.term
      if (written !== undefined && begun.terms[index] === written)
        this.#violated(
          'RAFT-7',
          `${name} truncates from ${from}, but ${index} of term ${written} is committed`,
        )
    }
  }

  #installs(
    { name, begun }: ObservedReplica,
    { meta: { index, term }, keepLog }: NonNullable<StorageBatch['writes'][number]['snapshot']>,
  ): void {
    const known = this.committed[index]
    if (known === undefined || known.term !== term)
      this.#violated(
        'SNAP-1',
        `${name} installs a snapshot of ${index} in term ${term}, committed is term ${known?.term}`,
      )
    if (index <= begun.commit)
      this.#violated('SNAP-2', `${name} installs a snapshot of ${index} over committed ${begun.commit}`)
    // Later entries may have been acknowledged, and may be committed by that (paper §7).
    if (keepLog !== (begun.terms[index] === term))
      this.#violated(
        'SNAP-3',
        `${name} ${keepLog ? 'keeps' : 'drops'} its log under a snapshot of ${index} in term ${term}; the log has term ${begun.terms[index]} there`,
      )
  }

  /** Log matching (paper §5.3): index and term identify an entry and, by induction, all entries before it. */
  #enter(replica: ObservedReplica, { index, term, frame }: Entry, previousTerm: number | undefined): void {
    let list = this.#seen[index]
    if (list === undefined) {
      list = []
      this.#seen[index] = list
    }
    for (const seen of list) {
      if (seen.term !== term) continue
      if (seen.frame !== frame && !sameBytes(seen.frame, frame))
        this.#violated('RAFT-8', `${replica.name}: two different entries ${index} of term ${term}`)
      if (previousTerm !== undefined && seen.previousTerm !== previousTerm)
        this.#violated(
          'RAFT-8',
          `${replica.name}: ${index} of term ${term} follows term ${previousTerm}, elsewhere ${seen.previousTerm}`,
        )
      return
    }
    if (previousTerm === undefined) return
    if (previousTerm > term)
      this.#violated('RAFT-8', `${replica.name}: term ${term} at ${index} behind term ${previousTerm}`)
    list.push({ term, previousTerm, frame })
    if (previousTerm !== term && !this.#firstOfTerm.has(term)) this.#termBegins(replica, term, index, frame)
    this.#stamped(replica, index, term, frame)
    if (frameKind(frame) !== ENTRY_CONFIGURATION) return
    if (index > this.newestChange) this.newestChange = index
    this.#protocolRules.changeAppears(replica, index, term, this.#firstOfTerm.get(term) ?? index)
  }

  /** Leader completeness (paper §5.4): the leader of this term has all entries that were committed in earlier terms. */
  #termBegins(replica: ObservedReplica, term: number, index: number, frame: Uint8Array): void {
    this.#firstOfTerm.set(term, index)
    this.#timeOfTerm.set(term, readHeader(frame).clusterTimeMs)
    const step = this.#committedBefore(term)
    if (step !== undefined && step.index >= index)
      this.#violated(
        'RAFT-9',
        `${replica.name} begins term ${term} at ${index}, but ${step.index} was committed in term ${step.term}`,
      )
  }

  /** Cluster time rises no faster than the leader's clock. */
  #stamped({ name, leads, now }: ObservedReplica, index: number, term: number, frame: Uint8Array): void {
    const { clusterTimeMs } = readHeader(frame)
    const [began, ledAt] = [this.#timeOfTerm.get(term), this.#ledAt.get(term)]
    if (leads !== term || began === undefined || ledAt === undefined || now === undefined) return
    const [stampedMs, ledMs] = [clusterTimeMs - began, now() - ledAt]
    if (stampedMs > ledMs + WHOLE_MS)
      this.#violated(
        'KV-12',
        `${name} has led for ${ledMs} ms, and cluster time went on by ${stampedMs} at ${index}`,
      )
  }

  /** Nor slower: a request is stamped after it was sent. */
  #stampedLate(index: number, term: number, principal: string, frame: Uint8Array): void {
    const askedAt = this.#askedAt.get(principal)?.get(term)
    const [began, ledAt] = [this.#timeOfTerm.get(term), this.#ledAt.get(term)]
    if (askedAt === undefined || began === undefined || ledAt === undefined) return
    const [stampedMs, askedMs] = [readHeader(frame).clusterTimeMs - began, askedAt - ledAt]
    if (stampedMs < askedMs - WHOLE_MS)
      this.#violated(
        'KV-12',
        `${principal} was requested when term ${term} had lasted ${askedMs} ms, and cluster time had advanced by ${stampedMs} at ${index}`,
      )
  }

  /** The last commit of a leader of an earlier term. */
  #committedBefore(term: number): { readonly index: number; readonly term: number } | undefined {
    return this.commitSteps.findLast((step) => step.term < term)
  }

  // ---- what is committed and applied

  /** The state of a replica shows that everything up to `commit` is committed. */
  #exposed(replica: ObservedReplica, commit: number): void {
    if (commit <= this.maxCommitted) return
    const status = replica.status?.()
    if (status === undefined)
      this.#violated('RAFT-11', `${replica.name} commits ${commit} while it is not running`)
    const { configuration } = status
    // A leader may be deposed before anything shows what it has committed.
    const { name, leads: term } = replica
    if (status.commit < commit)
      this.#violated('RAFT-11', `${name} tells of commit ${commit}, its own is ${status.commit}`)
    const entry = this.#seen[status.commit]?.find((seen) => seen.term === term)
    if (entry === undefined)
      this.#violated(
        'RAFT-11',
        `${name} commits ${status.commit}, no leader committed beyond ${this.maxCommitted}; it led last in term ${term}, of which that is no entry`,
      )
    const why = this.#whyNoQuorum(status.commit, term, configuration)
    // The configuration may have changed in this step.
    if (
      why !== undefined &&
      this.#whyNoQuorum(status.commit, term, replica.configuration ?? configuration) !== undefined
    )
      this.#violated('RAFT-11', `${name} commits ${status.commit} in term ${term}, ${why}`)
    for (const [later, first] of this.#firstOfTerm) {
      if (later > term && first <= status.commit)
        this.#violated(
          'RAFT-9',
          `${name} commits ${status.commit} in term ${term}, but term ${later} began at ${first}`,
        )
    }
    this.maxCommitted = status.commit
    this.commitSteps.push({ index: status.commit, term })
    this.onTrigger('committed', replica)
    this.#checkProgress(replica, status)
  }

  /** Durable on a majority of each half (paper §5.4.2, §6). */
  #whyNoQuorum(index: number, term: number, { voters, votersOutgoing }: Configuration): string | undefined {
    for (const half of [voters, votersOutgoing]) {
      if (half.length === 0) continue
      let holding = 0
      for (const id of half) if (this.#held(id)?.terms[index] === term) holding++
      if (holding * 2 <= half.length) return `durable on ${holding} of ${half.length} voters`
    }
    return undefined
  }

  /**
   * An entry that a replica has forgotten counts as acknowledged, because no other replica can know that it was lost.
   */
  #held(id: ReplicaId): DiskContent | undefined {
    const replica = this.replicas.get(id)
    return replica?.forgotten ?? replica?.durable
  }

  /** One entry was applied (paper §5.4.3): in order, once per process, and with the same result everywhere. */
  applies(replica: ObservedReplica, record: AppliedRecord, stateHash: bigint): void {
    const { index } = record
    if (index !== replica.applied + 1)
      this.#violated('RAFT-13', `${replica.name} applies ${index} after ${replica.applied}`)
    replica.applied = index
    const reconfigured = record.raft !== replica.raft
    // Entries after a change were committed under the configuration before it or under the new one. When the next entry
    // is applied, only the new one is known.
    this.#exposed(replica, reconfigured ? (replica.status?.()?.commit ?? index) : index)
    this.#state(replica, record, stateHash)
    this.#changesNothing(replica, record)
    if (replica.durable.terms.length <= index) this.onTrigger('ahead', replica)
    if (reconfigured) {
      this.onTrigger('reconfigured', replica)
      this.#countsAll(replica, replica.status?.())
    }
    replica.raft = record.raft
    replica.configuration = replica.configurationNow?.()
  }

  /** An entry that the rights of its index do not permit. */
  #changesNothing({ name }: ObservedReplica, { index, kv }: AppliedRecord): void {
    const effect = this.committed[index]?.effect
    if (effect?.outdated !== true) return
    const [{ revision }, before] = [decodeState(kv), this.model.revisionAt(index)]
    if (revision !== before)
      this.#violated(
        'AUTH-10',
        `${name} changes revision ${before} to ${revision} at ${index}, where the rights no longer permit ${effect.principal}`,
      )
  }

  installed(replica: ObservedReplica, { applied, stateHash }: Storage): void {
    replica.applied = applied.index
    this.#state(replica, applied, stateHash)
    // The process's next decisions may be committed under this configuration.
    replica.configuration = decodeAppliedState(applied.raft).configuration
  }

  #state(replica: ObservedReplica, { index, term, raft }: AppliedRecord, stateHash: bigint): void {
    replica.stateHash = stateHash
    // A new replica has no state that could be compared.
    if (index === 0) return
    const known = this.committed[index]
    if (known === undefined) {
      this.committed[index] = { term, raft, stateHash, effect: this.#effect(index, term) }
      return
    }
    // The applied index decides which configuration counts (RAFT-15).
    if (known.raft !== raft && !sameBytes(known.raft, raft))
      this.#violated(
        'RAFT-15',
        `${replica.name} has another configuration than others once ${index} is applied`,
      )
    if (known.term !== term)
      this.#violated(
        'RAFT-10',
        `${replica.name} applies ${index} of term ${term}, another replica of term ${known.term}`,
      )
    if (known.stateHash !== stateHash)
      this.#violated('KV-1', `${replica.name} has another state than others once ${index} is applied`)
  }

  #effect(index: number, term: number): Effect {
    const frame = this.#seen[index]?.find((seen) => seen.term === term)?.frame
    // Only the initial state of a cluster has no entry.
    if (frame === undefined || index <= this.model.index) return NO_EFFECT
    if (index !== this.model.index + 1)
      this.#violated('RAFT-13', `${index} is applied before ${this.model.index + 1}`)
    const effect = this.model.apply(frame)
    const { principal } = effect
    if (principal === '' || principal === SYSTEM_PRINCIPAL) return effect
    this.#stampedLate(index, term, principal, frame)
    if (effect.outdated === true) {
      this.outdated++
      return effect
    }
    if (this.#notWritten.has(principal))
      this.#violated(
        'ANSWER-1',
        `request ${principal} was refused as not written, and is committed at ${index}`,
      )
    const indexes = this.#requests.get(principal)
    if (indexes === undefined) this.#requests.set(principal, [index])
    else {
      if (!effect.keyed)
        this.#violated('ANSWER-2', `request ${principal} is committed at ${indexes[0]} and again at ${index}`)
      indexes.push(index)
    }
    return effect
  }

  /** The first index with such a configuration; 0: none. */
  firstWith(isSuch: (configuration: Configuration) => boolean): number {
    let before: Uint8Array | undefined
    for (let index = 0; index < this.committed.length; index++) {
      const raft = this.committed[index]?.raft
      if (raft !== undefined && raft !== before && isSuch(decodeAppliedState(raft).configuration))
        return index
      before = raft
    }
    return 0
  }

  // ---- answers to clients

  /** A client is about to send this request, for the first time or again. */
  requested(request: Request): void {
    this.model.requested(request)
    const { principal } = request
    if (this.#askedAt.has(principal)) return
    const clocks = [...this.replicas.values()].flatMap(({ role, leads, now }): [number, number][] =>
      role === 'leader' && now !== undefined ? [[leads, now()]] : [],
    )
    this.#askedAt.set(principal, new Map(clocks))
  }

  /** The indexes at which a request was committed. */
  indexesOf(principal: string): readonly number[] {
    return this.#requests.get(principal) ?? []
  }

  notWritten(principal: string): void {
    const [index] = this.indexesOf(principal)
    if (index !== undefined)
      this.#violated(
        'ANSWER-1',
        `request ${principal} is refused as not written, and is committed at ${index}`,
      )
    this.#notWritten.add(principal)
  }

  role(replica: ObservedReplica, role: string, term: number): void {
    replica.role = role
    this.#protocolRules.role(replica, role, term)
    if (role === 'leader') {
      replica.leads = term
      replica.heartbeatRound = 0
      replica.matches.clear()
      if (replica.now !== undefined && !this.#ledAt.has(term)) this.#ledAt.set(term, replica.now())
      this.#leading(replica, term)
      this.#elected(replica, term)
    }
  }

  /** A majority of each half of its configuration has voted for it (paper §5.2, §6). */
  #elected(replica: ObservedReplica, term: number): void {
    const configuration = replica.configurationNow?.()
    if (configuration === undefined) return
    for (const half of [configuration.voters, configuration.votersOutgoing]) {
      const votes = half.filter((id) => this.#votes.get(`${id}/${term}`) === replica.id).length
      if (half.length > 0 && votes * 2 <= half.length)
        this.#violated('RAFT-6', `${replica.name} leads term ${term} with ${votes} votes of ${half.length}`)
    }
  }

  /** Its process is gone. The next one begins with the content of the disk. */
  ended(replica: ObservedReplica): void {
    replica.status = undefined
    replica.leads = 0
    replica.role = 'follower'
    replica.unread = 0
    this.#protocolRules.ended(replica)
    replica.transfers.clear()
    replica.configuration = undefined
    replica.configurationNow = undefined
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false
  return true
}
