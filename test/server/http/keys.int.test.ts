// One key over HTTP: paths, bodies, entity tags and headers. What an operation means is in the conformance table
// (test/server/api); how a header or parameter is read, in readers.test.ts.

import { describe, expect, test } from 'vitest'
import { serve } from './served.ts'

const problemOf = (code: string, status: number) => ({ status, code, type: `urn:quorate:problem:${code}` })

describe('PUT', () => {
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
  // The transcripts show that those of other answers do.
  for (const [target, headers] of [
    ['/%761/statu%73', {}],
    ['/v%31/status', {}],
    ['/v1/kv/a', { Host: 'evil.example' }],
  ] as const)
    expect((await ask('GET', target, { headers })).headers).toMatchObject(expected)
  node.leaderName = undefined
  expect((await ask('GET', '/v1/kv/a')).headers).not.toHaveProperty('kv-leader')
})
