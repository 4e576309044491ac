// The directories of a stopped local cluster: what doctor, inspect, recover and start say about them.

import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startCluster } from '../../src/index.ts'
import { DEFAULT_DATA, writeClusterFile } from '../../src/local/directory/cluster-file.ts'
import { kv } from './run-kv.ts'

const NAMES = ['n1', 'n2', 'n3']
let project: string
let dataDir: string
let clusterId: string
beforeAll(async () => {
  project = mkdtempSync(join(tmpdir(), 'quorate-directories-'))
  dataDir = join(project, DEFAULT_DATA)
  mkdirSync(dataDir, { recursive: true })
  const cluster = await startCluster({ nodes: 3, dataDir })
  clusterId = (await cluster.client().cluster()).clusterId ?? ''
  const nodes = NAMES.map((name, at) => ({
    ...{ name, url: cluster.endpoints[at] ?? '', pid: null, peer_port: null, stage: 'member' as const },
  }))
  await cluster.close()
  writeClusterFile(dataDir, { cluster_id: clusterId, supervisor: null, nodes })
})

afterAll(() => rmSync(project, { recursive: true, force: true }))

const run = (...args: string[]) => kv(args, { cwd: project })
const pathsOf = (names: readonly string[]) => names.map((name) => `${DEFAULT_DATA}/${name}`)

test('the directory of the cluster, and one of no node, are named, and nobody is told to empty them', async () => {
  const advice = 'this is the directory of a local cluster; check its nodes: quorate'
  const doctor = await run('doctor', DEFAULT_DATA)
  expect(doctor).toMatchObject({ code: 1, out: expect.stringContaining(`${advice} doctor ${dataDir}/n1\n`) })
  const inspect = await run('inspect', DEFAULT_DATA)
  expect(inspect).toMatchObject({ code: 1, err: `error: ${advice} inspect ${dataDir}/n1\n` })
  const elsewhere = `${(await run('doctor', '.')).out}${(await run('inspect', '.')).err}`
  expect(elsewhere.match(/holds no node \(found \.kv\)\. Check the path/g)).toHaveLength(2)
  expect(elsewhere).not.toMatch(/empty this/)
})

test('inspect recovers nothing while a majority is there', async () => {
  const whole = await run('inspect', ...pathsOf(NAMES))
  expect(whole).toMatchObject({
    code: 0,
    err: `3 of the 3 voters are here: start them (quorate cluster start --data ${dataDir}); quorate recover is only for a lost majority\n`,
  })
  expect((await run('inspect', ...pathsOf(['n1', 'n2']))).err).toMatch(/^2 of the 3 voters are here/)
})

test('recover refuses while a majority lies beside it; a start then refuses nodes of two clusters', async () => {
  const before = readdirSync(dataDir).sort()
  const recover = () => run('recover', '--data', `${DEFAULT_DATA}/n1`, '--yes-lose-data')
  const refused = await recover()
  expect(refused).toMatchObject({ code: 1, out: '' })
  expect(refused.err).toMatch(/^error: n1, n2 and n3 lie in .*: 3 of the 3 voters, .* quorate cluster start/)
  expect(readdirSync(dataDir).sort()).toEqual(before)

  const aside = join(project, 'aside')
  mkdirSync(aside)
  for (const name of ['n2', 'n3']) renameSync(join(dataDir, name), join(aside, name))
  const { code, out } = await recover()
  expect(code).toBe(0)
  for (const name of ['n2', 'n3']) renameSync(join(aside, name), join(dataDir, name))
  const start = await run('cluster', 'start', '--detach')
  expect(start).toMatchObject({ code: 1, out: '' })
  expect(start.err).toContain(
    `n1 is of another cluster (${out.trim()}, recovered) than n2 and n3 (${clusterId}); to keep n2 and n3: `,
  )
  expect(existsSync(join(dataDir, 'n1.log'))).toBe(false)
})
