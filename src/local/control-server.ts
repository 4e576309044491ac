// The side of the supervisor that takes commands. A caller needs the token of cluster.json (0600). A web page that
// reaches the port by DNS rebinding does not have it.

import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { http } from '../node-http.ts'
import { HOST, urlOf } from './addresses.ts'
import { type ControlReply, type ControlRequest, NODE_COMMANDS, proofOf } from './control-messages.ts'

const REQUEST_BYTES_MAX = 64 * 1024

export interface ControlServer {
  readonly url: string
  /**
   * Takes no more commands. The answer to `stop` stays open until the process is gone: the end of the connection tells
   * the caller.
   */
  close(): void
}

/** `directory`: of the cluster that it commands (directory-id.ts). */
export async function startControlServer(
  token: string,
  directory: string | undefined,
  handle: (request: ControlRequest) => Promise<ControlReply>,
): Promise<ControlServer> {
  const server = http.createServer((incoming, outgoing) => {
    void answer(incoming, outgoing, token, directory, handle)
  })
  // A client that connects and sends nothing must not keep the process alive.
  server.on('connection', (socket) => socket.unref())
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, HOST, resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the control address has no port')
  return { url: urlOf(address.port), close: () => server.close() }
}

async function answer(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  token: string,
  directory: string | undefined,
  handle: (request: ControlRequest) => Promise<ControlReply>,
): Promise<void> {
  outgoing.setHeader('content-type', 'application/json')
  if (incoming.method === 'GET') {
    outgoing.end(JSON.stringify({ proof: proofOf(token), directory }))
    return
  }
  if (!isSame(incoming.headers.authorization ?? '', `Bearer ${token}`)) {
    outgoing.statusCode = 401
    outgoing.end('{}')
    return
  }
  const request = await readRequest(incoming)
  if (request === undefined) {
    outgoing.statusCode = 400
    outgoing.end('{}')
    return
  }
  const reply = await handle(request).catch((error: unknown): ControlReply => {
    return { ok: false, exitCode: 1, said: error instanceof Error ? error.message : String(error) }
  })
  outgoing.write(JSON.stringify(reply))
  if (request.command !== 'stop') outgoing.end()
}

async function readRequest(incoming: IncomingMessage): Promise<ControlRequest | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of incoming) {
      bytes += chunk.length
      if (bytes > REQUEST_BYTES_MAX) return undefined
      chunks.push(chunk)
    }
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString())
    return isRequest(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isRequest(value: unknown): value is ControlRequest {
  if (typeof value !== 'object' || value === null || !('command' in value)) return false
  switch (value.command) {
    case 'status':
    case 'formed':
    case 'stop':
    case 'heal':
      return true
    case 'partition':
      return (
        'groups' in value && isGroups(value.groups) && 'reset' in value && typeof value.reset === 'boolean'
      )
    default:
      return (
        NODE_COMMANDS.some((command) => command === value.command) &&
        'node' in value &&
        typeof value.node === 'string' &&
        (value.command !== 'rejoin' || ('evenHealthy' in value && typeof value.evenHealthy === 'boolean'))
      )
  }
}

function isGroups(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    value.every((group) => Array.isArray(group) && group.every((name) => typeof name === 'string'))
  )
}

function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}
