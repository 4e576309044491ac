// Users read the name that they have typed.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { getCommand } from '../../src/cli/get-command.ts'
import { printable } from '../../src/cli/output.ts'
import { buildProgram } from '../../src/cli/program.ts'
import { asCalled, COMMANDS } from '../../src/cli/program-name.ts'
import { KV } from './run-kv.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'quorate-name-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

test.each([
  [['help', 'put'], /^Examples:\n {2}quorate put greeting/],
  [['help', 'exit-codes'], /quorate itself has tried again/],
  [['cluster', 'start', '--help'], /quorate cluster start --detach/],
  [['cluster', 'kill', 'n1'], /^error: No local cluster runs .* quorate cluster start starts one/],
  [['frobnicate'], /See: quorate help/],
  [['get', 'a', '--endpoints', '127.0.0.1:1'], /`quorate cluster start` starts one here/],
])('quorate %j', (args, expected) => {
  const link = join(dir, 'quorate')
  symlinkSync(KV, link)
  const { stdout, stderr } = spawnSync(process.execPath, [link, ...args], { cwd: dir, encoding: 'utf8' })
  expect(stdout + stderr).toMatch(expected)
  expect(stdout + stderr).not.toMatch(/(^|[^./])\bkv /m)
})

test.each([
  [['help', 'put'], /^Examples:\n {2}kv put greeting/],
  [['help', 'exit-codes'], /kv itself has tried again/],
  [['cluster', 'kill', 'n1'], /^error: No local cluster runs .* kv cluster start starts one/],
  [['frobnicate'], /See: kv help/],
])('kv %j', (args, expected) => {
  const link = join(dir, 'kv')
  symlinkSync(KV, link)
  const { stdout, stderr } = spawnSync(process.execPath, [link, ...args], { cwd: dir, encoding: 'utf8' })
  expect(stdout + stderr).toMatch(expected)
  expect(stdout + stderr).not.toMatch(/quorate (put|help|cluster)/)
})

test('every command is a word that follows the name', async () => {
  const program = await buildProgram([])
  // Only scripts call the hidden one.
  const names = program.commands.map((command) => command.name()).filter((name) => name !== 'complete')
  expect(names.sort()).toEqual([...COMMANDS].sort())
})

test('only calls are renamed', () => {
  const text = 'kv put a; .kv/cluster status; x/kv get; kv pairs; kvs get'
  expect(asCalled(text, 'quorate')).toBe('quorate put a; .kv/cluster status; x/kv get; kv pairs; kvs get')
  expect(asCalled('quorate put a; quorate keys', 'kv')).toBe('kv put a; quorate keys')
})

test('the words of the user stay as they are', () => {
  const link = join(dir, 'quorate')
  symlinkSync(KV, link)
  const here = join(dir, 'a kv node')
  mkdirSync(here)
  const said = (...args: string[]): string =>
    spawnSync(process.execPath, [link, ...args], { cwd: here, encoding: 'utf8' }).stderr
  expect(said('cluster', 'status', '--data', 'my kv cluster')).toBe(
    'error: No local cluster runs in my kv cluster: there is no such directory. quorate cluster start starts one.\n',
  )
  for (const file of ['file', 'my kv cluster']) {
    writeFileSync(join(here, file), '')
    expect(said('cluster', 'start', '--data', `./${file}`, '--detach')).toContain(
      `${here}/${file}, cannot be`,
    )
  }

  // Also where a message quotes them, or escapes some of their characters.
  const key = "it's kv get\ta kv ls"
  const words = ['put', key]
  for (const shown of [getCommand(key), printable(key), JSON.stringify(key)])
    expect(asCalled(`check with: kv get; ${shown.replace(/^kv get/, '')}`, 'quorate', words)).toBe(
      `check with: quorate get; ${shown.replace(/^kv get/, '')}`,
    )
})

test.each([
  [['get', 'a', '--timeout=kv get'], {}, "argument 'kv get' is invalid"],
  [['get', 'a', '--endpoints', 'n1,kv get'], {}, 'not an endpoint: "kv get"'],
  [['get', 'a'], { KV_TIMEOUT: 'kv get' }, "value 'kv get' from env"],
])('so do parts of %j, and the variables %j', (args, variables, expected) => {
  const link = join(dir, 'quorate')
  symlinkSync(KV, link)
  const env = { ...process.env, ...variables }
  const { stderr } = spawnSync(process.execPath, [link, ...args], { cwd: dir, encoding: 'utf8', env })
  expect(stderr).toContain(expected)
  expect(stderr).toContain('See: quorate help')
})
