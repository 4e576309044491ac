// The request that opens a multiplexed connection (RFC 6455 §4).

import { HttpError } from '../../operations/forms/http.ts'
import { ApiError } from '../../operations/forms/index.ts'
import { readQuery, takeTimeout, text } from '../../operations/forms/parameters.ts'
import { SUBPROTOCOL } from '../mux/protocol.ts'
import type { Guard } from './guard.ts'
import { type RawRequest, readUpgrade } from './raw-parser.ts'
import { splitTarget } from './target.ts'

/** The request at the beginning of these bytes, if it is complete and opens a WebSocket here. */
export function readOpening(bytes: Buffer): RawRequest | undefined {
  const request = readUpgrade(bytes, TARGET)
  const { connection = '', upgrade = '' } = request?.headers ?? {}
  return names(connection, 'upgrade') && names(upgrade, 'websocket') ? request : undefined
}

const TARGET = /^\/v1\/connect(?:\?[!-~]*)?$/

/** Whether a list of tokens has this one. */
const names = (list: string, token: string): boolean =>
  list.split(',').some((one) => one.trim().toLowerCase() === token)

/** Throws `ApiError`. */
export function checkOpening(request: RawRequest, guard: Guard): void {
  const { headers } = request
  const target = splitTarget(request.url)
  const head = { ...request, hosts: 1 }
  guard.checkHost(head, target)
  // A connection can make changes.
  guard.checkOrigin({ ...head, method: 'PUT' })
  const { others } = takeTimeout(target.query === '' ? [] : target.query.split('&'))
  const { cluster } = readQuery(others, PARAMETERS)
  guard.checkCluster(cluster ?? headers['kv-cluster'])
  if (headers['sec-websocket-version'] !== '13')
    throw new HttpError('upgrade_required', 'only version 13 of WebSocket is spoken here', [
      ...['Upgrade', 'websocket', 'Sec-WebSocket-Version', '13'],
    ])
  if (!/^[+/0-9A-Za-z]{22}==$/.test(headers['sec-websocket-key'] ?? ''))
    throw new ApiError('bad_request', 'Sec-WebSocket-Key must be 16 bytes in base64')
  if (!names(headers['sec-websocket-protocol'] ?? '', SUBPROTOCOL))
    throw new ApiError('bad_request', `Sec-WebSocket-Protocol must name ${SUBPROTOCOL}`)
}

const PARAMETERS = { cluster: text('Refuse (421 wrong_cluster) unless the node belongs to this cluster') }
