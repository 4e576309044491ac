// Commands that the page copies, as a shell reads them.

import { execFileSync } from 'node:child_process'
import { beforeAll, expect, test, vi } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/index.ts'

// The types of the module need those of a browser.
const load = (path: string): Promise<unknown> => import(path)
let page: {
  readCommand(key: Uint8Array, revision: number | undefined): string | undefined
  operands(...texts: readonly string[]): string
}
beforeAll(async () => {
  vi.stubGlobal('sessionStorage', { getItem: () => null, setItem: () => {}, removeItem: () => {} })
  vi.stubGlobal('location', { hash: '', origin: 'http://n1' })
  page = (await load('../../web/src/pages/keys/commands.ts')) as typeof page
  return () => vi.unstubAllGlobals()
})

/** Returns the words of each command after its name, and its standard input. One shell reads all of them. */
function readByShell(commands: readonly (string | undefined)[]) {
  const program = `quorate() { printf '%s\\0' "$@"; printf '\\0'; cat; printf '\\0\\0'; }\n${commands.join('\n')}`
  const parts = execFileSync('bash', ['-c', program], { input: '' }).toString().split('\0\0')
  return commands.map((_, at) => ({
    words: parts[2 * at]?.split('\0'),
    input: parts[2 * at + 1]?.trimEnd(),
  }))
}

const KEYS = ['greeting', 'two words', "it's", '$HOME `id` "x"', '-x', '--prefix', 'a\nb', '\u001b[2J', 'é/ü']

test('a command names the key that the page shows, whatever is in it', () => {
  const read = (revision?: number) =>
    readByShell(KEYS.map((key) => page.readCommand(encodeUtf8(key), revision))).map(({ words }) => words)
  const dash = (key: string) => (key.startsWith('-') ? ['--'] : [])
  expect(read()).toEqual(KEYS.map((key) => ['get', ...dash(key), key]))
  const old = ['--revision', '12']
  expect(read(12)).toEqual(
    KEYS.map((key) => (key.startsWith('-') ? ['get', ...old, '--', key] : ['get', key, ...old])),
  )
  const pushes = readByShell(KEYS.map((key) => `quorate queue push ${page.operands(key, 'hello')}`))
  expect(pushes.map(({ words }) => words)).toEqual(
    KEYS.map((key) => ['queue', 'push', ...dash(key), key, 'hello']),
  )
})

test.each([
  ['bytes that are no text', Uint8Array.of(0xff, 0x00, 0x27), { base64: '/wAn' }],
  ['text with a zero byte', encodeUtf8("a\0'b"), "a\0'b"],
])('a key that no argument can name is read by a transaction: %s', (_, key, named) => {
  const [read] = readByShell([page.readCommand(key, undefined)])
  expect(read?.words).toEqual(['txn'])
  expect(JSON.parse(read?.input ?? '')).toMatchObject({ success: [{ get: { key: named } }] })
  expect(page.readCommand(key, 12)).toBeUndefined()
})
