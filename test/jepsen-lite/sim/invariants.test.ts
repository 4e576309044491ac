// Each of the rules that hold after every event is broken once. A rule that cannot fail protects nothing.

import { expect, test } from 'vitest'
import {
  Invariants,
  type LogReplay,
  type ObservedReplica,
} from '../../../jepsen-lite/sim/oracle/invariants.ts'
import { NO_EFFECT } from '../../../jepsen-lite/sim/oracle/model.ts'
import { RuleViolation } from '../../../jepsen-lite/sim/oracle/violation.ts'
import { stampFrame } from '../../../src/raft/entry.ts'
import {
  asIndex,
  asReplicaId,
  asTerm,
  bootstrapConfiguration,
  type Configuration,
  type Entry,
  encodeAppliedState,
  type HardState,
  type Message,
  type Output,
  type ProgressStatus,
  type RaftStatus,
  type Write,
} from '../../../src/raft/index.ts'
import { textFrame } from '../../raft/harness/frames.ts'

const NO_LEASES = { on: false, durationMs: 100 }
const ids = ['1', '2', '3'].map(asReplicaId)
const [id1, id2] = ids as [(typeof ids)[0], (typeof ids)[0]]
const members = ids.map((id) => ({ id, name: `n${id}`, peer: '', url: '' }))
const configuration: Configuration = {
  ...bootstrapConfiguration({ id: id1, name: 'n1', peer: '', url: '' }),
  members,
  voters: ids,
}
const raft = encodeAppliedState({ configuration, leaderLeases: NO_LEASES })
const NOTHING: Output = {
  ...{ write: undefined, messages: [], committed: [], outcomes: [], reads: [], snapshots: [] },
  ...{ transfer: undefined, roleChange: undefined, fatal: undefined },
}

const hard = (term: number, vote?: typeof id1, commit = 1): HardState => ({
  ...{ term: asTerm(term), vote, commit: asIndex(commit) },
})

/** An entry of a text. Its proposal has the number `seq`. */
function entry(index: number, term: number, { text = 'a', seq = index, clusterTimeMs = 0 } = {}): Entry {
  const frame = textFrame(id1, 1, seq, text)
  stampFrame(frame, asTerm(term), asIndex(index), clusterTimeMs)
  return { index: asIndex(index), term: asTerm(term), frame }
}

const write = (entries: readonly Entry[], hardState: HardState, truncateFrom?: number): Write => ({
  ...{ number: 1, hardState, entries, snapshot: undefined },
  truncateFrom: truncateFrom === undefined ? undefined : asIndex(truncateFrom),
})

const snapshot = (index: number, term: number, keepLog: boolean): Write => ({
  ...write([], hard(1)),
  snapshot: {
    meta: { index: asIndex(index), term: asTerm(term) } as NonNullable<Write['snapshot']>['meta'],
    ...{ snapshotId: 's', keepLog },
  },
})

/** A state machine whose entries have these principals, and no effect. */
function createReplay(principals: string[]): LogReplay {
  let [index, revision] = [0, 0]
  return {
    get index() {
      return index
    },
    get revision() {
      return revision
    },
    startAt(last) {
      index = last
    },
    apply() {
      index++
      revision++
      return { ...NO_EFFECT, principal: principals.shift() ?? '' }
    },
  }
}

/** Three replicas that hold the committed entry 1 of term 1, and run. All are followers in term 1. */
class Scene {
  /** Principals of the next entries that are applied. */
  readonly principals: string[] = []
  readonly rules = new Invariants(() => createReplay(this.principals), {
    ...{ heartbeatMs: 50, electionMaxMs: 300, fixedTimeouts: true },
  })
  readonly replicas: ObservedReplica[]
  readonly #states = new Map<ObservedReplica, { status: RaftStatus; hardState: HardState }>()
  time = 1000

  constructor() {
    this.replicas = members.map(({ id, name }) => {
      const replica = this.rules.adopt(id, name, { hardState: hard(1), applied: this.record(1, 1) })
      this.rules.opened(replica, this.recovered(1))
      this.begin(replica, {})
      return replica
    })
  }

  record(index: number, term: number, state = raft) {
    return { index: asIndex(index), term: asTerm(term), raft: state }
  }

  recovered(boot: number, { hardState = hard(1), lastIndex = 1, applied = 1 } = {}) {
    const log = { lastIndex: () => asIndex(lastIndex), termAt: () => asTerm(1) }
    return { boot, hardState, applied: this.record(applied, 1), stateHash: 0n, log }
  }

  begin(replica: ObservedReplica, changes: Partial<RaftStatus>): void {
    const one = asIndex(1)
    const status: RaftStatus = {
      ...{ id: replica.id, role: 'follower', term: asTerm(1), vote: undefined, leader: undefined },
      ...{ commit: one, applied: one, firstIndex: asIndex(2), lastIndex: one, stableIndex: one },
      ...{ configuration, leaderLeases: NO_LEASES, leaderLeaseValid: false, transferTarget: undefined },
      ...{ progress: [], reachesLeader: false, oldestWriteMs: 0, stalenessMs: undefined },
      ...changes,
    }
    const state = { status, hardState: hard(status.term) }
    this.#states.set(replica, state)
    this.rules.coreBegins(replica, {
      ...{ status: () => state.status, hardState: () => state.hardState, deadline: () => 0 },
    })
    replica.now = () => this.time
  }

  /** One step of the core. A change of term, vote or log is in its write. */
  step(replica: ObservedReplica, changes: Partial<RaftStatus>, output: Partial<Output> = {}): void {
    const state = this.#states.get(replica)
    if (state === undefined) throw new Error('it has no core')
    state.status = { ...state.status, ...changes }
    const { term, vote, commit } = state.status
    state.hardState = { term, vote, commit }
    this.rules.stepped(replica, { ...NOTHING, ...output })
  }

  store(replica: ObservedReplica, writes: readonly Write[], hardState: HardState, applied = 1): void {
    const batch = { writes, hardState, compactLogTo: undefined }
    this.rules.durable(
      replica,
      this.rules.begins(replica, batch, () => applied),
    )
  }

  send(replica: ObservedReplica, message: object): void {
    this.rules.sent(replica, { from: replica.id, to: id2, ...message } as Message)
  }

  hear(replica: ObservedReplica, message: object): void {
    this.rules.messageReceived(replica, { to: replica.id, ...message } as Message, 1)
  }

  apply(replica: ObservedReplica, index: number, term: number, { state = raft, hash = 0n } = {}): void {
    this.rules.applies(replica, this.record(index, term, state), hash)
  }

  /** Replicas 1 and 2 vote for `leader` in term 2, and it leads with entry 2 in its log and on its disk. */
  elect(leader: ObservedReplica): void {
    for (const voter of this.replicas.slice(0, 2)) this.vote(voter, leader)
    const vote = leader.id
    this.step(leader, { term: asTerm(2), vote, role: 'candidate' }, { write: write([], hard(2, vote)) })
    const first = write([entry(2, 2)], hard(2, vote))
    this.step(leader, { role: 'leader', lastIndex: asIndex(2), stableIndex: asIndex(2) }, { write: first })
    this.store(leader, [first], hard(2, vote))
  }

  vote(voter: ObservedReplica, candidate: ObservedReplica): void {
    this.hear(candidate, { type: 'pre-vote-answer', from: voter.id, term: 2, granted: true })
    this.store(voter, [], hard(2, candidate.id))
    if (voter !== candidate)
      this.send(voter, { type: 'vote-answer', to: candidate.id, term: 2, granted: true, commit: 1 })
  }

  /** Commits and applies entry 2 of term 2 everywhere that `elect` has put it. */
  commit(leader: ObservedReplica, follower: ObservedReplica): void {
    this.store(follower, [write([entry(2, 2)], hard(2, leader.id))], hard(2, leader.id))
    this.step(leader, { commit: asIndex(2) }, { committed: [entry(2, 2)] })
    this.apply(leader, 2, 2)
  }
}

const two = asIndex(2)
const joint: Configuration = { ...configuration, votersOutgoing: [id1] }
const progress = (match: number, next: number): ProgressStatus[] => [
  { id: id2, match: asIndex(match), next: asIndex(next) } as ProgressStatus,
]

type Break = (scene: Scene, n1: ObservedReplica, n2: ObservedReplica, n3: ObservedReplica) => void

const BROKEN: readonly (readonly [rule: string, what: string, broken: Break])[] = [
  [
    'RAFT-1',
    'a vote changes in a step',
    (scene, n1) => {
      scene.step(n1, { vote: id1 }, { write: write([], hard(1, id1)) })
      scene.step(n1, { vote: id2 }, { write: write([], hard(1, id2)) })
    },
  ],
  ['RAFT-1', 'a new term is not to be stored', (scene, n1) => scene.step(n1, { term: asTerm(2) })],
  [
    'RAFT-1',
    'a write has another vote than the core',
    (scene, n1) => scene.step(n1, { vote: id1 }, { write: write([], hard(1, id2)) }),
  ],
  [
    'RAFT-1',
    'a vote changes on the disk',
    (scene, n1) => {
      scene.store(n1, [], hard(2, id1))
      scene.store(n1, [], hard(2, id2))
    },
  ],
  [
    'RAFT-1',
    'a disk loses its vote',
    (scene, n1) => {
      scene.store(n1, [], hard(2, id1))
      scene.store(n1, [], hard(2))
    },
  ],
  [
    'RAFT-1',
    'a granted vote is not durable',
    (scene, n1) => {
      scene.store(n1, [], hard(2))
      scene.send(n1, { type: 'vote-answer', term: 2, granted: true, commit: 1 })
    },
  ],
  [
    'RAFT-1',
    'two candidates get a vote',
    (scene, n1, _n2, n3) => {
      scene.store(n1, [], hard(2, id2))
      scene.send(n1, { type: 'vote-answer', term: 2, granted: true, commit: 1 })
      scene.store(n1, [], hard(3))
      scene.send(n1, { type: 'vote-answer', to: n3.id, term: 2, granted: true, commit: 1 })
    },
  ],
  [
    'RAFT-1',
    'votes are requested without an own one',
    (scene, n1) => {
      scene.store(n1, [], hard(2))
      scene.send(n1, { type: 'vote-request', term: 2 })
    },
  ],
  [
    'RAFT-2',
    'a message waits for a write that nobody has',
    (scene, n1) =>
      scene.step(
        n1,
        {},
        {
          messages: [
            { message: { type: 'heartbeat', from: id1, to: id2 } as Message, after: 5, afterTerm: 0 },
          ],
        },
      ),
  ],
  [
    'RAFT-2',
    'a message has a term that is not durable',
    (scene, n1) => scene.send(n1, { type: 'append-accepted', term: 2, index: 1 }),
  ],
  ['RAFT-2', 'a greeting has a term that is not durable', ({ rules }, n1) => rules.greets(n1, { term: 2 })],
  [
    'RAFT-3',
    'an entry is accepted that is not durable',
    (scene, n1) => scene.send(n1, { type: 'append-accepted', term: 1, index: 2 }),
  ],
  [
    'RAFT-4',
    'a core begins in an older term',
    (scene, n1) => {
      scene.store(n1, [], hard(2))
      scene.begin(n1, {})
    },
  ],
  [
    'RAFT-4',
    'a term falls in a step',
    (scene, n1) => {
      scene.step(n1, { term: asTerm(3) }, { write: write([], hard(3)) })
      scene.step(n1, { term: asTerm(2) }, { write: write([], hard(2)) })
    },
  ],
  [
    'RAFT-4',
    'a term falls on the disk',
    (scene, n1) => {
      scene.store(n1, [], hard(3))
      scene.store(n1, [], hard(2))
    },
  ],
  [
    'RAFT-4',
    'an entry is newer than the term',
    (scene, n1) => scene.store(n1, [write([entry(2, 2)], hard(1))], hard(1)),
  ],
  [
    'RAFT-5',
    'the commit index is beyond the log',
    (scene, n1, n2, n3) => {
      scene.elect(n1)
      scene.commit(n1, n2)
      scene.store(n3, [], hard(2, undefined, 2))
    },
  ],
  [
    'RAFT-5',
    'applied rows are durable beyond the commit index',
    (scene, n1) => scene.store(n1, [], hard(1), 2),
  ],
  [
    'RAFT-6',
    'a replica leads without votes',
    (scene, n1) =>
      scene.step(n1, { role: 'leader', term: asTerm(2), vote: id1 }, { write: write([], hard(2, id1)) }),
  ],
  [
    'RAFT-6',
    'a replica leads without the votes of the old half',
    (scene, _n1, n2, n3) => {
      scene.vote(n2, n3)
      scene.vote(n3, n3)
      const changes = { term: asTerm(2), vote: n3.id, role: 'leader' } as const
      scene.step(n3, { ...changes, configuration: joint }, { write: write([], hard(2, n3.id)) })
    },
  ],
  [
    'RAFT-6',
    'two replicas lead a term',
    (scene, n1, n2) => {
      scene.elect(n1)
      scene.store(n2, [], hard(3))
      scene.send(n2, { type: 'heartbeat', to: id1, term: 2, commit: 1, round: 1 })
    },
  ],
  [
    'RAFT-7',
    'a leader truncates its log',
    (scene, n1) => {
      scene.elect(n1)
      scene.step(n1, { lastIndex: asIndex(1) }, { write: write([], hard(2, id1), 2) })
    },
  ],
  [
    'RAFT-7',
    'a leader truncates its disk',
    (scene, n1) => {
      scene.elect(n1)
      scene.store(n1, [write([], hard(2, id1), 2)], hard(2, id1))
    },
  ],
  [
    'RAFT-7',
    'a follower truncates what is committed',
    (scene, n1, n2) => {
      scene.elect(n1)
      scene.commit(n1, n2)
      scene.store(n2, [], hard(3))
      scene.store(n2, [write([], hard(3), 2)], hard(3))
    },
  ],
  [
    'RAFT-7',
    'a core truncates below its commit index',
    (scene, n1) => scene.step(n1, {}, { write: write([], hard(1), 1) }),
  ],
  ['RAFT-7', 'a core and its driver have other logs', (scene, n1) => scene.step(n1, { lastIndex: two })],
  [
    'RAFT-8',
    'two entries have an index and a term',
    (scene, n1, n2) => {
      scene.store(n1, [write([entry(2, 1)], hard(1))], hard(1))
      scene.store(n2, [write([entry(2, 1, { text: 'b' })], hard(1))], hard(1))
    },
  ],
  [
    'RAFT-8',
    'an entry follows another term elsewhere',
    (scene, n1, n2) => {
      scene.store(n1, [write([entry(2, 1), entry(3, 3)], hard(3))], hard(3))
      scene.store(n2, [write([entry(2, 2), entry(3, 3)], hard(3))], hard(3))
    },
  ],
  [
    'RAFT-8',
    'terms fall in a log',
    (scene, n1) => scene.store(n1, [write([entry(2, 3), entry(3, 2)], hard(3))], hard(3)),
  ],
  [
    'RAFT-8',
    'an append has entries from before its begin',
    (scene, n1) => {
      const entries = [entry(2, 1)]
      scene.send(n1, { type: 'append', term: 1, prevIndex: 2, prevTerm: 1, entries, commit: 1 })
    },
  ],
  [
    'RAFT-8',
    'a committed entry has bytes that no log has',
    (scene, n1, n2) => {
      scene.elect(n1)
      scene.store(n2, [write([entry(2, 2)], hard(2, id1))], hard(2, id1))
      scene.step(n1, { commit: two }, { committed: [entry(2, 2, { text: 'b' })] })
    },
  ],
  [
    'RAFT-9',
    'a leader lacks what is committed',
    (scene, n1, n2, n3) => {
      scene.elect(n1)
      scene.commit(n1, n2)
      for (const voter of [n2, n3]) {
        scene.hear(n3, { type: 'pre-vote-answer', from: voter.id, term: 3, granted: true })
        scene.store(voter, [], hard(3, n3.id))
        if (voter === n2)
          scene.send(n2, { type: 'vote-answer', to: n3.id, term: 3, granted: true, commit: 1 })
      }
      scene.step(n3, { term: asTerm(3), vote: n3.id, role: 'leader' }, { write: write([], hard(3, n3.id)) })
    },
  ],
  [
    'RAFT-9',
    'a term begins at a committed index',
    (scene, n1, n2, n3) => {
      scene.elect(n1)
      scene.commit(n1, n2)
      scene.store(n3, [write([entry(2, 3)], hard(3))], hard(3))
    },
  ],
  [
    'RAFT-9',
    'an older leader commits behind the begin of a newer term',
    (scene, n1, n2, n3) => {
      scene.elect(n1)
      scene.store(n2, [write([entry(2, 2)], hard(2, id1))], hard(2, id1))
      scene.store(n3, [write([entry(2, 3)], hard(3))], hard(3))
      scene.step(n1, { commit: two })
    },
  ],
  [
    'RAFT-10',
    'replicas apply entries of two terms',
    (scene, n1, n2, n3) => {
      scene.elect(n1)
      scene.commit(n1, n2)
      scene.apply(n3, 2, 1)
    },
  ],
  [
    'RAFT-10',
    'cores hand out entries of two terms',
    (scene, n1, n2, n3) => {
      scene.elect(n1)
      scene.commit(n1, n2)
      const old = write([entry(2, 1)], hard(1, undefined, 2))
      scene.step(n3, { lastIndex: two, commit: two }, { write: old, committed: [entry(2, 1)] })
    },
  ],
  [
    'RAFT-11',
    'a leader commits without a majority',
    (scene, n1) => {
      scene.elect(n1)
      scene.step(n1, { commit: two })
    },
  ],
  [
    'RAFT-11',
    'a leader commits an entry of an older term',
    (scene, n1, n2) => {
      const old = write([entry(2, 1)], hard(1))
      for (const replica of [n1, n2]) {
        scene.step(replica, { lastIndex: two }, { write: old })
        scene.store(replica, [old], hard(1))
        scene.vote(replica, n1)
      }
      scene.step(n1, { term: asTerm(2), vote: id1, role: 'leader' }, { write: write([], hard(2, id1)) })
      scene.step(n1, { commit: two })
    },
  ],
  [
    'RAFT-11',
    'a follower commits what no leader has committed',
    (scene, n1) => {
      const more = write([entry(2, 1)], hard(1))
      scene.step(
        n1,
        { lastIndex: two, commit: two },
        { write: { ...more, hardState: hard(1, undefined, 2) } },
      )
    },
  ],
  [
    'RAFT-11',
    'a message shows a commit of no leader',
    (scene, n1) => scene.send(n1, { type: 'vote-answer', term: 1, granted: false, commit: 2 }),
  ],
  ['RAFT-12', 'the commit index falls in a step', (scene, n1) => scene.step(n1, { commit: asIndex(0) })],
  [
    'RAFT-12',
    'the commit index falls on the disk',
    (scene, n1) => scene.store(n1, [], hard(1, undefined, 0), 0),
  ],
  ['RAFT-13', 'an entry is applied again', (scene, n1) => scene.apply(n1, 1, 1)],
  ['RAFT-13', 'an entry is skipped', (scene, n1) => scene.apply(n1, 3, 1)],
  [
    'RAFT-13',
    'an entry is applied before the one before it was applied anywhere',
    (scene, n1) => {
      scene.store(n1, [write([entry(2, 1), entry(3, 1)], hard(1))], hard(1))
      n1.applied = 2
      scene.rules.maxCommitted = 3
      scene.apply(n1, 3, 1)
    },
  ],
  ['RAFT-13', 'the applied index falls', (scene, n1) => scene.step(n1, { applied: asIndex(0) })],
  ['RAFT-13', 'more is applied than committed', (scene, n1) => scene.step(n1, { applied: two })],
  ['RAFT-13', 'a core skips an entry', (scene, n1) => scene.step(n1, {}, { committed: [entry(3, 1)] })],
  [
    'RAFT-13',
    'a core hands out what is not committed',
    (scene, n1) => scene.step(n1, {}, { committed: [entry(2, 1)] }),
  ],
  [
    'RAFT-13',
    'a core steps while no process runs',
    (scene, n1) => {
      scene.rules.ended(n1)
      scene.step(n1, {})
    },
  ],
  [
    'RAFT-14',
    'the match of a follower is not durable there',
    (scene, n1) => {
      scene.elect(n1)
      scene.step(n1, { progress: progress(2, 3) })
    },
  ],
  [
    'RAFT-14',
    'the match of a follower falls',
    (scene, n1) => {
      scene.elect(n1)
      scene.step(n1, { progress: progress(1, 2) })
      scene.step(n1, { progress: progress(0, 1) })
    },
  ],
  [
    'RAFT-14',
    'the next entry is not after the match',
    (scene, n1) => {
      scene.elect(n1)
      scene.step(n1, { progress: progress(1, 1) })
    },
  ],
  [
    'RAFT-14',
    'a follower accepts another log than that of its leader',
    (scene, n1, n2) => {
      scene.elect(n1)
      scene.store(n2, [write([entry(2, 1)], hard(2, id1))], hard(2, id1))
      scene.send(n2, { type: 'append-accepted', to: id1, term: 2, index: 2 })
    },
  ],
  [
    'RAFT-15',
    'replicas have other configurations at one index',
    (scene, n1) => scene.step(n1, { configuration: joint }),
  ],
  [
    'RAFT-15',
    'the applied configuration differs',
    (scene, n1, n2, n3) => {
      scene.elect(n1)
      scene.commit(n1, n2)
      const state = encodeAppliedState({ configuration: joint, leaderLeases: NO_LEASES })
      scene.apply(n3, 2, 2, { state })
    },
  ],
  [
    'RAFT-16',
    'a message has the name of another replica',
    (scene, n1) => scene.send(n1, { type: 'heartbeat', from: id2, to: id2, term: 1, commit: 1, round: 1 }),
  ],
  [
    'RAFT-16',
    'a replica sends to itself',
    (scene, n1) => scene.send(n1, { type: 'heartbeat', to: id1, term: 1, commit: 1, round: 1 }),
  ],
  [
    'RAFT-17',
    'a leader grants a pre-vote',
    (scene, n1) => {
      scene.elect(n1)
      scene.send(n1, { type: 'pre-vote-answer', term: 3, granted: true, commit: 1 })
    },
  ],
  [
    'RAFT-20',
    'a proposal is committed twice',
    (scene, n1, n2) => {
      scene.elect(n1)
      scene.commit(n1, n2)
      const again = write([entry(3, 2, { seq: 2 })], hard(2, id1, 2))
      scene.step(n1, { lastIndex: asIndex(3) }, { write: again })
      for (const replica of [n1, n2]) scene.store(replica, [again], hard(2, id1, 2), 2)
      scene.step(n1, { commit: asIndex(3) }, { committed: [entry(3, 2, { seq: 2 })] })
    },
  ],
  [
    'RAFT-20',
    'a proposal has two outcomes',
    (scene, n1) => {
      const outcomes = [{ seq: 7, outcome: 'unknown' }] as unknown as Output['outcomes']
      scene.step(n1, {}, { outcomes })
      scene.step(n1, {}, { outcomes })
    },
  ],
  [
    'RAFT-20',
    'a committed proposal is refused',
    (scene, n1, n2) => {
      scene.elect(n1)
      scene.commit(n1, n2)
      scene.step(n1, {}, { outcomes: [{ seq: 2, outcome: 'refused' }] as unknown as Output['outcomes'] })
    },
  ],
  [
    'RAFT-20',
    'a refused proposal is committed',
    (scene, n1, n2) => {
      scene.elect(n1)
      scene.step(n1, {}, { outcomes: [{ seq: 2, outcome: 'refused' }] as unknown as Output['outcomes'] })
      scene.commit(n1, n2)
    },
  ],
  [
    'RAFT-20',
    'a proposal is committed elsewhere',
    (scene, n1, n2) => {
      scene.elect(n1)
      scene.commit(n1, n2)
      const outcomes = [{ seq: 2, outcome: 'committed', index: 3 }] as unknown as Output['outcomes']
      scene.step(n1, {}, { outcomes })
    },
  ],
  [
    'RAFT-24',
    'a leader does not commit what a majority has',
    (scene, n1, n2) => {
      scene.elect(n1)
      scene.store(n2, [write([entry(2, 2)], hard(2, id1))], hard(2, id1))
      scene.step(n1, { progress: progress(2, 3) })
      scene.send(n1, { type: 'heartbeat', term: 2, commit: 1, round: 1 })
    },
  ],
  [
    'LEASE-1',
    'a vote is granted while the leader may have a lease',
    (scene, n1) => {
      const leaderLeases = { on: true, durationMs: 100 }
      scene.step(n1, { leaderLeases })
      scene.hear(n1, { type: 'heartbeat', from: id2, term: 1 })
      scene.time += 99
      scene.store(n1, [], hard(2, id2))
      scene.send(n1, { type: 'vote-answer', term: 2, granted: true, commit: 1 })
    },
  ],
  [
    'LEASE-1',
    'a replica campaigns while the leader may have a lease',
    (scene, n1) => {
      scene.step(n1, { leaderLeases: { on: true, durationMs: 100 } })
      scene.hear(n1, { type: 'heartbeat', from: id2, term: 1 })
      scene.send(n1, { type: 'pre-vote-request', term: 2 })
    },
  ],
  [
    'LEASE-1',
    'a pre-vote is granted while the leader may have a lease',
    (scene, n1) => {
      scene.step(n1, { leaderLeases: { on: true, durationMs: 100 } })
      scene.hear(n1, { type: 'heartbeat', from: id2, term: 1 })
      scene.send(n1, { type: 'pre-vote-answer', term: 2, granted: true, commit: 1 })
    },
  ],
  [
    'SNAP-1',
    'a snapshot has another term than what is committed',
    (scene, n1, n2, n3) => {
      scene.elect(n1)
      scene.commit(n1, n2)
      scene.store(n3, [snapshot(2, 1, false)], hard(2, undefined, 2), 2)
    },
  ],
  [
    'SNAP-1',
    'a snapshot holds what is not committed',
    (scene, n1) => scene.store(n1, [snapshot(2, 1, false)], hard(1)),
  ],
  [
    'SNAP-2',
    'a snapshot is older than the state',
    (scene, n1) => scene.store(n1, [snapshot(1, 1, true)], hard(1)),
  ],
  [
    'SNAP-3',
    'a log that fits is dropped',
    (scene, n1, n2, n3) => {
      scene.elect(n1)
      scene.commit(n1, n2)
      scene.store(n3, [write([entry(2, 2)], hard(2))], hard(2))
      scene.store(n3, [snapshot(2, 2, false)], hard(2, undefined, 1))
    },
  ],
  [
    'SNAP-3',
    'a log that does not fit is kept',
    (scene, n1, n2, n3) => {
      scene.elect(n1)
      scene.commit(n1, n2)
      scene.store(n3, [snapshot(2, 2, true)], hard(2))
    },
  ],
  [
    'DISK-1',
    'a vote is lost',
    (scene, n1) => {
      scene.store(n1, [], hard(2, id1))
      scene.rules.opened(n1, scene.recovered(2, { hardState: hard(2) }))
    },
  ],
  [
    'DISK-1',
    'an entry is lost',
    (scene, n1) => {
      scene.store(n1, [write([entry(2, 1)], hard(1))], hard(1))
      scene.rules.opened(n1, scene.recovered(2))
    },
  ],
  [
    'DISK-1',
    'an applied row is lost',
    (scene, n1) => scene.rules.opened(n1, scene.recovered(2, { applied: 0 })),
  ],
  [
    'DISK-1',
    'a state would not be recovered',
    (scene, n1) => scene.rules.wouldOpen(n1, scene.recovered(2, { hardState: hard(0) }), ''),
  ],
  ['DISK-2', 'a boot counter does not rise', (scene, n1) => scene.rules.opened(n1, scene.recovered(1))],
  ['DISK-3', 'a store would refuse its disk', (scene, n1) => scene.rules.wouldOpen(n1, undefined, 'damaged')],
  [
    'KV-1',
    'replicas hold other states',
    (scene, n1, n2, n3) => {
      scene.elect(n1)
      scene.commit(n1, n2)
      scene.apply(n3, 2, 2, { hash: 1n })
    },
  ],
  [
    'KV-1',
    'a snapshot has another state',
    (scene, n1, n2, n3) => {
      scene.elect(n1)
      scene.commit(n1, n2)
      scene.rules.installed(n3, { applied: scene.record(2, 2), stateHash: 1n })
    },
  ],
  [
    'KV-12',
    'cluster time runs faster than the clock of the leader',
    (scene, n1) => {
      scene.elect(n1)
      scene.time += 10
      scene.store(n1, [write([entry(3, 2, { clusterTimeMs: 20 })], hard(2, id1))], hard(2, id1))
    },
  ],
  [
    'ANSWER-1',
    'what was refused is committed',
    (scene, n1, n2) => {
      scene.elect(n1)
      scene.rules.notWritten('request')
      scene.principals.push('request')
      scene.commit(n1, n2)
    },
  ],
  [
    'ANSWER-1',
    'what is committed is refused',
    (scene, n1, n2) => {
      scene.elect(n1)
      scene.principals.push('request')
      scene.commit(n1, n2)
      scene.rules.notWritten('request')
    },
  ],
  [
    'ANSWER-2',
    'a request without a token is committed twice',
    (scene, n1, n2) => {
      scene.elect(n1)
      scene.principals.push('request', 'request')
      scene.commit(n1, n2)
      const more = write([entry(3, 2)], hard(2, id1, 2))
      scene.step(n1, { lastIndex: asIndex(3) }, { write: more })
      for (const replica of [n1, n2]) scene.store(replica, [more], hard(2, id1, 2), 2)
      scene.step(n1, { commit: asIndex(3) }, { committed: [entry(3, 2)] })
      scene.apply(n1, 3, 2)
    },
  ],
]

test.each(BROKEN)('%s: %s', (rule, _, broken) => {
  const scene = new Scene()
  const [n1, n2, n3] = scene.replicas
  if (n1 === undefined || n2 === undefined || n3 === undefined) throw new Error('three replicas')
  let caught: unknown
  try {
    broken(scene, n1, n2, n3)
  } catch (error) {
    caught = error
  }
  expect(caught).toBeInstanceOf(RuleViolation)
  expect(String(caught)).toContain(`${rule}: `)
  expect(scene.rules.violation).toBe(caught)
})

test('an election, a commit and its application break no rule', () => {
  const scene = new Scene()
  const [n1, n2, n3] = scene.replicas
  if (n1 === undefined || n2 === undefined || n3 === undefined) throw new Error('three replicas')
  scene.elect(n1)
  scene.commit(n1, n2)
  scene.send(n1, { type: 'heartbeat', term: 2, commit: 2, round: 1 })
  scene.store(n3, [write([entry(2, 2)], hard(2))], hard(2, undefined, 2))
  scene.apply(n3, 2, 2)
  expect(scene.rules.violation).toBeUndefined()
})

test('a replica whose disk is put back gives names of proposals again that are committed', () => {
  const scene = new Scene()
  const [n1, n2] = scene.replicas
  if (n1 === undefined || n2 === undefined) throw new Error('three replicas')
  const before = { ...n1.durable, terms: [...n1.durable.terms] }
  scene.elect(n1)
  scene.commit(n1, n2)
  scene.rules.putBack(n1, before)
  // With the boot of the process before.
  scene.rules.opened(n1, scene.recovered(1))
  scene.begin(n1, {})
  scene.step(n1, {}, { outcomes: [{ seq: 2, outcome: 'refused' }] as unknown as Output['outcomes'] })
  expect(scene.rules.violation).toBeUndefined()
})
