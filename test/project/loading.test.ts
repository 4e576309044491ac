// The modules that a node and its client load. Each takes time at each start, and memory. One careless import brings in
// Node's fetch (see src/system/node-http.ts) or OpenTelemetry.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { RelayedNode } from '../client/relayed-node.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../..')

const USE = `
  const { startCluster } = await import('./src/index.ts')
  const cluster = await startCluster({ nodes: 1 })
  await cluster.client().put('a', 'b')
  await cluster.close()
  for (const name of ['cli/main', 'cli/cluster/start', 'local/supervisor/supervisor', 'local/supervisor/supervisor-socket'])
    await import('./src/' + name + '.ts')
  const { createRequire } = await import('node:module')
  console.log(JSON.stringify([...process.moduleLoadList, ...Object.keys(createRequire(import.meta.url).cache)]))
`

test('neither a node nor its client nor the command loads fetch or OpenTelemetry', async () => {
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', USE], { cwd: root })
  const loaded: string[] = JSON.parse(stdout)
  const having = (part: string) => loaded.filter((name) => name.includes(part))
  expect(having('NativeModule http')).not.toEqual([])
  expect(having('fastify')).not.toEqual([])
  expect(having('undici')).toEqual([])
  expect(having('opentelemetry')).toEqual([])
})

const CALLS = `
  const { Client } = await import('./src/client/index.ts')
  const { createRequire } = await import('node:module')
  const loaded = () => Object.keys(createRequire(import.meta.url).cache).some((name) => name.includes('/ws/'))
  const [, url] = process.argv
  const kv = new Client({ endpoints: [url], discover: false, timeoutMs: 60_000 })
  for (let n = 0; n < 15; n++) await kv.get('a')
  const before = loaded()
  while (!loaded()) await kv.get('a')
  await kv.close()
  console.log(before)
`

test('a client that makes few calls does not load what many calls need', async () => {
  const node = await RelayedNode.start()
  const args = ['--input-type=module', '--eval', CALLS, node.url]
  const { stdout } = await run(process.execPath, args, { cwd: root }).finally(() => node.close())
  expect(stdout.trim()).toBe('false')
})

const TESTING = `
  const { registerHooks } = await import('node:module')
  const loaded = []
  registerHooks({
    load: (url, context, next) => {
      loaded.push(url)
      return next(url, context)
    },
  })
  const { simulate } = await import('./jepsen-lite/testing/index.ts')
  const atFirst = loaded.splice(0)
  await simulate({ seed: 1 }, () => {})
  console.log(JSON.stringify([atFirst, loaded]))
`

test('quorate/testing loads a node and the simulation when one is run', async () => {
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', TESTING], { cwd: root })
  const [atFirst, later]: [string[], string[]] = JSON.parse(stdout)
  const ofSimulation = (urls: string[]) =>
    urls.filter(
      (url) =>
        /\/jepsen-lite\/(sim|simulation)\/|\/src\/(raft|server|storage)\//.test(url) &&
        !/\/simulation\/(error\.ts|schedule\/)/.test(url),
    )
  expect(ofSimulation(atFirst)).toEqual([])
  expect(ofSimulation(later).length).toBeGreaterThan(50)
})
