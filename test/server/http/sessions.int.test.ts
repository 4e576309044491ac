// Changes under the slots of a session, over HTTP and over a multiplexed connection.

import { expect, test } from 'vitest'
import { MuxClient, OPEN_SESSION, PUT } from '../mux/mux-client.ts'
import { JSON_TYPE, serve } from './served.ts'

const slot = (text: string) => ({ headers: { 'Kv-Session': text } })

test('a session is opened, and a change under a slot is applied once, over either way', async () => {
  const { ask, port } = await serve()
  const opened = await ask('POST', '/v1/sessions', { headers: JSON_TYPE, body: '{}' })
  expect(JSON.parse(opened.text)).toEqual({ session: 1, age_ms: 900_000, slots: 4096 })
  const first = await ask('PUT', '/v1/kv/a', { body: '1', ...slot('1;slot=3;seq=12') })
  expect(first.headers).not.toHaveProperty('idempotency-replayed')
  await ask('PUT', '/v1/kv/a', { body: '2' })
  const repeat = await ask('PUT', '/v1/kv/a', { body: '1', ...slot('1;slot=3;seq=12') })
  expect([repeat.status, repeat.text]).toEqual([200, first.text])
  expect(repeat.headers['idempotency-replayed']).toBe('true')

  const client = await new MuxClient(port).open()
  expect(await client.ask(1, OPEN_SESSION, 1000)).toEqual([1, 0, 3, 2, 900_000, 4096])
  expect(await client.ask(2, PUT, null, 'a', '1', [1, 3, 12])).toEqual([2, 0, 2, 2, 2, 1, true])
  expect(await client.ask(3, PUT, null, 'a', '3', [2, 3, 1])).toEqual([3, 0, 4, 2, 4, 3, false])
  expect((await ask('GET', '/v1/kv/a')).text).toBe('3')
})

test.each([
  ['a late copy', '1;slot=0;seq=4', 409, 'idempotency_expired'],
  ['another request', '1;slot=0;seq=5', 422, 'idempotency_key_reused'],
  ['a session that was never opened', '2;slot=0;seq=1', 409, 'idempotency_expired'],
  ['no session', '0;slot=0;seq=1', 400, 'bad_request'],
  ['no slot', '1;slot=4096;seq=1', 400, 'bad_request'],
  ['no number', '1;slot=0;seq=0', 400, 'bad_request'],
  ['a number beyond 48 bits', '1;slot=0;seq=281474976710656', 400, 'bad_request'],
  ['something else', '1;seq=1;slot=0', 400, 'bad_request'],
])('%s is refused, over either way', async (_, text, status, code) => {
  const { ask, port, node } = await serve()
  await ask('POST', '/v1/sessions', { headers: JSON_TYPE, body: '{}' })
  await ask('PUT', '/v1/kv/a', { body: '1', ...slot('1;slot=0;seq=5') })
  const { revision } = node
  expect(await ask('PUT', '/v1/kv/a', { body: '2', ...slot(text) })).toMatchObject({
    status,
    text: expect.stringContaining(`"code":"${code}"`),
  })
  const [session = 0, slotNumber = 0, seq = 0] =
    /^(\d+);slot=(\d+);seq=(\d+)$/.exec(text)?.slice(1).map(Number) ?? []
  const client = await new MuxClient(port).open()
  const answer = await client.ask(1, PUT, null, 'a', '2', [session, slotNumber, seq])
  expect(answer[2]).toMatchObject({ code, written: 'no' })
  expect(node.revision).toBe(revision)
})

test('a change has a token or a slot, not both, and no row before under a slot', async () => {
  const { ask } = await serve()
  await ask('POST', '/v1/sessions', { headers: JSON_TYPE, body: '{}' })
  const headers = { 'Kv-Session': '1;slot=0;seq=1', 'Idempotency-Key': 't' }
  expect(await ask('PUT', '/v1/kv/a', { headers })).toMatchObject({ status: 400 })
  expect(await ask('PUT', '/v1/kv/a?prev=true', slot('1;slot=0;seq=1'))).toMatchObject({
    status: 400,
    text: expect.stringContaining('Kv-Session'),
  })
})
