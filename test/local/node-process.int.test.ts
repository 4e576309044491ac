// The process of a node never works for a supervisor that is gone.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { ToNode } from '../../src/local/node/node-messages.ts'

let dir = ''
let child: ChildProcess
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'quorate-node-'))
  child = fork(join(import.meta.dirname, '../../src/local/node/node-process.ts'), ['n1'], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
})
afterEach(() => {
  child.kill('SIGKILL')
  rmSync(dir, { recursive: true, force: true })
})

const address = { host: '127.0.0.1', port: 0 }
const start = (supervisor: number): ToNode => ({
  kind: 'start',
  supervisor,
  order: {
    name: 'n1',
    dataDir: join(dir, 'n1'),
    listen: address,
    peerListen: address,
    founding: { kind: 'bootstrap' },
    peers: {},
  },
})

test('it touches nothing when the sender of the order is not its parent any more', async () => {
  child.send(start(process.pid + 1))
  expect(await once(child, 'exit')).toEqual([null, 'SIGKILL'])
  expect(existsSync(join(dir, 'n1'))).toBe(false)
})

test('it ends when the channel breaks before it listens to it', async () => {
  child.disconnect()
  expect(await once(child, 'exit')).toEqual([null, 'SIGKILL'])
})
