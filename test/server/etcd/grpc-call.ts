// Calls of gRPC through node:http2, which show what the server sent.

import {
  type ClientHttp2Session,
  connect,
  constants,
  type IncomingHttpHeaders,
  type SecureClientSessionOptions,
} from 'node:http2'
import { onTestFinished } from 'vitest'
import type { MessageCodec } from '../../../src/etcd/message.ts'

export interface GrpcAnswer {
  /** `grpc-status`; undefined: the stream ended without one. */
  readonly status: number | undefined
  readonly message: string
  readonly headers: IncomingHttpHeaders
  /** The messages without their heads. */
  readonly messages: readonly Buffer[]
  /** The code with which the stream ended. */
  readonly resetCode: number
}

/** A session that ends with the test. `tls`: over TLS. */
export function openSession(port: number, tls?: SecureClientSessionOptions): ClientHttp2Session {
  const session = connect(`${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`, tls)
  session.on('error', () => {})
  onTestFinished(() => session.destroy())
  return session
}

/** A message with its head. */
export function frame(message: Uint8Array): Buffer {
  const bytes = Buffer.alloc(5 + message.length)
  bytes.writeUInt32BE(message.length, 1)
  bytes.set(message, 5)
  return bytes
}

/** One request with everything that follows, as the server answers it, or before enough has arrived. */
export function callGrpc(
  session: ClientHttp2Session,
  path: string,
  body: Uint8Array,
  headers: Record<string, string | undefined> = {},
  isEnough?: (messages: readonly Buffer[]) => boolean,
): Promise<GrpcAnswer> {
  return new Promise((resolve) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    })
    let received: IncomingHttpHeaders = {}
    let trailers: IncomingHttpHeaders = {}
    const chunks: Buffer[] = []
    stream.on('response', (fields) => {
      received = fields
    })
    stream.on('trailers', (fields) => {
      trailers = fields
    })
    stream.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      if (isEnough?.(splitMessages(Buffer.concat(chunks)))) stream.close(constants.NGHTTP2_CANCEL)
    })
    stream.on('error', () => {})
    stream.on('close', () => {
      const fields = { ...received, ...trailers }
      const status = fields['grpc-status']
      resolve({
        status: status === undefined ? undefined : Number(status),
        message: decodeURIComponent(String(fields['grpc-message'] ?? '')),
        headers: fields,
        messages: splitMessages(Buffer.concat(chunks)),
        resetCode: stream.rstCode ?? constants.NGHTTP2_NO_ERROR,
      })
    })
    stream.end(body)
  })
}

/** A call of an RPC with its messages. */
export async function callRpc<Q, A>(
  session: ClientHttp2Session,
  rpc: { readonly path: string; readonly request: MessageCodec<Q>; readonly response: MessageCodec<A> },
  request: Partial<Q>,
  headers: Record<string, string | undefined> = {},
): Promise<GrpcAnswer & { readonly response: A | undefined }> {
  const answer = await callGrpc(session, rpc.path, frame(rpc.request.encode(request)), headers)
  const [first] = answer.messages
  return { ...answer, response: first && rpc.response.decode(first) }
}

function splitMessages(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = []
  for (let at = 0; at + 5 <= bytes.length; ) {
    const end = at + 5 + bytes.readUInt32BE(at + 1)
    messages.push(bytes.subarray(at + 5, end))
    at = end
  }
  return messages
}
