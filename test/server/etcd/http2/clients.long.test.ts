// Other implementations of HTTP/2 against a node: nghttp2, and the core of gRPC in C. Needs, of Debian: nghttp2-client,
// python3-grpcio.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { RPC } from '../../../../src/etcd/rpcs.ts'
import { requireProgram, scratchDirectory, startNodes, succeed } from '../../../etcd/suites.ts'
import { frame } from '../grpc-call.ts'

test.each([
  ['default windows', []],
  ['windows of 1 byte', ['-w', '1']],
  ['windows of 15 bytes, and no table of header fields', ['-w', '4', '--header-table-size=0']],
  ['header fields that are in no table', ['--encoder-header-table-size=0']],
  ['large windows, and 1,000 streams', ['-w', '30', '-W', '30', '-m', '1000']],
])('nghttp2 with %s', async (_, flags) => {
  requireProgram('h2load', 'nghttp2-client')
  const directory = scratchDirectory('http2-clients')
  const [node] = await startNodes(directory, ['n1'])
  const request = join(directory, 'request')
  writeFileSync(request, frame(RPC.range.request.encode({ key: Buffer.from('a') })))
  const fields = ['-H', 'content-type: application/grpc', '-H', 'te: trailers']
  const url = `http://${node?.address}${RPC.range.path}`
  const load = ['-n', '2000', '-c', '2', '-m', '100', '-w', '16', '-W', '16']
  const output = await succeed('h2load', [...load, ...flags, '-d', request, ...fields, url])
  expect(output).toContain('2000 succeeded, 0 failed, 0 errored')
})

test("gRPC's core in C", async () => {
  requireProgram('/usr/bin/python3', 'python3-grpcio')
  const [node] = await startNodes(scratchDirectory('http2-clients'), ['n1'])
  const script = join(import.meta.dirname, 'clients.py')
  const output = await succeed('/usr/bin/python3', [script, node?.address ?? ''])
  expect(output).toBe('well\n'.repeat(3))
})
