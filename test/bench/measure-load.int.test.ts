// The figures of a load: those of its generator, and what it cost the nodes.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, onTestFinished, test } from 'vitest'
import type { LoadReport } from '../../bench/load/load.ts'
import { loadFor, measureLoad } from '../../bench/scenarios/measure-load.ts'
import type { Side } from '../../bench/scenarios/scenario.ts'
import { fakeCluster, SETTING, sideOf } from './fake-cluster.ts'

const REPORT: LoadReport = {
  ...{ operations: 50, seconds: 2, p50_ms: 1, p99_ms: 2, p999_ms: 3, max_ms: 4 },
  ...{ errors: { 'status 503': 2, 'status 429': 3 }, cpu_us: 500 },
}
const PRINT = `console.log('begun\\n' + ${JSON.stringify(JSON.stringify(REPORT))})`

async function process600(): Promise<number> {
  const child = spawn('sleep', ['600'])
  await once(child, 'spawn')
  onTestFinished(() => void child.kill('SIGKILL'))
  return child.pid ?? 0
}

/** A cluster with a node for each process; undefined: it is not known. The leader is the last node. */
function sideWith(...pids: readonly (number | undefined)[]): Side {
  const nodes = pids.map((pid, at) => ({ name: `n${at}`, url: `http://n${at}`, pid }))
  const leader = nodes.at(-1)?.name
  let syncs = 0
  return {
    ...sideOf('side', {
      ...fakeCluster('fake'),
      nodes: async () => nodes,
      view: async () => ({ leader, term: 1, applied: 1 }),
      async syncs({ name }) {
        if (name !== leader) return undefined
        syncs += 100
        return syncs
      },
    }),
    generator: { command: process.execPath, args: ['-e', PRINT] },
  }
}

test('figures are by operation, of the leader and of each follower', async () => {
  const pids = await Promise.all([process600(), process600(), process600()])
  const { figures, errors } = await measureLoad(sideWith(...pids), SETTING, { in_flight: 1 })
  expect(figures).toMatchObject({
    ...{ ops_per_s: 25, p50_ms: 1, p99_ms: 2, p999_ms: 3, max_ms: 4, errors: 5, generator_cpu_us: 10 },
    ...{ 'leader.syncs_per_op': 2, 'leader.cpu_us': 0, 'follower2.cpu_us': 0, server_cpu_us: 0 },
  })
  expect(figures).not.toHaveProperty(['follower1.syncs_per_op'])
  expect(errors).toEqual(REPORT.errors)
})

test('the CPU time of all nodes is not known unless that of each one is', async () => {
  const { figures } = await measureLoad(sideWith(await process600(), undefined), SETTING, { in_flight: 1 })
  expect(figures).toHaveProperty(['follower1.cpu_us'])
  for (const name of ['leader.cpu_us', 'leader.vm_rss_mb', 'server_cpu_us'])
    expect(figures).not.toHaveProperty([name])
})

test('a load has the nodes, the connections and the settings of its side', async () => {
  const side = { ...sideWith(undefined, undefined), connections: { writes: 10, reads: 3 } }
  const load = (wish: object, to: Side['to'] = 'leader') =>
    loadFor({ ...side, to }, { ...SETTING, rate: 7 }, { in_flight: 64, ...wish })
  expect(await load({})).toMatchObject({ endpoints: ['http://n1'], connections: 10, rate: 7, reads: 0 })
  expect(await load({}, 'all')).toMatchObject({ endpoints: ['http://n1', 'http://n0'] })
  expect(await load({ reads: 1 })).toMatchObject({ connections: 3 })
  expect(await load({ in_flight: 2 })).toMatchObject({ connections: 2 })
  expect(await load({ reads: 0.9, rate: null, keys: 5 })).toMatchObject({
    connections: 10,
    rate: null,
    keys: 5,
  })
})

test.each([
  [`console.log('a fault')`, 'the load generator printed: a fault'],
  [`console.log('begun')`, 'the load generator ended without a report'],
  ['', 'the load generator ended without a report'],
])('a generator that runs %j has failed', async (script, message) => {
  const side = { ...sideWith(undefined), generator: { command: process.execPath, args: ['-e', script] } }
  await expect(measureLoad(side, SETTING, { in_flight: 1 })).rejects.toThrow(message)
})

test('a generator that is missing has failed', async () => {
  const side = { ...sideWith(undefined), generator: { command: '/no/generator', args: [] } }
  await expect(measureLoad(side, SETTING, { in_flight: 1 })).rejects.toThrow('ENOENT')
})
