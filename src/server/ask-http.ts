// A single HTTP request, for callers that rarely ask a node. Each request uses a separate connection, and none goes
// through a proxy: `fetch` and the global agent take HTTP_PROXY from the environment (NODE_USE_ENV_PROXY), and a proxy
// cannot reach the loopback addresses of this machine.

import type { ClientRequest, RequestOptions } from 'node:http'
import { lookup } from '../client/lookup.ts'
import { http } from '../node-http.ts'

const agent = new http.Agent({ keepAlive: false })

export interface HttpQuestion {
  readonly method?: 'GET' | 'POST'
  /** Sent as JSON. */
  readonly body?: object
  /** Time-out for the whole answer. */
  readonly timeoutMs: number
}

export interface HttpAnswer {
  readonly status: number
  readonly text: string
}

/** Rejects when the answer is not complete in time, or when `url` is not an HTTP URL. */
export function askHttp(url: string, { method = 'GET', body, timeoutMs }: HttpQuestion): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const headers =
      text === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
    const outgoing = url.startsWith('https:')
      ? requestSecurely(url, { method, headers, lookup })
      : http.request(url, { agent, method, headers, lookup })
    const timer = setTimeout(
      () => outgoing.destroy(new Error(`no answer within ${Math.round(timeoutMs)} ms`)),
      timeoutMs,
    )
    outgoing.on('close', () => clearTimeout(timer))
    outgoing.on('error', reject)
    // Not every end is an error: after an answer that changes the protocol (status 101) the connection just closes.
    const onClose = () => reject(new Error('the connection was cut'))
    outgoing.on('close', onClose)
    outgoing.on('response', (incoming) => {
      outgoing.off('close', onClose)
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('error', reject)
      incoming.on('close', onClose)
      incoming.on('end', () =>
        resolve({ status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
      )
    })
    outgoing.end(text)
  })
}

/** Loads TLS, which takes a while, and and few need it. */
function requestSecurely(url: string, options: RequestOptions): ClientRequest {
  const { Agent, request } = process.getBuiltinModule('node:https')
  return request(url, { ...options, agent: new Agent({ keepAlive: false }) })
}
