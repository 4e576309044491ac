// The commands of docs/guides/backup.md, on a real node.

import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { backupOf, fileWith, nodeWithEverything, temporaryDirectory } from '../backup/samples.ts'
import { kv } from './run-kv.ts'

let cluster: EmbeddedCluster

beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
})
afterAll(() => cluster.close())

const run = (args: readonly string[], cwd: string) =>
  kv(args, { cwd, endpoints: cluster.endpoints.join(',') })

test('a store is saved, shown, checked, and restored into the directory of a node', async () => {
  const client = cluster.client()
  for (let at = 0; at < 50; at++) await client.put(`key ${at}`, 'x'.repeat(1000))
  await client.put('leased', '1', { ttlMs: 60_000 })
  const cwd = temporaryDirectory()
  const saved = await run(['backup', 'save', 'store.backup'], cwd)
  expect([saved.code, saved.err]).toEqual([0, expect.stringContaining('51 keys')])
  expect(readdirSync(cwd)).toEqual(['store.backup'])
  expect(statSync(join(cwd, 'store.backup')).mode & 0o777).toBe(0o600)

  const shown = await run(['backup', 'show', 'store.backup', '-o', 'json'], cwd)
  expect(JSON.parse(shown.out)).toMatchObject({ keys: 51, leases: 1, history: true, revision: 52 })
  const verified = await run(['backup', 'verify', 'store.backup', '--restore'], cwd)
  expect([verified.code, verified.err]).toEqual([0, expect.stringContaining('serves them')])

  const piped = await run(['backup', 'save', '-', '--no-history'], cwd)
  writeFileSync(join(cwd, 'other.backup'), piped.bytes)
  expect((await run(['backup', 'verify', 'other.backup'], cwd)).code).toBe(0)

  const where = [
    '--listen',
    '127.0.0.1:1',
    '--peer-listen',
    '127.0.0.1:2',
    '--name',
    'n1',
    '--data',
    'restored',
  ]
  const restored = await run(['restore', 'store.backup', ...where, '-o', 'json'], cwd)
  expect([restored.code, restored.err]).toEqual([0, expect.stringContaining('node start --name n1')])
  // An hour of 50,000 changes a second after the backup is behind it.
  expect(JSON.parse(restored.out).revision).toBeGreaterThan(52 + 3600 * 50_000)
  const again = await run(['restore', 'store.backup', ...where], cwd)
  expect([again.code, again.err]).toEqual([1, expect.stringContaining('holds node n1')])
})

test('a file that exists is overwritten only with --force, or after a question on a terminal', async () => {
  const cwd = temporaryDirectory()
  const path = join(cwd, 'store.backup')
  expect((await run(['backup', 'save', 'store.backup'], cwd)).code).toBe(0)
  writeFileSync(path, 'the backup of last year')
  const refused = await run(['backup', 'save', 'store.backup'], cwd)
  expect(refused).toMatchObject({ code: 2, err: expect.stringContaining('to do that, add --force') })
  const terminals = ['stdin', 'stderr'] as const
  const on = { cwd, endpoints: cluster.endpoints.join(','), terminals }
  const asked = await kv(['backup', 'save', 'store.backup'], { ...on, stdin: 'n\n' })
  expect(asked).toMatchObject({ code: 1, err: expect.stringContaining('store.backup exists') })
  expect(readFileSync(path, 'utf8')).toBe('the backup of last year')
  expect(await kv(['backup', 'save', 'store.backup'], { ...on, stdin: 'y\n' })).toMatchObject({ code: 0 })
  expect((await run(['backup', 'save', 'store.backup', '--force'], cwd)).code).toBe(0)
  expect((await run(['backup', 'verify', 'store.backup'], cwd)).code).toBe(0)
})

test('a damaged file, a missing one and one of another kind are errors with a reason, and leave nothing', async () => {
  const cwd = temporaryDirectory()
  await run(['backup', 'save', 'store.backup'], cwd)
  const bytes = readFileSync(join(cwd, 'store.backup'))
  bytes.writeUInt8(bytes.readUInt8(1000) ^ 4, 1000)
  writeFileSync(join(cwd, 'store.backup'), bytes)
  writeFileSync(join(cwd, 'letter.txt'), 'to whom it may concern')
  const where = [
    '--listen',
    '127.0.0.1:1',
    '--peer-listen',
    '127.0.0.1:2',
    '--name',
    'n1',
    '--data',
    'restored',
  ]
  for (const [file, reason] of [
    ['store.backup', 'checksum does not hold'],
    ['letter.txt', 'no backup of quorate'],
    ['missing', 'no such file'],
  ] as const)
    for (const command of [
      ['backup', 'verify', file],
      ['restore', file, ...where],
    ]) {
      const { code, err } = await run(command, cwd)
      expect([code, err], command.join(' ')).toEqual([1, expect.stringContaining(reason)])
    }
  expect(existsSync(join(cwd, 'restored'))).toBe(false)
})

test('a backup with users, whose rights are checked, is rehearsed like any other', async () => {
  const file = fileWith(await backupOf(await nodeWithEverything(20)))
  const { code, err } = await kv(['backup', 'verify', file, '--restore'])
  expect([code, err]).toEqual([0, expect.stringContaining('serves them')])
  const shown = await kv(['backup', 'show', file, '-o', 'json'])
  expect(JSON.parse(shown.out)).toMatchObject({ users: 2, auth_enabled: true, members: 'n1,n2,n3' })
})

test('a backup that breaks leaves no file', async () => {
  const cwd = temporaryDirectory()
  const { code } = await kv(['backup', 'save', 'store.backup'], { cwd, endpoints: 'http://127.0.0.1:1' })
  expect(code).not.toBe(0)
  expect(readdirSync(cwd)).toEqual([])
})
