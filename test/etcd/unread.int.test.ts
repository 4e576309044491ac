// Streams of the driver whose responses nobody takes.

import { createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { FRAME_HEAD_BYTES, withFrameHead } from '../../src/etcd/frames.ts'
import { EVENT_PUT, type Event, WatchResponse } from '../../src/etcd/messages/watch.ts'
import { RPC } from '../../src/etcd/rpcs.ts'
import { GrpcClient } from '../../src/etcd-client/grpc-client.ts'

const MEGABYTE = 2 ** 20
const RESPONSES = 64

/** A member that sends each watch all of this, as fast as it is taken, and answers any other call. */
async function openMember() {
  const event = { type: EVENT_PUT, kv: { value: new Uint8Array(MEGABYTE) } } as Event
  const large = withFrameHead(WatchResponse.encode({ events: [event] }, FRAME_HEAD_BYTES))
  const empty = new Uint8Array(FRAME_HEAD_BYTES)
  const sent = { bytes: 0 }
  const server = createServer().on('stream', (stream, headers) => {
    stream.on('error', () => {})
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    if (headers[':path'] !== RPC.watch.path) {
      stream.end(empty)
      return
    }
    const send = (left: number) => {
      if (left === 0) return
      stream.write(large, (error) => {
        if (error) return
        sent.bytes += large.length
        send(left - 1)
      })
    }
    send(RESPONSES)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const client = new GrpcClient({ endpoint: `http://127.0.0.1:${port}` })
  onTestFinished(() => {
    client.close()
    server.close()
  })
  return { client, sent }
}

it('a stream that nobody reads is sent little', async () => {
  const { client, sent } = await openMember()
  const stream = client.duplex(RPC.watch)
  for (let n = 0; n < 300; n++) await client.unary(RPC.status, {})
  expect(sent.bytes).toBeLessThan(8 * MEGABYTE)
  let received = 0
  for await (const _ of stream) if (++received === RESPONSES) break
  expect(received).toBe(RESPONSES)
})
