// The directories of a stopped local cluster: what doctor, inspect, recover and start say about them.

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
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

test('a second recovery is refused, unless it resets root: it would leave out what has joined the first cluster', async () => {
  const top = join(project, 'machine')
  mkdirSync(top)
  cpSync(join(dataDir, 'n2'), join(top, 'd'), { recursive: true })
  const recover = (...flags: string[]) => run('recover', '--data', 'machine/d', '--yes-lose-data', ...flags)
  const first = await recover()
  expect(first.code).toBe(0)
  const content = readdirSync(top).sort()
  expect(await recover()).toMatchObject({
    ...{ code: 1, out: '' },
    err:
      `error: n2 is the only voter of its cluster ${first.out.trim()} already; nothing was changed; start it with ` +
      `quorate node start --name n2 --data ${top}/d …; for a new password of root, add --reset-root\n`,
  })
  expect(readdirSync(top).sort()).toEqual(content)
  expect((await run('inspect', 'machine/d', '-o', 'json')).out).toContain(first.out.trim())
  // A start of a replica in quarantine would be refused, so it is not the advice.
  cpSync(join(top, 'd'), join(top, 'damaged'), { recursive: true })
  writeFileSync(join(top, 'damaged/QUARANTINE'), 'a block is damaged\n')
  expect(await run('recover', '--data', 'machine/damaged', '--yes-lose-data')).toMatchObject({
    ...{ code: 1, err: expect.stringContaining('was put under quarantine: a block is damaged') },
  })
  // With it, a new cluster has to be made; here it ends because the store has no users.
  writeFileSync(join(top, 'password'), 'a new password\n')
  expect((await recover('--reset-root', '--password-file', 'machine/password')).err).toContain(
    'There is no user root',
  )
})
