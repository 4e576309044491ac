// One key over HTTP: paths, bodies, entity tags and headers. What an operation means is in the conformance table
// (test/server/api); how a header or parameter is read, in readers.test.ts.

import { describe, expect, test } from 'vitest'
import { serve } from './served.ts'

const problemOf = (code: string, status: number) => ({ status, code, type: `urn:quorate:problem:${code}` })

describe('PUT', () => {
  test('answers with the revisions and an entity tag', async () => {
    const { ask } = await serve()
    const first = await ask('PUT', '/v1/kv/a', { body: 'one' })
    expect(first).toMatchObject({
      status: 200,
      json: { revision: 2, create_revision: 2, mod_revision: 2, version: 1 },
      headers: { etag: '"2"', 'content-type': 'application/json' },
    })
    await ask('PUT', '/v1/kv/b', { body: '' })
    const again = await ask('PUT', '/v1/kv/a', { body: 'two' })
    expect(again.json).toEqual({ revision: 4, create_revision: 2, mod_revision: 4, version: 2 })
    expect(again.headers.etag).toBe('"4"')
  })

  test('stores the bytes as they are, whatever the Content-Type, in chunks or at once', async () => {
    const { ask } = await serve()
    const value = Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i * 7) % 256))
    for (const type of ['application/json', 'text/plain; charset=latin1', 'multipart/form-data']) {
      await ask('PUT', '/v1/kv/a', { body: value, headers: { 'Content-Type': type } })
      expect((await ask('GET', '/v1/kv/a')).bytes.equals(value)).toBe(true)
    }
    const { raw } = await serve()
    const chunked =
      'PUT /v1/kv/c HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n'
    expect(await raw(chunked)).toContain('"version":1')
    expect(await raw(chunked.replace('Encoding: ', 'Encoding: gzip, '))).toContain('unsupported_media_type')
  })

  test('answers with the record before however many ask at once, unless their records are large', async () => {
    const MiB = 1 << 20
    const { ask, node, http } = await serve({ limits: { answersBytesMax: 13 * MiB } })
    node.put('small', 'x')
    node.put('large', Buffer.alloc(MiB))
    for (const [key, asked, taken] of [
      ['small', 100, 100],
      ['large', 3, 2],
    ] as const) {
      // No response is sent before all requests have arrived, except for refusals.
      let refused = 0
      const held: (() => void)[] = []
      const answers = await new Promise<Promise<number>[]>((resolve) => {
        const check = (): void => {
          if (held.length + refused === asked) resolve(all)
        }
        node.hold = (go) => {
          held.push(go)
          check()
        }
        const all = Array.from({ length: asked }, async () => {
          const { status } = await ask('PUT', `/v1/kv/${key}?prev`)
          if (status !== 200) refused++
          check()
          return status
        })
      })
      for (const go of held) go()
      expect((await Promise.all(answers)).filter((status) => status === 200)).toHaveLength(taken)
      expect(refused).toBe(asked - taken)
    }
    expect(http.inspect().answerBytes).toBe(0)
  })

  test('refuses parameters that do not exist', async () => {
    const { ask } = await serve()
    for (const query of ['leases=5', 'consistency=stale', 'x', 'revision=3', 'keys_only'])
      expect(await ask('PUT', `/v1/kv/a?${query}`, { body: '' })).toMatchObject({
        status: 400,
        json: problemOf('unknown_parameter', 400),
      })
    expect((await ask('PUT', '/v1/kv/a?prev=perhaps')).json.code).toBe('bad_request')
    expect((await ask('PUT', '/v1/kv/a?prev&prev')).json.code).toBe('bad_request')
  })

  test('refuses a value over the limit, announced or not, and stores nothing', async () => {
    const { ask, raw } = await serve()
    const most = Buffer.alloc(1 << 20, 1)
    expect((await ask('PUT', '/v1/kv/most', { body: most })).status).toBe(200)
    expect((await ask('GET', '/v1/kv/most')).bytes.equals(most)).toBe(true)
    const over = await ask('PUT', '/v1/kv/a', { body: Buffer.alloc((1 << 20) + 1) })
    expect(over).toMatchObject({ status: 413, json: problemOf('value_too_large', 413) })
    const chunk = `100000\r\n${'x'.repeat(1 << 20)}\r\n`
    const head =
      'PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n'
    expect(await raw(`${head}${chunk}${chunk}0\r\n\r\n`)).toContain('value_too_large')
    expect((await ask('GET', '/v1/kv/a')).status).toBe(404)
  })
})

describe('GET', () => {
  test('ignores Range', async () => {
    const { ask } = await serve()
    await ask('PUT', '/v1/kv/a', { body: 'abcdef' })
    const { status, text } = await ask('GET', '/v1/kv/a', { headers: { Range: 'bytes=1-2' } })
    expect([status, text]).toEqual([200, 'abcdef'])
  })

  test.each([
    ['"2"', 304],
    ['W/"2"', 304],
    ['"1", "2"', 304],
    ['*', 304],
    ['"1"', 200],
    ['"other"', 200],
  ])('with If-None-Match: %s is %i', async (tag, status) => {
    const { ask } = await serve()
    await ask('PUT', '/v1/kv/a', { body: 'abc' })
    for (const method of ['GET', 'HEAD']) {
      const answer = await ask(method, '/v1/kv/a', { headers: { 'If-None-Match': tag } })
      expect(answer.status).toBe(status)
      expect(answer.headers).toMatchObject({
        etag: '"2"',
        vary: 'Accept',
        'cache-control': 'no-cache',
        'kv-revision': '2',
      })
      if (status === 304) {
        expect(answer.bytes.length).toBe(0)
        expect(answer.headers).not.toHaveProperty('content-length')
      }
    }
  })

  test('HEAD answers like GET without the body', async () => {
    const { ask } = await serve()
    await ask('PUT', '/v1/kv/a', { body: 'abc' })
    const { date: _, ...get } = (await ask('GET', '/v1/kv/a')).headers
    const head = await ask('HEAD', '/v1/kv/a')
    expect(head).toMatchObject({ status: 200, headers: get, text: '' })
    const missing = await ask('HEAD', '/v1/kv/b')
    expect(missing).toMatchObject({
      status: 404,
      text: '',
      headers: { 'content-type': 'application/problem+json' },
    })
  })
})

test('DELETE ignores a body', async () => {
  const { ask } = await serve()
  expect((await ask('DELETE', '/v1/kv/a', { body: 'what' })).status).toBe(200)
})

describe('a key in the path', () => {
  test.each([
    ['a%2Fb', 'a/b'],
    ['a/b', 'a/b'],
    ['//a//b/', '//a//b/'],
    ['a/../b', 'a/../b'],
    ['.', '.'],
    ['..', '..'],
    ['%2e%2E', '..'],
    ['a+b', 'a+b'],
    ['a%2Bb', 'a+b'],
    ['a%20b', 'a b'],
    ['caf%C3%A9', 'café'],
    ['a;b=c@d:e&f$g!h*i\'j(k)l,m~n"o<p>', 'a;b=c@d:e&f$g!h*i\'j(k)l,m~n"o<p>'],
    ['%3F', '?'],
    ['%23', '#'],
    ['a%00b', 'a\0b'],
    ['%25%32%46', '%2F'],
  ])('%s is the key %j', async (path, key) => {
    const { ask } = await serve()
    expect((await ask('PUT', `/v1/kv/${path}`, { body: 'v' })).status).toBe(200)
    expect((await ask('GET', '/v1/kv?keys_only')).json.kvs.map((kv: { key: unknown }) => kv.key)).toEqual([
      key,
    ])
    expect((await ask('GET', `/v1/kv/${path}`)).text).toBe('v')
    // The other form of the same resource.
    const form = `/v1/kv?key=${encodeURIComponent(key)}`
    for (const method of ['GET', 'HEAD']) expect((await ask(method, form)).status).toBe(200)
    expect((await ask('PUT', form, { body: 'w' })).json.version).toBe(2)
    expect((await ask('DELETE', form)).json.deleted).toBe(1)
  })

  test('must not be empty', async () => {
    const { ask } = await serve()
    for (const [method, target] of [
      ['GET', '/v1/kv/'],
      ['PUT', '/v1/kv/'],
      ['DELETE', '/v1/kv/'],
      ['PUT', '/v1/kv'],
      ['DELETE', '/v1/kv'],
      ['GET', '/v1/kv?key='],
      ['HEAD', '/v1/kv?key'],
      ['PUT', '/v1/kv?key='],
      ['PUT', '/v1/kv/?prev'],
    ] as const) {
      const { status, json } = await ask(method === 'HEAD' ? 'GET' : method, target)
      expect({ target, status, code: json.code }).toEqual({ target, status: 400, code: 'key_empty' })
    }
  })

  test('is given once', async () => {
    const { ask } = await serve()
    expect((await ask('GET', '/v1/kv/a?key=b')).json.code).toBe('unknown_parameter')
    expect((await ask('GET', '/v1/kv?key=a&key=b')).json.code).toBe('bad_request')
    expect((await ask('GET', '/v1/kv?key=a&prefix=b')).json.code).toBe('unknown_parameter')
  })

  // A range can be deleted at /v1/kv alone. The parameter identifies it, not the missing key.
  test.each(['prefix=a', 'prefix=', 'prefix=&all=true', 'start=a&end=b', 'all'])(
    'is what is changed: ?%s is not known',
    async (query) => {
      const { ask, node } = await serve()
      for (const [method, path] of [
        ['PUT', '/v1/kv'],
        ['PUT', '/v1/kv/'],
        ['DELETE', '/v1/kv/'],
      ] as const)
        expect((await ask(method, `${path}?${query}`)).json).toMatchObject(
          problemOf('unknown_parameter', 400),
        )
      expect(node.asked).toEqual([])
    },
  )

  test('of an absolute-form target is the same', async () => {
    const { ask, port } = await serve()
    expect((await ask('PUT', `http://127.0.0.1:${port}/v1/kv/a//b`)).status).toBe(200)
    expect((await ask('GET', '/v1/kv/a//b')).status).toBe(200)
    expect((await ask('GET', `http://127.0.0.1:${port}/v1/status`)).status).toBe(200)
  })
})

test('a weak tag, and one that is no revision, never fulfil If-Match; a weak one counts for If-None-Match', async () => {
  const { ask } = await serve()
  await ask('PUT', '/v1/kv/k')
  const put = (headers: Record<string, string>) => ask('PUT', '/v1/kv/k', { headers })
  for (const tag of ['W/"2"', '"02"', '"99999999999999999999"', '"what,\\ever"'])
    expect(await put({ 'If-Match': tag })).toMatchObject({ status: 412, headers: { etag: '"2"' } })
  expect((await put({ 'If-None-Match': 'W/"2"' })).status).toBe(412)
  expect((await put({ 'If-Match': '"1" ,, "2",' })).status).toBe(200)
  const missing = await ask('PUT', '/v1/kv/none', { headers: { 'If-Match': '*' } })
  expect([missing.status, missing.headers.etag]).toEqual([412, undefined])
})

describe('reads', () => {
  test('hand their conditions down', async () => {
    const { ask, node } = await serve()
    await ask('GET', '/v1/kv/a?consistency=stale&max_staleness=1.5s&min_revision=7&timeout=2s')
    const { options } = node.asked.at(-1) ?? {}
    expect(options).toMatchObject({ consistency: 'stale', maxStalenessMs: 1500, minRevision: 7 })
    expect(options?.timeoutMs).toBeGreaterThan(1500)
    expect(options?.timeoutMs).toBeLessThan(2000)
    await ask('GET', '/v1/kv/a')
    const { maxStalenessMs, minRevision, timeoutMs = 0 } = node.asked.at(-1)?.options ?? {}
    expect({ maxStalenessMs, minRevision }).toEqual({ maxStalenessMs: undefined, minRevision: undefined })
    expect(timeoutMs).toBeGreaterThan(4000)
    expect(timeoutMs).toBeLessThan(5000)
  })
})

test('every answer under /v1 names cluster, node, term, revision and leader', async () => {
  const { ask, node } = await serve()
  await ask('PUT', '/v1/kv/a')
  const expected = {
    'kv-cluster': '4242',
    'kv-node': 'n1',
    'kv-term': '3',
    'kv-revision': '2',
    'kv-leader': 'n2',
  }
  for (const [method, target, headers] of [
    ['GET', '/v1/kv/a', {}],
    ['GET', '/v1/kv/none', {}],
    ['GET', '/v1/kv/%', {}],
    ['GET', '/v1/kv', {}],
    ['GET', '/v1/kv', { Accept: 'application/x-ndjson' }],
    ['GET', '/v1/status', {}],
    ['GET', '/v1/none', {}],
    ['PATCH', '/v1/kv/a', {}],
    ['PUT', '/v1/kv/a', { 'If-Match': '"7"' }],
    ['PUT', '/v1/kv/a', { 'Content-Encoding': 'br' }],
    ['POST', '/v1/cluster/leader', {}],
    ['GET', '/v1/kv/a', { 'Kv-Cluster': '1' }],
    ['GET', '/%761/statu%73', {}],
    ['GET', '/v%31/status', {}],
    ['GET', '/v1/kv/a', { Host: 'evil.example' }],
  ] as const)
    expect((await ask(method, target, { headers })).headers).toMatchObject(expected)
  node.leaderName = undefined
  expect((await ask('GET', '/v1/kv/a')).headers).not.toHaveProperty('kv-leader')
})
