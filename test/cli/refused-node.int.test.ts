// A node that its cluster does not accept: an operator must act, and a service manager must not start it again.

import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startCluster } from '../../src/index.ts'
import { temporaryDirectory } from '../backup/samples.ts'
import { spawnedKv } from './run-kv.ts'

test('a name that is taken ends the node with exit code 2, and its log says what to do, without a stack', async () => {
  await using cluster = await startCluster({ nodes: 1 })
  const [url = ''] = cluster.endpoints
  const where = ['--listen', '127.0.0.1:0', '--peer-listen', '127.0.0.1:0', '--join', url]
  const data = join(temporaryDirectory(), 'd')
  const { code, err } = await spawnedKv(['node', 'start', '--name', 'n1', '--data', data, ...where])
  expect(code).toBe(2)
  const errors = err
    .split('\n')
    .flatMap((line) => (line.startsWith('{') ? [Object(JSON.parse(line))] : []))
    .filter(({ level }) => level >= 50)
  expect(errors).toEqual([
    {
      ...{ level: 50, time: expect.any(Number), node: 'n1' },
      msg: expect.stringMatching(
        /^stopping: the cluster has a member named n1 already .*; add --replace if /,
      ),
    },
  ])
})
