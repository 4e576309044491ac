// The listener for probes and Prometheus: three paths in plain HTTP, for anybody, within limits of its own.

import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { expect, onTestFinished, test, vi } from 'vitest'
import { MetricsListener } from '../../../src/server/listener/metrics-listener.ts'
import { Metrics } from '../../../src/server/node/observe/metrics.ts'
import { FakeNode } from './fake-node.ts'
import { Client } from './raw-client.ts'

async function listening() {
  const node = new FakeNode()
  let closing = false
  const metrics = new Metrics()
  const listener = new MetricsListener({
    status: () => node.status(),
    isClosing: () => closing,
    metrics,
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  })
  await listener.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(() => listener.close())
  const port = Number(new URL(listener.url).port)
  const ask = async (method: string, path: string, headers = {}) => {
    const outgoing = request({ host: '127.0.0.1', port, method, path, agent: false, headers }).end()
    const [response] = await once(outgoing, 'response')
    let text = ''
    for await (const chunk of response) text += chunk
    return { status: response.statusCode as number, text, headers: response.headers }
  }
  const close = (): void => {
    closing = true
  }
  return { node, metrics, port, ask, close }
}

test('health and metrics, whatever the host, and nothing else', async () => {
  const { ask } = await listening()
  for (const host of ['127.0.0.1', 'balancer.example'])
    for (const path of ['/livez', '/readyz'])
      expect(await ask('GET', path, { host })).toMatchObject({ status: 200, text: '{"status":"ok"}' })
  expect(JSON.parse((await ask('GET', '/readyz?verbose')).text)).toMatchObject({
    status: 'ok',
    role: 'follower',
  })
  const scraped = await ask('GET', '/metrics')
  expect([scraped.status, scraped.headers['content-type']]).toEqual([
    200,
    expect.stringContaining('version=0.0.4'),
  ])
  expect(scraped.text).toContain('\nquorate_build_info{')
  expect(await ask('HEAD', '/livez')).toMatchObject({
    status: 200,
    text: '',
    headers: { connection: 'close' },
  })
  for (const path of ['/', '/v1/status', '/v1/kv/a', '/livez/', '/metrics/x', '/openapi.json', '//livez']) {
    const { status, text } = await ask('GET', path)
    expect([path, status, JSON.parse(text)]).toMatchObject([path, 404, { code: 'route_not_found' }])
    expect(text).toContain('keys are on the client port')
  }
  for (const method of ['PUT', 'POST', 'DELETE', 'OPTIONS'])
    expect(await ask(method, '/livez')).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } })
})

test('a node that is not ready, or stops, says why', async () => {
  const { node, ask, close } = await listening()
  vi.spyOn(node, 'status').mockReturnValue({ ...node.status(), notReady: ['it knows no leader'] })
  const { status, text } = await ask('GET', '/readyz')
  expect([status, JSON.parse(text).reasons]).toEqual([503, ['it knows no leader']])
  expect((await ask('GET', '/livez')).status).toBe(200)
  close()
  expect(JSON.parse((await ask('GET', '/readyz')).text).reasons[0]).toBe('the node is shutting down')
})

test('one more than 64 connections closes the oldest, and each has five seconds', async () => {
  const { port, ask } = await listening()
  const half = Array.from({ length: 64 }, () => new Client(port))
  for (const client of half) await client.send('GET /livez HT')
  for (let round = 0; round < 3; round++) expect((await ask('GET', '/livez')).status).toBe(200)
  expect(await half[0]?.rest()).toBe('')
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const late = connect(port, '127.0.0.1')
  const ended = once(late, 'close')
  // The timer of the connection exists once another one, which came later, is answered.
  expect((await ask('GET', '/livez')).status).toBe(200)
  vi.advanceTimersByTime(5_000)
  await ended
})

test('connections from one address displace no probe from another one', async () => {
  const { port } = await listening()
  const probe = new Client(port)
  await probe.send('GET /livez HTTP/1.1\r\n')
  const flood = Array.from({ length: 80 }, () =>
    connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' }),
  )
  onTestFinished(() => {
    for (const socket of flood) socket.destroy()
  })
  const ended = flood.map((socket) =>
    once(
      socket.on('error', () => {}),
      'close',
    ),
  )
  await Promise.all(ended.slice(0, 10))
  expect(await (await probe.send('\r\n')).answer()).toMatch(/^HTTP\/1.1 200/)
})

test('a flood of scrapes makes the metrics once a second', async () => {
  const { metrics, ask } = await listening()
  const text = vi.spyOn(metrics, 'text')
  const clock = vi.spyOn(performance, 'now').mockReturnValue(1_000)
  onTestFinished(() => clock.mockRestore())
  await Promise.all(Array.from({ length: 20 }, () => ask('GET', '/metrics')))
  expect(text).toHaveBeenCalledTimes(1)
  clock.mockReturnValue(2_000)
  await ask('GET', '/metrics')
  expect(text).toHaveBeenCalledTimes(2)
})
