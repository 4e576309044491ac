// Texts name the program as the user has called it, and leave the words of the user as they are.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KV, type RunOptions, runTogether } from './run-kv.ts'

const dir = mkdtempSync(join(tmpdir(), 'quorate-name-'))
const cwd = join(dir, 'a kv node, a quorate node')
beforeAll(() => {
  mkdirSync(cwd)
  for (const file of ['my kv cluster', 'my quorate cluster']) writeFileSync(join(cwd, file), '')
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const namesProgram = (name: string): readonly (readonly [string[], string])[] => [
  [['help', 'put'], `Examples:\n  ${name} put greeting`],
  [['help', 'put'], `date | ${name} put now -`],
  [['help', 'completion'], `source <(${name} completion bash)`],
  [['help', 'import'], `a file of ${name} export,`],
  [['help', 'exit-codes'], `${name} itself has tried again`],
  [['help', 'formatting'], `  ${name} ls | head -3`],
  [['cluster', 'start', '--help'], `${name} cluster start --detach`],
  [['cluster', 'kill', 'n1'], `; start one with ${name} cluster start`],
  [['frobnicate'], `See: ${name} help`],
  [['get'], `See: ${name} help get`],
  [['put', 'a'], `a value is missing: ${name} put KEY VALUE`],
]

const KEEPS_WORDS: readonly (readonly [string[], RunOptions, string])[] = [
  [['get', 'a', '--timeout=kv get'], {}, "s or 5s, not 'kv get'"],
  [['get', 'a', '--endpoints', 'n1,quorate get'], {}, 'not an endpoint: "quorate get"'],
  [['get', 'a'], { env: { KV_TIMEOUT: 'quorate cluster' } }, "not 'quorate cluster' from env 'KV_TIMEOUT'"],
  [['kv get'], {}, "unknown command 'kv get'"],
  [['help', 'quorate cluster'], {}, 'no command or topic "quorate cluster"'],
  [['cluster', 'status', '--data', 'my kv cluster'], {}, 'runs in my kv cluster: there'],
  [['cluster', 'stop', '--data', 'my quorate cluster'], {}, 'runs in my quorate cluster: there'],
  [['import', 'the quorate get'], {}, 'the quorate get: no such file'],
  ...['my kv cluster', 'my quorate cluster'].map((file): [string[], RunOptions, string] => [
    ['cluster', 'start', '--data', `./${file}`, '--detach'],
    { cwd },
    `${cwd}/${file}: not a directory`,
  ]),
]

test('the link that was run is the name', () => {
  const link = join(dir, 'kv')
  symlinkSync(KV, link)
  expect(spawnSync(process.execPath, [link, 'get'], { encoding: 'utf8' }).stderr).toContain(
    'See: kv help get',
  )
})

describe.each([
  ['quorate', 'kv'],
  ['kv', 'quorate'],
])('called as %s', (name, other) => {
  const naming = namesProgram(name)
  let printed: readonly string[] = []

  beforeAll(async () => {
    const runs = [
      ...naming.map(([args]) => ({ args, cwd: dir })),
      ...KEEPS_WORDS.map(([args, options]) => ({ args, cwd: dir, ...options })),
    ]
    const ended = await runTogether(runs, { env: { QUORATE_CALLED_AS: name } })
    printed = ended.map(({ text }) => text)
  })

  test.each(naming.map(([args, text], at) => ({ args, text, at })))('$args', ({ text, at }) => {
    expect(printed[at]).toContain(text)
    expect(printed[at]).not.toMatch(new RegExp(`(?<![./])\\b${other} `))
  })

  test.each(KEEPS_WORDS.map(([args, , text], at) => ({ args, text, at: naming.length + at })))(
    'the words of the user stay as they are: $args',
    ({ text, at }) => expect(printed[at]).toContain(text),
  )
})
