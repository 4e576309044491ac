// Clients that do not take their answers: they wait, within bounds, and no other client does.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { atRest, Client, get, settled, statusOf, until } from '../http/raw-client.ts'
import { serve } from '../http/served.ts'
import { GET, MuxClient, PUT, RANGE, soon } from './mux-client.ts'

const MiB = 2 ** 20
const LARGE = Buffer.alloc(MiB, 'x')

test('a client that never reads uses bounded memory, delays no other, and is not read', async () => {
  const served = await serve({ limits: { muxAnswersBytesMax: 4 * MiB } })
  const { node, http, port } = served
  node.put('large', LARGE)
  const client = await new MuxClient(port).open()
  client.ws.pause()
  let sent = 0
  const pump = async (): Promise<void> => {
    while (client.ws.readyState === client.ws.OPEN && sent < 100_000) {
      client.send(...Array.from({ length: 100 }, () => [++sent, GET, null, 'large']))
      await nextTurn()
    }
  }
  const pumping = pump()
  await until(served, () => http.inspect().answerBytes > MiB)
  expect(await settled(served, () => node.asked.length)).toBeLessThan(100_000)
  const { answerBytes, operations } = http.inspect()
  // One message may be on its way, and each refusal counts a little.
  expect(answerBytes).toBeGreaterThan(MiB)
  expect(answerBytes).toBeLessThan(8 * MiB)
  expect(operations).toBe(0)
  const other = await new MuxClient(port).open()
  expect(LARGE.equals((await other.ask(1, GET, null, 'large'))[3][1])).toBe(true)
  other.ws.terminate()
  client.ws.terminate()
  await pumping
  await atRest(served)
  expect(http.inspect()).toMatchObject({ muxConnections: 0, operations: 0, answerBytes: 0, bodyBytes: 0 })
})

test('a client that takes nothing for some time is cut', async () => {
  const served = await serve({ limits: { writeStallMsMax: 100 } })
  const { node, http, port } = served
  node.put('large', LARGE)
  for (const stalledTotal of [1, 2]) {
    const client = await new MuxClient(port).open()
    client.ws.pause()
    client.send(...Array.from({ length: 30 }, (_, i) => [i + 1, GET, null, 'large']))
    await until(served, () => http.inspect().stalledTotal === stalledTotal)
    await atRest(served)
    expect(http.inspect()).toMatchObject({ muxConnections: 0, operations: 0, answerBytes: 0 })
  }
})

test('reads whose answers have no room on their connection are refused, changes never', async () => {
  const served = await serve({ limits: { muxAnswersBytesMax: 4 * MiB } })
  const { node, port } = served
  node.put('large', LARGE)
  const client = await new MuxClient(port).open()
  client.ws.pause()
  const held: (() => void)[] = []
  node.hold = (go) => held.push(go)
  const gets = Array.from({ length: 100 }, (_, i) => [i + 1, GET, null, 'large'])
  client.send(...gets, [101, RANGE], [102, PUT, null, 'a', '1'])
  await soon(() => expect(held).toHaveLength(102))
  node.hold = undefined
  for (const go of held) go()
  await until(served, () => served.http.inspect().operations === 0)
  client.ws.resume()
  const answers = await Promise.all(Array.from({ length: 102 }, (_, i) => client.answer(i + 1)))
  const refused = answers.filter((answer) => answer?.[1] === 1)
  expect(refused.length).toBeGreaterThan(50)
  for (const answer of refused)
    expect(answer?.[2]).toMatchObject({ status: 429, code: 'overloaded', retry_after_ms: 50 })
  expect(LARGE.equals(answers[0]?.[3][1])).toBe(true)
  expect(answers[100]?.[2]).toMatchObject({ code: 'overloaded' })
  expect(answers[101]?.[1]).toBe(0)
  // When the client has taken its answers, there is room again.
  expect(LARGE.equals((await client.ask(1, GET, null, 'large'))[3][1])).toBe(true)
})

test('a client that reads slowly gets every answer as it is', async () => {
  const served = await serve({ limits: { muxAnswersBytesMax: 64 * MiB } })
  const { node, port } = served
  const values = Array.from({ length: 24 }, (_, i) => Buffer.alloc(900_000 + i, i))
  for (const [i, value] of values.entries()) node.put(`k${i}`, value)
  const client = await new MuxClient(port).open()
  client.ws.pause()
  client.send(...values.map((_, i) => [i + 1, GET, null, `k${i}`]), [100, RANGE, null, { limit: 3 }])
  await until(served, () => served.http.inspect().answerBytes > MiB)
  // While its answers wait, a ping is answered between two fragments.
  let pongs = 0
  client.ws.on('pong', () => {
    pongs++
  })
  client.ws.ping()
  client.ws.resume()
  for (const [i, value] of values.entries()) {
    const answer = await client.answer(i + 1)
    expect(Buffer.compare(answer?.[3][1], value)).toBe(0)
    client.ws.pause()
    await nextTurn()
    client.ws.resume()
  }
  expect((await client.answer(100))?.[3]).toHaveLength(3)
  await soon(() => expect(pongs).toBe(1))
  await atRest(served, 1)
})

test('a large answer comes in fragments', async () => {
  const { node, port } = await serve()
  node.put('large', LARGE)
  const client = await new MuxClient(port).open()
  const raw = (client.ws as unknown as { _socket: NodeJS.EventEmitter })._socket
  let first: Buffer | undefined
  raw.on('data', (chunk: Buffer) => {
    first ??= chunk
  })
  await client.ask(1, GET, null, 'large')
  // Not the last fragment; binary; 64 KiB.
  expect(first?.subarray(0, 10)).toEqual(Buffer.from([0x02, 127, 0, 0, 0, 0, 0, 1, 0, 0]))
})

test('where too many answers wait for clients of HTTP, operations are refused as requests are', async () => {
  const served = await serve({ limits: { answersBytesMax: 100_000 } })
  const { node, port, http } = served
  node.put('large', LARGE)
  // Six bytes of JSON for each byte: more than the kernel takes.
  node.put('worst', Buffer.alloc(MiB))
  const slow = new Client(port)
  slow.pause()
  await slow.send(get('worst', 'Accept: application/json\r\n').repeat(8))
  await until(served, () => http.inspect().answerBytes > 100_000)
  const client = await new MuxClient(port).open()
  for (const fields of [[PUT, null, 'a', '1'], [GET, null, 'a'], [RANGE]])
    expect((await client.ask(1, ...fields))[2]).toMatchObject({ status: 429, code: 'overloaded' })
  slow.leave()
  await until(served, () => http.inspect().answerBytes === 0)
  expect((await client.ask(1, PUT, null, 'a', '1'))[1]).toBe(0)
  expect(statusOf(await (await new Client(port).send(get('a'))).answer())).toBe(200)
})

test('room for the record before a put is reserved before it is proposed, and given back', async () => {
  const served = await serve()
  const { node, port, http } = served
  node.put('large', LARGE)
  const held: (() => void)[] = []
  node.hold = (go) => held.push(go)
  const client = await new MuxClient(port).open()
  client.send([1, PUT, null, 'large', '1', null, { prev: true }])
  await soon(() => expect(held).toHaveLength(1))
  expect(http.inspect().answerBytes).toBeGreaterThanOrEqual(MiB)
  for (const go of held) go()
  expect(LARGE.equals((await client.answer(1))?.[7][1])).toBe(true)
  await until(served, () => http.inspect().answerBytes === 0)
})
