// What a recipe does in the background keeps no process alive once its client is closed.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { startCluster } from '../../src/embed/index.ts'

const root = pathToFileURL(join(import.meta.dirname, '../../src/')).href

test('a process whose client is closed ends, although nobody has closed what was built on it', async () => {
  await using cluster = await startCluster({ nodes: 1 })
  const program = `
    import { Client } from '${root}index.ts'
    import { cache, config, registry } from '${root}recipes/index.ts'
    const kv = new Client({ endpoints: ${JSON.stringify(cluster.endpoints)} })
    await kv.put('c', '1')
    await cache(kv, { prefix: 'x' }).get('y')
    await config(kv, { key: 'c', validate: Number, onError: () => {} })
    const services = registry(kv, 's')
    await services.register({ url: 'u' })
    await services.resolver().resolve()
    await kv.close()
    console.log('closed')`
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  expect(await once(child, 'exit')).toEqual([0, null])
})
