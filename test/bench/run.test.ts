import { expect, test } from 'vitest'
import type { Cluster } from '../../bench/clusters/cluster.ts'
import { run } from '../../bench/run.ts'
import type { Scenario, Setting, Side } from '../../bench/scenarios/scenario.ts'

/** A cluster of one node that is always ready, and no process. */
const fakeCluster = (system: string): Cluster => ({
  system,
  version: '1',
  nodes: async () => [{ name: 'n1', url: 'http://127.0.0.1:1', pid: undefined }],
  view: async () => ({ leader: 'n1', term: 1, applied: 1 }),
  isReady: async () => true,
  syncs: async () => 0,
  put: async () => {},
  restart: async () => {},
})

const [quorate, etcd] = [fakeCluster('quorate'), fakeCluster('etcd')]
const side = (name: string, cluster: Cluster): Side => ({
  name,
  about: '',
  cluster,
  without: cluster === etcd ? { lacking: 'a reason' } : {},
  over: 'http',
  generator: { command: 'false', args: [] },
  to: 'leader',
  connections: { writes: 1, reads: 1 },
})
const SIDES = [side('quorate http', quorate), side('quorate client', quorate), side('etcd', etcd)]
const SETTING: Setting = {
  keys: 1,
  valueBytes: 1,
  rate: null,
  seconds: 1,
  warmupSeconds: 1,
  directory: '/nowhere',
}

async function order(scenario: Partial<Scenario>, rounds: number): Promise<string[]> {
  const full: Scenario = {
    name: 'fake',
    about: '',
    store: 'empty',
    per: 'protocol',
    measure: async () => ({ figures: { ops_per_s: 1 } }),
    ...scenario,
  }
  const measured = await run({
    scenarios: [full],
    sides: SIDES,
    rounds,
    setting: SETTING,
    progress: () => {},
  })
  return measured.map(({ side, round }) => `${round} ${side}`)
}

test('sides take turns, round by round', async () => {
  expect(await order({}, 2)).toEqual([
    '1 quorate http',
    '1 quorate client',
    '1 etcd',
    '2 quorate http',
    '2 quorate client',
    '2 etcd',
  ])
})

test('a scenario of the whole system runs once for each system', async () => {
  expect(await order({ per: 'system' }, 1)).toEqual(['1 quorate', '1 etcd'])
})

test('a system is left out of the scenarios that it lacks', async () => {
  expect(await order({ name: 'lacking' }, 1)).toEqual(['1 quorate http', '1 quorate client'])
})
