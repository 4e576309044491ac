// A relay to a node that answers the first tries of each change with `outcome_unknown`, as a node does whose leader was
// lost. Whoever has sent the change with a write id learns its outcome when it asks again.

import { once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  type RequestOptions,
  request,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

export interface UnsureRelay extends AsyncDisposable {
  readonly url: string
  /** Number of tries of each change: by its write id, or by its method and path if it has none. */
  readonly tries: ReadonlyMap<string, number>
}

/**
 * `losses`: how many tries of each change have an unknown outcome; all, for a change without a write id. `done`:
 * whether they reach the node.
 */
export async function unsureRelay(
  to: string,
  { losses, done }: { readonly losses: number; readonly done: boolean },
): Promise<UnsureRelay> {
  const tries = new Map<string, number>()
  const { hostname, port } = new URL(to)

  async function passOn(options: RequestOptions, body: Buffer): Promise<IncomingMessage> {
    const outgoing = request({ ...options, host: hostname, port, agent: false })
    outgoing.end(body)
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
    return answer
  }

  async function serve(seen: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(seen)
    const { method, url: path, headers } = seen
    const writeId = headers['idempotency-key'] ?? headers['kv-session']
    const id = writeId === undefined ? nameOf(seen) : String(writeId)
    const count = id === undefined ? 0 : (tries.get(id) ?? 0) + 1
    if (id !== undefined) tries.set(id, count)
    const isLost = count > 0 && (writeId === undefined || count <= losses)
    // A try that must not reach the node gets the headers of another answer.
    const answer =
      isLost && !done
        ? await passOn({ path: '/v1/status' }, Buffer.alloc(0))
        : await passOn({ method, path, headers }, body)
    if (!isLost) {
      response.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(response)
      response.on('close', () => answer.destroy())
      return
    }
    await buffer(answer)
    const ofNode = Object.entries(answer.headers).filter(([name]) => name.startsWith('kv-'))
    response.writeHead(504, { ...Object.fromEntries(ofNode), 'content-type': 'application/problem+json' })
    const problem = { type: 'about:blank', title: 'unknown', status: 504, code: 'outcome_unknown' }
    response.end(JSON.stringify({ ...problem, detail: 'the leader was lost', retry_after_ms: 1 }))
  }

  const server = createServer((seen, response) => {
    serve(seen, response).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tries,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** The name of a change without a write id; undefined: the request is a read. */
function nameOf({ method = '', url = '' }: IncomingMessage): string | undefined {
  const [path = ''] = url.split('?')
  const isRead = method === 'GET' || /^\/v1\/(txn|sessions|leases\/(.*\/)?keepalive)$/.test(path)
  return isRead ? undefined : `${method} ${path}`
}
