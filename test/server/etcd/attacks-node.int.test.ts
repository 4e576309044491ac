// The attacks on node:http2 in place of our own HTTP/2.

import { expect, test, vi } from 'vitest'
import { ServerConnection } from '../../../src/server/etcd/http2/connection.ts'
import { describeAttacks } from './attacks.ts'
import { ServerConnection as NodeConnection } from './http2/node-http2.ts'

vi.mock('../../../src/server/etcd/http2/connection.ts', () => import('./http2/node-http2.ts'))

test('node:http2 serves', () => expect(ServerConnection).toBe(NodeConnection))

describeAttacks()
