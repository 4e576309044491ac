// The files of the console: which of them are served, with what headers, and what is kept in memory.

import { randomBytes } from 'node:crypto'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { expect, onTestFinished, test } from 'vitest'
import {
  BuiltPage,
  CONSOLE,
  type PageFileAnswer,
  type PageFileRequest,
} from '../../src/console/built-page.ts'
import { PLACEHOLDER, SCRIPT } from './placeholder.ts'

const PLAIN: PageFileRequest = { ifNoneMatch: undefined, acceptEncoding: undefined }
const GZIP: PageFileRequest = { ifNoneMatch: undefined, acceptEncoding: 'gzip, deflate, br, zstd' }

/** A copy of the placeholder, which a test may change. */
function copy(): string {
  const directory = mkdtempSync(join(tmpdir(), 'quorate-console-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  cpSync(PLACEHOLDER, directory, { recursive: true })
  return directory
}

async function find(
  page: BuiltPage,
  path: string,
  request = PLAIN,
  urls: readonly string[] = [],
): Promise<PageFileAnswer> {
  const answer = await page.find(path, request, urls)
  if ('missing' in answer) throw new Error(`${path}: ${answer.missing}`)
  return answer
}

const headersOf = ({ headers }: PageFileAnswer): Record<string, string> =>
  Object.fromEntries(headers.flatMap((name, at) => (at % 2 === 0 ? [[name, headers[at + 1] ?? '']] : [])))

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

test('the document is asked for anew each time, an asset never again', async () => {
  const page = new BuiltPage(CONSOLE, PLACEHOLDER)
  const document = await find(page, '')
  expect(document).toMatchObject({ status: 200, body: readFileSync(join(PLACEHOLDER, 'index.html')) })
  const common = {
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Content-Security-Policy': POLICY,
    Vary: 'Accept-Encoding',
    ETag: expect.stringMatching(/^"[\w-]{22}"$/),
  }
  expect(headersOf(document)).toEqual({
    ...common,
    'Content-Type': 'text/html; charset=utf-8',
    'Cache-Control': 'no-cache',
  })
  expect(headersOf(await find(page, SCRIPT))).toEqual({
    ...common,
    'Content-Type': 'text/javascript; charset=utf-8',
    'Cache-Control': 'public, max-age=31536000, immutable',
  })
})

test.each([
  ['gzip', true],
  ['br, GZIP;q=0.5', true],
  ['gzip ; q=0.001', true],
  ['gzip;q=0', false],
  ['gzip; q=0.000', false],
  ['x-gzipped, br', false],
  ['identity', false],
  ['', false],
  [undefined, false],
])('Accept-Encoding %j: gzip is %j', async (acceptEncoding, isCompressed) => {
  const page = new BuiltPage(CONSOLE, PLACEHOLDER)
  const answer = await find(page, SCRIPT, { ...PLAIN, acceptEncoding })
  expect(headersOf(answer)['Content-Encoding']).toBe(isCompressed ? 'gzip' : undefined)
  const body = isCompressed ? gunzipSync(answer.body) : answer.body
  expect(Buffer.from(body)).toEqual(readFileSync(join(PLACEHOLDER, SCRIPT)))
})

test('what gzip makes no smaller is sent as it is', async () => {
  const directory = copy()
  const font = randomBytes(5_000)
  writeFileSync(join(directory, 'assets/inter-1a2b.woff2'), font)
  const answer = await find(new BuiltPage(CONSOLE, directory), 'assets/inter-1a2b.woff2', GZIP)
  expect(answer).toMatchObject({ status: 200, body: font })
  expect(headersOf(answer)).toMatchObject({ 'Content-Type': 'font/woff2' })
  expect(headersOf(answer)).not.toHaveProperty('Content-Encoding')
})

test('a tag names one form of one content under one policy', async () => {
  const page = new BuiltPage(CONSOLE, PLACEHOLDER)
  const tagOf = (answer: PageFileAnswer): string => headersOf(answer).ETag ?? ''
  const plain = tagOf(await find(page, ''))
  const gzip = tagOf(await find(page, '', GZIP))
  // A browser keeps the policy of its copy when the answer is 304.
  const grown = tagOf(await find(page, '', PLAIN, ['http://127.0.0.1:7302']))
  const directory = copy()
  writeFileSync(join(directory, 'index.html'), 'another')
  const changed = tagOf(await find(new BuiltPage(CONSOLE, directory), ''))
  expect(new Set([plain, gzip, grown, changed]).size).toBe(4)

  const statusFor = async (ifNoneMatch: string, acceptEncoding?: string): Promise<number> =>
    (await find(page, '', { ifNoneMatch, acceptEncoding })).status
  for (const matching of [plain, `W/${plain}`, `"other", ${plain}`, '*'])
    expect([matching, await statusFor(matching)]).toEqual([matching, 304])
  for (const other of ['', '"other"', gzip, plain.slice(0, -1), grown])
    expect([other, await statusFor(other)]).toEqual([other, 200])
  expect(await statusFor(gzip, 'gzip')).toBe(304)
  const unchanged = await find(page, '', { ...PLAIN, ifNoneMatch: plain })
  expect(unchanged.body.length).toBe(0)
  expect(headersOf(unchanged)).toMatchObject({ ETag: plain, 'Content-Security-Policy': POLICY })
})

test('the document may connect to the other members, and to nothing that their URLs smuggle in', async () => {
  const page = new BuiltPage(CONSOLE, PLACEHOLDER)
  const connect = async (...urls: readonly string[]): Promise<string | undefined> => {
    const policy = headersOf(await find(page, '', PLAIN, urls))['Content-Security-Policy'] ?? ''
    expect(policy.replace(/connect-src [^;]*/, "connect-src 'self'")).toBe(POLICY)
    return /connect-src 'self' ?([^;]*)/.exec(policy)?.[1]
  }
  expect(await connect()).toBe('')
  expect(await connect('http://127.0.0.1:7302', 'https://N3.example:443', 'http://127.0.0.1:7302')).toBe(
    'http://127.0.0.1:7302 https://n3.example',
  )
  for (const evil of [
    'http://a;sandbox',
    "http://a'unsafe-inline'",
    'http://a,b',
    'http://*',
    'http://a b',
    'http://a/; script-src *',
    'data:x',
    'javascript:alert(1)',
    'blob:http://a/b',
    'ws://a',
    '',
    'a',
  ])
    expect([evil, await connect(evil)]).toEqual([evil, evil.startsWith('http://a/') ? 'http://a' : ''])
})

test('only the document and the files of its assets exist', async () => {
  const directory = copy()
  writeFileSync(join(directory, 'secret.js'), 'secret')
  writeFileSync(join(directory, 'assets/main-0d1e2f3a.js.map'), 'secret')
  mkdirSync(join(directory, 'assets/deep.js'))
  writeFileSync(join(directory, 'assets/deep.js/secret.js'), 'secret')
  symlinkSync('/etc/passwd', join(directory, 'assets/passwd.js'))
  const page = new BuiltPage(CONSOLE, directory)
  for (const path of [
    'index.html',
    'assets',
    'assets/',
    'assets/none.js',
    'secret.js',
    'assets/../secret.js',
    'assets/main-0d1e2f3a.js.map',
    'assets/deep.js',
    'assets/deep.js/secret.js',
    'assets/passwd.js',
    `assets/../${SCRIPT}`,
    `./${SCRIPT}`,
    `/${SCRIPT}`,
    SCRIPT.toUpperCase(),
    `${SCRIPT}\0`,
    'constructor',
    '__proto__',
  ])
    expect([path, await page.find(path, PLAIN)]).toEqual([path, { missing: expect.any(String) }])
  expect((await find(page, SCRIPT)).status).toBe(200)
})

test('nothing is read before the first request, and no file twice', async () => {
  const directory = copy()
  const page = new BuiltPage(CONSOLE, directory)
  writeFileSync(join(directory, 'index.html'), 'written after the start')
  expect(Buffer.from((await find(page, '', PLAIN)).body).toString()).toBe('written after the start')
  const first = await Promise.all([find(page, SCRIPT, GZIP), find(page, SCRIPT, GZIP)])
  rmSync(directory, { recursive: true })
  const again = await find(page, SCRIPT, GZIP)
  // The same bytes in memory, not equal ones.
  for (const answer of first) expect(answer.body).toBe(again.body)
  expect((await find(page, '', GZIP)).status).toBe(200)
})

test('a console that is built while the node runs is found, and so is the next build', async () => {
  const directory = copy()
  rmSync(directory, { recursive: true })
  const page = new BuiltPage(CONSOLE, directory)
  for (const path of ['', SCRIPT])
    expect(await page.find(path, PLAIN)).toEqual({
      missing: 'the console is not built here: run npm run build:web',
    })
  cpSync(PLACEHOLDER, directory, { recursive: true })
  expect((await find(page, '')).status).toBe(200)
  rmSync(join(directory, SCRIPT))
  writeFileSync(join(directory, 'index.html'), 'the next build')
  writeFileSync(join(directory, 'assets/next-77.js'), 'next')
  expect(await page.find(SCRIPT, PLAIN)).toHaveProperty('missing')
  expect(Buffer.from((await find(page, '')).body).toString()).toBe('the next build')
  expect((await find(page, 'assets/next-77.js')).status).toBe(200)
})

test('a build that came after the first request is served whole', async () => {
  const directory = copy()
  const page = new BuiltPage(CONSOLE, directory)
  // Any request lists the folder, such as that of a tab which still shows the build before.
  expect(await page.find('assets/older-0000.js', PLAIN)).toHaveProperty('missing')
  rmSync(join(directory, 'assets'), { recursive: true })
  mkdirSync(join(directory, 'assets'))
  writeFileSync(join(directory, 'assets/main-2222.js'), 'export {}')
  writeFileSync(join(directory, 'index.html'), '<script type="module" src="./assets/main-2222.js"></script>')
  expect(Buffer.from((await find(page, '')).body).toString()).toContain('main-2222.js')
  expect((await find(page, 'assets/main-2222.js')).status).toBe(200)
})
