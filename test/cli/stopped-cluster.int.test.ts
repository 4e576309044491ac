// The local cluster of the working directory is stopped, and that of another project runs at the same ports.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../src/index.ts'
import { DEFAULT_DATA, writeClusterFile } from '../../src/local/cluster-file.ts'
import { kv } from './run-kv.ts'

let other: EmbeddedCluster
let project: string
beforeAll(async () => {
  other = await startCluster({ nodes: 1 })
  project = mkdtempSync(join(tmpdir(), 'quorate-project-'))
  const dataDir = join(project, DEFAULT_DATA)
  mkdirSync(dataDir, { recursive: true })
  // As `cluster stop` leaves it: the default ports are those of every project.
  const node = {
    name: 'n1',
    url: other.endpoints[0] ?? '',
    pid: null,
    peer_port: null,
    stage: 'member',
  } as const
  writeClusterFile(dataDir, { cluster_id: '4711', supervisor: null, nodes: [node] })
})
afterAll(async () => {
  await other.close()
  rmSync(project, { recursive: true, force: true })
})

test('a command of a project whose local cluster is stopped deletes the keys of the cluster of another project', async () => {
  const theirs = other.client()
  expect((await theirs.cluster()).clusterId).not.toBe('4711')
  await theirs.put('config/app', 'theirs')
  const deleted = await kv(['del', 'config/app'], { cwd: project, terminals: ['stdin', 'stdout', 'stderr'] })
  expect({ left: (await theirs.get('config/app'))?.text(), said: deleted.err }).toEqual({
    left: 'theirs',
    said: expect.stringContaining('another cluster'),
  })
})

test('an import into a local cluster that is stopped overwrites the keys of the cluster of another project', async () => {
  const theirs = other.client()
  await theirs.put('config/app', 'theirs')
  const stdin = `${JSON.stringify({ key: 'config/app', value: 'ours' })}\n${JSON.stringify({ end: true, count: 1 })}\n`
  await kv(['import', '-'], { cwd: project, stdin })
  expect((await theirs.get('config/app'))?.text()).toBe('theirs')
})
