// The driver's calls to the outside: observer, network, errors, counts and callers, before and after its end. One
// voter, alone, in virtual time.

import { expect, test } from 'vitest'
import { encodeState, initialState, type Request } from '../../../src/kv/index.ts'
import { CLUSTER_VERSION } from '../../../src/operations/forms/settings.ts'
import {
  asReplicaId,
  bootstrapConfiguration,
  encodeAppliedState,
  type RaftMember,
} from '../../../src/raft/index.ts'
import { Driver } from '../../../src/server/node/driver.ts'
import type { DriverObserver } from '../../../src/server/node/driver-options.ts'
import { driverLimits, raftLimits, raftTiming } from '../../../src/server/node/limits.ts'
import type { Network, StateHashAt } from '../../../src/server/node/network.ts'
import type { Result } from '../../../src/server/node/result.ts'
import type { NodeEnd } from '../../../src/server/options.ts'
import { ask, putOf } from '../../kv/store.ts'
import { memoryDisk, openDisk } from '../../storage/replicas.ts'
import { applied, hardState, identity } from '../../storage/samples.ts'
import { VirtualClock } from '../virtual-clock.ts'

const SELF: RaftMember = { id: identity.replicaId, name: identity.name, peer: 'n1:1', url: 'http://n1' }
const OTHER: RaftMember = { id: asReplicaId('2'), name: 'n2', peer: 'n2:1', url: 'http://n2' }
const DISK_MS = 2

interface Observed {
  readonly outcomes: string[]
  readonly batches: [ms: number, entries: number][]
  applied: number
  roles: number
}

async function alone({ started = true, limits = {} as Partial<typeof driverLimits> } = {}) {
  const clock = new VirtualClock()
  const raft = encodeAppliedState({
    configuration: bootstrapConfiguration(SELF),
    leaderLeases: { on: false, durationMs: 500 },
  })
  const record = { ...applied(1, 1), raft, kv: encodeState(initialState()) }
  const disk = memoryDisk({ hardState: hardState(1, 1), applied: record })
  const levers = {
    fails: undefined as Error | undefined,
    closeFails: undefined as Error | undefined,
    freeBytes: Number.POSITIVE_INFINITY,
  }
  let isOpen = false
  const later = (_: unknown, complete: () => void): void =>
    void (isOpen ? clock.after(DISK_MS, complete) : setImmediate(complete))
  const storage = await openDisk(disk, later, {
    beforeRead: () => {
      if (levers.fails !== undefined) throw levers.fails
    },
  })
  while (!storage.knowsAllKeyMetadata) await new Promise(setImmediate)
  isOpen = true
  const observed: Observed = { outcomes: [], batches: [], applied: 0, roles: 0 }
  const observer: DriverObserver = {
    proposalEnded: (outcome) => observed.outcomes.push(outcome),
    batchStored: (ms, entries) => observed.batches.push([ms, entries]),
    entriesApplied: (count) => {
      observed.applied += count
    },
    roleChanged: () => {
      observed.roles++
    },
  }
  const peers: string[][] = []
  const hashes: StateHashAt[] = []
  const sent: string[] = []
  let closed = 0
  const network: Network = {
    setPeers: (members) => peers.push(members.map(({ name }) => name)),
    send: ({ type }) => sent.push(type),
    sendStateHash: (at) => hashes.push(at),
    requestKeepAlive: () => sent.push('a keep-alive'),
    answerKeepAlive: () => sent.push('an answer to a keep-alive'),
    requestReport: () => sent.push('a request for a report') > 0,
    answerReport: () => sent.push('a report'),
    sendTraces: () => sent.push('traces'),
    sendSnapshot: () => sent.push('a snapshot'),
    inspect: () => ({ links: 0 }),
    close: () => {
      if (levers.closeFails !== undefined) throw levers.closeFails
      closed++
    },
  }
  const ends: NodeEnd[] = []
  const logged: (readonly [text: string, fields: object])[] = []
  const log = (fields: object, text: string): void => void logged.push([text, fields])
  const driver = new Driver({
    ...{ clock, storage, timing: raftTiming, raftLimits, observer, random: () => 0 },
    limits: { ...driverLimits, scrubEveryMs: 1e9, ...limits },
    disk: {
      freeBytes: () => levers.freeBytes,
      hasReserve: false,
      takeReserve() {},
      giveBackReserve() {},
    },
    logger: { debug: log, info: log, warn: log, error: log },
    peerAddress: () => SELF.peer,
    onEnd: (end) => ends.push(end),
  })
  const results: Result<unknown>[] = []
  const done = (result: Result<unknown>): void => void results.push(result)
  const propose = (request: Request = ask(putOf('k', 'v')), timeoutMs = 1000): void =>
    driver.propose(request, timeoutMs, done)
  const read = (timeoutMs = 1000) =>
    driver.read(
      { consistency: 'linearizable', maxStalenessMs: undefined, minRevision: undefined, timeoutMs },
      done,
    )
  if (started) {
    driver.start(network)
    clock.advance(2 * raftTiming.electionMaxMs)
    expect(driver.status().raft.role).toBe('leader')
    observed.batches.length = 0
    observed.applied = 0
  }
  return {
    ...{ clock, storage, levers, driver, network, observed, peers, hashes, sent, ends, results },
    ...{ done, propose, read, closed: () => closed, logged },
  }
}

const underWay = (driver: Driver): Record<string, number> =>
  Object.fromEntries(Object.entries(driver.inspect()).filter(([, count]) => count !== 0))

test('a voter that is alone is ready, names itself as the leader, and has nothing under way', async () => {
  const { driver, peers, sent, observed } = await alone()
  expect(driver.leaderName).toBe('n1')
  expect(driver.status()).toMatchObject({
    ...{
      name: 'n1',
      clusterId: identity.clusterId,
      replicaId: SELF.id,
      revision: 1,
      errors: [],
      notReady: [],
    },
    diskFreeBytes: Number.POSITIVE_INFINITY,
  })
  expect([driver.revision, driver.term]).toEqual([1, driver.status().raft.term])
  expect(underWay(driver)).toEqual({})
  expect(Object.keys(driver.inspect())).toEqual(
    expect.arrayContaining([
      'waits',
      'batchDelayTimer',
      'retryTimer',
      'links.links',
      'reads.open',
      'proposals.bytes',
    ]),
  )
  for (const named of peers) expect(named).toEqual([])
  expect([sent, observed.roles > 0]).toEqual([[], true])
  expect(driver.events.greeting()).toMatchObject({
    ...{
      clusterId: identity.clusterId,
      replicaId: SELF.id,
      name: 'n1',
      peer: 'n1:1',
      clusterVersion: CLUSTER_VERSION,
    },
    ...{ boot: 1, term: driver.term },
  })
})

test('before it knows a leader it is not ready, and says so', async () => {
  const { driver } = await alone({ started: false })
  expect(driver.leaderName).toBeUndefined()
  expect(driver.status()).toMatchObject({ errors: ['no leader is known'], notReady: ['no leader is known'] })
})

test('a change that is done is counted as committed, with the batch and the entry that it took', async () => {
  const { clock, driver, propose, results, observed } = await alone()
  propose()
  expect(underWay(driver)).toMatchObject({ wakeSoon: 1, gathered: 1 })
  clock.advance(1)
  expect(underWay(driver)).toMatchObject({ 'groupCommit.inFlight': 1 })
  clock.advance(100)
  expect(results).toMatchObject([
    { ok: true, value: { outcome: { kind: 'put', revision: 2 }, replayed: false } },
  ])
  expect([observed.outcomes, observed.applied, driver.revision]).toEqual([['committed'], 1, 2])
  expect(observed.batches[0]).toEqual([DISK_MS, 1])
  expect(observed.batches.reduce((sum, [, entries]) => sum + entries, 0)).toBe(1)
  expect(underWay(driver)).toEqual({})
})

test('what is refused is counted as refused, and what nobody can know as unknown', async () => {
  const { clock, driver, propose, results, observed } = await alone()
  propose(ask({ kind: 'settings', settings: { clusterVersion: 9 } }))
  expect(results).toEqual([])
  clock.advance(1)
  expect(results.splice(0)).toMatchObject([{ ok: false, problem: { code: 'membership_refused' } }])
  expect(observed.outcomes).toEqual([])
  propose(undefined, 1)
  clock.advance(DISK_MS + 5)
  expect(results.splice(0)).toMatchObject([
    { ok: false, problem: { code: 'outcome_unknown', written: 'unknown' } },
  ])
  driver.change({ kind: 'change', steps: [{ kind: 'remove', id: SELF.id }] }, 1000, (result) =>
    results.push(result),
  )
  clock.advance(100)
  expect(results.splice(0)).toMatchObject([
    { ok: false, problem: { code: 'membership_refused', written: 'no' } },
  ])
  expect(observed.outcomes).toEqual(['unknown', 'refused'])
})

test('a node that drains waits no longer than it may', async () => {
  const { clock, driver, propose, storage } = await alone({ limits: { drainMsMax: 500 } })
  storage.write = () => {}
  propose(undefined, 10_000)
  clock.advance(5)
  let drained = 0
  driver.drain(() => drained++)
  clock.advance(499)
  expect(drained).toBe(0)
  clock.advance(1)
  expect(drained).toBe(1)
})

test.each(['stopped', 'crashed'] as const)(
  'after it was %s nothing happens any more, and everybody is told',
  async (kind) => {
    const { clock, driver, propose, read, results, ends, closed, hashes, peers, observed, done, sent } =
      await alone()
    propose()
    clock.advance(0)
    propose()
    read()
    let told = 0
    if (kind === 'crashed') driver.crash()
    else
      driver.close((error) => {
        expect(error).toBeUndefined()
        told++
      })
    expect(results.map((result) => (result.ok ? 'ok' : result.problem.code)).sort()).toEqual([
      'not_ready',
      'not_ready',
      'outcome_unknown',
    ])
    expect(closed()).toBe(1)
    results.length = 0
    const before = [hashes.length, peers.length, observed.roles, sent.length]
    propose()
    read()
    driver.transfer(undefined, 1000, done)
    driver.change({ kind: 'change', steps: [] }, 1000, done)
    expect(results).toEqual([])
    clock.advance(600_000)
    const reason = kind === 'crashed' ? 'the node was crashed on purpose' : 'the node was stopped'
    const ended = { ok: false, problem: { code: 'not_ready', detail: reason, written: 'no' } }
    expect(results).toEqual([ended, ended, ended, ended])
    expect([hashes.length, peers.length, observed.roles, sent.length]).toEqual(before)
    expect(driver.status()).toMatchObject({ errors: [reason], notReady: [reason] })
    expect(driver.events.admit(driver.events.greeting())).toEqual({
      refuse: 'this node has ended',
      stop: false,
    })
    driver.events.snapshotOffered(OTHER.id, driver.term, 's', undefined as never, (refuse, sink) =>
      expect([refuse, sink]).toEqual(['this node has ended', undefined]),
    )
    // The driver was not asked to end itself.
    expect(ends).toEqual([])
    driver.crash()
    driver.close(() => told++)
    expect([told, closed()]).toEqual([kind === 'crashed' ? 1 : 2, 1])
  },
)

test('another node may tell it to stop: for good, unless it leaves anyhow', async () => {
  const { driver, ends, clock } = await alone()
  driver.events.stop('lost its state')
  expect(ends).toEqual([{ kind: 'failed', reason: 'lost its state' }])
  driver.events.stop('again')
  clock.advance(10_000)
  expect(ends).toHaveLength(1)
})

test('a compaction that fails ends the node', async () => {
  const { clock, levers, storage, ends } = await alone()
  storage.compactDatabase = (done) => done(new Error('ENOSPC: no space left'))
  levers.freeBytes = driverLimits.diskReserveBytes - 1
  clock.advance(driverLimits.diskCheckMs)
  expect(ends).toEqual([{ kind: 'failed', reason: expect.stringContaining('ENOSPC') }])
})

test('what happens to a node is logged, with what an operator asks for next', async () => {
  const { clock, driver, levers, logged, done, storage, ends } = await alone()
  const said = (text: string | RegExp): object[] =>
    logged.flatMap(([each, fields]) => (new RegExp(text).test(each) ? [fields] : []))
  const { term } = driver
  expect(said(`^leader in term ${term}: .`)).toEqual([{ role: 'leader', term, leader: 'n1' }])
  driver.change({ kind: 'change', steps: [{ kind: 'add-learner', member: OTHER }] }, 1000, done)
  clock.advance(100)
  expect(said('^n2 is a learner$')).toEqual([{ voters: ['n1'], votersOutgoing: [], learners: ['n2'] }])
  driver.transfer(undefined, 1000, done)
  clock.advance(10)
  expect(said('^leadership transfer refused: .')).toEqual([{ outcome: 'refused' }])
  storage.compactDatabase = () => {}
  levers.freeBytes = driverLimits.diskReserveBytes - 1
  clock.advance(driverLimits.diskCheckMs)
  expect(said(/nearly full \(255 MiB free\): deletes are taken/)).toEqual([
    { state: 'low', freeBytes: driverLimits.diskReserveBytes - 1 },
  ])
  levers.freeBytes = Number.POSITIVE_INFINITY
  clock.advance(driverLimits.diskCheckMs)
  expect(said('the disk has space again')).toEqual([{ state: 'enough', freeBytes: Number.POSITIVE_INFINITY }])
  driver.events.stop('that is enough')
  expect(said('^stopping: that is enough')).toEqual([{}])
  expect(ends).toHaveLength(1)
})

test('a part that cannot be stopped leaves no request open, and its error is reported', async () => {
  const { driver, levers, propose, results } = await alone()
  propose()
  levers.closeFails = new Error('the network does not close')
  expect(() => driver.crash()).toThrow('the network does not close')
  expect(results).toHaveLength(1)
})
