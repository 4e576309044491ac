// Three nodes of 0.1.0 become nodes of the newest code and go back, by docs/guides/upgrade.md, under writes on three
// wires, of clients of both versions. After the raise of the cluster version the way back is refused.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { freePorts } from '../../src/local/addresses.ts'
import { checkOut, command, NodeProcess, ROOT, Writer } from './older.ts'
import { COMMIT_OF_0_1_0 } from './releases.ts'

const FIRST_PORT = 22_700
/** Writes before the first restart. A busy machine needs long for them. */
const WRITES_MIN = 20
const SLOW = { timeout: 240_000 }

/** Applied entries that a node may be behind after its restart, as the guide says: about 0. */
const LAG_MAX = 50

async function caughtUp(node: NodeProcess, others: readonly NodeProcess[]): Promise<void> {
  const applied = async (each: NodeProcess): Promise<number> => Number((await each.status()).applied_index)
  await expect
    .poll(async () => Math.max(...(await Promise.all(others.map(applied)))) - (await applied(node)))
    .toBeLessThan(LAG_MAX)
}

/** Followers first, the leader last. */
async function restartEach(nodes: readonly NodeProcess[], root: string): Promise<void> {
  const [{ leader } = {}] = await Promise.all(nodes.slice(0, 1).map((node) => node.status()))
  const order = [...nodes].sort((a, b) => Number(a.name === leader) - Number(b.name === leader))
  for (const node of order) {
    await node.stop()
    expect(await node.start(root), `${node.name} is not ready`).toBeUndefined()
    await caughtUp(
      node,
      nodes.filter((each) => each !== node),
    )
  }
}

/** Every acknowledged write is there, on each node. */
async function checkWrites(nodes: readonly NodeProcess[], writers: readonly Writer[]): Promise<void> {
  for (const writer of writers) {
    expect(writer.failed, writer.name).toEqual([])
    expect(writer.writes, writer.name).toBeGreaterThan(2 * WRITES_MIN)
    for (const [number, [key, value]] of [...writer.acknowledged].entries()) {
      const node = nodes[number % nodes.length]
      const answer = await fetch(`${node?.url}/v1/kv/${key}`)
      expect([key, await answer.text()]).toEqual([key, value])
    }
  }
}

test('an upgrade from 0.1.0, the way back, and the raise of the cluster version', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-upgrade-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const older = checkOut(COMMIT_OF_0_1_0, dir)
  const ports = await freePorts(FIRST_PORT, 10)
  const [n1, n2, n3, n4, n5] = [0, 1, 2, 3, 4].map(
    (at) => new NodeProcess(dir, at + 1, [ports[2 * at] ?? 0, ports[2 * at + 1] ?? 0]),
  ) as [NodeProcess, NodeProcess, NodeProcess, NodeProcess, NodeProcess]
  const nodes = [n1, n2, n3]
  const urls = nodes.map(({ url }) => url)
  const endpoints = ['--endpoints', urls.join(',')]
  expect(await n1.start(older, '--bootstrap')).toBeUndefined()
  for (const node of [n2, n3]) expect(await node.start(older, '--join', n1.url)).toBeUndefined()
  const voters = async (): Promise<number> => {
    const { members } = (await n1.status()) as { members: readonly { role: string }[] }
    return members.filter(({ role }) => role === 'voter').length
  }
  await expect.poll(voters).toBe(3)
  // A new machine may have the newest code before the others.
  expect(await n5.start(ROOT, '--join', n1.url)).toBeUndefined()
  await expect.poll(voters).toBe(4)
  expect((await command(older, dir, 'member', 'remove', 'n5', '--yes', ...endpoints)).code).toBe(0)

  const wires = ['http', 'mux', 'grpc'] as const
  /** Each wire has the library of each version in turn. */
  const begin = async (round: number): Promise<readonly Writer[]> => {
    const writers = wires.map((wire, at) => {
      const [root, library] = (round + at) % 2 === 0 ? [older, 'older'] : [ROOT, 'newest']
      return new Writer(root, wire, `${wire}-${library}-${round}`, urls)
    })
    await expect
      .poll(() => writers.map(({ name, writes, failed }) => [name, writes >= WRITES_MIN, failed]), SLOW)
      .toEqual(writers.map(({ name }) => [name, true, []]))
    return writers
  }
  // Up, and back while the cluster version is that of 0.1.0.
  for (const [round, root] of [ROOT, older, ROOT].entries()) {
    const writers = await begin(round)
    await restartEach(nodes, root)
    await Promise.all(writers.map((writer) => writer.stop()))
    await checkWrites(nodes, writers)
  }
  const versions = await Promise.all(nodes.map(async (node) => (await node.status()).cluster_version))
  expect(versions).toEqual([1, 1, 1])

  const raised = await command(ROOT, dir, 'settings', 'set', 'cluster_version=2', ...endpoints)
  expect(raised).toMatchObject({ code: 0 })
  await expect
    .poll(async () => Promise.all(nodes.map(async (node) => (await node.status()).cluster_version)))
    .toEqual([2, 2, 2])
  const writers = await begin(3)
  // A deletion uses what cluster version 2 adds to rows.
  await fetch(`${n1.url}/v1/kv/deleted`, { method: 'PUT', body: 'x' })
  await fetch(`${n1.url}/v1/kv/deleted`, { method: 'DELETE' })

  // Down is refused at the start, in one sentence, and a new node of 0.1.0 is refused by the others.
  await n3.stop()
  for (let times = 0; times < 2; times++) {
    const refused = await n3.start(older)
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused?.stderr.trim().split('\n')).toEqual([
      // The second, where its log ends with changes of cluster version 2 that it has not applied.
      expect.stringMatching(
        /^error: .*\/n3: (?:cluster version 2 of the data is not known to this version of quorate, which knows versions up to 1|request flags \d+ at byte 0 is not known to this version of quorate): a newer version wrote it, so use that version; its data was not changed$/,
      ),
    ])
  }
  const joined = await n4.start(older, '--join', n1.url)
  expect(joined).toMatchObject({ code: 1 })
  expect(joined?.stderr).toMatch(
    /error: n4 runs a version of quorate that knows cluster versions up to 1, and the cluster is at cluster version 2: start n4 with a version that knows it\n$/,
  )
  expect((await command(ROOT, dir, 'member', 'remove', 'n4', '--yes', ...endpoints)).code).toBe(0)
  expect(await n3.start(ROOT)).toBeUndefined()
  await caughtUp(n3, [n1, n2])
  await Promise.all(writers.map((writer) => writer.stop()))
  await checkWrites(nodes, writers)
  const lowered = await command(ROOT, dir, 'settings', 'set', 'cluster_version=1', ...endpoints)
  expect(lowered.code).not.toBe(0)
  expect(lowered.stderr).toContain('the cluster is at cluster version 2, which is never lowered')
}, 1_800_000)

test('a clone without the commit is refused with the way to get it', () => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-upgrade-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const absent = '0123456789012345678901234567890123456789'
  expect(() => checkOut(absent, dir)).toThrow(
    `this clone does not have the commit ${absent} of an older version; get it with: git fetch origin ${absent}, or in a shallow clone: git fetch --unshallow`,
  )
})
