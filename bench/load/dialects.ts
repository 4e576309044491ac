// Requests that the generator sends over HTTP.

import type { Request } from './http-connection.ts'
import type { Consistency } from './load.ts'

export interface Dialect {
  put(key: string, value: Uint8Array): Request
  /** `revision` 0: the key does not exist. */
  update(key: string, value: Uint8Array, revision: number): Request
  get(key: string, consistency: Consistency): Request
  range(start: string, limit: number, consistency: Consistency): Request
}

/** The default is left out, as most users do. */
const consistencyQuery = (consistency: Consistency, before: '?' | '&'): string =>
  consistency === 'linearizable' ? '' : `${before}consistency=${consistency}`

export const quorateHttp: Dialect = {
  put: (key, body) => ({ method: 'PUT', path: `/v1/kv/${key}`, body }),
  update: (key, body, revision) => ({
    method: 'PUT',
    path: `/v1/kv/${key}`,
    condition: revision === 0 ? 'If-None-Match: *' : `If-Match: "${revision}"`,
    body,
  }),
  get: (key, consistency) => ({ method: 'GET', path: `/v1/kv/${key}${consistencyQuery(consistency, '?')}` }),
  range: (start, limit, consistency) => ({
    method: 'GET',
    path: `/v1/kv?start=${start}&limit=${limit}${consistencyQuery(consistency, '&')}`,
  }),
}

/** Each put is a login with a wrong password, of a user whose name nobody has. Each user is named once. */
export const wrongLogins: Dialect = {
  ...quorateHttp,
  put: () => ({
    method: 'POST',
    path: '/v1/auth/login',
    json: true,
    body: Buffer.from(JSON.stringify({ user: `guess-${Math.random()}`, password: 'a wrong password' })),
  }),
}
