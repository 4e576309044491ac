// What the third codec (src/embed/in-process-*) does not check, and the two others do.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Client, type EmbeddedCluster, startCluster } from '../../src/index.ts'

let cluster: EmbeddedCluster
let kv: Client
let http: Client

beforeAll(async () => {
  cluster = await startCluster({ nodes: 3 })
  kv = cluster.client({ transport: 'inprocess' })
  http = cluster.client({ transport: 'http' })
  await kv.put('a', '1')
})
afterAll(() => cluster.close())

async function msOf(run: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await run()
  return performance.now() - begun
}

// SERIOUS: hang of 10 s. HTTP and multiplexed connections refuse operations of a node that stops (`isClosing`); this
// transport passes them to the driver until it has ended (embed/in-process-transport.ts #execute, embed/node.ts `api`).
// `Driver.drain` waits until no proposal is open, which does not happen while a client writes, so each orderly stop takes
// `drainMsMax` (10 s) and then cuts off changes. Over HTTP the same stop takes 0.1 to 0.4 s.
// Mend: `InProcessNode.api` is undefined (or the transport answers not_ready, written no) as soon as `stop()` has begun.
describe('a node that is stopped while a client in its process writes', () => {
  test('stops as soon as it has answered what is in flight', async () => {
    let isOver = false
    const writers = Array.from({ length: 32 }, async (_, at) => {
      while (!isOver) await kv.put(`w${at}`, 'x', { timeoutMs: 20_000 })
    })
    await new Promise((resolve) => setTimeout(resolve, 300))
    const leader = await cluster.waitForLeader()
    const ms = await msOf(() => leader.stop())
    isOver = true
    await Promise.all(writers)
    await leader.start()
    expect(ms).toBeLessThan(8_000)
  }, 60_000)
})

// SERIOUS: `timeout` of an operation is at most 60 s for the two other codecs (api/limits.ts TIMEOUT_MS_MAX; the client
// clamps it in `nodeTimeoutMs`). Here the call's whole time-out goes to the node. From 2^31 ms on, and for Infinity, which
// the client accepts, `systemClock.after` (setTimeout) fires after 1 ms: a linearizable read is refused (no_quorum) again
// and again, until a confirmation happens to arrive within 1 ms; a keep-alive at a follower ends as `internal`. Below 2^31
// a change may be proposed by a node hours after its client has left it, when an undated token is forgotten (CLIENT-2
// counts on 60 s).
// Mend: in `#execute`, `deadline = startedAt + answerWithinMs(Math.min(timeoutMs, TIMEOUT_MS_MAX))`.
describe('a call with a long time-out', () => {
  test.each([Number.POSITIVE_INFINITY, 2 ** 31, 2 ** 40])(
    'of %s ms keeps a lease alive',
    async (timeoutMs) => {
      const lease = await kv.grantLease({ ttlMs: 60_000 })
      expect(await http.keepLeaseAlive(lease.id, { timeoutMs })).toEqual({ ttlMs: 60_000 })
      for (const { name } of cluster.nodes) {
        const at = cluster.client({
          transport: 'inprocess',
          endpoints: [cluster.node(name).url],
          discover: false,
        })
        expect(await at.keepLeaseAlive(lease.id, { timeoutMs })).toEqual({ ttlMs: 60_000 })
        await at.close()
      }
    },
    60_000,
  )

  test('reads as well as one with a short time-out', async () => {
    const warnings: string[] = []
    const onWarning = ({ name, message }: Error): void => void warnings.push(`${name}: ${message}`)
    process.on('warning', onWarning)
    const ms: number[] = []
    for (let i = 0; i < 5; i++)
      ms.push(await msOf(() => kv.get('a', { timeoutMs: Number.POSITIVE_INFINITY })))
    process.off('warning', onWarning)
    console.log(`reads took ${ms.map(Math.round).join(', ')} ms`)
    // Each one is a try that the node has given up after 1 ms.
    expect(warnings).toEqual([])
  }, 120_000)
})

// MINOR: the other codecs check times to live (1 s to 10 years) and the size of a transaction (requestBytesMax); this one
// leaves both to what follows, which differs.
// Mend: check `ttlMs` in `putLeaseOf` (api/keys.ts), where all codecs pass, and the bytes of a transaction in `execute`.
describe('what the other transports refuse is refused', () => {
  const failureOf = (run: Promise<unknown>) =>
    run.then(
      () => 'done',
      ({ code, written }) => [code, written],
    )

  test.each([1, 999, 1e15, 1e300])('a time to live of %s ms', async (ttlMs) => {
    expect(await failureOf(http.put('t', '1', { ttlMs }))).toEqual(['bad_request', 'no'])
    expect(await failureOf(kv.put('t', '1', { ttlMs }))).toEqual(['bad_request', 'no'])
  })

  test('a transaction of 1.9 MiB', async () => {
    const value = 'x'.repeat(0.95 * 2 ** 20)
    const success = [{ put: { key: 'x', value } }, { put: { key: 'y', value } }]
    expect(await failureOf(http.txn({ success }))).toEqual(['request_too_large', 'no'])
    expect(await failureOf(kv.txn({ success }))).toEqual(['request_too_large', 'no'])
  })
})
