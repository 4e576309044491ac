// What the supervisor shows of its nodes: a process that is slow to answer is not one that cannot be reached.

import { createServer, type ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import { clusterStatus, FIRST_ANSWER_LIMIT_MS, faultsOf } from '../../src/local/cluster-status.ts'

test('a node that has just become ready may take longer for its first answer', async () => {
  const words = { role: 'leader', term: 2, commit_index: 7, applied_index: 7, revision: 3 }
  const waiting: ServerResponse[] = []
  const server = createServer((_request, response) => waiting.push(response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const nodes = [{ name: 'n1', process: { pid: 1, paused: false }, url: `http://127.0.0.1:${port}` }]
  const asked = clusterStatus('7', nodes, FIRST_ANSWER_LIMIT_MS)
  const usual = await clusterStatus('7', nodes)
  for (const response of waiting) response.end(JSON.stringify(words))
  const first = await asked
  server.close()
  expect(usual).toMatchObject({ leader: null, nodes: [{ state: 'unreachable', role: null }] })
  expect(first).toMatchObject({ leader: 'n1', term: 2, nodes: [{ state: 'running', ...words }] })
})

test('what keeps nodes from becoming ready is told in the words of those that know it', async () => {
  const errors = ['the disk is nearly full', 'replicas differ']
  const server = createServer((_, response) => response.end(JSON.stringify({ errors })))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : undefined}`
  const nodes = [
    { name: 'n1', process: { pid: 1, paused: false }, url },
    { name: 'n2', process: { pid: undefined, paused: false }, url },
    { name: 'n3', process: { pid: 3, paused: true }, url },
    { name: 'n4', process: { pid: 4, paused: false }, url: 'http://127.0.0.1:1' },
  ]
  expect(await faultsOf(nodes)).toEqual(errors.map((error) => `n1: ${error}`))
  server.close()
})
