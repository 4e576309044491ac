// An error that a callback of the application throws is an uncaught exception. The background work continues.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { startCluster } from '../../src/embed/index.ts'

const root = pathToFileURL(join(import.meta.dirname, '../../src/')).href

test('a configuration, a registration and a resolver go on when their callbacks have thrown', async () => {
  await using cluster = await startCluster({ nodes: 1 })
  const program = `
    import { Client } from '${root}index.ts'
    import { config, registry } from '${root}recipes/index.ts'
    const kv = new Client({ endpoints: ${JSON.stringify(cluster.endpoints)} })
    const alive = setInterval(() => {}, 10_000)
    const caught = []
    let wake = () => {}
    process.on('uncaughtException', (error, origin) => {
      caught.push(origin + ': ' + error.message)
      wake()
    })
    const caughtAre = async (count) => {
      while (caught.length < count) await new Promise((resolve) => (wake = resolve))
    }
    const failing = (text) => () => { throw new Error(text) }

    await kv.put('c', '1')
    const live = await config(kv, { key: 'c', validate: (value) => value.toFixed(), onError: failing('of config') })
    await kv.put('c', '"bad"')
    await caughtAre(1)
    const changed = new Promise((resolve) => live.onChange(resolve))
    await kv.put('c', '2')
    const value = await changed
    await live.close()

    const services = registry(kv, 's')
    const registration = await services.register({ id: 'i', url: 'u', onProblem: failing('of registration') })
    const lease = async () => (await kv.get('service/s/i'))?.lease
    const first = await lease()
    await kv.revokeLease(first)
    await caughtAre(2)
    while ([undefined, first].includes(await lease()));
    await registration.close()

    await kv.put('service/s/j', '{}')
    const resolver = services.resolver({ onError: failing('of resolver') })
    await caughtAre(3)
    const { id } = await kv.grantLease({ ttlMs: 60_000 })
    await kv.put('service/s/j', '{"url":"v"}', { lease: id })
    while (resolver.instances.length === 0) await new Promise(setImmediate)
    const { url } = await resolver.resolve()
    await resolver.close()
    await kv.close()
    clearInterval(alive)
    console.log(JSON.stringify({ caught: [...new Set(caught)], value, url }))`
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const limit = setTimeout(() => child.kill('SIGKILL'), 40_000)
  const [printed] = await Promise.all([json(child.stdout), once(child, 'exit')])
  clearTimeout(limit)
  const caught = ['config', 'registration', 'resolver'].map((what) => `uncaughtException: of ${what}`)
  expect(printed).toEqual({ caught, value: '2', url: 'v' })
})
