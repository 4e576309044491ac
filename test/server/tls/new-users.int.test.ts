// A user of a certificate who was made just now, at a node that has not learned of it yet.

import { once } from 'node:events'
import { connect } from 'node:tls'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { TlsFiles } from '../../../src/server/tls/tls-files.ts'
import { nodeWithUsers } from '../auth/users.ts'
import type { FakeNode } from '../http/fake-node.ts'
import { start } from '../http/served.ts'
import { authority, CertificateDirectory } from './certificates.ts'

const directory = new CertificateDirectory()
afterAll(() => directory[Symbol.dispose]())
const ca = authority()
const carl = ca.client('carl')
const paths = { ...directory.pair('n1', ca.node('n1')), ca: directory.write('ca.crt', ca.cert) }
const logger = { debug() {}, info() {}, warn() {}, error() {} }

const BATCH = '{"changes":[{"put":{"key":"app/x","value":"new"}}]}'
const OPENING = [
  ...['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'],
  ...[`Sec-WebSocket-Key: ${'A'.repeat(22)}==`, 'Sec-WebSocket-Protocol: quorate.v1'],
]

const makeCarl = (node: FakeNode): void =>
  node.apply({
    ...{ kind: 'auth', ifRevision: undefined },
    change: { kind: 'put-user', name: 'carl', passwordHash: undefined, roles: ['app'] },
  })

/** The status of a request of carl. `readings[n]` is called while the node reads for the n-th time what is newest. */
async function statusOf(
  node: FakeNode,
  line: string,
  { headers = [], body = '' }: { readonly headers?: readonly string[]; readonly body?: string },
  ...readings: readonly ((node: FakeNode) => void)[]
): Promise<string> {
  const files = await TlsFiles.open(paths, { logger, every: () => () => {} })
  onTestFinished(() => files.close())
  const { port, close } = await start({ node, tls: { files, clientCert: 'required' } })
  onTestFinished(() => close())
  let read = 0
  node.hold = (release) => {
    readings[read++]?.(node)
    release()
  }
  const socket = connect({ host: '127.0.0.1', port, ca: ca.cert, ...carl })
  onTestFinished(() => void socket.destroy())
  const head = [`${line} HTTP/1.1`, 'Host: localhost', `Content-Length: ${body.length}`, ...headers]
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
  const [answer]: unknown[] = await once(socket, 'data')
  return String(answer).slice(9, 12)
}

const valueIn = (node: FakeNode): Promise<string | undefined> =>
  new Promise((resolve) =>
    node.get(Buffer.from('app/x'), (_, row) => resolve(row && Buffer.from(row.value).toString())),
  )

test.each([
  ['PUT /v1/kv/app/x', { body: 'new' }, '200', 'new'],
  ['POST /v1/changes', { body: BATCH, headers: ['Content-Type: application/json'] }, '200', 'new'],
  ['GET /v1/kv/app/x', {}, '200', 'old'],
  ['GET /v1/status', {}, '200', 'old'],
  ['GET /v1/connect', { headers: OPENING }, '101', 'old'],
])('%s is served', async (line, request, status, value) => {
  const node = nodeWithUsers()
  node.put('app/x', 'old')
  expect(await statusOf(node, line, request, makeCarl)).toBe(status)
  expect(await valueIn(node)).toBe(value)
})

test('a put is refused for good when its value was not read', async () => {
  const node = nodeWithUsers()
  node.put('app/x', 'old')
  // He is made after the node has read that there is no such user.
  expect(await statusOf(node, 'PUT /v1/kv/app/x', { body: 'new' }, () => {}, makeCarl)).toBe('401')
  expect(await valueIn(node)).toBe('old')
})

test('health is answered to any certificate without a leader', async () => {
  const node = nodeWithUsers()
  node.problem = { code: 'no_leader', detail: 'no leader', written: 'no' }
  expect(await statusOf(node, 'GET /livez', {})).toBe('200')
})
