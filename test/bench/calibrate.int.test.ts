import { expect, test } from 'vitest'
import { bestConnections } from '../../bench/calibrate.ts'
import { fakeCluster, SETTING, sideOf } from './fake-cluster.ts'

/** A generator whose operations depend on the number of connections: reads are served best on 10, writes on 100. */
const GENERATOR = `process.stdin.once('data', (line) => {
  const { connections, reads } = JSON.parse(line)
  const operations = reads === 1 ? { 1: 20, 10: 30, 100: 10 } : { 1: 20, 10: 30, 100: 40 }
  const times = { seconds: 1, p50_ms: 1, p99_ms: 1, p999_ms: 1, max_ms: 1 }
  console.log('begun\\n' + JSON.stringify({ operations: operations[connections], ...times, errors: {}, cpu_us: 1 }))
  process.exit()
})`

test('writes and reads have the numbers of connections that served most of them', async () => {
  const side = {
    ...sideOf('etcd', fakeCluster('etcd')),
    generator: { command: process.execPath, args: ['-e', GENERATOR] },
  }
  expect(await bestConnections(side, SETTING)).toEqual({ writes: 100, reads: 10 })
})
