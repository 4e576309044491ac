// The local cluster of the working directory is stopped, and that of another project runs at its ports.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../src/index.ts'
import { DEFAULT_DATA, writeClusterFile } from '../../src/local/directory/cluster-file.ts'
import { kv } from './run-kv.ts'

let other: EmbeddedCluster
let project: string
beforeAll(async () => {
  other = await startCluster({ nodes: 1 })
  project = mkdtempSync(join(tmpdir(), 'quorate-project-'))
})
afterAll(async () => {
  await other.close()
  rmSync(project, { recursive: true, force: true })
})

/** As `cluster stop` leaves it. */
function writeStopped(clusterId: string): void {
  const dataDir = join(project, DEFAULT_DATA)
  mkdirSync(dataDir, { recursive: true })
  const node = { name: 'n1', pid: null, peer_port: null, stage: 'member' } as const
  const nodes = other.endpoints.map((url) => ({ ...node, url }))
  writeClusterFile(dataDir, { cluster_id: clusterId, supervisor: null, nodes })
}

test.each([
  [['del', 'config/app'], ''],
  [['put', 'config/app', 'ours'], ''],
  [['import', '-'], '{"key":"config/app","value":"ours"}\n{"end":true,"count":1}\n'],
  [['get', 'config/app'], ''],
  [['status'], ''],
  [['watch', 'config/app'], ''],
])('%j is refused while another cluster runs at the ports', async (args, stdin) => {
  writeStopped('4711')
  const theirs = other.client()
  await theirs.put('config/app', 'theirs')
  const { code, out, err } = await kv(args, { cwd: project, stdin })
  expect({ code, out }).toEqual({ code: 1, out: '' })
  expect(err).toMatch(/belongs to another cluster \(\d+\).*; the local cluster here is stopped: /)
  expect((await theirs.get('config/app'))?.text()).toBe('theirs')
})

test('the cluster that the directory names serves its commands', async () => {
  writeStopped((await other.client().cluster()).clusterId ?? '')
  expect(await kv(['put', 'ours', '1'], { cwd: project })).toMatchObject({ code: 0 })
})
