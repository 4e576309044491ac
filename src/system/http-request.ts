// One HTTP request, for callers that rarely contact a node. Each request uses a separate connection and never a proxy:
// `fetch` and the global agent read HTTP_PROXY from the environment (NODE_USE_ENV_PROXY), and a proxy cannot reach the
// loopback addresses of this machine.

import type { ClientRequest, IncomingHttpHeaders, RequestOptions } from 'node:http'
import type { ConnectionOptions } from 'node:tls'
import { lookup } from './lookup.ts'
import { http } from './node-http.ts'

const agent = new http.Agent({ keepAlive: false })

interface HttpRequestOptions {
  readonly method?: 'GET' | 'POST'
  /** Sent as JSON. */
  readonly body?: object
  /** The header of this name. */
  readonly authorization?: string | undefined
  /** For `https://`: the CAs to trust, and the certificate to show. */
  readonly tls?: ConnectionOptions | undefined
  /** Timeout for the complete response. */
  readonly timeoutMs: number
}

interface HttpReply {
  readonly status: number
  readonly text: string
  readonly headers: IncomingHttpHeaders
}

/** Rejects when the response is not complete in time, or when `url` is not an HTTP URL. */
export function requestHttp(
  url: string,
  { method = 'GET', body, authorization, timeoutMs, tls = {} }: HttpRequestOptions,
): Promise<HttpReply> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const headers = {
      ...(authorization === undefined ? {} : { authorization }),
      ...(text === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
    }
    const outgoing = url.startsWith('https:')
      ? requestSecurely(url, { ...tls, method, headers, lookup })
      : http.request(url, { agent, method, headers, lookup })
    const timer = setTimeout(
      () => outgoing.destroy(new Error(`no response within ${Math.round(timeoutMs)} ms`)),
      timeoutMs,
    )
    outgoing.on('close', () => clearTimeout(timer))
    outgoing.on('error', reject)
    // A response that changes the protocol (status 101) closes the connection without an error.
    const onClose = () => reject(new Error('the connection was cut'))
    outgoing.on('close', onClose)
    outgoing.on('response', (incoming) => {
      outgoing.off('close', onClose)
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('error', reject)
      incoming.on('close', onClose)
      incoming.on('end', () =>
        resolve({
          status: incoming.statusCode ?? 0,
          text: Buffer.concat(chunks).toString(),
          headers: incoming.headers,
        }),
      )
    })
    outgoing.end(text)
  })
}

/** Loads TLS, which is slow and rarely needed. */
function requestSecurely(url: string, options: RequestOptions & ConnectionOptions): ClientRequest {
  const { Agent, request } = process.getBuiltinModule('node:https')
  return request(url, { ...options, agent: new Agent({ keepAlive: false }) })
}
