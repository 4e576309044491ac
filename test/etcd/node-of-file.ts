// A node of quorate that all tests of a file share.

import { afterAll, beforeAll, expect } from 'vitest'
import type { GrpcClient } from '../../src/etcd-client/grpc-client.ts'
import { connect } from './differential/conversation.ts'
import { type RunningServer, startQuorate } from './differential/servers.ts'

/** Starts the node before the tests, and stops it after them. It is there as soon as the tests run. */
export function nodeOfFile(): { readonly client: GrpcClient; readonly endpoint: string } {
  let server: RunningServer | undefined
  let client: GrpcClient | undefined
  beforeAll(async () => {
    server = await startQuorate()
    client = connect(server.endpoint)
  })
  afterAll(async () => {
    client?.close()
    await server?.stop()
  })
  const tooEarly = () => expect.fail('the node starts before the tests of the file')
  return {
    get client() {
      return client ?? tooEarly()
    },
    get endpoint() {
      return server?.endpoint ?? tooEarly()
    },
  }
}
