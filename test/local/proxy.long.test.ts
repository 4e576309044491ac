// A proxy in the environment that fails every request.

import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { Workspace } from './kv.ts'

test('no request goes through a proxy of the environment', async () => {
  const space = await Workspace.open()
  let connections = 0
  const proxy = createServer((socket) => {
    connections += 1
    socket.destroy()
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const address = proxy.address()
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  space.env = {
    NODE_USE_ENV_PROXY: '1',
    HTTP_PROXY: url,
    http_proxy: url,
    HTTPS_PROXY: url,
    NO_PROXY: '',
    no_proxy: '',
  }
  await space.start()
  expect(await space.kv('put', 'a', '1')).toMatchObject({ code: 0 })
  expect(await space.kv('get', 'a')).toMatchObject({ code: 0, stdout: '1' })
  expect(await space.kv('export')).toMatchObject({ code: 0 })
  expect((await space.status()).leader).not.toBeNull()
  expect(await space.kv('cluster', 'kill', 'n1')).toMatchObject({ code: 0 })
  expect(await space.kv('cluster', 'rejoin', 'n1')).toMatchObject({ code: 0 })
  expect(await space.kv('cluster', 'stop')).toMatchObject({ code: 0 })
  proxy.close()
  expect(connections).toBe(0)
})
