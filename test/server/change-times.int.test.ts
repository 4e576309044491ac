// The time of a change and the user of a deletion, as the API answers them to whoever requests them.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Client, type EmbeddedCluster, startCluster, type WatchEvent } from '../../src/index.ts'

let cluster: EmbeddedCluster
let kv: Client
let from: number
let until: number

beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
  kv = cluster.client()
  from = Date.now()
  await kv.put('k', '1')
  await kv.delete('k')
  await kv.put('k', '2')
  await kv.txn({ success: [{ delete: { key: 'k' } }, { put: { key: 'other', value: '' } }] })
  until = Date.now()
})
afterAll(() => cluster.close())

const isInTime = (time: unknown): boolean => typeof time === 'number' && from <= time && time <= until

async function lines(query: string, accept: string): Promise<string> {
  const stop = new AbortController()
  const answer = await fetch(`${cluster.endpoints[0]}/v1/watch?key=k&from=1&${query}`, {
    ...{ headers: { accept }, signal: stop.signal },
  })
  let text = ''
  for await (const chunk of answer.body ?? []) {
    text += Buffer.from(chunk).toString()
    if (text.includes('"mod_revision":5')) break
  }
  stop.abort()
  return text
}

const NDJSON = 'application/x-ndjson'

test('a watch has times if it requests them', async () => {
  for (const accept of [NDJSON, 'text/event-stream']) {
    const text = await lines('prev=true&time=true', accept)
    const times = [...text.matchAll(/"time_ms":(\d+)/g)].map(([, time]) => Number(time))
    // Four changes, and the two records before them that were there.
    expect(times.map(isInTime)).toEqual(Array.from({ length: 6 }, () => true))
    expect(await lines('prev=true', accept)).not.toContain('time')
    expect(await lines('prev=true&time=false', accept)).not.toContain('time')
  }
  const [, , deleted = ''] = (await lines('time=true&values=false', NDJSON)).split('\n')
  expect(JSON.parse(deleted)).toEqual({
    ...{ type: 'events', revision: 3 },
    events: [{ type: 'delete', key: 'k', mod_revision: 3, time_ms: expect.any(Number) }],
  })
})

test('a record has it if it was requested', async () => {
  const get = async (query: string) =>
    (
      await fetch(`${cluster.endpoints[0]}/v1/kv/k?revision=2&${query}`, {
        headers: { accept: 'application/json' },
      })
    ).json() as Promise<Record<string, unknown>>
  const { time_ms, ...others } = await get('time=true')
  expect(isInTime(time_ms)).toBe(true)
  expect(await get('')).toEqual(others)
  expect(await get('time=perhaps')).toMatchObject({ status: 400 })
})

test.each(['http', 'auto'] as const)('the client library, with transport %s', async (transport) => {
  await using client = cluster.client({ transport })
  if (transport === 'auto') await Promise.all(Array.from({ length: 20 }, () => client.get('k')))
  const record = await client.get('k', { revision: 4, time: true })
  expect(isInTime(record?.time?.getTime())).toBe(true)
  expect(await client.get('k', { revision: 4 })).not.toHaveProperty('time')
  const events: WatchEvent[] = []
  for await (const batch of client.watch({ key: 'k', fromRevision: 2, prev: true, time: true })) {
    events.push(...batch.events)
    if (batch.revision === 5) break
  }
  expect(events.map(({ type }) => type)).toEqual(['put', 'delete', 'put', 'delete'])
  const times = events.map((event) => (event.type === 'put' ? event.kv.time : event.time)?.getTime())
  expect(times.map(isInTime)).toEqual([true, true, true, true])
  expect(times).toEqual(times.toSorted())
  expect(events[1]?.prev?.time).toEqual(events[0]?.type === 'put' && events[0].kv.time)
  await expect(client.get('k', { time: 1 } as object)).rejects.toThrow(TypeError)
})
