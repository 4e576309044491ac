// The connection of a client without a listener.

import { Socket } from 'node:net'
import type { InboundBudget } from '../../../src/server/api/budget.ts'
import { ClientConnection } from '../../../src/server/clients/client-connection.ts'

/** A connection whose client holds bytes of this budget. */
export const connectionWith = (
  inbound: InboundBudget,
  socket = new Socket(),
  inboundOfUnauthenticated = inbound,
): ClientConnection =>
  new ClientConnection(socket, {
    ...{ served: 'all', inbound, inboundOfUnauthenticated },
    identified() {},
    headOfUnidentified() {},
  })
