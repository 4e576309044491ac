// Cluster, health, guards, limits of the listener, and its end: what docs/reference/http.md says beside keys, ranges,
// transactions and leases.

import { Agent } from 'node:http'
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { PROBLEMS } from '../../../src/operations/forms/index.ts'
import { asReplicaId } from '../../../src/raft/types.ts'
import { JSON_TYPE, serve } from './served.ts'

const problemOf = (code: keyof typeof PROBLEMS) => {
  const { status, title } = PROBLEMS[code]
  return { status, code, title, type: `urn:quorate:problem:${code}`, detail: expect.any(String) }
}

const post = (body: object | string, headers: Readonly<Record<string, string>> = {}) => ({
  body: typeof body === 'string' ? body : JSON.stringify(body),
  headers: { ...JSON_TYPE, ...headers },
})

describe('the cluster', () => {
  test('/v1/status', async () => {
    const { ask, node } = await serve()
    node.errors = ['the disk is slow']
    expect((await ask('GET', '/v1/status')).json).toMatchObject({
      leader: 'n2',
      errors: ['the disk is slow'],
    })
    node.leaderName = undefined
    expect((await ask('GET', '/v1/status')).json.leader).toBeNull()
  })

  test('/v1/cluster, with the match index where it is known', async () => {
    const { ask, node } = await serve()
    node.role = 'leader'
    node.configuration = {
      ...node.configuration,
      voters: [asReplicaId('1')],
      votersOutgoing: [asReplicaId('2')],
      learners: [asReplicaId('3')],
    }
    const { joint, members } = (await ask('GET', '/v1/cluster')).json
    expect(joint).toBe(true)
    expect(members.map((m: { role: string; match_index: number }) => [m.role, m.match_index])).toEqual([
      ['voter', 101],
      ['voter', 90],
      ['learner', 91],
    ])
  })

  const N4 = { name: 'n4', replica_id: '18446744073709551615', peer: 'host:7004', url: 'https://host:8004' }
  const asMember = { id: N4.replica_id, name: 'n4', peer: N4.peer, url: N4.url }

  test('a learner that comes back elsewhere is told to the cluster, and a voter is not moved by others', async () => {
    const { ask, node } = await serve()
    const moved = { peer: 'host:7005', url: 'https://host:8005' }
    await ask('POST', '/v1/cluster/members', post(N4))
    expect((await ask('POST', '/v1/cluster/members', post({ ...N4, ...moved }))).json.members.at(-1)).toEqual(
      {
        ...N4,
        ...moved,
        role: 'learner',
      },
    )
    const replaced = await ask('POST', '/v1/cluster/members/n4/replace', post(N4))
    expect(replaced.json.members.at(-1)).toEqual({ ...N4, role: 'learner' })
    expect(node.changes).toEqual([
      { kind: 'change', steps: [{ kind: 'add-learner', member: asMember }] },
      { kind: 'change', steps: [{ kind: 'update', member: { ...asMember, ...moved } }] },
      { kind: 'change', steps: [{ kind: 'update', member: asMember }] },
    ])
    // At another port of one of its two listeners.
    for (const other of [{ url: moved.url }, { peer: moved.peer }]) {
      const { json } = await ask('POST', '/v1/cluster/members', post({ ...N4, ...other }))
      expect(json.members.at(-1)).toEqual({ ...N4, ...other, role: 'learner' })
    }
    expect(node.changes).toHaveLength(5)
    const voter = { name: 'n3', replica_id: '3', ...moved }
    expect((await ask('POST', '/v1/cluster/members', post(voter))).json).toMatchObject(
      problemOf('membership_refused'),
    )
    expect(node.changes).toHaveLength(5)
  })

  test('a repeat of a replacement under another name finds its replica there', async () => {
    const { ask, node } = await serve()
    for (const _ of ['first', 'repeat'])
      expect((await ask('POST', '/v1/cluster/members/n3/replace', post(N4))).status).toBe(200)
    expect(node.changes).toHaveLength(1)
  })

  test('a replacement by another member is not taken for a repeat: the node judges it', async () => {
    const { ask, node } = await serve()
    const n2 = { name: 'n2', replica_id: '2', peer: '127.0.0.1:702', url: 'http://127.0.0.1:802' }
    await ask('POST', '/v1/cluster/members/n3/replace', post(n2))
    const steps = [
      { kind: 'remove', id: '3' },
      { kind: 'add-learner', member: { id: '2', name: 'n2', peer: n2.peer, url: n2.url } },
    ]
    expect(node.changes).toEqual([{ kind: 'change', steps }])
  })

  test('says why a change is refused', async () => {
    const { ask, node } = await serve()
    node.problem = { code: 'membership_refused', detail: 'the quorum would be lost', written: 'no' }
    for (const [method, target, asking] of [
      ['POST', '/v1/cluster/members', post(N4)],
      ['DELETE', '/v1/cluster/members/n3', {}],
      ['POST', '/v1/cluster/members/n3/replace', post(N4)],
    ] as const) {
      const { json } = await ask(method, target, asking)
      expect(json).toMatchObject({ ...problemOf('membership_refused'), detail: 'the quorum would be lost' })
    }
  })

  test('judges no change of members by what a node knows that may lag behind', async () => {
    const { ask, node } = await serve()
    const n3 = { name: 'n3', replica_id: '3', peer: '127.0.0.1:703', url: 'http://127.0.0.1:803' }
    const requests = [
      // There already, for all that this node knows.
      ['POST', '/v1/cluster/members', post(n3)],
      ['POST', '/v1/cluster/members/n3/replace', post(n3)],
      // Not there, for all that this node knows.
      ['DELETE', '/v1/cluster/members/n9', {}],
      ['POST', '/v1/cluster/members/n9/replace', post(N4)],
      ['POST', '/v1/cluster/leader', post({ to: 'n9' })],
    ] as const
    node.problem = { code: 'no_quorum', detail: 'cut off', written: 'no' }
    for (const [method, target, asking] of requests)
      expect((await ask(method, target, asking)).json).toMatchObject(problemOf('no_quorum'))
    node.problem = undefined
    const statuses = []
    for (const [method, target, asking] of requests) statuses.push((await ask(method, target, asking)).status)
    expect([statuses, node.changes]).toEqual([[200, 200, 404, 404, 404], []])
    expect(node.asked.every(({ options }) => options?.consistency === 'linearizable')).toBe(true)
  })

  test('has settings', async () => {
    const { ask, node } = await serve()
    const defaults = (await ask('GET', '/v1/cluster/settings')).json
    const change = (body: object) => ask('POST', '/v1/cluster/settings', post(body))
    expect((await change({})).json).toEqual(defaults)
    // Nothing to change is no change.
    expect(node.asked).toEqual([])
    expect((await change({ value_bytes_max: 7, store_bytes_max: 0 })).json).toEqual({
      ...defaults,
      value_bytes_max: 7,
      store_bytes_max: 0,
    })
    const history = {
      history_age_ms: 2000,
      history_revisions_max: 9,
      history_bytes_max: 8,
      range_keys_max: 7,
      range_bytes_max: 5_000_000,
      lease_checkpoint_ms: 100,
      leases_max: 0,
    }
    expect((await change(history)).json).toMatchObject(history)
    expect((await change({ leases: { on: true } })).json.leases).toEqual({ on: true, duration_ms: 500 })
    expect((await change({ leases: { duration_ms: 900 } })).json.leases).toEqual({
      on: true,
      duration_ms: 900,
    })
    expect((await change({ leases: { on: false }, key_bytes_max: 5 })).json).toMatchObject({
      key_bytes_max: 5,
      leases: { on: false, duration_ms: 900 },
    })
    const asked = node.asked.length
    for (const bad of [
      { key_bytes_max: 0 },
      { key_bytes_max: 4097 },
      { key_bytes_max: '9' },
      { key_bytes_max: 1.5 },
      { range_keys_max: 0 },
      { range_keys_max: 100_001 },
      { range_bytes_max: 2 * 2 ** 20 - 1 },
      { range_bytes_max: 8 * 2 ** 20 + 1 },
      { lease_checkpoint_ms: 99 },
      { history_age_ms: 999 },
      { history_revisions_max: 0 },
      { history_bytes_max: -1 },
      { keyBytesMax: 9 },
      { leases: true },
      { leases: { off: true } },
    ])
      expect((await change(bad)).json).toMatchObject(problemOf('bad_request'))
    expect(node.asked.length).toBe(asked)
    // One for each change of limits.
    expect(node.revision).toBe(4)
  })

  test('a repeated change of settings gets the first answer, whatever has changed since', async () => {
    const { ask } = await serve()
    const change = (token: string, body: object) =>
      ask('POST', '/v1/cluster/settings', post(body, { 'Idempotency-Key': token }))
    const first = await change('t', { value_bytes_max: 7 })
    await change('u', { value_bytes_max: 9, key_bytes_max: 5 })
    const repeat = await change('t', { value_bytes_max: 7 })
    expect(repeat.json).toEqual(first.json)
    expect(repeat.headers).toMatchObject({ 'idempotency-replayed': 'true', 'kv-revision': '2' })
  })

  test('what is not named of the leases stays as it was last set, also on a node that lags behind', async () => {
    const { ask, node } = await serve()
    node.leaderLeases = { on: true, durationMs: 700 }
    // A linearizable read makes the node catch up.
    node.hold = (release) => {
      node.leaderLeases = { on: false, durationMs: 900 }
      node.hold = undefined
      release()
    }
    const change = (leases: object) => ask('POST', '/v1/cluster/settings', post({ leases }))
    expect((await change({ duration_ms: 1000 })).json.leases).toEqual({ on: false, duration_ms: 1000 })
    expect((await change({ on: true, duration_ms: 20 })).json.leases).toEqual({ on: true, duration_ms: 20 })
    node.problem = { code: 'no_leader', detail: 'nobody leads', written: 'no' }
    expect((await change({ on: false })).json).toMatchObject(problemOf('no_leader'))
    expect(node.leaderLeases).toEqual({ on: true, durationMs: 20 })
  })

  // It proposes the limits, reads the newest leases, and changes them.
  test.each([2, 3])(
    '"nothing was written" is no answer once the limits were changed: wait %d',
    async (ends) => {
      const { ask, node } = await serve()
      let waits = 0
      node.hold = (release) => {
        if (++waits === ends) node.problem = { code: 'no_leader', detail: 'nobody leads', written: 'no' }
        release()
      }
      const both = { leases: { on: true }, key_bytes_max: 5 }
      const { json } = await ask('POST', '/v1/cluster/settings', post(both))
      expect(json).toMatchObject({
        ...problemOf('outcome_unknown'),
        detail: 'the limits were changed, the leases perhaps not: nobody leads',
      })
      expect([node.state.settings.keyBytesMax, waits]).toEqual([5, ends])
    },
  )
})

describe('health', () => {
  test('/livez and /readyz', async () => {
    const { ask, node } = await serve()
    for (const path of ['/livez', '/readyz']) {
      expect(await ask('GET', path)).toMatchObject({ status: 200, json: { status: 'ok' } })
      expect(await ask('HEAD', path)).toMatchObject({ status: 200, text: '' })
      expect((await ask('GET', `${path}?verbose`)).json).toMatchObject({
        status: 'ok',
        name: 'n1',
        role: 'follower',
      })
    }
    node.notReady = ['no leader is known', 'it is a learner']
    expect((await ask('GET', '/livez')).status).toBe(200)
    const { json, headers } = await ask('GET', '/readyz')
    expect(json).toMatchObject({ ...problemOf('not_ready'), reasons: node.notReady })
    expect(json.detail).toBe('no leader is known; it is a learner')
    expect(headers['retry-after']).toBe('1')
  })

  test('/metrics counts a method that a key does not have as no read', async () => {
    const { ask } = await serve()
    for (const method of ['PATCH', 'POST', 'OPTIONS'])
      for (const target of ['/v1/kv/a', '/v1/kv', '/v1/kv?key=a'])
        expect((await ask(method, target)).status).toBe(405)
    for (const target of ['/v1/kv/a', '/v1/kv?key=a', '/v1/kv']) await ask('HEAD', target)
    const { text } = await ask('GET', '/metrics')
    const counted = text.split('\n').filter((line) => line.startsWith('quorate_http_requests_total'))
    expect(counted.sort()).toEqual([
      'quorate_http_requests_total{operation="get",status="404"} 2',
      'quorate_http_requests_total{operation="other",status="405"} 9',
      'quorate_http_requests_total{operation="range",status="200"} 1',
    ])
  })

  test('/openapi.json has the codes and the limits that are enforced', async () => {
    const { ask } = await serve()
    const { json, headers } = await ask('GET', '/openapi.json')
    expect(headers['content-type']).toBe('application/json')
    expect(json).toMatchObject({ openapi: '3.1.0', info: { title: 'quorate', version: '1.2.3' } })
    const problem = json.components.responses.Problem.content['application/problem+json'].schema
    expect(problem.properties.code.enum).toEqual(Object.keys(PROBLEMS))
    const { parameters } = json.paths['/v1/kv'].get
    expect(parameters.map(({ name }: { name: string }) => name)).toContain('min_revision')
    const { schema } = json.paths['/v1/cluster/settings'].post.requestBody.content['application/json']
    expect(schema.properties.key_bytes_max).toMatchObject({ minimum: 1, maximum: 4096 })
  })
})

/** A value that each parameter takes. */
const SAMPLES: Readonly<Record<string, string>> = {
  verbose: 'verbose',
  max_staleness: 'consistency=stale&max_staleness=1h',
  min_revision: 'min_revision=1',
  consistency: 'consistency=stale',
  timeout: 'timeout=3s',
  limit: 'limit=1',
  order: 'order=desc',
  key: 'key=a',
  end: 'end=b',
  from: 'from=1',
  only: 'only=put',
  progress: 'progress=1s',
}

/** Its answers to GET have no end. */
const STREAM = '/v1/watch'

test('an operation takes every parameter that /openapi.json gives it, and all take a timeout', async () => {
  const { ask } = await serve()
  const { json } = await ask('GET', '/openapi.json')
  const told: Record<string, Record<string, { parameters: { name: string; in: string }[] }>> = json.paths
  for (const [path, operations] of Object.entries(told)) {
    for (const [method, { parameters }] of Object.entries(operations)) {
      const names = parameters.filter((parameter) => parameter.in === 'query').map(({ name }) => name)
      expect([path, method, names]).toEqual([path, method, expect.arrayContaining(['timeout'])])
      for (const name of names) {
        const target = `${path.replace(/{[a-z]+}/, 'n2')}?${SAMPLES[name] ?? `${name}=`}`
        if (path === STREAM) {
          expect([target, (await ask('HEAD', target)).status]).toEqual([target, 200])
          continue
        }
        // Asked with GET, so that an answer has a body; the parameters are the same.
        const { status, text } = await ask(method === 'head' ? 'GET' : method.toUpperCase(), target, {
          headers: JSON_TYPE,
        })
        expect([method, target, status, text]).toEqual([
          method,
          target,
          expect.any(Number),
          expect.not.stringContaining('"code":"unknown_parameter"'),
        ])
      }
    }
  }
})

test('/openapi.json says which headers count, what need not be given, and what must', async () => {
  const { ask } = await serve()
  const { paths } = (await ask('GET', '/openapi.json')).json
  const headersOf = ({ parameters }: { parameters: { name: string; in: string }[] }) =>
    parameters.filter((parameter) => parameter.in === 'header').map(({ name }) => name)
  for (const path of ['/v1/kv', '/v1/kv/{key}'])
    for (const method of ['get', 'head']) {
      const operation = paths[path][method]
      expect(headersOf(operation)).toEqual(['If-Match', 'If-None-Match'])
      expect(Object.keys(operation.responses)).toEqual(['200', '304', 'default'])
      const { 200: ok } = operation.responses
      expect(Object.keys(ok.content)).toEqual(
        expect.arrayContaining(['application/octet-stream', 'application/json']),
      )
    }
  const { head } = paths['/v1/kv']
  expect(head.parameters.filter(({ required }: { required: boolean }) => required)).toEqual([])
  expect(headersOf(paths['/v1/cluster/settings'].post)).toEqual(['Idempotency-Key', 'Kv-Session'])
  for (const [path, required] of [
    ['/v1/cluster/members', true],
    ['/v1/cluster/members/{name}/replace', true],
    ['/v1/cluster/leader', false],
    ['/v1/cluster/settings', false],
  ] as const) {
    expect(paths[path].post.requestBody.required).toBe(required)
    const { status } = await ask('POST', path.replace('{name}', 'n1'), { headers: JSON_TYPE })
    expect([path, status]).toEqual([path, required ? 400 : 200])
  }
})

describe('who may ask', () => {
  // guard.test.ts has the other forms.
  test.each([
    ['127.0.0.1:7301', 200],
    ['KV.example:7301', 200],
    ['evil.example', 421],
  ])('Host: %s is answered with %i', async (Host, status) => {
    const { ask } = await serve({ allowedHosts: ['Kv.Example'] })
    for (const target of ['/v1/kv', '/livez?verbose', '/v1/status']) {
      const answer = await ask('GET', target, { headers: { Host } })
      expect(answer.status).toBe(status)
      if (status === 421) expect(answer.json).toMatchObject(problemOf('host_not_allowed'))
    }
  })

  test('a change with a foreign Origin is refused, a read is not and gets no CORS headers', async () => {
    const { ask, port } = await serve()
    for (const Origin of [
      'http://evil.example',
      'null',
      `http://127.0.0.1:${port + 1}`,
      `https://127.0.0.1:${port}`,
    ]) {
      for (const method of ['PUT', 'DELETE', 'POST']) {
        const target = method === 'POST' ? '/v1/cluster/leader' : '/v1/kv/a'
        const answer = await ask(method, target, { headers: { Origin, ...JSON_TYPE } })
        expect(answer.json).toMatchObject(problemOf('origin_not_allowed'))
      }
      const read = await ask('GET', '/v1/kv', { headers: { Origin } })
      expect(read.status).toBe(200)
      expect(Object.keys(read.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
      const preflight = { Origin, 'Access-Control-Request-Method': 'PUT' }
      expect((await ask('OPTIONS', '/v1/kv/a', { headers: preflight })).json).toMatchObject(
        problemOf('origin_not_allowed'),
      )
    }
    const own = { Origin: `http://127.0.0.1:${port}` }
    expect((await ask('PUT', '/v1/kv/a', { headers: own })).status).toBe(200)
    for (const Host of ['localhost', 'localhost:', 'localhost:80']) {
      const headers = { Host, Origin: 'http://localhost' }
      expect((await ask('PUT', '/v1/kv/a', { headers })).status).toBe(200)
    }
  })
})

describe('what is not served', () => {
  test.each([
    ['GET', '/v1'],
    ['GET', '/v1/'],
    ['GET', '/v1/kvs'],
    ['GET', '/v1/status/'],
    ['GET', '/v1//status'],
    ['POST', '/v1/txn/'],
    ['POST', '/v1/leases/7/other'],
    ['POST', '/v1/cluster/members/n1/other'],
    ['OPTIONS', '*'],
    ['GET', '/favicon.ico'],
  ])('%s %s is 404', async (method, target) => {
    const { ask } = await serve()
    const { json, headers } = await ask(method, target, {
      body: 'a=b',
      headers: { 'Content-Type': 'text/plain' },
    })
    expect(json).toMatchObject(problemOf('route_not_found'))
    expect(headers['content-type']).toBe('application/problem+json')
  })

  test.each([
    ['PATCH', '/v1/kv/a', 'GET, HEAD, PUT, DELETE'],
    ['POST', '/v1/kv/a', 'GET, HEAD, PUT, DELETE'],
    ['POST', '/v1/kv?key=a', 'GET, HEAD, PUT, DELETE'],
    ['PATCH', '/v1/kv', 'GET, HEAD, PUT, DELETE'],
    ['OPTIONS', '/v1/kv/a', 'GET, HEAD, PUT, DELETE'],
    ['PROPFIND', '/v1/kv/a', 'GET, HEAD, PUT, DELETE'],
    ['QUERY', '/v1/kv/a', 'GET, HEAD, PUT, DELETE'],
    ['QUERY', '/v1/status', 'GET, HEAD'],
    ['PUT', '/v1/status', 'GET, HEAD'],
    ['DELETE', '/livez', 'GET, HEAD'],
    ['PUT', '/v1/cluster/settings', 'GET, HEAD, POST'],
    ['GET', '/v1/cluster/members', 'POST'],
    ['GET', '/v1/cluster/members/n1', 'DELETE'],
    ['DELETE', '/v1/cluster/members/n1/replace', 'POST'],
  ])('%s %s is 405, and says what is possible', async (method, target, allow) => {
    const { ask, node } = await serve()
    for (let time = 0; time < 2; time++) {
      const { json, headers } = await ask(method, target, { body: 'a=b' })
      expect(json).toMatchObject(problemOf('method_not_allowed'))
      expect(headers).toMatchObject({ allow, 'content-type': 'application/problem+json' })
    }
    expect([node.asked, node.changes]).toEqual([[], []])
    expect((await ask('GET', '/livez')).status).toBe(200)
  })

  test('an unknown parameter is 400 on every route', async () => {
    const { ask } = await serve()
    for (const target of [
      '/v1/kv',
      '/v1/kv/a',
      '/v1/status',
      '/v1/cluster',
      '/v1/cluster/settings',
      '/livez',
      '/metrics',
    ])
      expect((await ask('GET', `${target}?what=1`)).json).toMatchObject(problemOf('unknown_parameter'))
    expect((await ask('POST', '/v1/cluster/leader?what', post({}))).json).toMatchObject(
      problemOf('unknown_parameter'),
    )
    expect((await ask('GET', '/v1/status?timeout=3s')).status).toBe(200)
  })

  test.each([
    ['no Content-Type', {}, ''],
    ['no Content-Type and a body', {}, '{}'],
    ['a form', { 'Content-Type': 'application/x-www-form-urlencoded' }, 'to=n1'],
    ['plain text', { 'Content-Type': 'text/plain' }, '{}'],
    ['nonsense', { 'Content-Type': 'json' }, '{}'],
    ['a coding', { ...JSON_TYPE, 'Content-Encoding': 'gzip' }, '{}'],
  ])('a POST with %s is 415', async (_, headers, body) => {
    const { ask } = await serve()
    expect((await ask('POST', '/v1/cluster/leader', { headers, body })).json).toMatchObject(
      problemOf('unsupported_media_type'),
    )
  })

  test.each([
    ['PUT', '/v1/kv/a', 'gzip, chunked', 'unsupported_media_type'],
    ['POST', '/v1/cluster/leader', 'gzip, chunked', 'unsupported_media_type'],
    ['PUT', '/v1/kv/a', 'identity', 'bad_request'],
    ['POST', '/v1/cluster/leader', 'identity', 'bad_request'],
  ] as const)('%s %s with the Transfer-Encoding %s is refused', async (method, target, coding, code) => {
    const { raw, node } = await serve()
    const body = coding === 'identity' ? '' : '2\r\n{}\r\n0\r\n\r\n'
    const answer = await raw(
      `${method} ${target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: ${coding}\r\nConnection: close\r\n\r\n${body}`,
    )
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${PROBLEMS[code].status} `))
    expect(answer).toContain(`"code":"${code}"`)
    expect(node.asked).toEqual([])
  })

  test('a POST with parameters of its type is', async () => {
    const { ask } = await serve()
    for (const type of ['Application/JSON; charset=utf-8', 'application/json ;charset=utf-8']) {
      const headers = { 'Content-Type': type }
      expect((await ask('POST', '/v1/cluster/leader', { headers, body: '{}' })).status).toBe(200)
    }
  })

  test.each([
    ['no HTTP at all', 'HELLO\r\n\r\n'],
    ['a broken request line', 'GET /v1/kv/a b HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['bytes that are no URL', 'GET /v1/kv/\xff HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['too long a head', `GET /v1/kv/${'a'.repeat(70_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`],
    ['a length that is no number', 'PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n'],
  ])('%s is a problem too', async (_, bytes) => {
    const { raw } = await serve()
    const answer = await raw(bytes)
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    expect(answer).toContain('Content-Type: application/problem+json')
    expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))).toMatchObject(problemOf('bad_request'))
  })
})

describe('a refused body', () => {
  const put = (bytes: number, more = '') =>
    `PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\n${more}Content-Length: ${bytes}\r\n\r\n`

  test.each([
    ['too large', `${put(5 << 20)}`, 413],
    ['of another cluster', put(5, 'Kv-Cluster: 1\r\n'), 421],
    ['encoded', put(5, 'Content-Encoding: gzip\r\n'), 415],
    ['of a bad condition', put(5, 'If-Match: 7\r\n'), 400],
    ['of a bad token', put(5, 'Idempotency-Key: a b\r\n'), 400],
    ['of too long a key', put(5).replace('/kv/a', `/kv/${'a'.repeat(5000)}`), 400],
    ['of an unknown parameter', put(5).replace('/kv/a', '/kv/a?what'), 400],
    ['of a POST that says nothing of JSON', put(5).replace('PUT /v1/kv/a', 'POST /v1/cluster/leader'), 415],
  ])('is not asked for: %s', async (_, head, status) => {
    const { raw, node, http } = await serve({ limits: { drainMsMax: 50 } })
    for (let time = 0; time < 2; time++) {
      const received = await raw(head.replace('Content-Length', 'Expect: 100-continue\r\nContent-Length'))
      // One answer, and it is not "100 Continue".
      expect(received.match(/HTTP\/1.1 \d+/g)).toEqual([`HTTP/1.1 ${status}`])
      expect(received).toContain('Connection: close')
    }
    expect(node.asked).toEqual([])
    expect(http.inspect()).toMatchObject({ requests: 0, bodyBytes: 0 })
    const welcome = put(5, 'Connection: close\r\nExpect: 100-continue\r\n')
    expect((await raw(`${welcome}12345`)).match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 100', 'HTTP/1.1 200'])
  })
})

describe('closing', () => {
  test('does not wait for idle connections', async () => {
    const { ask, http, port } = await serve()
    const agent = new Agent({ keepAlive: true })
    await ask('GET', '/livez', { agent })
    const silent = connect(port, '127.0.0.1')
    await new Promise<void>((resolve) => silent.once('connect', resolve))
    await http.close({ graceful: true })
    agent.destroy()
    silent.destroy()
  })

  test('makes the node not ready', async () => {
    const { http, port } = await serve()
    const socket = connect(port, '127.0.0.1')
    let received = ''
    socket.on('data', (chunk) => {
      received += chunk.toString()
    })
    // A request that has begun to arrive is answered still.
    socket.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET /readyz HTTP/1.1\r\nHost: ')
    await new Promise((resolve) => socket.once('data', resolve))
    const over = new Promise((resolve) => socket.once('close', resolve))
    const closed = http.close({ graceful: true })
    socket.write('localhost\r\n\r\n')
    await closed
    await over
    expect(received).toContain('503')
    expect(received).toContain('shutting down')
  })
})

test('an address that is taken rejects', async () => {
  const { port } = await serve()
  const other = await serve()
  await expect(other.http.listen('127.0.0.1', port)).rejects.toThrow()
})
