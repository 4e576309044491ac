// Completion as a shell asks for it. bash is run as it is; for zsh and fish, the answer to what their scripts ask.

import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { TlsFiles } from '../../src/server/tls/tls-files.ts'
import { RelayedNode } from '../client/relayed-node.ts'
import { start } from '../server/http/served.ts'
import { authority, CertificateDirectory } from '../server/tls/certificates.ts'
import { KV, kv as run } from './run-kv.ts'

let node: RelayedNode
let scratch: string

beforeEach(async () => {
  node = await RelayedNode.start()
  scratch = mkdtempSync(join(tmpdir(), 'quorate-completion-'))
})

afterEach(async () => {
  await node.close()
  rmSync(scratch, { recursive: true, force: true })
})

/** However busy the machine is. */
const PATIENT = { KV_TIMEOUT: '60s' }

const complete = (...words: string[]) =>
  run(['complete', 'words', '--', ...words], { endpoints: node.url, cwd: scratch, env: PATIENT })

async function candidates(...words: string[]): Promise<string[]> {
  const { code, out, err } = await complete(...words)
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return out.split('\n').filter((line) => line !== '')
}

test('keys are offered up to the next slash, however many lie behind it', async () => {
  for (let n = 0; n < 250; n++) node.set(`services/${n}`, 'v')
  for (const key of ['a', 'services', 'zone', 'new\nline', 'tab\tbed']) node.set(key, 'v')
  expect(await candidates('get', '')).toEqual(['=a', '=services', '=services/', '=zone'])
  expect(await candidates('ls', 'serv')).toEqual(['=services', '=services/'])
  expect(await candidates('put', 'services/24')).toEqual([
    '=services/24',
    ...Array.from({ length: 10 }, (_, n) => `=services/24${n}`),
  ])
  expect(await candidates('put', 'services/1', '')).toEqual([])
  expect(await candidates('del', 'zz')).toEqual([])
})

test('behind a directory with letters beyond ASCII, all its keys are offered', async () => {
  for (const key of ['größe/', 'größe/a', 'größe/b', 'größe/b/c', '€/1', '€/2'])
    node.set(Buffer.from(key).toString('latin1'), 'v')
  expect(await candidates('get', 'größe/')).toEqual(['=größe/', '=größe/a', '=größe/b', '=größe/b/'])
  expect(await candidates('get', '€/')).toEqual(['=€/1', '=€/2'])
  expect(await candidates('get', '')).toEqual([':nospace', '=größe/', '=€/'])
})

test('keys that are not UTF-8 are passed over', async () => {
  const keys = [
    Buffer.from('b'),
    Buffer.from('b😀'),
    ...Array.from({ length: 150 }, (_, n) => Buffer.of(0x62, 0xf0, n)),
  ]
  for (const key of keys) node.set(key.toString('latin1'), 'v')
  expect(await candidates('get', 'b')).toEqual(['=b', '=b😀'])
})

test('a directory of keys alone ends without a space', async () => {
  node.set('services/a', 'v')
  expect(await candidates('export', 's')).toEqual([':nospace', '=services/'])
})

test('the endpoints on the line are asked', async () => {
  const other = await RelayedNode.start()
  try {
    other.set('elsewhere', 'v')
    expect(await candidates('--endpoints', other.url, 'get', '')).toEqual(['=elsewhere'])
    expect(await candidates(`--endpoints=${other.url}`, 'get', '')).toEqual(['=elsewhere'])
  } finally {
    await other.close()
  }
})

test('the context on the line is asked, with its certificates, and those on the line', async () => {
  using directory = new CertificateDirectory()
  const ca = authority()
  const paths = { ...directory.pair('n1', ca.node('n1')), ca: directory.write('ca.crt', ca.cert) }
  const logger = { debug() {}, info() {}, warn() {}, error() {} }
  const files = await TlsFiles.open(paths, { logger })
  onTestFinished(() => files.close())
  const served = await start({ tls: { files, clientCert: undefined } })
  onTestFinished(() => served.close())
  served.node.put('elsewhere', 'v')
  const endpoints = `https://127.0.0.1:${served.port}`
  const env = { ...PATIENT, XDG_CONFIG_HOME: scratch }
  const global = ['--endpoints', endpoints, '--cacert', paths.ca]
  expect((await run(['context', 'add', 'other', ...global], { env })).code).toBe(0)
  for (const flags of [['--context', 'other'], ['--context=other'], global]) {
    const { out, err } = await run(['complete', 'words', '--', ...flags, 'get', ''], { cwd: scratch, env })
    expect([out, err], flags.join(' ')).toEqual(['=elsewhere\n', ''])
  }
})

test('what cannot be known is not offered, and nothing is said about it', async () => {
  for (const words of [
    ['--endpoints', 'http://127.0.0.1:1', 'get', ''],
    ['--endpoints', 'nonsense://', 'get', ''],
    ['nonsense', 'get', ''],
    ['cluster', 'kill', ''],
    ['put', 'k', '@does/not/exist'],
  ])
    expect(await candidates(...words)).toEqual([])
})

test('a file behind @', async () => {
  mkdirSync(join(scratch, 'sub'))
  writeFileSync(join(scratch, 'sub', 'logo.png'), '')
  writeFileSync(join(scratch, 'sub', 'new\nline'), '')
  expect(await candidates('put', 'k', '@s')).toEqual([':nospace', '=@sub/'])
  expect(await candidates('put', 'k', '@sub/')).toEqual(['=@sub/logo.png'])
})

/** For each line, COMPREPLY after a Tab at its end, in a bash that has sourced the script twice. */
async function tab(lines: readonly string[], command: string): Promise<string[][]> {
  writeFileSync(join(scratch, 'script'), (await run(['completion', 'bash'])).out)
  const program = `
    quorate() { ${command}; }
    source ./script; source ./script
    for COMP_LINE in "$@"; do
      COMP_POINT=\${#COMP_LINE}
      _quorate
      printf '%s\\n' "\${COMPREPLY[@]}" ''
    done`
  const env = { ...process.env, NODE: process.execPath, KV, KV_ENDPOINTS: node.url, KV_TIMEOUT: '60s' }
  const args = ['--norc', '--noprofile', '-c', program, 'bash', ...lines]
  const { stdout, stderr } = await promisify(execFile)('bash', args, { cwd: scratch, env })
  expect(stderr).toBe('')
  return stdout
    .split('\n\n')
    .slice(0, -1)
    .map((text) => text.split('\n').filter((line) => line !== ''))
}

test('bash: commands, and keys quoted as the line is', async () => {
  node.set("it's 5$", 'v')
  expect(await tab(['quorate get it'], '"$NODE" "$KV" "$@"')).toEqual([["it\\'s\\ 5\\$"]])
  const lines = ['quorate pu', 'quorate get "it', "quorate get 'it", 'quorate help exi']
  const answers = lines.map((line) =>
    run(['complete', 'bash', '--', line, ' \t\n"\'@><=;|&(:'], { endpoints: node.url }),
  )
  const found = (await Promise.all(answers)).map(({ out }) => out)
  expect(found).toEqual(['=put\n', "=it's 5\\$\n", "=it'\\''s 5$\n", '=exit-codes\n'])
})

test('bash: nothing in the line is run, and nothing in a candidate', async () => {
  const made = join(scratch, 'made')
  const texts = [`$(touch ${made})`, `\`touch ${made}\``, `"$(touch ${made})`, `; touch ${made} ;`]
  const lines = texts.flatMap((text) => ['', ' '].map((rest) => `quorate get ${text}${rest}`))
  // The command reads the line as text, so a stand-in may answer.
  const found = await tab(lines, `printf '=%s\\n' "$4"`)
  expect(found).toEqual(lines.map((line) => [line]))
  expect(existsSync(made)).toBe(false)
})

test.each(['bash', 'zsh', 'fish'])('the script for %s asks under the name of the program', async (shell) => {
  const ended = await run(['completion', shell])
  expect(ended).toMatchObject({ code: 0, err: '' })
  expect(ended.out).toMatch(/\bquorate complete (words|bash) -- /)
  expect(ended.out).not.toMatch(/eval|PROGRAM/)
})

test('another shell is a usage error that names those there are', async () => {
  const ended = await run(['completion', 'powershell'])
  expect(ended).toMatchObject({ code: 2, out: '' })
  expect(ended.err).toContain('shell must be one of bash, zsh, fish, not')
})
