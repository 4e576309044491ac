// The connection of the driver.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { RPC } from '../../src/etcd/rpcs.ts'
import { GrpcClient } from '../../src/etcd-client/grpc-client.ts'

test('a connection that is given up as it is accepted ends its calls, and not the process', async () => {
  const server = createServer((socket) => socket.on('error', () => {}))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = new GrpcClient({ endpoint: `http://127.0.0.1:${port}` })
  // Before Node's HTTP/2 learns of the connection.
  const giveUp = (message: unknown): void => {
    ;(message as { socket: Socket }).socket.once('connect', () => client.close())
  }
  subscribe('net.client.socket', giveUp)
  onTestFinished(() => {
    unsubscribe('net.client.socket', giveUp)
    server.close()
  })
  await expect(client.unary(RPC.status, {})).rejects.toMatchObject({ name: 'GrpcError' })
})
