// A local cluster that is made from a backup.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Workspace } from './kv.ts'

test('a cluster that was restored starts with its nodes and its keys, and is not restored twice', async () => {
  const space = await Workspace.open()
  const endpoints = ['--endpoints', `http://127.0.0.1:${space.port}`]
  expect(
    (await space.kv('cluster', 'start', '--detach', '--nodes', '1', '--port', `${space.port}`)).code,
  ).toBe(0)
  expect(await space.kv('put', 'a', '1', ...endpoints)).toMatchObject({ code: 0 })
  expect(await space.kv('backup', 'save', 'store.backup', ...endpoints)).toMatchObject({ code: 0 })
  expect((await space.kv('cluster', 'restore', 'store.backup')).stderr).toContain('holds a cluster already')
  expect(await space.kv('cluster', 'destroy', '--yes')).toMatchObject({ code: 0 })
  const restored = await space.kv('cluster', 'restore', 'store.backup', '--port', `${space.port}`)
  expect(restored.stderr).toContain('a cluster of 3 with 1 key')
  expect(await space.kv('cluster', 'start', '--detach')).toMatchObject({ code: 0 })
  expect((await space.kv('get', 'a')).stdout).toBe('1')
  const { stdout } = await space.kv('member', 'list', '-o', 'plain')
  expect(stdout.match(/voter/g)).toHaveLength(3)
})

test('a cluster that was restored with users starts for one who may add its nodes', async () => {
  const space = await Workspace.open()
  const start = () => space.kv('cluster', 'start', '--detach')
  await space.kv('cluster', 'start', '--detach', '--nodes', '1', '--port', `${space.port}`)
  writeFileSync(join(space.dir, 'root.password'), 'password of root\n')
  await space.kv('user', 'add', 'root', '--role', 'root', '--password-file', 'root.password')
  expect(await space.kv('auth', 'enable')).toMatchObject({ code: 0 })
  const user = { KV_USER: 'root', KV_PASSWORD: 'password of root' }
  space.env = user
  expect(await space.kv('backup', 'save', 'store.backup')).toMatchObject({ code: 0 })
  expect(await space.kv('cluster', 'destroy', '--yes')).toMatchObject({ code: 0 })
  expect(await space.kv('cluster', 'restore', 'store.backup', '--port', `${space.port}`)).toMatchObject({
    code: 0,
  })
  space.env = {}
  const refused = await start()
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('--user NAME and KV_PASSWORD')])
  expect(await space.kv('cluster', 'stop')).toMatchObject({ code: 0 })
  space.env = user
  expect((await start()).code).toBe(0)
  const { stdout } = await space.kv('member', 'list', '-o', 'plain')
  expect(stdout.match(/voter/g)).toHaveLength(3)
})
