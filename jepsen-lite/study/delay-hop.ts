// A hop in a link between two nodes that delays every byte, in both directions.

import { connect, createServer, type Server, type Socket } from 'node:net'
import type { ListenAddress } from '../../src/server/options.ts'

export interface DelayHop {
  readonly address: ListenAddress
  close(): Promise<void>
}

/** `delayMs`: the milliseconds from the arrival of each chunk until it is sent on. The order is kept. */
export async function createDelayHop(
  delayMs: number,
  target: () => ListenAddress | undefined,
): Promise<DelayHop> {
  const timers = new Set<NodeJS.Timeout>()
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (caller) => {
    const address = target()
    if (address === undefined) {
      caller.on('error', () => {})
      caller.resetAndDestroy()
      return
    }
    const callee = connect({ ...address, allowHalfOpen: true, noDelay: true })
    const close = (): void => {
      caller.destroy()
      callee.destroy()
    }
    for (const socket of [caller, callee]) {
      sockets.add(socket)
      socket.on('error', close)
      // One that both sides have ended closes before its last bytes have left to the other.
      socket.on('close', () => sockets.delete(socket))
    }
    delay(caller, callee, delayMs, timers)
    delay(callee, caller, delayMs, timers)
  })
  return {
    address: await listening(server),
    close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      for (const timer of timers) clearTimeout(timer)
      return closed
    },
  }
}

function delay(from: Socket, to: Socket, delayMs: number, timers: Set<NodeJS.Timeout>): void {
  /** Timers for nearly the same time may fire in another order than they were set, so each does the oldest step. */
  const steps: (() => void)[] = []
  const later = (step: () => void): void => {
    steps.push(step)
    const timer = setTimeout(() => {
      timers.delete(timer)
      steps.shift()?.()
    }, delayMs)
    timers.add(timer)
  }
  to.on('drain', () => from.resume())
  from.on('end', () => later(() => to.end()))
  from.on('data', (chunk) =>
    later(() => {
      if (!to.destroyed && !to.write(chunk)) from.pause()
    }),
  )
}

async function listening(server: Server): Promise<ListenAddress> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('not bound to a port')
  return { host: bound.address, port: bound.port }
}
