// Refusal of well-formed changes: the remaining voters must be able to commit.

import { expect, test } from 'vitest'
import { ENTRY_CONFIGURATION, emptyConfiguration, encodeChange } from '../../src/raft/index.ts'
import { changeRefusal, memberName, UnappliedChanges } from '../../src/raft/membership.ts'
import { asIndex, type Configuration, type ConfigurationChange } from '../../src/raft/types.ts'
import { Bench } from './harness/bench.ts'
import { Cluster } from './harness/cluster.ts'
import { sealed } from './harness/frames.ts'
import { id, votersUpTo } from './harness/members.ts'
import { TIMING } from './harness/node.ts'

const numbers = [1, 2, 3, 4, 5]
const five: Configuration = {
  ...emptyConfiguration,
  voters: numbers.map(id),
  members: numbers.map((n) => ({ id: id(n), name: `n${n}`, peer: `n${n}:1`, url: `http://n${n}:2` })),
}

const remove = (...gone: readonly number[]): ConfigurationChange => ({
  kind: 'change',
  steps: gone.map((n) => ({ kind: 'remove', id: id(n) })),
})

/** Reason of a leader in contact with `heard`, and too new for a response of `unheard`. */
const why = (change: ConfigurationChange, heard: readonly number[], unheard: readonly number[] = []) =>
  changeRefusal(change, {
    configuration: five,
    unapplied: undefined,
    committedInTerm: true,
    isActive: (replica) => heard.map(id).includes(replica),
    isSilent: (replica) => unheard.map(id).includes(replica),
    isCaughtUp: () => true,
  })

test('voters may leave as long as a majority of the remaining ones is reachable', () => {
  expect(why(remove(4, 5), [1, 2])).toBeUndefined()
  expect(why(remove(2), [1, 3, 4])).toBeUndefined()
})

test('a needed voter is not removed: a majority of the remaining ones must be reachable', () => {
  const detail = 'the cluster would lose its quorum: of the 3 voters then left, n4, n5 cannot be reached'
  expect(why(remove(2, 3), [1, 2, 3])).toEqual({ reason: 'membership', detail })
  expect(why(remove(1), [1, 2, 3])).toMatchObject({ reason: 'membership' })
})

test('a new leader waits for first responses before it calls a voter unreachable', () => {
  const detail = 'the leader is new and has had no contact with n4, n5 yet; try again'
  expect(why(remove(2, 3), [1, 2, 3], [4, 5])).toEqual({ reason: 'membership-pending', detail })
  expect(why(remove(2, 3), [1, 2, 3], [4])).toEqual({ reason: 'membership-pending', detail })
  expect(why(remove(2, 3), [1], [4])).toEqual({ reason: 'membership-pending', detail })
  expect(why(remove(1, 2), [1, 2], [4])).toMatchObject({ reason: 'membership' })

  const bench = new Bench()
  bench.lead()
  bench.acknowledge([2])
  let seq = 0
  const refusal = (): string | undefined => {
    const body = encodeChange(remove(2))
    const frame = sealed(ENTRY_CONFIGURATION, id(1), 1, ++seq, body)
    bench.step({ kind: 'propose', proposals: [{ seq, frame }] })
    const [outcome] = bench.outputs.at(-1)?.outcomes ?? []
    return outcome?.outcome === 'refused' ? outcome.refusal.reason : undefined
  }
  expect(refusal()).toBe('membership-pending')
  for (let passed = 0; passed < TIMING.electionMaxMs; passed += TIMING.heartbeatMs) {
    bench.pass(TIMING.heartbeatMs)
    bench.acknowledge([2])
  }
  expect(refusal()).toBe('membership')
  bench.acknowledge([3])
  expect(refusal()).toBeUndefined()
})

test('a change waits, or is refused, with a sentence that says why', () => {
  const asked = (change: ConfigurationChange, other: Partial<Parameters<typeof changeRefusal>[1]> = {}) =>
    changeRefusal(change, {
      configuration: five,
      unapplied: undefined,
      committedInTerm: true,
      isActive: () => true,
      isSilent: () => false,
      isCaughtUp: () => true,
      ...other,
    })
  const pending = (detail: string) => ({ reason: 'membership-pending', detail })
  const never = (detail: string) => ({ reason: 'membership', detail })
  expect(asked(remove(5))).toBeUndefined()
  expect(asked(remove(5), { committedInTerm: false })).toEqual(
    pending('the leader is new and has not committed an entry of its term yet; try again'),
  )
  expect(asked(remove(5), { configuration: { ...five, votersOutgoing: [id(1)] } })).toEqual(
    pending('the previous change of voters is not finished yet; try again'),
  )
  expect(asked(remove(5), { unapplied: asIndex(17) })).toEqual(
    pending('another change, entry 17, is not applied yet; try again'),
  )
  expect(asked({ kind: 'leave-joint' })).toEqual(never('the leader ends a change of voters by itself'))
  expect(asked(remove(9))).toEqual(never('replica 9 is no member'))
  const learner = { ...five, voters: [1, 2, 3].map(id), learners: [4, 5].map(id) }
  const promote: ConfigurationChange = {
    kind: 'change',
    steps: [
      { kind: 'remove', id: id(5) },
      { kind: 'promote', id: id(4) },
    ],
  }
  const behind = { configuration: learner, isCaughtUp: (one: unknown) => one !== id(4) }
  expect(asked(promote, behind)).toEqual(never('learner n4 has not caught up with the log yet'))
  expect(asked(promote, { ...behind, isCaughtUp: () => false })).toEqual(
    never('learner n4 has not caught up with the log yet'),
  )
  expect(asked(promote, { ...behind, isCaughtUp: (one) => one === id(4) })).toBeUndefined()
  const only: ConfigurationChange = { kind: 'change', steps: [{ kind: 'promote', id: id(4) }] }
  expect(asked(only, { ...behind, isCaughtUp: (one) => one === id(4) })).toBeUndefined()
  expect([memberName(five, id(4)), memberName(five, id(9))]).toEqual(['n4', '9'])
})

test('a change that affects no voters needs no majority', () => {
  const moved = { id: id(2), name: 'n2', peer: 'elsewhere:1', url: 'http://elsewhere:2' }
  expect(why({ kind: 'change', steps: [{ kind: 'update', member: moved }] }, [1])).toBeUndefined()
})

test('changes that are not applied are forgotten when they are truncated, applied, or in a snapshot', () => {
  const three = (): UnappliedChanges => {
    const changes = new UnappliedChanges()
    for (const index of [4, 6, 9]) changes.appended(asIndex(index), remove(index))
    return changes
  }
  const left = (changes: UnappliedChanges) => [changes.size, changes.oldest]
  expect(left(three())).toEqual([3, 4])
  const cut = three()
  cut.truncatedFrom(asIndex(6))
  expect(left(cut)).toEqual([1, 4])
  const restored = three()
  restored.restored(asIndex(6))
  expect(left(restored)).toEqual([1, 9])
  const applied = three()
  expect(applied.takeApplied(asIndex(3))).toBeUndefined()
  expect(applied.takeApplied(asIndex(4))).toEqual({ index: 4, change: remove(4) })
  expect(applied.takeApplied(asIndex(5))).toBeUndefined()
  expect(left(applied)).toEqual([2, 6])
})

/** n1 leads n2 and receives a request to remove one of the two. */
function removingOneOfTwo(gone: number): Cluster {
  const cluster = new Cluster()
  for (const name of ['n1', 'n2']) cluster.add(name, { configuration: votersUpTo(2), terms: [1], commit: 1 })
  cluster.connectAll()
  cluster.timeout(cluster.node('n1'))
  cluster.run(2 * TIMING.electionMaxMs)
  expect(cluster.leader()).toBe(cluster.node('n1'))
  cluster.node('n1').change(remove(gone))
  return cluster
}

const votersOf = (cluster: Cluster, name: string) => cluster.node(name).raft.configuration.voters.map(Number)

test('a voter that has removed the other of two knows this after a crash, and needs no other', () => {
  const cluster = removingOneOfTwo(2)
  const [n1, n2] = [cluster.node('n1'), cluster.node('n2')]
  cluster.settle()
  expect([votersOf(cluster, 'n1'), votersOf(cluster, 'n2')]).toEqual([[1], [1]])
  cluster.crash(n2)
  cluster.crash(n1)
  cluster.restart(n1)
  cluster.run(10 * TIMING.electionMaxMs)
  expect(cluster.leader()).toBe(n1)
})

test('the successor of a leader that was removed knows that it is alone after a crash', () => {
  const cluster = removingOneOfTwo(1)
  const [n1, n2] = [cluster.node('n1'), cluster.node('n2')]
  // Everything arrives except the last message, TimeoutNow.
  cluster.held.add('deliver n2')
  const next = () =>
    cluster.packets.find(
      ({ content }) => content.kind === 'message' && content.message.type !== 'timeout-now',
    )
  for (let packet = next(); packet !== undefined; packet = next()) {
    cluster.deliver(packet)
    cluster.settle()
  }
  expect([n1.raft.role, votersOf(cluster, 'n2')]).toEqual(['follower', [2]])
  cluster.crash(n1)
  cluster.crash(n2)
  cluster.restart(n2)
  cluster.run(10 * TIMING.electionMaxMs)
  expect(cluster.leader()).toBe(n2)
})

test('no replica learns that the joint configuration is left before this is durable on the leader', () => {
  const cluster = removingOneOfTwo(2)
  const [n1, n2] = [cluster.node('n1'), cluster.node('n2')]
  while (n1.raft.commit < n1.raft.lastIndex || n1.raft.configuration.votersOutgoing.length === 0) {
    const [packet] = cluster.packets
    if (n1.process.pending.length > 0) n1.store()
    else if (n1.canApply) n1.apply()
    else if (n2.process.pending.length > 0) n2.store()
    else if (packet !== undefined) cluster.deliver(packet)
  }
  cluster.held.add('store n1')
  cluster.run(TIMING.electionMinMs / 2)
  for (const { raft } of [n1, n2]) expect(raft.configuration.votersOutgoing).toEqual([id(1), id(2)])
  cluster.held.clear()
  cluster.settle()
  expect([votersOf(cluster, 'n1'), votersOf(cluster, 'n2')]).toEqual([[1], [1]])
})

test('a replica that knows that the joint configuration is left says so with its vote, also to one with a longer log', () => {
  const cluster = new Cluster()
  for (const name of ['n1', 'n2', 'n3', 'n4'])
    cluster.add(name, { configuration: votersUpTo(4), terms: [1], commit: 1 })
  const [n1, n2, n3] = [cluster.node('n1'), cluster.node('n2'), cluster.node('n3')]
  cluster.connectAll()
  cluster.timeout(n1)
  cluster.run(TIMING.electionMaxMs)
  n1.change(remove(4))
  const leave = n1.raft.lastIndex + 1
  const move = () => {
    const [packet] = cluster.packets
    const storing = cluster.running.find(({ process }) => process.pending.length > 0)
    const applying = cluster.running.find(({ canApply }) => canApply)
    if (storing !== undefined) storing.store()
    else if (applying !== undefined) applying.apply()
    else if (packet !== undefined) cluster.deliver(packet)
    else cluster.wake(n1)
  }
  while (n1.raft.lastIndex < leave) move()
  // All have the entry that leaves it, and n3 and n4 have one more.
  cluster.held.add('deliver n1')
  cluster.settle()
  cluster.held.add('deliver n2')
  n1.propose('x')
  cluster.settle()
  cluster.packets = cluster.packets.filter(({ to }) => to !== n2.id)
  // n2 learns that it is committed, n3 does not.
  cluster.disconnect(n3, [n1])
  cluster.held.delete('deliver n1')
  cluster.settle()
  const news = () =>
    cluster.packets.find(
      ({ to, content }) =>
        to === n2.id &&
        content.kind === 'message' &&
        content.message.type === 'heartbeat' &&
        content.message.commit === leave,
    )
  let packet = news()
  for (; packet === undefined; packet = news()) cluster.wake(n1)
  cluster.deliver(packet)
  cluster.held.clear()
  cluster.settle([n2])
  expect([n2, n3].map(({ raft }) => [raft.commit, raft.lastIndex])).toEqual([
    [leave, leave],
    [leave - 1, leave + 1],
  ])
  cluster.crash(n1)
  cluster.crash(cluster.node('n4'))
  cluster.run(20 * TIMING.electionMaxMs)
  expect(cluster.leader()).toBe(n3)
})
