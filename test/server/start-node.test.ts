// What a node refuses before it opens or makes anything.

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startNode } from '../../src/server/start-node.ts'
import { formatStorage } from '../../src/storage/index.ts'
import { identity, initial } from '../storage/samples.ts'

const LOOPBACK = { host: '127.0.0.1', port: 0 }
const dataDir = join(tmpdir(), 'quorate-is-never-made')

test.each(['0.0.0.0', '::', '', '10.0.0.1', '127.example.org', '127.0.0.1.example.org', '127.0.0.256'])(
  'without --insecure a node does not listen on %j, for clients or for peers',
  async (host) => {
    for (const listens of [
      { listen: { host, port: 0 }, peerListen: LOOPBACK },
      { listen: LOOPBACK, peerListen: { host, port: 0 } },
    ]) {
      const node = startNode({ name: 'n1', dataDir, founding: { kind: 'bootstrap' }, ...listens })
      await expect(node).rejects.toThrow(`${host} can be reached from other machines`)
      expect(existsSync(dataDir)).toBe(false)
    }
  },
)

test.each([
  { advertisePeer: '' },
  { advertisePeer: '127.0.0.1' },
  { advertisePeer: '127.0.0.1:0' },
  { advertisePeer: '127.0.0.1:65536' },
  { advertisePeer: 'ho\0st:7401' },
  { advertisePeer: `${'h'.repeat(300)}:7401` },
  { advertiseUrl: '' },
  { advertiseUrl: '127.0.0.1:7301' },
  { advertiseUrl: 'ftp://127.0.0.1' },
  { advertiseUrl: 'http://127.0.0.1:7301/' },
  { advertiseUrl: 'http://127.0.0.1:7301?x' },
  { advertiseUrl: 'http://127.0.0.1:7301#x' },
])('an address that no cluster takes is not announced: %j', async (addresses) => {
  const founding = { kind: 'bootstrap' } as const
  const node = startNode({
    name: 'n1',
    dataDir,
    founding,
    listen: LOOPBACK,
    peerListen: LOOPBACK,
    ...addresses,
  })
  await expect(node).rejects.toThrow(JSON.stringify(Object.values(addresses)[0]))
  expect(existsSync(dataDir)).toBe(false)
})

test('a node that cannot begin from what its storage holds gives the directory back', async () => {
  const home = mkdtempSync(join(tmpdir(), 'quorate-start-'))
  onTestFinished(() => rmSync(home, { recursive: true, force: true }))
  // The records of the state are whole, and say nothing that a node can read.
  await formatStorage(join(home, 'node'), identity, initial)
  const start = (): Promise<unknown> =>
    startNode({
      name: identity.name,
      dataDir: join(home, 'node'),
      founding: { kind: 'existing' },
      listen: LOOPBACK,
      peerListen: LOOPBACK,
    }).catch((error: unknown) => error)
  const first = await start()
  expect(first).toBeInstanceOf(Error)
  expect(await start()).toEqual(first)
})
