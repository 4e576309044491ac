// The routes beside the keys are loaded apart from the rest, and that may fail; so may the listener.

import { Server } from 'node:net'
import { afterEach, expect, test, vi } from 'vitest'
import { serve } from './served.ts'

const REST = '../../../src/server/http/routes.ts'
const CONSOLE = '../../../src/console/console-page.ts'

afterEach(() => {
  vi.doUnmock(REST)
  vi.doUnmock(CONSOLE)
  vi.resetModules()
})

test('the routes beside the keys are loaded before anybody asks for them', async () => {
  const loaded = new Promise<void>((resolve) => {
    vi.doMock(REST, async (original) => {
      resolve()
      return await original()
    })
  })
  const { ask } = await serve()
  await loaded
  expect((await ask('GET', '/livez')).status).toBe(200)
})

test('routes that could not be loaded are tried again, and the front closes all the same', async () => {
  let failures = 0
  vi.doMock(REST, () => {
    failures++
    throw new Error('too many open files')
  })
  const { ask, http } = await serve()
  const failed = await ask('GET', '/livez')
  expect([failed.status, failed.json.code]).toEqual([500, 'internal'])
  expect(failures).toBeGreaterThan(0)
  expect((await ask('PUT', '/v1/kv/a', { body: '1' })).status).toBe(200)
  vi.doUnmock(REST)
  expect((await ask('GET', '/livez')).status).toBe(200)
  await http.close({ graceful: true })

  vi.doMock(REST, () => {
    throw new Error('too many open files')
  })
  const other = await serve()
  expect((await other.ask('GET', '/livez')).status).toBe(500)
  await expect(other.http.close({ graceful: true })).resolves.toBeUndefined()
})

test('a node that nobody looks at loads nothing for the console', async () => {
  let loads = 0
  vi.doMock(CONSOLE, async (original) => {
    loads++
    return await original()
  })
  const { ask } = await serve()
  for (const path of ['/livez', '/', '/openapi.json', '/ui', '/ui/console.json', '/v1/status'])
    await ask('GET', path)
  expect(loads).toBe(0)
  expect((await ask('GET', '/ui/')).status).toBe(200)
  await ask('GET', '/ui/')
  expect(loads).toBe(1)
})

test('a console that could not be loaded is tried again', async () => {
  vi.doMock(CONSOLE, () => {
    throw new Error('too many open files')
  })
  const { ask, logged } = await serve()
  expect((await ask('GET', '/ui/')).json.code).toBe('internal')
  expect(logged).toEqual([expect.stringContaining('a request failed')])
  vi.doUnmock(CONSOLE)
  expect((await ask('GET', '/ui/')).status).toBe(200)
})

test('a connection that cannot be accepted is reported, and the node goes on', async () => {
  const listening = vi.spyOn(Server.prototype, 'listen')
  const { ask, logged } = await serve()
  const [server] = listening.mock.contexts
  listening.mockRestore()
  if (!(server instanceof Server)) throw new Error('nothing listens')
  server.emit('error', new Error('accept ENOBUFS'))
  expect(logged).toEqual(['the HTTP listener failed'])
  expect((await ask('PUT', '/v1/kv/a', { body: '1' })).status).toBe(200)
})
