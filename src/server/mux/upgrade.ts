// The request that opens a multiplexed connection (RFC 6455 §4).

import type { Guard } from '../http/guard.ts'
import { readQuery, takeTimeout, text } from '../http/parameters.ts'
import { ApiError } from '../http/problem.ts'
import { type RawRequest, readUpgrade } from '../http/raw-parser.ts'
import { splitTarget } from '../http/target.ts'
import { SUBPROTOCOL } from './protocol.ts'

/** The request at the beginning of these bytes, if it is complete and asks for a WebSocket here. */
export function readOpening(bytes: Buffer): RawRequest | undefined {
  const request = readUpgrade(bytes, TARGET)
  const { connection = '', upgrade = '' } = request?.headers ?? {}
  return names(connection, 'upgrade') && names(upgrade, 'websocket') ? request : undefined
}

const TARGET = /^\/v1\/connect(?:\?[!-~]*)?$/

/** Whether a list of tokens has this one. */
const names = (list: string, token: string): boolean =>
  list.split(',').some((one) => one.trim().toLowerCase() === token)

/** Throws `Refused`. */
export function checkOpening(request: RawRequest, guard: Guard): void {
  const { headers } = request
  const target = splitTarget(request.url)
  guard.checkHost(request, target)
  // A connection can make changes.
  guard.checkOrigin({ ...request, method: 'PUT' })
  const { others } = takeTimeout(target.query === '' ? [] : target.query.split('&'))
  const { cluster } = readQuery(others, PARAMETERS)
  guard.checkCluster(cluster ?? headers['kv-cluster'])
  if (headers['sec-websocket-version'] !== '13')
    throw new ApiError('upgrade_required', 'only version 13 of WebSocket is spoken here', {
      headers: ['Upgrade', 'websocket', 'Sec-WebSocket-Version', '13'],
    })
  if (!/^[+/0-9A-Za-z]{22}==$/.test(headers['sec-websocket-key'] ?? ''))
    throw new ApiError('bad_request', 'Sec-WebSocket-Key must be 16 bytes in base64')
  if (!names(headers['sec-websocket-protocol'] ?? '', SUBPROTOCOL))
    throw new ApiError('bad_request', `Sec-WebSocket-Protocol must name ${SUBPROTOCOL}`)
}

const PARAMETERS = { cluster: text('Refuse (421 wrong_cluster) unless the node belongs to this cluster') }
