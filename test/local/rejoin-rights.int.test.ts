// A rejoin while rights are checked: a user who may not add a node loses none.

import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { kv } from '../cli/run-kv.ts'
import { Workspace } from './kv.ts'

const KV_TIMEOUT = '60s'
const AS_SHOP = { KV_TIMEOUT, KV_USER: 'shop', KV_PASSWORD: 'password of shop' }

async function clusterWithUsers(...flags: string[]): Promise<Workspace> {
  const space = await Workspace.open()
  await space.start(...flags)
  for (const user of ['root --role root', 'shop']) {
    const args = ['user', 'add', ...user.split(' '), '--password-file', '-']
    const stdin = `password of ${user.split(' ')[0]}\n`
    expect(await kv(args, { cwd: space.dir, env: { KV_TIMEOUT }, stdin })).toMatchObject({ code: 0 })
  }
  expect(await kv(['auth', 'enable'], { cwd: space.dir, env: { KV_TIMEOUT } })).toMatchObject({ code: 0 })
  return space
}

const rejoinAsShop = ({ dir }: Workspace) =>
  kv(['cluster', 'rejoin', 'n1', '--yes'], { cwd: dir, env: AS_SHOP })

test('a user without the permission admin is refused before anything is moved', async () => {
  const space = await clusterWithUsers()
  const { pid } = (await space.status()).nodes[0] ?? {}
  const { code, err } = await rejoinAsShop(space)
  expect([code, err]).toEqual([8, expect.stringMatching(/user "shop" needs .*; nothing was changed/)])
  expect(existsSync(space.path('n1.old-1'))).toBe(false)
  expect((await space.status()).nodes[0]?.pid).toBe(pid)
})

test('with TLS the certificate of the node counts, whoever the user is', async () => {
  const space = await clusterWithUsers('--tls')
  expect(await rejoinAsShop(space)).toMatchObject({ code: 0 })
})
