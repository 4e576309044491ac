// What a node and its client load takes time at each start, and memory for as long as they run. One careless import
// brings in Node's fetch (see src/node-http.ts) or OpenTelemetry (see src/server/prometheus.ts).

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../..')

const USE = `
  const { startCluster } = await import('./src/index.ts')
  const cluster = await startCluster({ nodes: 1 })
  await cluster.client().put('a', 'b')
  await cluster.close()
  for (const name of ['cli/main', 'cli/cluster/start', 'local/supervisor', 'local/control-client'])
    await import('./src/' + name + '.ts')
  const { createRequire } = await import('node:module')
  console.log(JSON.stringify([...process.moduleLoadList, ...Object.keys(createRequire(import.meta.url).cache)]))
`

test('neither a node nor its client nor the command loads fetch or OpenTelemetry', {
  timeout: 30_000,
}, async () => {
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', USE], { cwd: root })
  const loaded: string[] = JSON.parse(stdout)
  const having = (part: string) => loaded.filter((name) => name.includes(part))
  expect(having('NativeModule http')).not.toEqual([])
  expect(having('prometheus')).not.toEqual([])
  expect(having('undici')).toEqual([])
  expect(having('opentelemetry')).toEqual([])
})
