// Starts nodes of quorate for the tests of Kubernetes, in this process: nodes.ts COUNT. It prints the address at which
// a test connects, sends a line of JSON, and receives one. The nodes end with the connection.

import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { startCluster, startNode } from '../../../src/index.ts'

const HOST = '127.0.0.1'
const count = Number(process.argv[2])

interface Request {
  /** Paths. */
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string } | null
}

const server = createServer((socket) => {
  socket.on('error', () => {})
  createInterface(socket).once('line', (line) => void serve(socket, JSON.parse(line)))
})
server.listen(0, HOST, () => console.log(`${HOST}:${Object(server.address()).port}`))

async function serve(socket: Socket, { tls }: Request): Promise<void> {
  const closed = new Promise<void>((resolve) => socket.once('close', resolve))
  try {
    await using nodes = await (count === 1 ? startOne(tls) : startCluster({ nodes: count }))
    const addresses = nodes.endpoints.map((url) => `localhost:${new URL(url).port}`)
    socket.write(`${JSON.stringify({ addresses })}\n`)
    await closed
  } catch (error) {
    socket.end(`${JSON.stringify({ error: String(error) })}\n`)
  }
}

async function startOne(tls: Request['tls']) {
  const dataDir = mkdtempSync(join(tmpdir(), 'quorate-kubernetes-'))
  // Quorate refuses a private key that others can read.
  if (tls !== null) chmodSync(tls.key, 0o600)
  const anywhere = { host: HOST, port: 0 }
  const node = await startNode({
    ...{ name: 'n1', dataDir, listen: anywhere, peerListen: anywhere, founding: { kind: 'bootstrap' } },
    ...(tls !== null && { tls }),
  })
  return {
    endpoints: [node.url],
    async [Symbol.asyncDispose]() {
      await node.crash()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}
