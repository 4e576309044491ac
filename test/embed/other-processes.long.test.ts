// Embedded clusters of several processes that share a directory for temporary files.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startCluster } from '../../src/index.ts'

const usual = process.env.TMPDIR
const place = mkdtempSync(join(tmpdir(), 'quorate-processes-'))
beforeAll(() => {
  process.env.TMPDIR = place
})
afterAll(() => {
  process.env.TMPDIR = usual ?? ''
  rmSync(place, { recursive: true, force: true })
})

test('workers of node:cluster, as PM2 starts them, have clusters of their own', () => {
  const index = join(import.meta.dirname, '../../src/index.ts')
  const dir = mkdtempSync(join(place, 'workers-'))
  const script = join(dir, 'script.mjs')
  writeFileSync(
    script,
    `import cluster from 'node:cluster'
    import { startCluster } from ${JSON.stringify(index)}
    if (cluster.isPrimary) {
      const answers = ['a', 'b'].map(() => new Promise((resolve) => cluster.fork().once('message', resolve)))
      const endpoints = (await Promise.all(answers)).flat()
      console.log(endpoints.length, new Set(endpoints).size)
      process.exit()
    }
    const started = await startCluster({ nodes: 1 }).catch(({ message }) => ({ endpoints: [message] }))
    process.send(started.endpoints)`,
  )
  const env = { ...process.env, TMPDIR: dir }
  try {
    const { stdout } = spawnSync(process.execPath, [script], { encoding: 'utf8', timeout: 60_000, env })
    expect(stdout).toBe('2 2\n')
  } finally {
    rmSync(dir, { recursive: true })
  }
})

test('the data of a process that did not close its cluster is removed later, and no other data', async () => {
  const abandon = `
    const { startCluster } = await import(${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)})
    await startCluster({ nodes: 1 })
    process.kill(process.pid, 'SIGKILL')`
  await using alive = await startCluster({ nodes: 1 })
  const before = readdirSync(place)
  const { signal } = spawnSync(process.execPath, ['--input-type=module', '--eval', abandon])
  expect(signal).toBe('SIGKILL')
  const abandoned = readdirSync(place).filter((name) => !before.includes(name))
  expect(abandoned).toHaveLength(1)
  mkdirSync(join(place, 'quorate-embedded-other'))
  const startNext = async () => (await startCluster({ nodes: 1 })).close()

  await startNext()
  expect(readdirSync(place).sort()).toEqual([...before, 'quorate-embedded-other'].sort())
  await alive.client().put('a', '1')
  rmSync(join(place, 'quorate-embedded-other'), { recursive: true })
})

/** Whether this process may create PID namespaces, as containers have them. */
const hasNamespaces = spawnSync('unshare', ['--pid', '--fork', 'true']).status === 0

test.runIf(hasNamespaces)('a container removes nothing of a cluster that runs in another one', async () => {
  const index = new URL('../../src/index.ts', import.meta.url).href
  const start = `
    const { startCluster } = await import(${JSON.stringify(index)})
    await using cluster = await startCluster({ nodes: 1 })
    await cluster.client().put('a', '1')`
  await using alive = await startCluster({ nodes: 1 })
  const before = readdirSync(place)
  const hoursAgo = new Date(Date.now() - 50 * 3_600_000)
  for (const name of before) utimesSync(join(place, name), hoursAgo, hoursAgo)
  // There, the id of this process is that of none.
  const container = ['--pid', '--fork', process.execPath, '--input-type=module', '--eval', start]
  const { status, stderr } = spawnSync('unshare', container, { encoding: 'utf8', timeout: 60_000 })
  expect([status, stderr]).toEqual([0, ''])
  expect(readdirSync(place).sort()).toEqual(before.sort())
  await alive.client().put('a', '2')
})
