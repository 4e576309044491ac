// A local cluster that is made from a backup.

import { expect, test } from 'vitest'
import { Workspace } from './kv.ts'

test('a cluster that was restored starts with its nodes and its keys, and is not restored twice', async () => {
  const space = await Workspace.open()
  const endpoints = ['--endpoints', `http://127.0.0.1:${space.port}`]
  expect(
    (await space.kv('cluster', 'start', '--detach', '--nodes', '1', '--port', `${space.port}`)).code,
  ).toBe(0)
  expect((await space.kv('put', 'a', '1', ...endpoints)).code).toBe(0)
  expect((await space.kv('backup', 'save', 'store.backup', ...endpoints)).code).toBe(0)
  expect((await space.kv('cluster', 'restore', 'store.backup')).stderr).toContain('holds a cluster already')
  expect((await space.kv('cluster', 'destroy', '--yes')).code).toBe(0)
  const restored = await space.kv('cluster', 'restore', 'store.backup', '--port', `${space.port}`)
  expect(restored.stderr).toContain('a cluster of 3 with 1 key')
  expect((await space.kv('cluster', 'start', '--detach')).code).toBe(0)
  expect((await space.kv('get', 'a')).stdout).toBe('1')
  const { stdout } = await space.kv('member', 'list', '-o', 'plain')
  expect(stdout.match(/voter/g)).toHaveLength(3)
})
