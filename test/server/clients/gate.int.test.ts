// Clients at the gate that show a certificate, or name another host.

import { X509Certificate } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { setIdentity } from '../../../src/server/tls/identity.ts'
import { nodeWithUsers } from '../auth/users.ts'
import { Client, get, holding, statusOf } from '../http/raw-client.ts'
import { serve } from '../http/served.ts'
import { authority } from '../tls/certificates.ts'

/** Clients that connect show a certificate of this user, which may be one of a node too. */
function showCertificate(user: string, node?: X509Certificate): void {
  const accepted = (message: unknown): void =>
    setIdentity((message as { readonly socket: Socket }).socket, { user, node })
  subscribe('net.server.socket', accepted)
  onTestFinished(() => void unsubscribe('net.server.socket', accepted))
}

test.each([
  ['who was made a moment ago is served', true, 404],
  ['whom nobody has made is refused', false, 401],
])('at a node that is behind, a certificate of a user %s', async (_, isMade, status) => {
  showCertificate('carl')
  const { port, node } = await serve({ node: nodeWithUsers() })
  const { release } = holding(node)
  const client = await new Client(port).send(get('app/1'))
  const answer = client.answer()
  const first = await Promise.race([release.next(), answer])
  if (typeof first !== 'object') return expect.fail('it is answered before the node knows the newest users')
  node.hold = undefined
  const carl = { kind: 'put-user', name: 'carl', passwordHash: null, roles: ['app'] } as const
  if (isMade) node.apply({ kind: 'auth', ifRevision: undefined, change: carl })
  first.value()
  expect(statusOf(await answer)).toBe(status)
})

test('a certificate that is one of a user and of a node is one of the user', async () => {
  showCertificate('bob', new X509Certificate(authority().node('n2').cert))
  const { port } = await serve({ node: nodeWithUsers() })
  expect(statusOf(await (await new Client(port).send(get('app/1'))).answer())).toBe(404)
})

test('a probe that shows names is answered only under a name of the node, one without a query under any', async () => {
  const { port } = await serve()
  const probe = (target: string) => `GET ${target} HTTP/1.1\r\nHost: evil.example\r\n\r\n`
  expect(statusOf(await (await new Client(port).send(probe('/livez'))).answer())).toBe(200)
  expect(statusOf(await (await new Client(port).send(probe('/livez?verbose'))).answer())).toBe(421)
})
