// Rules of the protocol that protect speed and stability, not safety. A replica that breaks one gives no wrong answer,
// but slows the cluster down or starts needless elections. A violation is reported where it happens. The rules have the
// numbers of docs/invariants.md.

import { isMember, isVoter, type Message, type RaftStatus, type ReplicaId } from '../../../src/raft/index.ts'
import type { SimConfig } from '../schedule/config.ts'

/** How the replicas take time. `fixedTimeouts`: election timeouts are not drawn, so that pauses may be alike. */
export type RuleTiming = Pick<SimConfig, 'heartbeatMs' | 'electionMaxMs'> & {
  readonly fixedTimeouts?: boolean
}

/** Facts about a replica, from the invariants. */
interface ReplicaFacts {
  readonly id: ReplicaId
  readonly name: string
  readonly role: string
  /** Term that it leads or led last. */
  readonly leads: number
  readonly status: RaftStatus | undefined
  readonly now: (() => number) | undefined
  readonly contactAt: number
  /** Messages of a leader that have arrived and are not read yet. */
  readonly unread: number
}

/** Observations of one process. */
interface Record {
  /** Replicas that granted it a pre-vote, by the term asked for. */
  readonly preVotes: Map<number, Set<ReplicaId>>
  /** The last term in which its leader asked it to take over. */
  handedOverIn: number
  campaignedAt: number
  /** For its leadership: what each follower acknowledged, and the commit index that it received. */
  ledTerm: number
  readonly acknowledged: Map<ReplicaId, number>
  readonly commitReported: Map<ReplicaId, number>
  /** It leads and is not a voter: since when, and when this was last observed. */
  nonVoterSince: number | undefined
  heartbeatAt: number
}

/** How many pauses between campaigns are compared. Random ones always differ. */
const PAUSES = 5
const ALIKE_MS = 1e-3

export class ProtocolRules {
  readonly #timing: RuleTiming
  readonly #committedTerm: (index: number) => number | undefined
  readonly #violated: (invariant: string, detail: string) => never
  readonly #records = new Map<ReplicaFacts, Record>()
  /** Pauses between one campaign and the next, newest last. */
  readonly #pauses: number[] = []
  /** Changes of the configuration that are or were in some log. */
  readonly #changes: { readonly index: number; readonly term: number }[] = []

  /** `committedTerm`: the term of the committed entry at an index, if any replica has applied it. */
  constructor(
    timing: RuleTiming,
    committedTerm: (index: number) => number | undefined,
    violated: (invariant: string, detail: string) => never,
  ) {
    this.#timing = timing
    this.#committedTerm = committedTerm
    this.#violated = violated
  }

  /** Forgets what the process of the replica knew. */
  ended(replica: ReplicaFacts): void {
    this.#records.delete(replica)
  }

  #findRecord(replica: ReplicaFacts): Record {
    const known = this.#records.get(replica)
    if (known !== undefined) return known
    const record: Record = {
      preVotes: new Map(),
      handedOverIn: -1,
      campaignedAt: Number.NEGATIVE_INFINITY,
      ledTerm: 0,
      acknowledged: new Map(),
      commitReported: new Map(),
      nonVoterSince: undefined,
      heartbeatAt: 0,
    }
    this.#records.set(replica, record)
    return record
  }

  // ---- elections

  messageReceived(replica: ReplicaFacts, message: Message): void {
    switch (message.type) {
      case 'pre-vote-answer': {
        if (!message.granted) return
        const { preVotes } = this.#findRecord(replica)
        const granted = preVotes.get(message.term)
        if (granted === undefined) preVotes.set(message.term, new Set([message.from]))
        else granted.add(message.from)
        return
      }
      case 'timeout-now':
        this.#findRecord(replica).handedOverIn = message.term
        return
      case 'append-accepted': {
        const record = this.#findRecord(replica)
        if (replica.role !== 'leader' || message.term !== record.ledTerm) return
        const before = record.acknowledged.get(message.from) ?? 0
        record.acknowledged.set(message.from, Math.max(before, message.index))
        return
      }
    }
  }

  role(replica: ReplicaFacts, role: string, term: number): void {
    const record = this.#findRecord(replica)
    if (role === 'leader' && record.ledTerm !== term) {
      record.ledTerm = term
      record.acknowledged.clear()
      record.commitReported.clear()
      record.nonVoterSince = undefined
    }
    if (role === 'candidate') {
      this.#stands(replica, record, term)
      this.#knowsWhoVotes(replica)
    }
  }

  /** A replica raises the term only if a majority would elect it, or if its leader asks it to (thesis §9.6, §3.10). */
  #stands(replica: ReplicaFacts, { preVotes, handedOverIn }: Record, term: number): void {
    if (handedOverIn === term - 1) return
    const configuration = replica.status?.configuration
    const granted = preVotes.get(term)
    if (configuration === undefined) return
    for (const half of [configuration.voters, configuration.votersOutgoing]) {
      const votes = half.filter((id) => id === replica.id || granted?.has(id)).length
      if (half.length > 0 && votes * 2 <= half.length)
        this.#violated(
          'RAFT-26',
          `${replica.name} stands for election in term ${term} with ${votes} pre-votes of ${half.length}`,
        )
    }
  }

  sent(replica: ReplicaFacts, message: Message): void {
    switch (message.type) {
      case 'pre-vote-request':
        this.#campaigns(replica)
        return
      case 'heartbeat':
        this.#heartbeat(replica, message.to, message.commit)
        return
      case 'append': {
        const first = message.entries[0]
        const known = first === undefined ? 0 : (this.#findRecord(replica).acknowledged.get(message.to) ?? 0)
        if (first !== undefined && first.index <= known && message.term === this.#findRecord(replica).ledTerm)
          this.#violated(
            'RAFT-14',
            `${replica.name} sends ${first.index} to ${message.to} again, which has acknowledged ${known}`,
          )
        return
      }
    }
  }

  #campaigns(replica: ReplicaFacts): void {
    const record = this.#findRecord(replica)
    const now = replica.now?.() ?? 0
    const before = record.campaignedAt
    // One campaign sends several requests.
    if (now === before) return
    record.campaignedAt = now
    this.#knowsWhoVotes(replica)
    if (replica.unread > 0)
      this.#violated(
        'RAFT-26',
        `${replica.name} was stopped, and campaigns before it reads what its leader sent`,
      )
    if (replica.contactAt < before) this.#pausesAtRandom(now - before)
  }

  /** A replica that knows of a newer committed configuration must not count votes by the old one (RAFT-18). */
  #knowsWhoVotes({ name, status }: ReplicaFacts): void {
    if (status === undefined) return
    for (let at = this.#changes.length - 1; at >= 0; at--) {
      const change = this.#changes[at]
      if (change === undefined || change.index <= status.applied || change.index > status.commit) continue
      // Another entry may have replaced it.
      if (this.#committedTerm(change.index) !== change.term) continue
      this.#violated(
        'RAFT-18',
        `${name} campaigns, and has not applied the committed change of the configuration at ${change.index}`,
      )
    }
  }

  /** Each election timeout is drawn anew (paper §5.2). Otherwise replicas that tie once would tie again. */
  #pausesAtRandom(pauseMs: number): void {
    // A longer pause is no timeout: the clock has jumped, or the process stood still.
    if (this.#timing.fixedTimeouts === true || pauseMs > this.#timing.electionMaxMs) return
    const pauses = this.#pauses
    pauses.push(pauseMs)
    if (pauses.length > PAUSES) pauses.shift()
    if (pauses.length === PAUSES && pauses.every((one) => Math.abs(one - pauseMs) < ALIKE_MS))
      this.#violated('RAFT-26', `the last ${PAUSES} pauses between campaigns were all of ${pauseMs} ms`)
  }

  // ---- leaders

  /**
   * The knowledge of a leader about a follower never decreases while it leads (paper §5.3), nor does the commit index
   * that it sends to a member. A replica that is no longer a member may receive less: the leader holds back the change
   * that removed it, or an earlier one, until a majority has applied it.
   */
  #heartbeat(replica: ReplicaFacts, to: ReplicaId, commit: number): void {
    const record = this.#findRecord(replica)
    const reported = record.commitReported.get(to) ?? 0
    const configuration = replica.status?.configuration
    if (commit < reported && (configuration === undefined || isMember(configuration, to)))
      this.#violated(
        'RAFT-14',
        `${replica.name} reports commit to ${to}: ${commit}, after ${reported} in the same term`,
      )
    record.commitReported.set(to, commit)
    this.#stillVotes(replica, record)
  }

  /**
   * A leader that is not a voter hands over within an election timeout, and has ended after another (thesis §4.2.2).
   */
  #stillVotes(replica: ReplicaFacts, record: Record): void {
    const now = replica.now?.() ?? 0
    const gap = now - record.heartbeatAt
    record.heartbeatAt = now
    const configuration = replica.status?.configuration
    if (configuration === undefined || isVoter(configuration, replica.id)) {
      record.nonVoterSince = undefined
      return
    }
    const { heartbeatMs, electionMaxMs } = this.#timing
    record.nonVoterSince ??= now
    // The process was stopped, or its clock jumped.
    if (gap > 2 * heartbeatMs) record.nonVoterSince += gap
    if (now - record.nonVoterSince > 2 * electionMaxMs + 4 * heartbeatMs)
      this.#violated(
        'RAFT-26',
        `${replica.name} is no voter and has gone on leading for ${Math.round(now - record.nonVoterSince)} ms`,
      )
  }

  /**
   * A change of the configuration appears in a log, whose terms these are. `termBegan`: the index where its term began
   * (Ongaro, raft-dev 2015).
   */
  changeAppears(
    replica: ReplicaFacts,
    { index, term }: { readonly index: number; readonly term: number },
    termBegan: number,
    terms: readonly number[],
  ): void {
    const { leads, name, status } = replica
    const former = this.#changes.findLast(
      (change) => change.index < index && terms[change.index] === change.term,
    )
    this.#changes.push({ index, term })
    if (status === undefined || leads !== term) return
    if (status.commit < termBegan)
      this.#violated(
        'RAFT-17',
        `${name} changes the configuration at ${index} before anything of term ${term} is committed`,
      )
    if (former !== undefined && former.index > status.applied)
      this.#violated(
        'RAFT-17',
        `${name} changes the configuration at ${index} before it has applied the change at ${former.index}`,
      )
  }
}
