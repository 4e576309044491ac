// Files for TLS that are read again and again: which contents are accepted, what is logged, and how often.

import { spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { closeSync, constants, openSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { Time } from '@peculiar/asn1-x509'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { issueAuthority } from '../../../src/certificates/issue.ts'
import type { PemPair } from '../../../src/certificates/pem.ts'
import { RefusalLog } from '../../../src/server/tls/refusal-log.ts'
import { TlsFiles, type TlsPaths } from '../../../src/server/tls/tls-files.ts'
import { authority, CertificateDirectory, DAY_MS, type TestAuthority } from './certificates.ts'

const directory = new CertificateDirectory()
afterAll(() => directory[Symbol.dispose]())
const [ca, other] = [authority('one CA'), authority('other CA')]
const n1 = ca.node('n1')

function logging() {
  const said: { readonly text: string; readonly unlogged?: unknown }[] = []
  const warn = (given: object, text: string): void =>
    void said.push({ text, ...('unlogged' in given && { unlogged: given.unlogged }) })
  return { said, logger: { debug() {}, info() {}, warn, error() {} } }
}

let count = 0
async function opened(change: Partial<TlsPaths> = {}) {
  const name = `files-${++count}`
  const paths = { ...directory.pair(name, n1), ca: directory.write(`${name}-ca.crt`, ca.cert), ...change }
  const { said, logger } = logging()
  let aheadMs = 0
  const files = await TlsFiles.open(paths, { logger, now: () => Date.now() + aheadMs, every: () => () => {} })
  onTestFinished(() => files.close())
  let changes = 0
  files.onChange(() => changes++)
  return {
    ...{ name, paths, files },
    /** Reads the files again. What is said, and whether they were taken. */
    async reread() {
      const before = changes
      await files.reread()
      return [said.splice(0).map(({ text }) => text), changes > before]
    },
    pass(ms: number) {
      aheadMs += ms
    },
  }
}

test('what is revoked while the files are read is known when the next read has ended', async () => {
  const [alice, bob] = [ca.client('alice'), ca.client('bob')]
  const pipes = { ca: directory.file('pipe-ca.crt'), crl: directory.file('pipe-ca.crl') }
  for (const pipe of Object.values(pipes)) expect(spawnSync('mkfifo', [pipe]).status).toBe(0)
  // A writer of a pipe waits for its reader, also if none comes any more.
  onTestFinished(() => {
    for (const pipe of Object.values(pipes))
      closeSync(openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK))
  })
  const write = async (name: keyof typeof pipes, content: string) => {
    await writeFile(pipes[name], content).catch(() => {})
  }
  const opening = opened(pipes)
  await Promise.all([write('ca', ca.cert), write('crl', ca.revoke())])
  const { files } = await opening
  let before = ca.revoke()
  for (const certificates of [[alice], [alice, bob]]) {
    const first = files.reread()
    // It has the list, and waits for the CAs.
    await write('crl', before)
    const second = files.reread()
    await write('ca', ca.cert)
    await first
    before = ca.revoke(...certificates)
    void write('ca', ca.cert)
    void write('crl', before)
    await second
    const isRevoked = certificates.map(({ cert }) => files.isRevoked(new X509Certificate(cert)))
    expect(isRevoked).toEqual(certificates.map(() => true))
  }
})

test('a fault is told once, and again each time it comes back', async () => {
  const { name, paths, reread } = await opened()
  const fault = expect.stringMatching(/no certificate in PEM/)
  const again = ca.node('n1')
  for (const mended of [n1, again, n1]) {
    directory.write(`${name}.crt`, 'nothing')
    expect([await reread(), await reread()]).toEqual([
      [[fault], false],
      [[], false],
    ])
    // Half of a pair is not accepted, and another fault is logged.
    directory.write(`${name}.crt`, other.node('n1').cert)
    expect(await reread()).toEqual([[expect.stringMatching(/do not belong together/)], false])
    directory.write(`${name}.crt`, 'nothing')
    expect(await reread()).toEqual([[fault], false])
    directory.pair(name, mended)
    expect((await reread())[0]).toEqual([])
  }
  rmSync(paths.key)
  for (const said of [[expect.stringMatching(/cannot be read/)], []])
    expect(await reread()).toEqual([said, false])
})

const GONE = ca.client('gone')

/** A list that ends after so many days. */
const listOf = (by: TestAuthority, days: number, ...certificates: readonly PemPair[]): string =>
  by.list(certificates, (list) => {
    list.nextUpdate = new Time(new Date(Math.floor(Date.now() / 1_000) * 1_000 + days * DAY_MS))
  })

test.each(['cert and key', 'ca', 'crl'])('new contents are taken, and once: %s', async (which) => {
  const crl = directory.write(`list-${count}.crl`, listOf(ca, 90))
  const { name, paths, files, reread } = await opened({ crl })
  expect(await reread()).toEqual([[], false])
  for (const round of [0, 1]) {
    const before = files.secureContext
    if (which === 'ca') directory.write(`${name}-ca.crt`, round === 0 ? ca.cert + other.cert : ca.cert)
    else if (which === 'cert and key') directory.pair(name, ca.node('n1'))
    else directory.write(basename(crl), listOf(ca, 90, ...(round === 0 ? [GONE] : [GONE, n1])))
    expect(await reread(), `round ${round}`).toEqual([[], true])
    expect(await reread(), `round ${round}`).toEqual([[], false])
    expect(files.secureContext).not.toBe(before)
  }
  expect(paths.crl).toBe(crl)
})

test('a file ends with the first of its contents, in any order', async () => {
  const [soon, later] = [100, 200].map((days) =>
    authority(`CA of ${days} days`, issueAuthority('CA', { days })),
  )
  if (soon === undefined || later === undefined) throw new Error('two CAs')
  for (const [first, second] of [
    [soon, later],
    [later, soon],
  ] as const) {
    const crl = directory.write(
      `ends-${count}.crl`,
      listOf(first, 30) + listOf(second, 40) + listOf(first, 20),
    )
    const ends = directory.write(`ends-${count}.crt`, first.cert + second.cert)
    const { files } = await opened({ ca: ends, crl })
    const days = files.expiries().map(({ seconds }) => Math.round(seconds / 86_400))
    expect(days).toEqual([90, 100, 20])
  }
})

test('a near end is told once a day, and not of a file that was replaced', async () => {
  const { name, reread, pass } = await opened()
  directory.pair(name, ca.node('n1', ['localhost'], 20))
  expect(await reread()).toEqual([[], true])
  const near = expect.stringMatching(/ends in \d+ days; replace it/)
  for (const days of [90, 180]) {
    pass(7 * DAY_MS)
    const told = []
    for (let hour = 0; hour < 48; hour++) {
      told.push((await reread())[0])
      pass(DAY_MS / 24)
    }
    expect(told.flat()).toEqual([near, near])
    directory.pair(name, ca.node('n1', ['localhost'], days))
    expect(await reread()).toEqual([[], true])
    pass(70 * DAY_MS)
  }
})

test('a refusal that goes on is logged once a minute, with the number of all others of its kind', () => {
  const { said, logger } = logging()
  let now = 0
  const log = new RefusalLog(logger, () => now)
  for (; now < 5 * 60_000; now += 1_000) {
    log.refused('revoked', 'its certificate was revoked', {})
    if (now % 2_000 === 0) log.refused('time', 'it took too long', {})
  }
  const lines = (what: string) =>
    said.filter(({ text }) => text.includes(what)).map(({ unlogged = 0 }) => unlogged)
  expect(lines('was revoked')).toEqual([0, 59, 59, 59, 59])
  expect(lines('took too long')).toEqual([0, 29, 29, 29, 29])
})
