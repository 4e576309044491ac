// The client of an API server, against one with prepared answers.

import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { makeAuthority, makeNodeCertificate } from '../../src/certificates/directory.ts'
import { Api, type KubeEvent } from './kubernetes/api.ts'
import { isComplete } from './kubernetes/deployments.ts'

type Answer = (response: ServerResponse, url: URL) => void

const directory = mkdtempSync(join(tmpdir(), 'quorate-kubernetes-api-'))
let server: ReturnType<typeof createServer>
let api: Api
let answers: Answer[]
let asked: URL[]

beforeAll(async () => {
  makeAuthority(directory, { name: 'CA', days: 2 })
  makeNodeCertificate(directory, { name: 'n1', hosts: ['127.0.0.1'], days: 2 })
  const [ca, cert, key] = ['ca.crt', 'n1.crt', 'n1.key'].map((file) =>
    readFileSync(join(directory, file), 'utf8'),
  )
  server = createServer({ cert, key }, (request, response) => {
    const url = new URL(request.url ?? '', 'http://server')
    asked.push(url)
    request.resume()
    const answer = answers.shift()
    if (answer === undefined) response.destroy()
    else answer(response, url)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  api = new Api({ port: Object(server.address()).port, ca: ca ?? '', cert: cert ?? '', key: key ?? '' })
})
beforeEach(() => {
  answers = []
  asked = []
})
afterAll(async () => {
  api.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  rmSync(directory, { recursive: true, force: true })
})

const json =
  (status: number, body: object): Answer =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))

const event = (type: KubeEvent['type'], resourceVersion: number): KubeEvent => ({
  ...{ type, object: { metadata: { name: 'a', resourceVersion: String(resourceVersion) } } },
})
/** A watch that sends these events, and ends as it should, or by a broken connection. */
const events =
  (list: readonly KubeEvent[], isBroken = false): Answer =>
  (response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.write(list.map((each) => `${JSON.stringify(each)}\n`).join(''), () =>
      isBroken ? response.destroy() : response.end(),
    )
  }

test('a list has all pages, and the revision of the last one', async () => {
  const page = (names: readonly string[], next: string): Answer =>
    json(200, {
      metadata: { resourceVersion: '7', continue: next },
      items: names.map((name) => ({ metadata: { name } })),
    })
  answers = [page(['a', 'b'], 'x&y'), page(['c'], 'z'), page([], '')]
  const { items, revision } = await api.list('/api/v1/pods', 2)
  expect(items.map(({ metadata }) => metadata.name)).toEqual(['a', 'b', 'c'])
  expect(revision).toBe('7')
  expect(asked.map(({ searchParams }) => [searchParams.get('limit'), searchParams.get('continue')])).toEqual([
    ['2', ''],
    ['2', 'x&y'],
    ['2', 'z'],
  ])
  answers = [json(410, { metadata: {} })]
  await expect(api.list('/api/v1/pods')).rejects.toThrow('list /api/v1/pods: 410')
})

test('a watch continues behind its last event, of any type, also after a lost connection', async () => {
  const ending = new AbortController()
  const received: [string, string | undefined][] = []
  answers = [
    events([event('ADDED', 11), event('MODIFIED', 12)]),
    events([event('DELETED', 13)], true),
    events([event('BOOKMARK', 20)]),
    json(503, { ...event('ERROR', 0) }),
    (response) => {
      ending.abort()
      response.destroy()
    },
  ]
  await api.watch('/api/v1/pods', '10', ending.signal, ({ type, object }) =>
    received.push([type, object.metadata.resourceVersion]),
  )
  expect(received).toEqual([
    ['ADDED', '11'],
    ['MODIFIED', '12'],
    ['DELETED', '13'],
    ['BOOKMARK', '20'],
  ])
  const from = asked.map(({ searchParams }) => searchParams.get('resourceVersion'))
  expect(from).toEqual(['10', '12', '13', '20', '20'])
})

test('a watch whose revision is compacted has failed', async () => {
  answers = [events([event('ADDED', 11), { ...event('ERROR', 0) }])]
  const { signal } = new AbortController()
  await expect(api.watch('/api/v1/pods', '10', signal, () => {})).rejects.toThrow(
    'watch /api/v1/pods from 11: {"type":"ERROR"',
  )
})

test('a request without an answer rejects, as its outcome is unknown', async () => {
  await expect(api.request('PUT', '/api/v1/pods/a', {})).rejects.toThrow()
  answers = [(response) => response.writeHead(429, { 'content-type': 'text/plain' }).end('Too many')]
  expect(await api.request('PUT', '/x')).toEqual({ status: 429, body: { metadata: { name: 'Too many' } } })
})

test('a rollout is complete when its controller has seen it, and all pods are new and available', () => {
  const status = { observedGeneration: 3, replicas: 2, updatedReplicas: 2, availableReplicas: 2 }
  const of = (more: object) =>
    isComplete({ metadata: { name: 'a' }, spec: { replicas: 2 }, status: { ...status, ...more } }, 3)
  expect(of({})).toBe(true)
  expect(of({ observedGeneration: 4 })).toBe(true)
  for (const more of [
    { observedGeneration: 2 },
    { observedGeneration: undefined },
    { replicas: 3 },
    { updatedReplicas: 1 },
    { availableReplicas: 1 },
    { availableReplicas: undefined },
  ])
    expect(of(more), JSON.stringify(more)).toBe(false)
})
