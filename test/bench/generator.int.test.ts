// The generator in its own process, against a server that answers everything.

import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { HttpConnection, sendOnce } from '../../bench/load/http-connection.ts'
import type { Load } from '../../bench/load/load.ts'
import { NODE_GENERATOR, startLoad } from '../../bench/load/run-generator.ts'

let server: Server
let url: string
let asked: string[]

beforeEach(async () => {
  asked = []
  server = createServer((request, response) => {
    const { 'if-match': match, 'if-none-match': noneMatch } = request.headers
    asked.push([request.method, request.url, match, noneMatch].filter(Boolean).join(' '))
    request.resume()
    if (request.url === '/chunks') {
      for (const part of ['[1,', '2', ',3]']) response.write(part)
      response.end()
    } else if (request.url === '/large') response.end('x'.repeat(300_000))
    else if (request.url === '/break') response.destroy()
    else if (request.url === '/half') {
      response.writeHead(200, { 'content-length': 100 })
      response.write('half', () => response.destroy())
    } else response.end(JSON.stringify({ mod_revision: asked.length }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterEach(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const load = (wish: Partial<Load>): Load => ({
  over: 'http',
  endpoints: [url],
  connections: 1,
  in_flight: 4,
  rate: null,
  reads: 0,
  consistency: 'linearizable',
  writes: 'put',
  range: 1,
  keys: 50,
  fill_from: null,
  value_bytes: 16,
  warmup_seconds: 0,
  seconds: null,
  ...wish,
})

test('it fills a store: every key once', async () => {
  const running = startLoad(NODE_GENERATOR, load({ fill_from: 0 }))
  const { operations, errors } = await running.report
  expect(errors).toEqual({})
  expect(asked.length).toBe(50)
  expect(new Set(asked).size).toBe(50)
  expect(operations).toBe(50)
})

test('an update over HTTP states the revision that the last answer had', async () => {
  const running = startLoad(NODE_GENERATOR, load({ writes: 'update', in_flight: 1 }))
  await running.begun
  while (asked.length < 40) await new Promise((resolve) => setImmediate(resolve))
  running.stop()
  expect((await running.report).errors).toEqual({})
  expect(asked.slice(0, 16).every((what) => / \*$/.test(what))).toBe(true)
  const conditions = asked.slice(16, 40).map((what) => what.split(' ')[2])
  expect(conditions).toEqual(Array.from({ length: 24 }, (_, at) => `"${at + 1}"`))
})

test('it goes on until it is told to stop, and reports what it saw', async () => {
  const running = startLoad(NODE_GENERATOR, load({ reads: 1 }))
  await running.begun
  while (asked.length < 20) await new Promise((resolve) => setImmediate(resolve))
  running.stop()
  const report = await running.report
  expect(report.operations).toBe(asked.length)
  expect(report.max_ms).toBeGreaterThanOrEqual(report.p50_ms)
  expect(asked[0]).toMatch(/^GET \/v1\/kv\/key-\d{10}/)
})

test('the bare connection reads answers in chunks and in many parts, and connects again after a break', async () => {
  expect(await sendOnce(url, { method: 'GET', path: '/chunks' })).toContain('3]')
  expect((await sendOnce(url, { method: 'GET', path: '/large' })).length).toBe(300_000)
  const connection = new HttpConnection(url)
  const ask = (path: string) => connection.send({ method: 'GET', path })
  for (const path of ['/break', '/half']) await expect(ask(path)).rejects.toThrow('connection closed')
  expect((await ask('/')).body.toString()).toMatch(/^{.*}$/)
  connection.close()
})
