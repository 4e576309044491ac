// A client of gRPC that takes no frames, over a socket in memory: the test decides when it takes what it is sent.

import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { expect, onTestFinished, test } from 'vitest'
import { Api } from '../../../src/server/api/api.ts'
import { ConnectionTable } from '../../../src/server/clients/connection-table.ts'
import { Gate } from '../../../src/server/clients/gate.ts'
import { Guard } from '../../../src/server/clients/guard.ts'
import { ClientIdentity } from '../../../src/server/clients/identity.ts'
import { EtcdApi } from '../../../src/server/etcd/etcd-api.ts'
import { GrpcConnections } from '../../../src/server/etcd/grpc/connections.ts'
import { httpLimits } from '../../../src/server/listener/limits.ts'
import { Metrics } from '../../../src/server/node/observe/metrics.ts'
import { FakeNode } from '../http/fake-node.ts'
import {
  callFields,
  END_HEADERS,
  END_STREAM,
  headers,
  indexed,
  literal,
  settings,
  TYPE,
} from './raw-http2.ts'

const KiB = 1024
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/** The socket of a client at its node. */
class ClientSocket extends Duplex {
  readonly remoteAddress = '10.0.0.1'
  readonly remotePort = 1
  bytesRead = 0
  /** Whether the client takes what is sent; otherwise each write waits. */
  takes = true
  readonly #received: Buffer[] = []
  #untaken: (() => void) | undefined

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#received.push(chunk)
    if (this.takes) done()
    else this.#untaken = done
  }

  override _final(done: () => void): void {
    done()
  }

  /** Takes the write that waits. */
  takeOne(): void {
    const done = this.#untaken
    this.#untaken = undefined
    done?.()
  }

  say(...frames: readonly Buffer[]): void {
    const bytes = Buffer.concat(frames)
    this.bytesRead += bytes.length
    this.push(bytes)
  }

  /** Frames of header fields that end a stream. */
  get ended(): number {
    const bytes = Buffer.concat(this.#received)
    let ended = 0
    for (let at = 0; at < bytes.length; at += 9 + bytes.readUIntBE(at, 3))
      if (bytes[at + 3] === TYPE.headers && ((bytes[at + 4] ?? 0) & END_STREAM) !== 0) ended++
    return ended
  }
}

/** A client whose call of an RPC that does not exist is answered. `refused`: further ones, of some bytes each. */
async function opened() {
  const limits = httpLimits
  const node = new FakeNode()
  const api = new Api({ node, limits, version: '1.2.3', failed: ({ message }) => expect.fail(message) })
  const guard = new Guard({ clusterId: node.clusterId, allowedHosts: [], corsOrigins: [] })
  const isClosing = (): boolean => false
  const gate = new Gate({ api, guard, identity: new ClientIdentity(api, false), isClosing })
  const etcd = new EtcdApi(api)
  const grpc = new GrpcConnections({ etcd, limits, metrics: new Metrics(), gate, isClosing })
  const table = new ConnectionTable({ api, limits, served: 'all', handshakes: () => undefined })
  table.open()
  const socket = new ClientSocket()
  onTestFinished(async () => {
    table.cut()
    await table.closed()
  })
  const connection = table.add(socket as unknown as Socket)
  connection.identified()
  grpc.accept(connection)
  // The node answers with the path, in which each of these bytes takes three. Later calls name it by its entry.
  const path = literal(':path', `/${'%'.repeat(3 * KiB)}/a`, true)
  const others = callFields('/').subarray(callFields('/').indexOf(':authority') - 2)
  const block = (pathField: Buffer): Buffer => Buffer.concat([indexed(3), indexed(6), pathField, others])
  let stream = 1
  socket.say(PREFACE, settings(), headers(stream, block(path), END_HEADERS | END_STREAM))
  await turns()
  expect(socket.ended).toBe(1)
  const refused = (count: number): Buffer =>
    Buffer.concat(
      Array.from({ length: count }, () => {
        stream += 2
        return headers(stream, block(indexed(62)), END_HEADERS | END_STREAM)
      }),
    )
  return { socket, refused }
}

/** Runs enough turns of the event loop for all that waits for no client. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await new Promise(setImmediate)
}

test('calls that arrive together have no more responses than may wait, and the rest when these are taken', async () => {
  const { socket, refused } = await opened()
  socket.takes = false
  socket.say(refused(500))
  await turns()
  // All responses have more than a MiB.
  expect(socket.writableLength).toBeLessThan(512 * KiB)
  socket.takes = true
  socket.takeOne()
  await expect.poll(() => socket.ended).toBe(501)
})
