// One core without a cluster. The test simulates its peers: it reads every message and makes the responses.

import {
  asIndex,
  asTerm,
  type Configuration,
  type Decision,
  type Entry,
  type LeaderLeaseSetting,
  type LogIndex,
  type Message,
  type Output,
  type RaftLimits,
  type RaftTiming,
  type ReplicaId,
  type Role,
  type Term,
} from '../../../src/raft/types.ts'
import { Disk, TestLog } from './disk.ts'
import { pastEntries } from './frames.ts'
import { id, LEASES_OFF, votersUpTo } from './members.ts'
import { type InputWithoutTime, LIMITS, type NodeWorld, SimNode, TIMING } from './node.ts'

export interface BenchOptions {
  /** Number of voters. Their ids are 1, 2, 3, …; the core on the bench is 1. */
  readonly voters?: number
  readonly configuration?: Configuration
  /** Terms of the log from index `base` + 1 on. */
  readonly terms?: readonly number[]
  readonly base?: number
  readonly baseTerm?: number
  readonly term?: number
  readonly vote?: ReplicaId
  readonly commit?: number
  readonly leases?: LeaderLeaseSetting
  readonly limits?: Partial<RaftLimits>
  readonly timing?: Partial<RaftTiming>
  readonly random?: () => number
}

/** The members of a union of messages whose type may be T. */
type OfType<One, T> = One extends Message ? (T extends One['type'] ? One : never) : never

type VoteAnswer = Extract<Message, { granted: boolean }>

/** A message in a test. The bench adds the receiver, and to a vote a commit index of 0. */
type WithoutTo<One> = One extends VoteAnswer
  ? Pick<One, 'type' | 'granted'> & { from: number; term: number; commit?: LogIndex; commitTerm?: Term }
  : One extends Message
    ? Omit<One, 'to' | 'from' | 'term'> & { from: number; term: number }
    : never
export type Incoming = WithoutTo<Message>

export class Bench implements NodeWorld {
  nowMs = 1_000_000
  readonly node: SimNode
  readonly outputs: Output[] = []
  readonly decisions: Decision[] = []
  #sent: Message[] = []
  #snapshots: { to: ReplicaId; atLeast: LogIndex }[] = []

  constructor(options: BenchOptions = {}) {
    const { base = 0, commit = base, terms = [], random = () => 0.5 } = options
    const list = pastEntries(base + 1, terms)
    const baseTerm = asTerm(base === 0 ? 0 : (options.baseTerm ?? 1))
    const disk = new Disk(
      {
        term: asTerm(options.term ?? list.at(-1)?.term ?? baseTerm),
        vote: options.vote,
        commit: asIndex(commit),
      },
      new TestLog(asIndex(base), baseTerm, list),
      {
        index: asIndex(base),
        term: baseTerm,
        state: {
          configuration: options.configuration ?? votersUpTo(options.voters ?? 3),
          leaderLeases: options.leases ?? LEASES_OFF,
        },
        clusterTimeMs: 0,
        machine: [],
      },
    )
    this.node = new SimNode(
      {
        id: id(1),
        name: 'n1',
        limits: { ...LIMITS, ...options.limits },
        timing: { ...TIMING, ...options.timing },
        random,
      },
      disk,
      this,
    )
    this.node.start()
  }

  get raft() {
    return this.node.raft
  }

  get role(): Role {
    return this.raft.role
  }

  /** Terms of its log, from the first entry that is not compacted. */
  get terms(): number[] {
    return this.node.process.log.list.map(({ term }) => term)
  }

  get committedSoFar(): Entry[] {
    return this.outputs.flatMap(({ committed }) => committed)
  }

  // ---- driving

  step(input: InputWithoutTime): void {
    this.node.step(input)
  }

  receive(message: Incoming): void {
    const { from, term, ...rest } = message
    const nothing = 'granted' in rest ? { commit: asIndex(0), commitTerm: asTerm(0) } : {}
    this.step({
      kind: 'message',
      message: { ...nothing, ...rest, from: id(from), to: id(1), term: asTerm(term) } as Message,
    })
  }

  pass(ms: number): void {
    this.nowMs += ms
    this.step({ kind: 'tick' })
  }

  /** Completes all writes and applies all committed entries. */
  settle(): void {
    const { process } = this.node
    while (process.pending.length > 0 || this.node.canApply) {
      this.node.store(process.pending.length)
      this.node.apply(process.applyQueue.length)
    }
  }

  get others(): number[] {
    const { voters, votersOutgoing, learners } = this.raft.configuration
    const ids = new Set([...voters, ...votersOutgoing, ...learners].map(Number))
    return [...ids].filter((one) => one !== 1).sort((a, b) => a - b)
  }

  /** Advances the clock to the election timeout. */
  timeout(): void {
    for (let tries = 0; tries < 20; tries++) {
      const { role, term } = this.raft
      const wait = (this.raft.deadline() ?? this.nowMs) - this.nowMs
      this.pass(Math.max(wait, 0))
      if (this.role !== role || this.raft.term !== term || this.role === 'pre-candidate') return
    }
    throw new Error('does not campaign')
  }

  /** From follower through the pre-vote to candidate; its own vote is durable and its requests have left. */
  campaign(): void {
    this.timeout()
    const term = this.raft.term + 1
    for (const from of this.others) {
      if (this.role !== 'pre-candidate') break
      this.receive({ type: 'pre-vote-answer', from, term, granted: true })
    }
    this.settle()
  }

  /** Leader of the next term. Its first entry is durable here and not yet acknowledged by any other replica. */
  lead(): void {
    this.campaign()
    for (const from of this.others) {
      if (this.role === 'leader') break
      this.receive({ type: 'vote-answer', from, term: this.raft.term, granted: true })
    }
    this.settle()
  }

  /** Every peer acknowledges the whole log. */
  acknowledge(from: readonly number[] = this.others, index: LogIndex = this.raft.lastIndex): void {
    for (const one of from)
      this.receive({
        type: 'append-accepted',
        from: one,
        term: this.raft.term,
        index,
        round: this.round,
        sentAt: 1,
        applied: asIndex(0),
      })
    this.settle()
  }

  /** Newest round that any message carried. */
  round = 0

  // ---- output

  /** The messages since the last call. */
  take(): Message[] {
    const messages = this.#sent
    this.#sent = []
    return messages
  }

  takeOf<T extends Message['type']>(type: T): OfType<Message, T>[] {
    return this.take().filter((message): message is OfType<Message, T> => message.type === type)
  }

  takeSnapshots(): { to: ReplicaId; atLeast: LogIndex }[] {
    const snapshots = this.#snapshots
    this.#snapshots = []
    return snapshots
  }

  // ---- for the node

  now(): number {
    return this.nowMs
  }

  send(_from: SimNode, message: Message): void {
    if (message.type === 'append' || message.type === 'heartbeat')
      this.round = Math.max(this.round, message.round)
    this.#sent.push(message)
  }

  sendSnapshot(_from: SimNode, to: ReplicaId, atLeast: LogIndex): void {
    this.#snapshots.push({ to, atLeast })
  }

  stepped(_node: SimNode, output: Output): void {
    this.outputs.push(output)
  }

  decided(_node: SimNode, decision: Decision): void {
    this.decisions.push(decision)
  }

  started(): void {}
  stored(): void {}
  applied(): void {}
  installed(): void {}
  ended(): void {}
}

/** An append as a leader would send it: entries of these terms after (prevIndex, prevTerm). */
export function append(
  from: number,
  term: number,
  prev: readonly [number, number],
  terms: readonly number[] = [],
  commit = 0,
): Incoming {
  return {
    type: 'append',
    from,
    term,
    prevIndex: asIndex(prev[0]),
    prevTerm: asTerm(prev[1]),
    entries: pastEntries(prev[0] + 1, terms),
    commit: asIndex(commit),
    round: 1,
  }
}

export const voteRequest = (
  from: number,
  term: number,
  last: readonly [number, number] = [0, 0],
): Incoming => ({
  type: 'vote-request',
  from,
  term,
  lastIndex: asIndex(last[0]),
  lastTerm: asTerm(last[1]),
  transfer: false,
})

/** The response of a follower to the leader's last round, unless `change` differs. */
export const heartbeatAnswer = (
  bench: Bench,
  from: number,
  change: Partial<Readonly<Record<'round' | 'applied' | 'matched' | 'room' | 'lastIndex', number>>> = {},
): Incoming => {
  const { round = bench.round, applied = 0, matched = 0, room = LIMITS.inflightBytesMax } = change
  const { lastIndex = bench.raft.lastIndex } = change
  return {
    ...{ type: 'heartbeat-answer', from, term: bench.raft.term, round, sentAt: 1 },
    ...{ applied: asIndex(applied), matched: asIndex(matched), room, lastIndex: asIndex(lastIndex) },
  }
}

/** A leader whose followers hold its whole log. */
export function leader(options: BenchOptions = {}): Bench {
  const bench = new Bench(options)
  bench.lead()
  bench.acknowledge()
  bench.take()
  return bench
}

/** A follower of replica 2 in term 1. */
export function follower(options: BenchOptions = {}): Bench {
  const bench = new Bench(options)
  bench.receive(append(2, 1, [0, 0]))
  bench.settle()
  bench.take()
  return bench
}
