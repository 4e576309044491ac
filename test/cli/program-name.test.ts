// Texts name the program as the user has called it, and leave the words of the user as they are.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { KV } from './run-kv.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'quorate-name-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const NOWHERE = ['--endpoints', '127.0.0.1:1']

describe.each([
  ['quorate', 'kv'],
  ['kv', 'quorate'],
])('called as %s', (name, other) => {
  const call = (args: readonly string[], { cwd = dir, env = {} } = {}): string => {
    const link = join(dir, name)
    symlinkSync(KV, link)
    const spawned = spawnSync(process.execPath, [link, ...args], {
      cwd,
      encoding: 'utf8',
      env: { ...process.env, ...env },
    })
    rmSync(link)
    return spawned.stdout + spawned.stderr
  }

  test.each([
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
    [['get', 'a', ...NOWHERE], `\`${name} cluster start\` starts one here`],
    [['put', 'a'], `a value is missing: ${name} put KEY VALUE`],
  ])('%j', (args, expected) => {
    const said = call(args)
    expect(said).toContain(expected)
    expect(said).not.toMatch(new RegExp(`(?<![./])\\b${other} `))
  })

  test.each([
    [['get', 'a', '--timeout=kv get'], {}, "argument 'kv get' is invalid"],
    [['get', 'a', '--endpoints', 'n1,quorate get'], {}, 'not an endpoint: "quorate get"'],
    [['get', 'a'], { KV_TIMEOUT: 'quorate cluster' }, "value 'quorate cluster' from env"],
    [['kv get'], {}, "unknown command 'kv get'"],
    [['help', 'quorate cluster'], {}, 'no command or topic "quorate cluster"'],
    [['cluster', 'status', '--data', 'my kv cluster'], {}, 'runs in my kv cluster: there'],
    [['cluster', 'stop', '--data', 'my quorate cluster'], {}, 'runs in my quorate cluster: there'],
    [['import', 'the quorate get'], {}, 'the quorate get: no such file'],
  ])('the words of the user stay as they are: %j %j', (args, env, expected) => {
    expect(call(args, { env })).toContain(expected)
  })

  test('so does the directory in which it is called', () => {
    const cwd = join(dir, 'a kv node, a quorate node')
    mkdirSync(cwd)
    for (const file of ['my kv cluster', 'my quorate cluster']) {
      writeFileSync(join(cwd, file), '')
      expect(call(['cluster', 'start', '--data', `./${file}`, '--detach'], { cwd })).toContain(
        `${cwd}/${file}: not a directory`,
      )
    }
  })
})
