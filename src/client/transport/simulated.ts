// The seam between the client and a simulation (jepsen-lite/simulation): in a process of a simulation, `new Client(…)`
// sends its requests over the network of that simulation.

import type { Transport } from './transport.ts'

/** Key of `globalThis`, because an application may have loaded the client and the simulation from different files. */
const KEY = Symbol.for('quorate.simulated-transport')

type CreateTransport = () => Transport | undefined

const holder = globalThis as { [KEY]?: CreateTransport | undefined }

/** The transport of a client that is created now; undefined: it has sockets. */
export const simulatedTransport = (): Transport | undefined => holder[KEY]?.()

/** From now on clients are created with the transport that `create` returns. Call the result to end that. */
export function simulateTransports(create: CreateTransport): () => void {
  const before = holder[KEY]
  holder[KEY] = create
  return () => {
    holder[KEY] = before
  }
}
