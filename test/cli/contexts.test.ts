// Contexts: what a command takes of them, and what comes before them.

import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { RelayedNode } from '../client/relayed-node.ts'
import { type RunOptions, kv as run, startKv } from './run-kv.ts'

let node: RelayedNode
let other: RelayedNode
let scratch: string

beforeEach(async () => {
  node = await RelayedNode.start()
  other = await RelayedNode.start()
  node.set('k', 'prod')
  other.set('k', 'other')
  scratch = mkdtempSync(join(tmpdir(), 'quorate-contexts-'))
})
afterEach(async () => {
  await node.close()
  await other.close()
  rmSync(scratch, { recursive: true, force: true })
})

const kv = (args: readonly string[], { env, ...more }: RunOptions = {}) =>
  run(args, { cwd: scratch, env: { XDG_CONFIG_HOME: scratch, ...env }, ...more })
const file = () => join(scratch, 'quorate/contexts.json')
const kept = () => JSON.parse(readFileSync(file(), 'utf8'))

const addProd = (...more: readonly string[]) =>
  kv(['context', 'add', 'prod', '--endpoints', node.url, ...more])

test('a context is used where it is named, or is the current one; flags and variables come before it', async () => {
  expect(await addProd()).toMatchObject({ code: 0, out: '' })
  expect((await kv(['get', 'k', '--context', 'prod'])).out).toBe('prod')
  expect((await kv(['get', 'k'], { env: { KV_CONTEXT: 'prod' } })).out).toBe('prod')
  expect(await kv(['context', 'use', 'prod'])).toMatchObject({ code: 0 })
  expect((await kv(['get', 'k'])).out).toBe('prod')
  // Others come and go beside it.
  expect((await kv(['context', 'add', 'spare', '--endpoints', other.url])).code).toBe(0)
  expect((await kv(['get', 'k'])).out).toBe('prod')
  expect((await kv(['context', 'remove', 'spare'])).code).toBe(0)
  expect((await kv(['get', 'k'])).out).toBe('prod')
  expect((await kv(['get', 'k', '--endpoints', other.url])).out).toBe('other')
  expect((await kv(['get', 'k'], { env: { KV_ENDPOINTS: other.url } })).out).toBe('other')
  // Without it there is neither a cluster here nor one at the default ports.
  const none = await kv(['get', 'k', '--context', '', '--timeout', '50ms'])
  expect(none.out).not.toBe('prod')
  expect(await kv(['context', 'use', '--none'])).toMatchObject({ code: 0 })
  expect(kept().current).toBeUndefined()
})

test('only its own cluster gets the user of a context', async () => {
  await addProd('--user', 'bob:secret of bob', '--save-password')
  await kv(['context', 'use', 'prod'])
  await kv(['get', 'k'])
  await kv(['get', 'k', '--endpoints', other.url])
  await kv(['get', 'k', '--user', 'eve:secret of eve'])
  const users = ({ seen }: RelayedNode) =>
    seen.map(({ headers, body }) => {
      const [, basic = ''] = headers.authorization?.split(' ') ?? []
      return `${Buffer.from(basic, 'base64')}${body}`
    })
  expect(users(node).join()).toContain('bob')
  expect(users(node).join()).toContain('eve')
  expect(users(other)).toEqual(users(other).map(() => ''))
})

test("the file is the owner's alone, and has a password only if that was asked for", async () => {
  expect((await addProd('--user', 'bob:secret of bob')).err).toContain('the password is not kept')
  expect(statSync(file()).mode & 0o777).toBe(0o600)
  expect(kept().contexts).toEqual({ prod: { endpoints: [node.url], user: 'bob' } })
  expect((await addProd()).err).toContain('there is a context prod already')
  await kv(['context', 'remove', 'prod'])
  await addProd('--user', 'bob:secret of bob', '--save-password')
  const listed = await kv(['context', 'list', '-o', 'json'])
  expect(JSON.parse(listed.out)).toEqual([
    { name: 'prod', current: false, endpoints: [node.url], user: 'bob', has_password: true },
  ])
  chmodSync(file(), 0o640)
  expect(await kv(['get', 'k', '--context', 'prod'])).toMatchObject({
    code: 1,
    err: `error: ${file()} has a password, and others may read it: chmod 600 ${file()}\n`,
  })
})

test('a context that is added during the question for a password stays', async () => {
  const asking = startKv(
    ['context', 'add', 'a', '--endpoints', node.url, '--user', 'bob', '--save-password'],
    { cwd: scratch, env: { XDG_CONFIG_HOME: scratch }, terminals: ['stdin', 'stderr'] },
  )
  await asking.printed('password of bob: ')
  await addProd()
  asking.stdin.end('secret of bob\n')
  expect((await asking.ended).code).toBe(0)
  expect(Object.keys(kept().contexts).sort()).toEqual(['a', 'prod'])
  expect(kept().contexts.a.password).toBe('secret of bob')
})

test('the question before keys are deleted names the context', async () => {
  await addProd()
  expect((await kv(['del', '--prefix', 'k', '--context', 'prod'])).err).toBe(
    'error: this deletes 1 key that begins with k in the cluster of the context prod; to do that, add --yes\n',
  )
})

test.each<[readonly string[], string]>([
  [['get', 'k', '--context', 'nope'], 'there is no context nope: there are prod'],
  [['context', 'use', 'nope'], 'there is no context nope: there are prod'],
  [['context', 'remove', 'nope'], 'there is no context nope: there are prod'],
  [['context', 'use'], 'name a context, or --none'],
  [['context', 'add', 'b', '--token', 't', '--endpoints', 'http://a'], 'a token ends after minutes'],
  [['context', 'add', 'b'], 'which cluster? add --endpoints'],
  [['context', 'add', '../b', '--endpoints', 'http://a'], 'a name has up to 63'],
  [
    ['context', 'add', 'b', '--endpoints', 'https://a', '--cacert', 'none.crt'],
    '--cacert: cannot read none.crt',
  ],
])('%j is refused', async (args, message) => {
  await addProd()
  expect(await kv(args)).toMatchObject({ code: 2, err: expect.stringContaining(message) })
  expect(Object.keys(kept().contexts)).toEqual(['prod'])
})

test('a damaged file is named, and stays', async () => {
  await addProd()
  writeFileSync(file(), '{"contexts": 3}')
  expect(await kv(['get', 'k'])).toMatchObject({
    code: 1,
    err: expect.stringContaining(`${file()} is no file of`),
  })
  expect((await addProd()).code).toBe(1)
  expect(readFileSync(file(), 'utf8')).toBe('{"contexts": 3}')
})
