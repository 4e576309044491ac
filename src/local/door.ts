// How a supervisor is reached by a path at which there is nothing any more. Its directory was moved away, and with it
// the lock that says where it listens; it is about to notice. Whoever knocks makes it look at once, and sees by the end
// of the connection that its process has ended.
//
// The door is a socket in the abstract namespace, which only Linux has. Nothing can be commanded through it.

import { createHash } from 'node:crypto'
import { connect, createServer } from 'node:net'

/** What is said to whoever knocks while the cluster goes on. */
const STAYS = 'stays'

/**
 * Returns how to close it. Where somebody else has that name there is no door. `onKnock`: whether the supervisor ends.
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

/** Resolves when whoever has been there is gone; false: nobody was there, or does not end (within `limitMs`). */
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
