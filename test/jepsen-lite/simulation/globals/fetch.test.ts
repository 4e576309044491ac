// `fetch` of a simulated process.

import { expect, test } from 'vitest'
import { virtualHost } from './virtual-host.ts'

test('fetch is a request to the world of the process', async () => {
  const host = virtualHost()
  const controller = new AbortController()
  const answer = await host.run(() =>
    fetch('http://service/path', { method: 'POST', body: 'text', signal: controller.signal }),
  )
  expect(await answer.text()).toBe('answer to POST http://service/path')
  expect(await host.requests[0]?.text()).toBe('text')
  controller.abort()
  expect(host.requests[0]?.signal.aborted).toBe(true)
  await host.run(() => fetch(new Request('http://other/')))
  expect(host.requests[1]?.url).toBe('http://other/')
})

test('a request that is not valid is rejected', async () => {
  const host = virtualHost()
  await expect(host.run(() => fetch('no url'))).rejects.toThrow(TypeError)
  expect(host.requests).toEqual([])
})

test('options of fetch change a request', async () => {
  const host = virtualHost()
  await host.run(() => fetch(new Request('http://service/path'), { method: 'PUT' }))
  expect(host.requests.map(({ method }) => method)).toEqual(['PUT'])
})
