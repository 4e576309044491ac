// Invariants of every reachable state of a cluster, checked after every step of every replica. The numbers are those of
// docs/invariants.md. The checker sees all disks, also those of crashed replicas, and keeps the whole history. It
// shares no code with the core except the layout of an entry.

import type {
  Configuration,
  Entry,
  Input,
  LogIndex,
  Message,
  Outgoing,
  Output,
  RaftStatus,
  ReplicaId,
} from '../../../src/raft/types.ts'
import { crc32, entryName, proposalName } from './frames.ts'
import type { SimNode } from './node.ts'

export class Violation extends Error {
  override readonly name = 'Violation'
  readonly invariant: string

  constructor(invariant: string, detail: string) {
    super(`${invariant}: ${detail}`)
    this.invariant = invariant
  }
}

/** Messages that others count on after a crash of the sender; of the answers to a vote request only a vote. */
const PROMISES: readonly Message['type'][] = [
  ...(['vote-request', 'vote-answer', 'append', 'append-accepted', 'heartbeat', 'timeout-now'] as const),
]

interface SeenEntry {
  readonly previousTerm: number
  readonly checksum: number
}

export class Invariants {
  readonly #nodes: () => readonly SimNode[]
  /** Every entry that ever existed in any log, by index@term. */
  readonly #entries = new Map<string, SeenEntry>()
  readonly #leaders = new Map<number, ReplicaId>()
  /** The candidate that each (voter, term) chose, from the voter's messages and from what it stored. */
  readonly #votes = new Map<string, ReplicaId>()
  /** Name and content of the entry committed at each index. */
  readonly #committed = new Map<number, string>()
  /** (highest index, term of the leader that committed it). Both numbers rise. */
  readonly #commitSteps: { index: number; term: number }[] = []
  readonly #configurations = new Map<number, string>()
  readonly #proposals = new Map<string, number>()
  readonly #outcomes = new Map<string, string>()
  readonly #notWritten = new Set<string>()
  /** Replicas whose disk a test has damaged on purpose. Their earlier promises no longer count. */
  readonly #damaged = new Set<ReplicaId>()

  constructor(nodes: () => readonly SimNode[]) {
    this.#nodes = nodes
  }

  get maxCommitted(): number {
    return this.#commitSteps.at(-1)?.index ?? 0
  }

  /** Registers a replica before its first step, with the content of its disk. */
  adopt(node: SimNode): void {
    const { log, hardState, applied } = node.disk
    let previousTerm: number = log.baseTerm
    for (const entry of log.list) {
      this.#enter(node, entry, previousTerm)
      previousTerm = entry.term
    }
    if (hardState.vote !== undefined) this.#vote(node.id, hardState.term, hardState.vote)
    if (hardState.commit > this.maxCommitted)
      this.#commitSteps.push({ index: hardState.commit, term: hardState.term })
    this.#configuration(node, applied.index, applied.state.configuration)
  }

  damaged(node: SimNode): void {
    this.#damaged.add(node.id)
    for (const key of [...this.#votes.keys()]) if (key.startsWith(`${node.id}/`)) this.#votes.delete(key)
  }

  stepped(node: SimNode, before: RaftStatus, input: Input, output: Output): void {
    const after = node.raft.status()
    if (after.commit > before.commit) this.#committing(node, before, after)
    this.#monotone(node, before, after)
    this.#write(node, before, after, output)
    this.#committedEntries(node, after, output)
    this.#leadership(node, before, after)
    if (after.role === 'leader') this.#followers(node, before, after)
    this.#configuration(node, after.applied, after.configuration)
    this.#answers(node, input, output)
    for (const outgoing of output.messages) this.#sent(node, outgoing)
  }

  /** Checks a message that leaves its sender: all that it promises must be durable. */
  sent(node: SimNode, message: Message): void {
    const { hardState, log } = node.disk
    if (!PROMISES.includes(message.type) || (message.type === 'vote-answer' && !message.granted)) return
    if (message.term > hardState.term)
      throw new Violation(
        'RAFT-2',
        `${node.name} sent a ${message.type} of term ${message.term}, durable is ${hardState.term}`,
      )
    if (hardState.term > message.term) return
    if (message.type === 'vote-answer' && message.granted) {
      this.#vote(node.id, message.term, message.to)
      if (hardState.vote !== message.to)
        throw new Violation(
          'RAFT-1',
          `${node.name} granted ${message.to} in term ${message.term}, durable vote is ${hardState.vote}`,
        )
    }
    if (message.type === 'vote-request' && hardState.vote !== node.id)
      throw new Violation('RAFT-1', `${node.name} asks for votes before its own vote is durable`)
    if (message.type === 'append-accepted' && log.lastIndex() < message.index)
      throw new Violation(
        'RAFT-3',
        `${node.name} accepted up to ${message.index}, durable is ${log.lastIndex()}`,
      )
  }

  /** Checks a change of the durable state. */
  stored(node: SimNode): void {
    const { hardState, log } = node.disk
    if (hardState.vote !== undefined) this.#vote(node.id, hardState.term, hardState.vote)
    if (log.lastTerm() > hardState.term)
      throw new Violation(
        'RAFT-4',
        `${node.name} stored an entry of term ${log.lastTerm()} under term ${hardState.term}`,
      )
    if (hardState.commit > log.lastIndex())
      throw new Violation(
        'RAFT-5',
        `${node.name} stored commit ${hardState.commit} beyond its log, ${log.lastIndex()}`,
      )
    if (node.disk.applied.index > hardState.commit)
      throw new Violation(
        'RAFT-5',
        `${node.name} stored applied ${node.disk.applied.index} beyond commit ${hardState.commit}`,
      )
  }

  #monotone(node: SimNode, before: RaftStatus, after: RaftStatus): void {
    const { name } = node
    if (after.term < before.term)
      throw new Violation('RAFT-4', `${name}: term fell from ${before.term} to ${after.term}`)
    if (after.term === before.term && before.vote !== undefined && after.vote !== before.vote)
      throw new Violation(
        'RAFT-1',
        `${name}: vote changed from ${before.vote} to ${after.vote} in term ${after.term}`,
      )
    if (after.commit < before.commit)
      throw new Violation('RAFT-12', `${name}: commit fell from ${before.commit} to ${after.commit}`)
    if (after.applied < before.applied)
      throw new Violation('RAFT-13', `${name}: applied fell from ${before.applied} to ${after.applied}`)
    if (
      !(
        after.firstIndex - 1 <= after.applied &&
        after.applied <= after.commit &&
        after.commit <= after.lastIndex
      )
    )
      throw new Violation(
        'RAFT-13',
        `${name}: first ${after.firstIndex}, applied ${after.applied}, commit ${after.commit}, last ${after.lastIndex}`,
      )
    if (after.lastIndex !== node.process.log.lastIndex())
      throw new Violation(
        'RAFT-7',
        `${name}: says last index ${after.lastIndex}, wrote ${node.process.log.lastIndex()}`,
      )
    if (after.commit > this.maxCommitted)
      throw new Violation(
        'RAFT-11',
        `${name}: commit ${after.commit}, no leader committed beyond ${this.maxCommitted}`,
      )
  }

  #write(node: SimNode, before: RaftStatus, after: RaftStatus, output: Output): void {
    const { write } = output
    if (write === undefined) {
      if (after.term !== before.term || after.vote !== before.vote)
        throw new Violation('RAFT-1', `${node.name}: term or vote changed and nothing was to be stored`)
      return
    }
    if (before.role === 'leader' && after.role === 'leader' && write.truncateFrom !== undefined)
      throw new Violation(
        'RAFT-7',
        `${node.name} leads term ${after.term} and truncates from ${write.truncateFrom}`,
      )
    if (write.truncateFrom !== undefined && write.truncateFrom <= before.commit)
      throw new Violation(
        'RAFT-7',
        `${node.name} truncates from ${write.truncateFrom}, committed is ${before.commit}`,
      )
    const { term, vote, commit } = node.raft.hardState()
    const stored = write.hardState
    if (stored.term !== term || stored.vote !== vote || stored.commit !== commit)
      throw new Violation('RAFT-1', `${node.name}: the write carries another hard state than the core`)
    for (const entry of write.entries) {
      const previous = node.process.log.termAt((entry.index - 1) as LogIndex)
      this.#enter(node, entry, previous ?? 0)
      if (entry.term > after.term)
        throw new Violation('RAFT-4', `${node.name}: entry of term ${entry.term} in term ${after.term}`)
    }
  }

  /** Log matching (paper §5.3): index and term identify an entry and, by induction, all entries before it. */
  #enter(node: SimNode, entry: Entry, previousTerm: number): void {
    if (previousTerm > entry.term)
      throw new Violation(
        'RAFT-8',
        `${node.name}: term ${entry.term} at ${entry.index} behind term ${previousTerm}`,
      )
    const name = entryName(entry.index, entry.term)
    const seen = this.#entries.get(name)
    const checksum = crc32(entry.frame)
    if (seen === undefined) this.#entries.set(name, { previousTerm, checksum })
    else if (seen.checksum !== checksum)
      throw new Violation('RAFT-8', `${node.name}: two different entries ${name}`)
    else if (seen.previousTerm !== previousTerm)
      throw new Violation(
        'RAFT-8',
        `${node.name}: ${name} follows term ${previousTerm}, elsewhere ${seen.previousTerm}`,
      )
  }

  /** State machine safety (paper §5.4.3), in order and once per process. */
  #committedEntries(node: SimNode, after: RaftStatus, output: Output): void {
    for (const entry of output.committed) {
      const name = entryName(entry.index, entry.term)
      const known = this.#committed.get(entry.index)
      if (known !== undefined && known !== name)
        throw new Violation('RAFT-10', `${node.name} applies ${name}, another replica ${known}`)
      this.#committed.set(entry.index, name)
      const checksum = crc32(entry.frame)
      if (this.#entries.get(name)?.checksum !== checksum)
        throw new Violation('RAFT-8', `${node.name} applies ${name} with other bytes than were written`)
      if (entry.index > after.commit)
        throw new Violation('RAFT-13', `${node.name} is to apply ${entry.index}, commit is ${after.commit}`)
      if (known === undefined) this.#proposalCommitted(entry)
    }
    this.#inOrder(node, output)
  }

  /** Entries are handed to a process in order and once. A snapshot replaces all entries up to its index. */
  #inOrder(node: SimNode, output: Output): void {
    const { applyQueue, pending } = node.process
    const installing = pending.find(({ write }) => write.snapshot !== undefined)?.write.snapshot?.meta.index
    let previous = installing === undefined ? node.raft.applied : (applyQueue[0]?.index ?? 0) - 1
    for (const { index } of output.committed.length > 0 ? applyQueue : []) {
      if (index !== previous + 1 && index - 1 !== installing)
        throw new Violation('RAFT-13', `${node.name} is to apply ${index} behind ${previous}`)
      previous = index
    }
  }

  #proposalCommitted(entry: Entry): void {
    const name = proposalName(entry.frame)
    const elsewhere = this.#proposals.get(name)
    if (name.startsWith('999/') || name.split('/')[2] === '0') return
    if (elsewhere !== undefined && elsewhere !== entry.index)
      throw new Violation('RAFT-20', `proposal ${name} is committed at ${elsewhere} and at ${entry.index}`)
    this.#proposals.set(name, entry.index)
    if (this.#notWritten.has(name))
      throw new Violation('RAFT-20', `proposal ${name} was "not written" and is committed`)
  }

  #leadership(node: SimNode, before: RaftStatus, after: RaftStatus): void {
    if (after.role !== 'leader') return
    const other = this.#leaders.get(after.term)
    if (other !== undefined && other !== node.id)
      throw new Violation('RAFT-6', `${node.name} and ${other} both lead term ${after.term}`)
    this.#leaders.set(after.term, node.id)
    if (before.role === 'leader' && before.term === after.term) return
    // Leader completeness (paper §5.4): its log has everything that was committed in earlier terms.
    const earlier = this.#commitSteps.filter(({ term }) => term < after.term).at(-1)
    if (earlier === undefined) return
    const name = this.#committed.get(earlier.index)
    const own = node.process.log.termAt(earlier.index as LogIndex)
    if (earlier.index >= node.process.log.base && name !== undefined && name !== `${earlier.index}@${own}`)
      throw new Violation(
        'RAFT-9',
        `${node.name} leads term ${after.term} with term ${own} at committed ${name}`,
      )
    if (earlier.index > node.process.log.lastIndex())
      throw new Violation(
        'RAFT-9',
        `${node.name} leads term ${after.term} without committed index ${earlier.index}`,
      )
  }

  #followers(node: SimNode, before: RaftStatus, after: RaftStatus): void {
    for (const { id, match, next } of after.progress) {
      if (next <= match)
        throw new Violation('RAFT-14', `${node.name}: next ${next} ≤ match ${match} of ${id}`)
      const earlier = before.role === 'leader' && before.term === after.term ? before.progress : []
      const was = earlier.find((one) => one.id === id)?.match ?? 0
      if (match < was)
        throw new Violation('RAFT-14', `${node.name}: match of ${id} fell from ${was} to ${match}`)
      const follower = this.#nodes().find((one) => one.id === id)
      if (follower === undefined || this.#damaged.has(id) || follower.disk.hardState.term > after.term)
        continue
      this.#holds(node, follower, match, 'RAFT-14')
    }
  }

  /** Only a leader commits by counting. It may step down in the same step. */
  #committing(node: SimNode, before: RaftStatus, after: RaftStatus): void {
    // A replica that wins in this step may have learned the commit from the last vote. It has committed nothing itself
    // yet.
    if (before.role !== 'leader' || before.term !== after.term) return
    const { term } = before
    if (after.commit > this.maxCommitted) this.#commitSteps.push({ index: after.commit, term })
    const own = node.process.log.termAt(after.commit)
    if (own !== term)
      throw new Violation('RAFT-11', `${node.name} commits ${after.commit} of term ${own} in term ${term}`)
    const problems = [before, after].map(({ configuration }) =>
      this.#whyNoQuorum(after.commit, term, configuration),
    )
    const [problem] = problems
    // The configuration may change in this step: the entry must be on a quorum of the old or of the new one.
    if (problem !== undefined && !problems.includes(undefined))
      throw new Violation('RAFT-11', `${node.name} commits ${after.commit}, ${problem}`)
  }

  /** Committed means durable on a majority of each half of the leader's configuration (paper §5.4.2, §6). */
  #whyNoQuorum(commit: LogIndex, term: number, configuration: Configuration): string | undefined {
    for (const half of [configuration.voters, configuration.votersOutgoing]) {
      if (half.length === 0) continue
      const holding = half.filter((id) => {
        const member = this.#nodes().find((one) => one.id === id)
        return member !== undefined && this.#termOnDisk(member, commit) === term
      })
      if (holding.length * 2 <= half.length)
        return `durable on ${holding.join(' ') || 'nobody'} of ${half.join(' ')}`
    }
    return undefined
  }

  #termOnDisk(node: SimNode, index: number): number | undefined {
    const { log } = node.disk
    if (index < log.base) {
      const name = this.#committed.get(index)
      return name === undefined ? undefined : Number(name.split('@')[1])
    }
    return log.termAt(index as LogIndex)
  }

  #holds(leader: SimNode, follower: SimNode, match: number, invariant: string): void {
    if (match === 0) return
    const expected =
      match < leader.process.log.base ? undefined : leader.process.log.termAt(match as LogIndex)
    const has = this.#termOnDisk(follower, match)
    if (expected !== undefined && has !== expected)
      throw new Violation(
        invariant,
        `${leader.name} holds match ${match} (term ${expected}) of ${follower.name}, durable term there: ${has}`,
      )
  }

  /** A configuration is a function of the applied index (RAFT-15). */
  #configuration(node: SimNode, applied: LogIndex, configuration: Configuration): void {
    const text = JSON.stringify(configuration)
    const known = this.#configurations.get(applied)
    if (configuration.voters.length === 0 && applied === 0) return
    if (known === undefined) this.#configurations.set(applied, text)
    else if (known !== text)
      throw new Violation(
        'RAFT-15',
        `${node.name} at applied ${applied} has ${text}, another replica ${known}`,
      )
  }

  /** Every proposal and every read has at most one outcome, and the outcome is true (RAFT-20). */
  #answers(node: SimNode, input: Input, output: Output): void {
    const nameOf = (seq: number) => `${node.id}/${node.disk.boot}/${seq}`
    if (input.kind === 'propose')
      for (const { seq } of input.proposals) {
        this.#outcomes.delete(nameOf(seq))
        this.#notWritten.delete(nameOf(seq))
      }
    for (const one of output.outcomes) {
      const name = nameOf(one.seq)
      const earlier = this.#outcomes.get(name)
      if (earlier !== undefined)
        throw new Violation('RAFT-20', `proposal ${name} is answered ${earlier} and then ${one.outcome}`)
      this.#outcomes.set(name, one.outcome)
      if (one.outcome === 'committed') {
        if (this.#proposals.get(name) !== one.index)
          throw new Violation(
            'RAFT-20',
            `proposal ${name} is answered committed at ${one.index}, found at ${this.#proposals.get(name)}`,
          )
      } else if (one.outcome === 'refused' || one.outcome === 'superseded') {
        if (this.#proposals.has(name))
          throw new Violation('RAFT-20', `proposal ${name} is answered ${one.outcome} and is committed`)
        this.#notWritten.add(name)
      }
    }
  }

  #sent(node: SimNode, { message, after, afterTerm }: Outgoing): void {
    if (message.to === node.id) throw new Violation('RAFT-16', `${node.name} sends ${message.type} to itself`)
    if (message.from !== node.id)
      throw new Violation('RAFT-16', `${node.name} sends under the name of ${message.from}`)
    const newest = node.process.pending.at(-1)?.write.number ?? node.process.storedWrite
    if (Math.max(after, afterTerm) > newest)
      throw new Violation(
        'RAFT-2',
        `${message.type} waits for writes ${after} and ${afterTerm}, handed out are ${newest}`,
      )
  }

  #vote(id: ReplicaId, term: number, candidate: ReplicaId): void {
    const key = `${id}/${term}`
    const earlier = this.#votes.get(key)
    if (earlier !== undefined && earlier !== candidate)
      throw new Violation('RAFT-1', `${id} voted for ${earlier} and for ${candidate} in term ${term}`)
    this.#votes.set(key, candidate)
  }
}
