// A client may reset a stream at any time.

import { constants } from 'node:http2'
import { expect, test } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { serve } from '../http/served.ts'
import { callRpc, frame, openSession } from './grpc-call.ts'

const key = Buffer.from('a')
const REQUESTS = {
  watch: [RPC.watch.path, RPC.watch.request.encode({ createRequest: undefined })],
  keepAlive: [RPC.leaseKeepAlive.path, RPC.leaseKeepAlive.request.encode({ id: 1n })],
  put: [RPC.put.path, RPC.put.request.encode({ key })],
  'no RPC': ['/none/None', Buffer.of()],
} as const

test.each(Object.entries(REQUESTS))(
  'a stream of %s that is reset at once ends alone',
  async (_, [path, message]) => {
    const { port } = await serve()
    const session = openSession(port)
    for (const half of [true, false]) {
      const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc' })
      stream.on('error', () => {})
      stream.write(frame(message))
      if (half) stream.end()
      // The request must be on its way, or it is never sent.
      await new Promise((resolve) => setImmediate(resolve))
      stream.close(constants.NGHTTP2_CANCEL)
    }
    expect(await callRpc(session, RPC.range, { key })).toMatchObject({ status: 0 })
  },
)
