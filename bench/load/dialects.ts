// How two HTTP APIs spell the same operations.

import type { Request } from './http-connection.ts'
import type { Consistency } from './load.ts'

export interface Dialect {
  put(key: string, value: Uint8Array): Request
  get(key: string, consistency: Consistency): Request
  range(start: string, limit: number, consistency: Consistency): Request
}

/** The default is left out, as most users do. */
const consistencyQuery = (consistency: Consistency, before: '?' | '&'): string =>
  consistency === 'linearizable' ? '' : `${before}consistency=${consistency}`

export const quorateHttp: Dialect = {
  put: (key, body) => ({ method: 'PUT', path: `/v1/kv/${key}`, body }),
  get: (key, consistency) => ({ method: 'GET', path: `/v1/kv/${key}${consistencyQuery(consistency, '?')}` }),
  range: (start, limit, consistency) => ({
    method: 'GET',
    path: `/v1/kv?start=${start}&limit=${limit}${consistencyQuery(consistency, '&')}`,
  }),
}

const base64 = (bytes: Uint8Array | string): string => Buffer.from(bytes).toString('base64')
const post = (path: string, message: object): Request => ({
  method: 'POST',
  path,
  body: Buffer.from(JSON.stringify(message)),
})

/** The end of a range that has none, as etcd writes it: one zero byte. */
const NO_END = base64('\0')

/** The JSON gateway of etcd. It has no reads by lease; its stale reads are called serializable. */
export const etcdGateway: Dialect = {
  put: (key, value) => post('/v3/kv/put', { key: base64(key), value: base64(value) }),
  get: (key, consistency) =>
    post('/v3/kv/range', { key: base64(key), serializable: consistency === 'stale' }),
  range: (start, limit, consistency) =>
    post('/v3/kv/range', {
      key: base64(start),
      range_end: NO_END,
      limit,
      serializable: consistency === 'stale',
    }),
}

/** Each put is a login with a wrong password, of a user whose name nobody has. Each user is named once. */
export const wrongLogins: Dialect = {
  ...quorateHttp,
  put: () => ({
    ...post('/v1/auth/login', { user: `guess-${Math.random()}`, password: 'a wrong password' }),
    json: true,
  }),
}
