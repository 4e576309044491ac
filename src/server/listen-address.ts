import { createServer } from 'node:net'
import type { ListenAddress } from './options.ts'

/** Rejects with the error of the system when no server can listen at the address now. */
export function checkListenAddress({ host, port }: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    // Workers of node:cluster would share the port otherwise.
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()))
  })
}
