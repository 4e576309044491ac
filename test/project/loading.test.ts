// What a node and its client load takes time at each start and memory for as long as they run. Node's fetch (undici) is
// the largest part of Node that both can do without; one careless import brings it in (src/node-http.ts).

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
  for (const folder of ['cli/main', 'cli/cluster/start', 'local/supervisor', 'local/control-client'])
    await import('./src/' + folder + '.ts')
  console.log(JSON.stringify(process.moduleLoadList))
`

test('neither a node nor its client nor the command loads fetch', { timeout: 30_000 }, async () => {
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', USE], { cwd: root })
  const loaded: string[] = JSON.parse(stdout)
  expect(loaded).toContain('NativeModule http')
  expect(loaded.filter((name) => name.includes('undici'))).toEqual([])
})
