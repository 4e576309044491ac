// The OpenAPI 3.1 document, made from the very tables and schemas that read and validate requests.

import { del } from '../../operations/delete.ts'
import { deleteRange } from '../../operations/delete-range.ts'
import { get } from '../../operations/get.ts'
import { anyOfSchema, integer, type Schema, string } from '../../operations/http/json-schema.ts'
import { type Parameter, type ParameterTable, timeout } from '../../operations/http/parameters.ts'
import type { BodySchema, Route } from '../../operations/http/route.ts'
import { ProblemSchema } from '../../operations/http/schemas.ts'
import { put } from '../../operations/put.ts'
import { range } from '../../operations/range.ts'

interface Content {
  readonly [mediaType: string]: { readonly schema: Schema }
}

const json = (schema: Schema): Content => ({ 'application/json': { schema } })
const LINES: Content = { 'application/x-ndjson': { schema: string } }
const OCTETS: Content = { 'application/octet-stream': { schema: { ...string, format: 'binary' } } }

export function openApiDocument(
  version: string,
  routes: readonly Route<unknown>[],
  pageRowsMax: number,
): string {
  const paths: Record<string, Record<string, unknown>> = {}
  const schemas: Record<string, Schema> = {}
  for (const route of routes) {
    const path = route.path.replaceAll(/:([a-z]+)/g, '{$1}')
    const names = [...path.matchAll(/\{([a-z]+)\}/g)].map(([, name]) => inPath(name ?? ''))
    const token = route.takesToken ? IDENTITY : []
    const headers = Object.entries(route.headers ?? {}).map(([name, description]) =>
      inHeader(name, description),
    )
    const answer: Content = {
      ...(typeof route.answers === 'string' ? { [route.answers]: { schema: string } } : json(route.answers)),
      ...(route.answersLines ? LINES : {}),
    }
    const body = route.describedBody ?? route.body
    Object.assign(schemas, route.schemas)
    const described = {
      ...operation(
        route.summary,
        [...names, ...token, ...headers, ...inQuery(route.parameters, pageRowsMax)],
        answer,
        answeredBy(route),
      ),
      ...(body === undefined ? {} : { requestBody: requestBody(body) }),
    }
    paths[path] = {
      ...paths[path],
      [route.method.toLowerCase()]: described,
      // Fastify answers HEAD for each GET route.
      ...(route.method === 'GET' ? { head: described } : {}),
    }
  }
  paths['/v1/kv/{key}'] = keyOperations([inPath('key')])
  const rangeRead = reading(range.http.summary, [...inQuery(range.http.parameters), keyInQuery(false)], {
    ...json(anyOfSchema(range.http.answers, get.http.answers)),
    ...LINES,
    ...OCTETS,
  })
  const deletion = operation(
    deleteRange.http.summary,
    [...inQuery(deleteRange.http.parameters), keyInQuery(false), IF_MATCH, IF_NONE_MATCH, ...IDENTITY],
    json(deleteRange.http.answers),
    [...OF_EACH, ...OF_CHANGES, 'ETag'],
  )
  paths['/v1/kv'] = {
    ...keyOperations([keyInQuery(true)]),
    get: rangeRead,
    head: rangeRead,
    delete: deletion,
  }
  const info = { title: 'quorate', version, description: 'A strongly consistent key-value store' }
  const content: Content = { 'application/problem+json': { schema: ProblemSchema } }
  const components = {
    schemas,
    headers: HEADERS,
    responses: { Problem: { description: 'A problem (RFC 9457)', content } },
  }
  return JSON.stringify({ openapi: '3.1.0', info, paths, components })
}

const KeySchema = { ...string, minLength: 1, description: 'A key; percent-encoded bytes' }

function keyOperations(address: readonly unknown[]): Record<string, unknown> {
  const content = { ...OCTETS, ...json(get.http.answers) }
  const read = reading(get.http.summary, [...address, ...inQuery(get.http.parameters)], content)
  const change = [...address, IF_MATCH, IF_NONE_MATCH, ...IDENTITY]
  const changed = [...OF_EACH, ...OF_CHANGES, 'ETag'] as const
  return {
    get: read,
    head: read,
    put: {
      ...operation(
        put.http.summary,
        [...change, ...inQuery(put.http.parameters)],
        json(put.http.answers),
        changed,
      ),
      requestBody: { content: { '*/*': { schema: { ...string, format: 'binary' } } } },
    },
    delete: operation(
      del.http.summary,
      [...change, ...inQuery(del.http.parameters)],
      json(del.http.answers),
      changed,
    ),
  }
}

const inHeader = (name: string, description: string) => ({
  name,
  in: 'header',
  schema: { ...string, description },
})

const IF_MATCH = inHeader('If-Match', '"<mod_revision>", a list of them, or *')
const IF_NONE_MATCH = inHeader('If-None-Match', '"<mod_revision>", a list of them, or *')
const IDENTITY = [
  inHeader('Idempotency-Key', 'TOKEN, optionally ;since=<revision>: applied at most once'),
  inHeader('Kv-Session', 'SESSION;slot=SLOT;seq=SEQ of an open session: applied at most once'),
]

const inPath = (name: string) => ({ name, in: 'path', required: true, schema: string })

const keyInQuery = (required: boolean) => ({ name: 'key', in: 'query', required, schema: KeySchema })

/** Each request may also have a timeout. */
const inQuery = (table: ParameterTable = {}, pageRowsMax = Number.MAX_SAFE_INTEGER) =>
  Object.entries<Parameter<unknown>>({ ...table, timeout }).map(([name, { schema, isPageLimit }]) => ({
    name,
    in: 'query',
    required: false,
    schema: isPageLimit === true ? { ...schema, maximum: pageRowsMax } : schema,
  }))

/** One key, or a range. */
function reading(summary: string, parameters: readonly unknown[], content: Content) {
  const names = [...OF_EACH, ...OF_READS, 'ETag'] as const
  const { responses, ...read } = operation(summary, [...parameters, IF_MATCH, IF_NONE_MATCH], content, names)
  const unchanged = { description: 'The key is as If-None-Match says', headers: headersCalled(names) }
  return { ...read, responses: { ...responses, 304: unchanged } }
}

/** A request without a body has the meaning of an empty object. */
const requestBody = (schema: BodySchema) => ({
  required: schema.required.length > 0,
  content: json(schema),
})

// ---------------------------------------------------------------------------------------------------------------------
// Headers of answers

const header = (schema: Schema, description: string) => ({ description, schema })

const HEADERS = {
  'Kv-Cluster': header(string, 'The id of the cluster'),
  'Kv-Node': header(string, 'The name of the node that answers'),
  'Kv-Term': header(integer, 'Its term'),
  'Kv-Revision': header(integer, 'The revision that the answer reflects'),
  'Kv-Leader': header(string, 'The name of the leader, when known'),
  'Kv-Consistency': header(string, 'At which level a read was served'),
  'Kv-Staleness-Ms': header(integer, 'Of a stale read: it is at most so old; absent when unknown'),
  ETag: header(string, '"<mod_revision>" of the key'),
  'Idempotency-Replayed': header(string, 'true: the outcome of an earlier copy of the request'),
  'Retry-After': header(integer, 'Of 429 and 503: whole seconds; retry_after_ms is exact'),
} as const

type HeaderName = keyof typeof HEADERS

const OF_EACH = ['Kv-Cluster', 'Kv-Node', 'Kv-Term', 'Kv-Revision', 'Kv-Leader'] as const
const OF_READS = ['Kv-Consistency', 'Kv-Staleness-Ms'] as const
const OF_CHANGES = ['Idempotency-Replayed'] as const

const answeredBy = ({ path, parameters = {}, takesToken }: Route<unknown>): readonly HeaderName[] => [
  ...(path.startsWith('/v1/') ? OF_EACH : []),
  ...('consistency' in parameters ? OF_READS : []),
  ...(takesToken ? OF_CHANGES : []),
]

const headersCalled = (names: readonly HeaderName[]) =>
  Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]))

function operation(
  summary: string,
  parameters: readonly unknown[],
  content: Content,
  headers: readonly HeaderName[],
) {
  return {
    summary,
    parameters,
    responses: {
      200: { description: 'Done', headers: headersCalled(headers), content },
      default: {
        description: 'A problem',
        headers: headersCalled([...headers, 'Retry-After']),
        content: { 'application/problem+json': { schema: ProblemSchema } },
      },
    },
  }
}
