// /openapi.json against the answers themselves: programs are written by it.

import { expect, test } from 'vitest'
import { CLUSTER_VERSION } from '../../../src/operations/forms/settings.ts'
import { asReplicaId } from '../../../src/raft/types.ts'
import { FakeNode, memberOf } from './fake-node.ts'
import { JSON_TYPE, type Served, serve } from './served.ts'

interface Schema {
  readonly $ref?: string
  readonly type?: string
  readonly const?: unknown
  readonly format?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
  readonly description?: string
}

interface Parameter {
  readonly name: string
  readonly in: string
  readonly required?: boolean
  readonly schema: Schema
}

interface Operation {
  readonly summary: string
  readonly parameters: readonly Parameter[]
  readonly requestBody?: { readonly content: Content }
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Content }>>
}

type Content = Readonly<Record<string, { readonly schema: Schema }>>
type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>

async function pathsOf({ ask }: Served): Promise<Paths> {
  return (await ask('GET', '/openapi.json')).json.paths
}

/** Schemas that others refer to, by what they call them. */
async function namedIn({ ask }: Served): Promise<Named> {
  const { schemas } = (await ask('GET', '/openapi.json')).json.components
  return Object.fromEntries(
    Object.entries<Schema>(schemas).map(([name, schema]) => [`#/components/schemas/${name}`, schema]),
  )
}

type Named = Readonly<Record<string, Schema>>
const NOTHING_NAMED: Named = {}

/** Where a value differs from its schema; a field that the schema does not name is a difference too. */
function differences(schema: Schema, value: unknown, named = NOTHING_NAMED, at = ''): string[] {
  if (schema.$ref !== undefined) {
    const meant = named[schema.$ref]
    return meant === undefined ? [`${at}: ${schema.$ref} is nowhere`] : differences(meant, value, named, at)
  }
  if (schema.anyOf !== undefined) {
    if (schema.anyOf.length === 0) return [`${at}: none of nothing`]
    const tried = schema.anyOf.map((one) => differences(one, value, named, at))
    return tried.find((found) => found.length === 0) ?? tried.flat()
  }
  if (schema.const !== undefined) return value === schema.const ? [] : [`${at} is not ${schema.const}`]
  const type = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value
  const wanted = schema.type === 'integer' && Number.isInteger(value) ? 'number' : schema.type
  if (type !== wanted) return [`${at}: ${schema.type} has ${JSON.stringify(value)}`]
  if (Array.isArray(value))
    return value.flatMap((item, i) =>
      schema.items ? differences(schema.items, item, named, `${at}/${i}`) : [`${at}: items`],
    )
  if (typeof value !== 'object' || value === null) return []
  const { properties = {}, required = [] } = schema
  return [
    ...required.filter((name) => !Object.hasOwn(value, name)).map((name) => `${at}/${name} is missing`),
    ...Object.entries(value).flatMap(([name, field]) => {
      const known = properties[name]
      return known === undefined
        ? [`${at}/${name} is not described`]
        : differences(known, field, named, `${at}/${name}`)
    }),
  ]
}

const POST = (body: object) => ({ body: JSON.stringify(body), headers: JSON_TYPE })

test('every answer has the fields that are described, and no others', async () => {
  const node = new FakeNode()
  const served = await serve({ node })
  const paths = await pathsOf(served)
  const named = await namedIn(served)
  const N4 = { replica_id: '44', peer: 'h:7004', url: 'http://h:8004' }
  const json = 'application/json'
  node.put('a', 'one')
  node.put('b', Buffer.from([0xff]))
  const check = async (
    method: string,
    path: string,
    target = path,
    asking: { readonly body?: string; readonly headers?: Record<string, string> } = {},
  ): Promise<void> => {
    const content = paths[path]?.[method.toLowerCase()]?.responses['200']?.content?.[json]
    const answer = await served.ask(method, target, asking)
    expect([target, answer.status, answer.headers['content-type']]).toEqual([target, 200, json])
    expect([target, content && differences(content.schema, answer.json, named)]).toEqual([target, []])
  }
  for (const role of ['follower', 'leader'] as const) {
    node.role = role
    await check('GET', '/v1/status')
    await check('GET', '/v1/cluster')
  }
  node.leaderName = undefined
  await check('GET', '/v1/status')
  await check('GET', '/v1/cluster')
  await check('GET', '/livez')
  await check('GET', '/livez', '/livez?verbose')
  await check('GET', '/readyz')
  await check('GET', '/readyz', '/readyz?verbose')
  await check('GET', '/v1/cluster/settings')
  await check('POST', '/v1/cluster/settings', '/v1/cluster/settings', POST({ value_bytes_max: 9 }))
  await check('POST', '/v1/cluster/members', '/v1/cluster/members', POST({ name: 'n4', ...N4 }))
  await check(
    'POST',
    '/v1/cluster/members/{name}/replace',
    '/v1/cluster/members/n3/replace',
    POST({ ...N4, replica_id: '45', name: 'n5' }),
  )
  await check('DELETE', '/v1/cluster/members/{name}', '/v1/cluster/members/n5')
  await check('POST', '/v1/cluster/leader', '/v1/cluster/leader', POST({ to: 'n2' }))
  await check('PUT', '/v1/kv/{key}', '/v1/kv/c', { body: 'x' })
  await check('PUT', '/v1/kv/{key}', '/v1/kv/d?prev', { body: 'x' })
  await check('PUT', '/v1/kv/{key}', '/v1/kv/a?prev', { body: 'x' })
  await check('PUT', '/v1/kv/{key}', '/v1/kv/b?prev', { body: 'x' })
  await check('DELETE', '/v1/kv/{key}', '/v1/kv/b')
  await check('DELETE', '/v1/kv/{key}', '/v1/kv/b')
  const absent = { key: 'a', if_none_match: '*' }
  const changes = [{ put: { key: 'a', value: 'x' } }, { delete: { key: 'b' } }, { delete: absent }]
  await check('POST', '/v1/changes', '/v1/changes', POST({ changes }))
  const transact = (success: readonly object[], headers: Record<string, string> = {}) =>
    check('POST', '/v1/txn', '/v1/txn', {
      body: JSON.stringify({ success }),
      headers: { ...JSON_TYPE, ...headers },
    })
  const reads = [{ get: { key: 'a' } }, { get: { prefix: '', keys_only: true } }]
  const nested = { txn: { compare: [{ key: 'none', exists: true }], failure: [{ delete: { key: 'none' } }] } }
  await transact([])
  await transact([...reads, nested])
  await transact([...reads, { put: { key: 'a', value: 'x', prev: true } }])
  await transact([{ delete: { prefix: 'a', prev: true } }, { put: { key: 'c', value: '' } }])
  for (let time = 0; time < 2; time++) await transact([...reads, nested], { 'Idempotency-Key': 't' })
  const granted = await served.ask('POST', '/v1/leases', POST({ ttl: '30s' }))
  const { id } = granted.json
  await check('POST', '/v1/leases', '/v1/leases', POST({ ttl: '1s', id: '7' }))
  await check('PUT', '/v1/kv/{key}', `/v1/kv/e?lease=${id}`, { body: 'x' })
  await check('PUT', '/v1/kv/{key}', '/v1/kv/f?ttl=30s&prev', { body: 'x' })
  await check('PUT', '/v1/kv/{key}', `/v1/kv/e?lease=${id}&prev`, { body: 'x' })
  await check('GET', '/v1/kv/{key}', '/v1/kv/e', { headers: { Accept: json } })
  await check('GET', '/v1/kv', '/v1/kv?prefix=e')
  await transact([{ get: { key: 'e' } }])
  await check('POST', '/v1/leases/{id}/keepalive', `/v1/leases/${id}/keepalive`, POST({}))
  await check('POST', '/v1/leases/keepalive', '/v1/leases/keepalive', POST({ ids: [id, '8'] }))
  await check('GET', '/v1/leases/{id}', `/v1/leases/${id}`)
  await check('GET', '/v1/leases/{id}', `/v1/leases/${id}?keys`)
  await check('GET', '/v1/leases')
  await check('GET', '/v1/leases', '/v1/leases?limit=1')
  await check('DELETE', '/v1/leases/{id}', `/v1/leases/${id}`)
  await check('DELETE', '/v1/kv', '/v1/kv?prefix=b')
  await check('DELETE', '/v1/kv', '/v1/kv?key=c')
  node.put('a', 'one')
  await check('GET', '/v1/kv/{key}', '/v1/kv/a', { headers: { Accept: json } })
  await check('GET', '/v1/kv', '/v1/kv?key=a', { headers: { Accept: json } })
  node.put('b', Buffer.from([0xff]))
  await check('GET', '/v1/kv')
  await check('GET', '/v1/kv', '/v1/kv?keys_only&count')
  await check('GET', '/v1/kv', '/v1/kv?limit=1')
  await check('GET', '/v1/kv', '/v1/kv?limit=2')
  const problem = (await served.ask('GET', '/openapi.json')).json.components.responses.Problem.content
  const { schema } = problem['application/problem+json']
  for (const target of ['/v1/kv/none', '/v1/kv?limit=0', '/none'])
    expect(differences(schema, (await served.ask('GET', target)).json)).toEqual([])
  for (const key of ['a', 'none']) {
    const { json: failed } = await served.ask('PUT', `/v1/kv/${key}`, { headers: { 'If-Match': '"99"' } })
    expect([failed.code, differences(schema, failed)]).toEqual(['precondition_failed', []])
  }
  const { json: unheard } = await served.ask('GET', '/v1/kv?revision=99')
  expect([unheard.code, differences(schema, unheard)]).toEqual(['future_revision', []])
  await served.ask('POST', '/v1/compact', POST({ revision: node.revision }))
  const { json: compacted } = await served.ask('GET', '/v1/kv?revision=1')
  expect([compacted.code, differences(schema, compacted)]).toEqual(['compacted', []])
  const { json: unwatchable } = await served.ask('GET', '/v1/watch?from=1')
  expect([unwatchable.code, differences(schema, unwatchable)]).toEqual(['compacted', []])
  await served.ask('POST', '/v1/cluster/settings', POST({ range_keys_max: 1 }))
  const { json: tooLarge } = await served.ask('DELETE', '/v1/kv?end=z')
  expect([tooLarge.code, tooLarge.count > 1, differences(schema, tooLarge)]).toEqual([
    'range_too_large',
    true,
    [],
  ])
  node.notReady = ['it knows no leader']
  const { json: unready } = await served.ask('GET', '/readyz')
  expect([unready.reasons, differences(schema, unready)]).toEqual([['it knows no leader'], []])
  node.problem = { code: 'no_leader', detail: 'nobody leads', written: 'no' }
  expect(differences(schema, (await served.ask('GET', '/v1/kv/a')).json)).toEqual([])
})

test('what can be read can be asked for without its body', async () => {
  const served = await serve()
  for (const [path, { get, head }] of Object.entries(await pathsOf(served))) {
    if (get === undefined) continue
    expect([path, head]).toEqual([path, get])
    const { status, bytes } = await served.ask('HEAD', path.replace('{key}', 'none').replace('{id}', '7'))
    expect([path, status, bytes.length]).toEqual([path, path.includes('{') ? 404 : 200, 0])
  }
})

/** Not only what is said of all of its kind. */
const WORDS = /^[\w"]../

test('every operation, parameter, field of a body and answer is described in words', async () => {
  const paths = await pathsOf(await serve())
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, { summary, parameters, requestBody, responses }] of Object.entries(operations)) {
      const at = `${method} ${path}`
      expect([at, summary]).toEqual([at, expect.stringMatching(WORDS)])
      for (const { name, in: place, required, schema } of parameters) {
        expect([at, ['path', 'query', 'header'].includes(place)]).toEqual([at, true])
        // A parameter of the path names itself, and is never left out.
        if (place === 'path') expect([at, required, path.includes(`{${name}}`)]).toEqual([at, true, true])
        else expect([at, name, schema.description]).toEqual([at, name, expect.stringMatching(WORDS)])
        expect([at, name, ['string', 'integer', 'boolean'].includes(schema.type ?? '')]).toEqual([
          at,
          name,
          true,
        ])
      }
      for (const [type, { schema }] of Object.entries(requestBody?.content ?? {})) {
        if (type !== 'application/json') {
          expect([at, type, schema]).toEqual([at, '*/*', { type: 'string', format: 'binary' }])
          continue
        }
        for (const [name, field] of Object.entries(schema.properties ?? {})) {
          if (name === 'leases') continue
          expect([at, name, field.description]).toEqual([at, name, expect.stringMatching(WORDS)])
        }
      }
      for (const [status, { description, content }] of Object.entries(responses)) {
        expect([at, status, description]).toEqual([at, status, expect.stringMatching(WORDS)])
        if (status === 'default')
          expect([at, Object.keys(content ?? {})]).toEqual([at, ['application/problem+json']])
        for (const { schema } of Object.values(content ?? {}))
          expect([at, status, schema.type ?? schema.anyOf?.length]).toEqual([at, status, expect.anything()])
      }
    }
  }
})

test('what a schema refers to is in the document', async () => {
  const served = await serve()
  const { text } = await served.ask('GET', '/openapi.json')
  const referred = new Set([...text.matchAll(/"\$ref":"([^"]*)"/g)].map(([, name]) => name))
  const schemas = [...referred].filter((name) => !name?.startsWith('#/components/headers/')).sort()
  expect(schemas).toEqual(['#/components/schemas/Transaction', '#/components/schemas/TransactionResult'])
  expect(Object.keys(await namedIn(served)).sort()).toEqual(schemas)
  expect(text).not.toContain('$id')
})

test('a transaction within a transaction is described as the body is', async () => {
  const served = await serve()
  const { schema } = (await pathsOf(served))['/v1/txn']?.post?.requestBody?.content['application/json'] ?? {}
  expect(schema).toEqual((await namedIn(served))['#/components/schemas/Transaction'])
  const { put, get, delete: removed, txn } = schema?.properties?.success?.items?.properties ?? {}
  expect(txn).toEqual({ $ref: '#/components/schemas/Transaction' })
  const place = ['key', 'prefix', 'start', 'end']
  for (const [operation, names] of [
    [put, ['key', 'value', 'lease', 'ttl', 'prev']],
    [get, [...place, 'limit', 'keys_only', 'count', 'count_only']],
    [removed, [...place, 'prev']],
    [schema?.properties?.compare?.items, [...place, 'target', 'op', 'to', 'exists']],
  ] as const) {
    expect(Object.keys(operation?.properties ?? {})).toEqual(names)
    expect(operation).toMatchObject({ additionalProperties: false })
  }
})

test('a change of a key takes conditions and a token, and a value of any type', async () => {
  const paths = await pathsOf(await serve())
  const headersOf = (operation: Operation | undefined): string[] =>
    (operation?.parameters ?? []).filter((one) => one.in === 'header').map(({ name }) => name)
  for (const path of ['/v1/changes', '/v1/txn'])
    expect(headersOf(paths[path]?.post)).toEqual(['Idempotency-Key', 'Kv-Session'])
  for (const path of ['/v1/kv', '/v1/kv/{key}']) {
    for (const method of ['put', 'delete'])
      expect([path, method, headersOf(paths[path]?.[method])]).toEqual([
        ...[path, method],
        ['If-Match', 'If-None-Match', 'Idempotency-Key', 'Kv-Session'],
      ])
    expect(Object.keys(paths[path]?.put?.requestBody?.content ?? {})).toEqual(['*/*'])
    expect(paths[path]?.delete?.requestBody).toBeUndefined()
    const names = paths[path]?.put?.parameters.filter((one) => one.in === 'query').map(({ name }) => name)
    expect(names).toEqual(
      path === '/v1/kv' ? ['key', 'prev', 'lease', 'ttl', 'timeout'] : ['prev', 'lease', 'ttl', 'timeout'],
    )
  }
  const deletion = paths['/v1/kv']?.delete?.parameters.filter((one) => one.in === 'query')
  expect(deletion?.map(({ name, required }) => [name, required])).toEqual(
    ['prefix', 'start', 'end', 'all', 'timeout', 'key'].map((name) => [name, false]),
  )
  const reads = paths['/v1/txn']?.post?.parameters.filter((one) => one.in === 'query')
  expect(reads?.map(({ name }) => name)).toEqual([
    ...['revision', 'consistency', 'max_staleness', 'min_revision', 'timeout'],
  ])
  expect(headersOf(paths['/v1/watch']?.get)).toEqual(['Last-Event-ID'])
})

test('values in other forms than JSON are described as what they are', async () => {
  const paths = await pathsOf(await serve())
  const binary = { schema: { type: 'string', format: 'binary' } }
  const lines = { schema: { type: 'string' } }
  for (const method of ['get', 'head']) {
    expect(paths['/v1/kv/{key}']?.[method]?.responses['200']?.content).toMatchObject({
      'application/octet-stream': binary,
    })
    expect(paths['/v1/kv']?.[method]?.responses['200']?.content).toMatchObject({
      'application/octet-stream': binary,
      'application/x-ndjson': lines,
    })
  }
  expect(paths['/metrics']?.get?.responses['200']?.content).toEqual({
    'text/plain; version=0.0.4; charset=utf-8': lines,
  })
  expect(paths['/openapi.json']?.get?.responses['200']?.content).toMatchObject({
    'application/json': { schema: { type: 'object' } },
  })
  expect(paths['/v1/watch']?.get?.responses['200']?.content).toEqual({
    'text/event-stream': lines,
    'application/x-ndjson': lines,
  })
})

test('the headers of answers are those that are described', async () => {
  const served = await serve()
  const { paths, components } = (await served.ask('GET', '/openapi.json')).json
  const answers: (readonly [string, string, number, string, object?])[] = [
    ['put', '/v1/kv/{key}', 200, '/v1/kv/a'],
    ['put', '/v1/kv/{key}', 200, '/v1/kv/a', { headers: { 'Idempotency-Key': 't' } }],
    ['put', '/v1/kv/{key}', 200, '/v1/kv/a', { headers: { 'Idempotency-Key': 't' } }],
    ['put', '/v1/kv/{key}', 412, '/v1/kv/a', { headers: { 'If-Match': '"9"' } }],
    ['get', '/v1/kv/{key}', 200, '/v1/kv/a'],
    ['get', '/v1/kv/{key}', 304, '/v1/kv/a', { headers: { 'If-None-Match': '*' } }],
    ['get', '/v1/kv/{key}', 404, '/v1/kv/none?consistency=stale'],
    ['get', '/v1/kv', 200, '/v1/kv?consistency=stale'],
    ['delete', '/v1/kv', 200, '/v1/kv?prefix=b'],
    ['get', '/v1/leases', 200, '/v1/leases'],
    ['get', '/v1/status', 200, '/v1/status'],
    ['get', '/livez', 200, '/livez'],
    ['get', '/v1/kv', 503, '/v1/kv?min_revision=99&timeout=1ms'],
  ]
  // Headers that HTTP itself defines are not described.
  const isOurs = (name: string): boolean => /^(kv-|idempotency-|etag$|retry-after$)/.test(name)
  const seen = new Set<string>()
  served.node.stalenessMs = 5
  for (const [method, path, status, target, asking = {}] of answers) {
    if (status === 503) served.node.problem = { code: 'revision_behind', detail: 'behind', written: 'no' }
    const answer = await served.ask(method.toUpperCase(), target, asking)
    expect([target, answer.status]).toEqual([target, status])
    const { responses } = paths[path][method]
    const described = Object.keys((responses[status] ?? responses.default).headers).map((name) =>
      name.toLowerCase(),
    )
    const given = Object.keys(answer.headers).filter(isOurs)
    expect([target, status, given.filter((name) => !described.includes(name))]).toEqual([target, status, []])
    for (const name of given) seen.add(name)
  }
  expect([...seen].sort()).toEqual(
    Object.keys(components.headers)
      .map((name) => name.toLowerCase())
      .sort(),
  )
})

test('what is described of a body is what is refused', async () => {
  const { ask } = await serve()
  const member = { name: 'n4', replica_id: '4', peer: 'h:7004', url: 'http://h:8004' }
  const longName = 'n'.repeat(63)
  const status = async (path: string, body: object) => (await ask('POST', path, POST(body))).status
  for (const [body, expected] of [
    [{ name: longName }, 200],
    [{ name: `${longName}n` }, 400],
    [{ name: '' }, 400],
    [{ name: 'N4' }, 400],
    [{ name: 'n 4' }, 400],
    [{ replica_id: 4 }, 400],
    [{ replica_id: '0' }, 400],
    [{ replica_id: '04' }, 400],
    [{ replica_id: '4x' }, 400],
    [{ replica_id: 'x4' }, 400],
    [{ replica_id: '18446744073709551616' }, 400],
    [{ replica_id: '99999999999999999999' }, 400],
    [{ replica_id: '184467440737095516150' }, 400],
    [{ peer: `${'h'.repeat(295)}:7004` }, 200],
    [{ peer: `${'h'.repeat(296)}:7004` }, 400],
    [{ url: `http://${'h'.repeat(1993)}` }, 200],
    [{ url: `http://${'h'.repeat(1994)}` }, 400],
    [{ more: 1 }, 400],
  ] as const) {
    const { ask: askAnother } = await serve()
    const { status: found } = await askAnother('POST', '/v1/cluster/members', POST({ ...member, ...body }))
    expect([body, found]).toEqual([body, expected])
  }
  const replace = '/v1/cluster/members/n3/replace'
  expect(await status(replace, { ...member, more: 1 })).toBe(400)
  expect(await status(replace, { ...member, name: '' })).toBe(400)
  expect(await status('/v1/cluster/leader', { to: 'n2', more: 1 })).toBe(400)
  expect(await status('/v1/cluster/leader', { to: 'N2' })).toBe(400)
  for (const [body, expected] of [
    [{ leases: { duration_ms: 10 } }, 200],
    [{ leases: { duration_ms: 9 } }, 400],
    [{ leases: { duration_ms: 60_000 } }, 200],
    [{ leases: { duration_ms: 60_001 } }, 400],
    [{ leases: { on: 1 } }, 400],
    [{ cluster_version: CLUSTER_VERSION }, 200],
    [{ cluster_version: CLUSTER_VERSION + 1 }, 400],
    [{ range_keys_max: 10_000 }, 200],
    [{ range_keys_max: 10_001 }, 400],
    [{ lease_checkpoint_ms: 3_600_000 }, 200],
    [{ lease_checkpoint_ms: 3_600_001 }, 400],
    [{ leases_max: 10_000_001 }, 400],
    [{ cluster_version: 0 }, 400],
    [{ value_bytes_max: 1.5 * 2 ** 20 }, 200],
    [{ value_bytes_max: 1.5 * 2 ** 20 + 1 }, 400],
    [{ store_bytes_max: -1 }, 400],
    [{ idempotency_tokens_max: -1 }, 400],
    [{ idempotency_bytes_max: -1 }, 400],
    [{ idempotency_age_ms_max: -1 }, 400],
  ] as const)
    expect([body, await status('/v1/cluster/settings', body)]).toEqual([body, expected])
})

test('a member that is only in the outgoing half of a joint configuration is a voter still', async () => {
  const node = new FakeNode()
  node.configuration = {
    ...node.configuration,
    voters: [asReplicaId('1')],
    votersOutgoing: [asReplicaId('2')],
    members: [memberOf('n1', '1'), memberOf('n2', '2')],
  }
  const { ask } = await serve({ node })
  const moved = { name: 'n2', replica_id: '2', peer: 'h:1', url: 'http://h:2' }
  expect((await ask('POST', '/v1/cluster/members', POST(moved))).json.code).toBe('membership_refused')
})
