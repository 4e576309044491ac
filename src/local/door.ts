// How a supervisor is reached by a path that no longer leads to its directory. The directory was moved away, and with
// it the lock that says where the supervisor listens; the supervisor is about to notice. A process that connects to the
// door makes the supervisor look at once, and sees by the end of the connection that the supervisor's process has
// ended.
//
// The door is a socket in the abstract namespace, which only Linux has. It takes no commands.

import { createHash } from 'node:crypto'
import { connect, createServer } from 'node:net'

/** The answer while the cluster goes on. */
const STAYS = 'stays'

/**
 * Returns how to close it. There is no door when another process has that name. `onKnock` says whether the supervisor
 * ends.
 */
export function openDoor(dataDir: string, onKnock: () => boolean): () => void {
  if (process.platform !== 'linux') return () => {}
  const server = createServer((socket) => {
    socket
      .on('error', () => {})
      .unref()
      .resume()
    if (!onKnock()) socket.end(STAYS)
  })
  server.on('error', () => {})
  server.listen(nameOf(dataDir)).unref()
  return () => server.close()
}

/**
 * Resolves to true when the supervisor there has ended; to false when there was none, it goes on, or it did not end
 * within `limitMs`.
 */
export function knock(dataDir: string, limitMs: number): Promise<boolean> {
  if (process.platform !== 'linux') return Promise.resolve(false)
  return new Promise((resolve) => {
    const socket = connect(nameOf(dataDir))
    let opened = false
    let stays = false
    const stay = (): void => {
      stays = true
      socket.destroy()
    }
    const timer = setTimeout(stay, limitMs)
    socket.on('connect', () => {
      opened = true
    })
    socket.on('data', stay)
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(timer)
      resolve(opened && !stays)
    })
  })
}

const nameOf = (dataDir: string): string => `\0quorate-${createHash('sha256').update(dataDir).digest('hex')}`
