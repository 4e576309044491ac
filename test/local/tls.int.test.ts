// `kv cluster start --tls`: the command finds the certificates, and the next start continues with them.

import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { Workspace } from './kv.ts'

test('a local cluster with TLS', async () => {
  const space = await Workspace.open()
  const start = () =>
    space.spawned('cluster', 'start', '--detach', '--port', String(space.port), '--nodes', '1')
  expect(
    await space.spawned(
      'cluster',
      'start',
      '--detach',
      '--tls',
      '--port',
      String(space.port),
      '--nodes',
      '1',
    ),
  ).toMatchObject({ code: 0 })
  const url = `https://127.0.0.1:${space.port}`
  expect(JSON.parse(readFileSync(space.path('cluster.json'), 'utf8'))).toMatchObject({
    nodes: [{ url }],
    tls: { ca: 'certs/ca.crt', cert: 'certs/root.crt', key: 'certs/root.key' },
  })
  expect(await space.kv('put', 'a', 'b')).toMatchObject({ code: 0 })
  expect(await space.kv('get', 'a', '--endpoints', url)).toMatchObject({ code: 0, stdout: 'b' })
  const plain = await space.kv('get', 'a', '--endpoints', url.replace('https', 'http'))
  expect(plain).toMatchObject({
    code: 7,
    stderr: expect.stringContaining(`speaks only TLS: --endpoints ${url} `),
  })
  expect(await space.kv('cluster', 'stop')).toMatchObject({ code: 0 })
  expect(await start()).toMatchObject({ code: 0 })
  expect(await space.kv('get', 'a')).toMatchObject({ code: 0, stdout: 'b' })
  expect(await space.kv('cluster', 'destroy', '--yes')).toMatchObject({ code: 0 })
  expect(existsSync(space.path())).toBe(false)
})
