// kv cert: what it writes, and what it refuses (docs/guides/tls.md).

import { X509Certificate } from 'node:crypto'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { afterAll, expect, test } from 'vitest'
import { kv } from './run-kv.ts'

const cwd = mkdtempSync(join(tmpdir(), 'quorate-cert-'))
afterAll(() => rmSync(cwd, { recursive: true }))
const run = (...args: string[]) => kv(['cert', ...args], { cwd })
const certificate = (name: string) => new X509Certificate(readFileSync(join(cwd, 'certs', `${name}.crt`)))
const modeOf = (name: string) => statSync(join(cwd, 'certs', name)).mode & 0o777
const daysOf = ({ validFromDate, validToDate }: X509Certificate) =>
  Math.round((validToDate.getTime() - validFromDate.getTime()) / 86_400_000)

test('a CA, a node and a user', async () => {
  expect(await run('node', 'n1', '--host', 'a')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/has no CA.*make one first: quorate cert ca/),
  })
  expect(await run('ca')).toMatchObject({ code: 0, out: `${cwd}/certs/ca.crt\n${cwd}/certs/ca.key\n` })
  expect(await run('node', 'n1', '--host', '10.0.0.1,::1,n1.example.org', '-o', 'json')).toMatchObject({
    code: 0,
  })
  expect(await run('client', 'alice', '--days', '7')).toMatchObject({ code: 0 })
  const [ca, node, user] = ['ca', 'n1', 'alice'].map(certificate)
  if (ca === undefined || node === undefined || user === undefined) throw new Error('not made')
  expect([ca, node, user].map(daysOf)).toEqual([3650, 90, 7])
  expect([node, user].map((each) => each.checkIssued(ca) && each.verify(ca.publicKey))).toEqual([true, true])
  expect(ca.ca).toBe(true)
  expect(
    ['n1', '10.0.0.1', '::1', 'n1.example.org'].map((host) => node.checkHost(host) ?? node.checkIP(host)),
  ).toEqual(['n1', '10.0.0.1', '::1', 'n1.example.org'])
  expect(user.subjectAltName).toBe('URI:quorate:user/alice')
  expect(user.subject).toBe('CN=alice')
  expect(user.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2'])
  expect(['ca.key', 'n1.key', 'alice.key'].map(modeOf)).toEqual([0o600, 0o600, 0o600])
  expect(node.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' })
  expect(statSync(join(cwd, 'certs')).mode & 0o777).toBe(0o700)
})

test('a file for browsers has the certificate of a user and its key', async () => {
  const made = await run('client', 'carol', '--p12')
  expect(made).toMatchObject({
    code: 0,
    out: `${cwd}/certs/carol.crt\n${cwd}/certs/carol.key\n${cwd}/certs/carol.p12\n`,
  })
  const password = /its password is not kept anywhere: ([a-z0-9-]{23})\n$/.exec(made.err)?.[1] ?? ''
  const read = (passphrase: string) =>
    createSecureContext({ pfx: readFileSync(join(cwd, 'certs/carol.p12')), passphrase })
  read(password)
  expect(() => read('another password')).toThrow(/mac verify failure/)
  expect(modeOf('carol.p12')).toBe(0o600)

  const own = { stdin: 'a password of hers\n' }
  const again = await kv(['cert', 'renew', 'carol', '--p12', '--password-file', '-', '-o', 'json'], {
    cwd,
    ...own,
  })
  expect(JSON.parse(again.out)).toEqual({
    cert: `${cwd}/certs/carol.crt`,
    ...{ key: `${cwd}/certs/carol.key`, p12: `${cwd}/certs/carol.p12` },
  })
  read('a password of hers')
  const serial = certificate('carol').serialNumber
  for (const stdin of ['short\n', 'ein Schlüsselwort\n'])
    expect(
      await kv(['cert', 'client', 'carol', '--p12', '--password-file', '-'], { cwd, stdin }),
    ).toMatchObject({
      code: 2,
      err: expect.stringMatching(/at least 8 letters.*; nothing was made\n$/),
    })
  expect(await run('client', 'carol', '--password-file', 'x')).toMatchObject({ code: 2 })
  expect(await run('renew', 'n1', '--p12')).toMatchObject({
    ...{ code: 1, err: expect.stringContaining('is not the certificate of a user') },
  })
  expect(certificate('carol').serialNumber).toBe(serial)
  expect((await run('renew', 'carol')).err).toContain('carol.p12 has the certificate of before')
  for (const end of ['crt', 'key', 'p12']) rmSync(join(cwd, `certs/carol.${end}`))
})

test('a second time, each pair is kept, and the command that replaces it is named', async () => {
  const files = () =>
    ['ca', 'n1', 'alice'].flatMap((name) =>
      ['crt', 'key'].map((end) => readFileSync(join(cwd, `certs/${name}.${end}`), 'utf8')),
    )
  const before = files()
  for (const [args, name, command] of [
    [['ca'], 'ca', 'rotate-ca'],
    [['node', 'n1', '--host', '::1,10.0.0.1,n1.example.org'], 'n1', 'renew n1'],
    [['client', 'alice'], 'alice', 'renew alice'],
  ] as const) {
    const { code, out, err } = await run(...args)
    expect({ code, out }).toEqual({ code: 0, out: `${cwd}/certs/${name}.crt\n${cwd}/certs/${name}.key\n` })
    expect(err).toMatch(
      /were there already, and are valid until 20[0-9-]+T.*; to replace them: quorate cert /,
    )
    expect(err).toMatch(new RegExp(`quorate cert ${command}\n$`))
  }
  // The file for browsers has the pair that is there.
  const browser = JSON.parse((await run('client', 'alice', '--p12', '-o', 'json')).out)
  createSecureContext({ pfx: readFileSync(browser.p12), passphrase: browser.password })
  expect((await run('client', 'alice')).err).not.toContain('p12')
  rmSync(browser.p12)
  expect(files()).toEqual(before)
  expect(await run('node', 'n1', '--host', '10.0.0.1')).toMatchObject({
    ...{ code: 1, out: '' },
    err: expect.stringMatching(
      /for other hosts: n1, 10\.0\.0\.1, .*: quorate cert renew n1 --host 10\.0\.0\.1\n$/,
    ),
  })
  expect(files()).toEqual(before)
  expect((await run('renew', 'n1', '--host', '10.0.0.1')).code).toBe(0)
})

test('a certificate is not replaced by one of another kind, and the key of the CA is private', async () => {
  for (const args of [
    ['client', 'n1'],
    ['node', 'alice', '--host', 'a'],
  ])
    expect(await run(...args)).toMatchObject({
      code: 1,
      err: expect.stringContaining('is not the certificate of'),
    })
  chmodSync(join(cwd, 'certs/ca.key'), 0o640)
  expect(await run('client', 'bob')).toMatchObject({ code: 1, err: expect.stringContaining('chmod 600') })
  chmodSync(join(cwd, 'certs/ca.key'), 0o600)
})

test.each([
  ['ca', '--days', '0'],
  ['node', 'N1', '--host', 'a'],
  ['node', 'ca', '--host', 'a'],
  ['node', 'n1'],
  ['node', 'n1', '--host', 'a b'],
  ['client', '../x'],
  ['client', 'ca'],
])('the command line is wrong: %s %s %s %s', async (...args) => {
  expect(await run(...args.filter((arg) => arg !== undefined))).toMatchObject({ code: 2 })
})

test('show', async () => {
  const { out } = await run('show', 'certs/n1.crt')
  expect(out).toMatch(
    /^subject {6}CN=n1\nnames {8}DNS:n1, IP Address:10\.0\.0\.1\nissuer {7}CN=quorate CA\nfor {10}server and client\n/,
  )
  expect(out).toMatch(/\(89 days left\)|\(90 days left\)/)
  const [shown] = JSON.parse((await run('show', 'certs/ca.crt', '-o', 'json')).out)
  expect(shown).toMatchObject({ subject: 'CN=quorate CA', ca: true, purposes: [] })
  expect(await run('show', 'certs/n1.key')).toMatchObject({
    code: 1,
    err: expect.stringContaining('no certificate'),
  })
})

test('a certificate is renewed with its name and hosts, and revoked by its name', async () => {
  const before = certificate('n1')
  expect(await run('renew', 'n1')).toMatchObject({
    code: 0,
    out: `${cwd}/certs/n1.crt\n${cwd}/certs/n1.key\n`,
  })
  const renewed = certificate('n1')
  expect(renewed.serialNumber).not.toBe(before.serialNumber)
  expect([renewed.subjectAltName, daysOf(renewed)]).toEqual([before.subjectAltName, 90])
  expect(await run('renew', 'nobody')).toMatchObject({
    code: 1,
    err: expect.stringContaining('can be renewed'),
  })
  // Both certificates of n1 that are still valid, and the one before them.
  expect(await run('revoke', 'n1', '-o', 'json')).toMatchObject({ code: 0 })
  expect((await run('show', 'certs/n1.crt')).out).toContain('revoked      yes')
  expect((await run('show', 'certs/alice.crt')).out).not.toContain('revoked')
  expect(await run('revoke', 'n1')).toMatchObject({
    ...{ code: 0, out: `${cwd}/certs/ca.crl\n` },
    err: expect.stringMatching(/^all certificates of n1 were revoked already; give .*ca\.crl to all nodes/),
  })
  expect(await run('revoke', 'nobody')).toMatchObject({
    ...{ code: 1, err: expect.stringContaining('no valid certificate') },
  })
  expect(await run('node', 'n1', '--host', '10.0.0.1')).toMatchObject({
    ...{ code: 1, err: expect.stringMatching(/n1\.crt is revoked; .*: quorate cert renew n1\n$/) },
  })
  expect((await run('renew', 'n1')).code).toBe(0)
  expect((await run('show', 'certs/n1.crt')).out).not.toContain('revoked')
})

test('a CA is replaced step by step, and each further step must be confirmed', async () => {
  const before = certificate('alice').serialNumber
  expect(await run('rotate-ca')).toMatchObject({ code: 0, err: expect.stringContaining('step 1 of 3') })
  expect(await run('rotate-ca')).toMatchObject({
    code: 1,
    err: expect.stringContaining('rotate-ca --copied'),
  })
  expect(await run('rotate-ca', '--copied')).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^alice$/m),
    err: expect.stringContaining('step 2 of 3'),
  })
  expect(certificate('alice').serialNumber).not.toBe(before)
  expect(await run('rotate-ca')).toMatchObject({ code: 1, err: expect.stringContaining('step 3 of 3') })
  expect(await run('rotate-ca', '--copied')).toMatchObject({
    code: 0,
    err: expect.stringContaining('step 3 of 3'),
  })
  const [ca, alice] = [certificate('ca'), certificate('alice')]
  expect([
    alice.checkIssued(ca) && alice.verify(ca.publicKey),
    readdirSync(join(cwd, 'certs')).sort(),
  ]).toEqual([
    true,
    ['alice.crt', 'alice.key', 'ca.crl', 'ca.crt', 'ca.key', 'index.json', 'n1.crt', 'n1.key'],
  ])
})
