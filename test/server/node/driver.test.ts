// The driver in virtual time: whole nodes, advanced by the test, in the simulator's cluster.

import { expect, test } from 'vitest'
import { CLUSTER_VERSION } from '../../../src/operations/forms/settings.ts'
import { isJoint } from '../../../src/raft/index.ts'
import type { ReplicaId } from '../../../src/raft/types.ts'
import { driverLimits, raftTiming } from '../../../src/server/node/limits.ts'
import { runs } from '../../runs.ts'
import { SimulatedCluster, type SimulatedNode, valueAt } from '../simulated-cluster.ts'

test('a founder elects itself, and others join as learners and are promoted', () => {
  const cluster = SimulatedCluster.formed(3)
  const { voters, learners } = cluster.leading.running.configuration
  expect(voters).toHaveLength(3)
  expect(learners).toHaveLength(0)
})

test('a write at any node is read at every other node', () => {
  const cluster = SimulatedCluster.formed(3)
  for (const node of cluster.nodes) node.slowDisk(30)
  for (const node of cluster.nodes) {
    const put = node.put('k', node.name)
    cluster.until(() => put.result !== undefined)
    expect(put.code).toBe('ok')
    // Its row is applied, and being written to the disk.
    cluster.advance(driverLimits.idleFlushMs + 5)
    for (const other of cluster.nodes) {
      const read = other.read('k')
      cluster.until(() => read.result !== undefined)
      expect(read.value).toBe(node.name)
    }
  }
})

test('many writes of one turn become durable in few batches', () => {
  const cluster = SimulatedCluster.formed(3)
  const leader = cluster.leading
  const appends = (): number =>
    cluster.sent.filter(({ type, from }) => type === 'append' && from === leader.id).length
  const before = appends()
  const puts = Array.from({ length: 200 }, (_, i) => leader.put(`k${i}`, 'v'))
  cluster.until(() => puts.every(({ result }) => result !== undefined))
  expect(puts.every(({ code }) => code === 'ok')).toBe(true)
  expect(appends() - before).toBeLessThan(20)
})

test('nothing is answered before a majority has it on disk', () => {
  const cluster = SimulatedCluster.formed(3)
  const leader = cluster.leading
  for (const node of cluster.followers) node.slowDisk(100)
  const start = cluster.time.now
  const put = leader.put('k', 'v')
  cluster.until(() => put.result !== undefined)
  expect(cluster.time.now - start).toBeGreaterThan(100)
})

test.each(['leading', 'follower'] as const)(
  'of the changes of one node no more is under way than others can wait behind, and all of them come (%s)',
  (role) => {
    const proposedBytesMax = driverLimits.proposedBytesMax / 64
    const cluster = SimulatedCluster.formed(3, { limits: { proposedBytesMax } })
    const node = cluster[role]
    const value = 'x'.repeat(8 * 1024)
    const puts = Array.from({ length: 20 }, (_, i) => node.put(`k${i}`, value))
    const underWay = (name: string): number => node.running.inspect()[name] ?? 0
    const most = { 'raft.proposedBytes': 0, 'raft.uncommittedBytes': 0 }
    cluster.until(() => {
      for (const name of ['raft.proposedBytes', 'raft.uncommittedBytes'] as const)
        most[name] = Math.max(most[name], underWay(name))
      return puts.every(({ result }) => result !== undefined)
    })
    expect(puts.map(({ code }) => code)).toEqual(puts.map(() => 'ok'))
    const max = proposedBytesMax + 2 * value.length
    expect(most['raft.proposedBytes']).toBeLessThan(max)
    expect(most['raft.uncommittedBytes']).toBeLessThan(max)
    expect(['proposals.queued', 'raft.proposedBytes', 'raft.forwardedBytes'].map(underWay)).toEqual([0, 0, 0])
  },
)

test('what was held back when the leader was lost is told that there is none', () => {
  const cluster = SimulatedCluster.formed(3, { limits: { proposedBytesMax: 1 } })
  const { follower } = cluster
  cluster.isolate(follower)
  const sent = follower.put('sent', 'v', 4000)
  cluster.advance(1)
  const heldBack = follower.put('held back', 'v', 4000)
  cluster.until(() => heldBack.result !== undefined)
  expect([sent.code, heldBack.code]).toEqual(['outcome_unknown', 'no_leader'])
  cluster.heal()
  cluster.converge()
  const last = follower.put('last', 'v')
  cluster.until(() => last.result !== undefined)
  expect(last.code).toBe('ok')
})

test('a single voter answers only after its own disk', () => {
  const cluster = SimulatedCluster.formed(1)
  const leader = cluster.leading
  leader.slowDisk(77)
  const start = cluster.time.now
  const put = leader.put('k', 'v')
  cluster.until(() => put.result !== undefined)
  // Sums of times are not exact.
  expect(cluster.time.now - start).toBeGreaterThan(76.9)
})

test('a client of a survivor sees the death of the leader as a delay', () => {
  const cluster = SimulatedCluster.formed(3)
  const leader = cluster.leading
  const survivor = cluster.follower
  const puts = Array.from({ length: 20 }, (_, i) => survivor.put(`k${i}`, 'v'))
  cluster.advance(0.3) // forwarded, some of them appended by the leader
  leader.crash()
  const start = cluster.time.now
  cluster.until(() => puts.every(({ result }) => result !== undefined))
  expect(puts.map(({ code }) => code)).toEqual(puts.map(() => 'ok'))
  expect(cluster.time.now - start).toBeLessThan(250)
  cluster.converge()
  for (const node of cluster.followers)
    for (let i = 0; i < 20; i++) expect(valueAt(node.running, `k${i}`)).toBe('v')
})

test('what a restarted node acknowledged is there, whatever the crash did to the batch in flight', () => {
  for (const inFlight of ['lost', 'kept', 'torn'] as const) {
    const cluster = SimulatedCluster.formed(3)
    const leader = cluster.leading
    const puts = Array.from({ length: 50 }, (_, i) => leader.put(`k${i}`, 'v'))
    cluster.until(() => puts.some(({ result }) => result !== undefined))
    for (const node of cluster.nodes) node.crash(inFlight)
    const acknowledged = puts.flatMap(({ code }, i) => (code === 'ok' ? [i] : []))
    expect(acknowledged.length).toBeGreaterThan(0)
    for (const node of cluster.nodes) node.start()
    cluster.until(() => cluster.leader !== undefined)
    cluster.converge()
    const read = cluster.leading.read('k0')
    cluster.until(() => read.result !== undefined)
    for (const i of acknowledged) expect(valueAt(cluster.leading.running, `k${i}`)).toBe('v')
  }
})

test('the minority side: a write is unknown or refused in time, a read is refused, a stale read says how old it is', () => {
  const cluster = SimulatedCluster.formed(3)
  const leader = cluster.leading
  const other = cluster.follower
  const before = leader.put('k', 'old')
  cluster.until(() => before.result !== undefined)
  cluster.advance(200)
  cluster.isolate(leader)
  const lost = leader.put('k', 'lost', 3000)
  const readAtOnce = leader.read('k', 3000)
  cluster.advance(2000)
  const refused = leader.put('k', 'refused', 1000)
  const readLater = leader.read('k', 1000)
  const stale = leader.grant('stale')
  cluster.advance(1500)
  expect(lost.code).toBe('outcome_unknown')
  expect(refused.code).toBe('no_leader')
  expect([readAtOnce.code, readLater.code]).toEqual(['no_leader', 'no_leader'])
  expect(stale.value.served).toBe('stale')
  expect(stale.value.stalenessMs).toBeGreaterThan(1900)
  expect(stale.value.stalenessMs).toBeLessThan(2300)
  const after = other.put('k', 'new')
  cluster.until(() => after.result !== undefined)
  cluster.heal()
  cluster.converge()
  for (const node of cluster.nodes) expect(valueAt(node.running, 'k')).toBe('new')
})

test('after a stall of any length a follower hears its leader before it campaigns', () => {
  const { electionMinMs, electionMaxMs } = raftTiming
  const cluster = SimulatedCluster.formed(3)
  const { follower } = cluster
  const stall = (ms: number): void => {
    follower.machine.process?.pause()
    cluster.advance(ms)
    follower.machine.process?.resume()
    cluster.advance(electionMaxMs)
    const said = cluster.sent.filter(({ from }) => from === follower.id).map(({ type }) => type)
    expect(said, `after ${ms} ms`).not.toContain('pre-vote-request')
    expect(follower.running.leaderName).toBe('n1')
  }
  stall(10 * electionMaxMs)
  // The due time of a timer depends on earlier events: it may be just before the end of the stall.
  for (let count = 0; count < runs(200); count++) stall(electionMinMs + ((count * 37) % electionMaxMs))
})

test('graceful stop hands leadership over and finishes what is under way', () => {
  const cluster = SimulatedCluster.formed(3)
  const leader = cluster.leading
  const puts = Array.from({ length: 20 }, (_, i) => leader.put(`k${i}`, 'v'))
  let drained = false
  leader.running.drain(() => {
    drained = true
  })
  const late = leader.put('late', 'v')
  const start = cluster.time.now
  cluster.until(() => drained)
  expect(cluster.time.now - start).toBeLessThan(100)
  expect([...puts, late].map(({ code }) => code)).toEqual([...puts, late].map(() => 'ok'))
  expect(cluster.leading).not.toBe(leader)
})

/** A follower that has been silent for this long no longer counts as reachable. */
const LONG_AWAY_MS = 2 * raftTiming.electionMaxMs

/** Crashes a follower, and then writes 500 keys in ten batches. The log is kept, and compacted, by whole batches. */
function withoutFollower(cluster: SimulatedCluster) {
  const leader = cluster.leading
  const away = cluster.follower
  away.crash()
  cluster.advance(LONG_AWAY_MS)
  for (let round = 0; round < 10; round++) {
    const puts = Array.from({ length: 50 }, (_, i) => leader.put(`k${round}-${i}`, 'v'))
    cluster.until(() => puts.every(({ result }) => result !== undefined))
  }
  return { leader, away }
}

test('a follower that was away for longer than the log is kept gets a snapshot, and nobody campaigns', () => {
  const cluster = SimulatedCluster.formed(3, { limits: { logTailEntries: 50, compactEntriesMin: 10 } })
  const { leader, away } = withoutFollower(cluster)
  cluster.advance(100)
  const term = leader.running.term
  away.start()
  const during = Array.from({ length: 100 }, (_, i) => leader.put(`d${i}`, 'v'))
  cluster.until(() => during.every(({ result }) => result !== undefined))
  cluster.converge()
  expect(leader.running.term).toBe(term)
  cluster.until(() => away.storage.knowsAllKeyMetadata)
  expect(valueAt(away.running, 'k0-0')).toBe('v')
  expect(away.running.status().raft.firstIndex).toBeGreaterThan(100)
})

test('one snapshot is enough for a follower, however much is written while it is on its way', () => {
  const cluster = SimulatedCluster.formed(3, {
    limits: { logTailEntries: 5, compactEntriesMin: 1, chunkRows: 5, batchDelayFrom: 1000 },
  })
  const { leader, away } = withoutFollower(cluster)
  away.start()
  cluster.until(() => away.driver !== undefined)
  const { index } = leader.storage.applied
  const installed = cluster.probeCoverage.probes['snapshot installed'] ?? 0
  for (let i = 0; away.storage.applied.index < index; i++) {
    const put = leader.put(`d${i}`, 'v')
    cluster.until(() => put.result !== undefined)
  }
  cluster.converge()
  expect(cluster.probeCoverage.probes['snapshot installed']).toBe(installed + 1)
  expect(leader.storage.applied.index).toBeGreaterThan(index + 50)
  const last = leader.put('last', 'v')
  cluster.until(() => last.result !== undefined)
  cluster.advance(100)
  expect(leader.running.status().raft.firstIndex).toBeGreaterThan(index)
})

test('a replica whose rows differ from the majority stops and says how to rejoin', () => {
  const cluster = SimulatedCluster.formed(3)
  const bad = cluster.follower
  const put = cluster.leading.put('k', 'v')
  cluster.until(() => put.result !== undefined)
  cluster.advance(100)
  Object.defineProperty(bad.storage, 'stateHash', { get: () => 1n })
  cluster.until(() => bad.end !== undefined)
  expect(bad.end?.reason).toMatch(/diverged.*--join URL --replace/)
  expect(cluster.nodes.filter((node) => node.end !== undefined)).toEqual([bad])
  expectQuarantine(bad)
})

test('so does one that finds damage in what it holds', () => {
  const cluster = SimulatedCluster.formed(3)
  const bad = cluster.follower
  const put = cluster.leading.put('k', 'v')
  cluster.until(() => put.result !== undefined)
  cluster.advance(1000)
  const { disk } = bad.machine
  const read = (): unknown => valueAt(bad.running, 'k')
  expect(read()).toBeDefined()
  // Records are read one after another, up to the damaged row.
  expect(() => {
    for (let pick = 0; pick < 20; pick++) if (disk.flip(pick, 0)) read()
  }).toThrow('Damaged data')
  expect(bad.end?.reason).toMatch(/Damaged data.*--join URL --replace/)
  expectQuarantine(bad)
})

test('and one whose slow look at all rows finds it', () => {
  const cluster = SimulatedCluster.formed(3, { limits: { scrubEveryMs: 20_000 } })
  const bad = cluster.follower
  const put = cluster.leading.put('k', 'v')
  cluster.until(() => put.result !== undefined)
  cluster.advance(1000)
  const { disk } = bad.machine
  for (let pick = 0; pick < 20; pick++) disk.flip(pick, pick)
  expect(bad.end).toBeUndefined()
  cluster.until(() => bad.end !== undefined)
  expect(bad.end?.reason).toMatch(/Damaged data.*--join URL --replace/)
  expectQuarantine(bad)
})

test('that replicas differed is told until the one that differed is gone', () => {
  const cluster = SimulatedCluster.formed(3)
  const bad = cluster.follower
  const { leading } = cluster
  Object.defineProperty(bad.storage, 'stateHash', { get: () => 1n })
  cluster.until(() => bad.end !== undefined)
  const errors = (): readonly string[] => leading.running.status().errors
  cluster.advance(5 * driverLimits.hashIdleMs)
  expect(errors()).toEqual([expect.stringContaining(`replicas differ`)])
  let isGone = false
  leading.running.change({ kind: 'change', steps: [{ kind: 'remove', id: bad.id }] }, 5000, () => {
    isGone = true
  })
  cluster.until(() => isGone)
  cluster.advance(5 * driverLimits.hashIdleMs)
  expect(errors()).toEqual([])
})

test('the first storage error ends the node, and those that wait are told the truth', () => {
  const cluster = SimulatedCluster.formed(1)
  const leader = cluster.leading
  leader.machine.disk.full = true
  const put = leader.put('k', 'v')
  cluster.until(() => leader.end !== undefined)
  expect(put.code).toBe('outcome_unknown')
  expect(leader.end).toMatchObject({ kind: 'failed', reason: expect.stringContaining('ENOSPC') })
})

test('a leader that is removed ends only when those that are left know it: they may need its vote until then', () => {
  const cluster = SimulatedCluster.formed(2)
  const [leader, other] = [cluster.leading, cluster.follower]
  const raft = () => leader.running.status().raft
  const { lastIndex } = raft()
  leader.running.change({ kind: 'change', steps: [{ kind: 'remove', id: leader.id }] }, 5000, () => {})
  // Entering the joint configuration and leaving it.
  cluster.until(() => raft().commit === lastIndex + 2)
  cluster.isolate(leader)
  cluster.advance(60_000)
  expect([leader.end, isJoint(other.running.configuration)]).toEqual([undefined, true])
  expect(leader.running.configuration.removed).toEqual([leader.id])
  cluster.heal()
  cluster.until(() => leader.end !== undefined)
  expect(leader.end?.reason).toMatch(/removed from the cluster/)
  cluster.until(() => cluster.leader !== undefined)
  expect(other.running.configuration.voters).toEqual([other.id])
})

test('the removal of a leader is done when those that are left know it', () => {
  const cluster = SimulatedCluster.formed(2)
  const [leader, other] = [cluster.leading, cluster.follower]
  let done = false
  leader.running.change({ kind: 'change', steps: [{ kind: 'remove', id: leader.id }] }, 5000, (result) => {
    done = result.ok
  })
  cluster.until(() => done)
  expect(other.running.configuration.voters).toEqual([other.id])
  expect(isJoint(other.running.configuration)).toBe(false)
})

test.each(['the leader', 'the one that is removed'])(
  'a removal that %s was asked for is done when a majority of those that are left knows it',
  (asked) => {
    const cluster = SimulatedCluster.formed(4)
    const { leading } = cluster
    const [gone, ...others] = cluster.followers
    if (gone === undefined) throw new Error('no follower')
    const left = [leading, ...others]
    const knowing = () => left.filter(({ running }) => running.configuration.removed.includes(gone.id))
    const asker = asked === 'the leader' ? leading : gone
    let done = false
    asker.running.change({ kind: 'change', steps: [{ kind: 'remove', id: gone.id }] }, 5000, (result) => {
      done = result.ok
    })
    cluster.until(() => knowing().length > 0)
    // All nodes that could receive the change are isolated now, so no node may be removed.
    expect(knowing()).toEqual([leading])
    for (const other of others) cluster.isolate(other)
    cluster.advance(raftTiming.heartbeatMs * 2)
    expect([done, gone.end, isJoint(gone.running.configuration)]).toEqual([false, undefined, true])
    const hello = gone.running.events.greeting()
    expect(leading.running.events.admit(hello)).toBeUndefined()
    cluster.heal()
    cluster.until(() => done)
    expect(leading.running.events.admit(hello)).toMatchObject({ stop: true })
    expect(knowing().length).toBeGreaterThan(1)
    cluster.until(() => gone.end !== undefined)
    expect(gone.end?.reason).toMatch(/removed from the cluster/)
  },
)

test('a follower that knows of a removal before the others do neither answers it nor lets the removed one go', () => {
  const cluster = SimulatedCluster.formed(6)
  const { leading } = cluster
  const [gone, asked, ...others] = cluster.followers
  if (gone === undefined || asked === undefined) throw new Error('no follower')
  const isKnownBy = ({ running }: SimulatedNode) => running.configuration.removed.includes(gone.id)
  let done = false
  asked.running.change({ kind: 'change', steps: [{ kind: 'remove', id: gone.id }] }, 60_000, (result) => {
    done = result.ok
  })
  cluster.until(() => isKnownBy(leading))
  for (const other of others) cluster.isolate(other)
  cluster.until(() => isKnownBy(asked))
  expect(others.filter(isKnownBy)).toEqual([])
  cluster.advance(raftTiming.electionMinMs)
  expect([done, gone.end]).toEqual([false, undefined])
  // A majority of the remaining voters does not have the change: without these two, it needs the vote of the removed
  // node.
  leading.crash()
  asked.crash()
  cluster.heal()
  cluster.until(() => others.every(isKnownBy) && cluster.leader !== undefined)
  cluster.until(() => gone.end !== undefined)
  expect(gone.end?.reason).toMatch(/removed from the cluster/)
})

test('a removed replica ends, and its old id never comes back', () => {
  const cluster = SimulatedCluster.formed(3)
  const leader = cluster.leading
  const gone = cluster.follower
  let removed = false
  leader.running.change({ kind: 'change', steps: [{ kind: 'remove', id: gone.id }] }, 5000, (result) => {
    removed = result.ok
  })
  cluster.until(() => removed)
  expect(leader.running.configuration.removed).toContain(gone.id)
  if (gone.driver !== undefined) gone.crash()
  gone.start()
  cluster.until(() => gone.end !== undefined)
  expect(gone.end?.reason).toMatch(/removed from the cluster/)
})

test('leases are a setting of the cluster: once on, reads under them need no round', () => {
  const cluster = SimulatedCluster.formed(3)
  const leader = cluster.leading
  const before = leader.grant('lease')
  cluster.until(() => before.result !== undefined)
  expect(before.value.served).toBe('linearizable')
  let on = false
  leader.running.setLeaderLeases({ on: true, durationMs: 500 }, 5000, (result) => {
    on = result.ok && result.value.on
  })
  cluster.until(() => on)
  cluster.advance(300)
  const start = cluster.time.now
  const read = leader.grant('lease')
  cluster.until(() => read.result !== undefined)
  expect(read.value.served).toBe('lease')
  expect(cluster.time.now - start).toBeLessThan(0.2)
})

test('a transfer to a voter that cannot be reached is refused with the reason', () => {
  const cluster = SimulatedCluster.formed(3)
  const leader = cluster.leading
  const away = cluster.follower
  away.crash()
  cluster.advance(1500)
  let problem = ''
  leader.running.transfer(away.id, 5000, (result) => {
    problem = result.ok ? '' : `${result.problem.code}: ${result.problem.detail}`
  })
  cluster.advance(1)
  expect(problem).toBe('membership_refused: n2 cannot be reached')
})

test('a transfer without a leader is refused as that', () => {
  const cluster = SimulatedCluster.formed(3)
  const alone = cluster.follower
  cluster.isolate(alone)
  cluster.advance(2000)
  let code = ''
  alone.running.transfer(undefined, 5000, (result) => {
    code = result.ok ? '' : result.problem.code
  })
  cluster.advance(1)
  expect(code).toBe('no_leader')
})

/** The response to a client that requests a transfer, set when it arrives. */
function transferAsked({ running }: SimulatedNode, to: ReplicaId | undefined): { answer?: string } {
  const asked: { answer?: string } = {}
  running.transfer(to, 5000, (result) => {
    asked.answer = result.ok ? result.value.leader : `${result.problem.code}: ${result.problem.detail}`
  })
  return asked
}

test('a transfer to a learner is refused at once, whichever node is requested', () => {
  const cluster = SimulatedCluster.formed(4)
  const [learner, other] = cluster.followers
  if (learner === undefined || other === undefined) throw new Error('no followers')
  let isDemoted = false
  const steps = [{ kind: 'demote', id: learner.id }] as const
  cluster.leading.running.change({ kind: 'change', steps }, 5000, ({ ok }) => {
    isDemoted = ok
  })
  cluster.until(() => isDemoted)
  cluster.converge()
  const asked = [cluster.leading, other, learner].map((node) => transferAsked(node, learner.id))
  cluster.advance(1)
  const answer = `membership_refused: ${learner.name} is not a voter`
  expect(asked).toEqual([{ answer }, { answer }, { answer }])
})

test('requests for a transfer of leadership that wait are bounded', () => {
  const cluster = SimulatedCluster.formed(3)
  const { follower, leading } = cluster
  // The leader cannot answer them.
  cluster.isolate(leading)
  const asked = Array.from({ length: driverLimits.transfersMax + 1 }, () =>
    transferAsked(follower, undefined),
  )
  cluster.advance(1)
  const detail = `${driverLimits.transfersMax} requests for a transfer of leadership wait on this node already`
  expect(asked.flatMap(({ answer }) => answer ?? [])).toEqual([`overloaded: ${detail}`])
  expect(follower.running.inspect().transferRefused).toBe(driverLimits.transfersMax)
})

test('what is refused while leadership is handed over is forwarded again after growing pauses', () => {
  const cluster = SimulatedCluster.formed(3)
  const { leading } = cluster
  const [away, other] = cluster.followers
  if (away === undefined || other === undefined) throw new Error('no followers')
  away.crash()
  transferAsked(leading, away.id)
  cluster.advance(1)
  const before = cluster.sent.length
  const puts = Array.from({ length: 100 }, (_, i) => other.put(`k${i}`, 'v'))
  cluster.until(() => puts.every(({ result }) => result !== undefined))
  expect(puts.map(({ code }) => code)).toEqual(puts.map(() => 'ok'))
  const forwarded = cluster.sent
    .slice(before)
    .flatMap((sent) => (sent.type === 'forward' ? sent.proposals : []))
  expect(forwarded.length).toBeLessThan(10 * puts.length)
})

test('a node whose disk stalls serves while it has room for what is new, then refuses; what it holds is bounded', () => {
  const cluster = SimulatedCluster.formed(3)
  const stalled = cluster.leading
  stalled.slowDisk(60_000)
  stalled.put('k', 'v')
  cluster.advance(5000)
  expect(cluster.leading).not.toBe(stalled)
  const seen = new Set<string>()
  for (const leader of [cluster.leading, cluster.leading]) {
    for (let i = 0; i < 40; i++) {
      const asked = [leader.put(`${i}`, 'v'), stalled.put(`own ${i}`, 'v', 100), stalled.read('k', 100)]
      cluster.until(() => asked.every(({ result }) => result !== undefined))
      seen.add(asked.map(({ code }) => code).join())
    }
    cluster.advance(20_000)
    expect(stalled.running.inspect()['groupCommit.heldMessages']).toBeLessThan(200)
  }
  expect([...seen]).toEqual(['ok,ok,ok', 'ok,no_leader,no_quorum'])
  stalled.slowDisk(1)
  cluster.advance(60_000)
  cluster.converge()
  const put = stalled.put('k', 'after')
  cluster.until(() => put.result !== undefined)
  expect(put.code).toBe('ok')
})

test.each(['leader', 'follower'])(
  'a transfer that takes the place of another ends that one unless it was to anybody, and not itself: asked of a %s',
  (role) => {
    for (const isToAnybody of [false, true]) {
      const cluster = SimulatedCluster.formed(4)
      const [away, other, third] = cluster.followers
      if (away === undefined || other === undefined || third === undefined) throw new Error('no followers')
      const asked = role === 'leader' ? cluster.leading : third
      away.crash()
      const first = transferAsked(asked, isToAnybody ? undefined : away.id)
      cluster.advance(10)
      const second = transferAsked(asked, other.id)
      cluster.advance(100)
      expect(second).toEqual({ answer: other.name })
      const instead = `membership_refused: leadership is handed to ${other.name} instead`
      expect(first).toEqual({ answer: isToAnybody ? other.name : instead })
    }
  },
)

test('a replica that is told of its lost state stops and says how to rejoin', () => {
  const cluster = SimulatedCluster.formed(3)
  const lost = cluster.follower
  const leader = cluster.leading
  const detail = 'n2 has lost durable state'
  lost.running.events.message({
    type: 'lost-state',
    from: leader.id,
    to: lost.id,
    term: leader.running.term,
    detail,
  })
  expect(lost.end?.reason).toMatch(/lost durable state.*--join URL --replace/)
  expectQuarantine(lost)
})

test('the mark has the room that was kept for when somebody else fills the disk', () => {
  const cluster = SimulatedCluster.formed(3)
  const lost = cluster.follower
  const leader = cluster.leading
  const { space, disk } = lost.machine
  space.takeReserve(1)
  lost.storage.quarantine = (why) => {
    if (space.hasReserve) throw new Error('ENOSPC: no space left on device')
    disk.quarantined = why
  }
  lost.running.events.message({
    ...{ type: 'lost-state', from: leader.id, to: lost.id, term: leader.running.term },
    detail: 'n2 has lost durable state',
  })
  expectQuarantine(lost)
})

test('one whose mark cannot be written stops all the same', () => {
  const cluster = SimulatedCluster.formed(3)
  const lost = cluster.follower
  const leader = cluster.leading
  lost.storage.quarantine = () => {
    throw new Error('EIO: i/o error')
  }
  lost.running.events.message({
    ...{ type: 'lost-state', from: leader.id, to: lost.id, term: leader.running.term },
    detail: 'n2 has lost durable state',
  })
  expect(lost.end?.reason).toMatch(/lost durable state.*--join URL --replace/)
})

/** A replica that has lost state that others have acknowledged must not rejoin them. */
function expectQuarantine(node: SimulatedNode): void {
  expect(node.machine.disk.quarantined).toBeDefined()
  expect(node.machine.disk.quarantined).toBe(node.end?.reason)
}

test('a disk on which every write is slow does not stall: the leader goes on', () => {
  const cluster = SimulatedCluster.formed(3)
  const { leading } = cluster
  const { term } = leading.running
  // A write that has just missed a batch waits for two.
  for (const node of cluster.nodes) node.slowDisk(0.9 * raftTiming.electionMinMs)
  const puts = Array.from({ length: 200 }, (_, i) => {
    cluster.advance(20)
    return leading.put(`k${i}`, 'v')
  })
  cluster.until(() => puts.every(({ code }) => code === 'ok'))
  expect([cluster.leading.name, leading.running.term]).toEqual([leading.name, term])
})

test.each([1.2, 2.4, 4])(
  'where each disk needs %d election timeouts for whatever is written, one leads and changes are made',
  (timeouts) => {
    const cluster = SimulatedCluster.formed(3)
    const ms = timeouts * raftTiming.electionMinMs
    for (const node of cluster.nodes) node.slowDisk(ms)
    const put = (): unknown => {
      cluster.until(() => cluster.leader !== undefined)
      const begun = cluster.leading.put('k', 'v', 100 * ms)
      cluster.until(() => begun.result !== undefined)
      return begun.code
    }
    // The leader measures how slow its disk is.
    for (let at = 0; at < 10; at++) expect(put()).toBe('ok')
    const { term } = cluster.leading.running
    for (let at = 0; at < 10; at++) expect(put()).toBe('ok')
    expect(cluster.leading.running.term).toBe(term)

    cluster.leading.crash()
    cluster.until(() => cluster.leader !== undefined)
    expect(put()).toBe('ok')
  },
)

test('a replica that is about to cut off the end of its log is not taken for one that has lost it', () => {
  const cluster = SimulatedCluster.formed(5)
  const old = cluster.leading
  const [replica, ...others] = cluster.followers
  if (replica === undefined) throw new Error('no follower')
  // Only this follower receives the leader's entry, and acknowledges it.
  const before = replica.storage.log.lastIndex()
  for (const other of others) cluster.refuse(other, old)
  old.put('k', 'never committed')
  cluster.until(() => replica.storage.log.lastIndex() > before)
  cluster.advance(5)
  replica.crash()
  cluster.refuse(replica, old)
  cluster.until(() => others.some(({ driver }) => driver?.status().raft.role === 'leader'))
  // The new leader's entries replace that one. The disk completes the write late, so the replica is still in the old
  // term.
  replica.start()
  cluster.until(() => replica.driver !== undefined)
  const acknowledged = replica.storage.log.lastIndex()
  replica.slowDisk(1000)
  cluster.until(() => replica.storage.log.lastIndex() < acknowledged)
  expect(old.running.status().raft.role).toBe('leader')
  cluster.heal()
  cluster.advance(5000)
  expect(replica.end).toBeUndefined()
})

test('a cluster version that a member does not know is not proposed', () => {
  const cluster = SimulatedCluster.formed(3)
  const asked = cluster.follower
  cluster.advance(1000)
  const results = [CLUSTER_VERSION, CLUSTER_VERSION + 1].map((clusterVersion) =>
    asked.set({ clusterVersion }),
  )
  cluster.until(() => results.every(({ result }) => result !== undefined))
  expect(results.map(({ code }) => code)).toEqual(['ok', 'membership_refused'])
  expect(results[1]?.result).toMatchObject({ problem: { written: 'no' } })
})
