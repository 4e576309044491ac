import { expect, test } from 'vitest'
import { run } from '../../bench/run.ts'
import type { Scenario } from '../../bench/scenarios/scenario.ts'
import { fakeCluster, SETTING, sideOf } from './fake-cluster.ts'

const [quorate, etcd] = [fakeCluster('quorate'), fakeCluster('etcd')]
const SIDES = [
  sideOf('quorate http', quorate),
  sideOf('quorate client', quorate),
  sideOf('etcd', etcd, { lacking: 'a reason' }),
]

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
