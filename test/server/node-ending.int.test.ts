// The end of a node that is requested more than once, or by several callers at the same time.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test } from 'vitest'
import { Client } from '../../src/client/index.ts'
import type { Founding, NodeOptions } from '../../src/server/options.ts'
import type { ServingNode } from '../../src/server/start/start-node.ts'
import { startNode } from '../../src/server/start/start-node.ts'

const dir = mkdtempSync(join(tmpdir(), 'quorate-ending-'))
const nodes: ServingNode[] = []
afterEach(async () => {
  for (const node of nodes.splice(0)) await node.crash()
  rmSync(join(dir, 'n1'), { recursive: true, force: true })
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

async function start(founding: Founding, httpLimits?: NodeOptions['httpLimits']): Promise<ServingNode> {
  const address = { host: '127.0.0.1', port: 0 }
  const node = await startNode({
    ...{ name: 'n1', dataDir: join(dir, 'n1'), founding },
    ...{ listen: address, peerListen: address, httpLimits },
  })
  nodes.push(node)
  return node
}

type Ending = (node: ServingNode) => Promise<void>
const stop: Ending = (node) => node.stop()
const crash: Ending = (node) => node.crash()
/** Fails the node, as an order of a peer does. */
const fail: Ending = async (node) => {
  Object(node.api).events.stop('it has lost durable state')
  await node.ended
}

test.each([
  ['stop and stop', [stop, stop]],
  ['stop and crash', [stop, crash]],
  ['crash and stop', [crash, stop]],
  ['stop and a failure', [stop, fail]],
  ['stop, stop and crash', [stop, stop, crash]],
])(
  '%s at once: when one of them returns, the node has ended and its directory is free',
  async (_, endings) => {
    const node = await start({ kind: 'bootstrap' })
    let answer: Response | undefined
    while (answer?.status !== 200)
      answer = await fetch(`${node.url}/v1/kv/a`, { method: 'PUT', body: 'written' })
    let over = false
    void node.ended.then(() => {
      over = true
    })
    const seen = await Promise.all(endings.map((end) => end(node).then(() => over)))
    expect(seen).toEqual(endings.map(() => true))
    const next = await start({ kind: 'existing' })
    answer = undefined
    while (answer?.status !== 200) answer = await fetch(`${next.url}/v1/kv/a`)
    expect(await answer.text()).toBe('written')
  },
)

test('a node whose last write fails has ended as failed, and its directory is free', async () => {
  const node = await start({ kind: 'bootstrap' })
  const { api } = node
  // Fails as storage does: nothing more is written.
  Object(api).close = (done: (error: Error) => void): void => {
    Object(api).crash()
    done(new Error('no space left on device'))
  }
  await node.stop()
  expect(await node.ended).toEqual({ kind: 'failed', reason: expect.stringContaining('no space left') })
  await start({ kind: 'existing' })
})

test.each(['http', 'auto'] as const)('writers over %s that go on do not delay a stop', async (transport) => {
  // The listener cuts nobody off: the stop ends because it takes no more writes.
  const node = await start({ kind: 'bootstrap' }, { closeMsMax: 2 ** 31 - 1 })
  const client = new Client({ endpoints: [node.url], transport, timeoutMs: 1_000 })
  let [made, isOver] = [0, false]
  const writers = Array.from({ length: 16 }, async (_, n) => {
    while (!isOver) {
      const isMade = await client.put(`key-${n}`, 'x').then(
        () => true,
        () => false,
      )
      if (isMade) made++
    }
  })
  await expect.poll(() => made).toBeGreaterThan(200)
  await node.stop()
  isOver = true
  await Promise.all(writers)
})

test('a node that stops takes no more connections while writes are under way', async () => {
  const node = await start({ kind: 'bootstrap' })
  // The drain never ends, as if a write was always in progress.
  Object(node.api).drain = (): void => {}
  void node.stop()
  const asked = (): Promise<string> =>
    fetch(`${node.url}/livez`).then(
      () => 'answered',
      (error: Error) => error.message,
    )
  await expect.poll(asked).toBe('fetch failed')
})
