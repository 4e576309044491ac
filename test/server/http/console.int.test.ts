// The console under /ui/, as a node serves it. Its files and their headers: test/console/built-page.test.ts.

import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { PLACEHOLDER, SCRIPT } from '../../console/placeholder.ts'
import { AS_BOB, nodeWithUsers } from '../auth/users.ts'
import { memberOf } from './fake-node.ts'
import { serve } from './served.ts'

const GZIP = { 'Accept-Encoding': 'gzip, br' }

test('the page, its files, and a shorter path to it', async () => {
  const { ask } = await serve()
  const short = await ask('GET', '/ui')
  expect([short.status, short.headers.location]).toEqual([308, '/ui/'])
  const page = await ask('GET', '/ui/', { headers: GZIP })
  expect(page.status).toBe(200)
  expect(page.headers).toMatchObject({ 'content-encoding': 'gzip', 'cache-control': 'no-cache' })
  const html = gunzipSync(page.bytes).toString()
  for (const [, name = ''] of html.matchAll(/(?:src|href)="([^"]+)"/g)) {
    const asset = await ask('GET', `/ui/${name}`)
    expect([name, asset.status, asset.headers['cache-control']]).toEqual([
      name,
      200,
      'public, max-age=31536000, immutable',
    ])
  }
  expect(html).toContain(SCRIPT)
})

test('HEAD has the headers of GET and no body, and a known tag is 304', async () => {
  const { ask } = await serve()
  for (const path of ['/ui/', `/ui/${SCRIPT}`]) {
    const whole = await ask('GET', path, { headers: GZIP })
    const head = await ask('HEAD', path, { headers: GZIP })
    const { date: _, ...headers } = whole.headers
    expect([head.status, head.bytes.length]).toEqual([200, 0])
    expect(head.headers).toMatchObject(headers)
    const known = { ...GZIP, 'If-None-Match': String(whole.headers.etag) }
    const unchanged = await ask('GET', path, { headers: known })
    expect([unchanged.status, unchanged.bytes.length, unchanged.headers.etag]).toEqual([
      304,
      0,
      whole.headers.etag,
    ])
  }
})

test('the page may connect to the members that the cluster has now', async () => {
  const { ask, node } = await serve()
  const before = await ask('GET', '/ui/')
  expect(before.headers['content-security-policy']).not.toContain('n4.example')
  const member = { ...memberOf('n4', '4'), url: 'https://n4.example:7301' }
  node.configuration = { ...node.configuration, members: [...node.configuration.members, member] }
  const { headers } = await ask('GET', '/ui/')
  expect(headers['content-security-policy']).toMatch(/connect-src 'self' [^;]*https:\/\/n4\.example:7301/)
  const facts = await ask('GET', '/ui/console.json')
  expect(facts.headers).toMatchObject({
    'content-type': 'application/json',
    'cache-control': 'no-cache',
    'x-content-type-options': 'nosniff',
    'cross-origin-resource-policy': 'same-origin',
  })
  expect(facts.json).toEqual({
    kind: 'node',
    node: 'n1',
    version: '1.2.3',
    cluster_id: '4242',
    members: node.configuration.members.map(({ name, url }) => ({ name, url })),
  })
})

test.each([
  '/ui/none',
  '/ui/index.html',
  '/ui/assets',
  '/ui/assets/',
  '/ui/assets/none.js',
  '/ui//',
  '/ui//assets/main-0d1e2f3a.js',
  '/ui/assets//main-0d1e2f3a.js',
  '//ui/',
  '/ui/../v1/status',
  '/ui/../metrics',
  '/ui/./',
  '/ui/%2e%2e/metrics',
  '/ui/%2e%2e/%2e%2e/package.json',
  '/ui/assets/..%2findex.html',
  '/ui/assets/..%2f..%2f..%2f..%2fetc%2fpasswd',
  '/ui/assets/%2fetc%2fpasswd',
  '/ui/assets/../index.html',
  '/ui/assets/main-0d1e2f3a.js%00',
  '/ui/%00',
  '/ui/assets/..%5cindex.html',
  '/ui/assets/main-0d1e2f3a.js/',
  '/UI/',
  '/uix',
])('%s is nothing', async (path) => {
  const { ask } = await serve()
  const { status, json, headers } = await ask('GET', path)
  expect([status, json.code, headers['content-type']]).toEqual([
    404,
    'route_not_found',
    'application/problem+json',
  ])
})

test('nothing but reading is allowed', async () => {
  const { ask } = await serve()
  for (const path of ['/ui', '/ui/', `/ui/${SCRIPT}`, '/ui/console.json']) {
    const { status, headers } = await ask('PUT', path, { body: 'mine' })
    expect([path, status, headers.allow]).toEqual([path, 405, 'GET, HEAD'])
  }
  expect((await ask('GET', '/ui/?token=x')).json.code).toBe('unknown_parameter')
})

test('a console that is not built says how to build it', async () => {
  const { ask } = await serve({ consoleDirectory: join(PLACEHOLDER, 'none') })
  const { status, json } = await ask('GET', '/ui/')
  expect([status, json.code, json.detail]).toEqual([
    404,
    'route_not_found',
    'the console is not built here: run npm run build:web',
  ])
  expect((await ask('GET', '/ui/console.json')).status).toBe(200)
})

test('a page of another site may link to the console, and neither embeds nor reads it', async () => {
  const { ask } = await serve()
  const visit = { 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document' }
  for (const site of ['cross-site', 'same-site', 'same-origin', 'none'])
    for (const [path, status] of [
      ['/ui', 308],
      ['/ui/', 200],
    ] as const) {
      const visited = await ask('GET', path, { headers: { ...visit, 'Sec-Fetch-Site': site } })
      expect([site, path, visited.status]).toEqual([site, path, status])
    }
  const embedded = [
    ['/ui/', { 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'iframe' }],
    ['/ui/', { 'Sec-Fetch-Mode': 'no-cors', 'Sec-Fetch-Dest': 'empty' }],
    [`/ui/${SCRIPT}`, visit],
    ['/ui/console.json', visit],
  ] as const
  for (const [path, headers] of embedded) {
    const { json } = await ask('GET', path, { headers: { ...headers, 'Sec-Fetch-Site': 'cross-site' } })
    expect([path, json.code]).toEqual([path, 'origin_not_allowed'])
  }
  for (const path of ['/ui/', '/ui/console.json']) {
    const { json } = await ask('GET', path, { headers: { Host: 'rebound.example' } })
    expect([path, json.code]).toEqual([path, 'host_not_allowed'])
  }
})

test('while rights are checked, unauthenticated clients get the page and nothing else', async () => {
  const { ask } = await serve({ node: nodeWithUsers() })
  for (const path of ['/ui/', `/ui/${SCRIPT}`, '/ui/console.json']) {
    for (const headers of [{}, AS_BOB])
      expect([path, (await ask('GET', path, { headers })).status]).toEqual([path, 200])
  }
  for (const path of ['/ui/../metrics', '/ui/../v1/status', '/ui/%2e%2e/metrics', '//ui/../metrics']) {
    const { status, text } = await ask('GET', path)
    expect([path, status >= 400, text.includes('quorate_')]).toEqual([path, true, false])
  }
})
