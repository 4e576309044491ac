// Files for browsers: whoever has the password reads the certificate and its key from them.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { issueAuthority, issueClient, issueNode } from '../../src/certificates/issue.ts'
import { encodePkcs12, pkcs12PasswordFault, randomPassword } from '../../src/certificates/pkcs12.ts'

const ca = issueAuthority('test CA', { days: 9 })
const alice = issueClient(ca, 'alice', { days: 9 })

/** The subject of the client in a handshake with what the file has. */
async function subjectShown(pfx: Uint8Array, passphrase: string): Promise<string | undefined> {
  const { cert, key } = issueNode(ca, 'n1', ['127.0.0.1'], { days: 9 })
  const server = createServer({ cert, key, ca: ca.cert, requestCert: true }).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = connect({ port, host: '127.0.0.1', ca: ca.cert, pfx: Buffer.from(pfx), passphrase })
  onTestFinished(() => void client.destroy())
  const [socket]: readonly TLSSocket[] = await once(server, 'secureConnection')
  onTestFinished(() => void socket?.destroy())
  return socket?.getPeerX509Certificate()?.subject
}

test.each(['a password', randomPassword(), 'x'.repeat(500), ' ~!"§$'.replace('§', '#').repeat(3)])(
  'a file with the password %s',
  async (password) => {
    const file = encodePkcs12(alice, 'alice (quorate)', password)
    expect(await subjectShown(file, password)).toBe('CN=alice')
    await expect(subjectShown(file, `${password}.`)).rejects.toThrow(/mac verify failure/)
    // The name that a browser shows is there as text, and the key is not.
    expect(Buffer.from(file).includes(Buffer.from('alice (quorate)', 'utf16le').swap16())).toBe(true)
    // The 32 bytes of the key in its structure; its public half is in the certificate too.
    const [, base64 = ''] = /PRIVATE KEY-----\s([^-]+)/.exec(alice.key) ?? []
    expect(Buffer.from(file).includes(Buffer.from(base64, 'base64').subarray(36, 68))).toBe(false)
  },
)

test('no two files are equal, and neither are two passwords', () => {
  const [one, other] = [1, 2].map(() => Buffer.from(encodePkcs12(alice, 'alice', 'a password')))
  expect(one?.equals(other ?? Buffer.alloc(0))).toBe(false)
  expect(new Set(Array.from({ length: 100 }, randomPassword)).size).toBe(100)
  expect(randomPassword()).toMatch(/^([a-km-np-z2-9]{5}-){3}[a-km-np-z2-9]{5}$/)
  expect(pkcs12PasswordFault(randomPassword())).toBeUndefined()
})

test.each(['', 'seven77', 'with ünïcode', 'two\nlines!'])('%j is no password of such a file', (password) => {
  expect(pkcs12PasswordFault(password)).toMatch(/at least 8/)
})
