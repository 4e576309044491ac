// One key: PUT, GET, HEAD, DELETE. Every cell of the table in docs/reference/http.md that speaks of them.

import { describe, expect, test } from 'vitest'
import type { Outcome } from '../../../src/kv/index.ts'
import type { Problem } from '../../../src/server/node/types.ts'
import { FakeNode } from './fake-node.ts'
import { JSON_TYPE, serve } from './served.ts'

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

  test.each([
    ['with Content-Length 0', { body: '' }],
    ['without a body', {}],
  ])('%s stores the empty value', async (_, asking) => {
    const { ask } = await serve()
    expect((await ask('PUT', '/v1/kv/a', asking)).status).toBe(200)
    const { status, bytes, headers } = await ask('GET', '/v1/kv/a')
    expect([status, bytes.length, headers['content-length']]).toEqual([200, 0, '0'])
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

  test('is proposed as it was asked, by nobody in particular', async () => {
    const { ask, node } = await serve()
    await ask('PUT', '/v1/kv/a', { body: 'x', headers: { 'Idempotency-Key': 't;since=1' } })
    expect(node.asked).toEqual([
      {
        timeoutMs: expect.any(Number),
        request: {
          command: {
            ...{ kind: 'put', key: Buffer.from('a'), value: Buffer.from('x') },
            ...{ condition: undefined, prev: false },
          },
          idempotency: { token: 't', since: 1 },
          principal: '',
        },
      },
    ])
  })

  test('refuses a Content-Encoding and a Content-Range', async () => {
    const { ask } = await serve()
    const encoded = await ask('PUT', '/v1/kv/a', { body: 'x', headers: { 'Content-Encoding': 'gzip' } })
    expect(encoded).toMatchObject({ status: 415, json: problemOf('unsupported_media_type', 415) })
    const ranged = await ask('PUT', '/v1/kv/a', { body: 'x', headers: { 'Content-Range': 'bytes 0-0/1' } })
    expect(ranged).toMatchObject({ status: 400, json: problemOf('bad_request', 400) })
    expect((await ask('GET', '/v1/kv/a')).status).toBe(404)
  })

  test.each(['prev', 'prev=', 'prev=true'])('?%s answers with the record before', async (query) => {
    const { ask } = await serve()
    expect((await ask('PUT', `/v1/kv/a?${query}`, { body: 'one' })).json).toEqual({
      revision: 2,
      create_revision: 2,
      mod_revision: 2,
      version: 1,
      prev: null,
    })
    expect((await ask('PUT', `/v1/kv/a?${query}`, { body: Buffer.from([0xff]) })).json.prev).toEqual({
      key: 'a',
      value: 'one',
      create_revision: 2,
      mod_revision: 2,
      version: 1,
    })
    expect((await ask('PUT', `/v1/kv/a?${query}`, { body: '' })).json.prev.value).toEqual({ base64: '/w==' })
    expect((await ask('PUT', '/v1/kv/a?prev=false', { body: '' })).json).not.toHaveProperty('prev')
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

  test('over a replicated limit is refused by apply', async () => {
    const node = new FakeNode({ valueBytesMax: 3, keyBytesMax: 2, storeBytesMax: 8 })
    const { ask } = await serve({ node })
    expect((await ask('PUT', '/v1/kv/a', { body: '1234' })).json).toMatchObject(
      problemOf('value_too_large', 413),
    )
    expect((await ask('PUT', '/v1/kv/abc')).json).toMatchObject(problemOf('key_too_long', 400))
    await ask('PUT', '/v1/kv/a', { body: '123' })
    await ask('PUT', '/v1/kv/b', { body: '123' })
    expect((await ask('PUT', '/v1/kv/c')).json).toMatchObject(problemOf('storage_full', 507))
    expect((await ask('DELETE', '/v1/kv/b')).json).toEqual({ deleted: 1, revision: 4 })
  })
})

describe('GET', () => {
  test('answers with the bytes', async () => {
    const { ask } = await serve()
    await ask('PUT', '/v1/kv/a', { body: Buffer.from([0, 255, 10]) })
    const { status, headers, bytes } = await ask('GET', '/v1/kv/a')
    expect(status).toBe(200)
    expect([...bytes]).toEqual([0, 255, 10])
    expect(headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-cache',
      vary: 'Accept',
      etag: '"2"',
      'content-length': '3',
      'kv-consistency': 'linearizable',
    })
  })

  test('of a missing key is 404', async () => {
    const { ask } = await serve()
    const { status, headers, json } = await ask('GET', '/v1/kv/a')
    expect(status).toBe(404)
    expect(json).toMatchObject(problemOf('not_found', 404))
    expect(headers).toMatchObject({
      'content-type': 'application/problem+json',
      'cache-control': 'no-cache',
      'kv-consistency': 'linearizable',
    })
  })

  test.each([
    ['application/json', true],
    ['application/json; charset=utf-8', true],
    ['text/html, application/json;q=0.5', true],
    ['APPLICATION/JSON', true],
    ['application/json, */*', false],
    ['application/json, text/plain, */*;q=0.1', false],
    ['*/*', false],
    ['application/*', false],
    ['application/json;q=0', false],
    ['text/plain', false],
    ['', false],
  ])('with Accept: %s is the JSON record: %s', async (Accept, isRecord) => {
    const { ask } = await serve()
    await ask('PUT', '/v1/kv/a', { body: '{"x":1}' })
    const { headers, text } = await ask('GET', '/v1/kv/a', { headers: { Accept } })
    expect(headers).toMatchObject({ etag: '"2"', vary: 'Accept', 'cache-control': 'no-cache' })
    if (isRecord) {
      expect(headers['content-type']).toBe('application/json')
      expect(JSON.parse(text)).toEqual({
        key: 'a',
        value: '{"x":1}',
        create_revision: 2,
        mod_revision: 2,
        version: 1,
      })
    } else expect([headers['content-type'], text]).toEqual(['application/octet-stream', '{"x":1}'])
  })

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

  test('with If-Match that does not hold is 412', async () => {
    const { ask } = await serve()
    await ask('PUT', '/v1/kv/a', { body: 'abc' })
    expect((await ask('GET', '/v1/kv/a', { headers: { 'If-Match': '"1"' } })).status).toBe(412)
    expect((await ask('GET', '/v1/kv/a', { headers: { 'If-Match': '"2"' } })).status).toBe(200)
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

describe('DELETE', () => {
  test('says whether there was something', async () => {
    const { ask } = await serve()
    await ask('PUT', '/v1/kv/a')
    expect((await ask('DELETE', '/v1/kv/a')).json).toEqual({ deleted: 1, revision: 3 })
    const again = await ask('DELETE', '/v1/kv/a')
    expect(again).toMatchObject({
      status: 200,
      json: { deleted: 0, revision: 3 },
      headers: { 'kv-revision': '3' },
    })
    expect((await ask('DELETE', '/v1/kv/a?prev')).json.code).toBe('unknown_parameter')
  })

  test('ignores a body', async () => {
    const { ask } = await serve()
    expect((await ask('DELETE', '/v1/kv/a', { body: 'what' })).status).toBe(200)
  })
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

  test('may be any bytes', async () => {
    const { ask } = await serve()
    const escaped = Array.from({ length: 256 }, (_, i) => `%${i.toString(16).padStart(2, '0')}`).join('')
    await ask('PUT', `/v1/kv/${escaped}`, { body: 'v' })
    const record = await ask('GET', `/v1/kv?key=${escaped.toUpperCase()}`, {
      headers: { Accept: 'application/json' },
    })
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
    expect(record.json.key).toEqual({ base64: bytes.toString('base64') })
  })

  test('may be as long as 4096 bytes, every one of them escaped', async () => {
    const { ask } = await serve()
    const longest = '%ff'.repeat(4096)
    expect((await ask('PUT', `/v1/kv/${longest}`)).status).toBe(200)
    expect((await ask('GET', `/v1/kv?key=${longest}`)).status).toBe(200)
    for (const method of ['GET', 'PUT', 'DELETE'])
      expect((await ask(method, `/v1/kv/${longest}x`)).json).toMatchObject(problemOf('key_too_long', 400))
  })

  test.each(['%', 'a%2', '%zz', '%-1', 'a%2/b'])('with the bad escape %s is refused', async (path) => {
    const { ask } = await serve()
    expect((await ask('PUT', `/v1/kv/${path}`)).json).toMatchObject(problemOf('bad_request', 400))
    expect((await ask('GET', `/v1/kv?key=${path}`)).json).toMatchObject(problemOf('bad_request', 400))
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

  test('in a query has + for a space', async () => {
    const { ask } = await serve()
    await ask('PUT', '/v1/kv?key=a+b%2Bc')
    expect((await ask('GET', '/v1/kv/a%20b+c')).status).toBe(200)
  })

  test('is given once', async () => {
    const { ask } = await serve()
    expect((await ask('GET', '/v1/kv/a?key=b')).json.code).toBe('unknown_parameter')
    expect((await ask('GET', '/v1/kv?key=a&key=b')).json.code).toBe('bad_request')
    expect((await ask('GET', '/v1/kv?key=a&prefix=b')).json.code).toBe('unknown_parameter')
  })

  test('is found wherever it stands, and only under its own name', async () => {
    const { ask } = await serve()
    const form = { headers: { Accept: 'application/json' } }
    expect((await ask('PUT', '/v1/kv?timeout=3s&key=a&prev', { body: '1' })).json.prev).toBeNull()
    expect((await ask('GET', '/v1/kv?timeout=3s&key=a&consistency=stale', form)).json.key).toBe('a')
    for (const name of ['monkey', 'keys', 'Key'])
      for (const method of ['PUT', 'GET', 'DELETE'])
        expect((await ask(method, `/v1/kv?${name}=a`)).json).toMatchObject({
          code: 'unknown_parameter',
          detail: expect.stringContaining(`"${name}"`),
        })
  })

  test('is found however its name is written', async () => {
    const { ask } = await serve()
    for (const name of ['key', '%6bey', 'k%65y', 'ke%79', '%6B%65%79'])
      for (const [method, status] of [
        ['PUT', 200],
        ['GET', 200],
        ['DELETE', 200],
        ['GET', 404],
      ] as const)
        expect([name, method, (await ask(method, `/v1/kv?${name}=a`)).status]).toEqual([name, method, status])
    expect((await ask('GET', '/v1/kv?key=a&ke%79=b')).json.code).toBe('bad_request')
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

describe('preconditions', () => {
  const AT_3 = { key: 'k', create_revision: 2, mod_revision: 3, version: 2 }

  test.each([
    // header, value, status on a missing key, status on a key at revision 3
    ['If-Match', '*', 412, 200],
    ['If-Match', '"3"', 412, 200],
    ['If-Match', '"2"', 412, 412],
    ['If-Match', '"1", "3"', 412, 200],
    ['If-Match', '"1" ,, "3",', 412, 200],
    ['If-Match', 'W/"3"', 412, 412],
    ['If-Match', '"03"', 412, 412],
    ['If-Match', '"99999999999999999999"', 412, 412],
    ['If-Match', '"what,\\ever"', 412, 412],
    ['If-None-Match', '*', 200, 412],
    ['If-None-Match', '"3"', 200, 412],
    ['If-None-Match', 'W/"3"', 200, 412],
    ['If-None-Match', '"2"', 200, 200],
    ['If-None-Match', '"2", "3"', 200, 412],
    ['If-Match', '3', 400, 400],
    ['If-Match', '', 400, 400],
    ['If-Match', ' , ', 400, 400],
    ['If-Match', '*, "3"', 400, 400],
    ['If-Match', '"3" "4"', 400, 400],
    ['If-Match', 'w/"3"', 400, 400],
    ['If-None-Match', "'3'", 400, 400],
    ['If-None-Match', '"3', 400, 400],
  ] as const)('%s: %s', async (header, value, onMissing, onRevision3) => {
    for (const method of ['PUT', 'DELETE']) {
      const { ask } = await serve()
      const headers = { [header]: value }
      const missing = await ask(method, '/v1/kv/k', { headers })
      expect(missing.status).toBe(onMissing)
      if (onMissing === 412) {
        expect(missing.json).toMatchObject({ ...problemOf('precondition_failed', 412), current: null })
        expect(missing.headers).not.toHaveProperty('etag')
      }
    }
    for (const method of ['PUT', 'DELETE']) {
      const { ask } = await serve()
      for (const body of ['1', '2']) await ask('PUT', '/v1/kv/k', { body })
      const present = await ask(method, '/v1/kv/k', { headers: { [header]: value } })
      expect(present.status).toBe(onRevision3)
      if (onRevision3 === 412) {
        expect(present.json).toMatchObject({ ...problemOf('precondition_failed', 412), current: AT_3 })
        expect(present.json.current).toEqual(AT_3)
        expect(present.headers).toMatchObject({ etag: '"3"', 'kv-revision': '3' })
      }
      if (onRevision3 !== 200) expect((await ask('GET', '/v1/kv/k')).text).toBe('2')
    }
  })

  test('If-Match goes first when both are given', async () => {
    const { ask } = await serve()
    await ask('PUT', '/v1/kv/k')
    const both = { 'If-Match': '"2"', 'If-None-Match': '"9"' }
    expect((await ask('PUT', '/v1/kv/k', { headers: both })).status).toBe(200)
    expect((await ask('PUT', '/v1/kv/k', { headers: both })).status).toBe(412)
    const never = { 'If-Match': '*', 'If-None-Match': '*' }
    expect((await ask('DELETE', '/v1/kv/k', { headers: never })).status).toBe(412)
  })
})

describe('reads', () => {
  test('are served as asked, and say how', async () => {
    const { ask, node } = await serve()
    await ask('PUT', '/v1/kv/a')
    node.stalenessMs = 12.3
    for (const target of ['/v1/kv/a', '/v1/kv?prefix=a', '/v1/kv/none']) {
      const join = target.includes('?') ? '&' : '?'
      for (const [query, served] of [
        ['', 'linearizable'],
        ['consistency=linearizable', 'linearizable'],
        ['consistency=lease', 'lease'],
        ['consistency=stale', 'stale'],
      ]) {
        const { headers } = await ask('GET', query === '' ? target : target + join + query)
        expect(headers['kv-consistency']).toBe(served)
        expect(headers['kv-staleness-ms']).toBe(served === 'stale' ? '13' : undefined)
      }
    }
    node.stalenessMs = undefined
    expect((await ask('GET', '/v1/kv/a?consistency=stale')).headers).not.toHaveProperty('kv-staleness-ms')
    node.served = 'linearizable'
    expect((await ask('GET', '/v1/kv/a?consistency=lease')).headers['kv-consistency']).toBe('linearizable')
  })

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

  test.each([
    'consistency=strong',
    'max_staleness=5',
    'max_staleness=0ms',
    'max_staleness=-1s',
    'min_revision=0',
    'min_revision=x',
    'min_revision=1e3',
    'timeout=0s',
    'timeout=61s',
    'timeout=2m',
    'timeout=5',
    'timeout=',
  ])('with ?%s are refused', async (query) => {
    const { ask } = await serve()
    for (const target of ['/v1/kv/a', '/v1/kv'])
      expect((await ask('GET', `${target}?${query}`)).json).toMatchObject(problemOf('bad_request', 400))
  })

  test('accept durations in ms, s, m and h up to a minute, and staleness up to a day', async () => {
    const { ask } = await serve()
    for (const text of ['1ms', '0.5s', '60s', '1m', '60000ms', '0.001h'])
      expect((await ask('GET', `/v1/kv?timeout=${text}`)).status).toBe(200)
    const ofStaleness = async (text: string) =>
      (await ask('GET', `/v1/kv?consistency=stale&max_staleness=${text}`)).status
    expect([await ofStaleness('24h'), await ofStaleness('24.001h')]).toEqual([200, 400])
  })
})

describe('what the node answers', () => {
  const problems: readonly (readonly [Problem['code'], Problem['written'], string, number])[] = [
    ['no_leader', 'no', 'no_leader', 503],
    ['no_quorum', 'no', 'no_quorum', 503],
    ['not_ready', 'no', 'not_ready', 503],
    ['overloaded', 'no', 'overloaded', 429],
    ['too_stale', 'no', 'too_stale', 503],
    ['revision_behind', 'no', 'revision_behind', 503],
    ['membership_refused', 'no', 'membership_refused', 409],
    ['request_too_large', 'no', 'request_too_large', 413],
    ['outcome_unknown', 'unknown', 'outcome_unknown', 504],
    ['internal', 'unknown', 'internal', 500],
    // Never a code that means "not written" for a change that may have been written.
    ['no_quorum', 'unknown', 'outcome_unknown', 504],
  ]

  test.each(problems)('%s (written: %s) is %s, %i', async (code, written, expected, status) => {
    const { ask, node } = await serve()
    node.problem = { code, written, detail: 'because' }
    for (const method of ['PUT', 'GET', 'DELETE']) {
      const answer = await ask(method, '/v1/kv/a')
      expect(answer.status).toBe(status)
      expect(answer.json).toMatchObject({
        ...problemOf(expected, status),
        detail: 'because',
        title: expect.any(String),
      })
      expect(answer.headers['content-type']).toBe('application/problem+json')
      if (status === 503 || status === 429) {
        expect(answer.headers['retry-after']).toMatch(/^[1-9][0-9]*$/)
        expect(answer.json.retry_after_ms).toBeGreaterThan(0)
      } else expect(answer.headers).not.toHaveProperty('retry-after')
    }
  })

  test('the outcome of another command is an internal error that names it', async () => {
    const { ask, node } = await serve()
    const settings: Outcome = { kind: 'settings', revision: node.revision, settings: node.state.settings }
    const deleted: Outcome = { kind: 'delete', revision: node.revision, deleted: 0, prev: undefined }
    const post = { body: '{"key_bytes_max":9}', headers: JSON_TYPE }
    for (const [method, target, asking, outcome] of [
      ['PUT', '/v1/kv/a', {}, settings],
      ['PUT', '/v1/kv/a', {}, deleted],
      ['DELETE', '/v1/kv/a', {}, settings],
      ['POST', '/v1/cluster/settings', post, deleted],
    ] as const) {
      node.propose = (_request, _timeoutMs, done) => done({ ok: true, value: { outcome, replayed: false } })
      expect((await ask(method, target, asking)).json).toMatchObject({
        ...problemOf('internal', 500),
        detail: expect.stringContaining(`another command: ${outcome.kind}`),
      })
    }
  })

  test('room for the record before is given back when the node fails in the middle', async () => {
    const { ask, node, http } = await serve()
    node.put('a', 'x')
    node.propose = () => {
      throw new Error('out of order')
    }
    expect((await ask('PUT', '/v1/kv/a?prev=true', { body: '1' })).json).toMatchObject({ code: 'internal' })
    expect(http.inspect().answerBytes).toBe(0)
  })

  test('a read that fails is 500 and is reported', async () => {
    const { ask, node, logged } = await serve()
    await ask('PUT', '/v1/kv/a')
    node.corrupt = () => true
    expect((await ask('GET', '/v1/kv/a')).json).toMatchObject(problemOf('internal', 500))
    expect(logged.join()).toContain('CRC')
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
