// Requests to etcd's JSON gateway. `record-gateway.ts` writes what a release of etcd answers below golden/; the answers
// of quorate are compared with that.

/** A request, in the order in which all are sent to one empty store. */
export interface GatewayCase {
  readonly name: string
  readonly path: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

/** An answer, without what differs between two clusters. */
export interface GatewayAnswer {
  readonly status: number
  readonly type: string
  readonly metadata: string | undefined
  readonly lines: readonly unknown[]
}

const post = (
  name: string,
  path: string,
  request: object | string,
  headers?: GatewayCase['headers'],
): GatewayCase => ({
  name,
  path: `/v3${path}`,
  body: typeof request === 'string' ? request : JSON.stringify(request),
  ...(headers === undefined ? {} : { headers }),
})

const base64 = (text: string): string => Buffer.from(text).toString('base64')
const key = base64('foo')
const other = base64('other')
const ALL = { key: base64('\0'), range_end: base64('\0') }

export const GATEWAY_CASES: readonly GatewayCase[] = [
  post('range of an empty store', '/kv/range', ALL),
  post('put', '/kv/put', { key, value: base64('1') }),
  post('get', '/kv/range', { key }),
  post('put with prev_kv', '/kv/put', { key, value: base64('2'), prev_kv: true }),
  post('put without a value', '/kv/put', { key: other }),
  post('range of all keys', '/kv/range', ALL),
  post('order and limit', '/kv/range', {
    ...ALL,
    sort_order: 'DESCEND',
    sort_target: 'VERSION',
    limit: '1',
  }),
  post('enumerations as numbers', '/kv/range', { ...ALL, sort_order: 2, sort_target: 0, keys_only: true }),
  post('names in camel case', '/kv/range', { key, countOnly: true, rangeEnd: base64('fop'), limit: 1 }),
  post('an old revision', '/kv/range', { key, revision: '2' }),
  post('a field that nobody knows', '/kv/range', { key, bogus: 'x' }),
  post('null is absent', '/kv/range', { key, range_end: null, sort_order: null }),
  post('without a body', '/kv/range', ''),
  post('null', '/kv/range', 'null'),
  post('a future revision', '/kv/range', { key, revision: '99' }),
  post('a number for bytes', '/kv/range', { key: 1 }),
  post('a text for a number', '/kv/range', { key, revision: 'x' }),
  post('a fraction', '/kv/range', { key, limit: 1.5 }),
  post('a number beyond 64 bits', '/kv/range', { key, limit: '99999999999999999999' }),
  post('a text for a bool', '/kv/range', { key, count_only: 'true' }),
  post('an unknown name', '/kv/range', { key, sort_order: 'FOO' }),
  post('half of a body', '/kv/range', '{"key":"Zm9v"'),
  post('a list', '/kv/range', '[1]'),
  post('no base64', '/kv/range', { key: 'Zm9v?' }),
  post('a route that does not exist', '/kv/nope', { key }),
  post('a time limit that is none', '/kv/range', { key }, { 'Grpc-Timeout': 'zz' }),
  post('a time limit', '/kv/range', { key }, { 'Grpc-Timeout': '1S' }),
  post('as curl sends it', '/kv/range', { key }, { 'Content-Type': 'application/x-www-form-urlencoded' }),
  post('transaction', '/kv/txn', {
    compare: [{ key, target: 'VALUE', value: base64('2') }],
    success: [
      { requestPut: { key: other, value: base64('3'), prevKv: true } },
      { request_range: { key } },
      { request_delete_range: { key: base64('none') } },
    ],
  }),
  post('transaction whose comparison fails', '/kv/txn', {
    compare: [{ key, target: 'CREATE', create_revision: '0' }],
    success: [{ request_put: { key, value: base64('lost') } }],
    failure: [{ request_range: { key, serializable: true } }],
  }),
  post('a key twice in a transaction', '/kv/txn', {
    success: [{ request_put: { key } }, { request_put: { key } }],
  }),
  post('an unknown target', '/kv/txn', { compare: [{ key, target: 'NOPE' }] }),
  post('grant', '/lease/grant', { ID: '7587850943643273991', TTL: '600' }),
  post('grant of a number', '/lease/grant', '{"ID":7587850943643273993,"TTL":600}'),
  post('leases', '/kv/lease/leases', {}),
  post('grant of a lease that exists', '/lease/grant', '{"ID":7587850943643273993,"TTL":600}'),
  post('put with a lease', '/kv/put', { key: other, value: base64('4'), lease: '7587850943643273991' }),
  post('put with an unknown lease', '/kv/put', { key: other, lease: '5' }),
  post('the time of a lease that does not exist', '/kv/lease/timetolive', { ID: 5 }),
  post('keep alive', '/lease/keepalive', { ID: '7587850943643273991' }),
  post(
    'keep several alive',
    '/lease/keepalive',
    '{"ID":"7587850943643273991"}{"ID":5}\n{"ID":"7587850943643273991"}',
  ),
  post('keep alive without a request', '/lease/keepalive', ''),
  post('keep alive with a fault', '/lease/keepalive', { ID: 'x' }),
  post('delete', '/kv/deleterange', { key: other, prev_kv: true }),
  post('revoke', '/lease/revoke', { ID: '7587850943643273991' }),
  post('revoke a lease that does not exist', '/kv/lease/revoke', { ID: '7587850943643273991' }),
  post('compact', '/kv/compaction', { revision: '3' }),
  post('a compacted revision', '/kv/range', { key, revision: '2' }),
]

/** Sends the requests one after the other. */
export async function askAll(port: number): Promise<Record<string, GatewayAnswer>> {
  const answers: Record<string, GatewayAnswer> = {}
  for (const { name, path, body, headers = {} } of GATEWAY_CASES) {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers },
      body,
    })
    const text = await response.text()
    answers[name] = {
      status: response.status,
      type: response.headers.get('content-type') ?? '',
      metadata: response.headers.get('grpc-metadata-content-type') ?? undefined,
      lines: text.startsWith('{') ? text.trimEnd().split('\n').map(readLine) : text === '' ? [] : [text],
    }
  }
  return answers
}

/** Clusters differ in their ids and terms. */
const readLine = (line: string): unknown =>
  JSON.parse(line, (name, value: unknown) =>
    name === 'cluster_id' || name === 'member_id' || name === 'raft_term' ? name : value,
  )

/** Errors of quorate have the field `error` of 3.4 beside those of 3.6. */
export const withError = (line: unknown): unknown => {
  const { message, code } = line as { readonly message?: string; readonly code?: number }
  return message === undefined || code === undefined ? line : { ...(line as object), error: message }
}
