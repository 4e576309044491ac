// What a node refuses before it opens or makes anything.

import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startNode } from '../../src/server/start-node.ts'

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
