// MINOR: a change is answered when the time of another client's change is over. The coalescer gives an entry the first
// deadline of its callers (src/server/node/write-coalescer.ts TIMEOUTS_APART_MS: up to 100 ms too early, by design; no page
// says so). A caller with timeout=155ms gets 504 "no majority confirmed it before the time ran out" after 60 ms, although
// its change is committed 40 ms later: an unknown outcome in place of success, decided by the time-out of a stranger.
// Mend: allow a spread of a share of the time that is left (e.g. 2 %), as ChangeBatches does (SPREAD_SHARE); or end each
// caller of a batch at its own deadline, since the tracker keeps the entry until the last one.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../src/index.ts'
import { MuxClient, PUT } from '../server/mux/mux-client.ts'

let cluster: EmbeddedCluster

beforeAll(async () => {
  cluster = await startCluster({ nodes: 2 })
})
afterAll(() => cluster.close())

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

test('a change that is committed within its time-out is answered so', async () => {
  const leader = await cluster.waitForLeader()
  const client = await new MuxClient(Number(new URL(leader.url).port)).open()
  const outcomes: string[] = []
  for (let at = 0; at < 10; at++) {
    await client.ask(1, PUT, null, 'warm', String(at))
    cluster.partition([['n1'], ['n2']])
    const sentAt = performance.now()
    client.send([2, PUT, 60, 'impatient', String(at)], [3, PUT, 155, 'patient', String(at)])
    await sleep(70)
    cluster.heal()
    const answer = (await client.answer(3)) ?? []
    const ms = performance.now() - sentAt
    await client.answer(2)
    outcomes.push(answer[1] === 0 ? 'done' : `${answer[2].code} after ${Math.round(ms)} ms`)
    await sleep(300)
  }
  console.log(outcomes.join(', '))
  // A busy machine may not answer in time; but never before 150 ms are over.
  expect(outcomes.filter((each) => each !== 'done' && Number(/\d+/.exec(each)?.[0]) < 125)).toEqual([])
}, 60_000)
