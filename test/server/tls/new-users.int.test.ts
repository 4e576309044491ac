// A user of a certificate who was made just now, at a node that has not learned of it yet.

import { once } from 'node:events'
import { connect } from 'node:tls'
import { id_ce_subjectAltName, Name } from '@peculiar/asn1-x509'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import type { PemPair } from '../../../src/certificates/pem.ts'
import { TlsFiles } from '../../../src/server/tls/tls-files.ts'
import { quickPasswords } from '../../quick-passwords.ts'
import { nodeWithUsers } from '../auth/users.ts'
import type { FakeNode } from '../http/fake-node.ts'
import { start } from '../http/served.ts'
import { authority, CertificateDirectory } from './certificates.ts'

quickPasswords()

const directory = new CertificateDirectory()
afterAll(() => directory[Symbol.dispose]())
const ca = authority()
const carl = ca.client('carl')
const paths = { ...directory.pair('n1', ca.node('n1')), ca: directory.write('ca.crt', ca.cert) }
const caOfNodes = authority('CA of nodes')
const peerPaths = {
  ...directory.pair('p1', caOfNodes.node('n1')),
  ca: directory.write('peer-ca.crt', caOfNodes.cert),
}
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

interface SentRequest {
  readonly headers?: readonly string[]
  readonly body?: string
  /** That of carl unless given. */
  readonly certificate?: PemPair
}

/** The status of a request of carl. `readings[n]` is called while the node reads for the n-th time what is newest. */
const statusOf = async (...request: Parameters<typeof answerTo>): Promise<string> =>
  (await answerTo(...request)).slice(9, 12)

async function answerTo(
  node: FakeNode,
  line: string,
  { headers = [], body = '', certificate = carl }: SentRequest,
  ...readings: readonly ((node: FakeNode) => void)[]
): Promise<string> {
  const files = await TlsFiles.open(paths, { logger, every: () => () => {} })
  const peerFiles = await TlsFiles.open(peerPaths, { logger, every: () => () => {} })
  onTestFinished(() => {
    files.close()
    peerFiles.close()
  })
  const { port, close } = await start({ node, tls: { files, peerFiles, clientCert: 'required' } })
  onTestFinished(() => close())
  let read = 0
  node.hold = (release) => {
    readings[read++]?.(node)
    release()
  }
  const socket = connect({ host: '127.0.0.1', port, ca: ca.cert, ...certificate })
  onTestFinished(() => void socket.destroy())
  const head = [`${line} HTTP/1.1`, 'Host: localhost', `Content-Length: ${body.length}`, ...headers]
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
  const [answer]: unknown[] = await once(socket, 'data')
  return String(answer)
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

const ON_WIRES: readonly (readonly [line: string, request: SentRequest])[] = [
  ['GET /v1/kv/app/x', {}],
  ['PUT /v1/kv/app/x', { body: 'new' }],
  ['POST /v1/changes', { body: BATCH, headers: ['Content-Type: application/json'] }],
  ['GET /v1/auth/self', {}],
  ['GET /metrics', {}],
  ['GET /v1/connect', { headers: OPENING }],
]

test.each(ON_WIRES)('%s says why a certificate is no proof', async (line, request) => {
  const node = nodeWithUsers()
  const detailOf = async (certificate: PemPair): Promise<string> => {
    const answer = await answerTo(node, line, { ...request, certificate })
    expect(answer).toMatch(/^HTTP\/1\.1 401 /)
    return JSON.parse(answer.slice(answer.indexOf('{'))).detail
  }
  expect(await detailOf(carl)).toBe(
    'the certificate names carl, and there is no such user: `quorate user add carl --no-password`',
  )
  const withoutName = (pair: PemPair, subject: Name): PemPair =>
    ca.reissue(pair, (fields) => {
      fields.extensions = (fields.extensions ?? []).filter(({ extnID }) => extnID !== id_ce_subjectAltName)
      fields.subject = subject
    })
  expect(await detailOf(withoutName(carl, new Name()))).toMatch(
    /^the certificate names no user: it has no CN /,
  )
  const names = await detailOf(ca.client('carl of sales'))
  expect(names).toMatch(/^the certificate names no user: its name is not of up to 64 letters/)
  expect(names).toContain('`quorate cert client NAME`')
})

test('a node that joins may do nothing else', async () => {
  const certificate = caOfNodes.node('n7')
  const answer = await answerTo(nodeWithUsers(), 'GET /v1/kv/app/x', { certificate })
  expect(answer).toMatch(/^HTTP\/1\.1 401 /)
  expect(answer).toContain('"detail":"the certificate is one of a node, which may only join the cluster: ')
})

test('who shows no certificate learns of no user, and neither does a wrong password', async () => {
  const node = nodeWithUsers()
  const detailOf = async (...authorization: string[]): Promise<string> => {
    const headers = authorization.map((each) => `Authorization: ${each}`)
    const answer = await answerTo(node, 'GET /v1/kv/app/x', { headers })
    return JSON.parse(answer.slice(answer.indexOf('{'))).detail
  }
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`
  const wrong = 'wrong user or password'
  expect([await detailOf(basic('bob:no')), await detailOf(basic('carl:no'))]).toEqual([wrong, wrong])
})

test('health is answered to any certificate without a leader', async () => {
  const node = nodeWithUsers()
  node.problem = { code: 'no_leader', detail: 'no leader', written: 'no' }
  expect(await statusOf(node, 'GET /livez', {})).toBe('200')
})
