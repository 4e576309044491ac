// A client that sends requests on a stream and takes no responses.

import { constants } from 'node:http2'
import { expect, onTestFinished, test } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { FakeNode } from '../http/fake-node.ts'
import { serve } from '../http/served.ts'
import { callRpc, frame, openSession } from './grpc-call.ts'
import {
  callFields,
  END_HEADERS,
  END_STREAM,
  headers,
  frame as http2Frame,
  indexed,
  literal,
  RawHttp2,
  TYPE,
  windowUpdate,
} from './raw-http2.ts'

const MiB = 1024 * 1024
const key = Buffer.from('a')
const EVERYTHING = {
  ...RPC.range.request.decode(new Uint8Array()),
  key: Uint8Array.of(0),
  rangeEnd: Uint8Array.of(0),
}
/** A watch of an empty range: refused at once, with a response. */
const refused = frame(
  RPC.watch.request.encode({
    createRequest: {
      ...{ key, rangeEnd: key, startRevision: 0, progressNotify: false, filters: [] },
      ...{ prevKv: false, watchId: 0, fragment: false },
    },
  }),
)

test('a client of watches that takes no responses is not read, and others are served', async () => {
  const { http, port } = await serve()
  const stream = openSession(port).request({
    ':method': 'POST',
    ':path': RPC.watch.path,
    'content-type': 'application/grpc',
  })
  stream.on('error', () => {})
  // Nobody reads it: the window of HTTP/2 fills.
  stream.pause()
  const many = Buffer.concat(Array.from({ length: 10_000 }, () => refused))
  let sent = 0
  const send = (): void => {
    while (sent < 100 && stream.write(many)) sent++
  }
  stream.on('drain', send)
  send()
  await expect.poll(() => http.inspect().answerBytes).toBeGreaterThan(64 * 1024)
  // A million responses would have some 100 MiB.
  expect(await callRpc(openSession(port), RPC.range, { key })).toMatchObject({ status: 0 })
  await expect.poll(() => sent, { timeout: 1_000 }).toBeLessThan(100)
  for (let turn = 0; turn < 200; turn++) {
    await callRpc(openSession(port), RPC.range, { key })
    expect(http.inspect().answerBytes).toBeLessThan(4 * MiB)
  }
  stream.close(constants.NGHTTP2_CANCEL)
  await expect.poll(() => http.inspect(), { timeout: 9_000 }).toMatchObject({ answerBytes: 0, bodyBytes: 0 })
})

/** The bytes by which the windows of a stream and of its connection grow each time. */
test.each([
  ['a call', 1, 1_000],
  ['its connection', 1_000, 1],
] as const)(
  'a call is broken whose client opens the window of %s byte by byte, and others have its room',
  async (_, ofStream, ofConnection) => {
    const node = new FakeNode()
    for (let at = 0; at < 300; at++) node.put(`k${at}`, 'v'.repeat(1_000))
    const { http, port } = await serve({ node, limits: { answersBytesMax: 2 ** 19, writeStallMsMax: 500 } })
    const client = new RawHttp2(port)
    const everything = frame(RPC.range.request.encode(EVERYTHING))
    client.write(headers(1, callFields(RPC.range.path)), http2Frame(TYPE.data, END_STREAM, 1, everything))
    await expect.poll(() => http.inspect().answerBytes).toBeGreaterThan(2 ** 17)
    const timer = setInterval(
      () => client.write(windowUpdate(0, ofConnection), windowUpdate(1, ofStream)),
      20,
    )
    onTestFinished(() => clearInterval(timer))
    const whole = callRpc(openSession(port), RPC.range, EVERYTHING)
    expect(await client.resetCode(1)).toBe(11)
    expect((await whole).response?.kvs).toHaveLength(300)
    expect(client.isClosed).toBe(false)
  },
)

test('a client that takes no responses is cut, though none of them has data', async () => {
  const { http, port } = await serve({ limits: { writeStallMsMax: 500 } })
  const client = new RawHttp2(port)
  client.write(headers(1, callFields(RPC.range.path)))
  client.write(http2Frame(TYPE.data, END_STREAM, 1, frame(RPC.range.request.encode({ key }))))
  await client.find(({ stream, flags }) => stream === 1 && (flags & END_STREAM) !== 0)
  client.socket.pause()
  // The error quotes the name of an unknown service, which becomes the newest entry of the table.
  const fields = [literal(':method', 'POST'), literal(':scheme', 'http'), literal(':authority', 'localhost')]
  const type = literal('content-type', 'application/grpc')
  const path = literal(':path', `/${'x'.repeat(1_000)}/unknown`, true)
  const call = (n: number, named: Buffer): Buffer =>
    headers(2 * n + 3, Buffer.concat([...fields, named, type]), END_HEADERS | END_STREAM)
  client.write(...Array.from({ length: 7_000 }, (_, n) => call(n, n === 0 ? path : indexed(62))))
  await expect.poll(() => http.inspect().connections).toBe(0)
})
