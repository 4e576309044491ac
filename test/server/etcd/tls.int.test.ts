// gRPC over TLS: the handshake agrees on HTTP/2, and certificates name users.

import type { SecureClientSessionOptions } from 'node:http2'
import { request } from 'node:https'
import { connect } from 'node:tls'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { GRPC } from '../../../src/etcd/status.ts'
import { Audit } from '../../../src/server/api/audit.ts'
import { put } from '../../../src/server/etcd/services/put.ts'
import { range } from '../../../src/server/etcd/services/range.ts'
import { httpLimits } from '../../../src/server/listener/limits.ts'
import { TlsFiles } from '../../../src/server/tls/tls-files.ts'
import { AS_BOB, nodeWithUsers } from '../auth/users.ts'
import { FakeNode } from '../http/fake-node.ts'
import { type Serving, serve } from '../http/served.ts'
import { authority, CertificateDirectory } from '../tls/certificates.ts'
import { callRpc, openSession } from './grpc-call.ts'

const directory = new CertificateDirectory()
afterAll(() => directory[Symbol.dispose]())
const ca = authority()
const n1 = directory.pair('n1', ca.node('n1'))
const [bob, nobody] = [ca.client('bob'), ca.client('nobody')]
const caFile = directory.write('ca.crt', ca.cert)
const log = (): void => {}
const logger = { debug: log, info: log, warn: log, error: log }

async function serveTls(serving: Serving = {}) {
  const files = await TlsFiles.open({ ...n1, ca: caFile }, { logger, every: () => () => {} })
  onTestFinished(() => files.close())
  return serve({ tls: { files, clientCert: 'optional' }, ...serving })
}

const trusted: SecureClientSessionOptions = { ca: ca.cert }
const as = ({ cert, key }: { readonly cert: string; readonly key: string }) => ({ ...trusted, cert, key })
const key = Buffer.from('app/1')
const value = Buffer.from('1')

/** The protocol on which a handshake agrees. */
function agreed(port: number, ALPNProtocols: string[]): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, ca: ca.cert, ALPNProtocols })
    onTestFinished(() => void socket.destroy())
    socket.once('secureConnect', () => resolve(String(socket.alpnProtocol)))
    socket.once('error', ({ message }) => resolve(message))
  })
}

test('a put and a get', async () => {
  const { port, node } = await serveTls()
  const session = openSession(port, trusted)
  expect(await callRpc(session, put, { key, value })).toMatchObject({ status: GRPC.ok })
  expect((await callRpc(session, range, { key })).response).toMatchObject({
    count: 1,
    header: { revision: node.revision },
  })
})

test('a program names any authority, and a page that of its own origin', async () => {
  const { port, node } = await serveTls()
  const session = openSession(port, trusted)
  const call = (fields: Record<string, string>) => callRpc(session, put, { key, value }, fields)
  for (const authority of [
    '10.0.0.1:2379,10.0.0.2:2379',
    '#initially=[https://a:1;https://b:2]',
    'my-etcd-server',
  ])
    expect(await call({ ':authority': authority })).toMatchObject({ status: GRPC.ok })
  const asked = node.asked.length
  for (const fields of [
    { ':authority': `127.0.0.1:${port}`, origin: 'https://evil.example' },
    { ':authority': 'evil.example', origin: 'https://evil.example' },
    { ':authority': 'evil.example', origin: 'https://evil.example', 'sec-fetch-site': 'same-origin' },
  ])
    expect(await call(fields)).toMatchObject({ status: GRPC.permissionDenied })
  expect(node.asked).toHaveLength(asked)
})

test('a client that speaks both protocols speaks HTTP/1.1', async () => {
  const { port } = await serveTls()
  expect(await agreed(port, ['h2'])).toBe('h2')
  expect(await agreed(port, ['h2', 'http/1.1'])).toBe('http/1.1')
  expect(await agreed(port, ['http/1.1'])).toBe('http/1.1')
  const without = await serveTls({ etcdApi: false })
  expect(await agreed(without.port, ['h2'])).toMatch(/no application protocol/)
  expect(await agreed(without.port, ['h2', 'http/1.1'])).toBe('http/1.1')
})

test('the preface alone opens nothing: the handshake has agreed on HTTP/1.1', async () => {
  const { port } = await serveTls()
  const status = await new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, ca: ca.cert })
    socket.once('data', (bytes) => resolve(bytes.toString('latin1', 0, 12)))
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    onTestFinished(() => void socket.destroy())
  })
  expect(status).toBe('HTTP/1.1 400')
})

test('a certificate names the user, as over HTTP', async () => {
  const { port, http } = await serveTls({ node: nodeWithUsers() })
  const session = openSession(port, as(bob))
  expect(await callRpc(session, put, { key, value })).toMatchObject({ status: GRPC.ok })
  expect(http.inspect().unidentified).toBe(0)
  expect(session.remoteSettings.maxConcurrentStreams).toBe(httpLimits.grpcStreamsMax)
  const other = { key: Buffer.from('other'), value }
  expect(await callRpc(session, put, other)).toMatchObject({
    status: GRPC.permissionDenied,
    message: 'etcdserver: permission denied',
  })
  // A token comes before a certificate.
  expect(await callRpc(session, put, { key, value }, { token: 'q1.x.y' })).toMatchObject({
    status: GRPC.unauthenticated,
  })
})

test('a certificate that names no user authenticates nobody', async () => {
  const lines: string[] = []
  const audit = new Audit((line) => void lines.push(line), 'changes')
  const { port, http } = await serveTls({ node: nodeWithUsers(), audit })
  const session = openSession(port, as(nobody))
  expect(await callRpc(session, put, { key, value })).toMatchObject({
    status: GRPC.permissionDenied,
    message: 'etcdserver: permission denied',
  })
  expect(http.inspect().unidentified).toBe(1)
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    expect.objectContaining({ user: 'nobody', method: 'grpc KV/Put', code: 'unauthenticated' }),
  ])
  const token = AS_BOB.Authorization.replace('Bearer ', '')
  expect(await callRpc(session, put, { key, value }, { token })).toMatchObject({ status: GRPC.ok })
  expect(http.inspect().unidentified).toBe(0)
})

test('a certificate without rights is remembered in the audit log', async () => {
  const { port, node } = await serveTls({ node: new FakeNode() })
  const session = openSession(port, as(bob))
  await callRpc(session, put, { key, value })
  expect(node.asked.at(-1)?.request?.principal ?? '').toBe('')
  const https = await new Promise((resolve, reject) => {
    request(`https://127.0.0.1:${port}/v1/kv/app/1`, { ca: ca.cert }, (response) =>
      resolve(response.statusCode),
    )
      .on('error', reject)
      .end()
  })
  expect(https).toBe(200)
})
