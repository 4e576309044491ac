// `restore` and `recover` as real processes that are killed at any time.

import { cpSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { asReplicaId } from '../../src/raft/index.ts'
import { findOnlyVoter } from '../../src/server/replica/stopped-replica.ts'
import { inspectDirectory, openStorage } from '../../src/storage/directory.ts'
import { backupOf, opened } from '../backup/samples.ts'
import { pastChange } from '../raft/harness/frames.ts'
import { FakeNode } from '../server/http/fake-node.ts'
import { batch, closed, hardState, store, write } from '../storage/samples.ts'
import { Workspace } from './kv.ts'

const KEYS = 3000
/** Kills in the time that the command takes. */
const KILLS = 8

const keysIn = (dir: string): Promise<number> => opened(dir, async (_, state) => state.keys)

/** Runs the command to its end once, and then kills it at later and later times. `check` is called after each. */
async function killedAtAnyTime(
  space: Workspace,
  argsFor: (dir: string) => readonly string[],
  prepare: (dir: string) => void,
  check: (dir: string) => Promise<void>,
): Promise<void> {
  let wholeMs = 0
  for (let kill = 0; kill <= KILLS; kill++) {
    const dir = join(space.dir, `${argsFor('')[0]} ${kill}`)
    prepare(dir)
    const begin = performance.now()
    const child = space.spawn(...argsFor(dir))
    const ended = new Promise((resolve) => child.once('exit', resolve))
    if (kill > 0) {
      await sleep((wholeMs * kill) / KILLS)
      child.kill('SIGKILL')
    }
    await ended
    if (kill === 0) wholeMs = performance.now() - begin
    await check(dir)
  }
}

test('a killed restore and a killed recovery leave a whole node or none, and the same command completes them', async () => {
  const space = await Workspace.open()
  const node = new FakeNode()
  for (let at = 0; at < KEYS; at++) node.put(`key ${at}`, 'x'.repeat(1000))
  const file = join(space.dir, 'store.backup')
  writeFileSync(file, await backupOf(node))
  const HOST = ['--listen', '127.0.0.1:1', '--peer-listen', '127.0.0.1:2']
  const restore = (dir: string) => ['restore', file, '--data', dir, '--name', 'n1', ...HOST]
  await killedAtAnyTime(
    space,
    restore,
    () => {},
    async (dir) => {
      if (inspectDirectory(dir).kind === 'empty')
        expect(await space.kv(...restore(dir))).toMatchObject({ code: 0 })
      expect(await keysIn(dir)).toBe(KEYS)
    },
  )
  // Another member: the replica has lost its majority.
  const lost = join(space.dir, 'lost')
  cpSync(join(space.dir, 'restore 0'), lost, { recursive: true })
  const member = { id: asReplicaId('77'), name: 'n8', peer: '127.0.0.1:1', url: 'http://127.0.0.1:1' }
  const change = pastChange(2, 1, { kind: 'change', steps: [{ kind: 'add-learner', member }] })
  const storage = await openStorage(lost)
  await store(storage, batch(hardState(1, 1), [write({ entries: [change] })]))
  await closed(storage)
  const recover = (dir: string) => ['recover', '--data', dir, '--yes-lose-data']
  await killedAtAnyTime(
    space,
    recover,
    (dir) => cpSync(lost, dir, { recursive: true }),
    async (dir) => {
      if (existsSync(dir)) expect(await keysIn(dir)).toBe(KEYS)
      const isDone = existsSync(dir) && (await findOnlyVoter(dir)) !== undefined
      expect(await space.kv(...recover(dir))).toMatchObject({ code: isDone ? 1 : 0 })
      expect(await keysIn(dir)).toBe(KEYS)
      expect(existsSync(`${dir}.recovered`)).toBe(false)
    },
  )
})
