// The audit log of a node: who has changed what, from where, and what was refused (docs/reference/security.md).

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import type { PemPair } from '../../../src/certificates/pem.ts'
import { ApiError } from '../../../src/operations/forms/index.ts'
import { Audit } from '../../../src/server/api/audit.ts'
import type { Call } from '../../../src/server/api/call.ts'
import { REFUSAL_LINES_BURST } from '../../../src/server/api/refusal-sample.ts'
import { startNode } from '../../../src/server/start/start-node.ts'
import type { ListenerTls } from '../../../src/server/tls/handshakes.ts'
import { TlsFiles } from '../../../src/server/tls/tls-files.ts'
import { EVERY_OPERATION } from '../api/every-operation.ts'
import { AS_BOB, AS_ROOT, basic, nodeWithUsers } from '../auth/users.ts'
import { JSON_TYPE, serve } from '../http/served.ts'
import { GET, MuxClient, PUT } from '../mux/mux-client.ts'
import { silent } from '../peers/tcp/test-nodes.ts'
import { authority, CertificateDirectory } from '../tls/certificates.ts'

async function audited(operations: 'changes' | 'all', tls?: ListenerTls) {
  const lines: string[] = []
  const audit = new Audit((line) => lines.push(line), operations)
  const served = await serve({ node: nodeWithUsers(), audit, ...(tls && { tls }) })
  const taken = () =>
    lines.splice(0).map((line) => {
      expect(line.endsWith('}\n')).toBe(true)
      const { time, address, ...rest } = JSON.parse(line)
      expect([Date.parse(time), address]).toEqual([
        expect.any(Number),
        expect.stringMatching(/127\.0\.0\.1:\d+$/),
      ])
      return rest
    })
  return { ...served, audit, taken }
}

test('refusals of users whom nobody knows are a sample, whatever their certificates name', async () => {
  const lines: string[] = []
  const audit = new Audit((line) => lines.push(line), 'changes')
  const call = { principal: { user: 'gone', epoch: undefined } } as Call
  const refuse = audit.watch(EVERY_OPERATION.get, call, () => {})
  for (let n = 0; n < 100; n++) refuse(new ApiError('unauthenticated', 'there is no user "gone"'))
  expect(lines).toHaveLength(REFUSAL_LINES_BURST)
})

test('a line for each change and each refusal, without values and passwords', async () => {
  const { ask, taken } = await audited('changes')
  await ask('PUT', '/v1/kv/app/1', { headers: AS_BOB, body: 'the value' })
  await ask('PUT', '/v1/kv/other', { headers: AS_BOB, body: 'the value' })
  await ask('GET', '/v1/kv/app/1', { headers: AS_BOB })
  await ask('GET', '/v1/kv?prefix=oth', { headers: AS_BOB })
  await ask('DELETE', '/v1/kv?prefix=app/', { headers: AS_ROOT })
  await ask('GET', '/v1/kv/app/1')
  await ask('GET', '/v1/kv/app/1', { headers: basic('bob', 'a wrong password') })
  const json = { ...JSON_TYPE, ...AS_ROOT }
  await ask('PUT', '/v1/auth/users/carl', { headers: json, body: '{"password":"secret of carl"}' })
  await ask('POST', '/v1/leases', { headers: { ...JSON_TYPE, ...AS_BOB }, body: '{"ttl":"10s","id":"7"}' })
  await ask('DELETE', '/v1/leases/7', { headers: AS_BOB })
  await ask('DELETE', '/v1/cluster/members/n9', { headers: AS_ROOT })
  const txn = {
    compare: [{ key: 'app/1', exists: false }],
    success: [{ put: { key: 'app/2', value: 'the value' } }],
  }
  await ask('POST', '/v1/txn', { headers: { ...JSON_TYPE, ...AS_BOB }, body: JSON.stringify(txn) })
  const found = taken()
  expect(JSON.stringify(found)).not.toMatch(/the value|secret|password/)
  expect(found).toEqual([
    { user: 'bob', method: 'PUT', operation: 'put', keys: [{ key: 'app/1' }], revision: 2, code: 'ok' },
    { user: 'bob', method: 'PUT', operation: 'put', keys: [{ key: 'other' }], code: 'permission_denied' },
    { user: 'bob', method: 'GET', operation: 'range', keys: [{ prefix: 'oth' }], code: 'permission_denied' },
    {
      user: 'root',
      method: 'DELETE',
      operation: 'delete-range',
      keys: [{ prefix: 'app/' }],
      revision: 3,
      code: 'ok',
    },
    { user: null, method: 'GET', operation: 'get', keys: [{ key: 'app/1' }], code: 'unauthenticated' },
    {
      ...{ user: null, method: 'GET', operation: 'get', keys: [{ key: 'app/1' }] },
      ...{ name: 'bob', code: 'unauthenticated' },
    },
    {
      user: 'root',
      method: 'PUT',
      operation: 'change-auth',
      change: 'put-user',
      name: 'carl',
      revision: 6,
      code: 'ok',
    },
    { user: 'bob', method: 'POST', operation: 'grant', revision: 3, code: 'ok' },
    { user: 'bob', method: 'DELETE', operation: 'revoke', leases: ['7'], revision: 3, code: 'ok' },
    { user: 'root', method: 'DELETE', operation: 'remove-member', name: 'n9', code: 'not_found' },
    {
      ...{ user: 'bob', method: 'POST', operation: 'txn', keys: [{ key: 'app/1' }, { key: 'app/2' }] },
      ...{ revision: 4, code: 'ok' },
    },
  ])
})

test('with all operations, reads too, over multiplexed connections as well', async () => {
  const { ask, port, taken } = await audited('all')
  await ask('GET', '/v1/kv/app/1', { headers: AS_BOB })
  const mux = await new MuxClient(port, { headers: AS_BOB }).open()
  await mux.ask(1, PUT, 1000, Buffer.from('app/1'), Buffer.from('the value'))
  await mux.ask(2, GET, 1000, Buffer.from('app/1'))
  expect(taken()).toEqual([
    { user: 'bob', method: 'GET', operation: 'get', keys: [{ key: 'app/1' }], revision: 1, code: 'ok' },
    { user: 'bob', method: 'mux put', operation: 'put', keys: [{ key: 'app/1' }], revision: 2, code: 'ok' },
    { user: 'bob', method: 'mux get', operation: 'get', keys: [{ key: 'app/1' }], revision: 2, code: 'ok' },
  ])
})

test('a multiplexed connection that is refused has a line', async () => {
  const { raw, taken } = await audited('changes')
  const fields = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13']
  fields.push('Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==', 'Sec-WebSocket-Protocol: quorate.v1')
  const open = (host: string, more: Readonly<Record<string, string>> = {}): Promise<string> => {
    const shown = Object.entries(more).map(([name, value]) => `${name}: ${value}`)
    const lines = ['GET /v1/connect HTTP/1.1', `Host: ${host}`, ...fields, ...shown]
    return raw(`${lines.join('\r\n')}\r\n\r\n`)
  }
  expect(await open('other.example')).toMatch(/^HTTP\/1.1 421 /)
  expect(await open('localhost')).toMatch(/^HTTP\/1.1 401 /)
  expect(await open('localhost', basic('bob', 'a wrong password'))).toMatch(/^HTTP\/1.1 401 /)
  const refused = { user: null, method: 'GET' }
  expect(taken()).toEqual([
    { ...refused, code: 'host_not_allowed' },
    { ...refused, code: 'unauthenticated' },
    { ...refused, name: 'bob', code: 'unauthenticated' },
  ])
})

test('a refused certificate has a line with the kind of its fault, which is one of the sample', async () => {
  using directory = new CertificateDirectory()
  const [ca, other] = [authority(), authority('other CA')]
  const [alice, gone] = [ca.client('alice'), ca.client('gone')]
  const paths = {
    ...directory.pair('n1', ca.node('n1')),
    ca: directory.write('ca.crt', ca.cert),
    crl: directory.write('ca.crl', ca.revoke(gone)),
  }
  const files = await TlsFiles.open(paths, { logger: silent, every: () => () => {} })
  onTestFinished(() => files.close())
  const { audit, port, taken } = await audited('changes', { files, clientCert: 'required' })
  const shown = (pair: Partial<PemPair>): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect({ host: '127.0.0.1', port, ca: ca.cert, ...pair })
      socket.on('error', () => {}).on('close', () => resolve())
      socket.resume().write('GET /v1/kv/app/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    })
  const refused = { user: null, method: 'TLS', code: 'unauthenticated' }
  const cases: [Partial<PemPair>, object[]][] = [
    [gone, [{ ...refused, name: 'gone', certificate: 'revoked' }]],
    [ca.client('bob', -1), [{ ...refused, name: 'bob', certificate: 'expired' }]],
    [other.client('root'), [{ ...refused, name: 'root', certificate: 'unknown-ca' }]],
    [other.client('\u001b[31m'), [{ ...refused, certificate: 'unknown-ca' }]],
    [{}, [{ ...refused, certificate: 'missing' }]],
    [
      alice,
      [{ user: 'alice', method: 'GET', operation: 'get', keys: [{ key: 'app/1' }], code: 'unauthenticated' }],
    ],
  ]
  for (const [pair, lines] of cases) {
    await shown(pair)
    expect(taken()).toEqual(lines)
  }
  for (let n = 0; n < 4 * REFUSAL_LINES_BURST; n++) await shown({})
  expect(audit.skippedTotal).toBeGreaterThan(0)
})

test('a node appends to its file; one that cannot be opened fails the start', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-audit-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const file = join(dir, 'audit.log')
  const address = { host: '127.0.0.1', port: 0 }
  const options = { name: 'n1', dataDir: join(dir, 'n1'), listen: address, peerListen: address }
  const founding = { kind: 'bootstrap' } as const
  const wrong = { file: join(dir, 'none', 'audit.log'), operations: 'changes' } as const
  await expect(startNode({ ...options, founding, auditLog: wrong })).rejects.toThrow('cannot be opened')
  const node = await startNode({ ...options, founding, auditLog: { file, operations: 'changes' } })
  await expect.poll(async () => (await fetch(`${node.url}/readyz`)).status).toBe(200)
  expect((await fetch(`${node.url}/v1/kv/a`, { method: 'PUT', body: '1' })).status).toBe(200)
  await node.stop()
  expect(readFileSync(file, 'utf8')).toMatch(
    /"user":null,"method":"PUT".*"operation":"put","keys":\[{"key":"a"}\]/,
  )
})
