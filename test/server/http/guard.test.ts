// The checks of the guard, one by one; api.int.test.ts tests which responses a page of a browser may read.

import { expect, test } from 'vitest'
import { Guard, isPreflight, PREFLIGHT_HEADERS, type RequestHead } from '../../../src/server/clients/guard.ts'
import { parseTarget } from '../../../src/server/connections/target.ts'

const OPEN = { clusterId: '42', allowedHosts: [], corsOrigins: [] }

const head = (
  headers: RequestHead['headers'],
  method = 'GET',
  more: Partial<RequestHead> = {},
): RequestHead => ({
  ...{ method, headers, httpVersion: '1.1', hosts: 1 },
  ...more,
})

const codeOf = (run: () => unknown): unknown => {
  try {
    return run() ?? 'ok'
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error
  }
}

test.each([
  ['localhost', 'ok'],
  ['LOCALHOST:65535', 'ok'],
  ['a.b.localhost', 'ok'],
  ['a_b-1.localhost', 'ok'],
  ['127.0.0.1', 'ok'],
  ['[::1]', 'ok'],
  ['[::FFFF:1.2.3.4]:80', 'ok'],
  ['named.example', 'ok'],
  ['Named.Example:1', 'ok'],
  ['port.example:8080', 'ok'],
  ['port.example', 'host_not_allowed'],
  ['port.example:8081', 'host_not_allowed'],
  ['localhost.', 'host_not_allowed'],
  ['localhosts', 'host_not_allowed'],
  ['.localhost.example', 'host_not_allowed'],
  ['localhost:123456', 'host_not_allowed'],
  ['localhost:x', 'host_not_allowed'],
  ['x/localhost', 'host_not_allowed'],
  ['x:localhost', 'host_not_allowed'],
  ['x@127.0.0.1', 'host_not_allowed'],
  ['[localhost]', 'host_not_allowed'],
  ['[::1]x', 'host_not_allowed'],
  ['x[::1]', 'host_not_allowed'],
  [']localhost', 'host_not_allowed'],
  ['evil#.localhost', 'host_not_allowed'],
  ['evil?.localhost', 'host_not_allowed'],
  ['evil\\.localhost', 'host_not_allowed'],
  ['evil%2f.localhost', 'host_not_allowed'],
  ['evil .localhost', 'host_not_allowed'],
  ['b\u00fccher.localhost', 'host_not_allowed'],
  ['[zz]', 'host_not_allowed'],
  ['', 'host_not_allowed'],
])('the host %j: %s', (host, expected) => {
  const guard = new Guard({ ...OPEN, allowedHosts: ['NAMED.example', 'port.example:8080'] })
  // Remembered or not, the answer is the same.
  for (let time = 0; time < 2; time++) expect(codeOf(() => guard.checkHost(head({ host })))).toBe(expected)
})

test('many hosts in turn are judged all the same', () => {
  const guard = new Guard(OPEN)
  for (let time = 0; time < 2; time++)
    for (let i = 0; i < 600; i++) {
      expect(codeOf(() => guard.checkHost(head({ host: `n${i}.localhost` })))).toBe('ok')
      expect(codeOf(() => guard.checkHost(head({ host: `n${i}.example` })))).toBe('host_not_allowed')
    }
})

test('a request has one host: that of its target, or that of its header', () => {
  const guard = new Guard(OPEN)
  const at = (target: string, request: RequestHead) =>
    codeOf(() => guard.checkHost(request, parseTarget('GET', target).authority))
  const one = { httpVersion: '1.0' }
  expect(at('http://localhost/', head({ host: 'x.example' }))).toBe('ok')
  expect(at('http://x.example/', head({ host: 'localhost' }))).toBe('host_not_allowed')
  expect(at('/', head({}))).toBe('bad_request')
  expect(at('http://localhost/', head({}))).toBe('bad_request')
  expect(at('/', head({}, 'GET', one))).toBe('ok')
  expect(at('http://x.example/', head({}, 'GET', one))).toBe('host_not_allowed')
  const host = 'localhost'
  expect(at('/', head({ host }, 'GET', { hosts: 1 }))).toBe('ok')
  expect(at('/', head({ host }, 'GET', { hosts: 2 }))).toBe('bad_request')
  expect(at('/', head({ host }, 'GET', { hosts: 0 }))).toBe('ok')
})

test.each([
  ['cross-site', [], 'origin_not_allowed'],
  ['same-site', [], 'origin_not_allowed'],
  ['same-origin', [], 'ok'],
  ['none', [], 'ok'],
  ['cross-site', ['http://a.example'], 'origin_not_allowed'],
  ['cross-site', ['*'], 'ok'],
])('a browser that sends Sec-Fetch-Site: %s, with CORS for %j', (site, corsOrigins, expected) => {
  const guard = new Guard({ ...OPEN, corsOrigins })
  const codeFor = (more: RequestHead['headers']) =>
    codeOf(() => guard.checkOrigin(head({ host: 'h', 'sec-fetch-site': site, ...more })) && 'ok')
  expect(codeFor({})).toBe(expected)
  expect(codeFor({ origin: 'http://x.example' })).toBe(expected)
  if (corsOrigins.length > 0) expect(codeFor({ origin: 'http://a.example' })).toBe('ok')
})

test.each([
  [true, 'navigate', 'document', 'GET', 'ok'],
  [true, 'navigate', 'iframe', 'GET', 'origin_not_allowed'],
  [true, 'no-cors', 'empty', 'GET', 'origin_not_allowed'],
  [true, 'navigate', 'document', 'POST', 'origin_not_allowed'],
  [false, 'navigate', 'document', 'GET', 'origin_not_allowed'],
])('a link of another site to a page (%s, %s, %s, %s): %s', (isPage, mode, dest, method, expected) => {
  const headers = {
    host: 'h',
    'sec-fetch-site': 'cross-site',
    'sec-fetch-mode': mode,
    'sec-fetch-dest': dest,
  }
  expect(codeOf(() => new Guard(OPEN).checkOrigin(head(headers, method), isPage) && 'ok')).toBe(expected)
})

test.each([
  ['GET', {}, []],
  ['PUT', {}, []],
  ['PUT', { origin: 'http://h:7' }, []],
  ['PUT', { origin: 'HTTP://H:7' }, []],
  ['GET', { origin: 'http://x' }, []],
  ['HEAD', { origin: 'http://x' }, []],
  ['OPTIONS', { origin: 'http://x' }, []],
  ['OPTIONS', { origin: 'http://x', 'access-control-request-method': 'PUT' }, 'origin_not_allowed'],
  ['GET', { origin: 'http://x', 'access-control-request-method': 'PUT' }, []],
  ['PUT', { origin: 'http://x' }, 'origin_not_allowed'],
  ['POST', { origin: 'null' }, 'origin_not_allowed'],
  ['DELETE', { origin: 'https://h:7' }, 'origin_not_allowed'],
  ['DELETE', { origin: 'http://h' }, 'origin_not_allowed'],
])('%s with %j, where no origin is named: %j', (method, headers, expected) => {
  const guard = new Guard(OPEN)
  expect(codeOf(() => guard.checkOrigin(head({ host: 'H:7', ...headers }, method)))).toEqual(expected)
})

test('the port that goes without saying may be left out, and a host of the header too', () => {
  const guard = new Guard(OPEN)
  const of = (host: string | undefined, origin: string) =>
    codeOf(() => guard.checkOrigin(head(host === undefined ? { origin } : { host, origin }, 'PUT')))
  expect(of('h:80', 'http://h')).toEqual([])
  expect(of('h:', 'http://h')).toEqual([])
  expect(of('h:80.x', 'http://h.x')).toBe('origin_not_allowed')
  expect(of('h:8080', 'http://h')).toBe('origin_not_allowed')
  expect(of(undefined, 'http://h')).toBe('origin_not_allowed')
})

test('an origin that is named gets its headers, and every answer depends on it', () => {
  const guard = new Guard({ ...OPEN, corsOrigins: ['http://App.example/', 'http://b.example'] })
  const allowed = guard.checkOrigin(head({ origin: 'http://APP.example' }, 'PUT'))
  expect(allowed).toEqual([
    ...['Access-Control-Allow-Origin', 'http://APP.example'],
    ...['Access-Control-Expose-Headers', expect.stringMatching(/ETag, .*Kv-Revision.*, Retry-After/)],
    ...['Vary', 'Origin'],
  ])
  expect(guard.checkOrigin(head({ origin: 'http://b.example' }, 'PUT'))[1]).toBe('http://b.example')
  expect(guard.checkOrigin(head({}))).toEqual(['Vary', 'Origin'])
  expect(guard.checkOrigin(head({ origin: 'http://x' }))).toEqual(['Vary', 'Origin'])
  expect(codeOf(() => guard.checkOrigin(head({ origin: 'http://x' }, 'PUT')))).toBe('origin_not_allowed')
  const any = new Guard({ ...OPEN, corsOrigins: ['*'] })
  expect(any.checkOrigin(head({ origin: 'http://x' }, 'PUT'))[1]).toBe('http://x')
})

test('a preflight is an OPTIONS that asks for a method, by an origin that is named', () => {
  const cors = ['Access-Control-Allow-Origin', 'http://x']
  const asks = { 'access-control-request-method': 'PUT' }
  expect(isPreflight(head(asks, 'OPTIONS'), cors)).toBe(true)
  expect(isPreflight(head(asks, 'PUT'), cors)).toBe(false)
  expect(isPreflight(head({}, 'OPTIONS'), cors)).toBe(false)
  expect(isPreflight(head(asks, 'OPTIONS'), ['Vary', 'Origin'])).toBe(false)
  expect(PREFLIGHT_HEADERS).toEqual([
    ...['Access-Control-Allow-Methods', 'GET, HEAD, PUT, POST, DELETE'],
    ...[
      'Access-Control-Allow-Headers',
      expect.stringContaining('If-None-Match, Idempotency-Key, Kv-Session, Kv-Cluster'),
    ],
    ...['Access-Control-Max-Age', '600'],
  ])
})

test('a client that means another cluster is told', () => {
  const guard = new Guard(OPEN)
  expect(codeOf(() => guard.checkCluster(undefined))).toBe('ok')
  expect(codeOf(() => guard.checkCluster('42'))).toBe('ok')
  expect(codeOf(() => guard.checkCluster('43'))).toBe('wrong_cluster')
  expect(codeOf(() => guard.checkCluster(''))).toBe('wrong_cluster')
})
