// Which ports of this machine are free. The look before a start names a taken port early. It promises nothing: a node
// that finds its port taken when it binds refuses as well.

import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { HOST } from './addresses.ts'

/** Nodes whose supervisor was killed end by themselves at once. On a busy machine that may take so long. */
export const ORPHANS_LIMIT_MS = 3_000
const AGAIN_MS = 20

export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    // Any other obstacle, such as a port that only root may have, is reported by the node that binds.
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'EADDRINUSE'))
    probe.listen({ host: HOST, port, exclusive: true }, () => probe.close(() => resolve(true)))
  })
}

export async function becomesFree(port: number, limitMs: number): Promise<boolean> {
  const deadline = performance.now() + limitMs
  while (!(await isFree(port))) {
    if (performance.now() >= deadline) return false
    await sleep(AGAIN_MS)
  }
  return true
}

/** The first `count` free ports from this one on. */
export async function freePorts(from: number, count: number): Promise<number[]> {
  const found: number[] = []
  for (let port = from; found.length < count && port < 65_536; port++)
    if (await isFree(port)) found.push(port)
  return found
}
