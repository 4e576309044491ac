// Rules that hold after every event (docs/invariants.md). The checker sees all disks, all messages and everything that
// was ever committed. It shares no code with the core except the layout of an entry.
//
// It costs O(1) per event, because it checks only where something can have changed: a core after each of its steps, a
// message when it is sent, a batch when it is begun and when it is durable, an entry when it is applied. Nothing
// changes in between. Two rules differ from the paper: an entry is committed when it is durable on a quorum, without
// the leader's own disk if necessary; and the terms in a pre-vote need not be durable.
//
// The simulator and the transcripts of test/raft share these rules. They differ in the state machine, which a replay of
// the log stands for: that of the simulator knows the store, that of the transcripts knows texts.

import { decodeState, type Request, SYSTEM_PRINCIPAL } from '../../../src/kv/index.ts'
import {
  type Configuration,
  decodeAppliedState,
  ENTRY_CONFIGURATION,
  type Entry,
  frameKind,
  type HardState,
  type LogReader,
  type Message,
  type Output,
  type RaftStatus,
  type ReplicaId,
  readHeader,
} from '../../../src/raft/index.ts'
import type { AppliedRecord, Storage, StorageBatch } from '../../../src/storage/index.ts'
import { type Effect, NO_EFFECT, type StoreModel } from './model.ts'
import { ProtocolRules, type RuleTiming } from './protocol-rules.ts'
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
  readonly matches = new Map<ReplicaId, number>()
  /** The newest round of heartbeats that its process has begun as leader. */
  heartbeatRound = 0
  /** The core of its process. */
  core: ObservedCore | undefined
  /** The core's state after the last applied entry, encoded. */
  raft: Uint8Array | undefined
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
    this.begun = copyContent(held)
    this.applied = held.applied
  }

  /** Status of its core after the last step; undefined while no process runs. */
  get status(): RaftStatus | undefined {
    return this.core?.status
  }
}

/** View of a core for the rules. */
interface CoreReader {
  status(): RaftStatus
  hardState(): HardState
  deadline(): number
}

/** A core after its last step. */
interface ObservedCore {
  readonly reader: CoreReader
  status: RaftStatus
  /** Terms of its log, durable or not, as in `DiskContent`. */
  readonly terms: number[]
  newestWrite: number
  /** Index up to which its driver has the committed entries, or a snapshot. */
  handedOut: number
}

/** The state that a process begins with. */
type RecoveredState = Pick<Storage, 'hardState' | 'boot' | 'stateHash'> & {
  readonly applied: RecordedState
  readonly log: Pick<LogReader, 'lastIndex' | 'termAt'>
}

/** Applied state of one index, without that of the store. */
export type RecordedState = Omit<AppliedRecord, 'kv'>

/** The log of a replica that did not begin with an empty one: entries from `base` + 1 on. */
interface InitialLog {
  readonly base: number
  readonly baseTerm: number
  readonly entries: readonly Entry[]
}

/** Replays the log on a model of the state machine. `startAt`: entries up to there are unknown. */
export type LogReplay = Pick<StoreModel, 'index' | 'revision' | 'startAt' | 'apply'>

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

export const copyContent = (held: DiskContent): DiskContent => ({ ...held, terms: held.terms.slice() })

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
  /** Revision of the store after this entry. */
  readonly revision: number
}

interface CommitStep {
  readonly index: number
  /** Term of its leader. */
  readonly term: number
  /** Term of the entry. It is lower only for what a replica knew when it was adopted. */
  readonly entryTerm: number | undefined
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

export class Invariants<Replay extends LogReplay = StoreModel> {
  /** The first violation. */
  violation: RuleViolation | undefined
  /** Rules of this class that are not checked: a wrong rule of the run breaks them, and what follows is of interest. */
  unchecked: ReadonlySet<string> = new Set()
  /** Called for triggers that only the checker can see. */
  onTrigger: (trigger: 'committed' | 'ahead' | 'reconfigured', replica: ObservedReplica) => void = () => {}
  readonly model: Replay
  readonly replicas = new Map<ReplicaId, ObservedReplica>()
  /** The commits of leaders. Both numbers rise. */
  readonly commitSteps: CommitStep[] = []
  readonly committed: CommittedEntry[] = []
  maxCommitted = 0
  /** Highest commit index that messages, disks or applied entries have shown. */
  #shown = 0
  /** Entries that were permitted under other rights, and refused under those of their index. */
  outdated = 0
  maxTerm = 0
  /** Highest index that ever held a change of the configuration in any log. */
  newestChange = 0
  /** The indexes at which each request was committed. */
  readonly #requests = new Map<string, number[]>()
  readonly #notWritten = new Set<string>()
  readonly #seen: KnownEntry[][] = []
  /** The term of the entry that a core has handed out as committed, by index. */
  readonly #handedOut: number[] = []
  /** The configuration at each applied index, as text. */
  readonly #configurations: string[] = []
  readonly #configurationTexts = new WeakMap<Configuration, string>()
  /** Index of each proposal that a core has handed out as committed. */
  readonly #proposals = new Map<string, number>()
  /** The outcomes that cores have reported, by proposal. */
  readonly #outcomes = new Map<string, string>()
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

  constructor(
    createReplay: (violated: (invariant: string, detail: string) => never) => Replay,
    timing: RuleTiming,
  ) {
    this.model = createReplay((invariant, detail) => this.#fail(invariant, detail))
    this.#protocolRules = new ProtocolRules(
      timing,
      (index) => this.committed[index]?.term,
      (invariant, detail) => this.#fail(invariant, detail),
    )
  }

  /** A replica whose disk was formatted, with the content of that disk. */
  adopt(
    id: ReplicaId,
    name: string,
    { hardState, applied }: { readonly hardState: HardState; readonly applied: RecordedState },
    log: InitialLog = { base: applied.index, baseTerm: applied.term, entries: [] },
  ): ObservedReplica {
    const terms = Array.from({ length: log.base + 1 }, (_, index) => (index === 0 ? 0 : log.baseTerm))
    const { term, vote, commit } = hardState
    const replica = new ObservedReplica(id, name, { term, vote, commit, terms, applied: applied.index })
    for (const held of [replica.durable, replica.begun])
      for (const entry of log.entries) held.terms[entry.index] = entry.term
    this.#matches(replica, log.entries, log.baseTerm)
    if (vote !== undefined) this.#vote(replica, term, vote)
    this.replicas.set(id, replica)
    if (commit > this.maxCommitted) {
      this.maxCommitted = commit
      this.#shown = commit
      this.commitSteps.push({ index: commit, term, entryTerm: replica.durable.terms[commit] })
      this.model.startAt(commit)
    }
    return replica
  }

  #matches(replica: ObservedReplica, entries: readonly Entry[], baseTerm: number): void {
    let previous = baseTerm
    for (const entry of entries) {
      this.#match(replica, entry, previous)
      previous = entry.term
    }
  }

  /** Its disk was put back to an earlier state. What it has promised since is gone. */
  putBack(replica: ObservedReplica, held: DiskContent): void {
    // Its boots are counted again, and its next process may give a proposal a name that another one had before.
    for (const named of [this.#outcomes, this.#proposals])
      for (const proposal of [...named.keys()])
        if (proposal.startsWith(`${replica.id}/`)) named.delete(proposal)
    replica.forgotten = replica.durable
    replica.durable = copyContent(held)
    replica.damaged = true
    replica.boot = 0
  }

  /** Its process begins with what the store recovered. */
  opened(replica: ObservedReplica, storage: RecoveredState): void {
    const { applied, boot, stateHash } = storage
    const { durable, name } = replica
    this.#recovers(replica, storage)
    if (boot <= replica.boot)
      this.#violated('DISK-2', `${name} starts with boot ${boot} after ${replica.boot}`)
    replica.boot = boot
    replica.begun = copyContent(durable)
    replica.applied = applied.index
    replica.leads = 0
    this.#state(replica, applied, stateHash)
  }

  /** The state that it would recover if it began now; undefined: the store would refuse. */
  wouldOpen(replica: ObservedReplica, storage: RecoveredState | undefined, why: string): void {
    if (storage === undefined) this.#fail('DISK-3', `${replica.name} would refuse its disk now: ${why}`)
    this.#recovers(replica, storage)
  }

  /** Exactly what was durable. */
  #recovers({ durable, name }: ObservedReplica, { hardState, log, applied }: RecoveredState): void {
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
  #violated(invariant: string, detail: string): void {
    if (!this.unchecked.has(invariant)) this.#fail(invariant, detail)
  }

  #fail(invariant: string, detail: string): never {
    const violation = new RuleViolation(invariant, detail)
    this.violation ??= violation
    throw violation
  }

  // ---- what a core decides

  /** The core of its process has begun with what was recovered. It may campaign at once. */
  coreBegins(replica: ObservedReplica, reader: CoreReader): void {
    const status = reader.status()
    const { name, begun } = replica
    if (status.term < begun.term)
      this.#violated('RAFT-4', `${name} begins in term ${status.term}, durable is ${begun.term}`)
    const [terms, handedOut] = [begun.terms.slice(), status.applied]
    replica.core = { reader, status, terms, newestWrite: 0, handedOut }
    this.#ordered(replica, status)
    this.#configured(replica, status)
  }

  /** One step of its core. Nothing of the output is carried out yet. */
  stepped(replica: ObservedReplica, output: Output): void {
    const { core } = replica
    if (core === undefined) this.#fail('RAFT-13', `${replica.name} steps while no process runs`)
    const before = core.status
    const after = core.reader.status()
    core.status = after
    if (after.role !== before.role || after.term !== before.term) this.#role(replica, core, after)
    this.#decides(replica, core, before, after, output.write)
    if (after.commit > before.commit) this.#commits(replica, core, before, after)
    this.#risesOnly(replica, before, after)
    this.#ordered(replica, after)
    this.#handsOut(replica, core, after, output)
    if (after.role === 'leader') this.#checkProgress(replica, core, after)
    this.#configured(replica, after)
    this.#reports(replica, output)
    const newest = core.newestWrite
    for (const { message, after: write, afterTerm } of output.messages) {
      this.#addressed(replica, message)
      if (Math.max(write, afterTerm) > newest)
        this.#violated(
          'RAFT-2',
          `${message.type} of ${replica.name} waits for writes ${write} and ${afterTerm}, handed out are ${newest}`,
        )
    }
  }

  /** Term, vote and log: what its core changes must be in the write. */
  #decides(
    replica: ObservedReplica,
    core: ObservedCore,
    before: RaftStatus,
    after: RaftStatus,
    write: Output['write'],
  ): void {
    const { name } = replica
    if (after.term < before.term)
      this.#violated('RAFT-4', `${name}: term falls from ${before.term} to ${after.term}`)
    if (after.term === before.term && before.vote !== undefined && after.vote !== before.vote)
      this.#violated(
        'RAFT-1',
        `${name}: vote changes from ${before.vote} to ${after.vote} in term ${after.term}`,
      )
    if (write === undefined) {
      if (after.term !== before.term || after.vote !== before.vote)
        this.#violated('RAFT-1', `${name}: term or vote changes and nothing is to be stored`)
    } else {
      const { hardState, number, snapshot, truncateFrom } = write
      if (truncateFrom !== undefined && before.role === 'leader' && after.role === 'leader')
        this.#violated('RAFT-7', `${name} leads term ${after.term} and truncates from ${truncateFrom}`)
      if (truncateFrom !== undefined && truncateFrom <= before.commit)
        this.#violated('RAFT-7', `${name} truncates from ${truncateFrom}, committed is ${before.commit}`)
      const { term, vote, commit } = core.reader.hardState()
      if (hardState.term !== term || hardState.vote !== vote || hardState.commit !== commit)
        this.#violated('RAFT-1', `${name}: the write has another hard state than the core`)
      this.#changesLog(replica, { terms: core.terms, commit: before.commit }, write, after.term)
      core.newestWrite = number
      if (snapshot !== undefined) core.handedOut = snapshot.meta.index
    }
    if (after.lastIndex !== core.terms.length - 1)
      this.#violated(
        'RAFT-7',
        `${name}: the log ends at ${after.lastIndex} for its core, and at ${core.terms.length - 1} for its driver`,
      )
  }

  #risesOnly({ name }: ObservedReplica, before: RaftStatus, after: RaftStatus): void {
    if (after.commit < before.commit)
      this.#violated('RAFT-12', `${name}: commit falls from ${before.commit} to ${after.commit}`)
    if (after.applied < before.applied)
      this.#violated('RAFT-13', `${name}: applied falls from ${before.applied} to ${after.applied}`)
    if (after.commit > this.maxCommitted)
      this.#violated(
        'RAFT-11',
        `${name} commits ${after.commit}, no leader has committed beyond ${this.maxCommitted}`,
      )
  }

  #ordered({ name }: ObservedReplica, { firstIndex, applied, commit, lastIndex }: RaftStatus): void {
    if (firstIndex - 1 <= applied && applied <= commit && commit <= lastIndex) return
    this.#violated(
      'RAFT-13',
      `${name}: first ${firstIndex}, applied ${applied}, commit ${commit}, last ${lastIndex}`,
    )
  }

  /**
   * Only a leader commits by counting: an entry of its own term that is durable on a majority of each half (paper
   * §5.4.2, §6). It may step down in the same step.
   */
  #commits(replica: ObservedReplica, core: ObservedCore, before: RaftStatus, after: RaftStatus): void {
    if (before.role !== 'leader' || before.term !== after.term) return
    const { name } = replica
    const { term } = before
    const { commit } = after
    const entryTerm = core.terms[commit]
    if (entryTerm !== term)
      this.#violated('RAFT-11', `${name} commits ${commit} of term ${entryTerm} in term ${term}`)
    const why = this.#whyNoQuorum(commit, term, before.configuration)
    // The configuration may have changed in this step.
    if (why !== undefined && this.#whyNoQuorum(commit, term, after.configuration) !== undefined)
      this.#violated('RAFT-11', `${name} commits ${commit} in term ${term}, ${why}`)
    for (const [later, first] of this.#firstOfTerm) {
      if (later > term && first <= commit)
        this.#violated(
          'RAFT-9',
          `${name} commits ${commit} in term ${term}, but term ${later} began at ${first}`,
        )
    }
    if (commit <= this.maxCommitted) return
    this.maxCommitted = commit
    this.commitSteps.push({ index: commit, term, entryTerm })
  }

  /** Committed entries reach the driver in order, once, and are the same everywhere (paper §5.4.3). */
  #handsOut(replica: ObservedReplica, core: ObservedCore, after: RaftStatus, { committed }: Output): void {
    const { name } = replica
    for (const { index, term, frame } of committed) {
      if (index !== core.handedOut + 1)
        this.#violated('RAFT-13', `${name} hands out ${index} after ${core.handedOut}`)
      core.handedOut = index
      if (index > after.commit)
        this.#violated('RAFT-13', `${name} hands out ${index}, its commit index is ${after.commit}`)
      const seen = this.#seen[index]?.find((one) => one.term === term)
      if (seen === undefined || !sameBytes(seen.frame, frame))
        this.#violated('RAFT-8', `${name} hands out ${index} of term ${term} with bytes that no log has`)
      const known = this.#handedOut[index]
      if (known === undefined) {
        this.#handedOut[index] = term
        this.#proposalCommitted(index, frame)
      } else if (known !== term)
        this.#violated(
          'RAFT-10',
          `${name} hands out ${index} of term ${term}, another replica of term ${known}`,
        )
    }
  }

  #proposalCommitted(index: number, frame: Uint8Array): void {
    const { proposer, boot, seq } = readHeader(frame)
    // The leader's own entries have no number.
    if (seq === 0) return
    const proposal = `${proposer}/${boot}/${seq}`
    const elsewhere = this.#proposals.get(proposal)
    if (elsewhere !== undefined)
      this.#violated('RAFT-20', `proposal ${proposal} is committed at ${elsewhere} and at ${index}`)
    const outcome = this.#outcomes.get(proposal)
    if (outcome === 'refused' || outcome === 'superseded')
      this.#violated('RAFT-20', `proposal ${proposal} was ${outcome}, and is committed at ${index}`)
    this.#proposals.set(proposal, index)
  }

  /** A proposal has at most one outcome, and it is true. */
  #reports({ id, boot }: ObservedReplica, { outcomes }: Output): void {
    for (const one of outcomes) {
      const proposal = `${id}/${boot}/${one.seq}`
      const earlier = this.#outcomes.get(proposal)
      if (earlier !== undefined)
        this.#violated('RAFT-20', `proposal ${proposal} is ${earlier}, and then ${one.outcome}`)
      this.#outcomes.set(proposal, one.outcome)
      const index = this.#proposals.get(proposal)
      if (one.outcome === 'committed' && one.index !== index)
        this.#violated('RAFT-20', `proposal ${proposal} is committed at ${index}, not at ${one.index}`)
      if ((one.outcome === 'refused' || one.outcome === 'superseded') && index !== undefined)
        this.#violated('RAFT-20', `proposal ${proposal} is ${one.outcome}, and is committed at ${index}`)
    }
  }

  /** The applied index decides which configuration counts. */
  #configured({ name }: ObservedReplica, { applied, configuration }: RaftStatus): void {
    let text = this.#configurationTexts.get(configuration)
    if (text === undefined) {
      text = JSON.stringify(configuration)
      this.#configurationTexts.set(configuration, text)
    }
    // A new replica has none.
    if (applied === 0 && configuration.voters.length === 0) return
    const known = this.#configurations[applied]
    if (known === undefined) this.#configurations[applied] = text
    else if (known !== text)
      this.#violated('RAFT-15', `${name} at applied ${applied} has ${text}, another replica ${known}`)
  }

  #role(replica: ObservedReplica, core: ObservedCore, { configuration, role, term }: RaftStatus): void {
    replica.role = role
    this.#protocolRules.role(replica, role, term)
    if (role !== 'leader') return
    const { name } = replica
    replica.leads = term
    replica.heartbeatRound = 0
    replica.matches.clear()
    if (replica.now !== undefined && !this.#ledAt.has(term)) this.#ledAt.set(term, replica.now())
    this.#leading(replica, term)
    this.#elected(replica, configuration, term)
    const earlier = this.#committedBefore(term)
    if (earlier === undefined || earlier.index < core.status.firstIndex - 1) return
    const has = core.terms[earlier.index]
    if (has !== earlier.entryTerm)
      this.#violated(
        'RAFT-9',
        `${name} leads term ${term} with term ${has} at ${earlier.index}, committed is term ${earlier.entryTerm}`,
      )
  }

  /** A majority of each half of its configuration has voted for it (paper §5.2, §6). */
  #elected(replica: ObservedReplica, { voters, votersOutgoing }: Configuration, term: number): void {
    for (const half of [voters, votersOutgoing]) {
      const votes = half.filter((id) => this.#votes.get(`${id}/${term}`) === replica.id).length
      if (half.length > 0 && votes * 2 <= half.length)
        this.#violated('RAFT-6', `${replica.name} leads term ${term} with ${votes} votes of ${half.length}`)
    }
  }

  // ---- what is sent

  #addressed(replica: ObservedReplica, { type, from, to }: Message): void {
    if (from !== replica.id)
      this.#violated('RAFT-16', `${replica.name} sends ${type} under the name of ${from}`)
    if (to === replica.id) this.#violated('RAFT-16', `${replica.name} sends ${type} to itself`)
  }

  sent(replica: ObservedReplica, message: Message): void {
    const { type, term } = message
    this.#addressed(replica, message)
    this.#protocolRules.sent(replica, message)
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
        this.#countsAll(replica)
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
    const leases = replica.status?.leaderLeases
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
  #checkProgress({ name, matches }: ObservedReplica, { terms }: ObservedCore, status: RaftStatus): void {
    for (const { id, match, next } of status.progress) {
      if (next <= match) this.#violated('RAFT-14', `${name}: next ${next} ≤ match ${match} of ${id}`)
      const before = matches.get(id) ?? 0
      if (match < before)
        this.#violated('RAFT-14', `${name}: match of ${id} falls from ${before} to ${match}`)
      matches.set(id, match)
      const follower = this.replicas.get(id)
      if (follower === undefined || follower.damaged || follower.durable.term > status.term) continue
      const has = follower.durable.terms[match]
      if (has === undefined || (match >= status.firstIndex - 1 && terms[match] !== has))
        this.#violated(
          'RAFT-14',
          `${name} holds match ${match} of ${follower.name} in term ${terms[match]}, durable there is term ${has}`,
        )
    }
  }

  /**
   * A leader has committed every entry of its term that it knows to be durable on a majority of each half. This is
   * checked whenever it can have changed without an acknowledgement, because the next acknowledgement would hide a
   * fault.
   */
  #countsAll({ name, leads, begun, status }: ObservedReplica): void {
    if (status === undefined || status.role !== 'leader' || status.term !== leads) return
    const { configuration, progress, stableIndex, commit } = status
    // In most rounds everything durable here is committed: no later entry of this term is left to count.
    if (commit >= begun.terms.length - 1) return
    const findMatch = (id: ReplicaId): number =>
      id === status.id ? stableIndex : (progress.find((follower) => follower.id === id)?.match ?? 0)
    let reached = Number.POSITIVE_INFINITY
    for (const half of [configuration.voters, configuration.votersOutgoing]) {
      const falling = half.map(findMatch).sort((a, b) => b - a)
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
    for (const write of writes) this.#changesLog(replica, begun, write, term)
    begun.term = term
    begun.vote = vote
    begun.commit = commit
    if (term > this.maxTerm) this.maxTerm = term
    return { writes: [...writes], hardState, applied }
  }

  /** The driver stores the core's writes in their order, in parts if they are large. */
  #changesLog(
    replica: ObservedReplica,
    held: Pick<DiskContent, 'terms' | 'commit'>,
    { truncateFrom, entries, snapshot, hardState }: StorageBatch['writes'][number],
    term: number,
  ): void {
    if (snapshot !== undefined) this.#installs(replica, held, snapshot)
    if (truncateFrom !== undefined) this.#truncates(replica, held, truncateFrom, hardState.term)
    this.#cutLog(held, snapshot, truncateFrom)
    let previous = held.terms[(entries[0]?.index ?? 0) - 1] ?? 0
    for (const entry of entries) {
      if (entry.term > term)
        this.#violated('RAFT-4', `${replica.name}: entry of term ${entry.term} in term ${term}`)
      this.#enter(replica, entry, previous)
      held.terms[entry.index] = entry.term
      previous = entry.term
    }
  }

  durable(replica: ObservedReplica, { writes, hardState, applied }: BatchEffect): void {
    const { durable } = replica
    for (const { snapshot, truncateFrom, entries } of writes) {
      this.#cutLog(durable, snapshot, truncateFrom)
      for (const entry of entries) durable.terms[entry.index] = entry.term
    }
    durable.term = hardState.term
    durable.vote = hardState.vote
    durable.commit = hardState.commit
    durable.applied = applied()
    if (hardState.vote !== undefined) this.#vote(replica, hardState.term, hardState.vote)
    for (const { snapshot } of writes) {
      if (snapshot !== undefined) durable.applied = Math.max(durable.applied, snapshot.meta.index)
    }
    const lastTerm = durable.terms.at(-1) ?? 0
    if (lastTerm > hardState.term)
      this.#violated(
        'RAFT-4',
        `${replica.name} stored an entry of term ${lastTerm} under term ${hardState.term}`,
      )
    if (hardState.commit >= durable.terms.length)
      this.#violated('RAFT-5', `${replica.name} stored commit ${hardState.commit} beyond its log`)
    if (durable.applied > hardState.commit)
      this.#violated(
        'RAFT-5',
        `${replica.name} stored applied ${durable.applied} beyond commit ${hardState.commit}`,
      )
  }

  #cutLog(
    { terms }: Pick<DiskContent, 'terms'>,
    snapshot: StorageBatch['writes'][number]['snapshot'],
    truncateFrom: number | undefined,
  ): void {
    if (snapshot !== undefined && !snapshot.keepLog) {
      const { index, term } = snapshot.meta
      terms.length = 0
      for (let at = 0; at < index; at++) terms.push(this.committed[at]?.term ?? (at === 0 ? 0 : 1))
      terms.push(term)
    }
    if (truncateFrom !== undefined && truncateFrom < terms.length) terms.length = truncateFrom
  }

  #truncates(
    { name, leads }: ObservedReplica,
    { terms }: Pick<DiskContent, 'terms'>,
    from: number,
    term: number,
  ): void {
    if (leads === term && terms.at(-1) === term)
      this.#violated('RAFT-7', `${name} leads term ${term} and truncates from ${from}`)
    // A message of a deposed leader may arrive late. What a newer leader has committed by then did not depend on a
    // replica that has not heard of it.
    const upTo = this.#committedBefore(term + 1)?.index ?? 0
    for (let index = from; index <= upTo && index < terms.length; index++) {
      const written = this.#handedOut[index]
      if (written !== undefined && terms[index] === written)
        this.#violated(
          'RAFT-7',
          `${name} truncates from ${from}, but ${index} of term ${written} is committed`,
        )
    }
  }

  #installs(
    { name }: ObservedReplica,
    { terms, commit }: Pick<DiskContent, 'terms' | 'commit'>,
    { meta: { index, term }, keepLog }: NonNullable<StorageBatch['writes'][number]['snapshot']>,
  ): void {
    const known = this.committed[index]
    if (known === undefined || known.term !== term)
      this.#violated(
        'SNAP-1',
        `${name} installs a snapshot of ${index} in term ${term}, committed is term ${known?.term}`,
      )
    if (index <= commit)
      this.#violated('SNAP-2', `${name} installs a snapshot of ${index} over committed ${commit}`)
    // Later entries may have been acknowledged, and may be committed by that (paper §7).
    if (keepLog !== (terms[index] === term))
      this.#violated(
        'SNAP-3',
        `${name} ${keepLog ? 'keeps' : 'drops'} its log under a snapshot of ${index} in term ${term}; the log has term ${terms[index]} there`,
      )
  }

  #enter(replica: ObservedReplica, entry: Entry, previousTerm: number): void {
    if (!this.#match(replica, entry, previousTerm)) return
    const { index, term, frame } = entry
    if (previousTerm !== term && !this.#firstOfTerm.has(term)) this.#termBegins(replica, term, index, frame)
    this.#stamped(replica, index, term, frame)
    if (frameKind(frame) !== ENTRY_CONFIGURATION) return
    if (index > this.newestChange) this.newestChange = index
    const termBegan = this.#firstOfTerm.get(term) ?? index
    this.#protocolRules.changeAppears(replica, entry, termBegan, replica.core?.terms ?? [])
  }

  /**
   * Log matching (paper §5.3): index and term identify an entry and, by induction, all entries before it. Returns
   * whether the entry is new.
   */
  #match({ name }: ObservedReplica, { index, term, frame }: Entry, previousTerm: number): boolean {
    if (previousTerm > term)
      this.#violated('RAFT-8', `${name}: term ${term} at ${index} behind term ${previousTerm}`)
    let list = this.#seen[index]
    if (list === undefined) {
      list = []
      this.#seen[index] = list
    }
    for (const seen of list) {
      if (seen.term !== term) continue
      if (!sameBytes(seen.frame, frame))
        this.#violated('RAFT-8', `${name}: two different entries ${index} of term ${term}`)
      if (seen.previousTerm !== previousTerm)
        this.#violated(
          'RAFT-8',
          `${name}: ${index} of term ${term} follows term ${previousTerm}, elsewhere ${seen.previousTerm}`,
        )
      return false
    }
    list.push({ term, previousTerm, frame })
    return true
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
  #committedBefore(term: number): CommitStep | undefined {
    return this.commitSteps.findLast((step) => step.term < term)
  }

  // ---- what is committed and applied

  /** The state of a replica shows that everything up to `commit` is committed. */
  #exposed(replica: ObservedReplica, commit: number): void {
    const { name, status } = replica
    if (commit > this.maxCommitted)
      this.#violated(
        'RAFT-11',
        `${name} shows commit ${commit}, no leader has committed beyond ${this.maxCommitted}`,
      )
    if (commit <= this.#shown) return
    this.#shown = Math.max(commit, status?.commit ?? 0)
    this.onTrigger('committed', replica)
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
  applies(replica: ObservedReplica, record: RecordedState, stateHash: bigint): void {
    const { index } = record
    if (index !== replica.applied + 1)
      this.#violated('RAFT-13', `${replica.name} applies ${index} after ${replica.applied}`)
    replica.applied = index
    const reconfigured = record.raft !== replica.raft
    this.#exposed(replica, reconfigured ? (replica.status?.commit ?? index) : index)
    this.#state(replica, record, stateHash)
    if (replica.durable.terms.length <= index) this.onTrigger('ahead', replica)
    if (reconfigured) {
      this.onTrigger('reconfigured', replica)
      this.#countsAll(replica)
    }
    replica.raft = record.raft
  }

  /** The state of the store after an entry. One that the rights of its index do not permit changes nothing. */
  appliesToStore({ name }: ObservedReplica, record: AppliedRecord): void {
    const committed = this.committed[record.index]
    if (committed?.effect.outdated !== true) return
    // The record encodes the state for its first reader.
    const { revision } = decodeState(record.kv)
    if (revision !== committed.revision)
      this.#violated(
        'AUTH-10',
        `${name} changes revision ${committed.revision} to ${revision} at ${record.index}, where the rights no longer permit ${committed.effect.principal}`,
      )
  }

  installed(
    replica: ObservedReplica,
    { applied, stateHash }: Pick<RecoveredState, 'applied' | 'stateHash'>,
  ): void {
    replica.applied = applied.index
    this.#state(replica, applied, stateHash)
  }

  #state(replica: ObservedReplica, { index, term, raft }: RecordedState, stateHash: bigint): void {
    replica.stateHash = stateHash
    // A new replica has no state that could be compared.
    if (index === 0) return
    const known = this.committed[index]
    if (known === undefined) {
      const effect = this.#effect(index, term)
      this.committed[index] = { term, raft, stateHash, effect, revision: this.model.revision }
      return
    }
    // The applied index decides which configuration counts (RAFT-15).
    if (!sameBytes(known.raft, raft))
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

  /** The frame of an entry that any log has had. */
  frameOf(index: number, term: number): Uint8Array | undefined {
    return this.#seen[index]?.find((seen) => seen.term === term)?.frame
  }

  #effect(index: number, term: number): Effect {
    const frame = this.frameOf(index, term)
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
  requested(this: Invariants, request: Request): void {
    this.model.requested(request)
    const { principal } = request
    if (this.#askedAt.has(principal)) return
    const clocks = [...this.replicas.values()].flatMap(({ role, leads, now }): [number, number][] =>
      role === 'leader' && now !== undefined ? [[leads, now()]] : [],
    )
    this.#askedAt.set(principal, new Map(clocks))
  }

  /** The indexes at which a request was committed. */
  findIndexes(principal: string): readonly number[] {
    return this.#requests.get(principal) ?? []
  }

  notWritten(principal: string): void {
    const [index] = this.findIndexes(principal)
    if (index !== undefined)
      this.#violated(
        'ANSWER-1',
        `request ${principal} is refused as not written, and is committed at ${index}`,
      )
    this.#notWritten.add(principal)
  }

  /** Its process is gone. The next one begins with the content of the disk. */
  ended(replica: ObservedReplica): void {
    replica.core = undefined
    replica.leads = 0
    replica.role = 'follower'
    replica.unread = 0
    this.#protocolRules.ended(replica)
    replica.transfers.clear()
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true
  if (a.length !== b.length) return false
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false
  return true
}
