// One statement to a node of rqlite: a server that answers what it likes.

import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { rqliteRequest } from '../../bench/clusters/rqlite-request.ts'

let server: Server
afterEach(async () => {
  server.close()
  await once(server, 'close')
})

async function serve(answer: object): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = []
  server = createServer(async (request, response) => {
    let body = ''
    for await (const part of request.setEncoding('utf8')) body += part
    asked.push(`${request.method} ${request.url} ${body}`)
    response.end(JSON.stringify(answer))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
}

test('a statement with its parameters has rows', async () => {
  const { url, asked } = await serve({ results: [{ columns: ['value'], values: [['dmFsdWU=']] }] })
  const { values } = await rqliteRequest(url, '/db/query?level=none', ['SELECT ?', 'a "key"'])
  expect(values).toEqual([['dmFsdWU=']])
  expect(asked).toEqual(['POST /db/query?level=none [["SELECT ?","a \\"key\\""]]'])
})

test.each([
  ['an error of SQLite', { results: [{ error: 'no such table: kv' }] }, 'no such table: kv'],
  ['no result', { results: [] }, 'no result'],
])('%s rejects, although the status is 200', async (_, answer, reason) => {
  const { url } = await serve(answer)
  await expect(rqliteRequest(url, '/db/execute', ['DELETE FROM kv'])).rejects.toThrow(reason)
})
