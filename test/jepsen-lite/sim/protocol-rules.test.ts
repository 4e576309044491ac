// Each of the protocol rules is broken once. Also: what a process finds on a disk.

import { describe, expect, test } from 'vitest'
import { generate } from '../../../jepsen-lite/sim/index.ts'
import { ProtocolRules } from '../../../jepsen-lite/sim/oracle/protocol-rules.ts'
import { recovered } from '../../../jepsen-lite/sim/oracle/recovery.ts'
import { SimCluster } from '../../../jepsen-lite/sim/world/cluster.ts'
import { Recorder } from '../../../jepsen-lite/workload/history.ts'
import {
  asIndex,
  asReplicaId,
  asTerm,
  type Configuration,
  emptyConfiguration,
  type Message,
  type RaftStatus,
} from '../../../src/raft/index.ts'

const [me, peer, third] = ['1', '2', '3'].map(asReplicaId)
const timing = { heartbeatMs: 50, electionMaxMs: 1000 }

function replica() {
  if (me === undefined || peer === undefined || third === undefined) throw new Error('three replicas')
  const voters = [me, peer, third]
  const members = voters.map((id) => ({ id, name: `n${id}`, peer: '', url: '' }))
  const configuration: Configuration = { ...emptyConfiguration, members, voters }
  const state = {
    id: me,
    name: 'n1',
    role: 'follower',
    leads: 0,
    contactAt: 0,
    unread: 0,
    time: 0,
    status: { configuration, commit: 5, applied: 5 } as RaftStatus,
    now: () => state.time,
  }
  const rules = new ProtocolRules(
    timing,
    () => 1,
    (invariant, detail) => {
      throw new Error(`${invariant}: ${detail}`)
    },
  )
  const lead = (term: number): void => {
    state.role = 'leader'
    rules.role(state, 'leader', term)
  }
  const send = (message: object): void => rules.sent(state, { from: me, to: peer, ...message } as Message)
  const hear = (message: object): void =>
    rules.messageReceived(state, { from: peer, to: me, ...message } as Message)
  const heartbeat = (time: number, commit = 0): void => {
    state.time = time
    send({ type: 'heartbeat', term: asTerm(2), commit: asIndex(commit) })
  }
  const campaign = (time: number): void => {
    state.time = time
    send({ type: 'pre-vote-request', term: asTerm(2) })
  }
  return { state, rules, lead, send, hear, heartbeat, campaign, peer }
}

describe('elections', () => {
  test('nobody stands without the pre-votes of a majority', () => {
    const { rules, state, hear } = replica()
    expect(() => rules.role(state, 'candidate', 2)).toThrow('RAFT-26')
    hear({ type: 'pre-vote-answer', term: 2, granted: true })
    rules.role(state, 'candidate', 2)
    expect(() => rules.role(state, 'candidate', 3)).toThrow('RAFT-26')
  })

  test('but at the wish of its leader', () => {
    const { rules, state, hear } = replica()
    hear({ type: 'timeout-now', term: 1 })
    rules.role(state, 'candidate', 2)
  })

  test('pauses between campaigns are not alike', () => {
    const { campaign, state } = replica()
    state.contactAt = -1
    for (let count = 0; count < 5; count++) campaign(700 * count)
    expect(() => campaign(700 * 5)).toThrow('RAFT-26')
  })

  test('a committed change is applied before a campaign', () => {
    const { rules, state, campaign } = replica()
    rules.changeAppears(state, { index: 6, term: 1 }, 1, [])
    campaign(100)
    state.status = { ...state.status, commit: asIndex(6) }
    expect(() => campaign(900)).toThrow('RAFT-18')
  })

  test('a node that was stopped reads before it campaigns', () => {
    const { state, campaign } = replica()
    state.unread = 1
    expect(() => campaign(100)).toThrow('RAFT-26')
  })
})

describe('leaders', () => {
  test('what a follower receives the commit does not fall in a term', () => {
    const { lead, heartbeat } = replica()
    lead(2)
    heartbeat(10, 7)
    expect(() => heartbeat(20, 6)).toThrow('RAFT-14')
    lead(3)
    heartbeat(30, 6)
  })

  test('but of one that is a member no more it may', () => {
    const { lead, heartbeat, state, peer } = replica()
    lead(2)
    heartbeat(10, 7)
    const { configuration } = state.status
    const members = configuration.members.filter(({ id }) => id !== peer)
    state.status = { ...state.status, configuration: { ...configuration, members } }
    heartbeat(20, 6)
  })

  test('what is acknowledged is not sent again in that term', () => {
    const { lead, hear, send } = replica()
    lead(2)
    hear({ type: 'append-accepted', term: 2, index: 4 })
    send({ type: 'append', term: 2, entries: [{ index: 5 }] })
    expect(() => send({ type: 'append', term: 2, entries: [{ index: 4 }] })).toThrow('RAFT-14')
  })

  test('a leader that is no voter is done soon, unless it was stopped', () => {
    const { lead, heartbeat, state, peer } = replica()
    lead(2)
    heartbeat(0)
    state.status = { ...state.status, configuration: { ...emptyConfiguration, voters: [peer] } }
    for (let time = 50; time <= 2000; time += 50) heartbeat(time)
    heartbeat(9000)
    for (let time = 9050; time <= 9200; time += 50) heartbeat(time)
    expect(() => {
      for (let time = 9250; time <= 9500; time += 50) heartbeat(time)
    }).toThrow('RAFT-26')
  })

  test('the configuration is not changed before the term has committed anything', () => {
    const { rules, state, lead } = replica()
    lead(2)
    state.leads = 2
    rules.changeAppears(state, { index: 6, term: 2 }, 5, [])
    expect(() => rules.changeAppears(state, { index: 8, term: 2 }, 7, [])).toThrow('RAFT-17')
  })

  test('the configuration is not changed again before the former change is applied', () => {
    const { rules, state, lead } = replica()
    lead(2)
    state.leads = 2
    const terms = [0, 1, 1, 1, 1, 2, 2]
    rules.changeAppears(state, { index: 6, term: 2 }, 5, terms)
    expect(() => rules.changeAppears(state, { index: 7, term: 2 }, 5, terms)).toThrow('RAFT-17')
    // Another leader has replaced it.
    rules.changeAppears(state, { index: 8, term: 2 }, 5, [0, 1, 1, 1, 1, 2, 3, 3])
  })
})

test('a disk is read back as a process would, and left alone', () => {
  const { config } = generate(1)
  const recorder = (now: () => number) => new Recorder({ workload: 'kv', command: '' }, now, () => {})
  const cluster = new SimCluster(1, { ...config, nodes: 3, spares: 0, grow: 0 }, recorder)
  cluster.found()
  cluster.runUntil(20_000)
  const disk = cluster.machines[0]?.disk
  if (disk === undefined) throw new Error('no machine')
  const before = disk.sequence
  const found = recovered(disk, config.limits).storage
  expect(found?.hardState).toMatchObject({ term: cluster.leader?.term })
  const refused = Array.from({ length: 8 }, (_, pick) => {
    const copy = disk.copy()
    copy.flip(pick, 5)
    return recovered(copy, config.limits).storage === undefined
  })
  expect(refused).toContain(true)
  expect(recovered(disk, config.limits).storage).toBeDefined()
  expect(disk.sequence).toBe(before)
})
