// A response to a range, whether it is held or sent while it is read: byte for byte the message that the encoder of all
// messages makes of the rows that etcd would choose. Nothing is left when a call has ended, wherever that is.

import { once } from 'node:events'
import { type ClientHttp2Session, connect, constants } from 'node:http2'
import { type AddressInfo, createConnection, createServer } from 'node:net'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { type KeyValue, RangeRequest, RangeResponse } from '../../../src/etcd/messages/kv.ts'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { encodeRow } from '../../../src/server/etcd/fields.ts'
import { arrange, limited } from '../../../src/server/etcd/range-order.ts'
import { runs } from '../../runs.ts'
import { FakeNode } from '../http/fake-node.ts'
import { serve, start } from '../http/served.ts'
import { callGrpc, frame, openSession } from './grpc-call.ts'

const NAMES = 40

/** Changes of a store: keys of different lengths, values up to more than a slice has, and deletions. */
const changes = fc.array(
  fc.record({
    name: fc.nat(NAMES - 1),
    valueBytes: fc.oneof(fc.constantFrom(0, 1, 127, 128, 129), fc.nat(3_000)),
    isDeletion: fc.nat(5).map((drawn) => drawn === 0),
  }),
  { minLength: 1, maxLength: 80 },
)
const revision = fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(30) })
const anyRequest = fc.record({
  from: fc.nat(NAMES),
  to: fc.option(fc.nat(NAMES)),
  limit: fc.oneof(fc.constant(0), fc.nat(50)),
  revision,
  sortOrder: fc.nat(2),
  sortTarget: fc.oneof(fc.constant(0), fc.nat(4)),
  keysOnly: fc.boolean(),
  countOnly: fc.nat(9).map((drawn) => drawn === 0),
  minModRevision: revision,
  maxModRevision: revision,
  minCreateRevision: revision,
  maxCreateRevision: revision,
})

/** Most requests of clients: neither sorted by something else than keys, nor filtered. */
const PLAIN = {
  ...{ revision: 0, sortTarget: 0, countOnly: false },
  ...{ minModRevision: 0, maxModRevision: 0, minCreateRevision: 0, maxCreateRevision: 0 },
}
const request = fc.oneof(
  anyRequest,
  anyRequest.map((drawn) => ({ ...drawn, ...PLAIN })),
  anyRequest.map((drawn) => ({ ...drawn, ...PLAIN, from: 0, to: null })),
)
/** Up to so much, a response is read once. That of keys alone has about 1,000 bytes. */
const held = fc.constantFrom(
  { etcdHeldBytesMax: 2_000, etcdHeldTogetherBytesMax: 10_000 },
  { etcdHeldBytesMax: 2_000, etcdHeldTogetherBytesMax: 0 },
  { etcdHeldBytesMax: 200, etcdHeldTogetherBytesMax: 0 },
)

const nameOf = (number: number): Buffer =>
  Buffer.concat([Buffer.from(`k${String(number).padStart(3, '0')}`), Buffer.alloc(number % 5, number % 3)])

const LIMITS = { sliceRowsMax: 7, sliceBytesMax: 4_000, sliceKeysMax: 5 }

test('a response is the message of its rows, byte for byte', async () => {
  await fc.assert(
    fc.asyncProperty(
      changes,
      fc.array(request, { minLength: 20, maxLength: 40 }),
      held,
      async (drawn, requests, limits) => {
        const node = new FakeNode()
        const history = new Map<number, readonly KeyValue[]>()
        for (const { name, valueBytes, isDeletion } of drawn) {
          if (isDeletion) node.apply({ kind: 'delete', key: nameOf(name), condition: undefined, prev: false })
          else node.put(nameOf(name), Buffer.alloc(valueBytes, name))
          history.set(node.revision, node.records().map(encodeRow))
        }
        const { port, api, close } = await start({ node, limits: { ...LIMITS, ...limits } })
        const client = connect(`http://127.0.0.1:${port}`)
        client.on('error', () => {})
        try {
          for (const asked of requests) {
            const key = nameOf(asked.from)
            const rangeEnd = asked.to === null ? Uint8Array.of(0) : nameOf(asked.to)
            const at = Math.min(asked.revision, node.revision)
            const message = {
              ...RangeRequest.decode(new Uint8Array()),
              ...asked,
              key,
              rangeEnd,
              revision: at,
            }
            const answer = await callGrpc(client, RPC.range.path, frame(RangeRequest.encode(message)))
            expect([answer.status, answer.message]).toEqual([0, ''])
            const [sent] = answer.messages
            if (sent === undefined) expect.fail()
            const { header } = RangeResponse.decode(sent)
            expect(header?.revision).toBe(node.revision)
            const all = history.get(at === 0 ? node.revision : at) ?? []
            const rows = all.filter(
              (row) =>
                Buffer.compare(row.key, key) >= 0 &&
                (asked.to === null || Buffer.compare(row.key, rangeEnd) < 0),
            )
            const found = asked.countOnly
              ? { kvs: [], more: false }
              : limited(arrange(rows, message), message)
            const expected = RangeResponse.encode({ header, ...found, count: rows.length })
            expect(Buffer.compare(sent, expected)).toBe(0)
          }
          await node.scansClosed()
          expect([api.ranges.open, api.outbound.bytes, api.outbound.waiting]).toEqual([0, 0, 0])
        } finally {
          client.destroy()
          await close()
        }
      },
    ),
    { numRuns: runs(200) },
  )
})

test.each([0, 2 ** 26])('what the kernel has not taken is not freed (%i bytes may be held)', async (held) => {
  const node = new FakeNode()
  for (let at = 0; at < 400; at++) node.put(`k${String(at).padStart(3, '0')}`, Buffer.alloc(20_000, at))
  const { port } = await serve({
    node,
    limits: { etcdHeldBytesMax: 300_000, etcdHeldTogetherBytesMax: held },
  })
  const request = frame(
    RangeRequest.encode({
      ...RangeRequest.decode(new Uint8Array()),
      ...{ key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) },
    }),
  )
  const list = async (session: ClientHttp2Session): Promise<Buffer> => {
    const { messages } = await callGrpc(session, RPC.range.path, request)
    return messages[0] ?? expect.fail()
  }
  const expected = await list(openSession(port))
  // A relay between the node and a client whose windows have room for all of it.
  const relay = await stalledRelay(port)
  const session = connect(`http://127.0.0.1:${relay.port}`, { settings: { initialWindowSize: 2 ** 30 } })
  onTestFinished(() => session.destroy())
  session.once('connect', () => session.setLocalWindowSize(2 ** 30))
  const slow = list(session)
  await relay.begun
  // Others take the memory of what is freed.
  for (let at = 0; at < 3; at++) expect(Buffer.compare(await list(openSession(port)), expected)).toBe(0)
  relay.go()
  expect(Buffer.compare(await slow, expected)).toBe(0)
})

/** It forwards to the node, and reads nothing more from it between the beginning of a response and `go`. */
async function stalledRelay(port: number) {
  const begun = Promise.withResolvers<void>()
  const going = Promise.withResolvers<void>()
  const server = createServer((client) => {
    const node = createConnection({ port, host: '127.0.0.1' })
    client.on('error', () => {}).on('close', () => node.destroy())
    node.on('error', () => {}).on('close', () => client.destroy())
    client.pipe(node)
    let received = 0
    node.on('data', (chunk: Buffer) => {
      client.write(chunk)
      received += chunk.length
      if (received < 10_000 || node.isPaused()) return
      node.pause()
      begun.resolve()
      void going.promise.then(() => node.removeAllListeners('data').pipe(client))
    })
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, begun: begun.promise, go: going.resolve }
}

test('a call that ends anywhere leaves no scan and no bytes', async () => {
  const node = new FakeNode()
  for (let at = 0; at < 200; at++) node.put(`k${String(at).padStart(3, '0')}`, Buffer.alloc(20_000, at))
  const { port, api, http } = await serve({
    node,
    limits: { etcdHeldBytesMax: 300_000, etcdHeldTogetherBytesMax: 0, rangesMax: 6 },
  })
  const all = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) }
  const requests = [all, { ...all, sortTarget: 3 }, { ...all, limit: 150 }, { ...all, minModRevision: 20 }]
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(4_200_000), { minLength: 1, maxLength: 6 }), async (cuts) => {
      const session = openSession(port)
      const calls = cuts.map(
        (cut, at) =>
          new Promise<string>((resolve) => {
            const stream = session.request({
              ':method': 'POST',
              ':path': RPC.range.path,
              'content-type': 'application/grpc',
              te: 'trailers',
            })
            let received = 0
            let status = 'cancelled'
            stream.on('trailers', (fields) => {
              status = String(fields['grpc-status'])
            })
            stream.on('error', () => {})
            stream.on('close', () => resolve(status))
            stream.on('data', (chunk: Buffer) => {
              received += chunk.length
              if (received >= cut) stream.close(constants.NGHTTP2_CANCEL)
            })
            const request = requests[at % requests.length] as object
            stream.end(frame(RangeRequest.encode({ ...RangeRequest.decode(new Uint8Array()), ...request })))
            if (cut === 0) stream.close(constants.NGHTTP2_CANCEL)
          }),
      )
      // A call that is not cancelled is whole.
      for (const status of await Promise.all(calls)) expect(['0', 'cancelled']).toContain(status)
      session.destroy()
      await node.scansClosed()
      await expect.poll(() => http.inspect()).toMatchObject({ answerBytes: 0, bodyBytes: 0, ranges: 0 })
      expect([api.outbound.bytes, api.outbound.waiting]).toEqual([0, 0])
    }),
    { numRuns: runs(10) },
  )
})
