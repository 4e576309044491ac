// Clients of other machines, where nobody has to say who he is. Their address is made up: a test has one machine.

import { X509Certificate } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { ENDED, EVENTS } from '../../../src/operations/watch.ts'
import { Audit } from '../../../src/server/api/audit.ts'
import { checkServed } from '../../../src/server/clients/gate.ts'
import { isServed } from '../../../src/server/clients/guard.ts'
import { OPERATION_ROUTES } from '../../../src/server/http/routes.ts'
import { setIdentity } from '../../../src/server/tls/identity.ts'
import { AS_BOB, AS_ROOT, nodeWithUsers } from '../auth/users.ts'
import { GET, MuxClient, PUT, WATCH } from '../mux/mux-client.ts'
import { authority } from '../tls/certificates.ts'
import { Client, statusOf } from './raw-client.ts'
import { serve } from './served.ts'

/** From now on accepted connections have this remote address. */
function from(address: string): void {
  const accepted = (message: unknown): void => {
    const { socket } = message as { readonly socket: Socket }
    Object.defineProperty(socket, 'remoteAddress', { value: address })
  }
  subscribe('net.server.socket', accepted)
  onTestFinished(() => void unsubscribe('net.server.socket', accepted))
}

const UPGRADE = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==',
  'Sec-WebSocket-Protocol': 'quorate.v1',
}

const TIMED = { time: expect.any(String) }

test('every wire refuses a client of another machine, and no probe of the health', async () => {
  const lines: string[] = []
  const audit = new Audit((line) => void lines.push(line), 'changes')
  const { ask, raw } = await serve({ served: 'own-machine', audit })
  from('10.9.8.7')
  const requests: [string, string, Record<string, string>?][] = [
    ['GET', '/v1/kv/a'],
    ['PUT', '/v1/kv/a'],
    ['GET', '/v1/kv'],
    ['GET', '/v1/status'],
    ['GET', '/v1/cluster'],
    ['GET', '/metrics'],
    ['GET', '/v1/watch?prefix=a'],
    ['GET', '/'],
    // By node:http.
    ['GET', '/v1/kv/a', { 'X-Long': 'x'.repeat(20_000) }],
  ]
  for (const [method, target, headers = {}] of requests) {
    const { status, json } = await ask(method, target, { headers })
    expect([method, target, status, json.code]).toEqual([method, target, 403, 'loopback_only'])
    expect(json.detail).toMatch(/--client-cert required.*--insecure/)
  }
  const head = Object.entries(UPGRADE).map(([name, value]) => `${name}: ${value}\r\n`)
  const opened = await raw(`GET /v1/connect HTTP/1.1\r\nHost: localhost\r\n${head.join('')}\r\n`)
  expect(opened).toMatch(/^HTTP\/1\.1 403 .*loopback_only/s)
  const line = { user: null, address: expect.stringContaining('10.9.8.7'), code: 'loopback_only' }
  expect(lines.map((each) => JSON.parse(each))).toEqual(
    [...requests.map(([method]) => method), 'GET'].map((method) =>
      expect.objectContaining({ ...TIMED, ...line, method }),
    ),
  )
  expect((await ask('GET', '/ui/')).json.code).toBe('loopback_only')
  for (const target of ['/livez', '/readyz']) expect((await ask('GET', target)).status).toBe(200)
})

test('a probe of another machine is the only request of its connection, and its client stays unidentified', async () => {
  const { port } = await serve({ served: 'own-machine' })
  const probes = ['/livez', '/readyz', '/livez?'].map(
    (path) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
  )
  const own = await new Client(port).send(...probes)
  expect((await own.answers(3)).map(statusOf)).toEqual([200, 200, 200])
  from('10.9.8.7')
  for (const probe of probes) {
    const client = await new Client(port).send(probe.repeat(2))
    const answer = await client.answer()
    expect([statusOf(answer), client.isOver, await client.rest()]).toEqual([200, true, ''])
  }
})

test('a client of another machine is served no longer when rights are checked no longer', async () => {
  const node = nodeWithUsers()
  const { ask, port } = await serve({ node, served: 'own-machine' })
  from('10.9.8.7')
  const bob = await new MuxClient(port, { headers: AS_BOB }).open()
  const disable = (): void => node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'disable' } })
  // A request that waits for newer rights.
  node.hold = (release) => {
    node.hold = undefined
    disable()
    release()
  }
  const { status, json } = await ask('GET', '/v1/kv/a', { headers: { Authorization: 'Bearer x' } })
  expect([status, json.code]).toEqual([403, 'loopback_only'])
  expect((await bob.ask(1, GET, 1000, Buffer.from('other')))[2]).toMatchObject({ code: 'loopback_only' })
})

test('a change of another machine is not made if rights are checked no longer before it is applied', async () => {
  const node = nodeWithUsers()
  const { port } = await serve({ node, served: 'own-machine' })
  from('10.9.8.7')
  const bob = await new MuxClient(port, { headers: AS_BOB }).open()
  node.hold = (release) => {
    node.hold = undefined
    node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'disable' } })
    release()
  }
  const { revision } = node
  expect((await bob.ask(1, PUT, 1000, 'app/a', 'late'))[2]).toMatchObject({
    code: 'loopback_only',
    written: 'no',
  })
  expect(node.revision).toBe(revision)
})

const READS: readonly [string, string, string?][] = [
  ['GET', '/v1/kv/a'],
  ['GET', '/v1/kv/a?revision=1'],
  ['GET', '/v1/kv?prefix=a'],
  ['POST', '/v1/txn', '{"success":[{"get":{"key":"a"}}]}'],
  ['GET', '/v1/leases'],
  ['GET', '/v1/backup'],
  ['GET', '/v1/auth/users'],
]
const CORE_CHANGES: readonly [string, string, string?][] = [
  ['DELETE', '/v1/cluster/members/n2'],
  ['POST', '/v1/cluster/leader', '{}'],
]

test.each([...READS, ...CORE_CHANGES])(
  '%s %s of another machine is not answered if rights are checked no longer when its read is granted',
  async (method, path, body) => {
    const node = nodeWithUsers()
    const { ask } = await serve({ node, served: 'own-machine' })
    from('10.9.8.7')
    node.hold = (release) => {
      node.hold = undefined
      node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'disable' } })
      release()
    }
    const headers = { ...AS_ROOT, 'Content-Type': 'application/json' }
    const { status, json } = await ask(method, path, { headers, ...(body !== undefined && { body }) })
    expect([status, json.code]).toEqual([403, 'loopback_only'])
    expect(node.changes).toEqual([])
  },
)

test('the watches of a client of another machine end when rights are checked no longer', async () => {
  const node = nodeWithUsers()
  const { port } = await serve({ node, served: 'own-machine' })
  const watch = { prefix: 'app/' }
  const near = await new MuxClient(port, { headers: AS_BOB }).open()
  expect((await near.ask(1, WATCH, 1000, watch))[1]).toBe(0)
  from('10.9.8.7')
  const far = await new MuxClient(port, { headers: AS_BOB }).open()
  expect((await far.ask(1, WATCH, 1000, watch))[1]).toBe(0)
  const lines = await fetch(`http://127.0.0.1:${port}/v1/watch?prefix=app/`, {
    headers: { ...AS_BOB, Accept: 'application/x-ndjson' },
  })
  expect(lines.status).toBe(200)
  // The read of a watch that waits while rights are switched off.
  node.hold = (release) => {
    node.hold = undefined
    node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'disable' } })
    release()
  }
  expect((await far.ask(2, WATCH, 1000, watch))[2]).toMatchObject({ code: 'loopback_only' })
  const put = { prev: false, condition: undefined, key: Buffer.from('app/a'), value: Buffer.from('secret') }
  node.apply({ kind: 'put', ...put })
  const text = await lines.text()
  expect(text).toContain('permission_denied')
  expect(text).not.toContain('secret')
  await near.until(() => near.watched.length > 0)
  expect(near.watched.map(([id, kind]) => [id, kind])).toEqual([[1, EVENTS]])
  expect(far.watched).toMatchObject([[1, ENDED, { code: 'permission_denied' }]])
})

test.each(['127.0.0.1', '127.3.2.1', '::1', '::ffff:127.0.0.1'])('%s is of this machine', async (address) => {
  const { ask } = await serve({ served: 'own-machine' })
  from(address)
  expect((await ask('GET', '/v1/status')).status).toBe(200)
})

test('without the rule, all are served', async () => {
  const { ask } = await serve()
  from('10.9.8.7')
  expect((await ask('GET', '/v1/status')).status).toBe(200)
})

/** A connection between these addresses. */
function socketBetween(remoteAddress: string, localAddress: string): Socket {
  return Object.defineProperties(new Socket(), {
    remoteAddress: { value: remoteAddress },
    localAddress: { value: localAddress },
  })
}

test('a connection within the machine may use any address of it', () => {
  const check = (remote: string, local: string) => () => {
    const socket = socketBetween(remote, local)
    checkServed({ isServed: isServed('own-machine', socket), socket }, {})
  }
  expect(check('10.0.0.1', '10.0.0.1')).not.toThrow()
  expect(check('::ffff:10.0.0.1', '10.0.0.1')).not.toThrow()
  expect(check('10.0.0.2', '10.0.0.1')).toThrow('own machine')
  // Its connection is gone.
  expect(check('', '')).toThrow('own machine')
})

test('a node with a certificate may join, and do nothing else', () => {
  const certificate = new X509Certificate(authority().node('n2').cert)
  const socket = socketBetween('10.0.0.2', '10.0.0.1')
  setIdentity(socket, { user: undefined, node: certificate })
  const isRefused = ({ wanted }: (typeof OPERATION_ROUTES)[number]): boolean => {
    try {
      checkServed({ isServed: isServed('own-machine', socket), socket }, wanted)
      return false
    } catch {
      return true
    }
  }
  const served = () => OPERATION_ROUTES.filter((each) => !isRefused(each))
  expect(served().map(({ method, path }) => `${method} ${path}`)).toEqual([
    'GET /v1/cluster',
    'POST /v1/cluster/members',
    'POST /v1/cluster/members/:name/replace',
  ])
  setIdentity(socket, { user: 'n2', node: undefined })
  expect(served()).toEqual([])
})
