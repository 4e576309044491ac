// `kv console`: which page it opens, and what other users of the machine see of it.

import { chmodSync, existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { isFree } from '../../src/local/addresses.ts'
import { type ConsoleAddress, consolePage } from '../../src/local/directory/cluster-file.ts'
import { TlsFiles } from '../../src/server/tls/tls-files.ts'
import { eventually, isGone, supervisorPid, Workspace } from '../local/kv.ts'
import { start } from '../server/http/served.ts'
import { authority, CertificateDirectory } from '../server/tls/certificates.ts'
import { kv, type RunOptions } from './run-kv.ts'

let space: Workspace
let console: ConsoleAddress
let node: string
beforeAll(async () => {
  space = await Workspace.openForFile()
  const { nodes } = await space.start('--nodes', '1')
  node = nodes[0]?.url ?? ''
  console = JSON.parse(readFileSync(space.path('cluster.json'), 'utf8')).console
})
afterAll(() => space.close())

/** A display with a browser that notes what it is to open. */
function browser(): { readonly env: Record<string, string>; readonly opened: () => Promise<string> } {
  const bin = mkdtempSync(join(tmpdir(), 'quorate-browser-'))
  const note = join(bin, 'opened')
  writeFileSync(join(bin, 'xdg-open'), `#!/bin/sh\necho "$@" > ${note}.new && mv ${note}.new ${note}\n`)
  chmodSync(join(bin, 'xdg-open'), 0o755)
  return {
    env: { DISPLAY: ':0', PATH: `${bin}:${process.env.PATH}` },
    opened: async () => {
      await eventually(() => existsSync(note))
      return readFileSync(note, 'utf8').trim()
    },
  }
}

const NO_DISPLAY = { DISPLAY: '', WAYLAND_DISPLAY: '' }
const run = (args: readonly string[], options: RunOptions = {}) =>
  kv(['console', ...args], { cwd: space.dir, env: NO_DISPLAY, ...options })

test('the console of the local cluster is opened by a file that only its owner can read', async () => {
  const { env, opened } = browser()
  const { code, out, err } = await run([], { env })
  expect([code, out, err]).toEqual([0, `${consolePage(console)}\n`, ''])
  // All users can read the arguments of a program.
  const words = await opened()
  expect(words).not.toContain(console.token)
  const path = fileURLToPath(words)
  expect(path).toBe(space.path('console.html'))
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(readFileSync(path, 'utf8')).toContain(`content="0; url=${consolePage(console)}"`)
})

test('without a display, and with --no-open, the address is printed alone', async () => {
  const headless = await run([])
  expect([headless.code, headless.out]).toEqual([0, `${consolePage(console)}\n`])
  expect(headless.err).toContain('there is no display')
  const { env } = browser()
  const quiet = await run(['--no-open'], { env })
  expect([quiet.code, quiet.out, quiet.err]).toEqual([0, `${consolePage(console)}\n`, ''])
  const elsewhere = await run(['--no-open', '--data', space.path()], { cwd: tmpdir() })
  expect(elsewhere.out).toBe(`${consolePage(console)}\n`)
})

test('a browser that cannot be started is named, and the address is printed all the same', async () => {
  const { code, out, err } = await run([], { env: { DISPLAY: ':0', PATH: '/nowhere' } })
  expect([code, out]).toEqual([0, `${consolePage(console)}\n`])
  expect(err).toContain('xdg-open: no such file or directory')
})

test('of other endpoints it is the page of the first node that answers', async () => {
  const { env, opened } = browser()
  const { code, out } = await run(['--endpoints', `http://127.0.0.1:1,${node}/`], { env })
  expect([code, out]).toEqual([0, `${node}/ui/\n`])
  expect(await opened()).toBe(`${node}/ui/`)
  const none = await run(['--endpoints', 'http://127.0.0.1:1'])
  expect([none.code, none.out]).toEqual([7, ''])
})

test('of a cluster that was started without a console it is the page of a node that runs', async () => {
  const without = await Workspace.open()
  const { nodes } = await without.start('--nodes', '2', '--no-console')
  expect(JSON.parse(readFileSync(without.path('cluster.json'), 'utf8')).console).toBeUndefined()
  expect((await without.kv('cluster', 'status')).stderr).toBe('')
  expect(await isFree(without.port - 1)).toBe(true)
  expect((await without.kv('cluster', 'kill', 'n1')).code).toBe(0)
  const { code, out } = await run(['--no-open'], { cwd: without.dir })
  expect([code, out]).toEqual([0, `${nodes[1]?.url}/ui/\n`])
  const supervisor = supervisorPid(without)
  expect(await without.kv('cluster', 'destroy', '--yes')).toMatchObject({ code: 0 })
  expect(existsSync(without.path())).toBe(false)
  for (const pid of [supervisor, nodes[1]?.pid ?? 0]) expect(isGone(pid)).toBe(true)
})

test('each endpoint is checked for its own name', async () => {
  using directory = new CertificateDirectory()
  const ca = authority()
  const paths = {
    ...directory.pair('n1', ca.node('n1', ['127.0.0.1'])),
    ca: directory.write('ca.crt', ca.cert),
  }
  const logger = { debug() {}, info() {}, warn() {}, error() {} }
  const files = await TlsFiles.open(paths, { logger })
  onTestFinished(() => files.close())
  const served = await start({ tls: { files, clientCert: undefined } })
  onTestFinished(() => served.close())
  const url = `https://127.0.0.1:${served.port}`
  const { code, out } = await run([
    ...['--no-open', '--cacert', paths.ca, '--endpoints', `https://localhost:1,${url}`],
  ])
  expect([code, out]).toEqual([0, `${url}/ui/\n`])
})

test('a cluster that does not run has none, and destroy deletes the file', async () => {
  await space.kv('cluster', 'stop')
  const { code, err } = await run([])
  expect([code, err]).toEqual([7, expect.stringContaining('no local cluster runs')])
  expect(await space.kv('cluster', 'destroy', '--yes')).toMatchObject({ code: 0 })
  expect(existsSync(space.path())).toBe(false)
})
