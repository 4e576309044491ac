// Addresses and ports of a cluster on one machine. Every listener is on loopback.
//
// The check before a start names a taken port early. It promises nothing: a node that finds its port taken when it
// binds refuses to start as well.

import { checkListenAddress } from '../system/addresses.ts'
import { poll } from './poll.ts'

export const HOST = '127.0.0.1'

export function localUrl(port: number, isSecure = false): string {
  return `${isSecure ? 'https' : 'http'}://${HOST}:${port}`
}

/** The port at the end of host:port, or of a URL that has a port and no path. */
export function parsePort(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1))
}

/** Time for the nodes of a killed supervisor to end. They end by themselves, but a busy machine delays them. */
export const ORPHAN_EXIT_TIMEOUT_MS = 3_000
const POLL_INTERVAL_MS = 20

/** Any other obstacle, such as a port that only root may bind, is reported by the node that binds. */
export function isFree(port: number): Promise<boolean> {
  return checkListenAddress({ host: HOST, port }).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'EADDRINUSE',
  )
}

export async function waitUntilFree(port: number, timeoutMs: number): Promise<boolean> {
  const check = async (): Promise<true | undefined> => (await isFree(port)) || undefined
  return (await poll(check, { timeoutMs, intervalMs: POLL_INTERVAL_MS })) ?? false
}

/** The first `count` free ports, starting at `from`. */
export async function freePorts(from: number, count: number): Promise<number[]> {
  const found: number[] = []
  for (let port = from; found.length < count && port < 65_536; port++)
    if (await isFree(port)) found.push(port)
  return found
}
