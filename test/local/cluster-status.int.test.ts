// The status of a node whose process runs and that is slow to answer.

import { createServer, type ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import { clusterStatus, FIRST_STATUS_TIMEOUT_MS } from '../../src/local/cluster-status.ts'

test('a node that has just become ready may take longer for its first answer', async () => {
  const answer = { role: 'leader', term: 2, commit_index: 7, applied_index: 7, revision: 3 }
  const waiting: ServerResponse[] = []
  const server = createServer((_request, response) => waiting.push(response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const nodes = [{ name: 'n1', pid: 1, paused: false, url: `http://127.0.0.1:${port}` }]
  const first = clusterStatus('7', nodes, FIRST_STATUS_TIMEOUT_MS)
  const usual = await clusterStatus('7', nodes)
  for (const response of waiting) response.end(JSON.stringify(answer))
  const status = await first
  server.close()
  expect(usual).toMatchObject({ leader: null, nodes: [{ state: 'unreachable', role: null }] })
  expect(status).toMatchObject({ leader: 'n1', term: 2, nodes: [{ state: 'running', ...answer }] })
})

test('the leader is that of the highest term, also one that was started by hand', async () => {
  const answers = [
    { role: 'leader', leader: 'n1', term: 3 },
    { role: 'follower', leader: 'n4', term: 4 },
    { role: 'follower', leader: null, term: 4 },
  ]
  const servers = answers.map((answer) => createServer((_, response) => response.end(JSON.stringify(answer))))
  const nodes = await Promise.all(
    servers.map(async (server, at) => {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const address = server.address()
      const port = typeof address === 'object' ? address?.port : undefined
      return { name: `n${at + 1}`, pid: at + 1, paused: false, url: `http://127.0.0.1:${port}` }
    }),
  )
  expect(await clusterStatus('7', nodes)).toMatchObject({ leader: 'n4', term: 4 })
  // A local node that is named but does not lead any more.
  const renamed = nodes.map((node) => (node.name === 'n3' ? { ...node, name: 'n4' } : node))
  expect((await clusterStatus('7', renamed)).leader).toBeNull()
  for (const server of servers) server.close()
})

test('while rights are checked, a node has the state that it reports to its supervisor', async () => {
  const server = createServer((_, response) => response.writeHead(401).end('{}'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const view = { role: 'leader', term: 5, leader: 'n1', notReady: [], errors: [], members: [] } as const
  const node = { name: 'n1', pid: 1, paused: false, url: `http://127.0.0.1:${port}`, view }
  const status = await clusterStatus('7', [node])
  server.close()
  expect(status).toMatchObject({
    ...{ leader: 'n1', term: 5 },
    nodes: [{ state: 'running', role: 'leader', term: 5, commit_index: null, revision: null }],
  })
})
