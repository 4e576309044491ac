// The status and the metrics of another member, through any node.

import { X509Certificate } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { StatusDocument } from '../../../src/operations/documents/status.ts'
import { describeNode } from '../../../src/server/api/status.ts'
import { setIdentity } from '../../../src/server/tls/identity.ts'
import { AS_BOB, nodeWithUsers } from '../auth/users.ts'
import { authority } from '../tls/certificates.ts'
import type { FakeNode } from './fake-node.ts'
import { serve } from './served.ts'

const statusOf = (node: FakeNode): Buffer =>
  Buffer.from(StatusDocument.stringify({ ...describeNode({ node, version: '9.9.9' }), name: 'n2' }))

test('a node answers with what the member reports', async () => {
  const { ask, node } = await serve()
  node.report = statusOf(node)
  const status = await ask('GET', '/v1/status?node=n2')
  expect([status.status, status.json]).toEqual([200, JSON.parse(node.report.toString())])
  expect(status.json).toMatchObject({ name: 'n2', version: '9.9.9' })
  expect(status.headers).toMatchObject({ 'kv-node': 'n1', 'content-type': 'application/json' })

  node.report = Buffer.from('quorate_term 7\n')
  const metrics = await ask('GET', '/metrics?node=n2')
  expect([metrics.status, metrics.text]).toEqual([200, 'quorate_term 7\n'])
  expect(metrics.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
  expect(node.reported).toEqual([
    ['2', 'status'],
    ['2', 'metrics'],
  ])
})

test('a node requests nothing for its own name', async () => {
  const { ask, node } = await serve()
  expect((await ask('GET', '/v1/status?node=n1')).json).toEqual((await ask('GET', '/v1/status')).json)
  expect((await ask('GET', '/metrics?node=n1')).text).toContain('quorate_build_info')
  expect(node.reported).toEqual([])
})

test.each(['/v1/status', '/metrics'])(
  '%s of a member that does not exist, or does not answer',
  async (path) => {
    const { ask, node } = await serve()
    for (const name of ['n4', 'N2', '', 'n2%00', '%3Cscript%3E', 'x'.repeat(1000)]) {
      const { status, json } = await ask('GET', `${path}?node=${name}`)
      expect([name, status, json.code]).toEqual([name, 404, 'not_found'])
    }
    expect((await ask('GET', `${path}?node=n2&node=n3`)).json.code).toBe('bad_request')
    expect(node.reported).toEqual([])
    node.problem = { code: 'not_ready', detail: 'n2 has not answered within 2000 ms', written: 'no' }
    const hung = await ask('GET', `${path}?node=n2`)
    expect([hung.status, hung.json.code, hung.json.detail]).toEqual([
      503,
      'not_ready',
      'n2 has not answered within 2000 ms',
    ])
    node.problem = { code: 'overloaded', detail: 'too many', written: 'no' }
    expect((await ask('GET', `${path}?node=n2`)).status).toBe(429)
  },
)

test('a member has two seconds, or the time of the request', async () => {
  const { ask, node } = await serve()
  node.report = statusOf(node)
  for (const path of ['/v1/status', '/metrics']) {
    node.asked.length = 0
    await ask('GET', `${path}?node=n2`)
    await ask('GET', `${path}?node=n2&timeout=1s`)
    const [first, second] = node.asked.map(({ timeoutMs }) => timeoutMs)
    expect(first).toBe(2000)
    expect(second).toBeGreaterThan(500)
    expect(second).toBeLessThan(1000)
  }
})

test('a report that is no status is an error of the node, and stays here', async () => {
  const { ask, node, logged } = await serve()
  for (const report of ['', 'null', '{"name":"n2"}', '[]', '<script>']) {
    node.report = Buffer.from(report)
    const { status, json } = await ask('GET', '/v1/status?node=n2')
    expect([report, status, json.code]).toEqual([report, 500, 'internal'])
  }
  expect(logged.length).toBe(5)
})

test('the rights are those of the report of the node itself, and nobody makes it request one', async () => {
  const { ask, node } = await serve({ node: nodeWithUsers() })
  node.report = statusOf(node)
  for (const path of ['/v1/status?node=n2', '/metrics?node=n2', '/metrics?node=n4', '/v1/status?node=n4'])
    expect([path, (await ask('GET', path)).json.code]).toEqual([path, 'unauthenticated'])
  expect(node.reported).toEqual([])
  for (const path of ['/v1/status?node=n2', '/metrics?node=n2'])
    expect([path, (await ask('GET', path, { headers: AS_BOB })).status]).toEqual([path, 200])
})

test('a node that joins gets no report, and makes nobody request one', async () => {
  const certificate = new X509Certificate(authority().node('n2').cert)
  const accepted = (message: unknown): void =>
    setIdentity((message as { readonly socket: Socket }).socket, { user: undefined, node: certificate })
  subscribe('net.server.socket', accepted)
  onTestFinished(() => void unsubscribe('net.server.socket', accepted))
  const { ask, node } = await serve({ node: nodeWithUsers() })
  expect((await ask('GET', '/v1/cluster')).status).toBe(200)
  for (const path of ['/metrics?node=n3', '/metrics?node=n4', '/metrics', '/v1/status?node=n3'])
    expect([path, (await ask('GET', path)).status]).toEqual([path, 401])
  expect(node.reported).toEqual([])
})
