// One implementation of a target for each protocol.

import { ClientTarget } from './client-target.ts'
import { quorateHttp, wrongLogins } from './dialects.ts'
import { type Identity, sendOnce } from './http-connection.ts'
import { HttpTarget } from './http-target.ts'
import type { Access, Load } from './load.ts'
import { MuxTarget } from './mux-target.ts'
import type { Target } from './target.ts'

export async function openTarget({ over, endpoints, in_flight, connections, access }: Load): Promise<Target> {
  switch (over) {
    case 'http':
      return new HttpTarget(quorateHttp, endpoints, in_flight, access && (await logIn(endpoints, access)))
    case 'client':
      return new ClientTarget(endpoints, access)
    case 'mux':
      return MuxTarget.connect(endpoints, connections)
    case 'wrong-logins':
      return new HttpTarget(wrongLogins, endpoints, in_flight, access && { ca: access.ca, token: '' })
    case 'grpc':
    case 'nats':
    case 'consul':
    case 'rqlite':
      throw new Error(`bench/generator has ${over}`)
  }
}

async function logIn([url = '']: readonly string[], { ca, user, password }: Access): Promise<Identity> {
  const body = Buffer.from(JSON.stringify({ user, password }))
  const request = { method: 'POST', path: '/v1/auth/login', json: true, body } as const
  const { token } = JSON.parse(await sendOnce(url, request, { ca, token: '' }))
  return { ca, token }
}
